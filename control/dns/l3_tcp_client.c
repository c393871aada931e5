/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A query belongs to its connection until its answer comes. Of those that were too late the answer is still expected, so that it is
 * no reason to end the connection.
 */
#include <stdlib.h>

#include "control/dns/l3_tcp_private.h"
#include "platform/base/mem.h"

#include <lwip/tcp.h>

/* ---- ports that are watched after their connection ---- */

static void forget(struct l3_tcp *t, struct l3_closed *c)
{
    uint16_t port = c->own.port;

    c->own.ip.family = ADDR_NONE;
    t->events->watch(t->arg, port, false);
}

static void remember(struct l3_tcp *t, const struct l3_remote *r)
{
    struct l3_closed *place = &t->closed[0];

    for (unsigned i = 0; i < L3_TCP_CLOSED_MAX && place->own.ip.family != ADDR_NONE; i++) {
        struct l3_closed *c = &t->closed[i];
        if (c->own.ip.family == ADDR_NONE || c->until < place->until)
            place = c;
    }
    if (place->own.ip.family != ADDR_NONE)
        forget(t, place);
    *place =
        (struct l3_closed){.server = r->server, .own = r->own, .until = t->now + L3_TCP_CLOSED_NS};
}

static struct l3_remote *find_port(struct l3_tcp *t, uint16_t port)
{
    for (unsigned i = 0; i < L3_TCP_SERVERS_MAX; i++) {
        if (t->remotes[i].conn.used && t->remotes[i].own.port == port)
            return &t->remotes[i];
    }
    return NULL;
}

static const struct l3_closed *find_closed(const struct l3_tcp *t, uint16_t port)
{
    for (unsigned i = 0; i < L3_TCP_CLOSED_MAX; i++) {
        if (t->closed[i].own.ip.family != ADDR_NONE && t->closed[i].own.port == port)
            return &t->closed[i];
    }
    return NULL;
}

/* ---- queries ---- */

static void free_ask(struct l3_tcp *t, struct l3_remote *r, struct l3_ask *a)
{
    if (!a->late)
        r->waiting--;
    a->older->newer = a->newer;
    a->newer->older = a->older;
    t->asks_n--;
    free(a);
}

static struct l3_ask *find_wire(struct l3_remote *r, uint16_t wire)
{
    for (struct l3_ask *a = r->asks.newer; a != &r->asks; a = a->newer) {
        if (a->wire == wire)
            return a;
    }
    return NULL;
}

static uint64_t *counter_of(struct l3_tcp *t, enum err err)
{
    return err == ERR_UNREACHABLE ? &t->counters.unreachable
           : err == ERR_TIMEOUT   ? &t->counters.timed_out
                                  : &t->counters.closed;
}

/* The connection is over; its queries end so. What is asked meanwhile gets another one. */
static void end(struct l3_tcp *t, struct l3_remote *r, enum err err, bool in_peace)
{
    struct l3_ask *all = NULL, *a;

    while ((a = r->asks.older) != &r->asks) { /* `all` becomes a list, the oldest first */
        a->older->newer = a->newer;
        a->newer->older = a->older;
        a->newer = all;
        all = a;
    }
    r->waiting = 0;
    remember(t, r);
    r->conn.used = false;
    if (in_peace)
        l3_stream_close(&r->conn.stream);
    else
        l3_stream_abort(&r->conn.stream);
    while ((a = all)) {
        uint64_t id = a->id;
        bool late = a->late;
        all = a->newer;
        t->asks_n--;
        free(a);
        if (late)
            continue;
        ++*counter_of(t, err);
        t->events->asked(t->arg, id, err, NULL, 0);
    }
}

/* ---- connections ---- */

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
    struct l3_stream *s = arg;

    (void)pcb;
    (void)err;
    s->connected = true;
    s->changed(s->arg, s);
    return LWIP_ERR_OK;
}

static struct l3_remote *find_server(struct l3_tcp *t, const struct sock_addr *server,
                                     const struct ip_addr *own)
{
    for (unsigned i = 0; i < L3_TCP_SERVERS_MAX; i++) {
        struct l3_remote *r = &t->remotes[i];
        const struct l3_stream *s = &r->conn.stream;
        if (r->conn.used && !r->spent && !s->ended && !s->failed &&
            sock_addr_equal(&r->server, server) && ip_addr_equal(&r->own.ip, own))
            return r;
    }
    return NULL;
}

