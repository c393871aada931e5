/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two peers on a link that loses and delays, in virtual time. The handshake machines are real; each node's worker is a
 * model of what the engine does with them: three key slots, staging, activity, edges. A data packet carries its key
 * instead of being sealed with it, so that a receiver with another key notices.
 */
#ifndef FZ_TESTS_WG_PAIR_H
#define FZ_TESTS_WG_PAIR_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "control/wg/handshake.h"
#include "engine/cookie_gate.h"
#include "platform/base/bytes.h"

enum {
    PAIR_PACKETS_MAX = 64,
    PAIR_STAGED_MAX = 128
};

struct pair_packet {
    time_ns at;
    unsigned to;
    enum wg_kind kind;
    struct sock_addr from;
    size_t len; /* handshake messages */
    uint8_t bytes[WG_HANDSHAKE_LEN_MAX];
    bool tampered;
    uint32_t receiver; /* data */
    uint8_t key[WG_KEY_LEN];
    bool keepalive;
};

struct pair_slot {
    bool valid;
    struct wg_session session;
};

struct pair_node {
    unsigned id;
    struct noise_identity identity;
    struct wg_peer peer;
    struct cookie_gate gate;
    struct sock_addr address;
    bool under_load;
    struct wg_fresh fresh;

    /* the worker */
    struct pair_slot next, current, previous;
    struct wg_activity activity;
    unsigned armed; /* as last told by control */
    unsigned staged;

    /* what happened, for assertions */
    unsigned initiations_sent, responses_sent, cookie_replies_sent, keepalives_sent, data_sent;
    unsigned data_received, keepalives_received, sessions, completes, failures, expiries, purged,
        wants;
    unsigned outcomes[WG_OUTCOME_COUNT];
    unsigned gate_refused, bad_key;
    time_ns last_initiation_at, shortest_gap;
};

struct pair {
    time_ns now;
    time_ns delay;
    struct pair_node node[2];
    struct pair_packet packets[PAIR_PACKETS_MAX];
    unsigned packet_count;
    uint32_t counter; /* indices and entropy */
    /* Sees every packet that is sent; false loses it. May be NULL. */
    bool (*filter)(struct pair *p, struct pair_packet *packet);
};

static inline void pair_settle(struct pair *p, struct pair_node *n);

static inline struct wg_fresh *pair_fresh(struct pair *p, struct pair_node *n)
{
    noise_timestamp(n->fresh.noise.timestamp, UINT64_C(1700000000000000000) + p->now);
    if (n->fresh.used || n->fresh.noise.local_index == 0) {
        uint32_t count = ++p->counter;
        n->fresh.noise.local_index = (n->id + 1) << 24 | count;
        blake2s_hash2(n->fresh.noise.ephemeral, &count, sizeof count, "ephemeral", 9);
        n->fresh.used = false;
    }
    return &n->fresh;
}

static inline void pair_send(struct pair *p, unsigned from, struct pair_packet *packet)
{
    packet->to = 1 - from;
    packet->from = p->node[from].address;
    packet->at = p->now + p->delay;
    if ((p->filter && !p->filter(p, packet)) || p->packet_count == PAIR_PACKETS_MAX)
        return;
    p->packets[p->packet_count++] = *packet;
}

/* ---- the worker's model ---- */

static inline bool pair_usable(const struct pair *p, const struct pair_slot *s)
{
    return s->valid && time_since(p->now, s->session.created) < WG_REJECT_AFTER_NS;
}

static inline void pair_want(struct pair *p, struct pair_node *n)
{
    if (n->armed & WG_EDGE_HANDSHAKE)
        return;
    n->armed |= WG_EDGE_HANDSHAKE;
    n->wants++;
    wg_peer_want_handshake(&n->peer, p->now, pair_fresh(p, n));
}

