/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries that are not free are listed by deadline, which is the order in which they were asked: one that becomes late goes to the
 * end again. An event may ask or reset, so nothing of a query is used after one.
 */
#include "control/dns/l3_udp.h"

#include "control/dns/l3_packet.h"

enum {
    NONE = L3_UDP_MAX
};

void l3_udp_init(struct l3_udp *u, const uint8_t seed[L3_SEED_LEN],
                 const struct l3_udp_events *events, void *arg)
{
    memset(u, 0, sizeof *u);
    u->events = events;
    u->arg = arg;
    l3_random_init(&u->random, seed);
    u->oldest = u->newest = NONE;
    for (unsigned i = 0; i < L3_UDP_MAX; i++)
        u->queries[i].newer = (uint16_t)(i + 1);
}

/* ---- the list ---- */

static uint16_t index_of(const struct l3_udp *u, const struct l3_udp_query *q)
{
    return (uint16_t)(q - u->queries);
}

static void append(struct l3_udp *u, struct l3_udp_query *q)
{
    q->older = u->newest;
    q->newer = NONE;
    if (u->newest == NONE)
        u->oldest = index_of(u, q);
    else
        u->queries[u->newest].newer = index_of(u, q);
    u->newest = index_of(u, q);
}

static void unlist(struct l3_udp *u, struct l3_udp_query *q)
{
    if (q->older == NONE)
        u->oldest = q->newer;
    else
        u->queries[q->older].newer = q->newer;
    if (q->newer == NONE)
        u->newest = q->older;
    else
        u->queries[q->newer].older = q->older;
}

static void release(struct l3_udp *u, struct l3_udp_query *q)
{
    uint16_t port = q->port;

    unlist(u, q);
    q->phase = L3_UDP_FREE;
    q->newer = u->free;
    u->free = index_of(u, q);
    u->events->watch(u->arg, port, false);
}

/* The oldest that has been late is given up for another. */
static bool make_room(struct l3_udp *u)
{
    if (u->free != NONE)
        return true;
    for (uint16_t i = u->oldest; i != NONE; i = u->queries[i].newer) {
        if (u->queries[i].phase != L3_UDP_LATE)
            continue;
        release(u, &u->queries[i]);
        return true;
    }
    return false;
}

static struct l3_udp_query *find_port(struct l3_udp *u, uint16_t port)
{
    for (uint16_t i = u->oldest; i != NONE; i = u->queries[i].newer) {
        if (u->queries[i].port == port)
            return &u->queries[i];
    }
    return NULL;
}

/* ---- asking ---- */

enum err l3_udp_ask(struct l3_udp *u, uint64_t id, const struct sock_addr *server,
                    const struct ip_addr *own, const uint8_t *query, size_t len, time_ns now)
{
    struct sock_addr from = {.ip = *own};
    uint8_t packet[L3_MTU];

    do
        from.port = l3_random_port(&u->random);
    while (find_port(u, from.port));
    size_t n = len < L3_MESSAGE_MIN ? 0 : l3_packet_write_udp(packet, &from, server, query, len);
    if (n == 0)
        return ERR_INVALID;
    if (!make_room(u)) {
        u->counters.full++;
        return ERR_FULL;
    }

    struct l3_udp_query *q = &u->queries[u->free];
    u->free = q->newer;
    q->phase = L3_UDP_PENDING;
    q->port = from.port;
    q->message = l3_message_id(query);
    q->own = *own;
    q->server = *server;
    q->id = id;
    q->deadline = now + L3_UDP_TIMEOUT_NS;
    l3_question_init(&q->question, &u->random, query, len);
    append(u, q);
    u->counters.asked++;
    u->events->watch(u->arg, from.port, true);
    u->events->packet(u->arg, packet, (uint32_t)n);
    return ERR_OK;
}

/* ---- packets ---- */

static bool answers(const struct l3_udp *u, const struct l3_udp_query *q, const struct ip_view *v,
                    const uint8_t *packet, const uint8_t *message, size_t len)
{
    struct ip_addr from = ip_src(packet, v->version), to = ip_dst(packet, v->version);

    return ip_addr_equal(&from, &q->server.ip) && v->src_port == q->server.port &&
           ip_addr_equal(&to, &q->own) && len >= L3_MESSAGE_MIN &&
           l3_message_id(message) == q->message &&
           l3_question_answered(&q->question, &u->random, message, len);
}

static bool input_udp(struct l3_udp *u, const struct ip_view *v, const uint8_t *packet)
{
    struct l3_udp_query *q = find_port(u, v->dst_port);
    const uint8_t *message = packet + v->l4_off + UDP_HEADER;
    size_t len = v->total_len - v->l4_off - UDP_HEADER;

    if (!q)
        return false;
    if (!answers(u, q, v, packet, message, len)) {
        u->counters.mismatched++;
        return true;
    }
    if (q->phase == L3_UDP_LATE) {
        u->counters.late++;
        release(u, q);
        return true;
    }
    uint64_t id = q->id;
    u->counters.answered++;
    release(u, q);
    u->events->asked(u->arg, id, ERR_OK, message, len);
    return true;
}

static bool input_icmp(struct l3_udp *u, const struct icmp_quote *about)
{
    struct l3_udp_query *q =
        about->proto == IP_PROTO_UDP && about->src >= L3_PORT_MIN ? find_port(u, about->src) : NULL;

    if (!q)
        return false;
    if (!ip_addr_equal(&about->to, &q->server.ip) || about->dst != q->server.port ||
        !ip_addr_equal(&about->from, &q->own)) {
        u->counters.mismatched++;
        return true;
    }
    if (q->phase == L3_UDP_LATE) {
        u->counters.late++;
        return true;
    }
    uint64_t id = q->id;
    u->counters.unreachable++;
    release(u, q);
    u->events->asked(u->arg, id, ERR_UNREACHABLE, NULL, 0);
    return true;
}

bool l3_udp_input(struct l3_udp *u, const uint8_t *packet, size_t len)
{
    struct icmp_quote about;
    struct ip_view v;

    if (!l3_packet_parse(&v, packet, len))
        return false;
    if (v.proto == IP_PROTO_UDP)
        return input_udp(u, &v, packet);
    return l3_packet_icmp(&about, &v, packet) && input_icmp(u, &about);
}

/* ---- the end of queries ---- */

void l3_udp_reset(struct l3_udp *u)
{
    uint16_t last = u->newest;

    /* What is asked meanwhile is newer. */
    while (last != NONE && u->oldest != NONE) {
        struct l3_udp_query *q = &u->queries[u->oldest];
        bool was_last = index_of(u, q) == last, pending = q->phase == L3_UDP_PENDING;
        uint64_t id = q->id;
        release(u, q);
        if (pending)
            u->events->asked(u->arg, id, ERR_CLOSED, NULL, 0);
        if (was_last)
            return;
    }
}

time_ns l3_udp_poll_timeout(const struct l3_udp *u)
{
    return u->oldest == NONE ? TIME_NEVER : u->queries[u->oldest].deadline;
}

void l3_udp_handle_timeout(struct l3_udp *u, time_ns now)
{
    while (u->oldest != NONE && u->queries[u->oldest].deadline <= now) {
        struct l3_udp_query *q = &u->queries[u->oldest];
        if (q->phase == L3_UDP_LATE) {
            release(u, q);
            continue;
        }
        unlist(u, q);
        q->phase = L3_UDP_LATE;
        q->deadline = now + L3_UDP_TIMEOUT_NS;
        append(u, q);
        u->counters.timed_out++;
        u->events->asked(u->arg, q->id, ERR_TIMEOUT, NULL, 0);
    }
}
