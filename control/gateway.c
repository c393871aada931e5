/* SPDX-License-Identifier: Apache-2.0 */
/* What the portal says, as the state of this gateway. */
#include "control/gateway.h"

#include <stdio.h>

#include "control/portal/gateway_messages.h"
#include "control/relays.h"
#include "control/system_names.h"
#include "platform/base/log.h"

struct gateway {
    struct member member;
    struct relays relays;
};

static void on_relay(void *arg, enum relay_change change, const struct relay *r)
{
    struct gateway *g = arg;
    member_log_relay(&g->member, change, r);
}

/* ---- access ---- */

/* The name that people know them by. */
static const char *who(const struct message_subject *s)
{
    return s->actor_name ? s->actor_name : s->actor_email ? s->actor_email : "somebody";
}

/* Without an answer the portal tells the client after a while that this gateway is offline. */
static void on_authorization(struct gateway *g, const struct gateway_message_authorization *a)
{
    char client[UUID_TEXT_MAX];

    (void)g;
    uuid_format(&a->client.id, client);
    log_warn("gateway", "client %s of %s asks for resource '%s': this gateway lets nobody in yet",
             client, who(&a->subject), a->resource.name);
}

/* Grants that are not in the list are no more. */
static void on_grants(struct gateway *g, const json_t *list)
{
    struct message_grant grant;
    size_t good = 0;

    (void)g;
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct fields f = {.failed = false};
        if (message_grant_at(&grant, list, i, &f))
            good++;
        else
            log_warn("portal", "an authorization is skipped: %s", f.why);
    }
    log_debug("gateway", "%zu authorizations are in force", good);
}

static void on_rejected(struct gateway *g, const struct uuid *client, const struct uuid *resource)
{
    char c[UUID_TEXT_MAX], r[UUID_TEXT_MAX];

    (void)g;
    uuid_format(client, c);
    uuid_format(resource, r);
    log_info("gateway", "client %s may not reach resource %s any more", c, r);
}

static void on_resource_updated(struct gateway *g, const struct message_resource *r)
{
    (void)g;
    log_info("gateway", "resource '%s' has other filters", r->name);
}

static void on_candidates(struct gateway *g, const struct uuid *client, const json_t *list,
                          bool added)
{
    char c[UUID_TEXT_MAX];

    (void)g;
    uuid_format(client, c);
    log_debug("gateway", "%zu candidates of client %s are %s", json_array_size(list), c,
              added ? "new" : "gone");
}

/* ---- what the portal says ---- */

static void on_init(struct gateway *g, const struct gateway_message *m)
{
    size_t n = json_array_size(m->grants);

    relays_upsert(&g->relays, m->relays);
    log_info("gateway", "init received: %zu authorization%s, %u relay%s", n, n == 1 ? "" : "s",
             g->relays.n, g->relays.n == 1 ? "" : "s");
    member_set_addresses(&g->member, &m->ipv4, &m->ipv6);
    on_grants(g, m->grants);
}

static void carry_out(struct gateway *g, const struct gateway_message *m, const char *name)
{
    switch (m->kind) {
    case GATEWAY_INIT:
        on_init(g, m);
        break;
    case GATEWAY_AUTHORIZATION:
        on_authorization(g, &m->authorization);
        break;
    case GATEWAY_ACCESS_REJECTED:
        on_rejected(g, &m->client, &m->resource_id);
        break;
    case GATEWAY_RESOURCE_UPDATED:
        on_resource_updated(g, &m->resource);
        break;
    case GATEWAY_CANDIDATES_ADDED:
    case GATEWAY_CANDIDATES_REMOVED:
        on_candidates(g, &m->client, m->candidates, m->kind == GATEWAY_CANDIDATES_ADDED);
        break;
    case GATEWAY_RELAYS_PRESENCE:
        relays_remove(&g->relays, m->gone);
        relays_upsert(&g->relays, m->relays);
        break;
    case GATEWAY_UNKNOWN:
    case GATEWAY_OBSOLETE:
        log_debug("gateway", "the message '%s' is of no use here", name);
        break;
    }
}

static void on_message(void *arg, const char *name, const json_t *payload)
{
    struct gateway *g = arg;
    struct fields f = {.failed = false};
    struct gateway_message m;

    if (gateway_message_read(&m, name, payload, &f))
        carry_out(g, &m, name);
    else
        log_warn("portal", "a message is dropped: %s: %s", name, f.why);
    gateway_message_wipe(&m);
}

/* A gateway stays where it is: clients would lose it for nothing. */
static void on_hangup(void *arg)
{
    struct gateway *g = arg;

    log_info("gateway", "SIGHUP: the system's resolvers are read anew, connections stay");
    system_names_refresh(g->member.names, "gateway");
}

/* ---- life ---- */

static const struct member_role role = {
    .name = "gateway",
    .endpoint = GATEWAY_ENDPOINT,
    .message = on_message,
    .hangup = on_hangup,
};

enum member_end gateway_run(const struct member_options *o, char *why, unsigned why_size)
{
    struct gateway g = {.member = {.end = MEMBER_STOPPED}};

    relays_init(&g.relays, on_relay, &g);
    if (member_open(&g.member, o, &role, &g) == ERR_OK)
        member_run(&g.member);
    member_close(&g.member);
    relays_fini(&g.relays);
    snprintf(why, why_size, "%s", g.member.why);
    return g.member.end;
}
