/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate before control: handshake messages are checked without state (mac1; under load also mac2, with cookie
 * replies to those that lack it), and only what passes is queued. Datagrams that are no WireGuard at all (STUN) are
 * queued for control too, in a queue of their own.
 */
#include <string.h>

#include "engine/cookie_gate.h"
#include "engine/wire/channel.h"
#include "engine/wire/wg.h"
#include "engine/worker.h"
#include "platform/random.h"

enum {
    /* Handshake messages per second that pass on mac1 alone, over all workers. Source: spec/p2p.md 8.5. */
    HANDSHAKES_PER_SECOND = 100,
    /* mac2-less messages stop passing when this share of the queue is in use. */
    QUEUE_LOADED = RING_HANDSHAKES / 4,
    /*
     * Cookie replies per second and thread that any source gets at once; a reply costs some three times what the check
     * costs. Beyond that only sources that were heard before: an honest peer repeats itself after 5 s.
     */
    COOKIES_PER_SECOND = 10000,
    COOKIES_BURST = 1000,
    STUN_HEADER = 20,
    STUN_MAGIC = 0x2112a442
};

/* Whether this message counts beyond what passes without a cookie. */
static bool under_load(struct worker *w) REQUIRES_ROLE(role_worker)
{
    if (time_since(w->now, w->load_window_start) >= NS_PER_SEC || w->load_window_start == 0) {
        w->load_window_start = w->now;
        w->load_window_count = 0;
    }
    /* With a gate nearly all of them come there; the others see what steering let pass. */
    unsigned share = HANDSHAKES_PER_SECOND;
    if (!worker_is_gate(w))
        share /= w->engine->config.workers;
    if (w->load_window_count >= size_max(share, 10) ||
        handshake_ring_len(&w->handshakes) >= QUEUE_LOADED)
        w->load_until = w->now + NS_PER_SEC;
    return w->load_until > w->now;
}

/* A token of the bucket, as one time stamp (generic cell rate algorithm). */
static bool cookie_token(struct worker *w)
{
    const time_ns token_ns = NS_PER_SEC / COOKIES_PER_SECOND;
    time_ns full_at = w->cookies_full_at > w->now ? w->cookies_full_at : w->now;
    if (full_at - w->now > token_ns * COOKIES_BURST)
        return false;
    w->cookies_full_at = full_at + token_ns;
    return true;
}

static void nonce_next(struct worker *w, uint8_t nonce[WG_NONCE_LEN]) REQUIRES_ROLE(role_worker)
{
    if (w->entropy_left < WG_NONCE_LEN) {
        random_bytes(w->entropy, sizeof w->entropy);
        w->entropy_left = sizeof w->entropy;
    }
    w->entropy_left -= WG_NONCE_LEN;
    memcpy(nonce, w->entropy + w->entropy_left, WG_NONCE_LEN);
}

/* A message, and the peer it came from as far as addresses can tell. */
struct knock {
    const struct io_rx *rx;
    const uint8_t *msg;
    uint32_t len;
    uint16_t channel;      /* it came through a relay */
    struct sock_addr from; /* whom cookies and limits are for */
};

/*
 * Behind a relay there are many peers: the channel's number is a part of the address of each, within what the limits
 * look at.
 */
static struct sock_addr knocker(const struct io_rx *rx, uint16_t channel)
{
    struct sock_addr from = rx->from;

    if (channel != 0) {
        unsigned at = from.ip.family == ADDR_V4 ? 2 : 6; /* limits are for a /64 */
        from.port = channel;
        from.ip.bytes[at] ^= (uint8_t)(channel >> 8);
        from.ip.bytes[at + 1] ^= (uint8_t)channel;
    }
    return from;
}

static bool send_reply(struct worker *w, const struct knock *k,
                       const uint8_t reply[WG_COOKIE_REPLY_LEN]) REQUIRES_ROLE(role_worker)
{
    uint8_t framed[CHANNEL_HEADER_LEN + WG_COOKIE_REPLY_LEN];
    const struct ip_source none = {.ifindex = 0};

    if (k->channel == 0)
        return train_send_small(w, &k->rx->from, &k->rx->to, reply, WG_COOKIE_REPLY_LEN);
    channel_write(framed, k->channel, WG_COOKIE_REPLY_LEN);
    memcpy(framed + CHANNEL_HEADER_LEN, reply, WG_COOKIE_REPLY_LEN);
    return train_send_small(w, &k->rx->from, &none, framed, sizeof framed);
}

