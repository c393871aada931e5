/* SPDX-License-Identifier: Apache-2.0 */
/* What a refused upgrade says: class, problem document, Retry-After in all its forms. */
#include "control/portal/problem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

static const int64_t unix_now = 784111777; /* Sun, 06 Nov 1994 08:49:37 GMT, the RFC's example */

static struct problem parse(unsigned status, const char *retry_after, const char *body)
{
    struct problem p;
    problem_parse(&p, status, retry_after, unix_now, body, strlen(body));
    return p;
}

static void test_classes(void **state)
{
    static const struct {
        unsigned status;
        const char *body;
        enum problem_class want;
        const char *text;
    } cases[] = {
        {401,
         "{\"type\":\"about:blank\",\"title\":\"Unauthorized\",\"status\":401,"
         "\"detail\":\"Invalid token\",\"code\":\"invalid_token\"}",
         PROBLEM_TOKEN, "HTTP status 401 invalid_token: Invalid token"},
        {401, "{\"code\":\"missing_token\"}", PROBLEM_TOKEN, "HTTP status 401 missing_token"},
        {401, "{\"code\":\"other\",\"detail\":\"x\"}", PROBLEM_AUTH, "HTTP status 401 other: x"},
        {401, "<html>", PROBLEM_AUTH, "HTTP status 401"},
        {401, "", PROBLEM_AUTH, "HTTP status 401"},
        {403, "{\"code\":\"invalid_token\"}", PROBLEM_RETRY, "HTTP status 403 invalid_token"},
        {503, "{\"code\":\"rate_limit\"}", PROBLEM_RETRY, "HTTP status 503 rate_limit"},
        {429, "", PROBLEM_RETRY, "HTTP status 429"},
        {308, "[]", PROBLEM_RETRY, "HTTP status 308"},
        {400, "{\"code\":5,\"detail\":[]}", PROBLEM_RETRY, "HTTP status 400"},
        {400, "{\"detail\":\"a\\u0007b\\r\\nX-Evil: \\u00e4\"}", PROBLEM_RETRY,
         "HTTP status 400: a?b??X-Evil: ??"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct problem p = parse(cases[i].status, NULL, cases[i].body);
        char text[512];
        problem_text(&p, text, sizeof text);
        print_message("%u: %s\n", (unsigned)i, text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(problem_class(&p), cases[i].want);
        assert_true(p.retry_after_ns == TIME_NEVER);
    }
}

static void test_long_texts_are_cut(void **state)
{
    char body[2048];
    (void)state;
    snprintf(body, sizeof body, "{\"code\":\"%0500d\",\"detail\":\"%0500d\"}", 1, 2);
    struct problem p = parse(500, NULL, body);
    assert_int_equal(strlen(p.code), PROBLEM_CODE_MAX);
    assert_int_equal(strlen(p.detail), PROBLEM_DETAIL_MAX);
}

static void test_retry_after(void **state)
{
    static const struct {
        const char *value;
        time_ns want_s; /* TIME_NEVER: not understood */
    } cases[] = {
        {"1", 1},
        {" 120 ", 120},
        {"0", 0},
        {"86400", 86400},
        {"86401", 86400},
        {"99999999999999999999999", 86400},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0},
        {"Sun, 06 Nov 1994 08:50:37 GMT", 60},
        {"Sunday, 06-Nov-94 08:50:37 GMT", 60},
        {"Sun Nov  6 08:50:37 1994", 60},
        {"Sun, 06 Nov 1994 08:48:37 GMT", 0},
        {"Mon, 07 Nov 1994 08:49:36 GMT", 86399},
        {"Mon, 07 Nov 1994 08:49:37 GMT", 86400},
        {"Mon, 07 Nov 1994 08:49:38 GMT", TIME_NEVER}, /* one of the clocks is wrong */
        {"Fri, 01 Jan 2038 00:00:00 GMT", TIME_NEVER},
        {"Sunday, 06-Nov-38 08:50:37 GMT", TIME_NEVER},
        {"", TIME_NEVER},
        {"soon", TIME_NEVER},
        {"-1", TIME_NEVER},
        {"1.5", TIME_NEVER},
        {"1 2", TIME_NEVER},
        {"Sun, 06 Nov 1994 08:49:37", TIME_NEVER},
        {"Sun, 06 Nov 1994 08:49:37 GMT x", TIME_NEVER},
        {"Sun, 06 Foo 1994 08:49:37 GMT", TIME_NEVER},
        {"Sun, 06 anF 1994 08:49:37 GMT", TIME_NEVER},
        {"Sun, 32 Nov 1994 08:49:37 GMT", TIME_NEVER},
        {"Sun, 06 Nov 1994 24:49:37 GMT", TIME_NEVER},
        {"Sun, 06 Nov -994 08:49:37 GMT", TIME_NEVER},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        print_message("%s\n", cases[i].value);
        time_ns want = cases[i].want_s == TIME_NEVER ? TIME_NEVER : cases[i].want_s * NS_PER_SEC;
        assert_true(parse(503, cases[i].value, "").retry_after_ns == want);
    }
}

/* Across leap days: one day before each is one day. */
static void test_calendar(void **state)
{
    static const struct {
        int64_t now;
        const char *in_a_day;
    } cases[] = {
        {951782400, "Wed, 01 Mar 2000 00:00:00 GMT"},  /* 29 February 2000 */
        {1709164800, "Fri, 01 Mar 2024 00:00:00 GMT"}, /* 29 February 2024 */
        {1740700800, "Sat, 01 Mar 2025 00:00:00 GMT"}, /* 28 February 2025 */
        {4107456000, "Mon, 01 Mar 2100 00:00:00 GMT"}, /* 28 February 2100 */
        {1798675200, "Fri, 01 Jan 2027 00:00:00 GMT"}, /* 31 December 2026 */
        {0, "Fri, 02 Jan 1970 00:00:00 GMT"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct problem p;
        print_message("%s\n", cases[i].in_a_day);
        problem_parse(&p, 503, cases[i].in_a_day, cases[i].now + 1, "", 0);
        assert_int_equal(p.retry_after_ns, 86399 * NS_PER_SEC);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_retry_after),
        cmocka_unit_test(test_calendar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
