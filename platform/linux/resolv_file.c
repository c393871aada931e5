/* SPDX-License-Identifier: Apache-2.0 */
/* See resolv_file.h: whose the file is, its backup, and which of the sequences of resolv_write.h it needs. */
#include "platform/linux/resolv_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/file.h"
#include "platform/linux/why.h"

#define OTHERWISE "; or use '--dns-control disabled'"

enum {
    FILE_MAX = 1 << 20,
    PATH_LEN_MAX = 255,
    REASON_MAX = 128,
    OPEN_TRIES = 3
};

const struct resolv_paths resolv_paths_system = {
    .file = "/etc/resolv.conf",
    .backup = "/etc/resolv.conf.before-firezone",
};

/* Files */

static enum err read_fd(int fd, const struct resolv_paths *paths, struct file_content *out,
                        char *why, unsigned why_size)
{
    char reason[REASON_MAX] = "it cannot be rewound";
    enum err err = ERR_IO;

    if (lseek(fd, 0, SEEK_SET) == 0)
        err = file_read_open(out, fd, FILE_MAX, reason, sizeof reason);
    if (err == ERR_OK)
        return err;
    return why_fail((struct why){why, why_size}, err, "%s cannot be read: %s" OTHERWISE,
                    paths->file, reason);
}

/* A backup that is ours itself would never come to an end. */
static enum err read_backup(const struct resolv_paths *paths, struct file_content *out, char *why,
                            unsigned why_size)
{
    char reason[REASON_MAX];
    struct why w = {why, why_size};
    enum err err = file_read(out, paths->backup, FILE_MAX, reason, sizeof reason);

    if (err == ERR_OK && !resolv_text_is_ours(out->bytes, out->len))
        return ERR_OK;
    if (err == ERR_OK) {
        file_content_wipe(out);
        snprintf(reason, sizeof reason, "it has no text from before");
    }
    return why_fail(w, err == ERR_OK ? ERR_INVALID : err,
                    "%s was left behind by a run that was killed, and its backup %s cannot be used "
                    "(%s): write the nameservers of this network into %s and remove its first line",
                    paths->file, paths->backup, reason, paths->file);
}

static void sync_folder_of(const char *path)
{
    char folder[PATH_LEN_MAX + 1];
    const char *slash = strrchr(path, '/');

    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1,
             slash ? path : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

/* With the rights of the file: nobody can read it who could not before, and nobody less. */
static bool fill_backup(int fd, const struct file_content *original, const struct stat *like)
{
    bool owned = fchown(fd, like->st_uid, like->st_gid) == 0;

    return (!owned || fchmod(fd, like->st_mode & 0666) == 0) &&
           resolv_write_at(fd, original->bytes, original->len, 0) && fsync(fd) == 0;
}

static enum err write_backup(const struct resolv_paths *paths, const struct file_content *original,
                             const struct stat *like, char *why, unsigned why_size)
{
    char fresh[PATH_LEN_MAX + 1];
    int n = snprintf(fresh, sizeof fresh, "%s.new", paths->backup);

    ASSERT(n > 0 && n <= PATH_LEN_MAX);
    (void)unlink(fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool good = fd >= 0 && fill_backup(fd, original, like) && rename(fresh, paths->backup) == 0;
    int error = errno;
    if (fd >= 0)
        close(fd);
    if (good) {
        sync_folder_of(paths->backup);
        return ERR_OK;
    }
    if (fd >= 0)
        (void)unlink(fresh);
    return why_fail((struct why){why, why_size}, err_from_errno(error),
                    "the backup %s of %s cannot be written: %s" OTHERWISE, paths->backup,
                    paths->file, strerror(error));
}

/* Taking the file */

static enum err refuse(const struct resolv_paths *paths, int error, struct why w)
{
    struct stat st;

    if (lstat(paths->file, &st) == 0 && S_ISLNK(st.st_mode))
        return why_fail(w, ERR_UNSUPPORTED,
                        "%s is a symbolic link, so another program writes it: use "
                        "'--dns-control systemd-resolved' if that is systemd-resolved, or else "
                        "'--dns-control disabled'",
                        paths->file);
    if (error == 0)
        return why_fail(w, ERR_UNSUPPORTED,
                        "%s is not a regular file: use '--dns-control disabled'", paths->file);
    if (error == ENOENT)
        return why_fail(w, ERR_NOT_FOUND,
                        "%s does not exist: create it, an empty file will do" OTHERWISE,
                        paths->file);
    return why_fail(w, err_from_errno(error), "%s cannot be written: %s" OTHERWISE, paths->file,
                    strerror(error));
}

enum err resolv_file_check(const struct resolv_paths *paths, char *why, unsigned why_size)
{
    struct stat st;
    int error = lstat(paths->file, &st) == 0 ? 0 : errno;

    if (error == 0 && S_ISREG(st.st_mode))
        return ERR_OK;
    return refuse(paths, error, (struct why){why, why_size});
}

static bool is_at(int fd, const char *path, struct stat *st)
{
    struct stat there;

    return fstat(fd, st) == 0 && lstat(path, &there) == 0 && st->st_dev == there.st_dev &&
           st->st_ino == there.st_ino;
}

/* Open and locked, and still what has the name. */
static enum err open_locked(const struct resolv_paths *paths, int *out, char *why,
                            unsigned why_size)
{
    struct why w = {why, why_size};
    struct stat st;

    for (int i = 0; i < OPEN_TRIES; i++) {
        int fd = open(paths->file, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0)
            return refuse(paths, errno, w);
        if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
            close(fd);
            return refuse(paths, 0, w);
        }
        /* Where there are no locks there is no protection from a second process. */
        if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
            close(fd);
            return why_fail(w, ERR_IN_USE,
                            "another process has the system's DNS (it holds %s): stop it" OTHERWISE,
                            paths->file);
        }
        if (is_at(fd, paths->file, &st)) {
            *out = fd;
            return ERR_OK;
        }
        close(fd);
    }
    return why_fail(w, ERR_AGAIN, "%s is being replaced all the time" OTHERWISE, paths->file);
}

