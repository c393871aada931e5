/* SPDX-License-Identifier: Apache-2.0 */
/* rtnetlink notifications to values. */
#include "platform/linux/net_event.h"

#include <linux/fib_rules.h>
#include <linux/icmpv6.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "platform/base/bytes.h"

/* ---- attributes ---- */

struct attrs {
    const uint8_t *next;
    size_t left;
    /* the current one */
    unsigned type;
    const uint8_t *value;
    size_t len;
};

/* Copies the fixed part of a payload and stands before its attributes. */
static bool attrs_begin(struct attrs *a, void *header, size_t size, const uint8_t *payload,
                        size_t len)
{
    if (len < size)
        return false;
    memcpy(header, payload, size);
    size_t skip = size_min(ALIGN_UP(size, NLMSG_ALIGNTO), len);
    *a = (struct attrs){.next = payload + skip, .left = len - skip};
    return true;
}

static bool attrs_next(struct attrs *a)
{
    struct nlattr h;

    if (a->left < sizeof h)
        return false;
    memcpy(&h, a->next, sizeof h);
    if (h.nla_len < sizeof h || h.nla_len > a->left)
        return false;
    a->type = h.nla_type & NLA_TYPE_MASK;
    a->value = a->next + sizeof h;
    a->len = h.nla_len - sizeof h;
    size_t step = size_min(ALIGN_UP((size_t)h.nla_len, NLA_ALIGNTO), a->left);
    a->next += step;
    a->left -= step;
    return true;
}

/* 0 for another size. */
static uint32_t attr_u32(const struct attrs *a)
{
    return a->len == sizeof(uint32_t) ? load_le32(a->value) : 0;
}

static uint8_t attr_u8(const struct attrs *a)
{
    return a->len == sizeof(uint8_t) ? a->value[0] : 0;
}

/* Keeps *out for another size. */
static void attr_addr(struct ip_addr *out, const struct attrs *a, unsigned family)
{
    if (family == ADDR_V4 && a->len == 4)
        *out = ip_addr_v4(a->value);
    if (family == ADDR_V6 && a->len == 16)
        *out = ip_addr_v6(a->value);
}

static uint8_t family_from_os(unsigned af)
{
    return af == AF_INET ? ADDR_V4 : af == AF_INET6 ? ADDR_V6 : ADDR_NONE;
}

/* ---- one kind each; they set `kind` when all is well ---- */

static void parse_link(struct net_event *e, const uint8_t *payload, size_t len)
{
    struct ifinfomsg ifi;
    struct attrs a;
    uint8_t operstate = 0;

    if (!attrs_begin(&a, &ifi, sizeof ifi, payload, len))
        return;
    if (ifi.ifi_family != AF_UNSPEC || ifi.ifi_index <= 0)
        return; /* AF_BRIDGE: the interface as a port, which it ceases to be without being gone */
    e->ifindex = (uint32_t)ifi.ifi_index;
    while (attrs_next(&a)) {
        switch (a.type) {
        case IFLA_WIRELESS:
            return; /* an event of the driver: without the link's state, and without a change of it */
        case IFLA_OPERSTATE:
            operstate = attr_u8(&a);
            break;
        case IFLA_MTU:
            e->mtu = attr_u32(&a);
            break;
        case IFLA_MASTER:
            e->master = attr_u32(&a);
            break;
        default:
            break;
        }
    }
    e->state = (ifi.ifi_flags & (IFF_UP | IFF_RUNNING)) | (uint32_t)operstate << 16;
    e->kind = NET_EVENT_LINK;
}

static uint32_t address_state(uint32_t flags, uint8_t scope)
{
    uint32_t state = scope < RT_SCOPE_LINK ? NET_ADDRESS_GLOBAL : 0;

    if (flags & IFA_F_DADFAILED)
        state |= NET_ADDRESS_FAILED;
    else if (!(flags & IFA_F_TENTATIVE) || (flags & IFA_F_OPTIMISTIC))
        state |= NET_ADDRESS_USABLE;
    return flags & IFA_F_DEPRECATED ? state | NET_ADDRESS_DEPRECATED : state;
}

static void parse_address(struct net_event *e, const uint8_t *payload, size_t len)
{
    struct ifaddrmsg ifa;
    struct attrs a;
    struct ip_addr address = {0}, local = {0};

    if (!attrs_begin(&a, &ifa, sizeof ifa, payload, len))
        return;
    uint32_t flags = ifa.ifa_flags;
    e->family = family_from_os(ifa.ifa_family);
    e->ifindex = ifa.ifa_index;
    while (attrs_next(&a)) {
        switch (a.type) {
        case IFA_ADDRESS: /* the peer's, on a point-to-point link */
            attr_addr(&address, &a, e->family);
            break;
        case IFA_LOCAL:
            attr_addr(&local, &a, e->family);
            break;
        case IFA_FLAGS:
            if (a.len == sizeof(uint32_t))
                flags = attr_u32(&a);
            break;
        default:
            break;
        }
    }
    e->dst.ip = local.family != ADDR_NONE ? local : address;
    e->dst.len = ifa.ifa_prefixlen;
    e->state = address_state(flags, ifa.ifa_scope);
    if (e->dst.ip.family != ADDR_NONE && e->ifindex != 0)
        e->kind = NET_EVENT_ADDRESS;
}

