/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inner IP packets as bytes: offsets and constants of IPv4, IPv6, TCP, UDP and ICMP, a strict parser that yields a
 * view, and the ECN fields. Portable, sans-IO, no allocation; any thread.
 *
 * Parse once, then trust the view: everything after ip_parse uses its offsets without checking lengths again, as
 * far as the comments of its fields promise.
 * Source: RFC 791, 8200, 9293, 768, 792, 4443, 6946 (atomic fragments), 6040 (ECN in tunnels).
 */
#ifndef FZ_WIRE_IP_H
#define FZ_WIRE_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "platform/base/addr.h"
#include "platform/base/bytes.h"

/* IPv4 header (RFC 791) */
enum {
    IPV4_HEADER_MIN = 20,
    IPV4_HEADER_MAX = 60,
    IPV4_OFF_TOS = 1,
    IPV4_OFF_TOTAL_LEN = 2,
    IPV4_OFF_ID = 4,
    IPV4_OFF_FRAG = 6, /* flags (3 bits) and fragment offset in 8-byte units (13 bits) */
    IPV4_OFF_TTL = 8,
    IPV4_OFF_PROTO = 9,
    IPV4_OFF_CHECKSUM = 10,
    IPV4_OFF_SRC = 12,
    IPV4_OFF_DST = 16,

    IPV4_FRAG_DF = 0x4000,
    IPV4_FRAG_MF = 0x2000,
    IPV4_FRAG_OFFSET = 0x1fff
};

/* IPv6 header and extension headers (RFC 8200) */
enum {
    IPV6_HEADER = 40,
    IPV6_OFF_PAYLOAD_LEN = 4,
    IPV6_OFF_NEXT = 6,
    IPV6_OFF_HOP_LIMIT = 7,
    IPV6_OFF_SRC = 8,
    IPV6_OFF_DST = 24,

    IPV6_EXT_MAX = 8,          /* extension headers walked; a longer chain is not a flow */
    IPV6_FRAG_HEADER = 8,      /* fragment extension header */
    IPV6_FRAG_OFF_FIELD = 2,   /* in it: offset (13 bits), reserved (2), M (1) */
    IPV6_FRAG_MORE = 0x0001,   /* of that field */
    IPV6_FRAG_OFFSET = 0xfff8, /* of that field */
    IPV6_MTU_MIN = 1280
};

/* Protocol numbers, also IPv6 next header values */
enum {
    IP_PROTO_HOP_BY_HOP = 0,
    IP_PROTO_ICMP = 1,
    IP_PROTO_TCP = 6,
    IP_PROTO_UDP = 17,
    IP_PROTO_ROUTING = 43,
    IP_PROTO_FRAGMENT = 44,
    IP_PROTO_ESP = 50,
    IP_PROTO_AH = 51,
    IP_PROTO_ICMPV6 = 58,
    IP_PROTO_NO_NEXT = 59,
    IP_PROTO_DST_OPTS = 60
};

/* Transport headers; offsets are from the start of the transport header */
enum {
    TCP_HEADER_MIN = 20,
    TCP_HEADER_MAX = 60,
    TCP_OFF_SRC_PORT = 0,
    TCP_OFF_DST_PORT = 2,
    TCP_OFF_SEQ = 4,
    TCP_OFF_ACK = 8,
    TCP_OFF_DATA = 12, /* data offset in 4-byte units (high nibble), reserved bits */
    TCP_OFF_FLAGS = 13,
    TCP_OFF_WINDOW = 14,
    TCP_OFF_CHECKSUM = 16,
    TCP_OFF_URGENT = 18,

    TCP_F_FIN = 0x01,
    TCP_F_SYN = 0x02,
    TCP_F_RST = 0x04,
    TCP_F_PSH = 0x08,
    TCP_F_ACK = 0x10,
    TCP_F_URG = 0x20,
    TCP_F_ECE = 0x40,
    TCP_F_CWR = 0x80,

    UDP_HEADER = 8,
    UDP_OFF_SRC_PORT = 0,
    UDP_OFF_DST_PORT = 2,
    UDP_OFF_LEN = 4,
    UDP_OFF_CHECKSUM = 6,

    ICMP_HEADER = 8,
    ICMP_OFF_TYPE = 0,
    ICMP_OFF_CODE = 1,
    ICMP_OFF_CHECKSUM = 2,
    ICMP_OFF_REST = 4,    /* rest of header; echo: identifier, sequence; too big: MTU */
    ICMP_OFF_ECHO_ID = 4, /* echo request and reply */
    ICMP_OFF_ECHO_SEQ = 6,
    ICMP_OFF_QUOTE = 8 /* errors: the offending packet */
};

