/* SPDX-License-Identifier: Apache-2.0 */
/* winpthreads, with affinity within the process's processor group. */
#include "platform/thread.h"

#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <errno.h>
#include <stdint.h>

#include "platform/base/log.h"

enum {
    CPUS_MAX = 64 /* of one processor group, the one the process was started in */
};

static uint64_t process_mask(void)
{
    DWORD_PTR process = 0, machine = 0;
    return GetProcessAffinityMask(GetCurrentProcess(), &process, &machine) ? process : 0;
}

unsigned thread_cpus_usable(void)
{
    int cpus = __builtin_popcountll(process_mask());
    return cpus > 0 ? (unsigned)cpus : 1;
}

uint64_t thread_cpus_idle(void)
{
    FILETIME idle, kernel, user;
    if (!GetSystemTimes(&idle, &kernel, &user))
        return 0;
    return ((uint64_t)idle.dwHighDateTime << 32 | idle.dwLowDateTime) * 100;
}

int thread_cpu_nth(unsigned i)
{
    uint64_t mask = process_mask();
    for (int cpu = 0; cpu < CPUS_MAX; cpu++) {
        if ((mask >> cpu & 1) && i-- == 0)
            return cpu;
    }
    return -1;
}

enum err thread_start(pthread_t *out, const char *name, int cpu, void *(*run)(void *), void *arg)
{
    if (cpu < -1 || cpu >= CPUS_MAX)
        return ERR_INVALID;
    int e = pthread_create(out, NULL, run, arg);
    if (e == EAGAIN)
        return ERR_NO_MEMORY;
    if (e != 0)
        return err_from_errno(e);
    pthread_setname_np(*out, name);
    if (cpu >= 0 && SetThreadAffinityMask(pthread_gethandle(*out), (DWORD_PTR)1 << cpu) == 0)
        log_info("thread", "cannot pin thread %s to CPU %d: error %lu", name, cpu, GetLastError());
    return ERR_OK;
}
