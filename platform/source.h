/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contract: the local address and interface that reach a destination, never through our own TUN.
 * Asked by the control thread on a miss of engine/source_cache, and for TCP sockets before they
 * connect. Each OS folder implements it; the choice itself is platform/base/source_rank.
 */
#ifndef FZ_PLATFORM_SOURCE_H
#define FZ_PLATFORM_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"

struct source;

enum {
    SOURCE_OWN_TABLES_MAX = 8
};

struct source_config {
    uint32_t tun_ifindex; /* 0: not there yet, see source_set_tun */
    uint64_t tun_luid;    /* the same on Windows, where indices are given again */
    const uint32_t
        *own_tables;       /* routing tables that we fill and that must not be consulted; Linux */
    size_t own_tables_len; /* at most SOURCE_OWN_TABLES_MAX */
};

/* Control. ERR_OK; ERR_INVALID; ERR_NO_MEMORY; or why the system's tables cannot be read. */
enum err source_new(struct source **out, const struct source_config *config) MUST_USE;
void source_free(struct source *s);

/* Control: the TUN was (re)created; 0: gone. */
void source_set_tun(struct source *s, uint32_t ifindex);

/*
 * Control. The source for dst, from the system's tables as they are now; takes a bounded time (far
 * below a second, typically well below a millisecond). ERR_UNREACHABLE: no way that avoids the TUN;
 * other errors: the tables could not be read.
 */
enum err source_resolve(struct source *s, const struct ip_addr *dst,
                        struct ip_source *out) MUST_USE;

/* Control. The interface, up and not the TUN, that has the address; 0: none. */
uint32_t source_interface(struct source *s, const struct ip_addr *address);

#endif
