/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP streams through a tunnel: a sending and a receiving process for each, until they are stopped. The receivers count
 * the payload they have read, so that a measurement may begin and end at any time.
 */
#ifndef FZ_BENCH_NET_TCP_H
#define FZ_BENCH_NET_TCP_H

#include <stdint.h>
#include <sys/types.h>

#include "bench/net_tunnel.h"

enum {
    NET_TCP_STREAMS_MAX = 4
};

struct net_tcp {
    struct net_tcp_stream *streams; /* shared */
    pid_t pids[2 * NET_TCP_STREAMS_MAX];
    unsigned pids_n;
};

/* from: the sending side. gbit: Gbit/s of each stream, 0: as much as goes. */
enum err net_tcp_start(struct net_tcp *tcp, const struct net_tunnel *t, enum net_side from,
                       unsigned streams, double gbit, struct why why) MUST_USE;
/* Bytes that all streams have received so far. */
uint64_t net_tcp_received(const struct net_tcp *tcp);
void net_tcp_stop(struct net_tcp *tcp);

#endif
