/* SPDX-License-Identifier: Apache-2.0 */
/* What the workers report: edges, handshake messages, acknowledgements; and the change of sockets on a roam. */
#include <stdio.h>
#include <string.h>

#include "control/tunnel_private.h"
#include "engine/wire/wg.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/clock.h"

enum {
    HANDSHAKES_PER_STEP = 16, /* about 150 us each: a step stays below 5 ms */
    EDGES_PER_STEP = 512,     /* and no longer than */
    EDGES_STEP_US = 2000,     /* this, because some start a handshake */
    PACKETS_PER_STEP = 256,
    ACKS_PER_LOOK = 16, /* at the clock */
    ACKS_STEP_US = 1000,
    PORT_TRIES = 16
};

static const time_ns roam_retry_min_ns = 100 * NS_PER_MS, roam_retry_max_ns = 5 * NS_PER_SEC;

/* ---- edges ---- */

static void peer_edges(struct tunnel *t, struct tunnel_peer *p)
{
    uint32_t edges = engine_peer_take_edges(p->engine_peer);
    struct peer_activity a;
    time_ns now = clock_now();

    tunnel_peer_refresh(p);
    engine_peer_activity(p->engine_peer, &a);
    if (edges & EDGE_ENDPOINT)
        wg_peer_set_endpoint(&p->wg, &a.endpoint);
    if (edges & EDGE_CONFIRMED)
        wg_peer_confirmed(&p->wg, now, a.current_index);
    if (edges & EDGE_DATA_SENT) {
        p->armed |= ARM_ANSWER; /* the worker set it */
        wg_peer_data_sent(&p->wg, now);
    }
    if (edges & EDGE_DATA_RECEIVED) {
        p->armed |= ARM_REPLY;
        wg_peer_data_received(&p->wg, now);
    }
    if (edges & EDGE_WANT_HANDSHAKE) {
        struct wg_fresh fresh = tunnel_fresh(t, p);
        if (t->options.p2p)
            tunnel_p2p_want(p, &fresh);
        else
            wg_peer_want_handshake(&p->wg, now, &fresh);
        tunnel_fresh_done(t, p, &fresh);
    }
    if (edges & EDGE_PATH_LOST)
        log_debug("tunnel", "peer %u: its path is lost", p->slot);
    tunnel_peer_drive(p);
}

/* A worker has no source address for `dst`. */
static void source_question(struct tunnel *t, const struct event_edge *e)
{
    struct ip_source answer;
    uint64_t generation;

    if (engine_source_wanted(t->engine, &e->dst, clock_now(), &generation)) {
        bool found =
            t->egress.source && source_resolve(t->egress.source, &e->dst, &answer) == ERR_OK;
        engine_source_answer(t->engine, generation, &e->dst, found ? &answer : NULL, clock_now());
    }
    tunnel_command(t, e->worker, &(struct command){.kind = COMMAND_SOURCE_ANSWER});
}

static void edge_event(struct tunnel *t, const struct event_edge *e)
{
    switch ((enum event_edge_kind)e->kind) {
    case EVENT_EDGE_TUN_GONE:
        if (!t->gone && t->options.gone)
            t->options.gone(t->options.gone_arg);
        t->gone = true;
        break;
    case EVENT_EDGE_SOURCE:
        source_question(t, e);
        break;
    case EVENT_EDGE_ADDRESS_LOST:
        if (t->options.p2p)
            t->options.p2p->address_lost(t->options.p2p_arg, &e->lost);
        break;
    case EVENT_EDGE_PEER:
        if (t->peers[e->slot])
            peer_edges(t, t->peers[e->slot]);
        else
            tunnel_policy_wanted(t, e->slot);
        break;
    }
}

static bool edges_step(struct tunnel *t)
{
    struct event_edge e;
    unsigned n = 0;
    time_ns end = clock_now() + EDGES_STEP_US * NS_PER_US;
    while (n < EDGES_PER_STEP) {
        if (clock_now() >= end)
            return true;
        if (!engine_pop_edge(t->engine, &e))
            return false;
        n++;
        edge_event(t, &e);
    }
    return true;
}

