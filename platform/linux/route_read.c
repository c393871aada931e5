/* SPDX-License-Identifier: Apache-2.0 */
/* rtnetlink answers to values. */
#include "platform/linux/route_read.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/linux/addr_os.h"

static int take_v6_attr(const struct nlattr *attr, void *arg)
{
    struct link_state *l = arg;
    const uint32_t *conf = mnl_attr_get_payload(attr);
    if (mnl_attr_get_type(attr) == IFLA_INET6_CONF &&
        mnl_attr_get_payload_len(attr) >= (DEVCONF_MTU6 + 1) * sizeof *conf)
        l->mtu_v6 = conf[DEVCONF_MTU6];
    return MNL_CB_OK;
}

static int take_family_attr(const struct nlattr *attr, void *arg)
{
    if (mnl_attr_get_type(attr) == AF_INET6)
        mnl_attr_parse_nested(attr, take_v6_attr, arg);
    return MNL_CB_OK;
}

static int take_link_attr(const struct nlattr *attr, void *arg)
{
    struct link_state *l = arg;
    if (mnl_attr_get_type(attr) == IFLA_MTU)
        l->mtu = mnl_attr_get_u32(attr);
    if (mnl_attr_get_type(attr) == IFLA_AF_SPEC)
        mnl_attr_parse_nested(attr, take_family_attr, arg);
    return MNL_CB_OK;
}

static void take_link(void *arg, const struct nlmsghdr *h)
{
    struct link_state *l = arg;

    if (!h) {
        *l = (struct link_state){0};
        return;
    }
    const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
    l->flags = ifi->ifi_flags;
    mnl_attr_parse(h, sizeof *ifi, take_link_attr, l);
}

int link_read(struct netlink *n, uint32_t ifindex, struct link_state *out)
{
    struct netlink_buf b;
    struct nlmsghdr *h = netlink_begin(&b, RTM_GETLINK, 0);
    struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof *ifi);
    ifi->ifi_index = (int)ifindex;
    return netlink_get(n, h, take_link, out);
}

static int take_metric(const struct nlattr *attr, void *arg)
{
    struct route *route = arg;
    if (mnl_attr_get_type(attr) == RTAX_MTU)
        route->mtu = mnl_attr_get_u32(attr);
    return MNL_CB_OK;
}

static int take_route_attr(const struct nlattr *attr, void *arg)
{
    struct route *route = arg;

    switch (mnl_attr_get_type(attr)) {
    case RTA_TABLE:
        route->table = mnl_attr_get_u32(attr);
        break;
    case RTA_OIF:
        route->oif = mnl_attr_get_u32(attr);
        break;
    case RTA_DST:
        memcpy(route->dst.ip.bytes, mnl_attr_get_payload(attr),
               size_min(sizeof route->dst.ip.bytes, mnl_attr_get_payload_len(attr)));
        break;
    case RTA_METRICS:
        mnl_attr_parse_nested(attr, take_metric, route);
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

static void parse_route(struct route *out, const struct nlmsghdr *h)
{
    const struct rtmsg *rtm = mnl_nlmsg_get_payload(h);

    *out = (struct route){.dst.ip.family = rtm->rtm_family == AF_INET ? ADDR_V4 : ADDR_V6,
                          .dst.len = rtm->rtm_dst_len,
                          .table = rtm->rtm_table};
    mnl_attr_parse(h, sizeof *rtm, take_route_attr, out);
}

struct search {
    const struct route *wanted;
    bool found;
};

static void search_route(void *arg, const struct nlmsghdr *h)
{
    struct search *s = arg;
    struct route route;

    if (!h) {
        s->found = false;
        return;
    }
    if (h->nlmsg_type != RTM_NEWROUTE)
        return;
    parse_route(&route, h);
    if (route.table != s->wanted->table)
        return;
    if (s->wanted->oif == 0 ||
        (route.oif == s->wanted->oif && route.dst.len == s->wanted->dst.len &&
         ip_addr_equal(&route.dst.ip, &s->wanted->dst.ip)))
        s->found = true;
}

int route_search(struct netlink *n, const struct route *wanted, bool *found)
{
    struct netlink_buf b;
    struct search s = {.wanted = wanted};
    struct nlmsghdr *h = netlink_begin(&b, RTM_GETROUTE, 0);
    struct rtmsg *rtm = mnl_nlmsg_put_extra_header(h, sizeof *rtm);

    rtm->rtm_family = (uint8_t)addr_os_family(wanted->dst.ip.family);
    /* kernels that filter save us the other tables; what comes is compared anyway */
    mnl_attr_put_u32(h, RTA_TABLE, wanted->table);
    if (wanted->oif != 0)
        mnl_attr_put_u32(h, RTA_OIF, wanted->oif);
    int e = netlink_dump(n, h, search_route, &s);
    *found = s.found;
    return e == ENOENT ? 0 : e; /* there is no such table */
}

static void take_route(void *arg, const struct nlmsghdr *h)
{
    if (h)
        parse_route(arg, h);
    else
        memset(arg, 0, sizeof(struct route));
}

int route_read(struct netlink *n, const struct ip_addr *dst, uint32_t mark, struct route *out)
{
    struct netlink_buf b;
    struct nlmsghdr *h = netlink_begin(&b, RTM_GETROUTE, 0);
    struct rtmsg *rtm = mnl_nlmsg_put_extra_header(h, sizeof *rtm);

    rtm->rtm_family = (uint8_t)addr_os_family(dst->family);
    rtm->rtm_dst_len = ip_addr_bits(dst);
    mnl_attr_put(h, RTA_DST, ip_addr_len(dst), dst->bytes);
    if (mark != 0)
        mnl_attr_put_u32(h, RTA_MARK, mark);
    return netlink_get(n, h, take_route, out);
}
