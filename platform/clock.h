/* SPDX-License-Identifier: Apache-2.0 */
/* Clock contract: the only places where time is read. Any thread. */
#ifndef FZ_PLATFORM_CLOCK_H
#define FZ_PLATFORM_CLOCK_H

#include <stdint.h>

#include "platform/base/time.h"

/* CLOCK_BOOTTIME: monotonic, counts suspend. */
time_ns clock_now(void);

/* CPU time that the calling thread has used, in ns. A system call, unlike the others. */
uint64_t clock_thread_cpu(void);

/* Wall clock: seconds since 1970 UTC and nanoseconds. */
void clock_wall(uint64_t *seconds, uint32_t *nanoseconds);

#endif
