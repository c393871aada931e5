/* SPDX-License-Identifier: Apache-2.0 */
/* The connections of gateway_dns.h. Answers go out as they come, in any order: RFC 7766 6.2.1.1. */
#include <stdlib.h>
#include <string.h>

#include "control/gateway_dns_private.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/base/time.h"
#include "platform/dns_listen.h"
#include "platform/dns_socket.h"

#define IDLE_NS (GATEWAY_DNS_IDLE_S * NS_PER_SEC)

enum {
    TURN_MAX = 64, /* messages of one turn of the loop */
    LENGTH_LEN = 2
};

static void close_stream(struct stream *s)
{
    struct gateway_dns *d = s->d;

    gateway_dns_forget(d, s);
    loop_timer_clear(d->loop, &s->idle);
    loop_del_fd(d->loop, s->fd);
    dns_socket_close(s->fd);
    reply_stream_next(&s->in);
    free(s->out);
    if (s->next)
        s->next->link = s->link;
    *s->link = s->next;
    d->streams_n--;
    free(s);
}

static void busy(struct stream *s)
{
    loop_timer_set(s->d->loop, &s->idle, loop_now(s->d->loop) + IDLE_NS);
}

static void on_idle(void *arg)
{
    struct stream *s = arg;

    if (s->queries > 0) /* they have an end of their own */
        busy(s);
    else
        close_stream(s);
}

static void want(struct stream *s, unsigned events)
{
    enum err err = loop_mod_fd(s->d->loop, s->fd, events);
    ASSERT(err == ERR_OK); /* it is in the loop for as long as it exists */
}

static bool may_read(const struct stream *s)
{
    return !s->eof && !s->out && s->queries < GATEWAY_DNS_STREAM_QUERIES_MAX;
}

/* Sends what it can. False: the connection is broken. */
static bool flush(struct stream *s)
{
    while (s->out && s->out_sent < s->out_len) {
        size_t sent;
        enum err err =
            dns_socket_send(s->fd, s->out + s->out_sent, s->out_len - s->out_sent, &sent);
        if (err == ERR_AGAIN)
            return true;
        if (err != ERR_OK)
            return false;
        s->out_sent += sent;
        busy(s);
    }
    free(s->out);
    s->out = NULL;
    s->out_len = s->out_sent = 0;
    return true;
}

void gateway_dns_stream_answer(struct stream *s, const uint8_t *bytes, size_t len)
{
    size_t left = s->out_len - s->out_sent;
    uint8_t *out = mem_zalloc(left + LENGTH_LEN + len, 1);

    if (left > 0)
        memcpy(out, s->out + s->out_sent, left);
    store_be16(out + left, (uint16_t)len);
    memcpy(out + left + LENGTH_LEN, bytes, len);
    free(s->out);
    s->out = out;
    s->out_len = left + LENGTH_LEN + len;
    s->out_sent = 0;
    /* The rest is done when it is writable: who calls may be reading from it. */
    want(s, LOOP_WRITE);
}

/* Reads until nothing is there, or no more is wanted. False: the connection is to be closed. */
static bool receive(struct stream *s)
{
    for (unsigned i = 0; i < TURN_MAX && may_read(s); i++) {
        uint8_t *at;
        size_t room, n;
        reply_stream_room(&s->in, &at, &room);
        enum err err = dns_socket_recv(s->fd, at, room, &n);
        if (err == ERR_AGAIN)
            return true;
        if (err != ERR_OK)
            return false;
        s->eof = n == 0;
        if (s->eof)
            return true;
        busy(s);
        if (!reply_stream_took(&s->in, n))
            continue;
        bool ok = gateway_dns_query(s->d, s, -1, &s->client, s->in.message, s->in.len);
        reply_stream_next(&s->in);
        if (!ok)
            return false;
    }
    return true;
}

static void on_stream(void *arg, unsigned events)
{
    struct stream *s = arg;
    bool ok = flush(s) && receive(s) && flush(s);

    (void)events;
    if (!ok || (s->eof && s->queries == 0 && !s->out)) {
        close_stream(s);
        return;
    }
    want(s, (may_read(s) ? LOOP_READ : 0u) | (s->out ? LOOP_WRITE : 0u));
}

static bool too_many(const struct gateway_dns *d, const struct sock_addr *client)
{
    unsigned n = 0;

    for (const struct stream *s = d->streams; s; s = s->next)
        n += ip_addr_equal(&s->client.ip, &client->ip);
    return d->streams_n >= GATEWAY_DNS_STREAMS_MAX || n >= GATEWAY_DNS_CLIENT_STREAMS_MAX;
}

static void open_stream(struct gateway_dns *d, int fd, const struct sock_addr *client)
{
    struct stream *s = mem_zalloc(1, sizeof *s);

    *s = (struct stream){
        .next = d->streams, .link = &d->streams, .d = d, .fd = fd, .client = *client};
    if (s->next)
        s->next->link = &s->next;
    d->streams = s;
    d->streams_n++;
    loop_timer_init(&s->idle, on_idle, s);
    busy(s);
    if (loop_add_fd(d->loop, fd, LOOP_READ, on_stream, s) != ERR_OK)
        close_stream(s);
}

void gateway_dns_accept(void *arg, unsigned events)
{
    const struct listener *l = arg;
    struct gateway_dns *d = l->d;
    struct sock_addr client;
    int fd;

    (void)events;
    for (unsigned i = 0; i < TURN_MAX && dns_listen_accept(l->fd, &fd, &client) == ERR_OK; i++) {
        if (too_many(d, &client)) {
            d->counts.over_limit++;
            dns_socket_close(fd);
        } else
            open_stream(d, fd, &client);
    }
}

void gateway_dns_streams_close(struct gateway_dns *d)
{
    for (struct stream *s = d->streams, *next; s; s = next) {
        next = s->next;
        close_stream(s);
    }
}
