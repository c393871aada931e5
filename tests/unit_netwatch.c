/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network watch on a real loop and a real kernel, in a network namespace of its own:
 *
 *   up0 192.0.2.10/24, 2001:db8:1::10/64   default by 192.0.2.1, metric 100
 *   up1 198.51.100.10/24
 *   tun 100.64.0.1/32                      ours, like table 7777
 *
 * The first two are veth pairs, so that they have a carrier; it comes and goes a moment after the command, which is waited
 * for. All else that a command has changed is in the socket when the command ends, so one turn of the loop takes it. The
 * debounce is made to end at once unless it is what is tested. Exit code 77 (skipped) without the privilege or the commands
 * to build it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/resource.h>

#include "platform/linux/netwatch.c" /* wakes its callbacks up */
#include "tests/support/netns.h"

enum {
    OWN_TABLE = 7777,
    FLOOD = 4000,
    LIMIT_SEC = 60
};

/* Of our namespace. False: no IPv6, or no permission. */
static bool set_v6(const char *conf, const char *name, const char *value)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/%s", conf, name);
    FILE *f = fopen(path, "w");
    bool ok = f && fputs(value, f) >= 0;
    if (f)
        ok = fclose(f) == 0 && ok;
    return ok;
}

static const char *const topology[] = {
    "link add up0 type veth peer name up0-peer",
    "link add up1 type veth peer name up1-peer",
    "tuntap add mode tun name tun",
    "link set up0-peer up",
    "link set up1-peer up",
    "link set up0 up",
    "link set up1 up",
    "link set tun up",
    "addr add 192.0.2.10/24 dev up0",
    "addr add 198.51.100.10/24 dev up1",
    "addr add 100.64.0.1/32 dev tun",
    "route add default via 192.0.2.1 dev up0 metric 100",
};

static void destroy_topology(void)
{
    (void)netns_ip("link del up0");
    (void)netns_ip("link del up1");
    (void)netns_ip("link del tun");
}

static bool is_running(const char *name)
{
    struct ifreq ifr = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    snprintf(ifr.ifr_name, sizeof ifr.ifr_name, "%s", name);
    assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &ifr), 0);
    close(fd);
    return ifr.ifr_flags & IFF_RUNNING;
}

/* Until the carrier has got through to the interface, and the kernel has told so. */
static void wait_running(const char *name, bool running)
{
    for (int i = 0; is_running(name) != running; i++) {
        if (i == LIMIT_SEC * 1000)
            fail_msg("%s does not change", name);
        usleep(1000);
    }
    netns_must("link set lo up"); /* has to wait for who is changing something */
}

/* The kernel takes an IPv6 address for checked a moment later, even without a check. False: there is no IPv6. */
static bool add_v6(const char *args)
{
    if (!netns_ip(args))
        return false;
    for (int i = 0; system("ip -6 addr show tentative | grep -q inet6") == 0; i++) {
        if (i == LIMIT_SEC * 100)
            fail_msg("ip %s: remains tentative", args);
        usleep(1000);
    }
    netns_must("link set lo up");
    return true;
}

static void link_down(const char *name, const char *peer)
{
    char args[64];
    snprintf(args, sizeof args, "link set %s down", name);
    netns_must(args);
    wait_running(peer, false);
}

static void link_up(const char *name, const char *peer)
{
    char args[64];
    snprintf(args, sizeof args, "link set %s up", name);
    netns_must(args);
    wait_running(name, true);
    wait_running(peer, true);
}

static bool build_topology(void)
{
    for (size_t i = 0; i < ARRAY_LEN(topology); i++) {
        if (netns_ip(topology[i]))
            continue;
        fprintf(stderr, "skipped: 'ip %s' failed\n", topology[i]);
        return false;
    }
    wait_running("up0", true);
    wait_running("up0-peer", true);
    wait_running("up1", true);
    wait_running("up1-peer", true);
    return true;
}

/* ---- the rig ---- */

struct rig {
    struct loop *loop;
    struct netwatch *w;
    struct loop_timer timer;
    unsigned ways, settled, moved;
    char why[NETWATCH_WHY_MAX];
    struct netwatch_clocks clocks;
    bool until_settled;
};

