/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What WireGuard (wg/handshake.h) and the node (node.h) have to know of each other for one peer: when a path starts a
 * handshake, on which way its messages leave, when the connection is up, and when it has failed.
 *
 *     node ---- path ----->  +----------+  ---- initiation on a new path ------>  wg_peer
 *     wg_peer - messages ->  | p2p_peer |  ---- datagrams on the path -------->   worker
 *     wg_peer - events --->  +----------+  ---- up, failed ------------------->   who made the connection
 *
 * A message without a path stays with the wg_peer, which keeps the newest ones, until there is one. Whoever receives
 * never learns an address from them: in both directions everything goes to the nominated pair.
 * Sans-IO; control role. Source: spec/p2p.md 7.4, 8.4, 8.6, 9.3, 11.
 */
#ifndef FZ_CONTROL_P2P_PEER_H
#define FZ_CONTROL_P2P_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "control/p2p/node.h"
#include "control/wg/handshake.h"

/* Of peers whose paths ICE finds: a peer that does not answer is given up early, since the portal finds another way. */
#define P2P_PEER_TIMING                                                                            \
    {                                                                                              \
        .attempt_ns = 20 * NS_PER_SEC, .rekey_timeout_ns = WG_REKEY_TIMEOUT_NS,                    \
        .keepalive_timeout_ns = WG_KEEPALIVE_TIMEOUT_NS, .rekey_idle = true, .expire_unused = true \
    }

#define P2P_PEER_QUIET_NS (20 * NS_PER_SEC) /* between two handshakes that paths start */

enum p2p_peer_news {
    P2P_PEER_NO_NEWS,
    P2P_PEER_UP,    /* once: a session, and a path */
    P2P_PEER_FAILED /* no session came about: the connection is of no use */
};

struct p2p_peer {
    bool controlling;       /* starts handshakes */
    bool complete, up_told; /* a session works; and that was said */
    time_ns begun_at;       /* the last handshake that a path started; 0: none */
    struct node_path path;  /* NODE_PATH_NONE: none yet */
};

void p2p_peer_init(struct p2p_peer *p, bool controlling);

/* A path, the first or another one. If that is when the connection is up, it says so. */
enum p2p_peer_news p2p_peer_set_path(struct p2p_peer *p, struct wg_peer *wg, time_ns now,
                                     const struct node_path *path, struct wg_fresh *fresh);
/* The connection was authorised once more: a new session, as on a new path. */
void p2p_peer_again(struct p2p_peer *p, struct wg_peer *wg, time_ns now, struct wg_fresh *fresh);
/* The worker has packets, but no session for them. Without a path it has to wait. */
void p2p_peer_want(const struct p2p_peer *p, struct wg_peer *wg, time_ns now,
                   struct wg_fresh *fresh);
/* Of each event of the wg_peer. */
enum p2p_peer_news p2p_peer_note(struct p2p_peer *p, const struct wg_event *event);
/* A handshake message as it leaves, with a channel header if need be. False: nothing, or no path. */
bool p2p_peer_poll_transmit(const struct p2p_peer *p, struct wg_peer *wg,
                            struct node_transmit *out);

#endif
