/* SPDX-License-Identifier: Apache-2.0 */
/*
 * c-ares on the control thread's loop: its clock, and its sockets, which are kept out of the tunnel (egress.h). What is asked, and
 * what the answers mean, is the user's business. Control role. Source: spec/platform.md 5.7 and 5.8.
 */
#ifndef FZ_CONTROL_CARES_IO_H
#define FZ_CONTROL_CARES_IO_H

#include <ares.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/egress.h"
#include "platform/loop.h"

enum {
    CARES_SOCKETS_HASH = 16, /* lists of sockets, by descriptor */
    CARES_SERVER_OS_MAX = 64,
    CARES_WHY_MAX = 128
};

struct cares_socket {
    struct cares_io *io;
    int fd;
    bool tcp, watched;
    uint8_t server_os[CARES_SERVER_OS_MAX]; /* as c-ares calls it, a struct sockaddr */
    size_t server_os_len;
    struct cares_socket *next;
};

struct cares_io {
    struct loop *loop;
    const struct egress *egress;
    const struct sock_addr *server;
    loop_fn after;
    void *arg;
    ares_channel_t *channel; /* NULL: there is none */
    struct loop_timer timer;
    struct cares_socket *sockets[CARES_SOCKETS_HASH];
    enum err err; /* ERR_PERMISSION: a socket could not be kept out of the tunnel, see `why` */
    char why[CARES_WHY_MAX];
};

/*
 * egress: NULL: none. server: where all sockets lead, whatever c-ares takes for its server; NULL: where c-ares wants. Both are borrowed.
 * after(arg): called from the loop when answers may have come; it may close all of this, and free it. NULL: nobody is called.
 */
void cares_io_init(struct cares_io *io, struct loop *l, const struct egress *egress,
                   const struct sock_addr *server, loop_fn after, void *arg);

/*
 * A channel with these options (and mask, of ARES_OPT_*) in place of the one that was, whose questions are given up once it is there. On
 * failure all stays as it was: ERR_NO_MEMORY or ERR_INVALID, and *why is c-ares' text.
 */
enum err cares_io_open(struct cares_io *io, const struct ares_options *options, int mask,
                       const char **why) MUST_USE;
/* Whatever is under way is given up. Without a channel: nothing. */
void cares_io_close(struct cares_io *io);

/* To be called after each question: c-ares' clock may run for it. */
void cares_io_arm(struct cares_io *io);

#endif
