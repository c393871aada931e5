/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses, MTU, routes and rules of the TUN over rtnetlink. Each change that the kernel has accepted is put on a
 * list, and routes_free works the list backwards. What is gone by then (the device takes its addresses and routes
 * along) counts as undone.
 */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/linux/addr_os.h"
#include "platform/linux/reverse_path.h"
#include "platform/linux/route_read.h"
#include "platform/linux/routes_private.h"

#define MODULE "routes"

/* ---- failures ---- */

/* IPv6 may be missing from the kernel, or switched off for all or one interface. */
static bool family_off(unsigned family, int e)
{
    return family == ADDR_V6 && (e == EACCES || e == EOPNOTSUPP || e == EAFNOSUPPORT);
}

enum err routes_fail(struct routes *r, unsigned family, int e, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(r->why, sizeof r->why, fmt, ap); /* NOLINT(clang-analyzer-valist.Uninitialized) */
    va_end(ap);
    size_t len = strlen(r->why);
    if (family_off(family, e)) {
        snprintf(r->why + len, sizeof r->why - len, ": IPv6 is switched off on this machine");
        return ERR_UNSUPPORTED;
    }
    snprintf(r->why + len, sizeof r->why - len, ": %s%s", netlink_text(&r->netlink, e),
             e == EPERM ? "; run as root or with CAP_NET_ADMIN" : "");
    return err_from_errno(e);
}

/* ---- the list of changes ---- */

/* Out of memory is fatal in control: forgetting a change would leave it on the host. */
void routes_remember(struct routes *r, const struct change *c)
{
    if (r->changes_n == r->changes_max) {
        r->changes_max = r->changes_max ? 2 * r->changes_max : 16;
        r->changes = realloc(r->changes, r->changes_max * sizeof *r->changes);
        ASSERT(r->changes);
    }
    r->changes[r->changes_n++] = *c;
}

/* ---- messages ---- */

/* The engine refuses frames of more than 256 segments, which a connection with a tiny MSS would otherwise make. */
enum {
    GSO_SEGMENTS_MAX = 256
};

static int set_link(struct routes *r, unsigned flags, unsigned flags_mask, uint32_t mtu)
{
    struct netlink_buf b;
    struct nlmsghdr *h = netlink_begin(&b, RTM_NEWLINK, 0);
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(h, sizeof *link);

    link->ifi_index = (int)r->ifindex;
    link->ifi_flags = flags;
    link->ifi_change = flags_mask;
    if (mtu != 0)
        mnl_attr_put_u32(h, IFLA_MTU, mtu);
    return netlink_ack(&r->netlink, h);
}

/* The stack builds super-packets of at most this many segments for the TUN. Where the kernel refuses: its default. */
static void set_gso_segments(struct routes *r, uint32_t segments)
{
    struct netlink_buf b;
    struct nlmsghdr *h = netlink_begin(&b, RTM_NEWLINK, 0);
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(h, sizeof *link);

    link->ifi_index = (int)r->ifindex;
    mnl_attr_put_u32(h, IFLA_GSO_MAX_SEGS, segments);
    if (netlink_ack(&r->netlink, h) != 0)
        log_debug("routes", "segments per super-packet of %s stay at the kernel's default",
                  r->name);
}

static int change_addr(struct routes *r, uint16_t type, const struct ip_prefix *addr)
{
    struct netlink_buf b;
    struct nlmsghdr *h =
        netlink_begin(&b, type, type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0);
    struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(h, sizeof *ifa);

    ifa->ifa_family = (uint8_t)addr_os_family(addr->ip.family);
    ifa->ifa_prefixlen = addr->len;
    ifa->ifa_index = r->ifindex;
    ifa->ifa_scope = RT_SCOPE_UNIVERSE;
    if (addr->ip.family == ADDR_V6)
        ifa->ifa_flags = IFA_F_NODAD; /* usable at once; there is nobody to collide with */
    mnl_attr_put(h, IFA_LOCAL, ip_addr_len(&addr->ip), addr->ip.bytes);
    mnl_attr_put(h, IFA_ADDRESS, ip_addr_len(&addr->ip), addr->ip.bytes);
    return netlink_ack(&r->netlink, h);
}