static void on_ways(void *arg)
{
    struct rig *r = arg;
    r->ways++;
}

static void on_settled(void *arg)
{
    struct rig *r = arg;
    r->settled++;
    if (r->until_settled)
        loop_stop(r->loop);
}

static void on_moved(void *arg, const char *why)
{
    struct rig *r = arg;
    r->moved++;
    snprintf(r->why, sizeof r->why, "%s", why);
}

static void on_timer(void *arg)
{
    struct rig *r = arg;
    if (r->until_settled)
        fail_msg("nothing settles");
    loop_stop(r->loop);
}

static const struct netwatch_events events = {on_ways, on_settled, on_moved};

static void fake_clocks(void *arg, struct netwatch_clocks *out)
{
    const struct rig *r = arg;
    *out = r->clocks;
}

static void start_watch(struct rig *r)
{
    static const uint32_t own_tables[] = {OWN_TABLE};
    const struct netwatch_config config = {.own_tables = own_tables,
                                           .own_tables_len = ARRAY_LEN(own_tables)};
    char why[256] = "";

    if (netwatch_new(&r->w, r->loop, &config, &events, r, why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
    netwatch_set_tun(r->w, if_nametoindex("tun"));
    r->w->read_clocks = fake_clocks;
    r->w->clocks_arg = r;
    r->clocks = (struct netwatch_clocks){.boot = 100 * NS_PER_SEC, .monotonic = 90 * NS_PER_SEC};
    r->w->asleep = 10 * NS_PER_SEC;
    r->ways = r->settled = r->moved = 0;
    r->why[0] = '\0';
}

/* Builds what is not there and starts the watch. */
static int setup(void **state)
{
    struct rig *r = mem_zalloc(1, sizeof *r);

    if (!build_topology())
        fail_msg("the namespace cannot be built again");
    assert_int_equal(loop_new(&r->loop), ERR_OK);
    loop_timer_init(&r->timer, on_timer, r);
    start_watch(r);
    *state = r;
    return 0;
}

static int teardown(void **state)
{
    struct rig *r = *state;

    netwatch_free(r->w);
    loop_timer_clear(r->loop, &r->timer);
    loop_free(r->loop);
    free(r);
    destroy_topology();
    return 0;
}

static void restart_watch(struct rig *r)
{
    netwatch_free(r->w);
    start_watch(r);
}

/* Takes all that has been told until now. */
static void take_all(struct rig *r)
{
    struct pollfd p = {.fd = r->w->fd, .events = POLLIN};
    do {
        loop_timer_set(r->loop, &r->timer, 0);
        assert_int_equal(loop_run(r->loop), ERR_OK);
    } while (poll(&p, 1, 0) > 0);
}

static void run_until_settled(struct rig *r)
{
    r->until_settled = true;
    loop_timer_set(r->loop, &r->timer, loop_now(r->loop) + LIMIT_SEC * NS_PER_SEC);
    assert_int_equal(loop_run(r->loop), ERR_OK);
    loop_timer_clear(r->loop, &r->timer);
    r->until_settled = false;
}

/* Takes all that has been told, and has the debounce end. */
static void settle_now(struct rig *r)
{
    take_all(r);
    assert_true(loop_timer_armed(&r->w->quiet));
    loop_timer_set(r->loop, &r->w->quiet, 0);
    run_until_settled(r);
}

static void expect_nothing(struct rig *r)
{
    take_all(r);
    assert_int_equal(r->ways, 0);
    assert_false(loop_timer_armed(&r->w->quiet));
}

/* After a change: settles, and tells of `moves` of them in all; why: of the last one. */
static void expect_moves(struct rig *r, unsigned moves, const char *why)
{
    unsigned ways = r->ways, settled = r->settled;

    settle_now(r);
    assert_true(r->ways > ways);
    assert_int_equal(r->settled, settled + 1);
    assert_int_equal(r->moved, moves);
    assert_string_equal(r->why, why);
    assert_false(loop_timer_armed(&r->w->quiet));
}

/* ---- what is no change ---- */

static void test_refreshes(void **state)
{
    struct rig *r = *state;
    static const char *const again[] = {
        "addr change 192.0.2.10/24 dev up0 valid_lft 1000 preferred_lft 500",
        "addr change 192.0.2.10/24 dev up0 valid_lft 2000 preferred_lft 700",
        "link set up0 promisc on",
        "link set up0 txqueuelen 77",
        "link set up0 alias whatever",
    };

    for (size_t i = 0; i < ARRAY_LEN(again); i++) {
        netns_must(again[i]);
        expect_nothing(r);
    }
    netns_must("link set up0 mtu 1400"); /* lest this shows only that nothing is heard */
    take_all(r);
    assert_int_equal(r->ways, 1);
}

static void test_refreshes_v6(void **state)
{
    struct rig *r = *state;
    static const char *const again[] = {
        "-6 addr change 2001:db8:1::10/64 dev up0 valid_lft 2000 preferred_lft 700",
        "-6 addr change 2001:db8:1::10/64 dev up0 valid_lft 3000 preferred_lft 800",
        "-6 route replace default via 2001:db8:1::1 dev up0 metric 100 expires 2000",
        "-6 route replace default via 2001:db8:1::1 dev up0 metric 100 expires 3000",
    };

    if (!add_v6("-6 addr add 2001:db8:1::10/64 dev up0 nodad valid_lft 1000 preferred_lft 500"))
        skip();
    netns_must("-6 route add default via 2001:db8:1::1 dev up0 metric 100 expires 1000");
    restart_watch(r);
    for (size_t i = 0; i < ARRAY_LEN(again); i++) {
        netns_must(again[i]);
        expect_nothing(r);
    }
    netns_must("-6 route replace default via 2001:db8:1::2 dev up0 metric 100 expires 3000");
    expect_moves(r, 1, "the default route has changed");
    netns_must("-6 route replace default via 2001:db8:1::1 dev up0 metric 100 expires 3000");
    expect_moves(r, 2, "the default route has changed");
    netns_must("-6 addr change 2001:db8:1::10/64 dev up0 valid_lft 3000 preferred_lft 0");
    expect_moves(r, 2, "the default route has changed"); /* deprecated: a change, no move */
    netns_must("-6 addr del 2001:db8:1::10/64 dev up0");
    expect_moves(r, 2, "the default route has changed");
}

static void test_what_is_ours(void **state)
{
    struct rig *r = *state;
    static const char *const ours[] = {
        "addr add 100.64.0.2/32 dev tun",
        "addr del 100.64.0.2/32 dev tun",
        "route add 10.1.0.0/16 dev tun",
        "route add 0.0.0.0/1 dev tun",
        "route add default dev tun metric 1",
        "route add 10.2.0.0/16 via 192.0.2.1 dev up0 table 7777",
        "route del 10.2.0.0/16 via 192.0.2.1 dev up0 table 7777",
        "rule add not fwmark 1 priority 100 table 7777",
        "rule del priority 100",
        "link set tun mtu 1280",
        "link set tun down",
        "link set tun up",
    };

    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        netns_must(ours[i]);
        expect_nothing(r);
    }
    netns_must("route add default dev tun metric 1");
    netwatch_set_tun(r->w, 0);
    netwatch_set_tun(r->w, 0);
    netns_must("link del tun"); /* told of when it is gone already */
    expect_nothing(r);
    netns_must("tuntap add mode tun name tun");
    netwatch_set_tun(r->w, if_nametoindex("tun"));
    netns_must("link set tun up");
    expect_nothing(r);
    netns_must("rule add not fwmark 1 priority 100 table 7778");
    take_all(r);
    assert_int_equal(r->ways, 1);
    assert_false(r->w->check);
    netns_must("rule del priority 100");
    expect_moves(r, 0, "");
}

static void test_idle(void **state)
{
    struct rig *r = *state;
    struct rusage before, after;

    take_all(r);
    assert_int_equal(getrusage(RUSAGE_THREAD, &before), 0);
    loop_timer_set(r->loop, &r->timer, loop_now(r->loop) + NS_PER_SEC);
    assert_int_equal(loop_run(r->loop), ERR_OK);
    assert_int_equal(getrusage(RUSAGE_THREAD, &after), 0);
    assert_int_equal(r->ways + r->settled + r->moved, 0);
    assert_true(after.ru_nvcsw - before.ru_nvcsw < 20); /* it slept once, or nearly */
}

/* ---- moves ---- */

static void test_default_route(void **state)
{
    struct rig *r = *state;

    netns_must("route replace default via 192.0.2.1 dev up0 metric 100"); /* what is there */
    netns_must("route add 10.1.0.0/16 via 192.0.2.1 dev up0");
    expect_moves(r, 0, "");
    netns_must("route add default via 198.51.100.1 dev up1 metric 600");
    expect_moves(r, 0, "");
    netns_must("route add default via 198.51.100.1 dev up1 metric 50");
    netns_must("addr add 198.51.100.11/24 dev up1");
    netns_must("route del default metric 600");
    expect_moves(r, 1, "the default route has changed"); /* one, of many changes */
    assert_int_equal(r->ways, 3);
    netns_must("route del default metric 50");
    expect_moves(r, 2, "the default route has changed");
    netns_must("route replace default via 192.0.2.1 dev up0 metric 100 src 192.0.2.10");
    expect_moves(r, 3, "the default route has changed");
    netns_must(
        "route replace default metric 100 nexthop via 192.0.2.1 dev up0 nexthop via 198.51.100.1 dev up1");
    expect_moves(r, 4, "the default route has changed");
}

/* The route stays, what it names becomes another one. */
static void test_nexthop(void **state)
{
    struct rig *r = *state;

    if (!netns_ip("nexthop add id 7 via 192.0.2.1 dev up0"))
        skip();
    netns_must("route replace default nhid 7 metric 100");
    restart_watch(r);
    netns_must("nexthop replace id 7 via 192.0.2.2 dev up0");
    expect_moves(r, 1, "the default route has changed");
}

static void test_there_and_back(void **state)
{
    struct rig *r = *state;

    netns_must("route replace default via 192.0.2.2 dev up0 metric 100");
    take_all(r);
    netns_must("route replace default via 192.0.2.1 dev up0 metric 100");
    expect_moves(r, 0, "");
    link_down("up0", "up0-peer");
    link_up("up0", "up0-peer");
    netns_must("route add default via 192.0.2.1 dev up0 metric 100");
    expect_moves(r, 0, "");
}

static void test_no_default_route(void **state)
{
    struct rig *r = *state;

    link_down("up0", "up0-peer");
    expect_moves(r, 0, "");
    link_up("up0", "up0-peer");
    netns_must("route add default via 192.0.2.1 dev up0 metric 100");
    expect_moves(r, 0, "");
    link_down("up0", "up0-peer");
    expect_moves(r, 0, "");
    link_up("up0", "up0-peer");
    netns_must("route add default via 192.0.2.2 dev up0 metric 100");
    expect_moves(r, 1, "the default route has changed");
}

static void test_first_default_route(void **state)
{
    struct rig *r = *state;

    netns_must("route del default");
    restart_watch(r);
    netns_must("route add default via 192.0.2.1 dev up0");
    expect_moves(r, 1, "there is a default route now");
    if (!add_v6("-6 addr add 2001:db8:1::10/64 dev up0 nodad"))
        skip();
    netns_must("-6 route add default via 2001:db8:1::1 dev up0");
    expect_moves(r, 1, "there is a default route now"); /* one more, and the other is as before */
    netns_must("-6 route replace default via 2001:db8:1::2 dev up0");
    expect_moves(r, 2, "the default route has changed");
}

/* The next network's IPv6 takes its time. */
static void test_second_family_later(void **state)
{
    struct rig *r = *state;

    if (!add_v6("-6 addr add 2001:db8:1::10/64 dev up0 nodad"))
        skip();
    netns_must("-6 route add default via 2001:db8:1::1 dev up0");
    restart_watch(r);
    netns_must("-6 route del default");
    expect_moves(r, 0, "");
    netns_must("-6 route add default via 2001:db8:1::1 dev up0");
    expect_moves(r, 0, "");
    netns_must("-6 route del default");
    netns_must("route replace default via 192.0.2.2 dev up0 metric 100");
    expect_moves(r, 1, "the default route has changed");
    netns_must("-6 route add default via 2001:db8:1::2 dev up0");
    expect_moves(r, 1, "the default route has changed");
    netns_must("-6 route replace default via 2001:db8:1::1 dev up0");
    expect_moves(r, 2, "the default route has changed");
}

static void test_equal_routes(void **state)
{
    struct rig *r = *state;

    netns_must("route append default via 192.0.2.4 dev up0 metric 100");
    expect_moves(r, 0, "");
    netns_must("route prepend default via 192.0.2.3 dev up0 metric 100");
    expect_moves(r, 0, ""); /* the kernel lists it first now */
    netns_must("route del default via 192.0.2.1");
    expect_moves(r, 1, "the default route has changed");
}

static void test_addresses(void **state)
{
    struct rig *r = *state;

    netns_must("addr add 192.0.2.11/24 dev up0");
    expect_moves(r, 0, "");
    netns_must("addr del 192.0.2.11/24 dev up0");
    expect_moves(r, 1, "an address of the default route's interface is gone");
    netns_must("addr del 198.51.100.10/24 dev up1"); /* of another interface */
    expect_moves(r, 1, "an address of the default route's interface is gone");
    netns_must("addr del 192.0.2.10/24 dev up0");
    netns_must("addr add 192.0.2.12/24 dev up0");
    netns_must("route replace default via 192.0.2.1 dev up0 metric 100");
    expect_moves(r, 2, "an address of the default route's interface is gone");
}

static void test_hints(void **state)
{
    struct rig *r = *state;

    netwatch_hint(r->w, "a hint");
    netwatch_hint(r->w, "another one");
    assert_int_equal(r->ways, 0);
    expect_moves(r, 1, "a hint");
    assert_int_equal(r->ways, 1);
    r->w->told = loop_now(r->loop); /* a moment ago: the same move */
    netwatch_hint(r->w, "late");
    expect_moves(r, 1, "a hint");
    r->w->told = loop_now(r->loop) - NETWATCH_HINT_AFTER_NS;
    netwatch_hint(r->w, "too late");
    expect_moves(r, 2, "too late");
    r->w->told = 0;
    netwatch_hint(r->w, "together");
    netns_must("route replace default via 192.0.2.2 dev up0 metric 100");
    expect_moves(r, 3, "the default route has changed");
    r->w->told = 0;
    netns_must("addr add 192.0.2.11/24 dev up0");
    expect_moves(r, 3, "the default route has changed"); /* the hint is used up */
}

/* Whoever has been told by somebody else, and has acted, does not want to hear of it again. */
static void test_handled(void **state)
{
    struct rig *r = *state;

    netns_must("route replace default via 192.0.2.2 dev up0 metric 100");
    netwatch_handled(r->w);
    expect_moves(r, 0, "");
    netwatch_hint(r->w, "the same");
    expect_moves(r, 0, "");
    netns_must("route replace default via 192.0.2.3 dev up0 metric 100");
    expect_moves(r, 1, "the default route has changed");
    /* While there is none, the last one counts. */
    netns_must("route del default");
    netwatch_handled(r->w);
    netns_must("route add default via 192.0.2.3 dev up0 metric 100");
    expect_moves(r, 1, "the default route has changed");
}

/* From one network to another that has the same addresses. */
static void test_hint_without_a_route(void **state)
{
    struct rig *r = *state;

    netns_must("route del default");
    netwatch_hint(r->w, "no network");
    expect_moves(r, 0, "");
    netwatch_hint(r->w, "another network");
    expect_moves(r, 0, "");
    netns_must("route add default via 192.0.2.1 dev up0 metric 100");
    expect_moves(r, 1, "no network");
    netns_must("route del default");
    restart_watch(r); /* never had one: one does not know better */
    netwatch_hint(r->w, "a hint");
    expect_moves(r, 1, "a hint");
}

/* ---- time ---- */

static void test_debounce(void **state)
{
    struct rig *r = *state;

    netns_must("route replace default via 192.0.2.2 dev up0 metric 100");
    take_all(r);
    assert_int_equal(r->ways, 1);
    assert_int_equal(r->settled + r->moved, 0);
    time_ns first = r->w->quiet.deadline;
    assert_true(first == r->w->first + NETWATCH_QUIET_NS);
    netns_must("route add 10.1.0.0/16 via 192.0.2.1 dev up0");
    run_until_settled(r);
    assert_true(loop_now(r->loop) >= first);
    assert_int_equal(r->ways, 2);
    assert_int_equal(r->moved, 1);
}

static void test_deadlines(void **state)
{
    const time_ns ms = NS_PER_MS;

    (void)state;
    assert_true(netwatch_deadline(1000 * ms, 1000 * ms) == 1500 * ms);
    assert_true(netwatch_deadline(1000 * ms, 2400 * ms) == 2900 * ms);
    assert_true(netwatch_deadline(1000 * ms, 2600 * ms) == 3000 * ms);
    assert_true(netwatch_deadline(1000 * ms, 9000 * ms) == 3000 * ms);
}

static void test_suspended(void **state)
{
    static const struct {
        unsigned boot, monotonic; /* s */
        unsigned expected;
    } cases[] = {
        {100, 90, 0},  {150, 140, 0}, {162, 140, 12}, {170, 148, 0},
        {171, 148, 0}, /* a second is too little, and does not add up */
        {172, 148, 0}, {180, 154, 2}, {180, 180, 0},  {180, 170, 10},
    };
    time_ns asleep = 10 * NS_PER_SEC;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct netwatch_clocks now = {cases[i].boot * NS_PER_SEC, cases[i].monotonic * NS_PER_SEC};
        time_ns got = netwatch_suspended(&asleep, &now);
        if (got != cases[i].expected * NS_PER_SEC)
            fail_msg("case %zu: %u s", i, (unsigned)(got / NS_PER_SEC));
    }
}

