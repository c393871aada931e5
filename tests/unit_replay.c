/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replay window: numbered steps on one window (after the idea of WireGuard's counter self-test),
 * limits, large jumps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/replay.h"
#include "platform/base/bytes.h"

enum {
    W = REPLAY_WINDOW
};

#define L REPLAY_COUNTER_LIMIT

struct step {
    uint64_t counter;
    enum replay_result expected;
};

/* Runs the steps on a fresh window; check must agree with commit. */
static void run(const struct step *steps, size_t n)
{
    struct replay r;
    replay_init(&r);
    for (size_t i = 0; i < n; i++) {
        enum replay_result checked = replay_check(&r, steps[i].counter);
        enum replay_result got = replay_commit(&r, steps[i].counter);
        if (checked != got || got != steps[i].expected)
            fail_msg("step %zu: check %d, commit %d, expected %d", i, (int)checked, (int)got,
                     (int)steps[i].expected);
    }
}

static void test_numbered(void **state)
{
    (void)state;
    const struct step steps[] = {
        /*  0 */ {0, REPLAY_OK},
        /*  1 */ {1, REPLAY_OK},
        /*  2 */ {1, REPLAY_DUPLICATE},
        /*  3 */ {9, REPLAY_OK},
        /*  4 */ {8, REPLAY_OK},
        /*  5 */ {7, REPLAY_OK},
        /*  6 */ {7, REPLAY_DUPLICATE},
        /*  7: the whole window is still open */ {W, REPLAY_OK},
        /*  8 */ {W - 1, REPLAY_OK},
        /*  9 */ {W - 1, REPLAY_DUPLICATE},
        /* 10 */ {W - 2, REPLAY_OK},
        /* 11 */ {2, REPLAY_OK},
        /* 12 */ {2, REPLAY_DUPLICATE},
        /* 13 */ {W + 16, REPLAY_OK},
        /* 14 */ {3, REPLAY_OLD},
        /* 15 */ {16, REPLAY_OLD},
        /* 16: the oldest that is told apart */ {17, REPLAY_OK},
        /* 17 */ {17, REPLAY_DUPLICATE},
        /* 18 */ {W + 16, REPLAY_DUPLICATE},
        /* 19 */ {3 * (uint64_t)W, REPLAY_OK},
        /* 20 */ {2 * (uint64_t)W, REPLAY_OLD},
        /* 21 */ {2 * (uint64_t)W + 1, REPLAY_OK},
        /* 22 */ {3 * (uint64_t)W - 63, REPLAY_OK},
        /* 23: far ahead */ {UINT64_C(1) << 40, REPLAY_OK},
        /* 24 */ {(UINT64_C(1) << 40) - W, REPLAY_OLD},
        /* 25 */ {(UINT64_C(1) << 40) - W + 1, REPLAY_OK},
        /* 26 */ {3 * (uint64_t)W, REPLAY_OLD},
        /* 27 */ {0, REPLAY_OLD},
    };
    run(steps, ARRAY_LEN(steps));
}

static void test_limit(void **state)
{
    (void)state;
    assert_true(L == UINT64_MAX - 8192); /* 2^64 - 2^13 - 1 */
    const struct step steps[] = {
        {L, REPLAY_LIMIT},  {UINT64_MAX, REPLAY_LIMIT}, {L - 1, REPLAY_OK},
        {L, REPLAY_LIMIT},  {L - 1, REPLAY_DUPLICATE},  {L - 2, REPLAY_OK},
        {L - W, REPLAY_OK}, {L - W - 1, REPLAY_OLD},    {L - W, REPLAY_DUPLICATE},
        {0, REPLAY_OLD},    {L + 1, REPLAY_LIMIT},
    };
    run(steps, ARRAY_LEN(steps));
}

/* A first counter far from zero, and zero itself. */
static void test_first(void **state)
{
    (void)state;
    const struct step zero[] = {{0, REPLAY_OK}, {0, REPLAY_DUPLICATE}};
    const struct step far[] = {{1000000, REPLAY_OK},
                               {1000000 - W, REPLAY_OLD},
                               {1000000 - W + 1, REPLAY_OK},
                               {1000000, REPLAY_DUPLICATE}};
    run(zero, ARRAY_LEN(zero));
    run(far, ARRAY_LEN(far));
}

/* A check alone never changes the window. */
static void test_check_is_pure(void **state)
{
    (void)state;
    struct replay r;
    replay_init(&r);
    assert_int_equal(replay_check(&r, L - 1), REPLAY_OK);
    assert_int_equal(replay_commit(&r, 5), REPLAY_OK);
    assert_int_equal(replay_check(&r, 100000), REPLAY_OK);
    assert_int_equal(replay_check(&r, 4), REPLAY_OK);
    assert_int_equal(replay_commit(&r, 4), REPLAY_OK);
}

/* In order, and fully reversed: each counter is accepted exactly once. */
static void test_sweeps(void **state)
{
    (void)state;
    struct replay r;
    replay_init(&r);
    for (uint64_t i = 0; i < 3 * (uint64_t)W; i++)
        assert_int_equal(replay_commit(&r, i), REPLAY_OK);
    for (uint64_t i = 2 * (uint64_t)W; i < 3 * (uint64_t)W; i++)
        assert_int_equal(replay_commit(&r, i), REPLAY_DUPLICATE);
    assert_int_equal(replay_commit(&r, 2 * (uint64_t)W - 1), REPLAY_OLD);

    replay_init(&r);
    for (uint64_t i = W; i-- > 0;)
        assert_int_equal(replay_commit(&r, i), REPLAY_OK);
    for (uint64_t i = 0; i < W; i++)
        assert_int_equal(replay_commit(&r, i), REPLAY_DUPLICATE);
}

/* Jumps around the word and ring size must clear what they enter, and nothing else. */
static void test_jumps(void **state)
{
    (void)state;
    for (uint64_t jump = 1; jump < (REPLAY_WORDS + 3) * REPLAY_WORD_BITS; jump += 7) {
        struct replay r;
        uint64_t base = 100 * (uint64_t)W + jump % 64;
        replay_init(&r);
        for (uint64_t i = 0; i < W; i++)
            assert_int_equal(replay_commit(&r, base - i), REPLAY_OK);
        assert_int_equal(replay_commit(&r, base + jump), REPLAY_OK);
        for (uint64_t i = 1; i < W; i++) {
            uint64_t c = base + jump - i;
            assert_int_equal(replay_check(&r, c), c <= base ? REPLAY_DUPLICATE : REPLAY_OK);
        }
        assert_int_equal(replay_check(&r, base + jump - W), REPLAY_OLD);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbered), cmocka_unit_test(test_limit),
        cmocka_unit_test(test_first),    cmocka_unit_test(test_check_is_pure),
        cmocka_unit_test(test_sweeps),   cmocka_unit_test(test_jumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
