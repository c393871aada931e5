/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of p2p_peer: one side of a connection as the tunnel has it, in virtual time. The handshake machine and its paths are real; the
 * worker is a model: three key slots, one packet that waits, activity, edges. A data packet carries its key instead of being sealed with
 * it, and a number, the token.
 */
#ifndef FZ_TESTS_P2P_PEER_RIG_H
#define FZ_TESTS_P2P_PEER_RIG_H

#include <string.h>

#include "control/p2p/peer.h"
#include "engine/wire/channel.h"
#include "platform/base/bytes.h"
#include "platform/base/err.h"

enum {
    SIDE_DATA_LEN = 64,
    SIDE_AT_RECEIVER = 4,
    SIDE_AT_KEY = 16,
    SIDE_AT_TOKEN = 48 /* 0: a keepalive */
};

#define SIDE_ASKS_AGAIN_NS NS_PER_SEC /* the worker, for a handshake */

struct side_slot {
    bool valid;
    struct wg_session session;
};

struct side;

struct side_calls {
    void (*send)(struct side *s, const struct sock_addr *from, const struct sock_addr *to,
                 const uint8_t *bytes, size_t len);
    void (*token)(struct side *s, uint64_t token);           /* one has come */
    void (*traffic)(struct side *s, bool sent, bool packet); /* or received */
    void (*news)(struct side *s, enum p2p_peer_news news);
};

/* All but `identity` and `calls` is its life: from a new peer of the tunnel to the removal of it. */
struct side {
    unsigned id;
    struct noise_identity identity;
    const struct side_calls *calls;
    uint32_t *numbers; /* entropy and indices, of all sides */

    bool alive;
    struct wg_peer wg;
    struct p2p_peer p2p;
    struct wg_fresh fresh;
    uint64_t last_timestamp_ns;
    struct side_slot next, current, previous;
    struct wg_activity activity;
    unsigned armed;
    time_ns asked_at;
    uint64_t staged; /* token; 0: none */

    /* what happened in this life */
    bool complete;
    unsigned ups, failures;
};

static inline void side_settle(struct side *s, time_ns now);

static inline void side_wipe(struct side *s)
{
    size_t from = offsetof(struct side, alive);

    memset((uint8_t *)s + from, 0, sizeof *s - from);
}

static inline void side_begin(struct side *s, time_ns now, bool controlling, const uint8_t *remote,
                              uint8_t psk)
{
    struct wg_peer_config config = {.identity = &s->identity, .timing = P2P_PEER_TIMING};
    uint64_t last = s->last_timestamp_ns; /* the wall clock goes on */

    side_wipe(s);
    memcpy(config.public_key, remote, WG_KEY_LEN);
    memset(config.psk, psk, sizeof config.psk);
    s->alive = true;
    s->last_timestamp_ns = last;
    wg_peer_init(&s->wg, &config, ++*s->numbers, now);
    p2p_peer_init(&s->p2p, controlling);
}

static inline struct wg_fresh *side_fresh(struct side *s, time_ns now)
{
    uint32_t number = ++*s->numbers;
    uint64_t stamp = UINT64_C(1700000000000000000) + now;

    memset(&s->fresh, 0, sizeof s->fresh);
    store_le32(s->fresh.noise.ephemeral, number);
    s->fresh.noise.ephemeral[8] = (uint8_t)(1 + s->id);
    s->fresh.noise.local_index = number;
    stamp = s->last_timestamp_ns = stamp > s->last_timestamp_ns ? stamp : s->last_timestamp_ns + 1;
    noise_timestamp(s->fresh.noise.timestamp, stamp);
    return &s->fresh;
}

static inline void side_hear(struct side *s, enum p2p_peer_news news)
{
    switch (news) {
    case P2P_PEER_NO_NEWS:
        return;
    case P2P_PEER_UP:
        ASSERT(s->ups == 0 && s->complete && s->p2p.path.kind != NODE_PATH_NONE);
        s->ups++;
        break;
    case P2P_PEER_FAILED:
        s->failures++;
        break;
    }
    s->calls->news(s, news);
}

/* ---- the worker ---- */

static inline bool side_usable(const struct side_slot *slot, time_ns now)
{
    return slot->valid && time_since(now, slot->session.created) < WG_REJECT_AFTER_NS;
}

