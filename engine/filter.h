/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What packets count as, and what a resource's filters permit of them: protocols and destination ports. Portable, sans-IO, no
 * allocation; any thread. Client and gateway both decide by it, in their policies.
 * Source: spec/tunnel.md 3.2, 10.5.
 */
#ifndef FZ_FILTER_H
#define FZ_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/wire/ip.h"

enum filter_protocol {
    FILTER_TCP,
    FILTER_UDP,
    FILTER_ICMP
};

/* As control gives it. */
struct filter_rule {
    uint8_t protocol;     /* enum filter_protocol */
    uint16_t first, last; /* destination ports, inclusive; of TCP and UDP */
};

enum packet_kind {
    PACKET_TCP,
    PACKET_UDP,
    PACKET_ECHO_REQUEST,
    PACKET_ECHO_REPLY,
    PACKET_ICMP_ERROR, /* one that the tunnel understands, see engine/icmp.h */
    PACKET_ICMP_OTHER,
    PACKET_OTHER
};

struct packet_class {
    uint8_t kind;      /* enum packet_kind */
    uint16_t src, dst; /* ports of TCP and UDP; of an echo both are its identifier; else 0 */
};

/* v: of this packet, which ip_l4_valid accepts. */
struct packet_class packet_classify(const struct ip_view *v, const uint8_t *packet);

/* It goes out of a tunnel by itself: TCP, UDP, echo. */
static inline bool packet_is_flow(uint8_t kind)
{
    return kind <= PACKET_ECHO_REPLY;
}

struct filter_range {
    uint16_t first, last;
};

/* Compiled: one block of memory, alignment 4. Ranges are sorted, and do not touch. */
struct filter {
    bool all, icmp;
    uint16_t tcp_n, udp_n;
    struct filter_range ranges[]; /* of TCP, then of UDP */
};

/* Bytes that filter_build needs at most; a multiple of 8. */
size_t filter_size(const struct filter_rule *rules, size_t n);
/*
 * n 0: permits everything. A rule of an unknown protocol, or with first > last, permits nothing. Returns the bytes used, a
 * multiple of 8.
 */
size_t filter_build(struct filter *f, const struct filter_rule *rules, size_t n);

/* port: of the resource's end; of TCP and UDP only. */
bool filter_permits(const struct filter *f, uint8_t kind, uint16_t port);

#endif
