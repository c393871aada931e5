/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel tells about links, addresses, routes, rules and next hops (rtnetlink), one message as one value.
 *
 * Pure: bytes in, value out; every length is checked. Messages that never tell of a change are NET_EVENT_NONE: copies
 * of routes for single destinations (RTM_F_CLONED), wireless scans, the state of a bridge's ports, other families.
 * Whether one that looks like a change is one, net_seen knows. Any thread.
 */
#ifndef FZ_LINUX_NET_EVENT_H
#define FZ_LINUX_NET_EVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/addr.h"

enum net_event_kind {
    NET_EVENT_NONE,
    NET_EVENT_LINK,
    NET_EVENT_ADDRESS,
    NET_EVENT_ROUTE,
    NET_EVENT_RULE,
    NET_EVENT_NEXTHOP
};

enum {
    NET_HOPS_MAX = 8, /* of a multipath route; more are left out */
    NET_TUNS_MAX = 2
};

/* States of an address. */
enum {
    NET_ADDRESS_USABLE =
        1, /* not being checked for duplicates any more, or optimistically in use meanwhile */
    NET_ADDRESS_FAILED = 2, /* a duplicate */
    NET_ADDRESS_DEPRECATED = 4,
    NET_ADDRESS_GLOBAL = 8 /* valid beyond its link */
};

struct net_hop {
    uint32_t ifindex;
    struct ip_addr gateway; /* ADDR_NONE: on the link */
};

/* Fields that a kind does not have are zero. */
struct net_event {
    enum net_event_kind kind;
    bool gone;
    uint8_t family;   /* enum addr_family; of all but links, and of next hops where they have one */
    uint32_t ifindex; /* of a link, an address, a next hop */
    uint32_t
        state; /* of a link: flags and operational state as one number; of an address: NET_ADDRESS_* */
    uint32_t mtu, master; /* of a link */
    struct ip_prefix dst; /* the destination of a route; an address, and the length of its prefix */
    uint32_t table;       /* of a route; where a rule leads, 0: to no table */
    bool usable; /* a route for all unicast datagrams to its destination, whose next hop is alive */
    bool expires;          /* a route with a limited lifetime */
    uint32_t metric;       /* of a route */
    uint8_t preference;    /* of a route among those with its metric: the lowest wins */
    uint8_t tos;           /* of a route */
    uint32_t nexthop_id;   /* of a route, 0: none */
    struct ip_addr source; /* a route's preferred one */
    uint8_t hops_len;
    struct net_hop hops[NET_HOPS_MAX];
};

/* What is ours: changes of it are none of the network. */
struct net_own {
    uint32_t tuns[NET_TUNS_MAX]; /* interface indices, 0: none */
    const uint32_t *tables;
    size_t tables_len;
};

/* Reads the message at the beginning of a datagram. Returns how many bytes it takes; 0: there is no whole one any more. */
size_t net_event_next(struct net_event *out, const void *bytes, size_t len);

bool net_event_is_own(const struct net_event *e, const struct net_own *own);

/* The same way: next hops (in any order) and source address. */
bool net_event_same_way(const struct net_event *a, const struct net_event *b);

#endif
