/* SPDX-License-Identifier: Apache-2.0 */
/* Peers of the tunnel at work: their receiver indices, and carrying out what each handshake machine asks for. */
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

/*
 * Unix time. Under peers that come and go, a new one may be the same to the other side, which has kept the newest timestamp: there the
 * clock counts as it was at the beginning, since our keys are no older, and being set back must not keep us out.
 */
static uint64_t timestamp_now(struct tunnel *t)
{
    uint64_t seconds;
    uint32_t nanoseconds;
    time_ns now = clock_now();

    if (t->timestamp_base_ns != 0)
        return t->timestamp_base_ns + now;
    clock_wall(&seconds, &nanoseconds);
    uint64_t wall = seconds * NS_PER_SEC + nanoseconds;
    if (t->options.p2p)
        t->timestamp_base_ns = wall - now;
    return wall;
}

struct wg_fresh tunnel_fresh(struct tunnel *t, struct tunnel_peer *p)
{
    struct wg_fresh fresh = {0};
    uint64_t stamp;

    random_bytes(fresh.noise.ephemeral, sizeof fresh.noise.ephemeral);
    fresh.noise.local_index = index_candidate(&t->indices, p->owner, random_u32());
    /*
     * Coarse, so that the clock's low bits stay private; always newer than the peer's last. Not than that of any peer:
     * with many peers the stamps would run away from the clock, and after a restart nobody would accept ours.
     */
    stamp = timestamp_now(t) & ~UINT64_C(0xffffff);
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
        keylog_psk(p->wg.remote.psk); /* readers tie it to the ephemeral key before it */
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
        if (!p->tunnel->egress.source && to->scope == 0)
            from.ifindex = 0;
    }
    return from;
}

static void send_datagrams(struct tunnel_peer *p)
{
    struct wg_datagram d;

    if (p->tunnel->options.p2p) {
        tunnel_p2p_transmit(p);
        return;
    }
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
    if (p->tunnel->options.p2p)
        tunnel_p2p_note(p, e);
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
        if (!p->tunnel->options.p2p)
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
    if (p->tunnel->options.p2p)
        tunnel_p2p_traffic(p);
    indices_sweep(p->tunnel, p);
    loop_timer_set(p->tunnel->loop, &p->timer, wg_peer_poll_timeout(&p->wg));
}

static void on_timer(void *arg)
{
    struct tunnel_peer *p = arg;
    struct peer_activity a;

    tunnel_peer_refresh(p);
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

void tunnel_peer_timer_init(struct tunnel_peer *p)
{
    loop_timer_init(&p->timer, on_timer, p);
}

/* ---- endpoints ---- */

void tunnel_peer_endpoint(struct tunnel_peer *p, const struct sock_addr *to, bool tell_wg)
{
    if (tell_wg)
        wg_peer_set_endpoint(&p->wg, to);
    endpoint_command(p, to);
}

void tunnel_resolved(void *arg, void *tag, const struct sock_addr *addrs, unsigned n)
{
    struct tunnel *t = arg;
    struct tunnel_peer *p = tag;
    char text[SOCK_ADDR_TEXT_MAX];

    tunnel_names_came(t);
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
        engine_set_gate(t->engine, t->identity->public_key, secret);
    secure_wipe(secret, sizeof secret);
    t->gate_secret_at = clock_now();
}

bool tunnel_peer_refresh(struct tunnel_peer *p)
{
    if (p->wg.identity == p->tunnel->identity)
        return false;
    wg_peer_set_identity(&p->wg, p->tunnel->identity);
    tunnel_peer_drive(p);
    return true;
}
