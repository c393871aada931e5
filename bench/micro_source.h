/* SPDX-License-Identifier: Apache-2.0 */
/* Destinations, and answers that tell for which of them and when they were given. Any thread. */
#ifndef FZ_BENCH_MICRO_SOURCE_H
#define FZ_BENCH_MICRO_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/source_cache.h"
#include "platform/base/bytes.h"

enum {
    MICRO_DESTINATIONS = 64,
    MICRO_STRANGERS = 1000000, /* many more distinct destinations than there is room for */
    MICRO_SOURCE_SEED = 0x5eed
};

/* Both families in turn. */
static inline struct ip_addr micro_destination(unsigned i)
{
    uint8_t bytes[16] = {0x20, 0x01, 0x0d, 0xb8};
    store_be32(bytes + 12, 0xc6336400u + i);
    return i % 2 ? ip_addr_v6(bytes) : ip_addr_v4(bytes + 12);
}

/* All of it depends on destination and generation, so a mixture of two answers shows. */
static inline struct ip_source micro_answer(unsigned i, uint64_t generation)
{
    struct ip_source s = {.ip.family = ADDR_V6, .ifindex = (uint32_t)(i * 1000003u + generation)};
    store_be64(s.ip.bytes, generation);
    store_be64(s.ip.bytes + 8, generation * 3 + i);
    return s;
}

static inline uint64_t micro_answer_generation(const struct ip_source *s)
{
    return load_be64(s->ip.bytes);
}

static inline bool micro_answer_right(unsigned i, const struct ip_source *s)
{
    uint64_t generation = micro_answer_generation(s);
    return s->ip.family == ADDR_V6 && s->ifindex == (uint32_t)(i * 1000003u + generation) &&
           load_be64(s->ip.bytes + 8) == generation * 3 + i;
}

/* Control: answers for all destinations. Returns how many were kept. */
static inline unsigned micro_answer_all(struct source_cache *c, const struct ip_addr *to)
{
    uint64_t generation = source_cache_generation(c);
    unsigned n = 0;
    for (unsigned i = 0; i < MICRO_DESTINATIONS; i++) {
        struct ip_source source = micro_answer(i, generation);
        n += source_cache_publish(c, generation, &to[i], &source);
    }
    return n;
}

static inline bool micro_source_equal(const struct ip_source *a, const struct ip_source *b)
{
    return ip_addr_equal(&a->ip, &b->ip) && a->ifindex == b->ifindex;
}

/*
 * One thread as worker and control: a datagram for destination i, which is not known, is parked, asked about, answered
 * and let go. False: not all of this happened.
 */
static inline bool micro_miss(struct source_cache *c, struct source_parking *p, unsigned i,
                              time_ns now)
{
    struct ip_addr to = micro_destination(i);
    struct ip_source out, answer;
    struct source_released sent, more;

    bool ok = source_cache_resolve(c, p, &to, now, p, &out) == SOURCE_PARKED_ASK;
    ok &= source_cache_question(c, &to, now) == SOURCE_QUESTION_RESOLVE;
    uint64_t generation = source_cache_generation(c);
    answer = micro_answer(i, generation);
    ok &= source_cache_publish(c, generation, &to, &answer);
    ok &= source_parking_poll(p, c, now, &sent) && sent.what == SOURCE_RELEASE_SEND;
    ok &= sent.datagram == p && ip_addr_equal(&sent.dst, &to) &&
          micro_source_equal(&sent.source, &answer);
    return ok && !source_parking_poll(p, c, now, &more);
}

/* A million of them that are none of the MICRO_DESTINATIONS. */
static inline bool micro_strangers(struct source_cache *c, struct source_parking *p, time_ns now)
{
    bool ok = true;
    for (unsigned i = 0; i < MICRO_STRANGERS; i++)
        ok &= micro_miss(c, p, MICRO_DESTINATIONS + i, now);
    return ok;
}

#endif
