/* SPDX-License-Identifier: Apache-2.0 */
/*
 * platform/source.h on Linux: the kernel's links, addresses and routes, dumped over rtnetlink per
 * question and ranked by platform/base/source_rank.
 *
 * Consulted are the tables that every system's default rules name: local, main and default, in this
 * order. Other rules (VRFs, tables of other VPNs) are not; nor are our own tables. Dumps are asked
 * for by table, so that ten thousand routes of ours cost nothing, and only routes that cover the
 * destination are kept.
 */
#include "platform/source.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/base/source_rank.h"
#include "platform/linux/addr_os.h"
#include "platform/linux/netlink.h"

struct source {
    struct netlink netlink;
    uint32_t tun_ifindex;
    uint32_t own_tables[SOURCE_OWN_TABLES_MAX];
    size_t own_tables_len;
};

/* In the order of the kernel's default rules: priorities 0, 32766, 32767. */
static const uint32_t consulted_tables[] = {RT_TABLE_LOCAL, RT_TABLE_MAIN, RT_TABLE_DEFAULT};

enum err source_new(struct source **out, const struct source_config *config)
{
    *out = NULL;
    if (config->own_tables_len > SOURCE_OWN_TABLES_MAX)
        return ERR_INVALID;
    struct source *s = mem_zalloc(1, sizeof *s);
    enum err e = netlink_open(&s->netlink);
    if (e != ERR_OK) {
        free(s);
        return e;
    }
    s->tun_ifindex = config->tun_ifindex;
    s->own_tables_len = config->own_tables_len;
    for (size_t i = 0; i < config->own_tables_len; i++)
        s->own_tables[i] = config->own_tables[i];
    *out = s;
    return ERR_OK;
}

void source_free(struct source *s)
{
    if (!s)
        return;
    netlink_close(&s->netlink);
    free(s);
}

void source_set_tun(struct source *s, uint32_t ifindex)
{
    s->tun_ifindex = ifindex;
}

/* ---- collecting ---- */

/* What one question collects. */
struct rows {
    const struct ip_addr *dst;
    struct source_link *links;
    size_t links_len;
    struct source_address *addresses;
    size_t addresses_len;
    struct source_route *routes;
    size_t routes_len;
    size_t routes_kept; /* those of the tables that are done */
    uint32_t table;     /* being dumped */
    uint32_t tier;
};

static bool payload_holds(const struct nlmsghdr *h, size_t size)
{
    return mnl_nlmsg_get_payload_len(h) >= size;
}

/* An address attribute of the family; other lengths are ignored. */
static void take_addr(struct ip_addr *out, const struct nlattr *attr, unsigned family)
{
    size_t len = family == ADDR_V4 ? 4 : 16;
    if (mnl_attr_get_payload_len(attr) != len)
        return;
    *out = family == ADDR_V4 ? ip_addr_v4(mnl_attr_get_payload(attr))
                             : ip_addr_v6(mnl_attr_get_payload(attr));
}

static unsigned family_from_os(unsigned af)
{
    return af == AF_INET ? ADDR_V4 : af == AF_INET6 ? ADDR_V6 : ADDR_NONE;
}

static void take_link(void *arg, const struct nlmsghdr *h)
{
    struct rows *rows = arg;
    const struct ifinfomsg *ifi;
    if (!h) {
        rows->links_len = 0;
        return;
    }
    if (h->nlmsg_type != RTM_NEWLINK || !payload_holds(h, sizeof *ifi))
        return;
    ifi = mnl_nlmsg_get_payload(h);
    rows->links = mem_grow(rows->links, rows->links_len, sizeof *rows->links);
    rows->links[rows->links_len++] = (struct source_link){
        .ifindex = (uint32_t)ifi->ifi_index,
        /* IFF_RUNNING: operational state up, or unknown to the driver */
        .up = (ifi->ifi_flags & IFF_UP) && (ifi->ifi_flags & IFF_RUNNING),
    };
}

