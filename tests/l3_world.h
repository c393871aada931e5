/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A world for DNS over TCP without sockets: both sides of one l3_tcp, client and server, at the ends of a link with delay, loss and
 * reordering. Its clock goes from event to event. The server answers with what world_answer makes of a query.
 * Include once per program.
 */
#ifndef FZ_TESTS_L3_WORLD_H
#define FZ_TESTS_L3_WORLD_H

#include "control/dns/l3_packet.h"
#include "control/dns/l3_tcp.h"
#include "control/dns/server.h"
#include "platform/base/mem.h"
#include "tests/support/inner_packet.h"

#define WORLD_START (1000 * NS_PER_SEC)

enum {
    WORLD_PACKETS = 4096,
    WORLD_QUERIES = 4096,
    WORLD_ASKS = 4096
};

struct world_packet {
    time_ns at; /* 0: free */
    uint64_t order;
    bool to_host;
    uint32_t len;
    uint8_t bytes[L3_MTU];
};

/* A query that the server has. */
struct world_query {
    time_ns at; /* 0: free */
    uint64_t client;
    size_t len;
    uint8_t *bytes;
};

/* What became of a query of the client. */
struct world_ask {
    unsigned ends;
    enum err err;
    size_t len;
    uint32_t sum; /* of the answer */
    uint16_t message;
};

struct world {
    struct l3_tcp *t;
    time_ns now;
    uint64_t random, order;
    unsigned loss_percent;
    time_ns delay, jitter;               /* of a packet */
    time_ns answer_after, answer_jitter; /* TIME_NEVER: not at all */
    size_t answer_len;                   /* 0: as long as the query */
    bool wrong_id, wrong_name, refuse;
    bool cut; /* packets to the client are lost */
    struct world_packet packets[WORLD_PACKETS];
    struct world_query queries[WORLD_QUERIES];
    struct world_ask asks[WORLD_ASKS];
    unsigned ends, queries_n, queries_seen, watched, to_host, to_tunnel;
    int watches[65536];
    struct world_packet last_to_host, last_to_tunnel;
};

static inline uint32_t world_draw(struct world *w, uint32_t below)
{
    w->random = w->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(w->random >> 33) % below;
}

static inline uint32_t world_sum(const uint8_t *p, size_t len)
{
    uint32_t sum = 2166136261u;
    for (size_t i = 2; i < len; i++) /* without the id */
        sum = (sum ^ p[i]) * 16777619u;
    return sum;
}

static inline void world_send(struct world *w, bool to_host, const uint8_t *packet, uint32_t len)
{
    struct world_packet *last = to_host ? &w->last_to_host : &w->last_to_tunnel;

    ASSERT(len <= sizeof last->bytes);
    last->len = len;
    memcpy(last->bytes, packet, len);
    if ((w->cut && to_host) || world_draw(w, 100) < w->loss_percent)
        return;
    for (unsigned i = 0; i < WORLD_PACKETS; i++) {
        struct world_packet *p = &w->packets[i];
        if (p->at != 0)
            continue;
        p->at = w->now + w->delay + (w->jitter ? world_draw(w, (uint32_t)w->jitter) : 0);
        p->order = w->order++;
        p->to_host = to_host;
        p->len = len;
        memcpy(p->bytes, packet, len);
        return;
    }
}

static void world_to_host(void *arg, const uint8_t *packet, uint32_t len)
{
    struct world *w = arg;
    w->to_host++;
    world_send(w, true, packet, len);
}

static void world_to_tunnel(void *arg, const uint8_t *packet, uint32_t len)
{
    struct world *w = arg;
    w->to_tunnel++;
    world_send(w, false, packet, len);
}

static void world_watch(void *arg, uint16_t port, bool on)
{
    struct world *w = arg;
    ASSERT(w->watches[port] == (on ? 0 : 1));
    w->watches[port] = on;
    w->watched += on ? 1 : -1u;
}

/* The query as a response, of answer_len bytes. To be freed. */
static inline uint8_t *world_answer(const struct world *w, const uint8_t *query, size_t len,
                                    size_t *out_len)
{
    size_t n = w->answer_len > 0 ? size_max(w->answer_len, len) : len;
    uint8_t *out = mem_zalloc(n, 1);

    memcpy(out, query, len);
    out[2] |= 0x80;
    for (size_t i = len; i < n; i++)
        out[i] = (uint8_t)(i * 7 + query[len - 1]);
    *out_len = n;
    return out;
}

