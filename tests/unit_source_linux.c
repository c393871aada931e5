/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Linux source resolver against a real kernel, in a network namespace of its own:
 *
 *   up0 192.0.2.10/24, 2001:db8:1::10/64   default, metric 100
 *   up1 198.51.100.10/24                   default, metric 50
 *   tun 100.64.0.1/32, fd00:2021::1/128    0/1 and 128/1, ::/1 and 8000::/1, and a host route: ours
 *
 * All three are veth pairs, so that they are up and running; the resolver knows our TUN by its
 * index only. Exit code 77 (skipped) without the privilege or the commands to build it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/source.h"
#include "tests/support/netns.h"

enum {
    EXIT_SKIPPED = 77,
    OWN_TABLE = 7777
};

static const char *const topology[] = {
    "link set lo up",
    "link add up0 type veth peer name up0-peer",
    "link add up1 type veth peer name up1-peer",
    "link add tun type veth peer name tun-peer",
    "link set up0 up",
    "link set up0-peer up",
    "link set up1 up",
    "link set up1-peer up",
    "link set tun up",
    "link set tun-peer up",
    "addr add 192.0.2.10/24 dev up0",
    "addr add 198.51.100.10/24 dev up1",
    "addr add 100.64.0.1/32 dev tun",
    "-6 addr add 2001:db8:1::10/64 dev up0 nodad",
    "-6 addr add fd00:2021::1/128 dev tun nodad",
    "route add default via 192.0.2.1 dev up0 metric 100",
    "route add default via 198.51.100.1 dev up1 metric 50",
    "route add 0.0.0.0/1 dev tun",
    "route add 128.0.0.0/1 dev tun",
    "route add 203.0.113.5/32 dev tun",
    "-6 route add default via 2001:db8:1::1 dev up0",
    "-6 route add ::/1 dev tun",
    "-6 route add 8000::/1 dev tun",
};

/* True if the namespace stands. */
static bool build_topology(void)
{
    if (unshare(CLONE_NEWNET) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(topology); i++) {
        if (netns_ip(topology[i]))
            continue;
        fprintf(stderr, "skipped: 'ip %s' failed\n", topology[i]);
        return false;
    }
    return true;
}

static struct source *new_source(const uint32_t *own_tables, size_t n)
{
    struct source *s;
    struct source_config config = {
        .tun_ifindex = if_nametoindex("tun"), .own_tables = own_tables, .own_tables_len = n};
    assert_int_not_equal(config.tun_ifindex, 0);
    assert_int_equal(source_new(&s, &config), ERR_OK);
    return s;
}

/* "address interface", or "unreachable". */
static void expect(struct source *s, const char *dst, const char *expected)
{
    struct ip_addr a;
    struct ip_source got;
    char text[IP_TEXT_MAX + IF_NAMESIZE + 2], address[IP_TEXT_MAX], name[IF_NAMESIZE] = "?";
    assert_int_equal(ip_addr_parse(&a, dst), ERR_OK);
    enum err e = source_resolve(s, &a, &got);
    if (e == ERR_OK) {
        if_indextoname(got.ifindex, name);
        snprintf(text, sizeof text, "%s %s", ip_addr_format(&got.ip, address, sizeof address),
                 name);
    } else {
        snprintf(text, sizeof text, "%s", e == ERR_UNREACHABLE ? "unreachable" : err_text(e));
    }
    if (strcmp(text, expected) != 0)
        fail_msg("%s gives '%s', not '%s'", dst, text, expected);
}

static void test_never_the_tun(void **state)
{
    (void)state;
    struct source *s = new_source(NULL, 0);
    expect(s, "1.2.3.4", "198.51.100.10 up1");
    expect(s, "203.0.113.5", "198.51.100.10 up1");
    expect(s, "192.0.2.77", "192.0.2.10 up0");
    expect(s, "2600::1", "2001:db8:1::10 up0");
    expect(s, "2001:db8:1::77", "2001:db8:1::10 up0");
    source_free(s);
}

static void test_tun_changes(void **state)
{
    (void)state;
    struct source *s = new_source(NULL, 0);
    source_set_tun(s, 0); /* shows that the kernel's own choice would be the TUN */
    expect(s, "1.2.3.4", "100.64.0.1 tun");
    expect(s, "2600::1", "fd00:2021::1 tun");
    source_set_tun(s, if_nametoindex("tun"));
    expect(s, "1.2.3.4", "198.51.100.10 up1");
    source_free(s);
}

