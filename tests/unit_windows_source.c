/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which way Windows' tables lead past the tunnel, on every system: hosts described in lines of text, and random ones against a
 * reference that knows nothing of the order of steps. Adapter 9 is our TUN.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "platform/windows/adapters.c"
#include "platform/windows/source_best.c"
#include "tests/support/ip_helper_text.h"

enum {
    TUN = 9,
    TABLES = 30000
};

static struct fake_helper fake;

static void describe(const char *const *lines)
{
    fake_helper_init(&fake);
    fake_helper_describe(&fake, lines);
}

/* "source ifindex", or "unreachable". */
static void expect(uint64_t tun, const char *dst, const char *expected)
{
    char text[IP_TEXT_MAX + 16], ip[IP_TEXT_MAX];
    struct ip_addr a = addr(dst);
    struct source_best best;
    enum err err = source_best(&fake.helper, tun, &a, &best);

    if (err == ERR_OK)
        snprintf(text, sizeof text, "%s %u", ip_addr_format(&best.source.ip, ip, sizeof ip),
                 best.source.ifindex);
    else
        snprintf(text, sizeof text, "%s", err == ERR_UNREACHABLE ? "unreachable" : err_text(err));
    if (strcmp(text, expected) != 0)
        fail_msg("%s gives '%s', not '%s'", dst, text, expected);
    assert_int_equal(fake.tables_out, 0);
}

static const char *const office[] = {
    "adapter 1 up Ethernet 25 192.0.2.10/24 2001:db8::10/64",
    "adapter 2 up Wi-Fi 35 198.51.100.10/24",
    "adapter 3 down Ethernet2 5 203.0.113.10/24",
    "adapter 9 up Firezone 5 100.64.0.1/32 fd00:2021:1111::1/128",
    "route 1 0.0.0.0/0 via 192.0.2.1 metric 0",
    "route 1 192.0.2.0/24",
    "route 1 ::/0 via 2001:db8::1",
    "route 1 2001:db8::/64",
    "route 2 0.0.0.0/0 via 198.51.100.1 metric 0",
    "route 2 198.51.100.0/24",
    "route 2 10.1.0.0/16 via 198.51.100.2 metric 900",
    "route 3 0.0.0.0/0 via 203.0.113.1 metric 0",
    "route 9 0.0.0.0/0 metric 0",
    "route 9 10.1.2.0/24 metric 0",
    "route 9 ::/0 metric 0",
    NULL,
};

static void test_rules(void **state)
{
    (void)state;
    /* Where the system does not know, it is found in the table. */
    for (unsigned lacks = 0; lacks < 4; lacks++) {
        describe(office);
        if (lacks == 1)
            fake.helper.best_route = NULL;
        if (lacks > 1)
            fake.best_error = lacks == 2 ? IP_HELPER_NOT_SUPPORTED : IP_HELPER_NOT_IMPLEMENTED;
        expect(TUN, "1.2.3.4", "192.0.2.10 101");         /* lower sum of metrics */
        expect(TUN, "198.51.100.7", "198.51.100.10 102"); /* a directly connected network */
        expect(TUN, "10.1.2.3", "198.51.100.10 102");     /* longest prefix, though 900; not ours */
        expect(TUN, "2600::1", "2001:db8::10 201");
        expect(TUN, "203.0.113.99", "192.0.2.10 101"); /* its adapter is down */
        fake.adapters[2].up = true;
        expect(TUN, "203.0.113.99", "203.0.113.10 103");
        expect(TUN, "1.2.3.4", "203.0.113.10 103");
        fake.metric_fails[0] = true; /* counts as 0 */
        expect(TUN, "1.2.3.4", "192.0.2.10 101");
        fake.adapters[0].up = fake.adapters[1].up = fake.adapters[2].up = false;
        expect(TUN, "1.2.3.4", "unreachable");
        expect(TUN, "2600::1", "unreachable");
    }
}

