/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client goes round four states: collecting a request (interest in reading), parsing it (a piece per turn: interest in
 * writing, which is nearly always possible), waiting until it is carried out (no interest; often over at once), and
 * sending the reply (interest in writing, nothing is read). What follows a request in the buffer is the next request and
 * is looked at when the reply is out.
 */
#include "control/uapi_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/uapi.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/local.h"

enum {
    IN_FIRST = 4096,
    OUT_SIZE = 32768,
    LINES_PER_TURN = 2000 /* about 1 ms */
};

struct client {
    struct uapi_server *server; /* NULL: free slot */
    int fd;
    struct loop_timer idle;
    char *in; /* a request in the making */
    size_t in_len, in_size, in_scanned;
    char *out; /* OUT_SIZE bytes; the reply's current piece */
    size_t out_len, out_sent;
    bool replying, getting;      /* getting: `get` has more pieces */
    struct device_status status; /* while getting */
    struct uapi_get get;
    bool parsing; /* a set request: its first request_len bytes */
    size_t request_len;
    struct uapi_set set;
    struct device_update update;  /* while parsing */
    struct uapi_pending *pending; /* being carried out */
};

struct uapi_pending {
    struct client *client; /* NULL: gone */
    bool starting;         /* apply_give has not returned */
};

struct uapi_server {
    struct loop *loop;
    struct uapi_server_ops ops;
    struct local_listener listener;
    struct client clients[UAPI_SERVER_CLIENTS_MAX];
    unsigned clients_n;
    struct loop_timer rest; /* armed: no accepting for a while, since it failed */
};

/* Accepts only while there is a free slot. */
static void listener_update(struct uapi_server *s)
{
    bool open = s->clients_n < UAPI_SERVER_CLIENTS_MAX && !loop_timer_armed(&s->rest);
    if (loop_mod_fd(s->loop, s->listener.fd, open ? LOOP_READ : 0) != ERR_OK)
        log_error("uapi", "cannot watch %s any more", s->listener.path);
}

static void get_end(struct client *c)
{
    if (c->getting)
        device_status_fini(&c->status);
    c->getting = false;
}

static void client_drop(struct client *c)
{
    struct uapi_server *s = c->server;

    loop_timer_clear(s->loop, &c->idle);
    loop_del_fd(s->loop, c->fd);
    local_close(c->fd);
    get_end(c);
    if (c->parsing)
        device_update_fini(&c->update);
    if (c->pending)
        c->pending->client = NULL;
    secure_wipe(c->in, c->in_size);
    secure_wipe(c->out, OUT_SIZE);
    free(c->in);
    free(c->out);
    memset(c, 0, sizeof *c);
    s->clients_n--;
    listener_update(s);
}

static void client_idle(void *arg)
{
    log_debug("uapi", "a client was silent for %d s: dropped", UAPI_SERVER_IDLE_S);
    client_drop(arg);
}

static void client_alive(struct client *c)
{
    struct loop *l = c->server->loop;
    loop_timer_set(l, &c->idle, loop_now(l) + UAPI_SERVER_IDLE_S * NS_PER_SEC);
}

/* Requests */

static void client_watch(struct client *c)
{
    unsigned events = c->pending ? 0 : c->parsing || c->replying ? LOOP_WRITE : LOOP_READ;
    if (loop_mod_fd(c->server->loop, c->fd, events) != ERR_OK)
        client_drop(c);
}

static void reply_short(struct client *c, enum uapi_op op, enum err err)
{
    c->out_len = uapi_reply(c->out, OUT_SIZE, op, err);
    c->replying = true;
}

void uapi_server_applied(struct uapi_pending *pending, enum err err)
{
    struct client *c = pending->client;
    bool starting = pending->starting;

    free(pending);
    if (err != ERR_OK)
        log_warn("uapi", "a set request failed: %s", err_text(err));
    if (!c)
        return;
    c->pending = NULL;
    reply_short(c, UAPI_SET, err);
    client_alive(c);
    if (!starting)
        client_watch(c);
}

/* The first `len` bytes are used up. */
static void in_consume(struct client *c, size_t len)
{
    c->in_len -= len;
    memmove(c->in, c->in + len, c->in_len);
    secure_wipe(c->in + c->in_len, len);
    c->in_scanned = 0;
}

static void set_apply(struct client *c)
{
    struct uapi_server *s = c->server;

    loop_timer_clear(s->loop, &c->idle); /* it is we who are slow */
    c->pending = mem_zalloc(1, sizeof *c->pending);
    *c->pending = (struct uapi_pending){.client = c, .starting = true};
    s->ops.apply_give(s->ops.ctx, &c->update, c->pending);
    if (c->pending)
        c->pending->starting = false;
}

/* The next piece of the request; carries it out after the last. */
static void set_parse(struct client *c)
{
    enum err err = uapi_set_next(&c->set, LINES_PER_TURN);

    if (err == ERR_AGAIN)
        return;
    c->parsing = false;
    in_consume(c, c->request_len);
    if (err == ERR_OK) {
        set_apply(c);
        return;
    }
    log_warn("uapi", "refused a set request: line %u is malformed", c->set.line);
    reply_short(c, UAPI_SET, err);
}

