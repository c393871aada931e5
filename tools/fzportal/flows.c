/* SPDX-License-Identifier: Apache-2.0 */
/* See flows.h. */
#include "tools/fzportal/flows.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"
#include "tools/fzportal/devices.h"
#include "tools/fzportal/grants.h"
#include "tools/fzportal/ingest.h"
#include "tools/fzportal/resources.h"
#include "tools/fzportal/session.h"
#include "tools/fzportal/tokens.h"

enum {
    REF_BYTES = 32
};

/* ---- which gateway ---- */

struct choice {
    struct portal_session *gateway; /* NULL: none */
    bool online;                    /* there is one at all */
};

static bool serves(const struct portal_session *g, const struct resource *r)
{
    return g->role == PORTAL_GATEWAY && g->state == SESSION_JOINED && g->token->site == r->site;
}

static bool fits(const struct portal_session *client, const struct portal_session *g,
                 const struct resource *r)
{
    return agent_fits_gateway(&client->agent, &g->agent) &&
           (r->c.kind != PORTAL_INTERNET || agent_has(&g->agent, AGENT_INTERNET, false));
}

/* The first of those it knows; else the newest, and by chance among several of these. */
static struct choice choose(struct portal_session *client, const struct resource *r,
                            const json_t *connected)
{
    struct portal *p = client->portal;
    struct choice c = {NULL, false};
    struct portal_session *s;
    uint32_t same = 0, dice;

    for (s = TAILQ_FIRST(&p->sessions); s; s = TAILQ_NEXT(s, order)) {
        if (!serves(s, r))
            continue;
        c.online = true;
        if (!fits(client, s, r))
            continue;
        int order = c.gateway ? agent_compare(&s->agent, &c.gateway->agent) : 1;
        if (order < 0)
            continue;
        same = order > 0 ? 1 : same + 1;
        portal_draw(p, &dice, sizeof dice);
        if (dice % same == 0)
            c.gateway = s;
    }
    for (size_t i = 0; c.gateway && i < json_array_size(connected); i++) {
        const struct device *d =
            portal_device_find(p, json_string_value(json_array_get(connected, i)));
        if (d && d->session && serves(d->session, r) && fits(client, d->session, r)) {
            c.gateway = d->session;
            break;
        }
    }
    return c;
}

/* ---- what is said ---- */

int64_t portal_flow_expiry(const struct portal *p, const struct token *t,
                           const struct policy *policy)
{
    uint32_t lifetime = policy->config ? policy->config->lifetime_s : 0;
    int64_t by_policy = p->t.unix_seconds + (int64_t)lifetime;
    return lifetime > 0 && by_policy < t->expires_at ? by_policy : t->expires_at;
}

json_t *portal_flow_subject(const struct portal_session *client)
{
    const struct token *t = client->token;
    char ip[IP_TEXT_MAX];
    return json_pack("{s:s, s:s, s:s?, s:s, s:n, s:s, s:n, s:n, s:n, s:n, s:s}", "actor_id",
                     t->actor_id.text, "actor_name", t->actor, "actor_email", t->config->email,
                     "actor_type", t->config->is_user ? "account_user" : "service_account",
                     "auth_provider_id", "ip", ip_addr_format(&client->from, ip, sizeof ip),
                     "ip_region", "ip_city", "ip_lat", "ip_lon", "user_agent", client->agent.text);
}

json_t *portal_flow_ice(const struct derive_ice *ice)
{
    return json_pack("{s:s, s:s}", "username", ice->username, "password", ice->password);
}

static json_t *client_view(const struct portal_session *s, const char *psk)
{
    const struct device *d = s->device;
    json_t *view = portal_device_addresses(d);
    json_t *rest =
        json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?}", "id", d->id.text,
                  "public_key", s->key, "preshared_key", psk, "version", s->agent.version,
                  "device_os_name", s->agent.os_name[0] ? s->agent.os_name : NULL,
                  "device_os_version", s->agent.os_version[0] ? s->agent.os_version : NULL,
                  "device_serial", d->serial, "device_uuid", d->uuid, "identifier_for_vendor",
                  d->vendor_id, "firebase_installation_id", d->firebase_id);
    json_object_update_new(view, rest);
    return mem_check(view);
}

/* Both messages: to the gateway at once, to the client once that has agreed. */
struct offer {
    char psk[KEY_BASE64_LEN + 1];
    struct derive_ice client_ice, gateway_ice;
    struct ingest ingest;
    bool iceless;
};

