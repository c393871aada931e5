/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/rewrite.h"

#include "engine/checksum.h"

/* What a sum gains when `from` becomes `to`; both of even length. */
static uint64_t difference(const uint8_t *from, const uint8_t *to, size_t n)
{
    return checksum_partial(to, n, 0) + (uint16_t)~checksum_fold(checksum_partial(from, n, 0));
}

/* A finished checksum: its complement is the sum. */
static void adjust(uint8_t *field, uint64_t delta)
{
    uint16_t old;

    memcpy(&old, field, sizeof old);
    checksum_store(field, checksum_finish((uint16_t)~old + delta));
}

/* An unfinished one is the sum itself. */
static void adjust_partial(uint8_t *field, uint64_t delta)
{
    uint16_t old;

    memcpy(&old, field, sizeof old);
    checksum_store(field, checksum_fold(old + delta));
}

static uint8_t *checksum_field(const struct ip_view *v, uint8_t *l4)
{
    switch (v->proto) {
    case IP_PROTO_TCP:
        return l4 + TCP_OFF_CHECKSUM;
    case IP_PROTO_UDP:
        return l4 + UDP_OFF_CHECKSUM;
    default:
        return l4 + ICMP_OFF_CHECKSUM;
    }
}

static uint8_t *port_field(const struct ip_view *v, uint8_t *l4, enum rewrite_end end)
{
    if (v->proto != IP_PROTO_TCP && v->proto != IP_PROTO_UDP)
        return l4 + ICMP_OFF_ECHO_ID;
    return l4 + (end == REWRITE_SRC ? TCP_OFF_SRC_PORT : TCP_OFF_DST_PORT);
}

void rewrite_packet(struct ip_view *v, uint8_t *packet, const struct rewrite *r)
{
    size_t n = v->version == 4 ? 4 : 16;
    size_t addresses = v->version == 4 ? IPV4_OFF_SRC : IPV6_OFF_SRC;
    uint8_t *addr = packet + addresses + (r->addr_end == REWRITE_DST ? n : 0);
    uint8_t *l4 = packet + v->l4_off, *sum = checksum_field(v, l4);
    uint8_t *port = port_field(v, l4, r->port_end), wire[2];
    bool none = v->proto == IP_PROTO_UDP && load_be16(sum) == 0 && !r->partial;
    uint64_t by_addr = difference(addr, r->addr, n), by_port;

    store_be16(wire, r->port);
    by_port = difference(port, wire, sizeof wire);
    if (v->version == 4)
        adjust(packet + IPV4_OFF_CHECKSUM, by_addr);
    if (v->proto == IP_PROTO_ICMP)
        by_addr = 0; /* no pseudo-header */
    memcpy(addr, r->addr, n);
    memcpy(port, wire, sizeof wire);
    if (r->partial)
        adjust_partial(sum, by_addr);
    else if (!none)
        adjust(sum, by_addr + by_port);
    if (v->proto == IP_PROTO_UDP && !none && !r->partial && load_be16(sum) == 0)
        store_be16(sum, 0xffff);
    if (v->proto == IP_PROTO_TCP || v->proto == IP_PROTO_UDP)
        *(r->port_end == REWRITE_SRC ? &v->src_port : &v->dst_port) = r->port;
}