static void test_suspend(void **state)
{
    struct rig *r = *state;

    clock_was_set(r->w, LOOP_READ); /* by hand: no suspend */
    assert_int_equal(r->ways + r->moved, 0);
    r->clocks.boot += 12 * NS_PER_SEC;
    clock_was_set(r->w, LOOP_READ);
    assert_int_equal(r->ways, 1);
    assert_int_equal(r->moved, 0);
    settle_now(r);
    assert_int_equal(r->moved, 1);
    assert_string_equal(r->why, "the machine was suspended for 12 s");
    assert_false(loop_timer_armed(&r->w->quiet));
    r->clocks.boot += 3 * NS_PER_SEC;
    netns_must(
        "route add 10.1.0.0/16 via 192.0.2.1 dev up0"); /* seen before the clock's own event */
    expect_moves(r, 2, "the machine was suspended for 3 s");
    netwatch_hint(r->w, "what else came with it"); /* is no move of its own */
    r->clocks.boot += 4 * NS_PER_SEC;
    expect_moves(r, 3, "the machine was suspended for 4 s"); /* the debounce looks, too */
    /* Nowhere to go yet. */
    netns_must("route del default");
    expect_moves(r, 3, "the machine was suspended for 4 s");
    r->clocks.boot += 5 * NS_PER_SEC;
    clock_was_set(r->w, LOOP_READ);
    settle_now(r);
    assert_int_equal(r->moved, 3);
    netns_must("route add default via 192.0.2.1 dev up0 metric 100");
    expect_moves(r, 4, "the machine was suspended for 5 s");
}

