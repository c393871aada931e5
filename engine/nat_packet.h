/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What NAT does to one packet: an address and a port, or the identifier of an echo, are replaced and the checksums follow by what has
 * changed (RFC 1624), so that a wrong one stays wrong; and ICMP errors of the network are written anew for the client. Portable,
 * sans-IO, no allocation; any thread.
 * Source: spec/tunnel.md 8.5, 8.6, 10.2, 10.4.
 */
#ifndef FZ_NAT_PACKET_H
#define FZ_NAT_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/icmp.h"
#include "engine/wire/ip.h"

/*
 * v: of this packet, whose headers ip_l4_valid accepts: TCP, UDP or an echo; it follows. Addresses are of the packet's family. The
 * first: to `real` from `port`.
 */
void nat_packet_outbound(uint8_t *packet, struct ip_view *v, const uint8_t *real, uint16_t port);
/* From `proxy` to `port`. partial: its TCP or UDP checksum is only begun (VNET_F_NEEDS_CSUM). */
void nat_packet_inbound(uint8_t *packet, struct ip_view *v, const uint8_t *proxy, uint16_t port,
                        bool partial);

/*
 * The ICMP error `packet` (v: its view, q: its quote) as one of `proxy` about what the client sent there from `port`: an IP packet to
 * whom the error was for. Returns its length. It quotes as icmp_error_write does.
 */
size_t nat_packet_error(uint8_t out[ICMP_ERROR_MAX], const struct ip_view *v, const uint8_t *packet,
                        const struct icmp_quote *q, const uint8_t *proxy, uint16_t port);

#endif
