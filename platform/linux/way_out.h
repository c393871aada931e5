/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's way out in one family: the default route of table main that the kernel prefers, and the addresses of
 * its interface. Comparing two of them tells whether the machine is elsewhere now. Control role.
 */
#ifndef FZ_LINUX_WAY_OUT_H
#define FZ_LINUX_WAY_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/linux/net_event.h"
#include "platform/linux/netlink.h"

struct way_address {
    struct ip_addr ip;
    uint32_t state; /* NET_ADDRESS_* */
};

/* Zero: there is none. */
struct way_out {
    bool exists;
    struct net_event route;
    struct way_address *addresses; /* those beyond the link, in every state */
    size_t addresses_len;
};

enum way_change {
    WAY_NONE,   /* there is none now */
    WAY_SAME,   /* as before, perhaps with more addresses */
    WAY_FIRST,  /* there was none before */
    WAY_ROUTE,  /* another route */
    WAY_ADDRESS /* the same route, without an address that was in use */
};

/*
 * The way out now. Among routes that the kernel likes equally the one of `last` is taken if it is still there. Ways into
 * what is ours do not count. Returns 0 or a positive errno; way_out_fini in either case.
 */
int way_out_read(struct way_out *out, struct netlink *n, uint8_t family, const struct net_own *own,
                 const struct way_out *last);
void way_out_fini(struct way_out *w);
/* Whether this error of a dump of routes only says that there are none: no such table, or no such family. */
bool way_out_absent(int error);

/* Pure. An address that was out of favour already (deprecated) is not missed. */
enum way_change way_out_compare(const struct way_out *last, const struct way_out *now);

#endif