static void let_go(struct resolv_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
    f->ours_len = 0;
}

/* The lock on what has the name now. */
static enum err hold(struct resolv_file *f, char *why, unsigned why_size)
{
    struct stat st;

    if (f->fd >= 0 && is_at(f->fd, f->paths->file, &st))
        return ERR_OK;
    let_go(f);
    return open_locked(f->paths, &f->fd, why, why_size);
}

/* Makes the file its original again, if it is not. `now` is what it has, before and after. */
static enum err make_original(int fd, const struct resolv_paths *paths, struct file_content *now,
                              bool *done, char *why, unsigned why_size)
{
    struct file_content original = {0};
    bool ours = resolv_text_is_ours(now->bytes, now->len), good;

    *done = false;
    enum err err = read_backup(paths, &original, why, why_size);
    if (err != ERR_OK)
        return ours ? err : ERR_OK;
    if (ours)
        good = resolv_write_original(fd, now->len, &original);
    else if (resolv_text_is_tailed(now->bytes, now->len, original.bytes, original.len))
        good = resolv_write_cut(fd, &original);
    else {
        file_content_wipe(&original);
        return ERR_OK;
    }
    if (!good) {
        err = why_fail((struct why){why, why_size}, err_from_errno(errno),
                       "%s cannot be given its text from before: %s; it is in %s", paths->file,
                       strerror(errno), paths->backup);
        file_content_wipe(&original);
        return err;
    }
    *done = true;
    file_content_wipe(now);
    *now = original;
    return ERR_OK;
}

/* After a write that failed. */
static void undo(int fd, const struct resolv_paths *paths, const struct file_content *original)
{
    struct file_content now = {0};
    char why[REASON_MAX];
    bool good = false;

    if (read_fd(fd, paths, &now, why, sizeof why) == ERR_OK) {
        if (resolv_text_is_ours(now.bytes, now.len))
            good = resolv_write_original(fd, now.len, original);
        else
            good = now.len == original->len || resolv_write_cut(fd, original);
        file_content_wipe(&now);
    }
    if (!good)
        log_error("dns", "%s cannot be given its text from before; it is in %s", paths->file,
                  paths->backup);
}

static enum err write_failed(const struct resolv_file *f, int error, char *why, unsigned why_size)
{
    return why_fail((struct why){why, why_size}, err_from_errno(error),
                    "%s cannot be written: %s" OTHERWISE, f->paths->file, strerror(error));
}

static void keep(struct resolv_file *f, const char *ours, size_t len)
{
    memcpy(f->ours, ours, len);
    f->ours_len = len;
}

/* The file has our text already, of a wish before. */
static enum err change(struct resolv_file *f, char *page, size_t len, char *why, unsigned why_size)
{
    len = size_max(len, f->ours_len);
    if (resolv_write_reserve(f->fd, len) && resolv_write_at(f->fd, page, len, 0) &&
        fsync(f->fd) == 0) {
        keep(f, page, len);
        return ERR_OK;
    }
    int error = errno;
    if (!resolv_write_at(f->fd, f->ours, f->ours_len, 0) ||
        ftruncate(f->fd, (off_t)f->ours_len) != 0)
        log_error("dns", "%s cannot be given its text of a moment ago: %s", f->paths->file,
                  strerror(errno));
    return write_failed(f, error, why, why_size);
}

static enum err take(struct resolv_file *f, const struct file_content *original, const char *page,
                     size_t len, char *why, unsigned why_size)
{
    struct stat st;

    if (fstat(f->fd, &st) != 0)
        return write_failed(f, errno, why, why_size);
    enum err err = write_backup(f->paths, original, &st, why, why_size);
    if (err != ERR_OK)
        return err;
    if (!resolv_write_ours(f->fd, original, page, len)) {
        int error = errno;
        undo(f->fd, f->paths, original);
        return write_failed(f, error, why, why_size);
    }
    keep(f, page, len);
    return ERR_OK;
}

