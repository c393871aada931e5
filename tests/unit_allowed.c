/* SPDX-License-Identifier: Apache-2.0 */
/* AllowedIPs ownership: against a naive list, the rule that the last owner wins, and what taking all of one costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/allowed.c" /* looks at its lists */

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

enum {
    PREFIXES = 3000,
    STEPS = 200000,
    OWNERS = 40
};

static int owner_of[PREFIXES]; /* the naive list; -1: none */

static struct ip_prefix numbered(int i)
{
    uint8_t bytes[4] = {10, (uint8_t)(i >> 8), (uint8_t)i, 0};
    return (struct ip_prefix){.ip = ip_addr_v4(bytes), .len = 24};
}

static int number_of(const struct ip_prefix *p)
{
    return p->ip.bytes[1] << 8 | p->ip.bytes[2];
}

/* Takes up to `max` of the owner's; fewer only if it has no more. */
static void take_some(struct allowed *a, int owner, unsigned max)
{
    struct ip_prefix p;
    for (unsigned n = 0; n < max; n++) {
        if (!allowed_take(a, (uint32_t)owner, &p)) {
            for (unsigned i = 0; i < PREFIXES; i++)
                assert_int_not_equal(owner_of[i], owner);
            return;
        }
        assert_int_equal(owner_of[number_of(&p)], owner);
        owner_of[number_of(&p)] = -1;
    }
}

/* The table and the lists hold what the naive list does. */
static void check_all(const struct allowed *a)
{
    const struct allowed_entry *e;
    size_t cursor = 0, used = 0, listed = 0;

    while ((e = allowed_next(a, &cursor)) != NULL) {
        assert_int_equal(owner_of[number_of(&e->prefix)], e->owner);
        used++;
    }
    for (uint32_t o = 0; o < a->heads_n; o++) {
        uint32_t prev = NONE;
        for (uint32_t i = a->heads[o]; i != NONE; prev = i, i = a->entries[i].next) {
            assert_int_equal(a->entries[i].state, STATE_USED);
            assert_int_equal(a->entries[i].owner, o);
            assert_int_equal(a->entries[i].prev, prev);
            listed++;
        }
    }
    assert_int_equal(listed, used);
    assert_int_equal(a->used, used);
    for (unsigned i = 0; i < PREFIXES; i++)
        used -= owner_of[i] >= 0;
    assert_int_equal(used, 0);
}

/* Random sets and removals of few prefixes, so that tombstones and growth happen, against an array. */
static void test_differential(void **state)
{
    (void)state;
    struct allowed a;

    allowed_init(&a);
    srand(7);
    for (unsigned i = 0; i < PREFIXES; i++)
        owner_of[i] = -1;
    for (unsigned step = 0; step < STEPS; step++) {
        int i = rand() % PREFIXES, o = rand() % OWNERS;
        struct ip_prefix p = numbered(i);
        switch (rand() % 64) {
        case 0:
            take_some(&a, o, (unsigned)rand() % 8);
            break;
        case 1:
            take_some(&a, o, rand() % 64 ? 0 : PREFIXES);
            break;
        default:
            if (rand() % 2) {
                assert_int_equal(allowed_set(&a, &p, (uint32_t)o), owner_of[i] != o);
                owner_of[i] = o;
            } else {
                assert_int_equal(allowed_remove(&a, &p, (uint32_t)o), owner_of[i] == o);
                if (owner_of[i] == o)
                    owner_of[i] = -1;
            }
        }
        if (step % 4096 == 0)
            check_all(&a);
    }
    check_all(&a);
    for (int o = 0; o < OWNERS; o++)
        take_some(&a, o, PREFIXES);
    check_all(&a);
    assert_int_equal(a.used, 0);
    allowed_fini(&a);
}

static void test_take_of_an_unknown_owner(void **state)
{
    (void)state;
    struct allowed a;
    struct ip_prefix p = prefix("10.0.0.0/8"), taken;

    allowed_init(&a);
    assert_false(allowed_take(&a, 0, &taken));
    assert_true(allowed_set(&a, &p, 5));
    assert_false(allowed_take(&a, 4, &taken));
    assert_false(allowed_take(&a, 1000000, &taken));
    assert_true(allowed_take(&a, 5, &taken));
    assert_true(prefix_equal(&p, &taken));
    assert_false(allowed_take(&a, 5, &taken));
    allowed_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_owner_wins), cmocka_unit_test(test_families_and_lengths_differ),
        cmocka_unit_test(test_differential), cmocka_unit_test(test_take_of_an_unknown_owner)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
