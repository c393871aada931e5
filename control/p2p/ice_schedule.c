/* SPDX-License-Identifier: Apache-2.0 */
/* See ice_schedule.h. */
#include "control/p2p/ice_schedule.h"

#include <stddef.h>

#include "platform/base/bytes.h"
#include "platform/base/err.h"

static const struct ice_timing TIMINGS[][2] = {
    [ICE_CLIENT] = {{12, 250 * NS_PER_MS, 1500 * NS_PER_MS}, {4, 25 * NS_PER_SEC, 25 * NS_PER_SEC}},
    [ICE_GATEWAY] = {{45, 250 * NS_PER_MS, 15 * NS_PER_SEC},
                     {40, 25 * NS_PER_SEC, 25 * NS_PER_SEC}},
    [ICE_CLIENT_TO_CLIENT] = {{12, 250 * NS_PER_MS, 1500 * NS_PER_MS},
                              {12, 250 * NS_PER_MS, 1500 * NS_PER_MS}},
};

const struct ice_timing *ice_timing(enum ice_kind kind, bool idle)
{
    ASSERT((size_t)kind < ARRAY_LEN(TIMINGS));
    return &TIMINGS[kind][idle];
}

time_ns ice_timing_delay(const struct ice_timing *t, unsigned n)
{
    time_ns delay = t->rto_ns;

    ASSERT(n >= 1);
    while (--n > 0 && delay < t->rto_max_ns)
        delay *= 2;
    return time_min(delay, t->rto_max_ns);
}

void ice_schedule_begin(struct ice_schedule *s, time_ns now)
{
    *s = (struct ice_schedule){.next_at = now};
}

static void plan(struct ice_schedule *s, const struct ice_timing *t, time_ns now)
{
    unsigned n = s->sent;

    if (s->last_at == 0)
        return;
    if (s->unanswered > 0 && time_since(now, s->unanswered_since) > t->rto_max_ns / 2)
        n = s->unanswered;
    s->next_at = s->last_at + ice_timing_delay(t, (unsigned)size_max(n, 1));
}

static uint32_t to_ms(time_ns now)
{
    return (uint32_t)(now / NS_PER_MS);
}

void ice_schedule_sent(struct ice_schedule *s, const struct ice_timing *t, time_ns now,
                       uint32_t serial)
{
    s->newest = (uint8_t)((s->newest + 1) % ICE_ATTEMPTS_KEPT);
    s->attempts[s->newest] = (struct ice_attempt){.serial = serial, .sent_ms = to_ms(now)};
    s->kept = (uint8_t)size_min(s->kept + 1u, ICE_ATTEMPTS_KEPT);
    if (s->unanswered == 0)
        s->unanswered_since = now;
    s->sent = (uint8_t)size_min(s->sent + 1u, t->attempts);
    s->unanswered = (uint8_t)size_min(s->unanswered + 1u, t->attempts);
    s->unheard = (uint8_t)size_min(s->unheard + 1u, t->attempts);
    if (s->suspected > 0 && s->suspected <= ICE_SUSPECT_ATTEMPTS)
        s->suspected++;
    s->last_at = now;
    plan(s, t, now);
}

static const struct ice_attempt *attempt(const struct ice_schedule *s, unsigned age)
{
    return &s->attempts[(s->newest + ICE_ATTEMPTS_KEPT - age) % ICE_ATTEMPTS_KEPT];
}

static time_ns attempt_age(const struct ice_attempt *a, time_ns now)
{
    return (uint32_t)(to_ms(now) - a->sent_ms) * NS_PER_MS;
}

bool ice_schedule_answered(struct ice_schedule *s, const struct ice_timing *t, time_ns now,
                           uint32_t serial)
{
    unsigned newer = 0;

    while (newer < s->kept && attempt(s, newer)->serial != serial)
        newer++;
    if (newer == s->kept || attempt_age(attempt(s, newer), now) > ICE_ID_LIFETIME_NS)
        return false;
    if (newer < s->unanswered) {
        s->unanswered = (uint8_t)newer;
        if (newer > 0)
            s->unanswered_since = now - attempt_age(attempt(s, newer - 1), now);
    }
    s->answered_at = now;
    s->unheard = s->suspected = 0;
    plan(s, t, now);
    return true;
}

void ice_schedule_hasten(struct ice_schedule *s, time_ns now)
{
    s->next_at = time_min(s->next_at, now);
}

void ice_schedule_requested(struct ice_schedule *s, time_ns now)
{
    s->requested_before_at = s->requested_at;
    s->requested_at = now;
    s->unheard = s->suspected = 0;
    if (s->unanswered > 0 && time_since(now, s->last_at) >= ICE_TRIGGERED_GAP_NS)
        ice_schedule_hasten(s, now);
}

void ice_schedule_retime(struct ice_schedule *s, const struct ice_timing *t, time_ns now)
{
    s->sent = (uint8_t)size_min(s->sent, t->attempts);
    s->unanswered = (uint8_t)size_min(s->unanswered, t->attempts);
    plan(s, t, now);
}

void ice_schedule_restart(struct ice_schedule *s, time_ns now)
{
    s->sent = 0;
    ice_schedule_hasten(s, now);
}

void ice_schedule_suspect(struct ice_schedule *s, time_ns now)
{
    if (s->suspected == 0)
        s->suspected = 1;
    ice_schedule_restart(s, now);
}

static time_ns give_up_at(const struct ice_schedule *s, const struct ice_timing *t)
{
    time_ns at;

    if (s->unanswered < t->attempts)
        return TIME_NEVER;
    at = s->last_at + ice_timing_delay(t, t->attempts);
    if (s->requested_at > 0)
        at = time_max(at, s->requested_at + ICE_REQUEST_COUNTS_NS);
    return at;
}

bool ice_schedule_given_up(const struct ice_schedule *s, const struct ice_timing *t, time_ns now)
{
    return now >= give_up_at(s, t);
}

time_ns ice_schedule_at(const struct ice_schedule *s, const struct ice_timing *t)
{
    return time_min(s->next_at, give_up_at(s, t));
}

bool ice_schedule_doubtful(const struct ice_schedule *s, const struct ice_timing *t)
{
    size_t enough = size_min(ICE_DOUBT_ATTEMPTS, t->attempts);

    if (s->suspected > ICE_SUSPECT_ATTEMPTS)
        return true;
    return s->unanswered >= enough && (s->answered_at > 0 || s->unheard >= enough);
}