/* The edge; callers settle. */
static inline void side_want(struct side *s, time_ns now)
{
    if (s->asked_at != 0 && time_since(now, s->asked_at) < SIDE_ASKS_AGAIN_NS)
        return;
    s->asked_at = now;
    p2p_peer_want(&s->p2p, &s->wg, now, side_fresh(s, now));
}

static inline void side_transport(struct side *s, time_ns now, uint64_t token)
{
    uint8_t bytes[CHANNEL_HEADER_LEN + SIDE_DATA_LEN] = {0};
    const struct node_path *path = &s->p2p.path;
    size_t head = path->channel ? CHANNEL_HEADER_LEN : 0;
    const struct wg_session *session = &s->current.session;

    ASSERT(path->kind != NODE_PATH_NONE);
    if (head)
        channel_write(bytes, path->channel, SIDE_DATA_LEN);
    bytes[head] = 4;
    store_le32(bytes + head + SIDE_AT_RECEIVER, session->keys.remote_index);
    memcpy(bytes + head + SIDE_AT_KEY, session->keys.send, WG_KEY_LEN);
    store_le64(bytes + head + SIDE_AT_TOKEN, token);
    s->activity.last_sent = now;
    s->activity.unacked_since = 0;
    if (token != 0 && s->activity.unanswered_since == 0)
        s->activity.unanswered_since = now;
    if (token != 0 && !(s->armed & WG_EDGE_DATA_SENT)) {
        s->armed |= WG_EDGE_DATA_SENT;
        wg_peer_data_sent(&s->wg, now);
    }
    s->calls->send(s, &path->from, &path->to, bytes, head + SIDE_DATA_LEN);
    s->calls->traffic(s, true, token != 0);
    if (session->initiator && time_since(now, session->created) >= WG_REKEY_AFTER_NS)
        side_want(s, now);
}

/* Only the controlling side keeps a packet while there is no path. */
static inline void side_flush(struct side *s, time_ns now, bool or_keepalive)
{
    if (s->p2p.path.kind == NODE_PATH_NONE && !s->p2p.controlling)
        s->staged = 0;
    if (!side_usable(&s->current, now) || s->p2p.path.kind == NODE_PATH_NONE) {
        if (s->staged != 0)
            side_want(s, now);
        return;
    }
    if (s->staged != 0 || or_keepalive)
        side_transport(s, now, s->staged);
    s->staged = 0;
}

/* Somebody sends this side a packet for the other one. */
static inline void side_data(struct side *s, time_ns now, uint64_t token)
{
    s->staged = token;
    side_flush(s, now, false);
    side_settle(s, now);
}

static inline void side_install(struct side *s, const struct wg_session *session)
{
    struct side_slot slot = {.valid = true, .session = *session};

    s->activity.unanswered_since = s->activity.unacked_since = 0;
    if (session->initiator) {
        s->previous = s->next.valid ? s->next : s->current;
        s->next.valid = false;
        s->current = slot;
    } else {
        s->next = slot;
    }
}

static inline struct side_slot *side_slot_of(struct side *s, time_ns now, uint32_t index)
{
    struct side_slot *slots[] = {&s->current, &s->next, &s->previous};

    for (size_t i = 0; i < ARRAY_LEN(slots); i++) {
        if (side_usable(slots[i], now) && slots[i]->session.keys.local_index == index)
            return slots[i];
    }
    return NULL;
}

static inline void side_receive_data(struct side *s, time_ns now, const uint8_t *bytes)
{
    uint32_t index = load_le32(bytes + SIDE_AT_RECEIVER);
    uint64_t token = load_le64(bytes + SIDE_AT_TOKEN);
    struct side_slot *slot = side_slot_of(s, now, index);

    if (!slot)
        return;
    ASSERT(memcmp(slot->session.keys.receive, bytes + SIDE_AT_KEY, WG_KEY_LEN) == 0);
    s->activity.last_received = now;
    s->activity.unanswered_since = 0;
    s->calls->traffic(s, false, token != 0);
    if (slot == &s->next) {
        s->previous = s->current;
        s->current = s->next;
        s->next.valid = false;
        wg_peer_confirmed(&s->wg, now, index);
        side_flush(s, now, false);
    }
    if (token == 0)
        return;
    if (s->activity.unacked_since == 0)
        s->activity.unacked_since = now;
    if (!(s->armed & WG_EDGE_DATA_RECEIVED)) {
        s->armed |= WG_EDGE_DATA_RECEIVED;
        wg_peer_data_received(&s->wg, now);
    }
    s->calls->token(s, token);
}

/* ---- control ---- */

