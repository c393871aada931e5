/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's rules at work: packets of clients go to what these are granted, through the NAT if it is a name; packets of the
 * network go to the client that they are for, if it may hear from whom they are from.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/checksum.h"
#include "engine/grants_private.h"
#include "engine/icmp.h"
#include "engine/rewrite.h"
#include "engine/segment.h"
#include "engine/wire/ranges.h"
#include "engine/worker.h"

enum {
    REPLY_HOP_LIMIT = 20
};

static bool is_own(const struct gateway_own *own, unsigned version, const uint8_t *addr)
{
    return own && (version == 4 ? own->has_v4 && memcmp(addr, own->v4, 4) == 0
                                : own->has_v6 && memcmp(addr, own->v6, 16) == 0);
}

static struct nat_peer *nat_of(struct worker *w, const struct peer *p) REQUIRES_ROLE(role_worker)
{
    return &w->nat.peers[p->client];
}

static bool is_multicast(unsigned version, const uint8_t *addr)
{
    return version == 4 ? addr[0] >> 4 == 14 : addr[0] == 0xff;
}

static enum nat_proto nat_proto_of(uint8_t kind)
{
    return kind == PACKET_TCP ? NAT_TCP : kind == PACKET_UDP ? NAT_UDP : NAT_ECHO;
}

static uint8_t tcp_flags(const struct ip_view *v, const uint8_t *packet)
{
    return v->proto == IP_PROTO_TCP ? packet[v->l4_off + TCP_OFF_FLAGS] : 0;
}

/* ---- from a client ---- */

/* The client learns why its packet went nowhere. */
static bool refuse(struct worker *w, struct peer *p, const struct ip_view *v, const uint8_t *packet,
                   enum icmp_reason reason, enum verdict verdict) REQUIRES_ROLE(role_worker)
{
    uint8_t error[ICMP_ERROR_MAX];
    size_t len = icmp_error_write(error, v, packet, reason);

    count(w, verdict, 1);
    if (len > 0)
        egress_packet(w, p, error, (uint32_t)len);
    return false;
}

static enum verdict nat_verdict(enum nat_result result)
{
    switch (result) {
    case NAT_SHARE_FULL:
        return VERDICT_IN_NAT_SHARE;
    case NAT_NO_PORT:
        return VERDICT_IN_NAT_PORTS;
    case NAT_OK:
    case NAT_FULL:
        break;
    }
    return VERDICT_IN_NAT_FULL;
}

/* To the real address. False: it has its verdict. */
static bool to_real(struct worker *w, struct peer *p, const struct nat_translation *t,
                    struct ip_view *v, uint8_t *packet, struct packet_class class)
    REQUIRES_ROLE(role_worker)
{
    struct nat_session *s;

    if (!t->has_real)
        return refuse(w, p, v, packet, ICMP_NETWORK, VERDICT_IN_NO_ADDRESS);
    enum nat_result result =
        nat_out(&w->nat, nat_of(w, p), t, nat_proto_of(class.kind), class.src, w->now, &s);
    if (UNLIKELY(result != NAT_OK)) {
        count(w, nat_verdict(result), 1);
        return false;
    }
    nat_seen_out(s, tcp_flags(v, packet), w->now);
    const struct rewrite r = {
        .addr_end = REWRITE_DST, .addr = s->real, .port = nat_outside_port(s)};
    rewrite_packet(v, packet, &r);
    return true;
}

/* What may never be, whatever is granted. True: it has its verdict. */
static bool out_of_bounds(struct worker *w, const struct ip_view *v, const uint8_t *packet)
    REQUIRES_ROLE(role_worker)
{
    enum verdict verdict = VERDICT_N;

    if (!ip_l4_valid(v, packet))
        verdict = v->fragment ? VERDICT_IN_FRAGMENT : VERDICT_IN_BAD_PACKET;
    else if (is_multicast(v->version, ip_dst_ptr(packet, v->version)))
        verdict = VERDICT_IN_MULTICAST;
    if (LIKELY(verdict == VERDICT_N))
        return false;
    count(w, verdict, 1);
    return true;
}

