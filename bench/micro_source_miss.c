/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fzbench micro: what the source cache costs when it has no answer: a destination's first datagram, a change of network;
 * and a million destinations, which must not cost memory.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/count.h"
#include "bench/micro.h"
#include "bench/micro_source.h"
#include "platform/base/mem.h"
#include "platform/clock.h"

enum {
    ROUNDS = 128 /* of a stretch */
};

struct misses {
    struct source_parking parking; /* first, for it is aligned */
    struct source_cache *cache;
    time_ns now;
    unsigned next;          /* destination that nobody has asked about */
    uint64_t generation;    /* before the stretch */
    unsigned done;          /* rounds that went right */
    struct ip_addr used[2]; /* answered before the stretch, and in its last round */
};

static void *open_misses(const struct micro_case *c, unsigned *items)
{
    struct misses *m = mem_check(aligned_alloc(CACHE_LINE, sizeof *m));
    (void)c;
    memset(m, 0, sizeof *m);
    m->cache = mem_check(source_cache_new(MICRO_SOURCE_SEED));
    source_parking_init(&m->parking);
    m->now = clock_now();
    m->next = MICRO_DESTINATIONS;
    m->used[0] = micro_destination(0);
    m->used[1] = micro_destination(1);
    *items = ROUNDS;
    return m;
}

static bool answer(struct misses *m, unsigned i)
{
    uint64_t generation = source_cache_generation(m->cache);
    struct ip_source source = micro_answer(i, generation);
    return source_cache_publish(m->cache, generation, &m->used[i], &source);
}

static void prepare_misses(void *state)
{
    struct misses *m = state;
    bool answered = answer(m, 0);
    ASSERT(answered);
    m->generation = source_cache_generation(m->cache);
    m->done = 0;
}

static void close_misses(void *state)
{
    struct misses *m = state;
    source_cache_free(m->cache);
    free(m);
}

/* ---- a destination's first datagram ---- */

static void work_miss(void *state)
{
    struct misses *m = state;
    for (unsigned i = 0; i < ROUNDS; i++)
        m->done += micro_miss(m->cache, &m->parking, m->next++, m->now);
}

static bool check_miss(void *state)
{
    struct misses *m = state;
    return m->done == ROUNDS && source_parking_len(&m->parking) == 0;
}

/* ---- a change of network ---- */

static void work_invalidate(void *state)
{
    struct misses *m = state;
    for (unsigned i = 0; i < ROUNDS; i++)
        source_cache_invalidate(m->cache);
}

/* As many generations later, and nothing is left of the first. */
static bool check_invalidate(void *state)
{
    struct misses *m = state;
    struct ip_source source;
    return source_cache_generation(m->cache) == m->generation + ROUNDS &&
           !source_cache_lookup(m->cache, &m->used[0], &source);
}

/* With the answer of the new generation, which control has by then. */
static void work_first_hit(void *state)
{
    struct misses *m = state;
    struct ip_source source;
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t generation = source_cache_invalidate(m->cache);
        bool ok = answer(m, 1);
        ok &= source_cache_resolve(m->cache, &m->parking, &m->used[1], m->now, m, &source) ==
              SOURCE_HIT;
        m->done +=
            ok && micro_answer_right(1, &source) && micro_answer_generation(&source) == generation;
    }
}

static bool check_first_hit(void *state)
{
    struct misses *m = state;
    return m->done == ROUNDS && check_invalidate(state);
}

/* ---- a million destinations ---- */

static void add_row(const struct micro_case *c, struct result *r, const char *figure,
                    const char *unit, enum result_gate gate, double value)
{
    char row[MICRO_NAME_MAX + 32];
    snprintf(row, sizeof row, "micro/%s/%s", c->name, figure);
    result_add(r, row, unit, RESULT_LOWER, gate, value);
}

/* The cache and a worker's part of it, from nothing to the end, with a count of what they allocate. */
static bool measure_million(const struct micro_case *c, unsigned ms, struct result *r, char *why,
                            size_t why_size)
{
    struct source_parking *parking = mem_check(aligned_alloc(CACHE_LINE, sizeof *parking));
    struct count count;
    (void)ms;

    source_parking_init(parking);
    count_open(&count);
    count_begin(&count);
    struct source_cache *cache = mem_check(source_cache_new(MICRO_SOURCE_SEED));
    count_end(&count);
    struct counts made = count.sum;
    count_begin(&count);
    bool right = micro_strangers(cache, parking, clock_now());
    count_end(&count);
    uint64_t grown = count.sum.allocated - made.allocated;
    bool told = count.allocated_at != NULL; /* else another allocator, which does not tell */
    count_close(&count);
    source_cache_free(cache);
    free(parking);
    if (!right || grown > 0) {
        snprintf(why, why_size, "%s, and it grew by %llu bytes",
                 right ? "all results are right" : "a result is wrong", (unsigned long long)grown);
        return false;
    }
    add_row(c, r, "ns", "ns/destination", GATE_NONE,
            (double)(count.sum.ns - made.ns) / MICRO_STRANGERS);
    if (!told)
        return true;
    add_row(c, r, "grown", "bytes", GATE_ZERO, (double)grown);
    add_row(c, r, "size", "bytes", GATE_NONE, (double)(made.allocated + sizeof *parking));
    return true;
}

void micro_source_miss_cases(struct micro_list *l)
{
    static const struct micro_ops miss = {open_misses, prepare_misses, work_miss, check_miss,
                                          close_misses};
    static const struct micro_ops invalidate = {open_misses, prepare_misses, work_invalidate,
                                                check_invalidate, close_misses};
    static const struct micro_ops first_hit = {open_misses, prepare_misses, work_first_hit,
                                               check_first_hit, close_misses};
    struct micro_case c = {.item = "miss", .counted = true, .ops = &miss};

    micro_list_add(l, &c, false, "source_cache/miss");
    c.item = "change";
    c.ops = &invalidate;
    micro_list_add(l, &c, false, "source_cache/invalidate");
    c.ops = &first_hit;
    micro_list_add(l, &c, false, "source_cache/invalidate/first_hit");
    c = (struct micro_case){.measure = measure_million};
    micro_list_add(l, &c, false, "source_cache/strangers/%u", (unsigned)MICRO_STRANGERS);
}
