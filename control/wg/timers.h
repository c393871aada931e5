/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timers of a peer: one function per protocol event, callers report facts, and timers_expire says what is due.
 *
 * Data packets are not seen here. The worker that owns the peer reports an *edge* (the first packet sent, or received)
 * while the timer that waits for it is off, and publishes when things happened (struct wg_activity). A timer that
 * runs out looks at that: the question was settled meanwhile -> off; it was asked anew later -> on again, from then;
 * else it is due. So busy peers cost one look per period, idle ones nothing. Pure; control role.
 * Source: WireGuard paper, section 6.
 */
#ifndef FZ_CONTROL_WG_TIMERS_H
#define FZ_CONTROL_WG_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/wire/wg.h"
#include "platform/base/time.h"

/* What differs between plain WireGuard and the connection modes of Firezone. */
struct wg_timing {
    time_ns attempt_ns;           /* how long a series of initiations goes on */
    time_ns rekey_timeout_ns;     /* between two initiations */
    time_ns keepalive_timeout_ns; /* how long received data may stay unanswered */
    bool rekey_idle;    /* the initiator replaces an expired session though nobody sends data */
    bool expire_unused; /* the expiry also runs for a peer that never had a session */
};

/* Plain WireGuard. */
#define WG_TIMING_DEFAULT                                                                          \
    {                                                                                              \
        .attempt_ns = WG_REKEY_ATTEMPT_NS, .rekey_timeout_ns = WG_REKEY_TIMEOUT_NS,                \
        .keepalive_timeout_ns = WG_KEEPALIVE_TIMEOUT_NS                                            \
    }

/*
 * What the peer's worker publishes; 0 means never, or nothing open. The worker clears both `since` values whenever it
 * installs a new session (the handshake was an authentic packet in both directions) and when a handshake failed.
 */
struct wg_activity {
    time_ns unanswered_since; /* first data packet sent with nothing authentic received since */
    time_ns unacked_since;    /* first data packet received with nothing sent since */
    time_ns last_sent;        /* any transport packet, keepalives included */
    time_ns last_received;    /* any authentic transport packet */
};

enum timer {
    TIMER_RETRANSMIT,    /* send the next, or the deferred first, initiation */
    TIMER_ATTEMPT,       /* give up on the series */
    TIMER_NEW_HANDSHAKE, /* data sent, no answer */
    TIMER_KEEPALIVE,     /* data received, nothing sent */
    TIMER_PERSISTENT,    /* no traffic for the configured interval */
    TIMER_IDLE_REKEY,    /* the session is over, see wg_timing.rekey_idle */
    TIMER_ZERO_KEYS,     /* forget all keys */
    TIMER_COUNT
};

#define TIMER_BIT(timer) (1u << (timer))

struct timers {
    struct wg_timing timing;
    time_ns at[TIMER_COUNT]; /* TIME_NEVER: off */
    time_ns persistent_ns;   /* 0: off */
    time_ns
        last_handshake; /* last handshake message sent or accepted: traffic for the persistent keepalive */
    uint32_t jitter; /* generator state */
};

/* seed: random, spreads the retries of peers that started together. */
void timers_init(struct timers *t, const struct wg_timing *timing, uint32_t seed, time_ns now);

/* Turns off everything but the persistent keepalive. */
void timers_reset(struct timers *t);

/* ---- events ---- */

void timers_data_sent(struct timers *t, time_ns now);
void timers_data_received(struct timers *t, time_ns now);
/* An initiation is wanted, but not before `at`. */
void timers_initiation_deferred(struct timers *t, time_ns at);
void timers_initiation_sent(struct timers *t, time_ns now);
void timers_session_derived(struct timers *t, time_ns now, bool initiator);
/* The session works in both directions. */
void timers_handshake_complete(struct timers *t);
void timers_handshake_failed(struct timers *t, time_ns now);
/* interval_ns: 0 turns it off. The first keepalive is the caller's to send. */
void timers_persistent_set(struct timers *t, time_ns now, time_ns interval_ns);

/* ---- time ---- */

/* When to call timers_expire next; TIME_NEVER if no timer is on. */
time_ns timers_next(const struct timers *t);

/* Returns what is due as TIMER_BITs; those timers are off again, except for the persistent keepalive. */
unsigned timers_expire(struct timers *t, time_ns now, const struct wg_activity *a);

static inline bool timers_on(const struct timers *t, enum timer which)
{
    return t->at[which] != TIME_NEVER;
}

#endif
