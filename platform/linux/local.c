/* SPDX-License-Identifier: Apache-2.0 */
/* AF_UNIX stream sockets. */
#include "platform/local.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    LISTEN_BACKLOG = 16
};

static enum err failed(char *why, unsigned why_size, const char *what, const char *path)
{
    int error = errno;
    snprintf(why, why_size, "cannot %s %s: %s", what, path, strerror(error));
    return err_from_errno(error);
}

static enum err refuse(char *why, unsigned why_size, const char *path, const char *what)
{
    snprintf(why, why_size, "%s %s", path, what);
    return ERR_IN_USE;
}

static int local_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Removes a socket whose process is gone. ERR_IN_USE: it is not, or this is no socket. */
static enum err remove_stale(const struct sockaddr_un *addr, char *why, unsigned why_size)
{
    struct stat st;

    if (lstat(addr->sun_path, &st) != 0)
        return errno == ENOENT ? ERR_OK : failed(why, why_size, "inspect", addr->sun_path);
    if (!S_ISSOCK(st.st_mode))
        return refuse(why, why_size, addr->sun_path, "exists and is not a socket; remove it");
    int fd = local_socket();
    if (fd < 0)
        return failed(why, why_size, "create a socket for", addr->sun_path);
    bool stale = connect(fd, (const struct sockaddr *)addr, sizeof *addr) != 0 &&
                 (errno == ECONNREFUSED || errno == ENOENT);
    close(fd);
    if (!stale)
        return refuse(why, why_size, addr->sun_path, "is served by another process");
    if (unlink(addr->sun_path) != 0 && errno != ENOENT)
        return failed(why, why_size, "replace", addr->sun_path);
    return ERR_OK;
}

enum err local_listen(struct local_listener *l, const char *dir, const char *file, char *why,
                      unsigned why_size)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct stat st = {0};

    l->fd = -1;
    int n = snprintf(addr.sun_path, sizeof addr.sun_path, "%s/%s", dir, file);
    if (n < 0 || (size_t)n >= sizeof addr.sun_path || (size_t)n >= sizeof l->path) {
        snprintf(why, why_size, "%s/%s is too long for the name of a socket", dir, file);
        return ERR_INVALID;
    }
    memcpy(l->path, addr.sun_path, (size_t)n + 1);
    if (mkdir(dir, 0755) != 0 && errno != EEXIST)
        return failed(why, why_size, "create the folder", dir);
    enum err err = remove_stale(&addr, why, why_size);
    if (err != ERR_OK)
        return err;
    int fd = local_socket();
    /* The mode of the descriptor becomes that of the name: no moment in which others may connect. */
    if (fd < 0 || fchmod(fd, 0600) != 0 || bind(fd, (struct sockaddr *)&addr, sizeof addr) != 0) {
        err = failed(why, why_size, "create", l->path);
    } else if (listen(fd, LISTEN_BACKLOG) != 0 || stat(l->path, &st) != 0) {
        err = failed(why, why_size, "listen on", l->path);
        (void)unlink(l->path);
    }
    if (err != ERR_OK && fd >= 0)
        close(fd);
    if (err == ERR_OK) {
        l->fd = fd;
        l->device = st.st_dev;
        l->inode = st.st_ino;
    }
    return err;
}

void local_unlisten(struct local_listener *l)
{
    struct stat st;

    if (l->fd < 0)
        return;
    close(l->fd);
    l->fd = -1;
    if (lstat(l->path, &st) == 0 && st.st_dev == l->device && st.st_ino == l->inode)
        (void)unlink(l->path);
}

enum err local_accept(const struct local_listener *l, int *fd)
{
    *fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (*fd >= 0)
        return ERR_OK;
    return errno == ECONNABORTED || errno == EINTR ? ERR_AGAIN : err_from_errno(errno);
}

void local_close(int fd)
{
    close(fd);
}

static enum err moved(ssize_t result, size_t *n)
{
    *n = result > 0 ? (size_t)result : 0;
    if (result > 0)
        return ERR_OK;
    if (result == 0)
        return ERR_CLOSED;
    return errno == EAGAIN || errno == EINTR ? ERR_AGAIN : ERR_CLOSED;
}

enum err local_read(int fd, void *buf, size_t size, size_t *n)
{
    return moved(recv(fd, buf, size, 0), n);
}

enum err local_write(int fd, const void *buf, size_t size, size_t *n)
{
    return moved(send(fd, buf, size, MSG_NOSIGNAL), n);
}
