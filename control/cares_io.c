/* SPDX-License-Identifier: Apache-2.0 */
/* See cares_io.h. */
#include "control/cares_io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/dns_socket.h"

/* ---- clock and readiness ---- */

/* A millisecond more than c-ares wants, whose clock is another: it must have run out by then. */
void cares_io_arm(struct cares_io *io)
{
    struct timeval left;

    if (ares_timeout(io->channel, NULL, &left))
        loop_timer_set(io->loop, &io->timer,
                       loop_now(io->loop) + (time_ns)left.tv_sec * NS_PER_SEC +
                           (time_ns)left.tv_usec * NS_PER_US + NS_PER_MS);
    else
        loop_timer_clear(io->loop, &io->timer);
}

static void process(struct cares_io *io, const ares_fd_events_t *events, size_t n)
{
    if (ares_process_fds(io->channel, events, n, ARES_PROCESS_FLAG_NONE) != ARES_SUCCESS)
        log_warn("names", "c-ares has run out of memory");
    cares_io_arm(io);
    if (io->after)
        io->after(io->arg);
}

static void on_timer(void *arg)
{
    process(arg, NULL, 0);
}

static void on_ready(void *arg, unsigned events)
{
    const struct cares_socket *s = arg;
    ares_fd_events_t e = {.fd = s->fd};

    if (events & LOOP_READ)
        e.events |= ARES_FD_EVENT_READ;
    if (events & LOOP_WRITE)
        e.events |= ARES_FD_EVENT_WRITE;
    process(s->io, &e, 1);
}

/* ---- sockets, called by c-ares ---- */

static struct cares_socket **find(struct cares_io *io, int fd)
{
    struct cares_socket **at = &io->sockets[(unsigned)fd % CARES_SOCKETS_HASH];

    while (*at && (*at)->fd != fd)
        at = &(*at)->next;
    return at;
}

/* c-ares reads errno and tells "later" from everything else. */
static int failed(enum err err)
{
    errno = err == ERR_AGAIN ? EAGAIN : ECONNREFUSED;
    return -1;
}

static int no_socket(struct cares_io *io, enum err err, const char *why)
{
    char server[SOCK_ADDR_TEXT_MAX] = "a server";

    if (err == ERR_PERMISSION) {
        io->err = err;
        memcpy(io->why, why, sizeof io->why);
    }
    if (io->server)
        sock_addr_format(io->server, server, sizeof server);
    log_debug("names", "%s cannot be asked: %s", server, why);
    return failed(err);
}

/* Where there is one server the socket is connected to it when c-ares gets to see it. */
static ares_socket_t open_socket(int domain, int type, int protocol, void *arg)
{
    struct cares_io *io = arg;
    bool tcp = type == SOCK_STREAM;
    char why[CARES_WHY_MAX] = "";
    enum err err;
    int fd;

    (void)protocol;
    if (io->server)
        err = dns_socket_open(&fd, io->server, tcp, io->egress, why, sizeof why);
    else
        err = dns_socket_new(&fd, domain == AF_INET ? ADDR_V4 : ADDR_V6, tcp, why, sizeof why);
    if (err != ERR_OK)
        return no_socket(io, err, why);
    struct cares_socket *s = mem_zalloc(1, sizeof *s), **at = find(io, fd);
    *s = (struct cares_socket){.io = io, .fd = fd, .tcp = tcp};
    *at = s;
    return fd;
}

static int close_socket(ares_socket_t fd, void *arg)
{
    struct cares_io *io = arg;
    struct cares_socket **at = find(io, fd), *s = *at;

    if (s->watched)
        loop_del_fd(io->loop, fd);
    dns_socket_close(fd);
    *at = s->next;
    free(s);
    return 0;
}

/* The address is kept as the sender of what arrives: a connected socket hears nobody else. */
static int connect_socket(ares_socket_t fd, const struct sockaddr *address, ares_socklen_t len,
                          unsigned flags, void *arg)
{
    struct cares_io *io = arg;
    struct cares_socket *s = *find(io, fd);
    char why[CARES_WHY_MAX] = "";

    (void)flags;
    ASSERT(len <= sizeof s->server_os);
    memcpy(s->server_os, address, len);
    s->server_os_len = len;
    if (io->server)
        return 0;
    enum err err = dns_socket_connect(fd, address, len, s->tcp, io->egress, why, sizeof why);
    return err == ERR_OK ? 0 : no_socket(io, err, why);
}

