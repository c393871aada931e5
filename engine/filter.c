/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/filter.h"

#include "platform/base/bytes.h"

/* ---- classes ---- */

static uint8_t classify_icmp(const uint8_t *icmp, bool v6)
{
    uint8_t type = icmp[ICMP_OFF_TYPE], code = icmp[ICMP_OFF_CODE];

    if (code == 0 && type == (v6 ? ICMPV6_TYPE_ECHO_REQUEST : ICMPV4_TYPE_ECHO_REQUEST))
        return PACKET_ECHO_REQUEST;
    if (code == 0 && type == (v6 ? ICMPV6_TYPE_ECHO_REPLY : ICMPV4_TYPE_ECHO_REPLY))
        return PACKET_ECHO_REPLY;
    if (v6 ? type == ICMPV6_TYPE_UNREACHABLE || type == ICMPV6_TYPE_TIME_EXCEEDED ||
                 (type == ICMPV6_TYPE_TOO_BIG && code == 0)
           : type == ICMPV4_TYPE_UNREACHABLE || type == ICMPV4_TYPE_TIME_EXCEEDED)
        return PACKET_ICMP_ERROR;
    return PACKET_ICMP_OTHER;
}

struct packet_class packet_classify(const struct ip_view *v, const uint8_t *packet)
{
    struct packet_class c = {.kind = PACKET_OTHER};

    switch (v->proto) {
    case IP_PROTO_TCP:
    case IP_PROTO_UDP:
        c = (struct packet_class){v->proto == IP_PROTO_TCP ? PACKET_TCP : PACKET_UDP, v->src_port,
                                  v->dst_port};
        break;
    case IP_PROTO_ICMP:
    case IP_PROTO_ICMPV6:
        c.kind = classify_icmp(packet + v->l4_off, v->proto == IP_PROTO_ICMPV6);
        if (c.kind == PACKET_ECHO_REQUEST || c.kind == PACKET_ECHO_REPLY)
            c.src = c.dst = load_be16(packet + v->l4_off + ICMP_OFF_ECHO_ID);
        break;
    default:
        break;
    }
    return c;
}

/* ---- filters ---- */

size_t filter_size(const struct filter_rule *rules, size_t n)
{
    size_t ranges = 0;

    for (size_t i = 0; i < n; i++)
        ranges += rules[i].protocol != FILTER_ICMP;
    return ALIGN_UP(sizeof(struct filter) + ranges * sizeof(struct filter_range), 8u);
}

/* Into a sorted list of `n` ranges, which has room; neighbours are joined. Returns how many there are then. */
static uint16_t range_insert(struct filter_range *list, uint16_t n, struct filter_range x)
{
    unsigned at = 0, end;

    while (at < n && list[at].last + 1 < x.first)
        at++;
    for (end = at; end < n && list[end].first <= x.last + 1; end++) {
        x.first = list[end].first < x.first ? list[end].first : x.first;
        x.last = list[end].last > x.last ? list[end].last : x.last;
    }
    memmove(&list[at + 1], &list[end], (n - end) * sizeof *list);
    list[at] = x;
    return (uint16_t)(n - (end - at) + 1);
}

static uint16_t ranges_collect(struct filter_range *list, enum filter_protocol protocol,
                               const struct filter_rule *rules, size_t n)
{
    uint16_t ranges = 0;

    for (size_t i = 0; i < n; i++) {
        if (rules[i].protocol == protocol && rules[i].first <= rules[i].last)
            ranges =
                range_insert(list, ranges, (struct filter_range){rules[i].first, rules[i].last});
    }
    return ranges;
}

size_t filter_build(struct filter *f, const struct filter_rule *rules, size_t n)
{
    *f = (struct filter){.all = n == 0};
    for (size_t i = 0; i < n; i++)
        f->icmp |= rules[i].protocol == FILTER_ICMP;
    f->tcp_n = ranges_collect(f->ranges, FILTER_TCP, rules, n);
    f->udp_n = ranges_collect(f->ranges + f->tcp_n, FILTER_UDP, rules, n);
    return ALIGN_UP(sizeof *f + ((size_t)f->tcp_n + f->udp_n) * sizeof f->ranges[0], 8u);
}

static bool ranges_have(const struct filter_range *list, unsigned n, uint16_t port)
{
    unsigned low = 0, high = n;

    while (low < high) { /* the first that does not end before `port` */
        unsigned middle = low + (high - low) / 2;
        if (list[middle].last < port)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && list[low].first <= port;
}

bool filter_permits(const struct filter *f, uint8_t kind, uint16_t port)
{
    if (f->all)
        return true;
    switch ((enum packet_kind)kind) {
    case PACKET_TCP:
        return f->tcp_n > 0 && ranges_have(f->ranges, f->tcp_n, port);
    case PACKET_UDP:
        return f->udp_n > 0 && ranges_have(f->ranges + f->tcp_n, f->udp_n, port);
    case PACKET_ECHO_REQUEST:
    case PACKET_ECHO_REPLY:
    case PACKET_ICMP_ERROR:
    case PACKET_ICMP_OTHER:
        return f->icmp;
    case PACKET_OTHER:
        break;
    }
    return false;
}
