/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's way out in one family on Windows: the default route that the system prefers, our TUN's left out, and the addresses of its adapter.
 * Comparing two of them tells whether the machine is elsewhere now. Control role.
 */
#ifndef FZ_WINDOWS_DEFAULT_WAY_H
#define FZ_WINDOWS_DEFAULT_WAY_H

#include "platform/base/err.h"
#include "platform/windows/ip_helper.h"

/* Zero: there is none. */
struct default_way {
    bool exists;
    uint64_t luid;
    struct ip_addr next_hop;
    struct ip_addr addresses[IP_HELPER_ADDRESSES_MAX]; /* those beyond the link */
    unsigned addresses_n;
    uint32_t deprecated; /* bit i: addresses[i] */
};

enum default_way_change {
    DEFAULT_WAY_NONE,   /* there is none now */
    DEFAULT_WAY_SAME,   /* as before, perhaps with more addresses */
    DEFAULT_WAY_FIRST,  /* there was none before */
    DEFAULT_WAY_ROUTE,  /* another adapter or gateway */
    DEFAULT_WAY_ADDRESS /* the same route, without an address that was in use */
};

/*
 * The way out now; one that is as good as others is taken if it is that of `last`. family: enum addr_family. A family that the system
 * does not have has none. Other failures of the system: not ERR_OK.
 */
enum err default_way_read(struct default_way *out, const struct ip_helper *h, uint64_t tun_luid,
                          enum addr_family family, const struct default_way *last) MUST_USE;

/* Pure. An address that was out of favour already (deprecated) is not missed. */
enum default_way_change default_way_compare(const struct default_way *last,
                                            const struct default_way *now);

#endif
