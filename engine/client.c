/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's rules at work: frames of the TUN are decided (engine/policy.h) and go to their peer, wait, go to control or are
 * refused; packets that waited are decided once more; packets of peers are checked.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/icmp.h"
#include "engine/policy.h"
#include "engine/segment.h"
#include "engine/worker.h"

enum {
    DNS_PORT = 53,
    GATEWAY_DNS_PORT = 53535,
    PROHIBITED_WAITING_MAX = 16 /* reports of refusals in the ring, which is there for others */
};

/* ---- answers of our own ---- */

/* The sender of a packet learns that it may not. */
static void refuse(struct worker *w, const struct ip_view *v, const uint8_t *packet)
    REQUIRES_ROLE(role_worker)
{
    uint8_t bytes[VNET_HDR_LEN + ICMP_ERROR_MAX] = {0};
    size_t len = icmp_error_write(bytes + VNET_HDR_LEN, v, packet, ICMP_PROHIBITED);
    struct iovec iov = {bytes, VNET_HDR_LEN + len};
    struct io_frame frame = {.iov = &iov, .n_iov = 1};

    if (len == 0)
        return;
    io_tun_write(w->io, &frame, 1);
    tally(w, TALLY_TUN_FRAMES_WRITTEN, 1);
}

static bool push_dns(struct worker *w, enum event_packet_kind kind, uint32_t peer, uint32_t len,
                     struct event_packet *e) REQUIRES_ROLE(role_worker)
{
    e->kind = (uint8_t)kind;
    e->worker = (uint8_t)w->index;
    e->peer = peer;
    e->len = (uint16_t)len;
    memset(&e->from, 0, sizeof e->from);
    memset(&e->to, 0, sizeof e->to);
    memset(&e->about, 0, sizeof e->about);
    w->wake_control = true;
    return dns_ring_push_spsc(&w->dns, e);
}

/* A frame to a stub: each of its packets is an event. */
static void to_stub(struct worker *w, const struct segment_plan *plan) REQUIRES_ROLE(role_worker)
{
    for (unsigned i = 0; i < plan->n; i++) {
        struct event_packet e;
        uint32_t len = segment_len(plan, i);
        if (len > EVENT_PACKET_MAX) {
            count(w, VERDICT_OUT_TOO_BIG, 1);
            continue;
        }
        segment_write(plan, i, e.bytes);
        bool pushed = push_dns(w, EVENT_PACKET_STUB, EVENT_NO_PEER, len, &e);
        count(w, pushed ? VERDICT_OUT_STUB : VERDICT_OUT_STUB_FULL, 1);
    }
}

/* ---- single packets: what waited, and what control gives ---- */

static struct peer *peer_of(struct worker *w, uint32_t value) REQUIRES_ROLE(role_worker)
{
    return value != ENGINE_NONE && owner_of(value) == w->index ? w->peers[slot_of(value)] : NULL;
}

/* Where a packet of this worker goes, or why it does not. */
static enum verdict packet_decide(struct worker *w, const struct ip_view *v, const uint8_t *packet,
                                  struct peer **to) REQUIRES_ROLE(role_worker)
{
    struct policy_choice choice;
    enum verdict verdict = policy_decide(w->policy, &w->engine->names, v, packet, &choice);

    if (verdict != VERDICT_N)
        return verdict;
    uint32_t value = policy_destination(&choice);
    if (value == ENGINE_NONE)
        return VERDICT_OUT_NAME_UNKNOWN;
    *to = peer_of(w, value);
    if (*to)
        return VERDICT_N;
    return owner_of(value) == w->index ? VERDICT_OUT_NO_PEER : VERDICT_OUT_MOVED;
}

/* False: it has to wait for a train. */
static bool oldest_goes(struct worker *w, struct peer *from, struct peer *to, const uint8_t *packet,
                        uint32_t len) REQUIRES_ROLE(role_worker)
{
    struct session *s = egress_session(w, to);

    if (!s || to->endpoint.ip.family == ADDR_NONE || to->staged_n > 0) {
        stage_move_oldest(w, from, to);
        return true;
    }
    uint8_t *dst = egress_room(w, 1) ? train_append(w, to, s, len, ip_get_ecn(packet)) : NULL;
    if (!dst)
        return false;
    memcpy(dst, packet, len);
    stage_pop(w, from);
    return true;
}

void client_replay(struct worker *w, struct peer *waits)
{
    const uint8_t *packet;
    uint32_t len;

    while ((packet = stage_peek(w, waits, &len)) != NULL) {
        struct peer *to = NULL;
        struct ip_view v;
        enum verdict verdict =
            ip_parse(&v, packet, len) ? packet_decide(w, &v, packet, &to) : VERDICT_OUT_MALFORMED;
        if (to == waits) /* nothing has changed for it, nor for what is behind it */
            break;
        if (verdict == VERDICT_N) {
            if (!oldest_goes(w, waits, to, packet, len)) {
                waits->replays = true;
                w->staged_blocked = true;
                return;
            }
            continue;
        }
        if (verdict == VERDICT_OUT_PROHIBITED)
            refuse(w, &v, packet);
        count(w, verdict, 1);
        stage_pop(w, waits);
    }
    waits->replays = false;
}

