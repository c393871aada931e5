/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time as a scalar: nanoseconds of a monotonic clock that also counts suspend (CLOCK_BOOTTIME).
 * Modules get it as an argument; only platform/clock.h reads a clock.
 */
#ifndef FZ_BASE_TIME_H
#define FZ_BASE_TIME_H

#include <stdint.h>

typedef uint64_t time_ns;

#define TIME_NEVER UINT64_MAX

#define NS_PER_US  UINT64_C(1000)
#define NS_PER_MS  UINT64_C(1000000)
#define NS_PER_SEC UINT64_C(1000000000)

static inline time_ns time_min(time_ns a, time_ns b)
{
    return a < b ? a : b;
}

static inline time_ns time_max(time_ns a, time_ns b)
{
    return a > b ? a : b;
}

/* now - then, or 0 if `then` lies ahead (another thread's later reading). */
static inline uint64_t time_since(time_ns now, time_ns then)
{
    return now > then ? now - then : 0;
}

#endif
