/* SPDX-License-Identifier: Apache-2.0 */
/* The log filter: what is accepted, what it means for a module, what is refused and with which words. */
#include "platform/base/log_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

static struct log_filter parsed(const char *text)
{
    struct log_filter f;
    char why[256] = "";
    if (log_filter_parse(&f, text, why, sizeof why) != ERR_OK)
        fail_msg("'%s': %s", text, why);
    return f;
}

static void levels(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum log_level tunnel, uapi, max;
    } cases[] = {
        {"off", LOG_OFF, LOG_OFF, LOG_OFF},
        {"error", LOG_ERROR, LOG_ERROR, LOG_ERROR},
        {"warn", LOG_WARN, LOG_WARN, LOG_WARN},
        {"info", LOG_INFO, LOG_INFO, LOG_INFO},
        {"debug", LOG_DEBUG, LOG_DEBUG, LOG_DEBUG},
        {"trace", LOG_TRACE, LOG_TRACE, LOG_TRACE},
        {"Info", LOG_INFO, LOG_INFO, LOG_INFO},
        {"TRACE", LOG_TRACE, LOG_TRACE, LOG_TRACE},
        {"0", LOG_OFF, LOG_OFF, LOG_OFF},
        {"5", LOG_TRACE, LOG_TRACE, LOG_TRACE},
        {" debug ", LOG_DEBUG, LOG_DEBUG, LOG_DEBUG},
        {"info,debug", LOG_DEBUG, LOG_DEBUG, LOG_DEBUG},
        {"", LOG_INFO, LOG_INFO, LOG_INFO},
        {",, ,", LOG_INFO, LOG_INFO, LOG_INFO},
        {"tunnel=debug", LOG_DEBUG, LOG_INFO, LOG_DEBUG},
        {"tunnel=Debug,warn", LOG_DEBUG, LOG_WARN, LOG_DEBUG},
        {"warn, tunnel = off", LOG_OFF, LOG_WARN, LOG_WARN},
        {"off,tunnel=trace", LOG_TRACE, LOG_OFF, LOG_TRACE},
        {"tunnel=trace,tunnel=error,uapi=3", LOG_ERROR, LOG_INFO, LOG_INFO},
        {"Tunnel=trace,tunne=trace,tunnel2=trace,error", LOG_ERROR, LOG_ERROR, LOG_TRACE},
        {"wire=trace,connlib_client_shared=debug,tunnel::x=off,debug", LOG_DEBUG, LOG_DEBUG,
         LOG_TRACE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct log_filter f = parsed(cases[i].text);
        if (log_filter_level(&f, "tunnel") != cases[i].tunnel ||
            log_filter_level(&f, "uapi") != cases[i].uapi ||
            log_filter_level_max(&f) != cases[i].max)
            fail_msg("case %zu: '%s'", i, cases[i].text);
    }
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"verbose", "'verbose' is neither a level"},
        {"info,loud,debug", "'loud' is neither a level"},
        {"6", "'6' is neither a level"},
        {"10", "'10' is neither a level"},
        {"in fo", "'in fo' is neither a level"},
        {"tunnel=", "'tunnel=' has no level"},
        {"tunnel=loud", "'tunnel=loud' has no level"},
        {"tunnel=debug=", "'tunnel=debug=' has no level"},
        {"=debug", "'=debug' has no target"},
        {" =debug", "'=debug' has no target"},
        {"a=b=debug", "'a=b=debug' has no target"},
        {"[span]=debug", "'[span]=debug' has no target"},
        {"a b=debug", "'a b=debug' has no target"},
        {"a\033[1m=debug", "'a?[1m=debug' has no target"},
        {"a23456789012345678901234567890123456789012345678901234567890123x=info", "more than 63"},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
         "aaa...' is neither"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct log_filter f = {.level = LOG_WARN, .targets_n = 7};
        char why[256] = "";
        assert_int_equal(log_filter_parse(&f, cases[i].text, why, sizeof why), ERR_PARSE);
        if (!strstr(why, cases[i].words))
            fail_msg("case %zu: '%s': %s", i, cases[i].text, why);
        assert_int_equal(f.level, LOG_WARN);
        assert_int_equal(f.targets_n, 7);
    }
}

static void targets_are_bounded(void **state)
{
    (void)state;
    char text[LOG_FILTER_TARGETS_MAX * 16 + 32] = "", why[256];
    struct log_filter f;
    size_t n = 0;

    for (int i = 0; i < LOG_FILTER_TARGETS_MAX; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "m%d=debug,", i);
    f = parsed(text);
    assert_int_equal(f.targets_n, LOG_FILTER_TARGETS_MAX);
    snprintf(text + n, sizeof text - n, "m0=off");
    f = parsed(text);
    assert_int_equal(log_filter_level(&f, "m0"), LOG_OFF);
    assert_int_equal(log_filter_level(&f, "m31"), LOG_DEBUG);
    snprintf(text + n, sizeof text - n, "more=off");
    assert_int_equal(log_filter_parse(&f, text, why, sizeof why), ERR_PARSE);
    assert_non_null(strstr(why, "'more=off' is one target too many"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),
        cmocka_unit_test(refused),
        cmocka_unit_test(targets_are_bounded),
    };
    return cmocka_run_group_tests_name("log_filter", tests, NULL, NULL);
}
