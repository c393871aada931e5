/* SPDX-License-Identifier: Apache-2.0 */
#include "control/tunnel_p2p.h"

#include <stdlib.h>
#include <string.h>

#include "control/keylog.h"
#include "control/tunnel_private.h"
#include "engine/grants.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/clock.h"

/* ---- sources ---- */

/* Which interface has an address of ours: what goes out from it has to leave there. */
static void note_source(struct tunnel *t, const struct ip_source *to)
{
    struct ip_source *at = NULL;

    for (size_t i = 0; i < ARRAY_LEN(t->p2p.sources) && !at; i++) {
        if (ip_addr_equal(&t->p2p.sources[i].ip, &to->ip))
            at = &t->p2p.sources[i];
    }
    if (!at)
        at = &t->p2p.sources[t->p2p.sources_next++ % ARRAY_LEN(t->p2p.sources)];
    *at = *to;
}

static struct ip_source source_of(struct tunnel *t, const struct sock_addr *from)
{
    struct ip_source source = {.ip = from->ip};

    if (!t->egress.source)
        return source;
    for (size_t i = 0; i < ARRAY_LEN(t->p2p.sources); i++) {
        if (ip_addr_equal(&t->p2p.sources[i].ip, &from->ip))
            return t->p2p.sources[i];
    }
    source.ifindex = source_interface(t->egress.source, &from->ip);
    if (source.ifindex != 0)
        note_source(t, &source);
    return source;
}

void tunnel_p2p_packet(struct tunnel *t, const struct event_packet *e)
{
    const struct udp_group *group = e->to.ip.family == ADDR_V6 ? &t->v6 : &t->v4;
    struct sock_addr local = {.ip = e->to.ip, .port = group->port};
    const struct tunnel_p2p_events *events = t->options.p2p;
    void *arg = t->options.p2p_arg;

    switch ((enum event_packet_kind)e->kind) {
    case EVENT_PACKET_INNER:
        if (t->peers[e->peer])
            events->inner(arg, t->peers[e->peer]->arg, e->bytes, e->len);
        return;
    case EVENT_PACKET_STUB:
        events->stub(arg, e->bytes, e->len);
        return;
    case EVENT_PACKET_DNS:
        events->dns(arg, e->bytes, e->len);
        return;
    case EVENT_PACKET_PROHIBITED:
        events->prohibited(arg, &e->about);
        return;
    case EVENT_PACKET_DATAGRAM:
        break;
    }
    if (e->to.ip.family == ADDR_NONE)
        return; /* the socket it came by is gone */
    note_source(t, &e->to);
    events->packet(arg, &local, &e->from, e->bytes, e->len);
}

/* slot: whose bytes they count as; COMMAND_NO_PEER: nobody's. */
static void send_by(struct tunnel *t, unsigned worker, uint32_t slot, const struct node_transmit *d)
{
    struct command c = {.kind = COMMAND_DATAGRAM, .slot = slot};

    c.datagram.to = d->to;
    if (d->from.ip.family != ADDR_NONE)
        c.datagram.from = source_of(t, &d->from);
    c.datagram.len = d->len;
    memcpy(c.datagram.bytes, d->bytes, d->len);
    tunnel_command(t, worker, &c);
}

void tunnel_p2p_send(struct tunnel *t, const struct node_transmit *datagram)
{
    send_by(t, engine_threads(t->engine) - 1, COMMAND_NO_PEER, datagram);
}

/* ---- addresses of peers ---- */

static void allow(struct tunnel *t, const struct ip_prefix *prefix, uint32_t slot, unsigned owner)
{
    if (!allowed_set(&t->allowed, prefix, slot))
        return;
    tunnel_steer(t, prefix, owner);
    t->routes_dirty = true;
}

static void publish(struct tunnel *t)
{
    if (tunnel_routes_publish(t) != ERR_OK)
        log_debug("tunnel", "routes are published later");
}

