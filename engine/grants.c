/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/grants_private.h"

#include <stdlib.h>
#include <string.h>

#include "engine/wire/ranges.h"
#include "platform/base/bytes.h"

/* ---- building ---- */

static int compare(const void *a, const void *b)
{
    const struct grant *x = a, *y = b;
    return (x->index > y->index) - (x->index < y->index);
}

/* False: out of memory. */
static bool routes_build(struct grants *g, const struct engine_grants *from)
{
    struct route_entry *entries = calloc(g->n + 1, sizeof *entries);
    size_t n = 0;

    for (uint32_t i = 0; entries && i < g->n; i++) {
        const struct engine_grant *x = &from->grants[g->list[i].place];
        if (x->kind == ENGINE_GRANT_CIDR)
            entries[n++] = (struct route_entry){x->prefix, i, x->order};
    }
    if (entries && n > 0)
        g->routes = route_build(entries, n);
    free(entries);
    return entries && (n == 0 || g->routes);
}

struct grants *grants_new(const struct engine_grants *from)
{
    size_t at = ALIGN_UP(sizeof(struct grants) + from->n * sizeof(struct grant), 8u), size = at;

    for (size_t i = 0; i < from->n; i++)
        size += filter_size(from->grants[i].rules, from->grants[i].rules_n);
    struct grants *g = malloc(size);
    if (!g)
        return NULL;
    memset(g, 0, sizeof *g);
    g->has_v4 = from->ipv4.family == ADDR_V4;
    g->has_v6 = from->ipv6.family == ADDR_V6;
    memcpy(g->v4, from->ipv4.bytes, sizeof g->v4);
    memcpy(g->v6, from->ipv6.bytes, sizeof g->v6);
    g->n = from->n;
    for (size_t i = 0; i < from->n; i++) {
        const struct engine_grant *x = &from->grants[i];
        struct filter *f = (struct filter *)(void *)((uint8_t *)g + at);
        g->list[i] = (struct grant){f, (uint32_t)i, x->index, x->kind};
        at += filter_build(f, x->rules, x->rules_n);
        g->internet = g->internet || x->kind == ENGINE_GRANT_INTERNET;
    }
    qsort(g->list, g->n, sizeof g->list[0], compare);
    if (!routes_build(g, from)) {
        free(g);
        return NULL;
    }
    return g;
}

void grants_free(void *grants)
{
    struct grants *g = grants;

    if (g)
        route_table_free(g->routes);
    free(g);
}

/* ---- deciding ---- */

const struct grant *grants_dns(const struct grants *g, uint16_t index)
{
    size_t low = 0, high = g ? g->n : 0;

    while (low < high) { /* the first that is not below it */
        size_t middle = low + (high - low) / 2;
        if (g->list[middle].index < index)
            low = middle + 1;
        else
            high = middle;
    }
    if (!g || low == g->n || g->list[low].index != index || g->list[low].kind != ENGINE_GRANT_DNS)
        return NULL;
    return &g->list[low];
}

static bool names_permit(const struct grants *g, const struct nat_name *name, uint8_t kind,
                         uint16_t port)
{
    for (unsigned i = 0; i < name->grants_n; i++) {
        const struct grant *x = grants_dns(g, name->grants[i]);
        if (x && filter_permits(x->filter, kind, port))
            return true;
    }
    return false;
}

static bool routes_permit(const struct grants *g, unsigned version, const uint8_t *addr,
                          uint8_t kind, uint16_t port)
{
    struct route_cursor c;

    for (uint32_t i = route_lookup_first(g->routes, version, addr, &c); i != ROUTE_NONE;
         i = route_lookup_next(&c)) {
        if (filter_permits(g->list[i].filter, kind, port))
            return true;
    }
    return false;
}

static bool internet_permits(const struct grants *g, uint8_t kind, uint16_t port)
{
    for (size_t i = 0; i < g->n; i++) {
        if (g->list[i].kind == ENGINE_GRANT_INTERNET &&
            filter_permits(g->list[i].filter, kind, port))
            return true;
    }
    return false;
}

/* What no Internet resource leads to. Source: spec/tunnel.md 8.3. */
static bool internet_rejects(unsigned version, const uint8_t *a)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff}, loopback[16] = {[15] = 1};

    if (version == 6)
        return (a[0] & 0xfe) == 0xfc || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) || a[0] == 0xff ||
               memcmp(a, loopback, sizeof loopback) == 0 || memcmp(a, mapped, sizeof mapped) == 0;
    return a[0] == 10 || a[0] == 127 || a[0] >= 224 || (a[0] == 172 && (a[1] & 0xf0) == 16) ||
           (a[0] == 192 && a[1] == 168) || (a[0] == 169 && a[1] == 254) ||
           (a[0] == 100 && (a[1] & 0xc0) == 64);
}

enum grants_answer grants_decide(const struct grants *g, const struct nat_name *name,
                                 unsigned version, const uint8_t *addr, uint8_t kind, uint16_t port)
{
    if (name && names_permit(g, name, kind, port))
        return GRANTS_PERMIT;
    if (g->routes && routes_permit(g, version, addr, kind, port))
        return GRANTS_PERMIT;
    if (!g->internet || range_is_proxy(version, addr))
        return GRANTS_PROHIBIT;
    if (internet_rejects(version, addr))
        return GRANTS_REJECT;
    return internet_permits(g, kind, port) ? GRANTS_PERMIT : GRANTS_PROHIBIT;
}
