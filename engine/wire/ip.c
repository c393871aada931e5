/* SPDX-License-Identifier: Apache-2.0 */
/* IP headers: the parser, and the ECN mark. */
#include "engine/wire/ip.h"

/* Ports of a TCP or UDP packet whose first 4 transport bytes lie inside it. */
static inline void parse_ports(struct ip_view *v, const uint8_t *p)
{
    if ((v->proto == IP_PROTO_TCP || v->proto == IP_PROTO_UDP) && !v->fragment && v->l4_off != 0 &&
        v->total_len >= v->l4_off + 4u) {
        uint32_t ports = load_be32(p + v->l4_off);
        v->src_port = (uint16_t)(ports >> 16);
        v->dst_port = (uint16_t)ports;
    }
}

static bool parse_v4(struct ip_view *v, const uint8_t *p, size_t len)
{
    if (len < IPV4_HEADER_MIN)
        return false;
    uint16_t header_len = (uint16_t)((p[0] & 15) * 4);
    uint32_t total_len = load_be16(p + IPV4_OFF_TOTAL_LEN);
    if (header_len < IPV4_HEADER_MIN || total_len < header_len || total_len > len)
        return false;
    uint16_t frag = load_be16(p + IPV4_OFF_FRAG);
    bool transport = total_len > header_len && (frag & IPV4_FRAG_OFFSET) == 0;
    *v = (struct ip_view){
        .version = 4,
        .proto = p[IPV4_OFF_PROTO],
        .ecn = p[IPV4_OFF_TOS] & ECN_MASK,
        .fragment = (frag & (IPV4_FRAG_MF | IPV4_FRAG_OFFSET)) != 0,
        .l4_off = transport ? header_len : 0,
        .total_len = total_len,
    };
    parse_ports(v, p);
    return true;
}

static bool is_extension(uint8_t proto)
{
    return proto == IP_PROTO_HOP_BY_HOP || proto == IP_PROTO_ROUTING ||
           proto == IP_PROTO_FRAGMENT || proto == IP_PROTO_AH || proto == IP_PROTO_DST_OPTS;
}

/*
 * Follows the extension headers. Where one is cut off by the end of the packet, or there are too many, v->proto
 * stays at it and l4_off at 0.
 */
static void walk_extensions(struct ip_view *v, const uint8_t *p)
{
    uint32_t off = IPV6_HEADER;
    bool transport = true; /* a later fragment has none */
    for (unsigned i = 0; is_extension(v->proto); i++) {
        if (i == IPV6_EXT_MAX || v->total_len - off < 8)
            return;
        const uint8_t *ext = p + off;
        uint32_t ext_len = (ext[1] + 1u) * 8;
        if (v->proto == IP_PROTO_FRAGMENT) {
            uint16_t field = load_be16(ext + IPV6_FRAG_OFF_FIELD);
            ext_len = IPV6_FRAG_HEADER;
            if ((field & (IPV6_FRAG_OFFSET | IPV6_FRAG_MORE)) != 0)
                v->fragment = true;
            if ((field & IPV6_FRAG_OFFSET) != 0)
                transport = false;
        } else if (v->proto == IP_PROTO_AH) {
            ext_len = (ext[1] + 2u) * 4;
        }
        if (v->total_len - off < ext_len)
            return;
        v->proto = ext[0];
        off += ext_len;
        if (!transport)
            return; /* what follows is the middle of something */
    }
    if (v->proto != IP_PROTO_NO_NEXT && off < v->total_len)
        v->l4_off = (uint16_t)off;
}

/* A tail call of ip_parse, so that the v4 path saves no registers for it. */
static __attribute__((noinline)) bool parse_v6(struct ip_view *v, const uint8_t *p, size_t len)
{
    if (len < IPV6_HEADER)
        return false;
    uint32_t total_len = IPV6_HEADER + (uint32_t)load_be16(p + IPV6_OFF_PAYLOAD_LEN);
    if (total_len > len)
        return false;
    *v = (struct ip_view){
        .version = 6,
        .proto = p[IPV6_OFF_NEXT],
        .ecn = (p[1] >> 4) & ECN_MASK,
        .total_len = total_len,
    };
    walk_extensions(v, p);
    parse_ports(v, p);
    return true;
}

bool ip_parse(struct ip_view *v, const uint8_t *p, size_t len)
{
    if (UNLIKELY(len == 0))
        return false;
    uint8_t version = p[0] >> 4;
    if (version == 4)
        return parse_v4(v, p, len);
    if (version == 6)
        return parse_v6(v, p, len);
    return false;
}

bool ip_l4_valid(const struct ip_view *v, const uint8_t *p)
{
    if (v->fragment || v->l4_off == 0)
        return false;
    const uint8_t *l4 = p + v->l4_off;
    uint32_t len = v->total_len - v->l4_off;
    switch (v->proto) {
    case IP_PROTO_TCP:
        return len >= TCP_HEADER_MIN && l4[TCP_OFF_DATA] >> 4 >= 5 &&
               (uint32_t)(l4[TCP_OFF_DATA] >> 4) * 4 <= len;
    case IP_PROTO_UDP:
        return len >= UDP_HEADER && load_be16(l4 + UDP_OFF_LEN) == len;
    case IP_PROTO_ICMP:
        return v->version == 4 && len >= ICMP_HEADER;
    case IP_PROTO_ICMPV6:
        return v->version == 6 && len >= ICMP_HEADER;
    default: /* a number from the wire, not an enum */
        return true;
    }
}

void ip_set_ce(uint8_t *p)
{
    uint8_t ecn = ip_get_ecn(p);
    if (ecn != ECN_ECT0 && ecn != ECN_ECT1)
        return;
    if (p[0] >> 4 == 6) {
        p[1] |= ECN_CE << 4;
        return;
    }
    /* RFC 1624: HC' = ~(~HC + ~m + m'); the low byte of the first word grows by CE - ecn */
    uint32_t sum = (uint16_t)~load_be16(p + IPV4_OFF_CHECKSUM) + (uint32_t)(ECN_CE - ecn);
    sum = (sum & 0xffff) + (sum >> 16);
    p[IPV4_OFF_TOS] |= ECN_CE;
    store_be16(p + IPV4_OFF_CHECKSUM, (uint16_t)~sum);
}
