/* SPDX-License-Identifier: Apache-2.0 */
#include "control/lws_loop.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/wiped.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"

enum {
    FDS_MAX = 65536,
    WAIT_MAX_MS = 1 << 30,
    FORCED_MAX = 16 /* in a row without a descriptor that was ready: then a millisecond of rest */
};

struct lws_loop_fd {
    struct lws_loop *owner;
    const struct lws *wsi;
    int fd;
    unsigned events;
};

struct lws_loop {
    struct loop *loop;
    struct lws_context *context;
    struct loop_timer timer;
    unsigned forced;
    struct lws_loop_fd **fds; /* by descriptor; NULL: not ours */
    int fds_n;
};

static struct lws_loop *of_wsi(struct lws *wsi)
{
    return *(struct lws_loop **)lws_evlib_wsi_to_evlib_pt(wsi);
}

static struct lws_loop_fd *find(const struct lws_loop *s, int fd)
{
    return fd >= 0 && fd < s->fds_n ? s->fds[fd] : NULL;
}

/* NULL: no memory, or more descriptors than the process should have. */
static struct lws_loop_fd *add(struct lws_loop *s, const struct lws *wsi, int fd)
{
    struct lws_loop_fd *f;

    if (fd < 0 || fd >= FDS_MAX)
        return NULL;
    if (fd >= s->fds_n) {
        int n = fd < 32 ? 64 : 2 * fd;
        struct lws_loop_fd **grown = realloc(s->fds, (size_t)n * sizeof *grown);
        if (!grown)
            return NULL;
        memset(grown + s->fds_n, 0, (size_t)(n - s->fds_n) * sizeof *grown);
        s->fds = grown;
        s->fds_n = n;
    }
    ASSERT(!s->fds[fd]);
    f = calloc(1, sizeof *f);
    if (f)
        *f = (struct lws_loop_fd){.owner = s, .wsi = wsi, .fd = fd, .events = LOOP_READ};
    s->fds[fd] = f;
    return f;
}

static void drop(struct lws_loop *s, struct lws_loop_fd *f)
{
    s->fds[f->fd] = NULL;
    free(f);
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
    int fd = lws_get_socket_fd(wsi);
    struct lws_loop_fd *f = add(s, wsi, fd);

    if (!f)
        return 1;
    if (loop_add_fd(s->loop, fd, f->events, on_ready, f) == ERR_OK)
        return 0;
    drop(s, f);
    return 1;
}

static void change_events(struct lws *wsi, unsigned flags)
{
    struct lws_loop *s = of_wsi(wsi);
    struct lws_loop_fd *f = find(s, lws_get_socket_fd(wsi));
    unsigned events =
        (flags & LWS_EV_READ ? LOOP_READ : 0) | (flags & LWS_EV_WRITE ? LOOP_WRITE : 0);

    if (!f)
        return;
    f->events = flags & LWS_EV_START ? f->events | events : f->events & ~events;
    if (loop_mod_fd(s->loop, f->fd, f->events) != ERR_OK)
        log_error("portal", "the event loop has lost a socket");
}

static int remove_fd(struct lws *wsi)
{
    struct lws_loop *s = of_wsi(wsi);
    int fd = lws_get_socket_fd(wsi);
    struct lws_loop_fd *f = find(s, fd);

    if (f) {
        loop_del_fd(s->loop, fd);
        drop(s, f);
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

/* Its own log: what matters of it comes as a reason of a callback. */
static void emit(int level, const char *line)
{
    size_t len = strcspn(line, "\n");
    (void)level;
    log_debug("websockets", "%.*s", (int)len, line);
}

/* The token and keys go through its buffers. */
static void *reallocate(void *block, size_t size, const char *what)
{
    (void)what;
    return wiped_realloc(block, size);
}

/* ---- life ---- */

enum err lws_loop_new(struct lws_loop **out, struct loop *l,
                      const struct lws_context_creation_info *wanted)
{
    struct lws_loop *s = calloc(1, sizeof *s);
    void *loops[1] = {s};
    struct lws_context_creation_info info = *wanted;

    *out = NULL;
    if (!s)
        return ERR_NO_MEMORY;
    lws_set_log_level(LLL_ERR | LLL_WARN, emit);
    lws_set_allocator(reallocate);
    info.event_lib_custom = &event_lib;
    info.foreign_loops = loops;
    info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    s->loop = l;
    loop_timer_init(&s->timer, on_timer, s);
    s->context = lws_create_context(&info);
    if (!s->context) {
        free(s->fds);
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
    for (int i = 0; i < s->fds_n; i++)
        free(s->fds[i]);
    free(s->fds);
    free(s);
}

struct lws_context *lws_loop_context(struct lws_loop *s)
{
    return s->context;
}

/* Not at once: asking libwebsockets for its next timeout serves those that are due, with their callbacks. */
void lws_loop_kick(struct lws_loop *s)
{
    s->forced = 0;
    loop_timer_set(s->loop, &s->timer, loop_now(s->loop));
}

void lws_loop_forget(struct lws_loop *s, const struct lws *wsi)
{
    for (int i = 0; i < s->fds_n; i++) {
        if (s->fds[i] && s->fds[i]->wsi == wsi) {
            loop_del_fd(s->loop, i);
            drop(s, s->fds[i]);
        }
    }
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
