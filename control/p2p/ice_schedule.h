/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When the checks of one pair are sent, which of them were answered, and when the pair is given up.
 *
 * The first check is due at once, the next one delay(n) after the last, for ever: delay(n) = min(rto * 2^(n-1), rto_max), where n is
 * the number of checks sent so far, but not more than `attempts`. A check after which answers have been missing for more than
 * rto_max / 2 counts from the first unanswered one instead, so that checks come faster again:
 *
 *     answered every 1.5 s, then silence:  0  1.5  2  3  4.5  6 ... 15  given up at 16.5
 *     never answered:                      0  0.25  0.75  1.75  3.25 ... 13.75  given up at 15.25
 *
 * Given up means: `attempts` checks in a row are unanswered, the wait for the last one is over, and the peer has not sent a
 * request on the pair for 15 s. Pure; control role. Source: spec/p2p.md 7.1, 7.2.
 */
#ifndef FZ_CONTROL_P2P_ICE_SCHEDULE_H
#define FZ_CONTROL_P2P_ICE_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/time.h"

#define ICE_REQUEST_COUNTS_NS (15 * NS_PER_SEC)
#define ICE_ID_LIFETIME_NS    (10 * NS_PER_SEC)
#define ICE_TRIGGERED_GAP_NS  (250 * NS_PER_MS)
#define ICE_SILENCE_NS        (3 * NS_PER_SEC)

enum {
    ICE_ATTEMPTS_KEPT = 8,   /* the last ones, whose answers are understood */
    ICE_DOUBT_ATTEMPTS = 5,  /* unanswered in a row */
    ICE_SUSPECT_ATTEMPTS = 2 /* the same, if there is a reason for doubt already */
};

/* Whose connection it is, as that decides about the timing; see the table in the source. */
enum ice_kind {
    ICE_CLIENT, /* of a client, to a gateway */
    ICE_GATEWAY,
    ICE_CLIENT_TO_CLIENT
};

struct ice_timing {
    unsigned attempts;
    time_ns rto_ns, rto_max_ns;
};

struct ice_attempt {
    uint32_t serial;  /* what its transaction id is made from */
    uint32_t sent_ms; /* since whenever; wraps */
};

struct ice_schedule {
    time_ns last_at; /* 0: nothing was sent */
    time_ns next_at;
    time_ns unanswered_since; /* of the unanswered in a row, the first */
    time_ns answered_at;      /* 0: never */
    time_ns requested_at;     /* the peer's last request; 0: none */
    time_ns requested_before_at;
    uint8_t sent, unanswered; /* not more than `attempts` */
    uint8_t unheard;          /* checks since the peer was heard, in either way; the same */
    uint8_t suspected;        /* 0: no; else how many checks were sent since, and one more */
    uint8_t kept, newest;
    struct ice_attempt attempts[ICE_ATTEMPTS_KEPT]; /* ring */
};

const struct ice_timing *ice_timing(enum ice_kind kind, bool idle);
/* The delay after check number `n`, which is at least 1. */
time_ns ice_timing_delay(const struct ice_timing *t, unsigned n);

void ice_schedule_begin(struct ice_schedule *s, time_ns now);
/* A check goes out now. serial: no other check of the agent that may still be answered has it. */
void ice_schedule_sent(struct ice_schedule *s, const struct ice_timing *t, time_ns now,
                       uint32_t serial);
/* False: no such check is waited for. */
bool ice_schedule_answered(struct ice_schedule *s, const struct ice_timing *t, time_ns now,
                           uint32_t serial);
/* A request of the peer came in on the pair. If our own checks are not answered, the next one is due at once. */
void ice_schedule_requested(struct ice_schedule *s, time_ns now);
/* Another timing holds from now on. */
void ice_schedule_retime(struct ice_schedule *s, const struct ice_timing *t, time_ns now);
/* The next check is due at once. */
void ice_schedule_hasten(struct ice_schedule *s, time_ns now);
/* The same, and those after it as if it were the first. */
void ice_schedule_restart(struct ice_schedule *s, time_ns now);

/* The peer has begun to use another pair: perhaps because this one is broken. The next check is due at once, and few are enough. */
void ice_schedule_suspect(struct ice_schedule *s, time_ns now);

bool ice_schedule_given_up(const struct ice_schedule *s, const struct ice_timing *t, time_ns now);
/* The time of the next check or of giving up. */
time_ns ice_schedule_at(const struct ice_schedule *s, const struct ice_timing *t);

/* The last check that went out. */
static inline uint32_t ice_schedule_serial(const struct ice_schedule *s)
{
    return s->attempts[s->newest].serial;
}

/* When the peer was last heard on the pair; 0: never. */
static inline time_ns ice_schedule_heard_at(const struct ice_schedule *s)
{
    return time_max(s->requested_at, s->answered_at);
}

/*
 * So many checks in a row are unanswered that another pair is better, if there is one: the peer has answered earlier ones, or was
 * not heard in the meantime. Fewer do if the pair was suspected.
 */
bool ice_schedule_doubtful(const struct ice_schedule *s, const struct ice_timing *t);

#endif
