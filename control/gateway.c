/* SPDX-License-Identifier: Apache-2.0 */
/* What the portal says, as the state of this gateway. */
#include "control/gateway.h"

#include <stdio.h>
#include <stdlib.h>

#include "control/clients.h"
#include "control/gateway_host.h"
#include "control/gateway_names.h"
#include "control/gateway_nat.h"
#include "control/portal/gateway_messages.h"
#include "control/portal/gateway_requests.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/clock.h"

#define HELD_NS (10 * NS_PER_SEC) /* the portal gives up after 15 s */

enum {
    HELD_MAX = 64
};

/* An authorisation that came before a relay had answered, without which nobody can be let in. */
struct held {
    json_t *payload;
    time_ns at;
};

struct gateway {
    struct member member;
    struct clients *clients;
    struct gateway_host *host; /* NULL: the tunnel is not up yet */
    bool forward;
    struct gateway_names *names;
    struct gateway_nat *nat;
    struct held held[HELD_MAX];
    unsigned held_n;
};

/* ---- what the portal says ---- */

static void on_init(struct gateway *g, const struct gateway_message *m)
{
    size_t n = json_array_size(m->grants);
    char why[MEMBER_WHY_MAX];

    member_relays(&g->member, m->relays, NULL);
    unsigned relays = g->member.relays.n;
    log_info("gateway", "init received: %zu authorization%s, %u relay%s", n, n == 1 ? "" : "s",
             relays, relays == 1 ? "" : "s");
    member_set_addresses(&g->member, &m->ipv4, &m->ipv6);
    if (g->host && gateway_host_serve(g->host, why, sizeof why) != ERR_OK)
        member_stop(&g->member, MEMBER_FAILED, why);
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

/* False: it does not have to wait, or there are too many. */
static bool hold(struct gateway *g, const struct gateway_message_authorization *a,
                 const json_t *payload)
{
    if (peers_ready(g->member.peers) || g->held_n == HELD_MAX)
        return false;
    log_info("gateway", "%s asks for resource '%s', and waits for a relay", who(&a->subject),
             a->resource.name);
    g->held[g->held_n++] = (struct held){json_deep_copy(payload), clock_now()};
    return true;
}

static void on_rejected(struct gateway *g, const struct uuid *client, const struct uuid *resource)
{
    char c[UUID_TEXT_MAX], r[UUID_TEXT_MAX];

    uuid_format(client, c);
    uuid_format(resource, r);
    log_info("gateway", "client %s may not reach resource %s any more", c, r);
    clients_reject(g->clients, client, resource);
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
    case GATEWAY_EXPIRY_CHANGED:
        clients_expire(g->clients, &m->client, &m->resource_id, m->expires_at);
        break;
    case GATEWAY_RESOURCE_UPDATED:
        log_info("gateway", "resource '%s' has other filters", m->resource.name);
        clients_update(g->clients, &m->resource);
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
        log_debug("gateway", "the message '%s' is of no use here", name);
        break;
    }
}

static void on_message(void *arg, const char *name, const json_t *payload)
{
    struct gateway *g = arg;
    struct fields f = {.failed = false};
    struct gateway_message m;

    if (gateway_message_read(&m, name, payload, &f)) {
        if (m.kind != GATEWAY_AUTHORIZATION || !hold(g, &m.authorization, payload))
            carry_out(g, &m, name);
    } else
        log_warn("portal", "a message is dropped: %s: %s", name, f.why);
    gateway_message_wipe(&m);
}

/* A gateway stays where it is: clients would lose it for nothing. What it knew about ways is forgotten already. */
static void on_moved(void *arg, const char *why)
{
    struct gateway *g = arg;

    log_info("gateway", "%s: the system's resolvers are read anew, connections stay", why);
    member_host_resolvers(&g->member);
    gateway_host_renew(g->host);
    gateway_names_moved(g->names);
}

static void on_resolvers(void *arg)
{
    const struct gateway *g = arg;
    gateway_host_resolvers(g->host);
}