static ares_ssize_t receive(ares_socket_t fd, void *buffer, size_t size, int flags,
                            struct sockaddr *address, ares_socklen_t *address_len, void *arg)
{
    const struct cares_socket *s = *find(arg, fd);
    size_t n;
    enum err err = dns_socket_recv(fd, buffer, size, &n);

    (void)flags;
    if (err != ERR_OK)
        return failed(err);
    if (address && *address_len >= s->server_os_len) {
        memcpy(address, s->server_os, s->server_os_len);
        *address_len = (ares_socklen_t)s->server_os_len;
    }
    return (ares_ssize_t)n;
}

static ares_ssize_t send_bytes(ares_socket_t fd, const void *bytes, size_t len, int flags,
                               const struct sockaddr *address, ares_socklen_t address_len,
                               void *arg)
{
    size_t n;
    enum err err = dns_socket_send(fd, bytes, len, &n);

    (void)flags;
    (void)address;
    (void)address_len;
    (void)arg;
    return err == ERR_OK ? (ares_ssize_t)n : failed(err);
}

/* No option, TCP Fast Open above all: the query would leave before the connection is known to stand. */
static int set_option(ares_socket_t fd, ares_socket_opt_t option, const void *value,
                      ares_socklen_t size, void *arg)
{
    (void)fd;
    (void)option;
    (void)value;
    (void)size;
    (void)arg;
    errno = ENOSYS;
    return -1;
}

static const struct ares_socket_functions_ex socket_functions = {
    .version = 1,
    .flags = ARES_SOCKFUNC_FLAG_NONBLOCKING,
    .asocket = open_socket,
    .aclose = close_socket,
    .asetsockopt = set_option,
    .aconnect = connect_socket,
    .arecvfrom = receive,
    .asendto = send_bytes,
};

static void watch(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct cares_io *io = arg;
    struct cares_socket *s = *find(io, fd);
    unsigned events = (readable ? LOOP_READ : 0) | (writable ? LOOP_WRITE : 0);
    enum err err = ERR_OK;

    if (events == 0 && s->watched)
        loop_del_fd(io->loop, fd);
    else if (events != 0 && s->watched)
        err = loop_mod_fd(io->loop, fd, events);
    else if (events != 0)
        err = loop_add_fd(io->loop, fd, events, on_ready, s);
    s->watched = events != 0 && err == ERR_OK;
    if (err != ERR_OK)
        log_warn("names", "cannot wait for an answer: %s", err_text(err));
}

/* ---- life ---- */

void cares_io_init(struct cares_io *io, struct loop *l, const struct egress *egress,
                   const struct sock_addr *server, loop_fn after, void *arg)
{
    *io = (struct cares_io){
        .loop = l, .egress = egress, .server = server, .after = after, .arg = arg};
    loop_timer_init(&io->timer, on_timer, io);
}

enum err cares_io_open(struct cares_io *io, const struct ares_options *options, int mask,
                       const char **why)
{
    struct ares_options with = *options;
    ares_channel_t *fresh, *old = io->channel;

    with.sock_state_cb = watch;
    with.sock_state_cb_data = io;
    int status = ares_init_options(&fresh, &with, mask | ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) {
        *why = ares_strerror(status);
        return status == ARES_ENOMEM ? ERR_NO_MEMORY : ERR_INVALID;
    }
    status = (int)ares_set_socket_functions_ex(fresh, &socket_functions, io);
    ASSERT(status == ARES_SUCCESS);
    io->channel = fresh;
    ares_destroy(old);
    cares_io_arm(io);
    return ERR_OK;
}

void cares_io_close(struct cares_io *io)
{
    ares_channel_t *channel = io->channel;

    loop_timer_clear(io->loop, &io->timer);
    io->channel = NULL;
    ares_destroy(channel);
}
