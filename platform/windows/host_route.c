/* SPDX-License-Identifier: Apache-2.0 */
/* See host_route.h. */
#include "platform/windows/host_route.h"

#include <stdlib.h>

#include "platform/base/log.h"
#include "platform/base/mem.h"

#define MODULE "host_route"

void host_routes_init(struct host_routes *r, const struct ip_helper *helper, struct own_hosts *own)
{
    *r = (struct host_routes){.helper = helper, .own = own};
}

static bool is_route_to(const struct ip_helper_route *route, const struct ip_addr *dst)
{
    return route->dst.len == ip_addr_bits(dst) && ip_addr_equal(&route->dst.ip, dst);
}

static bool same_way(const struct ip_helper_route *a, const struct ip_helper_route *b)
{
    return a->luid == b->luid && ip_addr_equal(&a->next_hop, &b->next_hop);
}

static void delete_route(struct host_routes *r, const struct ip_helper_route *route)
{
    char text[IP_TEXT_MAX];
    unsigned long e = r->helper->delete_route(r->helper->ctx, route);

    if (e != IP_HELPER_OK && e != IP_HELPER_NOT_FOUND)
        log_warn(MODULE, "the route to %s cannot be removed: error %lu",
                 ip_addr_format(&route->dst.ip, text, sizeof text), e);
}

/* NULL: not in use. */
static struct host_route *find(const struct host_routes *r, const struct ip_helper_route *route)
{
    struct host_route *h = r->list;

    while (h &&
           (h->stale || !is_route_to(&h->route, &route->dst.ip) || !same_way(&h->route, route)))
        h = h->next;
    return h;
}

/* Whether the table leads to the host this way without a route of ours. */
static bool is_confirmed(const struct host_route *h, const struct ip_helper_route *routes, size_t n)
{
    const struct ip_addr *dst = &h->route.dst.ip;

    for (size_t i = 0; i < n; i++) {
        if (!is_route_to(&routes[i], dst) && same_way(&routes[i], &h->route) &&
            ip_prefix_contains(&routes[i].dst, dst))
            return true;
    }
    return false;
}

/* A gateway of a network that the machine has left would be found again as the best way: by our own route to it. */
static void drop_stale(struct host_routes *r, const struct ip_addr *dst,
                       const struct ip_helper_route *routes, size_t n)
{
    for (struct host_route *h = r->list; h; h = h->next) {
        if (!h->ours || !is_route_to(&h->route, dst) || is_confirmed(h, routes, n))
            continue;
        delete_route(r, &h->route);
        h->ours = false;
        h->stale = true;
    }
}

void host_routes_sweep(struct host_routes *r, const struct ip_addr *dst)
{
    struct ip_helper_route *routes;
    size_t n;
    unsigned long e =
        r->helper->get_routes
            ? r->helper->get_routes(r->helper->ctx, ip_helper_family(dst), &routes, &n)
            : (unsigned long)IP_HELPER_NOT_SUPPORTED;

    own_hosts_add(r->own, dst);
    if (e != IP_HELPER_OK) {
        log_warn(MODULE, "the table of routes cannot be read: error %lu", e);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (is_route_to(&routes[i], dst) && !routes[i].loopback &&
            routes[i].protocol == IP_HELPER_PROTOCOL_NETMGMT && !find(r, &routes[i]))
            delete_route(r, &routes[i]);
    }
    drop_stale(r, dst, routes, n);
    r->helper->free_routes(r->helper->ctx, routes);
}

enum err host_routes_get(struct host_routes *r, const struct ip_addr *dst,
                         const struct ip_helper_route *way, struct host_route **out)
{
    struct ip_helper_route route = *way;
    char text[IP_TEXT_MAX];

    *out = NULL;
    route.dst = ip_prefix_host(dst);
    route.protocol = IP_HELPER_PROTOCOL_NETMGMT;
    struct host_route *h = find(r, &route);
    own_hosts_add(r->own, dst);
    /* Also for one that is in use: an adapter that was away has taken its routes along. */
    unsigned long e = r->helper->create_route(r->helper->ctx, &route);
    if (e != IP_HELPER_OK && e != IP_HELPER_ALREADY_EXISTS) {
        log_error(MODULE,
                  "the route to %s that keeps us out of the tunnel cannot be made: error %lu",
                  ip_addr_format(dst, text, sizeof text), e);
        return ERR_PERMISSION;
    }
    if (!h) {
        h = mem_zalloc(1, sizeof *h);
        *h = (struct host_route){.route = route, .next = r->list};
        r->list = h;
    }
    h->users++;
    h->ours = h->ours || e == IP_HELPER_OK;
    *out = h;
    return ERR_OK;
}

void host_routes_put(struct host_routes *r, struct host_route *route)
{
    struct host_route **at = &r->list;

    if (!route || --route->users > 0)
        return;
    while (*at != route)
        at = &(*at)->next;
    *at = route->next;
    if (route->ours)
        delete_route(r, &route->route);
    free(route);
}

void host_routes_fini(struct host_routes *r)
{
    while (r->list) {
        r->list->users = 1;
        host_routes_put(r, r->list);
    }
}
