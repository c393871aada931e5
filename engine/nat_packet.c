/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/nat_packet.h"

#include <string.h>

#include "engine/checksum.h"
#include "platform/base/bytes.h"

enum {
    HOP_LIMIT = 20,
    V4_QUOTE_PAYLOAD = 8
};

/* ---- replacing ---- */

struct change {
    uint8_t version, proto;
    bool partial;
    uint32_t l4_off, len; /* of the packet, as far as it is there */
    uint32_t addr_at, port_at;
    const uint8_t *addr;
    uint16_t port;
};

/* A checksum after `old` has become `new` (sums); not complemented if it is only begun. */
static uint16_t follow(const uint8_t *field, bool partial, uint64_t old, uint64_t new)
{
    uint16_t c;
    memcpy(&c, field, sizeof c);
    uint64_t rest = (uint16_t)~checksum_fold(old) + new;
    return partial ? checksum_fold(c + rest) : checksum_finish((uint16_t)~c + rest);
}

static uint32_t checksum_offset(uint8_t proto)
{
    return proto == IP_PROTO_TCP   ? TCP_OFF_CHECKSUM
           : proto == IP_PROTO_UDP ? UDP_OFF_CHECKSUM
                                   : ICMP_OFF_CHECKSUM;
}

static void change_l4(uint8_t *p, const struct change *c, uint64_t old, uint64_t new)
{
    uint32_t at = c->l4_off + checksum_offset(c->proto);
    uint16_t value;

    if (at + sizeof value > c->len)
        return;
    memcpy(&value, p + at, sizeof value);
    if (c->proto == IP_PROTO_UDP && value == 0 && !c->partial)
        return; /* it has none */
    value = follow(p + at, c->partial, old, new);
    if (c->proto == IP_PROTO_UDP && value == 0 && !c->partial)
        value = 0xffff;
    checksum_store(p + at, value);
}

static uint64_t address_sum(uint8_t version, const uint8_t *addr)
{
    return version == 4 ? checksum_load32(addr) : checksum_load64(addr) + checksum_load64(addr + 8);
}

static void change(uint8_t *p, const struct change *c)
{
    uint8_t *addr = p + c->addr_at, *port = p + c->port_at;
    uint64_t old = address_sum(c->version, addr), new = address_sum(c->version, c->addr);

    if (c->version == 4)
        checksum_store(p + IPV4_OFF_CHECKSUM, follow(p + IPV4_OFF_CHECKSUM, false, old, new));
    if (c->proto == IP_PROTO_ICMP) /* no pseudo-header */
        old = new = 0;
    if (!c->partial) {
        old += checksum_be16(load_be16(port));
        new += checksum_be16(c->port);
    }
    if (c->version == 4)
        memcpy(addr, c->addr, 4);
    else
        memcpy(addr, c->addr, 16);
    store_be16(port, c->port);
    change_l4(p, c, old, new);
}

static bool has_ports(uint8_t proto)
{
    return proto == IP_PROTO_TCP || proto == IP_PROTO_UDP;
}

static uint32_t src_port_at(uint8_t proto)
{
    return has_ports(proto) ? TCP_OFF_SRC_PORT : ICMP_OFF_ECHO_ID;
}

void nat_packet_outbound(uint8_t *packet, struct ip_view *v, const uint8_t *real, uint16_t port)
{
    change(packet, &(struct change){.version = v->version,
                                    .proto = v->proto,
                                    .l4_off = v->l4_off,
                                    .len = v->total_len,
                                    .addr_at = v->version == 4 ? IPV4_OFF_DST : IPV6_OFF_DST,
                                    .addr = real,
                                    .port_at = v->l4_off + src_port_at(v->proto),
                                    .port = port});
    if (has_ports(v->proto))
        v->src_port = port;
}

void nat_packet_inbound(uint8_t *packet, struct ip_view *v, const uint8_t *proxy, uint16_t port,
                        bool partial)
{
    uint32_t at = has_ports(v->proto) ? TCP_OFF_DST_PORT : ICMP_OFF_ECHO_ID;

    change(packet, &(struct change){.version = v->version,
                                    .proto = v->proto,
                                    .partial = partial,
                                    .l4_off = v->l4_off,
                                    .len = v->total_len,
                                    .addr_at = v->version == 4 ? IPV4_OFF_SRC : IPV6_OFF_SRC,
                                    .addr = proxy,
                                    .port_at = v->l4_off + at,
                                    .port = port});
    if (has_ports(v->proto))
        v->dst_port = port;
}