static json_t *to_gateway(struct portal_session *client, const struct pending *q,
                          const struct offer *o)
{
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:I, s:o, s:b, s:o}", "ref", q->ref, "resource",
        portal_resource_gateway_view(o->ingest.resource), "client", client_view(client, o->psk),
        "client_ice_credentials", portal_flow_ice(&o->client_ice), "gateway_ice_credentials",
        portal_flow_ice(&o->gateway_ice), "expires_at", (json_int_t)q->expires_at, "subject",
        portal_flow_subject(client), "use_iceless", o->iceless, "flow_logs_ingest_token",
        portal_ingest_token(client->portal, &o->ingest, false));
}

static json_t *to_client(struct portal_session *client, const struct portal_session *g,
                         const struct offer *o)
{
    bool sites = agent_has(&client->agent, AGENT_SITES, false);
    char v4[IP_TEXT_MAX], v6[IP_TEXT_MAX];
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:b, s:o}", "resource_id",
        o->ingest.resource->id.text, "gateway_id", g->device->id.text,
        sites ? "site_id" : "gateway_group_id", o->ingest.resource->site->id.text,
        "gateway_public_key", g->key, "gateway_ipv4", ip_addr_format(&g->device->v4, v4, sizeof v4),
        "gateway_ipv6", ip_addr_format(&g->device->v6, v6, sizeof v6), "preshared_key", o->psk,
        "client_ice_credentials", portal_flow_ice(&o->client_ice), "gateway_ice_credentials",
        portal_flow_ice(&o->gateway_ice), "use_iceless", o->iceless, "flow_logs_ingest_token",
        portal_ingest_token(client->portal, &o->ingest, true));
}

void portal_flow_refuse(struct portal_session *client, const char *resource_id, const char *reason,
                        json_t *violated)
{
    json_t *payload = json_pack("{s:s, s:s}", "resource_id", resource_id, "reason", reason);
    if (violated)
        json_object_set_new(payload, "violated_properties", violated);
    portal_session_push(
        client, client->v2 ? "authorization_creation_failed" : "flow_creation_failed", payload);
}

/* ---- requests that wait ---- */

/* Nobody waits for it any more; that the gateway was asked is remembered for its answer's sake. */
static void detach(struct portal *p, struct pending *q)
{
    if (!q->client)
        return;
    TAILQ_REMOVE(&q->client->pendings, q, mine);
    q->client = NULL;
    json_decref(q->answer);
    q->answer = NULL;
    TAILQ_INSERT_TAIL(&p->stubs, q, mine);
    p->stubs_n++;
}

static void drop(struct portal *p, struct pending *q)
{
    detach(p, q);
    TAILQ_REMOVE(&p->stubs, q, mine);
    p->stubs_n--;
    table_remove(&p->pendings_by_ref, &q->by_ref);
    TAILQ_REMOVE(&p->pendings, q, order);
    free(q);
}

/* The gateway has not answered, or there is no room to wait for it. */
static void give_up(struct portal *p, struct pending *q)
{
    struct portal_session *client = q->client;
    struct portal_id resource = q->resource;
    drop(p, q);
    if (client)
        portal_flow_refuse(client, resource.text, "offline", NULL);
}

/* Room for one more. */
static void bound(struct portal *p)
{
    while (p->stubs_n > PORTAL_STUBS_MAX)
        drop(p, TAILQ_FIRST(&p->stubs));
    while (p->pendings_by_ref.n >= PORTAL_PENDINGS_ALL_MAX)
        give_up(p, TAILQ_FIRST(&p->pendings));
}

/* A new request for the same resource takes the place of the one before. */
static void replace(struct portal_session *client, const struct resource *r)
{
    struct pending *q, *next;
    unsigned n = 0;
    for (q = TAILQ_FIRST(&client->pendings); q; q = next) {
        next = TAILQ_NEXT(q, mine);
        if (strcmp(q->resource.text, r->id.text) == 0)
            detach(client->portal, q);
        else
            n++;
    }
    while (n-- >= PORTAL_PENDINGS_MAX)
        detach(client->portal, TAILQ_FIRST(&client->pendings));
}

static void make_ref(struct portal *p, char out[PORTAL_REF_MAX + 1])
{
    uint8_t bytes[REF_BYTES];
    char text[DERIVE_BASE64_SIZE(REF_BYTES)];
    portal_draw(p, bytes, sizeof bytes);
    derive_base64(text, bytes, sizeof bytes, true);
    snprintf(out, PORTAL_REF_MAX + 1, "SFMyNTY.%s", text);
}

