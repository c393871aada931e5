/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of endpoints to addresses, without blocking the loop. The system's resolver blocks, so helper threads (few,
 * started on demand) call it; they own nothing and only post results, which the loop's thread reports. A failed name
 * is asked again after 1, 2, 4, ... 20 seconds until the first success. Control role.
 */
#ifndef FZ_CONTROL_RESOLVE_H
#define FZ_CONTROL_RESOLVE_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/lookup.h"
#include "platform/loop.h"

enum {
    RESOLVE_THREADS_MAX = 4,
    RESOLVE_RETRY_MIN_S = 1,
    RESOLVE_RETRY_MAX_S = 20
};

struct resolve;

/*
 * A name has addresses: n >= 1, in the system's order of preference, port and scope filled. The request is gone. May
 * add and cancel requests; must not free the resolver.
 */
typedef void (*resolve_done)(void *arg, void *tag, const struct sock_addr *addrs, unsigned n);

/* lookup: NULL for the system's; tests pass their own (called on helper threads). */
enum err resolve_new(struct resolve **out, struct loop *l, resolve_done done, void *arg,
                     lookup_fn lookup) MUST_USE;
/* Forgets all requests. Never waits for a blocked lookup: its thread ends by itself and frees what it shares. */
void resolve_free(struct resolve *r);

/* Starts resolving; tag: the caller's, not interpreted. Several requests may share a tag. */
void resolve_add(struct resolve *r, const char *host, uint16_t port, void *tag);
/* Forgets all requests with the tag: `done` is not called for them any more. */
void resolve_cancel(struct resolve *r, const void *tag);
/* True while a request has no answer yet. */
bool resolve_pending(const struct resolve *r);
/* Asks everything that waits for a retry at once (after a network change). */
void resolve_retry_now(struct resolve *r);

#endif
