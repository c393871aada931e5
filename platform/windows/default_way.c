/* SPDX-License-Identifier: Apache-2.0 */
/* See default_way.h. */
#include "platform/windows/default_way.h"

#include <stdlib.h>
#include <string.h>

#include "platform/windows/adapters.h"

/* ---- reading ---- */

struct search {
    const struct ip_helper *helper;
    const void *list; /* of adapters */
    uint64_t tun_luid;
    const struct default_way *last;
    bool found, is_last;
    uint64_t metric;
    struct ip_helper_route route;
    struct ip_helper_adapter adapter;
};

static bool usable_adapter(const struct search *s, const struct ip_helper_route *r,
                           struct ip_helper_adapter *out)
{
    for (size_t i = 0; s->helper->adapter_at(s->helper->ctx, s->list, i, out); i++) {
        if (out->luid == r->luid)
            return adapter_is_usable(out, s->tun_luid) && adapter_index(out, &r->dst.ip) != 0;
    }
    return false;
}

static bool is_way(const struct default_way *w, const struct ip_helper_route *r)
{
    return w->exists && w->luid == r->luid && ip_addr_equal(&w->next_hop, &r->next_hop);
}

static void consider(struct search *s, const struct ip_helper_route *r)
{
    struct ip_helper_adapter a;

    if (r->dst.len != 0 || r->loopback || !usable_adapter(s, r, &a))
        return;
    uint64_t metric = adapter_metric(s->helper, r, ip_helper_family(&r->dst.ip));
    bool is_last = is_way(s->last, r);
    if (s->found && (metric > s->metric || (metric == s->metric && (s->is_last || !is_last))))
        return;
    s->found = true;
    s->is_last = is_last;
    s->metric = metric;
    s->route = *r;
    s->adapter = a;
}

static void take(struct default_way *out, const struct search *s, enum addr_family family)
{
    const struct ip_helper_adapter *a = &s->adapter;

    *out = (struct default_way){.exists = true, .luid = a->luid, .next_hop = s->route.next_hop};
    for (unsigned i = 0; i < a->addresses_n; i++) {
        const struct ip_addr *ip = &a->addresses[i].ip;
        if (ip->family != family || adapter_link_only(ip))
            continue;
        out->deprecated |= (a->deprecated >> i & 1) << out->addresses_n;
        out->addresses[out->addresses_n++] = *ip;
    }
}

static enum err search_routes(struct search *s, enum addr_family family)
{
    const struct ip_helper *h = s->helper;
    struct ip_addr any = {.family = (uint8_t)family};
    struct ip_helper_route *routes;
    size_t n;

    if (!h->get_routes)
        return ERR_UNSUPPORTED;
    unsigned long e = h->get_routes(h->ctx, ip_helper_family(&any), &routes, &n);
    if (e == IP_HELPER_NOT_SUPPORTED || e == IP_HELPER_NOT_FOUND)
        return ERR_OK;
    if (e != IP_HELPER_OK)
        return e == IP_HELPER_NOT_ENOUGH_MEMORY ? ERR_NO_MEMORY : ERR_IO;
    for (size_t i = 0; i < n; i++)
        consider(s, &routes[i]);
    h->free_routes(h->ctx, routes);
    return ERR_OK;
}

enum err default_way_read(struct default_way *out, const struct ip_helper *h, uint64_t tun_luid,
                          enum addr_family family, const struct default_way *last)
{
    struct search s = {.helper = h, .tun_luid = tun_luid, .last = last};
    void *list;

    memset(out, 0, sizeof *out);
    enum err err = adapters_read(h, &list);
    if (err != ERR_OK)
        return err;
    s.list = list;
    err = search_routes(&s, family);
    if (err == ERR_OK && s.found)
        take(out, &s, family);
    free(list);
    return err;
}

/* ---- comparing ---- */

static bool still_has(const struct default_way *w, const struct ip_addr *ip)
{
    for (unsigned i = 0; i < w->addresses_n; i++) {
        if (ip_addr_equal(&w->addresses[i], ip))
            return true;
    }
    return false;
}

enum default_way_change default_way_compare(const struct default_way *last,
                                            const struct default_way *now)
{
    if (!now->exists)
        return DEFAULT_WAY_NONE;
    if (!last->exists)
        return DEFAULT_WAY_FIRST;
    if (last->luid != now->luid || !ip_addr_equal(&last->next_hop, &now->next_hop))
        return DEFAULT_WAY_ROUTE;
    for (unsigned i = 0; i < last->addresses_n; i++) {
        if (!(last->deprecated >> i & 1) && !still_has(now, &last->addresses[i]))
            return DEFAULT_WAY_ADDRESS;
    }
    return DEFAULT_WAY_SAME;
}