struct address_attrs {
    unsigned family;
    uint32_t flags;
    struct ip_addr address; /* of the peer, on a point-to-point link */
    struct ip_addr local;   /* v4, and v6 on a point-to-point link */
};

static int take_address_attr(const struct nlattr *attr, void *arg)
{
    struct address_attrs *a = arg;
    switch (mnl_attr_get_type(attr)) {
    case IFA_ADDRESS:
        take_addr(&a->address, attr, a->family);
        break;
    case IFA_LOCAL:
        take_addr(&a->local, attr, a->family);
        break;
    case IFA_FLAGS:
        if (mnl_attr_get_payload_len(attr) == sizeof(uint32_t))
            a->flags = mnl_attr_get_u32(attr);
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

static void take_address(void *arg, const struct nlmsghdr *h)
{
    struct rows *rows = arg;
    const struct ifaddrmsg *ifa;
    if (!h) {
        rows->addresses_len = 0;
        return;
    }
    if (h->nlmsg_type != RTM_NEWADDR || !payload_holds(h, sizeof *ifa))
        return;
    ifa = mnl_nlmsg_get_payload(h);
    struct address_attrs a = {.family = family_from_os(ifa->ifa_family), .flags = ifa->ifa_flags};
    if (a.family != rows->dst->family)
        return;
    mnl_attr_parse(h, sizeof *ifa, take_address_attr, &a);
    bool is_v4 = a.family == ADDR_V4;
    /*
     * IFA_F_SECONDARY and IFA_F_TEMPORARY are one bit, read by family. Optimistic addresses may be
     * used.
     */
    bool secondary = a.flags & IFA_F_SECONDARY;
    bool tentative = (a.flags & IFA_F_TENTATIVE) && !(a.flags & IFA_F_OPTIMISTIC);
    rows->addresses = mem_grow(rows->addresses, rows->addresses_len, sizeof *rows->addresses);
    rows->addresses[rows->addresses_len++] = (struct source_address){
        .ifindex = ifa->ifa_index,
        .ip = a.local.family != ADDR_NONE ? a.local : a.address,
        .prefix_len = ifa->ifa_prefixlen,
        .usable = !tentative && !(a.flags & IFA_F_DADFAILED),
        .deprecated = a.flags & IFA_F_DEPRECATED,
        .temporary = !is_v4 && secondary,
        .secondary = is_v4 && secondary,
    };
}

/* ---- routes ---- */

struct route_attrs {
    struct source_route route;
    const struct nlattr *hops; /* RTA_MULTIPATH */
    uint32_t table;
};

/* RTA_VIA: a gateway of the other family. */
static void take_via(struct source_route *r, const struct nlattr *attr)
{
    const struct rtvia *via = mnl_attr_get_payload(attr);
    if (mnl_attr_get_payload_len(attr) == sizeof *via + 4 && via->rtvia_family == AF_INET)
        r->gateway = ip_addr_v4(via->rtvia_addr);
    if (mnl_attr_get_payload_len(attr) == sizeof *via + 16 && via->rtvia_family == AF_INET6)
        r->gateway = ip_addr_v6(via->rtvia_addr);
}

static int take_route_attr(const struct nlattr *attr, void *arg)
{
    struct route_attrs *a = arg;
    struct source_route *r = &a->route;
    unsigned family = r->dst.ip.family;
    bool is_u32 = mnl_attr_get_payload_len(attr) == sizeof(uint32_t);
    switch (mnl_attr_get_type(attr)) {
    case RTA_DST:
        take_addr(&r->dst.ip, attr, family);
        break;
    case RTA_SRC:
        take_addr(&r->from.ip, attr, family);
        break;
    case RTA_GATEWAY:
        take_addr(&r->gateway, attr, family);
        break;
    case RTA_PREFSRC:
        take_addr(&r->preferred, attr, family);
        break;
    case RTA_VIA:
        take_via(r, attr);
        break;
    case RTA_MULTIPATH:
        a->hops = attr;
        break;
    case RTA_OIF:
        r->ifindex = is_u32 ? mnl_attr_get_u32(attr) : 0;
        break;
    case RTA_PRIORITY:
        r->metric = is_u32 ? mnl_attr_get_u32(attr) : 0;
        break;
    case RTA_TABLE:
        a->table = is_u32 ? mnl_attr_get_u32(attr) : RT_TABLE_UNSPEC;
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

/*
 * False: the kind of route that never carries a datagram of ours (anycast, broadcast, multicast).
 */
static bool type_from_os(enum source_route_type *out, unsigned char rtm_type)
{
    switch (rtm_type) {
    case RTN_UNICAST:
        *out = SOURCE_ROUTE_UNICAST;
        return true;
    case RTN_LOCAL:
        *out = SOURCE_ROUTE_LOCAL;
        return true;
    case RTN_BLACKHOLE:
    case RTN_UNREACHABLE:
    case RTN_PROHIBIT:
        *out = SOURCE_ROUTE_REJECT;
        return true;
    case RTN_THROW:
        *out = SOURCE_ROUTE_THROW;
        return true;
    default:
        return false;
    }
}

static void add_route(struct rows *rows, const struct source_route *r)
{
    rows->routes = mem_grow(rows->routes, rows->routes_len, sizeof *rows->routes);
    rows->routes[rows->routes_len++] = *r;
}

/* One candidate per next hop that is alive. */
static void add_hops(struct rows *rows, const struct route_attrs *a)
{
    const uint8_t *p = mnl_attr_get_payload(a->hops);
    size_t left = mnl_attr_get_payload_len(a->hops);
    struct rtnexthop hop;
    while (left >= sizeof hop) {
        memcpy(&hop, p, sizeof hop);
        if (hop.rtnh_len < sizeof hop || hop.rtnh_len > left)
            return;
        struct route_attrs one = {.route = a->route};
        mnl_attr_parse_payload(p + sizeof hop, hop.rtnh_len - sizeof hop, take_route_attr, &one);
        one.route.ifindex = (uint32_t)hop.rtnh_ifindex;
        if (!(hop.rtnh_flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)))
            add_route(rows, &one.route);
        size_t step = size_min(RTNH_ALIGN(hop.rtnh_len), left);
        p += step;
        left -= step;
    }
}

static void take_route(void *arg, const struct nlmsghdr *h)
{
    struct rows *rows = arg;
    const struct rtmsg *rtm;
    if (!h) {
        rows->routes_len = rows->routes_kept;
        return;
    }
    if (h->nlmsg_type != RTM_NEWROUTE || !payload_holds(h, sizeof *rtm))
        return;
    rtm = mnl_nlmsg_get_payload(h);
    unsigned family = family_from_os(rtm->rtm_family);
    struct route_attrs a = {
        .table = rtm->rtm_table,
        .route = {.tier = rows->tier,
                  .dst = {.ip.family = (uint8_t)family, .len = rtm->rtm_dst_len}},
    };
    if (family != rows->dst->family || !type_from_os(&a.route.type, rtm->rtm_type))
        return;
    /* Cached exceptions; routes for one type of service; routes whose next hop is gone. */
    if ((rtm->rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD | RTNH_F_LINKDOWN)) || rtm->rtm_tos != 0)
        return;
    mnl_attr_parse(h, sizeof *rtm, take_route_attr, &a);
    a.route.from.len = rtm->rtm_src_len;
    if (rtm->rtm_src_len == 0)
        a.route.from.ip.family = ADDR_NONE;
    if (a.table != rows->table || !ip_prefix_contains(&a.route.dst, rows->dst))
        return;
    if (a.hops)
        add_hops(rows, &a);
    else
        add_route(rows, &a.route);
}

/* ---- asking the kernel; all return 0 or a positive errno ---- */

static int dump_links(struct netlink *n, struct rows *rows)
{
    struct netlink_buf b;
    struct nlmsghdr *h = netlink_begin(&b, RTM_GETLINK, 0);
    struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof *ifi);
    ifi->ifi_family = AF_UNSPEC;
    mnl_attr_put_u32(h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    return netlink_dump(n, h, take_link, rows);
}

static int dump_addresses(struct netlink *n, struct rows *rows)
{
    struct netlink_buf b;
    struct nlmsghdr *h = netlink_begin(&b, RTM_GETADDR, 0);
    struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(h, sizeof *ifa);
    ifa->ifa_family = (uint8_t)addr_os_family(rows->dst->family);
    return netlink_dump(n, h, take_address, rows);
}

static bool link_usable(const struct source *s, const struct rows *rows, uint32_t ifindex)
{
    for (size_t i = 0; i < rows->links_len; i++) {
        if (rows->links[i].ifindex == ifindex)
            return rows->links[i].up && ifindex != s->tun_ifindex;
    }
    return false;
}

static uint32_t interface_of(const struct source *s, const struct rows *rows)
{
    for (size_t i = 0; i < rows->addresses_len; i++) {
        const struct source_address *a = &rows->addresses[i];
        if (ip_addr_equal(&a->ip, rows->dst) && link_usable(s, rows, a->ifindex))
            return a->ifindex;
    }
    return 0;
}

static int dump_routes(struct netlink *n, struct rows *rows)
{
    struct netlink_buf b;
    struct nlmsghdr *h = netlink_begin(&b, RTM_GETROUTE, 0);
    struct rtmsg *rtm = mnl_nlmsg_put_extra_header(h, sizeof *rtm);
    rtm->rtm_family = (uint8_t)addr_os_family(rows->dst->family);
    mnl_attr_put_u32(h, RTA_TABLE, rows->table);
    int e = netlink_dump(n, h, take_route, rows);
    return e == ENOENT ? 0 : e; /* a table that nobody ever filled does not exist */
}

uint32_t source_interface(struct source *s, const struct ip_addr *address)
{
    struct rows rows = {.dst = address};
    uint32_t found = 0;

    if (dump_links(&s->netlink, &rows) == 0 && dump_addresses(&s->netlink, &rows) == 0)
        found = interface_of(s, &rows);
    free(rows.links);
    free(rows.addresses);
    return found;
}

static bool is_own_table(const struct source *s, uint32_t table)
{
    for (size_t i = 0; i < s->own_tables_len; i++)
        if (s->own_tables[i] == table)
            return true;
    return false;
}

static int collect(struct source *s, struct rows *rows)
{
    int e = dump_links(&s->netlink, rows);
    if (e == 0)
        e = dump_addresses(&s->netlink, rows);
    for (size_t i = 0; e == 0 && i < ARRAY_LEN(consulted_tables); i++) {
        rows->table = consulted_tables[i];
        rows->tier = (uint32_t)i;
        rows->routes_kept = rows->routes_len;
        if (!is_own_table(s, rows->table))
            e = dump_routes(&s->netlink, rows);
    }
    return e;
}

enum err source_resolve(struct source *s, const struct ip_addr *dst, struct ip_source *out)
{
    struct rows rows = {.dst = dst};
    memset(out, 0, sizeof *out);
    if (dst->family != ADDR_V4 && dst->family != ADDR_V6)
        return ERR_INVALID;
    int e = collect(s, &rows);
    struct source_tables tables = {
        .links = rows.links,
        .links_len = rows.links_len,
        .addresses = rows.addresses,
        .addresses_len = rows.addresses_len,
        .routes = rows.routes,
        .routes_len = rows.routes_len,
    };
    enum err result = e != 0 ? err_from_errno(e) : source_rank(&tables, dst, s->tun_ifindex, out);
    free(rows.links);
    free(rows.addresses);
    free(rows.routes);
    return result;
}
