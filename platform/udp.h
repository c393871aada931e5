/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP contract: a group of sockets, one per worker, of one family on one port.
 *
 * SO_REUSEPORT with a classic BPF program: a WireGuard message that carries a receiver index goes to the socket whose
 * number stands in the index's top bits (UDP_OWNER_SHIFT), also behind a 4-byte TURN channel-data header; everything
 * else falls to the 4-tuple. Opened and closed by control; used by the workers through platform/io.h.
 */
#ifndef FZ_PLATFORM_UDP_H
#define FZ_PLATFORM_UDP_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"

enum {
    UDP_GROUP_MAX = 64,
    UDP_OWNER_SHIFT = 26,
    UDP_SEND_BYTES_DEFAULT = 2 << 20,
    UDP_RECV_BYTES_DEFAULT = 16 << 20
};

struct udp_config {
    unsigned family;     /* ADDR_V4 or ADDR_V6 (V6ONLY) */
    uint16_t port;       /* 0: the kernel picks one, the same for the whole group */
    unsigned sockets;    /* 1..UDP_GROUP_MAX */
    uint32_t mark;       /* SO_MARK, 0: none */
    uint32_t send_bytes; /* SO_SNDBUF(FORCE), 0: default 2 MiB */
    uint32_t recv_bytes; /* SO_RCVBUF(FORCE), 0: default 16 MiB */
    bool gate;           /* the last socket gets all handshake messages, and a shorter queue */
    bool steering;       /* false: no BPF program (tests) */
    bool offloads;       /* false: neither GSO nor GRO (tests) */
};

struct udp_group {
    int fds[UDP_GROUP_MAX];
    unsigned n;
    unsigned family;
    uint16_t port;
    bool steered, gso, gro;
};

/*
 * Opens the group: non-inheritable, PKTINFO, ECN reception, GRO, GSO, buffers, mark; PMTU discovery off for v4 (outer DF
 * clear, as WireGuard does). The first socket is bound without SO_REUSEPORT so that a second process gets ERR_IN_USE instead of half of
 * the traffic. On error `why` holds one clear sentence and nothing stays open.
 * ERR_UNSUPPORTED: the machine has no such family.
 */
enum err udp_group_open(struct udp_group *g, const struct udp_config *config, char *why,
                        unsigned why_size) MUST_USE;
void udp_group_close(struct udp_group *g);

/* Changes the mark of all its sockets; 0: none. ERR_PERMISSION without CAP_NET_ADMIN. */
enum err udp_group_set_mark(struct udp_group *g, uint32_t mark) MUST_USE;

/* Raises the system's limits of socket buffers to our defaults, for a process that may not exceed them; logs a failure. */
void udp_raise_limits(void);

#endif
