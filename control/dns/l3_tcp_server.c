/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "control/dns/l3_tcp_private.h"
#include "control/dns/server.h"

#include <lwip/tcp.h>

enum {
    BACKLOG = 64, /* handshakes that go on */
    OUT_PAUSE =
        128 * 1024, /* answers that wait for a connection: no more queries are taken from it */
    OUT_MAX = 1024 * 1024, /* and it is reset */
    OUT_ALL_MAX = 16 * 1024 * 1024
};

/* ---- clients ---- */

static uint64_t token_of(const struct l3_tcp *t, const struct l3_client *c)
{
    return (uint64_t)c->generation << 32 | (uint64_t)(c - t->clients);
}

static struct l3_client *find_client(struct l3_tcp *t, uint64_t token)
{
    uint32_t at = (uint32_t)token;

    if (at >= ARRAY_LEN(t->clients))
        return NULL;
    struct l3_client *c = &t->clients[at];
    return c->conn.used && c->generation == token >> 32 ? c : NULL;
}

static void release(struct l3_tcp *t, struct l3_client *c)
{
    c->conn.used = false;
    t->clients_n--;
}

static void count_out(struct l3_tcp *t, uint32_t before, const struct l3_client *c)
{
    t->out_len += c->conn.stream.out_len - before;
}

static void close_client(struct l3_tcp *t, struct l3_client *c)
{
    t->out_len -= c->conn.stream.out_len;
    l3_stream_close(&c->conn.stream);
    release(t, c);
}

static void abort_client(struct l3_tcp *t, struct l3_client *c)
{
    t->out_len -= c->conn.stream.out_len;
    l3_stream_abort(&c->conn.stream);
    release(t, c);
}

static bool is_busy(const struct l3_client *c)
{
    return c->waiting > 0 || c->conn.stream.out;
}

/* Which of two is closed first: one that waits for nothing, and of those the one that has done so for longest. */
static bool goes_first(const struct l3_client *a, const struct l3_client *b)
{
    if (is_busy(a) != is_busy(b))
        return is_busy(b);
    return a->conn.active < b->conn.active;
}

static void evict(struct l3_tcp *t, const struct l3_client *newest)
{
    struct l3_client *victim = NULL;

    for (size_t i = 0; i < ARRAY_LEN(t->clients); i++) {
        struct l3_client *c = &t->clients[i];
        if (c->conn.used && c != newest && (!victim || goes_first(c, victim)))
            victim = c;
    }
    ASSERT(victim);
    t->counters.evicted++;
    if (is_busy(victim))
        abort_client(t, victim);
    else
        close_client(t, victim);
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct l3_tcp *t = arg;
    size_t i = 0;

    if (err != LWIP_ERR_OK || !pcb)
        return LWIP_ERR_VAL;
    while (i < ARRAY_LEN(t->clients) && t->clients[i].conn.used)
        i++;
    if (i == ARRAY_LEN(t->clients))
        return LWIP_ERR_MEM; /* lwIP resets it */
    struct l3_client *c = &t->clients[i];
    c->conn.used = true;
    c->conn.owner = L3_OF_CLIENT;
    c->generation++;
    c->waiting = 0;
    l3_from_lwip(&c->sentinel, &pcb->local_ip);
    l3_stream_open(&c->conn.stream, pcb, l3_tcp_changed, t);
    c->conn.stream.connected = true;
    t->clients_n++;
    t->counters.accepted++;
    l3_tcp_changed(t, &c->conn.stream);
    return LWIP_ERR_OK;
}

/* ---- settling ---- */

static bool may_take(const struct l3_tcp *t, const struct l3_client *c)
{
    return c->waiting < L3_TCP_PIPELINE_MAX && c->conn.stream.out_len < OUT_PAUSE &&
           t->out_len < OUT_ALL_MAX / 2;
}

/* False: the client is gone. */
static bool take_queries(struct l3_tcp *t, struct l3_client *c)
{
    uint64_t token = token_of(t, c);
    uint8_t *message;
    size_t len;

    while (may_take(t, c) && l3_stream_take(&c->conn.stream, &message, &len)) {
        if (len < L3_MESSAGE_MIN) {
            t->counters.malformed++;
            abort_client(t, c);
            return false;
        }
        c->waiting++;
        t->counters.queries++;
        t->events->query(t->arg, token, &c->sentinel, message, len);
        if (find_client(t, token) != c)
            return false;
    }
    return true;
}

void l3_server_settle(struct l3_tcp *t, struct l3_client *c)
{
    struct l3_stream *s = &c->conn.stream;

    if (t->clients_n > L3_TCP_CLIENTS_MAX)
        evict(t, c);
    if (s->failed) {
        abort_client(t, c);
        return;
    }
    if (!take_queries(t, c))
        return;
    uint32_t before = s->out_len;
    l3_stream_flush(s);
    count_out(t, before, c);
    if (s->failed) /* noticed by what flushed */
        return;
    if (may_take(t, c))
        l3_stream_give_window(s);
    if (s->ended && !is_busy(c))
        close_client(t, c);
}

