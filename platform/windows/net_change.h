/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What IP Helper tells of changes, on threads of the system's, for the control thread: a set of bits and a wake-up. Source: spec/platform.md 3.6.
 *
 * Addresses count when they come and go, not when a lifetime is renewed; those of our own adapter do not, nor do our routes to single hosts. Every change of an address,
 * a route or an interface makes answers about ways old (engine_sources_invalidate); a change of addresses may be a move.
 */
#ifndef FZ_WINDOWS_NET_CHANGE_H
#define FZ_WINDOWS_NET_CHANGE_H

#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/counter.h"
#include "platform/base/edge.h"
#include "platform/base/err.h"
#include "platform/windows/own_hosts.h"

/* Windows' kinds of notifications. */
enum {
    NET_CHANGE_PARAMETER = 0,
    NET_CHANGE_ADDED = 1,
    NET_CHANGE_DELETED = 2,
    NET_CHANGE_INITIAL = 3
};

enum net_change_what {
    NET_CHANGE_ADDRESSES,
    NET_CHANGE_ROUTES,
    NET_CHANGE_INTERFACES,
    NET_CHANGE_WHATS
};

enum net_change_bit {
    NET_CHANGE_WAYS = 1 << 0,
    NET_CHANGE_MOVED = 1 << 1
};

/* Called by threads of the system's. kind: one of the above. dst: of a route; NULL: something else, or the system does not say. */
typedef void (*net_change_fn)(void *arg, enum net_change_what what, uint64_t luid, unsigned kind,
                              const struct ip_prefix *dst);

/* The system's registrations; *handle is for `stop`. */
struct net_change_source {
    void *ctx;
    unsigned long (*start)(void *ctx, enum net_change_what what, net_change_fn fn, void *arg,
                           void **handle);
    /* No call of fn runs any more when it returns; not from fn. */
    void (*stop)(void *ctx, void *handle);
};

struct net_change {
    const struct net_change_source *source;
    struct own_hosts *own;
    void *handles[NET_CHANGE_WHATS];
    struct counter tun_luid; /* control to the system's threads */
    struct edges changes;    /* the other way: enum net_change_bit */
    void (*wake)(void *arg); /* any thread */
    void *arg;
};

/* Control. ERR_UNSUPPORTED: the system does not tell; nothing is registered then. */
enum err net_change_init(struct net_change *c, const struct net_change_source *source,
                         struct own_hosts *own, void (*wake)(void *arg), void *arg) MUST_USE;
/* Control. Waits for what is running. */
void net_change_fini(struct net_change *c);
/* Control: 0: gone. */
void net_change_set_tun(struct net_change *c, uint64_t luid);
/* Control, when woken: what has happened since the last call, a set of enum net_change_bit. */
unsigned net_change_take(struct net_change *c);

/* The system's; NULL: it has none. */
const struct net_change_source *net_change_system(void);

#endif
