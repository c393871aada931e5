/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The best way to a destination that is not our TUN, on Windows, where a socket has no mark: each adapter but ours is asked for its
 * best route, and the best of these wins. Longest prefix first, then the lower sum of the metrics of route and interface, then the
 * first in the system's order. Control role. Source: spec/platform.md 3.3.
 */
#ifndef FZ_WINDOWS_SOURCE_BEST_H
#define FZ_WINDOWS_SOURCE_BEST_H

#include "platform/base/err.h"
#include "platform/windows/ip_helper.h"

struct source_best {
    struct ip_source source;
    struct ip_helper_route route;
};

/*
 * tun_luid: never used, nor its addresses; 0: not known, then an adapter that is called like ours is left out. ERR_UNREACHABLE: no
 * way avoids the TUN, which is to be expected of a family that the machine does not have. Other errors: the system does not tell.
 */
enum err source_best(const struct ip_helper *h, uint64_t tun_luid, const struct ip_addr *dst,
                     struct source_best *out) MUST_USE;

/* The interface that has the address, up and not the TUN; 0: none. */
uint32_t source_best_interface(const struct ip_helper *h, uint64_t tun_luid,
                               const struct ip_addr *address);

/* The LUID of the adapter with an index; 0: there is none. */
uint64_t source_best_luid(const struct ip_helper *h, uint32_t ifindex);

#endif