/* now: what the file has. page: line feeds, for our text. */
static enum err set_from(struct resolv_file *f, struct file_content *now,
                         const struct resolv_text_wish *wish, char *page, char *why,
                         unsigned why_size)
{
    struct why w = {why, why_size};
    size_t len = 0;
    bool done, changes = f->ours_len > 0 && now->len == f->ours_len &&
                         memcmp(now->bytes, f->ours, f->ours_len) == 0;

    if (!changes) {
        f->ours_len = 0;
        enum err err = make_original(f->fd, f->paths, now, &done, why, why_size);
        if (err != ERR_OK)
            return err;
    }
    /* Ours has the options of the original, if it is that which is rewritten. */
    enum err err = resolv_text_rewrite(page, &len, now->bytes, now->len, wish);
    if (err == ERR_INVALID)
        return why_fail(w, err, "a search domain for %s has characters that none can have",
                        f->paths->file);
    if (err != ERR_OK)
        return why_fail(w, err, "%s has too many options to add resolvers to it" OTHERWISE,
                        f->paths->file);
    if (changes)
        return change(f, page, len, why, why_size);
    return take(f, now, page, resolv_write_padded(len, now->len), why, why_size);
}

/* The public functions */

void resolv_file_init(struct resolv_file *f, const struct resolv_paths *paths)
{
    *f = (struct resolv_file){.paths = paths, .fd = -1};
}

enum err resolv_file_set(struct resolv_file *f, const struct resolv_text_wish *wish, char *why,
                         unsigned why_size)
{
    struct resolv_text_wish full = *wish;
    struct file_content now = {0};
    enum err err = hold(f, why, why_size);

    if (err != ERR_OK)
        return err;
    err = read_fd(f->fd, f->paths, &now, why, why_size);
    if (err == ERR_OK) {
        char *page = mem_zalloc(RESOLV_PAGE, 1);
        memset(page, '\n', RESOLV_PAGE);
        full.backup = f->paths->backup;
        err = set_from(f, &now, &full, page, why, why_size);
        free(page);
        file_content_wipe(&now);
    }
    if (f->ours_len == 0)
        let_go(f);
    return err;
}

enum err resolv_file_revert(struct resolv_file *f, bool *done, char *why, unsigned why_size)
{
    struct file_content now = {0};

    *done = false;
    if (f->fd < 0)
        return ERR_OK;
    enum err err = hold(f, why, why_size);
    if (err != ERR_OK) /* what another process has there is its own */
        return err != ERR_IN_USE && resolv_file_is_ours(f->paths) ? err : ERR_OK;
    err = read_fd(f->fd, f->paths, &now, why, why_size);
    if (err == ERR_OK) {
        err = make_original(f->fd, f->paths, &now, done, why, why_size);
        file_content_wipe(&now);
    }
    let_go(f);
    return err;
}

/* Whether the file needs recovery: looked at without the right to write it. */
static bool is_left(const struct resolv_paths *paths)
{
    struct file_content now = {0}, original = {0};
    char reason[REASON_MAX];
    bool left = false;

    if (file_read(&now, paths->file, FILE_MAX, reason, sizeof reason) != ERR_OK)
        return false;
    left = resolv_text_is_ours(now.bytes, now.len);
    if (!left && file_read(&original, paths->backup, FILE_MAX, reason, sizeof reason) == ERR_OK) {
        left = resolv_text_is_tailed(now.bytes, now.len, original.bytes, original.len);
        file_content_wipe(&original);
    }
    file_content_wipe(&now);
    return left;
}

enum err resolv_file_recover(const struct resolv_paths *paths, bool *done, char *why,
                             unsigned why_size)
{
    struct file_content now = {0};
    int fd = -1;

    *done = false;
    if (!is_left(paths))
        return ERR_OK;
    enum err err = open_locked(paths, &fd, why, why_size);
    if (err != ERR_OK)
        return err;
    err = read_fd(fd, paths, &now, why, why_size);
    if (err == ERR_OK) {
        err = make_original(fd, paths, &now, done, why, why_size);
        file_content_wipe(&now);
    }
    close(fd);
    return err;
}

bool resolv_file_is_ours(const struct resolv_paths *paths)
{
    struct file_content now = {0};
    char reason[REASON_MAX];

    if (file_read(&now, paths->file, FILE_MAX, reason, sizeof reason) != ERR_OK)
        return false;
    bool ours = resolv_text_is_ours(now.bytes, now.len);
    file_content_wipe(&now);
    return ours;
}

enum err resolv_file_servers(const struct resolv_paths *paths, struct sock_addr out[RESOLVERS_MAX],
                             unsigned *n, char *why, unsigned why_size)
{
    struct file_content original = {0};
    char reason[REASON_MAX];
    const char *path = paths->file;

    *n = 0;
    if (resolv_file_is_ours(paths)) {
        enum err err = read_backup(paths, &original, why, why_size);
        if (err != ERR_OK)
            return err;
        file_content_wipe(&original);
        path = paths->backup;
    }
    enum err err = resolvers_read(out, n, path, reason, sizeof reason);
    if (err != ERR_OK)
        (void)why_fail((struct why){why, why_size}, err, "%s cannot be read: %s", path, reason);
    return err;
}
