/* SPDX-License-Identifier: Apache-2.0 */
#include "control/tunnel_policy.h"

#include <stdlib.h>
#include <string.h>

#include "control/tunnel_private.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/clock.h"

enum {
    RETRY_MS = 100
};

/* ---- publishing ---- */

/* Slots of what was removed: no policy that a worker may read leads to them any more. */
static void slots_give_back(struct tunnel *t)
{
    struct tunnel_policy *p = &t->policy;

    for (size_t i = 0; i < p->leaving_n; i++)
        tunnel_record_remove(t, p->leaving[i].slot, p->leaving[i].owner);
    p->leaving_n = 0;
}

static int by_id_descending(const void *a, const void *b)
{
    const struct tunnel_resource *x = *(struct tunnel_resource *const *)a,
                                 *y = *(struct tunnel_resource *const *)b;
    return memcmp(y->spec.id.bytes, x->spec.id.bytes, sizeof x->spec.id.bytes);
}

/* Gateways' own addresses first, then resources, the Internet last; see spec/tunnel.md 5.1 and 5.2. */
static uint32_t order_of(const struct tunnel_resource *r, size_t rank)
{
    switch (r->spec.kind) {
    case ENGINE_RESOURCE_GATEWAY:
        return 0;
    case ENGINE_RESOURCE_INTERNET:
        return UINT32_MAX;
    case ENGINE_RESOURCE_NONE:
    case ENGINE_RESOURCE_DNS:
    case ENGINE_RESOURCE_CIDR:
        break;
    }
    return 1 + (uint32_t)rank;
}

/* In `routes`, which the caller frees. */
static size_t routes_collect(const struct tunnel_policy *p, struct engine_policy_route **routes)
{
    struct tunnel_resource **sorted = mem_zalloc(p->resources_n + 1, sizeof(void *));
    size_t n = 0, prefixes = 0, at = 0;

    for (size_t i = 0; i < p->resources_n; i++) {
        if (!p->resources[i])
            continue;
        sorted[n++] = p->resources[i];
        prefixes += p->resources[i]->spec.prefixes_n;
    }
    qsort(sorted, n, sizeof(void *), by_id_descending);
    *routes = mem_zalloc(prefixes + 1, sizeof **routes);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < sorted[i]->spec.prefixes_n; j++)
            (*routes)[at++] = (struct engine_policy_route){.prefix = sorted[i]->spec.prefixes[j],
                                                           .resource = sorted[i]->index,
                                                           .order = order_of(sorted[i], i)};
    }
    free(sorted);
    return at;
}

uint32_t tunnel_slot_value(const struct tunnel *t, uint32_t slot)
{
    return slot == TUNNEL_NO_SLOT ? ENGINE_NONE : engine_peer_value(t->records[slot]);
}

void tunnel_policy_publish(struct tunnel *t)
{
    struct tunnel_policy *p = &t->policy;
    struct engine_resource *resources = mem_zalloc(p->resources_n + 1, sizeof *resources);
    struct engine_policy_route *routes = NULL;
    struct engine_policy next = {.ipv4 = p->ipv4,
                                 .ipv6 = p->ipv6,
                                 .stubs_n = p->stubs_n,
                                 .resources = resources,
                                 .resources_n = p->resources_n,
                                 .same_routes = !p->routes_dirty};

    for (size_t i = 0; i < p->resources_n; i++) {
        const struct tunnel_resource *r = p->resources[i];
        if (!r)
            continue;
        resources[i] = (struct engine_resource){
            .kind = (uint8_t)r->spec.kind,
            .generation = r->generation,
            .peer = r->peer ? tunnel_slot_value(t, r->peer->slot) : ENGINE_NONE,
            .waits = tunnel_slot_value(t, r->waits),
            .rules = r->spec.rules,
            .rules_n = r->spec.rules_n};
    }
    memcpy(next.stubs, p->stubs, sizeof next.stubs);
    if (p->routes_dirty)
        next.routes_n = routes_collect(p, &routes);
    next.routes = routes;
    if (engine_set_policy(t->engine, &next) == ERR_OK) {
        p->dirty = p->routes_dirty = false;
        slots_give_back(t);
        loop_timer_clear(t->loop, &p->timer);
    } else {
        log_error("tunnel", "not enough memory for %zu routes: the old ones stay for now",
                  next.routes_n);
        loop_timer_set(t->loop, &p->timer, clock_now() + RETRY_MS * NS_PER_MS);
    }
    free(resources);
    free(routes);
}

