/* SPDX-License-Identifier: Apache-2.0 */
/* Which servers count, when they are others, and which sentinels they get. */
#include "control/dns/sentinels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

enum {
    SOURCE_MAX = 24,
    SHOWN_MAX = 2048
};

/* What the sources say, separated by spaces; then the whole mapping after it, "=" for "it is as it was". */
struct step {
    const char *do53, *doh, *system, *mapping;
};

struct source_lists {
    struct ip_addr do53[SOURCE_MAX];
    char texts[SOURCE_MAX][64];
    const char *doh[SOURCE_MAX];
    struct sock_addr system[SOURCE_MAX];
    struct dns_sources sources;
};

static void parse(struct source_lists *l, const struct step *step)
{
    char word[64];
    int len;
    size_t n = 0;

    for (const char *s = step->do53; sscanf(s, " %63s%n", word, &len) == 1; s += len)
        assert_int_equal(ip_addr_parse(&l->do53[n++], word), ERR_OK);
    l->sources = (struct dns_sources){.do53 = l->do53, .do53_n = n};
    n = 0;
    for (const char *s = step->doh; sscanf(s, " %63s%n", l->texts[n], &len) == 1; s += len, n++)
        l->doh[n] = l->texts[n];
    l->sources.doh = l->doh;
    l->sources.doh_n = n;
    n = 0;
    for (const char *s = step->system; sscanf(s, " %63s%n", word, &len) == 1; s += len)
        assert_int_equal(sock_addr_parse(&l->system[n++], word), ERR_OK);
    l->sources.system = l->system;
    l->sources.system_n = n;
}

static void show(char *out, const struct dns_sentinels *s)
{
    char ip[IP_TEXT_MAX], server[SOCK_ADDR_TEXT_MAX];

    *out = 0;
    for (unsigned i = 0; i < s->n; i++) {
        const struct dns_upstream *u = &s->list[i].upstream;
        sprintf(out + strlen(out), "%s%s>%s", i > 0 ? " " : "",
                ip_addr_format(&s->list[i].ip, ip, sizeof ip),
                u->kind == DNS_DOH ? u->url : sock_addr_format(&u->server, server, sizeof server));
        assert_int_equal(dns_sentinels_find(s, &s->list[i].ip), i);
    }
}

static void run(const struct step *steps, size_t n)
{
    struct dns_sentinels s;
    char before[SHOWN_MAX] = "", after[SHOWN_MAX];

    dns_sentinels_init(&s);
    for (size_t i = 0; i < n; i++) {
        struct source_lists l;
        parse(&l, &steps[i]);
        bool changed = dns_sentinels_update(&s, &l.sources);
        memset(&l, 0x55, sizeof l); /* nothing of it is kept */
        show(after, &s);
        bool stays = strcmp(steps[i].mapping, "=") == 0;
        if (changed == stays || strcmp(after, stays ? before : steps[i].mapping) != 0)
            fail_msg("step %zu: %s: %s", i, changed ? "changed" : "as it was", after);
        strcpy(before, after);
    }
    dns_sentinels_fini(&s);
}

static void test_choice(void **state)
{
    static const struct step steps[] = {
        {"", "", "", "="},
        {"", "", "9.9.9.9:53", "100.100.111.1>9.9.9.9:53"},
        {"", "https://a/q https://b/q https://a/q", "9.9.9.9:53",
         "100.100.111.2>https://a/q 100.100.111.3>https://b/q"},
        {"1.1.1.1", "https://a/q", "9.9.9.9:53", "100.100.111.1>1.1.1.1:53"},
        /* Only sentinels: as good as none. */
        {"100.100.111.7 fd00:2021:1111:8000:100:100:111:0", "", "9.9.9.9:53",
         "100.100.111.2>9.9.9.9:53"},
        {"", "", "100.100.111.1:53 [fd00:2021:1111:8000:100:100:111:5]:53", ""},
        {"", "", "", "="},
        {"", "", "9.9.9.9:53", "100.100.111.1>9.9.9.9:53"},
    };
    (void)state;
    run(steps, ARRAY_LEN(steps));
}

static void test_fresh_addresses(void **state)
{
    static const struct step steps[] = {
        {"1.1.1.1 8.8.8.8", "", "", "100.100.111.1>1.1.1.1:53 100.100.111.2>8.8.8.8:53"},
        {"8.8.8.8 1.1.1.1", "", "", "="},
        {"8.8.8.8 1.1.1.1 8.8.8.8", "", "5.5.5.5:53", "="},
        {"8.8.8.8 1.0.0.1", "", "", "100.100.111.3>8.8.8.8:53 100.100.111.4>1.0.0.1:53"},
        {"8.8.8.8", "", "", "100.100.111.1>8.8.8.8:53"},
        {"8.8.8.8 9.9.9.9 9.9.9.10", "", "",
         "100.100.111.2>8.8.8.8:53 100.100.111.3>9.9.9.9:53 100.100.111.4>9.9.9.10:53"},
        {"8.8.8.8 9.9.9.9", "", "", "100.100.111.1>8.8.8.8:53 100.100.111.5>9.9.9.9:53"},
    };
    (void)state;
    run(steps, ARRAY_LEN(steps));
}

static void test_families(void **state)
{
    static const struct step steps[] = {
        {"2620:fe::fe 9.9.9.9 2620:fe::9", "", "",
         "fd00:2021:1111:8000:100:100:111:0>[2620:fe::fe]:53 100.100.111.1>9.9.9.9:53 "
         "fd00:2021:1111:8000:100:100:111:1>[2620:fe::9]:53"},
        {"", "", "[fe80::1%3]:53 [fe80::1%4]:53 127.0.0.53:5353",
         "fd00:2021:1111:8000:100:100:111:2>[fe80::1%3]:53 "
         "fd00:2021:1111:8000:100:100:111:3>[fe80::1%4]:53 100.100.111.2>127.0.0.53:5353"},
    };
    (void)state;
    run(steps, ARRAY_LEN(steps));
}

static void test_too_many(void **state)
{
    static const struct step step = {
        "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 10.0.0.8 10.0.0.9 10.0.0.10 "
        "10.0.0.11 10.0.0.12 10.0.0.13 10.0.0.14 10.0.0.15 10.0.0.16 10.0.0.17",
        "", "", NULL};
    struct dns_sentinels s;
    struct source_lists l;

    (void)state;
    parse(&l, &step);
    dns_sentinels_init(&s);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(dns_sentinels_update(&s, &l.sources), i == 0);
        assert_int_equal(s.n, DNS_SENTINELS_MAX);
        assert_int_equal(s.list[15].ip.bytes[3], 16);
        assert_int_equal(s.list[15].upstream.server.ip.bytes[3], 16);
    }
    struct ip_addr unused = s.list[15].ip;
    unused.bytes[3] = 17;
    assert_int_equal(dns_sentinels_find(&s, &unused), -1);
    dns_sentinels_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice), cmocka_unit_test(test_fresh_addresses),
        cmocka_unit_test(test_families), cmocka_unit_test(test_too_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
