/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tunnels are measured between: two network namespaces and one link.
 *
 *     [a] veth-a 192.0.2.1 ==== 192.0.2.2 veth-b [b]      MTU 1500
 *
 * Or, with an emulated link, TUN devices of fzlink by the same names and addresses. net_hosts makes a rig with more hosts, where
 * traffic may begin and end behind b.
 *
 * Inside the cage only: the namespaces go when the last process and socket in them is gone. Traffic needs no setns:
 * net_rig_socket makes sockets in either namespace for this process, and forked ones use them.
 */
#ifndef FZ_BENCH_NET_RIG_H
#define FZ_BENCH_NET_RIG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "bench/net_options.h"
#include "platform/base/err.h"
#include "platform/linux/why.h"

enum net_side {
    NET_A,
    NET_B,
    NET_SIDES
};

static inline enum net_side net_side_other(enum net_side side)
{
    return side == NET_A ? NET_B : NET_A;
}

struct net_rig {
    int ns[NET_SIDES];              /* where the ends of the tunnel are */
    const char *address[NET_SIDES]; /* of the link */
    int behind; /* where b's end of the traffic is; -1: where that of the tunnel is */
    const char *behind_address;
    int server; /* where the portal is, and who is the client's DNS server; -1: nowhere */
    const struct net_link_setting *link; /* NULL: a veth pair */
    pid_t fzlink;                        /* which carries the link */
};

/*
 * offloads: false switches off the segmentation offloads of both ends of the link. link: NULL, or an emulated one, by the program
 * `fzlink`; it must outlive the rig. Leaves the process in b.
 */
enum err net_rig_init(struct net_rig *rig, bool offloads, const struct net_link_setting *link,
                      const char *fzlink, struct why why) MUST_USE;
void net_rig_fini(struct net_rig *rig);
/* The link is still there. */
enum err net_rig_check(const struct net_rig *rig, struct why why) MUST_USE;

/* A new network namespace, which this process is in afterwards. */
enum err net_rig_namespace(int *out, struct why why) MUST_USE;

/* An IPv4 socket of that type at that end of the traffic; -1 with errno. */
int net_rig_socket(const struct net_rig *rig, enum net_side side, int type);
/* Likewise at the server. */
int net_rig_server_socket(const struct net_rig *rig, int type);

/* Connects or binds to address:port (0: any). False with errno. */
bool net_rig_connect(int fd, const char *address, uint16_t port);
bool net_rig_bind(int fd, const char *address, uint16_t port);
/* The port it is bound to. */
uint16_t net_rig_port(int fd);

#endif
