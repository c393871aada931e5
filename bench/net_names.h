/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A resource that has a name: what the gateway's host finds it by, and what the client's DNS service says of it. No resolver of the
 * system has a part in it, since both ends have the same files in the cage.
 */
#ifndef FZ_BENCH_NET_NAMES_H
#define FZ_BENCH_NET_NAMES_H

#include <stdbool.h>

#include "bench/net_tunnel.h"

#define NET_NAMES_SERVER "server.fzbench.test" /* the host behind b */

/* The cage gets an /etc with no more than what a resolver reads. */
enum err net_names_prepare(struct why why) MUST_USE;

/* Asks the client that runs at a for the name's IPv4 address, which from then on is how a calls b. */
enum err net_names_find(struct net_tunnel *t, const char *name, struct why why) MUST_USE;

/* True: a line of the client's log says where its DNS service is, which stands for the server at `server`. Pure. */
bool net_names_parse(const char *line, const char *server, char stub[NET_INNER_MAX]);

#endif
