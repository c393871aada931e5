/* SPDX-License-Identifier: Apache-2.0 */
/* See table.h. */
#include "tools/fzportal/table.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/err.h"
#include "platform/base/mem.h"

enum {
    BUCKETS_MIN = 16
};

uint64_t table_hash(uint64_t h, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++)
        h = (h ^ bytes[i]) * UINT64_C(0x100000001b3);
    return h;
}

uint64_t table_hash_text(uint64_t h, const char *text)
{
    return table_hash(h, text, strlen(text) + 1);
}

/* The low bits of FNV depend on the low bits of the input only. */
static size_t bucket(const struct table *t, uint64_t hash)
{
    return (size_t)(hash ^ hash >> 32) & (t->buckets - 1);
}

static void put(struct table *t, struct table_link *link)
{
    struct table_link **head = &t->at[bucket(t, link->hash)];
    link->next = *head;
    *head = link;
}

static void grow(struct table *t)
{
    struct table old = *t;
    t->buckets = old.buckets ? 2 * old.buckets : BUCKETS_MIN;
    t->at = mem_zalloc(t->buckets, sizeof(struct table_link *));
    for (size_t i = 0; i < old.buckets; i++) {
        for (struct table_link *link = old.at[i], *next; link; link = next) {
            next = link->next;
            put(t, link);
        }
    }
    free((void *)old.at);
}

void table_add(struct table *t, struct table_link *link, uint64_t hash)
{
    if (t->n >= t->buckets)
        grow(t);
    link->hash = hash;
    put(t, link);
    t->n++;
}

void table_remove(struct table *t, struct table_link *link)
{
    struct table_link **at = &t->at[bucket(t, link->hash)];
    while (*at != link) {
        ASSERT(*at);
        at = &(*at)->next;
    }
    *at = link->next;
    t->n--;
}

static struct table_link *same(struct table_link *link, uint64_t hash)
{
    while (link && link->hash != hash)
        link = link->next;
    return link;
}

struct table_link *table_first(const struct table *t, uint64_t hash)
{
    return t->n > 0 ? same(t->at[bucket(t, hash)], hash) : NULL;
}

struct table_link *table_next(const struct table_link *link)
{
    return same(link->next, link->hash);
}

void table_fini(struct table *t)
{
    free((void *)t->at);
    memset(t, 0, sizeof *t);
}
