/* SPDX-License-Identifier: Apache-2.0 */
/* A peer's timers, see timers.h. */
#include "control/wg/timers.h"

#include <string.h>

static void turn_off(struct timers *t, enum timer which)
{
    t->at[which] = TIME_NEVER;
}

/* 0 to WG_REKEY_JITTER_NS, so that two peers that started together do not stay together (section 6.1). */
static time_ns next_jitter(struct timers *t)
{
    uint32_t x = t->jitter; /* xorshift32: spread is wanted here, not secrecy */
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    t->jitter = x;
    return (x * WG_REKEY_JITTER_NS) >> 32;
}

void timers_init(struct timers *t, const struct wg_timing *timing, uint32_t seed, time_ns now)
{
    memset(t, 0, sizeof *t);
    t->timing = *timing;
    t->jitter = seed ? seed : 1; /* zero is the generator's fixed point */
    for (int i = 0; i < TIMER_COUNT; i++)
        turn_off(t, (enum timer)i);
    if (timing->expire_unused)
        t->at[TIMER_ZERO_KEYS] = now + WG_ZERO_KEYS_NS;
}

void timers_reset(struct timers *t)
{
    for (int i = 0; i < TIMER_COUNT; i++)
        if (i != TIMER_PERSISTENT)
            turn_off(t, (enum timer)i);
}

/* The peer should answer within KEEPALIVE_TIMEOUT; a little later something is wrong. */
void timers_data_sent(struct timers *t, time_ns now)
{
    if (!timers_on(t, TIMER_NEW_HANDSHAKE))
        t->at[TIMER_NEW_HANDSHAKE] =
            now + t->timing.keepalive_timeout_ns + t->timing.rekey_timeout_ns + next_jitter(t);
}

/* We should answer within KEEPALIVE_TIMEOUT, counted from the first packet and not from the last. */
void timers_data_received(struct timers *t, time_ns now)
{
    if (!timers_on(t, TIMER_KEEPALIVE))
        t->at[TIMER_KEEPALIVE] = now + t->timing.keepalive_timeout_ns;
}

void timers_initiation_deferred(struct timers *t, time_ns at)
{
    t->at[TIMER_RETRANSMIT] = at;
}

void timers_initiation_sent(struct timers *t, time_ns now)
{
    t->last_handshake = now;
    t->at[TIMER_RETRANSMIT] = now + t->timing.rekey_timeout_ns + next_jitter(t);
    if (!timers_on(t, TIMER_ATTEMPT))
        t->at[TIMER_ATTEMPT] = now + t->timing.attempt_ns;
}

void timers_session_derived(struct timers *t, time_ns now, bool initiator)
{
    t->last_handshake = now;
    /* The handshake itself was an authentic answer, in both directions. */
    turn_off(t, TIMER_NEW_HANDSHAKE);
    turn_off(t, TIMER_KEEPALIVE);
    t->at[TIMER_ZERO_KEYS] = now + WG_ZERO_KEYS_NS;
    t->at[TIMER_IDLE_REKEY] =
        initiator && t->timing.rekey_idle ? now + WG_REJECT_AFTER_NS : TIME_NEVER;
}

void timers_handshake_complete(struct timers *t)
{
    turn_off(t, TIMER_RETRANSMIT);
    turn_off(t, TIMER_ATTEMPT);
}

void timers_handshake_failed(struct timers *t, time_ns now)
{
    turn_off(t, TIMER_RETRANSMIT);
    turn_off(t, TIMER_ATTEMPT);
    turn_off(t, TIMER_NEW_HANDSHAKE);
    turn_off(t, TIMER_KEEPALIVE);
    /* What is left of the attempts is a secret, too. */
    if (!timers_on(t, TIMER_ZERO_KEYS))
        t->at[TIMER_ZERO_KEYS] = now + WG_ZERO_KEYS_NS;
}

void timers_persistent_set(struct timers *t, time_ns now, time_ns interval_ns)
{
    t->persistent_ns = interval_ns;
    t->at[TIMER_PERSISTENT] = interval_ns > 0 ? now + interval_ns : TIME_NEVER;
}

time_ns timers_next(const struct timers *t)
{
    time_ns next = TIME_NEVER;
    for (int i = 0; i < TIMER_COUNT; i++)
        next = time_min(next, t->at[i]);
    return next;
}

/* A timer on an edge: `since` says whether the question is still open, and since when. */
static bool edge_due(struct timers *t, enum timer which, time_ns now, time_ns since,
                     time_ns timeout_ns)
{
    time_ns due_at = since == 0 ? TIME_NEVER : since + timeout_ns;
    t->at[which] = due_at > now ? due_at : TIME_NEVER;
    return due_at <= now;
}

static bool persistent_due(struct timers *t, time_ns now, const struct wg_activity *a)
{
    time_ns last = a->last_sent;
    if (a->last_received > last)
        last = a->last_received;
    if (t->last_handshake > last)
        last = t->last_handshake;
    bool due = time_since(now, last) >= t->persistent_ns;
    t->at[TIMER_PERSISTENT] = (due ? now : last) + t->persistent_ns;
    return due;
}

unsigned timers_expire(struct timers *t, time_ns now, const struct wg_activity *a)
{
    unsigned due = 0;
    for (int i = 0; i < TIMER_COUNT; i++) {
        bool fires = t->at[i] <= now;
        if (!fires)
            continue;
        switch ((enum timer)i) {
        case TIMER_NEW_HANDSHAKE:
            fires = edge_due(t, TIMER_NEW_HANDSHAKE, now, a->unanswered_since,
                             t->timing.keepalive_timeout_ns + t->timing.rekey_timeout_ns);
            break;
        case TIMER_KEEPALIVE:
            fires =
                edge_due(t, TIMER_KEEPALIVE, now, a->unacked_since, t->timing.keepalive_timeout_ns);
            break;
        case TIMER_PERSISTENT:
            fires = persistent_due(t, now, a);
            break;
        case TIMER_RETRANSMIT:
        case TIMER_ATTEMPT:
        case TIMER_IDLE_REKEY:
        case TIMER_ZERO_KEYS:
        case TIMER_COUNT:
            turn_off(t, (enum timer)i);
            break;
        }
        if (fires)
            due |= TIMER_BIT(i);
    }
    return due;
}
