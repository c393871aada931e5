/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP contract: connections of the client itself, which must never go through its own tunnel. Control role.
 * Source: spec/platform.md 5.1 and 5.6.
 */
#ifndef FZ_PLATFORM_TCP_H
#define FZ_PLATFORM_TCP_H

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/egress.h"

/*
 * Begins to connect a non-blocking, non-inheritable socket without Nagle's delay to `to`; it is writable when that has
 * ended, and tcp_connected then says how. egress: applied before anything is sent; NULL: nothing is. On failure no socket
 * is open and `why` is a short phrase. ERR_PERMISSION: it cannot be kept out of the tunnel. This will not get better.
 */
enum err tcp_connect(int *fd, const struct sock_addr *to, const struct egress *egress, char *why,
                     unsigned why_size) MUST_USE;

/* ERR_OK: it is connected. ERR_AGAIN: not yet. Otherwise it failed, with a short phrase in `why`. */
enum err tcp_connected(int fd, char *why, unsigned why_size) MUST_USE;

/* The address of ours that a connection has; of ADDR_NONE: it has none. */
struct sock_addr tcp_local(int fd);

void tcp_close(int fd);

#endif