bool gateway_accepts(struct worker *w, struct peer *p, struct ip_view *v, uint8_t *packet)
{
    const struct grants *g = snapshot_read(&p->grants);
    const uint8_t *dst = ip_dst_ptr(packet, v->version);

    if (UNLIKELY(out_of_bounds(w, v, packet)))
        return false;
    struct packet_class class = packet_classify(v, packet);
    if (UNLIKELY(class.kind == PACKET_ICMP_ERROR)) {
        count(w, VERDICT_IN_ICMP_ERROR, 1);
        return false;
    }
    if (UNLIKELY(!g || !grants_are_of(g, v->version, ip_src_ptr(packet, v->version))))
        return refuse(w, p, v, packet, ICMP_PROHIBITED, VERDICT_IN_BAD_SOURCE);
    if (is_own(snapshot_read(&w->engine->own), v->version, dst))
        return true;
    if (range_is_host(v->version, dst))
        return refuse(w, p, v, packet, ICMP_PROHIBITED, VERDICT_IN_PROHIBITED);
    const struct nat_translation *t =
        range_is_proxy(v->version, dst) ? nat_find(&w->nat, p->client, v->version, dst) : NULL;
    switch (grants_decide(g, t, v->version, dst, class.kind, class.dst)) {
    case GRANTS_PROHIBIT:
        return refuse(w, p, v, packet, ICMP_PROHIBITED, VERDICT_IN_PROHIBITED);
    case GRANTS_REJECT:
        return refuse(w, p, v, packet, ICMP_NETWORK, VERDICT_IN_REJECTED);
    case GRANTS_PERMIT:
        break;
    }
    if (!t)
        return true;
    if (packet_is_flow(class.kind))
        return to_real(w, p, t, v, packet, class);
    count(w, VERDICT_IN_UNSUPPORTED, 1);
    return false;
}

/* ---- from the network ---- */

/* An ICMP error about a packet that went to a real address is about its proxy address. */
static void error_to_proxy(struct ip_view *v, uint8_t *packet, const struct icmp_quote *q,
                           const struct nat_session *s)
{
    bool v6 = v->version == 6;
    size_t n = v6 ? 16 : 4;
    uint8_t *icmp = packet + v->l4_off, *quote = packet + q->at, *l4 = packet + q->l4_at;
    uint32_t icmp_len = v->total_len - v->l4_off;

    memcpy(packet + (v6 ? IPV6_OFF_SRC : IPV4_OFF_SRC), s->proxy, n);
    memcpy(quote + (v6 ? IPV6_OFF_DST : IPV4_OFF_DST), s->proxy, n);
    store_be16(q->proto == IP_PROTO_TCP || q->proto == IP_PROTO_UDP ? l4 : l4 + ICMP_OFF_ECHO_ID,
               nat_inside_port(s));
    packet[v6 ? IPV6_OFF_HOP_LIMIT : IPV4_OFF_TTL] = REPLY_HOP_LIMIT;
    memset(packet - IO_VNET_LEN, 0, IO_VNET_LEN); /* its checksums are finished */
    memset(icmp + ICMP_OFF_CHECKSUM, 0, 2);
    checksum_store(
        icmp + ICMP_OFF_CHECKSUM,
        checksum_finish(checksum_partial(
            icmp, icmp_len, v6 ? checksum_pseudo_v6(packet, IP_PROTO_ICMPV6, icmp_len) : 0)));
    if (v6)
        return;
    memset(packet + IPV4_OFF_CHECKSUM, 0, 2);
    checksum_store(packet + IPV4_OFF_CHECKSUM,
                   checksum_finish(checksum_partial(packet, (packet[0] & 15u) * 4, 0)));
}

static enum verdict error_decide(struct worker *w, struct peer *p, struct ip_view *v,
                                 uint8_t *packet) REQUIRES_ROLE(role_worker)
{
    struct icmp_quote q;
    bool expired;

    if (!icmp_error_parse(&q, v, packet))
        return VERDICT_OUT_UNSUPPORTED;
    enum nat_proto proto = q.proto == IP_PROTO_TCP   ? NAT_TCP
                           : q.proto == IP_PROTO_UDP ? NAT_UDP
                                                     : NAT_ECHO;
    struct nat_session *s =
        nat_in(&w->nat, p->client, proto, q.src, v->version, q.to.bytes, w->now, &expired);
    if (expired)
        return VERDICT_OUT_NAT_EXPIRED;
    if (s) {
        nat_seen_in(s, 0, w->now);
        error_to_proxy(v, packet, &q, s);
    }
    return VERDICT_N;
}

