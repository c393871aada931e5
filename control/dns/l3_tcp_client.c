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

/* at: where its connection has it. */
static struct l3_ask *unlink_ask(struct l3_remote *r, struct l3_ask **at)
{
    struct l3_ask *a = *at;

    *at = a->next;
    if (!*at)
        r->asks_end = at;
    if (!a->late)
        r->waiting--;
    return a;
}

static void free_ask(struct l3_tcp *t, struct l3_ask *a)
{
    t->asks_n--;
    free(a);
}

static struct l3_ask **find_wire(struct l3_remote *r, uint16_t wire)
{
    struct l3_ask **at = &r->asks;

    while (*at && (*at)->wire != wire)
        at = &(*at)->next;
    return *at ? at : NULL;
}

static void put_ask(struct l3_tcp *t, struct l3_remote *r, struct l3_ask *a)
{
    do
        a->wire = (uint16_t)l3_random_draw(&t->random);
    while (find_wire(r, a->wire));
    a->next = NULL;
    *r->asks_end = a;
    r->asks_end = &a->next;
    r->waiting++;
    l3_message_set_id(a->query, a->wire);
    l3_stream_put(&r->conn.stream, a->query, a->len);
    l3_tcp_changed(t, &r->conn.stream);
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

static void over(struct l3_tcp *t, struct l3_remote *r, bool in_peace)
{
    r->conn.used = false;
    if (in_peace)
        l3_stream_close(&r->conn.stream);
    else
        l3_stream_abort(&r->conn.stream);
    remember(t, r);
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
    if (!idle)
        return NULL;
    while (idle->asks) /* late ones */
        free_ask(t, unlink_ask(idle, &idle->asks));
    over(t, idle, true);
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
    r->asks = NULL;
    r->asks_end = &r->asks;
    r->waiting = 0;
    r->answered = r->spent = false;
    t->events->watch(t->arg, port, true);
    if (open_connection(t, r))
        return r;
    r->conn.used = false;
    t->events->watch(t->arg, port, false);
    return NULL;
}

static struct l3_remote *connection_to(struct l3_tcp *t, const struct sock_addr *server,
                                       const struct ip_addr *own)
{
    struct l3_remote *r = find_server(t, server, own);

    return r ? r : connect_to(t, server, own);
}

/* ---- the end of connections ---- */

/* A server may close a connection at any time, also while a query is under way to it (RFC 7766 section 6.2.4). */
static bool retry(struct l3_tcp *t, const struct sock_addr *server, const struct sock_addr *own,
                  struct l3_ask *a)
{
    struct l3_remote *r = a->retried ? NULL : connection_to(t, server, &own->ip);

    if (!r)
        return false;
    a->retried = true;
    t->counters.retried++;
    put_ask(t, r, a);
    return true;
}

/* The connection is over; its queries end so. What is asked meanwhile gets another one. */
static void end(struct l3_tcp *t, struct l3_remote *r, enum err err, bool by_server)
{
    struct sock_addr server = r->server, own = r->own;
    bool again = by_server && r->answered;
    uint64_t *counter = err == ERR_UNREACHABLE ? &t->counters.unreachable : &t->counters.closed;
    struct l3_ask *all = r->asks, *a;

    over(t, r, r->waiting == 0 && !r->asks);
    while ((a = all)) {
        uint64_t id = a->id;
        all = a->next;
        if (!a->late && again && retry(t, &server, &own, a))
            continue;
        bool late = a->late;
        free_ask(t, a);
        if (late)
            continue;
        ++*counter;
        t->events->asked(t->arg, id, err, NULL, 0);
    }
}

/* ---- asking ---- */

/* Of all queries that are late the oldest of some connection makes room. */
static bool make_room(struct l3_tcp *t)
{
    for (unsigned i = 0; i < L3_TCP_SERVERS_MAX && t->asks_n == L3_TCP_ASKS_MAX; i++) {
        struct l3_remote *r = &t->remotes[i];
        struct l3_ask **at = &r->asks;
        if (!r->conn.used)
            continue;
        while (*at && !(*at)->late)
            at = &(*at)->next;
        if (!*at)
            continue;
        free_ask(t, unlink_ask(r, at));
        r->spent = true; /* its answer would be one to nothing */
    }
    return t->asks_n < L3_TCP_ASKS_MAX;
}

enum err l3_tcp_ask(struct l3_tcp *t, uint64_t id, const struct sock_addr *server,
                    const struct ip_addr *own, const uint8_t *query, size_t len, time_ns now)
{
    l3_tcp_at(t, now);
    if (server->ip.family != own->family || server->port == 0 || len < L3_MESSAGE_MIN ||
        len > L3_MESSAGE_MAX)
        return ERR_INVALID;
    struct l3_remote *r = make_room(t) ? connection_to(t, server, own) : NULL;
    if (!r) {
        t->counters.full++;
        return ERR_FULL;
    }
    struct l3_ask *a = mem_zalloc(1, sizeof *a + len);
    a->id = id;
    a->message = l3_message_id(query);
    a->deadline = now + L3_TCP_TIMEOUT_NS;
    l3_question_init(&a->question, &t->random, query, len);
    a->len = (uint32_t)len;
    memcpy(a->query, query, len);
    t->asks_n++;
    t->counters.asked++;
    put_ask(t, r, a);
    l3_tcp_settle(t);
    return ERR_OK;
}

/* ---- settling ---- */

/* False: it is no answer to a query of this connection. */
static bool take_answer(struct l3_tcp *t, struct l3_remote *r, uint8_t *message, size_t len)
{
    struct l3_ask **at = len < L3_MESSAGE_MIN ? NULL : find_wire(r, l3_message_id(message));

    if (!at || !l3_question_answered(&(*at)->question, &t->random, message, len))
        return false;
    struct l3_ask *a = unlink_ask(r, at);
    uint64_t id = a->id;
    bool late = a->late;
    l3_message_set_id(message, a->message);
    free_ask(t, a);
    r->answered = true;
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
    if (s->failed || s->ended) {
        end(t, r, ERR_CLOSED, true);
        return;
    }
    l3_stream_flush(s);
    l3_stream_give_window(s);
}

static struct l3_ask *find_due(const struct l3_tcp *t, const struct l3_remote *r)
{
    struct l3_ask *a = r->asks;

    while (a && (a->late || a->deadline > t->now))
        a = a->next;
    return a;
}

static void expire(struct l3_tcp *t, struct l3_remote *r)
{
    uint16_t port = r->own.port;
    struct l3_ask *a;

    while (r->conn.used && r->own.port == port && (a = find_due(t, r))) {
        a->late = true;
        r->waiting--;
        r->spent = true;
        t->counters.timed_out++;
        t->events->asked(t->arg, a->id, ERR_TIMEOUT, NULL, 0);
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
            end(t, r, ERR_CLOSED, false);
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

void l3_client_fini(struct l3_tcp *t)
{
    for (unsigned i = 0; i < L3_TCP_SERVERS_MAX; i++) {
        struct l3_remote *r = &t->remotes[i];
        if (!r->conn.used)
            continue;
        while (r->asks)
            free_ask(t, unlink_ask(r, &r->asks));
        l3_stream_abort(&r->conn.stream);
    }
}
