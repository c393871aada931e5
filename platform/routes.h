/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host network configuration contract: addresses, MTU, routes and policy rules of our TUN. Control thread only.
 * Everything added through one `struct routes` is undone by routes_free, in reverse order.
 */
#ifndef FZ_PLATFORM_ROUTES_H
#define FZ_PLATFORM_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"

struct routes;

/*
 * Undoes what runs that were killed have left on the host: policy rules and settings that do not go with the device. Those of
 * instances that live stay. Failures are logged. Before routes_new.
 */
void routes_recover(void);

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
/*
 * A descriptor that is readable when a link has changed; -1: there is none. routes_watch then looks whether it was the TUN: where it
 * was down in between, the kernel has dropped addresses and routes, and they are set anew. After everything is set up.
 */
int routes_watch_fd(struct routes *r);
void routes_watch(struct routes *r);
/* A table number that no route or rule of the host uses yet, starting at `from`. */
enum err routes_free_table(struct routes *r, uint32_t from, uint32_t *table) MUST_USE;
/* Path MTU towards `dst` (route and interface MTU of the way out that is not our TUN), for choosing the TUN's. */
enum err routes_path_mtu(struct routes *r, const struct ip_addr *dst, uint32_t mark,
                         uint32_t *mtu) MUST_USE;

/*
 * The product's way: unmarked traffic looks into three tables of ours before all others, USER (what the portal has defined), LINK_SCOPE
 * (copies of the local networks) and INTERNET (the default route). Source: spec/platform.md 0 and 2.2 to 2.4.
 *
 * The rules of a family; those that are there already become ours. ERR_UNSUPPORTED: there is no policy routing for the family, so that marks do not
 * steer: sockets have to be bound to the interface of their way out.
 */
enum err routes_product_rules(struct routes *r, unsigned family, uint32_t mark) MUST_USE;
/*
 * Of what the host itself sends only what has an address of the TUN as its source, or no source yet, comes to these rules: answers
 * that the kernel gives in the name of our sockets do not, nor does anything else that has chosen another way. Not for a gateway,
 * whose hosts answer from other addresses. After routes_product_rules.
 */
enum err routes_product_guard(struct routes *r, unsigned family) MUST_USE;
/* The three tables' numbers. */
const uint32_t *routes_product_tables(size_t *n);
/* A route through the TUN; a default route goes into INTERNET, all else into USER. As routes_add and routes_del. */
enum err routes_product_add(struct routes *r, const struct ip_prefix *dst) MUST_USE;
enum err routes_product_del(struct routes *r, const struct ip_prefix *dst) MUST_USE;
/*
 * Brings the copies of local networks' routes, which keep these reachable under a default route through the tunnel, in line with the main table.
 * Does nothing where they are. Whenever the network has changed; a link that goes down meanwhile is no failure.
 */
enum err routes_lan_sync(struct routes *r) MUST_USE;
/* As routes_recover: empties the three tables, and removes their rules. Only for one who has instance_take. */
void routes_product_recover(uint32_t mark);

#endif
