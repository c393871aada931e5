/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is written into resolv.conf in place (containers bind-mount it), so that a kill between any two system calls leaves a text
 * that works and that tells what it is. Each step is one of
 *   - a write of at most one page over bytes that exist: a killed process has done all of it or nothing;
 *   - growing or cutting the tail of comments behind the original (RESOLV_TEXT_TAIL);
 *   - work on the rest of a file that begins with RESOLV_TEXT_MARKER, which the next run does again.
 *
 * The file is open for writing and the caller has its lock. False: errno says why. Control thread.
 */
#ifndef FZ_LINUX_RESOLV_WRITE_H
#define FZ_LINUX_RESOLV_WRITE_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/base/err.h"
#include "platform/file.h"

enum {
    RESOLV_PAGE = 4096 /* no system has smaller ones */
};

/* From the original to ours, whose length is a resolv_write_padded. */
bool resolv_write_ours(int fd, const struct file_content *original, const char *ours,
                       size_t len) MUST_USE;
/* From `len` bytes that begin with the marker to the original. */
bool resolv_write_original(int fd, size_t len, const struct file_content *original) MUST_USE;
/* From the original with a tail to the original. */
bool resolv_write_cut(int fd, const struct file_content *original) MUST_USE;

/* How long our text of `len` bytes is to be: as the original, or longer by a whole tail. At most a page. */
size_t resolv_write_padded(size_t len, size_t original_len);

/* Makes room for a file of this length. False only where a full disk can be told beforehand. */
bool resolv_write_reserve(int fd, size_t len) MUST_USE;
/* In one write, unless the disk is full. */
bool resolv_write_at(int fd, const char *bytes, size_t n, size_t at) MUST_USE;

#endif
