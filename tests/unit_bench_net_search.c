/* SPDX-License-Identifier: Apache-2.0 */
/* The search for the highest rate that passes: finds any limit to within its gap, in few trials, and ends at the edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/net_search.h"
#include "platform/base/bytes.h"

enum {
    TRIALS_MAX = 40
};

/* Searches where exactly the rates up to `limit` pass; returns the answer. */
static double search(double limit, unsigned *trials)
{
    struct net_search s;

    *trials = 0;
    net_search_init(&s, 50e3, 1e3, 16e6, 1.05);
    while (!net_search_done(&s)) {
        assert_true(s.next >= 1e3 && s.next <= 16e6);
        assert_true(++*trials < TRIALS_MAX);
        net_search_report(&s, s.next <= limit);
    }
    return s.passed;
}

static void test_finds_limit(void **state)
{
    unsigned trials;

    (void)state;
    for (double limit = 1e3; limit < 16e6; limit *= 1.003) {
        double found = search(limit, &trials);
        assert_true(found <= limit);
        assert_true(found * 1.05 >= limit * (1 - 1e-9));
        assert_true(trials <= 15);
    }
}

static void test_edges(void **state)
{
    static const struct {
        double limit, found;
        unsigned trials;
    } cases[] = {
        {0, 0, 7},        /* 50000 halved until the least rate has failed */
        {999, 0, 7},      /* as above */
        {16e6, 16e6, 10}, /* doubled until the highest has passed */
        {1e12, 16e6, 10}, /* as above */
    };
    unsigned trials;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_true(search(cases[i].limit, &trials) == cases[i].found);
        assert_int_equal(trials, cases[i].trials);
    }
}

/* A machine that is disturbed now and then makes a search end lower, never without end. */
static void test_noise(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed < 2000; seed++) {
        struct net_search s;
        uint32_t random = seed;
        unsigned trials = 0;

        net_search_init(&s, 50e3, 1e3, 16e6, 1.05);
        while (!net_search_done(&s)) {
            random = random * 1664525 + 1013904223;
            assert_true(++trials < TRIALS_MAX);
            net_search_report(&s, s.next <= 300e3 && random >> 28 != 0);
        }
        assert_true(s.passed <= 300e3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_limit),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
