/* SPDX-License-Identifier: Apache-2.0 */
/* pthreads with masked signals, a name and an affinity. */
#include "platform/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "platform/base/log.h"
#include "platform/base/time.h"
#include "platform/linux/cpu_quota.h"

enum {
    CPUS_MAX = 8192,
    NAME_LEN_MAX = 15
};

/* cpu_set_t alone ends at 1024 CPUs. */
struct cpu_mask {
    cpu_set_t sets[CPUS_MAX / CPU_SETSIZE];
};

/* The affinity of the process's main thread; false if unknown. */
static bool process_mask(struct cpu_mask *mask)
{
    memset(mask, 0, sizeof *mask);
    return sched_getaffinity(getpid(), sizeof *mask, mask->sets) == 0;
}

unsigned thread_cpus_usable(void)
{
    struct cpu_mask mask;
    unsigned cpus;

    if (process_mask(&mask)) {
        cpus = (unsigned)CPU_COUNT_S(sizeof mask, mask.sets);
    } else {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        cpus = online > 0 ? (unsigned)online : 1;
    }
    unsigned quota = cpu_quota("/proc/self/cgroup", "/proc/self/mountinfo");
    if (quota != 0 && quota < cpus)
        cpus = quota;
    return cpus > 0 ? cpus : 1;
}

/* "cpu  user nice system idle iowait ...", in ticks. Who waits for I/O leaves the CPU idle as well. */
uint64_t thread_cpus_idle(void)
{
    unsigned long long idle, iowait;
    long ticks = sysconf(_SC_CLK_TCK);
    char line[256];
    int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, line, sizeof line - 1) : -1;

    if (fd >= 0)
        close(fd);
    if (n <= 0 || ticks <= 0)
        return 0;
    line[n] = 0;
    if (sscanf(line, "cpu %*u %*u %*u %llu %llu", &idle, &iowait) != 2)
        return 0;
    return (idle + iowait) * (NS_PER_SEC / (uint64_t)ticks);
}

int thread_cpu_nth(unsigned i)
{
    struct cpu_mask mask;

    if (!process_mask(&mask))
        return -1;
    for (int cpu = 0; cpu < CPUS_MAX; cpu++) {
        if (CPU_ISSET_S(cpu, sizeof mask, mask.sets) && i-- == 0)
            return cpu;
    }
    return -1;
}

/* Where the kernel refuses, the thread runs anyway: unpinned is slower, not wrong. */
static void pin(pthread_t thread, const char *name, int cpu)
{
    struct cpu_mask mask;
    memset(&mask, 0, sizeof mask);
    CPU_SET_S((size_t)cpu, sizeof mask, mask.sets);
    int e = pthread_setaffinity_np(thread, sizeof mask, mask.sets);
    if (e != 0)
        log_info("thread", "cannot pin thread %s to CPU %d: %s", name, cpu, strerror(e));
}

enum err thread_start(pthread_t *out, const char *name, int cpu, void *(*run)(void *), void *arg)
{
    sigset_t all, before;
    char short_name[NAME_LEN_MAX + 1];

    if (cpu < -1 || cpu >= CPUS_MAX)
        return ERR_INVALID;
    /* the new thread inherits the mask, so there is no moment in which it takes a signal */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int e = pthread_create(out, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (e == EAGAIN)
        return ERR_NO_MEMORY; /* out of stack or of permitted threads */
    if (e != 0)
        return err_from_errno(e);
    snprintf(short_name, sizeof short_name, "%s", name);
    pthread_setname_np(*out, short_name);
    if (cpu >= 0)
        pin(*out, short_name, cpu);
    return ERR_OK;
}
