/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tunnel of one implementation: a process at each end of the rig, a session between them. Several stand side by side,
 * each with its own ports and inner addresses, so that measurements can take turns.
 */
#ifndef FZ_BENCH_NET_TUNNEL_H
#define FZ_BENCH_NET_TUNNEL_H

#include <stddef.h>
#include <sys/types.h>

#include "bench/net_options.h"
#include "bench/net_rig.h"

/* What is started, on a rig with or without a host behind b. The pointers must outlive the tunnel. */
struct net_tunnel_config {
    const struct net_rig *rig;
    const struct net_impl *impl;
    const char *path; /* of the program */
    unsigned index;   /* different for each tunnel of a rig */
    unsigned mtu;
    unsigned workers; /* ours; 0: its default */
};

struct net_tunnel {
    const struct net_impl *impl;
    const struct net_rig *rig;
    unsigned index;
    pid_t pids[NET_SIDES]; /* 0: not running */
    bool up;               /* a packet has passed each way */
    char device[NET_SIDES][16];
    char inner[NET_SIDES][16]; /* addresses of the ends of traffic, that of b as a calls it */
    char server[16];           /* what b itself calls it */
    char log[NET_SIDES][64];
    pid_t relay; /* which carries it; 0: none */
};

/* Where the program of `impl` is. Outside the cage, whose /proc is another one. */
enum err net_tunnel_find(char *path, size_t size, const struct net_impl *impl,
                         struct why why) MUST_USE;

/* Starts both ends and waits until a packet has passed each way. On failure nothing runs. */
enum err net_tunnel_start(struct net_tunnel *t, const struct net_tunnel_config *config,
                          struct why why) MUST_USE;

/* Waits until a packet has passed each way. */
enum err net_tunnel_wait(const struct net_tunnel *t, struct why why) MUST_USE;

/*
 * Two ends of traffic: a socket of that type at b, bound to a port of its own; and one at a connects to it, never the other way
 * round, since behind a masquerade a has no address. -1 and false with errno.
 */
int net_tunnel_server(const struct net_tunnel *t, int type);
bool net_tunnel_connect(const struct net_tunnel *t, int client, int server);

/* ERR_IO: that end `what`, and the last line it logged. */
enum err net_tunnel_fail(const struct net_tunnel *t, enum net_side side, const char *what,
                         struct why why);

/* Both ends still run. */
enum err net_tunnel_check(const struct net_tunnel *t, struct why why) MUST_USE;

/* SIGTERM, SIGKILL if that does not help; says on stderr what was odd, warnings of our client's log included. */
void net_tunnel_stop(struct net_tunnel *t);

#endif
