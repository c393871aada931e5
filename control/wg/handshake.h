/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A WireGuard peer on the control side: who starts a handshake, when it is repeated or given up, which sessions come
 * out of it, and when keepalives are due. Both roles; sans-IO; control role.
 *
 * Inputs are handshake messages that passed the workers' gate, edges that the peer's worker reports, and the passing
 * of time. After every input the caller drains wg_peer_poll_transmit and wg_peer_poll_event, passes changes of
 * wg_peer_edges_armed on to the worker, and asks wg_peer_poll_timeout. Data packets are the worker's: it keeps the
 * sessions (next, current, previous), decides when one is too old, and then reports wg_peer_want_handshake.
 *
 * The states speak of our own attempt to start a session. What the peer starts is answered in every state.
 *
 *                         want, too early          slot free
 *     +------> IDLE ------------------> EXPECT_SLOT ------+
 *     |         | \____________________________________  |
 *     |         |            want                      \ v
 *     | peer's  |                                  EXPECT_RESPONSE --+
 *     | initi-  v           want                     ^     |      ^  | retry with a
 *     | ation  RESPONDER_EXPECT_CONFIRM -------------+     |      +--+ new initiation
 *     |         | first data on the new session            | response, or the peer's
 *     +---------+------------------------------------------+ session is confirmed,
 *                                                            or given up
 *
 * Source: WireGuard paper, sections 5.4 and 6; a response to the initiation before the last is accepted, too.
 */
#ifndef FZ_CONTROL_WG_HANDSHAKE_H
#define FZ_CONTROL_WG_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "control/wg/cookie.h"
#include "control/wg/noise.h"
#include "control/wg/timers.h"
#include "engine/wire/wg.h"
#include "platform/base/addr.h"
#include "platform/base/time.h"

enum wg_peer_state {
    WG_PEER_IDLE,
    WG_PEER_INITIATOR_EXPECT_SLOT, /* REKEY_TIMEOUT since our last handshake message is not over */
    WG_PEER_INITIATOR_EXPECT_RESPONSE,
    WG_PEER_RESPONDER_EXPECT_CONFIRM, /* our response is out; the initiator has to speak first */
    WG_PEER_STATE_COUNT
};

/* What became of a handshake message: X(name, text). One counter each. */
#define WG_OUTCOME_LIST(X)                                                                         \
    X(ACCEPTED, "accepted")                                                                        \
    X(UNAUTHENTIC, "not authentic")                                                                \
    X(REPLAYED, "initiation is not newer than the last one")                                       \
    X(FLOODED, "initiation too soon after the last one")                                           \
    X(UNEXPECTED, "answers nothing that we sent")

enum wg_outcome {
#define X(name, text) WG_OUTCOME_##name,
    WG_OUTCOME_LIST(X)
#undef X
    WG_OUTCOME_COUNT
};

/* Edges that the worker need not report for now, see wg_peer_edges_armed. */
enum wg_edge {
    WG_EDGE_HANDSHAKE = 1,    /* wg_peer_want_handshake: an attempt is under way */
    WG_EDGE_DATA_SENT = 2,    /* wg_peer_data_sent: its timer runs */
    WG_EDGE_DATA_RECEIVED = 4 /* wg_peer_data_received: its timer runs */
};

/*
 * Entropy, wall clock and a free index for a handshake message that a call may have to make. The timestamp is set
 * before every call; ephemeral key and index are good until a call sets `used`.
 */
struct wg_fresh {
    struct noise_fresh noise;
    bool used;
};

/* A handshake message to send. to: family ADDR_NONE if no endpoint is known. Not-ECT. */
struct wg_datagram {
    struct sock_addr to;
    uint16_t len;
    uint8_t bytes[WG_HANDSHAKE_LEN_MAX];
};

enum wg_event_kind {
    WG_EVENT_SESSION_NEW,        /* install the keys: as `current` if initiator, else as `next` */
    WG_EVENT_HANDSHAKE_COMPLETE, /* a session works in both directions */
    WG_EVENT_HANDSHAKE_FAILED,   /* attempt time over: purge what is staged */
    WG_EVENT_SEND_KEEPALIVE,     /* send what is staged, or else an empty packet */
    WG_EVENT_SESSIONS_EXPIRED,   /* wipe every session of the peer */
    WG_EVENT_ENDPOINT            /* learned from an authentic handshake message */
};

struct wg_session {
    struct noise_keys keys;
    bool initiator;
    time_ns created;
};

struct wg_event {
    enum wg_event_kind kind;
    union {
        struct wg_session session; /* SESSION_NEW; the receiver wipes it */
        uint32_t local_index;      /* HANDSHAKE_COMPLETE */
        struct sock_addr endpoint; /* ENDPOINT */
    };
};

enum {
    WG_PEER_EVENT_MAX = 8,
    WG_PEER_DATAGRAM_MAX = 2
};

