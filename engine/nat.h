/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gateway's NAT for DNS resources: which real address each proxy address of a client stands for, and the flows through them. No
 * family is translated to the other. Portable, sans-IO, no allocation; one struct nat per worker, which alone uses it.
 *
 *     client, from port p to the proxy address  -->  gateway, from port q to the real address  -->  network
 *     client, to p from the proxy address       <--  gateway, to q from the real address       <--  network
 *
 * A *name* is one proxy address of one client: its real address, and the grants that lead to it. A *flow* is found from inside by
 * (name, protocol, p), from outside by (client, protocol, q, real address); p and q of an echo are its identifier. It keeps the real
 * address that it began with.
 *
 * A flow ends by time, as of the `now` of each look-up. One that has ended is kept a while, so that what still comes for it is not
 * taken for a packet without a flow. There are bounds for all clients together and for each. What a client had is forgotten in
 * constant time and reused later: it belongs to an owner, a number that is never the client's again.
 *
 * Source: spec/tunnel.md 8.4, 8.5, 8.6.
 */
#ifndef FZ_NAT_H
#define FZ_NAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/bytes.h"
#include "platform/base/time.h"

enum {
    NAT_ENTRIES_MAX = 1 << 18, /* names, and flows, of a worker */
    NAT_SHARE = 4,             /* a client has at most a quarter of them */
    NAT_GRANTS_MAX = 32,       /* of a name */

    NAT_TCP_S = 7440, /* without a packet */
    NAT_OTHER_S = 120,
    NAT_UNANSWERED_S = 60, /* while nothing ever came back */
    NAT_CLOSING_S = 5,     /* after both ends' FIN */
    NAT_KEPT_S = 600,      /* after its end; once the table has been full, less */

    NAT_NEAR_TRIES = 64, /* for an outer port: so many from the inner one on, */
    NAT_TRIES_MAX = 512  /* then anywhere */
};

enum nat_result {
    NAT_OK,
    NAT_NO_ADDRESS, /* the name has no real one */
    NAT_FULL,
    NAT_SHARE_FULL,  /* the client has its share */
    NAT_NO_PORT,     /* none is free at the real address, as far as it was looked for */
    NAT_GRANTS_FULL, /* as many lead to the name as can */
    NAT_NO_PROXY     /* the address cannot stand for a name */
};

/* Indexes and links are nat.c's; 0: none. */
struct nat_name {
    uint32_t owner;
    uint32_t hash_next, client_next;
    uint32_t proxy;  /* the last 32 bits */
    uint8_t version; /* of both addresses: 4 or 6 */
    bool has_real;
    uint8_t grants_n;
    uint8_t real[16];                /* v4: the first 4, the others are zero */
    uint64_t domain;                 /* equal for the proxy addresses of one name */
    uint16_t grants[NAT_GRANTS_MAX]; /* that lead to it; some may be over */
} __attribute__((aligned(CACHE_LINE)));

enum nat_flag {
    NAT_ANSWERED = 1,
    NAT_FIN_OUT = 2, /* from the client */
    NAT_FIN_IN = 4,
    NAT_RST = 8,
    NAT_REPLACED = 16 /* it has ended, and is not found from inside any more */
};

/* One cache line. */
struct nat_flow {
    uint32_t owner, client;
    uint32_t name;
    uint32_t inside_next, outside_next;
    uint32_t client_previous, client_next;
    uint8_t proto;       /* IP_PROTO_TCP, _UDP, _ICMP, _ICMPV6; 0: not in use */
    uint8_t flags;       /* enum nat_flag */
    uint16_t port;       /* p */
    uint16_t outer_port; /* q */
    uint8_t version;
    uint8_t real[16];
    time_ns last; /* packet, in either direction */
};

struct nat_list {
    uint32_t first, last, n;
};

/* A client, which has one peer after the other: who comes back finds his flows again. */
struct nat_client {
    uint32_t tenant; /* which of those that have had this number */
    uint32_t owner;  /* 0: nothing is known of it */
    struct nat_list names, flows;
};

struct nat_pool {
    uint32_t touched; /* 1..touched have been in use */
    uint32_t free;
    struct nat_list dead; /* of clients that were forgotten; still in the hash chains */
};

struct nat {
    uint64_t seed;
    uint32_t entries, clients_n;
    uint32_t owners; /* given so far */
    uint32_t hand;   /* of the sweep over the flows */
    struct nat_pool names_pool, flows_pool;
    struct nat_name *names;
    struct nat_flow *flows;
    uint32_t *names_hash, *inside_hash, *outside_hash;
    struct nat_client *clients; /* by number */
};

/* entries: of names and of flows, a power of two of at least 64; clients: so many numbers. */
size_t nat_size(uint32_t entries, uint32_t clients);
/* memory: nat_size bytes, zero, alignment 64. What is not used is not touched. seed: random. */
void nat_init(struct nat *n, void *memory, uint32_t entries, uint32_t clients, uint64_t seed);
/* All names and flows of the client. */
void nat_forget(struct nat *n, uint32_t client);
/* The number is this tenant's from now on: what is of another one is forgotten. */
void nat_adopt(struct nat *n, uint32_t client, uint32_t tenant);

/* ---- names ---- */

/* Grants that are over make room for others in a name. */
typedef bool (*nat_grant_over_fn)(const void *arg, uint16_t grant);

/*
 * The client's `proxy` stands for `real` (family ADDR_NONE: for nothing), and `grant` leads to it, too. What it stood for before is
 * forgotten, its flows go on. A real address inside the tunnel's ranges is none.
 */
enum nat_result nat_name_set(struct nat *n, uint32_t client, const struct ip_addr *proxy,
                             const struct ip_addr *real, uint64_t domain, uint16_t grant,
                             nat_grant_over_fn over, const void *arg);
/* addr: 4 or 16 bytes. NULL: it stands for nothing. */
struct nat_name *nat_name_find(const struct nat *n, uint32_t client, unsigned version,
                               const uint8_t *addr);
/* Its proxy address: 4 or 16 bytes. */
void nat_name_proxy(const struct nat_name *name, uint8_t *out);
/* So many more names the client may have. */
uint32_t nat_names_room(const struct nat *n, uint32_t client);

/* ---- flows ---- */

/* The flow of a packet that leaves by `name`, begun if there is none. tcp_flags: 0 if it is no TCP. */
enum nat_result nat_outbound(struct nat *n, uint32_t client, const struct nat_name *name,
                             uint8_t proto, uint16_t port, uint8_t tcp_flags, time_ns now,
                             struct nat_flow **flow);
/* What a packet from `real` (4 or 16 bytes) to `port` belongs to, even if it has ended. NULL: nothing. */
struct nat_flow *nat_outside(const struct nat *n, uint32_t client, unsigned version, uint8_t proto,
                             uint16_t port, const uint8_t *real);
bool nat_has_ended(const struct nat_flow *flow, time_ns now);
/* A packet of the flow, which has not ended, came in. */
void nat_inbound(struct nat_flow *flow, uint8_t tcp_flags, time_ns now);

static inline const struct nat_name *nat_flow_name(const struct nat *n, const struct nat_flow *flow)
{
    return &n->names[flow->name];
}

#endif
