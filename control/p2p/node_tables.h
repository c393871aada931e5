/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a node finds its connections without looking at all of them: lists, maps from hashes, and a queue ordered by time (a
 * pairing heap). The links are inside of what is linked, so that nothing is allocated and nothing has a limit.
 * Pure; control role.
 */
#ifndef FZ_CONTROL_P2P_NODE_TABLES_H
#define FZ_CONTROL_P2P_NODE_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/time.h"

/* ---- lists: circular; a link of no list refers to itself ---- */

struct node_link {
    struct node_link *next, *prev;
};

static inline void node_link_init(struct node_link *l)
{
    l->next = l->prev = l;
}

static inline bool node_link_used(const struct node_link *l)
{
    return l->next != l;
}

static inline void node_link_append(struct node_link *list, struct node_link *l)
{
    l->prev = list->prev;
    l->next = list;
    list->prev->next = l;
    list->prev = l;
}

static inline void node_link_remove(struct node_link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    node_link_init(l);
}

/* ---- maps: a hash may be that of several entries ---- */

enum {
    NODE_MAP_BUCKETS = 1024 /* a power of two */
};

struct node_map_entry {
    struct node_map_entry *next;
    uint64_t hash;
};

struct node_map {
    struct node_map_entry *buckets[NODE_MAP_BUCKETS];
};

uint64_t node_hash(uint64_t secret, const void *bytes, size_t len);
void node_map_add(struct node_map *m, struct node_map_entry *e, uint64_t hash);
/* It is in the map. */
void node_map_remove(struct node_map *m, struct node_map_entry *e);
/* The entries with this hash one by one: `after` is NULL at first. NULL: no more. */
struct node_map_entry *node_map_find(const struct node_map *m, uint64_t hash,
                                     const struct node_map_entry *after);

/* ---- the queue ---- */

struct node_due {
    time_ns at;                           /* TIME_NEVER: it is not queued */
    struct node_due *child, *next, *back; /* back: the one before, of the first child the parent */
};

struct node_queue {
    struct node_due *root;
};

static inline void node_due_init(struct node_due *d)
{
    *d = (struct node_due){.at = TIME_NEVER};
}

/* Puts it where it belongs; TIME_NEVER takes it out. */
void node_queue_set(struct node_queue *q, struct node_due *d, time_ns at);

/* The earliest; NULL: none. */
static inline struct node_due *node_queue_first(const struct node_queue *q)
{
    return q->root;
}

#endif
