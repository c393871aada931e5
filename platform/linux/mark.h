/* SPDX-License-Identifier: Apache-2.0 */
/* The firewall mark that keeps a socket's packets out of the tunnel. Control role. Source: spec/platform.md 5.1. */
#ifndef FZ_LINUX_MARK_H
#define FZ_LINUX_MARK_H

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "platform/linux/why.h"

/* To be called before the socket connects or sends. mark: 0 for none. kind: "TCP" or "UDP", for `why`. */
static inline enum err mark_set(int fd, uint32_t mark, const char *kind, struct why why)
{
    if (mark == 0 || setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark) == 0)
        return ERR_OK;
    int e = errno;
    return why_fail(why, err_from_errno(e),
                    "cannot set the firewall mark 0x%x on a %s socket: %s%s", mark, kind,
                    strerror(e), e == EPERM ? "; run as root or with CAP_NET_ADMIN" : "");
}

#endif
