/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When packets are due that are sent at a rate, in batches: by a clock that runs at the rate, and leaps when the sender was held up.
 * Pure.
 */
#ifndef FZ_BENCH_NET_PACE_H
#define FZ_BENCH_NET_PACE_H

#include <stdint.h>

enum {
    NET_PACE_BATCH = 48 /* at most */
};

struct net_pace {
    double per_ns;
    uint64_t origin_ns;
    uint64_t sent; /* the caller counts */
};

void net_pace_init(struct net_pace *p, double packets_per_second, uint64_t now_ns);
/* How many there are to send; more than a batch of them only to make up for a moment. */
uint64_t net_pace_due(struct net_pace *p, uint64_t now_ns);
/* What is worth waking up for, 1 to NET_PACE_BATCH, and when there will be so many. */
unsigned net_pace_batch(const struct net_pace *p);
uint64_t net_pace_next(const struct net_pace *p);

#endif
