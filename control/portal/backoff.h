/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long to wait before the next attempt to reach the portal, and when to give up.
 *
 * Before the first join of the process a second between attempts, 15 s of waiting in all: a client that cannot reach the portal when
 * it is started says so instead of waiting. Afterwards the delays grow by half each, from 0.5 s to 60 s, and up to as
 * much again at random is added, so that clients do not all come back at once; their sum is limited by the budget.
 * Pure; control role. Source: spec/portal.md 5.
 */
#ifndef FZ_CONTROL_PORTAL_BACKOFF_H
#define FZ_CONTROL_PORTAL_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/time.h"

#define BACKOFF_FIRST_DELAY_NS  (1 * NS_PER_SEC)
#define BACKOFF_FIRST_BUDGET_NS (15 * NS_PER_SEC)
#define BACKOFF_MIN_NS          (500 * NS_PER_MS)
#define BACKOFF_MAX_NS          (60 * NS_PER_SEC)

struct backoff {
    time_ns budget_ns; /* of the delays' sum after the first join; TIME_NEVER: no limit */
    time_ns step_ns;   /* the next delay without its random part */
    time_ns spent_ns;
    uint64_t jitter; /* generator state */
    bool joined;     /* once in the life of this process */
};

/* seed: random. */
void backoff_init(struct backoff *b, time_ns budget_ns, uint64_t seed);

/* The delay before the next attempt. False: the budget is used up, `delay_ns` is not set. */
bool backoff_next(struct backoff *b, time_ns *delay_ns);

/* What may still be waited in all; TIME_NEVER: no limit. */
time_ns backoff_left(const struct backoff *b);

/* The portal accepted the join: from now on as above, from the start. */
void backoff_joined(struct backoff *b);

/* A deliberate reconnect: the attempts begin anew. */
void backoff_reset(struct backoff *b);

#endif
