/* SPDX-License-Identifier: Apache-2.0 */
/* A descriptor of the folder, one of the file, and the calls relative to them. */
#include "platform/log_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/base/mem.h"
#include "platform/base/time.h"
#include "platform/linux/why.h"

enum {
    FOLDER_MODE = 0750,
    FILE_MODE = 0640 /* the group may export logs */
};

struct log_dir {
    char *path;
    int folder, file; /* -1: none */
    char name[LOG_DIR_NAME_SIZE];
    dev_t device; /* of the file */
    ino_t inode;
};

/* Each folder above the last one, then that one; errors show when it is opened. */
static void make_folders(const char *path)
{
    size_t n = strlen(path);
    char *part = mem_dup_text(path, n);

    for (size_t i = 1; i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        part[i] = '\0';
        if (mkdir(part, FOLDER_MODE) != 0 && errno != EEXIST)
            break;
        part[i] = path[i];
    }
    free(part);
}

static int open_folder(const char *path)
{
    make_folders(path);
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

enum err log_dir_open(struct log_dir **out, const char *path, char *why, unsigned why_size)
{
    int folder = open_folder(path);

    *out = NULL;
    if (folder < 0)
        return why_fail((struct why){why, why_size}, err_from_errno(errno),
                        "cannot open the log folder %s: %s", path, strerror(errno));
    struct log_dir *d = mem_zalloc(1, sizeof *d);
    d->path = mem_dup_text(path, strlen(path));
    d->folder = folder;
    d->file = -1;
    *out = d;
    return ERR_OK;
}

void log_dir_close(struct log_dir *d)
{
    if (!d)
        return;
    if (d->file >= 0)
        close(d->file);
    close(d->folder);
    free(d->path);
    free(d);
}

/* What somebody else has put there is not touched, be it a pipe, a link or a file. */
static int open_file(const struct log_dir *d, const char *name)
{
    return openat(d->folder, name, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, FILE_MODE);
}

/* The folder of this path now: a deleted one takes no files. */
static bool reopen_folder(struct log_dir *d)
{
    int folder = open_folder(d->path);
    if (folder < 0)
        return false;
    close(d->folder);
    d->folder = folder;
    return true;
}

/* Best effort, and only in place of a link. */
static void point_to(int folder, const char *latest, const char *name)
{
    struct stat st;

    if (fstatat(folder, latest, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode))
        (void)!unlinkat(folder, latest, 0);
    (void)!symlinkat(name, folder, latest);
}

enum err log_dir_new_file(struct log_dir *d, const char *name, const char *latest)
{
    struct stat st;
    int file = open_file(d, name);

    if (file < 0 && errno == ENOENT && reopen_folder(d))
        file = open_file(d, name);
    if (file < 0)
        return err_from_errno(errno);
    if (fstat(file, &st) != 0) {
        enum err err = err_from_errno(errno);
        close(file);
        return err;
    }
    (void)!fchmod(file, FILE_MODE); /* the umask does not decide */
    if (d->file >= 0)
        close(d->file);
    d->file = file;
    d->device = st.st_dev;
    d->inode = st.st_ino;
    snprintf(d->name, sizeof d->name, "%s", name);
    point_to(d->folder, latest, name);
    return ERR_OK;
}

enum err log_dir_size(struct log_dir *d, uint64_t *size)
{
    struct stat st;

    if (d->file < 0)
        return ERR_NOT_FOUND;
    if (fstatat(d->folder, d->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return err_from_errno(errno);
    if (st.st_dev != d->device || st.st_ino != d->inode)
        return ERR_NOT_FOUND;
    *size = (uint64_t)st.st_size;
    return ERR_OK;
}

enum err log_dir_write(struct log_dir *d, const char *bytes, size_t n, size_t *written)
{
    for (*written = 0; *written < n;) {
        ssize_t done = write(d->file, bytes + *written, n - *written);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return err_from_errno(errno);
        *written += (size_t)done;
    }
    return ERR_OK;
}

/* The kind that a folder tells may be unknown; the answer to fstatat is not. */
static bool entry_of(struct log_dir_entry *out, int folder, const char *name)
{
    struct stat st;

    if (strlen(name) >= sizeof out->name || fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(st.st_mode))
        return false;
    memcpy(out->name, name, strlen(name) + 1);
    out->size = (uint64_t)st.st_size;
    out->mtime_ns = (int64_t)st.st_mtim.tv_sec * (int64_t)NS_PER_SEC + st.st_mtim.tv_nsec;
    return true;
}

enum err log_dir_list(struct log_dir *d, struct log_dir_entry **out, size_t *n)
{
    struct log_dir_entry entry;
    int fd = openat(d->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    *out = NULL;
    *n = 0;
    if (!dir) {
        enum err err = err_from_errno(errno);
        if (fd >= 0)
            close(fd);
        return err;
    }
    for (struct dirent *e = readdir(dir); e; e = readdir(dir)) {
        if (!entry_of(&entry, d->folder, e->d_name))
            continue;
        *out = mem_grow(*out, *n, sizeof **out);
        (*out)[(*n)++] = entry;
    }
    closedir(dir);
    return ERR_OK;
}

enum err log_dir_remove(struct log_dir *d, const char *name)
{
    return unlinkat(d->folder, name, 0) == 0 ? ERR_OK : err_from_errno(errno);
}
