/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source cache and parking, one thread: order, bounds, failures, generations, eviction; then random
 * scripts with a check of every promise: nothing lost or doubled, order per destination, only
 * answers of the current generation, questions at most every 100 ms.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engine/source_cache.h"
#include "platform/base/bytes.h"

#define T0 (1000 * NS_PER_SEC)

struct fixture {
    struct source_cache *cache;
    struct source_parking parking;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->cache = source_cache_new(42);
    assert_non_null(f->cache);
    source_parking_init(&f->parking);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    source_cache_free(f->cache);
    free(f);
    return 0;
}

static struct ip_addr v4(uint32_t n)
{
    uint8_t b[4];
    store_be32(b, n);
    return ip_addr_v4(b);
}

/* The answer for dst in a generation; tells both. */
static struct ip_source answer(const struct ip_addr *dst, uint64_t generation)
{
    struct ip_source s = {.ip.family = ADDR_V6, .ifindex = 7};
    memcpy(s.ip.bytes, dst->bytes, 8);
    store_be64(s.ip.bytes + 8, generation);
    return s;
}

static bool source_equal(const struct ip_source *a, const struct ip_source *b)
{
    return ip_addr_equal(&a->ip, &b->ip) && a->ifindex == b->ifindex;
}

/* Datagram n as an opaque handle, and back. */
static void *handle(uintptr_t n)
{
    return (void *)(n + 1);
}

static uintptr_t number(const void *datagram)
{
    return (uintptr_t)datagram - 1;
}

static enum source_result resolve(struct fixture *f, uint32_t dst, time_ns now, uintptr_t n)
{
    struct ip_addr a = v4(dst);
    struct ip_source out;
    return source_cache_resolve(f->cache, &f->parking, &a, now, handle(n), &out);
}

static void publish(struct fixture *f, uint32_t dst)
{
    struct ip_addr a = v4(dst);
    uint64_t g = source_cache_generation(f->cache);
    struct ip_source s = answer(&a, g);
    assert_true(source_cache_publish(f->cache, g, &a, &s));
}

static void fail_now(struct fixture *f, uint32_t dst, time_ns now)
{
    struct ip_addr a = v4(dst);
    assert_true(source_cache_fail(f->cache, source_cache_generation(f->cache), &a, now));
}

static void expect_release(struct fixture *f, time_ns now, enum source_release what, uint32_t dst,
                           uintptr_t n)
{
    struct source_released r;
    struct ip_addr a = v4(dst);
    assert_true(source_parking_poll(&f->parking, f->cache, now, &r));
    assert_int_equal(r.what, what);
    assert_true(ip_addr_equal(&r.dst, &a));
    if (what == SOURCE_RELEASE_ASK)
        assert_null(r.datagram);
    else
        assert_int_equal(number(r.datagram), n);
    struct ip_source s = answer(&a, source_cache_generation(f->cache));
    if (what == SOURCE_RELEASE_SEND)
        assert_true(source_equal(&r.source, &s));
}

static void expect_quiet(struct fixture *f, time_ns now)
{
    struct source_released r;
    assert_false(source_parking_poll(&f->parking, f->cache, now, &r));
}

static void test_miss_park_answer_hit(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(source_parking_poll_timeout(&f->parking), TIME_NEVER);
    assert_int_equal(resolve(f, 1, T0, 0), SOURCE_PARKED_ASK);
    assert_int_equal(resolve(f, 1, T0, 1), SOURCE_PARKED); /* one question only */
    assert_int_equal(resolve(f, 2, T0, 2), SOURCE_PARKED_ASK);
    expect_quiet(f, T0);
    publish(f, 1);
    /* Answered, but not drained: order before speed. */
    assert_int_equal(resolve(f, 1, T0, 3), SOURCE_PARKED);
    expect_release(f, T0, SOURCE_RELEASE_SEND, 1, 0);
    assert_int_equal(resolve(f, 1, T0, 4), SOURCE_PARKED);
    expect_release(f, T0, SOURCE_RELEASE_SEND, 1, 1);
    expect_release(f, T0, SOURCE_RELEASE_SEND, 1, 3);
    expect_release(f, T0, SOURCE_RELEASE_SEND, 1, 4);
    expect_quiet(f, T0);
    assert_int_equal(resolve(f, 1, T0, 5), SOURCE_HIT);
    assert_int_equal(source_parking_len(&f->parking), 1);
    publish(f, 2);
    expect_release(f, T0, SOURCE_RELEASE_SEND, 2, 2);
    expect_quiet(f, T0);
    assert_int_equal(source_parking_len(&f->parking), 0);
    assert_int_equal(source_parking_poll_timeout(&f->parking), TIME_NEVER);
}

