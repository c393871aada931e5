/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which packets of the host come to the tunnel's rules, against a real kernel, in a network namespace of its own:
 *
 *   up0  192.0.2.1/24, 2001:db8::1/64          default
 *   tun0 100.64.0.1/32, fd00:2021:1111::1/128  default of the product's tables
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/fib_rules.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/base/bytes.h"
#include "platform/linux/guard.h"
#include "platform/routes.h"
#include "tests/support/netns.h"

#define MARK 0xfd002021u

static const unsigned families[] = {ADDR_V4, ADDR_V6};

static bool run(const char *command)
{
    return system(command) == 0;
}

static const char *output(const char *command)
{
    static char text[65536];
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    pclose(f);
    return text;
}

static void must(const char *command)
{
    if (!run(command))
        fail_msg("failed: %s", command);
}

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix p;
    if (ip_prefix_parse(&p, text) != ERR_OK)
        fail_msg("bad prefix '%s'", text);
    return p;
}

static void ok(const struct routes *r, enum err err)
{
    if (err != ERR_OK)
        fail_msg("%s", routes_why(r));
}

static void add_address(struct routes *r, const char *text)
{
    struct ip_prefix p = prefix(text);
    ok(r, routes_addr_add(r, &p));
}

static void del_address(struct routes *r, const char *text)
{
    struct ip_prefix p = prefix(text);
    ok(r, routes_addr_del(r, &p));
}

static struct routes *open_routes(bool guarded)
{
    static const char *const everything[] = {"0.0.0.0/0", "::/0"};
    struct routes *r;

    must("ip link add tun0 type veth peer name tun1 && ip link set tun1 up");
    assert_int_equal(routes_new(&r, if_nametoindex("tun0")), ERR_OK);
    add_address(r, "100.64.0.1/32");
    add_address(r, "fd00:2021:1111::1/128");
    ok(r, routes_link_up(r));
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        struct ip_prefix p = prefix(everything[i]);
        ok(r, routes_product_rules(r, families[i], MARK));
        if (guarded)
            ok(r, routes_product_guard(r, families[i]));
        ok(r, routes_product_add(r, &p));
    }
    return r;
}

static void close_routes(struct routes *r)
{
    routes_free(r);
    must("ip link del tun0");
}

/* Which device a packet leaves by. what: as `ip route get` takes it. */
static void expect_way(const char *what, const char *device)
{
    char command[256], wanted[32];
    snprintf(command, sizeof command, "ip route get %s 2>&1", what);
    snprintf(wanted, sizeof wanted, " dev %s ", device);
    const char *text = output(command);
    if (!strstr(text, wanted))
        fail_msg("%s: not by %s: %s", what, device, text);
}

static void test_ways(void **state)
{
    static const struct {
        const char *what, *way, *way_guarded;
    } cases[] = {
        {"203.0.113.5", "tun0", "tun0"},
        {"203.0.113.5 mark 0xfd002021", "up0", "up0"},
        {"203.0.113.5 from 100.64.0.1", "tun0", "tun0"},
        {"203.0.113.5 from 192.0.2.1", "tun0", "up0"}, /* an answer in the name of a socket */
        {"203.0.113.5 from 192.0.2.77 iif up0", "tun0", "tun0"}, /* is forwarded */
        {"2001:db8:9::5", "tun0", "tun0"},
        {"2001:db8:9::5 mark 0xfd002021", "up0", "up0"},
        {"2001:db8:9::5 from fd00:2021:1111::1", "tun0", "tun0"},
        {"2001:db8:9::5 from 2001:db8::1", "tun0", "up0"},
        {"2001:db8:9::5 from fe80::77 iif up0", "tun0", "tun0"},
        {"2001:db8:9::5 from 2001:db8::77 iif up0", "tun0", "tun0"},
    };
    (void)state;
    for (unsigned guarded = 0; guarded < 2; guarded++) {
        struct routes *r = open_routes(guarded);
        for (size_t i = 0; i < ARRAY_LEN(cases); i++)
            expect_way(cases[i].what, guarded ? cases[i].way_guarded : cases[i].way);
        close_routes(r);
    }
}

/* In `wireguard` mode it is about ICMP alone: whoever binds to an address keeps to the tunnel. */
static void test_steering(void **state)
{
    static const struct {
        const char *what, *way;
    } cases[] = {
        {"203.0.113.5", "tun0"},
        {"203.0.113.5 ipproto icmp", "tun0"},
        {"203.0.113.5 from 192.0.2.1", "tun0"},
        {"203.0.113.5 from 192.0.2.1 ipproto tcp sport 7 dport 8", "tun0"},
        {"203.0.113.5 from 192.0.2.1 ipproto icmp", "up0"},
        {"203.0.113.5 from 100.64.0.1 ipproto icmp", "tun0"},
        {"203.0.113.5 from 192.0.2.77 iif up0 ipproto icmp", "tun0"},
        {"203.0.113.5 mark 51820", "up0"},
        {"192.0.2.99", "up0"},
        {"2001:db8:9::5", "tun0"},
        {"2001:db8:9::5 ipproto ipv6-icmp", "tun0"},
        {"2001:db8:9::5 from 2001:db8::1", "tun0"},
        {"2001:db8:9::5 from 2001:db8::1 ipproto ipv6-icmp", "up0"},
        {"2001:db8:9::5 from fd00:2021:1111::1 ipproto ipv6-icmp", "tun0"},
        {"2001:db8:9::5 mark 51820", "up0"},
    };
    static const char *const everything[] = {"0.0.0.0/0", "::/0"};
    char *before = strdup(output("ip rule; ip -6 rule"));
    struct routes *r;
    (void)state;

    must("ip link add tun0 type veth peer name tun1 && ip link set tun1 up");
    assert_int_equal(routes_new(&r, if_nametoindex("tun0")), ERR_OK);
    add_address(r, "100.64.0.1/32");
    add_address(r, "fd00:2021:1111::1/128");
    ok(r, routes_link_up(r));
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        struct ip_prefix p = prefix(everything[i]);
        ok(r, routes_add(r, &p, 51820));
        ok(r, routes_default_rules(r, families[i], 51820, 51820));
    }
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_way(cases[i].what, cases[i].way);
    close_routes(r);
    assert_string_equal(output("ip rule; ip -6 rule"), before);
    free(before);
}

