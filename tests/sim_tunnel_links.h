/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections between the ends of the simulated tunnels, in place of control/peers.c and the node: both ends have a way as soon as both
 * know of each other. What the tunnel says of its peers goes on to whom it concerns. Included once per program.
 */
#ifndef FZ_TESTS_SIM_TUNNEL_LINKS_H
#define FZ_TESTS_SIM_TUNNEL_LINKS_H

#include "control/access.h"
#include "control/clients.h"
#include "control/gateway_nat.h"
#include "tests/sim_tunnel_engine.h"

enum {
    CREDENTIAL_MAX = 48
};

/* A connection, in place of the node's. */
struct link {
    struct link *next;
    struct end *end;
    struct uuid id;
    char ufrag[CREDENTIAL_MAX], remote_ufrag[CREDENTIAL_MAX];
    uint8_t key[WG_KEY_LEN];
    struct tunnel_peer *peer;
    bool up, failed, goodbye, closing;
};

/* A packet of a peer's that waits for control. */
struct control_packet {
    struct uuid from;
    size_t len;
    uint8_t bytes[EVENT_PACKET_MAX];
};

static struct link *link_find(const struct peers *p, const struct uuid *id)
{
    struct link *x = p->links;

    while (x && !uuid_equal(&x->id, id))
        x = x->next;
    return x;
}

static void link_end(struct end *e, struct link *x, bool in_use)
{
    struct link **at = &e->peers.links;
    struct uuid id = x->id;
    bool goodbye = x->goodbye;
    uint8_t packet[INNER_LEN_MIN];

    inner_write_goodbye(packet);
    if (x->closing && x->up && !x->failed && !x->goodbye)
        tunnel_p2p_packet_to(x->peer, packet, sizeof packet);
    tunnel_p2p_remove(e->tunnel, x->peer);
    while (*at != x)
        at = &(*at)->next;
    *at = x->next;
    free(x);
    if (!e->gateway) {
        access_ended(e->access, &id, in_use);
        return;
    }
    gateway_nat_forget(e->nat, &id);
    if (goodbye)
        clients_left(e->clients, &id);
}

/* Those that are over. */
static void links_look(struct end *e, const void *data)
{
    (void)data;
    for (struct link *x = e->peers.links, *next; x; x = next) {
        next = x->next;
        if (x->failed || x->goodbye || x->closing) {
            link_end(e, x, x->up);
            next = e->peers.links;
        }
    }
}

/* What is found out when nothing comes any more. */
static void link_lost(struct end *e, const struct uuid *id)
{
    struct link *x = link_find(&e->peers, id);

    if (!x)
        return;
    x->failed = true;
    world_later(e, links_look, "", 0);
}

static void link_path(struct link *x, unsigned to)
{
    struct node_path path = {.kind = NODE_PEER_TO_PEER,
                             .to = world_address(to),
                             .from = world_address(x->end->number),
                             .peer = world_address(to)};

    tunnel_p2p_path(x->peer, &path);
}

/* Both know of each other, by the same credentials. */
static void link_meets(struct end *e, const void *data)
{
    const struct uuid *id = data;
    struct end *other = end_of_id(id);
    struct link *x = link_find(&e->peers, id), *y = other ? link_find(&other->peers, &e->id) : NULL;

    if (!x || !y || strcmp(x->ufrag, y->remote_ufrag) != 0 ||
        strcmp(y->ufrag, x->remote_ufrag) != 0)
        return;
    link_path(x, other->number);
    link_path(y, e->number);
}

enum node_connect peers_connect(struct peers *p, const struct node_peer *peer,
                                const struct peers_inner *inner)
{
    struct tunnel_p2p_peer config = {.public_key = peer->public_key,
                                     .preshared_key = peer->preshared_key,
                                     .allowed = inner->allowed,
                                     .allowed_n = inner->allowed_n,
                                     .controlling = peer->role == ICE_CONTROLLING,
                                     .group = inner->group,
                                     .tenant = inner->tenant};
    struct link *x;

    links_look(p->end, NULL);
    x = link_find(p, &peer->id);
    world_later(p->end, link_meets, &peer->id, sizeof peer->id);
    if (x && memcmp(x->key, peer->public_key, WG_KEY_LEN) == 0 &&
        strcmp(x->ufrag, peer->ufrag) == 0 && strcmp(x->remote_ufrag, peer->remote_ufrag) == 0) {
        tunnel_p2p_again(x->peer);
        return NODE_REUSED;
    }
    bool known = x != NULL;
    if (known) {
        tunnel_p2p_remove(p->end->tunnel, x->peer);
    } else {
        x = mem_zalloc(1, sizeof *x);
        x->next = p->links;
        p->links = x;
        x->end = p->end;
        x->id = peer->id;
    }
    snprintf(x->ufrag, sizeof x->ufrag, "%s", peer->ufrag);
    snprintf(x->remote_ufrag, sizeof x->remote_ufrag, "%s", peer->remote_ufrag);
    memcpy(x->key, peer->public_key, WG_KEY_LEN);
    x->up = false;
    config.arg = x;
    x->peer = tunnel_p2p_add(p->end->tunnel, &config);
    ASSERT(x->peer);
    return known ? NODE_REPLACED : NODE_CREATED;
}

