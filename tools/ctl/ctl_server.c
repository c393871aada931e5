/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/ctl_server.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/local.h"
#include "tools/ctl/ctl.h"
#include "tools/ctl/ctl_guard.h"

enum {
    READ_MIN = 4096
};

struct client {
    struct ctl_server *server; /* NULL: a free slot */
    int fd;
    char *in; /* a line in the making, and what came behind it */
    size_t in_len, in_size, in_scanned;
    char *out; /* NULL: nothing to send */
    size_t out_len, out_sent;
};

struct ctl_server {
    struct loop *loop;
    struct local_listener listener;
    ctl_fn handle;
    void *arg;
    struct client clients[CTL_CLIENTS_MAX];
    unsigned clients_n;
    struct loop_timer rest; /* armed: accepting failed */
};

static void watch_listener(struct ctl_server *s)
{
    bool open = s->clients_n < CTL_CLIENTS_MAX && !loop_timer_armed(&s->rest);

    if (loop_mod_fd(s->loop, s->listener.fd, open ? LOOP_READ : 0) != ERR_OK)
        log_error("control", "cannot watch %s any more", s->listener.path);
}

static void drop(struct client *c)
{
    struct ctl_server *s = c->server;

    loop_del_fd(s->loop, c->fd);
    local_close(c->fd);
    free(c->in);
    free(c->out);
    memset(c, 0, sizeof *c);
    s->clients_n--;
    watch_listener(s);
}

static void answer(struct client *c, const char *line, size_t len)
{
    struct ctl_server *s = c->server;
    char why[256];
    json_t *command, *reply;

    if (ctl_parse(&command, line, len, why, sizeof why) == ERR_OK) {
        reply = s->handle(s->arg, command);
        json_decref(command);
    } else {
        reply = ctl_error(why);
    }
    c->out = mem_check(json_dumps(reply, JSON_COMPACT));
    json_decref(reply);
    c->out_len = strlen(c->out) + 1;
    c->out[c->out_len - 1] = '\n'; /* in place of its end */
    c->out_sent = 0;
}

/* The next whole line, if there is nothing to send. False: the client is gone. */
static bool take_line(struct client *c)
{
    char *end;

    if (c->out)
        return true;
    end = c->in_len > c->in_scanned ? memchr(c->in + c->in_scanned, '\n', c->in_len - c->in_scanned)
                                    : NULL;
    c->in_scanned = c->in_len;
    if (!end && c->in_len >= CTL_LINE_MAX) {
        log_warn("control", "a line of more than %d bytes: client dropped", CTL_LINE_MAX);
        drop(c);
        return false;
    }
    if (!end)
        return true;
    size_t len = (size_t)(end - c->in);
    answer(c, c->in, len);
    c->in_len -= len + 1;
    c->in_scanned = 0;
    memmove(c->in, end + 1, c->in_len);
    return true;
}

/* False: the client is gone. */
static bool receive(struct client *c)
{
    size_t n;

    if (c->in_size - c->in_len < READ_MIN) {
        c->in_size = 2 * c->in_size + READ_MIN;
        c->in = mem_check(realloc(c->in, c->in_size));
    }
    enum err err = local_read(c->fd, c->in + c->in_len, c->in_size - c->in_len, &n);
    if (err == ERR_AGAIN)
        return true;
    if (err != ERR_OK) {
        drop(c);
        return false;
    }
    c->in_len += n;
    return take_line(c);
}

static bool transmit(struct client *c)
{
    size_t n;
    enum err err = local_write(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, &n);

    if (err == ERR_AGAIN)
        return true;
    if (err != ERR_OK) {
        drop(c);
        return false;
    }
    c->out_sent += n;
    if (c->out_sent < c->out_len)
        return true;
    free(c->out);
    c->out = NULL;
    return take_line(c);
}

static void on_client(void *arg, unsigned events)
{
    struct client *c = arg;

    (void)events;
    if (!(c->out ? transmit(c) : receive(c)))
        return;
    if (loop_mod_fd(c->server->loop, c->fd, c->out ? LOOP_WRITE : LOOP_READ) != ERR_OK)
        drop(c);
}

