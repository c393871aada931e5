/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash chains over the elements of an array, by their numbers; and the hash. What is equal is the caller's business. The key is
 * secret, so that nobody can choose addresses that meet. Header only; one thread.
 */
#ifndef FZ_TOOLS_FZRELAY_CHAIN_H
#define FZ_TOOLS_FZRELAY_CHAIN_H

#include <stdint.h>
#include <stdlib.h>

#include "platform/base/addr.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"

#define CHAIN_END UINT32_MAX

struct chain {
    uint32_t *heads, *next;
    uint32_t mask;
};

/* n: elements of the array. */
static inline void chain_init(struct chain *c, uint32_t n)
{
    uint32_t size = 1;

    while (size < n)
        size *= 2;
    c->mask = size - 1;
    c->heads = (uint32_t *)mem_zalloc(size, sizeof *c->heads);
    c->next = (uint32_t *)mem_zalloc(n, sizeof *c->next);
    memset(c->heads, 0xff, size * sizeof *c->heads); /* CHAIN_END */
}

static inline void chain_fini(struct chain *c)
{
    free(c->heads);
    free(c->next);
}

static inline uint32_t chain_first(const struct chain *c, uint64_t hash)
{
    return c->heads[hash & c->mask];
}

static inline void chain_add(struct chain *c, uint64_t hash, uint32_t i)
{
    c->next[i] = c->heads[hash & c->mask];
    c->heads[hash & c->mask] = i;
}

static inline void chain_remove(struct chain *c, uint64_t hash, uint32_t i)
{
    uint32_t *at = &c->heads[hash & c->mask];

    while (*at != i) {
        DASSERT(*at != CHAIN_END);
        at = &c->next[*at];
    }
    *at = c->next[i];
}

static inline uint64_t hash_word(uint64_t hash, uint64_t word)
{
    __extension__ unsigned __int128 product =
        (unsigned __int128)(hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_addr(uint64_t key, const struct sock_addr *a)
{
    uint64_t words[2];

    memcpy(words, a->ip.bytes, sizeof words);
    key = hash_word(key, words[0]);
    key = hash_word(key, words[1]);
    return hash_word(key, (uint64_t)a->port << 40 ^ (uint64_t)a->ip.family << 32 ^ a->scope);
}

#endif