static inline void pair_transport(struct pair *p, struct pair_node *n, bool keepalive)
{
    struct pair_packet packet = {.kind = WG_KIND_DATA, .keepalive = keepalive};
    const struct wg_session *s = &n->current.session;
    packet.receiver = s->keys.remote_index;
    memcpy(packet.key, s->keys.send, WG_KEY_LEN);
    n->activity.last_sent = p->now;
    n->activity.unacked_since = 0;
    if (keepalive) {
        n->keepalives_sent++;
    } else {
        n->data_sent++;
        if (n->activity.unanswered_since == 0)
            n->activity.unanswered_since = p->now;
        if (!(n->armed & WG_EDGE_DATA_SENT)) {
            n->armed |= WG_EDGE_DATA_SENT;
            wg_peer_data_sent(&n->peer, p->now);
        }
    }
    pair_send(p, n->id, &packet);
    if (s->initiator && time_since(p->now, s->created) >= WG_REKEY_AFTER_NS)
        pair_want(p, n);
}

static inline void pair_flush(struct pair *p, struct pair_node *n, bool or_keepalive)
{
    if (!pair_usable(p, &n->current)) {
        if (n->staged > 0 || or_keepalive)
            pair_want(p, n);
        return;
    }
    if (n->staged == 0 && or_keepalive)
        pair_transport(p, n, true);
    for (; n->staged > 0; n->staged--)
        pair_transport(p, n, false);
}

/* The TUN side: node `id` has a packet for the other. */
static inline void pair_data(struct pair *p, unsigned id)
{
    struct pair_node *n = &p->node[id];
    if (n->staged < PAIR_STAGED_MAX)
        n->staged++;
    pair_flush(p, n, false);
    pair_settle(p, n);
}

static inline void pair_install(struct pair_node *n, const struct wg_session *s)
{
    struct pair_slot slot = {.valid = true, .session = *s};
    n->sessions++;
    n->activity.unanswered_since = n->activity.unacked_since = 0;
    if (s->initiator) {
        n->previous = n->next.valid ? n->next : n->current;
        n->next.valid = false;
        n->current = slot;
    } else {
        n->next = slot; /* `previous` stays: after a simultaneous start the peer may be using it */
    }
}

static inline bool pair_slot_matches(const struct pair *p, const struct pair_slot *s,
                                     const struct pair_packet *packet)
{
    return pair_usable(p, s) && s->session.keys.local_index == packet->receiver;
}

static inline void pair_receive_data(struct pair *p, struct pair_node *n,
                                     const struct pair_packet *packet)
{
    struct pair_slot *s = pair_slot_matches(p, &n->current, packet)    ? &n->current
                          : pair_slot_matches(p, &n->next, packet)     ? &n->next
                          : pair_slot_matches(p, &n->previous, packet) ? &n->previous
                                                                       : NULL;
    if (!s)
        return;
    if (memcmp(s->session.keys.receive, packet->key, WG_KEY_LEN) != 0) {
        n->bad_key++;
        return;
    }
    n->activity.last_received = p->now;
    n->activity.unanswered_since = 0;
    if (s == &n->next) {
        n->previous = n->current;
        n->current = n->next;
        n->next.valid = false;
        wg_peer_confirmed(&n->peer, p->now, packet->receiver);
        pair_flush(p, n, false);
    }
    if (packet->keepalive) {
        n->keepalives_received++;
        return;
    }
    n->data_received++;
    if (n->activity.unacked_since == 0)
        n->activity.unacked_since = p->now;
    if (!(n->armed & WG_EDGE_DATA_RECEIVED)) {
        n->armed |= WG_EDGE_DATA_RECEIVED;
        wg_peer_data_received(&n->peer, p->now);
    }
    if (n->current.session.initiator &&
        time_since(p->now, n->current.session.created) >= WG_REKEY_ON_RECEIVE_NS)
        pair_want(p, n);
}

/* ---- control's side ---- */

