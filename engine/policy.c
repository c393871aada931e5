/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/policy.h"

#include <stdlib.h>
#include <string.h>

#include "engine/wire/ranges.h"
#include "platform/base/bytes.h"
#include "platform/base/sentinel.h"

/* ---- building ---- */

static struct policy_routes *routes_new(const struct engine_policy *from)
{
    struct route_entry *entries = calloc(from->routes_n + 1, sizeof *entries);
    struct policy_routes *r = calloc(1, sizeof *r);

    for (size_t i = 0; entries && i < from->routes_n; i++) {
        const struct engine_policy_route *x = &from->routes[i];
        ASSERT(x->resource < from->resources_n);
        entries[i] = (struct route_entry){x->prefix, x->resource, x->order};
    }
    if (r && entries)
        r->table = route_build(entries, from->routes_n);
    free(entries);
    if (r && !r->table) {
        free(r);
        return NULL;
    }
    return r;
}

static void routes_leave(struct policy_routes *r)
{
    if (!r || --r->users > 0)
        return;
    route_table_free(r->table);
    free(r);
}

static void own_set(struct policy *p, const struct engine_policy *from)
{
    p->has_v4 = from->ipv4.family == ADDR_V4;
    p->has_v6 = from->ipv6.family == ADDR_V6;
    memcpy(p->v4, from->ipv4.bytes, sizeof p->v4);
    memcpy(p->v6, from->ipv6.bytes, sizeof p->v6);
}

struct policy *policy_new(const struct engine_policy *from, const struct policy *before)
{
    size_t at =
        ALIGN_UP(sizeof(struct policy) + from->resources_n * sizeof(struct policy_resource), 8u);
    size_t size = at;

    ASSERT(from->stubs_n <= ENGINE_STUBS_MAX);
    for (size_t i = 0; i < from->resources_n; i++)
        size += filter_size(from->resources[i].rules, from->resources[i].rules_n);
    struct policy *p = malloc(size);
    if (!p)
        return NULL;
    memset(p, 0, sizeof *p);
    p->routes = from->same_routes && before ? before->routes : routes_new(from);
    if (!p->routes) {
        free(p);
        return NULL;
    }
    p->routes->users++;
    own_set(p, from);
    p->stubs_n = from->stubs_n;
    memcpy(p->stubs, from->stubs, sizeof p->stubs);
    p->resources_n = from->resources_n;
    for (size_t i = 0; i < from->resources_n; i++) {
        const struct engine_resource *r = &from->resources[i];
        struct filter *f = (struct filter *)(void *)((uint8_t *)p + at);
        p->resources[i] = (struct policy_resource){.filter = f,
                                                   .peer = r->peer,
                                                   .waits = r->waits,
                                                   .generation = r->generation,
                                                   .kind = r->kind};
        at += filter_build(f, r->rules, r->rules_n);
    }
    return p;
}

void policy_free(void *policy)
{
    struct policy *p = policy;

    if (p)
        routes_leave(p->routes);
    free(p);
}

/* ---- names ---- */

enum err policy_names_set(struct policy_names *names, struct snapshot_domain *d, uint32_t name,
                          const struct engine_name_target *targets, unsigned n)
{
    struct policy_page **page = &names->pages[name / POLICY_PAGE_NAMES];
    struct policy_name *next = NULL;

    ASSERT(name < ENGINE_NAMES_MAX && n <= ENGINE_NAME_TARGETS_MAX);
    if (!*page) {
        struct policy_page *fresh = calloc(1, sizeof *fresh);
        if (!fresh)
            return ERR_NO_MEMORY;
        snapshot_publish(d, page, fresh, NULL);
    }
    if (n > 0) {
        next = malloc(sizeof *next + n * sizeof next->targets[0]);
        if (!next)
            return ERR_NO_MEMORY;
        next->n = n;
        memcpy(next->targets, targets, n * sizeof next->targets[0]);
    }
    snapshot_publish(d, &(*page)->names[name % POLICY_PAGE_NAMES], next, free);
    return ERR_OK;
}

void policy_names_fini(struct policy_names *names)
{
    for (unsigned i = 0; i < POLICY_PAGES; i++) {
        for (unsigned k = 0; names->pages[i] && k < POLICY_PAGE_NAMES; k++)
            free(names->pages[i]->names[k]);
        free(names->pages[i]);
    }
}

static const struct policy_name *name_find(const struct policy_names *names, uint32_t name)
{
    const struct policy_page *page = snapshot_read(&names->pages[name / POLICY_PAGE_NAMES]);
    return page ? snapshot_read(&page->names[name % POLICY_PAGE_NAMES]) : NULL;
}

static const struct policy_name *name_of_address(const struct policy_names *names, unsigned version,
                                                 const uint8_t *addr)
{
    uint32_t name = version == 4 ? proxy_name_v4(addr) : proxy_name_v6(addr);
    return name == PROXY_NAME_NONE ? NULL : name_find(names, name);
}

/* NULL: it is not there any more, or has not this family. */
static const struct policy_resource *
target_resource(const struct policy *p, const struct engine_name_target *t, unsigned version)
{
    if (!(version == 4 ? t->v4 : t->v6) || t->resource >= p->resources_n)
        return NULL;
    const struct policy_resource *r = &p->resources[t->resource];
    return r->kind == ENGINE_RESOURCE_DNS && r->generation == t->generation ? r : NULL;
}

