/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A million distinct destinations through one source cache and the parking lots of four workers: memory is asked for once,
 * every bound holds all the while, and at the end each datagram has left exactly once: sent from the right source, dropped,
 * or refused. Control is slow, fails, forgets questions, and roams. One thread, so that all of it is repeatable.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static unsigned allocations;

static void *counted_calloc(size_t n, size_t size)
{
    allocations++;
    return calloc(n, size);
}

#define calloc counted_calloc
#include "engine/source_cache.c"
#undef calloc

enum {
    DESTINATIONS = 1000000,
    WORKERS = 4,
    PER_DESTINATION = 2, /* datagrams at most */
    QUESTIONS_MAX = 128,
    INFLIGHT = 24 /* destinations between control's turns, more or less */
};

enum fate {
    FATE_NONE,
    FATE_PARKED,
    FATE_SENT,
    FATE_DROPPED,
    FATE_REFUSED
};

struct world {
    struct source_cache *cache;
    struct source_parking parking[WORKERS];
    struct ip_addr question[QUESTIONS_MAX];
    unsigned questions;
    time_ns now;
    uint8_t *fate; /* of each datagram */
    uint64_t random;
    unsigned count[FATE_REFUSED + 1];
    unsigned lost_questions, discarded;
};

static uint32_t random_below(struct world *w, uint32_t n)
{
    w->random ^= w->random >> 12;
    w->random ^= w->random << 25;
    w->random ^= w->random >> 27;
    return (uint32_t)((w->random * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % n;
}

static struct ip_addr destination(uint32_t n)
{
    uint8_t b[16] = {0x20, 0x01, 0x0d, 0xb8};
    store_be32(b + 12, 0x0a000000 + n);
    return n % 2 ? ip_addr_v6(b) : ip_addr_v4(b + 12);
}

static uint32_t destination_number(const struct ip_addr *a)
{
    return load_be32(a->bytes + (a->family == ADDR_V6 ? 12 : 0)) - 0x0a000000;
}

/* Tells the destination, and when it was right. */
static struct ip_source answer(uint32_t n, uint64_t generation)
{
    struct ip_source s = {.ip.family = ADDR_V6, .ifindex = n ^ (uint32_t)generation};
    store_be64(s.ip.bytes, generation);
    store_be64(s.ip.bytes + 8, n);
    return s;
}

static void check_source(const struct world *w, uint32_t n, const struct ip_source *s)
{
    struct ip_source right = answer(n, source_cache_generation(w->cache));
    assert_true(ip_addr_equal(&s->ip, &right.ip));
    assert_int_equal(s->ifindex, right.ifindex);
}

static void set_fate(struct world *w, uint32_t datagram, enum fate from, enum fate to)
{
    assert_int_equal(w->fate[datagram], from);
    w->fate[datagram] = (uint8_t)to;
    w->count[to]++;
    if (from == FATE_PARKED)
        w->count[FATE_PARKED]--;
}

static void ask(struct world *w, const struct ip_addr *dst)
{
    if (w->questions == QUESTIONS_MAX || random_below(w, 64) == 0)
        w->lost_questions++;
    else
        w->question[w->questions++] = *dst;
}

static void send_one(struct world *w, uint32_t datagram)
{
    uint32_t n = datagram / PER_DESTINATION;
    struct source_parking *p = &w->parking[n % WORKERS];
    struct ip_addr dst = destination(n);
    struct ip_source out;
    void *handle = (void *)(uintptr_t)(datagram + 1);
    switch (source_cache_resolve(w->cache, p, &dst, w->now, handle, &out)) {
    case SOURCE_HIT:
        check_source(w, n, &out);
        set_fate(w, datagram, FATE_NONE, FATE_SENT);
        break;
    case SOURCE_PARKED_ASK:
        ask(w, &dst);
        set_fate(w, datagram, FATE_NONE, FATE_PARKED);
        break;
    case SOURCE_PARKED:
        set_fate(w, datagram, FATE_NONE, FATE_PARKED);
        break;
    case SOURCE_DROP_FULL:
    case SOURCE_DROP_FAILED:
        set_fate(w, datagram, FATE_NONE, FATE_REFUSED);
        break;
    }
    assert_true(p->len <= SOURCE_PARKED_MAX && p->destinations <= SOURCE_PARKED_DESTINATIONS_MAX);
}

static void poll_all(struct world *w)
{
    struct source_released r;
    for (unsigned i = 0; i < WORKERS; i++) {
        while (source_parking_poll(&w->parking[i], w->cache, w->now, &r)) {
            if (r.what == SOURCE_RELEASE_ASK) {
                ask(w, &r.dst);
                continue;
            }
            uint32_t datagram = (uint32_t)((uintptr_t)r.datagram - 1);
            assert_int_equal(destination_number(&r.dst), datagram / PER_DESTINATION);
            if (r.what == SOURCE_RELEASE_SEND)
                check_source(w, datagram / PER_DESTINATION, &r.source);
            set_fate(w, datagram, FATE_PARKED,
                     r.what == SOURCE_RELEASE_SEND ? FATE_SENT : FATE_DROPPED);
        }
    }
}

static void answer_all(struct world *w)
{
    for (unsigned i = 0; i < w->questions; i++) {
        const struct ip_addr *dst = &w->question[i];
        uint64_t g = source_cache_generation(w->cache);
        if (source_cache_question(w->cache, dst, w->now) == SOURCE_QUESTION_ANSWERED)
            continue;
        struct ip_source s = answer(destination_number(dst), g);
        bool roamed = random_below(w, 200) == 0; /* while control resolves */
        if (roamed)
            source_cache_invalidate(w->cache);
        bool kept = random_below(w, 16) == 0 ? source_cache_fail(w->cache, g, dst, w->now)
                                             : source_cache_publish(w->cache, g, dst, &s);
        assert_true(kept == !roamed);
        w->discarded += !kept;
    }
    w->questions = 0;
}

/* Everything that is still parked, in bounded time. */
static void drain(struct world *w)
{
    for (unsigned i = 0; i < 40 && w->count[FATE_PARKED] > 0; i++) {
        answer_all(w);
        w->now += SOURCE_ASK_INTERVAL_NS;
        poll_all(w);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        assert_int_equal(source_parking_len(&w->parking[i]), 0);
        assert_int_equal(source_parking_poll_timeout(&w->parking[i]), TIME_NEVER);
    }
}

/* A search looks at the slots of one set at most: each destination is in its own, and in one slot only. */
static void check_table(const struct world *w)
{
    for (unsigned i = 0; i < SOURCE_CACHE_CAPACITY; i++) {
        const struct slot *s = &w->cache->slots[i];
        struct ip_addr dst = {.family = (uint8_t)s->word[WORD_META]};
        store_le64(dst.bytes, s->word[WORD_DST_HI]);
        store_le64(dst.bytes + 8, s->word[WORD_DST_LO]);
        assert_true(s->seq != 0 && s->seq % 2 == 0);
        const struct slot *set = set_of(w->cache, &dst);
        assert_ptr_equal(set, w->cache->slots + i / SOURCE_CACHE_WAYS * SOURCE_CACHE_WAYS);
        for (const struct slot *other = set; other < s; other++)
            assert_false(words_match(other->word, &dst));
    }
}

/* What is found is right, and no more than there is room for. */
static void check_lookups(struct world *w)
{
    unsigned found = 0;
    struct ip_source out;
    for (uint32_t n = 0; n < DESTINATIONS; n++) {
        struct ip_addr dst = destination(n);
        if (!source_cache_lookup(w->cache, &dst, &out))
            continue;
        check_source(w, n, &out);
        found++;
    }
    assert_in_range(found, 1, SOURCE_CACHE_CAPACITY);
}

/* A destination that is used has its answer again after one question, and keeps it. */
static void check_hits(struct world *w)
{
    uint64_t g = source_cache_generation(w->cache);
    struct ip_source out;
    for (unsigned round = 0; round < 3; round++) {
        for (uint32_t n = 0; n < SOURCE_CACHE_WAYS; n++) {
            struct ip_addr dst = destination(n);
            struct ip_source s = answer(n, g);
            if (round == 0)
                assert_true(source_cache_publish(w->cache, g, &dst, &s));
            assert_int_equal(source_cache_resolve(w->cache, &w->parking[0], &dst, w->now, w, &out),
                             SOURCE_HIT);
            check_source(w, n, &out);
        }
    }
}

static void test_million(void **state)
{
    static struct world world;
    struct world *w = &world;
    unsigned datagrams = 0;
    (void)state;
    w->now = NS_PER_SEC;
    w->random = 2024;
    w->fate = calloc(DESTINATIONS, PER_DESTINATION);
    w->cache = source_cache_new(7);
    assert_true(w->fate && w->cache);
    assert_int_equal(allocations, 1);
    for (unsigned i = 0; i < WORKERS; i++)
        source_parking_init(&w->parking[i]);
    for (uint32_t n = 0; n < DESTINATIONS; n++) {
        uint32_t some = 1 + random_below(w, PER_DESTINATION);
        for (uint32_t k = 0; k < some; k++, datagrams++)
            send_one(w, n * PER_DESTINATION + k);
        if (random_below(w, INFLIGHT) == 0)
            answer_all(w);
        if (random_below(w, INFLIGHT) == 0)
            poll_all(w);
        if (random_below(w, 8) == 0)
            w->now += NS_PER_MS;
        if (random_below(w, 20000) == 0)
            source_cache_invalidate(w->cache);
    }
    drain(w);
    assert_true(datagrams > DESTINATIONS);
    assert_int_equal(w->count[FATE_SENT] + w->count[FATE_DROPPED] + w->count[FATE_REFUSED],
                     datagrams);
    assert_true(w->count[FATE_SENT] > DESTINATIONS / 2);
    assert_true(w->count[FATE_DROPPED] > 1000 && w->count[FATE_REFUSED] > 1000);
    assert_true(w->lost_questions > 1000 && w->discarded > 1000);
    check_table(w);
    check_lookups(w);
    check_hits(w);
    assert_int_equal(allocations, 1);
    source_cache_free(w->cache);
    free(w->fate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_million),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
