/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source addresses by destination: which local address and interface a datagram without an explicit
 * source leaves from. Control resolves (platform/source.h) and writes; every worker reads, without
 * locks.
 *
 * Two parts. `struct source_cache` is shared: a fixed table of versioned slots, one generation word
 * and one epoch word. `struct source_parking` belongs to one worker: datagrams that wait for an
 * answer, in order, bounded per destination and in total; and copies of the answers it used last.
 *
 *   worker: source_cache_resolve
 *     SOURCE_HIT          send
 *     SOURCE_PARKED       nothing to do
 *     SOURCE_PARKED_ASK   post dst as an event to control
 *     SOURCE_DROP_*       count, free
 *   control, per event: source_cache_question
 *     RESOLVE             g = source_cache_generation; source_resolve;
 *                         source_cache_publish(g) or source_cache_fail(g); wake the worker
 *     ANSWERED            wake the worker
 *   worker: source_parking_poll until it returns false, each loop round while
 *     source_parking_len > 0; sleeps no longer than source_parking_poll_timeout
 *
 * - An invalidated answer is never used: a lookup that starts after source_cache_invalidate
 *   returned does not yield an answer of an older generation, and an answer resolved for an older
 *   generation is discarded when published.
 * - While a destination has parked datagrams, later ones queue behind them, answer or not: order is
 *   kept.
 * - No datagram leaves without a source: a failure hands the parked ones out as drops. Failures are
 *   not answers and are not cached as such; they only hold the next question back for 100 ms, or
 *   until the generation changes.
 * - A full set of the table evicts (stale first, failures next, then the oldest); that costs a
 *   question, never a wrong answer.
 */
#ifndef FZ_ENGINE_SOURCE_CACHE_H
#define FZ_ENGINE_SOURCE_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/bytes.h"
#include "platform/base/err.h"
#include "platform/base/time.h"

enum {
    SOURCE_CACHE_WAYS = 8,
    SOURCE_CACHE_SETS = 128,
    SOURCE_CACHE_CAPACITY = SOURCE_CACHE_WAYS * SOURCE_CACHE_SETS,
    SOURCE_MEMO_BITS = 6,
    SOURCE_PARKED_PER_DESTINATION_MAX = 32,
    SOURCE_PARKED_DESTINATIONS_MAX = 64,
    SOURCE_PARKED_MAX = 512
};

#define SOURCE_ASK_INTERVAL_NS (100 * NS_PER_MS) /* same destination, same generation */
#define SOURCE_PARKED_AGE_MAX  (1 * NS_PER_SEC)  /* without an answer: dropped */

struct source_cache;

/* ---- shared table ---- */

/*
 * Control, before the workers start. seed: random, so that remote parties cannot aim at one set.
 * NULL: no memory.
 */
struct source_cache *source_cache_new(uint64_t seed) MUST_USE;
void source_cache_free(struct source_cache *c);

/* Any thread: the current generation; starts at 1. Control reads it before it resolves. */
uint64_t source_cache_generation(const struct source_cache *c);

/*
 * Control, at a network change: everything is forgotten, at once, for every thread. Returns the new
 * generation.
 */
uint64_t source_cache_invalidate(struct source_cache *c);

/*
 * Control: the answer for dst, resolved while `generation` was current. False: outdated and
 * discarded.
 */
bool source_cache_publish(struct source_cache *c, uint64_t generation, const struct ip_addr *dst,
                          const struct ip_source *source);

/*
 * Control: dst has no source. Parked datagrams become drops; replaces an answer. False: outdated,
 * discarded.
 */
bool source_cache_fail(struct source_cache *c, uint64_t generation, const struct ip_addr *dst,
                       time_ns now);

enum source_question {
    SOURCE_QUESTION_RESOLVE, /* nobody answered yet: resolve, publish or fail, wake the worker */
    SOURCE_QUESTION_ANSWERED /* for another worker, meanwhile: just wake the worker */
};