/* RTA_VIA: a gateway of the other family. */
static void attr_via(struct ip_addr *out, const struct attrs *a)
{
    uint16_t family;

    if (a->len < sizeof family)
        return;
    memcpy(&family, a->value, sizeof family);
    struct attrs rest = {.value = a->value + sizeof family, .len = a->len - sizeof family};
    attr_addr(out, &rest, family_from_os(family));
}

static void add_hop(struct net_event *e, const struct net_hop *hop)
{
    if (e->hops_len < NET_HOPS_MAX)
        e->hops[e->hops_len++] = *hop;
}

/* RTA_MULTIPATH: `struct rtnexthop`, each with attributes of its own. */
static void parse_hops(struct net_event *e, const struct attrs *multipath)
{
    const uint8_t *p = multipath->value;
    size_t left = multipath->len;
    struct rtnexthop h;
    struct attrs a;

    while (left >= sizeof h) {
        memcpy(&h, p, sizeof h);
        if (h.rtnh_len > left || !attrs_begin(&a, &h, sizeof h, p, h.rtnh_len))
            return;
        struct net_hop hop = {.ifindex = (uint32_t)h.rtnh_ifindex};
        while (attrs_next(&a)) {
            if (a.type == RTA_GATEWAY)
                attr_addr(&hop.gateway, &a, e->family);
            if (a.type == RTA_VIA)
                attr_via(&hop.gateway, &a);
        }
        if (!(h.rtnh_flags & RTNH_F_DEAD))
            add_hop(e, &hop);
        size_t step = size_min(ALIGN_UP((size_t)h.rtnh_len, RTNH_ALIGNTO), left);
        p += step;
        left -= step;
    }
}

static uint8_t preference_from_os(uint8_t pref)
{
    return pref == ICMPV6_ROUTER_PREF_HIGH ? 0 : pref == ICMPV6_ROUTER_PREF_LOW ? 2 : 1;
}

static void take_route_attr(struct net_event *e, struct net_hop *hop, const struct attrs *a)
{
    struct rta_cacheinfo cache;

    switch (a->type) {
    case RTA_TABLE:
        e->table = attr_u32(a);
        break;
    case RTA_DST:
        attr_addr(&e->dst.ip, a, e->family);
        break;
    case RTA_OIF:
        hop->ifindex = attr_u32(a);
        break;
    case RTA_GATEWAY:
        attr_addr(&hop->gateway, a, e->family);
        break;
    case RTA_VIA:
        attr_via(&hop->gateway, a);
        break;
    case RTA_MULTIPATH:
        parse_hops(e, a);
        break;
    case RTA_PREFSRC:
        attr_addr(&e->source, a, e->family);
        break;
    case RTA_PRIORITY:
        e->metric = attr_u32(a);
        break;
    case RTA_PREF:
        e->preference = preference_from_os(attr_u8(a));
        break;
    case RTA_NH_ID:
        e->nexthop_id = attr_u32(a);
        break;
    case RTA_CACHEINFO:
        if (a->len < sizeof cache)
            break;
        memcpy(&cache, a->value, sizeof cache);
        e->expires = cache.rta_expires != 0;
        break;
    default:
        break;
    }
}

static void parse_route(struct net_event *e, const uint8_t *payload, size_t len)
{
    struct rtmsg rtm;
    struct attrs a;
    struct net_hop hop = {0};

    if (!attrs_begin(&a, &rtm, sizeof rtm, payload, len))
        return;
    e->family = family_from_os(rtm.rtm_family);
    if (e->family == ADDR_NONE || (rtm.rtm_flags & RTM_F_CLONED))
        return;
    e->table = rtm.rtm_table;
    e->tos = rtm.rtm_tos;
    e->dst.ip.family = e->family;
    e->dst.len = rtm.rtm_dst_len;
    e->preference = preference_from_os(ICMPV6_ROUTER_PREF_MEDIUM);
    while (attrs_next(&a))
        take_route_attr(e, &hop, &a);
    if (e->hops_len == 0 && hop.ifindex != 0)
        add_hop(e, &hop);
    /* A link without a carrier does not take the route out of use, unless the kernel is told so: then it says dead. */
    e->usable = rtm.rtm_type == RTN_UNICAST && rtm.rtm_tos == 0 && rtm.rtm_src_len == 0 &&
                !(rtm.rtm_flags & RTNH_F_DEAD) && (e->hops_len > 0 || e->nexthop_id != 0);
    e->kind = NET_EVENT_ROUTE;
}

