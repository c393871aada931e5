/* SPDX-License-Identifier: Apache-2.0 */
/* Dumps of table main and of one interface's addresses. */
#include "platform/linux/way_out.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

#include "platform/base/mem.h"
#include "platform/linux/addr_os.h"

struct search {
    uint8_t family;
    const struct net_own *own;
    const struct way_out *last;
    struct way_out *out;
};

/* The lowest wins. */
static uint64_t rank(const struct net_event *route)
{
    return (uint64_t)route->metric << 8 | route->preference;
}

static void take_route(void *arg, const struct nlmsghdr *h)
{
    struct search *s = arg;
    struct way_out *out = s->out;
    struct net_event e;

    if (!h) {
        out->exists = false;
        return;
    }
    (void)net_event_next(&e, h, h->nlmsg_len);
    if (e.kind != NET_EVENT_ROUTE || e.gone || e.family != s->family || e.dst.len != 0 ||
        e.table != RT_TABLE_MAIN || !e.usable || net_event_is_own(&e, s->own))
        return;
    bool better = !out->exists || rank(&e) < rank(&out->route);
    bool equal = !better && rank(&e) == rank(&out->route);
    if (better || (equal && s->last->exists && net_event_same_way(&e, &s->last->route)))
        out->route = e;
    out->exists = true;
}

static void take_address(void *arg, const struct nlmsghdr *h)
{
    struct search *s = arg;
    struct way_out *out = s->out;
    struct net_event e;

    if (!h) {
        out->addresses_len = 0;
        return;
    }
    (void)net_event_next(&e, h, h->nlmsg_len);
    if (e.kind != NET_EVENT_ADDRESS || e.gone || e.family != s->family ||
        e.ifindex != out->route.hops[0].ifindex || !(e.state & NET_ADDRESS_GLOBAL))
        return;
    out->addresses = mem_grow(out->addresses, out->addresses_len, sizeof *out->addresses);
    out->addresses[out->addresses_len++] = (struct way_address){.ip = e.dst.ip, .state = e.state};
}

bool way_out_absent(int error)
{
    return error == ENOENT || error == EAFNOSUPPORT || error == EOPNOTSUPP;
}

static int read_route(struct netlink *n, struct search *s)
{
    struct netlink_buf b;
    struct nlmsghdr *h = netlink_begin(&b, RTM_GETROUTE, 0);
    struct rtmsg *rtm = mnl_nlmsg_put_extra_header(h, sizeof *rtm);

    rtm->rtm_family = (uint8_t)addr_os_family(s->family);
    mnl_attr_put_u32(h, RTA_TABLE, RT_TABLE_MAIN);
    int e = netlink_dump(n, h, take_route, s);
    return way_out_absent(e) ? 0 : e;
}

static int read_addresses(struct netlink *n, struct search *s)
{
    struct netlink_buf b;
    struct nlmsghdr *h = netlink_begin(&b, RTM_GETADDR, 0);
    struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(h, sizeof *ifa);

    ifa->ifa_family = (uint8_t)addr_os_family(s->family);
    ifa->ifa_index = s->out->route.hops[0].ifindex;
    int e = netlink_dump(n, h, take_address, s);
    return e == ENODEV ? 0 : e; /* gone since: a change is on its way */
}

int way_out_read(struct way_out *out, struct netlink *n, uint8_t family, const struct net_own *own,
                 const struct way_out *last)
{
    struct search s = {.family = family, .own = own, .last = last, .out = out};

    *out = (struct way_out){0};
    int e = read_route(n, &s);
    if (e == 0 && out->exists && out->route.hops_len > 0)
        e = read_addresses(n, &s);
    return e;
}

void way_out_fini(struct way_out *w)
{
    free(w->addresses);
    *w = (struct way_out){0};
}

/* An address that only waits for its check after the link came back is there. */
static bool has_address(const struct way_out *w, const struct ip_addr *ip)
{
    for (size_t i = 0; i < w->addresses_len; i++) {
        if (ip_addr_equal(&w->addresses[i].ip, ip))
            return !(w->addresses[i].state & NET_ADDRESS_FAILED);
    }
    return false;
}

static bool in_use(const struct way_address *a)
{
    return (a->state & NET_ADDRESS_USABLE) && !(a->state & NET_ADDRESS_DEPRECATED);
}

enum way_change way_out_compare(const struct way_out *last, const struct way_out *now)
{
    if (!now->exists)
        return WAY_NONE;
    if (!last->exists)
        return WAY_FIRST;
    if (!net_event_same_way(&last->route, &now->route))
        return WAY_ROUTE;
    for (size_t i = 0; i < last->addresses_len; i++) {
        if (in_use(&last->addresses[i]) && !has_address(now, &last->addresses[i].ip))
            return WAY_ADDRESS;
    }
    return WAY_SAME;
}
