/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /etc/resolv.conf taken over and given back, so that a kill at any instruction leaves a file that works and that the next run
 * can give back byte for byte. Control thread. Source: spec/platform.md 2.5.
 *
 * The original is in a backup beside it, complete before anything else is done, and kept. While the file begins with our marker
 * the backup is the truth; else the file is. How that can hold at any time: resolv_write.h.
 *
 * Whoever has taken the file over holds a lock on it (flock), which ends with the process: nobody else takes or recovers it.
 */
#ifndef FZ_LINUX_RESOLV_FILE_H
#define FZ_LINUX_RESOLV_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/base/resolv_text.h"
#include "platform/linux/resolv_write.h"
#include "platform/resolvers.h"

struct resolv_paths {
    const char *file, *backup;
};

extern const struct resolv_paths resolv_paths_system;

struct resolv_file {
    const struct resolv_paths *paths; /* outlives this */
    int fd;                           /* with the lock; -1: not taken over */
    char ours[RESOLV_PAGE];           /* what the file had when it was last written */
    size_t ours_len;
};

/* On failure of the functions below `why` is one clear sentence. */

void resolv_file_init(struct resolv_file *f, const struct resolv_paths *paths);

/* Whether it can be taken over at all: a regular file. */
enum err resolv_file_check(const struct resolv_paths *paths, char *why, unsigned why_size) MUST_USE;

/*
 * Takes it over, or changes what it has; the wish's backup is filled in. On failure the file is as it was. ERR_IN_USE: another
 * process has it.
 */
enum err resolv_file_set(struct resolv_file *f, const struct resolv_text_wish *wish, char *why,
                         unsigned why_size) MUST_USE;
/* Gives it back, unless somebody else has replaced our text: then it is his. *done: it had ours. */
enum err resolv_file_revert(struct resolv_file *f, bool *done, char *why,
                            unsigned why_size) MUST_USE;

/* Gives back what a process that is gone has left; *done: there was something. ERR_IN_USE: the process is not gone. */
enum err resolv_file_recover(const struct resolv_paths *paths, bool *done, char *why,
                             unsigned why_size) MUST_USE;

/* The file has our text, of whatever process. */
bool resolv_file_is_ours(const struct resolv_paths *paths);

/* The servers of the original, as resolvers_read. */
enum err resolv_file_servers(const struct resolv_paths *paths, struct sock_addr out[RESOLVERS_MAX],
                             unsigned *n, char *why, unsigned why_size) MUST_USE;

#endif
