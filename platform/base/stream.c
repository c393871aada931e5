/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a write waits is a property of the open file, which the shell and other programs share: it must not be changed. So
 * poll says whether there is room. A pipe with some has room for a whole line; a terminal may have less, and is opened again; a
 * socket can be told for each call.
 */
#include "platform/base/stream.h"

#include "platform/base/err.h"

#ifdef _WIN32
#include <io.h>

int stream_open(int fd)
{
    return fd;
}

bool stream_write(int stream, const char *line, size_t n, int wait_ms)
{
    (void)wait_ms;
    return _write(stream, line, (unsigned)n) == (int)n;
}
#else
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int stream_open(int fd)
{
    char path[32];

    if (isatty(fd) != 1)
        return fd;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int own = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    return own >= 0 ? own : fd;
}

static bool has_room(int stream, int wait_ms)
{
    struct pollfd room = {.fd = stream, .events = POLLOUT};
    return poll(&room, 1, wait_ms) == 1 && (room.revents & POLLOUT);
}

bool stream_write(int stream, const char *line, size_t n, int wait_ms)
{
    const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;

    ASSERT(n <= STREAM_LINE_MAX);
    ssize_t sent = send(stream, line, n, flags);
    if (sent < 0 && errno == ENOTSOCK)
        sent = has_room(stream, wait_ms) ? write(stream, line, n) : -1;
    else if (sent < 0 && errno == EAGAIN && has_room(stream, wait_ms))
        sent = send(stream, line, n, flags);
    return sent == (ssize_t)n;
}
#endif
