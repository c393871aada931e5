/* SPDX-License-Identifier: Apache-2.0 */
/* See source_best.h. */
#include "platform/windows/source_best.h"

#include <stdlib.h>
#include <string.h>

#include "platform/windows/adapters.h"

/* ---- one adapter ---- */

struct candidate {
    struct ip_helper_route route;
    struct ip_addr source;
    uint64_t metric;
};

/* False: there is no such family. */
static bool source_from(struct ip_addr *out, const struct ip_helper_source *s,
                        const struct ip_addr *dst)
{
    unsigned family = s->family == IP_HELPER_AF_UNSPEC ? ip_helper_family(dst) : s->family;

    if (family == IP_HELPER_AF_INET)
        *out = ip_addr_v4(s->bytes);
    else if (family == IP_HELPER_AF_INET6)
        *out = ip_addr_v6(s->bytes);
    else
        return false;
    return true;
}

/* With weak hosts the system may lend an adapter the address of another one, of ours as well. */
static bool is_tun_address(const struct ip_helper *h, const void *list, uint64_t tun_luid,
                           const struct ip_addr *ip)
{
    struct ip_helper_adapter a;

    for (size_t i = 0; h->adapter_at(h->ctx, list, i, &a); i++) {
        if (adapter_is_ours(&a, tun_luid) && adapter_has_address(&a, ip))
            return true;
    }
    return false;
}

static bool is_unspecified(const struct ip_addr *ip)
{
    static const uint8_t none[sizeof ip->bytes];
    return memcmp(ip->bytes, none, sizeof none) == 0;
}

/* How well address `i` of the adapter suits; 0: not at all. */
static unsigned suits(const struct ip_helper_adapter *a, unsigned i, const struct ip_addr *hop,
                      const struct ip_addr *dst)
{
    const struct ip_prefix *p = &a->addresses[i];

    if (p->ip.family != dst->family || (adapter_link_only(&p->ip) && !adapter_link_only(dst)))
        return 0;
    return 1 + 2 * !(a->deprecated >> i & 1) + ip_prefix_contains(p, hop);
}

/* An address of the adapter: rather one that stays, then one that shares the next hop's network, then the first. */
static bool address_for(const struct ip_helper_adapter *a, const struct ip_helper_route *route,
                        const struct ip_addr *dst, struct ip_addr *out)
{
    const struct ip_addr *hop = is_unspecified(&route->next_hop) ? dst : &route->next_hop;
    unsigned best = 0;

    for (unsigned i = 0; i < a->addresses_n; i++) {
        unsigned how = suits(a, i, hop, dst);
        if (how > best)
            *out = a->addresses[i].ip;
        best = how > best ? how : best;
    }
    return best > 0;
}

/* For systems that cannot be asked: from the table of routes. */
static bool best_of_table(const struct ip_helper *h, const struct ip_helper_adapter *a,
                          const struct ip_addr *dst, struct candidate *c)
{
    struct ip_helper_route *routes;
    size_t n;
    bool found = false;

    if (!h->get_routes || h->get_routes(h->ctx, ip_helper_family(dst), &routes, &n) != IP_HELPER_OK)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct ip_helper_route *r = &routes[i];
        if (r->luid != a->luid || !ip_prefix_contains(&r->dst, dst))
            continue;
        bool better = r->dst.len > c->route.dst.len ||
                      (r->dst.len == c->route.dst.len && r->metric < c->route.metric);
        if (!found || better)
            c->route = *r;
        found = true;
    }
    h->free_routes(h->ctx, routes);
    return found && address_for(a, &c->route, dst, &c->source);
}

static bool make_candidate(const struct ip_helper *h, const struct ip_helper_adapter *a,
                           const struct ip_addr *dst, struct candidate *c)
{
    struct ip_helper_source source = {.family = IP_HELPER_AF_UNSPEC};

    memset(c, 0, sizeof *c);
    unsigned long e = h->best_route ? h->best_route(h->ctx, a->luid, dst, &c->route, &source)
                                    : (unsigned long)IP_HELPER_NOT_SUPPORTED;
    bool lacks = e == IP_HELPER_NOT_SUPPORTED || e == IP_HELPER_NOT_IMPLEMENTED;
    if (lacks ? !best_of_table(h, a, dst, c)
              : e != IP_HELPER_OK || !source_from(&c->source, &source, dst))
        return false;
    /* An answer about another adapter is that one's to give; nothing is sent from nowhere. */
    if ((c->route.luid != 0 && c->route.luid != a->luid) || c->source.family != dst->family ||
        is_unspecified(&c->source))
        return false;
    c->route.luid = a->luid;
    c->route.ifindex = adapter_index(a, dst);
    c->metric = adapter_metric(h, &c->route, ip_helper_family(dst));
    return true;
}

static bool goes_before(const struct candidate *a, const struct candidate *b)
{
    if (a->route.dst.len != b->route.dst.len)
        return a->route.dst.len > b->route.dst.len;
    return a->metric < b->metric;
}

/* ---- all of them ---- */

enum err source_best(const struct ip_helper *h, uint64_t tun_luid, const struct ip_addr *dst,
                     struct source_best *out)
{
    struct ip_helper_adapter a;
    struct candidate best = {.metric = 0}, c;
    bool found = false;
    void *list;

    memset(out, 0, sizeof *out);
    if (dst->family != ADDR_V4 && dst->family != ADDR_V6)
        return ERR_INVALID;
    enum err err = adapters_read(h, &list);
    if (err != ERR_OK)
        return err;
    for (size_t i = 0; h->adapter_at(h->ctx, list, i, &a); i++) {
        if (!adapter_is_usable(&a, tun_luid) || adapter_index(&a, dst) == 0 ||
            !make_candidate(h, &a, dst, &c) || is_tun_address(h, list, tun_luid, &c.source) ||
            (found && !goes_before(&c, &best)))
            continue;
        best = c;
        found = true;
    }
    free(list);
    if (!found)
        return ERR_UNREACHABLE;
    *out = (struct source_best){.source = {.ip = best.source, .ifindex = best.route.ifindex},
                                .route = best.route};
    return ERR_OK;
}

uint32_t source_best_interface(const struct ip_helper *h, uint64_t tun_luid,
                               const struct ip_addr *address)
{
    struct ip_helper_adapter a;
    uint32_t found = 0;
    void *list;

    if (adapters_read(h, &list) != ERR_OK)
        return 0;
    for (size_t i = 0; found == 0 && h->adapter_at(h->ctx, list, i, &a); i++) {
        if (adapter_is_usable(&a, tun_luid) && adapter_has_address(&a, address))
            found = adapter_index(&a, address);
    }
    free(list);
    return found;
}

uint64_t source_best_luid(const struct ip_helper *h, uint32_t ifindex)
{
    struct ip_helper_adapter a;
    uint64_t found = 0;
    void *list;

    if (ifindex == 0 || adapters_read(h, &list) != ERR_OK)
        return 0;
    for (size_t i = 0; found == 0 && h->adapter_at(h->ctx, list, i, &a); i++) {
        if (a.ifindex == ifindex || a.ifindex_v6 == ifindex)
            found = a.luid;
    }
    free(list);
    return found;
}