/* Sources that are accepted of the peer, and destinations that lead to it. */
static void allow_own(struct tunnel_peer *p, const struct ip_prefix *own, size_t n)
{
    struct tunnel *t = p->tunnel;

    if (t->options.role == ENGINE_CLIENT) {
        tunnel_policy_peer_add(p, own, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        allow(t, &own[i], p->slot, p->owner);
    publish(t);
}

/* ---- peers ---- */

struct tunnel_peer *tunnel_p2p_add(struct tunnel *t, const struct tunnel_p2p_peer *config)
{
    struct tunnel_peer_spec spec = {.public_key = config->public_key,
                                    .owner = config->group == TUNNEL_NO_GROUP
                                                 ? TUNNEL_ANY_WORKER
                                                 : tunnel_worker_of_group(t, config->group),
                                    .timing = P2P_PEER_TIMING,
                                    .waits_for_path = config->controlling,
                                    .client = config->group,
                                    .tenant = config->tenant};

    if (!tunnel_slot_find(t, &spec.slot))
        return NULL;
    struct tunnel_peer *p = tunnel_peer_add(t, &spec);
    p->arg = config->arg;
    p2p_peer_init(&p->p2p, config->controlling);
    wg_peer_set_psk(&p->wg, config->preshared_key);
    keylog_remote(config->public_key);
    keylog_psk(config->preshared_key);
    allow_own(p, config->allowed, config->allowed_n);
    tunnel_peer_drive(p);
    return p;
}

void tunnel_p2p_remove(struct tunnel *t, struct tunnel_peer *p)
{
    if (t->options.role == ENGINE_CLIENT)
        tunnel_policy_peer_remove(p);
    (void)tunnel_allowed_clear(t, p, TIME_NEVER);
    publish(t);
    (void)tunnel_peer_remove(t, p, TIME_NEVER);
}

static void tell(struct tunnel_peer *p, enum p2p_peer_news news)
{
    const struct tunnel_options *o = &p->tunnel->options;

    if (news != P2P_PEER_NO_NEWS)
        o->p2p->peer(o->p2p_arg, p->arg, news);
}

static void send_endpoint(struct tunnel_peer *p, const struct node_path *path)
{
    struct command c = {.kind = COMMAND_ENDPOINT, .slot = p->slot};

    c.endpoint.to = path->to;
    c.endpoint.channel = path->channel;
    if (path->from.ip.family != ADDR_NONE)
        c.endpoint.from = source_of(p->tunnel, &path->from);
    tunnel_command(p->tunnel, p->owner, &c);
}

void tunnel_p2p_sources(struct tunnel *t)
{
    for (uint32_t i = 0; i < t->slots_used && t->egress.source; i++) {
        struct tunnel_peer *p = t->peers[i];
        if (p && p->p2p.path.kind != NODE_PATH_NONE && p->p2p.path.from.ip.family != ADDR_NONE)
            send_endpoint(p, &p->p2p.path);
    }
}

void tunnel_p2p_path(struct tunnel_peer *p, const struct node_path *path)
{
    struct tunnel *t = p->tunnel;
    struct wg_fresh fresh = tunnel_fresh(t, p);

    send_endpoint(p, path);
    tell(p, p2p_peer_set_path(&p->p2p, &p->wg, clock_now(), path, &fresh));
    tunnel_fresh_done(t, p, &fresh);
    tunnel_peer_drive(p);
}

void tunnel_p2p_packet_to(struct tunnel_peer *p, const uint8_t *packet, size_t len)
{
    struct command c = {.kind = COMMAND_PACKET, .slot = p->slot};

    c.block = engine_block_new(packet, (uint32_t)len);
    tunnel_command(p->tunnel, p->owner, &c);
}

void tunnel_p2p_again(struct tunnel_peer *p)
{
    struct wg_fresh fresh = tunnel_fresh(p->tunnel, p);

    p2p_peer_again(&p->p2p, &p->wg, clock_now(), &fresh);
    tunnel_fresh_done(p->tunnel, p, &fresh);
    tunnel_peer_drive(p);
}

void tunnel_p2p_want(struct tunnel_peer *p, struct wg_fresh *fresh)
{
    p2p_peer_want(&p->p2p, &p->wg, clock_now(), fresh);
}

void tunnel_p2p_note(struct tunnel_peer *p, const struct wg_event *e)
{
    tell(p, p2p_peer_note(&p->p2p, e));
}

void tunnel_p2p_transmit(struct tunnel_peer *p)
{
    struct node_transmit d;

    while (p2p_peer_poll_transmit(&p->p2p, &p->wg, &d))
        send_by(p->tunnel, p->owner, p->slot, &d);
}

void tunnel_p2p_traffic(struct tunnel_peer *p)
{
    const struct tunnel_options *o = &p->tunnel->options;
    struct peer_activity a;

    engine_peer_activity(p->engine_peer, &a);
    struct node_traffic traffic = {.sent = a.last_sent != p->seen_sent,
                                   .received = a.last_received != p->seen_received,
                                   .packets = a.last_packet != p->seen_packet};
    p->seen_sent = a.last_sent;
    p->seen_received = a.last_received;
    p->seen_packet = a.last_packet;
    if (traffic.sent || traffic.received)
        o->p2p->traffic(o->p2p_arg, p->arg, traffic);
}

/* ---- packets of our own ---- */

void tunnel_p2p_addresses(struct tunnel *t, const struct ip_addr *ipv4, const struct ip_addr *ipv6)
{
    switch (t->options.role) {
    case ENGINE_CLIENT:
        tunnel_policy_addresses(t, ipv4, ipv6);
        break;
    case ENGINE_GATEWAY:
        engine_set_gateway(t->engine, ipv4, ipv6);
        break;
    case ENGINE_WIREGUARD:
        break;
    }
}

void tunnel_p2p_to_host(struct tunnel *t, const uint8_t *packet, size_t len)
{
    enum err err = tun_write(t->tun, packet, len);

    if (err != ERR_OK)
        log_debug("tunnel", "a packet for the host is lost: %s", err_text(err));
}

void tunnel_p2p_from_host(struct tunnel *t, const uint8_t *packet, size_t len)
{
    engine_inject(t->engine, packet, len);
}

void tunnel_p2p_watch(struct tunnel *t, bool tcp, uint16_t port, bool on)
{
    engine_watch_port(t->engine, tcp ? ENGINE_WATCH_TCP : ENGINE_WATCH_UDP, port, on);
}

/* ---- the host ---- */

void tunnel_p2p_route(struct tunnel *t, const struct ip_prefix *prefix, bool add)
{
    char text[IP_PREFIX_TEXT_MAX];
    enum err err;

    ip_prefix_format(prefix, text, sizeof text);
    if (add && prefix->len == 0 && t->unsteered && !t->options.source_resolve) {
        log_warn("tunnel",
                 "no route to %s: our own datagrams would take it, too; use --source-ip resolve",
                 text);
        return;
    }
    err = add ? routes_product_add(t->host, prefix) : routes_product_del(t->host, prefix);
    if (err == ERR_UNSUPPORTED)
        log_debug("tunnel", "the route to %s: %s", text, routes_why(t->host));
    else if (err != ERR_OK && (add || err != ERR_NOT_FOUND))
        log_warn("tunnel", "the route to %s: %s", text, routes_why(t->host));
}

enum err tunnel_p2p_rules(struct tunnel *t)
{
    static const unsigned families[] = {ADDR_V4, ADDR_V6};
    enum err err = ERR_OK;

    for (size_t i = 0; i < ARRAY_LEN(families) && err == ERR_OK; i++) {
        err = routes_product_rules(t->host, families[i], t->mark);
        if (err == ERR_OK && t->options.guarded)
            err = routes_product_guard(t->host, families[i]);
        if (err != ERR_UNSUPPORTED)
            continue;
        err = ERR_OK;
        if (families[i] == ADDR_V6 && t->v6.n == 0)
            continue; /* there is no IPv6 at all */
        t->unsteered = true;
        log_warn("tunnel", "%s: marks do not keep our datagrams out of the tunnel",
                 routes_why(t->host));
    }
    return err;
}

void tunnel_lan_sync(struct tunnel *t)
{
    if (routes_lan_sync(t->host) != ERR_OK)
        log_warn("tunnel", "%s", routes_why(t->host));
}
