/* SPDX-License-Identifier: Apache-2.0 */
/* A new file beside the old one takes its name when all of it is on the disk. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/file.h"

#define UNFINISHED ".new" /* behind the name of a secret file */

enum {
    PATH_MAX_LEN = 1023,
    MODE_SECRET = 0600,
    MODE_SHARED = 0640,
    MODE_FOLDER = 0755,
    MODE_FOLDER_SHARED = 0770
};

static enum err failed(char *why, unsigned why_size)
{
    enum err err = err_from_errno(errno);
    snprintf(why, why_size, "%s", strerror(errno));
    return err;
}

static bool write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno != EINTR)
            return false;
        bytes += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

/* The new file has the mode 0600, or less where the umask says so. */
static bool fill(int fd, const void *bytes, size_t len, unsigned flags)
{
    if (flags & FILE_SECRET)
        return fchown(fd, 0, 0) == 0 && fchmod(fd, MODE_SECRET) == 0 && write_all(fd, bytes, len) &&
               fsync(fd) == 0;
    return write_all(fd, bytes, len) && fchmod(fd, MODE_SHARED) == 0 && fsync(fd) == 0;
}

/* The length of what stands before the last slash, without it; 0: nothing. */
static size_t folder_len(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

/* The name is on the disk only when the folder is; where that fails the file is there all the same. */
static void sync_folder(const char *path)
{
    char folder[PATH_MAX_LEN + 1];
    size_t len = folder_len(path);

    snprintf(folder, sizeof folder, "%.*s", (int)len, path);
    int fd = open(len > 0          ? folder
                  : path[0] == '/' ? "/"
                                   : ".",
                  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

/* A fixed name is found again by whoever cleans up; several processes at a time are no concern then. */
static int create_fresh(char fresh[PATH_MAX_LEN + 1], const char *path, unsigned flags)
{
    int n = snprintf(fresh, PATH_MAX_LEN + 1, "%s%s", path,
                     flags & FILE_SECRET ? UNFINISHED : ".XXXXXX");

    if (n < 0 || n > PATH_MAX_LEN) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (!(flags & FILE_SECRET))
        return mkostemp(fresh, O_CLOEXEC);
    (void)unlink(fresh);
    return open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE_SECRET);
}

static enum err write_file(const char *path, const void *bytes, size_t len, unsigned flags,
                           char *why, unsigned why_size)
{
    char fresh[PATH_MAX_LEN + 1];
    int fd = create_fresh(fresh, path, flags);

    if (fd < 0)
        return failed(why, why_size);
    bool good = fill(fd, bytes, len, flags);
    if (good)
        good = (flags & FILE_REPLACE ? rename(fresh, path) : link(fresh, path)) == 0;
    enum err err = good ? ERR_OK : failed(why, why_size);
    close(fd);
    if (!good || !(flags & FILE_REPLACE))
        (void)unlink(fresh);
    if (good)
        sync_folder(path);
    return err;
}

enum err file_write(const char *path, const void *bytes, size_t len, unsigned flags, char *why,
                    unsigned why_size)
{
    sigset_t all, before;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &before);
    enum err err = write_file(path, bytes, len, flags, why, why_size);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return err;
}

void file_forget_unfinished(const char *path)
{
    char fresh[PATH_MAX_LEN + 1];
    int n = snprintf(fresh, sizeof fresh, "%s" UNFINISHED, path);

    if (n > 0 && n <= PATH_MAX_LEN)
        (void)unlink(fresh);
}

enum err file_share(int file)
{
    struct stat st;

    if (fstat(file, &st) != 0)
        return err_from_errno(errno);
    if (st.st_nlink > 1)
        return ERR_INVALID;
    return fchmod(file, MODE_SHARED) == 0 ? ERR_OK : err_from_errno(errno);
}

/* All folders of the first `len` bytes. */
static enum err make_folders(const char *path, size_t len, char *why, unsigned why_size)
{
    char folder[PATH_MAX_LEN + 1];

    if (len > PATH_MAX_LEN) {
        errno = ENAMETOOLONG;
        return failed(why, why_size);
    }
    for (size_t i = 1; i <= len; i++) {
        if (i < len && path[i] != '/')
            continue;
        memcpy(folder, path, i);
        folder[i] = '\0';
        if (mkdir(folder, MODE_FOLDER) != 0 && errno != EEXIST)
            return failed(why, why_size);
    }
    return ERR_OK;
}

enum err file_make_folder_of(const char *path, char *why, unsigned why_size)
{
    return make_folders(path, folder_len(path), why, why_size);
}

enum err file_make_shared_folder(const char *path, char *why, unsigned why_size)
{
    enum err err = make_folders(path, strlen(path), why, why_size);

    if (err != ERR_OK)
        return err;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return failed(why, why_size);
    if (fchmod(fd, MODE_FOLDER_SHARED) != 0)
        err = failed(why, why_size);
    close(fd);
    return err;
}

bool file_exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

enum err file_remove(const char *path, char *why, unsigned why_size)
{
    return unlink(path) == 0 ? ERR_OK : failed(why, why_size);
}
