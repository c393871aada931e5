/* SPDX-License-Identifier: Apache-2.0 */
/* Peers of the tunnel: adding and removing, AllowedIPs, and carrying out what each peer's handshake machine asks for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/keylog.h"
#include "control/tunnel_private.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/clock.h"
#include "platform/random.h"

static const time_ns overflow_retry_ns = 1 * NS_PER_MS;

void tunnel_command(struct tunnel *t, unsigned worker, const struct command *c)
{
    engine_command(t->engine, worker, c);
    if (!loop_timer_armed(&t->overflow_timer) && !engine_commands_flush(t->engine))
        loop_timer_set(t->loop, &t->overflow_timer, clock_now() + overflow_retry_ns);
}

/* ---- by public key ---- */

static struct tunnel_peer **key_bucket(struct tunnel *t, const uint8_t *key)
{
    return &t->by_key[load_le32(key) % ARRAY_LEN(t->by_key)];
}

struct tunnel_peer *tunnel_peer_find(struct tunnel *t, const uint8_t public_key[WG_KEY_LEN])
{
    struct tunnel_peer *p = *key_bucket(t, public_key);
    while (p && memcmp(p->wg.remote.public_key, public_key, WG_KEY_LEN) != 0)
        p = p->hash_next;
    return p;
}

/* ---- receiver indices ---- */

/* Initiations that are not waited for any more give their index back. */
static void indices_sweep(struct tunnel *t, struct tunnel_peer *p)
{
    for (unsigned i = 0; i < TUNNEL_INDICES_MAX; i++) {
        uint32_t index = p->indices[i].index;
        if (index == 0 || p->indices[i].session || wg_peer_index_pending(&p->wg, index))
            continue;
        index_release(&t->indices, index);
        p->indices[i].index = 0;
    }
}

bool tunnel_indices_left(struct tunnel *t, struct tunnel_peer *p)
{
    unsigned unused = 0;
    indices_sweep(t, p);
    for (unsigned i = 0; i < TUNNEL_INDICES_MAX; i++)
        unused += p->indices[i].index == 0;
    return unused > TUNNEL_INDICES_OWN;
}

struct wg_fresh tunnel_fresh(struct tunnel *t, struct tunnel_peer *p)
{
    struct wg_fresh fresh = {0};
    uint64_t seconds, stamp;
    uint32_t nanoseconds;

    random_bytes(fresh.noise.ephemeral, sizeof fresh.noise.ephemeral);
    fresh.noise.local_index = index_candidate(&t->indices, p->owner, random_u32());
    clock_wall(&seconds, &nanoseconds);
    /*
     * Coarse, so that the clock's low bits stay private; always newer than the peer's last. Not than that of any peer:
     * with many peers the stamps would run away from the clock, and after a restart nobody would accept ours.
     */
    stamp = (seconds * NS_PER_SEC + nanoseconds) & ~UINT64_C(0xffffff);
    if (stamp <= p->last_timestamp_ns)
        stamp = p->last_timestamp_ns + 0x1000000;
    t->fresh_timestamp_ns = stamp;
    noise_timestamp(fresh.noise.timestamp, stamp);
    fresh.used = false;
    return fresh;
}

void tunnel_fresh_done(struct tunnel *t, struct tunnel_peer *p, struct wg_fresh *fresh)
{
    if (fresh->used) {
        uint32_t index = fresh->noise.local_index;
        unsigned i = 0;
        keylog_ephemeral(fresh->noise.ephemeral);
        p->last_timestamp_ns = t->fresh_timestamp_ns;
        indices_sweep(t, p);
        while (i < TUNNEL_INDICES_MAX && p->indices[i].index != 0)
            i++;
        ASSERT(i < TUNNEL_INDICES_MAX);
        p->indices[i].index = index;
        p->indices[i].session = false;
        index_reserve(&t->indices, index, p);
    }
    secure_wipe(fresh, sizeof *fresh);
}

