/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts the system calls of processes from outside, by the kernel's tracepoints, so the same for every program. While
 * somebody counts, all system calls of the machine are a little slower: not to be done beside other measurements.
 */
#ifndef FZ_BENCH_NET_CALLS_H
#define FZ_BENCH_NET_CALLS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "platform/base/err.h"
#include "platform/linux/why.h"

enum {
    NET_CALLS_THREADS_MAX = 256 /* of all processes together, when counting begins */
};

enum net_calls_kind {
    NET_CALLS_SYSTEM, /* system calls */
    NET_CALLS_URING,  /* completed io_uring operations */
    NET_CALLS_KINDS
};

struct net_calls {
    int fds[NET_CALLS_KINDS][NET_CALLS_THREADS_MAX];
    unsigned n[NET_CALLS_KINDS];
};

/* Looks whether this kernel can count; mounts its tracepoints where they are missing (in the cage: for it only). */
enum err net_calls_prepare(struct why why) MUST_USE;

/* Counts from now on, also what threads do that are started later. */
enum err net_calls_start(struct net_calls *c, const pid_t *pids, unsigned pids_n,
                         struct why why) MUST_USE;
uint64_t net_calls_read(const struct net_calls *c, enum net_calls_kind kind);
void net_calls_stop(struct net_calls *c);

#endif
