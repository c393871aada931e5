/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which routes of the host lead to its local networks, and what has to change so that their copies are the same ones. Pure functions;
 * any thread. Source: spec/platform.md 2.4.
 */
#ifndef FZ_LINUX_LAN_H
#define FZ_LINUX_LAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/addr.h"

struct lan_route {
    struct ip_prefix dst; /* len 0: a default route */
    struct ip_addr source;
    uint32_t oif, metric;
    uint8_t type, scope, protocol, tos; /* RTN_*, RT_SCOPE_*, RTPROT_* */
    bool gateway;                       /* it has one, or several ways */
    bool marked;                        /* lan_plan: to be copied, or to be deleted */
};

struct lan_link {
    uint32_t ifindex;
    uint8_t operstate; /* IF_OPER_* */
};

struct lan_plan {
    struct lan_route *routes, *copies; /* of the main table, and of ours */
    size_t routes_n, copies_n;
    const struct lan_link *links;
    size_t links_n;
    uint32_t tun_ifindex;
};

/*
 * IPv4: scope link. IPv6, whose routes all have scope global: those that came with an address, but not fe80::/10. Either with a
 * destination, on a link that is up, and not our TUN.
 */
bool lan_wanted(const struct lan_route *r, const struct lan_plan *plan);
/* Marks the routes that have no copy yet, and the copies that are not wanted. False: there are none of either. */
bool lan_mark(struct lan_plan *plan);

#endif
