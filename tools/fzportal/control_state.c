/* SPDX-License-Identifier: Apache-2.0 */
/* The command `state`: what the portal knows, without secrets. See control.h. */
#include <stdio.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "tools/fzportal/control.h"
#include "tools/fzportal/resources.h"
#include "tools/fzportal/session.h"
#include "tools/fzportal/tokens.h"

static void set_ip(json_t *object, const char *key, const struct ip_addr *ip)
{
    char text[IP_TEXT_MAX];
    if (ip->family != ADDR_NONE)
        json_object_set_new(object, key, json_string(ip_addr_format(ip, text, sizeof text)));
}

static json_t *tokens_state(const struct portal *p)
{
    json_t *list = json_array();
    for (size_t i = 0; i < p->config->tokens_n; i++) {
        const struct token *t = &p->tokens[i];
        json_t *o = json_pack("{s:s, s:s, s:b, s:b}", "name", t->config->name, "role",
                              portal_role_text(t->config->role), "generated", t->generated, "valid",
                              portal_token_is_valid(p, t));
        if (t->config->role == PORTAL_CLIENT)
            json_object_update_new(
                o, json_pack("{s:s, s:s}", "actor", t->actor, "actor_id", t->actor_id.text));
        if (t->site)
            json_object_set_new(o, "site", json_string(t->site->name));
        if (t->expires_at != INT64_MAX)
            json_object_set_new(o, "expires_at", json_integer((json_int_t)t->expires_at));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *sites_state(const struct portal *p)
{
    json_t *list = json_array();
    for (size_t i = 0; i < p->config->sites_n; i++)
        json_array_append_new(
            list, json_pack("{s:s, s:s}", "name", p->sites[i].name, "id", p->sites[i].id.text));
    return list;
}

static json_t *devices_state(const struct portal *p)
{
    json_t *list = json_array();
    const struct device *d;
    for (d = TAILQ_FIRST(&p->devices); d; d = TAILQ_NEXT(d, order)) {
        json_t *o =
            json_pack("{s:s, s:s, s:s, s:s?, s:s, s:b}", "id", d->id.text, "role",
                      portal_role_text(d->role), "external_id", d->external_id, "name", d->name,
                      "token", d->token->config->name, "online", d->session != NULL);
        set_ip(o, "ipv4", &d->v4);
        set_ip(o, "ipv6", &d->v6);
        if (d->session)
            json_object_set_new(o, "public_key", json_string(d->key));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *sessions_state(const struct portal *p)
{
    static const char *const states[] = {"expect_join", "joined", "over"};
    json_t *list = json_array();
    const struct portal_session *s;
    for (s = TAILQ_FIRST(&p->sessions); s; s = TAILQ_NEXT(s, order)) {
        json_t *relays = json_array();
        for (unsigned i = 0; i < s->relays_n; i++)
            json_array_append_new(relays, json_string(s->relays[i].text));
        json_t *o = json_pack(
            "{s:I, s:s, s:s, s:b, s:s, s:s, s:s?, s:I, s:b, s:b, s:b, s:I, s:o}", "session",
            (json_int_t)s->number, "role", portal_role_text(s->role), "state", states[s->state],
            "v2", s->v2, "token", s->token->config->name, "user_agent", s->agent.text, "device",
            s->device ? s->device->id.text : NULL, "connected_at", (json_int_t)s->connected_at,
            "iceless", s->iceless, "silent", s->silent, "stalled", s->stall_join, "queued",
            (json_int_t)s->queue_frames, "relays", relays);
        set_ip(o, "from", &s->from);
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *resources_state(const struct portal *p)
{
    static const char *const kinds[] = {
        "dns", "cidr", "ip", "internet", "static_device_pool", "dynamic_device_pool"};
    json_t *list = json_array();
    const struct resource *r;
    for (r = TAILQ_FIRST(&p->resources); r; r = TAILQ_NEXT(r, order))
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s?, s:s?}", "name", r->c.name,
                                              "id", r->id.text, "type", kinds[r->c.kind], "address",
                                              r->c.address, "site", r->c.site));
    return list;
}

static json_t *policies_state(const struct portal *p)
{
    json_t *list = json_array();
    for (size_t i = 0; i < p->policies_n; i++) {
        const struct policy *policy = &p->policies[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:b}", "name", portal_policy_name(policy),
                                              "id", policy->id.text, "on", !policy->off));
    }
    return list;
}

static json_t *relays_state(const struct portal *p)
{
    json_t *list = json_array();
    const struct relay *r;
    for (r = TAILQ_FIRST(&p->relays); r; r = TAILQ_NEXT(r, order)) {
        json_t *o = json_pack("{s:s, s:b, s:i}", "id", r->id.text, "static", r->session == NULL,
                              "port", (int)r->port);
        if (r->name)
            json_object_set_new(o, "name", json_string(r->name));
        set_ip(o, "ipv4", &r->v4);
        set_ip(o, "ipv6", &r->v6);
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *grants_state(const struct portal *p)
{
    json_t *list = json_array();
    const struct grant *g;
    for (g = TAILQ_FIRST(&p->grants); g; g = TAILQ_NEXT(g, order))
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:s, s:I}", "id", g->id.text,
                                              "client_id", g->client->id.text, "peer_id",
                                              g->peer->id.text, "resource_id", g->resource.text,
                                              "policy_id", g->policy->id.text, "expires_at",
                                              (json_int_t)g->expires_at));
    return list;
}

static json_t *pending_state(const struct portal *p)
{
    json_t *list = json_array();
    const struct pending *q;
    for (q = TAILQ_FIRST(&p->pendings); q; q = TAILQ_NEXT(q, order))
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:b}", "client_id", q->from->id.text,
                                              "gateway_id", q->gateway->id.text, "resource_id",
                                              q->resource.text, "wanted", q->client != NULL));
    return list;
}

static json_t *refusals_state(const struct portal *p)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < p->refusals_n; i++) {
        const struct refusal *f = &p->refusals[i];
        json_array_append_new(
            list, json_pack("{s:I, s:s?, s:I, s:s}", "left", (json_int_t)f->left, "role",
                            f->any_role ? NULL : portal_role_text(f->role), "status",
                            (json_int_t)f->answer.status, "code", f->answer.code));
    }
    return list;
}

static const struct {
    const char *name;
    json_t *(*make)(const struct portal *p);
} parts[] = {{"tokens", tokens_state},       {"sites", sites_state},
             {"devices", devices_state},     {"sessions", sessions_state},
             {"resources", resources_state}, {"policies", policies_state},
             {"relays", relays_state},       {"authorizations", grants_state},
             {"pending", pending_state},     {"refusals", refusals_state}};

json_t *portal_order_state(const struct order *o)
{
    const json_t *wanted = json_object_get(o->command, "part");
    const char *name = json_string_value(wanted);
    json_t *answer = json_pack("{s:b, s:s, s:s, s:b}", "ok", 1, "account", o->p->config->account,
                               "account_id", o->p->account_id.text, "listening", o->p->listening);
    bool found = false;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        if (wanted && (!name || strcmp(name, parts[i].name) != 0))
            continue;
        json_object_set_new(answer, parts[i].name, parts[i].make(o->p));
        found = true;
    }
    if (found)
        return answer;
    json_decref(answer);
    return portal_order_failed("part: there is no such part");
}
