/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source cache under fire: four workers resolve, park and poll while control answers, fails,
 * invalidates, publishes outdated answers and churns the table. Each published source tells its
 * generation and destination, so a reader sees:
 *   - an answer older than an invalidation that had returned before its lookup began,
 *   - a torn answer, or one of another destination,
 *   - a datagram lost, doubled or out of order, or left in the parking lot when its time was over.
 * Then the same readers on one destination whose answer never stands still.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "engine/source_cache.h"
#include "platform/base/bytes.h"
#include "platform/base/ring.h"

enum {
    WORKERS = 4,
    DESTINATIONS = 48,
#ifdef RING_TSAN
    ROUNDS_MIN = 8000,
    CHANGES_MIN = 20000,
#else
    ROUNDS_MIN = 40000,
    CHANGES_MIN = 100000,
#endif
    INVALIDATIONS_MIN = 1000,
    QUESTIONS_CAPACITY = 64 /* small: questions get lost, and must be put again */
};

RING_DEFINE(question, struct ip_addr)

struct shared {
    struct source_cache *cache;
    uint64_t returned; /* newest generation whose invalidate had returned */
    uint64_t clock;    /* logical time, moved by control */
    int stop;
};

struct worker {
    struct shared *shared;
    struct question_ring questions;
    struct source_parking parking;
    uint64_t rounds; /* relaxed atomic */
    uint64_t next[DESTINATIONS], released[DESTINATIONS];
    uint64_t hits, sent, dropped, failed, full; /* datagrams; full: not even numbered */
    uint64_t looked_up;
    uint64_t outdated, torn, disordered, forgotten;
    uint32_t random;
    unsigned index;
};

static uint32_t random_below(uint32_t *state, uint32_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state % n;
}

static struct ip_addr destination(uint32_t n)
{
    uint8_t b[16] = {0x20, 0x01};
    store_be32(b + 12, n);
    return n % 2 ? ip_addr_v6(b) : ip_addr_v4(b + 12);
}

/* Everything of it depends on both arguments, so a mixture of two answers shows. */
static struct ip_source answer(uint32_t n, uint64_t generation)
{
    struct ip_source s = {.ip.family = ADDR_V6, .ifindex = (uint32_t)generation * 31 + n};
    store_be64(s.ip.bytes, generation);
    store_be64(s.ip.bytes + 8, generation * UINT64_C(0x9e3779b97f4a7c15) + n);
    return s;
}

static void check_source(struct worker *w, uint32_t n, uint64_t floor, const struct ip_source *s)
{
    uint64_t generation = load_be64(s->ip.bytes);
    struct ip_source whole = answer(n, generation);
    w->torn += !ip_addr_equal(&whole.ip, &s->ip) || whole.ifindex != s->ifindex;
    w->outdated += generation < floor;
}

/* Datagram `seq` of destination n, as a handle. */
static void *handle(uint32_t n, uint64_t seq)
{
    return (void *)(uintptr_t)(seq * DESTINATIONS + n + 1);
}

/* Per destination each number leaves once and in order; a refused one left at once. */
static void check_order(struct worker *w, uint32_t n, uint64_t seq)
{
    w->disordered += seq != w->released[n];
    w->released[n] = seq + 1;
}

static void ask(struct worker *w, const struct ip_addr *dst)
{
    (void)question_ring_push_spsc(&w->questions, dst);
}

/* A datagram that was parked leaves. */
static void let_go(struct worker *w, uint64_t floor, const struct source_released *r)
{
    uint64_t id = (uint64_t)(uintptr_t)r->datagram - 1;
    uint32_t n = (uint32_t)(id % DESTINATIONS);
    check_order(w, n, id / DESTINATIONS);
    if (r->what == SOURCE_RELEASE_SEND)
        check_source(w, n, floor, &r->source);
    w->sent += r->what == SOURCE_RELEASE_SEND;
    w->dropped += r->what == SOURCE_RELEASE_DROP;
}

