/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Egress: a frame read from the TUN becomes datagrams in the train of the peer that its destination belongs to.
 */
#include <string.h>

#include "engine/segment.h"
#include "engine/wire/ip.h"
#include "engine/worker.h"

struct session *egress_session(struct worker *w, struct peer *p)
{
    struct session *s = p->current;
    if (s && session_can_send(s, w->now))
        return s;
    worker_raise(w, p, EDGE_WANT_HANDSHAKE);
    return NULL;
}

/* Beside packets that a resource's first one waits with: repetitions of one are worth nothing. */
static bool stage_once(struct worker *w, struct peer *p, const struct segment_plan *plan,
                       unsigned i) REQUIRES_ROLE(role_worker)
{
    uint8_t packet[EVENT_PACKET_MAX];

    if (segment_len(plan, i) > sizeof packet)
        return false;
    segment_write(plan, i, packet);
    if (!stage_repeats(w, p, packet, segment_len(plan, i)))
        return false;
    count(w, VERDICT_OUT_REPEATED, 1);
    return true;
}

/* No session yet: the packets wait, the newest ones. */
static void stage_plan(struct worker *w, struct peer *p, const struct segment_plan *plan)
    REQUIRES_ROLE(role_worker)
{
    unsigned first = plan->n > p->staged_max ? plan->n - p->staged_max : 0;
    bool once = w->engine->config.role == ENGINE_CLIENT && p->endpoint.ip.family == ADDR_NONE;

    count(w, VERDICT_OUT_STAGE_FULL, first);
    for (unsigned i = first; i < plan->n; i++) {
        if (once && stage_once(w, p, plan, i))
            continue;
        uint8_t *dst = stage_push(w, p, segment_len(plan, i));
        if (!dst) {
            count(w, VERDICT_OUT_STAGE_FULL, plan->n - i);
            return;
        }
        segment_write(plan, i, dst);
    }
}

/* Trains that `n` packets can need at most, beside the one that is open. */
static unsigned trains_needed(uint32_t n)
{
    return 3 + n / CRYPT_BATCH_MAX;
}

static enum verdict verdict_of(enum segment_status status)
{
    switch (status) {
    case SEGMENT_TOO_BIG:
        return VERDICT_OUT_TOO_BIG;
    case SEGMENT_UNKNOWN_GSO:
        return VERDICT_OUT_UNKNOWN_GSO;
    case SEGMENT_TOO_MANY:
        return VERDICT_OUT_TOO_MANY;
    case SEGMENT_OK:
    case SEGMENT_MALFORMED:
        break;
    }
    return VERDICT_OUT_MALFORMED;
}

enum segment_status egress_plan(const struct worker *w, const struct io_rx *rx,
                                struct segment_plan *plan)
{
    struct vnet_hdr header;
    memcpy(&header, rx->data, sizeof header);
    return segment_plan(plan, &header, rx->data + IO_VNET_LEN, rx->len - IO_VNET_LEN,
                        w->engine->config.mtu);
}

uint32_t egress_packets(const struct worker *w, const struct io_rx *rx)
{
    struct segment_plan plan;
    return rx->len > IO_VNET_LEN && egress_plan(w, rx, &plan) == SEGMENT_OK ? plan.n : 1;
}

static enum egress_result drop(struct worker *w, const struct io_rx *rx, enum verdict v)
    REQUIRES_ROLE(role_worker)
{
    count(w, v, egress_packets(w, rx));
    return EGRESS_DONE;
}

/* Trains for `n` packets; those that are not sent yet are, if need be. */
bool egress_room(struct worker *w, uint32_t n)
{
    if (LIKELY(w->trains_free_n >= trains_needed(n)))
        return true;
    train_flush(w);
    if (UNLIKELY(w->help.busy))
        help_work(w);
    io_flush(w->io);
    train_collect(w);
    return w->trains_free_n >= trains_needed(n);
}

enum egress_result egress_to_peer(struct worker *w, struct peer *p, const struct io_rx *rx,
                                  uint8_t ecn)
{
    struct segment_plan plan;

    enum segment_status status = egress_plan(w, rx, &plan);
    if (status != SEGMENT_OK) {
        count(w, verdict_of(status), 1);
        return EGRESS_DONE;
    }
    bool homeless = p->endpoint.ip.family == ADDR_NONE;
    if (UNLIKELY(homeless && !p->waits_for_path)) {
        count(w, VERDICT_OUT_NO_ENDPOINT, plan.n);
        return EGRESS_DONE;
    }
    struct session *s = egress_session(w, p);
    if (!s || homeless || p->staged_n > 0) { /* behind what waits already */
        stage_plan(w, p, &plan);
        return EGRESS_DONE;
    }
    if (!egress_room(w, plan.n)) {
        tally(w, TALLY_STALLS, 1);
        return EGRESS_STALLED;
    }
    for (unsigned i = 0; i < plan.n; i++)
        segment_write(&plan, i, train_append(w, p, s, segment_len(&plan, i), ecn));
    return EGRESS_DONE;
}