/* The tunnel's addresses may change. */
static void test_addresses_change(void **state)
{
    (void)state;
    struct routes *r = open_routes(true);
    add_address(r, "100.64.0.2/32");
    add_address(r, "fd00:2021:1111::2/128");
    expect_way("203.0.113.5 from 100.64.0.2", "tun0");
    expect_way("2001:db8:9::5 from fd00:2021:1111::2", "tun0");
    del_address(r, "100.64.0.1/32");
    del_address(r, "fd00:2021:1111::1/128");
    expect_way("203.0.113.5 from 100.64.0.2", "tun0");
    assert_null(strstr(output("ip rule; ip -6 rule"), "100.64.0.1 "));
    assert_null(strstr(output("ip rule; ip -6 rule"), "1111::1 "));
    close_routes(r);
}

/* Nothing stays behind, whether the process ends or is killed; what somebody else has made does. */
static void test_nothing_stays(void **state)
{
    static const char state_of[] = "ip rule; ip -6 rule";
    (void)state;
    must("ip rule add from 10.9.9.9 goto 32766 priority 97");
    must("ip rule add from 10.9.9.9 goto 100 priority 97 protocol static");
    must("ip -6 rule add iif lo from fd00::/8 goto 32766 priority 98");
    char *before = strdup(output(state_of));
    for (unsigned killed = 0; killed < 2; killed++) {
        pid_t child = fork();
        int status;
        if (child == 0) {
            struct routes *r = open_routes(true);
            if (!killed)
                close_routes(r);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        if (killed) {
            assert_string_not_equal(output(state_of), before);
            must("ip link del tun0");
            routes_product_recover(MARK);
        }
        assert_string_equal(output(state_of), before);
    }
    free(before);
    must("ip rule del from 10.9.9.9; ip rule del from 10.9.9.9; ip -6 rule del priority 98");
}

/* A rule of somebody else at one of our priorities must not be jumped over: no guard then, and a warning. */
static void test_somebody_in_the_way(void **state)
{
    (void)state;
    must(
        "ip rule add from 192.0.2.1 lookup 77 priority 150 && ip route add default dev up1 table 77");
    struct routes *r = open_routes(true);
    expect_way("203.0.113.5 from 192.0.2.1", "up1"); /* it stands between ours, and counts */
    close_routes(r);
    must("ip rule add from 192.0.2.1 lookup 77 priority 200 && ip rule del priority 150"
         " && ip address add 192.0.2.2/24 dev up0");
    r = open_routes(true);
    expect_way("203.0.113.5 from 192.0.2.1", "up1");
    expect_way("203.0.113.5 from 192.0.2.2", "tun0"); /* IPv4 has no guard */
    expect_way("2001:db8:9::5 from 2001:db8::1", "up0");
    close_routes(r);
    must("ip rule del priority 200 && ip route flush table 77"
         " && ip address del 192.0.2.2/24 dev up0");
}

static void test_whose_a_rule_is(void **state)
{
    const struct guard g = {.family = ADDR_V4, .first = 96, .enter = 100, .after = 301};
    struct ip_prefix p = prefix("100.64.0.1/32"), other = prefix("fd00::1/128");
    struct rule rule = guard_address(&g, &p.ip);
    (void)state;
    assert_true(guard_is_address(&g, &rule));
    rule.priority++;
    assert_false(guard_is_address(&g, &rule));
    rule = guard_address(&g, &p.ip);
    rule.from.len = 24;
    assert_false(guard_is_address(&g, &rule));
    rule = guard_address(&g, &p.ip);
    rule.target = 200;
    assert_false(guard_is_address(&g, &rule));
    rule = guard_address(&g, &other.ip);
    assert_false(guard_is_address(&g, &rule));
    rule = (struct rule){.family = ADDR_V4, .action = FR_ACT_GOTO, .priority = 97, .target = 100};
    assert_false(guard_is_address(&g, &rule));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ways),
        cmocka_unit_test(test_steering),
        cmocka_unit_test(test_addresses_change),
        cmocka_unit_test(test_nothing_stays),
        cmocka_unit_test(test_somebody_in_the_way),
        cmocka_unit_test(test_whose_a_rule_is),
    };
    netns_enter_or_skip();
    if (!netns_private_run() ||
        !run("ip link add up0 type veth peer name up1 && ip link set up1 up && ip link set up0 up"
             " && ip address add 192.0.2.1/24 dev up0 && ip route add default via 192.0.2.254"
             " && ip address add 2001:db8::1/64 dev up0 nodad"
             " && ip -6 route add default via 2001:db8::fe dev up0"
             " && echo 1 >/proc/sys/net/ipv4/ip_forward"
             " && echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"))
        return TEST_SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
