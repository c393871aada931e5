/* SPDX-License-Identifier: Apache-2.0 */
#include "control/clients.h"

#include <stdlib.h>
#include <string.h>

#include "control/portal/direct.h"
#include "control/portal/gateway_requests.h"
#include "control/tunnel_gateway.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/clock.h"

enum {
    BUCKETS = 1024
};

#define FAR_AWAY_NS (24 * 3600 * NS_PER_SEC) /* an expiry that the clock cannot tell */

struct client {
    struct clients *clients;
    struct uuid id;
    struct ip_addr ipv4, ipv6; /* in the tunnel */
    uint32_t number, tenant;   /* of the engine's: engine_peer_client */
    struct grants grants;      /* never without a live one for longer than a call */
    struct loop_timer expiry;
    struct client *next;
};

struct clients {
    struct loop *loop;
    struct peers *peers;
    const struct clients_events *events;
    void *arg;
    struct client *buckets[BUCKETS];
    bool taken[ENGINE_PEERS_MAX]; /* numbers */
    uint32_t tenants;
};

/* Of a client that has not come yet; ENGINE_PEERS_MAX: there is none. */
static uint32_t free_number(const struct clients *s)
{
    uint32_t n = 0;

    while (n < ENGINE_PEERS_MAX && s->taken[n])
        n++;
    return n;
}

static struct client **find(struct clients *s, const struct uuid *id)
{
    struct client **at = &s->buckets[load_le32(id->bytes) % BUCKETS];

    while (*at && !uuid_equal(&(*at)->id, id))
        at = &(*at)->next;
    return at;
}

/* ---- what has changed ---- */

/* The engine permits nothing to a peer whose grants it has not been told. */
static void publish(const struct client *c)
{
    struct tunnel_peer *p = peers_find(c->clients->peers, &c->id);
    struct engine_grant *list;

    if (!p)
        return;
    list = grants_for_engine(&c->grants);
    tunnel_gateway_grants(
        p, &(struct engine_grants){
               .ipv4 = c->ipv4, .ipv6 = c->ipv6, .grants = list, .n = c->grants.live});
    free(list);
}

static void arm(struct client *c)
{
    loop_timer_set(c->clients->loop, &c->expiry, grants_first_expiry(&c->grants));
}

static void client_free(struct client *c)
{
    c->clients->taken[c->number] = false;
    loop_timer_clear(c->clients->loop, &c->expiry);
    grants_fini(&c->grants);
    free(c);
}

/* With its connection, if there is one, which says goodbye. */
static void client_end(struct client *c)
{
    struct clients *s = c->clients;
    struct client **at = find(s, &c->id);

    *at = c->next;
    peers_close(s->peers, &c->id);
    s->events->renewed(s->arg, &c->id);
    tunnel_gateway_forget(peers_tunnel(s->peers), c->number);
    client_free(c);
}

/* Some grants are over; with the last one the client is gone. */
static void after_removal(struct client *c)
{
    char id[UUID_TEXT_MAX];

    if (c->grants.live > 0) {
        publish(c);
        arm(c);
        return;
    }
    uuid_format(&c->id, id);
    log_info("clients", "client %s has no access any more", id);
    client_end(c);
}

/* ---- the end of grants ---- */

/*
 * The wall clock counts when a grant is told, and from then on the one that nobody sets.
 * DEVIATE: upstream takes both clocks when it starts; a machine without a battery has no idea of the time then.
 */
static time_ns instant_of(int64_t expires_at)
{
    time_ns now = clock_now();
    uint64_t wall;
    uint32_t ns;

    if (expires_at == MESSAGE_NEVER)
        return TIME_NEVER;
    clock_wall(&wall, &ns);
    if (expires_at <= (int64_t)wall)
        return now;
    uint64_t left = (uint64_t)expires_at - wall;
    if (left >= (TIME_NEVER - now) / NS_PER_SEC)
        return now + FAR_AWAY_NS;
    return now + left * NS_PER_SEC - ns;
}

