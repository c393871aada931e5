/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staging: packets to a peer without a session wait here, in order, in a fixed pool of the worker. Each peer keeps
 * its latest staged_max packets. When the pool is empty the peer that has most gives its oldest, so that many dead
 * peers cannot keep the others' first packets out; `holders` finds it at once.
 */
#include <stdlib.h>

#include <string.h>

#include "engine/wire/ip.h"
#include "engine/worker.h"

enum err stage_init(struct stage_pool *s, uint32_t packet_max)
{
    s->slot_size = (uint32_t)ALIGN_UP(packet_max, CACHE_LINE);
    s->n = (uint16_t)size_max(PEER_STAGED_MAX, size_min(WORKER_STAGE_BYTES / s->slot_size, 4096));
    s->bytes = aligned_alloc(CACHE_LINE, (size_t)s->slot_size * s->n);
    s->lens = calloc(s->n, sizeof *s->lens);
    s->free_list = calloc(s->n, sizeof *s->free_list);
    if (!s->bytes || !s->lens || !s->free_list)
        return ERR_NO_MEMORY;
    for (uint16_t i = 0; i < s->n; i++)
        s->free_list[i] = i;
    s->free_n = s->n;
    return ERR_OK;
}

void stage_fini(struct stage_pool *s)
{
    free(s->bytes);
    free(s->lens);
    free(s->free_list);
}

static uint8_t *entry_bytes(struct stage_pool *s, uint16_t entry)
{
    return s->bytes + (size_t)entry * s->slot_size;
}

/*
 * The peer has `n` packets from now on, one more or one less than before. `largest` follows: nobody has more than the
 * one that just got one more; and when the last peer of the largest loses one it is the largest still.
 */
static void set_staged(struct stage_pool *s, struct peer *p, uint16_t n)
{
    struct peer **list = &s->holders[n];

    if (p->staged_n > 0) {
        *p->staged_link = p->staged_next;
        if (p->staged_next)
            p->staged_next->staged_link = p->staged_link;
    }
    if (n > 0) {
        p->staged_next = *list;
        p->staged_link = list;
        if (*list)
            (*list)->staged_link = &p->staged_next;
        *list = p;
    }
    if (n > s->largest || (p->staged_n == s->largest && !s->holders[s->largest]))
        s->largest = n;
    p->staged_n = n;
}

uint8_t *stage_push(struct worker *w, struct peer *p, uint32_t len)
{
    struct stage_pool *s = &w->stage;

    if (len > s->slot_size)
        return NULL;
    if (p->staged_n == p->staged_max || s->free_n == 0) {
        stage_pop(w, p->staged_n == s->largest ? p : s->holders[s->largest]);
        count(w, VERDICT_OUT_STAGE_FULL, 1);
    }
    uint16_t entry = s->free_list[--s->free_n];
    s->lens[entry] = (uint16_t)len;
    p->staged[(p->staged_head + p->staged_n) % PEER_STAGED_MAX] = entry;
    set_staged(s, p, p->staged_n + 1);
    tally(w, TALLY_OUT_STAGED, 1);
    return entry_bytes(s, entry);
}

uint8_t *stage_peek(struct worker *w, struct peer *p, uint32_t *len)
{
    if (p->staged_n == 0)
        return NULL;
    uint16_t entry = p->staged[p->staged_head];
    *len = w->stage.lens[entry];
    return entry_bytes(&w->stage, entry);
}

void stage_pop(struct worker *w, struct peer *p)
{
    w->stage.free_list[w->stage.free_n++] = p->staged[p->staged_head];
    p->staged_head = (uint16_t)((p->staged_head + 1) % PEER_STAGED_MAX);
    set_staged(&w->stage, p, p->staged_n - 1);
}

void stage_move_oldest(struct worker *w, struct peer *from, struct peer *to)
{
    struct stage_pool *s = &w->stage;
    uint16_t entry = from->staged[from->staged_head];

    ASSERT(from != to);
    from->staged_head = (uint16_t)((from->staged_head + 1) % PEER_STAGED_MAX);
    set_staged(s, from, from->staged_n - 1);
    if (to->staged_n == to->staged_max) {
        stage_pop(w, to);
        count(w, VERDICT_OUT_STAGE_FULL, 1);
    }
    to->staged[(to->staged_head + to->staged_n) % PEER_STAGED_MAX] = entry;
    set_staged(s, to, to->staged_n + 1);
}

/* Both open the same connection: nothing but SYN, of the same addresses, ports and sequence number. */
static bool same_syn(const uint8_t *a, const uint8_t *b, size_t a_len, size_t b_len)
{
    struct ip_view va, vb;

    if (!ip_parse(&va, a, a_len) || !ip_parse(&vb, b, b_len) || va.version != vb.version ||
        va.proto != IP_PROTO_TCP || vb.proto != IP_PROTO_TCP)
        return false;
    const uint8_t *ta = a + va.l4_off, *tb = b + vb.l4_off;
    return (ta[TCP_OFF_FLAGS] & (TCP_F_SYN | TCP_F_ACK)) == TCP_F_SYN &&
           (tb[TCP_OFF_FLAGS] & (TCP_F_SYN | TCP_F_ACK)) == TCP_F_SYN && memcmp(ta, tb, 8) == 0 &&
           memcmp(ip_src_ptr(a, va.version), ip_src_ptr(b, va.version), va.version == 4 ? 8 : 32) ==
               0;
}

bool stage_repeats(struct worker *w, const struct peer *p, const uint8_t *packet, uint32_t len)
{
    struct stage_pool *s = &w->stage;

    for (unsigned i = 0; i < p->staged_n; i++) {
        uint16_t entry = p->staged[(p->staged_head + i) % PEER_STAGED_MAX];
        uint8_t *there = entry_bytes(s, entry);
        if (s->lens[entry] == len && memcmp(there, packet, len) == 0)
            return true;
        if (len <= s->slot_size && same_syn(there, packet, s->lens[entry], len)) {
            memcpy(there, packet, len);
            s->lens[entry] = (uint16_t)len;
            return true;
        }
    }
    return false;
}

void stage_purge(struct worker *w, struct peer *p, enum verdict reason)
{
    count(w, reason, p->staged_n);
    while (p->staged_n > 0)
        stage_pop(w, p);
}
