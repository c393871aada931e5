/* SPDX-License-Identifier: Apache-2.0 */
/* Receiver indices: unique, owned, never reused while held. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/index.h"

static void test_owner_in_top_bits(void **state)
{
    (void)state;
    struct index_table t;
    int owner;

    index_init(&t);
    for (unsigned worker = 0; worker < ENGINE_WORKERS_MAX; worker += 21) {
        uint32_t i = index_candidate(&t, worker, 0xdeadbeef);
        assert_int_equal(i >> ENGINE_OWNER_SHIFT, worker);
        assert_null(index_find(&t, i)); /* a candidate is not taken yet */
        index_reserve(&t, i, &owner);
        assert_ptr_equal(index_find(&t, i), &owner);
    }
    assert_int_not_equal(index_candidate(&t, 0, 0), 0); /* 0 stands for none */
    index_fini(&t);
}

static void test_same_entry_other_generation(void **state)
{
    (void)state;
    struct index_table t;
    int owner;

    index_init(&t);
    uint32_t i = index_candidate(&t, 1, 5);
    index_reserve(&t, i, &owner);
    assert_null(
        index_find(&t, i ^ (1u << ENGINE_SESSION_BITS))); /* a late packet of an old session */
    uint32_t other = index_candidate(&t, 1, 5);
    assert_int_not_equal(other & ((1u << ENGINE_SESSION_BITS) - 1),
                         i & ((1u << ENGINE_SESSION_BITS) - 1));
    index_orphan(&t, i);
    assert_null(index_find(&t, i));
    assert_int_not_equal(index_candidate(&t, 1, 5) & ((1u << ENGINE_SESSION_BITS) - 1),
                         i & ((1u << ENGINE_SESSION_BITS) - 1)); /* still held by the worker */
    index_release(&t, i);
    assert_int_equal(index_candidate(&t, 1, 5), i);
    index_fini(&t);
}

static void test_exhaustion(void **state)
{
    (void)state;
    struct index_table t;
    int owner;
    uint32_t n = 0, i, random = 1;

    index_init(&t);
    while ((i = index_candidate(&t, 3, random)) != 0) {
        index_reserve(&t, i, &owner);
        random = random * 1664525u + 1013904223u; /* rand() has 15 bits on some systems */
        n++;
    }
    assert_true(n > (1u << ENGINE_SESSION_BITS) / 2);
    assert_int_not_equal(index_candidate(&t, 4, 0), 0); /* other workers are not concerned */
    index_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_owner_in_top_bits),
                                       cmocka_unit_test(test_same_entry_other_generation),
                                       cmocka_unit_test(test_exhaustion)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
