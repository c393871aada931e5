/* SPDX-License-Identifier: Apache-2.0 */
/* AllowedIPs ownership: against a naive list, and the rule that the last owner wins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/allowed.h"

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix p;
    assert_int_equal(ip_prefix_parse(&p, text), ERR_OK);
    return p;
}

static void test_last_owner_wins(void **state)
{
    (void)state;
    struct allowed a;
    struct ip_prefix p = prefix("10.1.2.3/8"), same = prefix("10.0.0.0/8");
    size_t cursor = 0;

    allowed_init(&a);
    assert_false(allowed_remove(&a, &p, 1)); /* empty */
    assert_true(allowed_set(&a, &p, 1));
    assert_false(allowed_set(&a, &same, 1)); /* host bits do not matter */
    assert_true(allowed_set(&a, &same, 2));
    assert_false(allowed_remove(&a, &p, 1)); /* not its any more */
    const struct allowed_entry *e = allowed_next(&a, &cursor);
    assert_non_null(e);
    assert_int_equal(e->owner, 2);
    assert_null(allowed_next(&a, &cursor));
    assert_true(allowed_remove(&a, &p, 2));
    cursor = 0;
    assert_null(allowed_next(&a, &cursor));
    allowed_fini(&a);
}

static void test_families_and_lengths_differ(void **state)
{
    (void)state;
    struct allowed a;
    struct ip_prefix list[] = {prefix("0.0.0.0/0"), prefix("::/0"), prefix("10.0.0.0/8"),
                               prefix("10.0.0.0/9"), prefix("::ffff:10.0.0.0/104")};
    size_t cursor = 0, n = 0;

    allowed_init(&a);
    for (unsigned i = 0; i < 5; i++)
        assert_true(allowed_set(&a, &list[i], i));
    while (allowed_next(&a, &cursor))
        n++;
    assert_int_equal(n, 5);
    allowed_fini(&a);
}

/* Random sets and removals of few prefixes, so that tombstones and growth happen, against an array. */
static void test_differential(void **state)
{
    (void)state;
    enum {
        PREFIXES = 3000,
        STEPS = 200000
    };
    static int owner[PREFIXES];
    struct allowed a;
    size_t cursor = 0, used = 0;
    const struct allowed_entry *e;

    allowed_init(&a);
    srand(7);
    for (unsigned i = 0; i < PREFIXES; i++)
        owner[i] = -1;
    for (unsigned step = 0; step < STEPS; step++) {
        int i = rand() % PREFIXES, o = rand() % 4;
        uint8_t bytes[4] = {10, (uint8_t)(i >> 8), (uint8_t)i, 0};
        struct ip_prefix p = {.ip = ip_addr_v4(bytes), .len = 24};
        if (rand() % 2) {
            assert_int_equal(allowed_set(&a, &p, (uint32_t)o), owner[i] != o);
            owner[i] = o;
        } else {
            assert_int_equal(allowed_remove(&a, &p, (uint32_t)o), owner[i] == o);
            if (owner[i] == o)
                owner[i] = -1;
        }
    }
    while ((e = allowed_next(&a, &cursor)) != NULL) {
        assert_int_equal(owner[e->prefix.ip.bytes[1] << 8 | e->prefix.ip.bytes[2]], e->owner);
        used++;
    }
    for (unsigned i = 0; i < PREFIXES; i++)
        used -= owner[i] >= 0;
    assert_int_equal(used, 0);
    allowed_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_last_owner_wins),
                                       cmocka_unit_test(test_families_and_lengths_differ),
                                       cmocka_unit_test(test_differential)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
