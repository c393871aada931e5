/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processes that carry traffic share with the one that measures: memory in which they count, and how they are
 * started. They have their sockets from their parent, so they are in no namespace of their own.
 */
#ifndef FZ_BENCH_NET_TRAFFIC_H
#define FZ_BENCH_NET_TRAFFIC_H

#include <stddef.h>
#include <sys/types.h>

/* Zeroed memory that forked processes share; whole pages. NULL if there is none. */
void *net_traffic_share(size_t size);
void net_traffic_unshare(void *memory, size_t size);

/* Forks a process that calls run(arg) and ends. Returns its id; -1 with errno. */
pid_t net_traffic_fork(void (*run)(void *arg), void *arg);

#endif
