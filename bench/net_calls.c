/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_calls.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRACING "/sys/kernel/tracing"

static const char *const tracepoints[NET_CALLS_KINDS] = {
    [NET_CALLS_SYSTEM] = TRACING "/events/raw_syscalls/sys_enter/id",
    [NET_CALLS_URING] = TRACING "/events/io_uring/io_uring_complete/id",
};

/* 0: the kernel does not have it, or hides it. */
static uint64_t tracepoint_id(enum net_calls_kind kind)
{
    unsigned long long id = 0;
    FILE *f = fopen(tracepoints[kind], "re");

    if (f == NULL)
        return 0;
    if (fscanf(f, "%llu", &id) != 1)
        id = 0;
    fclose(f);
    return id;
}

static int open_counter(uint64_t id, pid_t thread)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_TRACEPOINT, .size = sizeof attr, .config = id, .inherit = 1};
    return (int)syscall(SYS_perf_event_open, &attr, thread, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

enum err net_calls_prepare(struct why why)
{
    if (tracepoint_id(NET_CALLS_SYSTEM) == 0)
        (void)mount("tracefs", TRACING, "tracefs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    uint64_t id = tracepoint_id(NET_CALLS_SYSTEM);
    if (id == 0)
        return why_fail(why, ERR_UNSUPPORTED,
                        "this kernel shows no tracepoint raw_syscalls:sys_enter in " TRACING);
    int fd = open_counter(id, 0);
    if (fd < 0)
        return why_fail(why, err_from_errno(errno), "cannot count system calls: %s",
                        strerror(errno));
    close(fd);
    return ERR_OK;
}

/* A thread that has just ended is none. */
static enum err add_thread(struct net_calls *c, const uint64_t ids[NET_CALLS_KINDS], pid_t thread,
                           struct why why)
{
    for (unsigned kind = 0; kind < NET_CALLS_KINDS; kind++) {
        if (ids[kind] == 0)
            continue;
        if (c->n[kind] == NET_CALLS_THREADS_MAX)
            return why_fail(why, ERR_NO_SPACE, "more than %d threads to count system calls of",
                            NET_CALLS_THREADS_MAX);
        int fd = open_counter(ids[kind], thread);
        if (fd < 0 && errno != ESRCH)
            return why_fail(why, err_from_errno(errno), "cannot count system calls: %s",
                            strerror(errno));
        if (fd >= 0)
            c->fds[kind][c->n[kind]++] = fd;
    }
    return ERR_OK;
}

enum err net_calls_start(struct net_calls *c, const pid_t *pids, unsigned pids_n, struct why why)
{
    const uint64_t ids[NET_CALLS_KINDS] = {tracepoint_id(NET_CALLS_SYSTEM),
                                           tracepoint_id(NET_CALLS_URING)};
    enum err err = ERR_OK;

    memset(c->n, 0, sizeof c->n);
    for (unsigned i = 0; err == ERR_OK && i < pids_n; i++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/task", (int)pids[i]);
        DIR *tasks = opendir(path);
        if (tasks == NULL)
            return why_fail(why, ERR_NOT_FOUND, "cannot see the threads of process %d",
                            (int)pids[i]);
        for (struct dirent *d; err == ERR_OK && (d = readdir(tasks)) != NULL;) {
            if (d->d_name[0] != '.')
                err = add_thread(c, ids, (pid_t)atoi(d->d_name), why);
        }
        closedir(tasks);
    }
    return err;
}

uint64_t net_calls_read(const struct net_calls *c, enum net_calls_kind kind)
{
    uint64_t sum = 0, value;

    for (unsigned i = 0; i < c->n[kind]; i++) {
        if (read(c->fds[kind][i], &value, sizeof value) == sizeof value)
            sum += value;
    }
    return sum;
}

void net_calls_stop(struct net_calls *c)
{
    for (unsigned kind = 0; kind < NET_CALLS_KINDS; kind++) {
        for (unsigned i = 0; i < c->n[kind]; i++)
            close(c->fds[kind][i]);
        c->n[kind] = 0;
    }
}