static inline void side_event(struct side *s, time_ns now, struct wg_event *e)
{
    s->complete = s->complete || e->kind == WG_EVENT_HANDSHAKE_COMPLETE;
    side_hear(s, p2p_peer_note(&s->p2p, e));
    switch (e->kind) {
    case WG_EVENT_SESSION_NEW:
        side_install(s, &e->session);
        break;
    case WG_EVENT_HANDSHAKE_FAILED:
        s->staged = 0;
        s->activity.unanswered_since = s->activity.unacked_since = 0;
        break;
    case WG_EVENT_SEND_KEEPALIVE:
        side_flush(s, now, true);
        break;
    case WG_EVENT_SESSIONS_EXPIRED:
        s->next.valid = s->current.valid = s->previous.valid = false;
        break;
    case WG_EVENT_HANDSHAKE_COMPLETE:
    case WG_EVENT_ENDPOINT:
        break;
    }
    secure_wipe(e, sizeof *e);
}

static inline void side_sync_edges(struct side *s, time_ns now)
{
    unsigned off = s->armed & ~wg_peer_edges_armed(&s->wg);

    s->armed = wg_peer_edges_armed(&s->wg);
    if (off & WG_EDGE_DATA_SENT && s->activity.unanswered_since != 0) {
        s->armed |= WG_EDGE_DATA_SENT;
        wg_peer_data_sent(&s->wg, now);
    }
    if (off & WG_EDGE_DATA_RECEIVED && s->activity.unacked_since != 0) {
        s->armed |= WG_EDGE_DATA_RECEIVED;
        wg_peer_data_received(&s->wg, now);
    }
}

/* What the tunnel does after each call into the machine. */
static inline void side_settle(struct side *s, time_ns now)
{
    struct node_transmit t;
    struct wg_event e;

    do {
        while (wg_peer_poll_event(&s->wg, &e))
            side_event(s, now, &e);
        while (p2p_peer_poll_transmit(&s->p2p, &s->wg, &t)) {
            const struct node_path *path = &s->p2p.path;
            ASSERT(path->kind != NODE_PATH_NONE && sock_addr_equal(&t.to, &path->to) &&
                   sock_addr_equal(&t.from, &path->from) &&
                   channel_parse(t.bytes, t.len) == path->channel);
            s->calls->send(s, &t.from, &t.to, t.bytes, t.len);
        }
        side_sync_edges(s, now);
    } while (s->wg.event_count > 0);
}

static inline void side_path(struct side *s, time_ns now, const struct node_path *path)
{
    side_hear(s, p2p_peer_set_path(&s->p2p, &s->wg, now, path, side_fresh(s, now)));
    side_settle(s, now);
    side_flush(s, now, false);
    side_settle(s, now);
}

static inline void side_again(struct side *s, time_ns now)
{
    p2p_peer_again(&s->p2p, &s->wg, now, side_fresh(s, now));
    side_settle(s, now);
}

static inline void side_timeout(struct side *s, time_ns now)
{
    if (!s->alive || wg_peer_poll_timeout(&s->wg) > now)
        return;
    wg_peer_handle_timeout(&s->wg, now, &s->activity, side_fresh(s, now));
    side_settle(s, now);
}

/* WireGuard's bytes, without a channel header. False: they are of no use. */
static inline bool side_receive(struct side *s, time_ns now, const struct sock_addr *from,
                                const uint8_t *bytes, size_t len)
{
    enum wg_outcome outcome = WG_OUTCOME_UNEXPECTED;
    struct noise_opened opened;

    if (!s->alive)
        return false;
    switch (wg_message_kind(bytes, len)) {
    case WG_KIND_INITIATION:
        if (noise_initiation_open(&opened, &s->identity, bytes) &&
            memcmp(opened.remote_static, s->wg.remote.public_key, WG_KEY_LEN) == 0)
            outcome = wg_peer_handle_initiation(&s->wg, now, &opened, from, side_fresh(s, now));
        break;
    case WG_KIND_RESPONSE:
        outcome = wg_peer_handle_response(&s->wg, now, bytes, from);
        break;
    case WG_KIND_DATA:
        ASSERT(len == SIDE_DATA_LEN);
        side_receive_data(s, now, bytes);
        break;
    case WG_KIND_COOKIE_REPLY:
    case WG_KIND_NONE:
        break;
    }
    side_settle(s, now);
    return outcome == WG_OUTCOME_ACCEPTED;
}

#endif