/* Control: what to do about a worker's question. Merges the questions of several workers. */
enum source_question source_cache_question(const struct source_cache *c, const struct ip_addr *dst,
                                           time_ns now);

/*
 * Any thread: the answer of the current generation, if there is one. Bounded; a slot in the middle
 * of a change counts as absent.
 */
bool source_cache_lookup(const struct source_cache *c, const struct ip_addr *dst,
                         struct ip_source *out);

/* ---- worker side ---- */

struct source_parked_item {
    void *datagram;
    time_ns parked_at;
    uint16_t next; /* index of the next one of the destination, or of the free list */
};

struct source_parked_destination {
    struct ip_addr dst;
    uint16_t head, tail, len;  /* len 0: unused */
    time_ns asked_at;          /* last question */
    uint64_t asked_generation; /* generation when it was asked */
    uint64_t failure_seen;     /* number of the last failure known when it was asked */
};

/* An answer that this worker has had from the table; good as long as the table's epoch is the same. */
struct source_memo {
    uint64_t epoch; /* 0: none */
    struct ip_addr dst;
    struct ip_source source;
} __attribute__((aligned(CACHE_LINE)));

struct source_parking {
    struct source_memo memo[1 << SOURCE_MEMO_BITS]; /* by a hash of the destination */
    unsigned len;                                   /* parked datagrams */
    unsigned destinations; /* slots of destinations[] in use or used before: the scan ends here */
    unsigned cursor;       /* where source_parking_poll goes on */
    uint16_t free_head;
    struct source_parked_destination destination[SOURCE_PARKED_DESTINATIONS_MAX];
    struct source_parked_item item[SOURCE_PARKED_MAX];
};

enum source_result {
    SOURCE_HIT,        /* *out is set; the datagram stays with the caller */
    SOURCE_PARKED,     /* parked; a question is under way */
    SOURCE_PARKED_ASK, /* parked; ask control about dst now */
    SOURCE_DROP_FULL,  /* not parked: a bound is reached; the datagram stays with the caller */
    SOURCE_DROP_FAILED /* not parked: dst failed less than 100 ms ago; it stays with the caller */
};

void source_parking_init(struct source_parking *p);

/*
 * Worker. The source for dst now, or `datagram` (an opaque handle) is parked. If the question
 * cannot be posted (queue full), do nothing: it is put again after SOURCE_ASK_INTERVAL_NS, by poll
 * or by the next datagram.
 */
enum source_result source_cache_resolve(const struct source_cache *c, struct source_parking *p,
                                        const struct ip_addr *dst, time_ns now, void *datagram,
                                        struct ip_source *out);

enum source_release {
    SOURCE_RELEASE_SEND, /* send `datagram` from `source` to `dst` */
    SOURCE_RELEASE_DROP, /* free `datagram`, count: no source */
    SOURCE_RELEASE_ASK   /* no datagram: ask control about dst (again) */
};

struct source_released {
    enum source_release what;
    struct ip_addr dst;
    void *datagram;
    struct ip_source source;
};

/*
 * Worker. The next thing to do about parked datagrams; per destination in the order they were
 * parked. Call until it returns false, before any later datagram is resolved (one that comes in
 * between queues behind: still in order).
 */
bool source_parking_poll(struct source_parking *p, const struct source_cache *c, time_ns now,
                         struct source_released *out);

/*
 * When source_parking_poll may have something to do although control said nothing; TIME_NEVER if
 * nothing is parked.
 */
time_ns source_parking_poll_timeout(const struct source_parking *p);

/*
 * Worker, at a roam or at the end: takes out all parked datagrams one by one, as drops. False:
 * empty.
 */
bool source_parking_flush(struct source_parking *p, struct source_released *out);

static inline unsigned source_parking_len(const struct source_parking *p)
{
    return p->len;
}

#endif