static void test_hit_is_complete(void **state)
{
    struct fixture *f = *state;
    uint8_t bytes[16];
    for (unsigned i = 0; i < 16; i++)
        bytes[i] = (uint8_t)(0xa0 + i);
    struct ip_addr dst = ip_addr_v6(bytes), same_bytes = ip_addr_v4(bytes), zero = v4(0);
    struct ip_source in = {.ip = ip_addr_v4(bytes), .ifindex = 0xfedcba98}, out;
    assert_true(source_cache_publish(f->cache, 1, &dst, &in));
    assert_true(source_cache_lookup(f->cache, &dst, &out));
    assert_true(source_equal(&in, &out));
    assert_false(source_cache_lookup(f->cache, &same_bytes, &out));
    in = (struct ip_source){.ip = dst, .ifindex = 1};
    assert_true(source_cache_publish(f->cache, 1, &dst, &in)); /* replaces */
    assert_true(source_cache_lookup(f->cache, &dst, &out));
    assert_true(source_equal(&in, &out));
    /* 0.0.0.0 and :: are different keys. */
    assert_true(source_cache_publish(f->cache, 1, &zero, &in));
    memset(bytes, 0, sizeof bytes);
    dst = ip_addr_v6(bytes);
    assert_false(source_cache_lookup(f->cache, &dst, &out));
}

/* The same bytes are another destination in the other family, in whatever set of the table. */
static void test_families_do_not_mix(void **state)
{
    struct fixture *f = *state;
    struct ip_source out;
    for (uint32_t i = 1; i <= SOURCE_CACHE_CAPACITY; i++) {
        uint32_t spread = i * 0x9e3779b1u;
        struct ip_addr a = v4(spread), b = a;
        b.family = ADDR_V6;
        publish(f, spread);
        assert_true(source_cache_lookup(f->cache, &a, &out));
        assert_false(source_cache_lookup(f->cache, &b, &out));
    }
}

/* What a worker remembers is never used once the table says otherwise, for any kind of change. */
static void test_remembered_answers(void **state)
{
    struct fixture *f = *state;
    struct ip_addr dst = v4(1);
    struct ip_source other = {.ip = v4(77), .ifindex = 7}, out;

    publish(f, 1);
    publish(f, 2);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(resolve(f, 1, T0, i), SOURCE_HIT);

    /* Another answer in the same generation. */
    uint64_t g = source_cache_generation(f->cache);
    assert_true(source_cache_publish(f->cache, g, &dst, &other));
    assert_int_equal(source_cache_resolve(f->cache, &f->parking, &dst, T0, NULL, &out), SOURCE_HIT);
    assert_true(source_equal(&out, &other));
    assert_int_equal(source_cache_resolve(f->cache, &f->parking, &dst, T0, NULL, &out), SOURCE_HIT);
    assert_true(source_equal(&out, &other));

    /* A failure in its place. */
    assert_true(source_cache_fail(f->cache, g, &dst, T0));
    assert_int_equal(source_cache_resolve(f->cache, &f->parking, &dst, T0, NULL, &out),
                     SOURCE_DROP_FAILED);
    assert_int_equal(resolve(f, 2, T0, 3), SOURCE_HIT);

    /* A new generation. */
    source_cache_invalidate(f->cache);
    assert_int_equal(resolve(f, 2, T0, 4), SOURCE_PARKED_ASK);
}

