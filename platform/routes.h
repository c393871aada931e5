/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host network configuration contract: addresses, MTU, routes and policy rules of our TUN. Control thread only.
 * Everything added through one `struct routes` is undone by routes_free, in reverse order.
 */
#ifndef FZ_PLATFORM_ROUTES_H
#define FZ_PLATFORM_ROUTES_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"

struct routes;

/* ifindex: the TUN. ERR_PERMISSION without CAP_NET_ADMIN. */
enum err routes_new(struct routes **out, uint32_t ifindex) MUST_USE;
void routes_free(struct routes *r);

/* The last failure as one clear sentence. */
const char *routes_why(const struct routes *r);

/* Also limits super-packets to the 256 segments that the engine splits. */
enum err routes_link_mtu(struct routes *r, uint32_t mtu) MUST_USE;
enum err routes_link_up(struct routes *r) MUST_USE;
enum err routes_addr_add(struct routes *r, const struct ip_prefix *addr) MUST_USE;
/* One that is gone already is success. */
enum err routes_addr_del(struct routes *r, const struct ip_prefix *addr) MUST_USE;
/* A route through the TUN. table 0: main. Existing identical routes are success. */
enum err routes_add(struct routes *r, const struct ip_prefix *dst, uint32_t table) MUST_USE;
enum err routes_del(struct routes *r, const struct ip_prefix *dst, uint32_t table) MUST_USE;
/*
 * Default-route steering as wg-quick does, per family: "not fwmark MARK lookup TABLE" and "lookup main
 * suppress_prefixlength 0" at a higher priority. Also sets src_valid_mark for v4.
 */
enum err routes_default_rules(struct routes *r, unsigned family, uint32_t mark,
                              uint32_t table) MUST_USE;
/* "not fwmark MARK lookup TABLE" at a priority; an identical one is success, and becomes ours. */
enum err routes_unmarked_rule(struct routes *r, unsigned family, uint32_t mark, uint32_t table,
                              uint32_t priority) MUST_USE;
/* A table number that no route or rule of the host uses yet, starting at `from`. */
enum err routes_free_table(struct routes *r, uint32_t from, uint32_t *table) MUST_USE;
/* Path MTU towards `dst` (route and interface MTU of the way out that is not our TUN), for choosing the TUN's. */
enum err routes_path_mtu(struct routes *r, const struct ip_addr *dst, uint32_t mark,
                         uint32_t *mtu) MUST_USE;

#endif
