/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/grants_private.h"

#include <stdlib.h>
#include <string.h>

#include "engine/wire/ranges.h"
#include "platform/base/bytes.h"

/* ---- building ---- */

static struct route_table *routes_new(const struct engine_grants *from)
{
    struct route_entry *entries = calloc(from->n + 1, sizeof *entries);
    struct route_table *table = NULL;
    size_t n = 0;

    for (size_t i = 0; entries && i < from->n; i++) {
        if (from->grants[i].kind == ENGINE_GRANT_CIDR)
            entries[n++] =
                (struct route_entry){from->grants[i].prefix, (uint32_t)i, from->grants[i].order};
    }
    if (entries)
        table = route_build(entries, n);
    free(entries);
    return table;
}

struct grants *grants_new(const struct engine_grants *from)
{
    size_t at = ALIGN_UP(sizeof(struct grants) + from->n * sizeof(struct grant), 8u), size = at;

    for (size_t i = 0; i < from->n; i++)
        size += filter_size(from->grants[i].rules, from->grants[i].rules_n);
    struct grants *g = malloc(size);
    struct route_table *routes = g ? routes_new(from) : NULL;
    if (!routes) {
        free(g);
        return NULL;
    }
    memset(g, 0, sizeof *g);
    g->routes = routes;
    g->has_v4 = from->ipv4.family == ADDR_V4;
    g->has_v6 = from->ipv6.family == ADDR_V6;
    memcpy(g->v4, from->ipv4.bytes, sizeof g->v4);
    memcpy(g->v6, from->ipv6.bytes, sizeof g->v6);
    g->n = from->n;
    for (size_t i = 0; i < from->n; i++) {
        const struct engine_grant *x = &from->grants[i];
        struct filter *f = (struct filter *)(void *)((uint8_t *)g + at);
        g->list[i] = (struct grant){.filter = f, .index = x->index, .kind = x->kind};
        at += filter_build(f, x->rules, x->rules_n);
        g->internet = g->internet || x->kind == ENGINE_GRANT_INTERNET;
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

/* What no Internet resource leads to. The tunnel's own ranges have been looked at before. Source: spec/tunnel.md 8.3. */
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

static enum grants_answer routes_permit(const struct grants *g, unsigned version,
                                        const uint8_t *addr, uint8_t kind, uint16_t port)
{
    struct route_cursor c;

    for (uint32_t i = route_lookup_first(g->routes, version, addr, &c); i != ROUTE_NONE;
         i = route_lookup_next(&c)) {
        if (filter_permits(g->list[i].filter, kind, port))
            return GRANTS_PERMIT;
    }
    return GRANTS_PROHIBIT;
}

static bool names_permit(const struct grants *g, const struct nat_translation *t, uint8_t kind,
                         uint16_t port)
{
    for (size_t i = 0; i < g->n; i++) {
        const struct grant *x = &g->list[i];
        if (x->kind != ENGINE_GRANT_DNS)
            continue;
        for (unsigned k = 0; k < t->grants_n; k++) {
            if (t->grants[k] == x->index && filter_permits(x->filter, kind, port))
                return true;
        }
    }
    return false;
}

enum grants_answer grants_decide(const struct grants *g, const struct nat_translation *t,
                                 unsigned version, const uint8_t *addr, uint8_t kind, uint16_t port)
{
    if (t)
        return names_permit(g, t, kind, port) ? GRANTS_PERMIT : GRANTS_PROHIBIT;
    if (range_is_proxy(version, addr))
        return GRANTS_PROHIBIT;
    if (g->internet)
        return internet_rejects(version, addr) ? GRANTS_REJECT : GRANTS_PERMIT;
    return routes_permit(g, version, addr, kind, port);
}
