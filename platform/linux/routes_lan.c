/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of the routes to local networks, in the table LINK_SCOPE: they stay reachable while a default route leads into the tunnel. lan.h
 * decides, this file reads and writes.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/linux/addr_os.h"
#include "platform/linux/lan.h"
#include "platform/linux/route_list.h"
#include "platform/linux/routes_private.h"
#include "platform/linux/routes_product.h"

/* ---- reading ---- */

struct links {
    struct lan_link *list;
    size_t n, max;
};

static int take_operstate(const struct nlattr *attr, void *arg)
{
    struct lan_link *l = arg;
    if (mnl_attr_get_type(attr) == IFLA_OPERSTATE && mnl_attr_get_payload_len(attr) >= 1)
        l->operstate = mnl_attr_get_u8(attr);
    return MNL_CB_OK;
}

static void take_link(void *arg, const struct nlmsghdr *h)
{
    struct links *l = arg;

    if (!h) {
        l->n = 0;
        return;
    }
    const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(h);
    if (h->nlmsg_type != RTM_NEWLINK)
        return;
    if (l->n == l->max) {
        l->max = l->max ? 2 * l->max : 16;
        l->list = realloc(l->list, l->max * sizeof *l->list);
        ASSERT(l->list);
    }
    l->list[l->n] = (struct lan_link){.ifindex = (uint32_t)ifi->ifi_index};
    mnl_attr_parse(h, sizeof *ifi, take_operstate, &l->list[l->n++]);
}

static int read_links(struct netlink *n, struct links *out)
{
    struct netlink_buf b;
    struct nlmsghdr *h = netlink_begin(&b, RTM_GETLINK, 0);

    mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    return netlink_dump(n, h, take_link, out);
}

static void take_ip(struct ip_addr *out, uint8_t family, const struct nlattr *attr)
{
    out->family = family;
    memcpy(out->bytes, mnl_attr_get_payload(attr),
           size_min(ip_addr_len(out), mnl_attr_get_payload_len(attr)));
}

static int take_attr(const struct nlattr *attr, void *arg)
{
    struct lan_route *r = arg;

    switch (mnl_attr_get_type(attr)) {
    case RTA_DST:
        take_ip(&r->dst.ip, r->dst.ip.family, attr);
        break;
    case RTA_PREFSRC:
        take_ip(&r->source, r->dst.ip.family, attr);
        break;
    case RTA_OIF:
        r->oif = mnl_attr_get_u32(attr);
        break;
    case RTA_PRIORITY:
        r->metric = mnl_attr_get_u32(attr);
        break;
    case RTA_GATEWAY:
    case RTA_VIA:
    case RTA_MULTIPATH:
    case RTA_NH_ID:
        r->gateway = true;
        break;
    default:
        break;
    }
    return MNL_CB_OK;
}

static void parse(struct lan_route *out, const struct nlmsghdr *h)
{
    const struct rtmsg *rtm = mnl_nlmsg_get_payload(h);

    *out = (struct lan_route){.dst = {.ip.family = rtm->rtm_family == AF_INET ? ADDR_V4 : ADDR_V6,
                                      .len = rtm->rtm_dst_len},
                              .type = rtm->rtm_type,
                              .scope = rtm->rtm_scope,
                              .protocol = rtm->rtm_protocol,
                              .tos = rtm->rtm_tos};
    mnl_attr_parse(h, sizeof *rtm, take_attr, out);
}

static struct lan_route *parse_all(const struct route_list *l, size_t *n)
{
    struct lan_route *routes;
    const struct nlmsghdr *h;
    size_t at = 0;

    *n = 0;
    while (route_list_next(l, &at))
        (*n)++;
    routes = mem_zalloc(*n + 1, sizeof *routes);
    *n = at = 0;
    while ((h = route_list_next(l, &at)) != NULL)
        parse(&routes[(*n)++], h);
    return routes;
}

/* A host may have a million routes; few of them are candidates. */
static bool candidate(const struct nlmsghdr *h)
{
    const struct rtmsg *rtm = mnl_nlmsg_get_payload(h);
    return rtm->rtm_dst_len != 0 && rtm->rtm_type == RTN_UNICAST &&
           (rtm->rtm_family == AF_INET ? rtm->rtm_scope == RT_SCOPE_LINK
                                       : rtm->rtm_protocol == RTPROT_KERNEL);
}

/* ---- writing ---- */

/* A link may go down meanwhile, and takes its routes along. */
static bool harmless(int e)
{
    return e == EEXIST || e == ESRCH || e == ENOENT || e == ENODEV || e == ENETDOWN ||
           e == ENETUNREACH;
}

/* Sends the marked ones. Returns 0 or the first positive errno that counts. */
static int send_marked(struct netlink *n, const struct route_list *l,
                       const struct lan_route *routes, uint16_t type)
{
    const struct nlmsghdr *h;
    size_t at = 0, i = 0;
    int first = 0;

    while ((h = route_list_next(l, &at)) != NULL) {
        if (!routes[i++].marked)
            continue;
        int e = route_list_send(n, h, type, product_table_number(PRODUCT_LINK_SCOPE));
        if (e != 0 && !harmless(e) && first == 0)
            first = e;
    }
    return first;
}

static int sync_family(struct routes *r, uint8_t family, const struct links *links)
{
    struct netlink *n = &r->netlink;
    struct route_list main_list = {0}, copy_list = {0};
    struct lan_plan plan = {.links = links->list, .links_n = links->n, .tun_ifindex = r->ifindex};
    int e = route_list_read(n, family, RT_TABLE_MAIN, candidate, &main_list);

    if (e == 0)
        e = route_list_read(n, family, product_table_number(PRODUCT_LINK_SCOPE), NULL, &copy_list);
    if (e == 0) {
        plan.routes = parse_all(&main_list, &plan.routes_n);
        plan.copies = parse_all(&copy_list, &plan.copies_n);
        if (lan_mark(&plan)) {
            e = send_marked(n, &copy_list, plan.copies, RTM_DELROUTE);
            int added = send_marked(n, &main_list, plan.routes, RTM_NEWROUTE);
            e = e ? e : added;
        }
    }
    free(plan.routes);
    free(plan.copies);
    free(main_list.bytes);
    free(copy_list.bytes);
    return e;
}

enum err routes_lan_sync(struct routes *r)
{
    static const uint8_t families[] = {ADDR_V4, ADDR_V6};
    struct links links = {0};
    int first = read_links(&r->netlink, &links);

    if (!r->lan)
        routes_remember(r, &(struct change){.kind = CHANGE_LAN});
    r->lan = true;
    for (size_t i = 0; i < ARRAY_LEN(families) && links.n > 0; i++) {
        int e = sync_family(r, families[i], &links);
        first = first ? first : e;
    }
    free(links.list);
    if (first != 0)
        return routes_fail(r, ADDR_NONE, first, "cannot copy the routes to the local networks");
    return ERR_OK;
}

int routes_lan_remove(struct netlink *n)
{
    unsigned deleted = 0;
    int v4 = route_list_flush(n, ADDR_V4, product_table_number(PRODUCT_LINK_SCOPE), &deleted);
    int v6 = route_list_flush(n, ADDR_V6, product_table_number(PRODUCT_LINK_SCOPE), &deleted);
    return v4 ? v4 : v6;
}
