/* SPDX-License-Identifier: Apache-2.0 */
/* See peers.h. */
#include "tools/fzportal/peers.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "platform/base/mem.h"
#include "tools/fzportal/devices.h"
#include "tools/fzportal/flows.h"
#include "tools/fzportal/grants.h"
#include "tools/fzportal/ingest.h"
#include "tools/fzportal/resources.h"
#include "tools/fzportal/tokens.h"

/* ---- one client to another ---- */

static void deny(struct portal_session *s, const struct resource *pool, const char *client_id,
                 const json_t *payload, const char *reason)
{
    json_t *v4 = json_object_get(payload, "ipv4"), *v6 = json_object_get(payload, "ipv6");
    portal_session_push(s, "client_device_access_denied",
                        json_pack("{s:s?, s:O?, s:O?, s:s, s:s}", "client_id", client_id, "ipv4",
                                  v4, "ipv6", v6, "resource_id", pool->id.text, "reason", reason));
}

/* The device that the request means. NULL: *reason says why there is none. */
static struct device *target_of(const struct portal_session *s, const struct resource *pool,
                                const json_t *payload, const char **reason)
{
    const json_t *v4 = json_object_get(payload, "ipv4"), *v6 = json_object_get(payload, "ipv6");
    bool four = v4 && !json_is_null(v4), six = v6 && !json_is_null(v6);
    const char *text = json_string_value(four ? v4 : v6);
    struct ip_addr ip;

    *reason = NULL;
    if (four && six)
        *reason = "ambiguous_address";
    else if (!four && !six)
        *reason = "missing_address";
    else if (!text || ip_addr_parse(&ip, text) != ERR_OK || ip.family != (four ? ADDR_V4 : ADDR_V6))
        *reason = "invalid_address";
    if (*reason)
        return NULL;
    struct device *d = portal_device_by_ip(s->portal, &ip);
    if (!d || d == s->device || d->role != PORTAL_CLIENT)
        *reason = "not_found";
    else if (!portal_device_is_member(d, &pool->c.members))
        *reason = "forbidden";
    return *reason ? NULL : d;
}

static bool fit(const struct portal_session *a, const struct portal_session *b)
{
    return agent_fits_client(&a->agent, &b->agent) && agent_has(&a->agent, AGENT_PEERS, false) &&
           agent_has(&b->agent, AGENT_PEERS, false);
}

struct pairing {
    char psk[KEY_BASE64_LEN + 1];
    struct derive_ice initiator_ice, target_ice;
    struct ingest ingest;
    bool iceless;
};

/* What one of the two learns of the other. */
static json_t *introduce(const struct pairing *g, const struct portal_session *to,
                         const struct portal_session *of, bool initiator)
{
    const struct derive_ice *local = initiator ? &g->initiator_ice : &g->target_ice;
    const struct derive_ice *remote = initiator ? &g->target_ice : &g->initiator_ice;
    const struct device *d = of->device;
    char v4[IP_TEXT_MAX], v6[IP_TEXT_MAX];

    return mem_check(json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:b, s:o}", "client_id", d->id.text,
        "client_name", d->name, "client_public_key", of->key, "client_ipv4",
        ip_addr_format(&d->v4, v4, sizeof v4), "client_ipv6", ip_addr_format(&d->v6, v6, sizeof v6),
        "preshared_key", g->psk, "local_ice_credentials", portal_flow_ice(local),
        "remote_ice_credentials", portal_flow_ice(remote), "ice_role",
        initiator ? "controlling" : "controlled", "use_iceless", g->iceless,
        "flow_logs_ingest_token", portal_ingest_token(to->portal, &g->ingest, initiator)));
}

/* The target learns first; what the initiator sends afterwards comes behind that in the target's queue. */
static void connect_peers(struct portal_session *s, struct portal_session *t, struct resource *pool,
                          const struct policy *policy)
{
    struct portal *p = s->portal;
    struct derive_end i = portal_device_end(s->device), r = portal_device_end(t->device);
    struct pairing g = {.iceless = p->config->iceless && s->iceless && t->iceless};
    int64_t expires_at = portal_flow_expiry(p, s->token, policy);

    derive_psk_client(g.psk, &i, &r);
    derive_ice(&g.initiator_ice, &g.target_ice, &i, &r);
    const struct grant *grant = portal_grant_put(s, t->device, &pool->id, policy, expires_at);
    g.ingest = (struct ingest){s->device, t->device, pool, policy, grant->id, expires_at};
    json_t *copy = introduce(&g, t, s, false);
    json_object_set_new(copy, "resource", portal_resource_view(p, t, pool));
    json_object_set_new(copy, "subject", portal_flow_subject(s));
    json_object_set_new(copy, "expires_at", json_integer((json_int_t)expires_at));
    portal_session_push(t, "client_device_access_authorized", copy);
    portal_session_push(s, "client_device_access_authorized", introduce(&g, s, t, true));
    secure_wipe(&g, sizeof g);
}

void portal_peer_request(struct portal_session *s, struct resource *pool,
                         const struct policy *policy, const json_t *payload)
{
    const char *reason;
    const struct device *d = target_of(s, pool, payload, &reason);

    if (!d)
        deny(s, pool, NULL, payload, reason);
    else if (!d->session)
        deny(s, pool, d->id.text, payload, "offline");
    else if (!fit(s, d->session))
        deny(s, pool, d->id.text, payload, "version_mismatch");
    else
        connect_peers(s, d->session, pool, policy);
}

/* ---- names ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/*
 * Does `domain` match the pool's pattern? If so, its first *len characters name the device: what a leading wildcard stands
 * for, or the first label. Wildcards further on are not known here.
 */
