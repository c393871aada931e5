/* SPDX-License-Identifier: Apache-2.0 */
/* What a node (node.h) is made of. Its owner may look at it, and changes nothing. Control role. */
#ifndef FZ_CONTROL_P2P_NODE_STATE_H
#define FZ_CONTROL_P2P_NODE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/p2p/candidate.h"
#include "control/p2p/ice.h"
#include "control/p2p/node_tables.h"
#include "control/p2p/turn.h"
#include "control/portal/uuid.h"
#include "engine/wire/channel.h"

enum {
    NODE_SEED_LEN = 32,
    NODE_KEY_LEN = 32,
    NODE_RELAYS_MAX = 8,      /* the portal gives two */
    NODE_OLD_RELAYS_MAX = 64, /* addresses that are remembered; the oldest is forgotten */
    NODE_VANISHED_MAX = 8,    /* addresses of ours; the same */
    NODE_RELAY_PORT = 3478,   /* relays always send from it */
    NODE_CHANNELS_MAX = 64,   /* that a connection may take at once */
    NODE_SIGNAL_MAX = 40,     /* candidates of a connection that wait to be signalled */
    NODE_DATAGRAM_MAX = TURN_DATAGRAM_MAX
};

_Static_assert(NODE_DATAGRAM_MAX >= CHANNEL_HEADER_LEN + ICE_DATAGRAM_MAX, "checks fit");

#define NODE_IDLE_NS (20 * NS_PER_SEC)
#define NODE_BIND_NS                                                                               \
    (1 * NS_PER_SEC) /* after which a channel that is not to be had is tried again */
#define NODE_CHANNEL_NS (5 * NS_PER_SEC) /* after which it may take one more */

/* What came of a datagram: X(name, text). One counter each. */

#define NODE_VERDICT_LIST(X)                                                                       \
    X(CONSUMED, "consumed")                                                                        \
    X(WIREGUARD, "WireGuard")                                                                      \
    X(DROP_RELAY, "answers nothing that we asked a relay")                                         \
    X(DROP_OLD_RELAY, "from a relay that is not ours any more")                                    \
    X(DROP_CHANNEL, "of a channel that is not open")                                               \
    X(DROP_STRANGER, "check for no connection")                                                    \
    X(DROP_ANSWER, "answer for no connection")                                                     \
    X(DROP_AGENT, "refused by its connection")                                                     \
    X(DROP_STUN, "STUN of no use")                                                                 \
    X(DROP_UNKNOWN, "neither STUN nor WireGuard")

enum node_verdict {
#define X(name, text) NODE_##name,
    NODE_VERDICT_LIST(X)
#undef X
    NODE_VERDICT_COUNT
};

/* Ours or the peer's end is a relay's address. */
enum node_path_kind {
    NODE_PATH_NONE,
    NODE_PEER_TO_PEER,
    NODE_PEER_TO_RELAY,
    NODE_RELAY_TO_PEER,
    NODE_RELAY_TO_RELAY
};

/* How to send to a peer. */
struct node_path {
    enum node_path_kind kind;
    struct sock_addr to;   /* the peer; if there is a channel, our relay */
    struct sock_addr from; /* ADDR_NONE: as the system chooses */
    uint16_t channel;      /* 0: none */
    struct sock_addr peer; /* who is reached */
};

struct node_relay {
    bool used;
    bool sends;     /* may have something to transmit */
    bool stale;     /* due_at is to be asked for again */
    unsigned users; /* connections */
    time_ns due_at;
    time_ns doubted_at; /* 0: never */
    struct uuid id;
    char username[TURN_CREDENTIAL_MAX + 1], password[TURN_CREDENTIAL_MAX + 1];
    struct turn turn;
};

struct node_signal {
    struct candidate candidate;
    bool invalidated;
};

enum node_end {
    NODE_END_NONE,
    NODE_END_FAILED,
    NODE_END_CLOSED
};

struct node_connection {
    struct uuid id;
    uint8_t public_key[NODE_KEY_LEN], preshared_key[NODE_KEY_LEN];
    struct ice ice;
    struct node_relay *relay; /* NULL: it waits for one */
    enum node_end end;
    enum ice_failure failure;
    bool idle, up_told;
    time_ns active_at;
    time_ns channels_free_at; /* when it may take NODE_CHANNELS_MAX again */
    time_ns bind_at; /* the selected way has no channel: when to try again; else TIME_NEVER */
    struct node_path path, told_path;
    struct node_signal signals[NODE_SIGNAL_MAX];
    unsigned signal_first, signal_count;
    struct node_link all, transmits, events; /* in lists of the node */
    struct node_map_entry by_id, by_tag, by_ufrag;
    struct node_due due;
};

struct node_lost_relay {
    struct uuid id;
    enum turn_failure failure;
};

struct node {
    uint8_t seed[NODE_SEED_LEN];
    uint64_t draws;
    uint64_t hash_secret;
    time_ns now; /* of the last input */
    bool closing, no_relays;
    struct ip_addr old_relays[NODE_OLD_RELAYS_MAX]; /* ring */
    unsigned old_relay_next;
    struct ip_addr vanished[NODE_VANISHED_MAX]; /* ring: nothing here uses them */
    unsigned vanished_next;
    struct node_lost_relay lost[NODE_RELAYS_MAX];
    unsigned lost_count;
    unsigned homeless; /* connections without relay */
    unsigned connections;
    struct node_link all, transmits, events; /* connections; the latter two may have something */
    struct node_map by_id, by_tag, by_ufrag;
    struct node_queue due;
    uint64_t unbound; /* channels that were not to be had: too many, or the relay has refused us */
    uint64_t verdicts[NODE_VERDICT_COUNT];
    uint64_t refusals[ICE_VERDICT_COUNT];      /* of DROP_AGENT: why */
    struct node_relay relays[NODE_RELAYS_MAX]; /* the last: most of it is never touched */
};

#endif