/* Ours is known by its LUID; by its name, which users may give to others, only before that. */
static void test_which_is_ours(void **state)
{
    (void)state;
    describe(office);
    fake.metrics[3] = 0;
    expect(0, "1.2.3.4", "192.0.2.10 101");
    snprintf(fake.adapters[3].name, sizeof fake.adapters[3].name, "renamed");
    expect(TUN, "1.2.3.4", "192.0.2.10 101");
    expect(0, "1.2.3.4", "100.64.0.1 109"); /* the test would see it */
    snprintf(fake.adapters[0].name, sizeof fake.adapters[0].name, "Firezone");
    expect(TUN, "1.2.3.4", "192.0.2.10 101");
    expect(0, "198.51.100.1", "198.51.100.10 102");
}

static void test_source_family(void **state)
{
    static const struct {
        unsigned family;
        const char *v4;
    } cases[] = {{IP_HELPER_AF_UNSPEC, "192.0.2.10 101"},
                 {IP_HELPER_AF_INET, "192.0.2.10 101"},
                 {17, "198.51.100.10 102"}, /* no address: the next best */
                 {1000, "198.51.100.10 102"}};
    (void)state;
    describe(office);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fake.source_family[0] = cases[i].family;
        expect(TUN, "1.2.3.4", cases[i].v4);
    }
    fake.source_family[0] = 17;
    expect(TUN, "2600::1", "unreachable");
    fake.source_family[0] = IP_HELPER_AF_UNSPEC;
    expect(TUN, "2600::1", "2001:db8::10 201");
    fake.best_fails[0] = true;
    expect(TUN, "1.2.3.4", "198.51.100.10 102");
}

/* The system may lend an adapter another one's address, but never ours; and it may say things of no use. */
static void test_answers_of_no_use(void **state)
{
    (void)state;
    describe(office);
    fake.lent[0] = addr("198.51.100.10");
    expect(TUN, "1.2.3.4", "198.51.100.10 101");
    fake.lent[0] = addr("100.64.0.1");
    expect(TUN, "1.2.3.4", "198.51.100.10 102");
    expect(0, "1.2.3.4", "198.51.100.10 102"); /* by the name */
    fake.lent[0] = addr("0.0.0.0");
    expect(TUN, "1.2.3.4", "198.51.100.10 102");
    fake.lent[0] = addr("2001:db8::10");
    fake.source_family[0] = IP_HELPER_AF_INET6;
    expect(TUN, "1.2.3.4", "198.51.100.10 102");
    describe(office);
    fake.route_luid[0] = TUN;
    expect(TUN, "1.2.3.4", "198.51.100.10 102");
    fake.route_luid[0] = 2; /* adapter 2 has said so itself */
    expect(TUN, "1.2.3.4", "198.51.100.10 102");
    describe(office);
    fake.adapters[0].ifindex_v6 = 0; /* IPv6 is off there */
    expect(TUN, "2600::1", "unreachable");
    expect(TUN, "1.2.3.4", "192.0.2.10 101");
}

static void test_ties_go_to_the_first(void **state)
{
    (void)state;
    describe(office);
    fake.metrics[1] = fake.metrics[0];
    expect(TUN, "1.2.3.4", "192.0.2.10 101");
    fake.routes[0].metric = 10; /* 10 + 15 and 0 + 25 are the same */
    fake.metrics[0] = 15;
    expect(TUN, "1.2.3.4", "192.0.2.10 101");
    fake.routes[0].metric = 11;
    expect(TUN, "1.2.3.4", "198.51.100.10 102");
    fake.metrics[0] = 1; /* sums are not cut */
    fake.routes[0].metric = UINT32_MAX;
    expect(TUN, "1.2.3.4", "198.51.100.10 102");
}