struct wg_peer_config {
    const struct noise_identity *identity; /* borrowed; outlives the peer */
    uint8_t public_key[WG_KEY_LEN];
    uint8_t psk[WG_KEY_LEN];   /* zero: none */
    struct sock_addr endpoint; /* family ADDR_NONE: unknown */
    time_ns keepalive_ns;      /* persistent keepalive; 0: off */
    struct wg_timing timing;   /* WG_TIMING_DEFAULT for plain WireGuard */
};

struct wg_peer {
    const struct noise_identity *identity;
    struct noise_remote remote;
    struct cookie cookie;
    struct timers timers;
    enum wg_peer_state state;
    struct sock_addr endpoint;
    time_ns slot_at; /* no initiation before this */

    /* Initiations that a response may still answer: [0] the newest, [1] the one before. */
    struct noise_pending pending[2];
    bool pending_valid[2];

    struct wg_datagram datagrams[WG_PEER_DATAGRAM_MAX]; /* when full, the oldest is dropped */
    struct wg_event events[WG_PEER_EVENT_MAX];
    uint8_t datagram_count;
    uint8_t event_count;
};

/* seed: random. A peer with a persistent keepalive asks for the first one at once. */
void wg_peer_init(struct wg_peer *p, const struct wg_peer_config *config, uint32_t seed,
                  time_ns now);

/* Wipes everything. */
void wg_peer_fini(struct wg_peer *p);

/* ---- handshake messages; `msg` was classified and passed the gate ---- */

/*
 * opened: result of noise_initiation_open, by which the caller found the peer; wiped here. from: becomes the endpoint
 * if the message is accepted.
 */
enum wg_outcome wg_peer_handle_initiation(struct wg_peer *p, time_ns now,
                                          struct noise_opened *opened, const struct sock_addr *from,
                                          struct wg_fresh *fresh);
enum wg_outcome wg_peer_handle_response(struct wg_peer *p, time_ns now,
                                        const uint8_t msg[WG_RESPONSE_LEN],
                                        const struct sock_addr *from);
enum wg_outcome wg_peer_handle_cookie_reply(struct wg_peer *p, time_ns now,
                                            const uint8_t msg[WG_COOKIE_REPLY_LEN]);

/* ---- edges of the worker ---- */

/* Data is staged without a session, or the session has to be replaced. Ignored while an attempt is under way. */
void wg_peer_want_handshake(struct wg_peer *p, time_ns now, struct wg_fresh *fresh);

/* First data packet (not keepalive) sent, or received, while the edge was not armed. */
void wg_peer_data_sent(struct wg_peer *p, time_ns now);
void wg_peer_data_received(struct wg_peer *p, time_ns now);

/* First authentic packet on a session that we have as responder. */
void wg_peer_confirmed(struct wg_peer *p, time_ns now, uint32_t local_index);

/* ---- time ---- */

time_ns wg_peer_poll_timeout(const struct wg_peer *p);

/* activity: a current reading of what the peer's worker publishes. */
void wg_peer_handle_timeout(struct wg_peer *p, time_ns now, const struct wg_activity *activity,
                            struct wg_fresh *fresh);

/*
 * The edges that need no report, as a set of enum wg_edge. When one is removed from the set, the worker reports it
 * again, and at once if its reason exists already (`unanswered_since` or `unacked_since` is set, packets are staged).
 */
unsigned wg_peer_edges_armed(const struct wg_peer *p);

/* ---- outputs; false: nothing (more) ---- */

bool wg_peer_poll_transmit(struct wg_peer *p, struct wg_datagram *out);
bool wg_peer_poll_event(struct wg_peer *p, struct wg_event *out);

/* ---- configuration ---- */

void wg_peer_set_endpoint(struct wg_peer *p, const struct sock_addr *endpoint);
/* psk: NULL removes it. For handshakes that complete from now on. */
void wg_peer_set_psk(struct wg_peer *p, const uint8_t *psk);
/* keepalive_ns: 0 turns it off. Turning it on asks for a keepalive at once. */
void wg_peer_set_keepalive(struct wg_peer *p, time_ns now, time_ns keepalive_ns);
/* Our key pair changed: starts over as wg_peer_expire does. */
void wg_peer_set_identity(struct wg_peer *p, const struct noise_identity *identity);

/* Ends the attempt under way and turns the timers off; sessions are not touched. A new attempt may start at once. */
void wg_peer_reset(struct wg_peer *p);
/* The same, and the worker wipes all sessions (WG_EVENT_SESSIONS_EXPIRED). */
void wg_peer_expire(struct wg_peer *p);

/* True if a response to an initiation with this index would still be accepted: the index must not be given away. */
bool wg_peer_index_pending(const struct wg_peer *p, uint32_t local_index);

/* Static text for logs. */
const char *wg_peer_state_text(enum wg_peer_state state);
const char *wg_outcome_text(enum wg_outcome outcome);

#endif