static void index_becomes_session(struct tunnel_peer *p, uint32_t index)
{
    for (unsigned i = 0; i < TUNNEL_INDICES_MAX; i++) {
        if (p->indices[i].index == index) {
            p->indices[i].session = true;
            return;
        }
    }
    ASSERT(!"a session's index is one of the peer's");
}

void tunnel_session_gone(struct tunnel *t, struct session *s, uint32_t local_index)
{
    struct tunnel_peer *p = index_find(&t->indices, local_index);
    for (unsigned i = 0; p && i < TUNNEL_INDICES_MAX; i++) {
        if (p->indices[i].index == local_index)
            p->indices[i].index = 0;
    }
    index_release(&t->indices, local_index);
    engine_session_free(s);
}

/* ---- carrying out ---- */

static struct ip_source reply_source(const struct tunnel_peer *p, const struct sock_addr *to)
{
    struct ip_source from = {0};
    if (sock_addr_equal(to, &p->heard_from)) {
        from = p->heard_at;
        if (!p->tunnel->options.source_resolve && to->scope == 0)
            from.ifindex = 0;
    }
    return from;
}

static void send_datagrams(struct tunnel_peer *p)
{
    struct wg_datagram d;
    while (wg_peer_poll_transmit(&p->wg, &d)) {
        struct command c = {.kind = COMMAND_DATAGRAM, .slot = p->slot};
        if (d.to.ip.family == ADDR_NONE)
            continue;
        c.datagram.to = d.to;
        c.datagram.from = reply_source(p, &d.to);
        c.datagram.len = d.len;
        memcpy(c.datagram.bytes, d.bytes, d.len);
        tunnel_command(p->tunnel, p->owner, &c);
    }
}

static void session_new(struct tunnel_peer *p, struct wg_session *s)
{
    struct command c = {.kind = COMMAND_SESSION_ADD, .slot = p->slot};
    index_becomes_session(p, s->keys.local_index);
    c.session = engine_session_new(s->keys.local_index, s->keys.remote_index, s->initiator,
                                   s->created, s->keys.send, s->keys.receive);
    tunnel_command(p->tunnel, p->owner, &c);
    secure_wipe(s, sizeof *s);
}

static void endpoint_command(struct tunnel_peer *p, const struct sock_addr *to)
{
    struct command c = {.kind = COMMAND_ENDPOINT, .slot = p->slot};
    c.endpoint.to = *to;
    c.endpoint.from = reply_source(p, to);
    tunnel_command(p->tunnel, p->owner, &c);
}

static void plain_command(struct tunnel_peer *p, enum command_kind kind)
{
    tunnel_command(p->tunnel, p->owner, &(struct command){.kind = (uint8_t)kind, .slot = p->slot});
}

static void peer_event(struct tunnel_peer *p, struct wg_event *e)
{
    switch (e->kind) {
    case WG_EVENT_SESSION_NEW:
        session_new(p, &e->session);
        break;
    case WG_EVENT_HANDSHAKE_COMPLETE:
        clock_wall(&p->handshake_seconds, &p->handshake_nanoseconds);
        log_debug("tunnel", "peer %u: handshake complete", p->slot);
        break;
    case WG_EVENT_HANDSHAKE_FAILED:
        log_debug("tunnel", "peer %u: handshake given up: no answer", p->slot);
        plain_command(p, COMMAND_STAGE_PURGE);
        break;
    case WG_EVENT_SEND_KEEPALIVE:
        plain_command(p, COMMAND_KEEPALIVE);
        break;
    case WG_EVENT_SESSIONS_EXPIRED:
        plain_command(p, COMMAND_SESSIONS_DROP);
        break;
    case WG_EVENT_ENDPOINT:
        endpoint_command(p, &e->endpoint);
        break;
    }
}

/*
 * Tells the worker which facts need no edge. When one is needed again, the fact may exist already: then it is
 * reported here, in the worker's place.
 */