static uint32_t table_or_main(uint32_t table)
{
    return table ? table : RT_TABLE_MAIN;
}

static int change_route(struct routes *r, uint16_t type, const struct ip_prefix *dst,
                        uint32_t table)
{
    struct netlink_buf b;
    struct nlmsghdr *h =
        netlink_begin(&b, type, type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_EXCL : 0);
    struct rtmsg *rtm = mnl_nlmsg_put_extra_header(h, sizeof *rtm);

    rtm->rtm_family = (uint8_t)addr_os_family(dst->ip.family);
    rtm->rtm_dst_len = dst->len;
    rtm->rtm_table = RT_TABLE_UNSPEC; /* the attribute has room for all numbers */
    rtm->rtm_protocol = RTPROT_STATIC;
    rtm->rtm_type = RTN_UNICAST;
    rtm->rtm_scope = RT_SCOPE_UNIVERSE;
    mnl_attr_put_u32(h, RTA_TABLE, table);
    mnl_attr_put_u32(h, RTA_OIF, r->ifindex);
    if (dst->len != 0)
        mnl_attr_put(h, RTA_DST, ip_addr_len(&dst->ip), dst->ip.bytes);
    return netlink_ack(&r->netlink, h);
}

/* ---- undoing ---- */

static int undo(struct routes *r, const struct change *c)
{
    switch (c->kind) {
    case CHANGE_MTU:
        return set_link(r, 0, 0, c->u.mtu);
    case CHANGE_UP:
        return set_link(r, 0, IFF_UP, 0);
    case CHANGE_ADDR:
        return change_addr(r, RTM_DELADDR, &c->u.addr);
    case CHANGE_ROUTE:
        return change_route(r, RTM_DELROUTE, &c->u.route.dst, c->u.route.table);
    case CHANGE_RULE:
        return rule_del(&r->netlink, &c->u.rule);
    case CHANGE_MARKS:
        reverse_path_restore(&r->netlink);
        return 0;
    case CHANGE_LAN:
        return routes_lan_remove(&r->netlink);
    }
    return 0;
}

static bool already_gone(int e)
{
    return e == ENODEV || e == ESRCH || e == ENOENT || e == EADDRNOTAVAIL;
}

/* False: something is left. */
static bool undo_back_to(struct routes *r, size_t n)
{
    bool done = true;

    while (r->changes_n > n) {
        int e = undo(r, &r->changes[--r->changes_n]);
        if (e == 0 || already_gone(e))
            continue;
        log_warn(MODULE, "%s: a change to the host's network could not be undone: %s", r->name,
                 netlink_text(&r->netlink, e));
        done = false;
    }
    return done;
}

static void repair(struct routes *r, const struct change *c)
{
    int e = 0;

    if (c->kind == CHANGE_ADDR)
        e = change_addr(r, RTM_NEWADDR, &c->u.addr);
    if (c->kind == CHANGE_ROUTE)
        e = change_route(r, RTM_NEWROUTE, &c->u.route.dst, c->u.route.table);
    if (e != 0 && e != EEXIST && e != ENETDOWN && !already_gone(e))
        log_warn(MODULE, "%s: an address or a route is not set any more: %s", r->name,
                 netlink_text(&r->netlink, e));
}

void routes_repair(struct routes *r)
{
    for (size_t i = 0; i < r->changes_n; i++)
        repair(r, &r->changes[i]);
}

/* ---- the device ---- */

enum err routes_new(struct routes **out, uint32_t ifindex)
{
    struct routes *r = calloc(1, sizeof *r);

