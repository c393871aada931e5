/* SPDX-License-Identifier: Apache-2.0 */
/* Windows' way out past the tunnel, and whether it is another one than before, on every system. Adapter 9 is our TUN. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "platform/windows/adapters.c"
#include "platform/windows/default_way.c"
#include "tests/support/ip_helper_text.h"

enum {
    TUN = 9
};

static struct fake_helper fake;

static const char *const office[] = {
    "adapter 1 up Ethernet 25 169.254.1.1/16 192.0.2.10/24 fe80::10/64 2001:db8::10/64 "
    "2001:db8::99/64",
    "adapter 2 up Wi-Fi 35 198.51.100.10/24",
    "adapter 3 down Ethernet2 1 203.0.113.10/24",
    "adapter 9 up Firezone 1 100.64.0.1/32",
    "route 3 0.0.0.0/0 via 203.0.113.1",
    "route 9 0.0.0.0/0",
    "route 2 0.0.0.0/0 via 198.51.100.1",
    "route 1 0.0.0.0/0 via 192.0.2.1",
    "route 1 ::/0 via fe80::1",
    "route 1 192.0.2.0/24",
    NULL,
};

static void describe(void)
{
    fake_helper_init(&fake);
    fake_helper_describe(&fake, office);
}

static struct default_way read_way(enum addr_family family, const struct default_way *last)
{
    static const struct default_way none;
    struct default_way way;
    assert_int_equal(default_way_read(&way, &fake.helper, TUN, family, last ? last : &none),
                     ERR_OK);
    assert_int_equal(fake.tables_out, 0);
    return way;
}

static void expect(const struct default_way *w, uint64_t luid, const char *next_hop)
{
    struct ip_addr hop = addr(next_hop);
    assert_true(w->exists);
    assert_int_equal(w->luid, luid);
    assert_true(ip_addr_equal(&w->next_hop, &hop));
}

static void test_which(void **state)
{
    (void)state;
    describe();
    struct default_way w = read_way(ADDR_V4, NULL);
    expect(&w, 1, "192.0.2.1"); /* not the TUN's, nor that of one that is down */
    assert_int_equal(w.addresses_n, 1);
    w = read_way(ADDR_V6, NULL);
    expect(&w, 1, "fe80::1");
    assert_int_equal(w.addresses_n, 2); /* those beyond the link */
    fake.metrics[0] = 36;
    w = read_way(ADDR_V4, NULL);
    expect(&w, 2, "198.51.100.1");
    fake.adapters[2].up = true;
    w = read_way(ADDR_V4, NULL);
    expect(&w, 3, "203.0.113.1");
    fake.adapters[0].up = false;
    assert_false(read_way(ADDR_V6, NULL).exists);
    fake.routes[0].loopback = true;
    w = read_way(ADDR_V4, NULL);
    expect(&w, 2, "198.51.100.1");
}

/* Of ways that are as good the last one stays. */
static void test_equal_ways(void **state)
{
    struct default_way last;
    (void)state;
    describe();
    last = read_way(ADDR_V4, NULL);
    fake.metrics[1] = fake.metrics[0];
    struct default_way w = read_way(ADDR_V4, NULL);
    expect(&w, 2, "198.51.100.1"); /* the first of the table */
    w = read_way(ADDR_V4, &last);
    expect(&w, 1, "192.0.2.1");
    last = read_way(ADDR_V4, NULL);
    w = read_way(ADDR_V4, &last);
    expect(&w, 2, "198.51.100.1");
    fake.metrics[0]--;
    w = read_way(ADDR_V4, &last);
    expect(&w, 1, "192.0.2.1");
}

static void test_failures(void **state)
{
    static const struct {
        unsigned long table, list;
        enum err err;
    } cases[] = {
        {IP_HELPER_NOT_SUPPORTED, 0, ERR_OK}, /* the family is off */
        {IP_HELPER_NOT_FOUND, 0, ERR_OK},
        {IP_HELPER_NOT_ENOUGH_MEMORY, 0, ERR_NO_MEMORY},
        {5, 0, ERR_IO},
        {0, 87, ERR_IO},
    };
    struct default_way none = {0}, w;
    (void)state;
    describe();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fake.table_error = cases[i].table;
        fake.list_error = cases[i].list;
        assert_int_equal(default_way_read(&w, &fake.helper, TUN, ADDR_V6, &none), cases[i].err);
        assert_false(w.exists);
    }
    fake.list_error = 0;
    fake.helper.get_routes = NULL;
    assert_int_equal(default_way_read(&w, &fake.helper, TUN, ADDR_V6, &none), ERR_UNSUPPORTED);
}

/* One step each from the same beginning. */
static void nothing(void)
{
}
static void address_more(void)
{
    struct ip_helper_adapter *a = &fake.adapters[0];
    a->addresses[a->addresses_n++] = prefix("2001:db8::77/64");
}
static void address_less(void)
{
    fake.adapters[0].addresses_n--;
}
static void address_deprecated(void)
{
    fake.adapters[0].deprecated = 1 << 4;
}
static void metric(void)
{
    fake.routes[4].metric = 500;
}
static void gateway(void)
{
    fake.routes[4].next_hop = addr("fe80::2");
}
static void adapter(void)
{
    fake.routes[4].luid = 2;
}
static void gone(void)
{
    fake.adapters[0].up = false;
}

static void test_changes(void **state)
{
    static const struct {
        void (*step)(void);
        enum default_way_change change;
    } cases[] = {
        {nothing, DEFAULT_WAY_SAME},
        {address_more, DEFAULT_WAY_SAME},
        {address_less, DEFAULT_WAY_ADDRESS},
        {metric, DEFAULT_WAY_SAME},
        {address_deprecated, DEFAULT_WAY_SAME},
        {gateway, DEFAULT_WAY_ROUTE},
        {adapter, DEFAULT_WAY_ROUTE},
        {gone, DEFAULT_WAY_NONE},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        describe();
        struct default_way last = read_way(ADDR_V6, NULL);
        cases[i].step();
        struct default_way now = read_way(ADDR_V6, &last), none = {0};
        if (default_way_compare(&last, &now) != cases[i].change)
            fail_msg("case %zu: change %d", i, default_way_compare(&last, &now));
        if (now.exists)
            assert_int_equal(default_way_compare(&none, &now), DEFAULT_WAY_FIRST);
    }
    /* What is about to go is not missed when it is gone. */
    describe();
    address_deprecated();
    struct default_way last = read_way(ADDR_V6, NULL);
    address_less();
    struct default_way now = read_way(ADDR_V6, &last);
    assert_int_equal(default_way_compare(&last, &now), DEFAULT_WAY_SAME);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which),
        cmocka_unit_test(test_equal_ways),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