static inline void world_reply(struct world *w, struct world_query *q)
{
    size_t len;
    uint8_t *answer = world_answer(w, q->bytes, q->len, &len);

    if (w->wrong_id)
        answer[1] ^= 1;
    if (w->wrong_name)
        answer[13] ^= 1;
    uint64_t client = q->client;
    q->at = 0;
    w->queries_n--;
    free(q->bytes);
    if (w->refuse)
        l3_tcp_refuse(w->t, client, w->now);
    else
        l3_tcp_answer(w->t, client, answer, len, w->now);
    free(answer);
}

static void world_query(void *arg, uint64_t client, const struct ip_addr *sentinel,
                        const uint8_t *query, size_t len)
{
    struct world *w = arg;

    (void)sentinel;
    w->queries_seen++;
    for (unsigned i = 0; i < WORLD_QUERIES; i++) {
        struct world_query *q = &w->queries[i];
        if (q->at != 0)
            continue;
        q->at = w->answer_after == TIME_NEVER
                    ? TIME_NEVER
                    : w->now + w->answer_after +
                          (w->answer_jitter ? world_draw(w, (uint32_t)w->answer_jitter) : 0);
        q->client = client;
        q->len = len;
        q->bytes = mem_zalloc(len, 1);
        memcpy(q->bytes, query, len);
        w->queries_n++;
        if (q->at == w->now)
            world_reply(w, q);
        return;
    }
    ASSERT(!"more queries than the world holds");
}

static void world_asked(void *arg, uint64_t id, enum err err, const uint8_t *answer, size_t len)
{
    struct world *w = arg;
    struct world_ask *a = &w->asks[id];

    ASSERT(id < WORLD_ASKS);
    w->ends++;
    a->ends++;
    a->err = err;
    a->len = len;
    if (len > 0) {
        a->sum = world_sum(answer, len);
        a->message = l3_message_id(answer);
    }
}

static const struct l3_tcp_events WORLD_EVENTS = {world_to_host, world_to_tunnel, world_watch,
                                                  world_query, world_asked};

static inline struct ip_addr world_addr(const char *text)
{
    struct ip_addr a;
    ASSERT(ip_addr_parse(&a, text) == ERR_OK);
    return a;
}

/* Sentinels 100.100.111.1 to .3 and fd00:2021:1111:8000:100:100:111:0. */
static inline struct world *world_new(uint64_t random)
{
    static const uint8_t seed[L3_SEED_LEN] = {3};
    static const char *const SENTINELS[] = {"100.100.111.1", "100.100.111.2", "100.100.111.3",
                                            "fd00:2021:1111:8000:100:100:111:0"};
    struct ip_addr list[ARRAY_LEN(SENTINELS)];
    struct world *w = mem_zalloc(1, sizeof *w);
    char why[128];

    w->random = random;
    w->now = WORLD_START;
    w->delay = NS_PER_MS;
    ASSERT(l3_tcp_new(&w->t, seed, &WORLD_EVENTS, w, w->now, why, sizeof why) == ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(list); i++)
        list[i] = world_addr(SENTINELS[i]);
    l3_tcp_set_sentinels(w->t, list, ARRAY_LEN(list), w->now);
    return w;
}

static inline void world_free(struct world *w)
{
    l3_tcp_free(w->t);
    for (unsigned i = 0; i < WORLD_QUERIES; i++) {
        if (w->queries[i].at != 0)
            free(w->queries[i].bytes);
    }
    free(w);
}

static inline struct world_packet *world_next_packet(struct world *w)
{
    struct world_packet *next = NULL;
    for (unsigned i = 0; i < WORLD_PACKETS; i++) {
        struct world_packet *p = &w->packets[i];
        if (p->at != 0 &&
            (!next || p->at < next->at || (p->at == next->at && p->order < next->order)))
            next = p;
    }
    return next;
}

static inline struct world_query *world_next_query(struct world *w)
{
    struct world_query *next = NULL;
    for (unsigned i = 0; i < WORLD_QUERIES && w->queries_n > 0; i++) {
        struct world_query *q = &w->queries[i];
        if (q->at != 0 && q->at != TIME_NEVER && (!next || q->at < next->at))
            next = q;
    }
    return next;
}

static inline void world_deliver(struct world *w, struct world_packet *p)
{
    struct world_packet copy = *p;
    p->at = 0;
    if (copy.to_host)
        ASSERT(l3_tcp_from_tunnel(w->t, copy.bytes, copy.len, w->now));
    else
        l3_tcp_from_host(w->t, copy.bytes, copy.len, w->now);
}

