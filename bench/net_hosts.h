/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a tunnel of Firezone is measured: its two ends and a server are hosts, each in a network of its own, and a router is
 * between them.
 *
 *     [a] 192.0.2.2 ==== [router] ==== 198.51.100.2 [b]      MTU 1500
 *                           ||
 *                       203.0.113.2 [s]                      portal and relay
 *
 * Inside the cage only; they go as the rig does.
 */
#ifndef FZ_BENCH_NET_HOSTS_H
#define FZ_BENCH_NET_HOSTS_H

#include "bench/net_rig.h"

#define NET_HOSTS_SERVER "203.0.113.2"

struct net_hosts {
    struct net_rig rig; /* a and b */
    int router, server; /* namespaces */
};

/* relayed: the router drops UDP between a and b. offloads: as of the rig, here of all links' ends. */
enum err net_hosts_init(struct net_hosts *h, bool relayed, bool offloads, struct why why) MUST_USE;
void net_hosts_fini(struct net_hosts *h);

#endif
