/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots: when a retired object may go, step by step; then real threads that use, sleep and wake
 * while control publishes and reclaims. A freed object is poisoned, so a reader that still holds it
 * notices (and TSan sees the race).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>

#include "platform/base/bytes.h"
#include "platform/base/snapshot.h"

static unsigned freed;

static void count_free(void *object)
{
    *(int *)object = -1;
    freed++;
}

static void test_offline_readers_do_not_hold(void **state)
{
    (void)state;
    struct snapshot_domain d;
    int a = 1, b = 2;
    void *slot = NULL;
    freed = 0;
    snapshot_domain_init(&d, 3);
    snapshot_publish(&d, &slot, (void *)&a, count_free); /* nothing was there before */
    assert_int_equal(snapshot_reclaim(&d), 0);
    snapshot_publish(&d, &slot, (void *)&b, count_free);
    assert_int_equal(freed, 0); /* never inside publish */
    assert_int_equal(snapshot_reclaim(&d), 0);
    assert_int_equal(freed, 1);
    assert_int_equal(a, -1);
    assert_ptr_equal(snapshot_read(&slot), &b);
    snapshot_domain_fini(&d);
    assert_int_equal(freed, 1); /* the current object belongs to its slot */
}

static void test_slowest_reader_decides(void **state)
{
    (void)state;
    struct snapshot_domain d;
    int v[4] = {0, 1, 2, 3};
    int *slot = &v[0];
    freed = 0;
    snapshot_domain_init(&d, 2);
    snapshot_reader_quiescent(&d, 0);
    snapshot_reader_quiescent(&d, 1);
    snapshot_publish(&d, &slot, &v[1], count_free);
    assert_int_equal(snapshot_reclaim(&d), 1);
    snapshot_reader_quiescent(&d, 0);
    assert_int_equal(snapshot_reclaim(&d), 1); /* reader 1 may hold it */
    snapshot_publish(&d, &slot, &v[2], count_free);
    snapshot_reader_quiescent(&d, 1);
    assert_int_equal(snapshot_reclaim(&d), 1); /* v[0] went, reader 0 may hold v[1] */
    assert_int_equal(v[0], -1);
    assert_int_equal(v[1], 1);
    snapshot_reader_offline(&d, 0);
    assert_int_equal(snapshot_reclaim(&d), 0);
    assert_int_equal(v[1], -1);
    snapshot_reader_quiescent(&d, 0); /* online again */
    snapshot_publish(&d, &slot, &v[3], count_free);
    snapshot_reader_quiescent(&d, 1);
    assert_int_equal(snapshot_reclaim(&d), 1);
    snapshot_domain_fini(&d);
    assert_int_equal(freed, 3);
    assert_int_equal(v[3], 3);
}

static void test_several_slots_and_static_objects(void **state)
{
    (void)state;
    struct snapshot_domain d;
    int a = 1, b = 2, c = 3;
    int *first = &a;
    void *second = &b;
    freed = 0;
    snapshot_domain_init(&d, 1);
    snapshot_reader_quiescent(&d, 0);
    snapshot_publish(&d, &first, &c, NULL); /* a is static: not freed */
    snapshot_publish(&d, &second, NULL, count_free);
    assert_int_equal(snapshot_reclaim(&d), 1);
    snapshot_reader_quiescent(&d, 0);
    assert_int_equal(snapshot_reclaim(&d), 0);
    assert_int_equal(freed, 1);
    assert_int_equal(a, 1);
    assert_null(snapshot_read(&second));
    snapshot_domain_fini(&d);
}

static void test_many_retired(void **state)
{
    (void)state;
    enum {
        N = 1000
    };
    static int v[N];
    struct snapshot_domain d;
    int *slot = NULL;
    freed = 0;
    snapshot_domain_init(&d, 1);
    snapshot_reader_quiescent(&d, 0);
    for (unsigned i = 0; i < N; i++) {
        snapshot_publish(&d, &slot, &v[i], count_free);
        if (i == N / 2)
            snapshot_reader_quiescent(&d, 0);
    }
    assert_int_equal(snapshot_reclaim(&d), N - 1 - N / 2);
    assert_int_equal(freed, N / 2);
    assert_int_equal(v[N / 2 - 1], -1);
    assert_int_equal(v[N / 2], 0);
    snapshot_domain_fini(&d);
    assert_int_equal(freed, N - 1);
}

/* ---- threads ---- */

enum {
    READERS = 4,
    SLOTS = 2,
    PUBLISHES_MIN = 20000,
    ROUNDS_MIN = 2000,
    ALIVE = 0x600d,
    DEAD = 0xdead
};

struct object {
    int state;
    unsigned number;
};

struct shared {
    struct snapshot_domain domain;
    struct object *slot[SLOTS];
    int stop;
};

struct reader {
    struct shared *shared;
    unsigned index;
    unsigned failures;
    unsigned rounds; /* relaxed atomic: control goes on until each reader had its share */
};

/*
 * Memory goes back to the allocator: TSan and ASan see a late access, and a plain build sees DEAD
 * or a new number.
 */
static void object_free(void *p)
{
    struct object *o = p;
    o->state = DEAD;
    free(o);
}

static struct object *object_new(unsigned number)
{
    struct object *o = malloc(sizeof *o);
    if (!o)
        abort();
    *o = (struct object){.state = ALIVE, .number = number};
    return o;
}

