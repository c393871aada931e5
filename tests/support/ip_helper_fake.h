/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP Helper as tables: adapters, routes per adapter, metrics. What the program creates and deletes changes the table of routes.
 * Best routes are answered as Windows documents them, by a search of its own.
 */
#ifndef FZ_TEST_IP_HELPER_FAKE_H
#define FZ_TEST_IP_HELPER_FAKE_H

#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/windows/ip_helper.h"

enum {
    FAKE_ADAPTERS_MAX = 12,
    FAKE_ROUTES_MAX = 64,
    FAKE_HEADER = 8
};

struct fake_helper {
    struct ip_helper helper; /* .ctx is this */
    struct ip_helper_adapter adapters[FAKE_ADAPTERS_MAX];
    unsigned adapters_n;
    uint32_t metrics[FAKE_ADAPTERS_MAX]; /* of the interfaces */
    bool metric_fails[FAKE_ADAPTERS_MAX];
    bool best_fails[FAKE_ADAPTERS_MAX];
    unsigned source_family[FAKE_ADAPTERS_MAX]; /* 1: the right one; else as it is told */
    struct ip_addr lent[FAKE_ADAPTERS_MAX];    /* the source instead of an own one; ADDR_NONE: no */
    uint64_t route_luid[FAKE_ADAPTERS_MAX];    /* what the row says instead; 0: the truth */
    struct ip_helper_route routes[FAKE_ROUTES_MAX];
    unsigned routes_n;

    unsigned long best_error;  /* of all, 0: none */
    unsigned long list_error;  /* of get_adapters, 0: none */
    unsigned long list_needed; /* bytes; grows by list_growth with each call */
    unsigned long list_growth;
    unsigned list_calls;
    unsigned long create_error, delete_error, table_error;
    unsigned tables_out; /* given, and not given back */
};

static inline unsigned long fake_get_adapters(void *ctx, void *buf, unsigned long *size)
{
    struct fake_helper *f = ctx;
    uint32_t n = f->adapters_n;

    f->list_calls++;
    if (f->list_error != 0)
        return f->list_error;
    if (*size < f->list_needed) {
        *size = f->list_needed;
        f->list_needed += f->list_growth;
        return IP_HELPER_BUFFER_OVERFLOW;
    }
    memcpy(buf, &n, sizeof n);
    return IP_HELPER_OK;
}

static inline bool fake_adapter_at(void *ctx, const void *buf, size_t i,
                                   struct ip_helper_adapter *out)
{
    const struct fake_helper *f = ctx;
    uint32_t n;

    memcpy(&n, buf, sizeof n);
    if (i >= n)
        return false;
    *out = f->adapters[i];
    return true;
}

static inline unsigned fake_number(const struct fake_helper *f, uint64_t luid)
{
    unsigned i = 0;
    while (i < f->adapters_n && f->adapters[i].luid != luid)
        i++;
    return i;
}

static inline unsigned long fake_best_route(void *ctx, uint64_t luid, const struct ip_addr *dst,
                                            struct ip_helper_route *route,
                                            struct ip_helper_source *source)
{
    const struct fake_helper *f = ctx;
    const struct ip_helper_route *best = NULL;
    unsigned a = fake_number(f, luid);

    if (f->best_error != 0)
        return f->best_error;
    if (a == f->adapters_n || f->best_fails[a])
        return 1231; /* ERROR_NETWORK_UNREACHABLE */
    for (unsigned i = 0; i < f->routes_n; i++) {
        const struct ip_helper_route *r = &f->routes[i];
        if (r->luid == luid && ip_prefix_contains(&r->dst, dst) &&
            (!best || r->dst.len > best->dst.len ||
             (r->dst.len == best->dst.len && r->metric < best->metric)))
            best = r;
    }
    const struct ip_addr *from = NULL;
    for (unsigned i = 0; i < f->adapters[a].addresses_n && !from; i++) {
        if (f->adapters[a].addresses[i].ip.family == dst->family)
            from = &f->adapters[a].addresses[i].ip;
    }
    if (f->lent[a].family != ADDR_NONE)
        from = &f->lent[a];
    if (!best || !from)
        return 1231;
    *route = *best;
    if (f->route_luid[a] != 0)
        route->luid = f->route_luid[a];
    source->family = f->source_family[a] == 1 ? ip_helper_family(dst) : f->source_family[a];
    memcpy(source->bytes, from->bytes, sizeof source->bytes);
    return IP_HELPER_OK;
}

