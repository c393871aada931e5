/* SPDX-License-Identifier: Apache-2.0 */
/* IP packets of the DNS transports of the tunnel, read and written. Pure; control role. Source: RFC 768, 791, 8200, 1071. */
#ifndef FZ_CONTROL_DNS_L3_PACKET_H
#define FZ_CONTROL_DNS_L3_PACKET_H

#include "engine/icmp.h"
#include "engine/wire/ip.h"

enum {
    L3_MTU = 1280
};

/* A packet of TCP, UDP or ICMP, whole; all checksums are right. `len` may be more than it has. */
bool l3_packet_parse(struct ip_view *v, const uint8_t *packet, size_t len) MUST_USE;

/* Whom an ICMP error concerns. False: it is none. */
bool l3_packet_icmp(struct icmp_quote *q, const struct ip_view *v, const uint8_t *packet);

/* The datagram with this payload; returns its length. 0: it is more than L3_MTU, or the families differ. */
size_t l3_packet_write_udp(uint8_t out[L3_MTU], const struct sock_addr *from,
                           const struct sock_addr *to, const uint8_t *payload, size_t len);

#endif