/* partial: as in rewrite.h. VERDICT_N: the packet, perhaps with another source, is for the peer. */
static enum verdict network_decide(struct worker *w, struct peer *p, struct ip_view *v,
                                   uint8_t *packet, bool partial) REQUIRES_ROLE(role_worker)
{
    const struct grants *g = snapshot_read(&p->grants);
    const uint8_t *src = ip_src_ptr(packet, v->version);
    bool expired;

    if (!ip_l4_valid(v, packet))
        return v->fragment ? VERDICT_OUT_FRAGMENT : VERDICT_OUT_MALFORMED;
    if (is_own(snapshot_read(&w->engine->own), v->version, src))
        return VERDICT_N;
    if (range_is_host(v->version, src))
        return VERDICT_OUT_BAD_SOURCE;
    struct packet_class class = packet_classify(v, packet);
    if (class.kind == PACKET_ICMP_ERROR)
        return error_decide(w, p, v, packet);
    if (!packet_is_flow(class.kind))
        return VERDICT_OUT_UNSUPPORTED;
    const struct nat_translation *t = NULL;
    struct nat_session *s = nat_in(&w->nat, p->client, nat_proto_of(class.kind), class.dst,
                                   v->version, src, w->now, &expired);
    if (expired)
        return VERDICT_OUT_NAT_EXPIRED;
    if (s) {
        nat_seen_in(s, tcp_flags(v, packet), w->now);
        t = nat_find(&w->nat, p->client, v->version, s->proxy);
        const struct rewrite r = {.addr_end = REWRITE_SRC,
                                  .port_end = REWRITE_DST,
                                  .addr = s->proxy,
                                  .port = nat_inside_port(s),
                                  .partial = partial};
        rewrite_packet(v, packet, &r);
    }
    if (!g || grants_decide(g, t, v->version, src, class.kind, class.src) != GRANTS_PERMIT)
        return VERDICT_OUT_PROHIBITED;
    return VERDICT_N;
}

enum egress_result gateway_frame(struct worker *w, struct peer *p, const struct io_rx *rx,
                                 struct ip_view *v)
{
    struct vnet_hdr h;
    struct segment_plan plan;

    memcpy(&h, rx->data, sizeof h);
    uint32_t n = egress_plan(w, rx, &plan) == SEGMENT_OK ? plan.n : 1;
    if (!egress_room(w, n)) { /* before anything is rewritten: it comes again */
        tally(w, TALLY_STALLS, 1);
        return EGRESS_STALLED;
    }
    enum verdict verdict =
        network_decide(w, p, v, rx->data + IO_VNET_LEN, (h.flags & VNET_F_NEEDS_CSUM) != 0);
    if (LIKELY(verdict == VERDICT_N))
        return egress_to_peer(w, p, rx, v->ecn);
    count(w, verdict, n);
    return EGRESS_DONE;
}

/* ---- control's side ---- */

bool gateway_translate(struct worker *w, struct peer *p, const struct engine_translation *t)
{
    enum nat_result result = nat_translate(&w->nat, nat_of(w, p), p->client, t);

    if (result != NAT_OK)
        tally(w, TALLY_TRANSLATIONS_FULL, 1);
    return result == NAT_OK;
}

enum err engine_set_grants(struct engine *e, struct peer *p, const struct engine_grants *g)
{
    struct grants *next = grants_new(g);

    if (!next)
        return ERR_NO_MEMORY;
    snapshot_publish(&e->domain, &p->grants, next, grants_free);
    snapshot_reclaim(&e->domain);
    return ERR_OK;
}

static struct gateway_own *own_new(const struct ip_addr *ipv4, const struct ip_addr *ipv6)
{
    struct gateway_own *own = calloc(1, sizeof *own);

    if (!own) {
        fprintf(stderr, "out of memory\n");
        abort();
    }
    own->has_v4 = ipv4->family == ADDR_V4;
    own->has_v6 = ipv6->family == ADDR_V6;
    memcpy(own->v4, ipv4->bytes, sizeof own->v4);
    memcpy(own->v6, ipv6->bytes, sizeof own->v6);
    return own;
}

void engine_set_gateway(struct engine *e, const struct ip_addr *ipv4, const struct ip_addr *ipv6)
{
    snapshot_publish(&e->domain, &e->own, own_new(ipv4, ipv6), free);
    snapshot_reclaim(&e->domain);
}
