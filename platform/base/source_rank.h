/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which source address and interface reach a destination without our own TUN: a pure function over
 * tables of interfaces, addresses and routes, the same on every OS. The OS folder supplies the
 * tables.
 *
 * Route: covering, interface up and not ours; then first tier, longest prefix, lowest route metric
 * + interface metric, first in the table. Address: the route's preferred source; else on the
 * route's interface, in the order of RFC 6724 section 5 (v6), or the one that shares a subnet with
 * the next hop (v4); an interface without one borrows from the others.
 */
#ifndef FZ_BASE_SOURCE_RANK_H
#define FZ_BASE_SOURCE_RANK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"

struct source_link {
    uint32_t ifindex;
    bool up;            /* administratively and operationally */
    uint32_t metric_v4; /* interface metric, added to the route's; Linux: 0 */
    uint32_t metric_v6;
};

struct source_address {
    uint32_t ifindex;
    struct ip_addr ip;
    uint8_t prefix_len;
    bool usable;     /* false: tentative or failed duplicate detection */
    bool deprecated; /* preferred lifetime over */
    bool temporary;  /* RFC 8981; avoided, because it rotates */
    bool secondary;  /* v4: not the first of its subnet */
};

enum source_route_type {
    SOURCE_ROUTE_UNICAST, /* through ifindex, with or without gateway */
    SOURCE_ROUTE_LOCAL,   /* the destination is an address of this host */
    SOURCE_ROUTE_REJECT,  /* blackhole, unreachable, prohibit: the lookup ends without an answer */
    SOURCE_ROUTE_THROW    /* the lookup goes on with the next tier */
};

struct source_route {
    enum source_route_type type;
    uint32_t tier; /* routing tables are consulted in ascending tier; 0 where the OS has only one */
    struct ip_prefix dst;
    struct ip_prefix from;    /* the source must be inside; family ADDR_NONE: any */
    struct ip_addr gateway;   /* ADDR_NONE: on link */
    struct ip_addr preferred; /* preferred source, or ADDR_NONE */
    uint32_t ifindex;
    uint32_t metric;
};

struct source_tables {
    const struct source_link *links;
    size_t links_len;
    const struct source_address *addresses;
    size_t addresses_len;
    const struct source_route *routes;
    size_t routes_len;
};

/*
 * The best source for dst. tun_ifindex: never used as interface, nor its addresses as source (0:
 * none). Returns ERR_OK with *out set, or ERR_UNREACHABLE, or ERR_INVALID (dst without family,
 * unspecified or multicast).
 */
enum err source_rank(const struct source_tables *t, const struct ip_addr *dst, uint32_t tun_ifindex,
                     struct ip_source *out) MUST_USE;

#endif
