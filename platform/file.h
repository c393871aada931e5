/* SPDX-License-Identifier: Apache-2.0 */
/* Files contract: a small file, perhaps with secrets, as a whole, and the folders above it. Control thread. */
#ifndef FZ_PLATFORM_FILE_H
#define FZ_PLATFORM_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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

/*
 * A file that others than the administrator could have put there: no link is followed, and nothing that keeps a reader waiting is
 * opened. *out: of an open regular file; file_close. On failure `why` is as above; ERR_INVALID: not a regular file, or a link.
 */
enum err file_open(int *out, const char *path, char *why, unsigned why_size) MUST_USE;
/* All of it, as file_read. */
enum err file_read_open(struct file_content *out, int file, size_t max, char *why,
                        unsigned why_size) MUST_USE;
/* Gives it the rights that file_write gives to one that is not secret; not if it has another name as well. */
enum err file_share(int file) MUST_USE;
void file_close(int file);

enum file_flags {
    FILE_SECRET = 1, /* for the administrator alone; else his group may read it as well */
    FILE_REPLACE = 2 /* what has this name; else that is ERR_EXISTS */
};

/*
 * The whole file or nothing, also after a loss of power. flags: of enum file_flags. On failure `why` is as above. A secret one has
 * the name PATH.new until it is complete; a process that is killed meanwhile leaves that to file_forget_unfinished or the next
 * file_write. No other signal ends the process before it is gone.
 */
enum err file_write(const char *path, const void *bytes, size_t len, unsigned flags, char *why,
                    unsigned why_size) MUST_USE;

/* Removes what a file_write of a secret to this path has left behind. */
void file_forget_unfinished(const char *path);

/* Folders that are missing, down to that of a file: for all to enter. */
enum err file_make_folder_of(const char *path, char *why, unsigned why_size) MUST_USE;
/* Likewise down to this one, which is for the administrator and his group alone, also if it exists; no link. */
enum err file_make_shared_folder(const char *path, char *why, unsigned why_size) MUST_USE;

/* Tells two contents of a file apart; all zero: there is none. Links are followed. */
struct file_stamp {
    uint64_t device, inode, size;
    int64_t changed_s, changed_ns;
};
struct file_stamp file_stamp(const char *path);
bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);

/* Whether something has this name, be it a link to nothing; also where that cannot be found out. */
bool file_exists(const char *path);
/* ERR_NOT_FOUND: there is none. `why` as above. */
enum err file_remove(const char *path, char *why, unsigned why_size) MUST_USE;

#endif
