/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections to peers: the node (p2p/node.h) with time and sockets, and for each of its connections a WireGuard peer
 * of the tunnel (tunnel_p2p.h). Whoever owns it speaks to the portal: it brings relays, authorised peers and their
 * candidates, and takes ours to them. Control role.
 *
 *     portal --- relays, peers, candidates --->  +-------+  --- candidates, up, ended, no relays --->  portal
 *                                                | peers |
 *     tunnel --- STUN, TURN, edges ----------->  +-------+  --- paths, peers, datagrams ------------->  tunnel
 */
#ifndef FZ_CONTROL_PEERS_H
#define FZ_CONTROL_PEERS_H

#include "control/p2p/node.h"
#include "control/tunnel_p2p.h"
#include "platform/loop.h"

struct peers;

/* How a connection ended. */
struct peers_end {
    bool in_use;     /* it was up, and there were packets a short time ago */
    bool goodbye;    /* the peer has closed it */
    const char *why; /* one phrase */
};

/* None may free the peers; all else is permitted. */
struct peers_events {
    /* For the peer, through the portal: new lines, or such that are not valid any more. False: they have to wait. */
    bool (*candidates)(void *arg, const struct uuid *peer, bool added, const char *const *lines,
                       size_t n);
    void (*up)(void *arg, const struct uuid *peer, const struct node_path *path);
    /* It is up and goes another way from now on. */
    void (*path)(void *arg, const struct uuid *peer, const struct node_path *path);
    void (*ended)(void *arg, const struct uuid *peer, const struct peers_end *end);
    /* The system does not send from this address of ours any more; the peers have other ways looked for already. */
    void (*address_lost)(void *arg, const struct ip_addr *ip);
    /* A relay has answered: connections can be made (again). */
    void (*ready)(void *arg);
    /* The portal is to be asked for relays. */
    void (*no_relays)(void *arg);
    /* A control packet from inside the tunnel that is not about the connection: engine/wire/inner.h. */
    void (*inner)(void *arg, const struct uuid *peer, const uint8_t *packet, size_t len);
    /* As tunnel_p2p_events. */
    void (*wanted)(void *arg, void *resource_arg);
    void (*stub)(void *arg, const uint8_t *packet, size_t len);
    void (*dns)(void *arg, const uint8_t *packet, size_t len);
    void (*prohibited)(void *arg, const struct ip_addr *destination);
    /* After peers_shut_down: nothing is left. */
    void (*down)(void *arg);
};

/* Out of memory is fatal. */
struct peers *peers_new(struct loop *l, const struct peers_events *events, void *arg);
/* After the tunnel. */
void peers_free(struct peers *p);

/* For tunnel_new; then the tunnel is attached, once. */
void peers_tunnel_options(struct peers *p, struct tunnel_options *o);
void peers_attach(struct peers *p, struct tunnel *t);

/* A relay has answered, without which no connection can be made. */
bool peers_ready(const struct peers *p);

/* Control packets of peers that were too many. */
uint64_t peers_inner_lost(const struct peers *p);

/* As node_update_relays. */
unsigned peers_update_relays(struct peers *p, const struct uuid *remove, unsigned remove_count,
                             const struct node_relay_config *add, unsigned add_count);

/* What the node does not know of a peer: see struct tunnel_p2p_peer. */
struct peers_inner {
    const struct ip_prefix *allowed;
    size_t allowed_n;
    uint32_t group, tenant;
};
enum node_connect peers_connect(struct peers *p, const struct node_peer *peer,
                                const struct peers_inner *inner) MUST_USE;
/* NULL: none is attached. */
struct tunnel *peers_tunnel(const struct peers *p);
/* NULL: there is no connection. Valid until it has ended. */
struct tunnel_peer *peers_find(const struct peers *p, const struct uuid *id);
/* Packets reach it. */
bool peers_is_up(const struct peers *p, const struct uuid *id);
/* Up to `max` of those that are connected. Returns how many. */
size_t peers_list(const struct peers *p, struct uuid *ids, size_t max);
void peers_close(struct peers *p, const struct uuid *id);
/* False: no such peer, or a line of no use. */
bool peers_candidate(struct peers *p, const struct uuid *id, bool added, const char *line);

/* While the portal is away what is for the peers is kept; what was added and is not valid any more meanwhile cancels out. */
void peers_portal(struct peers *p, bool there);

/* The network has changed: before tunnel_roam. All connections end. */
void peers_reset(struct peers *p);
/* The end; takes 1 s at most. */
void peers_shut_down(struct peers *p);

#endif
