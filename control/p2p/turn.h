/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our allocation on one relay, which may have an IPv4 and an IPv6 address: what our addresses are as the relay sees them, the
 * relayed addresses, and the channels by which peers are reached through it.
 *
 *    BINDING     -- answer ------------> ALLOCATING
 *    ALLOCATING  -- success -----------> ALLOCATED
 *                -- 437 ---------------> DELETING      what an earlier life has left there
 *                -- another error -----> SUSPENDED
 *    DELETING    -- success, 437 ------> ALLOCATING
 *    ALLOCATED   -- 437, expired ------> ALLOCATING
 *    SUSPENDED   -- turn_refresh ------> BINDING
 *    any         -- turn_restart ------> BINDING
 *                -- silence, 420, 401 -> FAILED
 *                -- turn_close --------> CLOSING -- answer, silence --> CLOSED
 *
 * The relay's address that answers first is the only one used from then on. After every input the caller drains
 * turn_poll_transmit and turn_poll_event and asks turn_poll_timeout. Everything is sent without a source of our own choice. Channel
 * data is the workers': they are told of channels by events, and their traffic is noted here because lifetimes depend on it.
 *
 * Relays of Firezone authenticate every answer. Other ones (coturn) refuse a first request that has MESSAGE-INTEGRITY and no nonce with
 * an unauthenticated 400 (437, if it comes from where an earlier life has left an allocation), and do not authenticate 401 and 438.
 * Such a 400 or 437 is the sign by which they are known: the request is repeated without credentials, and from then on until a
 * restart 401 and 438 are believed as they are.
 *
 * DEVIATE from upstream's: REFRESH carries neither REQUESTED-TRANSPORT nor ADDITIONAL-ADDRESS-FAMILY; the allocation is deleted
 * at the end; an allocation that expired (the machine slept) is made anew; a channel that was refused keeps its number; late answers to earlier attempts count; a channel that the relay says
 * nothing about is only that channel's loss, and a reason to ask for the allocation,
 * as is another mapping of ours, with which the relay may not know us; what a relay makes us
 * repeat without end is repeated once a second, then more slowly.
 * Sans-IO; control role. Source: spec/p2p.md 5, 13; RFC 8656.
 */
#ifndef FZ_CONTROL_P2P_TURN_H
#define FZ_CONTROL_P2P_TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/p2p/candidate.h"
#include "control/p2p/stun.h"
#include "control/p2p/turn_channels.h"
#include "control/p2p/turn_request.h"

enum {
    TURN_CREDENTIAL_MAX = 127,
    TURN_NONCE_MAX = 256,
    TURN_DATAGRAM_MAX = 640,
    TURN_WAITING_MAX = 100, /* peers that wait for an allocation; the oldest is forgotten */
    TURN_SEED_LEN = 32,

    /* Candidates by number: host, srflx, relay; of each IPv4, IPv6. */
    TURN_CANDIDATE_HOSTS = 0,
    TURN_CANDIDATE_SRFLXS = 2,
    TURN_CANDIDATE_RELAYS = 4,
    TURN_CANDIDATES = 6
};

#define TURN_KEEPALIVE_NS (25 * NS_PER_SEC)
#define TURN_ASK_GAP_NS   (100 * NS_PER_MS)
#define TURN_PAUSE_MIN_NS (1 * NS_PER_SEC)
#define TURN_PAUSE_MAX_NS (60 * NS_PER_SEC)

enum turn_state {
    TURN_BINDING, /* no address of the relay has answered yet */
    TURN_ALLOCATING,
    TURN_DELETING, /* what an earlier life has left there */
    TURN_ALLOCATED,
    TURN_SUSPENDED, /* refused; only good for our addresses */
    TURN_FAILED,
    TURN_CLOSING,
    TURN_CLOSED,
    TURN_STATE_COUNT
};

enum turn_failure {
    TURN_FAILURE_NO_RESPONSE, /* STUN may be blocked */
    TURN_FAILURE_PROTOCOL,
    TURN_FAILURE_AUTHENTICATION
};

enum turn_event_kind {
    TURN_EVENT_DEALLOCATED, /* all channels are lost with it */
    TURN_EVENT_CANDIDATE_INVALIDATED,
    TURN_EVENT_CANDIDATE_ADDED, /* a host or srflx one that replaces another does not invalidate it */
    TURN_EVENT_ALLOCATED,
    TURN_EVENT_CHANNEL_LOST, /* may come for one that was only announced by turn_channel_for */
    TURN_EVENT_CHANNEL_BOUND,
    TURN_EVENT_FAILED, /* the relay is of no use: remove it, or turn_restart */
    TURN_EVENT_CLOSED
};

struct turn_event {
    enum turn_event_kind kind;
    struct candidate candidate; /* CANDIDATE_*; its priority is 0 */
    uint16_t channel;           /* CHANNEL_*, with the peer */
    struct sock_addr peer;
    enum turn_failure failure; /* FAILED */
};

struct turn_datagram {
    struct sock_addr to;
    uint16_t len;
    uint8_t bytes[TURN_DATAGRAM_MAX];
};

struct turn_config {
    struct sock_addr v4, v6; /* of the relay; ADDR_NONE: none, but not both */
    const char *username, *password;
};

/* A candidate as it is and as it was told. */
struct turn_candidate {
    bool valid, told, stale; /* stale: what was told has become invalid since */
    struct candidate now, then;
};

