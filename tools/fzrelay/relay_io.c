/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzrelay/relay_io.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/clock.h"

enum {
    PORTS = 65536,
    ROUNDS_MAX = 4, /* of receiving, before others have their turn */
    WHY_MAX = 256
};

/* A socket; port 0: it faces clients. */
struct watch {
    struct relay_io *io;
    int fd; /* -1: closed */
    uint16_t port;
};

struct pair {
    struct watch v4, v6;
};

struct relay_io {
    struct loop *loop;
    struct relay_server *relay;
    struct inbox *in;
    struct outbox *out;
    struct pair clients;
    struct pair **ports; /* by number; NULL: never used */
    struct sock_addr listen4, listen6;
    struct loop_timer timer;
    time_ns now;
    int64_t unix_s;
};

static struct watch *watch_of(struct pair *p, unsigned family)
{
    return family == ADDR_V4 ? &p->v4 : &p->v6;
}

static void close_watch(struct watch *w)
{
    if (w->fd < 0)
        return;
    loop_del_fd(w->io->loop, w->fd);
    close(w->fd);
    w->fd = -1;
}

static void on_socket(void *arg, unsigned events);

static enum err open_watch(struct relay_io *s, struct watch *w, const struct sock_addr *at,
                           uint16_t port, char *why, unsigned why_size)
{
    enum err err;

    w->io = s;
    w->port = port;
    err = udp_batch_open(&w->fd, at, why, why_size);
    if (err != ERR_OK)
        return err;
    err = loop_add_fd(s->loop, w->fd, LOOP_READ, on_socket, w);
    if (err == ERR_OK)
        return ERR_OK;
    snprintf(why, why_size, "cannot watch a socket: %s", err_text(err));
    close(w->fd);
    w->fd = -1;
    return err;
}

/* ---- the ports of allocations ---- */

static struct pair *pair_of_port(struct relay_io *s, uint16_t port)
{
    struct pair **p = &s->ports[port];

    if (!*p) {
        *p = mem_zalloc(1, sizeof **p);
        (*p)->v4.fd = (*p)->v6.fd = -1;
    }
    return *p;
}

static void close_port(struct relay_io *s, uint16_t port)
{
    struct pair *p = pair_of_port(s, port);

    outbox_flush(s->out); /* what it has still to send */
    close_watch(&p->v4);
    close_watch(&p->v6);
}

/* If it cannot be opened, *reply becomes what says so. */
static void open_port(struct relay_io *s, const struct relay_port *port,
                      struct relay_datagram *reply)
{
    struct pair *p = pair_of_port(s, port->port);
    struct sock_addr v4 = s->listen4, v6 = s->listen6;
    char why[WHY_MAX];
    enum err err = ERR_OK;

    v4.port = v6.port = port->port;
    if (port->families & RELAY_V4)
        err = open_watch(s, &p->v4, &v4, port->port, why, sizeof why);
    if (err == ERR_OK && port->families & RELAY_V6)
        err = open_watch(s, &p->v6, &v6, port->port, why, sizeof why);
    if (err == ERR_OK)
        return;
    log_warn("relay", "no allocation: %s", why);
    close_port(s, port->port);
    if (!relay_port_failed(s->relay, port->port, reply))
        log_debug("relay", "nobody waits for it");
}

/* reply: what is about to be sent. */
static void serve_ports(struct relay_io *s, struct relay_datagram *reply)
{
    struct relay_port p;

    while (relay_poll_port(s->relay, &p)) {
        log_debug("relay", "port %u %s", p.port, p.open ? "opened" : "closed");
        if (p.open)
            open_port(s, &p, reply);
        else
            close_port(s, p.port);
    }
}

void relay_io_settle(struct relay_io *s)
{
    struct relay_datagram none;

    serve_ports(s, &none);
    loop_timer_set(s->loop, &s->timer, relay_poll_timeout(s->relay));
}

static void on_timer(void *arg)
{
    struct relay_io *s = arg;

    relay_handle_timeout(s->relay, clock_now());
    relay_io_settle(s);
}

/* ---- datagrams ---- */

static void send_out(struct relay_io *s, const struct relay_datagram *d)
{
    struct pair *p = d->port ? s->ports[d->port] : &s->clients;
    const struct watch *w = p ? watch_of(p, d->to.ip.family) : NULL;

    if (w && w->fd >= 0)
        outbox_add(s->out, w->fd, &d->to, d->header, d->header_len, d->bytes, d->len);
}

