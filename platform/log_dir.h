/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log folder contract: the file in it that lines are appended to, and the others, which can be listed and deleted. Used by
 * one thread at a time; calls may take as long as the disk does.
 */
#ifndef FZ_PLATFORM_LOG_DIR_H
#define FZ_PLATFORM_LOG_DIR_H

#include <stddef.h>
#include <stdint.h>

#include "platform/base/err.h"

enum {
    LOG_DIR_NAME_SIZE = 256
};

struct log_dir;

struct log_dir_entry {
    char name[LOG_DIR_NAME_SIZE];
    uint64_t size;
    int64_t mtime_ns; /* since 1970 */
};

/* Creates the folder, and those above it, where it is missing. On failure `why` is a sentence that names the path. */
enum err log_dir_open(struct log_dir **out, const char *path, char *why,
                      unsigned why_size) MUST_USE;
void log_dir_close(struct log_dir *d); /* NULL is allowed */

/*
 * Creates a file for appending; owner and group may read it. It takes the place of the file before, which stays the current one
 * if this fails. latest: a link of this name will lead to it, if possible. Creates the folder again if it was deleted.
 * ERR_EXISTS: there is something of this name.
 */
enum err log_dir_new_file(struct log_dir *d, const char *name, const char *latest) MUST_USE;

/* The size of the current file. ERR_NOT_FOUND: there is none, or it is not in the folder any more; else unknown. */
enum err log_dir_size(struct log_dir *d, uint64_t *size) MUST_USE;

/* Appends to the current file. On failure *written bytes of it have arrived. */
enum err log_dir_write(struct log_dir *d, const char *bytes, size_t n, size_t *written) MUST_USE;

/* The regular files, no links, in an array that the caller frees. */
enum err log_dir_list(struct log_dir *d, struct log_dir_entry **out, size_t *n) MUST_USE;
enum err log_dir_remove(struct log_dir *d, const char *name) MUST_USE;

#endif