static void poll_parking(struct worker *w, time_ns now, unsigned budget)
{
    struct source_released r;
    for (; budget > 0; budget--) {
        uint64_t floor = __atomic_load_n(&w->shared->returned, __ATOMIC_ACQUIRE);
        if (!source_parking_poll(&w->parking, w->shared->cache, now, &r)) {
            /* Neither a datagram nor a question that is due is left behind. */
            w->forgotten += source_parking_poll_timeout(&w->parking) <= now;
            return;
        }
        if (r.what == SOURCE_RELEASE_ASK)
            ask(w, &r.dst);
        else
            let_go(w, floor, &r);
    }
}

/* What any other reader does. */
static void look_up(struct worker *w)
{
    uint32_t n = random_below(&w->random, DESTINATIONS);
    struct ip_addr dst = destination(n);
    struct ip_source out;
    uint64_t floor = __atomic_load_n(&w->shared->returned, __ATOMIC_ACQUIRE);
    if (!source_cache_lookup(w->shared->cache, &dst, &out))
        return;
    check_source(w, n, floor, &out);
    w->looked_up++;
}

static void resolve(struct worker *w, time_ns now)
{
    uint32_t n = random_below(&w->random, DESTINATIONS);
    struct ip_addr dst = destination(n);
    struct ip_source out;
    uint64_t seq = w->next[n];
    uint64_t floor = __atomic_load_n(&w->shared->returned, __ATOMIC_ACQUIRE);
    enum source_result r =
        source_cache_resolve(w->shared->cache, &w->parking, &dst, now, handle(n, seq), &out);
    if (r == SOURCE_DROP_FULL) { /* takes no number: parked ones of lower number are still inside */
        w->full++;
        return;
    }
    w->next[n]++;
    if (r == SOURCE_PARKED_ASK)
        ask(w, &dst);
    if (r == SOURCE_HIT || r == SOURCE_DROP_FAILED)
        check_order(w, n, seq);
    if (r == SOURCE_HIT)
        check_source(w, n, floor, &out);
    w->hits += r == SOURCE_HIT;
    w->failed += r == SOURCE_DROP_FAILED;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    uint64_t rounds = 0;
    while (!__atomic_load_n(&w->shared->stop, __ATOMIC_RELAXED)) {
        time_ns now = __atomic_load_n(&w->shared->clock, __ATOMIC_RELAXED);
        for (unsigned i = 0; i < 8; i++)
            resolve(w, now);
        look_up(w);
        poll_parking(w, now, 1 + random_below(&w->random, 64));
        __atomic_store_n(&w->rounds, ++rounds, __ATOMIC_RELAXED);
        if (rounds % 512 == 0)
            sched_yield();
    }
    return NULL;
}

struct control {
    struct shared *shared;
    uint32_t random;
    uint64_t invalidations, discarded, kept_outdated, refused_current;
};

static void invalidate(struct control *c)
{
    uint64_t g = source_cache_invalidate(c->shared->cache);
    __atomic_store_n(&c->shared->returned, g, __ATOMIC_RELEASE);
    c->invalidations++;
}

static void answer_question(struct control *c, const struct ip_addr *dst)
{
    struct source_cache *cache = c->shared->cache;
    time_ns now = c->shared->clock; /* own field */
    uint32_t n = load_be32(dst->bytes + (dst->family == ADDR_V6 ? 12 : 0));
    if (source_cache_question(cache, dst, now) == SOURCE_QUESTION_ANSWERED)
        return;
    uint64_t g = source_cache_generation(cache);
    struct ip_source s = answer(n, g);
    bool outdated = random_below(&c->random, 8) == 0;
    if (outdated) /* the network changes while control resolves */
        invalidate(c);
    bool kept = random_below(&c->random, 16) == 0 ? source_cache_fail(cache, g, dst, now)
                                                  : source_cache_publish(cache, g, dst, &s);
    c->kept_outdated += outdated && kept;
    c->discarded += !kept;
    c->refused_current += !outdated && !kept;
}

