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

enum {
    NET_NAMES_PORT = 53
};

/* The cage gets an /etc with no more than what a resolver reads. */
enum err net_names_prepare(struct why why) MUST_USE;

/* Asks the client that runs at a for the name's IPv4 address, which from then on is how a calls b. */
enum err net_names_find(struct net_tunnel *t, const char *name, struct why why) MUST_USE;

/* Where the DNS service of the client that runs at a is; false: it does not say so. */
bool net_names_stub(const struct net_tunnel *t, char stub[NET_INNER_MAX]);

/* What it says of the name: an IPv4 address. False: it does not answer so, or not soon. */
bool net_names_ask(const struct net_tunnel *t, const char *name, char out[NET_INNER_MAX]);

/* True: a line of the client's log says where its DNS service is, which stands for the server at `server`. Pure. */
bool net_names_parse(const char *line, const char *server, char stub[NET_INNER_MAX]);

#endif
