/* SPDX-License-Identifier: Apache-2.0 */
/* See gateway_dns.h. */
#include "control/gateway_dns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/gateway_dns_private.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/base/time.h"
#include "platform/dns_listen.h"

#define AVOID_NS (60 * NS_PER_SEC)

enum {
    TURN_MAX = 64, /* datagrams of one turn of the loop */
    REASON_MAX = 128
};

/* ---- resolvers ---- */

static bool is_avoided(const struct gateway_dns *d, unsigned i)
{
    const struct resolver *r = &d->resolvers[i];
    return r->failed_at != TIME_NEVER && time_since(loop_now(d->loop), r->failed_at) < AVOID_NS;
}

/* The first that answers; else the one whose failure is longest ago. There is one. */
static unsigned choose(const struct gateway_dns *d)
{
    unsigned best = 0;

    for (unsigned i = 0; i < d->resolvers_n; i++) {
        if (!is_avoided(d, i))
            return i;
        if (d->resolvers[i].failed_at < d->resolvers[best].failed_at)
            best = i;
    }
    return best;
}

void gateway_dns_set_resolvers(struct gateway_dns *d, const struct sock_addr *resolvers, unsigned n)
{
    struct resolver old[RESOLVERS_MAX];
    unsigned old_n = d->resolvers_n;

    ASSERT(n <= RESOLVERS_MAX);
    memcpy(old, d->resolvers, sizeof old);
    for (unsigned i = 0; i < n; i++) {
        d->resolvers[i] = (struct resolver){.upstream = {.kind = DNS_DO53, .server = resolvers[i]},
                                            .failed_at = TIME_NEVER};
        for (unsigned k = 0; k < old_n; k++) {
            if (sock_addr_equal(&old[k].upstream.server, &resolvers[i]))
                d->resolvers[i].failed_at = old[k].failed_at;
        }
    }
    d->resolvers_n = n;
}

/* ---- queries ---- */

static struct query **place_of(struct gateway_dns *d, uint64_t id)
{
    return &d->queries[id % GATEWAY_DNS_QUERIES_MAX];
}

static bool has_room(const struct gateway_dns *d, const struct sock_addr *client)
{
    unsigned n = 0;

    if (d->queries_n == GATEWAY_DNS_QUERIES_MAX)
        return false;
    for (unsigned i = 0; i < GATEWAY_DNS_QUERIES_MAX && n < d->queries_n; i++)
        n += d->queries[i] && ip_addr_equal(&d->queries[i]->client.ip, &client->ip);
    return n < GATEWAY_DNS_CLIENT_QUERIES_MAX;
}

static void query_free(struct gateway_dns *d, struct query *q)
{
    *place_of(d, q->id) = NULL;
    d->queries_n--;
    if (q->stream)
        q->stream->queries--;
    free(q->bytes);
    free(q);
}

static void send_answer(struct stream *stream, int fd, const struct sock_addr *client,
                        const uint8_t *bytes, size_t len)
{
    if (stream)
        gateway_dns_stream_answer(stream, bytes, len);
    else
        dns_listen_send(fd, bytes, len, client);
}

/* Ends it. answer: NULL, there is none. */
static void finish(struct gateway_dns *d, struct query *q, const uint8_t *answer, size_t len)
{
    if (!answer) {
        d->counts.failed++;
        gateway_dns_fail(&q->reply);
    } else if (!q->stream && len > GATEWAY_DNS_UDP_ANSWER_MAX) {
        d->counts.truncated++;
        gateway_dns_truncate(&q->reply, answer);
        answer = NULL;
    }
    send_answer(q->stream, q->fd, &q->client, answer ? answer : q->reply.bytes,
                answer ? len : q->reply.len);
    query_free(d, q);
}

/* False: no resolver can be asked. */
static bool ask(struct gateway_dns *d, struct query *q)
{
    enum dns_transport t = q->stream ? DNS_TCP : DNS_UDP;

    while (q->tries < d->resolvers_n) {
        q->resolver = choose(d);
        q->tries++;
        struct resolver *r = &d->resolvers[q->resolver];
        if (dns_asker_ask(d->asker, q->id, &r->upstream, t, q->bytes, q->len) == ERR_OK)
            return true;
        r->failed_at = loop_now(d->loop);
    }
    return false;
}

/* The client waits for 10 s: who has not answered for 5 s leaves no time for another one. */
static void on_asked(void *arg, uint64_t id, enum err err, const uint8_t *answer, size_t len)
{
    struct gateway_dns *d = arg;
    struct query *q = *place_of(d, id);

    ASSERT(q && q->id == id);
    if (q->resolver < d->resolvers_n)
        d->resolvers[q->resolver].failed_at = err == ERR_OK ? TIME_NEVER : loop_now(d->loop);
    if (err == ERR_OK)
        finish(d, q, answer, len);
    else if (err == ERR_TIMEOUT || !ask(d, q))
        finish(d, q, NULL, 0);
}

static struct query *query_new(struct gateway_dns *d)
{
    struct query *q = mem_zalloc(1, sizeof *q);

    while (*place_of(d, d->serial))
        d->serial++;
    q->id = d->serial++;
    *place_of(d, q->id) = q;
    d->queries_n++;
    return q;
}

