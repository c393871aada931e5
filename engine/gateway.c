/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's rules at work: packets of clients go to what these are granted, through the NAT if it is a name; packets of the
 * network go to the client that they are for, if it may hear from whom they are from.
 * Source: spec/tunnel.md 8.3, 8.5, 8.6.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/grants_private.h"
#include "engine/icmp.h"
#include "engine/nat_packet.h"
#include "engine/segment.h"
#include "engine/wire/ranges.h"
#include "engine/worker.h"
#include "platform/random.h"

static bool is_own(const struct gateway_own *own, unsigned version, const uint8_t *addr)
{
    return own && (version == 4 ? own->has_v4 && memcmp(addr, own->v4, 4) == 0
                                : own->has_v6 && memcmp(addr, own->v6, 16) == 0);
}

static uint8_t tcp_flags(const struct ip_view *v, const uint8_t *packet)
{
    return v->proto == IP_PROTO_TCP ? packet[v->l4_off + TCP_OFF_FLAGS] : 0;
}

/* ---- life ---- */

/* Zero pages of the system's, which become memory when they are used. */
enum err gateway_init(struct worker *w)
{
    size_t size = nat_size(NAT_ENTRIES_MAX, ENGINE_PEERS_MAX);
    uint8_t *memory = calloc(1, size + CACHE_LINE);

    w->nat_memory = memory;
    if (!memory)
        return ERR_NO_MEMORY;
    memory += -(uintptr_t)memory % CACHE_LINE;
    nat_init(&w->nat, memory, NAT_ENTRIES_MAX, ENGINE_PEERS_MAX,
             (uint64_t)random_u32() << 32 | random_u32());
    return ERR_OK;
}

void gateway_adopt(struct worker *w, const struct peer *p)
{
    if (w->nat_memory)
        nat_adopt(&w->nat, p->client, p->tenant);
}

void gateway_forget(struct worker *w, uint32_t client)
{
    if (w->nat_memory)
        nat_forget(&w->nat, client);
}

/* ---- from a client ---- */

/* It learns why its packet went nowhere. */
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
    case NAT_NO_ADDRESS:
    case NAT_GRANTS_FULL:
    case NAT_NO_PROXY:
        break;
    }
    return VERDICT_IN_NAT_FULL;
}

/* To the real address. False: it has its verdict. */
static bool to_real(struct worker *w, struct peer *p, const struct nat_name *name,
                    struct ip_view *v, uint8_t *packet, struct packet_class class)
    REQUIRES_ROLE(role_worker)
{
    struct nat_flow *f;

    if (!name || !name->has_real)
        return refuse(w, p, v, packet, ICMP_NETWORK, VERDICT_IN_NO_ADDRESS);
    if (UNLIKELY(!packet_is_flow(class.kind))) {
        count(w, VERDICT_IN_UNSUPPORTED, 1);
        return false;
    }
    enum nat_result result = nat_outbound(&w->nat, p->client, name, v->proto, class.src,
                                          tcp_flags(v, packet), w->now, &f);
    if (UNLIKELY(result != NAT_OK)) {
        count(w, nat_verdict(result), 1);
        return false;
    }
    nat_packet_outbound(packet, v, f->real, f->outer_port);
    return true;
}

/* What may never be, whatever is granted. VERDICT_N: it is none of that. */
static enum verdict out_of_bounds(const struct ip_view *v, const uint8_t *packet)
{
    if (!ip_l4_valid(v, packet))
        return v->fragment ? VERDICT_IN_FRAGMENT : VERDICT_IN_BAD_PACKET;
    if (ip_is_multicast(v->version, ip_dst_ptr(packet, v->version)))
        return VERDICT_IN_MULTICAST;
    return VERDICT_N;
}

