/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that work together for a while, each on a CPU of its own: they begin together and stop when told to. */
#ifndef FZ_BENCH_MICRO_TEAM_H
#define FZ_BENCH_MICRO_TEAM_H

#include <stdbool.h>

#include "bench/micro.h"

struct micro_member {
    void *(*run)(void *);
    void *arg;
};

struct micro_team {
    int started, stopped; /* atomics; written by the main thread, read by the members */
};

/* Main thread: runs the members for `ms` and waits for them. False: a thread could not be started; none did anything. */
bool micro_team_run(struct micro_team *t, const struct micro_member *members, unsigned n,
                    unsigned ms);

/* Member: waits for the others. False: it shall not begin. */
bool micro_team_begin(struct micro_team *t);
/* Member: whether the time is over. */
bool micro_team_over(struct micro_team *t);

/* Member: one turn of a loop that spins for another member. Gives the CPU away after many, for it may be the other's. */
void micro_team_spin(unsigned *turns);

#endif
