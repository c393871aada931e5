/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All checks are of the open file, so that nobody can exchange it in between. Opening does not wait, as it would for the
 * other end of a FIFO.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "platform/secret.h"

/* Where systemd puts what LoadCredential= and the like name: in memory, readable by the unit alone. */
#define CREDENTIALS_VARIABLE "CREDENTIALS_DIRECTORY"
#define CREDENTIALS_ROOT     "/run/credentials"

enum {
    MODE_FORBIDDEN = 0177, /* 0600 or 0400 */
    MODE_FORBIDDEN_CREDENTIAL =
        0137 /* 0440 as well: the group bits are the mask of an access list */
};

static bool is_below(const char *path, const char *folder)
{
    size_t len = folder ? strlen(folder) : 0;

    while (len > 1 && folder[len - 1] == '/')
        len--;
    return len > 1 && folder[0] == '/' && strncmp(path, folder, len) == 0 && path[len] == '/';
}

/* Whom such a file belongs to is the service manager's affair, and it may be a link. */
static bool is_credential(const char *path)
{
    if (strstr(path, "/../"))
        return false;
    return is_below(path, CREDENTIALS_ROOT) || is_below(path, getenv(CREDENTIALS_VARIABLE));
}

__attribute__((format(printf, 3, 4))) static enum err refuse(char *why, unsigned why_size,
                                                             const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(why, why_size, fmt, ap);
    va_end(ap);
    return ERR_INVALID;
}

static enum err open_failed(char *why, unsigned why_size)
{
    if (errno == ELOOP)
        return refuse(why, why_size, "it is a symbolic link");
    snprintf(why, why_size, "%s", strerror(errno));
    return errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : err_from_errno(errno);
}

static enum err check(const struct stat *st, bool credential, size_t max, char *why,
                      unsigned why_size)
{
    mode_t mode = st->st_mode & 07777;

    if (!S_ISREG(st->st_mode))
        return refuse(why, why_size, "it is not a regular file");
    if (!credential && st->st_uid != 0)
        return refuse(why, why_size, "its owner must be root, not user %u", st->st_uid);
    if (!credential && st->st_gid != 0)
        return refuse(why, why_size, "its group must be root, not group %u", st->st_gid);
    if ((mode & (credential ? MODE_FORBIDDEN_CREDENTIAL : MODE_FORBIDDEN)) != 0)
        return refuse(why, why_size, "its mode must be 0400 or 0600, not %04o", (unsigned)mode);
    if ((size_t)st->st_size > max)
        return refuse(why, why_size, "it is larger than %zu KiB", max >> 10);
    return ERR_OK;
}

/* It may grow meanwhile. */
static enum err read_all(struct secret *out, int fd, size_t max, char *why, unsigned why_size)
{
    secret_new(out, max + 1);
    for (;;) {
        ssize_t n = read(fd, out->text + out->len, max + 1 - out->len);
        if (n == 0)
            return ERR_OK;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            snprintf(why, why_size, "%s", strerror(errno));
            return err_from_errno(errno);
        }
        out->len += (size_t)n;
        if (out->len > max)
            return refuse(why, why_size, "it is larger than %zu KiB", max >> 10);
    }
}

enum err secret_read_file(struct secret *out, const char *path, size_t max, char *why,
                          unsigned why_size)
{
    bool credential = is_credential(path);
    struct stat st;

    *out = (struct secret){0};
    int fd =
        open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (credential ? 0 : O_NOFOLLOW));
    if (fd < 0)
        return open_failed(why, why_size);
    enum err err = ERR_OK;
    if (fstat(fd, &st) != 0)
        err = refuse(why, why_size, "%s", strerror(errno));
    if (err == ERR_OK)
        err = check(&st, credential, max, why, why_size);
    if (err == ERR_OK)
        err = read_all(out, fd, max, why, why_size);
    close(fd);
    if (err != ERR_OK)
        secret_free(out);
    return err;
}

enum err secret_read_credential(struct secret *out, const char *name, size_t max, char *why,
                                unsigned why_size)
{
    const char *folder = getenv(CREDENTIALS_VARIABLE);
    char path[1024];

    *out = (struct secret){0};
    if (!folder || folder[0] != '/')
        return ERR_NOT_FOUND;
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return refuse(why, why_size, "the name of its folder is too long");
    return secret_read_file(out, path, max, why, why_size);
}
