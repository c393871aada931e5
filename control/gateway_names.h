/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The real addresses of DNS resources' names, for a gateway. Many clients ask for one name at about the same time: it is asked
 * for once, and an answer is kept as long as it says itself (host_resolver.h). What is asked ends after 10 s.
 *
 * A name could be made to point into the tunnel or at the gateway itself, and a client that may reach the name would get there past
 * what it was granted. So addresses of the tunnel, of names' proxies and of the stub resolvers, and addresses that no other host can
 * have (unspecified, loopback, link-local, multicast, broadcast, IPv4 in IPv6) are left out and counted. Private ones are what resources
 * are for, and what the gateway's host has in its own nets is no exception: a service may run beside the gateway.
 *
 * Control role. Source: spec/tunnel.md 8.6.
 * DEVIATE: upstream keeps no such list; asks once more for every client; and takes servers that are silent for a name without
 * addresses, where this is ERR_AGAIN as at its own time-out, so that the client asks again soon.
 */
#ifndef FZ_CONTROL_GATEWAY_NAMES_H
#define FZ_CONTROL_GATEWAY_NAMES_H

#include "control/host_resolver.h"

enum {
    GATEWAY_NAMES_MAX = 1000, /* that are asked for at once, each by any number of clients */
    GATEWAY_NAMES_CACHE_MAX = 512,
    GATEWAY_NAMES_TTL_MAX_S = 3600,
    GATEWAY_NAMES_TIMEOUT_S = 10,
    GATEWAY_NAMES_LEN_MAX = 253
};

struct gateway_names;

/* Sorted, IPv4 before IPv6, without duplicates. */
struct gateway_name_addrs {
    unsigned n;
    struct ip_addr ips[HOST_ADDRS_MAX];
};

/* Who asks, embedded in its owner; fields are ours. */
struct gateway_names_query {
    /* addrs: NULL: it cannot be told now. From the loop, and the query is over; it may ask and cancel others. */
    void (*done)(struct gateway_names_query *q, const struct gateway_name_addrs *addrs);
    struct gateway_name *name; /* NULL: it asks for nothing */
    struct gateway_names_query *next, **at;
};

/* What is counted, and how the log calls it. */
#define GATEWAY_NAMES_COUNTS(X)                                                                    \
    X(ASKED, "resolve_asked")     /* of the host */                                                \
    X(CACHED, "resolve_cached")   /* known already */                                              \
    X(SILENT, "resolve_silent")   /* no server has answered in time */                             \
    X(REFUSED, "resolve_refused") /* addresses that no resource may have */                        \
    X(FULL, "resolve_full")       /* too many were asked for */

enum gateway_names_count {
#define GATEWAY_NAMES_ENUM(id, name) GATEWAY_NAMES_##id,
    GATEWAY_NAMES_COUNTS(GATEWAY_NAMES_ENUM)
#undef GATEWAY_NAMES_ENUM
    GATEWAY_NAMES_COUNT_N
};

enum err gateway_names_new(struct gateway_names **out, struct loop *l, const struct egress *egress,
                           const char *resolv_conf, const char *hosts, char *why,
                           unsigned why_size) MUST_USE;
/* Queries are not answered any more. NULL: nothing. */
void gateway_names_free(struct gateway_names *s);

/* name: lower case, without a dot at the end. ERR_FULL: too many names are asked for. */
enum err gateway_names_ask(struct gateway_names *s, struct gateway_names_query *q,
                           const char *name) MUST_USE;
/* `done` is not called. One that asks for nothing: nothing. */
void gateway_names_cancel(struct gateway_names_query *q);

/* The network has changed: everything that is asked is asked again, and nothing is known any more. */
void gateway_names_moved(struct gateway_names *s);

uint64_t gateway_names_count(const struct gateway_names *s, enum gateway_names_count what);
/* Those that are not zero, at level info. */
void gateway_names_log(const struct gateway_names *s);

/* Whether a name of a resource may have this address. Pure. */
bool gateway_names_allowed(const struct ip_addr *ip);

#endif
