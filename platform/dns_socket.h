/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS socket contract: a UDP or TCP socket to one DNS server, which must never be reached through the own tunnel. The bytes
 * are the caller's business. Control role. Source: spec/platform.md 5.1 and 5.8.
 */
#ifndef FZ_PLATFORM_DNS_SOCKET_H
#define FZ_PLATFORM_DNS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/egress.h"

/*
 * A non-blocking, non-inheritable socket to `server`, from which alone it receives: UDP is connected, TCP begins to and is
 * writable when that has ended. egress: applied before anything is sent; NULL: nothing is. On failure no socket is open and `why` is a short phrase.
 * ERR_PERMISSION: it cannot be kept out of the tunnel. This will not get better.
 */
enum err dns_socket_open(int *fd, const struct sock_addr *server, bool tcp,
                         const struct egress *egress, char *why, unsigned why_size) MUST_USE;
void dns_socket_close(int fd);

/*
 * The same in two steps, for a resolver that says which server it is when there is a socket. server_os: its address as the system's calls
 * take it. On failure of the second step the socket is still open, and of no use.
 */
enum err dns_socket_new(int *fd, enum addr_family family, bool tcp, char *why,
                        unsigned why_size) MUST_USE;
enum err dns_socket_connect(int fd, const void *server_os, size_t server_os_len, bool tcp,
                            const struct egress *egress, char *why, unsigned why_size) MUST_USE;

/* ERR_OK, ERR_AGAIN, or the connection is broken. TCP may send a part. */
enum err dns_socket_send(int fd, const void *bytes, size_t len, size_t *sent) MUST_USE;
/* UDP: one datagram, cut to `size`. TCP: 0 bytes at the end. */
enum err dns_socket_recv(int fd, void *bytes, size_t size, size_t *len) MUST_USE;

#endif
