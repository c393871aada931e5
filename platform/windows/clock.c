/* SPDX-License-Identifier: Apache-2.0 */
/* The performance counter (monotonic, counts suspend) and the precise system time. */
#include "platform/clock.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

/* 100 ns steps between 1601-01-01 and 1970-01-01, UTC. */
#define UNIX_EPOCH_FILETIME UINT64_C(116444736000000000)
#define FILETIME_PER_SEC    UINT64_C(10000000)

time_ns clock_now(void)
{
    LARGE_INTEGER ticks, per_sec;
    QueryPerformanceFrequency(&per_sec);
    QueryPerformanceCounter(&ticks);
    uint64_t t = (uint64_t)ticks.QuadPart, f = (uint64_t)per_sec.QuadPart;
    return t / f * NS_PER_SEC + t % f * NS_PER_SEC / f;
}

uint64_t clock_thread_cpu(void)
{
    FILETIME created, ended, kernel, user;
    if (!GetThreadTimes(GetCurrentThread(), &created, &ended, &kernel, &user))
        return 0;
    uint64_t k = (uint64_t)kernel.dwHighDateTime << 32 | kernel.dwLowDateTime;
    uint64_t u = (uint64_t)user.dwHighDateTime << 32 | user.dwLowDateTime;
    return (k + u) * (NS_PER_SEC / FILETIME_PER_SEC);
}

void clock_wall(uint64_t *seconds, uint32_t *nanoseconds)
{
    FILETIME ft;
    GetSystemTimePreciseAsFileTime(&ft);
    uint64_t t = ((uint64_t)ft.dwHighDateTime << 32 | ft.dwLowDateTime) - UNIX_EPOCH_FILETIME;
    *seconds = t / FILETIME_PER_SEC;
    *nanoseconds = (uint32_t)(t % FILETIME_PER_SEC * 100);
}
