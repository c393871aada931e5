/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets per source: burst, refill, independence, and that v6 counts by /64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/rate_limit.h"

static struct ip_addr addr(const char *text)
{
    struct ip_addr a;
    assert_int_equal(ip_addr_parse(&a, text), ERR_OK);
    return a;
}

static unsigned burst(struct rate_limit *r, const char *from, time_ns now, unsigned tries)
{
    struct ip_addr a = addr(from);
    unsigned n = 0;
    for (unsigned i = 0; i < tries; i++)
        n += rate_limit_allow(r, &a, now);
    return n;
}

static void test_burst_then_rate(void **state)
{
    (void)state;
    static struct rate_limit r;
    time_ns now = 1000 * NS_PER_SEC;

    rate_limit_init(&r, 1);
    assert_int_equal(burst(&r, "192.0.2.1", now, 100), RATE_LIMIT_BURST);
    assert_int_equal(burst(&r, "192.0.2.2", now, 100), RATE_LIMIT_BURST);
    unsigned n = 0;
    for (unsigned ms = 1; ms <= 10000; ms++)
        n += burst(&r, "192.0.2.1", now + ms * NS_PER_MS, 1);
    assert_in_range(n, 10 * RATE_LIMIT_PER_SECOND - 1, 10 * RATE_LIMIT_PER_SECOND + 1);
    assert_int_equal(burst(&r, "192.0.2.1", now + 60 * NS_PER_SEC, 100), RATE_LIMIT_BURST);
}

static void test_v6_by_network(void **state)
{
    (void)state;
    static struct rate_limit r;

    rate_limit_init(&r, 2);
    assert_int_equal(burst(&r, "2001:db8:1:2::1", NS_PER_SEC, 9), RATE_LIMIT_BURST);
    assert_int_equal(burst(&r, "2001:db8:1:2::2", NS_PER_SEC, 9), 0);
    assert_int_equal(burst(&r, "2001:db8:1:3::1", NS_PER_SEC, 9), RATE_LIMIT_BURST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_burst_then_rate),
                                       cmocka_unit_test(test_v6_by_network)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
