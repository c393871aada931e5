/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a datagram of the routing socket: values within their bounds, and news only once. */
#include <stdint.h>

#include "platform/linux/net_event.h"
#include "platform/linux/net_seen.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_family(unsigned family)
{
    ASSERT(family == ADDR_NONE || family == ADDR_V4 || family == ADDR_V6);
}

static void check(const struct net_event *e)
{
    check_family(e->family);
    check_family(e->dst.ip.family);
    check_family(e->source.family);
    ASSERT(e->hops_len <= NET_HOPS_MAX);
    for (size_t i = 0; i < e->hops_len; i++)
        check_family(e->hops[i].gateway.family);
    ASSERT(net_event_same_way(e, e));
    switch (e->kind) {
    case NET_EVENT_NONE:
    case NET_EVENT_NEXTHOP:
        break;
    case NET_EVENT_LINK:
        ASSERT(e->ifindex != 0);
        break;
    case NET_EVENT_ADDRESS:
        ASSERT(e->ifindex != 0 && e->dst.ip.family == e->family && e->family != ADDR_NONE);
        break;
    case NET_EVENT_ROUTE:
        ASSERT(e->dst.ip.family == e->family && e->family != ADDR_NONE);
        ASSERT(!e->usable || e->hops_len > 0 || e->nexthop_id != 0);
        break;
    case NET_EVENT_RULE:
        ASSERT(e->family != ADDR_NONE);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t tables[] = {7777};
    const struct net_own own = {.tuns = {3, 0}, .tables = tables, .tables_len = 1};
    struct net_seen seen = {0};
    struct net_event e;
    size_t at = 0, taken;

    while ((taken = net_event_next(&e, data + at, size - at)) > 0) {
        ASSERT(taken <= size - at);
        at += taken;
        check(&e);
        (void)net_event_is_own(&e, &own);
        bool first = net_seen_take(&seen, &e), second = net_seen_take(&seen, &e);
        bool lasts = !e.gone && (e.kind == NET_EVENT_LINK || e.kind == NET_EVENT_ADDRESS ||
                                 (e.kind == NET_EVENT_ROUTE && e.family == ADDR_V6 && e.expires));
        ASSERT(second == (!lasts && e.kind != NET_EVENT_NONE));
        ASSERT(first || !second);
    }
    ASSERT(e.kind == NET_EVENT_NONE);
    net_seen_fini(&seen);
    return 0;
}