static void test_failure_drops_and_holds_back(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(resolve(f, 1, T0, 0), SOURCE_PARKED_ASK);
    assert_int_equal(resolve(f, 1, T0, 1), SOURCE_PARKED);
    fail_now(f, 1, T0);
    expect_release(f, T0, SOURCE_RELEASE_DROP, 1, 0);
    expect_release(f, T0, SOURCE_RELEASE_DROP, 1, 1);
    expect_quiet(f, T0);
    assert_int_equal(resolve(f, 1, T0 + 1, 2), SOURCE_DROP_FAILED);
    assert_int_equal(resolve(f, 1, T0 + SOURCE_ASK_INTERVAL_NS - 1, 3), SOURCE_DROP_FAILED);
    /* Not cached: asked again, and the old failure does not answer the new question. */
    time_ns again = T0 + SOURCE_ASK_INTERVAL_NS;
    assert_int_equal(resolve(f, 1, again, 4), SOURCE_PARKED_ASK);
    expect_quiet(f, again);
    publish(f, 1);
    expect_release(f, again, SOURCE_RELEASE_SEND, 1, 4);
    assert_int_equal(resolve(f, 1, again, 5), SOURCE_HIT);
}

static void test_generation_lifts_the_hold(void **state)
{
    struct fixture *f = *state;
    fail_now(f, 1, T0);
    assert_int_equal(resolve(f, 1, T0, 0), SOURCE_DROP_FAILED);
    assert_int_equal(source_cache_invalidate(f->cache), 2);
    assert_int_equal(resolve(f, 1, T0, 1), SOURCE_PARKED_ASK);
    expect_quiet(f, T0);
    fail_now(f, 1, T0); /* the same instant, but a new failure */
    expect_release(f, T0, SOURCE_RELEASE_DROP, 1, 1);
}

/*
 * A failure whose time stamp is older than the question (control read its clock earlier) still
 * answers it.
 */
static void test_failure_with_earlier_clock(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(resolve(f, 1, T0 + 5, 0), SOURCE_PARKED_ASK);
    fail_now(f, 1, T0);
    expect_release(f, T0 + 6, SOURCE_RELEASE_DROP, 1, 0);
}

static void test_invalidate(void **state)
{
    struct fixture *f = *state;
    struct ip_addr a = v4(1), b = v4(2);
    struct ip_source s = answer(&a, 1), out;
    publish(f, 1);
    assert_true(source_cache_lookup(f->cache, &a, &out));
    assert_int_equal(resolve(f, 2, T0, 0), SOURCE_PARKED_ASK);
    assert_int_equal(source_cache_invalidate(f->cache), 2);
    assert_false(source_cache_lookup(f->cache, &a, &out));
    /* What was resolved for the old generation is discarded. */
    assert_false(source_cache_publish(f->cache, 1, &b, &s));
    assert_false(source_cache_fail(f->cache, 1, &b, T0));
    /* The parked datagram asks again at once; then once only. */
    expect_release(f, T0, SOURCE_RELEASE_ASK, 2, 0);
    expect_quiet(f, T0);
    publish(f, 2);
    expect_release(f, T0, SOURCE_RELEASE_SEND, 2, 0);
    /* So does the next datagram, if it comes before the poll. */
    assert_int_equal(resolve(f, 3, T0, 1), SOURCE_PARKED_ASK);
    source_cache_invalidate(f->cache);
    assert_int_equal(resolve(f, 3, T0, 2), SOURCE_PARKED_ASK);
    assert_int_equal(resolve(f, 3, T0, 3), SOURCE_PARKED);
    expect_quiet(f, T0);
}

/* Half drained when everything is invalidated: the rest stays and waits for the new answer. */
static void test_invalidate_while_draining(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(resolve(f, 1, T0, 0), SOURCE_PARKED_ASK);
    assert_int_equal(resolve(f, 1, T0, 1), SOURCE_PARKED);
    publish(f, 1);
    expect_release(f, T0, SOURCE_RELEASE_SEND, 1, 0);
    source_cache_invalidate(f->cache);
    expect_release(f, T0, SOURCE_RELEASE_ASK, 1, 0);
    expect_quiet(f, T0);
    publish(f, 1);
    expect_release(f, T0, SOURCE_RELEASE_SEND, 1, 1);
}

