/* SPDX-License-Identifier: Apache-2.0 */
/* Rings: order, bounds, and a producer and a consumer at full speed (also under ThreadSanitizer). */
#include "platform/base/ring.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Larger than a word and not a power of two. */
struct item {
    uint64_t number;
    uint64_t copy[4];
    uint32_t tail;
};

RING_DEFINE(item, struct item)
struct pointer {
    struct item *item;
};
RING_DEFINE(pointer, struct pointer)

static struct item item_of(uint64_t number)
{
    struct item e = {.number = number, .tail = (uint32_t)number};
    for (unsigned i = 0; i < 4; i++)
        e.copy[i] = number * (i + 3);
    return e;
}

static void check_item(const struct item *e, uint64_t number)
{
    struct item expected = item_of(number);
    assert_int_equal(e->number, number);
    assert_int_equal(e->tail, expected.tail);
    assert_memory_equal(e->copy, expected.copy, sizeof e->copy);
}

static void fills_and_drains(void **state)
{
    (void)state;
    static const unsigned capacities[] = {4, 8, 64, 1024};
    for (unsigned c = 0; c < 4; c++) {
        struct item_ring r;
        struct item e;
        uint64_t in = 0, out = 0;
        assert_int_equal(item_ring_init(&r, capacities[c]), ERR_OK);
        assert_false(item_ring_pop_spsc(&r, &e));
        /* several times round, so that the indices wrap */
        for (unsigned round = 0; round < 5; round++) {
            for (unsigned i = 0; i < capacities[c] - 1; i++) {
                e = item_of(in++);
                assert_true(item_ring_push_spsc(&r, &e));
                assert_int_equal(item_ring_len(&r), i + 1);
            }
            e = item_of(in);
            assert_false(item_ring_push_spsc(&r, &e)); /* one slot stays empty */
            while (item_ring_pop_spsc(&r, &e))
                check_item(&e, out++);
            assert_int_equal(in, out);
            assert_int_equal(item_ring_len(&r), 0);
        }
        item_ring_fini(&r);
    }
}

static void keeps_order_when_partly_full(void **state)
{
    (void)state;
    struct item_ring r;
    struct item e;
    uint64_t in = 0, out = 0;
    uint32_t seed = 88172645;

    assert_int_equal(item_ring_init(&r, 16), ERR_OK);
    for (unsigned i = 0; i < 100000; i++) {
        seed = seed * 1664525 + 1013904223;
        if (seed >> 31) {
            e = item_of(in);
            bool full = in - out == 15;
            assert_int_equal(item_ring_push_spsc(&r, &e), !full);
            in += !full;
        } else {
            bool empty = in == out;
            assert_int_equal(item_ring_pop_spsc(&r, &e), !empty);
            if (!empty)
                check_item(&e, out++);
        }
    }
    assert_int_equal(item_ring_len(&r), in - out);
    item_ring_fini(&r);
}

/* ---- two threads ---- */

#define STRESS_N 300000u

struct pair {
    struct item_ring values;
    struct pointer_ring there, back; /* ownership of the items goes round */
    struct item pool[64];
};

static void *produce(void *arg)
{
    struct pair *p = arg;
    for (uint64_t i = 0; i < STRESS_N;) {
        struct item e = item_of(i);
        if (item_ring_push_spsc(&p->values, &e))
            i++;
        else
            sched_yield();
    }
    return NULL;
}

static void values_between_threads(void **state)
{
    (void)state;
    static struct pair p;
    pthread_t t;

    assert_int_equal(item_ring_init(&p.values, 64), ERR_OK);
    assert_int_equal(pthread_create(&t, NULL, produce, &p), 0);
    for (uint64_t i = 0; i < STRESS_N;) {
        struct item e;
        if (item_ring_pop_spsc(&p.values, &e))
            check_item(&e, i++);
        else
            sched_yield();
        assert_true(item_ring_len(&p.values) < 64);
    }
    pthread_join(t, NULL);
    struct item e;
    assert_false(item_ring_pop_spsc(&p.values, &e));
    item_ring_fini(&p.values);
}

/*
 * Whoever holds a pointer may write to what it points at without further care: exactly what the engine does with
 * batches. A missing acquire or release here is a data race that ThreadSanitizer reports.
 */
static void *transform(void *arg)
{
    struct pair *p = arg;
    for (unsigned i = 0; i < STRESS_N;) {
        struct pointer e;
        if (!pointer_ring_pop_spsc(&p->there, &e)) {
            sched_yield();
            continue;
        }
        *e.item = item_of(e.item->number + 1);
        if (!pointer_ring_push_spsc(&p->back, &e))
            return p; /* cannot be: there are fewer items than slots */
        i++;
    }
    return NULL;
}

static void ownership_between_threads(void **state)
{
    (void)state;
    static struct pair p;
    pthread_t t;
    unsigned sent = 0, got = 0;
    struct pointer spare[64];
    unsigned spares = 0;
    void *result = NULL;

    assert_int_equal(pointer_ring_init(&p.there, 128), ERR_OK);
    assert_int_equal(pointer_ring_init(&p.back, 128), ERR_OK);
    for (unsigned i = 0; i < 64; i++)
        spare[spares++].item = &p.pool[i];
    assert_int_equal(pthread_create(&t, NULL, transform, &p), 0);
    while (got < STRESS_N) {
        struct pointer e;
        if (sent < STRESS_N && spares > 0) {
            e = spare[--spares];
            *e.item = item_of(2 * (uint64_t)sent);
            assert_true(pointer_ring_push_spsc(&p.there, &e));
            sent++;
        }
        if (pointer_ring_pop_spsc(&p.back, &e)) {
            check_item(e.item, 2 * (uint64_t)got + 1); /* in order */
            spare[spares++] = e;
            got++;
        } else if (sent == STRESS_N || spares == 0) {
            sched_yield();
        }
    }
    pthread_join(t, &result);
    assert_null(result);
    assert_int_equal(spares, 64);
    assert_int_equal(pointer_ring_len(&p.there) + pointer_ring_len(&p.back), 0);
    pointer_ring_fini(&p.there);
    pointer_ring_fini(&p.back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fills_and_drains),
        cmocka_unit_test(keeps_order_when_partly_full),
        cmocka_unit_test(values_between_threads),
        cmocka_unit_test(ownership_between_threads),
    };
    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
