/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which log files to delete so that those of all log folders together stay below a cap: the oldest first, by the time of
 * their last change. A file that changed in the last five minutes stays, one that changed in the future does, and the last
 * one of each folder. Only our programs' log files count, by their names. Decides only; control/log_file.c does it. Pure; any thread.
 */
#ifndef FZ_CONTROL_LOG_CLEANUP_H
#define FZ_CONTROL_LOG_CLEANUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/err.h"

enum {
    LOG_CLEANUP_FOLDERS_MAX = 8,
    LOG_CLEANUP_AGE_MIN_S = 300
};

/* A regular file of a log folder. */
struct log_cleanup_file {
    const char *name;
    unsigned folder; /* below LOG_CLEANUP_FOLDERS_MAX */
    uint64_t size;
    int64_t mtime_ns; /* since 1970 */
    bool stays;       /* must not be deleted, or cannot: the attempt failed */
    bool doomed;      /* the decision */
};

/*
 * Sorts the files by age, the oldest first, and sets `doomed` of each. ERR_INVALID: a cap of 0 is refused, nothing is
 * doomed.
 */
enum err log_cleanup_plan(struct log_cleanup_file *files, size_t n, uint64_t cap_bytes,
                          int64_t now_ns) MUST_USE;

/* Whether a file of this name is a log file of a Firezone program: "<program>.<YYYY-MM-DD-HH-MM-SS>.log". */
bool log_cleanup_counts(const char *name);

#endif
