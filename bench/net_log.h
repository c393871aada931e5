/* SPDX-License-Identifier: Apache-2.0 */
/* What a program that was started has said so far: its log, line by line. */
#ifndef FZ_BENCH_NET_LOG_H
#define FZ_BENCH_NET_LOG_H

#include <stdbool.h>

enum {
    NET_LOG_LINE_MAX = 512 /* longer ones come in parts */
};

/* Calls see(arg, line) for each line from byte `at` on, and returns where the next ones will begin. */
long net_log_read(const char *log, long at, void (*see)(void *arg, const char *line), void *arg);
/* A line has the text. */
bool net_log_has(const char *log, const char *text);
/* The last line that is not empty, or "nothing". */
void net_log_last(const char *log, char line[NET_LOG_LINE_MAX]);

#endif