/* ---- handshake messages ---- */

static struct tunnel_peer *handle_initiation(struct tunnel *t, const struct event_handshake *e,
                                             enum wg_outcome *outcome)
{
    struct noise_opened opened;
    struct tunnel_peer *p;

    if (!noise_initiation_open(&opened, t->identity, e->bytes)) {
        *outcome = WG_OUTCOME_UNAUTHENTIC;
        return NULL;
    }
    p = tunnel_peer_find(t, opened.remote_static);
    if (!p) {
        t->handshakes_unknown_peer++;
        noise_opened_wipe(&opened);
        return NULL;
    }
    if (!tunnel_indices_left(t, p)) {
        *outcome = WG_OUTCOME_FLOODED;
        noise_opened_wipe(&opened);
        return NULL;
    }
    tunnel_peer_refresh(p);
    p->heard_from = e->from;
    p->heard_at = e->to;
    struct wg_fresh fresh = tunnel_fresh(t, p);
    *outcome = wg_peer_handle_initiation(&p->wg, clock_now(), &opened, &e->from, &fresh);
    tunnel_fresh_done(t, p, &fresh);
    return p;
}

static struct tunnel_peer *handle_answer(struct tunnel *t, const struct event_handshake *e,
                                         enum wg_outcome *outcome)
{
    bool response = wg_message_kind(e->bytes, e->len) == WG_KIND_RESPONSE;
    uint32_t index = load_le32(
        e->bytes + (response ? (size_t)WG_RESPONSE_RECEIVER : (size_t)WG_COOKIE_REPLY_RECEIVER));
    struct tunnel_peer *p = index >> ENGINE_OWNER_SHIFT < engine_workers(t->engine)
                                ? index_find(&t->indices, index)
                                : NULL;
    *outcome = WG_OUTCOME_UNEXPECTED;
    if (!p)
        return NULL;
    if (!response) {
        *outcome = wg_peer_handle_cookie_reply(&p->wg, clock_now(), e->bytes);
        return p;
    }
    p->heard_from = e->from;
    p->heard_at = e->to;
    *outcome = wg_peer_handle_response(&p->wg, clock_now(), e->bytes, &e->from);
    return p;
}

static void handshake_event(struct tunnel *t, const struct event_handshake *e)
{
    enum wg_outcome outcome = WG_OUTCOME_COUNT;
    struct tunnel_peer *p = NULL;

    /* Lazily: a secret is only ever needed while handshake messages arrive. */
    if (time_since(clock_now(), t->gate_secret_at) >= WG_COOKIE_LIFETIME_NS)
        tunnel_gate_publish(t, true);
    switch (wg_message_kind(e->bytes, e->len)) {
    case WG_KIND_INITIATION:
        p = handle_initiation(t, e, &outcome);
        break;
    case WG_KIND_RESPONSE:
    case WG_KIND_COOKIE_REPLY:
        p = handle_answer(t, e, &outcome);
        break;
    case WG_KIND_DATA:
    case WG_KIND_NONE:
        break;
    }
    if (outcome != WG_OUTCOME_COUNT)
        t->handshakes[outcome]++;
    if (p)
        tunnel_peer_drive(p);
}

static bool handshakes_step(struct tunnel *t)
{
    struct event_handshake e;
    unsigned n = 0;
    while (n < HANDSHAKES_PER_STEP && engine_pop_handshake(t->engine, &e)) {
        n++;
        handshake_event(t, &e);
    }
    return n == HANDSHAKES_PER_STEP;
}

/* Plain WireGuard knows no STUN. */
static bool packets_step(struct tunnel *t)
{
    struct event_packet e;
    unsigned n = 0;
    while (n < PACKETS_PER_STEP && engine_pop_packet(t->engine, &e)) {
        n++;
        if (t->options.p2p)
            tunnel_p2p_packet(t, &e);
        else
            t->packets_ignored++;
    }
    return n == PACKETS_PER_STEP;
}

