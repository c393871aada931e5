/* SPDX-License-Identifier: Apache-2.0 */
#include "control/access.h"

#include <stdlib.h>
#include <string.h>

#include "control/access_private.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/clock.h"

#define ROOM_AGAIN_NS (1 * NS_PER_SEC) /* between two looks whether the tunnel has room */

static struct entry **bucket_of_id(struct access *a, const struct uuid *resource)
{
    return &a->by_id[load_le32(resource->bytes) % ACCESS_BUCKETS];
}

static struct way **bucket_of_prefix(struct access *a, const struct ip_prefix *p)
{
    uint64_t h = (load_le64(p->ip.bytes) ^ load_le64(p->ip.bytes + 8) ^ p->len) *
                 UINT64_C(0x9e3779b97f4a7c15);
    return &a->by_prefix[(h >> 40) % ACCESS_BUCKETS];
}

struct entry *access_find(struct access *a, const struct uuid *resource)
{
    struct entry *e = *bucket_of_id(a, resource);

    while (e && !uuid_equal(&e->resource, resource))
        e = e->next_id;
    return e;
}

uint32_t access_group_of(const struct uuid *site)
{
    return load_le32(site->bytes) >> 1;
}

/* ---- the tunnel's side of a resource ---- */

/* Another resource's way that has the same route; NULL: none. */
static struct way *prefix_shared(struct access *a, const struct way *w)
{
    struct way *other = *bucket_of_prefix(a, &w->prefix);

    while (other && (other == w || !other->routed || other->prefix.len != w->prefix.len ||
                     !ip_addr_equal(&other->prefix.ip, &w->prefix.ip)))
        other = other->next_prefix;
    return other;
}

static void route_add(struct access *a, struct way *w)
{
    if (!prefix_shared(a, w))
        tunnel_p2p_route(a->tunnel, &w->prefix, true);
    w->routed = true;
}

static void route_remove(struct access *a, struct way *w)
{
    if (w->routed && !prefix_shared(a, w))
        tunnel_p2p_route(a->tunnel, &w->prefix, false);
    w->routed = false;
}

static enum engine_resource_kind kind_of(const struct entry *e)
{
    switch (e->kind) {
    case RESOURCE_DNS:
        return ENGINE_RESOURCE_DNS;
    case RESOURCE_CIDR:
        return ENGINE_RESOURCE_CIDR;
    case RESOURCE_INTERNET:
        return ENGINE_RESOURCE_INTERNET;
    case RESOURCE_STATIC_POOL:
    case RESOURCE_DYNAMIC_POOL:
        break;
    }
    return ENGINE_RESOURCE_NONE;
}

/* False: there is no room. */
static bool connect_entry(struct access *a, struct entry *e)
{
    struct ip_prefix prefixes[ACCESS_PREFIXES_MAX];
    struct tunnel_resource_spec spec = {.kind = kind_of(e),
                                        .id = e->resource,
                                        .prefixes = prefixes,
                                        .prefixes_n = e->ways_n,
                                        .rules = e->rules,
                                        .rules_n = e->rules_n,
                                        .group = access_group_of(&e->site),
                                        .arg = e};

    for (unsigned i = 0; i < e->ways_n; i++)
        prefixes[i] = e->ways[i].prefix;
    e->tunnel = tunnel_resource_add(a->tunnel, &spec);
    if (!e->tunnel) {
        if (!a->full)
            log_warn("access", "resource '%s' cannot be reached: there are too many", e->name);
        a->full = true;
        return false;
    }
    a->full = false;
    for (unsigned i = 0; i < e->ways_n; i++)
        route_add(a, &e->ways[i]);
    access_names_reachable(a, e);
    return true;
}

static void disconnect_entry(struct access *a, struct entry *e)
{
    if (!e->tunnel)
        return;
    for (unsigned i = 0; i < e->ways_n; i++)
        route_remove(a, &e->ways[i]);
    tunnel_resource_remove(e->tunnel);
    e->tunnel = NULL;
}

/* ---- resources ---- */

