/* SPDX-License-Identifier: Apache-2.0 */
/* UDP trials: what passes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/net_udp.h"
#include "platform/base/bytes.h"

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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_passed),
                                       cmocka_unit_test(test_passed_loss),
                                       cmocka_unit_test(test_gbit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
