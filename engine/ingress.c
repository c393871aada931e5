/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ingress: received datagrams are classified, opened in batches per session, checked, joined to super-packets and
 * written to the TUN. Everything happens in place, in the receive buffer.
 */
#include <errno.h>
#include <string.h>

#include "engine/wire/ip.h"
#include "engine/wire/wg.h"
#include "engine/worker.h"

static void tun_write(struct worker *w) REQUIRES_ROLE(role_worker)
{
    struct coalesce *c = &w->coalesce;
    struct io_frame frames[COALESCE_ITEMS_MAX];
    bool refused = false;

    if (c->n == 0)
        return;
    coalesce_finish(c);
    for (unsigned i = 0; i < c->n; i++)
        frames[i] = (struct io_frame){.iov = (const struct iovec *)(const void *)c->items[i].iov,
                                      .n_iov = (uint16_t)c->items[i].n_iov};
    io_tun_write(w->io, frames, c->n);
    tally(w, TALLY_TUN_FRAMES_WRITTEN, c->n);
    for (unsigned i = 0; i < c->n; i++) {
        count(w, frames[i].error ? VERDICT_IN_TUN_FAILED : VERDICT_IN_FORWARDED, c->items[i].n_iov);
        refused = refused || (frames[i].error == EINVAL && c->items[i].n_iov > 1);
    }
    coalesce_reset(c);
    if (UNLIKELY(refused)) { /* source: spec/platform.md 2.1, for the rest of the session */
        c->offloads = 0;
        tally(w, TALLY_COALESCE_OFF, 1);
    }
}

/* An authentic, non-empty plaintext of `len` bytes. Returns whether it was a packet of the peer. */
static void deliver(struct worker *w, struct peer *p, uint8_t *packet, uint32_t len,
                    uint8_t outer_ecn) REQUIRES_ROLE(role_worker)
{
    struct ip_view v;

    if (!ip_parse(&v, packet, len)) {
        count(w, VERDICT_IN_BAD_PACKET, 1);
        return;
    }
    if (!w->routes ||
        !route_covers(w->routes, v.version, ip_src_ptr(packet, v.version), p->value)) {
        count(w, VERDICT_IN_BAD_SOURCE, 1);
        return;
    }
    if (UNLIKELY(outer_ecn == ECN_CE && (v.ecn == ECN_ECT0 || v.ecn == ECN_ECT1))) {
        ip_set_ce(packet);
        v.ecn = ECN_CE;
    }
    if (!coalesce_add(&w->coalesce, packet, v.total_len, &v)) {
        tun_write(w);
        if (!coalesce_add(&w->coalesce, packet, v.total_len, &v))
            count(w, VERDICT_IN_BAD_PACKET, 1);
    }
}

/* The peer is where its last authentic packet came from (roaming, WireGuard paper section 2.1). */
static void note_endpoint(struct worker *w, struct peer *p, const struct io_rx *rx)
    REQUIRES_ROLE(role_worker)
{
    struct ip_source to = rx->to;

    if (!w->engine->config.source_resolve && rx->from.scope == 0)
        to.ifindex = 0; /* the kernel routes; the mark keeps it out of our TUN */
    if (UNLIKELY(!sock_addr_equal(&p->endpoint, &rx->from))) {
        p->endpoint = rx->from;
        seqlock_write(&p->shared.endpoint, &p->endpoint, sizeof p->endpoint);
        worker_raise(w, p, EDGE_ENDPOINT);
    }
    if (to.ip.family != ADDR_NONE) /* else the socket it came by is gone */
        p->source = to;
}

/* What the peer's timers learn from authentic packets. */
static void note_received(struct worker *w, struct peer *p, const struct session *s, uint64_t bytes,
                          bool data) REQUIRES_ROLE(role_worker)
{
    struct peer_shared *shared = &p->shared;

    counter_add(&shared->rx_bytes, bytes);
    counter_set(&shared->last_received, w->now);
    if (counter_read(&shared->unanswered_since) != 0)
        counter_set(&shared->unanswered_since, 0);
    if (data && counter_read(&shared->unacked_since) == 0) {
        counter_set(&shared->unacked_since, w->now);
        if (arm_missing(&shared->armed, ARM_REPLY))
            worker_raise(w, p, EDGE_DATA_RECEIVED);
    }
    if (session_rekey_on_receive(s, w->now))
        worker_raise(w, p, EDGE_WANT_HANDSHAKE);
}

static bool commit_replay(struct worker *w, struct session *s, const struct crypt_packet *packet)
    REQUIRES_ROLE(role_worker)
{
    if (!packet->ok) {
        count(w, VERDICT_IN_BAD_TAG, 1);
        return false;
    }
    switch (replay_commit(&s->replay, packet->counter)) {
    case REPLAY_OK:
        return true;
    case REPLAY_OLD:
        count(w, VERDICT_IN_REPLAY_OLD, 1);
        return false;
    case REPLAY_DUPLICATE:
    case REPLAY_LIMIT:
        count(w, VERDICT_IN_REPLAY_DUPLICATE, 1);
        return false;
    }
    return false;
}

