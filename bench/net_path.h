/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tunnel of Firezone as it is used: the headless client at a, the gateway at b, the portal and the relay that bring them together,
 * on hosts of their own. The path between the two ends is direct, or goes through the relay since the router drops their UDP. And
 * what it is compared with: a plain tunnel between the same hosts, which needs nobody else.
 */
#ifndef FZ_BENCH_NET_PATH_H
#define FZ_BENCH_NET_PATH_H

#include <stdbool.h>
#include <sys/types.h>

#include "bench/net_command.h"
#include "bench/net_hosts.h"
#include "bench/net_tunnel.h"

enum {
    NET_PATH_KIND_MAX = 32
};

/* The programs that are beside fzbench. */
struct net_path_programs {
    char gateway[NET_PATH_MAX], portal[NET_PATH_MAX], relay[NET_PATH_MAX];
};

struct net_path_config {
    const struct net_impl
        *impl; /* of Firezone, relayed or not, or ours; it must outlive the tunnel */
    const struct net_path_programs *programs;
    const char *client; /* the program */
    unsigned index;     /* different for each path of a run */
    unsigned workers;   /* of both ends; 0: their default */
    bool offloads;      /* of the links */
    bool behind;        /* traffic ends at the host behind b, not at b */
};

struct net_path {
    struct net_hosts hosts;
    pid_t portal, relay; /* 0: none */
    const struct net_tunnel *tunnel;
    long seen;                    /* of the client's log */
    char kind[NET_PATH_KIND_MAX]; /* as the client calls it: "peer to peer", "relay to peer" */
};

/* Outside the cage. */
enum err net_path_find(struct net_path_programs *out, struct why why) MUST_USE;

/*
 * Makes the hosts, starts all of it as `t`, and waits until packets pass on the path that is asked for. `t` is to be stopped by
 * net_path_stop, not by itself. On failure nothing runs.
 */
enum err net_path_start(struct net_path *p, struct net_tunnel *t,
                        const struct net_path_config *config, struct why why) MUST_USE;

/* All programs run, and all packets since the last time went the path that is asked for. */
enum err net_path_check(struct net_path *p, struct why why) MUST_USE;

void net_path_stop(struct net_path *p, struct net_tunnel *t);

/*
 * What a line of the client's log says of the path: true, and its kind in the client's words, or "none" when the connection has
 * ended. False: it says nothing of it. Pure.
 */
bool net_path_parse(const char *line, char kind[NET_PATH_KIND_MAX]);

#endif
