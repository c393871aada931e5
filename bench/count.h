/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stretch of work of one thread cost: time, user instructions and cycles, bytes allocated.
 *
 * Instructions and cycles come from the CPU's counters (perf_event_open) where the machine lets us have them. Where it
 * does not, cycles are the time at the clock rate that a loop of known length runs at, and instructions are left to
 * callgrind: the regions between count_begin and count_end are the only ones that it collects in then.
 */
#ifndef FZ_BENCH_COUNT_H
#define FZ_BENCH_COUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/time.h"

struct counts {
    uint64_t ns, instructions, cycles; /* instructions and cycles: 0 without CPU counters */
    uint64_t allocated;                /* bytes */
};

/* The calling thread's. */
struct count {
    int fd_instructions, fd_cycles; /* -1: none */
    uint64_t *allocated_at;         /* jemalloc's total of this thread, NULL: another allocator */
    struct counts start, sum;
};

void count_open(struct count *c);
void count_close(struct count *c);
void count_begin(struct count *c);
/* Adds what happened since count_begin to `sum`. */
void count_end(struct count *c);

/* There are CPU counters for this process. */
bool count_available(void);
/* Cycles per nanosecond now, of the CPU that this runs on. Takes about a millisecond. */
double count_clock_rate(void);

/* Built with valgrind's headers: callgrind sees what lies between count_begin and count_end. */
bool count_knows_callgrind(void);

#endif
