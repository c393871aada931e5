/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP packets of one size through a tunnel, from a to b: paced, in batches of sendmmsg, without segmentation offload.
 * A receiving process counts what arrives.
 */
#ifndef FZ_BENCH_NET_UDP_H
#define FZ_BENCH_NET_UDP_H

#include <stdint.h>
#include <sys/types.h>

#include "bench/net_tunnel.h"

enum {
    NET_UDP_PACKET = 1280, /* bytes with the IP header */
    NET_UDP_BUFFER = 16 << 20
};

struct net_udp {
    struct net_udp_receiver *receiver; /* shared */
    int tx, rx;
    pid_t pid;
    uint64_t trial;
    time_ns link_delay; /* what is on its way for so long is not lost */
};

/* What became of a trial. */
struct net_udp_trial {
    uint64_t sent, received;
    double seconds;
    bool offered; /* the sender kept up: at least 95 % of the rate */
};

enum err net_udp_start(struct net_udp *udp, const struct net_tunnel *t, struct why why) MUST_USE;
void net_udp_stop(struct net_udp *udp);

/* Sends for `seconds` and waits for what is still on its way. */
enum err net_udp_try(struct net_udp *udp, double packets_per_second, double seconds,
                     struct net_udp_trial *out, struct why why) MUST_USE;

/* Offered, and at most 0.1 % was lost beside `loss`, the share that the link loses. */
bool net_udp_passed(const struct net_udp_trial *trial, double loss);

/* Gbit/s of packets that arrived, IP header included. */
double net_udp_gbit(const struct net_udp_trial *trial);

#endif
