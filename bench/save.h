/* SPDX-License-Identifier: Apache-2.0 */
/* Files that fzbench leaves behind: results and reports. The main thread, while nothing else makes files. */
#ifndef FZ_BENCH_SAVE_H
#define FZ_BENCH_SAVE_H

#include <stddef.h>

#include "platform/base/err.h"

/*
 * Makes `path` hold these bytes, whole or not at all: they are written to a temporary file beside it, which then takes
 * its place. What is no regular file (a pipe, a device) is written to as it is. On failure `why` is one sentence with
 * the path in it.
 */
enum err save_whole(const char *path, const char *bytes, size_t len, char *why,
                    size_t why_size) MUST_USE;

#endif
