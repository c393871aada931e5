/* SPDX-License-Identifier: Apache-2.0 */
/* One array per worker, searched from a random place. */
#include "control/index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/err.h"

enum {
    ENTRIES = 1 << ENGINE_SESSION_BITS
};

void index_init(struct index_table *t)
{
    memset(t, 0, sizeof *t);
}

void index_fini(struct index_table *t)
{
    for (unsigned i = 0; i < ENGINE_WORKERS_MAX; i++)
        free(t->entries[i]);
    memset(t, 0, sizeof *t);
}

static struct index_entry *entry_of(const struct index_table *t, uint32_t index)
{
    unsigned worker = index >> ENGINE_OWNER_SHIFT;
    return t->entries[worker] ? &t->entries[worker][index & (ENTRIES - 1)] : NULL;
}

uint32_t index_candidate(struct index_table *t, unsigned worker, uint32_t random)
{
    if (!t->entries[worker]) {
        t->entries[worker] = calloc(ENTRIES, sizeof *t->entries[worker]);
        if (!t->entries[worker]) {
            fprintf(stderr, "out of memory\n");
            abort();
        }
    }
    if (t->used[worker] > ENTRIES / 4 * 3) /* keeps the search short */
        return 0;
    uint32_t i = random & (ENTRIES - 1);
    while (t->entries[worker][i].index != 0)
        i = (i + 1) & (ENTRIES - 1);
    uint32_t middle = random & ((1u << ENGINE_OWNER_SHIFT) - ENTRIES);
    uint32_t index = (uint32_t)worker << ENGINE_OWNER_SHIFT | middle | i;
    return index ? index : ENTRIES; /* 0 means none */
}

void index_reserve(struct index_table *t, uint32_t index, void *owner)
{
    struct index_entry *e = entry_of(t, index);
    ASSERT(owner && e && e->index == 0);
    e->index = index;
    e->owner = owner;
    t->used[index >> ENGINE_OWNER_SHIFT]++;
}

void index_release(struct index_table *t, uint32_t index)
{
    struct index_entry *e = entry_of(t, index);
    ASSERT(e && e->index == index);
    *e = (struct index_entry){0};
    t->used[index >> ENGINE_OWNER_SHIFT]--;
}

void *index_find(const struct index_table *t, uint32_t index)
{
    const struct index_entry *e = entry_of(t, index);
    return e && index != 0 && e->index == index ? e->owner : NULL;
}

void index_orphan(struct index_table *t, uint32_t index)
{
    struct index_entry *e = entry_of(t, index);
    ASSERT(e && e->index == index);
    e->owner = NULL;
}