struct turn {
    struct sock_addr servers[2]; /* [0] IPv4, [1] IPv6 */
    char username[TURN_CREDENTIAL_MAX + 1];
    uint8_t key[STUN_KEY_LEN];
    uint8_t seed[TURN_SEED_LEN]; /* of transaction ids */
    uint32_t ids;                /* how many were made */
    enum turn_state state;
    enum turn_failure failure;
    int active;              /* index of the server that is used; -1: none */
    struct sock_addr mapped; /* where it sees us */
    bool unauthenticated_challenges;
    bool end_told;             /* FAILED, CLOSED */
    bool up_told, down_untold; /* ALLOCATED, DEALLOCATED */
    uint8_t mismatches;        /* 437 since the last REFRESH that went well */
    uint16_t nonce_len;        /* 0: none */
    uint8_t nonce[TURN_NONCE_MAX];
    time_ns rtt_ns; /* smoothed; 0: not measured */
    time_ns pause_ns;
    time_ns allocate_at; /* ALLOCATING: next try after a pause; TIME_NEVER */
    time_ns refresh_at, expires_at, keepalive_at; /* ALLOCATED; else TIME_NEVER */
    time_ns asked_at,
        ask_at; /* BINDING to all addresses of the relay; its next time: or TIME_NEVER */
    struct turn_request binding[2], allocate, refresh;
    struct turn_candidate candidates[TURN_CANDIDATES];
    struct sock_addr waiting[TURN_WAITING_MAX]; /* ring */
    unsigned waiting_first, waiting_count;
    struct turn_channels channels; /* the last: most of it is never touched */
};

/* seed: random, secret. ERR_INVALID: no address, or a user name that is too long. BINDINGs are ready to be sent at once. */
enum err turn_init(struct turn *t, const struct turn_config *config,
                   const uint8_t seed[TURN_SEED_LEN], time_ns now) MUST_USE;
/* Forgets everything, secrets first. Sends nothing: see turn_close. */
void turn_wipe(struct turn *t);

/* ---- inputs ---- */

/* A datagram from an address of the relay that begins with a byte of 0 to 3. False: it was ignored. */
bool turn_handle_input(struct turn *t, time_ns now, const struct sock_addr *local,
                       const struct sock_addr *from, const uint8_t *bytes, size_t len);
time_ns turn_poll_timeout(const struct turn *t);
void turn_handle_timeout(struct turn *t, time_ns now);

/* Channel data went out, or came in on this channel. */
void turn_note_data_sent(struct turn *t, time_ns at);
void turn_note_data_received(struct turn *t, time_ns at, uint16_t channel);

/*
 * Makes a channel for the peer, now or once there is an allocation. True: it exists or is on its way. False: it cannot
 * be, because the relay has refused us or has no address of the peer's family, or because there are too many; or not yet, because the
 * relay has refused this channel a short time ago.
 */
bool turn_bind(struct turn *t, time_ns now, const struct sock_addr *peer);

/* The portal's list of relays came without this one: one REFRESH that must be answered within 1 s; starts over if suspended. */
void turn_refresh(struct turn *t, time_ns now);
/*
 * An address of ours is no more: candidates with this base are not valid, which is not told. True: there were some. The next
 * BINDING that is answered there makes it valid again.
 */
bool turn_forget_address(struct turn *t, const struct ip_addr *ip);
/*
 * Our addresses have changed: asks what they are now, and whether the relay still has the allocation. At once, unless it was asked
 * less than TURN_ASK_GAP_NS ago: then after that.
 */
void turn_ask(struct turn *t, time_ns now);
/* Asks now, not only when half of its lifetime is over, whether the relay still has the allocation. */
void turn_check_allocation(struct turn *t, time_ns now);
/* The network has changed: starts over with the same credentials, and everything told becomes invalid. */
void turn_restart(struct turn *t, time_ns now);
/* Deletes the allocation; TURN_EVENT_CLOSED comes after the answer or 1 s. */
void turn_close(struct turn *t, time_ns now);

/* ---- outputs; false: nothing (more) ---- */

bool turn_poll_transmit(struct turn *t, struct turn_datagram *out);
bool turn_poll_event(struct turn *t, struct turn_event *out);

/* ---- questions ---- */

/* The channel on which to send to the peer, which may not be confirmed yet; 0: none, see turn_bind. */
uint16_t turn_channel_for(struct turn *t, time_ns now, const struct sock_addr *peer);
/* True if a channel for the peer exists, be it open or not, so that turn_bind takes no number more. */
bool turn_has_channel(struct turn *t, const struct sock_addr *peer);
/* The relay has refused a channel for the peer, and is not asked again before this; 0: it has not. */
time_ns turn_refused_until(struct turn *t, const struct sock_addr *peer);
/* Whose data comes on a channel. False: it is not bound, the data is dropped. */
bool turn_peer_of(struct turn *t, time_ns now, uint16_t channel, struct sock_addr *peer);
/* Our candidate number 0 to TURN_CANDIDATES - 1; NULL: there is none of this kind now. */
static inline const struct candidate *turn_candidate(const struct turn *t, unsigned number)
{
    return t->candidates[number].valid ? &t->candidates[number].now : NULL;
}
/* Our relayed address of a family; false: none. */
bool turn_relayed(const struct turn *t, enum addr_family family, struct sock_addr *out);
/* The address to which channel data goes; false: none has answered. */
bool turn_server(const struct turn *t, struct sock_addr *out);
/* True if it is an address of this relay. */
bool turn_has_server(const struct turn *t, const struct sock_addr *addr);
/* Smoothed round trip; 0: not measured, and then the relay is not to be chosen. */
static inline time_ns turn_rtt(const struct turn *t)
{
    return t->rtt_ns;
}

const char *turn_state_text(enum turn_state state);
const char *turn_failure_text(enum turn_failure failure);

#endif