static void on_timer(void *arg)
{
    tunnel_policy_publish(arg);
}

/* Once for many changes. */
void tunnel_policy_soon(struct tunnel *t)
{
    t->policy.dirty = true;
    if (!loop_timer_armed(&t->policy.timer))
        loop_timer_set(t->loop, &t->policy.timer, clock_now());
}

/* ---- records where packets wait ---- */

/* TUNNEL_NO_SLOT: there are too many. */
uint32_t tunnel_wait_new(struct tunnel *t, unsigned owner, uint16_t packets_max)
{
    uint32_t slot;

    if (!tunnel_slot_find(t, &slot))
        return TUNNEL_NO_SLOT;
    (void)tunnel_record_add(t, slot, owner, packets_max);
    return slot;
}

void tunnel_wait_leave(struct tunnel *t, uint32_t slot, unsigned owner)
{
    struct tunnel_policy *p = &t->policy;

    p->waiting[slot] = NULL;
    p->leaving = mem_grow(p->leaving, p->leaving_n, sizeof *p->leaving);
    p->leaving[p->leaving_n++] = (struct tunnel_leaving){slot, owner};
    tunnel_policy_soon(t);
}

/* What waits there takes its way now. */
void tunnel_wait_replay(struct tunnel *t, uint32_t slot, unsigned owner)
{
    tunnel_command(t, owner, &(struct command){.kind = COMMAND_STAGE_REPLAY, .slot = slot});
}

void tunnel_policy_wanted(struct tunnel *t, uint32_t slot)
{
    struct tunnel_resource *r = t->policy.waiting[slot];

    if (t->records[slot])
        (void)engine_peer_take_edges(t->records[slot]);
    if (r && !r->peer)
        t->options.p2p->wanted(t->options.p2p_arg, r->spec.arg);
}

/* ---- resources ---- */

static void *copy_of(const void *list, size_t n, size_t size)
{
    void *copy = mem_zalloc(n, size);

    if (n > 0)
        memcpy(copy, list, n * size);
    return copy;
}

static uint32_t index_take(struct tunnel_policy *p)
{
    while (p->resources_free < p->resources_n && p->resources[p->resources_free])
        p->resources_free++;
    if (p->resources_free == p->resources_n) {
        p->resources = mem_grow(p->resources, p->resources_n, sizeof(void *));
        p->resources_n++;
    }
    return (uint32_t)p->resources_free;
}

static struct tunnel_resource *resource_add(struct tunnel *t,
                                            const struct tunnel_resource_spec *spec, uint32_t waits)
{
    struct tunnel_policy *p = &t->policy;
    struct tunnel_resource *r = mem_zalloc(1, sizeof *r);

    r->tunnel = t;
    r->spec = *spec;
    r->spec.prefixes = copy_of(spec->prefixes, spec->prefixes_n, sizeof *spec->prefixes);
    r->spec.rules = copy_of(spec->rules, spec->rules_n, sizeof *spec->rules);
    r->index = index_take(p);
    r->generation = ++p->generation;
    r->waits = waits;
    p->resources[r->index] = r;
    p->routes_dirty |= spec->prefixes_n > 0;
    return r;
}

static void resource_free(struct tunnel_resource *r)
{
    free((void *)(uintptr_t)r->spec.prefixes);
    free((void *)(uintptr_t)r->spec.rules);
    free(r);
}

static void resource_steer(struct tunnel_resource *r, unsigned owner)
{
    for (size_t i = 0; i < r->spec.prefixes_n; i++)
        tunnel_steer(r->tunnel, &r->spec.prefixes[i], owner);
}

struct tunnel_resource *tunnel_resource_add(struct tunnel *t,
                                            const struct tunnel_resource_spec *spec)
{
    unsigned owner = tunnel_worker_of_group(t, spec->group);
    uint32_t slot = tunnel_wait_new(t, owner, TUNNEL_WAITS_MAX);

    if (slot == TUNNEL_NO_SLOT)
        return NULL;
    struct tunnel_resource *r = resource_add(t, spec, slot);
    t->policy.waiting[slot] = r;
    resource_steer(r, owner);
    tunnel_policy_soon(t);
    return r;
}

