/* SPDX-License-Identifier: Apache-2.0 */
/* See grants.h. */
#include "control/grants.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"

/* What only a live one has. */
static void clear(struct grant *grant)
{
    free(grant->rules);
    grant->rules = NULL;
    grant->rules_n = 0;
    grant->live = false;
}

void grants_fini(struct grants *g)
{
    for (unsigned i = 0; i < g->n; i++) {
        clear(&g->list[i]);
        free(g->list[i].address);
    }
    free(g->list);
    *g = (struct grants){.n = 0};
}

/* Also one that is over. */
static struct grant *find_any(const struct grants *g, const struct uuid *resource)
{
    for (unsigned i = 0; i < g->n; i++) {
        if (uuid_equal(&g->list[i].resource, resource))
            return &g->list[i];
    }
    return NULL;
}

struct grant *grants_find(const struct grants *g, const struct uuid *resource)
{
    struct grant *grant = find_any(g, resource);
    return grant && grant->live ? grant : NULL;
}

static void set_filters(struct grant *grant, const json_t *filters)
{
    static const uint8_t protocols[] = {
        [PROTOCOL_TCP] = FILTER_TCP, [PROTOCOL_UDP] = FILTER_UDP, [PROTOCOL_ICMP] = FILTER_ICMP};

    free(grant->rules);
    grant->rules_n = json_array_size(filters);
    grant->rules = mem_zalloc(grant->rules_n, sizeof *grant->rules);
    for (size_t i = 0; i < grant->rules_n; i++) {
        struct message_filter f = message_filter_at(filters, i);
        grant->rules[i] = (struct filter_rule){
            .protocol = protocols[f.protocol], .first = f.port_first, .last = f.port_last};
    }
}

bool grants_set_filters(struct grant *grant, const struct message_resource *r)
{
    if (grant->kind != r->kind)
        return false;
    set_filters(grant, r->filters);
    return true;
}

/* Whether it leads to the same places as before. */
static bool same_places(const struct grant *grant, const struct message_resource *r)
{
    if (grant->kind != r->kind)
        return false;
    switch (r->kind) {
    case RESOURCE_DNS:
        return strcmp(grant->address, r->address) == 0;
    case RESOURCE_CIDR:
        return grant->prefix.len == r->prefix.len &&
               ip_addr_equal(&grant->prefix.ip, &r->prefix.ip);
    case RESOURCE_INTERNET:
    case RESOURCE_STATIC_POOL:
    case RESOURCE_DYNAMIC_POOL:
        break;
    }
    return true;
}

static struct grant *append(struct grants *g, const struct message_resource *r)
{
    char why[128];

    if (g->n == GRANTS_MAX)
        return NULL;
    g->list = mem_grow(g->list, g->n, sizeof *g->list);
    struct grant *grant = &g->list[g->n++];
    *grant = (struct grant){.resource = r->id, .kind = r->kind, .prefix = r->prefix};
    if (r->kind != RESOURCE_DNS)
        return grant;
    grant->address = mem_dup_text(r->address, strlen(r->address));
    if (dns_pattern_init(&grant->pattern, grant->address, why, sizeof why) != ERR_OK)
        log_warn("clients", "resource '%s' is named by what is no pattern: %s", r->name, why);
    return grant;
}

/* Names of other places may be translated under the index that it had. */
static void give_up_index(struct grants *g, struct grant *grant)
{
    g->live -= grant->live;
    clear(grant);
    grant->resource = (struct uuid){{0}};
}

bool grants_put(struct grants *g, const struct message_resource *r, time_ns expires_at)
{
    struct grant *grant = find_any(g, &r->id);

    if (grant && !same_places(grant, r)) {
        give_up_index(g, grant);
        grant = NULL;
    }
    if (!grant)
        grant = append(g, r);
    if (!grant)
        return false;
    set_filters(grant, r->filters);
    g->live += !grant->live;
    grant->live = true;
    grant->expires_at = expires_at;
    return true;
}

void grants_remove(struct grants *g, struct grant *grant)
{
    ASSERT(grant->live);
    clear(grant);
    g->live--;
}

time_ns grants_first_expiry(const struct grants *g)
{
    time_ns first = TIME_NEVER;

    for (unsigned i = 0; i < g->n; i++) {
        if (g->list[i].live)
            first = time_min(first, g->list[i].expires_at);
    }
    return first;
}

/* ---- for the engine ---- */

/* Of networks that are equal the resource with the greater id comes first. */
static int by_resource(const void *a, const void *b)
{
    const struct grant *const *x = a, *const *y = b;
    return memcmp((*y)->resource.bytes, (*x)->resource.bytes, UUID_LEN);
}

struct engine_grant *grants_for_engine(const struct grants *g)
{
    static const uint8_t kinds[] = {[RESOURCE_DNS] = ENGINE_GRANT_DNS,
                                    [RESOURCE_CIDR] = ENGINE_GRANT_CIDR,
                                    [RESOURCE_INTERNET] = ENGINE_GRANT_INTERNET};
    struct engine_grant *out = mem_zalloc(g->live, sizeof *out);
    const struct grant **live = mem_zalloc(g->live, sizeof *live);
    unsigned n = 0;

    for (unsigned i = 0; i < g->n; i++) {
        if (g->list[i].live)
            live[n++] = &g->list[i];
    }
    qsort(live, n, sizeof *live, by_resource);
    for (unsigned i = 0; i < n; i++) {
        ASSERT(live[i]->kind < ARRAY_LEN(kinds));
        out[i] = (struct engine_grant){.index = grants_index(g, live[i]),
                                       .kind = kinds[live[i]->kind],
                                       .prefix = live[i]->prefix,
                                       .order = i,
                                       .rules = live[i]->rules,
                                       .rules_n = live[i]->rules_n};
    }
    free(live);
    return out;
}