/* Rewrites slots under the readers' eyes, and fills sets. */
static void churn(struct control *c)
{
    uint64_t g = source_cache_generation(c->shared->cache);
    for (unsigned i = 0; i < 16; i++) {
        uint32_t n = random_below(&c->random, 3 * SOURCE_CACHE_CAPACITY);
        if (random_below(&c->random, 2))
            n %= DESTINATIONS;
        struct ip_addr dst = destination(n);
        struct ip_source s = answer(n, g);
        (void)source_cache_publish(c->shared->cache, g, &dst, &s);
    }
}

static bool done(const struct control *c, const struct worker *w)
{
    for (unsigned i = 0; i < WORKERS; i++)
        if (__atomic_load_n(&w[i].rounds, __ATOMIC_RELAXED) < ROUNDS_MIN)
            return false;
    return c->invalidations >= INVALIDATIONS_MIN;
}

static void control_run(struct control *c, struct worker *w)
{
    struct ip_addr dst;
    for (uint64_t loop = 0; !done(c, w); loop++) {
        for (unsigned i = 0; i < WORKERS; i++)
            for (unsigned n = question_ring_len(&w[i].questions); n > 0; n--)
                if (question_ring_pop_spsc(&w[i].questions, &dst))
                    answer_question(c, &dst);
        if (loop % 4 == 0)
            churn(c);
        if (random_below(&c->random, 64) == 0)
            invalidate(c);
        __atomic_store_n(&c->shared->clock, c->shared->clock + NS_PER_MS, __ATOMIC_RELAXED);
        if (loop % 64 == 0)
            sched_yield();
    }
    __atomic_store_n(&c->shared->stop, 1, __ATOMIC_RELAXED);
}

/* Once its thread has ended: what is parked leaves by itself, all questions unanswered, or is taken out. */
static void empty_parking(struct worker *w)
{
    struct source_released r;
    if (w->index % 2) {
        while (source_parking_flush(&w->parking, &r))
            let_go(w, 0, &r);
        return;
    }
    time_ns end = w->shared->clock + SOURCE_PARKED_AGE_MAX;
    for (time_ns now = w->shared->clock; now <= end; now += SOURCE_ASK_INTERVAL_NS)
        poll_parking(w, now, UINT32_MAX);
}

/* Each datagram that was numbered has left, once. */
static bool all_left(const struct worker *w)
{
    uint64_t taken = 0;
    for (unsigned n = 0; n < DESTINATIONS; n++) {
        taken += w->next[n];
        if (w->released[n] != w->next[n])
            return false;
    }
    return taken == w->hits + w->sent + w->dropped + w->failed &&
           source_parking_len(&w->parking) == 0;
}

/* NULL, or what is wrong. */
static const char *check_worker(struct worker *w)
{
    empty_parking(w);
    return w->outdated                       ? "an outdated answer"
           : w->torn                         ? "a torn answer"
           : w->disordered                   ? "datagrams out of order"
           : w->forgotten                    ? "datagrams or questions forgotten"
           : !all_left(w)                    ? "datagrams lost"
           : w->hits == 0 || !w->looked_up   ? "no hit at all"
           : w->sent == 0 || w->dropped == 0 ? "nothing parked and sent, or dropped"
                                             : NULL;
}

