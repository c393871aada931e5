/* SPDX-License-Identifier: Apache-2.0 */
/* resolv.conf with our servers: what stays of the original, what does not, and what tells the texts apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/resolv_text.h"

static const char *const no_search[] = {NULL};
static const char *const two[] = {"a.example", "b.example.", NULL};

/* text: the original; want: ours, without the comments at its beginning. Servers are 100.100.111.1 and fd00:2021:1111:8000::1. */
static const struct {
    const char *text;
    const char *const *search;
    const char *want;
} cases[] = {
    {"", no_search, "options ndots:1\n"},
    {"nameserver 192.0.2.1", no_search, "options ndots:1\n"},
    {"# by hand\nnameserver 192.0.2.1\nsearch old.example\ndomain old.example\n", two,
     "search a.example b.example.\noptions ndots:1\n"},
    {"options ndots:5 edns0 trust-ad\n", no_search, "options edns0 trust-ad ndots:1\n"},
    {"options edns0 timeout:1\noptions\trotate  edns0 # not me\r\noptions ndots:1 ; nor me\n",
     no_search, "options edns0 timeout:1 rotate ndots:1\n"},
    {"  options single-request", no_search, "options single-request ndots:1\n"},
    {"sortlist 10.0.0.0/8 192.0.2.0/255.255.255.0\nsortlist 10.0.0.0/8\noptions attempts:3\n", two,
     "search a.example b.example.\nsortlist 10.0.0.0/8 192.0.2.0/255.255.255.0\noptions attempts:3 ndots:1\n"},
    {"This is prose.\nlookup file bind\noption x\noptionsx y\nOPTIONS z\n;options q\n#options r\n",
     no_search, "options ndots:1\n"},
    {"options \x01 caf\xc3\xa9 edns0\n", no_search, "options edns0 ndots:1\n"},
    {"options edns0 dns0 edns edns0\n", no_search, "options edns0 dns0 edns ndots:1\n"},
};

static const char *after_comments(const char *text)
{
    while (*text == '#')
        text = strchr(text, '\n') + 1;
    return text;
}

static enum err rewrite(char out[RESOLV_TEXT_MAX + 1], const char *text, size_t len,
                        const char *const *search, unsigned servers_n)
{
    struct ip_addr servers[8];
    struct resolv_text_wish wish = {.servers = servers,
                                    .servers_n = servers_n,
                                    .search = search,
                                    .backup = "/etc/resolv.conf.before-firezone"};
    char *exact = malloc(len > 0 ? len : 1); /* so that reading on is seen */
    size_t out_len = 99;

    while (search[wish.search_n])
        wish.search_n++;
    for (unsigned i = 0; i < servers_n; i++)
        assert_int_equal(
            ip_addr_parse(&servers[i], i % 2 ? "fd00:2021:1111:8000::1" : "100.100.111.1"), ERR_OK);
    assert_non_null(exact);
    memcpy(exact, text, len);
    enum err err = resolv_text_rewrite(out, &out_len, exact, len, &wish);
    free(exact);
    out[out_len] = '\0';
    return err;
}

static void test_rewrite(void **state)
{
    static const char servers[] = "nameserver 100.100.111.1\nnameserver fd00:2021:1111:8000::1\n";
    char out[RESOLV_TEXT_MAX + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(rewrite(out, cases[i].text, strlen(cases[i].text), cases[i].search, 2),
                         ERR_OK);
        assert_true(resolv_text_is_ours(out, strlen(out)));
        assert_non_null(strstr(out, "\n# /etc/resolv.conf.before-firezone\n"));
        const char *body = after_comments(out);
        if (strncmp(body, servers, strlen(servers)) != 0 ||
            strcmp(body + strlen(servers), cases[i].want) != 0)
            fail_msg("case %zu: %s", i, body);
    }
}

static void test_bounds(void **state)
{
    enum {
        HUGE = 1 << 20
    };
    char out[RESOLV_TEXT_MAX + 1], domain[1001];
    const char *const blank[] = {"a b", NULL}, *const feed[] = {"a\nnameserver 192.0.2.9", NULL};
    const char *const empty[] = {"", NULL};
    const char *const long_ones[] = {domain, domain, domain, domain, NULL};
    char *huge = malloc(HUGE);

    (void)state;
    assert_non_null(huge);
    for (size_t i = 0; i < HUGE; i++)
        huge[i] = "# comment\n"[i % 10];
    assert_int_equal(rewrite(out, huge, HUGE, no_search, 8), ERR_OK);
    for (size_t i = 0; i < HUGE; i++)
        huge[i] = "options edns0\n"[i % 14];
    assert_int_equal(rewrite(out, huge, HUGE, no_search, 8), ERR_OK);
    memset(huge + 8, 'x', HUGE - 8);
    assert_int_equal(rewrite(out, huge, HUGE, no_search, 8), ERR_NO_SPACE);
    assert_string_equal(out, "");
    free(huge);
    memset(domain, 'd', sizeof domain - 1);
    domain[sizeof domain - 1] = '\0';
    assert_int_equal(rewrite(out, "", 0, long_ones, 1), ERR_NO_SPACE);
    assert_int_equal(rewrite(out, "", 0, blank, 1), ERR_INVALID);
    assert_int_equal(rewrite(out, "", 0, feed, 1), ERR_INVALID);
    assert_int_equal(rewrite(out, "", 0, empty, 1), ERR_INVALID);
}

static void test_marks(void **state)
{
    static const struct {
        const char *text, *original;
        bool ours, tailed;
    } marks[] = {
        {"", "", false, false},
        {RESOLV_TEXT_MARKER, "", true, false},
        {RESOLV_TEXT_MARKER " and more\n", "x", true, false},
        {"\n" RESOLV_TEXT_MARKER "\n", "", false, false},
        {"# BEGIN Firezone DNS configuratio", "", false, false},
        {RESOLV_TEXT_TAIL, "", false, true},
        {"a\n", "a\n", false, false},
        {"a\n" RESOLV_TEXT_TAIL, "a\n", false, true},
        {"a\n" RESOLV_TEXT_TAIL "\n\n\n", "a\n", false, true},
        {"a" RESOLV_TEXT_TAIL "\n", "a", false, true},
        {"a\n" RESOLV_TEXT_TAIL "\nb\n", "a\n", false, false},
        {"b\n" RESOLV_TEXT_TAIL, "a\n", false, false},
        {"a\n\n# Firezone is changing this file", "a\n", false, false},
        {"a\n\n", "a\n", false, false},
        {"a", "a\n", false, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        const char *text = marks[i].text, *original = marks[i].original;
        bool ours = resolv_text_is_ours(text, strlen(text));
        bool tailed = resolv_text_is_tailed(text, strlen(text), original, strlen(original));
        if (ours != marks[i].ours || tailed != marks[i].tailed)
            fail_msg("case %zu: %d %d", i, ours, tailed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rewrite),
                                       cmocka_unit_test(test_bounds), cmocka_unit_test(test_marks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