void client_inject(struct worker *w, const uint8_t *packet, uint32_t len)
{
    struct peer *to = NULL;
    struct ip_view v;
    struct session *s;
    uint8_t *dst = NULL;

    if (!ip_parse(&v, packet, len) || packet_decide(w, &v, packet, &to) != VERDICT_N) {
        tally(w, TALLY_CONTROL_FAILED, 1);
        return;
    }
    s = egress_session(w, to);
    if (s && to->endpoint.ip.family != ADDR_NONE && to->staged_n == 0)
        dst = egress_room(w, 1) ? train_append(w, to, s, len, v.ecn) : NULL;
    else
        dst = stage_push(w, to, len);
    if (dst)
        memcpy(dst, packet, len);
    else
        tally(w, TALLY_CONTROL_FAILED, 1);
}

/* ---- frames ---- */

/* What waits for the same destination goes before; false: it does not all go now. */
static bool waiting_first(struct worker *w, const struct policy_choice *c)
    REQUIRES_ROLE(role_worker)
{
    uint32_t values[2] = {c->resource->waits, c->target ? c->target->waits : ENGINE_NONE};

    if (c->resource->peer == ENGINE_NONE)
        return true;
    if (c->target && c->target->hold)
        values[1] = ENGINE_NONE;
    for (unsigned i = 0; i < ARRAY_LEN(values); i++) {
        struct peer *waits = peer_of(w, values[i]);
        if (LIKELY(!waits || waits->staged_n == 0))
            continue;
        client_replay(w, waits);
        if (waits->staged_n > 0)
            return false;
    }
    return true;
}

/* Nothing but a peer takes it: the whole frame ends with `v`. */
static void frame_ends(struct worker *w, const struct io_rx *rx, const struct ip_view *v,
                       enum verdict verdict) REQUIRES_ROLE(role_worker)
{
    const uint8_t *packet = rx->data + IO_VNET_LEN;
    struct segment_plan plan;

    if (egress_plan(w, rx, &plan) != SEGMENT_OK) {
        count(w, verdict, 1);
        return;
    }
    if (verdict == VERDICT_OUT_STUB) {
        to_stub(w, &plan);
        return;
    }
    if (verdict == VERDICT_OUT_PROHIBITED)
        refuse(w, v, packet);
    count(w, verdict, plan.n);
}

enum egress_result client_frame(struct worker *w, const struct io_rx *rx, unsigned origin)
{
    const uint8_t *packet = rx->data + IO_VNET_LEN;
    struct policy_choice choice;
    struct ip_view v;

    if (rx->len <= IO_VNET_LEN || !ip_parse(&v, packet, rx->len - IO_VNET_LEN)) {
        count(w, VERDICT_OUT_MALFORMED, 1);
        return EGRESS_DONE;
    }
    enum verdict verdict = policy_decide(w->policy, &w->engine->names, &v, packet, &choice);
    if (UNLIKELY(verdict != VERDICT_N)) {
        frame_ends(w, rx, &v, verdict);
        return EGRESS_DONE;
    }
    uint32_t value = policy_destination(&choice);
    if (UNLIKELY(value == ENGINE_NONE)) {
        frame_ends(w, rx, &v, VERDICT_OUT_NAME_UNKNOWN);
        return EGRESS_DONE;
    }
    if (owner_of(value) != w->index)
        return egress_lend(w, rx, origin, owner_of(value));
    struct peer *p = w->peers[slot_of(value)];
    if (UNLIKELY(!p)) {
        frame_ends(w, rx, &v, VERDICT_OUT_NO_PEER);
        return EGRESS_DONE;
    }
    if (UNLIKELY(!waiting_first(w, &choice))) {
        tally(w, TALLY_STALLS, 1);
        return EGRESS_STALLED;
    }
    return egress_to_peer(w, p, rx, v.ecn);
}

/* ---- packets of peers ---- */

static bool is_watched(const struct engine *e, bool tcp, uint16_t port)
{
    uint64_t bits = __atomic_load_n(&e->watched[tcp][port / 64], __ATOMIC_RELAXED);
    return bits >> port % 64 & 1;
}

/* Of a DNS server in the tunnel to us, or an error about what we have sent to one. */
static bool is_dns(const struct worker *w, bool tcp, uint16_t server, uint16_t ours)
    REQUIRES_ROLE(role_worker)
{
    return (server == DNS_PORT || server == GATEWAY_DNS_PORT) && is_watched(w->engine, tcp, ours);
}

