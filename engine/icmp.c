/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/icmp.h"

#include "engine/checksum.h"
#include "engine/filter.h"
#include "platform/base/bytes.h"

enum {
    HOP_LIMIT = 20,
    V4_QUOTE_PAYLOAD = 8
};

/* ---- writing ---- */

static bool is_multicast(const uint8_t *addr, uint8_t version)
{
    return version == 4 ? addr[0] >= 224 : addr[0] == 0xff;
}

static bool is_unspecified(const uint8_t *addr, uint8_t version)
{
    static const uint8_t zero[16] = {0};
    return memcmp(addr, zero, version == 4 ? 4 : 16) == 0;
}

/* ICMP that must not be answered by an error: errors and redirects. */
static bool is_icmp_error(const struct ip_view *v, const uint8_t *packet)
{
    if (v->l4_off == 0)
        return v->proto == IP_PROTO_ICMP || v->proto == IP_PROTO_ICMPV6;
    uint8_t type = packet[v->l4_off];
    if (v->proto == IP_PROTO_ICMPV6)
        return type < 128 || type == 137;
    return v->proto == IP_PROTO_ICMP &&
           (type == ICMPV4_TYPE_UNREACHABLE || type == 4 || type == ICMPV4_TYPE_REDIRECT ||
            type == ICMPV4_TYPE_TIME_EXCEEDED || type == ICMPV4_TYPE_PARAMETER);
}

static bool may_answer(const struct ip_view *v, const uint8_t *packet)
{
    const uint8_t *src = ip_src_ptr(packet, v->version), *dst = ip_dst_ptr(packet, v->version);

    return !v->fragment && !is_icmp_error(v, packet) && !is_multicast(src, v->version) &&
           !is_unspecified(src, v->version) && !is_multicast(dst, v->version);
}

static size_t write_v4(uint8_t *out, const struct ip_view *v, const uint8_t *packet,
                       enum icmp_reason reason)
{
    size_t header = (packet[0] & 15u) * 4;
    size_t quote = size_min(v->total_len, header + V4_QUOTE_PAYLOAD);
    uint8_t *icmp = out + IPV4_HEADER_MIN;
    size_t len = IPV4_HEADER_MIN + ICMP_HEADER + quote;

    memset(out, 0, IPV4_HEADER_MIN + ICMP_HEADER);
    out[0] = 4 << 4 | IPV4_HEADER_MIN / 4;
    store_be16(out + IPV4_OFF_TOTAL_LEN, (uint16_t)len);
    out[IPV4_OFF_TTL] = HOP_LIMIT;
    out[IPV4_OFF_PROTO] = IP_PROTO_ICMP;
    memcpy(out + IPV4_OFF_SRC, packet + IPV4_OFF_DST, 4);
    memcpy(out + IPV4_OFF_DST, packet + IPV4_OFF_SRC, 4);
    checksum_store(out + IPV4_OFF_CHECKSUM,
                   checksum_finish(checksum_partial(out, IPV4_HEADER_MIN, 0)));
    icmp[ICMP_OFF_TYPE] = ICMPV4_TYPE_UNREACHABLE;
    icmp[ICMP_OFF_CODE] = reason == ICMP_PROHIBITED ? ICMPV4_CODE_PROHIBITED : ICMPV4_CODE_NETWORK;
    memcpy(icmp + ICMP_OFF_QUOTE, packet, quote);
    checksum_store(icmp + ICMP_OFF_CHECKSUM,
                   checksum_finish(checksum_partial(icmp, ICMP_HEADER + quote, 0)));
    return len;
}

static size_t write_v6(uint8_t *out, const struct ip_view *v, const uint8_t *packet,
                       enum icmp_reason reason)
{
    size_t quote = size_min(v->total_len, ICMP_ERROR_MAX - IPV6_HEADER - ICMP_HEADER);
    uint8_t *icmp = out + IPV6_HEADER;
    uint32_t icmp_len = (uint32_t)(ICMP_HEADER + quote);

