/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part dns: what the client's DNS service does for its host, through the client's TUN device. Names of a resource, which it answers
 * itself, also while a gateway is told of them; and those that it asks its server for, who is a process at the portal's host.
 */
#ifndef FZ_BENCH_NET_DNS_H
#define FZ_BENCH_NET_DNS_H

#include "bench/net_options.h"
#include "bench/net_rows.h"
#include "bench/net_tunnel.h"

/* Adds nothing for a tunnel that is not of Firezone. */
enum err net_dns_measure(const struct net_options *o, const struct net_tunnel *t,
                         struct net_figures *out, struct why why) MUST_USE;

/* The seconds that it takes about. */
double net_dns_seconds(const struct net_options *o);

#endif
