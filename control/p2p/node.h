/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The peer-to-peer node: one per process. It has an allocation (turn.h) on each relay of the portal and a connection, with an ICE
 * agent (ice.h), to each peer, and says where the datagrams of a peer are to be sent, and whose those are that come. WireGuard is
 * somebody else's: the tunnel's.
 *
 *     portal  -- relays, peers, their candidates -->  +------+  -- our candidates, the end of a connection -->  portal
 *     sockets -- datagrams ------------------------>  | node |  -- STUN and TURN ----------------------------->  sockets
 *                                                     +------+  -- what is WireGuard's, paths ---------------->  tunnel
 *
 * A connection uses one of the relays, chosen at random among the near ones, and another one when that is lost. It ends when no way
 * to the peer is found or left, when the network changes (node_reset), or when it is closed. Its memory, about 28 KiB, is the
 * caller's before node_connect and again after NODE_EVENT_FAILED or NODE_EVENT_CLOSED; in between it does not move. A connection that
 * has ended but whose event has not been taken ignores everything.
 *
 * A number of a channel is taken for 15 min, and a relay has 4096 of them: whatever a peer says its addresses are, its connection takes
 * not more than 244 in that time (64 at once, then one in 5 s). A check that gets no channel is not sent; the next one tries again.
 *
 * After every input the caller drains node_poll_transmit and node_poll_event, and asks node_poll_timeout. Time never goes
 * back: a reading that is older than the last one counts as that. What an input costs does not depend on how many connections there are, unless relays or our own addresses change.
 *
 * DEVIATE from upstream's: when a connection has lost its path, or the peer wants it again, its relay is asked whether it still has our allocation, which a NAT that
 * has forgotten us makes it lose; a relay that has refused an allocation is only chosen if there is no other, and left when
 * another one has an allocation; a connection idles in
 * ICE_COMPLETED, too; allocations are deleted at the end.
 * Sans-IO; control role. Source: spec/p2p.md 3, 5, 6, 9, 10.
 */
#ifndef FZ_CONTROL_P2P_NODE_H
#define FZ_CONTROL_P2P_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/p2p/node_state.h"

/* A datagram as the peer has sent it: `len` bytes at `offset` of what came. */
struct node_received {
    struct sock_addr local; /* of what came through a relay: our relayed address */
    struct sock_addr from;  /* the peer behind it */
    uint16_t channel;       /* 0: it came directly */
    size_t offset, len;
};

/* ---- outputs ---- */

struct node_transmit {
    struct sock_addr to;
    struct sock_addr from; /* ADDR_NONE: as the system chooses */
    uint16_t len;
    uint8_t bytes[NODE_DATAGRAM_MAX];
};

enum node_event_kind {
    NODE_EVENT_CANDIDATE_ADDED,       /* to be signalled to the peer of the connection: `line` */
    NODE_EVENT_CANDIDATE_INVALIDATED, /* the same. All lines of a connection come one after the other */
    NODE_EVENT_PATH,                  /* send here from now on */
    NODE_EVENT_PATH_LOST,             /* there is none, for now */
    NODE_EVENT_UP,                    /* the connection has had its first path */
    NODE_EVENT_FAILED,                /* the connection has ended */
    NODE_EVENT_CLOSED,                /* the same, as the caller wanted */
    NODE_EVENT_RELAY_LOST,            /* what was used of it has changed by other events */
    NODE_EVENT_NO_RELAYS              /* it was the last: ask the portal */
};

struct node_event {
    enum node_event_kind kind;
    struct node_connection *connection;
    struct node_path path;           /* PATH */
    enum ice_failure failure;        /* FAILED */
    struct uuid relay;               /* RELAY_LOST */
    enum turn_failure relay_failure; /* RELAY_LOST */
    char line[CANDIDATE_LINE_MAX];   /* CANDIDATE_*, terminated */
};

/* A relay of the portal's list: both addresses in one. */
struct node_relay_config {
    struct uuid id;
    struct sock_addr v4, v6; /* ADDR_NONE: none, but not both */
    const char *username, *password;
};

/* A peer, as the portal's authorisation says. If anything of it is not as before, it is another connection. */
struct node_peer {
    struct uuid id;
    enum ice_role role;
    enum ice_kind kind;
    const char *ufrag, *password, *remote_ufrag, *remote_password;
    uint8_t public_key[NODE_KEY_LEN], preshared_key[NODE_KEY_LEN];
};

