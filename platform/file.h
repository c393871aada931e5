/* SPDX-License-Identifier: Apache-2.0 */
/* Files contract: a small file, perhaps with secrets, as a whole, and the folders above it. Control thread. */
#ifndef FZ_PLATFORM_FILE_H
#define FZ_PLATFORM_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/base/err.h"

struct file_content {
    char *bytes; /* terminated by a zero that `len` does not count; file_content_wipe frees */
    size_t len;
    bool exposed; /* a regular file that everyone may read */
};

/*
 * Reads to the end; also from a pipe. On failure `why` is a short phrase without the path. ERR_NO_SPACE: longer than
 * `max` bytes. ERR_NOT_FOUND, ERR_PERMISSION, ERR_INVALID (a folder), ERR_IO.
 */
enum err file_read(struct file_content *out, const char *path, size_t max, char *why,
                   unsigned why_size) MUST_USE;
void file_content_wipe(struct file_content *c);

enum file_flags {
    FILE_SECRET = 1, /* for the administrator alone; else his group may read it as well */
    FILE_REPLACE = 2 /* what has this name; else that is ERR_EXISTS */
};

/* The whole file or nothing, also after a loss of power. flags: of enum file_flags. On failure `why` is as above. */
enum err file_write(const char *path, const void *bytes, size_t len, unsigned flags, char *why,
                    unsigned why_size) MUST_USE;
/* The rights of a file that is not secret, as file_write gives it. */
enum err file_share(const char *path) MUST_USE;

/* Folders that are missing, down to that of a file: for all to enter. */
enum err file_make_folder_of(const char *path, char *why, unsigned why_size) MUST_USE;
/* Likewise down to this one, which is for the administrator and his group alone, also if it exists. */
enum err file_make_shared_folder(const char *path, char *why, unsigned why_size) MUST_USE;

/* Whether something has this name, be it a link to nothing; also where that cannot be found out. */
bool file_exists(const char *path);
/* ERR_NOT_FOUND: there is none. `why` as above. */
enum err file_remove(const char *path, char *why, unsigned why_size) MUST_USE;

#endif
