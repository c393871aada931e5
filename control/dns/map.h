/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash tables of the DNS machines: chains whose links lie in what is linked, in a fixed number of buckets that take memory only when
 * they are used. The hash has a secret, so that names that others choose do not meet in one chain. Header only; control role.
 */
#ifndef FZ_CONTROL_DNS_MAP_H
#define FZ_CONTROL_DNS_MAP_H

#include <stdint.h>

#include "platform/base/mem.h"

struct dns_link {
    struct dns_link *next;
    uint64_t hash;
};

struct dns_map {
    struct dns_link **buckets;
    unsigned bits;
};

static inline void dns_map_init(struct dns_map *m, unsigned bits)
{
    m->buckets = (struct dns_link **)mem_zalloc((size_t)1 << bits, sizeof *m->buckets);
    m->bits = bits;
}

static inline void dns_map_fini(struct dns_map *m)
{
    free(m->buckets);
    m->buckets = NULL;
}

static inline struct dns_link **dns_map_bucket(const struct dns_map *m, uint64_t hash)
{
    return &m->buckets[hash >> (64 - m->bits)];
}

static inline void dns_map_add(struct dns_map *m, struct dns_link *link, uint64_t hash)
{
    struct dns_link **bucket = dns_map_bucket(m, hash);

    link->hash = hash;
    link->next = *bucket;
    *bucket = link;
}

/* It is in the map. */
static inline void dns_map_remove(struct dns_map *m, struct dns_link *link)
{
    struct dns_link **at = dns_map_bucket(m, link->hash);

    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
}

/* The first with this hash in a chain, from `link` on: a bucket's first or the one after the last found. NULL: no more. */
static inline struct dns_link *dns_map_next(struct dns_link *link, uint64_t hash)
{
    while (link && link->hash != hash)
        link = link->next;
    return link;
}

static inline struct dns_link *dns_map_find(const struct dns_map *m, uint64_t hash)
{
    return dns_map_next(*dns_map_bucket(m, hash), hash);
}

/* Eight bytes at a time; each step keeps both halves of a product with what only we know. */
static inline uint64_t dns_hash(uint64_t secret, const void *bytes, size_t len)
{
    const uint8_t *at = (const uint8_t *)bytes;
    uint64_t hash = secret ^ len * UINT64_C(0x9e3779b97f4a7c15);

    while (len > 0) {
        size_t n = size_min(len, 8);
        uint64_t word = 0;
        memcpy(&word, at, n);
        __uint128_t product = (__uint128_t)(hash ^ word) * (secret | UINT64_C(0x8000000000000001));
        hash = ((uint64_t)product ^ (uint64_t)(product >> 64)) + secret;
        at += n;
        len -= n;
    }
    hash = (hash ^ hash >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}

#endif