/* Also those are settled that wait for memory of lwIP's, or for other clients' answers to be sent. */
void l3_server_tick(struct l3_tcp *t)
{
    for (size_t i = 0; i < ARRAY_LEN(t->clients); i++) {
        struct l3_client *c = &t->clients[i];
        if (!c->conn.used)
            continue;
        time_ns idle = time_since(t->now, c->conn.active);
        if (idle >= L3_TCP_SERVE_HUNG_NS ||
            (idle >= L3_TCP_SERVE_IDLE_NS && (c->waiting == 0 || c->conn.stream.out))) {
            t->counters.idle++;
            if (is_busy(c))
                abort_client(t, c);
            else
                close_client(t, c);
        } else if (c->conn.stream.out || c->conn.stream.withheld > 0) {
            time_ns active = c->conn.active;
            l3_tcp_changed(t, &c->conn.stream);
            c->conn.active = active;
        }
    }
}

/* ---- interface ---- */

static bool is_sentinel(const struct l3_tcp *t, const struct ip_addr *a)
{
    for (unsigned i = 0; i < t->sentinels_n; i++) {
        if (ip_addr_equal(&t->sentinels[i], a))
            return true;
    }
    return false;
}

void l3_tcp_set_sentinels(struct l3_tcp *t, const struct ip_addr *list, unsigned n, time_ns now)
{
    ASSERT(n <= L3_TCP_SENTINELS_MAX);
    l3_tcp_at(t, now);
    if (n > 0)
        memcpy(t->sentinels, list, n * sizeof *list);
    t->sentinels_n = n;
    for (size_t i = 0; i < ARRAY_LEN(t->clients); i++) {
        if (t->clients[i].conn.used && !is_sentinel(t, &t->clients[i].sentinel))
            abort_client(t, &t->clients[i]);
    }
    l3_tcp_settle(t);
}

void l3_tcp_from_host(struct l3_tcp *t, const uint8_t *packet, size_t len, time_ns now)
{
    struct ip_view v;

    ASSERT(!t->settling);
    l3_tcp_at(t, now);
    if (!l3_packet_parse(&v, packet, len) || v.proto != IP_PROTO_TCP) {
        t->counters.packets_bad++;
        return;
    }
    struct ip_addr to = ip_dst(packet, v.version), from = ip_src(packet, v.version);
    if (!is_sentinel(t, &to) || is_sentinel(t, &from) || v.dst_port != DNS_PORT) {
        t->counters.packets_stray++;
        return;
    }
    l3_tcp_give(t, &t->host, &v, packet);
    l3_tcp_settle(t);
}

void l3_tcp_answer(struct l3_tcp *t, uint64_t client, const uint8_t *answer, size_t len,
                   time_ns now)
{
    struct l3_client *c = find_client(t, client);

    ASSERT(len <= L3_MESSAGE_MAX);
    l3_tcp_at(t, now);
    if (!c || c->conn.stream.failed) {
        t->counters.answers_lost++;
        return;
    }
    ASSERT(c->waiting > 0);
    c->waiting--;
    if (c->conn.stream.out_len + len > OUT_MAX || t->out_len + len > OUT_ALL_MAX) {
        t->counters.overflowed++;
        abort_client(t, c);
        return;
    }
    uint32_t before = c->conn.stream.out_len;
    l3_stream_put(&c->conn.stream, answer, len);
    count_out(t, before, c);
    t->counters.answers++;
    l3_tcp_changed(t, &c->conn.stream);
    l3_tcp_settle(t);
}

void l3_tcp_refuse(struct l3_tcp *t, uint64_t client, time_ns now)
{
    struct l3_client *c = find_client(t, client);

    l3_tcp_at(t, now);
    if (!c)
        return;
    t->counters.malformed++;
    abort_client(t, c);
}

/* ---- life ---- */

enum err l3_server_init(struct l3_tcp *t)
{
    struct tcp_pcb *pcb = tcp_new_ip_type(IPADDR_TYPE_ANY);

    if (!pcb)
        return ERR_NO_MEMORY;
    tcp_bind_netif(pcb, &t->host);
    if (tcp_bind(pcb, IP_ANY_TYPE, DNS_PORT) == LWIP_ERR_OK)
        t->listener = tcp_listen_with_backlog(pcb, BACKLOG);
    if (!t->listener) {
        tcp_abort(pcb);
        return ERR_NO_MEMORY;
    }
    tcp_arg(t->listener, t);
    tcp_accept(t->listener, on_accept);
    return ERR_OK;
}

void l3_server_fini(struct l3_tcp *t)
{
    for (size_t i = 0; i < ARRAY_LEN(t->clients); i++) {
        if (t->clients[i].conn.used)
            abort_client(t, &t->clients[i]);
    }
    if (t->listener)
        tcp_close(t->listener);
}
