/* SPDX-License-Identifier: Apache-2.0 */
/* Results as one self-contained HTML page. */
#ifndef FZ_BENCH_REPORT_PAGE_H
#define FZ_BENCH_REPORT_PAGE_H

#include <stddef.h>
#include <stdio.h>

#include "bench/result.h"

struct report_run {
    const char *path;
    struct result result;
};

/*
 * A section for each command, in it the runs in their order, and for each group of rows (what is before the last '/' of
 * their names) bars per unit, or curves where names end in percentiles. Needs no network and no script.
 */
void report_page_write(FILE *out, const struct report_run *runs, size_t n);

#endif