/* False: it is of no use here. Its prefixes in `out`, *n of them. */
static bool prefixes_of(const struct access *a, const struct resource *r,
                        struct ip_prefix out[ACCESS_PREFIXES_MAX], unsigned *n)
{
    *n = 0;
    switch (r->kind) {
    case RESOURCE_DNS:
        return true;
    case RESOURCE_CIDR:
        out[(*n)++] = r->prefix;
        return true;
    case RESOURCE_INTERNET:
        out[(*n)++] = (struct ip_prefix){.ip.family = ADDR_V4};
        out[(*n)++] = (struct ip_prefix){.ip.family = ADDR_V6};
        return a->internet;
    case RESOURCE_STATIC_POOL:
    case RESOURCE_DYNAMIC_POOL:
        break;
    }
    return false;
}

static struct filter_rule rule_of(const struct message_filter *f)
{
    static const uint8_t protocols[] = {
        [PROTOCOL_TCP] = FILTER_TCP, [PROTOCOL_UDP] = FILTER_UDP, [PROTOCOL_ICMP] = FILTER_ICMP};

    return (struct filter_rule){
        .protocol = protocols[f->protocol], .first = f->port_first, .last = f->port_last};
}

static void add_way(struct access *a, struct entry *e, const struct ip_prefix *prefix)
{
    struct way *w = &e->ways[e->ways_n++], **bucket = bucket_of_prefix(a, prefix);

    *w = (struct way){.entry = e, .prefix = *prefix, .next_prefix = *bucket};
    *bucket = w;
}

static void add(struct access *a, const struct resource *r, const struct ip_prefix *prefixes,
                unsigned n)
{
    struct entry *e = mem_zalloc(1, sizeof *e);

    e->resource = r->id;
    e->site = r->site;
    e->name = mem_dup_text(r->name, strlen(r->name));
    e->kind = r->kind;
    e->pattern = mem_dup_text(r->address, strlen(r->address));
    e->ip_stack = r->ip_stack;
    e->rules = mem_zalloc(r->filters_n, sizeof *e->rules);
    e->rules_n = r->filters_n;
    for (size_t i = 0; i < r->filters_n; i++)
        e->rules[i] = rule_of(&r->filters[i]);
    e->next = a->list;
    e->link = &a->list;
    if (e->next)
        e->next->link = &e->next;
    a->list = e;
    struct entry **bucket = bucket_of_id(a, &e->resource);
    e->next_id = *bucket;
    *bucket = e;
    for (unsigned i = 0; i < n; i++)
        add_way(a, e, &prefixes[i]);
    if (a->tunnel)
        loop_timer_set(a->loop, &a->timer, clock_now());
}

static void rename_entry(struct entry *e, const char *name)
{
    free(e->name);
    e->name = mem_dup_text(name, strlen(name));
}

static void entry_free(struct entry *e)
{
    free(e->name);
    free(e->pattern);
    free(e->rules);
    free(e);
}

static void take_out_way(struct access *a, struct way *w)
{
    struct way **at = bucket_of_prefix(a, &w->prefix);

    while (*at != w)
        at = &(*at)->next_prefix;
    *at = w->next_prefix;
}

/* Something of ours is still reached through this gateway. */
static bool gateway_in_use(const struct access *a, const struct uuid *gateway)
{
    const struct entry *e = a->list;

    while (e && !uuid_equal(&e->gateway.id, gateway))
        e = e->next;
    return e != NULL;
}

static void take_out(struct access *a, struct entry *e)
{
    struct entry **at = bucket_of_id(a, &e->resource);
    struct uuid gateway = e->gateway.id;

    access_names_forget(a, e);
    disconnect_entry(a, e);
    for (unsigned i = 0; i < e->ways_n; i++)
        take_out_way(a, &e->ways[i]);
    while (*at != e)
        at = &(*at)->next_id;
    *at = e->next_id;
    *e->link = e->next;
    if (e->next)
        e->next->link = e->link;
    if (!uuid_is_nil(&gateway))
        a->events->granted(a->arg, &e->resource, NULL);
    entry_free(e);
    if (!uuid_is_nil(&gateway) && !gateway_in_use(a, &gateway))
        peers_close(a->peers, &gateway);
}

/* New ones stand at the front of the list. What shall be asked for again is, if it can. */
static void on_timer(void *arg)
{
    struct access *a = arg;
    time_ns end = clock_now() + ACCESS_STEP_US * NS_PER_US, next = TIME_NEVER;

    access_ask_held(a);
    for (struct entry *e = a->list; e && next == TIME_NEVER && a->tunnel; e = e->next) {
        if (e->tunnel)
            continue;
        if (!connect_entry(a, e))
            next = clock_now() + ROOM_AGAIN_NS;
        else if (clock_now() >= end)
            next = clock_now();
    }
    if (next == TIME_NEVER && !access_names_step(a, end))
        next = clock_now();
    next = time_min(next, access_names_poll_timeout(a));
    if (next != TIME_NEVER && !loop_timer_armed(&a->timer))
        loop_timer_set(a->loop, &a->timer, next);
}