static void sync_armed(struct tunnel_peer *p)
{
    unsigned edges = wg_peer_edges_armed(&p->wg);
    uint32_t armed = (edges & WG_EDGE_DATA_SENT ? ARM_ANSWER : 0u) |
                     (edges & WG_EDGE_DATA_RECEIVED ? ARM_REPLY : 0u);
    uint32_t up = armed & ~p->armed, down = p->armed & ~armed;
    struct peer_activity a;

    p->armed = armed;
    if (up)
        engine_peer_arm(p->engine_peer, up);
    if (!down)
        return;
    engine_peer_disarm(p->engine_peer, down);
    engine_peer_activity(p->engine_peer, &a);
    time_ns now = clock_now();
    if ((down & ARM_ANSWER) && a.unanswered_since)
        wg_peer_data_sent(&p->wg, now);
    if ((down & ARM_REPLY) && a.unacked_since)
        wg_peer_data_received(&p->wg, now);
    edges = wg_peer_edges_armed(&p->wg);
    armed = (edges & WG_EDGE_DATA_SENT ? ARM_ANSWER : 0u) |
            (edges & WG_EDGE_DATA_RECEIVED ? ARM_REPLY : 0u);
    engine_peer_arm(p->engine_peer, armed & ~p->armed);
    p->armed = armed;
}

void tunnel_peer_drive(struct tunnel_peer *p)
{
    struct wg_event e;
    while (wg_peer_poll_event(&p->wg, &e))
        peer_event(p, &e);
    send_datagrams(p);
    sync_armed(p);
    indices_sweep(p->tunnel, p);
    loop_timer_set(p->tunnel->loop, &p->timer, wg_peer_poll_timeout(&p->wg));
}

static void on_timer(void *arg)
{
    struct tunnel_peer *p = arg;
    struct peer_activity a;
    struct wg_fresh fresh = tunnel_fresh(p->tunnel, p);

    engine_peer_activity(p->engine_peer, &a);
    struct wg_activity activity = {.unanswered_since = a.unanswered_since,
                                   .unacked_since = a.unacked_since,
                                   .last_sent = a.last_sent,
                                   .last_received = a.last_received};
    wg_peer_handle_timeout(&p->wg, clock_now(), &activity, &fresh);
    tunnel_fresh_done(p->tunnel, p, &fresh);
    tunnel_peer_drive(p);
}

/* ---- adding and removing ---- */

static bool slot_find(const struct tunnel *t, uint32_t *slot)
{
    for (uint32_t i = 0; i < TUNNEL_PEERS_MAX; i++) {
        if (!t->peers[i] && !t->slot_leaving[i]) {
            *slot = i;
            return true;
        }
    }
    return false;
}

static unsigned least_loaded_worker(const struct tunnel *t)
{
    unsigned best = 0;
    for (unsigned i = 1; i < engine_workers(t->engine); i++) {
        if (t->worker_load[i] < t->worker_load[best])
            best = i;
    }
    return best;
}

static struct tunnel_peer *peer_add(struct tunnel *t, const struct device_peer_update *u)
{
    struct wg_peer_config config = {.identity = &t->identity, .timing = WG_TIMING_DEFAULT};
    uint32_t slot;

    if (!slot_find(t, &slot)) {
        log_warn("tunnel", "too many peers: at most %d", TUNNEL_PEERS_MAX);
        return NULL;
    }
    struct tunnel_peer *p = calloc(1, sizeof *p);
    if (!p) {
        fprintf(stderr, "out of memory\n");
        abort();
    }
    memcpy(config.public_key, u->public_key, WG_KEY_LEN);
    p->tunnel = t;
    p->slot = slot;
    p->owner = least_loaded_worker(t);
    p->engine_peer = engine_peer_new(slot, p->owner);
    wg_peer_init(&p->wg, &config, random_u32(), clock_now());
    secure_wipe(&config, sizeof config);
    loop_timer_init(&p->timer, on_timer, p);
    t->peers[slot] = p;
    t->peers_n++;
    t->worker_load[p->owner]++;
    if (slot >= t->slots_used)
        t->slots_used = slot + 1;
    struct tunnel_peer **bucket = key_bucket(t, u->public_key);
    p->hash_next = *bucket;
    *bucket = p;
    tunnel_command(
        t, p->owner,
        &(struct command){.kind = COMMAND_PEER_ADD, .slot = slot, .peer = p->engine_peer});
    return p;
}

