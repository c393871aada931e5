/* SPDX-License-Identifier: Apache-2.0 */
/* Files contract: a small file, perhaps with secrets, as a whole. Control thread. */
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

#endif