bool gateway_accepts(struct worker *w, struct peer *p, struct ip_view *v, uint8_t *packet)
{
    const struct grants *g = snapshot_read(&p->grants);
    const uint8_t *dst = ip_dst_ptr(packet, v->version);
    enum verdict verdict = out_of_bounds(v, packet);
    struct packet_class class = {0};

    if (LIKELY(verdict == VERDICT_N)) {
        class = packet_classify(v, packet);
        if (class.kind == PACKET_ICMP_ERROR)
            verdict = VERDICT_IN_ICMP_ERROR;
    }
    if (UNLIKELY(verdict != VERDICT_N)) {
        count(w, verdict, 1);
        return false;
    }
    if (UNLIKELY(!g || !grants_are_of(g, v->version, ip_src_ptr(packet, v->version))))
        return refuse(w, p, v, packet, ICMP_PROHIBITED, VERDICT_IN_BAD_SOURCE);
    if (is_own(snapshot_read(&w->engine->own), v->version, dst))
        return true;
    if (range_is_host(v->version, dst))
        return refuse(w, p, v, packet, ICMP_PROHIBITED, VERDICT_IN_PROHIBITED);
    bool proxy = range_is_proxy(v->version, dst);
    const struct nat_name *name = proxy ? nat_name_find(&w->nat, p->client, v->version, dst) : NULL;
    switch (grants_decide(g, name, v->version, dst, class.kind, class.dst)) {
    case GRANTS_PROHIBIT:
        return refuse(w, p, v, packet, ICMP_PROHIBITED, VERDICT_IN_PROHIBITED);
    case GRANTS_REJECT:
        return refuse(w, p, v, packet, ICMP_NETWORK, VERDICT_IN_REJECTED);
    case GRANTS_PERMIT:
        break;
    }
    return !proxy || to_real(w, p, name, v, packet, class);
}

/* ---- from the network ---- */

/* A frame, and what is known of it. */
struct arrival {
    struct peer *peer;
    const struct grants *grants;
    struct ip_view *v;
    uint8_t *packet;
    bool own;     /* this host sends it itself, from its address in the tunnel */
    bool partial; /* its transport checksum is not finished */
};

/* The ICMP error, as one of the proxy address's, to the client, whose session is there and for which there is a train. */
static void error_send(struct worker *w, const struct arrival *a, const struct icmp_quote *q,
                       const struct nat_flow *f) REQUIRES_ROLE(role_worker)
{
    uint8_t error[ICMP_ERROR_MAX], proxy[16];

    nat_name_proxy(nat_flow_name(&w->nat, f), proxy);
    size_t len = nat_packet_error(error, a->v, a->packet, q, proxy, f->port);
    uint8_t *dst = train_append(w, a->peer, a->peer->current, (uint32_t)len, ECN_NOT_ECT);
    memcpy(dst, error, len);
}

/*
 * VERDICT_N: it goes to the client as it is; VERDICT_OUT_FORWARDED: it has gone, written anew.
 * DEVIATE: an error of our own host's, which quotes what it could not forward, is also written anew; upstream passes it as it is, to
 * clients that know nothing of the real address in it.
 */
static enum verdict error_decide(struct worker *w, const struct arrival *a)
    REQUIRES_ROLE(role_worker)
{
    struct icmp_quote q;

    if (!icmp_error_parse(&q, a->v, a->packet))
        return a->own ? VERDICT_N : VERDICT_OUT_UNSUPPORTED;
    struct nat_flow *f =
        nat_outside(&w->nat, a->peer->client, q.version, q.proto, q.src, q.to.bytes);
    if (!f)
        return VERDICT_N;
    if (nat_has_ended(f, w->now))
        return VERDICT_OUT_NAT_EXPIRED;
    nat_inbound(f, 0, w->now);
    error_send(w, a, &q, f);
    return VERDICT_OUT_FORWARDED;
}

/* VERDICT_N: to the client, perhaps with another source now. */
static enum verdict flow_decide(struct worker *w, const struct arrival *a,
                                struct packet_class class) REQUIRES_ROLE(role_worker)
{
    unsigned version = a->v->version;
    const uint8_t *src = ip_src_ptr(a->packet, version);
    struct nat_flow *f =
        nat_outside(&w->nat, a->peer->client, version, a->v->proto, class.dst, src);
    const struct nat_name *name = NULL;
    uint8_t proxy[16];

    if (f) {
        if (nat_has_ended(f, w->now))
            return VERDICT_OUT_NAT_EXPIRED;
        name = nat_flow_name(&w->nat, f);
        nat_name_proxy(name, proxy);
        src = proxy;
    }
    if (grants_decide(a->grants, name, version, src, class.kind, class.src) != GRANTS_PERMIT)
        return VERDICT_OUT_PROHIBITED;
    if (f) {
        nat_inbound(f, tcp_flags(a->v, a->packet), w->now);
        nat_packet_inbound(a->packet, a->v, proxy, f->port, a->partial);
    }
    return VERDICT_N;
}