static inline void pair_transmit(struct pair *p, struct pair_node *n)
{
    struct wg_datagram d;
    while (wg_peer_poll_transmit(&n->peer, &d)) {
        struct pair_packet packet = {.kind = wg_message_kind(d.bytes, d.len), .len = d.len};
        memcpy(packet.bytes, d.bytes, d.len);
        if (packet.kind == WG_KIND_INITIATION) {
            if (n->initiations_sent++ > 0) {
                time_ns gap = p->now - n->last_initiation_at;
                n->shortest_gap = n->shortest_gap == 0 ? gap : time_min(n->shortest_gap, gap);
            }
            n->last_initiation_at = p->now;
        } else {
            n->responses_sent++;
        }
        pair_send(p, n->id, &packet);
    }
}

static inline void pair_event(struct pair *p, struct pair_node *n, struct wg_event *e)
{
    switch (e->kind) {
    case WG_EVENT_SESSION_NEW:
        pair_install(n, &e->session);
        break;
    case WG_EVENT_HANDSHAKE_COMPLETE:
        n->completes++;
        break;
    case WG_EVENT_HANDSHAKE_FAILED:
        n->failures++;
        n->purged += n->staged;
        n->staged = 0;
        n->activity.unanswered_since = n->activity.unacked_since = 0;
        break;
    case WG_EVENT_SEND_KEEPALIVE:
        pair_flush(p, n, true);
        break;
    case WG_EVENT_SESSIONS_EXPIRED:
        n->expiries++;
        n->next.valid = n->current.valid = n->previous.valid = false;
        break;
    case WG_EVENT_ENDPOINT:
        break;
    }
    secure_wipe(e, sizeof *e);
}

/* Drains the machine and lets the worker report what it may report again, until nothing moves. */
static inline void pair_settle(struct pair *p, struct pair_node *n)
{
    struct wg_event e;
    unsigned enabled;
    do {
        pair_transmit(p, n);
        while (wg_peer_poll_event(&n->peer, &e))
            pair_event(p, n, &e);
        enabled = n->armed & ~wg_peer_edges_armed(&n->peer);
        n->armed = wg_peer_edges_armed(&n->peer);
        if (enabled & WG_EDGE_HANDSHAKE && n->staged > 0)
            pair_flush(p, n, false);
        if (enabled & WG_EDGE_DATA_SENT && n->activity.unanswered_since != 0) {
            n->armed |= WG_EDGE_DATA_SENT;
            wg_peer_data_sent(&n->peer, p->now);
        }
        if (enabled & WG_EDGE_DATA_RECEIVED && n->activity.unacked_since != 0) {
            n->armed |= WG_EDGE_DATA_RECEIVED;
            wg_peer_data_received(&n->peer, p->now);
        }
    } while (n->peer.event_count > 0 || n->peer.datagram_count > 0);
}

/* True if the message passed the gate. */
static inline bool pair_gate(struct pair *p, struct pair_node *n, const struct pair_packet *packet)
{
    switch (cookie_gate_check(&n->gate, packet->bytes, packet->len, &packet->from, n->under_load)) {
    case COOKIE_MAC1_INVALID:
        n->gate_refused++;
        return false;
    case COOKIE_REPLY_NEEDED: {
        struct pair_packet reply = {.kind = WG_KIND_COOKIE_REPLY, .len = WG_COOKIE_REPLY_LEN};
        uint8_t nonce[WG_NONCE_LEN] = {0};
        store_le32(nonce, ++p->counter);
        cookie_gate_reply(&n->gate, packet->bytes, packet->len, &packet->from, nonce, reply.bytes);
        n->cookie_replies_sent++;
        pair_send(p, n->id, &reply);
        return false;
    }
    case COOKIE_MAC1_VALID:
    case COOKIE_MAC2_VALID:
        break;
    }
    return true;
}

static inline enum wg_outcome pair_handle(struct pair *p, struct pair_node *n,
                                          const struct pair_packet *packet)
{
    struct noise_opened opened;
    switch (packet->kind) {
    case WG_KIND_INITIATION:
        if (!noise_initiation_open(&opened, &n->identity, packet->bytes) ||
            memcmp(opened.remote_static, n->peer.remote.public_key, WG_KEY_LEN) != 0)
            return WG_OUTCOME_UNAUTHENTIC;
        return wg_peer_handle_initiation(&n->peer, p->now, &opened, &packet->from,
                                         pair_fresh(p, n));
    case WG_KIND_RESPONSE:
        return wg_peer_handle_response(&n->peer, p->now, packet->bytes, &packet->from);
    case WG_KIND_COOKIE_REPLY:
        return wg_peer_handle_cookie_reply(&n->peer, p->now, packet->bytes);
    case WG_KIND_DATA:
    case WG_KIND_NONE:
        break;
    }
    return WG_OUTCOME_UNEXPECTED;
}

