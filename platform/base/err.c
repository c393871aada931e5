/* SPDX-License-Identifier: Apache-2.0 */
/* Error texts and the conversion of errno values. */
#include "platform/base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

const char *err_text(enum err e)
{
    switch (e) {
#define X(name, text)                                                                              \
    case ERR_##name:                                                                               \
        return text;
        ERR_LIST(X)
#undef X
    }
    return "unknown error";
}

enum err err_from_errno(int errno_value)
{
    switch (errno_value) {
    case 0:
        return ERR_OK;
    case EINVAL:
        return ERR_INVALID;
    case ENOENT:
    case ENODEV:
    case ENXIO:
    case ESRCH:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    case EBUSY:
    case EADDRINUSE:
        return ERR_IN_USE;
    case EPERM:
    case EACCES:
        return ERR_PERMISSION;
    case ENOSYS:
    case EOPNOTSUPP:
    case EAFNOSUPPORT:
        return ERR_UNSUPPORTED;
    case ENOMEM:
        return ERR_NO_MEMORY;
    case ENOSPC:
        return ERR_NO_SPACE;
    case ENOBUFS:
        return ERR_FULL;
    case EAGAIN:
        return ERR_AGAIN;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
        return ERR_UNREACHABLE;
    case EPIPE:
    case EBADF:
        return ERR_CLOSED;
    default:
        return ERR_IO;
    }
}

void assert_failed(const char *cond, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, cond);
    abort();
}