void tunnel_resource_grant(struct tunnel_resource *r, struct tunnel_peer *p)
{
    struct tunnel *t = r->tunnel;
    unsigned owner = tunnel_worker_of_group(t, r->spec.group);

    ASSERT(!p || p->owner == owner);
    if (r->peer == p)
        return;
    r->peer = p;
    tunnel_policy_publish(t);
    if (p)
        tunnel_wait_replay(t, r->waits, owner);
}

struct tunnel_peer *tunnel_resource_peer(const struct tunnel_resource *r)
{
    return r->peer;
}

void tunnel_resource_remove(struct tunnel_resource *r)
{
    struct tunnel *t = r->tunnel;
    struct tunnel_policy *p = &t->policy;

    p->resources[r->index] = NULL;
    if (r->index < p->resources_free)
        p->resources_free = r->index;
    p->routes_dirty |= r->spec.prefixes_n > 0;
    resource_steer(r, TUNNEL_ANY_WORKER);
    if (r->waits != TUNNEL_NO_SLOT)
        tunnel_wait_leave(t, r->waits, tunnel_worker_of_group(t, r->spec.group));
    tunnel_policy_soon(t);
    resource_free(r);
}

/* ---- peers ---- */

void tunnel_policy_peer_add(struct tunnel_peer *peer, const struct ip_prefix *own, size_t n)
{
    struct tunnel *t = peer->tunnel;
    struct tunnel_resource_spec spec = {
        .kind = ENGINE_RESOURCE_GATEWAY, .prefixes = own, .prefixes_n = n};
    struct tunnel_resource *r = resource_add(t, &spec, TUNNEL_NO_SLOT);

    r->peer = peer;
    resource_steer(r, peer->owner);
    tunnel_policy_publish(t);
}

void tunnel_policy_peer_remove(struct tunnel_peer *peer)
{
    struct tunnel *t = peer->tunnel;
    struct tunnel_policy *p = &t->policy;

    for (size_t i = 0; i < p->resources_n; i++) {
        struct tunnel_resource *r = p->resources[i];
        if (!r || r->peer != peer)
            continue;
        r->peer = NULL;
        if (r->spec.kind == ENGINE_RESOURCE_GATEWAY)
            tunnel_resource_remove(r);
    }
    tunnel_policy_publish(t);
}

/* ---- life ---- */

void tunnel_policy_addresses(struct tunnel *t, const struct ip_addr *ipv4,
                             const struct ip_addr *ipv6)
{
    t->policy.ipv4 = *ipv4;
    t->policy.ipv6 = *ipv6;
    tunnel_policy_publish(t);
}

void tunnel_policy_stubs(struct tunnel *t, const struct ip_addr *stubs, unsigned n)
{
    struct tunnel_policy *p = &t->policy;

    ASSERT(n <= ARRAY_LEN(p->stubs));
    memset(p->stubs, 0, sizeof p->stubs);
    memcpy(p->stubs, stubs, n * sizeof *stubs);
    p->stubs_n = n;
    tunnel_policy_publish(t);
}

void tunnel_policy_init(struct tunnel *t)
{
    loop_timer_init(&t->policy.timer, on_timer, t);
    t->policy.routes_dirty = true;
}

void tunnel_policy_fini(struct tunnel *t)
{
    struct tunnel_policy *p = &t->policy;

    loop_timer_clear(t->loop, &p->timer);
    for (size_t i = 0; i < p->resources_n; i++) {
        struct tunnel_resource *r = p->resources[i];
        if (r && r->waits != TUNNEL_NO_SLOT)
            tunnel_record_forget(t, r->waits, tunnel_worker_of_group(t, r->spec.group));
        if (r)
            resource_free(r);
    }
    tunnel_names_fini(t);
    for (size_t i = 0; i < p->leaving_n; i++)
        tunnel_record_forget(t, p->leaving[i].slot, p->leaving[i].owner);
    free(p->resources);
    free(p->leaving);
}
