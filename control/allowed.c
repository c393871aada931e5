/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing with linear probing and tombstones; grows at two thirds. */
#include "control/allowed.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/mem.h"

#define NONE UINT32_MAX

enum {
    STATE_FREE,
    STATE_USED,
    STATE_REMOVED
};

void allowed_init(struct allowed *a)
{
    memset(a, 0, sizeof *a);
}

void allowed_fini(struct allowed *a)
{
    free(a->entries);
    free(a->heads);
    memset(a, 0, sizeof *a);
}

static uint64_t prefix_hash(const struct ip_prefix *p)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ p->len; /* FNV-1a */
    for (unsigned i = 0; i < sizeof p->ip.bytes; i++)
        h = (h ^ p->ip.bytes[i]) * UINT64_C(0x100000001b3);
    return h ^ (h >> 29) ^ p->ip.family;
}

static bool prefix_equal(const struct ip_prefix *a, const struct ip_prefix *b)
{
    return a->len == b->len && ip_addr_equal(&a->ip, &b->ip);
}

/* The entry of the prefix, or the free one where it would go. */
static struct allowed_entry *find(const struct allowed *a, const struct ip_prefix *p)
{
    struct allowed_entry *hole = NULL;
    for (size_t i = prefix_hash(p);; i++) {
        struct allowed_entry *e = &a->entries[i & (a->capacity - 1)];
        if (e->state == STATE_FREE)
            return hole ? hole : e;
        if (e->state == STATE_REMOVED) {
            if (!hole)
                hole = e;
        } else if (prefix_equal(&e->prefix, p)) {
            return e;
        }
    }
}

/* ---- the lists of the owners ---- */

static void link_entry(struct allowed *a, struct allowed_entry *e)
{
    if (e->owner >= a->heads_n) {
        size_t n = size_max((size_t)e->owner + 1, 2 * a->heads_n);
        a->heads = mem_check(realloc(a->heads, n * sizeof *a->heads));
        for (size_t i = a->heads_n; i < n; i++)
            a->heads[i] = NONE;
        a->heads_n = n;
    }
    uint32_t at = (uint32_t)(e - a->entries), first = a->heads[e->owner];
    e->prev = NONE;
    e->next = first;
    if (first != NONE)
        a->entries[first].prev = at;
    a->heads[e->owner] = at;
}

static void unlink_entry(struct allowed *a, const struct allowed_entry *e)
{
    if (e->prev != NONE)
        a->entries[e->prev].next = e->next;
    else
        a->heads[e->owner] = e->next;
    if (e->next != NONE)
        a->entries[e->next].prev = e->prev;
}

/* ---- the table ---- */

static void grow(struct allowed *a)
{
    struct allowed old = *a;
    size_t cursor = 0;
    const struct allowed_entry *e;

    a->capacity = 64;
    while (a->capacity < old.used * 4)
        a->capacity *= 2;
    a->entries = mem_zalloc(a->capacity, sizeof *a->entries);
    for (size_t i = 0; i < a->heads_n; i++)
        a->heads[i] = NONE;
    while ((e = allowed_next(&old, &cursor)) != NULL) {
        struct allowed_entry *moved = find(a, &e->prefix);
        *moved = *e;
        link_entry(a, moved);
    }
    a->filled = a->used;
    free(old.entries);
}

bool allowed_set(struct allowed *a, const struct ip_prefix *prefix, uint32_t owner)
{
    struct ip_prefix p = *prefix;

    ip_prefix_mask(&p);
    if ((a->filled + 1) * 3 > a->capacity * 2)
        grow(a);
    struct allowed_entry *e = find(a, &p);
    if (e->state == STATE_USED) {
        if (e->owner == owner)
            return false;
        unlink_entry(a, e);
        e->owner = owner;
        link_entry(a, e);
        return true;
    }
    if (e->state == STATE_FREE)
        a->filled++;
    a->used++;
    *e = (struct allowed_entry){.prefix = p, .owner = owner, .state = STATE_USED};
    link_entry(a, e);
    return true;
}

static void remove_entry(struct allowed *a, struct allowed_entry *e)
{
    unlink_entry(a, e);
    e->state = STATE_REMOVED;
    a->used--;
}

bool allowed_remove(struct allowed *a, const struct ip_prefix *prefix, uint32_t owner)
{
    struct ip_prefix p = *prefix;

    if (a->capacity == 0)
        return false;
    ip_prefix_mask(&p);
    struct allowed_entry *e = find(a, &p);
    if (e->state != STATE_USED || e->owner != owner)
        return false;
    remove_entry(a, e);
    return true;
}

bool allowed_take(struct allowed *a, uint32_t owner, struct ip_prefix *prefix)
{
    if (owner >= a->heads_n || a->heads[owner] == NONE)
        return false;
    struct allowed_entry *e = &a->entries[a->heads[owner]];
    *prefix = e->prefix;
    remove_entry(a, e);
    return true;
}

const struct allowed_entry *allowed_next(const struct allowed *a, size_t *cursor)
{
    while (*cursor < a->capacity) {
        const struct allowed_entry *e = &a->entries[(*cursor)++];
        if (e->state == STATE_USED)
            return e;
    }
    return NULL;
}
