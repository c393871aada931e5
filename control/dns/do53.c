/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns/do53.h"

#include "control/dns/reply.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/dns_socket.h"
#include "platform/tcp.h"

enum {
    WHY_MAX = 128,
    RECEIVES_PER_TURN = 16 /* others want to be served, too */
};

struct do53 {
    struct loop *loop;
    struct sock_addr server;
    int fd;
    bool tcp, connected;
    struct loop_timer timer;
    time_ns deadline;
    uint8_t *framed; /* the query behind its length */
    size_t framed_len, sent;
    struct reply_stream stream;
    do53_done done;
    void *arg;
};

static const uint8_t *query_of(const struct do53 *q, size_t *len)
{
    *len = q->framed_len - 2;
    return q->framed + 2;
}

void do53_cancel(struct do53 *q)
{
    if (!q)
        return;
    loop_timer_clear(q->loop, &q->timer);
    if (q->fd >= 0) {
        loop_del_fd(q->loop, q->fd);
        dns_socket_close(q->fd);
    }
    reply_stream_next(&q->stream);
    free(q->framed);
    free(q);
}

static void finish(struct do53 *q, enum err err, const uint8_t *answer, size_t len)
{
    do53_done done = q->done;
    void *arg = q->arg;

    do53_cancel(q);
    done(arg, err, answer, len);
}

static void fail(struct do53 *q, enum err err, const char *why)
{
    char server[SOCK_ADDR_TEXT_MAX];

    log_debug("dns", "%s, %s: %s", sock_addr_format(&q->server, server, sizeof server),
              q->tcp ? "TCP" : "UDP", why);
    finish(q, err, NULL, 0);
}

static bool answers(const struct do53 *q, const uint8_t *bytes, size_t len)
{
    size_t query_len;
    const uint8_t *query = query_of(q, &query_len);

    return reply_matches(query, query_len, bytes, len);
}

/* ---- UDP ---- */

/* A full buffer is as good as a datagram that gets lost. */
static enum err send_datagram(struct do53 *q)
{
    size_t len, sent;
    const uint8_t *query = query_of(q, &len);
    enum err err = dns_socket_send(q->fd, query, len, &sent);

    return err == ERR_AGAIN ? ERR_OK : err;
}

/* ERR_AGAIN: no answer yet. */
static enum err receive_datagrams(struct do53 *q, uint8_t *bytes, size_t *len)
{
    for (unsigned i = 0; i < RECEIVES_PER_TURN; i++) {
        enum err err = dns_socket_recv(q->fd, bytes, DNS_MESSAGE_MAX, len);
        if (err != ERR_OK || answers(q, bytes, *len))
            return err;
    }
    return ERR_AGAIN;
}

static void on_datagram(void *arg, unsigned events)
{
    struct do53 *q = arg;
    uint8_t *bytes = mem_check(malloc(DNS_MESSAGE_MAX));
    size_t len = 0;
    enum err err = receive_datagrams(q, bytes, &len);

    (void)events;
    if (err == ERR_OK)
        finish(q, ERR_OK, bytes, len);
    else if (err != ERR_AGAIN)
        fail(q, err, err_text(err));
    free(bytes);
}

/* ---- TCP ---- */

/* ERR_AGAIN: it is not connected yet, or not everything has gone out. */
static enum err send_stream(struct do53 *q, char *why, unsigned why_size)
{
    if (!q->connected) {
        enum err err = tcp_connected(q->fd, why, why_size);
        if (err != ERR_OK)
            return err;
        q->connected = true;
    }
    while (q->sent < q->framed_len) {
        size_t n;
        enum err err = dns_socket_send(q->fd, q->framed + q->sent, q->framed_len - q->sent, &n);
        if (err != ERR_OK)
            return err;
        q->sent += n;
    }
    return loop_mod_fd(q->loop, q->fd, LOOP_READ);
}

/* ERR_OK: the answer is in q->stream. ERR_AGAIN: it is not there yet. */
static enum err receive_stream(struct do53 *q)
{
    for (unsigned i = 0; i < RECEIVES_PER_TURN; i++) {
        uint8_t *at;
        size_t room, n;

        reply_stream_room(&q->stream, &at, &room);
        enum err err = dns_socket_recv(q->fd, at, room, &n);
        if (err != ERR_OK)
            return err;
        if (n == 0)
            return ERR_CLOSED;
        if (!reply_stream_took(&q->stream, n))
            continue;
        if (answers(q, q->stream.message, q->stream.len))
            return ERR_OK;
        reply_stream_next(&q->stream);
    }
    return ERR_AGAIN;
}

static void on_stream(void *arg, unsigned events)
{
    struct do53 *q = arg;
    char why[WHY_MAX] = "";
    bool sending = q->sent < q->framed_len;
    enum err err = sending ? send_stream(q, why, sizeof why) : receive_stream(q);

    (void)events;
    if (err == ERR_AGAIN || (sending && err == ERR_OK))
        return;
    if (err != ERR_OK) {
        fail(q, err, why[0] != '\0' ? why : err_text(err));
        return;
    }
    /* It outlives the query for the call. */
    struct reply_stream stream = q->stream;
    q->stream = (struct reply_stream){0};
    finish(q, ERR_OK, stream.message, stream.len);
    reply_stream_next(&stream);
}

/* ---- life ---- */

static void on_timer(void *arg)
{
    struct do53 *q = arg;

    if (loop_now(q->loop) >= q->deadline) {
        fail(q, ERR_TIMEOUT, "no answer");
        return;
    }
    enum err err = send_datagram(q);
    if (err == ERR_OK)
        loop_timer_set(q->loop, &q->timer, q->deadline);
    else
        fail(q, err, err_text(err));
}

static enum err begin(struct do53 *q, const struct egress *egress)
{
    char why[WHY_MAX] = "", server[SOCK_ADDR_TEXT_MAX];
    time_ns now = loop_now(q->loop);
    enum err err = dns_socket_open(&q->fd, &q->server, q->tcp, egress, why, sizeof why);

    if (err == ERR_OK && !q->tcp)
        err = send_datagram(q);
    if (err == ERR_OK)
        err = loop_add_fd(q->loop, q->fd, q->tcp ? LOOP_WRITE : LOOP_READ,
                          q->tcp ? on_stream : on_datagram, q);
    q->deadline = now + DO53_TOTAL_MS * NS_PER_MS;
    loop_timer_set(q->loop, &q->timer, q->tcp ? q->deadline : now + DO53_REPEAT_MS * NS_PER_MS);
    if (err != ERR_OK)
        log_debug("dns", "%s: %s", sock_addr_format(&q->server, server, sizeof server),
                  why[0] != '\0' ? why : err_text(err));
    return err;
}

enum err do53_start(struct do53 **out, struct loop *l, const struct egress *egress,
                    const struct do53_request *r, do53_done done, void *arg)
{
    struct do53 *q = mem_zalloc(1, sizeof *q);

    ASSERT(r->len > DNS_HEADER_LEN && r->len <= DNS_MESSAGE_MAX);
    *q = (struct do53){.loop = l,
                       .server = *r->server,
                       .fd = -1,
                       .tcp = r->transport == DNS_TCP,
                       .framed_len = r->len + 2,
                       .done = done,
                       .arg = arg};
    q->framed = mem_zalloc(q->framed_len, 1);
    store_be16(q->framed, (uint16_t)r->len);
    memcpy(q->framed + 2, r->query, r->len);
    loop_timer_init(&q->timer, on_timer, q);
    enum err err = begin(q, egress);
    *out = err == ERR_OK ? q : NULL;
    if (err != ERR_OK)
        do53_cancel(q);
    return err;
}