/* An unused place; or that of the connection without a query that has been so for longest. */
static struct l3_remote *find_place(struct l3_tcp *t)
{
    struct l3_remote *idle = NULL;

    for (unsigned i = 0; i < L3_TCP_SERVERS_MAX; i++) {
        struct l3_remote *r = &t->remotes[i];
        if (!r->conn.used)
            return r;
        if (r->waiting == 0 && (!idle || r->conn.active < idle->conn.active))
            idle = r;
    }
    if (idle)
        end(t, idle, ERR_CLOSED, true);
    return idle;
}

static bool open_connection(struct l3_tcp *t, struct l3_remote *r)
{
    struct tcp_pcb *pcb =
        tcp_new_ip_type(r->own.ip.family == ADDR_V6 ? IPADDR_TYPE_V6 : IPADDR_TYPE_V4);
    ip_addr_t own, server;

    if (!pcb)
        return false;
    tcp_setprio(pcb, TCP_PRIO_MAX); /* not given up for the server's */
    tcp_bind_netif(pcb, &t->tunnel);
    l3_to_lwip(&own, &r->own.ip);
    l3_to_lwip(&server, &r->server.ip);
    l3_stream_open(&r->conn.stream, pcb, l3_tcp_changed, t);
    if (tcp_bind(pcb, &own, r->own.port) == LWIP_ERR_OK &&
        tcp_connect(pcb, &server, r->server.port, on_connected) == LWIP_ERR_OK)
        return true;
    l3_stream_abort(&r->conn.stream);
    return false;
}

static struct l3_remote *connect_to(struct l3_tcp *t, const struct sock_addr *server,
                                    const struct ip_addr *own)
{
    struct l3_remote *r = find_place(t);
    uint16_t port;

    if (!r)
        return NULL;
    do
        port = l3_random_port(&t->random);
    while (find_port(t, port) || find_closed(t, port));
    r->conn.used = true;
    r->conn.owner = L3_OF_REMOTE;
    r->conn.active = t->now;
    r->server = *server;
    r->own = (struct sock_addr){.ip = *own, .port = port};
    r->asks.older = r->asks.newer = &r->asks;
    r->waiting = 0;
    r->spent = false;
    t->events->watch(t->arg, port, true);
    if (open_connection(t, r))
        return r;
    r->conn.used = false;
    t->events->watch(t->arg, port, false);
    return NULL;
}

/* ---- asking ---- */

/* Of all queries that are late the oldest of some connection makes room. */
static bool make_room(struct l3_tcp *t)
{
    for (unsigned i = 0; i < L3_TCP_SERVERS_MAX && t->asks_n == L3_TCP_ASKS_MAX; i++) {
        struct l3_remote *r = &t->remotes[i];
        if (!r->conn.used)
            continue;
        for (struct l3_ask *a = r->asks.newer, *next; a != &r->asks; a = next) {
            next = a->newer;
            if (a->late) {
                free_ask(t, r, a);
                r->spent = true; /* its answer would be one to nothing */
                break;
            }
        }
    }
    return t->asks_n < L3_TCP_ASKS_MAX;
}

static void put_query(struct l3_tcp *t, struct l3_remote *r, struct l3_ask *a, const uint8_t *query,
                      size_t len)
{
    uint8_t *sent = mem_zalloc(len, 1);

    do
        a->wire = (uint16_t)l3_random_draw(&t->random);
    while (find_wire(r, a->wire));
    memcpy(sent, query, len);
    l3_message_set_id(sent, a->wire);
    l3_stream_put(&r->conn.stream, sent, len);
    free(sent);
}