/* The list of adapters may have grown since it was asked how long it is: once more, and then it is an error. */
static void test_the_list_grows(void **state)
{
    struct ip_addr dst = addr("1.2.3.4"), none = {.family = ADDR_NONE};
    struct source_best best;
    (void)state;
    describe(office);
    fake.list_needed = 15000;
    expect(TUN, "1.2.3.4", "192.0.2.10 101");
    assert_int_equal(fake.list_calls, 1);
    fake.list_needed = 15001;
    expect(TUN, "1.2.3.4", "192.0.2.10 101");
    assert_int_equal(fake.list_calls, 3);
    fake.list_needed = 20000;
    fake.list_growth = 1000;
    assert_int_equal(source_best(&fake.helper, TUN, &dst, &best), ERR_IO);
    assert_int_equal(fake.list_calls, 5);
    fake.list_error = 87;
    assert_int_equal(source_best(&fake.helper, TUN, &dst, &best), ERR_IO);
    fake.list_error = IP_HELPER_NOT_ENOUGH_MEMORY;
    assert_int_equal(source_best(&fake.helper, TUN, &dst, &best), ERR_NO_MEMORY);
    assert_int_equal(source_best(&fake.helper, TUN, &none, &best), ERR_INVALID);
    assert_int_equal(source_best_interface(&fake.helper, TUN, &dst), 0);
}

/* Without GetBestRoute2: an address near the next hop, else the first one. */
static void test_from_the_table(void **state)
{
    static const char *const host[] = {
        "adapter 1 up Ethernet 25 192.0.2.10/24 198.51.100.10/24 10.9.9.9/32",
        "adapter 2 up other 1 203.0.113.10/24",
        "route 1 0.0.0.0/0 via 198.51.100.1 metric 5",
        "route 1 0.0.0.0/0 via 192.0.2.1 metric 7",
        "route 1 10.0.0.0/8 metric 1",
        "route 1 172.16.0.0/12 via 172.16.0.1 metric 1",
        NULL,
    };
    (void)state;
    describe(host);
    fake.helper.best_route = NULL;
    expect(TUN, "1.2.3.4", "198.51.100.10 101");
    expect(TUN, "192.0.2.3",
           "198.51.100.10 101"); /* by the gateway, as there is no route to its own net */
    expect(TUN, "10.9.9.9", "10.9.9.9 101");
    expect(TUN, "172.20.0.1", "192.0.2.10 101");
    expect(TUN, "2600::1", "unreachable");
    fake.adapters[0].deprecated = 1 << 1;
    expect(TUN, "1.2.3.4", "192.0.2.10 101"); /* not one that is about to go */
    fake.adapters[0].deprecated = 7;
    expect(TUN, "1.2.3.4", "198.51.100.10 101"); /* if there is another */
    fake.table_error = 5;
    expect(TUN, "1.2.3.4", "unreachable");
    fake.table_error = 0;
    fake.helper.get_routes = NULL;
    expect(TUN, "1.2.3.4", "unreachable");
}

/* By a gateway on the link all the same from an address that is good beyond it. */
static void test_from_the_table_v6(void **state)
{
    static const char *const host[] = {
        "adapter 1 up Ethernet 25 fe80::10/64 2001:db8::10/64 169.254.3.4/16",
        "route 1 ::/0 via fe80::1",
        "route 1 fe80::/64",
        "route 1 0.0.0.0/0 via 169.254.0.1",
        "route 1 169.254.0.0/16",
        NULL,
    };
    (void)state;
    describe(host);
    fake.helper.best_route = NULL;
    expect(TUN, "2600::1", "2001:db8::10 201");
    expect(TUN, "fe80::99", "fe80::10 201");
    expect(TUN, "169.254.9.9", "169.254.3.4 101");
    expect(TUN, "1.2.3.4", "unreachable");
}

