/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far a measurement is: one line with the time that has passed and is left.
 *
 * On a terminal the line is rewritten in place and removed at the end. Elsewhere (a log) there is one line for each
 * quarter of the work. Work is counted in any unit of which each takes about as long, such
 * as planned milliseconds. One thread uses it, and calls progress_clear before it prints anything else to a terminal.
 */
#ifndef FZ_BENCH_PROGRESS_H
#define FZ_BENCH_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "platform/base/time.h"

struct progress {
    FILE *out;
    bool in_place;
    uint64_t total;
    time_ns start;
    unsigned lines; /* that a log has got */
    int width;      /* of the line that stands on the terminal now */
};

/* total: of all the work, not 0. */
void progress_init(struct progress *p, FILE *out, bool in_place, uint64_t total, time_ns now);
/* The same, on stderr. */
void progress_init_stderr(struct progress *p, uint64_t total, time_ns now);

/* `done` of the total is finished, and `label` is what comes now. Call it for each step, not for each packet. */
void progress_show(struct progress *p, uint64_t done, const char *label, time_ns now);

/* Removes the line from a terminal; the next progress_show brings it back. Also how the end is told. */
void progress_clear(struct progress *p);

#endif
