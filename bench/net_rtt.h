/* SPDX-License-Identifier: Apache-2.0 */
/* Round trips through a tunnel: UDP, one at a time, answered by a process at the other end. */
#ifndef FZ_BENCH_NET_RTT_H
#define FZ_BENCH_NET_RTT_H

#include <stddef.h>
#include <stdint.h>

#include "bench/net_tunnel.h"

struct net_rtt {
    double p50_us, p99_us;
    size_t n, lost; /* a lost one counts as the time that it was waited for */
};

/* From a to b and back, for `seconds`. */
enum err net_rtt_measure(struct net_rtt *out, const struct net_tunnel *t, double seconds,
                         struct why why) MUST_USE;

/*
 * The smallest sample that at least `percent` of all are not above (nearest rank). Sorts them; n > 0,
 * 0 < percent <= 100. Pure.
 */
uint64_t net_rtt_percentile(uint64_t *samples, size_t n, double percent);

#endif