/* Names are asked for. */
static bool dns_step(struct tunnel *t)
{
    struct event_packet e;
    unsigned n = 0;
    while (n < PACKETS_PER_STEP && engine_pop_dns(t->engine, &e)) {
        n++;
        tunnel_p2p_packet(t, &e);
    }
    return n == PACKETS_PER_STEP;
}

/* ---- sockets ---- */

static struct udp_config sockets_config(const struct tunnel *t, uint16_t port)
{
    return (struct udp_config){.port = port,
                               .sockets = engine_threads(t->engine),
                               .gate = true,
                               .mark = t->egress.mark,
                               .send_bytes = t->options.udp_send_bytes,
                               .recv_bytes = t->options.udp_recv_bytes,
                               .steering = t->options.steering,
                               .offloads = t->options.offloads};
}

/* Each family has the preferred port or, if that is taken, any. One family is enough. */
static enum err sockets_open_p2p(struct tunnel *t, struct udp_group *v4, struct udp_group *v6,
                                 char *why, unsigned why_size)
{
    struct udp_config config = sockets_config(t, TUNNEL_P2P_PORT);
    struct udp_group *groups[] = {v4, v6};
    enum err first = ERR_OK;

    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        config.family = i == 0 ? ADDR_V4 : ADDR_V6;
        config.port = TUNNEL_P2P_PORT;
        memset(groups[i], 0, sizeof *groups[i]);
        enum err err = udp_group_open(groups[i], &config, why, why_size);
        if (err == ERR_IN_USE) {
            config.port = 0;
            err = udp_group_open(groups[i], &config, why, why_size);
        }
        if (err == ERR_OK)
            continue;
        memset(groups[i], 0, sizeof *groups[i]);
        log_debug("tunnel", "%s", why);
        first = first == ERR_OK ? err : first;
    }
    return v4->n > 0 || v6->n > 0 ? ERR_OK : first;
}

enum err tunnel_sockets_open(struct tunnel *t, uint16_t port, struct udp_group *v4,
                             struct udp_group *v6, char *why, unsigned why_size)
{
    struct udp_config config = sockets_config(t, port);
    enum err err = ERR_OK;

    if (t->options.p2p)
        return sockets_open_p2p(t, v4, v6, why, why_size);
    for (unsigned try = 0; try < PORT_TRIES; try++) {
        config.family = ADDR_V4;
        config.port = port;
        memset(v4, 0, sizeof *v4);
        memset(v6, 0, sizeof *v6);
        err = udp_group_open(v4, &config, why, why_size);
        if (err != ERR_OK && err != ERR_UNSUPPORTED)
            return err;
        if (err == ERR_OK)
            config.port = v4->port;
        config.family = ADDR_V6;
        err = udp_group_open(v6, &config, why, why_size);
        if (err == ERR_OK || (err == ERR_UNSUPPORTED && v4->n > 0))
            return ERR_OK;
        if (v4->n > 0)
            udp_group_close(v4);
        memset(v4, 0, sizeof *v4);
        if (err != ERR_IN_USE || port != 0)
            return err;
    }
    return err;
}

void tunnel_sockets_hand_out(struct tunnel *t)
{
    for (unsigned i = 0; i < engine_threads(t->engine); i++) {
        struct command c = {.kind = COMMAND_SOCKETS_SET};
        c.sockets.v4 = t->v4.n > 0 ? t->v4.fds[i] : -1;
        c.sockets.v6 = t->v6.n > 0 ? t->v6.fds[i] : -1;
        tunnel_command(t, i, &c);
    }
}

void tunnel_roam_begin(struct tunnel *t)
{
    engine_sources_invalidate(t->engine);
    loop_timer_clear(t->loop, &t->roam.retry);
    if (t->roam.acks_missing > 0) {
        t->roam.again = true;
        return;
    }
    t->roam.acks_missing = engine_threads(t->engine);
    for (unsigned i = 0; i < engine_threads(t->engine); i++)
        tunnel_command(t, i, &(struct command){.kind = COMMAND_SOCKETS_DROP});
}

