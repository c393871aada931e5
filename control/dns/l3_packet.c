/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns/l3_packet.h"

#include "engine/checksum.h"
#include "engine/filter.h"

enum {
    HOP_LIMIT = 64
};

static uint64_t pseudo(const uint8_t *packet, const struct ip_view *v)
{
    uint32_t l4_len = v->total_len - v->l4_off;

    if (v->version == 6)
        return checksum_pseudo_v6(packet, v->proto, l4_len);
    return v->proto == IP_PROTO_ICMP ? 0 : checksum_pseudo_v4(packet, v->proto, l4_len);
}

static bool checksums_right(const struct ip_view *v, const uint8_t *packet)
{
    const uint8_t *l4 = packet + v->l4_off;

    if (v->version == 4 && checksum_finish(checksum_partial(packet, (packet[0] & 15u) * 4, 0)) != 0)
        return false;
    if (v->proto == IP_PROTO_UDP && load_be16(l4 + UDP_OFF_CHECKSUM) == 0)
        return v->version == 4;
    return checksum_finish(checksum_partial(l4, v->total_len - v->l4_off, pseudo(packet, v))) == 0;
}

bool l3_packet_parse(struct ip_view *v, const uint8_t *packet, size_t len)
{
    return ip_parse(v, packet, len) && ip_l4_valid(v, packet) && v->l4_off != 0 &&
           (v->proto == IP_PROTO_TCP || v->proto == IP_PROTO_UDP || v->proto == IP_PROTO_ICMP ||
            v->proto == IP_PROTO_ICMPV6) &&
           checksums_right(v, packet);
}

bool l3_packet_icmp(struct icmp_quote *q, const struct ip_view *v, const uint8_t *packet)
{
    return packet_classify(v, packet).kind == PACKET_ICMP_ERROR && icmp_error_parse(q, v, packet);
}

static size_t write_ip(uint8_t *out, const struct ip_addr *from, const struct ip_addr *to,
                       size_t l4_len)
{
    if (from->family == ADDR_V6) {
        memset(out, 0, IPV6_HEADER);
        out[0] = 6 << 4;
        store_be16(out + IPV6_OFF_PAYLOAD_LEN, (uint16_t)l4_len);
        out[IPV6_OFF_NEXT] = IP_PROTO_UDP;
        out[IPV6_OFF_HOP_LIMIT] = HOP_LIMIT;
        memcpy(out + IPV6_OFF_SRC, from->bytes, 16);
        memcpy(out + IPV6_OFF_DST, to->bytes, 16);
        return IPV6_HEADER;
    }
    memset(out, 0, IPV4_HEADER_MIN);
    out[0] = 4 << 4 | IPV4_HEADER_MIN / 4;
    store_be16(out + IPV4_OFF_TOTAL_LEN, (uint16_t)(IPV4_HEADER_MIN + l4_len));
    out[IPV4_OFF_TTL] = HOP_LIMIT;
    out[IPV4_OFF_PROTO] = IP_PROTO_UDP;
    memcpy(out + IPV4_OFF_SRC, from->bytes, 4);
    memcpy(out + IPV4_OFF_DST, to->bytes, 4);
    checksum_store(out + IPV4_OFF_CHECKSUM,
                   checksum_finish(checksum_partial(out, IPV4_HEADER_MIN, 0)));
    return IPV4_HEADER_MIN;
}

size_t l3_packet_write_udp(uint8_t out[L3_MTU], const struct sock_addr *from,
                           const struct sock_addr *to, const uint8_t *payload, size_t len)
{
    size_t header = from->ip.family == ADDR_V6 ? IPV6_HEADER : IPV4_HEADER_MIN;

    if (from->ip.family != to->ip.family || len > L3_MTU - UDP_HEADER - header)
        return 0;
    uint16_t l4_len = (uint16_t)(UDP_HEADER + len);
    uint8_t *udp = out + write_ip(out, &from->ip, &to->ip, l4_len);
    store_be16(udp + UDP_OFF_SRC_PORT, from->port);
    store_be16(udp + UDP_OFF_DST_PORT, to->port);
    store_be16(udp + UDP_OFF_LEN, l4_len);
    store_be16(udp + UDP_OFF_CHECKSUM, 0);
    memcpy(udp + UDP_HEADER, payload, len);
    uint64_t sum = from->ip.family == ADDR_V6 ? checksum_pseudo_v6(out, IP_PROTO_UDP, l4_len)
                                              : checksum_pseudo_v4(out, IP_PROTO_UDP, l4_len);
    checksum_store(udp + UDP_OFF_CHECKSUM, checksum_finish_udp(checksum_partial(udp, l4_len, sum)));
    return header + l4_len;
}
