/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Route table: an immutable snapshot that maps inner addresses of both families to values (a peer
 * slot, say).
 *
 * A lookup yields every entry whose prefix covers the address, longest prefix first, several
 * entries per prefix, because the choice also depends on filters and names (longest match alone is
 * not enough). The prefixes cut the address space into intervals, each with one longest match; the
 * interval starts stand in a static search tree (one cache line per level for v4, two for v6), and
 * every entry carries the index of the next one to try. So the first answer costs log16 (v4) or
 * log8 (v6) of twice the prefixes, and each further answer one load.
 *
 * Built by control (heap), published with platform/base/snapshot.h, read by any number of workers.
 */
#ifndef FZ_ENGINE_ROUTE_H
#define FZ_ENGINE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"

#define ROUTE_NONE UINT32_MAX

enum {
    ROUTE_ENTRIES_MAX = 1 << 28
};

struct route_entry {
    struct ip_prefix prefix; /* host bits are ignored */
    uint32_t value;          /* any value but ROUTE_NONE */
    uint32_t order;          /* entries of one prefix come in ascending order, then as given */
};

struct route_table;

/* Where a lookup stands; a plain value. */
struct route_cursor {
    const struct route_table *table;
    uint32_t index;
};

/* Collects entries; memory grows on demand. Zero-initialise, or route_builder_init. */
struct route_builder {
    struct route_entry *entries;
    size_t len;
    size_t capacity;
};

/*
 * Builds a table of n entries; of entries with equal prefix and value the one with the lowest order
 * stays. Control. NULL: out of memory, or an entry is invalid (family, length, value ROUTE_NONE) or
 * n exceeds ROUTE_ENTRIES_MAX.
 */
struct route_table *route_build(const struct route_entry *entries, size_t n) MUST_USE;

/* Accepts NULL; the signature suits snapshot_publish. */
void route_table_free(void *table);

/* Number of entries after duplicates were removed, both families. */
size_t route_table_len(const struct route_table *t);

void route_builder_init(struct route_builder *b);
/* ERR_INVALID for a bad family, length or value; ERR_NO_MEMORY. The order is that of the calls. */
enum err route_builder_add(struct route_builder *b, const struct ip_prefix *prefix,
                           uint32_t value) MUST_USE;
/* As route_build; the builder keeps its entries. */
struct route_table *route_builder_build(const struct route_builder *b) MUST_USE;
void route_builder_fini(struct route_builder *b);

/*
 * First (longest) match of the address: version 4 or 6, dst 4 or 16 bytes in network order. Returns
 * its value, or ROUTE_NONE, and sets *c for route_lookup_next. Any other version gives ROUTE_NONE.
 * Any thread.
 */
uint32_t route_lookup_first(const struct route_table *t, unsigned version, const uint8_t *dst,
                            struct route_cursor *c);

/*
 * The same prefix's next entry, then those of the next shorter covering prefix; ROUTE_NONE at the
 * end, and after it.
 */
uint32_t route_lookup_next(struct route_cursor *c);

/* Prefix length of the entry that the last first/next returned; 0 after ROUTE_NONE. */
unsigned route_cursor_prefix_len(const struct route_cursor *c);

/* Plain longest-prefix match: the first entry of the longest covering prefix, or ROUTE_NONE. */
static inline uint32_t route_lookup(const struct route_table *t, unsigned version,
                                    const uint8_t *dst)
{
    struct route_cursor c;
    return route_lookup_first(t, version, dst, &c);
}

/* Source check of inbound packets, as WireGuard does it: the longest match of `addr` is `value`. */
static inline bool route_covers(const struct route_table *t, unsigned version, const uint8_t *addr,
                                uint32_t value)
{
    return route_lookup(t, version, addr) == value;
}

#endif