static void test_interface_of_address(void **state)
{
    static const struct {
        const char *address;
        uint32_t ifindex;
    } cases[] = {{"192.0.2.10", 101}, {"2001:db8::10", 201},    {"198.51.100.10", 102},
                 {"203.0.113.10", 0}, /* down */
                 {"100.64.0.1", 0},   {"fd00:2021:1111::1", 0}, {"192.0.2.11", 0}};
    (void)state;
    describe(office);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ip_addr a = addr(cases[i].address);
        assert_int_equal(source_best_interface(&fake.helper, TUN, &a), cases[i].ifindex);
    }
}

/* ---- random tables ---- */

static uint64_t seed;

static unsigned pick(unsigned n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % n;
}

/* Few values, so that prefixes nest and metrics tie. */
static struct ip_addr random_address(bool v6)
{
    struct ip_addr a = {.family = v6 ? ADDR_V6 : ADDR_V4};
    a.bytes[0] = v6 ? 0x20 : (uint8_t)(10 + pick(2));
    a.bytes[1] = (uint8_t)pick(2);
    a.bytes[2] = (uint8_t)pick(2);
    a.bytes[3] = (uint8_t)pick(4);
    return a;
}

static void random_tables(void)
{
    static const unsigned families[] = {1, 1, 1, 1, 1, IP_HELPER_AF_UNSPEC, 17};

    fake_helper_init(&fake);
    fake.adapters_n = 1 + pick(6);
    for (unsigned i = 0; i < fake.adapters_n; i++) {
        struct ip_helper_adapter *a = &fake.adapters[i];
        *a = (struct ip_helper_adapter){.luid = i + 1, .up = pick(4) != 0};
        a->ifindex = i + 101;
        a->ifindex_v6 = i + 201;
        for (unsigned k = pick(4); k > 0; k--) {
            struct ip_prefix p = {.ip = random_address(pick(2)), .len = 24};
            p.ip.bytes[3] = (uint8_t)(10 * (i + 1) + k); /* each only here */
            a->addresses[a->addresses_n++] = p;
        }
        fake.metrics[i] = pick(3);
        fake.metric_fails[i] = pick(5) == 0;
        fake.best_fails[i] = pick(8) == 0;
        fake.source_family[i] = families[pick(ARRAY_LEN(families))];
    }
    for (unsigned i = 0; i < fake.adapters_n; i++) {
        const struct ip_helper_adapter *from = &fake.adapters[pick(fake.adapters_n)];
        if (pick(5) == 0 && from->addresses_n > 0)
            fake.lent[i] = from->addresses[pick(from->addresses_n)].ip;
        if (pick(10) == 0)
            fake.route_luid[i] = 1 + pick(fake.adapters_n);
    }
    fake.routes_n = pick(20);
    for (unsigned i = 0; i < fake.routes_n; i++) {
        struct ip_helper_route *r = &fake.routes[i];
        *r = (struct ip_helper_route){.luid = 1 + pick(fake.adapters_n), .metric = pick(4)};
        r->dst = (struct ip_prefix){.ip = random_address(pick(2)), .len = (uint8_t)(8 * pick(4))};
        ip_prefix_mask(&r->dst);
        r->next_hop.family = r->dst.ip.family;
        if (pick(2))
            r->next_hop = random_address(r->dst.ip.family == ADDR_V6);
    }
}

static bool belongs_to(uint64_t luid, const struct ip_addr *ip)
{
    for (unsigned a = 0; a < fake.adapters_n; a++)
        for (unsigned i = 0; i < fake.adapters[a].addresses_n; i++)
            if (fake.adapters[a].luid == luid &&
                ip_addr_equal(&fake.adapters[a].addresses[i].ip, ip))
                return true;
    return false;
}

/* Whether the system's answer for an adapter is one that may be used. */
static bool answers(unsigned a, uint64_t tun)
{
    const struct ip_addr *lent = &fake.lent[a];
    bool own_row = fake.route_luid[a] == 0 || fake.route_luid[a] == fake.adapters[a].luid;
    return !fake.best_fails[a] && fake.source_family[a] != 17 && own_row && !belongs_to(tun, lent);
}