/* ---- ICMP errors ---- */

/* What the client sent, up to `room` bytes. Returns how many. */
static size_t quote_write(uint8_t *out, size_t room, const struct ip_view *v, const uint8_t *packet,
                          const struct icmp_quote *q, const uint8_t *proxy, uint16_t port)
{
    size_t len = size_min(room, v->total_len - q->at);
    uint32_t l4_off = q->l4_at - q->at;

    if (v->version == 4)
        len = size_min(len, l4_off + V4_QUOTE_PAYLOAD);
    memcpy(out, packet + q->at, len);
    change(out, &(struct change){.version = v->version,
                                 .proto = q->proto,
                                 .l4_off = l4_off,
                                 .len = (uint32_t)len,
                                 .addr_at = v->version == 4 ? IPV4_OFF_DST : IPV6_OFF_DST,
                                 .addr = proxy,
                                 .port_at = l4_off + src_port_at(q->proto),
                                 .port = port});
    return len;
}

/* Type, code and what is told of the MTU. */
static void icmp_head(uint8_t *icmp, const struct ip_view *v, const uint8_t *packet,
                      const struct icmp_quote *q)
{
    const uint8_t *rest = packet + v->l4_off + ICMP_OFF_REST;

    memset(icmp, 0, ICMP_HEADER);
    icmp[ICMP_OFF_TYPE] = q->type;
    icmp[ICMP_OFF_CODE] = q->code;
    if (v->version == 4 && q->type == ICMPV4_TYPE_UNREACHABLE && q->code == ICMPV4_CODE_TOO_BIG)
        memcpy(icmp + ICMP_OFF_REST + 2, rest + 2, 2);
    if (v->version == 6 && q->type == ICMPV6_TYPE_TOO_BIG)
        memcpy(icmp + ICMP_OFF_REST, rest, 4);
}

size_t nat_packet_error(uint8_t out[ICMP_ERROR_MAX], const struct ip_view *v, const uint8_t *packet,
                        const struct icmp_quote *q, const uint8_t *proxy, uint16_t port)
{
    bool v4 = v->version == 4;
    size_t header = v4 ? IPV4_HEADER_MIN : IPV6_HEADER;
    uint8_t *icmp = out + header;
    uint64_t pseudo = 0;

    memset(out, 0, header);
    icmp_head(icmp, v, packet, q);
    size_t quote = quote_write(icmp + ICMP_HEADER, ICMP_ERROR_MAX - header - ICMP_HEADER, v, packet,
                               q, proxy, port);
    uint32_t icmp_len = (uint32_t)(ICMP_HEADER + quote);
    if (v4) {
        out[0] = 4 << 4 | IPV4_HEADER_MIN / 4;
        store_be16(out + IPV4_OFF_TOTAL_LEN, (uint16_t)(header + icmp_len));
        out[IPV4_OFF_TTL] = HOP_LIMIT;
        out[IPV4_OFF_PROTO] = IP_PROTO_ICMP;
        memcpy(out + IPV4_OFF_SRC, proxy, 4);
        memcpy(out + IPV4_OFF_DST, packet + IPV4_OFF_DST, 4);
        checksum_store(out + IPV4_OFF_CHECKSUM,
                       checksum_finish(checksum_partial(out, IPV4_HEADER_MIN, 0)));
    } else {
        out[0] = 6 << 4;
        store_be16(out + IPV6_OFF_PAYLOAD_LEN, (uint16_t)icmp_len);
        out[IPV6_OFF_NEXT] = IP_PROTO_ICMPV6;
        out[IPV6_OFF_HOP_LIMIT] = HOP_LIMIT;
        memcpy(out + IPV6_OFF_SRC, proxy, 16);
        memcpy(out + IPV6_OFF_DST, packet + IPV6_OFF_DST, 16);
        pseudo = checksum_pseudo_v6(out, IP_PROTO_ICMPV6, icmp_len);
    }
    checksum_store(icmp + ICMP_OFF_CHECKSUM,
                   checksum_finish(checksum_partial(icmp, icmp_len, pseudo)));
    return header + icmp_len;
}
