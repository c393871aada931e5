/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log file of a run, `<folder>/<base>.<YYYY-MM-DD-HH-MM-SS>.log` (UTC; that of a later second if somebody has the name
 * already), with a link `<base>.latest` to it. While it is
 * open every line of the log is also written here, by a thread of its own: whoever logs waits neither for the disk nor for
 * the thread. What the disk does not take, or what does not fit into the queue, is lost and counted; the log says so.
 *
 * A file that was deleted, or has grown to half the cap, is followed by one of a new name. At the start, every hour and
 * with every such file the thread deletes what control/log_cleanup.h says.
 */
#ifndef FZ_CONTROL_LOG_FILE_H
#define FZ_CONTROL_LOG_FILE_H

#include <stdint.h>

#include "platform/base/err.h"

/* For `cap_bytes`. */
#define LOG_FILE_CAP (UINT64_C(100) << 20)

enum {
    LOG_FILE_QUEUE_LINES = 1024,
    LOG_FILE_BASE_MAX = 64
};

struct log_file;

/*
 * Creates folder and file and takes the log's sink. base: the name of the program, no '/'. cap_bytes: of all log files in
 * the folder together; 0 is refused, ERR_INVALID. On failure `why` is one sentence. Control role, once at a time.
 */
enum err log_file_open(struct log_file **out, const char *dir, const char *base, uint64_t cap_bytes,
                       char *why, unsigned why_size) MUST_USE;

/*
 * Writes what is waiting and ends the thread, or leaves it behind after two seconds if the disk hangs. NULL is allowed.
 * Other threads should not log any more.
 */
void log_file_close(struct log_file *f);

#endif