static void send_cookie(struct worker *w, const struct cookie_gate *gate, const struct knock *k)
    REQUIRES_ROLE(role_worker)
{
    uint8_t nonce[WG_NONCE_LEN], reply[WG_COOKIE_REPLY_LEN];

    bool known = source_seen_note(&w->seen, &k->from, w->now);
    if (!known && !cookie_token(w)) {
        count(w, VERDICT_IN_COOKIE_DEFERRED, 1);
        return;
    }
    if (!w->smalls_free) {
        io_flush(w->io);
        train_collect(w);
    }
    if (!w->smalls_free) {
        count(w, VERDICT_IN_COOKIE_BUDGET, 1);
        return;
    }
    nonce_next(w, nonce);
    cookie_gate_reply(gate, k->msg, k->len, &k->from, nonce, reply);
    count(w, send_reply(w, k, reply) ? VERDICT_IN_COOKIE_SENT : VERDICT_IN_COOKIE_BUDGET, 1);
}

static void pass(struct worker *w, const struct knock *k) REQUIRES_ROLE(role_worker)
{
    struct event_handshake e = {.from = k->rx->from,
                                .to = k->rx->to,
                                .channel = k->channel,
                                .worker = (uint8_t)w->index,
                                .len = (uint8_t)k->len};
    memcpy(e.bytes, k->msg, k->len);
    bool pushed = handshake_ring_push_spsc(&w->handshakes, &e);
    count(w, pushed ? VERDICT_IN_HANDSHAKE : VERDICT_IN_HANDSHAKE_FULL, 1);
    w->wake_control = true;
}

void gate_handshake(struct worker *w, const struct io_rx *rx, const uint8_t *msg, uint32_t len,
                    uint16_t channel)
{
    const struct cookie_gate *gate = snapshot_read(&w->engine->gate);
    const struct knock k = {rx, msg, len, channel, knocker(rx, channel)};

    if (!gate) {
        count(w, VERDICT_IN_BAD_MAC1, 1);
        return;
    }
    if (wg_message_kind(msg, len) == WG_KIND_COOKIE_REPLY) {
        /* No MAC to check here; half of the queue stays free for the others. */
        if (handshake_ring_len(&w->handshakes) < RING_HANDSHAKES / 2)
            pass(w, &k);
        else
            count(w, VERDICT_IN_HANDSHAKE_FULL, 1);
        return;
    }
    switch (cookie_gate_check(gate, msg, len, &k.from, under_load(w))) {
    case COOKIE_MAC1_INVALID:
        count(w, VERDICT_IN_BAD_MAC1, 1);
        return;
    case COOKIE_REPLY_NEEDED:
        send_cookie(w, gate, &k);
        return;
    case COOKIE_MAC1_VALID:
        w->load_window_count++;
        pass(w, &k);
        return;
    case COOKIE_MAC2_VALID:
        if (rate_limit_allow(&w->limits, &k.from.ip, w->now))
            pass(w, &k);
        else
            count(w, VERDICT_IN_HANDSHAKE_LIMIT, 1);
        return;
    }
}

static void punt(struct worker *w, struct event_packet *e, const uint8_t *bytes, uint32_t len)
    REQUIRES_ROLE(role_worker)
{
    e->worker = (uint8_t)w->index;
    e->len = (uint16_t)len;
    memcpy(e->bytes, bytes, len);
    bool pushed = packet_ring_push_spsc(&w->packets, e);
    count(w, pushed ? VERDICT_IN_PUNTED : VERDICT_IN_PUNT_FULL, 1);
    w->wake_control = true;
}

static bool is_stun(const uint8_t *msg, uint32_t len)
{
    return len >= STUN_HEADER && (msg[0] & 0xc0) == 0 && load_be32(msg + 4) == STUN_MAGIC;
}

void gate_other(struct worker *w, const struct io_rx *rx, const uint8_t *msg, uint32_t len,
                uint16_t channel)
{
    bool wrapped = channel != 0 && w->engine->config.fixed_paths;
    unsigned head = wrapped ? CHANNEL_HEADER_LEN : 0;

    if (len > EVENT_PACKET_MAX || !is_stun(msg + head, len - head)) {
        count(w, VERDICT_IN_MALFORMED, 1);
        return;
    }
    struct event_packet e;
    e.kind = EVENT_PACKET_DATAGRAM;
    e.peer = EVENT_NO_PEER;
    e.from = rx->from;
    e.to = rx->to;
    memset(&e.about, 0, sizeof e.about);
    punt(w, &e, msg, len);
}

void gate_inner(struct worker *w, const struct peer *p, const uint8_t *packet, uint32_t len)
{
    struct event_packet e;

    if (len > EVENT_PACKET_MAX) {
        count(w, VERDICT_IN_BAD_PACKET, 1);
        return;
    }
    /* A peer that sends without end leaves half of the queue to what keeps the others' paths. */
    if (packet_ring_len(&w->packets) >= RING_PACKETS / 2) {
        count(w, VERDICT_IN_PUNT_FULL, 1);
        return;
    }
    e.kind = EVENT_PACKET_INNER;
    e.peer = p->slot;
    memset(&e.about, 0, sizeof e.about);
    memset(&e.from, 0, sizeof e.from);
    memset(&e.to, 0, sizeof e.to);
    punt(w, &e, packet, len);
}