static void on_roam_retry(void *arg)
{
    tunnel_roam_begin(arg);
}

void tunnel_roam_init(struct tunnel *t)
{
    loop_timer_init(&t->roam.retry, on_roam_retry, t);
}

/* The port was taken in the gap, or there are no descriptors: without sockets the tunnel is dead, so it goes on trying. */
static void roam_failed(struct tunnel *t, const char *why)
{
    struct tunnel_roam *r = &t->roam;
    if (r->retry_after == 0)
        log_error("tunnel", "no sockets after a change of network, trying again: %s", why);
    r->retry_after = r->retry_after ? 2 * r->retry_after : roam_retry_min_ns;
    if (r->retry_after > roam_retry_max_ns)
        r->retry_after = roam_retry_max_ns;
    loop_timer_set(t->loop, &r->retry, clock_now() + r->retry_after);
}

static void peers_forget_sources(struct tunnel *t)
{
    for (uint32_t i = 0; i < t->slots_used; i++) {
        if (t->peers[i])
            memset(&t->peers[i]->heard_from, 0, sizeof t->peers[i]->heard_from);
    }
}

/* All workers let go: nothing in the kernel refers to the old sockets any more. */
static void roam_finish(struct tunnel *t)
{
    struct tunnel_roam *r = &t->roam;
    char why[256];

    if (t->v4.n > 0)
        udp_group_close(&t->v4);
    if (t->v6.n > 0)
        udp_group_close(&t->v6);
    memset(&t->v4, 0, sizeof t->v4);
    memset(&t->v6, 0, sizeof t->v6);
    peers_forget_sources(t);
    if (r->have_next) {
        t->v4 = r->next_v4;
        t->v6 = r->next_v6;
        r->have_next = false;
    } else if (tunnel_sockets_open(t, t->port, &t->v4, &t->v6, why, sizeof why) != ERR_OK) {
        roam_failed(t, why);
    }
    if (t->v4.n > 0 || t->v6.n > 0) {
        t->port = t->v4.n > 0 ? t->v4.port : t->v6.port;
        if (r->retry_after)
            log_info("tunnel", "the sockets are open again, port %u", t->port);
        r->retry_after = 0;
        log_debug("tunnel", "sockets replaced, port %u", t->port);
    }
    tunnel_sockets_hand_out(t);
    if (t->options.p2p && !r->again && (t->v4.n > 0 || t->v6.n > 0))
        t->options.p2p->sockets(t->options.p2p_arg);
    if (t->resolve)
        resolve_retry_now(t->resolve);
    if (r->again) {
        r->again = false;
        tunnel_roam_begin(t);
    }
}

static bool acks_step(struct tunnel *t)
{
    struct event_ack a;
    unsigned n = 0;
    time_ns end = clock_now() + ACKS_STEP_US * NS_PER_US;
    while (++n % ACKS_PER_LOOK != 0 || clock_now() < end) {
        if (!engine_pop_ack(t->engine, &a))
            return false;
        switch ((enum ack_kind)a.kind) {
        case ACK_SESSION_GONE:
            tunnel_session_gone(t, a.session, engine_session_index(a.session));
            break;
        case ACK_PEER_GONE:
            tunnel_peer_gone(t, a.peer);
            break;
        case ACK_SOCKETS_DROPPED:
            if (--t->roam.acks_missing == 0)
                roam_finish(t);
            break;
        case ACK_ECHO:
            tunnel_names_echo(t, a.token);
            break;
        case ACK_TRANSLATED:
            tunnel_gateway_translated(a.translation, a.done);
            break;
        case ACK_BLOCK:
            break;
        }
    }
    return true;
}

void tunnel_on_events(void *arg, unsigned events)
{
    struct tunnel *t = arg;
    (void)events;

    engine_events_begin(t->engine);
    bool more = acks_step(t);
    more = edges_step(t) || more;
    more = handshakes_step(t) || more;
    more = packets_step(t) || more;
    more = dns_step(t) || more;
    if (more)
        engine_events_again(t->engine);
    engine_reclaim(t->engine);
}
