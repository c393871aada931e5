/* SPDX-License-Identifier: Apache-2.0 */
/* UDP trials: when packets are due, and what passes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/net_udp.c"

/* 100,000 a second: one each 10 us. */
static void test_pace(void **state)
{
    struct pace p = {.per_ns = 1e-4, .origin_ns = 1000};

    (void)state;
    assert_int_equal(pace_due(&p, 1000), 0);
    assert_int_equal(pace_due(&p, 1000 + 9999), 0);
    assert_int_equal(pace_due(&p, 1000 + 10000), 1);
    assert_int_equal(pace_due(&p, 1000 + 205000), 20);
    p.sent = 20;
    assert_int_equal(pace_due(&p, 1000 + 205000), 0);
    assert_int_equal(pace_due(&p, 1000 + 215000), 1);
}

/* After a second in which it could not run, a sender does not send that second's packets, and keeps its rate. */
static void test_held_up(void **state)
{
    struct pace p = {.per_ns = 1e-4, .origin_ns = 0};
    uint64_t now = NS_PER_SEC;

    (void)state;
    assert_int_equal(pace_due(&p, now), 100); /* of one millisecond */
    p.sent += 100;
    assert_int_equal(pace_due(&p, now), 0);
    uint64_t later = pace_due(&p, now + NS_PER_MS / 2);
    assert_true(later >= 49 && later <= 50);
}

/* A slow rate may still send a batch at once. */
static void test_held_up_slow(void **state)
{
    struct pace p = {.per_ns = 1e-6, .origin_ns = 0};

    (void)state;
    assert_int_equal(pace_due(&p, NS_PER_SEC), BATCH);
}

static void test_passed(void **state)
{
    static const struct {
        uint64_t sent, received;
        bool offered, passed;
    } cases[] = {
        {10000, 10000, true, true},   {10000, 9990, true, true}, {10000, 9989, true, false},
        {10000, 10000, false, false}, {10000, 0, true, false},   {100, 99, true, false},
        {100, 101, true, true}, /* a duplicate is no loss */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct net_udp_trial t = {.sent = cases[i].sent,
                                        .received = cases[i].received,
                                        .seconds = 1,
                                        .offered = cases[i].offered};
        assert_int_equal(net_udp_passed(&t, 0), cases[i].passed);
    }
}

/* What the link loses is not held against the tunnel: 1 %, three standard deviations of it, and 0.1 %. */
static void test_passed_loss(void **state)
{
    struct net_udp_trial t = {.sent = 10000, .seconds = 1, .offered = true};

    (void)state;
    t.received = 10000 - 100 - 30 - 10;
    assert_true(net_udp_passed(&t, 0.01));
    t.received--;
    assert_false(net_udp_passed(&t, 0.01));
}

static void test_gbit(void **state)
{
    const struct net_udp_trial t = {.received = 100000, .seconds = 2};

    (void)state;
    assert_true(net_udp_gbit(&t) == 0.512); /* 50,000 a second of 10,240 bits */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pace),         cmocka_unit_test(test_held_up),
        cmocka_unit_test(test_held_up_slow), cmocka_unit_test(test_passed),
        cmocka_unit_test(test_passed_loss),  cmocka_unit_test(test_gbit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
