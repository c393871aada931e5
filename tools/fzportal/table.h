/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hash table of links that are part of larger structures. Who looks something up walks the links with the same hash and
 * compares. Grows; one thread.
 */
#ifndef FZ_TOOLS_FZPORTAL_TABLE_H
#define FZ_TOOLS_FZPORTAL_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table_link {
    struct table_link *next;
    uint64_t hash;
};

struct table {
    struct table_link **at;
    size_t buckets, n;
};

/* FNV-1a, seeded by `h`, so that keys of several parts are hashed one after the other. */
#define TABLE_HASH UINT64_C(0xcbf29ce484222325)
uint64_t table_hash(uint64_t h, const void *data, size_t len);
uint64_t table_hash_text(uint64_t h, const char *text); /* with its terminator */

void table_add(struct table *t, struct table_link *link, uint64_t hash);
void table_remove(struct table *t, struct table_link *link);
/* The first link with this hash, and the one that follows it; NULL: none. */
struct table_link *table_first(const struct table *t, uint64_t hash);
struct table_link *table_next(const struct table_link *link);
/* Frees the table, not what is in it. */
void table_fini(struct table *t);

#endif
