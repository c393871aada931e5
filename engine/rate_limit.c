/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets as one timestamp each (generic cell rate algorithm). */
#include "engine/rate_limit.h"

#include <string.h>

static const uint64_t token_ns = NS_PER_SEC / RATE_LIMIT_PER_SECOND;

void rate_limit_init(struct rate_limit *r, uint64_t seed)
{
    memset(r, 0, sizeof *r);
    r->seed = seed | 1;
}

/* Multiply-mix with a secret seed: an attacker cannot aim at one entry. */
static uint64_t mix(uint64_t h, uint64_t v)
{
    unsigned __int128 m = (unsigned __int128)(h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

bool rate_limit_allow(struct rate_limit *r, const struct ip_addr *from, time_ns now)
{
    uint64_t network;
    memcpy(&network, from->bytes, sizeof network);
    uint64_t key = mix(mix(r->seed, network), from->family) | 1;
    unsigned i = (unsigned)(key >> 32) % RATE_LIMIT_ENTRIES;

    if (r->entries[i].key != key) {
        r->entries[i].key = key;
        r->entries[i].full_at = now;
    }
    time_ns full_at = r->entries[i].full_at > now ? r->entries[i].full_at : now;
    if (full_at - now > token_ns * (RATE_LIMIT_BURST - 1))
        return false;
    r->entries[i].full_at = full_at + token_ns;
    return true;
}
