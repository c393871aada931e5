/* SPDX-License-Identifier: Apache-2.0 */
/* See resolv_write.h. The order of the system calls is the point: each comment says what a kill behind it leaves. */
#include "platform/linux/resolv_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/base/mem.h"
#include "platform/base/resolv_text.h"

bool resolv_write_at(int fd, const char *bytes, size_t n, size_t at)
{
    while (n > 0) {
        ssize_t done = pwrite(fd, bytes, n, (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done == 0)
            errno = ENOSPC;
        if (done <= 0)
            return false;
        bytes += done;
        n -= (size_t)done;
        at += (size_t)done;
    }
    return true;
}

/* Writes the bytes from `from` to `to` of: the original, the tail, line feeds. At most a page. */
static bool write_composed(int fd, const struct file_content *original, size_t from, size_t to)
{
    size_t head = size_min(to, original->len);
    size_t tail = size_min(to - head, RESOLV_TEXT_TAIL_LEN);

    if (to <= from)
        return true;
    char *page = mem_zalloc(to, 1);
    memset(page, '\n', to);
    memcpy(page, original->bytes, head);
    memcpy(page + head, RESOLV_TEXT_TAIL, tail);
    bool good = resolv_write_at(fd, page + from, to - from, from);
    int error = errno;
    free(page);
    errno = error;
    return good;
}

static bool grow(int fd, size_t from, size_t to)
{
    if (to <= from)
        return true;
    char *feeds = mem_zalloc(to - from, 1);
    memset(feeds, '\n', to - from);
    bool good = resolv_write_at(fd, feeds, to - from, from);
    int error = errno;
    free(feeds);
    errno = error;
    return good;
}

bool resolv_write_cut(int fd, const struct file_content *original)
{
    return ftruncate(fd, (off_t)original->len) == 0 && fsync(fd) == 0;
}

bool resolv_write_original(int fd, size_t len, const struct file_content *original)
{
    size_t size = original->len;

    if (size < RESOLV_TEXT_MAX && len != size)
        size = size_max(size_min(len, RESOLV_PAGE), size + RESOLV_TEXT_TAIL_LEN);
    size_t head = size_min(size, RESOLV_PAGE);
    /* The marker still stands: all of this is done again. Our servers are at the beginning, so they stay. */
    if (len > size && ftruncate(fd, (off_t)size) != 0)
        return false;
    if (!grow(fd, len, head))
        return false;
    if (size > head && !resolv_write_at(fd, original->bytes + head, size - head, head))
        return false;
    if (fsync(fd) != 0)
        return false;
    /* The original is in force, perhaps with a tail. */
    if (!write_composed(fd, original, 0, head) || fsync(fd) != 0)
        return false;
    return size == original->len || resolv_write_cut(fd, original);
}

size_t resolv_write_padded(size_t len, size_t original_len)
{
    if (original_len >= len)
        return size_min(original_len, RESOLV_PAGE);
    return size_max(len, original_len + RESOLV_TEXT_TAIL_LEN);
}
_Static_assert(RESOLV_TEXT_MAX + RESOLV_TEXT_TAIL_LEN <= RESOLV_PAGE, "the tail fits");

bool resolv_write_reserve(int fd, size_t len)
{
    return fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)len) == 0 ||
           (errno != ENOSPC && errno != EDQUOT && errno != EFBIG && errno != EIO);
}

bool resolv_write_ours(int fd, const struct file_content *original, const char *ours, size_t len)
{
    if (!resolv_write_reserve(fd, len))
        return false;
    /* The original with a tail: it is as long as ours, so that the next write changes no length. */
    if (len > original->len &&
        (!write_composed(fd, original, original->len, len) || fsync(fd) != 0))
        return false;
    /* Ours is in force, perhaps with the end of a long original behind it. */
    if (!resolv_write_at(fd, ours, len, 0))
        return false;
    if (original->len > len && ftruncate(fd, (off_t)len) != 0)
        return false;
    return fsync(fd) == 0;
}
