/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fzbench micro: what the source cache costs one thread that finds every answer, in a table with little else, and in one
 * that has seen a million destinations more.
 */
#include "bench/micro_source.h"

#include <stdlib.h>
#include <string.h>

#include "bench/micro.h"
#include "platform/base/mem.h"
#include "platform/clock.h"

enum {
    HITS = 1024,         /* of a stretch */
    HIT_DESTINATIONS = 8 /* in turn: about what a client has relays */
};

struct hits {
    struct source_parking parking; /* first, for it is aligned */
    struct source_cache *cache;
    time_ns now;
    unsigned used;                               /* destinations */
    struct ip_source source[MICRO_DESTINATIONS]; /* found last */
    uint8_t result[HITS];
    struct ip_addr to[MICRO_DESTINATIONS];
};

static void *open_hits(const struct micro_case *c, unsigned *items)
{
    struct hits *h = mem_check(aligned_alloc(CACHE_LINE, sizeof *h));
    memset(h, 0, sizeof *h);
    h->cache = mem_check(source_cache_new(MICRO_SOURCE_SEED));
    source_parking_init(&h->parking);
    h->now = clock_now();
    bool strange = c->len == 0 || micro_strangers(h->cache, &h->parking, h->now);
    ASSERT(strange);
    for (unsigned i = 0; i < MICRO_DESTINATIONS; i++)
        h->to[i] = micro_destination(i);
    unsigned kept = micro_answer_all(h->cache, h->to);
    ASSERT(kept == MICRO_DESTINATIONS);
    *items = HITS;
    return h;
}

static void prepare_hits(void *state)
{
    struct hits *h = state;
    memset(h->result, 0xff, sizeof h->result);
    memset(h->source, 0, sizeof h->source);
}

/* What a worker calls for datagrams without a source; its parking lot is empty. The table has more destinations. */
static void work_resolve(void *state)
{
    struct hits *h = state;
    h->used = HIT_DESTINATIONS;
    for (unsigned i = 0; i < HITS; i++) {
        unsigned d = i % HIT_DESTINATIONS;
        h->result[i] = (uint8_t)source_cache_resolve(h->cache, &h->parking, &h->to[d], h->now, h,
                                                     &h->source[d]);
    }
}

/* The table alone. */
static void work_lookup(void *state)
{
    struct hits *h = state;
    h->used = MICRO_DESTINATIONS;
    for (unsigned i = 0; i < HITS; i++) {
        unsigned d = i % MICRO_DESTINATIONS;
        bool found = source_cache_lookup(h->cache, &h->to[d], &h->source[d]);
        h->result[i] = found ? SOURCE_HIT : SOURCE_DROP_FAILED;
    }
}

static bool check_hits(void *state)
{
    struct hits *h = state;
    bool ok = true;
    for (unsigned i = 0; i < HITS; i++)
        ok &= h->result[i] == SOURCE_HIT;
    for (unsigned i = 0; i < h->used; i++)
        ok &= micro_answer_right(i, &h->source[i]);
    return ok;
}

static void close_hits(void *state)
{
    struct hits *h = state;
    source_cache_free(h->cache);
    free(h);
}

static const struct micro_ops resolve_ops = {open_hits, prepare_hits, work_resolve, check_hits,
                                             close_hits};
static const struct micro_ops lookup_ops = {open_hits, prepare_hits, work_lookup, check_hits,
                                            close_hits};

static void add(struct micro_list *l, const char *what, const struct micro_ops *ops)
{
    struct micro_case c = {.item = "hit", .counted = true, .ops = ops};

    micro_list_add(l, &c, false, "source_cache/%s", what);
    c.len = MICRO_STRANGERS;
    c.ratio_goal = 0.5;
    micro_list_add(l, &c, true, "source_cache/%s/after_%u", what, c.len);
}

void micro_source_cases(struct micro_list *l)
{
    add(l, "hit", &resolve_ops);
    add(l, "lookup", &lookup_ops);
}