static void test_real_clocks(void **state)
{
    struct rig *r = *state;
    struct netwatch_clocks now;

    read_clocks(NULL, &now);
    assert_true(now.boot > 0 && now.monotonic > 0);
    r->w->read_clocks = read_clocks;
    r->w->asleep = time_since(now.boot, now.monotonic);
    assert_true(r->w->clock_fd >= 0);
    take_all(r);
    clock_was_set(r->w, LOOP_READ);
    assert_int_equal(r->moved, 0);
}

/* ---- what can go wrong ---- */

static void flood(const char *verb)
{
    FILE *p = popen("ip -batch - >/dev/null 2>&1", "w");
    assert_non_null(p);
    for (int i = 0; i < FLOOD; i++)
        fprintf(p, "route %s 10.%d.%d.0/24 via 192.0.2.1 dev up0\n", verb, i / 250, i % 250);
    assert_int_equal(pclose(p), 0);
}

static void test_lost_notifications(void **state)
{
    struct rig *r = *state;
    int size = 1;

    assert_int_equal(setsockopt(r->w->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
    assert_true(r->w->seen.len > 0);
    flood("add");
    netns_must("route replace default via 192.0.2.2 dev up0 metric 100"); /* among what is lost */
    take_all(r);
    assert_int_equal(r->w->seen.len, 0);
    assert_true(r->w->check);
    assert_true(r->ways > 0);
    settle_now(r);
    assert_int_equal(r->moved, 1);
}

static void test_batches(void **state)
{
    struct rig *r = *state;
    struct pollfd p = {.fd = r->w->fd, .events = POLLIN};

    flood("add");
    loop_timer_set(r->loop, &r->timer, 0);
    assert_int_equal(loop_run(r->loop), ERR_OK);
    assert_int_equal(poll(&p, 1, 0), 1); /* others have their turn before the rest */
    assert_true(r->ways >= 1);
    assert_true(r->ways < FLOOD / NETWATCH_BATCH);
    flood("del");
    expect_moves(r, 0, "");
}

static void test_without_v6(void **state)
{
    struct rig *r = *state;

    if (!set_v6("all", "disable_ipv6", "1"))
        skip();
    restart_watch(r);
    netns_must("route replace default via 192.0.2.2 dev up0 metric 100");
    expect_moves(r, 1, "the default route has changed");
    assert_true(set_v6("all", "disable_ipv6", "0"));
}

static void test_free_with_changes_pending(void **state)
{
    struct rig *r = *state;

    netns_must("route replace default via 192.0.2.2 dev up0 metric 100");
    take_all(r);
    netns_must("route replace default via 192.0.2.3 dev up0 metric 100");
    netwatch_free(r->w);
    r->w = NULL;
    loop_timer_set(r->loop, &r->timer, loop_now(r->loop) + 2 * NETWATCH_QUIET_NS);
    assert_int_equal(loop_run(r->loop), ERR_OK);
    assert_int_equal(r->ways, 1);
    assert_int_equal(r->settled + r->moved, 0);
}

static void test_too_many_own_tables(void **state)
{
    struct rig *r = *state;
    static const uint32_t tables[NETWATCH_OWN_TABLES_MAX + 1] = {0};
    const struct netwatch_config config = {.own_tables = tables,
                                           .own_tables_len = ARRAY_LEN(tables)};
    struct netwatch *w;
    char why[128] = "";

    assert_int_equal(netwatch_new(&w, r->loop, &config, &events, r, why, sizeof why), ERR_INVALID);
    assert_null(w);
    assert_string_equal(why, "at most 8 routing tables can be ours");
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(refreshes),
        TEST(refreshes_v6),
        TEST(what_is_ours),
        TEST(idle),
        TEST(default_route),
        TEST(nexthop),
        TEST(there_and_back),
        TEST(no_default_route),
        TEST(first_default_route),
        TEST(second_family_later),
        TEST(equal_routes),
        TEST(addresses),
        TEST(hints),
        TEST(handled),
        TEST(hint_without_a_route),
        TEST(debounce),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_suspended),
        TEST(suspend),
        TEST(real_clocks),
        TEST(lost_notifications),
        TEST(batches),
        TEST(without_v6),
        TEST(free_with_changes_pending),
        TEST(too_many_own_tables),
    };
    netns_enter_or_skip();
    /* Nothing on its own account: no link-local addresses, and none that waits for its check. */
    bool quiet = set_v6("default", "addr_gen_mode", "1") && set_v6("default", "accept_dad", "0");
    if (!quiet && access("/proc/sys/net/ipv6", F_OK) == 0) {
        fprintf(stderr, "skipped: /proc/sys/net/ipv6 cannot be written\n");
        return TEST_SKIPPED;
    }
    if (!build_topology())
        return TEST_SKIPPED;
    destroy_topology();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