static bool same_filters(const struct entry *e, const struct resource *r)
{
    bool same = e->rules_n == r->filters_n;

    for (size_t i = 0; i < e->rules_n && same; i++) {
        struct filter_rule rule = rule_of(&r->filters[i]);
        same = e->rules[i].protocol == rule.protocol && e->rules[i].first == rule.first &&
               e->rules[i].last == rule.last;
    }
    return same;
}

/* A new name, or a description, disturbs nothing. */
static bool same_way(const struct entry *e, const struct resource *r,
                     const struct ip_prefix *prefixes, unsigned n)
{
    bool same = e->kind == r->kind && e->ways_n == n && uuid_equal(&e->site, &r->site) &&
                e->ip_stack == r->ip_stack && same_filters(e, r) &&
                (e->kind != RESOURCE_DNS || strcmp(e->pattern, r->address) == 0);

    for (unsigned i = 0; i < n && same; i++)
        same = e->ways[i].prefix.len == prefixes[i].len &&
               ip_addr_equal(&e->ways[i].prefix.ip, &prefixes[i].ip);
    return same;
}

void access_resource(struct access *a, enum resource_change change, const struct resource *r)
{
    struct ip_prefix prefixes[ACCESS_PREFIXES_MAX];
    unsigned n = 0;
    bool wanted = change != RESOURCE_REMOVED && prefixes_of(a, r, prefixes, &n);
    struct entry *e = access_find(a, &r->id);

    if (e && (!wanted || !same_way(e, r, prefixes, n)))
        take_out(a, e);
    else if (e)
        rename_entry(e, r->name);
    if (wanted && !access_find(a, &r->id))
        add(a, r, prefixes, n);
}

struct entry *access_find_addr(struct access *a, const struct ip_addr *addr)
{
    struct ip_prefix prefix = ip_prefix_host(addr);
    struct entry *found = NULL;

    for (int len = prefix.len; len >= 0 && !found; len--) {
        prefix = (struct ip_prefix){.ip = *addr, .len = (uint8_t)len};
        ip_prefix_mask(&prefix);
        for (struct way *w = *bucket_of_prefix(a, &prefix); w; w = w->next_prefix) {
            if (w->prefix.len == prefix.len && ip_addr_equal(&w->prefix.ip, &prefix.ip) &&
                (!found || uuid_compare(&w->entry->resource, &found->resource) > 0))
                found = w->entry;
        }
    }
    return found;
}

bool access_want_granted(struct access *a, const struct ip_addr *addr)
{
    struct ip_prefix prefix = ip_prefix_host(addr);
    bool any = false;

    for (int len = prefix.len; len >= 0; len--) {
        prefix = (struct ip_prefix){.ip = *addr, .len = (uint8_t)len};
        ip_prefix_mask(&prefix);
        for (struct way *w = *bucket_of_prefix(a, &prefix); w; w = w->next_prefix) {
            if (w->prefix.len != prefix.len || !ip_addr_equal(&w->prefix.ip, &prefix.ip) ||
                uuid_is_nil(&w->entry->gateway.id))
                continue;
            access_entry_want(a, w->entry);
            any = true;
        }
    }
    return any;
}

bool access_reaches(struct access *a, const struct ip_addr *addr)
{
    return access_find_addr(a, addr) != NULL;
}

/* ---- life ---- */

struct access *access_new(struct loop *l, struct peers *peers, bool internet,
                          const struct access_events *events, void *arg)
{
    struct access *a = mem_zalloc(1, sizeof *a);

    a->loop = l;
    a->peers = peers;
    a->internet = internet;
    loop_timer_init(&a->timer, on_timer, a);
    a->events = events;
    a->arg = arg;
    return a;
}

void access_attach(struct access *a, struct tunnel *t)
{
    a->tunnel = t;
    loop_timer_set(a->loop, &a->timer, clock_now());
}

void access_free(struct access *a)
{
    if (!a)
        return;
    loop_timer_clear(a->loop, &a->timer);
    access_names_fini(a);
    while (a->list) {
        struct entry *e = a->list;
        a->list = e->next;
        entry_free(e);
    }
    free(a);
}
