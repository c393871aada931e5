/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channels of one allocation: which number stands for which peer, how old that is, and what of it has to be told.
 *
 *    bind sent      bound                  5 min            10 min                15 min
 *       |-------------|----------------------|-----------------|---------------------|
 *         send only     send and receive       if data came:     only the same peer    anybody may
 *                                              bind again        may have the number   have it
 *
 * Ages count from the last successful bind. What is asked for often is found without looking at all channels. Pure; control role. Source: spec/p2p.md 5.6; RFC 8656 section 12.
 */
#ifndef FZ_CONTROL_P2P_TURN_CHANNELS_H
#define FZ_CONTROL_P2P_TURN_CHANNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "control/p2p/node_tables.h"
#include "control/p2p/turn_request.h"
#include "engine/wire/channel.h"
#include "platform/base/addr.h"
#include "platform/base/time.h"

enum {
    TURN_CHANNELS_MAX = CHANNEL_LAST - CHANNEL_FIRST + 1
};

#define TURN_CHANNEL_LIFETIME_NS (600 * NS_PER_SEC)
#define TURN_CHANNEL_REFRESH_NS  (300 * NS_PER_SEC)
#define TURN_CHANNEL_RESERVED_NS (900 * NS_PER_SEC) /* lifetime and cooldown */
#define TURN_CHANNEL_PAUSE_NS    (1 * NS_PER_SEC) /* after a refusal; then twice as much each time */
#define TURN_CHANNEL_PAUSES      7                /* up to 64 s */

enum turn_channel_tell {
    TURN_TELL_NOTHING,
    TURN_TELL_BOUND,
    TURN_TELL_LOST
};

struct turn_channel {
    uint16_t number; /* 0: the slot is free */
    bool confirmed;  /* bound at least once */
    bool expired;    /* its loss at the end of the lifetime was noted */
    bool received;   /* data since it was last bound */
    uint8_t tell;    /* enum turn_channel_tell */
    uint8_t refusals;
    struct sock_addr peer;
    time_ns bound_at;
    time_ns retry_at; /* refused: not to be asked for before this; else 0 */
    struct turn_request request;
    struct node_link busy, queued, telling; /* in lists of the table */
    struct node_map_entry by_peer;
    struct node_due due;
};

struct turn_channels {
    uint64_t hash_secret;
    unsigned used; /* slots beyond are free, whatever is in them */
    uint16_t next; /* number to try first */
    /* Whose request is in flight, or waits to be transmitted; that have something to tell. */
    struct node_link busy, queued, telling;
    struct node_map by_peer;
    struct node_queue due;
    struct turn_channel slots[TURN_CHANNELS_MAX]; /* by number */
};

/* Forgets them all. */
void turn_channels_clear(struct turn_channels *s);

/* The channel of a peer, or with a number; NULL: none. */
struct turn_channel *turn_channels_of_peer(struct turn_channels *s, const struct sock_addr *peer);
struct turn_channel *turn_channels_of_number(struct turn_channels *s, uint16_t number);
/* The channel that waits for the answer with this id; NULL: none. attempt: see turn_request_owns. */
struct turn_channel *turn_channels_of_answer(struct turn_channels *s, const struct stun_id *id,
                                             unsigned *attempt);

/* A channel for a peer that has none, not yet bound. NULL: no number is free. */
struct turn_channel *turn_channels_add(struct turn_channels *s, time_ns now,
                                       const struct sock_addr *peer);
/* Its request has changed. */
void turn_channels_settle(struct turn_channels *s, struct turn_channel *c);

/* The relay has bound it, or refused it: then it keeps its number, and is asked for again after a pause that grows. */
void turn_channels_bound(struct turn_channels *s, struct turn_channel *c, time_ns now);
void turn_channels_refused(struct turn_channels *s, struct turn_channel *c, time_ns now);
/* Data came on it. */
void turn_channels_received(struct turn_channels *s, struct turn_channel *c);

/* Data may be received on it. */
static inline bool turn_channel_open(const struct turn_channel *c, time_ns now)
{
    return c->confirmed && time_since(now, c->bound_at) < TURN_CHANNEL_LIFETIME_NS;
}

/* When something is to be done; TIME_NEVER: nothing. */
time_ns turn_channels_poll_timeout(const struct turn_channels *s);
/* The next channel for which that time has come, NULL: none: its request, turn_channels_expire, or a bind. */
struct turn_channel *turn_channels_due(const struct turn_channels *s, time_ns now);
/* Notes the end of the lifetime. */
void turn_channels_expire(struct turn_channels *s, struct turn_channel *c, time_ns now);
/* True if it has to be bound again: it is in use and half of its lifetime has passed. */
bool turn_channel_wants_bind(const struct turn_channel *c, time_ns now);

/* The next one with a request to transmit; NULL: none. */
struct turn_channel *turn_channels_queued(struct turn_channels *s);
/* The next one with something to tell, which is then told. */
enum turn_channel_tell turn_channels_tell(struct turn_channels *s, uint16_t *number,
                                          struct sock_addr *peer);

#endif