/* ICMP types and the codes we generate (RFC 792, 4443) */
enum {
    ICMPV4_TYPE_ECHO_REPLY = 0,
    ICMPV4_TYPE_UNREACHABLE = 3,
    ICMPV4_TYPE_REDIRECT = 5,
    ICMPV4_TYPE_ECHO_REQUEST = 8,
    ICMPV4_TYPE_TIME_EXCEEDED = 11,
    ICMPV4_TYPE_PARAMETER = 12,
    ICMPV4_CODE_NETWORK = 0,
    ICMPV4_CODE_TOO_BIG = 4,
    ICMPV4_CODE_PROHIBITED = 13,

    ICMPV6_TYPE_UNREACHABLE = 1,
    ICMPV6_TYPE_TOO_BIG = 2,
    ICMPV6_TYPE_TIME_EXCEEDED = 3,
    ICMPV6_TYPE_PARAMETER = 4,
    ICMPV6_TYPE_ECHO_REQUEST = 128,
    ICMPV6_TYPE_ECHO_REPLY = 129,
    ICMPV6_CODE_PROHIBITED = 1,
    ICMPV6_CODE_ADDRESS = 3
};

/* ECN field (RFC 3168) */
enum {
    ECN_NOT_ECT = 0,
    ECN_ECT1 = 1,
    ECN_ECT0 = 2,
    ECN_CE = 3,
    ECN_MASK = 3
};

/* What ip_parse found. 16 bytes. */
struct ip_view {
    uint8_t version; /* 4 or 6 */
    uint8_t
        proto;   /* transport; where an IPv6 chain could not be walked, the header it stopped at */
    uint8_t ecn; /* ECN_* */
    bool
        fragment; /* MF or offset != 0, either version; an atomic IPv6 fragment is none (RFC 6946) */
    uint16_t l4_off; /* transport header; at least one byte of it is present. 0: none or unknown */
    uint32_t total_len; /* of the packet, from its IP header; <= len given to ip_parse */
    uint16_t
        src_port; /* TCP and UDP, host order; 0 if a fragment or fewer than 4 bytes are present */
    uint16_t dst_port;
};

/*
 * Parses the IP header of the packet at `p`; `len` bytes are readable. True: version is 4 or 6, the header is
 * complete (v4: IHL >= 5) and total_len covers it and lies inside `len`. Bytes behind total_len are allowed
 * (WireGuard padding): the caller cuts there. The transport header is not judged, see ip_l4_valid.
 * False: not a packet, *v is undefined.
 */
bool ip_parse(struct ip_view *v, const uint8_t *p, size_t len) MUST_USE;

/*
 * The stricter rules of the Firezone tunnel for a parsed packet: not a fragment, extension headers walked to a
 * transport header, UDP length equal to the bytes that remain, TCP header complete with data offset >= 5, ICMP of
 * at least 8 bytes and of the packet's IP version. Other protocols pass. Checksums are not looked at.
 */
bool ip_l4_valid(const struct ip_view *v, const uint8_t *p) MUST_USE;

/* Where the addresses lie; 4 or 16 bytes. */
static inline const uint8_t *ip_src_ptr(const uint8_t *p, uint8_t version)
{
    return p + (version == 4 ? IPV4_OFF_SRC : IPV6_OFF_SRC);
}

static inline const uint8_t *ip_dst_ptr(const uint8_t *p, uint8_t version)
{
    return p + (version == 4 ? IPV4_OFF_DST : IPV6_OFF_DST);
}

/* The address at `addr` (4 or 16 bytes, see above) as a value. */
static inline struct ip_addr ip_load_addr(const uint8_t *addr, uint8_t version)
{
    struct ip_addr a = {.family = version};
    if (version == 4)
        memcpy(a.bytes, addr, 4);
    else
        memcpy(a.bytes, addr, 16);
    return a;
}

static inline struct ip_addr ip_src(const uint8_t *p, uint8_t version)
{
    return ip_load_addr(ip_src_ptr(p, version), version);
}

static inline struct ip_addr ip_dst(const uint8_t *p, uint8_t version)
{
    return ip_load_addr(ip_dst_ptr(p, version), version);
}

/* addr: 4 or 16 bytes; 224.0.0.0/4, ff00::/8. */
static inline bool ip_is_multicast(unsigned version, const uint8_t *addr)
{
    return version == 4 ? addr[0] >> 4 == 14 : addr[0] == 0xff;
}

/* ECN_* of a parsed packet. */
static inline uint8_t ip_get_ecn(const uint8_t *p)
{
    return (uint8_t)((p[0] >> 4 == 4 ? p[1] : p[1] >> 4) & ECN_MASK);
}

/*
 * The tunnel saw congestion: ECT(0) and ECT(1) become CE, with the v4 header checksum kept right; not-ECT and CE
 * stay. For a parsed packet that came in an outer datagram marked CE.
 */
void ip_set_ce(uint8_t *p);

#endif