static void to_control(struct worker *w, const struct peer *p, const struct ip_view *v,
                       const uint8_t *packet) REQUIRES_ROLE(role_worker)
{
    struct event_packet e;

    if (v->total_len > EVENT_PACKET_MAX) {
        count(w, VERDICT_IN_BAD_PACKET, 1);
        return;
    }
    memcpy(e.bytes, packet, v->total_len);
    bool pushed = push_dns(w, EVENT_PACKET_DNS, p->slot, v->total_len, &e);
    count(w, pushed ? VERDICT_IN_PUNTED : VERDICT_IN_PUNT_FULL, 1);
}

/* Control asks for access again. It is told of a few at a time: one is enough for it. */
static void report_prohibited(struct worker *w, const struct peer *p, const struct icmp_quote *q)
    REQUIRES_ROLE(role_worker)
{
    if (packet_ring_len(&w->packets) >= PROHIBITED_WAITING_MAX)
        return;
    struct event_packet e = {.kind = EVENT_PACKET_PROHIBITED,
                             .peer = p->slot,
                             .worker = (uint8_t)w->index,
                             .about = q->to};
    if (packet_ring_push_spsc(&w->packets, &e))
        w->wake_control = true;
}

/* An ICMP error. True: it is control's. */
static bool error_taken(struct worker *w, const struct peer *p, const struct ip_view *v,
                        const uint8_t *packet) REQUIRES_ROLE(role_worker)
{
    struct icmp_quote q;

    if (!icmp_error_parse(&q, v, packet))
        return false;
    if (icmp_is_prohibited(&q))
        report_prohibited(w, p, &q);
    return (q.proto == IP_PROTO_TCP || q.proto == IP_PROTO_UDP) &&
           is_dns(w, q.proto == IP_PROTO_TCP, q.dst, q.src);
}

bool client_accepts(struct worker *w, const struct peer *p, const struct ip_view *v,
                    const uint8_t *packet)
{
    const struct policy *policy = w->policy;
    bool control = false;

    if (!ip_l4_valid(v, packet)) {
        count(w, v->fragment ? VERDICT_IN_FRAGMENT : VERDICT_IN_BAD_PACKET, 1);
        return false;
    }
    if (!policy || !policy_is_own(policy, v->version, ip_dst_ptr(packet, v->version))) {
        count(w, VERDICT_IN_BAD_DESTINATION, 1);
        return false;
    }
    if (!policy_covers(policy, &w->engine->names, v->version, ip_src_ptr(packet, v->version),
                       p->value)) {
        count(w, VERDICT_IN_BAD_SOURCE, 1);
        return false;
    }
    struct packet_class class = packet_classify(v, packet);
    if (class.kind == PACKET_TCP || class.kind == PACKET_UDP)
        control = is_dns(w, class.kind == PACKET_TCP, class.src, class.dst);
    else if (class.kind == PACKET_ICMP_ERROR)
        control = error_taken(w, p, v, packet);
    if (UNLIKELY(control))
        to_control(w, p, v, packet);
    return !control;
}

/* ---- control's side ---- */

enum err engine_set_policy(struct engine *e, const struct engine_policy *p)
{
    struct policy *next = policy_new(p, e->policy);

    if (!next)
        return ERR_NO_MEMORY;
    snapshot_publish(&e->domain, &e->policy, next, policy_free);
    snapshot_reclaim(&e->domain);
    return ERR_OK;
}

enum err engine_set_name(struct engine *e, uint32_t name, const struct engine_name_target *targets,
                         unsigned n)
{
    enum err err = policy_names_set(&e->names, &e->domain, name, targets, n);

    snapshot_reclaim(&e->domain);
    return err;
}

void engine_watch_port(struct engine *e, enum engine_watch what, uint16_t port, bool on)
{
    uint64_t *word = &e->watched[what == ENGINE_WATCH_TCP][port / 64];
    uint64_t bit = UINT64_C(1) << port % 64;

    __atomic_store_n(word, on ? *word | bit : *word & ~bit, __ATOMIC_RELAXED);
}

/* To the worker that it belongs to, as far as can be told now. */
void engine_inject(struct engine *e, const uint8_t *packet, uint32_t len)
{
    struct command c = {.kind = COMMAND_INJECT, .slot = COMMAND_NO_PEER};
    struct policy_choice choice;
    struct ip_view v;
    unsigned owner = 0;

    if (ip_parse(&v, packet, len) &&
        policy_decide(e->policy, &e->names, &v, packet, &choice) == VERDICT_N &&
        policy_destination(&choice) != ENGINE_NONE)
        owner = owner_of(policy_destination(&choice));
    c.block = engine_block_new(packet, len);
    engine_command(e, owner, &c);
}
