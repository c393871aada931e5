/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/ctl_client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "platform/base/mem.h"
#include "platform/clock.h"
#include "tools/ctl/ctl.h"
#include "tools/ctl/ctl_guard.h"

enum {
    WAIT_MS_MAX = 60000,
    READ_MIN = 65536
};

struct call {
    int fd;
    const char *path;
    time_ns deadline;
    char *why;
    unsigned why_size;
};

static enum err fail(const struct call *c, enum err err, const char *what)
{
    snprintf(c->why, c->why_size, "%s: %s", c->path, what);
    return err;
}

static enum err no_time(const struct call *c)
{
    return fail(c, ERR_TIMEOUT, "no answer in time");
}

/* False: there is none. */
static bool time_left(const struct call *c, time_ns *left)
{
    time_ns now = clock_now();

    *left = now < c->deadline ? c->deadline - now : 0;
    return *left > 0;
}

/* Waits where more clients are there than the server takes, but not for longer than that. */
static bool limit_connect(const struct call *c)
{
    time_ns left;

    if (!time_left(c, &left))
        return false;
    const struct timeval limit = {.tv_sec = (time_t)(left / NS_PER_SEC),
                                  .tv_usec = (suseconds_t)(left % NS_PER_SEC / NS_PER_US) + 1};
    return setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0;
}

static enum err check_server(const struct call *c)
{
    char what[96];
    unsigned uid;

    if (ctl_guard_peer(c->fd, &uid))
        return ERR_OK;
    snprintf(what, sizeof what, "user %u listens there, neither this one nor root", uid);
    return fail(c, ERR_PERMISSION, what);
}

static enum err open_socket(struct call *c)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    if (strlen(c->path) >= sizeof addr.sun_path)
        return fail(c, ERR_INVALID, "too long for the name of a socket");
    memcpy(addr.sun_path, c->path, strlen(c->path) + 1);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return fail(c, ERR_IO, strerror(errno));
    if (!limit_connect(c))
        return no_time(c);
    if (connect(c->fd, (const struct sockaddr *)&addr, sizeof addr) == 0)
        return check_server(c);
    if (errno == EAGAIN)
        return fail(c, ERR_TIMEOUT, "too many clients wait there");
    return fail(c, ERR_UNREACHABLE,
                errno == ENOENT || errno == ECONNREFUSED ? "nobody listens there"
                                                         : strerror(errno));
}

static enum err wait_for(const struct call *c, short events)
{
    struct pollfd p = {.fd = c->fd, .events = events};
    time_ns left;

    /* Also where there is always something to do. */
    while (time_left(c, &left)) {
        int ms = left < WAIT_MS_MAX * NS_PER_MS ? (int)(left / NS_PER_MS) + 1 : WAIT_MS_MAX;
        int n = poll(&p, 1, ms);
        if (n > 0)
            return ERR_OK;
        if (n < 0 && errno != EINTR)
            return fail(c, ERR_IO, strerror(errno));
    }
    return no_time(c);
}

/* A server that takes no more may have answered why. */
static enum err send_line(const struct call *c, const char *line, size_t len)
{
    while (len > 0) {
        enum err err = wait_for(c, POLLOUT);
        if (err != ERR_OK)
            return err;
        ssize_t n = send(c->fd, line, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return ERR_OK;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return fail(c, ERR_CLOSED, strerror(errno));
        if (n > 0) {
            line += n;
            len -= (size_t)n;
        }
    }
    return ERR_OK;
}

static enum err receive_line(const struct call *c, json_t **answer)
{
    size_t len = 0, size = 0;
    char *line = NULL;
    enum err err = ERR_OK;

    while (err == ERR_OK && (len == 0 || line[len - 1] != '\n')) {
        if (len > CTL_ANSWER_MAX) {
            err = fail(c, ERR_NO_SPACE, "the answer is too long");
            break;
        }
        if (size - len < READ_MIN) {
            size = 2 * size + READ_MIN;
            line = mem_check(realloc(line, size));
        }
        err = wait_for(c, POLLIN);
        if (err != ERR_OK)
            break;
        ssize_t n = recv(c->fd, line + len, size - len, MSG_DONTWAIT);
        if (n > 0)
            len += (size_t)n;
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            err = fail(c, ERR_CLOSED, "closed without an answer");
    }
    if (err == ERR_OK) {
        *answer = json_loadb(line, len, 0, NULL);
        if (!*answer)
            err = fail(c, ERR_PARSE, "the answer is not JSON");
    }
    free(line);
    return err;
}

enum err ctl_call(json_t **answer, const char *path, const json_t *command, time_ns timeout,
                  char *why, unsigned why_size)
{
    struct call c = {.fd = -1,
                     .path = path,
                     .deadline = clock_now() + timeout,
                     .why = why,
                     .why_size = why_size};
    char *line = mem_check(json_dumps(command, JSON_COMPACT));
    size_t len = strlen(line);

    *answer = NULL;
    line[len] = '\n'; /* in place of its end */
    enum err err = open_socket(&c);
    if (err == ERR_OK)
        err = send_line(&c, line, len + 1);
    if (err == ERR_OK)
        err = receive_line(&c, answer);
    if (c.fd >= 0)
        close(c.fd);
    free(line);
    return err;
}
