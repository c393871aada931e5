/* SPDX-License-Identifier: Apache-2.0 */
/* What figures of rounds are called as rows, and the ratios that come with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "bench/net_rows.h"
#include "platform/base/bytes.h"

static void test_setting(void **state)
{
    char text[64];

    (void)state;
    net_rows_setting(text, sizeof text, 1420, true);
    assert_string_equal(text, "mtu1420");
    net_rows_setting(text, sizeof text, 1280, false);
    assert_string_equal(text, "mtu1280-offloads-off");
    net_rows_setting_link(text, sizeof text, &(struct net_link_setting){10 * NS_PER_MS, 10000});
    assert_string_equal(text, "mtu1280-offloads-off-rtt10ms-loss1%");
}

static const struct net_impl impls[] = {
    {.name = "ours", .kind = NET_OURS},
    {.name = "wireguard-go", .kind = NET_WIREGUARD_GO},
    {.name = "epoll", .kind = NET_OURS},
};

static void add_round(struct result *r, double ours, double go, double epoll)
{
    static const struct net_unit us = {"us", RESULT_LOWER, GATE_NONE};
    static const struct net_unit operations = {"operations/MiB", RESULT_NEITHER, GATE_NONE};
    struct net_figures f[ARRAY_LEN(impls)] = {0};
    const double values[] = {ours, go, epoll};

    for (size_t i = 0; i < ARRAY_LEN(impls); i++)
        net_rows_figure(&f[i], "rtt", "idle-p50", &us, values[i]);
    net_rows_figure(&f[0], "calls", "io_uring", &operations, 7);
    net_rows_add(r, "mtu1420", impls, f, ARRAY_LEN(impls));
    net_rows_add_ratios(r, "mtu1420", impls, f, ARRAY_LEN(impls));
}

static void check_row(const struct result *r, size_t i, const char *name, const char *unit,
                      double median)
{
    assert_string_equal(r->rows[i].name, name);
    assert_string_equal(r->rows[i].unit, unit);
    assert_true(result_median(&r->rows[i]) == median);
}

static void test_rows(void **state)
{
    struct result r;

    (void)state;
    result_init(&r, "net");
    add_round(&r, 10, 20, 8);
    add_round(&r, 30, 30, 0); /* nothing to divide by: no sample of that ratio */
    add_round(&r, 20, 100, 20);
    assert_int_equal(r.n, 6);
    check_row(&r, 0, "net/rtt/idle-p50/mtu1420/ours", "us", 20);
    check_row(&r, 1, "net/calls/io_uring/mtu1420/ours", "operations/MiB", 7);
    check_row(&r, 2, "net/rtt/idle-p50/mtu1420/wireguard-go", "us", 30);
    check_row(&r, 3, "net/rtt/idle-p50/mtu1420/epoll", "us", 8);
    check_row(&r, 4, "net/rtt/idle-p50/mtu1420/ratio", "x", 0.5);
    check_row(&r, 5, "net/rtt/idle-p50/mtu1420/ratio-epoll", "x", 1.125);
    assert_int_equal(r.rows[4].n, 3);
    assert_int_equal(r.rows[5].n, 2);
    assert_int_equal(r.rows[4].better, RESULT_LOWER);
    result_fini(&r);
}

/* With all samples, behind what is there. */
static void test_append(void **state)
{
    struct result r, more;

    (void)state;
    result_init(&r, "net");
    result_init(&more, "net");
    result_add(&r, "net/a", "us", RESULT_LOWER, GATE_NONE, 1);
    result_add(&more, "net/b", "x", RESULT_HIGHER, GATE_SYSCALLS, 5);
    result_add(&more, "net/a", "us", RESULT_LOWER, GATE_NONE, 3);
    result_add(&more, "net/b", "x", RESULT_HIGHER, GATE_SYSCALLS, 7);
    net_rows_append(&r, &more);
    assert_int_equal(r.n, 2);
    check_row(&r, 0, "net/a", "us", 2);
    check_row(&r, 1, "net/b", "x", 6);
    assert_int_equal(r.rows[1].better, RESULT_HIGHER);
    assert_int_equal(r.rows[1].gate, GATE_SYSCALLS);
    result_fini(&more);
    result_fini(&r);
}

/* Of that setting, in Gbit/s, and above half of what the link carries. */
static void test_mark(void **state)
{
    struct result r;

    (void)state;
    result_init(&r, "net");
    result_add(&r, "net/tcp1/forward/mtu1420-rtt0-loss0/ours", "Gbit/s", RESULT_HIGHER, GATE_NONE,
               4.1);
    result_add(&r, "net/tcp1/back/mtu1420-rtt0-loss0/ours", "Gbit/s", RESULT_HIGHER, GATE_NONE, 4);
    result_add(&r, "net/rtt/idle-p50/mtu1420-rtt0-loss0/ours", "us", RESULT_LOWER, GATE_NONE, 90);
    result_add(&r, "net/tcp1/forward/mtu1420/ours", "Gbit/s", RESULT_HIGHER, GATE_NONE, 4.1);
    net_rows_mark(&r, "mtu1420-rtt0-loss0", 8);
    assert_string_equal(r.rows[0].note, "above half of what the link carries");
    for (size_t i = 1; i < r.n; i++)
        assert_null(r.rows[i].note);
    check_row(&r, r.n - 1, "net/link/ceiling/mtu1420-rtt0-loss0/fzlink", "Gbit/s", 8);
    result_fini(&r);
}