enum err l3_tcp_ask(struct l3_tcp *t, uint64_t id, const struct sock_addr *server,
                    const struct ip_addr *own, const uint8_t *query, size_t len, time_ns now)
{
    l3_tcp_at(t, now);
    if (server->ip.family != own->family || server->port == 0 || len < L3_MESSAGE_MIN ||
        len > L3_MESSAGE_MAX)
        return ERR_INVALID;
    struct l3_remote *r = make_room(t) ? find_server(t, server, own) : NULL;
    if (!r && t->asks_n < L3_TCP_ASKS_MAX)
        r = connect_to(t, server, own);
    if (!r) {
        t->counters.full++;
        return ERR_FULL;
    }
    struct l3_ask *a = mem_zalloc(1, sizeof *a);
    a->id = id;
    a->message = l3_message_id(query);
    a->deadline = now + L3_TCP_TIMEOUT_NS;
    l3_question_init(&a->question, &t->random, query, len);
    put_query(t, r, a, query, len);
    a->newer = &r->asks;
    a->older = r->asks.older;
    a->older->newer = a->newer->older = a;
    r->waiting++;
    t->asks_n++;
    t->counters.asked++;
    l3_tcp_changed(t, &r->conn.stream);
    l3_tcp_settle(t);
    return ERR_OK;
}

/* ---- settling ---- */

/* False: it is no answer to a query of this connection. */
static bool take_answer(struct l3_tcp *t, struct l3_remote *r, uint8_t *message, size_t len)
{
    struct l3_ask *a = len < L3_MESSAGE_MIN ? NULL : find_wire(r, l3_message_id(message));

    if (!a || !l3_question_answered(&a->question, &t->random, message, len))
        return false;
    uint64_t id = a->id;
    bool late = a->late;
    l3_message_set_id(message, a->message);
    free_ask(t, r, a);
    if (late)
        return true;
    t->counters.answered++;
    t->events->asked(t->arg, id, ERR_OK, message, len);
    return true;
}

void l3_client_settle(struct l3_tcp *t, struct l3_remote *r)
{
    struct l3_stream *s = &r->conn.stream;
    uint16_t port = r->own.port;
    uint8_t *message;
    size_t len;

    while (l3_stream_take(s, &message, &len)) {
        if (!take_answer(t, r, message, len)) {
            t->counters.mismatched++;
            end(t, r, ERR_PARSE, false);
            return;
        }
        if (!r->conn.used || r->own.port != port) /* reset by the event */
            return;
    }
    if (s->failed) {
        end(t, r, ERR_CLOSED, false);
        return;
    }
    l3_stream_flush(s);
    l3_stream_give_window(s);
    if (s->ended)
        end(t, r, ERR_CLOSED, r->waiting == 0);
}

/* Queries of a connection are in the order of their deadlines. */
static void expire(struct l3_tcp *t, struct l3_remote *r)
{
    uint16_t port = r->own.port;
    struct l3_ask *a = r->asks.newer;

    while (a != &r->asks && a->deadline <= t->now) {
        if (a->late) {
            a = a->newer;
            continue;
        }
        uint64_t id = a->id;
        a->late = true;
        r->waiting--;
        r->spent = true;
        t->counters.timed_out++;
        t->events->asked(t->arg, id, ERR_TIMEOUT, NULL, 0);
        if (!r->conn.used || r->own.port != port)
            return;
        a = r->asks.newer; /* the event may have asked, for which a late one was given up */
    }
}

static bool is_idle(const struct l3_tcp *t, const struct l3_remote *r)
{
    return r->waiting == 0 && (r->spent || time_since(t->now, r->conn.active) >= L3_TCP_IDLE_NS);
}

void l3_client_tick(struct l3_tcp *t)
{
    for (unsigned i = 0; i < L3_TCP_SERVERS_MAX; i++) {
        struct l3_remote *r = &t->remotes[i];
        if (r->conn.used)
            expire(t, r);
        if (r->conn.used && is_idle(t, r))
            end(t, r, ERR_CLOSED, r->asks.newer == &r->asks);
        else if (r->conn.used)
            l3_stream_flush(&r->conn.stream);
    }
    for (unsigned i = 0; i < L3_TCP_CLOSED_MAX; i++) {
        if (t->closed[i].own.ip.family != ADDR_NONE && t->closed[i].until <= t->now)
            forget(t, &t->closed[i]);
    }
}

