/* SPDX-License-Identifier: Apache-2.0 */
/* Two hash functions per filter, taken from one 64-bit hash. */
#include "engine/source_seen.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"

enum {
    WORDS = 1 << (SOURCE_SEEN_BITS_LOG2 - 6)
};

enum err source_seen_init(struct source_seen *s, uint64_t seed)
{
    memset(s, 0, sizeof *s);
    s->seed = seed | 1;
    for (unsigned i = 0; i < 2; i++) {
        s->filters[i] = calloc(WORDS, sizeof *s->filters[i]);
        if (!s->filters[i])
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

void source_seen_fini(struct source_seen *s)
{
    free(s->filters[0]);
    free(s->filters[1]);
    memset(s, 0, sizeof *s);
}

static uint64_t mix(uint64_t h, uint64_t v)
{
    unsigned __int128 m = (unsigned __int128)(h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t hash(const struct source_seen *s, const struct sock_addr *from)
{
    uint64_t h = mix(s->seed, load_le64(from->ip.bytes));
    h = mix(h, load_le64(from->ip.bytes + 8));
    return mix(h, (uint64_t)from->port << 8 | from->ip.family);
}

static bool test(const uint64_t *filter, uint32_t bit)
{
    return filter[bit / 64] >> (bit % 64) & 1;
}

static void rotate(struct source_seen *s, time_ns now)
{
    uint64_t passed = time_since(now, s->since);
    if (s->since != 0 && passed < SOURCE_SEEN_PERIOD)
        return;
    if (s->since != 0 && passed >= 2 * SOURCE_SEEN_PERIOD) /* both are too old */
        memset(s->filters[s->current], 0, WORDS * sizeof *s->filters[0]);
    if (s->since != 0) {
        s->current ^= 1;
        memset(s->filters[s->current], 0, WORDS * sizeof *s->filters[0]);
    }
    s->since = now;
}

bool source_seen_note(struct source_seen *s, const struct sock_addr *from, time_ns now)
{
    const uint32_t mask = (1u << SOURCE_SEEN_BITS_LOG2) - 1;

    rotate(s, now);
    uint64_t h = hash(s, from);
    uint32_t a = (uint32_t)h & mask, b = (uint32_t)(h >> 32) & mask;
    uint64_t *current = s->filters[s->current];
    const uint64_t *previous = s->filters[s->current ^ 1];
    bool known = (test(current, a) && test(current, b)) || (test(previous, a) && test(previous, b));

    current[a / 64] |= UINT64_C(1) << (a % 64);
    current[b / 64] |= UINT64_C(1) << (b % 64);
    return known;
}