static void steer(struct tunnel *t, const struct ip_prefix *prefix, const struct tunnel_peer *owner)
{
    enum err err;
    if (!tun_steered(t->tun))
        return;
    err = owner ? tun_steer_set(t->tun, prefix, owner->owner) : tun_steer_clear(t->tun, prefix);
    if (err != ERR_OK && err != ERR_NOT_FOUND)
        log_debug("tunnel", "steering map: %s; packets reach their worker by rings", err_text(err));
}

/* The peer's record in the engine is freed when the worker let go of it (ACK_PEER_GONE). */
static void peer_forget(struct tunnel *t, struct tunnel_peer *p)
{
    struct tunnel_peer **link = key_bucket(t, p->wg.remote.public_key);
    while (*link != p)
        link = &(*link)->hash_next;
    *link = p->hash_next;
    for (unsigned i = 0; i < TUNNEL_INDICES_MAX; i++) {
        if (p->indices[i].index == 0)
            continue;
        if (p->indices[i].session)
            index_orphan(&t->indices, p->indices[i].index);
        else
            index_release(&t->indices, p->indices[i].index);
    }
    loop_timer_clear(t->loop, &p->timer);
    if (t->resolve)
        resolve_cancel(t->resolve, p);
    wg_peer_fini(&p->wg);
    t->peers[p->slot] = NULL;
    t->peers_n--;
    t->worker_load[p->owner]--;
    secure_wipe(p, sizeof *p);
    free(p);
}

static bool allowed_clear(struct tunnel *t, const struct tunnel_peer *p)
{
    const struct allowed_entry *e;
    size_t cursor = 0;
    bool changed = false;

    while ((e = allowed_next(&t->allowed, &cursor)) != NULL) {
        if (e->owner != p->slot)
            continue;
        struct ip_prefix prefix = e->prefix;
        changed = allowed_remove(&t->allowed, &prefix, p->slot) || changed;
        steer(t, &prefix, NULL);
    }
    return changed;
}

static bool peer_remove(struct tunnel *t, struct tunnel_peer *p)
{
    bool changed = allowed_clear(t, p);
    t->slot_leaving[p->slot] = true;
    plain_command(p, COMMAND_PEER_REMOVE);
    peer_forget(t, p);
    return changed;
}

void tunnel_peers_free(struct tunnel *t)
{
    for (uint32_t i = 0; i < t->slots_used; i++) {
        if (t->peers[i])
            peer_forget(t, t->peers[i]);
    }
}

/* ---- updates ---- */

void tunnel_peer_endpoint(struct tunnel_peer *p, const struct sock_addr *to, bool tell_wg)
{
    if (tell_wg)
        wg_peer_set_endpoint(&p->wg, to);
    endpoint_command(p, to);
}

static bool peer_allowed_update(struct tunnel *t, struct tunnel_peer *p,
                                const struct device_peer_update *u)
{
    bool changed = u->replace_allowed && allowed_clear(t, p);
    for (size_t i = 0; i < u->allowed_n; i++) {
        const struct device_allowed *a = &u->allowed[i];
        if (a->remove ? allowed_remove(&t->allowed, &a->prefix, p->slot)
                      : allowed_set(&t->allowed, &a->prefix, p->slot)) {
            steer(t, &a->prefix, a->remove ? NULL : p);
            changed = true;
        }
    }
    return changed;
}

