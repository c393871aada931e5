/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AllowedIPs of all peers: which peer owns a prefix. A prefix belongs to one peer; giving it to another takes it
 * away from the first (cryptokey routing, WireGuard paper section 2). Hash table on the prefix; the prefixes of one
 * owner form a list, so that removing a peer does not look at those of all the others. Control role.
 */
#ifndef FZ_CONTROL_ALLOWED_H
#define FZ_CONTROL_ALLOWED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/addr.h"

struct allowed_entry {
    struct ip_prefix prefix; /* masked */
    uint32_t owner;
    uint32_t next, prev; /* internal: entries of the same owner */
    uint8_t state;       /* internal: free, used, removed */
};

struct allowed {
    struct allowed_entry *entries; /* power of two */
    size_t capacity, used, filled; /* filled: used and removed */
    uint32_t *heads;               /* per owner: one of its entries */
    size_t heads_n;
};

void allowed_init(struct allowed *a);
void allowed_fini(struct allowed *a);

/* Gives the prefix to `owner`, a small number. True if something changed. Running out of memory is fatal. */
bool allowed_set(struct allowed *a, const struct ip_prefix *prefix, uint32_t owner);

/* Takes it away if it belongs to `owner`. True if it did. */
bool allowed_remove(struct allowed *a, const struct ip_prefix *prefix, uint32_t owner);

/* Takes away one prefix of `owner`, whichever, and tells which. False: it has none (left). */
bool allowed_take(struct allowed *a, uint32_t owner, struct ip_prefix *prefix);

/* The next used entry at or after *cursor (start with 0), NULL at the end. Entries may be removed meanwhile. */
const struct allowed_entry *allowed_next(const struct allowed *a, size_t *cursor);

#endif
