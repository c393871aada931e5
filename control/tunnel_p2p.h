/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tunnel (tunnel.h) under peers whose paths somebody else finds: sockets, sessions and packets are the tunnel's,
 * paths, relays and permission are the caller's. Peers come and go singly; what a client's packets reach through them is
 * in tunnel_policy.h.
 *
 *     packets --- wanted ---> caller --- add peer, grant ---> tunnel --- up, traffic, failed ---> caller
 *
 * Control role.
 */
#ifndef FZ_CONTROL_TUNNEL_P2P_H
#define FZ_CONTROL_TUNNEL_P2P_H

#include "control/p2p/peer.h"
#include "control/tunnel.h"

struct tunnel_peer;

/* The preferred port of both families. Source: spec/p2p.md 2. */
enum {
    TUNNEL_P2P_PORT = 52625
};

#define TUNNEL_NO_GROUP UINT32_MAX /* of a peer that nothing is granted to */

/* None may call the tunnel: they note what has happened, and act when the loop calls them again. */
struct tunnel_p2p_events {
    /* STUN, TURN, and channel data with STUN in it. */
    void (*packet)(void *arg, const struct sock_addr *local, const struct sock_addr *from,
                   const uint8_t *bytes, size_t len);
    /* New sockets are in use, after tunnel_roam. */
    void (*sockets)(void *arg);
    /* The system does not send from this address of ours any more. */
    void (*address_lost)(void *arg, const struct ip_addr *ip);
    void (*peer)(void *arg, void *peer_arg, enum p2p_peer_news news);
    /* A control packet of a peer from inside the tunnel: engine/wire/inner.h. */
    void (*inner)(void *arg, void *peer_arg, const uint8_t *packet, size_t len);
    /* Now and then while there is traffic, and soon after it began. */
    void (*traffic)(void *arg, void *peer_arg, struct node_traffic traffic);
    /* Packets wait for a resource (tunnel_policy.h): at the first one, and while more come once a second. */
    void (*wanted)(void *arg, void *resource_arg);
    /*
     * A packet of the host's to one of the addresses at which names are asked for, or one of a peer's to a port that
     * tunnel_p2p_watch named. The functions below that take packets may be called.
     */
    void (*stub)(void *arg, const uint8_t *packet, size_t len);
    void (*dns)(void *arg, const uint8_t *packet, size_t len);
    /* A peer does not let packets to this destination through any more. */
    void (*prohibited)(void *arg, const struct ip_addr *destination);
};

struct tunnel_p2p_peer {
    const uint8_t *public_key, *preshared_key;
    /* Its own addresses: routes to it, and sources that are accepted. */
    const struct ip_prefix *allowed;
    size_t allowed_n;
    bool controlling;
    uint32_t
        group; /* of a client: those of resources that may be granted to it; of a gateway: the client's number */
    uint32_t tenant; /* of a gateway: engine_peer_client */
    void *arg;
};

/* NULL: too many. The key is not that of another peer. */
struct tunnel_peer *tunnel_p2p_add(struct tunnel *t, const struct tunnel_p2p_peer *config);
/* What was granted to it waits again. */
void tunnel_p2p_remove(struct tunnel *t, struct tunnel_peer *p);
/* Where to send from now on. */
void tunnel_p2p_path(struct tunnel_peer *p, const struct node_path *path);
/* A packet inside the tunnel, up to the MTU; lost if there is no session. */
void tunnel_p2p_packet_to(struct tunnel_peer *p, const uint8_t *packet, size_t len);
/* It was authorised once more. */
void tunnel_p2p_again(struct tunnel_peer *p);

/* Our own addresses in the tunnel; at the start, and when they have changed. */
void tunnel_p2p_addresses(struct tunnel *t, const struct ip_addr *ipv4, const struct ip_addr *ipv6);
/* Packets of our own inside the tunnel: to the host, or as if the host had sent them; up to the MTU. Lost when there is no way. */
void tunnel_p2p_to_host(struct tunnel *t, const uint8_t *packet, size_t len);
void tunnel_p2p_from_host(struct tunnel *t, const uint8_t *packet, size_t len);
/* Answers of peers to this port of ours are for `dns`, not for the host. */
void tunnel_p2p_watch(struct tunnel *t, bool tcp, uint16_t port, bool on);

/* A datagram that is nobody's data; out->from of ADDR_NONE: as the system chooses. */
void tunnel_p2p_send(struct tunnel *t, const struct node_transmit *datagram);

/* A route of the host into the tunnel, in the tables of the product. On failure, and then nothing has changed, a warning is logged. */
void tunnel_p2p_route(struct tunnel *t, const struct ip_prefix *prefix, bool add);

/* Ways of the host have changed, and it is quiet again: which interface a path leaves by is looked up anew. */
void tunnel_p2p_sources(struct tunnel *t);
/* Local networks stay reachable whatever leads into the tunnel: when it is up, and whenever the network has changed. Failures are logged. */
void tunnel_lan_sync(struct tunnel *t);

#endif
