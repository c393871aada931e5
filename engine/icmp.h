/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICMP errors: those that the tunnel itself sends about a packet, and those of others that it understands. Portable, sans-IO, no
 * allocation; any thread. Source: spec/tunnel.md 10.4, 10.5; RFC 792, 4443.
 */
#ifndef FZ_ICMP_H
#define FZ_ICMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/wire/ip.h"
#include "platform/base/addr.h"

enum {
    ICMP_ERROR_MAX = IPV6_MTU_MIN
};

enum icmp_reason {
    ICMP_PROHIBITED, /* administratively: type 3 code 13, 1 code 1 */
    ICMP_NETWORK     /* unreachable: type 3 code 0, 1 code 3 */
};

/*
 * An error about `packet` (v: its view), from its destination to its source: an IP packet with hop limit 20 and right
 * checksums. It quotes the IP header and 8 bytes (v4) or what fits into 1280 bytes (v6). Returns its length; 0: there must be
 * none (RFC 1122 3.2.2, 4443 2.4: about an ICMP error or redirect, a later fragment, a source or destination that is no host).
 */
size_t icmp_error_write(uint8_t out[ICMP_ERROR_MAX], const struct ip_view *v, const uint8_t *packet,
                        enum icmp_reason reason);

/* What an ICMP error (PACKET_ICMP_ERROR, engine/filter.h) says. */
struct icmp_quote {
    uint8_t type, code; /* of the error */
    uint8_t version;    /* of the quoted packet, and the error's own */
    uint8_t proto;      /* IP_PROTO_TCP, _UDP; _ICMP, _ICMPV6: an echo request */
    uint16_t src, dst;  /* ports; of an echo both are its identifier */
    uint16_t at;        /* where the quoted IP header begins in the packet */
    uint16_t l4_at;     /* and its transport header, of which 4 bytes are there, of an echo 8 */
    struct ip_addr from, to;
};

/* packet: of a view that ip_l4_valid accepts. False: its quote does not tell whom the error is for. */
bool icmp_error_parse(struct icmp_quote *q, const struct ip_view *v, const uint8_t *packet);
/* The error says that the way is administratively prohibited. */
static inline bool icmp_is_prohibited(const struct icmp_quote *q)
{
    return q->version == 4
               ? q->type == ICMPV4_TYPE_UNREACHABLE && q->code == ICMPV4_CODE_PROHIBITED
               : q->type == ICMPV6_TYPE_UNREACHABLE && q->code == ICMPV6_CODE_PROHIBITED;
}

#endif
