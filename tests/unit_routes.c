/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host configuration in a namespace of its own, judged by what `ip` shows.
 *
 *   up0 (veth, 192.0.2.1/24, 2001:db8::1/64, default routes)        our TUN: rtun0, rtun1
 */
#include "platform/routes.h"

#include <errno.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/tun.h"
#include "tests/support/netns.h"

#define MARKS "/proc/sys/net/ipv4/conf/all/src_valid_mark"

static void shell(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void shell(const char *fmt, ...)
{
    char command[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

/* Standard output of a command; static storage. */
static const char *output(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static const char *output(const char *fmt, ...)
{
    static char text[1 << 20];
    char command[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof text - 1, f);
    text[n] = '\0';
    pclose(f);
    return text;
}

static void expect_line(const char *command, const char *part)
{
    const char *text = output("%s", command);
    if (!strstr(text, part))
        fail_msg("%s: no \"%s\" in:\n%s", command, part, text);
}

static void expect_no_line(const char *command, const char *part)
{
    const char *text = output("%s", command);
    if (strstr(text, part))
        fail_msg("%s: \"%s\" in:\n%s", command, part, text);
}

/*
 * A worker of the kernel completes each IPv6 address a moment after it was given, "nodad" or not: only then is there its
 * local route. Waits until all have theirs.
 */
static void settle(void)
{
    shell("for i in $(seq 200); do"
          " [ $(ip -6 -o addr | wc -l) = $(ip -6 route show table local type local | wc -l) ] &&"
          " exit 0; sleep 0.05; done; ip -6 -o addr; ip -6 route show table local; exit 1");
}

/* All that a tunnel may touch; `noop` and the like in the link's line are history, not state. A dump that is disturbed is printed twice. */
static char *host_state(void)
{
    settle();
    return strdup(output("ip -o link | awk '{print $2, $3, $4, $5}'; ip -o addr;"
                         "ip route show table all | sort -u; ip -6 route show table all | sort -u;"
                         "ip rule; ip -6 rule; cat " MARKS));
}

/* What hangs on one device. */
static char *device_state(const char *name)
{
    settle();
    return strdup(output("ip -o addr show dev %s; ip route show table all dev %s | sort -u;"
                         "ip -6 route show table all dev %s | sort -u",
                         name, name, name));
}

/* Shows where they begin to differ. */
static void expect_same_text(const char *before, const char *now)
{
    size_t i = 0;
    while (before[i] && before[i] == now[i])
        i++;
    while (i > 0 && before[i - 1] != '\n')
        i--;
    if (strcmp(before, now) != 0)
        fail_msg("state differs; before:\n%.400s\nnow:\n%.400s", before + i, now + i);
}

/* Frees `before`. */
static void expect_same_state(char *before)
{
    char *now = host_state();
    expect_same_text(before, now);
    free(before);
    free(now);
}

static struct tun *make_tun(const char *name)
{
    struct tun_config c = {.name = name, .queues = 1};
    struct tun *t = NULL;
    char why[256] = "";
    if (tun_open(&t, &c, why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
    return t;
}

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix p;
    assert_int_equal(ip_prefix_parse(&p, text), ERR_OK);
    return p;
}

static struct ip_addr addr(const char *text)
{
    struct ip_addr a;
    assert_int_equal(ip_addr_parse(&a, text), ERR_OK);
    return a;
}

/* A device that is up, with addresses of both families. */
struct rig {
    struct tun *tun;
    struct routes *routes;
};

static void ok(struct routes *r, enum err e)
{
    if (e != ERR_OK)
        fail_msg("%s: %s", err_text(e), routes_why(r));
}

static void rig_open(struct rig *rig, const char *name, const char *v4, const char *v6)
{
    struct ip_prefix a4 = prefix(v4), a6 = prefix(v6);
    rig->tun = make_tun(name);
    assert_int_equal(routes_new(&rig->routes, tun_ifindex(rig->tun)), ERR_OK);
    ok(rig->routes, routes_link_mtu(rig->routes, 1420));
    ok(rig->routes, routes_addr_add(rig->routes, &a4));
    ok(rig->routes, routes_addr_add(rig->routes, &a6));
    ok(rig->routes, routes_link_up(rig->routes));
}

static void rig_close(struct rig *rig)
{
    routes_free(rig->routes);
    tun_free(rig->tun);
}

static void add(struct rig *rig, const char *text, uint32_t table)
{
    struct ip_prefix p = prefix(text);
    ok(rig->routes, routes_add(rig->routes, &p, table));
}

static void del(struct rig *rig, const char *text, uint32_t table)
{
    struct ip_prefix p = prefix(text);
    ok(rig->routes, routes_del(rig->routes, &p, table));
}

/* The state of a link follows its carrier a moment later. */
static void wait_for_link(const char *name, const char *link_state)
{
    shell(
        "for i in $(seq 100); do ip -o link show %s | grep -q 'state %s ' && exit 0; sleep 0.05; done;"
        "exit 1",
        name, link_state);
}

static int make_uplink(void **state)
{
    (void)state;
    return system("ip link add up0 type veth peer name up1 && ip link set up1 up && "
                  "ip link set up0 addrgenmode none && ip link set up1 addrgenmode none && "
                  "ip addr add 192.0.2.1/24 dev up0 && ip addr add 2001:db8::1/64 dev up0 nodad && "
                  "ip link set up0 up && ip route add default via 192.0.2.254 && "
                  "ip -6 route add default via 2001:db8::fe; "
                  "for i in $(seq 100); do ip -o link show up0 | grep -q 'state UP ' && "
                  "ip -o link show up1 | grep -q 'state UP ' && exit 0; sleep 0.05; done; exit 1");
}

static int remove_uplink(void **state)
{
    (void)state;
    return system("ip link del up0");
}

static void everything_is_undone(void **state)
{
    (void)state;
    struct tun *t = make_tun("rtun0");
    struct routes *r;
    struct ip_prefix a4 = prefix("10.8.0.2/24"), a6 = prefix("fd08::2/64");
    struct ip_prefix p4 = prefix("10.9.0.0/16"), p6 = prefix("fd09::/16"),
                     all = prefix("0.0.0.0/0");

    char *before = host_state();
    assert_int_equal(routes_new(&r, tun_ifindex(t)), ERR_OK);
    ok(r, routes_link_mtu(r, 1380));
    ok(r, routes_addr_add(r, &a4));
    ok(r, routes_addr_add(r, &a6));
    ok(r, routes_link_up(r));
    ok(r, routes_add(r, &p4, 0));
    ok(r, routes_add(r, &p6, 0));
    ok(r, routes_add(r, &all, 51820));
    ok(r, routes_default_rules(r, ADDR_V4, 51820, 51820));
    ok(r, routes_default_rules(r, ADDR_V6, 51820, 51820));

    expect_line("ip -o link show dev rtun0", "mtu 1380");
    expect_line("ip -o link show dev rtun0", ",UP");
    expect_line("ip -o addr show dev rtun0", "inet 10.8.0.2/24");
    expect_line("ip -o addr show dev rtun0", "inet6 fd08::2/64");
    expect_no_line("ip -o addr show dev rtun0", "tentative");
    expect_line("ip route", "10.9.0.0/16 dev rtun0 proto static");
    expect_line("ip -6 route", "fd09::/16 dev rtun0 proto static");
    expect_line("ip route show table 51820", "default dev rtun0");
    expect_line("cat " MARKS, "1");

    routes_free(r);
    expect_same_state(before);
    tun_free(t);
}

/* The TUN and what hangs on it go first; the rules are still ours to remove. */
static void undone_without_the_device(void **state)
{
    (void)state;
    char *before = host_state();
    struct rig rig;

    rig_open(&rig, "rtun0", "10.8.0.2/32", "fd08::2/128");
    add(&rig, "10.9.0.0/16", 0);
    add(&rig, "::/0", 700000);
    ok(rig.routes, routes_default_rules(rig.routes, ADDR_V6, 7, 700000));
    tun_free(rig.tun);
    routes_free(rig.routes);
    expect_same_state(before);
}

static void mtu_and_up_are_idempotent(void **state)
{
    (void)state;
    struct rig rig;

    rig_open(&rig, "rtun0", "10.8.0.2/32", "fd08::2/128");
    ok(rig.routes, routes_link_mtu(rig.routes, 1420));
    ok(rig.routes, routes_link_mtu(rig.routes, 1280));
    ok(rig.routes, routes_link_up(rig.routes));
    expect_line("ip -o link show dev rtun0", "mtu 1280");
    assert_int_equal(routes_link_mtu(rig.routes, 100000), ERR_INVALID);
    assert_non_null(strstr(routes_why(rig.routes), "100000"));
    assert_int_equal(routes_link_mtu(rig.routes, 0), ERR_INVALID);
    rig_close(&rig);
}

static void addresses_twice(void **state)
{
    (void)state;
    struct rig rig;
    struct ip_prefix p = prefix("10.8.0.2/32"), bad = {.ip.family = ADDR_V4, .len = 40};

    rig_open(&rig, "rtun0", "10.8.0.2/32", "fd08::2/128");
    ok(rig.routes, routes_addr_add(rig.routes, &p));
    assert_int_equal(routes_addr_add(rig.routes, &bad), ERR_INVALID);
    bad = (struct ip_prefix){0};
    assert_int_equal(routes_addr_add(rig.routes, &bad), ERR_INVALID);
    rig_close(&rig);
}

static void addresses_change(void **state)
{
    (void)state;
    struct rig rig;
    struct ip_prefix v4 = prefix("10.8.0.2/32"), v6 = prefix("fd08::2/128"),
                     other = prefix("10.8.0.3/32"), bad = {.ip.family = ADDR_V4, .len = 40};

    rig_open(&rig, "rtun0", "10.8.0.2/32", "fd08::2/128");
    ok(rig.routes, routes_addr_add(rig.routes, &other));
    ok(rig.routes, routes_addr_del(rig.routes, &v4));
    ok(rig.routes, routes_addr_del(rig.routes, &v4));
    ok(rig.routes, routes_addr_del(rig.routes, &v6));
    assert_int_equal(routes_addr_del(rig.routes, &bad), ERR_INVALID);
    expect_line("ip -o addr show dev rtun0", "inet 10.8.0.3/32");
    expect_no_line("ip -o addr show dev rtun0", "10.8.0.2");
    expect_no_line("ip -o addr show dev rtun0", "fd08::2");
    rig_close(&rig);
}

static const struct {
    const char *prefix, *shown;
    uint32_t table;
} route_cases[] = {
    {"10.1.2.3/32", "10.1.2.3 dev rtun0", 0},
    {"10.1.2.3/16", "10.1.0.0/16 dev rtun0", 0},
    {"0.0.0.0/1", "0.0.0.0/1 dev rtun0", 0},
    {"0.0.0.0/0", "default dev rtun0", 100},
    {"10.1.0.0/16", "10.1.0.0/16 dev rtun0", 255 + 1},
    {"10.1.0.0/16", "10.1.0.0/16 dev rtun0", 0xfd002021},
    {"fd01::1/128", "fd01::1 dev rtun0", 0},
    {"fd01::1/32", "fd01::/32 dev rtun0", 0},
    {"::/0", "default dev rtun0", 100},
    {"::/0", "default dev rtun0", 0xfd002021},
};

static void routes_come_and_go(void **state)
{
    (void)state;
    struct rig rig;
    char command[128];

    rig_open(&rig, "rtun0", "10.8.0.2/32", "fd08::2/128");
    char *before = host_state();
    for (unsigned i = 0; i < ARRAY_LEN(route_cases); i++) {
        uint32_t table = route_cases[i].table;
        snprintf(command, sizeof command, "ip %s route show table %u",
                 strchr(route_cases[i].prefix, ':') ? "-6" : "-4", table ? table : 254);
        add(&rig, route_cases[i].prefix, table);
        expect_line(command, route_cases[i].shown);
        add(&rig, route_cases[i].prefix, table); /* once more: fine */
        del(&rig, route_cases[i].prefix, table);
        expect_no_line(command, route_cases[i].shown);
        del(&rig, route_cases[i].prefix, table); /* gone already: fine */
    }
    expect_same_state(before);
    rig_close(&rig);
}

/* What was taken back is no longer ours, even if somebody else puts the same there again. */
static void deleted_routes_are_forgotten(void **state)
{
    (void)state;
    struct tun *t = make_tun("rtun0");
    struct routes *r;
    struct ip_prefix p = prefix("10.9.0.0/16"), q = prefix("10.7.0.0/16");

    shell("ip link set rtun0 up");
    assert_int_equal(routes_new(&r, tun_ifindex(t)), ERR_OK);
    ok(r, routes_add(r, &p, 0));
    ok(r, routes_add(r, &q, 0));
    ok(r, routes_del(r, &p, 0));
    shell("ip route add 10.9.0.0/16 dev rtun0 proto static scope global");
    routes_free(r);
    expect_line("ip route", "10.9.0.0/16 dev rtun0");
    expect_no_line("ip route", "10.7.0.0/16");
    tun_free(t);
}

static void foreign_routes_are_respected(void **state)
{
    (void)state;
    struct rig rig;
    struct ip_prefix taken = prefix("198.51.100.0/24"), own = prefix("10.8.0.0/24");

    rig_open(&rig, "rtun0", "10.8.0.2/24", "fd08::2/128");
    shell("ip route add 198.51.100.0/24 via 192.0.2.9");
    assert_int_equal(routes_add(rig.routes, &taken, 0), ERR_EXISTS);
    assert_non_null(strstr(routes_why(rig.routes), "198.51.100.0/24"));
    /* deleting "ours" leaves the other one alone */
    ok(rig.routes, routes_del(rig.routes, &taken, 0));
    expect_line("ip route", "198.51.100.0/24 via 192.0.2.9");
    shell("ip route del 198.51.100.0/24");
    /* the address brought the same route along: fine, and it goes with the address */
    ok(rig.routes, routes_add(rig.routes, &own, 0));
    taken.len = 60;
    assert_int_equal(routes_add(rig.routes, &taken, 0), ERR_INVALID);
    rig_close(&rig);
}

static void routes_need_the_link_up(void **state)
{
    (void)state;
    struct tun *t = make_tun("rtun0");
    struct routes *r;
    struct ip_prefix p = prefix("10.9.0.0/16");

    assert_int_equal(routes_new(&r, tun_ifindex(t)), ERR_OK);
    assert_int_not_equal(routes_add(r, &p, 0), ERR_OK);
    assert_non_null(strstr(routes_why(r), "10.9.0.0/16 through rtun0: "));
    routes_free(r);
    tun_free(t);
}

static void many_routes(void **state)
{
    (void)state;
    struct rig rig;

    rig_open(&rig, "rtun0", "10.8.0.2/32", "fd08::2/128");
    for (unsigned i = 0; i < 2000; i++) {
        struct ip_prefix p = {.ip.family = ADDR_V4, .len = 32};
        store_be32(p.ip.bytes, 0x0b000000 + i);
        ok(rig.routes, routes_add(rig.routes, &p, 0));
    }
    assert_int_equal(atoi(output("ip route | grep -c '^11[.]'")), 2000);
    for (unsigned i = 0; i < 2000; i += 2) {
        struct ip_prefix p = {.ip.family = ADDR_V4, .len = 32};
        store_be32(p.ip.bytes, 0x0b000000 + i);
        ok(rig.routes, routes_del(rig.routes, &p, 0));
    }
    routes_free(rig.routes);
    assert_int_equal(atoi(output("ip route | grep -c '^11[.]'")), 0);
    expect_no_line("ip -o addr", "rtun0");
    tun_free(rig.tun);
}

/* Where a packet to the outside goes, by its mark. */
static void expect_way(const char *dst, unsigned mark, const char *part)
{
    char command[128];
    snprintf(command, sizeof command, "ip route get %s mark %u 2>&1", dst, mark);
    expect_line(command, part);
}

static void default_traffic_is_steered(void **state)
{
    (void)state;
    struct rig rig;

    rig_open(&rig, "rtun0", "10.8.0.2/32", "fd08::2/128");
    add(&rig, "0.0.0.0/0", 1000);
    add(&rig, "::/0", 1000);
    ok(rig.routes, routes_default_rules(rig.routes, ADDR_V4, 1001, 1000));
    ok(rig.routes, routes_default_rules(rig.routes, ADDR_V6, 1001, 1000));

    expect_way("203.0.113.5", 0, "dev rtun0");
    expect_way("203.0.113.5", 1001, "via 192.0.2.254 dev up0");
    expect_way("192.0.2.77", 0, "dev up0"); /* the LAN stays reachable */
    expect_way("2001:db8:99::5", 0, "dev rtun0");
    expect_way("2001:db8:99::5", 1001, "via 2001:db8::fe dev up0");
    expect_way("2001:db8::77", 0, "dev up0");
    rig_close(&rig);
    expect_way("203.0.113.5", 0, "dev up0");
}

static void two_tunnels_do_not_loop(void **state)
{
    (void)state;
    struct rig a, b;
    static const char *const out[] = {"203.0.113.5", "2001:db8:99::5"};

    rig_open(&a, "rtun0", "10.8.0.2/32", "fd08::2/128");
    rig_open(&b, "rtun1", "10.9.0.2/32", "fd09::2/128");
    struct rig *const rigs[] = {&a, &b};
    for (unsigned i = 0; i < 2; i++) {
        add(rigs[i], "0.0.0.0/0", 1000 + i);
        add(rigs[i], "::/0", 1000 + i);
        ok(rigs[i]->routes, routes_default_rules(rigs[i]->routes, ADDR_V4, 11 + i, 1000 + i));
        ok(rigs[i]->routes, routes_default_rules(rigs[i]->routes, ADDR_V6, 11 + i, 1000 + i));
    }
    for (unsigned k = 0; k < 2; k++) {
        expect_way(out[k], 0, "dev rtun1"); /* the newer one */
        expect_way(out[k], 11, "dev up0");
        expect_way(out[k], 12, "dev up0");
    }
    /* without an uplink the tunnels' own datagrams go nowhere, certainly not into each other */
    shell("ip route del default; ip -6 route del default");
    for (unsigned k = 0; k < 2; k++) {
        expect_way(out[k], 11, "unreachable");
        expect_way(out[k], 12, "unreachable");
    }
    shell("ip route add default via 192.0.2.254; ip -6 route add default via 2001:db8::fe");
    /* either may end first */
    routes_free(b.routes);
    expect_way(out[0], 0, "dev rtun0");
    expect_way(out[0], 11, "dev up0");
    expect_line("cat " MARKS, "1"); /* still needed */
    tun_free(b.tun);
    rig_open(&b, "rtun1", "10.9.0.2/32", "fd09::2/128");
    add(&b, "0.0.0.0/0", 1001);
    ok(b.routes, routes_default_rules(b.routes, ADDR_V4, 12, 1001));
    rig_close(&a);
    expect_way(out[0], 0, "dev rtun1");
    expect_way(out[0], 12, "dev up0");
    rig_close(&b);
    expect_no_line("ip rule", "fwmark");
    expect_no_line("ip -6 rule", "fwmark");
}

static void marks_setting_is_left_if_set(void **state)
{
    (void)state;
    struct rig rig;

    shell("echo 1 > " MARKS);
    rig_open(&rig, "rtun0", "10.8.0.2/32", "fd08::2/128");
    ok(rig.routes, routes_default_rules(rig.routes, ADDR_V4, 5, 5));
    rig_close(&rig);
    expect_line("cat " MARKS, "1");
    shell("echo 0 > " MARKS);
}

/* rp_filter of "all", the uplink and the rest; the interface the warning names, if any. */
static const struct {
    unsigned all, up0, others;
    const char *named;
} reverse_path_cases[] = {
    {0, 0, 0, NULL},     {0, 1, 0, "on up0"}, {0, 2, 2, NULL},     {1, 2, 2, NULL},
    {1, 0, 2, "on up0"}, {2, 1, 1, NULL},     {0, 0, 1, "on up1"},
};

/* What is logged when default traffic is taken, in either way; static storage. */
static const char *warned(struct rig *rig, unsigned number, bool product)
{
    static char text[1024];
    struct ip_prefix all = prefix("0.0.0.0/0");
    FILE *log = tmpfile();
    int real = dup(STDERR_FILENO);

    dup2(fileno(log), STDERR_FILENO);
    enum err e = product ? routes_product_add(rig->routes, &all)
                         : routes_default_rules(rig->routes, ADDR_V4, number, number);
    dup2(real, STDERR_FILENO);
    close(real);
    rewind(log);
    text[fread(text, 1, sizeof text - 1, log)] = '\0';
    fclose(log);
    ok(rig->routes, e);
    if (product)
        ok(rig->routes, routes_product_del(rig->routes, &all));
    return text;
}

static void strict_reverse_path_warns(void **state)
{
    (void)state;
    struct rig rig;

    rig_open(&rig, "rtun0", "10.8.0.2/32", "fd08::2/128");
    for (unsigned i = 0; i < 2 * ARRAY_LEN(reverse_path_cases); i++) {
        const char *named = reverse_path_cases[i / 2].named;
        shell("cd /proc/sys/net/ipv4/conf; echo %u > all/rp_filter; echo %u > up0/rp_filter;"
              "echo %u > up1/rp_filter; echo 1 > lo/rp_filter; echo 1 > rtun0/rp_filter",
              reverse_path_cases[i / 2].all, reverse_path_cases[i / 2].up0,
              reverse_path_cases[i / 2].others);
        const char *text = warned(&rig, 100 + i, i % 2 == 1);
        if (named ? !strstr(text, named) : text[0] != '\0')
            fail_msg("case %u: \"%s\"", i, text);
    }
    rig_close(&rig);
    shell("cd /proc/sys/net/ipv4/conf; echo 0 | tee all/rp_filter up0/rp_filter up1/rp_filter "
          "lo/rp_filter >/dev/null");
}

/* Down takes addresses of IPv6 and all routes along; up brings them back, also if nobody looked in between. */
static void down_and_up(void **state)
{
    (void)state;
    static const char *const between[] = {"sleep 0",
                                          "ip link add other0 type veth; ip link del other0"};
    char *before = host_state();
    struct rig rig;

    rig_open(&rig, "rtun0", "10.8.0.2/24", "fd08::2/64");
    add(&rig, "10.9.0.0/16", 0);
    add(&rig, "fd09::/16", 0);
    add(&rig, "0.0.0.0/0", 1000);
    add(&rig, "::/0", 1000);
    assert_true(routes_watch_fd(rig.routes) >= 0);
    assert_int_equal(routes_watch_fd(rig.routes), routes_watch_fd(rig.routes));
    char *configured = device_state("rtun0");
    for (unsigned i = 0; i < 4; i++) {
        shell("ip link set rtun0 down");
        if (i >= 2) {
            routes_watch(rig.routes);
            del(&rig, "10.9.0.0/16", 0);
            add(&rig, "10.9.0.0/16", 0);
            del(&rig, "fd09::/16", 0);
            add(&rig, "fd09::/16", 0);
        }
        shell("%s", between[i % 2]);
        shell("ip link set rtun0 up");
        routes_watch(rig.routes);
        char *now = device_state("rtun0");
        expect_same_text(configured, now);
        free(now);
        routes_watch(rig.routes);
    }
    free(configured);
    rig_close(&rig);
    expect_same_state(before);
}

#define MARK 0xfd002021u

static void product_rules(struct rig *rig)
{
    ok(rig->routes, routes_product_rules(rig->routes, ADDR_V4, MARK));
    ok(rig->routes, routes_product_rules(rig->routes, ADDR_V6, MARK));
}

static void product_add(struct rig *rig, const char *text)
{
    struct ip_prefix p = prefix(text);
    ok(rig->routes, routes_product_add(rig->routes, &p));
}

static void product_del(struct rig *rig, const char *text)
{
    struct ip_prefix p = prefix(text);
    ok(rig->routes, routes_product_del(rig->routes, &p));
}

static void product_tables(void **state)
{
    (void)state;
    static const char *const commands[] = {"ip -d rule", "ip -d -6 rule"};
    char *before = host_state();
    struct rig rig;

    rig_open(&rig, "rtun0", "10.8.0.2/32", "fd08::2/128");
    product_rules(&rig);
    product_rules(&rig); /* a leftover is taken over */
    for (unsigned i = 0; i < ARRAY_LEN(commands); i++) {
        expect_line(commands[i],
                    "100:\tnot from all fwmark 0xfd002021 lookup 539098368 proto kernel");
        expect_line(commands[i],
                    "200:\tnot from all fwmark 0xfd002021 lookup 539098369 proto kernel");
        expect_line(commands[i],
                    "300:\tnot from all fwmark 0xfd002021 lookup 539098370 proto kernel");
    }
    product_add(&rig, "0.0.0.0/0");
    product_add(&rig, "::/0");
    product_add(&rig, "192.0.2.64/26");
    product_add(&rig, "2001:db8:0:0:1::/80");
    product_add(&rig, "192.0.2.64/26"); /* once more: fine */
    expect_line("ip route show table 539098370", "default dev rtun0 proto static");
    expect_line("ip -6 route show table 539098370", "default dev rtun0 proto static");
    expect_line("ip route show table 539098368", "192.0.2.64/26 dev rtun0 proto static");
    expect_line("ip -6 route show table 539098368", "2001:db8:0:0:1::/80 dev rtun0 proto static");
    expect_no_line("ip route show table 539098368", "default");

    expect_way("203.0.113.5", 0, "dev rtun0");
    expect_way("203.0.113.5", MARK, "via 192.0.2.254 dev up0");
    expect_way("192.0.2.77", 0,
               "dev rtun0"); /* what the portal has defined counts more than the LAN */
    expect_way("192.0.2.77", MARK, "dev up0");
    expect_way("192.0.2.1", 0, "local");
    expect_way("2001:db8:99::5", 0, "dev rtun0");
    expect_way("2001:db8:99::5", MARK, "via 2001:db8::fe dev up0");

    product_del(&rig, "0.0.0.0/0");
    product_del(&rig, "192.0.2.64/26");
    product_del(&rig, "192.0.2.64/26"); /* gone already: fine */
    expect_way("203.0.113.5", 0, "dev up0");
    expect_way("192.0.2.77", 0, "dev up0");
    rig_close(&rig);
    expect_same_state(before);
}

static const char lan4[] = "ip route show table 539098369",
                  lan6[] = "ip -6 route show table 539098369";

static void lan_copies(void **state)
{
    (void)state;
    char *before = host_state();
    struct rig rig, other;

    rig_open(&rig, "rtun0", "10.8.0.2/24", "fd08::2/64");
    rig_open(&other, "rtun1", "203.0.113.1/24", "fd99::1/64");
    product_rules(&rig);
    product_add(&rig, "0.0.0.0/0");
    product_add(&rig, "::/0");
    product_add(&rig, "192.0.2.128/25");
    shell(
        "ip route add 198.51.100.0/24 dev up0 metric 7 proto static; ip addr add fe80::5/64 dev up0 nodad;"
        "ip route add 198.51.101.0/24 via 192.0.2.9; ip -6 route add 2001:db8:9::/64 via 2001:db8::9;");
    expect_way("192.0.2.77", 0, "dev rtun0");
    ok(rig.routes, routes_lan_sync(rig.routes));
    expect_line(lan4, "192.0.2.0/24 dev up0 proto kernel scope link src 192.0.2.1");
    expect_line(lan4, "198.51.100.0/24 dev up0 proto static scope link metric 7");
    expect_line(lan6, "2001:db8::/64 dev up0 proto kernel metric 256");
    expect_no_line(lan4, "default");
    expect_no_line(lan4, "via");
    expect_no_line(lan4, "rtun0");
    expect_no_line(lan4, "rtun1"); /* another tunnel, of which nobody knows whether it is up */
    expect_no_line(lan6, "fe80");
    expect_no_line(lan6, "via");
    expect_no_line(lan6, "rtun1");
    expect_way("192.0.2.77", 0, "dev up0");
    expect_way("192.0.2.177", 0, "dev rtun0"); /* the portal's network counts more */
    expect_way("203.0.113.5", 0, "dev rtun0");
    expect_way("2001:db8::77", 0, "dev up0");
    expect_way("2001:db8:1::77", 0, "dev rtun0");

    /* nothing to do: nothing is done */
    FILE *monitor = popen("timeout 0.3 ip monitor route", "r");
    assert_non_null(monitor);
    usleep(100000);
    ok(rig.routes, routes_lan_sync(rig.routes));
    if (fgetc(monitor) != EOF)
        fail_msg("routes were changed");
    pclose(monitor);

    /* another address, a network less, and one that is down */
    shell("ip route change 192.0.2.0/24 dev up0 proto kernel scope link src 192.0.2.1 mtu 1400;"
          "ip route del 198.51.100.0/24 dev up0; ip addr add 192.0.3.1/24 dev up1");
    ok(rig.routes, routes_lan_sync(rig.routes));
    expect_no_line(lan4, "198.51.100.0/24");
    expect_line(lan4, "192.0.3.0/24 dev up1");
    shell("ip link set up1 down");
    wait_for_link("up0", "LOWERLAYERDOWN");
    ok(rig.routes, routes_lan_sync(rig.routes));
    expect_no_line(lan4, "192.0");
    expect_no_line(lan6, "2001");
    shell(
        "ip link set up1 up; ip addr del 192.0.3.1/24 dev up1; ip route change 192.0.2.0/24 dev up0 proto kernel scope link src 192.0.2.1");
    wait_for_link("up0", "UP");
    ok(rig.routes, routes_lan_sync(rig.routes));
    expect_line(lan4, "192.0.2.0/24 dev up0");
    expect_line(lan6, "2001:db8::/64 dev up0");

    shell("ip addr del fe80::5/64 dev up0; ip route del 198.51.101.0/24;"
          "ip -6 route del 2001:db8:9::/64");
    wait_for_link("up1", "UP");
    rig_close(&other);
    rig_close(&rig);
    expect_same_state(before);
}

/* A process that steers default traffic, of both families, and is killed. The rules point into a table that is empty. */
static void killed_run(const char *name, unsigned number)
{
    int status;

    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct rig rig;
        rig_open(&rig, name, "10.8.0.2/32", "fd08::2/128");
        add(&rig, "0.0.0.0/0", number);
        ok(rig.routes, routes_default_rules(rig.routes, ADDR_V4, number, number));
        ok(rig.routes, routes_default_rules(rig.routes, ADDR_V6, number, number));
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
}

static void killed_runs_are_undone(void **state)
{
    (void)state;
    char *before = host_state();
    struct rig rig;

    killed_run("rtun0", 51820);
    expect_line("cat " MARKS, "1");
    expect_line("ip rule", "51820");
    expect_line("ip -6 rule", "51820");
    routes_recover();
    expect_same_state(before);
    routes_recover();

    /* one lives, and keeps what is its own */
    before = host_state();
    rig_open(&rig, "rtun1", "10.9.0.2/32", "fd09::2/128");
    ok(rig.routes, routes_default_rules(rig.routes, ADDR_V4, 600, 600));
    ok(rig.routes, routes_default_rules(rig.routes, ADDR_V6, 600, 600));
    char *one = host_state();
    killed_run("rtun0", 51820);
    routes_recover();
    expect_same_state(one);
    rig_close(&rig);
    expect_same_state(before);

    /* what looks alike is not ours */
    before = host_state();
    killed_run("rtun0", 51820);
    shell("ip rule del priority 32764; ip rule del priority 32000;"
          "ip rule add not fwmark 51820 lookup 51820 priority 32764 protocol static;"
          "ip rule add fwmark 51820 from 10.0.0.0/8 lookup main priority 32000 protocol 253");
    routes_recover();
    expect_line("ip rule", "32764:\tnot from all fwmark 0xca6c lookup 51820 proto static");
    expect_line("ip rule", "32000:\tfrom 10.0.0.0/8 fwmark 0xca6c lookup main");
    expect_no_line("ip rule", "32760:");
    expect_no_line("ip rule", "32001:");
    expect_no_line("ip -6 rule", "51820");
    shell("ip rule del priority 32764; ip rule del priority 32000; echo 0 > " MARKS);
    expect_same_state(before);
}

/* In this order: a rule of the product that is left would keep src_valid_mark on. */
static void both_are_recovered(void **state)
{
    (void)state;
    char *before = host_state();

    killed_run("rtun0", 51820);
    shell("ip rule add not fwmark 0xfd002021 lookup 0x2021fd00 priority 100 protocol kernel");
    routes_product_recover(MARK);
    routes_recover();
    expect_same_state(before);
}

static void product_is_recovered(void **state)
{
    (void)state;
    char *before = host_state();

    shell(
        "for f in -4 -6; do for t in 0 1 2; do"
        " ip $f rule add not fwmark 0xfd002021 lookup $((0x2021fd00 + t))"
        " priority $((100 + 100 * t)) protocol kernel; done; done;"
        "ip route add default via 192.0.2.9 dev up0 table 0x2021fd02 metric 7;"
        "ip route add 192.0.2.0/24 dev up0 src 192.0.2.1 table 0x2021fd01 proto kernel scope link;"
        "ip route add blackhole 10.9.0.0/16 table 0x2021fd00;"
        "ip -6 route add 2001:db8:5::/64 dev up0 table 0x2021fd01 proto kernel;"
        "ip -6 route add unreachable 2001:db8:6::/64 table 0x2021fd00");
    /* of somebody else */
    shell("ip rule add not fwmark 0xfd002021 lookup 77 priority 100;"
          "ip rule add not fwmark 0xfd002022 lookup 0x2021fd00 priority 100;"
          "ip route add 10.9.0.0/16 via 192.0.2.9 table 0x2021fd03");
    routes_product_recover(MARK);
    expect_line("ip rule", "not from all fwmark 0xfd002021 lookup 77");
    expect_line("ip rule", "not from all fwmark 0xfd002022 lookup 539098368");
    expect_line("ip route show table 0x2021fd03", "10.9.0.0/16");
    shell("ip rule del lookup 77; ip rule del fwmark 0xfd002022;"
          "ip route del 10.9.0.0/16 table 0x2021fd03");
    expect_same_state(before);
}

static void bad_rules(void **state)
{
    (void)state;
    struct rig rig;

    rig_open(&rig, "rtun0", "10.8.0.2/32", "fd08::2/128");
    char *before = host_state();
    assert_int_equal(routes_default_rules(rig.routes, ADDR_V4, 0, 5), ERR_INVALID);
    assert_int_equal(routes_default_rules(rig.routes, ADDR_V4, 5, 0), ERR_INVALID);
    assert_int_equal(routes_default_rules(rig.routes, ADDR_NONE, 5, 5), ERR_INVALID);
    expect_same_state(before);
    rig_close(&rig);
}

static void free_table_is_found(void **state)
{
    (void)state;
    struct rig rig;
    uint32_t table = 0;

    rig_open(&rig, "rtun0", "10.8.0.2/32", "fd08::2/128");
    ok(rig.routes, routes_free_table(rig.routes, 51820, &table));
    assert_int_equal(table, 51820);
    shell(
        "ip route add 10.1.0.0/16 dev up0 table 51820; ip -6 route add fd01::/16 dev up0 table 51821;"
        "ip rule add from 10.3.3.3 lookup 51822; ip -6 rule add from fd03::3 lookup 51823");
    ok(rig.routes, routes_free_table(rig.routes, 51820, &table));
    assert_int_equal(table, 51824);
    ok(rig.routes, routes_free_table(rig.routes, 51819, &table));
    assert_int_equal(table, 51819);
    ok(rig.routes, routes_free_table(rig.routes, 253, &table));
    assert_int_equal(table, 256);
    ok(rig.routes, routes_free_table(rig.routes, 0, &table));
    assert_int_equal(table, 1);
    /* emptied: free again */
    shell("ip route flush table 51820; ip -6 route flush table 51821;"
          "ip rule del from 10.3.3.3; ip -6 rule del from fd03::3");
    ok(rig.routes, routes_free_table(rig.routes, 51820, &table));
    assert_int_equal(table, 51820);
    rig_close(&rig);
}

static uint32_t path_mtu(struct rig *rig, const char *dst, uint32_t mark)
{
    struct ip_addr a = addr(dst);
    uint32_t mtu = 0;
    ok(rig->routes, routes_path_mtu(rig->routes, &a, mark, &mtu));
    return mtu;
}

static void path_mtu_of_the_way_out(void **state)
{
    (void)state;
    struct rig rig;
    struct ip_addr out = addr("203.0.113.5"), none = {0};
    uint32_t mtu;

    rig_open(&rig, "rtun0", "10.8.0.2/32", "fd08::2/128");
    assert_int_equal(path_mtu(&rig, "203.0.113.5", 0), 1500);
    assert_int_equal(path_mtu(&rig, "2001:db8:99::5", 0), 1500);
    assert_int_equal(path_mtu(&rig, "127.0.0.1", 0), 65536);
    shell("ip link set up0 mtu 1400");
    assert_int_equal(path_mtu(&rig, "203.0.113.5", 0), 1400);
    assert_int_equal(path_mtu(&rig, "2001:db8:99::5", 0), 1400);
    shell("ip route add 203.0.113.0/24 via 192.0.2.254 mtu 1300; "
          "ip -6 route add 2001:db8:99::/48 via 2001:db8::fe mtu 1290");
    assert_int_equal(path_mtu(&rig, "203.0.113.5", 0), 1300);
    assert_int_equal(path_mtu(&rig, "2001:db8:99::5", 0), 1290);
    assert_int_equal(path_mtu(&rig, "203.0.114.5", 0), 1400);
    shell("echo 1350 > /proc/sys/net/ipv6/conf/up0/mtu");
    assert_int_equal(path_mtu(&rig, "2001:db8:98::5", 0), 1350);
    shell(
        "ip route del 203.0.113.0/24; ip -6 route del 2001:db8:99::/48; ip link set up0 mtu 1500");

    /* with a default route through the tunnel, the mark decides */
    add(&rig, "0.0.0.0/0", 1000);
    ok(rig.routes, routes_default_rules(rig.routes, ADDR_V4, 9, 1000));
    assert_int_equal(path_mtu(&rig, "203.0.113.5", 9), 1500);
    assert_int_equal(routes_path_mtu(rig.routes, &out, 0, &mtu), ERR_UNREACHABLE);
    assert_non_null(strstr(routes_why(rig.routes), "rtun0"));
    assert_int_equal(routes_path_mtu(rig.routes, &none, 0, &mtu), ERR_INVALID);
    shell("ip route del default");
    assert_int_equal(routes_path_mtu(rig.routes, &out, 9, &mtu), ERR_UNREACHABLE);
    shell("ip route add default via 192.0.2.254");
    rig_close(&rig);
}

static void ipv6_switched_off(void **state)
{
    (void)state;
    struct tun *t = make_tun("rtun0");
    struct routes *r;
    struct ip_prefix a6 = prefix("fd08::2/64"), p6 = prefix("fd09::/16"),
                     a4 = prefix("10.8.0.2/32");

    shell("echo 1 > /proc/sys/net/ipv6/conf/rtun0/disable_ipv6");
    assert_int_equal(routes_new(&r, tun_ifindex(t)), ERR_OK);
    ok(r, routes_addr_add(r, &a4));
    ok(r, routes_link_up(r));
    assert_int_equal(routes_addr_add(r, &a6), ERR_UNSUPPORTED);
    assert_non_null(strstr(routes_why(r), "IPv6"));
    assert_int_equal(routes_add(r, &p6, 0), ERR_UNSUPPORTED);
    routes_free(r);
    tun_free(t);
}

static int child_without_net_admin(void)
{
    struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct d[2];
    struct routes *r;

    if (syscall(SYS_capget, &h, d) != 0)
        return 1;
    d[0].effective &= ~(1u << CAP_NET_ADMIN);
    d[0].permitted &= ~(1u << CAP_NET_ADMIN);
    d[0].inheritable = 0;
    if (syscall(SYS_capset, &h, d) != 0)
        return 2;
    return routes_new(&r, if_nametoindex("rtun0")) == ERR_PERMISSION && !r ? 0 : 3;
}

static void no_right_no_device(void **state)
{
    (void)state;
    struct tun *t = make_tun("rtun0");
    struct routes *r;
    int status = 0;

    assert_int_equal(routes_new(&r, 99999), ERR_NOT_FOUND);
    assert_null(r);
    routes_free(NULL);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(child_without_net_admin());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    tun_free(t);
}

int main(void)
{
    netns_enter_or_skip();
    if (!netns_private_run() || access("/dev/net/tun", F_OK) != 0 ||
        system("command -v ip >/dev/null") != 0) {
        fprintf(stderr, "skipped: no /dev/net/tun or no ip command\n");
        return TEST_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_undone),
        cmocka_unit_test(undone_without_the_device),
        cmocka_unit_test(mtu_and_up_are_idempotent),
        cmocka_unit_test(addresses_twice),
        cmocka_unit_test(addresses_change),
        cmocka_unit_test(routes_come_and_go),
        cmocka_unit_test(deleted_routes_are_forgotten),
        cmocka_unit_test(foreign_routes_are_respected),
        cmocka_unit_test(routes_need_the_link_up),
        cmocka_unit_test(many_routes),
        cmocka_unit_test(default_traffic_is_steered),
        cmocka_unit_test(two_tunnels_do_not_loop),
        cmocka_unit_test(marks_setting_is_left_if_set),
        cmocka_unit_test(strict_reverse_path_warns),
        cmocka_unit_test(down_and_up),
        cmocka_unit_test(product_tables),
        cmocka_unit_test(lan_copies),
        cmocka_unit_test(killed_runs_are_undone),
        cmocka_unit_test(both_are_recovered),
        cmocka_unit_test(product_is_recovered),
        cmocka_unit_test(bad_rules),
        cmocka_unit_test(free_table_is_found),
        cmocka_unit_test(path_mtu_of_the_way_out),
        cmocka_unit_test(ipv6_switched_off),
        cmocka_unit_test(no_right_no_device),
    };
    log_set_level(LOG_WARN);
    return cmocka_run_group_tests_name("routes", tests, make_uplink, remove_uplink);
}
