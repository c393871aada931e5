/* SPDX-License-Identifier: Apache-2.0 */
/* The Internet resource: one resource with a prefix of each family, used only by those who want it. */
#include "tests/access_rig.h"

static struct resource internet(unsigned n)
{
    return (struct resource){.kind = RESOURCE_INTERNET,
                             .id = id_of(n),
                             .name = "Internet",
                             .address = "",
                             .site = {{0x51, 2, 3, 4, 5}}};
}

static int set_up_internet(void **state)
{
    use_internet = true;
    return set_up(state);
}

static int set_up_without(void **state)
{
    use_internet = false;
    return set_up(state);
}

static void test_not_wanted(void **state)
{
    struct resource r = internet(1);
    (void)state;
    change(RESOURCE_ADDED, &r);
    assert_null(resource_of("0.0.0.0/0"));
    assert_null(resource_of("::/0"));
    assert_int_equal(fake.routes, 0);
    change(RESOURCE_REMOVED, &r);
}

/* One request for both families, whichever comes first, and one grant. */
static void test_both_families(void **state)
{
    struct resource r = internet(1);
    (void)state;
    change(RESOURCE_ADDED, &r);
    assert_int_equal(fake.routes, 2);
    wanted("::/0");
    wanted("0.0.0.0/0");
    assert_int_equal(fake.pushes, 1);
    granted(1);
    assert_int_equal(fake.connects, 1);
    assert_ptr_equal(resource_of("0.0.0.0/0")->peer, &fake.gateway);
    assert_ptr_equal(resource_of("::/0")->peer, &fake.gateway);
    assert_int_equal(fake.grants, 1);
    connection_ends(false);
    wanted("0.0.0.0/0");
    assert_int_equal(fake.pushes, 2);
}

static void test_removed(void **state)
{
    struct resource r = internet(1), lab = cidr(2, LAB);
    (void)state;
    change(RESOURCE_ADDED, &r);
    change(RESOURCE_ADDED, &lab);
    assert_int_equal(fake.routes, 3);
    change(RESOURCE_REMOVED, &r);
    assert_null(resource_of("0.0.0.0/0"));
    assert_null(resource_of("::/0"));
    assert_non_null(resource_of(LAB));
    assert_int_equal(fake.routes, 1);
    granted(1); /* too late */
    assert_int_equal(fake.connects, 0);
}

/* A change of the site makes it another way; a change of the name does not. */
static void test_changed(void **state)
{
    struct resource r = internet(1);
    (void)state;
    change(RESOURCE_ADDED, &r);
    wanted("0.0.0.0/0");
    granted(1);
    r.name = "All of it";
    change(RESOURCE_CHANGED, &r);
    assert_non_null(resource_of("0.0.0.0/0")->peer);
    r.site.bytes[0]++;
    change(RESOURCE_CHANGED, &r);
    assert_null(resource_of("0.0.0.0/0")->peer);
    assert_null(resource_of("::/0")->peer);
    assert_int_equal(fake.routes, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_not_wanted, set_up_without, tear_down),
        cmocka_unit_test_setup_teardown(test_both_families, set_up_internet, tear_down),
        cmocka_unit_test_setup_teardown(test_removed, set_up_internet, tear_down),
        cmocka_unit_test_setup_teardown(test_changed, set_up_internet, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
