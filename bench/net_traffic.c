/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_traffic.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

void *net_traffic_share(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p != MAP_FAILED ? p : NULL;
}

void net_traffic_unshare(void *memory, size_t size)
{
    if (memory != NULL)
        munmap(memory, size);
}

pid_t net_traffic_fork(void (*run)(void *arg), void *arg)
{
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_TIMERSLACK, 1); /* pacing sleeps for some ten microseconds */
        run(arg);
        _exit(0);
    }
    return pid;
}
