/* SPDX-License-Identifier: Apache-2.0 */
/* What the portal says, as the state of this gateway. */
#include "control/gateway.h"

#include <stdio.h>

#include "control/clients.h"
#include "control/portal/gateway_messages.h"
#include "control/portal/gateway_requests.h"
#include "control/system_names.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"

struct gateway {
    struct member member;
    struct clients *clients;
};

/* ---- what the portal says ---- */

static void on_init(struct gateway *g, const struct gateway_message *m)
{
    size_t n = json_array_size(m->grants);

    member_relays(&g->member, m->relays, NULL);
    unsigned relays = g->member.relays.n;
    log_info("gateway", "init received: %zu authorization%s, %u relay%s", n, n == 1 ? "" : "s",
             relays, relays == 1 ? "" : "s");
    member_set_addresses(&g->member, &m->ipv4, &m->ipv6);
    clients_keep(g->clients, m->grants);
}

/* Who is it, as people call him. */
static const char *who(const struct message_subject *s)
{
    return s->actor_name ? s->actor_name : s->actor_email ? s->actor_email : "somebody";
}

/* Without an answer the portal tells the client after a while that this gateway is offline. */
static void on_authorization(struct gateway *g, const struct gateway_message_authorization *a)
{
    if (!g->member.tunnel) {
        log_warn("gateway", "%s asks for resource '%s' before this gateway is ready",
                 who(&a->subject), a->resource.name);
        return;
    }
    log_info("gateway", "%s asks for resource '%s'", who(&a->subject), a->resource.name);
    clients_authorize(g->clients, a);
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
        clients_reject(g->clients, &m->client, &m->resource_id);
        break;
    case GATEWAY_RESOURCE_UPDATED:
        log_info("gateway", "resource '%s' has other filters", m->resource.name);
        break;
    case GATEWAY_CANDIDATES_ADDED:
    case GATEWAY_CANDIDATES_REMOVED:
        member_candidates(&g->member, &m->client, m->kind == GATEWAY_CANDIDATES_ADDED,
                          m->candidates);
        break;
    case GATEWAY_RELAYS_PRESENCE:
        member_relays(&g->member, m->relays, m->gone);
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

/* Where all clients and gateways have their addresses. Source: spec/tunnel.md 1.1, 8.1. */
static void on_up(void *arg)
{
    static const char *const ranges[] = {"100.64.0.0/11", "fd00:2021:1111::/107"};
    struct gateway *g = arg;

    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        struct ip_prefix prefix;
        enum err err = ip_prefix_parse(&prefix, ranges[i]);
        ASSERT(err == ERR_OK);
        tunnel_p2p_route(g->member.tunnel, &prefix, true);
    }
}

/* Nothing is held back: relays are asked for when somebody comes. */
static void on_ready(void *arg)
{
    (void)arg;
}

/* What the client was granted stays: it may come back. */
static void on_ended(void *arg, const struct uuid *client, bool in_use)
{
    (void)arg;
    (void)client;
    (void)in_use;
}

static const struct member_role role = {
    .name = "gateway",
    .endpoint = GATEWAY_ENDPOINT,
    .message = on_message,
    .hangup = on_hangup,
    .up = on_up,
    .ready = on_ready,
    .peer = "client",
    .candidates = GATEWAY_REQUEST_CANDIDATES_ADDED,
    .invalidated = GATEWAY_REQUEST_CANDIDATES_REMOVED,
    .lines = gateway_request_candidates,
    .ended = on_ended,
};

static const struct clients_events clients_events = {member_push};

enum member_end gateway_run(const struct member_options *o, char *why, unsigned why_size)
{
    struct gateway g = {.member = {.end = MEMBER_STOPPED}};

    if (member_open(&g.member, o, &role, &g) == ERR_OK) {
        g.clients = clients_new(g.member.loop, g.member.peers, &clients_events, &g.member);
        member_run(&g.member);
        clients_free(g.clients);
    }
    member_close(&g.member);
    snprintf(why, why_size, "%s", g.member.why);
    return g.member.end;
}
