/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients ask a gateway for the names of DNS resources: addresses of the client's own that stand for a name. The name is resolved, the
 * worker that has the client gets the real addresses, and the client hears whether packets get there from now on:
 *
 *     client --- AssignedIps ---> checked ---> resolved ---> worker has the pairs ---> DomainStatus ---> client
 *                                    |             |               |
 *                                    +-------------+---------------+--- not: DomainStatus, inactive
 *
 * A name that is refused has no packets either: if its addresses stood for another one, which a client that has begun anew does not know
 * of, the worker forgets that before the client hears.
 *
 * A client is not trusted: it may name what is granted to it, by addresses of the range for that, and not without end. What it says
 * again while the name is being resolved replaces what it said before.
 *
 * Control role. Source: spec/tunnel.md 6.4, 8.4.
 * DEVIATE: upstream resolves first and checks the name after that; takes any address as one that stands for a name, so that a client can
 * have itself let in to any host; lets packets to a name that it refuses go to the one that had its addresses before; and answers each
 * packet singly. One client has no more than a quarter of what can be under way.
 */
#ifndef FZ_CONTROL_GATEWAY_NAT_H
#define FZ_CONTROL_GATEWAY_NAT_H

#include "control/clients.h"
#include "control/gateway_names.h"
#include "control/inner_message.h"
#include "control/tunnel_gateway.h"

enum {
    GATEWAY_NAT_MAX = 1000, /* under way at once */
    GATEWAY_NAT_CLIENT_MAX = GATEWAY_NAT_MAX / 4
};

struct gateway_nat;

/* What is counted, and how the log calls it. */
#define GATEWAY_NAT_COUNTS(X)                                                                      \
    X(ACTIVE, "names_active")         /* answered: the client gets there */                        \
    X(OTHER, "names_other")           /* of a kind that is not for a gateway */                    \
    X(MALFORMED, "names_malformed")   /* not answered */                                           \
    X(FULL, "names_full")             /* not answered: too many are under way */                   \
    X(FORBIDDEN, "names_forbidden")   /* not granted, or no DNS resource */                        \
    X(MISMATCHED, "names_mismatched") /* a name that is not of the resource */                     \
    X(STRANGE, "names_strange")       /* addresses that do not stand for names */                  \
    X(UNRESOLVED, "names_unresolved") /* it cannot be told now where the name leads */             \
    X(REVOKED, "names_revoked")       /* granted no longer when it was done */                     \
    X(NO_ROOM, "names_no_room")       /* at the worker */

enum gateway_nat_count {
#define GATEWAY_NAT_ENUM(id, name) GATEWAY_NAT_##id,
    GATEWAY_NAT_COUNTS(GATEWAY_NAT_ENUM)
#undef GATEWAY_NAT_ENUM
    GATEWAY_NAT_COUNT_N
};

/* Borrows all of it. Out of memory is fatal. */
struct gateway_nat *gateway_nat_new(struct peers *peers, struct clients *clients,
                                    struct gateway_names *names);
/* Nothing is resolved any more: before the names are freed. */
void gateway_nat_close(struct gateway_nat *n);
/* Closed, and after the tunnel, whose workers have what is under way. NULL: nothing. */
void gateway_nat_free(struct gateway_nat *n);

/* A control packet of a client that is not about the connection. */
void gateway_nat_packet(struct gateway_nat *n, const struct uuid *client, const uint8_t *packet,
                        size_t len);
/* What is under way for the client is of no use any more: its connection is another one, or gone. */
void gateway_nat_forget(struct gateway_nat *n, const struct uuid *client);

uint64_t gateway_nat_count(const struct gateway_nat *n, enum gateway_nat_count what);
/* Those that are not zero, at level info. */
void gateway_nat_log(const struct gateway_nat *n);

/*
 * The pairs of `out`: each proxy address with the next real one of its family, in order and around again. Sorts `proxies` and drops what
 * is there twice. Pure.
 */
void gateway_nat_pairs(struct engine_translation *out, struct inner_assigned_ips *proxies,
                       const struct gateway_name_addrs *reals);

#endif