    *out = NULL;
    if (!r)
        return ERR_NO_MEMORY;
    journal_init(&r->journal);
    r->watch = -1;
    enum err err = netlink_open(&r->netlink);
    if (err != ERR_OK) {
        free(r);
        return err;
    }
    r->ifindex = ifindex;
    /* changes nothing, but needs the right to: better an error now than half a configuration later */
    int e = if_indextoname(ifindex, r->name) ? set_link(r, 0, 0, 0) : ENODEV;
    if (e != 0) {
        routes_free(r);
        return err_from_errno(e);
    }
    *out = r;
    return ERR_OK;
}

void routes_free(struct routes *r)
{
    if (!r)
        return;
    journal_close(&r->journal, undo_back_to(r, 0));
    if (r->watch >= 0)
        close(r->watch);
    netlink_close(&r->netlink);
    free(r->changes);
    free(r);
}

const char *routes_why(const struct routes *r)
{
    return r->why;
}

enum err routes_link_mtu(struct routes *r, uint32_t mtu)
{
    struct link_state now;
    int e = link_read(&r->netlink, r->ifindex, &now);

    set_gso_segments(r, GSO_SEGMENTS_MAX);
    if (e == 0 && now.mtu == mtu)
        return ERR_OK;
    if (e == 0)
        e = mtu ? set_link(r, 0, 0, mtu) : EINVAL;
    if (e != 0)
        return routes_fail(r, ADDR_NONE, e, "cannot set the MTU of %s to %u", r->name, mtu);
    routes_remember(r, &(struct change){.kind = CHANGE_MTU, .u.mtu = now.mtu});
    return ERR_OK;
}

enum err routes_link_up(struct routes *r)
{
    struct link_state now;
    int e = link_read(&r->netlink, r->ifindex, &now);

    if (e == 0 && (now.flags & IFF_UP))
        return ERR_OK;
    if (e == 0)
        e = set_link(r, IFF_UP, IFF_UP, 0);
    if (e != 0)
        return routes_fail(r, ADDR_NONE, e, "cannot set %s up", r->name);
    routes_remember(r, &(struct change){.kind = CHANGE_UP});
    return ERR_OK;
}

static bool prefix_ok(const struct ip_prefix *p)
{
    return (p->ip.family == ADDR_V4 || p->ip.family == ADDR_V6) && p->len <= ip_addr_bits(&p->ip);
}

enum err routes_addr_add(struct routes *r, const struct ip_prefix *addr)
{
    char text[IP_PREFIX_TEXT_MAX];
    int e = prefix_ok(addr) ? change_addr(r, RTM_NEWADDR, addr) : EINVAL;

    if (e == EEXIST)
        return ERR_OK;
    if (e != 0)
        return routes_fail(r, addr->ip.family, e, "cannot give %s the address %s", r->name,
                           ip_prefix_format(addr, text, sizeof text));
    routes_remember(r, &(struct change){.kind = CHANGE_ADDR, .u.addr = *addr});
    return routes_guard_address(r, &addr->ip);
}

static bool same_prefix(const struct ip_prefix *a, const struct ip_prefix *b)
{
    return a->len == b->len && ip_addr_equal(&a->ip, &b->ip);
}

void routes_forget(struct routes *r, size_t i)
{
    r->changes_n--;
    memmove(&r->changes[i], &r->changes[i + 1], (r->changes_n - i) * sizeof *r->changes);
}

enum err routes_addr_del(struct routes *r, const struct ip_prefix *addr)
{
    char text[IP_PREFIX_TEXT_MAX];
    int e = prefix_ok(addr) ? change_addr(r, RTM_DELADDR, addr) : EINVAL;

    if (e != 0 && !already_gone(e))
        return routes_fail(r, addr->ip.family, e, "cannot take the address %s from %s",
                           ip_prefix_format(addr, text, sizeof text), r->name);
    routes_unguard_address(r, &addr->ip);
    for (size_t i = r->changes_n; i-- > 0;) {
        if (r->changes[i].kind == CHANGE_ADDR && same_prefix(&r->changes[i].u.addr, addr)) {
            routes_forget(r, i);
            break;
        }
    }
    return ERR_OK;
}