static void on_hangup(void *arg)
{
    on_moved(arg, "SIGHUP");
}

/* ---- life ---- */

static void on_up(void *arg)
{
    struct gateway *g = arg;
    char why[MEMBER_WHY_MAX];

    if (gateway_host_new(&g->host, &g->member, g->forward, why, sizeof why) != ERR_OK)
        member_stop(&g->member, MEMBER_FAILED, why);
}

static void release(struct gateway *g, bool carry_out_too)
{
    for (unsigned i = 0; i < g->held_n; i++) {
        if (carry_out_too && time_since(clock_now(), g->held[i].at) < HELD_NS)
            on_message(g, GATEWAY_MESSAGE_AUTHORIZATION, g->held[i].payload);
        json_decref(g->held[i].payload);
    }
    g->held_n = 0;
}

static void on_ready(void *arg)
{
    release(arg, true);
}

/* What the client was granted stays, as it may come back, unless it has said goodbye. */
static void on_ended(void *arg, const struct uuid *client, const struct peers_end *end)
{
    struct gateway *g = arg;

    gateway_nat_forget(g->nat, client);
    if (end->goodbye)
        clients_left(g->clients, client);
}

static void on_inner(void *arg, const struct uuid *client, const uint8_t *packet, size_t len)
{
    struct gateway *g = arg;
    gateway_nat_packet(g->nat, client, packet, len);
}

static void on_counters(void *arg)
{
    const struct gateway *g = arg;

    gateway_names_log(g->names);
    gateway_nat_log(g->nat);
    gateway_host_log(g->host);
}

static const struct member_role role = {
    .name = "gateway",
    .endpoint = GATEWAY_ENDPOINT,
    .message = on_message,
    .hangup = on_hangup,
    .moved = on_moved,
    .resolvers = on_resolvers,
    .up = on_up,
    .ready = on_ready,
    .engine = ENGINE_GATEWAY,
    .peer = "client",
    .candidates = GATEWAY_REQUEST_CANDIDATES_ADDED,
    .invalidated = GATEWAY_REQUEST_CANDIDATES_REMOVED,
    .lines = gateway_request_candidates,
    .ended = on_ended,
    .inner = on_inner,
    .counters = on_counters,
};

static enum err on_push(void *arg, const char *name, const json_t *payload)
{
    struct gateway *g = arg;
    return member_push(&g->member, name, payload);
}

static void on_renewed(void *arg, const struct uuid *client)
{
    struct gateway *g = arg;
    gateway_nat_forget(g->nat, client);
}

static const struct clients_events clients_events = {on_push, on_renewed};

static enum err set_up(struct gateway *g)
{
    struct member *m = &g->member;
    char why[MEMBER_WHY_MAX];
    enum err err = gateway_names_new(&g->names, m->loop, &m->egress, NULL, NULL, why, sizeof why);

    if (err != ERR_OK) {
        member_stop(m, MEMBER_FAILED, why);
        return err;
    }
    g->clients = clients_new(m->loop, m->peers, &clients_events, g);
    g->nat = gateway_nat_new(m->peers, g->clients, g->names);
    return ERR_OK;
}

/* What uses the loop. */
static void take_down(struct gateway *g)
{
    release(g, false);
    gateway_host_free(g->host);
    gateway_nat_close(g->nat);
    gateway_names_free(g->names);
    clients_free(g->clients);
}

enum member_end gateway_run(const struct member_options *o, bool forward, char *why,
                            unsigned why_size)
{
    struct gateway *g = mem_zalloc(1, sizeof *g);
    enum member_end end;

    g->forward = forward;
    if (member_open(&g->member, o, &role, g) == ERR_OK && set_up(g) == ERR_OK) {
        member_run(&g->member);
        take_down(g);
    }
    member_close(&g->member);
    gateway_nat_free(g->nat);
    snprintf(why, why_size, "%s", g->member.why);
    end = g->member.end;
    free(g);
    return end;
}