static void test_stress(void **state)
{
    (void)state;
    static struct shared shared;
    static struct worker worker[WORKERS];
    pthread_t thread[WORKERS];
    struct control control = {.shared = &shared, .random = 77};
    shared.cache = source_cache_new(5);
    shared.clock = NS_PER_SEC;
    assert_non_null(shared.cache);
    for (unsigned i = 0; i < WORKERS; i++) {
        worker[i] = (struct worker){.shared = &shared, .random = 1000 + i, .index = i};
        source_parking_init(&worker[i].parking);
        assert_int_equal(question_ring_init(&worker[i].questions, QUESTIONS_CAPACITY), ERR_OK);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, worker_main, &worker[i]), 0);
    control_run(&control, worker);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        const char *what = check_worker(&worker[i]);
        if (what)
            fail_msg("worker %u saw %s", i, what);
        question_ring_fini(&worker[i].questions);
    }
    assert_int_equal(control.kept_outdated, 0);
    assert_int_equal(control.refused_current, 0);
    assert_true(control.discarded > 0);
    source_cache_free(shared.cache);
}

/* ---- one destination, nothing but changes ---- */

/* Versions in place of generations: each answer has its own, and a change sets the floor when it has returned. */
static void *reader_main(void *arg)
{
    struct worker *w = arg;
    struct shared *s = w->shared;
    struct ip_addr dst = destination(1);
    struct source_released r;
    struct ip_source out;
    while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
        uint64_t floor = __atomic_load_n(&s->returned, __ATOMIC_ACQUIRE);
        if (source_cache_resolve(s->cache, &w->parking, &dst, NS_PER_SEC, w, &out) == SOURCE_HIT) {
            check_source(w, 1, floor, &out);
            __atomic_store_n(&w->rounds, ++w->hits, __ATOMIC_RELAXED);
        }
        while (source_parking_flush(&w->parking, &r))
            w->dropped++;
        floor = __atomic_load_n(&s->returned, __ATOMIC_ACQUIRE);
        if (source_cache_lookup(s->cache, &dst, &out))
            check_source(w, 1, floor, &out);
    }
    return NULL;
}

static void linger(struct control *c)
{
    for (uint32_t n = random_below(&c->random, 64); n > 0; n--)
        (void)random_below(&c->random, 2);
}

static void answer_again(struct control *c, uint64_t version)
{
    struct source_cache *cache = c->shared->cache;
    struct ip_addr dst = destination(1);
    struct ip_source s = answer(1, version);
    c->discarded += !source_cache_publish(cache, source_cache_generation(cache), &dst, &s);
    __atomic_store_n(&c->shared->returned, version, __ATOMIC_RELEASE);
    linger(c);
}

static void change_run(struct control *c, struct worker *w)
{
    uint64_t version = 0;
    bool read = false;
    for (uint64_t changes = 0; changes < CHANGES_MIN || !read; changes++) {
        source_cache_invalidate(c->shared->cache);
        __atomic_store_n(&c->shared->returned, version + 1, __ATOMIC_RELEASE);
        linger(c);
        answer_again(c, ++version);
        answer_again(c, ++version);
        read = true;
        for (unsigned i = 0; i < WORKERS; i++)
            read &= __atomic_load_n(&w[i].rounds, __ATOMIC_RELAXED) > CHANGES_MIN / 10;
        if (changes % 64 == 0)
            sched_yield();
    }
    __atomic_store_n(&c->shared->stop, 1, __ATOMIC_RELAXED);
}

static void test_changes(void **state)
{
    static struct shared shared;
    static struct worker worker[WORKERS];
    pthread_t thread[WORKERS];
    struct control control = {.shared = &shared, .random = 78};
    (void)state;
    shared.cache = source_cache_new(6);
    assert_non_null(shared.cache);
    for (unsigned i = 0; i < WORKERS; i++) {
        worker[i] = (struct worker){.shared = &shared, .index = i};
        source_parking_init(&worker[i].parking);
        assert_int_equal(pthread_create(&thread[i], NULL, reader_main, &worker[i]), 0);
    }
    change_run(&control, worker);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        if (worker[i].outdated || worker[i].torn)
            fail_msg("worker %u saw %u outdated and %u torn answers", i,
                     (unsigned)worker[i].outdated, (unsigned)worker[i].torn);
    assert_int_equal(control.discarded, 0);
    source_cache_free(shared.cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stress),
        cmocka_unit_test(test_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