/* ---- routes ---- */

enum err routes_add(struct routes *r, const struct ip_prefix *dst, uint32_t table)
{
    char text[IP_PREFIX_TEXT_MAX];
    struct ip_prefix masked = *dst;

    table = table_or_main(table);
    ip_prefix_mask(&masked);
    int e = prefix_ok(dst) ? change_route(r, RTM_NEWROUTE, &masked, table) : EINVAL;
    if (e == EEXIST) {
        /* the same one, or one that leads elsewhere? */
        struct route ours = {.dst = masked, .table = table, .oif = r->ifindex};
        bool found = false;
        if (route_search(&r->netlink, &ours, &found) == 0 && found)
            return ERR_OK;
        snprintf(r->why, sizeof r->why,
                 "cannot route %s through %s: table %u already has a route to it",
                 ip_prefix_format(&masked, text, sizeof text), r->name, table);
        return ERR_EXISTS;
    }
    if (e == ENETDOWN && r->down)
        e = 0; /* it is set when the device is up again */
    if (e != 0)
        return routes_fail(r, dst->ip.family, e, "cannot route %s through %s",
                           ip_prefix_format(dst, text, sizeof text), r->name);
    routes_remember(
        r, &(struct change){.kind = CHANGE_ROUTE, .u.route = {.dst = masked, .table = table}});
    return ERR_OK;
}

/* The newest first: routes come and go like a stack more often than not. */
static void forget_route(struct routes *r, const struct ip_prefix *dst, uint32_t table)
{
    for (size_t i = r->changes_n; i-- > 0;) {
        const struct change *c = &r->changes[i];
        if (c->kind == CHANGE_ROUTE && c->u.route.table == table &&
            same_prefix(&c->u.route.dst, dst)) {
            routes_forget(r, i);
            return;
        }
    }
}

enum err routes_del(struct routes *r, const struct ip_prefix *dst, uint32_t table)
{
    char text[IP_PREFIX_TEXT_MAX];
    struct ip_prefix masked = *dst;

    table = table_or_main(table);
    ip_prefix_mask(&masked);
    int e = prefix_ok(dst) ? change_route(r, RTM_DELROUTE, &masked, table) : EINVAL;
    if (e != 0 && !already_gone(e))
        return routes_fail(r, dst->ip.family, e, "cannot remove the route to %s through %s",
                           ip_prefix_format(dst, text, sizeof text), r->name);
    forget_route(r, &masked, table);
    return ERR_OK;
}

enum err routes_default_rules(struct routes *r, unsigned family, uint32_t mark, uint32_t table)
{
    struct steering s = {.family = (uint8_t)family, .mark = mark, .table = table};
    struct rule rules[RULE_STEERING], *existing = NULL;
    size_t existing_n = 0, before = r->changes_n;

