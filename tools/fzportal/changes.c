/* SPDX-License-Identifier: Apache-2.0 */
/* See changes.h. */
#include "tools/fzportal/changes.h"

#include <string.h>

#include "platform/base/mem.h"
#include "tools/fzportal/client.h"
#include "tools/fzportal/flows.h"
#include "tools/fzportal/gateway.h"
#include "tools/fzportal/grants.h"
#include "tools/fzportal/peers.h"
#include "tools/fzportal/resources.h"

static bool is_client(const struct portal_session *s)
{
    return s->role == PORTAL_CLIENT && s->state == SESSION_JOINED;
}

static void push_view(struct portal_session *s, struct resource *r)
{
    portal_session_push(s, "resource_created_or_updated", portal_resource_view(s->portal, s, r));
}

static void push_deleted(struct portal_session *s, const struct resource *r)
{
    portal_session_push(s, "resource_deleted", json_string(r->id.text));
}

bool portal_change_add(struct portal *p, struct portal_config_resource *c)
{
    struct resource *r = portal_resource_add(p, c);
    struct portal_session *s;

    if (!r)
        return false;
    for (s = TAILQ_FIRST(&p->sessions); s; s = TAILQ_NEXT(s, order)) {
        if (is_client(s) && portal_resource_is_visible(p, s, r))
            push_view(s, r);
    }
    return true;
}

void portal_change_remove(struct portal *p, struct resource *r)
{
    struct portal_session *s;

    portal_flows_cancel(p, r);
    portal_pool_check(p, r, true);
    portal_grants_revoke(p, r->id.text, NULL);
    for (s = TAILQ_FIRST(&p->sessions); s; s = TAILQ_NEXT(s, order)) {
        if (is_client(s) && portal_resource_is_visible(p, s, r))
            push_deleted(s, r);
    }
    portal_resource_free(p, r);
}

/* ---- a change of what there is ---- */

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_filters(const struct portal_filters *a, const struct portal_filters *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct portal_filter *x = &a->at[i], *y = &b->at[i];
        if (strcmp(x->protocol, y->protocol) != 0 || x->ranged != y->ranged ||
            x->first != y->first || x->last != y->last)
            return false;
    }
    return true;
}

/* May a client reach this one by the pool? */
static bool is_reached(const struct device *d, const struct resource *pool)
{
    const struct grant *g;
    for (g = TAILQ_FIRST(&d->in); g; g = TAILQ_NEXT(g, in)) {
        if (strcmp(g->resource.text, pool->id.text) == 0)
            return true;
    }
    return false;
}

/* All gateways learn of other filters; of a pool's, the clients that are reached by it. */
static void push_filters(struct portal *p, const struct resource *r)
{
    bool pool = portal_resource_is_pool(r);
    struct portal_session *s;
    for (s = TAILQ_FIRST(&p->sessions); s; s = TAILQ_NEXT(s, order)) {
        if (s->state != SESSION_JOINED)
            continue;
        if (!pool && s->role == PORTAL_GATEWAY)
            portal_session_push(s, "resource_updated", portal_resource_gateway_view(r));
        else if (pool && s->role == PORTAL_CLIENT && is_reached(s->device, r))
            portal_session_push(
                s, "resource_filters_updated",
                json_pack("{s:s, s:o}", "id", r->id.text, "filters", portal_resource_filters(r)));
    }
}

struct change {
    bool kind, site, breaking, filters;
};

static struct change compare(const struct portal_config_resource *a,
                             const struct portal_config_resource *b)
{
    struct change c = {.kind = a->kind != b->kind, .site = !same_text(a->site, b->site)};
    c.breaking = c.kind || c.site || !same_text(a->address, b->address) || a->stack != b->stack;
    c.filters = !same_filters(&a->filters, &b->filters);
    return c;
}

void portal_change_replace(struct portal *p, struct resource *r, struct portal_config_resource *c)
{
    struct change change = compare(&r->c, c);
    struct portal_session *s;

    for (s = TAILQ_FIRST(&p->sessions); s; s = TAILQ_NEXT(s, order))
        s->saw = is_client(s) && portal_resource_is_visible(p, s, r);
    if (change.breaking) {
        portal_flows_cancel(p, r);
        portal_pool_check(p, r, true);
        portal_grants_revoke(p, r->id.text, NULL);
    }
    portal_resource_replace(p, r, c);
    if (portal_resource_is_pool(r))
        portal_pool_check(p, r, false);
    if (change.filters && !change.breaking)
        push_filters(p, r);
    for (s = TAILQ_FIRST(&p->sessions); s; s = TAILQ_NEXT(s, order)) {
        bool sees = is_client(s) && portal_resource_is_visible(p, s, r);
        bool anew =
            change.kind || (change.site && !agent_has(&s->agent, AGENT_SITE_IN_PLACE, false));
        if (s->saw && (!sees || anew))
            push_deleted(s, r);
        if (sees)
            push_view(s, r);
    }
}

/* ---- policies ---- */

/* To who sees the resource by this policy only. */
static void push_seen(struct portal *p, struct policy *policy, struct resource *r)
{
    const bool off = policy->off;
    struct portal_session *s;

    for (s = TAILQ_FIRST(&p->sessions); s; s = TAILQ_NEXT(s, order)) {
        if (!is_client(s))
            continue;
        policy->off = true;
        bool without = portal_resource_is_visible(p, s, r);
        policy->off = false;
        bool with = portal_resource_is_visible(p, s, r);
        policy->off = off;
        if (with && !without && off)
            push_deleted(s, r);
        else if (with && !without)
            push_view(s, r);
    }
}

void portal_change_policy(struct portal *p, struct policy *policy, bool off)
{
    struct resource *r;

    if (policy->off == off)
        return;
    policy->off = off;
    if (off)
        portal_grants_revoke_policy(p, policy);
    for (r = TAILQ_FIRST(&p->resources); r; r = TAILQ_NEXT(r, order))
        push_seen(p, policy, r);
}

/* ---- other settings ---- */

void portal_change_dns(struct portal *p)
{
    struct portal_session *s;
    for (s = TAILQ_FIRST(&p->sessions); s; s = TAILQ_NEXT(s, order)) {
        if (is_client(s))
            portal_client_push_config(s);
    }
}

void portal_change_addresses(struct portal *p, struct device *d)
{
    if (d->session && d->role == PORTAL_CLIENT)
        portal_client_push_init(d->session);
    else if (d->session)
        portal_gateway_push_init(d->session);
    portal_pools_changed_by(p, d);
}
