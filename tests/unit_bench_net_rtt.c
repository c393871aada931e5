/* SPDX-License-Identifier: Apache-2.0 */
/* Percentiles of round trips: nearest rank. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "bench/net_rtt.h"
#include "platform/base/bytes.h"

static void test_small(void **state)
{
    static const struct {
        uint64_t samples[5];
        size_t n;
        double percent;
        uint64_t expected;
    } cases[] = {
        {{7}, 1, 50, 7},
        {{7}, 1, 99, 7},
        {{9, 1}, 2, 50, 1},
        {{9, 1}, 2, 51, 9},
        {{5, 3, 4, 1, 2}, 5, 50, 3},
        {{5, 3, 4, 1, 2}, 5, 20, 1},
        {{5, 3, 4, 1, 2}, 5, 20.5, 2},
        {{5, 3, 4, 1, 2}, 5, 99, 5},
        {{5, 3, 4, 1, 2}, 5, 100, 5},
        {{UINT64_MAX, 0, UINT64_MAX - 1}, 3, 67, UINT64_MAX},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t samples[5];
        memcpy(samples, cases[i].samples, sizeof samples);
        assert_int_equal(net_rtt_percentile(samples, cases[i].n, cases[i].percent),
                         cases[i].expected);
    }
}

/* Of 1 to 1000, p per cent are not above 10 p. */
static void test_ranks(void **state)
{
    static uint64_t samples[1000];

    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        samples[i] = (i * 377) % 1000 + 1; /* 377 has no common divisor with 1000 */
    for (unsigned p = 1; p <= 100; p++)
        assert_int_equal(net_rtt_percentile(samples, 1000, p), 10 * p);
    assert_int_equal(net_rtt_percentile(samples, 1000, 99.9), 999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_small), cmocka_unit_test(test_ranks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
