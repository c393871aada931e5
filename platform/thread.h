/* SPDX-License-Identifier: Apache-2.0 */
/* Threads contract: start, join, name, pin; and how many CPUs this process may really use. */
#ifndef FZ_PLATFORM_THREAD_H
#define FZ_PLATFORM_THREAD_H

#include <pthread.h>
#include <stdint.h>

#include "platform/base/err.h"

/* Starts `run(arg)` with all signals blocked. name: at most 15 characters. cpu: -1 = not pinned. */
enum err thread_start(pthread_t *out, const char *name, int cpu, void *(*run)(void *),
                      void *arg) MUST_USE;

/* CPUs usable by this process: affinity mask and cgroup quota (rounded up), at least 1. */
unsigned thread_cpus_usable(void);

/*
 * Time that the machine's CPUs have been idle, in ns, summed over all of them; it grows in steps of a timer tick or so.
 * 0: unknown. Costs a good many microseconds.
 */
uint64_t thread_cpus_idle(void);

/* The i-th CPU of the affinity mask (i < thread_cpus_usable()), -1 if unknown. */
int thread_cpu_nth(unsigned i);

#endif
