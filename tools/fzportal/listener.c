/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzportal/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/linux/addr_os.h"

enum {
    BACKLOG = 1024,
    ACCEPTS_PER_TURN = 64
};

struct listener {
    struct loop *loop;
    struct sock_addr at;
    int fd; /* -1: closed */
    bool deaf;
    listener_fn accepted;
    void *arg;
    struct loop_timer rest; /* armed: accepting failed, or opening did */
};

static void watch(struct listener *l)
{
    bool hears = !l->deaf && !loop_timer_armed(&l->rest);

    if (l->fd >= 0 && loop_mod_fd(l->loop, l->fd, hears ? LOOP_READ : 0) != ERR_OK)
        log_error("listen", "the event loop has lost a socket");
}

static void on_ready(void *arg, unsigned events)
{
    struct listener *l = arg;
    int one = 1;

    (void)events;
    for (unsigned i = 0; i < ACCEPTS_PER_TURN && l->fd >= 0 && !l->deaf; i++) {
        int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            l->accepted(l->arg, fd);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            log_warn("listen", "cannot accept a connection: %s", strerror(errno));
            loop_timer_set(l->loop, &l->rest, loop_now(l->loop) + NS_PER_SEC);
            watch(l);
        }
        if (errno != ECONNABORTED && errno != EINTR)
            break;
    }
}

static enum err bind_and_listen(int fd, struct sock_addr *at)
{
    union addr_os name;
    socklen_t len = addr_os_to(&name, at);
    int one = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (at->ip.family == ADDR_V6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one) != 0)
        return err_from_errno(errno);
    if (bind(fd, &name.sa, len) != 0 || listen(fd, BACKLOG) != 0)
        return err_from_errno(errno);
    len = sizeof name;
    if (getsockname(fd, &name.sa, &len) != 0)
        return err_from_errno(errno);
    addr_os_from(at, &name);
    return ERR_OK;
}

static enum err open_now(struct listener *l, char *why, unsigned why_size)
{
    char text[SOCK_ADDR_TEXT_MAX];
    int fd = socket(addr_os_family(l->at.ip.family), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    enum err err = fd < 0 ? err_from_errno(errno) : bind_and_listen(fd, &l->at);

    if (err != ERR_OK)
        snprintf(why, why_size, "cannot listen on %s: %s",
                 sock_addr_format(&l->at, text, sizeof text), strerror(errno));
    if (err == ERR_OK) {
        err = loop_add_fd(l->loop, fd, l->deaf ? 0 : LOOP_READ, on_ready, l);
        if (err != ERR_OK)
            snprintf(why, why_size, "cannot watch a socket: %s", err_text(err));
    }
    if (err == ERR_OK)
        l->fd = fd;
    else if (fd >= 0)
        close(fd);
    return err;
}

static void close_now(struct listener *l)
{
    loop_timer_clear(l->loop, &l->rest);
    if (l->fd < 0)
        return;
    loop_del_fd(l->loop, l->fd);
    close(l->fd);
    l->fd = -1;
}

void listener_open(struct listener *l, bool open)
{
    char why[256];

    if (open == (l->fd >= 0))
        return;
    if (!open) {
        close_now(l);
    } else if (open_now(l, why, sizeof why) != ERR_OK) {
        log_error("listen", "%s; trying again", why);
        loop_timer_set(l->loop, &l->rest, loop_now(l->loop) + NS_PER_SEC);
    }
}

static void on_rested(void *arg)
{
    struct listener *l = arg;

    if (l->fd < 0)
        listener_open(l, true);
    else
        watch(l);
}

void listener_set_deaf(struct listener *l, bool deaf)
{
    l->deaf = deaf;
    watch(l);
}

enum err listener_new(struct listener **out, struct loop *loop, const struct sock_addr *at,
                      listener_fn accepted, void *arg, char *why, unsigned why_size)
{
    struct listener *l = mem_zalloc(1, sizeof *l);

    *out = NULL;
    *l = (struct listener){.loop = loop, .at = *at, .fd = -1, .accepted = accepted, .arg = arg};
    loop_timer_init(&l->rest, on_rested, l);
    enum err err = open_now(l, why, why_size);
    if (err != ERR_OK) {
        free(l);
        return err;
    }
    *out = l;
    return ERR_OK;
}

void listener_free(struct listener *l)
{
    if (!l)
        return;
    close_now(l);
    free(l);
}

const struct sock_addr *listener_addr(const struct listener *l)
{
    return &l->at;
}
