/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/linux/route_list.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/linux/addr_os.h"

static int take_table(const struct nlattr *attr, void *arg)
{
    uint32_t *table = arg;
    if (mnl_attr_get_type(attr) == RTA_TABLE)
        *table = mnl_attr_get_u32(attr);
    return MNL_CB_OK;
}

/* Kernels that do not filter send all tables. */
static void take_message(void *arg, const struct nlmsghdr *h)
{
    struct route_list *l = arg;

    if (!h) {
        l->len = 0;
        return;
    }
    const struct rtmsg *rtm = mnl_nlmsg_get_payload(h);
    uint32_t table = rtm->rtm_table;
    mnl_attr_parse(h, sizeof *rtm, take_table, &table);
    if (h->nlmsg_type != RTM_NEWROUTE || table != l->table || (rtm->rtm_flags & RTM_F_CLONED) ||
        (l->keep && !l->keep(h)))
        return;
    size_t len = MNL_ALIGN(h->nlmsg_len);
    if (l->len + len > l->size) {
        l->size = 2 * (l->len + len);
        l->bytes = realloc(l->bytes, l->size);
        ASSERT(l->bytes);
    }
    memset(l->bytes + l->len, 0, len);
    memcpy(l->bytes + l->len, h, h->nlmsg_len);
    l->len += len;
}

int route_list_read(struct netlink *n, uint8_t family, uint32_t table, route_list_keep keep,
                    struct route_list *out)
{
    struct netlink_buf b;
    struct nlmsghdr *h = netlink_begin(&b, RTM_GETROUTE, 0);
    struct rtmsg *rtm = mnl_nlmsg_put_extra_header(h, sizeof *rtm);

    *out = (struct route_list){.table = table, .keep = keep};
    rtm->rtm_family = (uint8_t)addr_os_family(family);
    mnl_attr_put_u32(h, RTA_TABLE, table);
    int e = netlink_dump(n, h, take_message, out);
    if (e == ENOENT || (family == ADDR_V6 && (e == EOPNOTSUPP || e == EAFNOSUPPORT)))
        return 0; /* no such table, or no such family */
    if (e != 0) {
        free(out->bytes);
        *out = (struct route_list){.table = table};
    }
    return e;
}

const struct nlmsghdr *route_list_next(const struct route_list *l, size_t *at)
{
    if (*at >= l->len)
        return NULL;
    const struct nlmsghdr *h = (const void *)(l->bytes + *at);
    *at += MNL_ALIGN(h->nlmsg_len);
    return h;
}

/* What the kernel reports of a route's state is no part of it. */
static int copy_attr(const struct nlattr *attr, void *arg)
{
    struct nlmsghdr *h = arg;
    uint16_t type = mnl_attr_get_type(attr);

    if (type != RTA_TABLE && type != RTA_CACHEINFO)
        mnl_attr_put(h, type, mnl_attr_get_payload_len(attr), mnl_attr_get_payload(attr));
    return MNL_CB_OK;
}

int route_list_send(struct netlink *n, const struct nlmsghdr *route, uint16_t type, uint32_t table)
{
    struct netlink_buf b;
    uint16_t flags = type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_APPEND : 0;

    if (route->nlmsg_len + MNL_ATTR_HDRLEN + sizeof(uint32_t) > sizeof b.bytes)
        return EMSGSIZE;
    struct nlmsghdr *h = netlink_begin(&b, type, flags);
    struct rtmsg *rtm = mnl_nlmsg_put_extra_header(h, sizeof *rtm);
    *rtm = *(const struct rtmsg *)mnl_nlmsg_get_payload(route);
    rtm->rtm_table = RT_TABLE_UNSPEC;
    rtm->rtm_flags &= RTNH_F_ONLINK;
    mnl_attr_put_u32(h, RTA_TABLE, table);
    mnl_attr_parse(route, sizeof *rtm, copy_attr, h);
    return netlink_ack(n, h);
}

int route_list_flush(struct netlink *n, uint8_t family, uint32_t table, unsigned *deleted)
{
    struct route_list l;
    const struct nlmsghdr *route;
    size_t at = 0;
    int first = 0, e = route_list_read(n, family, table, NULL, &l);

    if (e != 0)
        return e;
    while ((route = route_list_next(&l, &at)) != NULL) {
        e = route_list_send(n, route, RTM_DELROUTE, table);
        if (e == 0)
            (*deleted)++;
        else if (e != ESRCH && e != ENOENT && e != ENODEV && first == 0)
            first = e;
    }
    free(l.bytes);
    return first;
}