enum egress_result egress_lend(struct worker *w, const struct io_rx *rx, unsigned origin,
                               unsigned owner)
{
    if (origin == w->index && handoff_lend(w, owner, rx))
        return EGRESS_LENT;
    return drop(w, rx, VERDICT_OUT_HANDOFF_FULL);
}

/* The peer of this worker that the frame is for, by the routes. NULL: *result says what has become of it. */
static inline struct peer *frame_peer(struct worker *w, const struct io_rx *rx, unsigned origin,
                                      struct ip_view *v, enum egress_result *result)
    REQUIRES_ROLE(role_worker)
{
    const uint8_t *packet = rx->data + IO_VNET_LEN;
    uint32_t value = ROUTE_NONE;

    if (rx->len <= IO_VNET_LEN || !ip_parse(v, packet, rx->len - IO_VNET_LEN)) {
        *result = drop(w, rx, VERDICT_OUT_MALFORMED);
        return NULL;
    }
    if (w->routes)
        value = route_lookup(w->routes, v->version, ip_dst_ptr(packet, v->version));
    if (value == ROUTE_NONE) {
        *result = drop(w, rx, VERDICT_OUT_NO_ROUTE);
        return NULL;
    }
    if (owner_of(value) != w->index) {
        *result = egress_lend(w, rx, origin, owner_of(value));
        return NULL;
    }
    struct peer *p = w->peers[slot_of(value)];
    if (!p)
        *result = drop(w, rx, VERDICT_OUT_NO_PEER);
    return p;
}

/* A client's, or a gateway's. */
static enum egress_result ruled_frame(struct worker *w, const struct io_rx *rx, unsigned origin)
    REQUIRES_ROLE(role_worker)
{
    enum egress_result result = EGRESS_DONE;
    struct ip_view v;

    if (w->engine->config.role == ENGINE_CLIENT)
        return client_frame(w, rx, origin);
    struct peer *p = frame_peer(w, rx, origin, &v, &result);
    return p ? gateway_frame(w, p, rx, &v) : result;
}

enum egress_result egress_frame(struct worker *w, const struct io_rx *rx, unsigned origin)
{
    enum egress_result result = EGRESS_DONE;
    struct ip_view v;

    if (UNLIKELY(w->engine->config.role != ENGINE_WIREGUARD))
        return ruled_frame(w, rx, origin);
    struct peer *p = frame_peer(w, rx, origin, &v, &result);
    return p ? egress_to_peer(w, p, rx, v.ecn) : result;
}

void egress_staged(struct worker *w, struct peer *p)
{
    uint32_t len;
    uint8_t *packet;

    if (p->staged_n == 0 || p->endpoint.ip.family == ADDR_NONE)
        return;
    struct session *s = egress_session(w, p);
    while (s && (packet = stage_peek(w, p, &len)) != NULL) {
        uint8_t *dst = train_append(w, p, s, len, ip_get_ecn(packet));
        if (!dst) { /* all trains in flight: goes on when they return */
            w->staged_blocked = true;
            return;
        }
        memcpy(dst, packet, len);
        stage_pop(w, p);
    }
}

void egress_keepalive(struct worker *w, struct peer *p)
{
    if (p->staged_n > 0) {
        egress_staged(w, p);
        return;
    }
    if (p->endpoint.ip.family == ADDR_NONE)
        return;
    struct session *s = egress_session(w, p);
    if (s && !train_append(w, p, s, 0, ECN_NOT_ECT))
        tally(w, TALLY_KEEPALIVES_FAILED, 1);
}

void egress_packet(struct worker *w, struct peer *p, const uint8_t *packet, uint32_t len)
{
    struct session *s = p->current;
    uint8_t *dst;

    if (p->endpoint.ip.family == ADDR_NONE || !s || !session_can_send(s, w->now) ||
        !(dst = train_append(w, p, s, len, ECN_NOT_ECT))) {
        tally(w, TALLY_CONTROL_FAILED, 1);
        return;
    }
    memcpy(dst, packet, len);
}
