/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_pace.h"

#include <math.h>

#include "platform/base/time.h"

enum {
    BETWEEN_US = 100, /* batches, if they are not full before */
    BEHIND_MS = 1 /* what a sender that was held up sends at once; the rest of its time is lost */
};

void net_pace_init(struct net_pace *p, double packets_per_second, uint64_t now_ns)
{
    *p = (struct net_pace){.per_ns = packets_per_second / (double)NS_PER_SEC, .origin_ns = now_ns};
}

uint64_t net_pace_due(struct net_pace *p, uint64_t now_ns)
{
    uint64_t due = (uint64_t)((double)(now_ns - p->origin_ns) * p->per_ns);
    uint64_t burst = (uint64_t)fmax(NET_PACE_BATCH, p->per_ns * BEHIND_MS * (double)NS_PER_MS);

    if (due > p->sent + burst) {
        p->origin_ns += (uint64_t)((double)(due - p->sent - burst) / p->per_ns);
        due = p->sent + burst;
    }
    return due > p->sent ? due - p->sent : 0;
}

unsigned net_pace_batch(const struct net_pace *p)
{
    return (unsigned)fmin(NET_PACE_BATCH, fmax(1, p->per_ns * BETWEEN_US * (double)NS_PER_US));
}

uint64_t net_pace_next(const struct net_pace *p)
{
    return p->origin_ns + (uint64_t)((double)(p->sent + net_pace_batch(p)) / p->per_ns) + 1;
}
