/* SPDX-License-Identifier: Apache-2.0 */
/* CLOCK_BOOTTIME, CLOCK_THREAD_CPUTIME_ID and CLOCK_REALTIME. */
#include "platform/clock.h"

#include <time.h>

#include "platform/base/err.h"

time_ns clock_now(void)
{
    struct timespec ts;
    ASSERT(clock_gettime(CLOCK_BOOTTIME, &ts) == 0);
    return (time_ns)ts.tv_sec * NS_PER_SEC + (time_ns)ts.tv_nsec;
}

uint64_t clock_thread_cpu(void)
{
    struct timespec ts;
    ASSERT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) == 0);
    return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

void clock_wall(uint64_t *seconds, uint32_t *nanoseconds)
{
    struct timespec ts;
    ASSERT(clock_gettime(CLOCK_REALTIME, &ts) == 0);
    *seconds = (uint64_t)ts.tv_sec;
    *nanoseconds = (uint32_t)ts.tv_nsec;
}
