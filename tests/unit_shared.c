/* SPDX-License-Identifier: Apache-2.0 */
/* The small shared-memory primitives with real threads: edges are never lost, seqlock reads are never torn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

#include "platform/base/edge.h"
#include "platform/base/seqlock.h"

enum {
    ROUNDS = 200000
};

static struct edges edges;
static uint64_t notices; /* atomic */
static uint32_t facts[3];
static uint32_t done; /* atomic */

static void *raiser(void *arg)
{
    (void)arg;
    for (uint32_t i = 1; i <= ROUNDS; i++) {
        __atomic_store_n(&facts[i % 3], i, __ATOMIC_RELAXED);
        if (edge_raise(&edges, 1u << (i % 3)))
            __atomic_fetch_add(&notices, 1, __ATOMIC_RELEASE);
        if (i % 64 == 0)
            sched_yield();
    }
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    return NULL;
}

/* Whoever takes the edges after a notice sees the newest fact, in the end always the last. */
static void test_edges_report_the_last_fact(void **state)
{
    (void)state;
    pthread_t t;
    uint64_t taken = 0;
    uint32_t seen[3] = {0};

    assert_int_equal(pthread_create(&t, NULL, raiser, NULL), 0);
    for (;;) {
        uint32_t end = __atomic_load_n(&done, __ATOMIC_ACQUIRE);
        if (__atomic_load_n(&notices, __ATOMIC_ACQUIRE) > taken) {
            taken++;
            uint32_t bits = edge_take(&edges);
            for (unsigned k = 0; k < 3; k++) {
                if (bits & (1u << k))
                    seen[k] = __atomic_load_n(&facts[k], __ATOMIC_RELAXED);
            }
        } else if (end) {
            break;
        }
    }
    pthread_join(t, NULL);
    assert_int_equal(edge_take(&edges), 0);
    for (uint32_t i = ROUNDS - 2; i <= ROUNDS; i++)
        assert_int_equal(seen[i % 3], i);
}

static struct seqlock lock;

static void *seqlock_writer(void *arg)
{
    (void)arg;
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        uint64_t v[6] = {i, i * 3, i * 5, i * 7, i * 11, i * 13};
        seqlock_write(&lock, v, sizeof v);
    }
    __atomic_store_n(&done, 2, __ATOMIC_RELEASE);
    return NULL;
}

static void test_seqlock_is_whole(void **state)
{
    (void)state;
    pthread_t t;
    uint64_t v[6], last = 0;

    assert_int_equal(pthread_create(&t, NULL, seqlock_writer, NULL), 0);
    while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) != 2) {
        seqlock_read(&lock, v, sizeof v);
        assert_true(v[0] >= last);
        assert_true(v[1] == v[0] * 3 && v[2] == v[0] * 5 && v[3] == v[0] * 7 && v[4] == v[0] * 11 &&
                    v[5] == v[0] * 13);
        last = v[0];
    }
    pthread_join(t, NULL);
    seqlock_read(&lock, v, sizeof v);
    assert_int_equal(v[0], ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_edges_report_the_last_fact),
                                       cmocka_unit_test(test_seqlock_is_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