static void ask(struct portal_session *client, struct portal_session *g, struct resource *r,
                const struct policy *policy)
{
    struct portal *p = client->portal;
    struct derive_end c = portal_device_end(client->device), e = portal_device_end(g->device);
    struct pending *q = mem_zalloc(1, sizeof *q);
    struct offer o = {.iceless = p->config->iceless && client->iceless && g->iceless};

    make_ref(p, q->ref);
    q->client = client;
    q->from = client->device;
    q->gateway = g->device;
    q->resource = r->id;
    q->deadline = p->t.now + p->config->answer_s * NS_PER_SEC;
    q->expires_at = portal_flow_expiry(p, client->token, policy);
    derive_psk_gateway(o.psk, &c, &e);
    derive_ice(&o.client_ice, &o.gateway_ice, &c, &e);
    /* From here on the gateway may let the client in, whatever becomes of its answer. */
    const struct grant *grant = portal_grant_put(client, g->device, &r->id, policy, q->expires_at);
    o.ingest = (struct ingest){client->device, g->device, r, policy, grant->id, q->expires_at};
    q->answer = mem_check(to_client(client, g, &o));
    table_add(&p->pendings_by_ref, &q->by_ref, table_hash_text(TABLE_HASH, q->ref));
    TAILQ_INSERT_TAIL(&p->pendings, q, order);
    TAILQ_INSERT_TAIL(&client->pendings, q, mine);
    portal_session_push(g, g->v2 ? "create_authorization" : "authorize_flow",
                        mem_check(to_gateway(client, q, &o)));
    secure_wipe(&o, sizeof o);
}

bool portal_flow_request(struct portal_session *client, struct resource *r,
                         const struct policy *policy, const json_t *connected, bool has_ref)
{
    struct choice c = choose(client, r, connected);

    replace(client, r);
    bound(client->portal);
    if (client->state != SESSION_JOINED) /* its queue was full */
        return true;
    if (!c.gateway)
        portal_flow_refuse(client, r->id.text, c.online ? "version_mismatch" : "offline", NULL);
    else if (!has_ref)
        return false;
    else
        ask(client, c.gateway, r, policy);
    return true;
}

static struct pending *find(const struct portal *p, const char *ref)
{
    struct table_link *link = table_first(&p->pendings_by_ref, table_hash_text(TABLE_HASH, ref));
    for (; link; link = table_next(link)) {
        struct pending *q = CONTAINER_OF(link, struct pending, by_ref);
        if (strcmp(q->ref, ref) == 0)
            return q;
    }
    return NULL;
}

/* Not revoked since, nor over. */
static bool is_granted(const struct portal *p, const struct pending *q)
{
    const struct grant *g = portal_grant_find(p, q->from, q->gateway, &q->resource);
    return g && g->expires_at > p->t.unix_seconds;
}

bool portal_flow_agree(struct portal_session *gateway, const char *ref)
{
    struct portal *p = gateway->portal;
    struct pending *q = find(p, ref);

    if (!q || q->gateway != gateway->device)
        return false;
    struct portal_session *client = q->client;
    json_t *answer = client && is_granted(p, q) ? json_incref(q->answer) : NULL;
    drop(p, q);
    if (answer)
        portal_session_push(client, client->v2 ? "authorization_created" : "flow_created", answer);
    return true;
}

void portal_flows_forget(struct portal_session *client)
{
    struct pending *q;
    while ((q = TAILQ_FIRST(&client->pendings)))
        detach(client->portal, q);
}

void portal_flows_cancel(struct portal *p, const struct resource *r)
{
    struct pending *q;
    for (q = TAILQ_FIRST(&p->pendings); q; q = TAILQ_NEXT(q, order)) {
        if (strcmp(q->resource.text, r->id.text) == 0)
            detach(p, q);
    }
}

void portal_flows_expire(struct portal *p)
{
    struct pending *q;
    while ((q = TAILQ_FIRST(&p->pendings)) && q->deadline <= p->t.now)
        give_up(p, q);
}

void portal_flows_fini(struct portal *p)
{
    struct pending *q;
    while ((q = TAILQ_FIRST(&p->pendings)))
        drop(p, q);
    table_fini(&p->pendings_by_ref);
}