static void handle_one(struct relay_io *s, uint16_t port, const struct sock_addr *from,
                       const uint8_t *bytes, size_t len)
{
    struct relay_datagram d;
    enum relay_verdict v;

    v = port ? relay_handle_peer(s->relay, s->now, port, from, bytes, len, &d)
             : relay_handle_client(s->relay, s->now, s->unix_s, from, bytes, len, &d);
    serve_ports(s, &d);
    if (v > RELAY_TO_CLIENT)
        return;
    send_out(s, &d);
    if (v == RELAY_REPLY) /* its bytes are the relay's */
        outbox_flush(s->out);
}

static void handle_item(struct relay_io *s, uint16_t port, const struct inbox_item *item)
{
    size_t at = 0;

    do {
        size_t len = size_min(item->segment, item->len - at);
        handle_one(s, port, &item->from, item->bytes + at, len);
        at += len;
    } while (at < item->len);
}

static void read_clocks(struct relay_io *s)
{
    uint64_t seconds;
    uint32_t nanoseconds;

    s->now = clock_now();
    clock_wall(&seconds, &nanoseconds);
    s->unix_s = (int64_t)seconds;
}

static void on_socket(void *arg, unsigned events)
{
    struct watch *w = arg;
    struct relay_io *s = w->io;
    struct inbox_item item;

    (void)events;
    for (unsigned round = 0; round < ROUNDS_MAX && w->fd >= 0; round++) {
        unsigned n = inbox_receive(s->in, w->fd);
        read_clocks(s);
        for (unsigned i = 0; i < n; i++) {
            if (inbox_get(s->in, i, &item))
                handle_item(s, w->port, &item);
        }
        outbox_flush(s->out);
        if (!inbox_was_full(s->in))
            break;
    }
    loop_timer_set(s->loop, &s->timer, relay_poll_timeout(s->relay));
}

/* ---- life ---- */

static enum err listen_at(struct relay_io *s, struct watch *w, const struct sock_addr *at,
                          char *why, unsigned why_size)
{
    if (at->ip.family == ADDR_NONE)
        return ERR_OK;
    return open_watch(s, w, at, 0, why, why_size);
}

enum err relay_io_new(struct relay_io **out, struct loop *l, const struct relay_io_options *o,
                      char *why, unsigned why_size)
{
    struct relay_io *s = mem_zalloc(1, sizeof *s);
    enum err err;

    *out = NULL;
    s->loop = l;
    s->listen4 = o->listen4;
    s->listen6 = o->listen6;
    s->clients.v4.fd = s->clients.v6.fd = -1;
    s->ports = mem_zalloc(PORTS, sizeof(struct pair *));
    s->in = inbox_new();
    s->out = outbox_new(o->gso);
    loop_timer_init(&s->timer, on_timer, s);
    err = relay_new(&s->relay, &o->relay);
    if (err != ERR_OK)
        snprintf(why, why_size, "no relay can be made of these options");
    if (err == ERR_OK)
        err = listen_at(s, &s->clients.v4, &s->listen4, why, why_size);
    if (err == ERR_OK)
        err = listen_at(s, &s->clients.v6, &s->listen6, why, why_size);
    if (err != ERR_OK) {
        relay_io_free(s);
        return err;
    }
    *out = s;
    return ERR_OK;
}

void relay_io_free(struct relay_io *s)
{
    if (!s)
        return;
    loop_timer_clear(s->loop, &s->timer);
    for (unsigned i = 0; i < PORTS; i++) {
        if (!s->ports[i])
            continue;
        close_watch(&s->ports[i]->v4);
        close_watch(&s->ports[i]->v6);
        free(s->ports[i]);
    }
    close_watch(&s->clients.v4);
    close_watch(&s->clients.v6);
    free(s->ports);
    inbox_free(s->in);
    outbox_free(s->out);
    relay_free(s->relay);
    free(s);
}

struct relay_server *relay_io_relay(struct relay_io *s)
{
    return s->relay;
}

bool relay_io_listens(const struct relay_io *s, enum addr_family family, struct sock_addr *out)
{
    const struct watch *w = family == ADDR_V4 ? &s->clients.v4 : &s->clients.v6;

    return w->fd >= 0 && udp_batch_bound(w->fd, out) == ERR_OK;
}

const struct inbox_stats *relay_io_received(const struct relay_io *s)
{
    return inbox_stats(s->in);
}

const struct outbox_stats *relay_io_sent(const struct relay_io *s)
{
    return outbox_stats(s->out);
}