static void begin(struct gateway_dns *d, const struct query *like, const uint8_t *bytes)
{
    struct query *q = query_new(d);
    uint64_t id = q->id;

    *q = *like;
    q->id = id;
    q->bytes = mem_zalloc(q->len, 1);
    memcpy(q->bytes, bytes, q->len);
    if (q->stream)
        q->stream->queries++;
    d->counts.passed_on++;
    if (!ask(d, q))
        finish(d, q, NULL, 0);
}

bool gateway_dns_query(struct gateway_dns *d, struct stream *stream, int fd,
                       const struct sock_addr *client, const uint8_t *bytes, size_t len)
{
    struct query q = {.stream = stream, .fd = fd, .client = *client, .len = len};

    switch (gateway_dns_judge(&q.reply, bytes, len)) {
    case GATEWAY_DNS_DROP:
        d->counts.malformed++;
        return false;
    case GATEWAY_DNS_ANSWER:
        d->counts.refused++;
        send_answer(stream, fd, client, q.reply.bytes, q.reply.len);
        return true;
    case GATEWAY_DNS_PASS:
        break;
    }
    if (!has_room(d, client)) {
        d->counts.over_limit++;
        return false;
    }
    begin(d, &q, bytes);
    return true;
}

static void forget(struct gateway_dns *d, struct query *q)
{
    dns_asker_cancel(d->asker, q->id);
    query_free(d, q);
}

void gateway_dns_forget(struct gateway_dns *d, const struct stream *stream)
{
    for (unsigned i = 0; i < GATEWAY_DNS_QUERIES_MAX && stream->queries > 0; i++) {
        if (d->queries[i] && d->queries[i]->stream == stream)
            forget(d, d->queries[i]);
    }
}

/* ---- sockets ---- */

static void on_datagram(void *arg, unsigned events)
{
    const struct listener *l = arg;
    struct gateway_dns *d = l->d;
    struct sock_addr client = {0};
    size_t len;

    (void)events;
    for (unsigned i = 0; i < TURN_MAX; i++) {
        if (dns_listen_receive(l->fd, d->buffer, sizeof d->buffer, &len, &client) != ERR_OK)
            return;
        (void)gateway_dns_query(d, NULL, l->fd, &client, d->buffer, len);
    }
}

static void close_listener(struct listener *l)
{
    if (l->fd >= 0)
        loop_del_fd(l->d->loop, l->fd);
    dns_listen_close(l->fd);
    l->fd = -1;
}

static void close_all(struct gateway_dns *d)
{
    gateway_dns_streams_close(d);
    for (unsigned i = 0; i < GATEWAY_DNS_QUERIES_MAX; i++) {
        if (d->queries[i])
            forget(d, d->queries[i]);
    }
    for (unsigned i = 0; i < ARRAY_LEN(d->udp); i++) {
        close_listener(&d->udp[i]);
        close_listener(&d->tcp[i]);
    }
}

static enum err open_listener(struct listener *l, const struct sock_addr *at, bool tcp, char *why,
                              unsigned why_size)
{
    char reason[REASON_MAX], text[SOCK_ADDR_TEXT_MAX];
    enum err err = dns_listen_open(&l->fd, at, tcp, l->d->device, reason, sizeof reason);

    if (err == ERR_OK)
        err = loop_add_fd(l->d->loop, l->fd, LOOP_READ, tcp ? gateway_dns_accept : on_datagram, l);
    if (err != ERR_OK)
        snprintf(why, why_size, "the DNS service cannot use %s by %s: %s",
                 sock_addr_format(at, text, sizeof text), tcp ? "TCP" : "UDP",
                 l->fd < 0 ? reason : err_text(err));
    return err;
}

enum err gateway_dns_serve(struct gateway_dns *d, const struct ip_addr *v4,
                           const struct ip_addr *v6, uint16_t port, char *why, unsigned why_size)
{
    const struct ip_addr *addresses[] = {v4, v6};
    unsigned served = 0;

    close_all(d);
    for (unsigned i = 0; i < ARRAY_LEN(addresses); i++) {
        const struct sock_addr at = {.ip = *addresses[i], .port = port};
        enum err err = open_listener(&d->udp[i], &at, false, why, why_size);
        if (err == ERR_OK)
            err = open_listener(&d->tcp[i], &at, true, why, why_size);
        if (err == ERR_UNSUPPORTED)
            continue;
        if (err != ERR_OK) {
            close_all(d);
            return err;
        }
        served++;
    }
    return served > 0 ? ERR_OK : ERR_UNSUPPORTED;
}

/* ---- life ---- */

enum err gateway_dns_new(struct gateway_dns **out, struct loop *l, const char *device,
                         const struct egress *egress, char *why, unsigned why_size)
{
    struct gateway_dns *d = mem_zalloc(1, sizeof *d);
    const struct dns_asker_config config = {.loop = l, .egress = egress};
    enum err err = dns_asker_new(&d->asker, &config, on_asked, d);

    *out = NULL;
    if (err != ERR_OK) {
        snprintf(why, why_size, "the DNS service does not start: %s", err_text(err));
        free(d);
        return err;
    }
    d->loop = l;
    d->device = device;
    for (unsigned i = 0; i < ARRAY_LEN(d->udp); i++)
        d->udp[i] = d->tcp[i] = (struct listener){d, -1};
    *out = d;
    return ERR_OK;
}

void gateway_dns_free(struct gateway_dns *d)
{
    if (!d)
        return;
    close_all(d);
    dns_asker_free(d->asker);
    free(d);
}

void gateway_dns_counts(const struct gateway_dns *d, struct gateway_dns_counts *out)
{
    *out = d->counts;
}
