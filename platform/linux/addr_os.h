/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversion between `struct sock_addr` and the kernel's socket addresses. Inline, because the I/O backends convert
 * per datagram. Any thread.
 */
#ifndef FZ_LINUX_ADDR_OS_H
#define FZ_LINUX_ADDR_OS_H

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "platform/base/addr.h"
#include "platform/base/bytes.h"

/* Room for either family; `sa` is what system calls take. */
union addr_os {
    struct sockaddr sa;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
};

/* AF_INET, AF_INET6, or AF_UNSPEC for ADDR_NONE. */
static inline int addr_os_family(unsigned family)
{
    return family == ADDR_V4 ? AF_INET : family == ADDR_V6 ? AF_INET6 : AF_UNSPEC;
}

/* Fills *out and returns the length to pass along; 0 (and AF_UNSPEC) for ADDR_NONE. */
static inline socklen_t addr_os_to(union addr_os *out, const struct sock_addr *a)
{
    if (a->ip.family == ADDR_V4) {
        out->in =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_port = __builtin_bswap16(a->port)};
        memcpy(&out->in.sin_addr, a->ip.bytes, 4);
        return sizeof out->in;
    }
    if (a->ip.family == ADDR_V6) {
        out->in6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
                                         .sin6_port = __builtin_bswap16(a->port),
                                         .sin6_scope_id = a->scope};
        memcpy(&out->in6.sin6_addr, a->ip.bytes, 16);
        return sizeof out->in6;
    }
    out->sa.sa_family = AF_UNSPEC;
    return 0;
}

/* Fills *out from an address the kernel wrote; another family gives ADDR_NONE. */
static inline void addr_os_from(struct sock_addr *out, const union addr_os *in)
{
    memset(out, 0, sizeof *out);
    if (in->sa.sa_family == AF_INET) {
        out->ip.family = ADDR_V4;
        memcpy(out->ip.bytes, &in->in.sin_addr, 4);
        out->port = __builtin_bswap16(in->in.sin_port);
    } else if (in->sa.sa_family == AF_INET6) {
        out->ip.family = ADDR_V6;
        memcpy(out->ip.bytes, &in->in6.sin6_addr, 16);
        out->port = __builtin_bswap16(in->in6.sin6_port);
        out->scope = in->in6.sin6_scope_id;
    }
}

#endif