static void on_expiry(void *arg)
{
    struct client *c = arg;
    char id[UUID_TEXT_MAX];
    unsigned over = 0;

    for (unsigned i = 0; i < c->grants.n; i++) {
        struct grant *g = &c->grants.list[i];
        if (g->live && g->expires_at <= clock_now()) {
            grants_remove(&c->grants, g);
            over++;
        }
    }
    uuid_format(&c->id, id);
    if (over > 0)
        log_info("clients", "client %s: access to %u resource%s has expired", id, over,
                 over == 1 ? "" : "s");
    after_removal(c);
}

void clients_reject(struct clients *s, const struct uuid *client, const struct uuid *resource)
{
    struct client *c = *find(s, client);
    struct grant *g = c ? grants_find(&c->grants, resource) : NULL;

    if (!g)
        return;
    grants_remove(&c->grants, g);
    after_removal(c);
}

void clients_expire(struct clients *s, const struct uuid *client, const struct uuid *resource,
                    int64_t expires_at)
{
    struct client *c = *find(s, client);
    struct grant *g = c ? grants_find(&c->grants, resource) : NULL;

    if (!g)
        return;
    g->expires_at = instant_of(expires_at);
    arm(c);
}

void clients_left(struct clients *s, const struct uuid *client)
{
    struct client *c = *find(s, client);
    char id[UUID_TEXT_MAX];

    if (!c)
        return;
    uuid_format(client, id);
    log_info("clients", "client %s has left", id);
    client_end(c);
}

/* ---- the list of init ---- */

static void unlist_all(struct clients *s)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct client *c = s->buckets[i]; c; c = c->next) {
            for (unsigned k = 0; k < c->grants.n; k++)
                c->grants.list[k].listed = false;
        }
    }
}

static void drop_unlisted(struct client *c)
{
    unsigned before = c->grants.live;

    for (unsigned i = 0; i < c->grants.n; i++) {
        struct grant *g = &c->grants.list[i];
        if (g->live && !g->listed)
            grants_remove(&c->grants, g);
    }
    if (c->grants.live < before)
        after_removal(c);
    else
        arm(c);
}

void clients_keep(struct clients *s, const json_t *grants)
{
    unlist_all(s);
    for (size_t i = 0; i < json_array_size(grants); i++) {
        struct fields f = {.failed = false};
        struct message_grant m;
        if (!message_grant_at(&m, grants, i, &f)) {
            log_warn("portal", "an authorization is left out: %s", f.why);
            continue;
        }
        struct client *c = *find(s, &m.client);
        struct grant *g = c ? grants_find(&c->grants, &m.resource) : NULL;
        if (!g)
            continue; /* from before this process: the client will ask again */
        g->listed = true;
        g->expires_at = instant_of(m.expires_at);
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct client *c = s->buckets[i], *next; c; c = next) {
            next = c->next;
            drop_unlisted(c);
        }
    }
}

/* ---- other filters ---- */

static void update(struct client *c, const struct message_resource *r)
{
    struct grant *g = grants_find(&c->grants, &r->id);

    if (!g)
        return;
    if (grants_set_filters(g, r))
        publish(c);
    else
        log_warn("clients", "resource '%s' is of another kind now: nothing is changed", r->name);
}

void clients_update(struct clients *s, const struct message_resource *r)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct client *c = s->buckets[i]; c; c = c->next)
            update(c, r);
    }
}

/* ---- new ones ---- */

static struct client *client_new(struct clients *s, const struct gateway_message_client *m)
{
    struct client *c = mem_zalloc(1, sizeof *c);

    c->clients = s;
    c->id = m->id;
    c->ipv4 = m->ipv4;
    c->ipv6 = m->ipv6;
    c->number = free_number(s);
    c->tenant = ++s->tenants;
    s->taken[c->number] = true;
    loop_timer_init(&c->expiry, on_expiry, c);
    *find(s, &m->id) = c;
    return c;
}

/* Its connection stands. False: it has too many. */
static bool add_grant(struct clients *s, const struct gateway_message_authorization *m)
{
    struct client *c = *find(s, &m->client.id);

    if (!c)
        c = client_new(s, &m->client);
    if (!grants_put(&c->grants, &m->resource, instant_of(m->expires_at))) {
        log_warn("clients", "a client has more than %d resources: it has to connect anew",
                 GRANTS_MAX);
        client_end(c);
        return false;
    }
    publish(c);
    arm(c);
    return true;
}

