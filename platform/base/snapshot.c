/* SPDX-License-Identifier: Apache-2.0 */
/* The control side of snapshots: the list of retired objects and when they may go. */
#include "platform/base/snapshot.h"

#include <stdlib.h>
#include <string.h>

enum {
    RETIRED_CAPACITY_MIN = 16
};

void snapshot_domain_init(struct snapshot_domain *d, unsigned readers)
{
    ASSERT(readers <= SNAPSHOT_READERS_MAX);
    memset(d, 0, sizeof *d);
    d->readers_len = readers;
    d->epoch = SNAPSHOT_OFFLINE + 1;
}

static void free_first(struct snapshot_domain *d, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        d->retired[i].free_fn(d->retired[i].object);
    d->retired_len -= n;
    if (n > 0 && d->retired_len > 0)
        memmove(d->retired, d->retired + n, d->retired_len * sizeof *d->retired);
}

void snapshot_domain_fini(struct snapshot_domain *d)
{
    free_first(d, d->retired_len);
    free(d->retired);
    d->retired = NULL;
    d->retired_capacity = 0;
}

static void grow(struct snapshot_domain *d)
{
    unsigned capacity = d->retired_capacity ? 2 * d->retired_capacity : RETIRED_CAPACITY_MIN;
    struct snapshot_retired *list = realloc(d->retired, capacity * sizeof *list);
    ASSERT(list != NULL);
    d->retired = list;
    d->retired_capacity = capacity;
}

void snapshot_retire(struct snapshot_domain *d, void *old, snapshot_free_fn free_fn)
{
    uint64_t epoch = d->epoch + 1; /* own field */

    /*
     * Release: pairs with the acquire load in snapshot_reader_quiescent; the replacement of the
     * slot goes first.
     */
    __atomic_store_n(&d->epoch, epoch, __ATOMIC_RELEASE);
    /*
     * Pairs with the fence of a reader coming online: orders the slot's store before later loads of
     * `seen`.
     */
    snapshot_fence();
    if (!old || !free_fn)
        return;
    if (d->retired_len == d->retired_capacity)
        grow(d);
    d->retired[d->retired_len++] =
        (struct snapshot_retired){.epoch = epoch, .object = old, .free_fn = free_fn};
}

/* The oldest epoch an online reader may still work with; UINT64_MAX if none is online. */
static uint64_t oldest_seen(const struct snapshot_domain *d)
{
    uint64_t oldest = UINT64_MAX;
    for (unsigned i = 0; i < d->readers_len; i++) {
        /* Acquire: pairs with the reader's release stores; its uses of older objects are over. */
        uint64_t seen = __atomic_load_n(&d->readers[i].seen, __ATOMIC_ACQUIRE);
        if (seen != SNAPSHOT_OFFLINE && seen < oldest)
            oldest = seen;
    }
    return oldest;
}

unsigned snapshot_reclaim(struct snapshot_domain *d)
{
    if (d->retired_len == 0)
        return 0;
    uint64_t oldest = oldest_seen(d);
    unsigned n = 0;
    while (n < d->retired_len && d->retired[n].epoch <= oldest)
        n++;
    free_first(d, n);
    return d->retired_len;
}