static inline unsigned long fake_interface_metric(void *ctx, uint64_t luid, unsigned family,
                                                  uint32_t *metric)
{
    const struct fake_helper *f = ctx;
    unsigned a = fake_number(f, luid);

    (void)family;
    *metric = 77; /* of no meaning when it fails */
    if (a == f->adapters_n || f->metric_fails[a])
        return IP_HELPER_NOT_FOUND;
    *metric = f->metrics[a];
    return IP_HELPER_OK;
}

static inline unsigned long fake_get_routes(void *ctx, unsigned family,
                                            struct ip_helper_route **out, size_t *n)
{
    struct fake_helper *f = ctx;

    if (f->table_error != 0)
        return f->table_error;
    *out = calloc(FAKE_ROUTES_MAX, sizeof **out);
    *n = 0;
    for (unsigned i = 0; *out && i < f->routes_n; i++) {
        if (ip_helper_family(&f->routes[i].dst.ip) == family)
            (*out)[(*n)++] = f->routes[i];
    }
    f->tables_out++;
    return IP_HELPER_OK;
}

static inline void fake_free_routes(void *ctx, struct ip_helper_route *routes)
{
    struct fake_helper *f = ctx;
    free(routes);
    f->tables_out--;
}

static inline bool fake_same_route(const struct ip_helper_route *a, const struct ip_helper_route *b)
{
    return a->luid == b->luid && a->dst.len == b->dst.len &&
           ip_addr_equal(&a->dst.ip, &b->dst.ip) && ip_addr_equal(&a->next_hop, &b->next_hop);
}

static inline unsigned long fake_create_route(void *ctx, const struct ip_helper_route *route)
{
    struct fake_helper *f = ctx;

    if (f->create_error != 0)
        return f->create_error;
    for (unsigned i = 0; i < f->routes_n; i++) {
        if (fake_same_route(&f->routes[i], route))
            return IP_HELPER_ALREADY_EXISTS;
    }
    ASSERT(f->routes_n < FAKE_ROUTES_MAX);
    f->routes[f->routes_n++] = *route;
    return IP_HELPER_OK;
}

static inline unsigned long fake_delete_route(void *ctx, const struct ip_helper_route *route)
{
    struct fake_helper *f = ctx;

    if (f->delete_error != 0)
        return f->delete_error;
    for (unsigned i = 0; i < f->routes_n; i++) {
        if (fake_same_route(&f->routes[i], route)) {
            f->routes[i] = f->routes[--f->routes_n];
            return IP_HELPER_OK;
        }
    }
    return IP_HELPER_NOT_FOUND;
}

static inline void fake_helper_init(struct fake_helper *f)
{
    memset(f, 0, sizeof *f);
    f->list_needed = 1000;
    for (unsigned i = 0; i < FAKE_ADAPTERS_MAX; i++)
        f->source_family[i] = 1;
    f->helper = (struct ip_helper){.ctx = f,
                                   .get_adapters = fake_get_adapters,
                                   .adapter_at = fake_adapter_at,
                                   .best_route = fake_best_route,
                                   .interface_metric = fake_interface_metric,
                                   .get_routes = fake_get_routes,
                                   .free_routes = fake_free_routes,
                                   .create_route = fake_create_route,
                                   .delete_route = fake_delete_route};
}

#endif