/* Returns whether the routes changed. */
static bool peer_update(struct tunnel *t, const struct device_peer_update *u)
{
    struct tunnel_peer *p = tunnel_peer_find(t, u->public_key);

    if (memcmp(u->public_key, t->identity.public_key, WG_KEY_LEN) == 0)
        return false; /* ourselves: WireGuard ignores such a peer */
    if (u->remove)
        return p && peer_remove(t, p);
    if (!p && (u->update_only || !(p = peer_add(t, u))))
        return false;
    if (u->has_psk) {
        wg_peer_set_psk(&p->wg, ct_is_zero(u->psk, sizeof u->psk) ? NULL : u->psk);
        keylog_psk(u->psk);
    }
    keylog_remote(u->public_key);
    if (u->has_endpoint) {
        if (t->resolve)
            resolve_cancel(t->resolve, p);
        if (u->endpoint_host[0])
            resolve_add(t->resolve, u->endpoint_host, u->endpoint_port, p);
        else
            tunnel_peer_endpoint(p, &u->endpoint, true);
    }
    bool routes_changed = peer_allowed_update(t, p, u);
    if (u->has_keepalive) {
        p->keepalive_seconds = u->keepalive_seconds;
        wg_peer_set_keepalive(&p->wg, clock_now(), u->keepalive_seconds * NS_PER_SEC);
    }
    tunnel_peer_drive(p);
    return routes_changed;
}

static enum err routes_publish(struct tunnel *t)
{
    struct engine_route *routes = malloc((t->allowed.used + 1) * sizeof *routes);
    const struct allowed_entry *e;
    size_t cursor = 0, n = 0;

    if (!routes)
        return ERR_NO_MEMORY;
    while ((e = allowed_next(&t->allowed, &cursor)) != NULL)
        routes[n++] = (struct engine_route){
            .prefix = e->prefix, .peer = engine_peer_value(t->peers[e->owner]->engine_peer)};
    enum err err = engine_set_routes(t->engine, routes, n);
    free(routes);
    return err;
}

enum err tunnel_peers_update(struct tunnel *t, const struct device_update *u)
{
    bool routes_changed = false;

    if (u->replace_peers) {
        for (uint32_t i = 0; i < t->slots_used; i++) {
            if (t->peers[i])
                routes_changed = peer_remove(t, t->peers[i]) || routes_changed;
        }
    }
    for (size_t i = 0; i < u->peers_n; i++)
        routes_changed = peer_update(t, &u->peers[i]) || routes_changed;
    return routes_changed ? routes_publish(t) : ERR_OK;
}

void tunnel_resolved(void *arg, void *tag, const struct sock_addr *addrs, unsigned n)
{
    struct tunnel *t = arg;
    struct tunnel_peer *p = tag;
    char text[SOCK_ADDR_TEXT_MAX];

    tunnel_default_rules(t);
    for (unsigned i = 0; i < n; i++) {
        if (addrs[i].ip.family == ADDR_V6 ? t->v6.n == 0 : t->v4.n == 0)
            continue;
        log_info("tunnel", "peer %u: endpoint is %s", p->slot,
                 sock_addr_format(&addrs[i], text, sizeof text));
        tunnel_peer_endpoint(p, &addrs[i], true);
        if (p->keepalive_seconds) /* the first one could not leave yet */
            plain_command(p, COMMAND_KEEPALIVE);
        tunnel_peer_drive(p);
        return;
    }
    log_warn("tunnel", "peer %u: its endpoint has no address of a family this machine has",
             p->slot);
}

/* ---- our own identity ---- */

void tunnel_gate_publish(struct tunnel *t, bool rotate)
{
    uint8_t secret[32];
    random_bytes(secret, sizeof secret);
    if (rotate)
        engine_rotate_gate(t->engine, secret);
    else
        engine_set_gate(t->engine, t->identity.public_key, secret);
    secure_wipe(secret, sizeof secret);
    t->gate_secret_at = clock_now();
}

void tunnel_identity_changed(struct tunnel *t)
{
    struct tunnel_peer *own = tunnel_peer_find(t, t->identity.public_key);
    keylog_identity(t->identity.private_key);
    if (own && peer_remove(t, own) && routes_publish(t) != ERR_OK)
        log_error("tunnel", "out of memory");
    for (uint32_t i = 0; i < t->slots_used; i++) {
        if (!t->peers[i])
            continue;
        wg_peer_set_identity(&t->peers[i]->wg, &t->identity);
        tunnel_peer_drive(t->peers[i]);
    }
    tunnel_gate_publish(t, false);
}