static void *reader_main(void *arg)
{
    struct reader *r = arg;
    struct snapshot_domain *d = &r->shared->domain;
    unsigned last[SLOTS] = {0}, round = 0;
    while (!__atomic_load_n(&r->shared->stop, __ATOMIC_RELAXED)) {
        snapshot_reader_quiescent(d, r->index);
        for (unsigned s = 0; s < SLOTS; s++) {
            struct object *o = snapshot_read(&r->shared->slot[s]);
            for (unsigned again = 0; again < 4; again++)
                r->failures += o->state != ALIVE || o->number < last[s];
            last[s] = o->number;
        }
        __atomic_store_n(&r->rounds, round + 1, __ATOMIC_RELAXED);
        if (++round % (2 + r->index) == 0) {
            snapshot_reader_offline(d, r->index);
            if (round % 64 == 0)
                sched_yield();
        }
    }
    snapshot_reader_offline(d, r->index);
    return NULL;
}

static bool all_had_their_share(const struct reader *reader)
{
    for (unsigned i = 0; i < READERS; i++)
        if (__atomic_load_n(&reader[i].rounds, __ATOMIC_RELAXED) < ROUNDS_MIN)
            return false;
    return true;
}

static void test_threads(void **state)
{
    (void)state;
    static struct shared shared;
    struct reader reader[READERS];
    pthread_t thread[READERS];
    snapshot_domain_init(&shared.domain, READERS);
    for (unsigned s = 0; s < SLOTS; s++)
        shared.slot[s] = object_new(1);
    for (unsigned i = 0; i < READERS; i++) {
        reader[i] = (struct reader){.shared = &shared, .index = i};
        assert_int_equal(pthread_create(&thread[i], NULL, reader_main, &reader[i]), 0);
    }
    for (unsigned n = 2; n < PUBLISHES_MIN || !all_had_their_share(reader); n++) {
        snapshot_publish(&shared.domain, &shared.slot[n % SLOTS], object_new(n), object_free);
        if (n % 3 == 0)
            snapshot_reclaim(&shared.domain);
        if (n % 256 == 0)
            sched_yield();
    }
    __atomic_store_n(&shared.stop, 1, __ATOMIC_RELAXED);
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    assert_int_equal(snapshot_reclaim(&shared.domain), 0);
    for (unsigned i = 0; i < READERS; i++)
        assert_int_equal(reader[i].failures, 0);
    snapshot_domain_fini(&shared.domain);
    for (unsigned s = 0; s < SLOTS; s++)
        free(shared.slot[s]);
}

/*
 * Coming online against an immediate reclaim: without the fences (store `seen`, load the slot;
 * store the slot, load `seen`) both sides miss each other's store and the reader holds a freed
 * object. The object is looked at a little later, so that control has the time to free it.
 */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif

enum {
#ifdef UNDER_TSAN /* slow, and looks for races, which need no luck */
    ONLINE_PUBLISHES = 10000,
#else
    ONLINE_PUBLISHES = 1000000,
#endif
    ONLINE_POOL = 64,
    ONLINE_DELAY = 40
};

static struct object pool[ONLINE_POOL];

static void mark_dead(void *p)
{
    __atomic_store_n(&((struct object *)p)->state, DEAD, __ATOMIC_RELAXED);
}

static void *online_main(void *arg)
{
    struct reader *r = arg;
    struct snapshot_domain *d = &r->shared->domain;
    while (!__atomic_load_n(&r->shared->stop, __ATOMIC_RELAXED)) {
        snapshot_reader_quiescent(d, 0);
        struct object *o = snapshot_read(&r->shared->slot[0]);
        for (volatile unsigned i = 0; i < ONLINE_DELAY; i++)
            continue;
        r->failures += __atomic_load_n(&o->state, __ATOMIC_RELAXED) != ALIVE;
        snapshot_reader_offline(d, 0);
        __atomic_store_n(&r->rounds, r->rounds + 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void test_coming_online(void **state)
{
    (void)state;
    static struct shared shared;
    struct reader reader = {.shared = &shared};
    pthread_t thread;
    unsigned next = 1;
    snapshot_domain_init(&shared.domain, 1);
    pool[0].state = ALIVE;
    shared.slot[0] = &pool[0];
    assert_int_equal(pthread_create(&thread, NULL, online_main, &reader), 0);
    for (unsigned n = 0;
         n < ONLINE_PUBLISHES || __atomic_load_n(&reader.rounds, __ATOMIC_RELAXED) < ROUNDS_MIN;
         n++) {
        struct object *o = &pool[next];
        next = (next + 1) % ONLINE_POOL;
        __atomic_store_n(&o->state, ALIVE, __ATOMIC_RELAXED);
        snapshot_publish(&shared.domain, &shared.slot[0], o, mark_dead);
        while (snapshot_reclaim(&shared.domain) > ONLINE_POOL / 2)
            sched_yield(); /* the reader sleeps while it holds one; the pool must not run out */
    }
    __atomic_store_n(&shared.stop, 1, __ATOMIC_RELAXED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(reader.failures, 0);
    snapshot_domain_fini(&shared.domain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offline_readers_do_not_hold),
        cmocka_unit_test(test_slowest_reader_decides),
        cmocka_unit_test(test_several_slots_and_static_objects),
        cmocka_unit_test(test_many_retired),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_coming_online),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