/* Until nothing happens any more, or `end`. */
static inline void world_run(struct world *w, time_ns end)
{
    for (;;) {
        struct world_packet *p = world_next_packet(w);
        struct world_query *q = world_next_query(w);
        time_ns timeout = l3_tcp_poll_timeout(w->t), next = timeout;
        if (p)
            next = time_min(next, p->at);
        if (q)
            next = time_min(next, q->at);
        if (next > end) {
            w->now = end != TIME_NEVER ? end : w->now;
            return;
        }
        if (next == TIME_NEVER)
            return;
        w->now = time_max(w->now, next);
        if (p && p->at == next)
            world_deliver(w, p);
        else if (q && q->at == next)
            world_reply(w, q);
        else
            l3_tcp_handle_timeout(w->t, w->now);
    }
}

static inline void world_run_for(struct world *w, time_ns ns)
{
    world_run(w, w->now + ns);
}

/* A query for a name that has `id` in it, padded to `len` bytes. */
static inline size_t world_write_query(uint8_t *out, unsigned id, size_t len)
{
    static const uint8_t tail[] = {2, 'b', 'C', 0, 0, 1, 0, 1};
    size_t n = 0;

    memset(out, 0, 12);
    store_be16(out, (uint16_t)(0x4000 + id));
    out[2] = 1;
    out[5] = 1;
    n = 12;
    out[n++] = 4;
    for (unsigned i = 0; i < 4; i++)
        out[n++] = (uint8_t)('a' + (id >> (4 * i)) % 16);
    memcpy(out + n, tail, sizeof tail);
    n += sizeof tail;
    for (; n < len; n++)
        out[n] = (uint8_t)(id + n);
    return n;
}

static inline enum err world_ask(struct world *w, unsigned id, const char *server, size_t len)
{
    struct sock_addr to = {.ip = world_addr(server), .port = DNS_PORT};
    struct ip_addr own = world_addr(to.ip.family == ADDR_V4 ? "100.64.0.7" : "fd00:2021:1111::7");
    uint8_t *query = mem_zalloc(size_max(len, 64), 1);

    size_t n = world_write_query(query, id, len);
    enum err e = l3_tcp_ask(w->t, id, &to, &own, query, n, w->now);
    free(query);
    return e;
}

/* It ended once, with the answer that the server gave. */
static inline bool world_is_answered(const struct world *w, unsigned id, size_t len)
{
    const struct world_ask *a = &w->asks[id];
    uint8_t *query = mem_zalloc(size_max(len, 64), 1);
    size_t answer_len;

    uint8_t *answer = world_answer(w, query, world_write_query(query, id, len), &answer_len);
    bool ok = a->ends == 1 && a->err == ERR_OK && a->len == answer_len &&
              a->message == l3_message_id(query) && a->sum == world_sum(answer, answer_len);
    free(answer);
    free(query);
    return ok;
}

/* ---- a host's segments, one by one ---- */

struct world_segment {
    const char *from; /* v4 */
    uint16_t port;
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t window;
    const void *payload;
    size_t len;
};

static inline size_t world_write_segment(uint8_t out[L3_MTU], const struct world_segment *s)
{
    size_t len = 40 + s->len;
    struct ip_addr from = world_addr(s->from), to = world_addr("100.100.111.1");

    memset(out, 0, 40);
    out[0] = 0x45;
    inner_be16(out + 2, (uint32_t)len);
    out[8] = 64;
    out[9] = IP_PROTO_TCP;
    memcpy(out + 12, from.bytes, 4);
    memcpy(out + 16, to.bytes, 4);
    inner_be16(out + 10, 0xffffu - inner_sum(out, 20, 0));
    inner_be16(out + 20, s->port);
    inner_be16(out + 22, DNS_PORT);
    inner_be32(out + 24, s->seq);
    inner_be32(out + 28, s->ack);
    out[32] = 5 << 4;
    out[33] = s->flags;
    inner_be16(out + 34, s->window);
    if (s->len > 0)
        memcpy(out + 40, s->payload, s->len);
    inner_be16(out + 36, 0xffffu - inner_l4_sum(out, len, 20, IP_PROTO_TCP));
    return len;
}

/* From the host. What the server sends is in last_to_host; nothing of it gets to the client. */
static inline void world_host(struct world *w, const struct world_segment *s)
{
    uint8_t packet[L3_MTU];
    size_t len = world_write_segment(packet, s);
    l3_tcp_from_host(w->t, packet, len, w->now);
}

#endif