/* What becomes of it, as error_decide says. */
static enum verdict network_decide(struct worker *w, const struct arrival *a)
    REQUIRES_ROLE(role_worker)
{
    unsigned version = a->v->version;

    if (!ip_l4_valid(a->v, a->packet))
        return a->v->fragment ? VERDICT_OUT_FRAGMENT : VERDICT_OUT_MALFORMED;
    if (UNLIKELY(!a->grants || !grants_are_of(a->grants, version, ip_dst_ptr(a->packet, version))))
        return VERDICT_OUT_NO_PEER;
    struct packet_class class = packet_classify(a->v, a->packet);
    if (UNLIKELY(a->own))
        return class.kind == PACKET_ICMP_ERROR ? error_decide(w, a) : VERDICT_N;
    /* A proxy address is nobody's out there. */
    if (UNLIKELY(range_is_host(version, ip_src_ptr(a->packet, version)) ||
                 range_is_proxy(version, ip_src_ptr(a->packet, version))))
        return VERDICT_OUT_BAD_SOURCE;
    if (class.kind == PACKET_ICMP_ERROR)
        return error_decide(w, a);
    return packet_is_flow(class.kind) ? flow_decide(w, a, class) : VERDICT_OUT_UNSUPPORTED;
}

enum egress_result gateway_frame(struct worker *w, struct peer *p, const struct io_rx *rx,
                                 struct ip_view *v)
{
    uint8_t *packet = rx->data + IO_VNET_LEN;
    struct vnet_hdr h;

    memcpy(&h, rx->data, sizeof h);
    const struct arrival a = {
        .peer = p,
        .grants = snapshot_read(&p->grants),
        .v = v,
        .packet = packet,
        .own = is_own(snapshot_read(&w->engine->own), v->version, ip_src_ptr(packet, v->version)),
        .partial = (h.flags & VNET_F_NEEDS_CSUM) != 0};
    enum verdict verdict = VERDICT_OUT_NO_SESSION; /* it does not wait: the client has to begin */
    if (LIKELY(p->current && session_can_send(p->current, w->now) &&
               p->endpoint.ip.family != ADDR_NONE)) {
        /* For any frame, and before anything is rewritten: this one may come again. */
        if (!egress_room(w, SEGMENT_COUNT_MAX)) {
            tally(w, TALLY_STALLS, 1);
            return EGRESS_STALLED;
        }
        verdict = network_decide(w, &a);
    }
    if (LIKELY(verdict == VERDICT_N))
        return egress_to_peer(w, p, rx, v->ecn);
    if (verdict != VERDICT_OUT_FORWARDED)
        count(w, verdict, egress_packets(w, rx));
    return EGRESS_DONE;
}

/* ---- control's side ---- */

static bool is_over(const void *grants, uint16_t grant)
{
    return !grants_dns(grants, grant);
}

/* Another name on one of its addresses. */
static bool renumbered(const struct nat *n, uint32_t client, const struct engine_translation *t)
{
    for (unsigned i = 0; i < t->n; i++) {
        const struct ip_addr *proxy = &t->pairs[i].proxy;
        const struct nat_name *name = nat_name_find(n, client, proxy->family, proxy->bytes);
        if (name && name->domain != t->domain)
            return true;
    }
    return false;
}

static uint32_t count_new(const struct nat *n, uint32_t client, const struct engine_translation *t)
{
    uint32_t found = 0;

    for (unsigned i = 0; i < t->n; i++) {
        const struct ip_addr *proxy = &t->pairs[i].proxy;
        found += nat_name_find(n, client, proxy->family, proxy->bytes) != NULL;
    }
    return t->n - found;
}

bool gateway_translate(struct worker *w, struct peer *p, const struct engine_translation *t)
{
    enum nat_result result = NAT_OK;

    if (!w->nat_memory)
        return false;
    if (renumbered(&w->nat, p->client, t)) {
        nat_forget(&w->nat, p->client);
        tally(w, TALLY_RENUMBERED, 1);
    }
    if (t->refused)
        return true;
    if (count_new(&w->nat, p->client, t) > nat_names_room(&w->nat, p->client))
        result = NAT_SHARE_FULL;
    for (unsigned i = 0; i < t->n && result == NAT_OK; i++)
        result = nat_name_set(&w->nat, p->client, &t->pairs[i].proxy, &t->pairs[i].real, t->domain,
                              t->grant, is_over, snapshot_read(&p->grants));
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
