/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration snapshots: one writer (the control thread), up to 64 readers (the workers), no
 * lock.
 *
 * A slot is a plain pointer to an immutable object. Control replaces the object with
 * snapshot_publish; a worker reads the pointer with snapshot_read and uses the object until it next
 * declares itself quiescent. The replaced object is retired and freed by a later snapshot_reclaim,
 * once every worker has been quiescent (or offline) since it was replaced (quiescent-state based
 * reclamation). Cost for a worker: one shared load per loop.
 *
 *   worker:   for (;;) {
 *                 snapshot_reader_quiescent(d, i);
 *                 t = snapshot_read(&shared->routes); ... use t ...
 *                 before sleeping: snapshot_reader_offline(d, i);
 *             }
 *   control:  snapshot_publish(d, &shared->routes, next, route_table_free);
 *             ... later: snapshot_reclaim(d);
 *
 * The domain is initialised before the workers start and finalised after they have ended. Readers
 * start offline.
 */
#ifndef FZ_BASE_SNAPSHOT_H
#define FZ_BASE_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

#include "platform/base/err.h"

enum {
    SNAPSHOT_READERS_MAX = 64,
    SNAPSHOT_READER_STRIDE = 128 /* two cache lines: the adjacent-line prefetcher pulls pairs */
};

#define SNAPSHOT_OFFLINE UINT64_C(0)

typedef void (*snapshot_free_fn)(void *object);

/* One reader's published state; written by that reader only. */
struct snapshot_reader {
    uint64_t seen; /* newest epoch at its last quiescent point, or SNAPSHOT_OFFLINE */
    uint8_t pad[SNAPSHOT_READER_STRIDE - sizeof(uint64_t)];
};

/* A replaced object; freeable when no online reader's `seen` is below `epoch`. Control only. */
struct snapshot_retired {
    uint64_t epoch;
    void *object;
    snapshot_free_fn free_fn;
};

struct snapshot_domain {
    uint64_t epoch; /* number of replacements + 1; written by control, read by all */
    uint8_t pad[SNAPSHOT_READER_STRIDE - sizeof(uint64_t)];
    struct snapshot_reader readers[SNAPSHOT_READERS_MAX];
    unsigned readers_len;
    unsigned retired_len;
    unsigned retired_capacity;
    struct snapshot_retired *retired; /* oldest first; grows on demand */
};

/* Control. readers: at most SNAPSHOT_READERS_MAX; they start offline. */
void snapshot_domain_init(struct snapshot_domain *d, unsigned readers);

/*
 * Control, after every reader thread has ended: frees all retired objects. The current ones belong
 * to their slots.
 */
void snapshot_domain_fini(struct snapshot_domain *d);

/*
 * Control. snapshot_publish(d, slot, next, free_fn): replaces *slot (`T **`, or `void **`) by next
 * (`T *`) and retires the old object, to be freed by free_fn (NULL: not at all). free_fn runs in
 * snapshot_reclaim or snapshot_domain_fini and must not call into the domain. Running out of memory
 * here is fatal.
 */
#define snapshot_publish(d, slot, next, free_fn)                                                   \
    snapshot_retire((d), __atomic_exchange_n((slot), (next), __ATOMIC_ACQ_REL), (free_fn))

/* Control; part of snapshot_publish. `old` is no longer in any slot. NULL is ignored. */
void snapshot_retire(struct snapshot_domain *d, void *old, snapshot_free_fn free_fn);

/*
 * Control. Frees what no reader can still hold. Returns the number of retired objects still
 * waiting.
 */
unsigned snapshot_reclaim(struct snapshot_domain *d);

/*
 * Worker: the current object of a slot (`T **`, or `void **`), as `T *`; valid until the worker's
 * next quiescent or offline call. The acquire pairs with the release of the exchange in
 * snapshot_publish.
 */
#define snapshot_read(slot) __atomic_load_n((slot), __ATOMIC_ACQUIRE)

/*
 * A sequentially consistent fence. gcc's TSan does not model fences and warns; none of the
 * happens-before edges that protect objects depends on one (see snapshot_reader_quiescent), so the
 * warning is silenced here.
 */
static inline void snapshot_fence(void)
{
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"
#endif
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
}

/*
 * Worker i, at the top of its loop: holds no object read earlier any more. Also takes an offline
 * reader online.
 *
 * Orders. `epoch` is stored (release) by control after it replaced a slot, and loaded (acquire)
 * here: a reader that announces epoch E has that replacement behind it, so later snapshot_reads
 * cannot return the object retired at E. `seen` is stored with release and loaded with acquire by
 * snapshot_reclaim: all uses of older objects happened before control frees them. An online reader
 * needs no more, since control waits for `seen` to reach E.
 *
 * Coming online is different: until `seen` is visible, control takes the reader for offline and may
 * free at once. So this is a store (`seen`) followed by a load of another location (the slot), and
 * control does a store (the slot) followed by a load (`seen`); acquire and release let both loads
 * pass the stores. The fence here pairs with the one in snapshot_retire: either control sees this
 * reader online, or the reader sees the replacement.
 */
static inline void snapshot_reader_quiescent(struct snapshot_domain *d, unsigned i)
{
    DASSERT(i < d->readers_len);
    uint64_t now = __atomic_load_n(&d->epoch, __ATOMIC_ACQUIRE);
    uint64_t seen = d->readers[i].seen; /* own field */
    if (seen == now)
        return;
    __atomic_store_n(&d->readers[i].seen, now, __ATOMIC_RELEASE);
    if (seen == SNAPSHOT_OFFLINE)
        snapshot_fence();
}

/*
 * Worker i, before it sleeps or ends: holds no object and counts as quiescent until it is online
 * again. The release pairs with the acquire in snapshot_reclaim: earlier uses happen before the
 * free.
 */
static inline void snapshot_reader_offline(struct snapshot_domain *d, unsigned i)
{
    DASSERT(i < d->readers_len);
    __atomic_store_n(&d->readers[i].seen, SNAPSHOT_OFFLINE, __ATOMIC_RELEASE);
}

#endif