/* False: told why, as far as it can be told at once, and dropped. */
static bool admit(int fd)
{
    static const char line[] = "{\"ok\":false,\"error\":\"only the process's user and root may "
                               "command it\"}\n";
    unsigned uid;
    size_t n;

    if (ctl_guard_peer(fd, &uid))
        return true;
    log_warn("control", "refused a client of user %u", uid);
    if (local_write(fd, line, sizeof line - 1, &n) != ERR_OK)
        log_debug("control", "it does not know why");
    local_close(fd);
    return false;
}

static void start(struct ctl_server *s, int fd)
{
    struct client *c = s->clients;

    if (!admit(fd))
        return;
    while (c->server)
        c++; /* there is a free one: the listener is deaf otherwise */
    if (loop_add_fd(s->loop, fd, LOOP_READ, on_client, c) != ERR_OK) {
        local_close(fd);
        return;
    }
    c->server = s;
    c->fd = fd;
    s->clients_n++;
    watch_listener(s);
}

static void on_rested(void *arg)
{
    watch_listener(arg);
}

static void on_listener(void *arg, unsigned events)
{
    struct ctl_server *s = arg;
    int fd;

    (void)events;
    enum err err = local_accept(&s->listener, &fd);
    if (err == ERR_OK)
        start(s, fd);
    if (err == ERR_OK || err == ERR_AGAIN)
        return;
    log_warn("control", "cannot accept a client: %s", err_text(err));
    loop_timer_set(s->loop, &s->rest, loop_now(s->loop) + NS_PER_SEC);
    watch_listener(s);
}

static enum err listen_at(struct ctl_server *s, const char *path, char *why, unsigned why_size)
{
    const char *slash = strrchr(path, '/');
    char dir[LOCAL_PATH_MAX];

    if (strlen(path) >= sizeof dir) {
        snprintf(why, why_size, "%s is too long for the name of a socket", path);
        return ERR_INVALID;
    }
    if (slash == path)
        snprintf(dir, sizeof dir, "/");
    else if (slash)
        snprintf(dir, sizeof dir, "%.*s", (int)(slash - path), path);
    else
        snprintf(dir, sizeof dir, ".");
    enum err err = ctl_guard_folder(dir, why, why_size);
    if (err != ERR_OK)
        return err;
    return local_listen(&s->listener, dir, slash ? slash + 1 : path, why, why_size);
}

static void on_hangup(void *arg)
{
    loop_stop(arg);
}

enum err ctl_server_hangup(struct loop *l)
{
    struct sigaction now;

    if (sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler == SIG_IGN)
        return ERR_OK;
    enum err err = loop_add_signal(l, SIGHUP, on_hangup, l);
    return err == ERR_EXISTS ? ERR_OK : err;
}

enum err ctl_server_new(struct ctl_server **out, struct loop *l, const char *path, ctl_fn handle,
                        void *arg, char *why, unsigned why_size)
{
    struct ctl_server *s = mem_zalloc(1, sizeof *s);

    *out = NULL;
    s->loop = l;
    s->handle = handle;
    s->arg = arg;
    s->listener.fd = -1;
    loop_timer_init(&s->rest, on_rested, s);
    enum err err = ctl_server_hangup(l);
    if (err != ERR_OK)
        snprintf(why, why_size, "cannot watch a signal: %s", err_text(err));
    if (err == ERR_OK)
        err = listen_at(s, path, why, why_size);
    if (err == ERR_OK) {
        err = loop_add_fd(l, s->listener.fd, LOOP_READ, on_listener, s);
        if (err != ERR_OK)
            snprintf(why, why_size, "cannot watch %s: %s", path, err_text(err));
    }
    if (err != ERR_OK) {
        local_unlisten(&s->listener);
        free(s);
        return err;
    }
    *out = s;
    return ERR_OK;
}

void ctl_server_free(struct ctl_server *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < CTL_CLIENTS_MAX; i++) {
        if (s->clients[i].server)
            drop(&s->clients[i]);
    }
    loop_timer_clear(s->loop, &s->rest);
    loop_del_fd(s->loop, s->listener.fd);
    local_unlisten(&s->listener);
    free(s);
}