static void parse_rule(struct net_event *e, const uint8_t *payload, size_t len)
{
    struct fib_rule_hdr frh;
    struct attrs a;

    if (!attrs_begin(&a, &frh, sizeof frh, payload, len))
        return;
    e->family = family_from_os(frh.family);
    e->table = frh.table;
    while (attrs_next(&a)) {
        if (a.type == FRA_TABLE)
            e->table = attr_u32(&a);
    }
    if (e->family != ADDR_NONE)
        e->kind = NET_EVENT_RULE;
}

static void parse_nexthop(struct net_event *e, const uint8_t *payload, size_t len)
{
    struct nhmsg nh;
    struct attrs a;

    if (!attrs_begin(&a, &nh, sizeof nh, payload, len))
        return;
    e->family = family_from_os(nh.nh_family);
    while (attrs_next(&a)) {
        if (a.type == NHA_OIF)
            e->ifindex = attr_u32(&a);
    }
    e->kind = NET_EVENT_NEXTHOP;
}

size_t net_event_next(struct net_event *out, const void *bytes, size_t len)
{
    struct nlmsghdr h;

    *out = (struct net_event){.kind = NET_EVENT_NONE};
    if (len < sizeof h)
        return 0;
    memcpy(&h, bytes, sizeof h);
    if (h.nlmsg_len < sizeof h || h.nlmsg_len > len)
        return 0;
    const uint8_t *payload = (const uint8_t *)bytes + sizeof h;
    size_t payload_len = h.nlmsg_len - sizeof h;
    switch (h.nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        out->gone = h.nlmsg_type == RTM_DELLINK;
        parse_link(out, payload, payload_len);
        break;
    case RTM_NEWADDR:
    case RTM_DELADDR:
        out->gone = h.nlmsg_type == RTM_DELADDR;
        parse_address(out, payload, payload_len);
        break;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        out->gone = h.nlmsg_type == RTM_DELROUTE;
        parse_route(out, payload, payload_len);
        break;
    case RTM_NEWRULE:
    case RTM_DELRULE:
        out->gone = h.nlmsg_type == RTM_DELRULE;
        parse_rule(out, payload, payload_len);
        break;
    case RTM_NEWNEXTHOP:
    case RTM_DELNEXTHOP:
        out->gone = h.nlmsg_type == RTM_DELNEXTHOP;
        parse_nexthop(out, payload, payload_len);
        break;
    default:
        break;
    }
    return size_min(ALIGN_UP((size_t)h.nlmsg_len, NLMSG_ALIGNTO), len);
}

/* ---- what is ours, and what is equal ---- */

static bool own_tun(const struct net_own *own, uint32_t ifindex)
{
    for (size_t i = 0; i < NET_TUNS_MAX; i++) {
        if (ifindex != 0 && own->tuns[i] == ifindex)
            return true;
    }
    return false;
}

static bool own_table(const struct net_own *own, uint32_t table)
{
    for (size_t i = 0; i < own->tables_len; i++) {
        if (own->tables[i] == table)
            return true;
    }
    return false;
}

/* Some and all of its next hops. */
static bool own_hops(const struct net_own *own, const struct net_event *e)
{
    for (size_t i = 0; i < e->hops_len; i++) {
        if (!own_tun(own, e->hops[i].ifindex))
            return false;
    }
    return e->hops_len > 0;
}

bool net_event_is_own(const struct net_event *e, const struct net_own *own)
{
    switch (e->kind) {
    case NET_EVENT_NONE:
        return false;
    case NET_EVENT_LINK:
    case NET_EVENT_ADDRESS:
    case NET_EVENT_NEXTHOP:
        return own_tun(own, e->ifindex);
    case NET_EVENT_ROUTE:
        return own_table(own, e->table) || own_hops(own, e);
    case NET_EVENT_RULE:
        return own_table(own, e->table);
    }
    return false;
}

static bool has_hop(const struct net_event *e, const struct net_hop *hop)
{
    for (size_t i = 0; i < e->hops_len; i++) {
        if (e->hops[i].ifindex == hop->ifindex && ip_addr_equal(&e->hops[i].gateway, &hop->gateway))
            return true;
    }
    return false;
}

bool net_event_same_way(const struct net_event *a, const struct net_event *b)
{
    if (a->hops_len != b->hops_len || a->nexthop_id != b->nexthop_id ||
        !ip_addr_equal(&a->source, &b->source))
        return false;
    for (size_t i = 0; i < a->hops_len; i++) {
        if (!has_hop(b, &a->hops[i]) || !has_hop(a, &b->hops[i]))
            return false;
    }
    return true;
}
