/* SPDX-License-Identifier: Apache-2.0 */
/* When packets of a rate are due. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/net_pace.h"
#include "platform/base/time.h"

/* 100,000 a second: one each 10 us. */
static void test_pace(void **state)
{
    struct net_pace p = {.per_ns = 1e-4, .origin_ns = 1000};

    (void)state;
    assert_int_equal(net_pace_due(&p, 1000), 0);
    assert_int_equal(net_pace_due(&p, 1000 + 9999), 0);
    assert_int_equal(net_pace_due(&p, 1000 + 10000), 1);
    assert_int_equal(net_pace_due(&p, 1000 + 205000), 20);
    p.sent = 20;
    assert_int_equal(net_pace_due(&p, 1000 + 205000), 0);
    assert_int_equal(net_pace_due(&p, 1000 + 215000), 1);
}

/* After a second in which it could not run, a sender does not send that second's packets, and keeps its rate. */
static void test_held_up(void **state)
{
    struct net_pace p = {.per_ns = 1e-4, .origin_ns = 0};
    uint64_t now = NS_PER_SEC;

    (void)state;
    assert_int_equal(net_pace_due(&p, now), 100); /* of one millisecond */
    p.sent += 100;
    assert_int_equal(net_pace_due(&p, now), 0);
    uint64_t later = net_pace_due(&p, now + NS_PER_MS / 2);
    assert_true(later >= 49 && later <= 50);
}

/* A slow rate may still send a batch at once. */
static void test_held_up_slow(void **state)
{
    struct net_pace p = {.per_ns = 1e-6, .origin_ns = 0};

    (void)state;
    assert_int_equal(net_pace_due(&p, NS_PER_SEC), NET_PACE_BATCH);
}

/* Batches are what comes in 100 us, but something at least, and no more than fits. */
static void test_batch(void **state)
{
    struct net_pace p;

    (void)state;
    net_pace_init(&p, 1e3, 0);
    assert_int_equal(net_pace_batch(&p), 1);
    net_pace_init(&p, 1e6, 0);
    assert_int_equal(net_pace_batch(&p), NET_PACE_BATCH);
    net_pace_init(&p, 200e3, 5000);
    assert_int_equal(net_pace_batch(&p), 20);
    p.sent = 40;
    assert_int_equal(net_pace_due(&p, net_pace_next(&p) - 1000), 19);
    assert_int_equal(net_pace_due(&p, net_pace_next(&p)), 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_pace), cmocka_unit_test(test_held_up),
                                       cmocka_unit_test(test_held_up_slow),
                                       cmocka_unit_test(test_batch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