    if (mark == 0 || table == 0 || (family != ADDR_V4 && family != ADDR_V6))
        return routes_fail(r, ADDR_NONE, EINVAL, "cannot steer default traffic (mark %u, table %u)",
                           mark, table);
    int e = rule_list(&r->netlink, (uint8_t)family, &existing, &existing_n);
    if (e != 0)
        return routes_fail(r, family, e, "cannot read the policy rules");
    bool room = rule_steering_choose(&s, existing, existing_n);
    free(existing);
    if (!room)
        return routes_fail(r, ADDR_NONE, ENOSPC, "no free priorities for policy rules");
    rule_steering_at(rules, &s);
    /* before the rules, so that it is undone after them: it stays if somebody else's rule needs it */
    if (family == ADDR_V4 && reverse_path_without_marks())
        journal_note(&r->journal, &(struct journal_entry){.kind = JOURNAL_MARKS});
    if (family == ADDR_V4 && reverse_path_use_marks())
        routes_remember(r, &(struct change){.kind = CHANGE_MARKS});
    journal_note(&r->journal, &(struct journal_entry){.kind = JOURNAL_STEERING, .steering = s});
    for (unsigned i = 0; i < RULE_STEERING && e == 0; i++) {
        e = rule_add(&r->netlink, &rules[i]);
        if (e == 0)
            routes_remember(r, &(struct change){.kind = CHANGE_RULE, .u.rule = rules[i]});
    }
    struct guard guard = guard_of_steering(&s);
    enum err err = e == 0
                       ? routes_guard(r, &guard)
                       : routes_fail(r, family, e, "cannot add policy rules for table %u", table);
    if (err != ERR_OK) {
        (void)undo_back_to(r, before);
        return err;
    }
    if (family == ADDR_V4)
        reverse_path_warn(&r->netlink, r->ifindex);
    return ERR_OK;
}

/* ---- questions ---- */

static int table_used(struct routes *r, uint8_t family, uint32_t table, bool *used)
{
    struct route any = {.dst.ip.family = family, .table = table};
    int e = route_search(&r->netlink, &any, used);
    return family_off(family, e) ? 0 : e;
}

enum err routes_free_table(struct routes *r, uint32_t from, uint32_t *table)
{
    static const uint8_t families[] = {ADDR_V4, ADDR_V6};
    struct rule *rules[ARRAY_LEN(families)] = {NULL};
    size_t rules_n[ARRAY_LEN(families)] = {0};
    enum err err = ERR_OK;
    uint32_t candidate = from ? from : 1;
    bool used = true;

    for (unsigned f = 0; f < ARRAY_LEN(families) && err == ERR_OK; f++) {
        int e = rule_list(&r->netlink, families[f], &rules[f], &rules_n[f]);
        if (e != 0 && !family_off(families[f], e))
            err = routes_fail(r, families[f], e, "cannot read the policy rules");
    }
    for (; err == ERR_OK && used; candidate++) {
        used = candidate == 0 || (candidate >= RT_TABLE_DEFAULT && candidate <= RT_TABLE_LOCAL);
        for (unsigned f = 0; f < ARRAY_LEN(families) && !used && err == ERR_OK; f++) {
            for (size_t i = 0; i < rules_n[f]; i++)
                used = used || rules[f][i].table == candidate;
            int e = used ? 0 : table_used(r, families[f], candidate, &used);
            if (e != 0)
                err = routes_fail(r, families[f], e, "cannot read routing table %u", candidate);
        }
        *table = candidate;
    }
    for (unsigned f = 0; f < ARRAY_LEN(families); f++)
        free(rules[f]);
    return err;
}

enum err routes_path_mtu(struct routes *r, const struct ip_addr *dst, uint32_t mark, uint32_t *mtu)
{
    char text[IP_TEXT_MAX];
    struct route route;
    struct link_state link;

    ip_addr_format(dst, text, sizeof text);
    int e = dst->family == ADDR_NONE ? EINVAL : route_read(&r->netlink, dst, mark, &route);
    if (e != 0)
        return routes_fail(r, dst->family, e, "no route to %s", text);
    if (route.oif == r->ifindex)
        return routes_fail(r, ADDR_NONE, ENETUNREACH, "the route to %s leads through %s itself",
                           text, r->name);
    if ((e = link_read(&r->netlink, route.oif, &link)) != 0)
        return routes_fail(r, ADDR_NONE, e, "cannot read the MTU towards %s", text);
    *mtu = link.mtu;
    if (dst->family == ADDR_V6 && link.mtu_v6 != 0 && link.mtu_v6 < *mtu)
        *mtu = link.mtu_v6;
    if (route.mtu != 0 && route.mtu < *mtu)
        *mtu = route.mtu;
    return ERR_OK;
}
