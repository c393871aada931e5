/* SPDX-License-Identifier: Apache-2.0 */
#include "control/clients.h"

#include <stdlib.h>
#include <string.h>

#include "control/portal/direct.h"
#include "control/portal/gateway_requests.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/clock.h"

enum {
    BUCKETS = 1024,
    CHECK_AT_LEAST_S = 3600 /* the wall clock may be set meanwhile */
};

struct grant {
    struct uuid resource;
    int64_t expires_at; /* Unix seconds, or MESSAGE_NEVER */
    bool listed;
    struct grant *next;
};

struct client {
    struct uuid id;
    struct grant *grants;
    struct client *next;
};

struct clients {
    struct loop *loop;
    struct peers *peers;
    const struct clients_events *events;
    void *arg;
    struct client *buckets[BUCKETS];
    struct loop_timer timer;
};

static struct client **find(struct clients *s, const struct uuid *id)
{
    struct client **at = &s->buckets[load_le32(id->bytes) % BUCKETS];

    while (*at && !uuid_equal(&(*at)->id, id))
        at = &(*at)->next;
    return at;
}

static struct grant *grant_of(const struct client *c, const struct uuid *resource)
{
    struct grant *g = c->grants;

    while (g && !uuid_equal(&g->resource, resource))
        g = g->next;
    return g;
}

/* ---- expiry ---- */

static int64_t wall_now(void)
{
    uint64_t seconds;
    uint32_t nanoseconds;

    clock_wall(&seconds, &nanoseconds);
    return (int64_t)seconds;
}

static void arm(struct clients *s)
{
    int64_t first = MESSAGE_NEVER, now = wall_now(), wait;

    for (size_t i = 0; i < BUCKETS; i++) {
        for (const struct client *c = s->buckets[i]; c; c = c->next) {
            for (const struct grant *g = c->grants; g; g = g->next)
                first = g->expires_at < first ? g->expires_at : first;
        }
    }
    if (first == MESSAGE_NEVER) {
        loop_timer_clear(s->loop, &s->timer);
        return;
    }
    wait = first < now ? 0 : first - now;
    wait = wait > CHECK_AT_LEAST_S ? CHECK_AT_LEAST_S : wait;
    loop_timer_set(s->loop, &s->timer, clock_now() + (time_ns)wait * NS_PER_SEC);
}

/* ---- the end of grants ---- */

static void client_free(struct client *c)
{
    while (c->grants) {
        struct grant *g = c->grants;
        c->grants = g->next;
        free(g);
    }
    free(c);
}

/* Grants of the client that `over` says are no more. The last one ends its connection, and then it is gone: true. */
static bool drop_grants(struct clients *s, struct client **at,
                        bool (*over)(const struct grant *g, const void *arg), const void *arg)
{
    struct client *c = *at;
    struct grant **g = &c->grants;
    char id[UUID_TEXT_MAX];

    while (*g) {
        struct grant *gone = *g;
        if (!over(gone, arg)) {
            g = &gone->next;
            continue;
        }
        *g = gone->next;
        free(gone);
    }
    if (c->grants)
        return false;
    uuid_format(&c->id, id);
    log_info("clients", "client %s has no access any more", id);
    peers_close(s->peers, &c->id);
    *at = c->next;
    client_free(c);
    return true;
}

static void drop_everywhere(struct clients *s, bool (*over)(const struct grant *g, const void *arg),
                            const void *arg)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        struct client **at = &s->buckets[i];
        while (*at) {
            if (!drop_grants(s, at, over, arg))
                at = &(*at)->next;
        }
    }
    arm(s);
}

static bool has_expired(const struct grant *g, const void *arg)
{
    return g->expires_at <= *(const int64_t *)arg;
}

static void on_timer(void *arg)
{
    int64_t now = wall_now();
    drop_everywhere(arg, has_expired, &now);
}

static bool is_of(const struct grant *g, const void *arg)
{
    return uuid_equal(&g->resource, arg);
}

void clients_reject(struct clients *s, const struct uuid *client, const struct uuid *resource)
{
    struct client **at = find(s, client);

    if (!*at)
        return;
    (void)drop_grants(s, at, is_of, resource);
    arm(s);
}

static bool is_unlisted(const struct grant *g, const void *arg)
{
    (void)arg;
    return !g->listed;
}

static void unlist_all(struct clients *s)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct client *c = s->buckets[i]; c; c = c->next) {
            for (struct grant *g = c->grants; g; g = g->next)
                g->listed = false;
        }
    }
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
        struct grant *g = c ? grant_of(c, &m.resource) : NULL;
        if (!g)
            continue; /* from before this process: the client will ask again */
        g->listed = true;
        g->expires_at = m.expires_at;
    }
    drop_everywhere(s, is_unlisted, NULL);
}

/* ---- new ones ---- */

static void add_grant(struct clients *s, const struct gateway_message_authorization *m)
{
    struct client **at = find(s, &m->client.id), *c = *at;

    if (!c) {
        c = mem_zalloc(1, sizeof *c);
        c->id = m->client.id;
        *at = c;
    }
    struct grant *g = grant_of(c, &m->resource.id);
    if (!g) {
        g = mem_zalloc(1, sizeof *g);
        g->resource = m->resource.id;
        g->next = c->grants;
        c->grants = g;
    }
    g->expires_at = m->expires_at;
    arm(s);
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
    struct peers_inner inner = {
        .allowed = allowed, .allowed_n = ARRAY_LEN(allowed), .group = TUNNEL_NO_GROUP};

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
    switch (connect_client(s, m)) {
    case NODE_CREATED:
    case NODE_REUSED:
    case NODE_REPLACED:
        log_info("clients", "client %s may reach resource '%s'", id, m->resource.name);
        add_grant(s, m);
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

/* ---- life ---- */

struct clients *clients_new(struct loop *l, struct peers *peers,
                            const struct clients_events *events, void *arg)
{
    struct clients *s = mem_zalloc(1, sizeof *s);

    s->loop = l;
    s->peers = peers;
    s->events = events;
    s->arg = arg;
    loop_timer_init(&s->timer, on_timer, s);
    return s;
}

void clients_free(struct clients *s)
{
    if (!s)
        return;
    loop_timer_clear(s->loop, &s->timer);
    for (size_t i = 0; i < BUCKETS; i++) {
        while (s->buckets[i]) {
            struct client *c = s->buckets[i];
            s->buckets[i] = c->next;
            client_free(c);
        }
    }
    free(s);
}
