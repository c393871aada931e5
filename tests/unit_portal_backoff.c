/* SPDX-License-Identifier: Apache-2.0 */
/* The schedule of attempts to reach the portal, exact where nothing is random. */
#include "control/portal/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static time_ns next(struct backoff *b)
{
    time_ns delay = 0;
    assert_true(backoff_next(b, &delay));
    return delay;
}

static void test_before_the_first_join(void **state)
{
    struct backoff b;
    time_ns unset = 77;
    (void)state;

    backoff_init(&b, TIME_NEVER, 1);
    for (unsigned i = 0; i < 15; i++) {
        assert_int_equal(backoff_left(&b), (15 - i) * NS_PER_SEC);
        assert_int_equal(next(&b), NS_PER_SEC);
    }
    assert_false(backoff_next(&b, &unset));
    assert_int_equal(unset, 77);
    assert_int_equal(backoff_left(&b), 0);
}

static void test_deliberate_reconnect_starts_over(void **state)
{
    struct backoff b;
    (void)state;

    backoff_init(&b, TIME_NEVER, 1);
    for (unsigned i = 0; i < 15; i++)
        next(&b);
    backoff_reset(&b);
    assert_int_equal(backoff_left(&b), 15 * NS_PER_SEC); /* still before the first join */
    assert_int_equal(next(&b), NS_PER_SEC);
}

static void test_steps_after_the_first_join(void **state)
{
    struct backoff b;
    time_ns step = 500 * NS_PER_MS;
    unsigned i = 0;
    (void)state;

    backoff_init(&b, TIME_NEVER, 12345);
    backoff_joined(&b);
    for (; step < 60 * NS_PER_SEC; step += step / 2, i++) {
        time_ns delay = next(&b);
        assert_in_range(delay, step, 2 * step - 1);
    }
    assert_int_equal(i, 12); /* 0.5 s * 1.5^12 is more than 60 s */
    for (i = 0; i < 100; i++)
        assert_in_range(next(&b), 60 * NS_PER_SEC, 120 * NS_PER_SEC - 1);
    assert_int_equal(backoff_left(&b), TIME_NEVER);
    backoff_joined(&b);
    assert_in_range(next(&b), 500 * NS_PER_MS, NS_PER_SEC - 1);
}

/* Clients that lost the portal at the same time come back spread over the step. */
static void test_jitter_is_spread(void **state)
{
    unsigned quarters[4] = {0};
    (void)state;

    for (uint64_t seed = 0; seed < 4000; seed++) {
        struct backoff b;
        backoff_init(&b, TIME_NEVER, seed * UINT64_C(0x9e3779b97f4a7c15));
        backoff_joined(&b);
        quarters[(next(&b) - 500 * NS_PER_MS) / (125 * NS_PER_MS)]++;
    }
    for (unsigned i = 0; i < 4; i++)
        assert_in_range(quarters[i], 850, 1150);
}

static void test_budget_after_the_first_join(void **state)
{
    struct backoff b;
    time_ns delay, sum = 0;
    (void)state;

    backoff_init(&b, 30 * NS_PER_SEC, 7);
    backoff_joined(&b);
    while (backoff_next(&b, &delay))
        sum += delay;
    assert_in_range(sum, 1, 30 * NS_PER_SEC);
    assert_int_equal(backoff_left(&b), 30 * NS_PER_SEC - sum);
    assert_false(backoff_next(&b, &delay));
    backoff_reset(&b);
    assert_true(backoff_next(&b, &delay));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_the_first_join),
        cmocka_unit_test(test_deliberate_reconnect_starts_over),
        cmocka_unit_test(test_steps_after_the_first_join),
        cmocka_unit_test(test_jitter_is_spread),
        cmocka_unit_test(test_budget_after_the_first_join),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
