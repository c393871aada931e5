/* SPDX-License-Identifier: Apache-2.0 */
/* Splitting of super-packets: one careful plan, then cheap writes. */
#include "engine/segment.h"

#include <string.h>

#include "engine/checksum.h"
#include "engine/wire/ip.h"
#include "platform/base/bytes.h"

enum segment_kind {
    SEGMENT_PLAIN,   /* one packet as it is */
    SEGMENT_PARTIAL, /* one packet whose checksum is to be finished */
    SEGMENT_TCP,
    SEGMENT_UDP
};

static enum segment_status plan_single(struct segment_plan *s, const struct vnet_hdr *h, size_t len,
                                       uint32_t mtu)
{
    s->kind = SEGMENT_PLAIN;
    if (h->flags & VNET_F_NEEDS_CSUM) {
        if ((uint32_t)h->csum_start + h->csum_offset + 2 > len)
            return SEGMENT_MALFORMED;
        s->kind = SEGMENT_PARTIAL;
        s->l4_off = h->csum_start;
        s->csum_off = h->csum_offset;
    }
    if (len > mtu)
        return SEGMENT_TOO_BIG;
    s->n = 1;
    s->header_len = 0;
    s->full_len = (uint32_t)len;
    s->last_len = (uint32_t)len;
    return SEGMENT_OK;
}

/* Transport offset of an unfragmented v4 packet of exactly `len` bytes that carries `proto`; 0: malformed. */
static uint32_t transport_v4(const uint8_t *p, size_t len, uint8_t proto)
{
    if (len < IPV4_HEADER_MIN)
        return 0;
    uint32_t header_len = (p[0] & 15u) * 4;
    uint16_t frag = load_be16(p + IPV4_OFF_FRAG);
    if (p[0] >> 4 != 4 || header_len < IPV4_HEADER_MIN || header_len > len ||
        load_be16(p + IPV4_OFF_TOTAL_LEN) != len || p[IPV4_OFF_PROTO] != proto ||
        (frag & (IPV4_FRAG_MF | IPV4_FRAG_OFFSET)) != 0)
        return 0;
    return header_len;
}

/* The same for v6, past hop-by-hop and destination options. */
static uint32_t transport_v6(const uint8_t *p, size_t len, uint8_t proto)
{
    if (len < IPV6_HEADER || p[0] >> 4 != 6 ||
        load_be16(p + IPV6_OFF_PAYLOAD_LEN) + (size_t)IPV6_HEADER != len)
        return 0;
    uint32_t off = IPV6_HEADER;
    uint8_t next = p[IPV6_OFF_NEXT];
    for (unsigned i = 0; next == IP_PROTO_HOP_BY_HOP || next == IP_PROTO_DST_OPTS; i++) {
        if (i == IPV6_EXT_MAX || len - off < 8)
            return 0;
        uint32_t ext_len = (p[off + 1] + 1u) * 8;
        if (len - off < ext_len)
            return 0;
        next = p[off];
        off += ext_len;
    }
    return next == proto ? off : 0;
}

/* Sizes and counts, once the headers are known. */
static enum segment_status plan_cuts(struct segment_plan *s, const struct vnet_hdr *h, size_t len,
                                     uint32_t mtu)
{
    if (h->gso_size == 0 || len <= s->header_len)
        return SEGMENT_MALFORMED;
    uint32_t payload = (uint32_t)len - s->header_len;
    s->size = h->gso_size;
    s->n = (payload + s->size - 1) / s->size;
    s->last_len = s->header_len + payload - (s->n - 1) * s->size;
    s->full_len = s->n > 1 ? s->header_len + s->size : s->last_len;
    if (s->full_len > mtu)
        return SEGMENT_TOO_BIG;
    return s->n <= SEGMENT_COUNT_MAX ? SEGMENT_OK : SEGMENT_TOO_MANY;
}

