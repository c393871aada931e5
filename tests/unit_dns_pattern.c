/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns of DNS resources: what they match, which are refused, their order, and the part that has no wildcards. */
#include "control/dns/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

/* Names separated by spaces. */
static const struct {
    const char *pattern, *matches, *others;
} cases[] = {
    {"example.com", "example.com EXAMPLE.com",
     "a.example.com xexample.com example.co com example.com.x"},
    {"Example.COM", "example.com", "example.org"},
    {"*.example.com", "example.com a.example.com A.Example.Com",
     "a.b.example.com EXAMPLE.COM xexample.com com example"},
    {"*.Example.com", "Example.com a.example.com", "example.com"},
    {"**.example.com", "example.com Example.com a.example.com a.b.example.com a.b.c.d.example.com",
     "xexample.com example.org com a.xexample.com"},
    {"app.**.example.com",
     "app.example.com app.a.example.com app.a.b.example.com APP.x.EXAMPLE.com",
     "example.com xapp.example.com app.xexample.com a.app.example.com"},
    {"app.*.example.com", "app.a.example.com app.abc.example.com",
     "app.a.b.example.com app.example.com"},
    {"app.f??.example.com", "app.foo.example.com app.FAB.example.com",
     "app.fo.example.com app.fooo.example.com app.f.o.example.com"},
    {"*?*.example.com", "a.example.com abc.example.com", "example.com a.b.example.com"},
    {"?.example.com", "a.example.com", "example.com ab.example.com"},
    {"*.*.example.com", "a.b.example.com *.example.com",
     "a.example.com example.com a.b.c.example.com"},
    {"foo.**", "foo.a foo.a.b", "foo foox.a a.foo"},
    {"**", "a a.b", ""},
    {"*", "a abc", "a.b"},
    {"**.**", "a a.b a.b.c", ""},
    {"a.**.**", "a.b a.b.c", "a"},
    {"**.*", "a a.b", ""},
    {"**.a.**.b", "a.b x.a.y.b a.a.b a.b.b x.a.b", "a b a.b.c xa.b"},
    {"*ample.com", "example.com ample.com EXAMPLE.com", "a.ample.com ampl.com"},
    {"ex*e.com", "example.com exe.com exeee.com", "ex.e.com exm.com"},
    {"*a*b*c.d", "abc.d xaxbxc.d aabbcc.d", "acb.d ab.d a.b.c.d"},
    {"web-[abc].de", "web-a.de web-B.de", "web-d.de web-.de web-ab.de"},
    {"web-[a-c][0-9].de", "web-a0.de web-C9.de", "web-d0.de web-aa.de"},
    {"web-[!a-c].de", "web-d.de web-1.de", "web-a.de web-B.de web-..de"},
    {"[]].de", "].de", "a.de"},
    {"[!]].de", "a.de", "].de"},
    {"[a-].de", "a.de -.de", "b.de"},
    {"[-a].de", "a.de -.de", "b.de"},
    {"[Z-a].de", "Z.de a.de _.de", "b.de"},
    {"[*].de", "*.de", "a.de"},
    {"[.].de", "", "a.de ..de"},
    {"b\xc3\xbc"
     "cher.de",
     "b\xc3\xbc"
     "cher.de",
     "xn--bcher-kva.de b\xc3\x9c"
     "cher.de"},
    {"b?cher.de",
     "b\xc3\xbc"
     "cher.de bacher.de",
     "baacher.de"},
    {"b[\xc3\xa4-\xc3\xbc]cher.de",
     "b\xc3\xb6"
     "cher.de",
     "bocher.de b\xc3\xa3"
     "cher.de"},
    {"example.com.", "", "example.com"},
};

static void expect(const char *pattern, const char *names, bool matches)
{
    struct dns_pattern p;
    char why[160] = "", name[256];
    int len;

    if (dns_pattern_init(&p, pattern, why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
    for (; sscanf(names, " %255[^ ]%n", name, &len) == 1; names += len) {
        if (dns_pattern_match(&p, name) != matches)
            fail_msg("%s %s %s", pattern, matches ? "does not match" : "matches", name);
    }
}

static void test_match(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        expect(cases[i].pattern, cases[i].matches, true);
        expect(cases[i].pattern, cases[i].others, false);
    }
}

static void test_root(void **state)
{
    struct dns_pattern p;

    (void)state;
    assert_int_equal(dns_pattern_init(&p, "**", NULL, 0), ERR_OK);
    assert_true(dns_pattern_match(&p, ""));
    assert_int_equal(dns_pattern_init(&p, "?", NULL, 0), ERR_OK);
    assert_false(dns_pattern_match(&p, ""));
}

static const struct {
    const char *pattern, *wrong;
} refused[] = {
    {"***.example.com", "more than two '*'"},
    {"a.***", "more than two '*'"},
    {"****", "more than two '*'"},
    {"a**.example.com", "beside other"},
    {"**a.example.com", "beside other"},
    {"**?.example.com", "beside other"},
    {"a.b**", "beside other"},
    {"[", "without its ']'"},
    {"[].com", "without its ']'"},
    {"[!].com", "without its ']'"},
    {"a[bc.com", "without its ']'"},
    {"[!", "without its ']'"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct dns_pattern p;
        char why[160] = "";
        if (dns_pattern_init(&p, refused[i].pattern, why, sizeof why) != ERR_INVALID ||
            !strstr(why, refused[i].wrong) || !strstr(why, refused[i].pattern))
            fail_msg("'%s': '%s'", refused[i].pattern, why);
        assert_false(dns_pattern_match(&p, refused[i].pattern));
        assert_false(dns_pattern_match(&p, "a.b"));
    }
}

/* The most specific first; all pairs are compared. */
static const char *const order[] = {
    "example.com",   "bar.example.com", "*.bar.example.com", "foo.example.com", "?.example.com",
    "*.example.com", "**.example.com",  "*ample.com",        "*.com",
};

static const char *const more_order[] = {
    "",      "\xc3\xbc.de", "\xc3\xa9.de", "\xc2\xbf.de", "b.de", "ab.de",
    "?b.de", "*b.de",       "a.de",        "[ab].de" /* ']' is greater than '?' and less than letters */
};

static void check_order(const char *const *texts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            int c = dns_pattern_compare(texts[i], texts[k]);
            if (i < k ? c >= 0 : i > k ? c <= 0 : c != 0)
                fail_msg("'%s' and '%s': %d", texts[i], texts[k], c);
        }
    }
}

static void test_order(void **state)
{
    (void)state;
    check_order(order, ARRAY_LEN(order));
    check_order(more_order, ARRAY_LEN(more_order));
}

static const struct {
    const char *pattern, *end;
} ends[] = {
    {"", ""},
    {"example.com", "example.com"},
    {"*.example.com", "example.com"},
    {"**.example.com", "example.com"},
    {"*ample.com", "com"},
    {"app.**.example.com", "example.com"},
    {"app.f?o.example.com", "example.com"},
    {"a.[b.c].d", "d"},
    {"[a.b].c.d", "c.d"},
    {"foo.**", ""},
    {"foo.b*", ""},
    {"foo.[.]", ""},
    {"**", ""},
};

static void test_literal_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        assert_string_equal(dns_pattern_literal_end(ends[i].pattern), ends[i].end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_match),       cmocka_unit_test(test_root),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_order),
        cmocka_unit_test(test_literal_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
