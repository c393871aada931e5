/* SPDX-License-Identifier: Apache-2.0 */
/* Which changes of a network's connectivity count, on every system. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "platform/windows/network_filter.c"

static struct network_filter filter;

static bool changed(unsigned number, uint32_t connectivity)
{
    uint8_t id[NETWORK_ID_LEN] = {(uint8_t)number, (uint8_t)(number >> 8), 7};
    return network_filter_changed(&filter, id, connectivity);
}

static void profile(unsigned number, uint32_t name_type)
{
    uint8_t id[NETWORK_ID_LEN] = {(uint8_t)number, (uint8_t)(number >> 8), 7};
    network_filter_profile(&filter, id, name_type);
}

static void test_kinds(void **state)
{
    static const struct {
        uint32_t name_type;
        bool counts;
    } cases[] = {{6, true},  {71, true},  {243, true}, {0, false},
                 {5, false}, {23, false}, {53, false}, {0xffffffff, false}};
    (void)state;
    network_filter_init(&filter);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        profile(i, cases[i].name_type);
        assert_int_equal(changed(i, 0x40), cases[i].counts);
    }
    assert_true(changed(1000, 0x40)); /* a new network has no profile yet */
}

static void test_repeats(void **state)
{
    (void)state;
    network_filter_init(&filter);
    profile(1, NETWORK_WIFI);
    assert_true(changed(1, 0)); /* the first word of it, whatever it is */
    assert_false(changed(1, 0));
    assert_true(changed(1, 0x40));
    assert_true(changed(2, 0x40)); /* each on its own */
    assert_false(changed(1, 0x40));
    assert_true(changed(1, 0));
}

/* More networks than there is room for: ignored ones stay ignored. */
static void test_many(void **state)
{
    (void)state;
    network_filter_init(&filter);
    for (unsigned i = 0; i < 10; i++)
        profile(i, 53);
    for (unsigned i = 100; i < 100 + 3 * NETWORKS_MAX; i++) {
        assert_true(changed(i, 1));
        assert_false(changed(i, 1));
    }
    for (unsigned i = 0; i < 10; i++)
        assert_false(changed(i, 2));
    assert_int_equal(filter.n, NETWORKS_MAX);
    network_filter_init(&filter);
    for (unsigned i = 0; i < NETWORKS_MAX; i++)
        profile(i, 53);
    assert_true(changed(1000, 1)); /* nothing is kept of it, so it always counts */
    assert_true(changed(1000, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