/* seed: random, secret. now: not 0. */
void node_init(struct node *n, const uint8_t seed[NODE_SEED_LEN], time_ns now);
/* Wipes everything, the connections too, whose memory is the caller's from then on; sends and tells nothing. */
void node_fini(struct node *n);

/* ---- relays ---- */

/*
 * The portal's news: these are gone, those are there. One with the same id but other credentials or addresses is started over; those
 * that are not in `add` are asked whether they still live. Returns how many of `add` cannot be used: bad, or too many.
 */
unsigned node_update_relays(struct node *n, time_ns now, const struct uuid *remove,
                            unsigned remove_count, const struct node_relay_config *add,
                            unsigned add_count);
/* True if a connection could be made now. */
bool node_has_relay(const struct node *n);

/* ---- connections ---- */

enum node_connect {
    NODE_CREATED,
    NODE_REUSED, /* the same as before: its candidates are signalled once more; start a new session if controlling */
    NODE_REPLACED,  /* other keys, credentials or role: it begins anew, and is without path */
    NODE_NO_RELAYS, /* none has answered yet: nothing was done. Ask the portal */
    NODE_INVALID /* credentials that are empty, too long, or not for a candidate's line: nothing was done */
};

/* NULL: none. */
struct node_connection *node_find(const struct node *n, const struct uuid *id);
/* c: what node_find gives for the peer or, if that is NULL, memory for a new connection. */
enum node_connect node_connect(struct node *n, time_ns now, const struct node_peer *peer,
                               struct node_connection *c) MUST_USE;
void node_close(struct node *n, time_ns now, struct node_connection *c);

/* Lines as the portal carries them. False: of no use. */
bool node_add_candidate(struct node *n, time_ns now, struct node_connection *c, const char *line);
bool node_invalidate_candidate(struct node *n, time_ns now, struct node_connection *c,
                               const char *line);

/*
 * What the workers saw since the last time. sent, received: any datagrams on the path of the connection; packets: some of them had
 * inner packets, in whatever direction, so that the connection is not idle.
 */
struct node_traffic {
    bool sent, received, packets;
};
void node_note_traffic(struct node *n, time_ns now, struct node_connection *c,
                       struct node_traffic traffic);
/* Channel data of this channel came from the relay `from`, and node_handle_input has not seen it. */
void node_note_channel(struct node *n, time_ns now, const struct sock_addr *from, uint16_t channel);

/* ---- inputs ---- */

/*
 * A datagram: where it came to, from whom. out: set if it is WireGuard's. What came through a relay has its channel noted.
 */
enum node_verdict node_handle_input(struct node *n, time_ns now, const struct sock_addr *local,
                                    const struct sock_addr *from, const uint8_t *bytes, size_t len,
                                    struct node_received *out);
/* TIME_NEVER: nothing is due. */
time_ns node_poll_timeout(struct node *n);
void node_handle_timeout(struct node *n, time_ns now);

/*
 * The system refuses to send from this address: it is not ours any more. What uses it is dropped at once, though relays may still
 * work, the peer is told (DEVIATE: of host and srflx candidates, too, as it would go on sending there), and they are asked what our addresses are now and whether they still have our allocations. An answer that arrives on the
 * address makes it ours again. May be called for each datagram that is refused.
 */
void node_address_lost(struct node *n, time_ns now, const struct ip_addr *ip);
/* There may be a way again that there was not: relays are asked at once what they see of us. */
void node_ask_relays(struct node *n, time_ns now);
/* The network has changed: all connections end, allocations start over. New keys are due. */
void node_reset(struct node *n, time_ns now);
/* The end: all connections are closed, and allocations deleted, which takes 1 s at most. */
void node_shut_down(struct node *n, time_ns now);
/* True when that is done. */
bool node_is_down(const struct node *n);

/* ---- outputs; false: nothing (more) ---- */

bool node_poll_transmit(struct node *n, struct node_transmit *out);
bool node_poll_event(struct node *n, struct node_event *out);

const char *node_verdict_text(enum node_verdict verdict);
const char *node_path_text(enum node_path_kind kind);

#endif
