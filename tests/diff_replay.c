/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differential test of the replay window against a naive set: one flag per counter ever seen, plus
 * the greatest. Counters come in order, jittered, duplicated, delayed beyond the window, and in
 * jumps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engine/replay.h"

enum {
    SPACE = 1 << 22 /* counters of one run, from `base` */
};

static uint64_t random_state;

static uint64_t random_below(uint64_t n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return ((random_state * UINT64_C(0x2545f4914f6cdd1d)) >> 16) % n;
}

struct reference {
    uint8_t *seen;
    uint64_t base;
    uint64_t greatest;
    int any;
};

static enum replay_result reference_commit(struct reference *s, uint64_t counter)
{
    if (s->any && counter < s->greatest && s->greatest - counter >= REPLAY_WINDOW)
        return REPLAY_OLD;
    if (s->seen[counter - s->base])
        return REPLAY_DUPLICATE;
    s->seen[counter - s->base] = 1;
    if (!s->any || counter > s->greatest)
        s->greatest = counter;
    s->any = 1;
    return REPLAY_OK;
}

/* The next counter to try, relative to the base. */
static uint64_t pick(uint64_t greatest)
{
    uint64_t back = 0, ahead = 0;
    switch (random_below(8)) {
    case 0:
        back = random_below(64);
        break;
    case 1:
        back = random_below(2 * REPLAY_WINDOW);
        break;
    case 2: /* around the window's edge */
        back = REPLAY_WINDOW - 4 + random_below(8);
        break;
    case 3:
        ahead = random_below(200);
        break;
    case 4:
        ahead = random_below(100) == 0 ? random_below(3 * REPLAY_WINDOW) : 2;
        break;
    default:
        ahead = 1;
        break;
    }
    return greatest + ahead >= back ? greatest + ahead - back : 0;
}

static void run(uint64_t base, uint64_t seed)
{
    struct reference s = {.seen = calloc(SPACE, 1), .base = base};
    struct replay r;
    uint64_t counts[4] = {0};
    assert_non_null(s.seen);
    random_state = seed;
    replay_init(&r);
    for (;;) {
        uint64_t relative = pick(s.any ? s.greatest - base : 0);
        if (relative >= SPACE)
            break;
        enum replay_result checked = replay_check(&r, base + relative);
        enum replay_result got = replay_commit(&r, base + relative);
        enum replay_result expected = reference_commit(&s, base + relative);
        if (checked != expected || got != expected)
            fail_msg("counter base+%llu: check %d, commit %d, expected %d",
                     (unsigned long long)relative, (int)checked, (int)got, (int)expected);
        counts[got]++;
    }
    /* The script must have exercised every outcome. */
    assert_true(counts[REPLAY_OK] > 1000 && counts[REPLAY_OLD] > 1000);
    assert_true(counts[REPLAY_DUPLICATE] > 1000 && counts[REPLAY_LIMIT] == 0);
    free(s.seen);
}

static void test_from_zero(void **state)
{
    (void)state;
    run(0, 1);
    run(0, 2);
}

static void test_from_afar(void **state)
{
    (void)state;
    run((UINT64_C(1) << 32) - SPACE / 2, 3);
    run((UINT64_C(1) << 63) - SPACE / 2, 4);
    run(REPLAY_COUNTER_LIMIT - SPACE, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_zero),
        cmocka_unit_test(test_from_afar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