static bool matches(const char *pattern, const char *domain, size_t *len)
{
    size_t stars = strspn(pattern, "*"), label = strcspn(domain, ".");

    *len = label;
    if (stars == 0) {
        while (*pattern && lower(*pattern) == lower(*domain))
            pattern++, domain++;
        return !*pattern && !*domain;
    }
    const char *rest = pattern + stars;
    size_t rest_len = strlen(rest), domain_len = strlen(domain);
    if (label == 0 || domain_len <= rest_len)
        return false;
    *len = domain_len - rest_len;
    for (size_t i = 0; i < rest_len; i++) {
        if (lower(domain[*len + i]) != lower(rest[i]))
            return false;
    }
    return stars > 1 || *len == label;
}

/* The member called so; names count in any case. */
static const struct device *member_called(const struct portal *p, const struct resource *pool,
                                          const char *name, size_t len)
{
    const struct device *d;
    for (d = TAILQ_FIRST(&p->devices); d; d = TAILQ_NEXT(d, order)) {
        if (d->name && strlen(d->name) == len && strncasecmp(d->name, name, len) == 0 &&
            portal_device_is_member(d, &pool->c.members))
            return d;
    }
    return NULL;
}

enum session_result portal_pool_resolve(struct portal_session *s, const json_t *payload)
{
    struct portal *p = s->portal;
    const json_t *id = json_object_get(payload, "resource_id");
    const json_t *name = json_object_get(payload, "domain");
    const char *domain = json_string_value(name);
    const struct device *d = NULL;
    struct uuid uuid;
    bool violated = false;
    size_t len;

    if (!id || !name)
        return SESSION_UNKNOWN;
    if (!domain || !json_is_string(id) || !uuid_parse(&uuid, json_string_value(id)))
        return SESSION_CRASH;
    const struct resource *r = portal_resource_find(p, json_string_value(id));
    if (r && portal_resource_is_visible(p, s, r) && r->c.kind == PORTAL_DYNAMIC_POOL) {
        portal_policy_for(p, s->token, r, &violated);
        if (!violated && matches(r->c.address, domain, &len))
            d = member_called(p, r, domain, len);
    }
    json_t *answer =
        json_pack("{s:s, s:s}", "resource_id", json_string_value(id), "domain", domain);
    if (d)
        json_object_update_new(answer, portal_device_addresses(d));
    else
        json_object_set_new(answer, "reason", json_string("not_found"));
    portal_session_push(
        s, d ? "device_pool_domain_resolved" : "device_pool_domain_resolution_failed", answer);
    return SESSION_DONE;
}

/* ---- changes ---- */

static void changed(struct portal *p, struct resource *pool)
{
    portal_resource_forget_views(pool);
    pool->untold = true;
    p->pools_at = time_min(p->pools_at, p->t.now + PORTAL_POOLS_DELAY_MS * NS_PER_MS);
}

void portal_pools_changed_by(struct portal *p, const struct device *d)
{
    struct resource *r;
    for (r = TAILQ_FIRST(&p->resources); r; r = TAILQ_NEXT(r, order)) {
        if (r->c.kind == PORTAL_STATIC_POOL && portal_device_is_member(d, &r->c.members))
            changed(p, r);
    }
}

void portal_pools_before(struct portal *p, const struct device *d, bool created)
{
    struct resource *r;
    for (r = TAILQ_FIRST(&p->resources); r; r = TAILQ_NEXT(r, order))
        r->had =
            portal_resource_is_pool(r) && !created && portal_device_is_member(d, &r->c.members);
}

void portal_pools_after(struct portal *p, const struct device *d)
{
    struct resource *r;
    for (r = TAILQ_FIRST(&p->resources); r; r = TAILQ_NEXT(r, order)) {
        bool has = portal_resource_is_pool(r) && portal_device_is_member(d, &r->c.members);
        if (has != r->had && r->c.kind == PORTAL_STATIC_POOL)
            changed(p, r);
        if (!has && r->had)
            portal_pool_check(p, r, false);
    }
}

static void tell(struct portal *p, struct resource *pool)
{
    struct portal_session *s;
    for (s = TAILQ_FIRST(&p->sessions); s; s = TAILQ_NEXT(s, order)) {
        if (s->role == PORTAL_CLIENT && s->state == SESSION_JOINED &&
            portal_resource_is_visible(p, s, pool))
            portal_session_push(s, "resource_created_or_updated", portal_resource_view(p, s, pool));
    }
}

void portal_pools_tell(struct portal *p)
{
    struct resource *r;

    if (p->pools_at > p->t.now)
        return;
    p->pools_at = TIME_NEVER;
    for (r = TAILQ_FIRST(&p->resources); r; r = TAILQ_NEXT(r, order)) {
        if (r->untold)
            tell(p, r);
        r->untold = false;
    }
}

void portal_pool_check(struct portal *p, struct resource *pool, bool gone)
{
    struct grant *next;
    for (struct grant *g = TAILQ_FIRST(&p->grants); g; g = next) {
        next = TAILQ_NEXT(g, order);
        if (strcmp(g->resource.text, pool->id.text) != 0 || g->peer->role != PORTAL_CLIENT ||
            (!gone && portal_device_is_member(g->peer, &pool->c.members)))
            continue;
        if (g->client->session) {
            json_t *where = portal_device_addresses(g->peer);
            deny(g->client->session, pool, g->peer->id.text, where, "forbidden");
            json_decref(where);
        }
        portal_grant_revoke(p, g);
    }
}
