/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines into a descriptor that belongs to whoever started the program: a terminal, a pipe, a socket of the journal, a file. Its
 * reader may have stopped, which must stop nobody else: a line goes out at once, or not at all. One thread at a time writes to a
 * descriptor; other processes may write to it, too.
 */
#ifndef FZ_BASE_STREAM_H
#define FZ_BASE_STREAM_H

#include <stdbool.h>
#include <stddef.h>

enum {
    STREAM_LINE_MAX = 4096 /* what a pipe takes as a whole or not at all */
};

/* How `fd` is written to without waiting: itself, or a descriptor of its own; never closed. */
int stream_open(int fd);

/* n: at most STREAM_LINE_MAX. wait_ms: the most to wait for room. False: the line, or an end of it, did not go out. */
bool stream_write(int stream, const char *line, size_t n, int wait_ms);

#endif
