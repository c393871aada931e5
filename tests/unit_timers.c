/* SPDX-License-Identifier: Apache-2.0 */
/* A peer's timers event by event; how they work together is unit_handshake's. */
#include "control/wg/timers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

static struct timers t;
static const struct wg_activity nothing;
static const struct wg_timing plain = WG_TIMING_DEFAULT;
static const time_ns start = 1000 * NS_PER_SEC;

#define SECONDS(n) ((n)*NS_PER_SEC)

static int set_up(void **state)
{
    (void)state;
    timers_init(&t, &plain, 1, start);
    return 0;
}

static void assert_off_but(enum timer on, time_ns at)
{
    for (int i = 0; i < TIMER_COUNT; i++)
        assert_int_equal(t.at[i], i == (int)on ? at : TIME_NEVER);
    assert_int_equal(timers_next(&t), on == TIMER_COUNT ? TIME_NEVER : at);
}

static void test_all_off(void **state)
{
    (void)state;
    assert_off_but(TIMER_COUNT, 0);
    assert_int_equal(timers_expire(&t, TIME_NEVER - 1, &nothing), 0);
}

static void test_data_received(void **state)
{
    struct wg_activity a = {.unacked_since = start};
    (void)state;
    timers_data_received(&t, start);
    timers_data_received(&t, start + SECONDS(5)); /* counts from the first */
    assert_off_but(TIMER_KEEPALIVE, start + SECONDS(10));
    assert_int_equal(timers_expire(&t, start + SECONDS(10) - 1, &a), 0);
    assert_int_equal(timers_expire(&t, start + SECONDS(10), &a), TIMER_BIT(TIMER_KEEPALIVE));
    assert_off_but(TIMER_COUNT, 0);
}

static void test_edge_is_lazy(void **state)
{
    struct wg_activity a = {.unacked_since = start + SECONDS(4)};
    (void)state;
    timers_data_received(&t, start);
    assert_int_equal(timers_expire(&t, start + SECONDS(12), &a), 0);
    assert_off_but(TIMER_KEEPALIVE, start + SECONDS(14));
    a.unacked_since = 0;
    assert_int_equal(timers_expire(&t, start + SECONDS(14), &a), 0);
    assert_off_but(TIMER_COUNT, 0);
}

static void test_data_sent(void **state)
{
    struct wg_activity a = {.unanswered_since = start};
    (void)state;
    timers_data_sent(&t, start);
    assert_in_range(timers_next(&t), start + SECONDS(15), start + SECONDS(15) + WG_REKEY_JITTER_NS);
    assert_int_equal(timers_expire(&t, timers_next(&t), &a), TIMER_BIT(TIMER_NEW_HANDSHAKE));
    assert_off_but(TIMER_COUNT, 0);
}

/* Jitter stays in its range, and uses it. */
static void test_jitter(void **state)
{
    time_ns low = TIME_NEVER, high = 0;
    (void)state;
    for (uint32_t i = 0; i < 1000; i++) {
        timers_init(&t, &plain, i, start);
        for (int j = 0; j < 3; j++)
            timers_initiation_sent(&t, start);
        time_ns jitter = t.at[TIMER_RETRANSMIT] - start - SECONDS(5);
        low = time_min(low, jitter);
        high = jitter > high ? jitter : high;
    }
    assert_true(low < WG_REKEY_JITTER_NS / 50);
    assert_in_range(high, WG_REKEY_JITTER_NS / 50 * 49, WG_REKEY_JITTER_NS);
}

static void test_series(void **state)
{
    (void)state;
    timers_initiation_sent(&t, start);
    timers_initiation_sent(&t, start + SECONDS(5));
    assert_int_equal(t.at[TIMER_ATTEMPT], start + SECONDS(90)); /* counts from the first */
    timers_handshake_complete(&t);
    assert_off_but(TIMER_COUNT, 0);

    timers_initiation_sent(&t, start);
    timers_data_sent(&t, start);
    timers_data_received(&t, start);
    timers_handshake_failed(&t, start);
    assert_off_but(TIMER_ZERO_KEYS, start + SECONDS(540));
    timers_handshake_failed(&t, start + SECONDS(100)); /* does not put it off */
    assert_off_but(TIMER_ZERO_KEYS, start + SECONDS(540));
}

static void test_session(void **state)
{
    (void)state;
    timers_data_sent(&t, start);
    timers_data_received(&t, start);
    timers_session_derived(&t, start, true);
    assert_off_but(TIMER_ZERO_KEYS, start + SECONDS(540));
    timers_session_derived(&t, start + SECONDS(120), false);
    assert_off_but(TIMER_ZERO_KEYS, start + SECONDS(660));
    assert_int_equal(timers_expire(&t, start + SECONDS(660), &nothing), TIMER_BIT(TIMER_ZERO_KEYS));
    assert_off_but(TIMER_COUNT, 0);
}

static void test_idle_rekey(void **state)
{
    (void)state;
    t.timing.rekey_idle = true;
    timers_session_derived(&t, start, true);
    assert_int_equal(t.at[TIMER_IDLE_REKEY], start + SECONDS(180));
    timers_session_derived(&t, start, false);
    assert_off_but(TIMER_ZERO_KEYS, start + SECONDS(540));
    assert_int_equal(t.last_handshake, start);
    timers_initiation_sent(&t, start + 1);
    assert_int_equal(t.last_handshake, start + 1);
}

static void test_persistent(void **state)
{
    static const struct {
        time_ns sent, received, handshake, next;
        bool due;
    } cases[] = {
        /* seconds; the timer runs out at 25 */
        {0, 0, 0, 50, true},   {10, 0, 0, 35, false}, {0, 10, 0, 35, false},
        {0, 0, 10, 35, false}, {7, 9, 8, 34, false},  {26, 1, 1, 51, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct wg_activity a = {.last_sent = start + SECONDS(cases[i].sent),
                                .last_received = start + SECONDS(cases[i].received)};
        timers_init(&t, &plain, 1, start);
        timers_persistent_set(&t, start, SECONDS(25));
        t.last_handshake = start + SECONDS(cases[i].handshake);
        unsigned due = timers_expire(&t, start + SECONDS(25), &a);
        assert_int_equal(due, cases[i].due ? TIMER_BIT(TIMER_PERSISTENT) : 0);
        assert_off_but(TIMER_PERSISTENT, start + SECONDS(cases[i].next));
    }
    timers_reset(&t);
    assert_true(timers_on(&t, TIMER_PERSISTENT));
    timers_persistent_set(&t, start, 0);
    assert_off_but(TIMER_COUNT, 0);
}

static void test_reset(void **state)
{
    (void)state;
    timers_initiation_sent(&t, start);
    timers_session_derived(&t, start, true);
    timers_data_sent(&t, start);
    timers_reset(&t);
    assert_off_but(TIMER_COUNT, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(test_##name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(all_off), TEST(data_received), TEST(edge_is_lazy), TEST(data_sent),  TEST(jitter),
        TEST(series),  TEST(session),       TEST(idle_rekey),   TEST(persistent), TEST(reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