/* Opens the pending batch and delivers what is authentic, in the order it came. */
static void open_flush(struct worker *w) REQUIRES_ROLE(role_worker)
{
    struct open_batch *b = &w->open;
    struct session *s = b->session;
    const struct io_rx *last = NULL;
    uint64_t bytes = 0;
    bool data = false;

    if (b->n == 0)
        return;
    crypt_open(&w->crypt, &s->receive_key, b->packets, b->n);
    tally(w, TALLY_OPEN_BATCHES, 1);
    for (unsigned i = 0; i < b->n; i++) {
        struct crypt_packet *packet = &b->packets[i];
        if (!commit_replay(w, s, packet))
            continue;
        last = b->rx[i];
        bytes += WG_DATA_OVERHEAD + packet->len;
        if (packet->len == 0) {
            count(w, VERDICT_IN_KEEPALIVE, 1);
            continue;
        }
        data = true;
        deliver(w, s->peer, packet->data, packet->len, b->ecn[i]);
    }
    b->n = 0;
    b->session = NULL;
    if (!last)
        return;
    struct peer *p = s->peer;
    tally(w, TALLY_IN_BYTES, bytes);
    note_endpoint(w, p, last);
    if (keys_confirm(w, p, s)) {
        worker_raise(w, p, EDGE_CONFIRMED);
        egress_staged(w, p);
    }
    note_received(w, p, p->current ? p->current : s, bytes, data);
}

void ingress_flush(struct worker *w)
{
    open_flush(w);
    tun_write(w);
}

static struct session *session_find(struct worker *w, uint32_t index) REQUIRES_ROLE(role_worker)
{
    struct session *s = w->sessions[index & (SESSION_TABLE - 1)];
    return s && s->local_index == index ? s : NULL;
}

/* A data message for a session of this worker. */
static void ingress_data(struct worker *w, const struct io_rx *rx, uint8_t *msg, uint32_t len)
    REQUIRES_ROLE(role_worker)
{
    struct open_batch *b = &w->open;
    uint32_t index = load_le32(msg + WG_DATA_RECEIVER);
    uint64_t counter = load_le64(msg + WG_DATA_COUNTER);

    /* Before the lookup: opening may end sessions (keys_confirm). */
    if (b->n == CRYPT_BATCH_MAX || (b->n > 0 && b->session->local_index != index))
        open_flush(w);
    struct session *s = session_find(w, index);
    if (!s) {
        count(w, VERDICT_IN_NO_SESSION, 1);
        return;
    }
    if (!session_can_receive(s, w->now)) {
        count(w, VERDICT_IN_SESSION_EXPIRED, 1);
        return;
    }
    switch (replay_check(&s->replay, counter)) {
    case REPLAY_OK:
        break;
    case REPLAY_OLD:
        count(w, VERDICT_IN_REPLAY_OLD, 1);
        return;
    case REPLAY_DUPLICATE:
    case REPLAY_LIMIT:
        count(w, VERDICT_IN_REPLAY_DUPLICATE, 1);
        return;
    }
    b->session = s;
    b->ecn[b->n] = rx->ecn;
    b->rx[b->n] = rx;
    b->packets[b->n++] = (struct crypt_packet){
        .data = msg + WG_DATA_PACKET, .len = len - WG_DATA_OVERHEAD, .counter = counter};
}

/* Owner of the datagram at `msg`: data belongs to the worker that its receiver index names. */
static unsigned datagram_owner(const struct worker *w, const uint8_t *msg, uint32_t len)
    REQUIRES_ROLE(role_worker)
{
    if (wg_message_kind(msg, len) != WG_KIND_DATA)
        return w->index;
    unsigned owner = owner_of(load_le32(msg + WG_DATA_RECEIVER));
    return owner < w->engine->workers_n ? owner : w->index;
}

/* Lends all consecutive datagrams from `at` on that belong to `owner`. Returns where they end. */
static uint32_t lend_run(struct worker *w, const struct io_rx *rx, uint32_t at, unsigned owner)
    REQUIRES_ROLE(role_worker)
{
    struct io_rx part = *rx;
    uint32_t end = at, n = 0;

    while (end < rx->len) {
        uint32_t len = (uint32_t)size_min(rx->segment_size, rx->len - end);
        if (end > at && datagram_owner(w, rx->data + end, len) != owner)
            break;
        end += len;
        n++;
    }
    part.data += at;
    part.len = end - at;
    if (!handoff_lend(w, owner, &part))
        count(w, VERDICT_IN_HANDOFF_FULL, n);
    return end;
}

void ingress_datagrams(struct worker *w, const struct io_rx *rx, unsigned origin)
{
    if (rx->len == 0)
        count(w, VERDICT_IN_MALFORMED, 1);
    for (uint32_t at = 0, len; at < rx->len; at += len) {
        uint8_t *msg = rx->data + at;
        len = (uint32_t)size_min(rx->segment_size, rx->len - at);
        switch (wg_message_kind(msg, len)) {
        case WG_KIND_DATA: {
            unsigned owner = datagram_owner(w, msg, len);
            if (UNLIKELY(owner != w->index && origin == w->index)) {
                len = lend_run(w, rx, at, owner) - at;
                break;
            }
            ingress_data(w, rx, msg, len);
            break;
        }
        case WG_KIND_INITIATION:
        case WG_KIND_RESPONSE:
        case WG_KIND_COOKIE_REPLY:
            gate_handshake(w, rx, msg, len);
            break;
        case WG_KIND_NONE:
            gate_other(w, rx, msg, len);
            break;
        }
    }
}