/* The best of all (adapter, route) pairs by counting who is better; -1: none. */
static int reference(uint64_t tun, const struct ip_addr *dst, bool by_table)
{
    int best = -1;
    long best_len = -1, best_metric = 0;

    for (unsigned a = 0; a < fake.adapters_n; a++) {
        long len = -1, metric = 0;
        bool addressed = !by_table && fake.lent[a].family != ADDR_NONE;
        for (unsigned i = 0; i < fake.adapters[a].addresses_n; i++)
            addressed = addressed || fake.adapters[a].addresses[i].ip.family == dst->family;
        for (unsigned i = 0; i < fake.routes_n; i++) {
            const struct ip_helper_route *r = &fake.routes[i];
            long m = r->metric + (fake.metric_fails[a] ? 0 : (long)fake.metrics[a]);
            if (r->luid != fake.adapters[a].luid || !ip_prefix_contains(&r->dst, dst))
                continue;
            if (r->dst.len > len || (r->dst.len == len && m < metric)) {
                len = r->dst.len;
                metric = m;
            }
        }
        if (len < 0 || !addressed || (!by_table && !answers(a, tun)) || !fake.adapters[a].up ||
            fake.adapters[a].luid == tun)
            continue;
        if (best < 0 || len > best_len || (len == best_len && metric < best_metric)) {
            best = (int)a;
            best_len = len;
            best_metric = metric;
        }
    }
    return best;
}

/* What is lent is of the destination's family. */
static void keep_families(const struct ip_addr *dst)
{
    for (unsigned i = 0; i < fake.adapters_n; i++) {
        if (fake.lent[i].family != dst->family)
            fake.lent[i].family = ADDR_NONE;
    }
}

/* True: there is a way. */
static bool compare(unsigned number, uint64_t tun, const struct ip_addr *dst, bool by_table)
{
    struct source_best best;
    int want = reference(tun, dst, by_table);
    enum err err = source_best(&fake.helper, tun, dst, &best);

    if (want < 0) {
        if (err != ERR_UNREACHABLE)
            fail_msg("table %u: there is no way", number);
        return false;
    }
    const struct ip_helper_adapter *a = &fake.adapters[want];
    if (err != ERR_OK || best.route.luid != a->luid ||
        best.source.ifindex != (dst->family == ADDR_V6 ? a->ifindex_v6 : a->ifindex))
        fail_msg("table %u: not adapter %d", number, want);
    /* whatever the reference says */
    assert_true(a->up && a->luid != tun && best.source.ip.family == dst->family);
    assert_false(belongs_to(tun, &best.source.ip));
    if (by_table || fake.lent[want].family == ADDR_NONE)
        assert_true(belongs_to(a->luid, &best.source.ip));
    return true;
}

static void test_against_the_reference(void **state)
{
    unsigned answers_by_system = 0, answers_by_table = 0;
    (void)state;
    for (unsigned i = 0; i < TABLES; i++) {
        seed = i;
        random_tables();
        uint64_t tun = 1 + pick(fake.adapters_n);
        struct ip_addr dst = random_address(pick(2));
        keep_families(&dst);
        answers_by_system += compare(i, tun, &dst, false);
        fake.helper.best_route = NULL;
        answers_by_table += compare(i, tun, &dst, true);
    }
    assert_in_range(answers_by_system, TABLES / 10, TABLES);
    assert_in_range(answers_by_table, TABLES / 10, TABLES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_which_is_ours),
        cmocka_unit_test(test_source_family),
        cmocka_unit_test(test_answers_of_no_use),
        cmocka_unit_test(test_ties_go_to_the_first),
        cmocka_unit_test(test_the_list_grows),
        cmocka_unit_test(test_from_the_table),
        cmocka_unit_test(test_from_the_table_v6),
        cmocka_unit_test(test_interface_of_address),
        cmocka_unit_test(test_against_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