    memset(out, 0, IPV6_HEADER + ICMP_HEADER);
    out[0] = 6 << 4;
    store_be16(out + IPV6_OFF_PAYLOAD_LEN, (uint16_t)icmp_len);
    out[IPV6_OFF_NEXT] = IP_PROTO_ICMPV6;
    out[IPV6_OFF_HOP_LIMIT] = HOP_LIMIT;
    memcpy(out + IPV6_OFF_SRC, packet + IPV6_OFF_DST, 16);
    memcpy(out + IPV6_OFF_DST, packet + IPV6_OFF_SRC, 16);
    icmp[ICMP_OFF_TYPE] = ICMPV6_TYPE_UNREACHABLE;
    icmp[ICMP_OFF_CODE] = reason == ICMP_PROHIBITED ? ICMPV6_CODE_PROHIBITED : ICMPV6_CODE_ADDRESS;
    memcpy(icmp + ICMP_OFF_QUOTE, packet, quote);
    checksum_store(icmp + ICMP_OFF_CHECKSUM,
                   checksum_finish(checksum_partial(
                       icmp, icmp_len, checksum_pseudo_v6(out, IP_PROTO_ICMPV6, icmp_len))));
    return IPV6_HEADER + icmp_len;
}

size_t icmp_error_write(uint8_t out[ICMP_ERROR_MAX], const struct ip_view *v, const uint8_t *packet,
                        enum icmp_reason reason)
{
    if (!may_answer(v, packet))
        return 0;
    return v->version == 4 ? write_v4(out, v, packet, reason) : write_v6(out, v, packet, reason);
}

/* ---- reading ---- */

/* Where the transport header of the quoted packet is, which may be cut off; 0: not to be found. */
static size_t quoted_l4(const uint8_t *quote, size_t len, uint8_t version, uint8_t *proto)
{
    if (version == 4) {
        size_t header = (quote[0] & 15u) * 4;
        *proto = quote[IPV4_OFF_PROTO];
        return header >= IPV4_HEADER_MIN &&
                       (load_be16(quote + IPV4_OFF_FRAG) & IPV4_FRAG_OFFSET) == 0
                   ? header
                   : 0;
    }
    /* The parser walks the extension headers of a whole packet: the quote is made one, for its length is not its own. */
    uint8_t head[IPV6_HEADER + 8 * 8];
    size_t n = size_min(len, sizeof head);
    struct ip_view v;
    memcpy(head, quote, n);
    store_be16(head + IPV6_OFF_PAYLOAD_LEN, (uint16_t)(n - IPV6_HEADER));
    if (!ip_parse(&v, head, n) || v.l4_off == 0)
        return 0;
    *proto = v.proto;
    return v.l4_off;
}

/* Ports, or the identifier of an echo request. */
static bool quoted_flow(struct icmp_quote *q, const uint8_t *l4, size_t len)
{
    bool v6 = q->version == 6;

    if (q->proto == IP_PROTO_TCP || q->proto == IP_PROTO_UDP) {
        if (len < 4)
            return false;
        q->src = load_be16(l4);
        q->dst = load_be16(l4 + 2);
        return true;
    }
    if (q->proto != (v6 ? IP_PROTO_ICMPV6 : IP_PROTO_ICMP) || len < ICMP_HEADER ||
        l4[ICMP_OFF_TYPE] != (v6 ? ICMPV6_TYPE_ECHO_REQUEST : ICMPV4_TYPE_ECHO_REQUEST) ||
        l4[ICMP_OFF_CODE] != 0)
        return false;
    q->src = q->dst = load_be16(l4 + ICMP_OFF_ECHO_ID);
    return true;
}

bool icmp_error_parse(struct icmp_quote *q, const struct ip_view *v, const uint8_t *packet)
{
    size_t at = v->l4_off + (size_t)ICMP_OFF_QUOTE;
    const uint8_t *quote = packet + at;
    size_t len = v->total_len - at;

    if (len < (v->version == 4 ? (size_t)IPV4_HEADER_MIN : (size_t)IPV6_HEADER) ||
        quote[0] >> 4 != v->version)
        return false;
    *q = (struct icmp_quote){.type = packet[v->l4_off + ICMP_OFF_TYPE],
                             .code = packet[v->l4_off + ICMP_OFF_CODE],
                             .version = v->version,
                             .at = (uint16_t)at,
                             .from = ip_src(quote, v->version),
                             .to = ip_dst(quote, v->version)};
    size_t l4 = quoted_l4(quote, len, v->version, &q->proto);
    if (l4 == 0 || l4 > len)
        return false;
    q->l4_at = (uint16_t)(at + l4);
    return quoted_flow(q, quote + l4, len - l4);
}
