/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to the kernel's link and route tables. All functions return 0 or a positive errno. Control thread. */
#ifndef FZ_LINUX_ROUTE_READ_H
#define FZ_LINUX_ROUTE_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/linux/netlink.h"

struct link_state {
    uint32_t mtu;
    uint32_t mtu_v6; /* for IPv6, where a router has announced it; 0: unknown */
    uint32_t flags;  /* IFF_* */
};

/* The attributes of a route that matter here. */
struct route {
    struct ip_prefix dst;
    uint32_t table;
    uint32_t oif; /* interface */
    uint32_t mtu; /* the route's own, 0: the interface's */
};

int link_read(struct netlink *n, uint32_t ifindex, struct link_state *out);

/* The route the kernel would take towards dst. ENETUNREACH, EHOSTUNREACH, EACCES and the like: there is none. */
int route_read(struct netlink *n, const struct ip_addr *dst, uint32_t mark, struct route *out);

/* Does wanted->table of the family hold the route to wanted->dst by way of wanted->oif, or any route at all (oif 0)? */
int route_search(struct netlink *n, const struct route *wanted, bool *found);

#endif
