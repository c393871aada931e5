/* SPDX-License-Identifier: Apache-2.0 */
/* See node_tables.h. */
#include "control/p2p/node_tables.h"

#include "platform/base/err.h"

/* ---- maps ---- */

/* FNV-1a with a secret beginning, mixed once more because only the lower bits choose a bucket. */
uint64_t node_hash(uint64_t secret, const void *bytes, size_t len)
{
    uint64_t hash = secret ^ UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001b3);
    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    return hash ^ hash >> 33;
}

void node_map_add(struct node_map *m, struct node_map_entry *e, uint64_t hash)
{
    struct node_map_entry **bucket = &m->buckets[hash % NODE_MAP_BUCKETS];

    e->hash = hash;
    e->next = *bucket;
    *bucket = e;
}

void node_map_remove(struct node_map *m, struct node_map_entry *e)
{
    struct node_map_entry **at = &m->buckets[e->hash % NODE_MAP_BUCKETS];

    while (*at && *at != e)
        at = &(*at)->next;
    ASSERT(*at);
    *at = e->next;
    e->next = NULL;
}

struct node_map_entry *node_map_find(const struct node_map *m, uint64_t hash,
                                     const struct node_map_entry *after)
{
    struct node_map_entry *e = after ? after->next : m->buckets[hash % NODE_MAP_BUCKETS];

    while (e && e->hash != hash)
        e = e->next;
    return e;
}

/* ---- the queue ---- */

/* The earlier of two trees adopts the other; either may be NULL. */
static struct node_due *meld(struct node_due *a, struct node_due *b)
{
    struct node_due *swap = a;

    if (!a || !b)
        return a ? a : b;
    if (b->at < a->at)
        a = b, b = swap;
    b->back = a;
    b->next = a->child;
    if (b->next)
        b->next->back = b;
    a->child = b;
    a->next = a->back = NULL;
    return a;
}

/* All trees of a list as one: in pairs from left to right, then the pairs from right to left. */
static struct node_due *meld_all(struct node_due *first)
{
    struct node_due *pairs = NULL, *all = NULL;

    while (first) {
        struct node_due *a = first, *b = a->next, *pair;
        first = b ? b->next : NULL;
        a->next = a->back = NULL;
        if (b)
            b->next = b->back = NULL;
        pair = meld(a, b);
        pair->next = pairs;
        pairs = pair;
    }
    while (pairs) {
        struct node_due *pair = pairs;
        pairs = pair->next;
        pair->next = NULL;
        all = meld(all, pair);
    }
    return all;
}

static void take_out(struct node_queue *q, struct node_due *d)
{
    struct node_due *children = meld_all(d->child);

    if (d == q->root)
        q->root = children;
    else {
        if (d->back->child == d)
            d->back->child = d->next;
        else
            d->back->next = d->next;
        if (d->next)
            d->next->back = d->back;
        q->root = meld(q->root, children);
    }
    node_due_init(d);
}

void node_queue_set(struct node_queue *q, struct node_due *d, time_ns at)
{
    if (d->at == at)
        return;
    if (d->at != TIME_NEVER)
        take_out(q, d);
    d->at = at;
    if (at != TIME_NEVER)
        q->root = meld(q->root, d);
}
