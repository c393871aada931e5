/* SPDX-License-Identifier: Apache-2.0 */
/* When a worker looks for work before it sleeps. Times are those of the real clock, made long or short by sleeping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <time.h>

#include "platform/base/bytes.h"
#include "platform/clock.h"
#include "platform/linux/io_spin.h"

static void sleep_us(long us)
{
    nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* A wait that took `us` and brought n records of `len` bytes. True: it would have looked for work. */
static bool wait_once(struct io_spin *s, long us, unsigned n, uint32_t len)
{
    struct io_rx rx[8] = {0};
    bool looked = io_spin_begin(s, TIME_NEVER) > 0;

    for (unsigned i = 0; i < n; i++)
        rx[i].len = i + 1 == n ? 64 : len; /* what is long comes first */
    if (n == 1)
        rx[0].len = len;
    if (us > 0)
        sleep_us(us);
    io_spin_end(s, rx, n);
    return looked;
}

static struct io_spin fresh(void)
{
    struct io_spin s;
    io_spin_init(&s);
    s.rationed = false; /* wherever this runs */
    return s;
}

/* Waits without sleep are short unless the machine is stopped in between, so this is tried again. */
static struct io_spin looking(void)
{
    struct io_spin s = fresh();
    for (unsigned i = 0; i < 1000 && s.short_waits < IO_SPIN_SHORT_WAITS; i++)
        wait_once(&s, 0, 1, 100);
    assert_int_equal(s.short_waits, IO_SPIN_SHORT_WAITS);
    return s;
}

static void test_after_short_waits(void **state)
{
    (void)state;
    struct io_spin s = fresh();
    for (unsigned i = 0; i < IO_SPIN_SHORT_WAITS; i++)
        assert_false(wait_once(&s, 0, 1, 100));
    s = looking();
    assert_true(wait_once(&s, 0, 1, 100));
}

static void test_long_wait_ends_it(void **state)
{
    (void)state;
    struct io_spin s = looking();
    assert_true(wait_once(&s, 2000, 0, 0));
    for (unsigned i = 0; i < IO_SPIN_SHORT_WAITS; i++)
        assert_false(wait_once(&s, 0, 1, 100));
}

static void test_not_beside_bulk(void **state)
{
    (void)state;
    static const struct {
        unsigned n;
        uint32_t len;
    } bulk[] = {{1, IO_SPIN_BULK_BYTES + 1}, {2, 60000}, {IO_SPIN_BULK_RECORDS + 1, 100}};

    for (size_t i = 0; i < ARRAY_LEN(bulk); i++) {
        struct io_spin s = looking();
        wait_once(&s, 0, bulk[i].n, bulk[i].len);
        for (unsigned k = 0; k < IO_SPIN_BULK_WAITS; k++)
            assert_false(wait_once(&s, 0, 1, 100));
        assert_int_equal(s.bulk_waits, 0);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    struct io_spin s = looking();
    time_ns before = clock_now(), soon = before + NS_PER_US;

    assert_int_equal(io_spin_begin(&s, soon), soon);
    time_ns until = io_spin_begin(&s, TIME_NEVER);
    assert_true(until >= before + IO_SPIN_NS && until <= clock_now() + IO_SPIN_NS);
    assert_false(io_spin_again(before));
    assert_true(io_spin_again(clock_now() + NS_PER_SEC));
}

static void test_rationed(void **state)
{
    (void)state;
    struct io_spin s = looking();
    s.rationed = true;
    assert_int_equal(io_spin_begin(&s, TIME_NEVER), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_after_short_waits), cmocka_unit_test(test_long_wait_ends_it),
        cmocka_unit_test(test_not_beside_bulk), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_rationed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
