/* SPDX-License-Identifier: Apache-2.0 */
/* Time as traffic sees it: CLOCK_MONOTONIC in nanoseconds. Any thread. */
#ifndef FZ_BENCH_NET_CLOCK_H
#define FZ_BENCH_NET_CLOCK_H

#include <stdint.h>
#include <time.h>

#include "platform/base/time.h"

static inline uint64_t net_clock_now(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* Returns at that time; at once if it is over. */
static inline void net_clock_sleep_until(uint64_t at_ns)
{
    struct timespec ts = {(time_t)(at_ns / NS_PER_SEC), (long)(at_ns % NS_PER_SEC)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) != 0)
        ;
}

static inline void net_clock_sleep(uint64_t ns)
{
    net_clock_sleep_until(net_clock_now() + ns);
}

#endif