static void test_lost_question(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(resolve(f, 1, T0, 0), SOURCE_PARKED_ASK);
    assert_int_equal(source_parking_poll_timeout(&f->parking), T0 + SOURCE_ASK_INTERVAL_NS);
    expect_quiet(f, T0 + SOURCE_ASK_INTERVAL_NS - 1);
    expect_release(f, T0 + SOURCE_ASK_INTERVAL_NS, SOURCE_RELEASE_ASK, 1, 0);
    expect_quiet(f, T0 + SOURCE_ASK_INTERVAL_NS);
    assert_int_equal(resolve(f, 1, T0 + 2 * SOURCE_ASK_INTERVAL_NS, 1), SOURCE_PARKED_ASK);
    /* Never answered: each goes when its time is over. */
    expect_release(f, T0 + SOURCE_PARKED_AGE_MAX, SOURCE_RELEASE_DROP, 1, 0);
    expect_release(f, T0 + SOURCE_PARKED_AGE_MAX, SOURCE_RELEASE_ASK, 1, 0);
    expect_quiet(f, T0 + SOURCE_PARKED_AGE_MAX);
    expect_release(f, T0 + 2 * SOURCE_PARKED_AGE_MAX, SOURCE_RELEASE_DROP, 1, 1);
    expect_quiet(f, T0 + 2 * SOURCE_PARKED_AGE_MAX);
    assert_int_equal(source_parking_poll_timeout(&f->parking), TIME_NEVER);
}

static void test_bound_per_destination(void **state)
{
    struct fixture *f = *state;
    for (uintptr_t i = 0; i < SOURCE_PARKED_PER_DESTINATION_MAX; i++)
        assert_int_equal(resolve(f, 1, T0, i), i == 0 ? SOURCE_PARKED_ASK : SOURCE_PARKED);
    assert_int_equal(resolve(f, 1, T0, 999), SOURCE_DROP_FULL);
    assert_int_equal(resolve(f, 2, T0, 500), SOURCE_PARKED_ASK);
    publish(f, 1);
    for (uintptr_t i = 0; i < SOURCE_PARKED_PER_DESTINATION_MAX; i++)
        expect_release(f, T0, SOURCE_RELEASE_SEND, 1, i);
    expect_quiet(f, T0);
}

static void test_bound_of_destinations(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < SOURCE_PARKED_DESTINATIONS_MAX; i++)
        assert_int_equal(resolve(f, i, T0, i), SOURCE_PARKED_ASK);
    assert_int_equal(resolve(f, 1000, T0, 1000), SOURCE_DROP_FULL);
    assert_int_equal(resolve(f, 5, T0, 1001), SOURCE_PARKED);
    publish(f, 5);
    expect_release(f, T0, SOURCE_RELEASE_SEND, 5, 5);
    expect_release(f, T0, SOURCE_RELEASE_SEND, 5, 1001);
    assert_int_equal(resolve(f, 1000, T0, 1002), SOURCE_PARKED_ASK); /* one became free */
}

static void test_bound_in_total(void **state)
{
    struct fixture *f = *state;
    struct source_released r;
    unsigned parked = 0;
    for (uint32_t d = 0; d < SOURCE_PARKED_DESTINATIONS_MAX; d++)
        for (unsigned i = 0; i < SOURCE_PARKED_PER_DESTINATION_MAX; i++)
            parked += resolve(f, d, T0, parked) != SOURCE_DROP_FULL;
    assert_int_equal(parked, SOURCE_PARKED_MAX);
    assert_int_equal(source_parking_len(&f->parking), SOURCE_PARKED_MAX);
    unsigned flushed = 0;
    for (; source_parking_flush(&f->parking, &r); flushed++) {
        assert_int_equal(r.what, SOURCE_RELEASE_DROP);
        assert_int_equal(number(r.datagram), flushed);
    }
    assert_int_equal(flushed, SOURCE_PARKED_MAX);
    assert_int_equal(source_parking_len(&f->parking), 0);
    assert_int_equal(resolve(f, 1, T0, 0), SOURCE_PARKED_ASK); /* usable afterwards */
}