/* The request in the first `len` bytes: its reply is there at once or later. */
static void handle_request(struct client *c, size_t len)
{
    struct uapi_server *s = c->server;

    switch (uapi_request_op(c->in, len)) {
    case UAPI_GET:
        memset(&c->status, 0, sizeof c->status);
        s->ops.status(s->ops.ctx, &c->status);
        uapi_get_init(&c->get, &c->status);
        c->getting = c->replying = true;
        in_consume(c, len);
        break;
    case UAPI_SET:
        uapi_set_init(&c->set, &c->update, c->in, len);
        c->parsing = true;
        c->request_len = len;
        set_parse(c);
        break;
    case UAPI_UNKNOWN:
        reply_short(c, UAPI_UNKNOWN, ERR_INVALID);
        in_consume(c, len);
        break;
    }
}

static void in_grow(struct client *c)
{
    size_t size = c->in_size > 0 ? 2 * c->in_size : IN_FIRST;
    char *bigger = mem_zalloc(size, 1);

    if (c->in) {
        memcpy(bigger, c->in, c->in_len);
        secure_wipe(c->in, c->in_len);
        free(c->in);
    }
    c->in = bigger;
    c->in_size = size;
}

/* Looks for a whole request. False: the client is gone. */
static bool client_scan(struct client *c)
{
    size_t end = uapi_request_end(c->in, c->in_len, c->in_scanned);

    c->in_scanned = c->in_len;
    if (end > 0) {
        handle_request(c, end);
    } else if (c->in_len >= UAPI_REQUEST_MAX) {
        log_warn("uapi", "a request of more than %d MiB: client dropped", UAPI_REQUEST_MAX >> 20);
        client_drop(c);
        return false;
    }
    return true;
}

/* Steps; each moves at most one buffer. False: the client is gone. */

static bool client_receive(struct client *c)
{
    size_t n;

    if (c->in_len == c->in_size)
        in_grow(c);
    enum err err = local_read(c->fd, c->in + c->in_len, c->in_size - c->in_len, &n);
    if (err == ERR_AGAIN)
        return true;
    if (err != ERR_OK) {
        client_drop(c);
        return false;
    }
    client_alive(c);
    c->in_len += n;
    return client_scan(c);
}

/* The piece is out: the next one, or the end of the reply and then perhaps the next request. */
static bool client_next_piece(struct client *c)
{
    secure_wipe(c->out, c->out_len);
    c->out_sent = c->out_len = 0;
    if (c->getting)
        c->out_len = uapi_get_next(&c->get, c->out, OUT_SIZE);
    if (c->out_len > 0)
        return true;
    get_end(c);
    c->replying = false;
    return client_scan(c);
}

static bool client_send(struct client *c)
{
    size_t n;

    if (c->out_sent < c->out_len) {
        enum err err = local_write(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, &n);
        if (err == ERR_AGAIN)
            return true;
        if (err != ERR_OK) {
            client_drop(c);
            return false;
        }
        client_alive(c);
        c->out_sent += n;
    }
    return c->out_sent < c->out_len || client_next_piece(c);
}

static void client_ready(void *arg, unsigned events)
{
    struct client *c = arg;

    (void)events;
    if (c->parsing)
        set_parse(c);
    else if (!(c->replying ? client_send(c) : client_receive(c)))
        return;
    client_watch(c);
}

/* Clients */

static void client_start(struct uapi_server *s, int fd)
{
    struct client *c = s->clients;

    while (c->server)
        c++; /* there is a free one: the listener is deaf otherwise */
    if (loop_add_fd(s->loop, fd, LOOP_READ, client_ready, c) != ERR_OK) {
        local_close(fd);
        return;
    }
    c->server = s;
    c->fd = fd;
    c->out = mem_zalloc(OUT_SIZE, 1);
    in_grow(c);
    loop_timer_init(&c->idle, client_idle, c);
    client_alive(c);
    s->clients_n++;
    listener_update(s);
}

static void listener_rested(void *arg)
{
    listener_update(arg);
}

static void listener_ready(void *arg, unsigned events)
{
    struct uapi_server *s = arg;
    int fd;

    (void)events;
    enum err err = local_accept(&s->listener, &fd);
    if (err == ERR_OK)
        client_start(s, fd);
    if (err == ERR_OK || err == ERR_AGAIN)
        return;
    /* Out of descriptors, most likely: the client waits, and the loop must not spin. */
    log_warn("uapi", "cannot accept a client: %s", err_text(err));
    loop_timer_set(s->loop, &s->rest, loop_now(s->loop) + NS_PER_SEC);
    listener_update(s);
}

enum err uapi_server_new(struct uapi_server **out, struct loop *l, const char *dir,
                         const char *name, const struct uapi_server_ops *ops, char *why,
                         unsigned why_size)
{
    struct uapi_server *s = mem_zalloc(1, sizeof *s);
    char file[64];

    *out = NULL;
    s->loop = l;
    s->ops = *ops;
    loop_timer_init(&s->rest, listener_rested, s);
    snprintf(file, sizeof file, "%s.sock", name);
    enum err err = local_listen(&s->listener, dir, file, why, why_size);
    if (err == ERR_OK) {
        err = loop_add_fd(l, s->listener.fd, LOOP_READ, listener_ready, s);
        if (err != ERR_OK)
            snprintf(why, why_size, "cannot watch %s: %s", s->listener.path, err_text(err));
    }
    if (err != ERR_OK) {
        local_unlisten(&s->listener);
        free(s);
        return err;
    }
    *out = s;
    return ERR_OK;
}

void uapi_server_free(struct uapi_server *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < UAPI_SERVER_CLIENTS_MAX; i++) {
        if (s->clients[i].server)
            client_drop(&s->clients[i]);
    }
    loop_timer_clear(s->loop, &s->rest);
    loop_del_fd(s->loop, s->listener.fd);
    local_unlisten(&s->listener);
    free(s);
}
