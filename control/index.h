/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiver indices: which are in use, and by whom. An index names the owner worker (top bits), an entry of its
 * session table (low bits), and between them random bits so that a late packet of an old session finds nothing.
 * Control role.
 */
#ifndef FZ_CONTROL_INDEX_H
#define FZ_CONTROL_INDEX_H

#include <stdint.h>

#include "engine/engine.h"

struct index_entry {
    uint32_t index; /* 0: free */
    void *owner;    /* NULL: gone, but the worker still holds the session */
};

struct index_table {
    struct index_entry
        *entries[ENGINE_WORKERS_MAX]; /* per worker, 1 << ENGINE_SESSION_BITS; made on first use */
    uint32_t used[ENGINE_WORKERS_MAX];
};

void index_init(struct index_table *t);
void index_fini(struct index_table *t);

/* A free index of `worker`, not reserved yet; 0 if none is free. random: 32 random bits. */
uint32_t index_candidate(struct index_table *t, unsigned worker, uint32_t random);
/* Takes a candidate. owner: not NULL. */
void index_reserve(struct index_table *t, uint32_t index, void *owner);
void index_release(struct index_table *t, uint32_t index);
/* Who holds it, NULL for nobody. */
void *index_find(const struct index_table *t, uint32_t index);
/* Its owner is gone; the index stays reserved until released. */
void index_orphan(struct index_table *t, uint32_t index);

#endif