static void test_questions_of_several_workers(void **state)
{
    struct fixture *f = *state;
    struct ip_addr a = v4(1);
    assert_int_equal(source_cache_question(f->cache, &a, T0), SOURCE_QUESTION_RESOLVE);
    fail_now(f, 1, T0);
    assert_int_equal(source_cache_question(f->cache, &a, T0), SOURCE_QUESTION_ANSWERED);
    assert_int_equal(source_cache_question(f->cache, &a, T0 + SOURCE_ASK_INTERVAL_NS),
                     SOURCE_QUESTION_RESOLVE);
    publish(f, 1);
    assert_int_equal(source_cache_question(f->cache, &a, T0 + NS_PER_SEC),
                     SOURCE_QUESTION_ANSWERED);
    source_cache_invalidate(f->cache);
    assert_int_equal(source_cache_question(f->cache, &a, T0), SOURCE_QUESTION_RESOLVE);
}

/*
 * Far more destinations than slots: the newest is always there, nothing is ever wrong, stale ones
 * make room first.
 */
static void test_full_table(void **state)
{
    struct fixture *f = *state;
    enum {
        N = 5 * SOURCE_CACHE_CAPACITY
    };
    struct ip_source out;
    for (uint32_t i = 0; i < N; i++) {
        struct ip_addr a = v4(i);
        publish(f, i);
        assert_true(source_cache_lookup(f->cache, &a, &out));
    }
    unsigned found = 0;
    for (uint32_t i = 0; i < N; i++) {
        struct ip_addr a = v4(i);
        struct ip_source s = answer(&a, 1);
        if (!source_cache_lookup(f->cache, &a, &out))
            continue;
        assert_true(source_equal(&out, &s));
        found++;
    }
    assert_int_equal(found, SOURCE_CACHE_CAPACITY);
    for (uint32_t i = 0; i < 64; i++) { /* the oldest have made room */
        struct ip_addr first = v4(i), last = v4(N - 1 - i);
        assert_false(source_cache_lookup(f->cache, &first, &out));
        assert_true(source_cache_lookup(f->cache, &last, &out));
    }
    source_cache_invalidate(f->cache);
    for (uint32_t i = 0; i < 64; i++)
        publish(f, i);
    for (uint32_t i = 0; i < 64; i++) {
        struct ip_addr a = v4(i);
        assert_true(source_cache_lookup(f->cache, &a, &out));
    }
}

/* Failures give way before answers do. */
static void test_failures_are_evicted_first(void **state)
{
    struct fixture *f = *state;
    struct ip_source out;
    for (uint32_t i = 0; i < 64; i++)
        publish(f, i);
    for (uint32_t i = 0; i < 10 * SOURCE_CACHE_CAPACITY; i++)
        fail_now(f, 100000 + i, T0);
    unsigned kept = 0;
    for (uint32_t i = 0; i < 64; i++) {
        struct ip_addr a = v4(i);
        kept += source_cache_lookup(f->cache, &a, &out);
    }
    assert_int_equal(kept, 64);
}

/* ---- random scripts ---- */

enum {
    DESTINATIONS = 6,
    STEPS = 200000,
    CLOCK_SKEW_NS = 1000 /* control's reading may be older than the worker's */
};

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % n;
}

struct model_destination {
    uintptr_t queue[SOURCE_PARKED_PER_DESTINATION_MAX];
    unsigned len;
    time_ns asked_at;
    uint64_t asked_generation; /* 0: never */
    bool pending;              /* a question waits for control */
};

struct model {
    struct model_destination d[DESTINATIONS];
    time_ns now;
    unsigned sent, dropped, refused, hits, next;
};

static void model_asked(struct model *m, struct model_destination *d, uint64_t generation)
{
    /*
     * Nothing is evicted here, so asking twice in one generation means a failure, or no answer at
     * all.
     */
    if (d->asked_generation == generation)
        assert_true(m->now - d->asked_at >= SOURCE_ASK_INTERVAL_NS - CLOCK_SKEW_NS);
    d->asked_at = m->now;
    d->asked_generation = generation;
    d->pending = true;
}

