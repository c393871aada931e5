/* SPDX-License-Identifier: Apache-2.0 */
/* Inside this file an int is 0 or the errno value of what failed first. */
#include "bench/save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/base/mem.h"

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        }
    }
    return 0;
}

static int close_after(int fd, int failed)
{
    if (close(fd) != 0 && !failed)
        failed = errno;
    return failed;
}

static int save_in_place(const char *path, const char *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return fd < 0 ? errno : close_after(fd, write_all(fd, bytes, len));
}

static int save_beside(char *temporary, const char *path, mode_t mode, const char *bytes,
                       size_t len)
{
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return errno;
    int failed = write_all(fd, bytes, len);
    if (!failed && (fchmod(fd, mode) != 0 || fsync(fd) != 0))
        failed = errno;
    failed = close_after(fd, failed);
    if (!failed && rename(temporary, path) != 0)
        failed = errno;
    if (failed)
        unlink(temporary);
    return failed;
}

static int save_replace(const char *path, mode_t mode, const char *bytes, size_t len)
{
    char *temporary = NULL;

    if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
        mem_check(NULL);
    int failed = save_beside(temporary, path, mode, bytes, len);
    free(temporary);
    return failed;
}

static mode_t mode_of_new_files(void)
{
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

static int save(const char *path, const char *bytes, size_t len)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return errno == ENOENT ? save_replace(path, mode_of_new_files(), bytes, len) : errno;
    if (!S_ISREG(st.st_mode))
        return save_in_place(path, bytes, len);
    /* Past symbolic links, so that they stay. */
    char *target = realpath(path, NULL);
    if (!target)
        return errno;
    int failed = save_replace(target, st.st_mode & 0777, bytes, len);
    free(target);
    return failed;
}

enum err save_whole(const char *path, const char *bytes, size_t len, char *why, size_t why_size)
{
    int failed = save(path, bytes, len);
    if (failed)
        snprintf(why, why_size, "cannot write %s: %s", path, strerror(failed));
    return err_from_errno(failed);
}
