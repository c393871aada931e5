/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tunnel (tunnel.h) under peers whose paths somebody else finds: sockets, sessions and packets are the tunnel's,
 * paths, relays and permission are the caller's. Peers come and go singly; a destination is a prefix that packets go to
 * although nobody may be there yet: they wait, its owner hears of it, and they follow when it is granted to a peer.
 *
 *     destination --- wanted ---> caller --- add peer, grant ---> tunnel --- up, traffic, failed ---> caller
 *
 * Control role.
 */
#ifndef FZ_CONTROL_TUNNEL_P2P_H
#define FZ_CONTROL_TUNNEL_P2P_H

#include "control/p2p/peer.h"
#include "control/tunnel.h"

struct tunnel_peer;
struct tunnel_destination;

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
    /* Packets wait for a destination: at the first one, and while more come once a second. */
    void (*wanted)(void *arg, void *destination_arg);
};

struct tunnel_p2p_peer {
    const uint8_t *public_key, *preshared_key;
    /* Its own addresses: routes to it, and sources that are accepted. */
    const struct ip_prefix *allowed;
    size_t allowed_n;
    bool controlling;
    uint32_t group; /* those of destinations that may be granted to it */
    void *arg;
};

/* NULL: too many. The key is not that of another peer. */
struct tunnel_peer *tunnel_p2p_add(struct tunnel *t, const struct tunnel_p2p_peer *config);
/* What was granted to it is a destination without a peer again. */
void tunnel_p2p_remove(struct tunnel *t, struct tunnel_peer *p);
/* Where to send from now on. */
void tunnel_p2p_path(struct tunnel_peer *p, const struct node_path *path);
/* A packet inside the tunnel, up to the MTU; lost if there is no session. */
void tunnel_p2p_packet_to(struct tunnel_peer *p, const uint8_t *packet, size_t len);
/* It was authorised once more. */
void tunnel_p2p_again(struct tunnel_peer *p);

/* group: all that may be granted to one peer. NULL: too many. */
struct tunnel_destination *tunnel_destination_add(struct tunnel *t, const struct ip_prefix *prefix,
                                                  uint32_t group, void *arg);
/* p: of the same group. */
void tunnel_destination_grant(struct tunnel_destination *d, struct tunnel_peer *p);
bool tunnel_destination_granted(const struct tunnel_destination *d);
void tunnel_destination_remove(struct tunnel_destination *d);
/* Of several with one prefix the last one that was added or granted has the packets. It is gone: this one has them. */
void tunnel_destination_restore(struct tunnel_destination *d);

/* A datagram that is nobody's data; out->from of ADDR_NONE: as the system chooses. */
void tunnel_p2p_send(struct tunnel *t, const struct node_transmit *datagram);

/* A route of the host into the tunnel, in the tables of the product. On failure, and then nothing has changed, a warning is logged. */
void tunnel_p2p_route(struct tunnel *t, const struct ip_prefix *prefix, bool add);

/* Ways of the host have changed, and it is quiet again: which interface a path leaves by is looked up anew. */
void tunnel_p2p_sources(struct tunnel *t);
/* Local networks stay reachable whatever leads into the tunnel: when it is up, and whenever the network has changed. Failures are logged. */
void tunnel_lan_sync(struct tunnel *t);

#endif