static void model_resolve(struct fixture *f, struct model *m, uint32_t dst)
{
    struct model_destination *d = &m->d[dst];
    struct ip_addr a = v4(dst);
    struct ip_source out, expected = answer(&a, source_cache_generation(f->cache));
    uintptr_t n = m->next++;
    enum source_result r = source_cache_resolve(f->cache, &f->parking, &a, m->now, handle(n), &out);
    switch (r) {
    case SOURCE_HIT:
        assert_int_equal(d->len, 0);
        assert_true(source_equal(&out, &expected));
        m->hits++;
        break;
    case SOURCE_PARKED_ASK:
        model_asked(m, d, source_cache_generation(f->cache));
        d->queue[d->len++] = n;
        break;
    case SOURCE_PARKED:
        assert_true(d->len > 0);
        d->queue[d->len++] = n;
        break;
    case SOURCE_DROP_FULL:
        assert_int_equal(d->len, SOURCE_PARKED_PER_DESTINATION_MAX);
        m->refused++;
        break;
    case SOURCE_DROP_FAILED:
        assert_int_equal(d->len, 0);
        m->refused++;
        break;
    }
}

static void model_poll(struct fixture *f, struct model *m, unsigned steps)
{
    struct source_released r;
    while (steps-- > 0 && source_parking_poll(&f->parking, f->cache, m->now, &r)) {
        uint32_t dst = load_be32(r.dst.bytes);
        struct model_destination *d = &m->d[dst];
        assert_true(d->len > 0);
        if (r.what == SOURCE_RELEASE_ASK) {
            model_asked(m, d, source_cache_generation(f->cache));
            continue;
        }
        assert_int_equal(number(r.datagram), d->queue[0]);
        memmove(d->queue, d->queue + 1, --d->len * sizeof d->queue[0]);
        struct ip_source s = answer(&r.dst, source_cache_generation(f->cache));
        if (r.what == SOURCE_RELEASE_SEND)
            assert_true(source_equal(&r.source, &s));
        m->sent += r.what == SOURCE_RELEASE_SEND;
        m->dropped += r.what == SOURCE_RELEASE_DROP;
    }
}

static void model_control(struct fixture *f, struct model *m, uint32_t dst)
{
    struct model_destination *d = &m->d[dst];
    struct ip_addr a = v4(dst);
    if (!d->pending)
        return;
    d->pending = false;
    if (source_cache_question(f->cache, &a, m->now) == SOURCE_QUESTION_ANSWERED)
        return;
    if (random_below(3) == 0)
        fail_now(f, dst, m->now - random_below(CLOCK_SKEW_NS));
    else
        publish(f, dst);
}

static void test_random_scripts(void **state)
{
    struct fixture *f = *state;
    struct model m = {.now = T0};
    random_state = 99;
    for (unsigned i = 0; i < STEPS; i++) {
        switch (random_below(16)) {
        case 0:
            model_control(f, &m, random_below(DESTINATIONS));
            break;
        case 1:
            model_poll(f, &m, random_below(2) ? 1 : 1000);
            break;
        case 2:
            m.now += random_below(40) * NS_PER_MS;
            break;
        case 3:
            if (random_below(40) == 0)
                source_cache_invalidate(f->cache);
            break;
        default:
            model_resolve(f, &m, random_below(DESTINATIONS));
            break;
        }
    }
    unsigned parked = 0;
    for (unsigned i = 0; i < DESTINATIONS; i++)
        parked += m.d[i].len;
    assert_int_equal(parked, source_parking_len(&f->parking));
    assert_int_equal(m.hits + m.sent + m.dropped + m.refused + parked, m.next);
    assert_true(m.hits > 1000 && m.sent > 1000 && m.dropped > 1000 && m.refused > 1000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_miss_park_answer_hit),
        TEST(test_hit_is_complete),
        TEST(test_families_do_not_mix),
        TEST(test_remembered_answers),
        TEST(test_failure_drops_and_holds_back),
        TEST(test_generation_lifts_the_hold),
        TEST(test_failure_with_earlier_clock),
        TEST(test_invalidate),
        TEST(test_invalidate_while_draining),
        TEST(test_lost_question),
        TEST(test_bound_per_destination),
        TEST(test_bound_of_destinations),
        TEST(test_bound_in_total),
        TEST(test_questions_of_several_workers),
        TEST(test_full_table),
        TEST(test_failures_are_evicted_first),
        TEST(test_random_scripts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