time_ns l3_client_poll_timeout(const struct l3_tcp *t)
{
    time_ns next = TIME_NEVER;

    for (unsigned i = 0; i < L3_TCP_CLOSED_MAX; i++) {
        if (t->closed[i].own.ip.family != ADDR_NONE)
            next = time_min(next, t->closed[i].until);
    }
    return next;
}

/* ---- packets ---- */

/* The quoted segment is one that may be under way (RFC 5927 section 4.1). */
static bool quotes_ours(const struct l3_remote *r, const struct icmp_quote *q,
                        const uint8_t *packet, size_t len)
{
    const struct tcp_pcb *pcb = r->conn.stream.pcb;

    if (!sock_addr_equal(&(struct sock_addr){.ip = q->to, .port = q->dst}, &r->server) ||
        !ip_addr_equal(&q->from, &r->own.ip) || !pcb || (size_t)q->l4_at + TCP_OFF_ACK > len)
        return false;
    uint32_t seq = load_be32(packet + q->l4_at + TCP_OFF_SEQ);
    return TCP_SEQ_BETWEEN(seq, pcb->lastack, pcb->snd_nxt);
}

static bool input_icmp(struct l3_tcp *t, const struct ip_view *v, const uint8_t *packet)
{
    struct icmp_quote q;

    if (!l3_packet_icmp(&q, v, packet) || q.proto != IP_PROTO_TCP)
        return false;
    struct l3_remote *r = find_port(t, q.src);
    if (r && quotes_ours(r, &q, packet, v->total_len))
        end(t, r, ERR_UNREACHABLE, false);
    return r || find_closed(t, q.src);
}

static bool input_tcp(struct l3_tcp *t, const struct ip_view *v, const uint8_t *packet)
{
    struct sock_addr from = {.ip = ip_src(packet, v->version), .port = v->src_port};
    struct ip_addr to = ip_dst(packet, v->version);
    const struct l3_remote *r = find_port(t, v->dst_port);
    const struct l3_closed *c = r ? NULL : find_closed(t, v->dst_port);

    if (!r && !c)
        return false;
    if (!sock_addr_equal(&from, r ? &r->server : &c->server) ||
        !ip_addr_equal(&to, r ? &r->own.ip : &c->own.ip))
        t->counters.packets_stray++;
    else
        l3_tcp_give(t, &t->tunnel, v, packet);
    return true;
}

bool l3_tcp_from_tunnel(struct l3_tcp *t, const uint8_t *packet, size_t len, time_ns now)
{
    struct ip_view v;

    ASSERT(!t->settling);
    l3_tcp_at(t, now);
    if (!l3_packet_parse(&v, packet, len)) {
        t->counters.packets_bad++;
        return false;
    }
    bool ours = v.proto == IP_PROTO_TCP ? input_tcp(t, &v, packet) : input_icmp(t, &v, packet);
    l3_tcp_settle(t);
    return ours;
}

/* ---- life ---- */

void l3_tcp_reset(struct l3_tcp *t, time_ns now)
{
    bool used[L3_TCP_SERVERS_MAX];

    l3_tcp_at(t, now);
    for (unsigned i = 0; i < L3_TCP_SERVERS_MAX; i++)
        used[i] = t->remotes[i].conn.used;
    for (unsigned i = 0; i < L3_TCP_SERVERS_MAX; i++) {
        if (used[i] && t->remotes[i].conn.used)
            end(t, &t->remotes[i], ERR_CLOSED, false);
    }
    for (unsigned i = 0; i < L3_TCP_CLOSED_MAX; i++) {
        if (t->closed[i].own.ip.family != ADDR_NONE)
            forget(t, &t->closed[i]);
    }
}

void l3_client_init(struct l3_tcp *t)
{
    for (unsigned i = 0; i < L3_TCP_SERVERS_MAX; i++)
        t->remotes[i].asks.older = t->remotes[i].asks.newer = &t->remotes[i].asks;
}

void l3_client_fini(struct l3_tcp *t)
{
    for (unsigned i = 0; i < L3_TCP_SERVERS_MAX; i++) {
        struct l3_remote *r = &t->remotes[i];
        while (r->asks.newer != &r->asks)
            free_ask(t, r, r->asks.newer);
        if (r->conn.used)
            l3_stream_abort(&r->conn.stream);
    }
}
