/* SPDX-License-Identifier: Apache-2.0 */
/* See backoff.h. */
#include "control/portal/backoff.h"

enum {
    JITTER_BITS = 20
};

void backoff_init(struct backoff *b, time_ns budget_ns, uint64_t seed)
{
    *b = (struct backoff){.budget_ns = budget_ns, .jitter = seed};
    backoff_reset(b);
}

void backoff_reset(struct backoff *b)
{
    b->step_ns = BACKOFF_MIN_NS;
    b->spent_ns = 0;
}

void backoff_joined(struct backoff *b)
{
    b->joined = true;
    backoff_reset(b);
}

static time_ns budget(const struct backoff *b)
{
    return b->joined ? b->budget_ns : BACKOFF_FIRST_BUDGET_NS;
}

time_ns backoff_left(const struct backoff *b)
{
    time_ns all = budget(b);
    return all == TIME_NEVER ? TIME_NEVER : time_since(all, b->spent_ns);
}

/* A part of `step_ns`, evenly distributed from nothing to all of it (Knuth's 64-bit linear congruential generator). */
static time_ns random_part(struct backoff *b)
{
    b->jitter = b->jitter * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return b->step_ns * (b->jitter >> (64 - JITTER_BITS)) >> JITTER_BITS;
}

bool backoff_next(struct backoff *b, time_ns *delay_ns)
{
    time_ns delay = b->joined ? b->step_ns + random_part(b) : BACKOFF_FIRST_DELAY_NS;

    if (delay > backoff_left(b))
        return false;
    b->spent_ns += delay;
    if (b->joined)
        b->step_ns = time_min(b->step_ns + b->step_ns / 2, BACKOFF_MAX_NS);
    *delay_ns = delay;
    return true;
}