static void test_own_addresses(void **state)
{
    (void)state;
    struct source *s = new_source(NULL, 0);
    expect(s, "192.0.2.10", "192.0.2.10 up0");
    expect(s, "127.0.0.1", "127.0.0.1 lo");
    expect(s, "127.0.0.9", "127.0.0.1 lo");
    expect(s, "::1", "::1 lo");
    expect(s, "2001:db8:1::10", "2001:db8:1::10 up0");
    source_free(s);
}

static void test_follows_the_system(void **state)
{
    (void)state;
    struct source *s = new_source(NULL, 0);
    netns_must("link set up1 down");
    expect(s, "1.2.3.4", "192.0.2.10 up0");
    netns_must("link set up1 up"); /* takes its default route along */
    expect(s, "1.2.3.4", "192.0.2.10 up0");
    netns_must("route add default via 198.51.100.1 dev up1 metric 50");
    expect(s, "1.2.3.4", "198.51.100.10 up1");
    source_free(s);
}

static void test_preferred_source(void **state)
{
    (void)state;
    struct source *s = new_source(NULL, 0);
    netns_must("addr add 192.0.2.20/24 dev up0");
    netns_must("route add 10.9.0.0/16 via 192.0.2.1 dev up0 src 192.0.2.20");
    expect(s, "10.9.1.1", "192.0.2.20 up0");
    netns_must("route add 10.9.8.0/24 dev up0"); /* without gateway */
    expect(s, "10.9.8.1", "192.0.2.10 up0");
    source_free(s);
}

static void test_reject_routes(void **state)
{
    (void)state;
    struct source *s = new_source(NULL, 0);
    netns_must("route add blackhole 10.1.0.0/16");
    netns_must("route add unreachable 10.2.0.0/16");
    netns_must("route add prohibit 10.3.0.0/16");
    netns_must("-6 route add unreachable 2001:db8:dead::/48");
    netns_must("route add throw 10.4.0.0/16");
    netns_must("route add default via 192.0.2.1 dev up0 table default");
    expect(s, "10.1.1.1", "unreachable");
    expect(s, "10.2.1.1", "unreachable");
    expect(s, "10.3.1.1", "unreachable");
    expect(s, "2001:db8:dead::1", "unreachable");
    expect(s, "10.4.1.1", "192.0.2.10 up0"); /* goes on with the default table */
    source_free(s);
}

static void test_multipath(void **state)
{
    (void)state;
    struct source *s = new_source(NULL, 0);
    netns_must("route add 10.5.0.0/16 nexthop dev tun nexthop via 192.0.2.1 dev up0");
    expect(s, "10.5.1.1", "192.0.2.10 up0");
    source_free(s);
}

/* Routes of a table of ours do not count; others than local, main and default are never asked. */
static void test_own_tables(void **state)
{
    (void)state;
    const uint32_t own[] = {OWN_TABLE, 254 /* main: as if the TUN's routes were ours there */};
    struct source *s = new_source(NULL, 0);
    netns_must("route add 1.0.0.0/8 via 192.0.2.1 dev up0 table 7777");
    expect(s, "1.2.3.4", "198.51.100.10 up1");
    source_free(s);
    s = new_source(own, ARRAY_LEN(own));
    expect(s, "198.51.100.77", "192.0.2.10 up0"); /* only the default table's route is left */
    source_free(s);
}

static void test_no_way(void **state)
{
    (void)state;
    struct source *s = new_source(NULL, 0);
    struct ip_source out;
    struct ip_addr none = {.family = ADDR_NONE};
    netns_must("-6 route del default via 2001:db8:1::1 dev up0");
    expect(s, "2600::1", "unreachable");
    assert_int_equal(source_resolve(s, &none, &out), ERR_INVALID);
    source_free(s);
}

static void test_too_many_own_tables(void **state)
{
    (void)state;
    static const uint32_t tables[SOURCE_OWN_TABLES_MAX + 1] = {0};
    struct source *s;
    struct source_config config = {.own_tables = tables, .own_tables_len = ARRAY_LEN(tables)};
    assert_int_equal(source_new(&s, &config), ERR_INVALID);
    assert_null(s);
    source_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_the_tun),    cmocka_unit_test(test_tun_changes),
        cmocka_unit_test(test_own_addresses),    cmocka_unit_test(test_follows_the_system),
        cmocka_unit_test(test_preferred_source), cmocka_unit_test(test_reject_routes),
        cmocka_unit_test(test_multipath),        cmocka_unit_test(test_own_tables),
        cmocka_unit_test(test_no_way),           cmocka_unit_test(test_too_many_own_tables),
    };
    if (!build_topology())
        return EXIT_SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