static uint64_t load_word(const uint8_t *p)
{
    uint16_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* Sums of all that is the same in every segment, and the starting values of what is not. */
static void plan_fields(struct segment_plan *s)
{
    const uint8_t *p = s->packet, *l4 = p + s->l4_off;
    s->ip_sum = 0;
    s->id = 0;
    if (s->version == 4) {
        uint64_t rest = checksum_partial(p + IPV4_OFF_SRC, s->l4_off - (size_t)IPV4_OFF_SRC, 0);
        s->ip_sum = checksum_fold(load_word(p) + checksum_load32(p + IPV4_OFF_FRAG) + rest);
        s->id = load_be16(p + IPV4_OFF_ID);
    }
    uint8_t proto = s->kind == SEGMENT_TCP ? IP_PROTO_TCP : IP_PROTO_UDP;
    uint64_t sum =
        s->version == 4 ? checksum_pseudo_v4(p, proto, 0) : checksum_pseudo_v6(p, proto, 0);
    sum += checksum_load32(l4); /* ports */
    if (s->kind == SEGMENT_TCP) {
        sum += checksum_load32(l4 + TCP_OFF_ACK) + load_word(l4 + TCP_OFF_WINDOW) +
               load_word(l4 + TCP_OFF_URGENT);
        size_t tcp_len = s->header_len - s->l4_off;
        sum = checksum_partial(l4 + TCP_HEADER_MIN, tcp_len - TCP_HEADER_MIN, sum);
        uint16_t flags = load_be16(l4 + TCP_OFF_DATA);
        s->seq = load_be32(l4 + TCP_OFF_SEQ);
        s->flags_first = flags & (uint16_t) ~(TCP_F_FIN | TCP_F_PSH);
        s->flags_mid = s->flags_first & (uint16_t)~TCP_F_CWR;
        s->flags_last = s->n > 1 ? flags & (uint16_t)~TCP_F_CWR : flags;
    }
    s->l4_sum = sum;
}

static enum segment_status plan_gso(struct segment_plan *s, const struct vnet_hdr *h, size_t len,
                                    uint32_t mtu)
{
    const uint8_t *p = s->packet;
    uint8_t proto = s->kind == SEGMENT_TCP ? IP_PROTO_TCP : IP_PROTO_UDP;
    uint32_t header_min = s->kind == SEGMENT_TCP ? TCP_HEADER_MIN : UDP_HEADER;
    uint32_t l4_off = s->version == 4 ? transport_v4(p, len, proto) : transport_v6(p, len, proto);
    if (l4_off == 0 || len - l4_off < header_min)
        return SEGMENT_MALFORMED;
    s->l4_off = (uint16_t)l4_off;
    s->header_len = l4_off + UDP_HEADER;
    if (s->kind == SEGMENT_TCP) {
        uint32_t tcp_len = (p[l4_off + TCP_OFF_DATA] >> 4) * 4u;
        if (tcp_len < TCP_HEADER_MIN)
            return SEGMENT_MALFORMED;
        s->header_len = l4_off + tcp_len; /* may lie beyond len: plan_cuts */
    }
    enum segment_status status = plan_cuts(s, h, len, mtu);
    if (status == SEGMENT_OK)
        plan_fields(s);
    return status;
}

enum segment_status segment_plan(struct segment_plan *s, const struct vnet_hdr *h,
                                 const uint8_t *packet, size_t len, uint32_t mtu)
{
    if (len == 0 || len > UINT16_MAX)
        return SEGMENT_MALFORMED;
    s->packet = packet;
    switch (h->gso_type & ~VNET_GSO_ECN) {
    case VNET_GSO_NONE:
        return plan_single(s, h, len, mtu);
    case VNET_GSO_TCPV4:
        s->kind = SEGMENT_TCP;
        s->version = 4;
        break;
    case VNET_GSO_TCPV6:
        s->kind = SEGMENT_TCP;
        s->version = 6;
        break;
    case VNET_GSO_UDP_L4:
        s->kind = SEGMENT_UDP;
        s->version = packet[0] >> 4 == 4 ? 4 : 6;
        break;
    default: /* a number from the kernel, not an enum */
        return SEGMENT_UNKNOWN_GSO;
    }
    return plan_gso(s, h, len, mtu);
}

/* n >= 28, the shortest IP and UDP header. Whole blocks, the last one overlapping. */
static inline void copy_header(uint8_t *dst, const uint8_t *src, size_t n)
{
    if (UNLIKELY(n < 32)) {
        memcpy(dst, src, 16);
        memcpy(dst + n - 16, src + n - 16, 16);
        return;
    }
    for (size_t i = 0; i + 32 < n; i += 32)
        memcpy(dst + i, src + i, 32);
    memcpy(dst + n - 32, src + n - 32, 32);
}

static inline void write_ip(const struct segment_plan *s, unsigned i, uint8_t *dst, uint32_t len)
{
    if (s->version == 6) {
        store_be16(dst + IPV6_OFF_PAYLOAD_LEN, (uint16_t)(len - IPV6_HEADER));
        return;
    }
    uint16_t id = (uint16_t)(s->id + i);
    store_be16(dst + IPV4_OFF_TOTAL_LEN, (uint16_t)len);
    store_be16(dst + IPV4_OFF_ID, id);
    uint64_t sum = s->ip_sum + checksum_be16((uint16_t)len) + checksum_be16(id);
    checksum_store(dst + IPV4_OFF_CHECKSUM, checksum_finish(sum));
}

static void write_single(const struct segment_plan *s, uint8_t *dst)
{
    if (s->kind == SEGMENT_PLAIN) {
        memcpy(dst, s->packet, s->last_len);
        return;
    }
    /* The field holds the sum of the pseudo-header and is summed with the rest. */
    size_t start = s->l4_off;
    memcpy(dst, s->packet, start);
    uint64_t sum = checksum_copy(dst + start, s->packet + start, s->last_len - start, 0);
    uint16_t c = s->csum_off == UDP_OFF_CHECKSUM ? checksum_finish_udp(sum) : checksum_finish(sum);
    checksum_store(dst + start + s->csum_off, c);
}

void segment_write(const struct segment_plan *s, unsigned i, uint8_t *dst)
{
    DASSERT(i < s->n);
    if (s->kind == SEGMENT_PLAIN || s->kind == SEGMENT_PARTIAL) {
        write_single(s, dst);
        return;
    }
    uint32_t len = segment_len(s, i), at = i * s->size;
    uint8_t *l4 = dst + s->l4_off;
    copy_header(dst, s->packet, s->header_len);
    write_ip(s, i, dst, len);
    uint32_t l4_len = len - s->l4_off;
    uint64_t sum = s->l4_sum + checksum_be16((uint16_t)l4_len);
    if (s->kind == SEGMENT_TCP) {
        uint16_t flags = i + 1 == s->n ? s->flags_last : i == 0 ? s->flags_first : s->flags_mid;
        store_be32(l4 + TCP_OFF_SEQ, s->seq + at);
        store_be16(l4 + TCP_OFF_DATA, flags);
        sum += checksum_be32(s->seq + at) + checksum_be16(flags);
    } else {
        store_be16(l4 + UDP_OFF_LEN, (uint16_t)l4_len);
        sum += checksum_be16((uint16_t)l4_len); /* once in the header, once in the pseudo-header */
    }
    const uint8_t *payload = s->packet + s->header_len + at;
    sum = checksum_copy(dst + s->header_len, payload, len - s->header_len, sum);
    if (s->kind == SEGMENT_TCP)
        checksum_store(l4 + TCP_OFF_CHECKSUM, checksum_finish(sum));
    else
        checksum_store(l4 + UDP_OFF_CHECKSUM, checksum_finish_udp(sum));
}