static inline enum wg_outcome pair_deliver(struct pair *p, const struct pair_packet *packet)
{
    struct pair_node *n = &p->node[packet->to];
    enum wg_outcome outcome = WG_OUTCOME_UNEXPECTED;
    if (packet->kind == WG_KIND_DATA) {
        pair_receive_data(p, n, packet);
    } else if (packet->kind == WG_KIND_COOKIE_REPLY || pair_gate(p, n, packet)) {
        outcome = pair_handle(p, n, packet);
        n->outcomes[outcome]++;
    }
    pair_settle(p, n);
    return outcome;
}

/* ---- time ---- */

/* Advances to the next thing that happens, but not beyond `limit`; false when that is reached. */
static inline bool pair_step(struct pair *p, time_ns limit)
{
    time_ns arrival = TIME_NEVER, timeout[2];
    unsigned first = 0;
    for (unsigned i = 0; i < p->packet_count; i++) {
        if (p->packets[i].at < arrival) {
            first = i;
            arrival = p->packets[i].at;
        }
    }
    for (unsigned i = 0; i < 2; i++)
        timeout[i] = wg_peer_poll_timeout(&p->node[i].peer);
    struct pair_node *n = &p->node[timeout[1] < timeout[0]];
    time_ns next = time_min(arrival, timeout[n->id]);
    if (next > limit) {
        p->now = limit;
        return false;
    }
    p->now = next > p->now ? next : p->now;
    if (arrival <= timeout[n->id]) {
        struct pair_packet packet = p->packets[first];
        p->packet_count--;
        memmove(p->packets + first, p->packets + first + 1,
                (p->packet_count - first) * sizeof packet);
        pair_deliver(p, &packet);
    } else {
        wg_peer_handle_timeout(&n->peer, p->now, &n->activity, pair_fresh(p, n));
        pair_settle(p, n);
    }
    return true;
}

/* Returns the number of steps taken. */
static inline unsigned pair_run(struct pair *p, time_ns duration)
{
    time_ns limit = p->now + duration;
    unsigned steps = 0;
    while (pair_step(p, limit))
        ASSERT(++steps < 1000000); /* time stands still */
    return steps;
}

/* ---- set-up ---- */

static inline void pair_peer_init(struct pair *p, unsigned id, const struct wg_timing *timing)
{
    struct pair_node *n = &p->node[id], *other = &p->node[1 - id];
    struct wg_peer_config config = {
        .identity = &n->identity, .endpoint = other->address, .timing = *timing};
    memcpy(config.public_key, other->identity.public_key, WG_KEY_LEN);
    memset(config.psk, 0x42, sizeof config.psk);
    wg_peer_init(&n->peer, &config, 77 + id, p->now);
}

/* Starts at 1000 s with a delay of 10 ms. */
static inline void pair_init(struct pair *p, const struct wg_timing *timing)
{
    memset(p, 0, sizeof *p);
    p->now = 1000 * NS_PER_SEC;
    p->delay = 10 * NS_PER_MS;
    for (unsigned i = 0; i < 2; i++) {
        struct pair_node *n = &p->node[i];
        uint8_t key[32];
        n->id = i;
        memset(key, (int)(0x21 + i), sizeof key);
        noise_identity_init(&n->identity, key);
        cookie_gate_init(&n->gate, n->identity.public_key, key);
        n->address.ip.family = ADDR_V4;
        n->address.ip.bytes[3] = (uint8_t)(i + 1);
        n->address.port = 51820;
    }
    pair_peer_init(p, 0, timing);
    pair_peer_init(p, 1, timing);
}

#endif
