/* SPDX-License-Identifier: Apache-2.0 */
/* What processes use of CPUs and memory. From the kernel's books, so the same for every program. Any thread. */
#ifndef FZ_BENCH_NET_USAGE_H
#define FZ_BENCH_NET_USAGE_H

#include <sys/types.h>

/* CPU time of all threads so far, also of those that have ended, in seconds; 0 if there is no such process. */
double net_usage_cpu(pid_t pid);
/* The part of it outside the kernel, which the kernel tells from the rest by samples, a hundred or more a second. */
double net_usage_user(pid_t pid);
/*
 * Time in seconds that all CPUs of the machine were busy, with anything: only the difference of two calls means
 * something. Steps of 10 ms; what a hypervisor took away is not in it. 0: unknown.
 */
double net_usage_machine(void);
/* Resident memory in MiB; 0 if there is no such process. */
double net_usage_rss(pid_t pid);

#endif
