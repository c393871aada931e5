/* SPDX-License-Identifier: Apache-2.0 */
#include "control/lws_loop.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"

enum {
    FDS_MAX = 64,
    WAIT_MAX_MS = 1 << 30,
    FORCED_MAX = 16 /* in a row without a descriptor that was ready: then a millisecond of rest */
};

struct lws_loop_fd {
    struct lws_loop *owner;
    int fd; /* -1: free */
    unsigned events;
};

struct lws_loop {
    struct loop *loop;
    struct lws_context *context;
    struct loop_timer timer;
    unsigned forced;
    struct lws_loop_fd fds[FDS_MAX];
};

static struct lws_loop *of_wsi(struct lws *wsi)
{
    return *(struct lws_loop **)lws_evlib_wsi_to_evlib_pt(wsi);
}

static struct lws_loop_fd *find(struct lws_loop *s, int fd)
{
    for (unsigned i = 0; i < FDS_MAX; i++) {
        if (s->fds[i].fd == fd)
            return &s->fds[i];
    }
    return NULL;
}

/* When it wants to be called next, whatever happens to descriptors. */
static void arm(struct lws_loop *s)
{
    int wait = lws_service_adjust_timeout(s->context, WAIT_MAX_MS, 0);

    if (wait == 0 && s->forced++ >= FORCED_MAX)
        wait = 1;
    if (wait == WAIT_MAX_MS)
        loop_timer_clear(s->loop, &s->timer);
    else
        loop_timer_set(s->loop, &s->timer, loop_now(s->loop) + (time_ns)wait * NS_PER_MS);
}

static void on_timer(void *arg)
{
    struct lws_loop *s = arg;
    lws_service_tsi(s->context, -1, 0); /* what it has buffered */
    arm(s);
}

static void on_ready(void *arg, unsigned events)
{
    struct lws_loop_fd *f = arg;
    struct lws_loop *s = f->owner;
    struct lws_pollfd p = {.fd = f->fd};

    if (f->events & LOOP_READ)
        p.events |= POLLIN;
    if (f->events & LOOP_WRITE)
        p.events |= POLLOUT;
    if (events & LOOP_READ)
        p.revents |= POLLIN;
    if (events & LOOP_WRITE)
        p.revents |= POLLOUT;
    s->forced = 0;
    lws_service_fd(s->context, &p);
    arm(s);
}

/* ---- what libwebsockets calls ---- */

static int init_pt(struct lws_context *context, void *loop, int tsi)
{
    *(struct lws_loop **)lws_evlib_tsi_to_evlib_pt(context, tsi) = loop;
    return 0;
}

static int add_fd(struct lws *wsi)
{
    struct lws_loop *s = of_wsi(wsi);
    struct lws_loop_fd *f = find(s, -1);
    int fd = lws_get_socket_fd(wsi);

    if (!f || loop_add_fd(s->loop, fd, LOOP_READ, on_ready, f) != ERR_OK)
        return 1;
    f->fd = fd;
    f->events = LOOP_READ;
    return 0;
}

static void change_events(struct lws *wsi, unsigned flags)
{
    struct lws_loop *s = of_wsi(wsi);
    struct lws_loop_fd *f = find(s, lws_get_socket_fd(wsi));
    unsigned events =
        (flags & LWS_EV_READ ? LOOP_READ : 0) | (flags & LWS_EV_WRITE ? LOOP_WRITE : 0);

    if (!f || f->fd < 0)
        return;
    f->events = flags & LWS_EV_START ? f->events | events : f->events & ~events;
    if (loop_mod_fd(s->loop, f->fd, f->events) != ERR_OK)
        log_error("portal", "the event loop has lost a socket");
}

static int remove_fd(struct lws *wsi)
{
    struct lws_loop *s = of_wsi(wsi);
    int fd = lws_get_socket_fd(wsi);
    struct lws_loop_fd *f = fd >= 0 ? find(s, fd) : NULL;

    if (f) {
        loop_del_fd(s->loop, fd);
        f->fd = -1;
    }
    return 0;
}

static const struct lws_event_loop_ops event_ops = {
    .name = "control",
    .init_pt = init_pt,
    .init_vhost_listen_wsi = add_fd,
    .sock_accept = add_fd,
    .io = change_events,
    .wsi_logical_close = remove_fd,
    .evlib_size_pt = sizeof(struct lws_loop *),
};

static const lws_plugin_evlib_t event_lib = {
    .hdr = {"control event loop", "lws_evlib_plugin", LWS_BUILD_HASH, LWS_PLUGIN_API_MAGIC},
    .ops = &event_ops,
};

/* ---- life ---- */

enum err lws_loop_new(struct lws_loop **out, struct loop *l, const struct lws_protocols *protocols,
                      const char *ca_file, void *user)
{
    struct lws_loop *s = calloc(1, sizeof *s);
    void *loops[1] = {s};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .event_lib_custom = &event_lib,
        .foreign_loops = loops,
        .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
        .client_ssl_ca_filepath = ca_file,
        .user = user,
    };

    *out = NULL;
    if (!s)
        return ERR_NO_MEMORY;
    s->loop = l;
    for (unsigned i = 0; i < FDS_MAX; i++)
        s->fds[i] = (struct lws_loop_fd){.owner = s, .fd = -1};
    loop_timer_init(&s->timer, on_timer, s);
    s->context = lws_create_context(&info);
    if (!s->context) {
        free(s);
        return ERR_IO;
    }
    arm(s);
    *out = s;
    return ERR_OK;
}

void lws_loop_free(struct lws_loop *s)
{
    if (!s)
        return;
    lws_context_destroy(s->context);
    loop_timer_clear(s->loop, &s->timer);
    free(s);
}

struct lws_context *lws_loop_context(struct lws_loop *s)
{
    return s->context;
}

void lws_loop_kick(struct lws_loop *s)
{
    s->forced = 0;
    arm(s);
}

enum err lws_loop_replace(struct lws_loop *s, int fd, int connected)
{
    struct lws_loop_fd *f = find(s, fd);

    ASSERT(f && fd >= 0);
    loop_del_fd(s->loop, fd); /* epoll knows files, not numbers */
    if (dup3(connected, fd, O_CLOEXEC) < 0) {
        close(connected);
        return ERR_IO;
    }
    close(connected);
    return loop_add_fd(s->loop, fd, f->events, on_ready, f);
}
