/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staging: packets to a peer without a session wait here, in order, in a fixed pool of the worker. Each peer keeps
 * its latest PEER_STAGED_MAX packets.
 */
#include <stdlib.h>

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

uint8_t *stage_push(struct worker *w, struct peer *p, uint32_t len)
{
    struct stage_pool *s = &w->stage;

    if (len > s->slot_size)
        return NULL;
    if (p->staged_n == PEER_STAGED_MAX || (s->free_n == 0 && p->staged_n > 0)) {
        stage_pop(w, p);
        count(w, VERDICT_OUT_STAGE_FULL, 1);
    }
    if (s->free_n == 0)
        return NULL;
    uint16_t entry = s->free_list[--s->free_n];
    s->lens[entry] = (uint16_t)len;
    p->staged[(p->staged_head + p->staged_n++) % PEER_STAGED_MAX] = entry;
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
    p->staged_n--;
}

void stage_purge(struct worker *w, struct peer *p, enum verdict reason)
{
    count(w, reason, p->staged_n);
    while (p->staged_n > 0)
        stage_pop(w, p);
}
