/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control packets inside the tunnel: what the two ends of a connection tell each other, as IPv6 packets that no host could
 * send. They never reach the TUN.
 *
 *    0               40            41               48
 *    +---------------+-------------+----------------+---------------+
 *    | IPv6, next    | event       | zero           | body (JSON)   |
 *    | header 255,   | (INNER_*)   |                |               |
 *    | from and to ::|             |                |               |
 *    +---------------+-------------+----------------+---------------+
 *
 * Source: spec/tunnel.md 6.1, spec/p2p.md 8.9. Header only; any thread.
 */
#ifndef FZ_ENGINE_WIRE_INNER_H
#define FZ_ENGINE_WIRE_INNER_H

#include "engine/wire/ip.h"

enum {
    INNER_PROTO = 255,
    INNER_OFF_EVENT = IPV6_HEADER,
    INNER_LEN_MIN = IPV6_HEADER + 8,

    INNER_ASSIGNED_IPS = 0,
    INNER_DOMAIN_STATUS = 1,
    INNER_GOODBYE = 2 /* the sender has closed the connection; without a body */
};

/* v: of this packet. */
static inline bool inner_is_control(const struct ip_view *v, const uint8_t *packet)
{
    static const uint8_t nowhere[2 * 16] = {0};
    return v->proto == INNER_PROTO && v->version == 6 && v->total_len >= INNER_LEN_MIN &&
           packet[IPV6_OFF_NEXT] == INNER_PROTO &&
           memcmp(packet + IPV6_OFF_SRC, nowhere, sizeof nowhere) == 0;
}

static inline void inner_write_goodbye(uint8_t packet[INNER_LEN_MIN])
{
    memset(packet, 0, INNER_LEN_MIN);
    packet[0] = 6 << 4;
    store_be16(packet + IPV6_OFF_PAYLOAD_LEN, INNER_LEN_MIN - IPV6_HEADER);
    packet[IPV6_OFF_NEXT] = INNER_PROTO;
    packet[INNER_OFF_EVENT] = INNER_GOODBYE;
}

#endif