static void check_note(const struct result *r, const char *name, const char *note)
{
    const struct result_row *row = result_find(r, name);

    assert_non_null(row);
    if (note == NULL)
        assert_null(row->note);
    else
        assert_string_equal(row->note, note);
}

/* Only rates of the relayed path in that setting, and what limits it only where it goes as fast as it can. */
static void test_mark_relayed(void **state)
{
    struct result r;

    (void)state;
    result_init(&r, "net");
    result_add(&r, "net/tcp1/forward/mtu1280/relayed", "Gbit/s", RESULT_HIGHER, GATE_NONE, 2);
    result_add(&r, "net/tcp1/forward/mtu1280/direct", "Gbit/s", RESULT_HIGHER, GATE_NONE, 4);
    result_add(&r, "net/tcp1/forward/mtu1280-offloads-off/relayed", "Gbit/s", RESULT_HIGHER,
               GATE_NONE, 1);
    result_add(&r, "net/paced/rate/mtu1280/relayed", "Gbit/s", RESULT_NEITHER, GATE_NONE, 0.5);
    result_add(&r, "net/paced/lost/mtu1280/relayed", "%", RESULT_LOWER, GATE_NONE, 0);
    net_rows_mark_relayed(&r, "mtu1280", "relayed", "peer to relay");
    check_note(&r, "net/tcp1/forward/mtu1280/relayed",
               "peer to relay; the relay takes its share of the CPUs");
    check_note(&r, "net/tcp1/forward/mtu1280/direct", NULL);
    check_note(&r, "net/tcp1/forward/mtu1280-offloads-off/relayed", NULL);
    check_note(&r, "net/paced/rate/mtu1280/relayed", "peer to relay");
    check_note(&r, "net/paced/lost/mtu1280/relayed", NULL);
    result_fini(&r);
}

static void add_goal(struct result *r, const char *path, const char *rival, double ratio)
{
    char name[64];

    snprintf(name, sizeof name, "net/%s/mtu1280/ratio-%s", path, rival);
    result_add(r, name, "x", RESULT_LOWER, GATE_NONE, ratio);
}

static void test_goals(void **state)
{
    struct result r;

    (void)state;
    result_init(&r, "net");
    add_goal(&r, "paced/client", "direct", 1.15);
    add_goal(&r, "paced/gateway", "direct", 1.16);
    add_goal(&r, "paced/calls", "direct", 0.89);
    add_goal(&r, "tcp1/forward", "direct", 0.5);
    add_goal(&r, "tcp1/forward", "wireguard", 0.85);
    add_goal(&r, "tcp4/back", "wireguard", 0.84);
    add_goal(&r, "paced/client", "wireguard", 2);
    net_rows_mark_goals(&r, "mtu1420"); /* no rows of it */
    for (size_t i = 0; i < r.n; i++)
        assert_null(r.rows[i].note);
    net_rows_mark_goals(&r, "mtu1280");
    check_note(&r, "net/paced/client/mtu1280/ratio-direct", "goal: at most 1.15, met");
    check_note(&r, "net/paced/gateway/mtu1280/ratio-direct", "goal: at most 1.15, missed");
    check_note(&r, "net/paced/calls/mtu1280/ratio-direct", "goal: 0.9 to 1.1, missed");
    check_note(&r, "net/tcp1/forward/mtu1280/ratio-direct", NULL);
    check_note(&r, "net/tcp1/forward/mtu1280/ratio-wireguard", "goal: at least 0.85, met");
    check_note(&r, "net/tcp4/back/mtu1280/ratio-wireguard", "goal: at least 0.85, missed");
    check_note(&r, "net/paced/client/mtu1280/ratio-wireguard", NULL);
    result_fini(&r);
}

static void test_dns_goals(void **state)
{
    static const struct {
        const char *name, *note;
        double value;
    } rows[] = {
        {"net/dns/resource/p99/mtu1280/firezone", "goal: at most 1000, met", 1000},
        {"net/dns/resource/p999/mtu1280/firezone", NULL, 5000},
        {"net/dns/resource/client/mtu1280/firezone", "goal: at most 1, missed", 1.01},
        {"net/dns/resource/lost/mtu1280/firezone", "goal: at most 0, met", 0},
        {"net/dns/used/p99/mtu1280/firezone", "goal: at most 1000, missed", 1001},
        {"net/dns/upstream/lost/mtu1280/firezone", "goal: at most 0, missed", 1},
        {"net/dns/upstream/p99/mtu1280/firezone", NULL, 100},
        {"net/dns/upstream/lost/mtu1280/other", NULL, 1},
    };
    struct result r;

    (void)state;
    result_init(&r, "net");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        result_add(&r, rows[i].name, "us", RESULT_LOWER, GATE_NONE, rows[i].value);
    net_rows_mark_dns(&r, "mtu1280", "firezone");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        check_note(&r, rows[i].name, rows[i].note);
    result_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_setting),      cmocka_unit_test(test_rows),
        cmocka_unit_test(test_append),       cmocka_unit_test(test_mark),
        cmocka_unit_test(test_mark_relayed), cmocka_unit_test(test_goals),
        cmocka_unit_test(test_dns_goals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