/* One whose addresses are others is not the one that there was. */
static void end_other(struct clients *s, const struct gateway_message_client *m)
{
    struct client *c = *find(s, &m->id);
    char id[UUID_TEXT_MAX];

    if (!c || (ip_addr_equal(&c->ipv4, &m->ipv4) && ip_addr_equal(&c->ipv6, &m->ipv6)))
        return;
    uuid_format(&m->id, id);
    log_info("clients", "client %s has other addresses now", id);
    client_end(c);
}

static void tell_portal(struct clients *s, const char *name, json_t *payload)
{
    if (s->events->push(s->arg, name, payload) != ERR_OK)
        log_warn("portal", "the portal does not take '%s'", name);
    json_decref(payload);
}

static enum node_connect connect_client(struct clients *s,
                                        const struct gateway_message_authorization *m)
{
    struct node_peer peer = {.id = m->client.id,
                             .role = ICE_CONTROLLED,
                             .kind = ICE_GATEWAY,
                             .ufrag = m->gateway_ice.username,
                             .password = m->gateway_ice.password,
                             .remote_ufrag = m->client_ice.username,
                             .remote_password = m->client_ice.password};
    struct ip_prefix allowed[2] = {ip_prefix_host(&m->client.ipv4),
                                   ip_prefix_host(&m->client.ipv6)};
    const struct client *c = *find(s, &m->client.id);
    struct peers_inner inner = {.allowed = allowed,
                                .allowed_n = ARRAY_LEN(allowed),
                                .group = c ? c->number : free_number(s),
                                .tenant = c ? c->tenant : s->tenants + 1};

    if (inner.group == ENGINE_PEERS_MAX)
        return NODE_INVALID;
    memcpy(peer.public_key, m->client.public_key, sizeof peer.public_key);
    memcpy(peer.preshared_key, m->client.preshared_key, sizeof peer.preshared_key);
    enum node_connect result = peers_connect(s->peers, &peer, &inner);
    secure_wipe(&peer, sizeof peer);
    return result;
}

void clients_authorize(struct clients *s, const struct gateway_message_authorization *m)
{
    char id[UUID_TEXT_MAX];

    uuid_format(&m->client.id, id);
    end_other(s, &m->client);
    enum node_connect result = connect_client(s, m);
    switch (result) {
    case NODE_CREATED:
    case NODE_REPLACED:
    case NODE_REUSED:
        if (result != NODE_REUSED)
            s->events->renewed(s->arg, &m->client.id);
        if (!add_grant(s, m))
            break;
        log_info("clients", "client %s may reach resource '%s'", id, m->resource.name);
        /* Before any candidate: it is what tells the client of us. */
        tell_portal(s, GATEWAY_REQUEST_AUTHORIZED, gateway_request_authorized(m->ref));
        break;
    case NODE_NO_RELAYS:
        log_warn("clients", "client %s cannot come: no relay has answered yet", id);
        tell_portal(s, REQUEST_RELAYS, request_relays());
        break;
    case NODE_INVALID:
        log_warn("clients", "client %s cannot come: its credentials are of no use", id);
        break;
    }
}

bool clients_resource(struct clients *s, const struct uuid *client, const struct uuid *resource,
                      struct clients_resource *out)
{
    const struct client *c = *find(s, client);
    const struct grant *g = c ? grants_find(&c->grants, resource) : NULL;

    if (!g)
        return false;
    *out = (struct clients_resource){
        .kind = g->kind, .index = grants_index(&c->grants, g), .pattern = g->pattern};
    return true;
}

/* ---- life ---- */

struct clients *clients_new(struct loop *l, struct peers *peers,
                            const struct clients_events *events, void *arg)
{
    struct clients *s = mem_zalloc(1, sizeof *s);

    s->loop = l;
    s->peers = peers;
    s->events = events;
    s->arg = arg;
    return s;
}

void clients_free(struct clients *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        while (s->buckets[i]) {
            struct client *c = s->buckets[i];
            s->buckets[i] = c->next;
            client_free(c);
        }
    }
    free(s);
}
