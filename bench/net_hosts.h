/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a tunnel of Firezone is measured: its two ends and a server are hosts, each in a network of its own, and a router is
 * between them.
 *
 *     [a] 192.0.2.2 ==== [router] ==== 198.51.100.2 [b]      MTU 1500
 *                           ||
 *                       203.0.113.2 [s]                      portal and relay
 *
 * What traffic reaches through the tunnel is b itself, or a host behind b, which knows of nothing else than its own net:
 *
 *     [b] 10.20.0.1 ==== 10.20.0.2 [w]                       MTU 1500
 *
 * Inside the cage only; they go as the rig does.
 */
#ifndef FZ_BENCH_NET_HOSTS_H
#define FZ_BENCH_NET_HOSTS_H

#include "bench/net_rig.h"

#define NET_HOSTS_SERVER "203.0.113.2"
#define NET_HOSTS_BEHIND "10.20.0.2"

struct net_hosts_config {
    bool relayed;  /* the router drops UDP between a and b */
    bool behind;   /* there is a host behind b */
    bool offloads; /* as of the rig, here of all links' ends */
};

struct net_hosts {
    struct net_rig rig; /* a, b, s, and w */
    int router;         /* its namespace */
};

enum err net_hosts_init(struct net_hosts *h, const struct net_hosts_config *config,
                        struct why why) MUST_USE;
void net_hosts_fini(struct net_hosts *h);

/*
 * b forwards what comes from `tun` with an address of `range`, and puts its own in place of it, by the rules that
 * firezone-gateway makes for itself. The process must be in b, where net_hosts_init leaves it.
 */
enum err net_hosts_masquerade(const struct net_hosts *h, const char *tun, const char *range,
                              struct why why) MUST_USE;

#endif