/* ---- deciding ---- */

static enum verdict name_decide(const struct policy *p, const struct policy_name *name,
                                unsigned version, struct packet_class class,
                                struct policy_choice *choice)
{
    enum verdict verdict = VERDICT_OUT_NO_ROUTE;

    for (unsigned i = 0; i < name->n; i++) {
        const struct engine_name_target *t = &name->targets[i];
        const struct policy_resource *r = target_resource(p, t, version);
        if (!r)
            continue;
        if (filter_permits(r->filter, class.kind, class.dst)) {
            *choice = (struct policy_choice){r, t};
            return VERDICT_N;
        }
        verdict = VERDICT_OUT_PROHIBITED;
    }
    return verdict;
}

static enum verdict routes_decide(const struct policy *p, unsigned version, const uint8_t *dst,
                                  bool special, struct packet_class class,
                                  struct policy_choice *choice)
{
    struct route_cursor c;
    uint8_t kind = ENGINE_RESOURCE_NONE; /* of the first that covers it */

    for (uint32_t i = route_lookup_first(p->routes->table, version, dst, &c); i != ROUTE_NONE;
         i = route_lookup_next(&c)) {
        const struct policy_resource *r = &p->resources[i];
        if (r->kind == ENGINE_RESOURCE_NONE || (special && r->kind == ENGINE_RESOURCE_INTERNET))
            continue;
        if (kind != ENGINE_RESOURCE_NONE && kind != r->kind)
            continue;
        if (filter_permits(r->filter, class.kind, class.dst)) {
            *choice = (struct policy_choice){r, NULL};
            return VERDICT_N;
        }
        kind = r->kind;
    }
    return kind == ENGINE_RESOURCE_NONE ? VERDICT_OUT_NO_ROUTE : VERDICT_OUT_PROHIBITED;
}

static enum verdict stub_decide(const struct policy *p, const struct ip_view *v, const uint8_t *dst)
{
    size_t len = v->version == 4 ? 4 : 16;

    if (v->dst_port != 53 || (v->proto != IP_PROTO_UDP && v->proto != IP_PROTO_TCP))
        return VERDICT_OUT_STUB_OTHER;
    for (unsigned i = 0; i < p->stubs_n; i++) {
        if (p->stubs[i].family == v->version && memcmp(p->stubs[i].bytes, dst, len) == 0)
            return VERDICT_OUT_STUB;
    }
    return VERDICT_OUT_STUB_OTHER;
}

bool policy_is_own(const struct policy *p, unsigned version, const uint8_t *addr)
{
    return version == 4 ? p->has_v4 && memcmp(addr, p->v4, 4) == 0
                        : p->has_v6 && memcmp(addr, p->v6, 16) == 0;
}

enum verdict policy_decide(const struct policy *p, const struct policy_names *names,
                           const struct ip_view *v, const uint8_t *packet,
                           struct policy_choice *choice)
{
    const uint8_t *dst = ip_dst_ptr(packet, v->version);

    if (UNLIKELY(!ip_l4_valid(v, packet)))
        return v->fragment ? VERDICT_OUT_FRAGMENT : VERDICT_OUT_MALFORMED;
    if (UNLIKELY(ip_is_multicast(v->version, dst)))
        return VERDICT_OUT_MULTICAST;
    if (UNLIKELY(!p))
        return VERDICT_OUT_NO_ROUTE;
    if (UNLIKELY(!policy_is_own(p, v->version, ip_src_ptr(packet, v->version))))
        return VERDICT_OUT_BAD_SOURCE;
    if (UNLIKELY(policy_is_own(p, v->version, dst)))
        return VERDICT_OUT_TO_SELF;
    bool special = range_is_special(v->version, dst);
    if (special && sentinel_has(v->version, dst))
        return stub_decide(p, v, dst);
    struct packet_class class = packet_classify(v, packet);
    if (UNLIKELY(!packet_is_flow(class.kind)))
        return VERDICT_OUT_UNSUPPORTED;
    if (special) {
        const struct policy_name *name = name_of_address(names, v->version, dst);
        enum verdict verdict = VERDICT_OUT_NO_ROUTE;
        if (name)
            verdict = name_decide(p, name, v->version, class, choice);
        if (verdict != VERDICT_OUT_NO_ROUTE)
            return verdict;
    }
    return routes_decide(p, v->version, dst, special, class, choice);
}

bool policy_covers(const struct policy *p, const struct policy_names *names, unsigned version,
                   const uint8_t *addr, uint32_t peer)
{
    const struct policy_name *name =
        range_is_special(version, addr) ? name_of_address(names, version, addr) : NULL;
    struct route_cursor c;

    for (unsigned i = 0; name && i < name->n; i++) {
        const struct policy_resource *r = target_resource(p, &name->targets[i], version);
        if (r && r->peer == peer)
            return true;
    }
    for (uint32_t i = route_lookup_first(p->routes->table, version, addr, &c); i != ROUTE_NONE;
         i = route_lookup_next(&c)) {
        if (p->resources[i].kind != ENGINE_RESOURCE_NONE && p->resources[i].peer == peer)
            return true;
    }
    return false;
}