bool peers_ready(const struct peers *p)
{
    return !p->closing;
}

struct tunnel *peers_tunnel(const struct peers *p)
{
    return p->end->tunnel;
}

struct tunnel_peer *peers_find(const struct peers *p, const struct uuid *id)
{
    const struct link *x = link_find(p, id);
    return x ? x->peer : NULL;
}

bool peers_is_up(const struct peers *p, const struct uuid *id)
{
    const struct link *x = link_find(p, id);
    return x && x->up && !x->failed && !x->goodbye;
}

size_t peers_list(const struct peers *p, struct uuid *ids, size_t max)
{
    size_t n = 0;

    for (const struct link *x = p->links; x && n < max; x = x->next) {
        if (!x->failed && !x->goodbye)
            ids[n++] = x->id;
    }
    return n;
}

void peers_close(struct peers *p, const struct uuid *id)
{
    struct link *x = link_find(p, id);

    if (x)
        x->closing = true;
    world_later(p->end, links_look, "", 0);
}

/* ---- what the tunnel says ---- */

static void on_peer(void *arg, void *peer_arg, enum p2p_peer_news news)
{
    struct end *e = arg;
    struct link *x = peer_arg;

    if (news == P2P_PEER_UP && !x->up) {
        x->up = true;
        if (!e->gateway)
            access_connected(e->access, &x->id);
    }
    if (news == P2P_PEER_FAILED) {
        x->failed = true;
        world_later(e, links_look, "", 0);
    }
}

static void inner_take(struct end *e, const void *data)
{
    const struct control_packet *i = data;

    if (!link_find(&e->peers, &i->from))
        return;
    if (e->gateway)
        gateway_nat_packet(e->nat, &i->from, i->bytes, i->len);
    else
        access_inner(e->access, &i->from, i->bytes, i->len);
}

static void on_inner(void *arg, void *peer_arg, const uint8_t *packet, size_t len)
{
    struct end *e = arg;
    struct link *x = peer_arg;
    struct control_packet i = {.from = x->id, .len = len};

    if (len < INNER_LEN_MIN)
        return;
    if (packet[INNER_OFF_EVENT] == INNER_GOODBYE) {
        x->goodbye = true;
        world_later(e, links_look, "", 0);
        return;
    }
    memcpy(i.bytes, packet, len);
    world_later(e, inner_take, &i, sizeof i);
}

static void on_wanted(void *arg, void *resource_arg)
{
    struct end *e = arg;
    access_wanted(e->access, resource_arg);
}

static void on_prohibited(void *arg, const struct ip_addr *destination)
{
    struct end *e = arg;
    access_prohibited(e->access, destination);
}

static void on_packet(void *arg, const struct sock_addr *local, const struct sock_addr *from,
                      const uint8_t *bytes, size_t len)
{
    (void)arg, (void)local, (void)from, (void)bytes, (void)len;
}

static void on_sockets(void *arg)
{
    (void)arg;
}

static void on_address_lost(void *arg, const struct ip_addr *ip)
{
    (void)arg, (void)ip;
}

static void on_traffic(void *arg, void *peer_arg, struct node_traffic traffic)
{
    (void)arg, (void)peer_arg, (void)traffic;
}

static void on_dns(void *arg, const uint8_t *packet, size_t len)
{
    (void)arg, (void)packet, (void)len;
}

static const struct tunnel_p2p_events tunnel_events = {
    on_packet,  on_sockets, on_address_lost, on_peer, on_inner,
    on_traffic, on_wanted,  on_dns,          on_dns,  on_prohibited};

#endif
