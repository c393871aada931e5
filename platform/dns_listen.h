/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS server socket contract: a UDP socket and a TCP listener on one address of a device, which hear only what comes in by that device.
 * The bytes are the caller's business. Control role.
 */
#ifndef FZ_PLATFORM_DNS_LISTEN_H
#define FZ_PLATFORM_DNS_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"

/*
 * A non-blocking, non-inheritable socket on `at`; device: NULL, any. The address need not be usable yet. ERR_IN_USE: another program has the
 * port. ERR_UNSUPPORTED: the host has no such family. On failure no socket is open and `why` is a short phrase.
 */
enum err dns_listen_open(int *fd, const struct sock_addr *at, bool tcp, const char *device,
                         char *why, unsigned why_size) MUST_USE;
void dns_listen_close(int fd);

/* UDP: the next datagram; *len is 0 for one longer than `size`. ERR_AGAIN: there is none. */
enum err dns_listen_receive(int fd, void *bytes, size_t size, size_t *len,
                            struct sock_addr *from) MUST_USE;
/* Best effort, as UDP is. */
void dns_listen_send(int fd, const void *bytes, size_t len, const struct sock_addr *to);
/* TCP: the next connection, for dns_socket.h. ERR_AGAIN: there is none. */
enum err dns_listen_accept(int fd, int *client, struct sock_addr *from) MUST_USE;

#endif
