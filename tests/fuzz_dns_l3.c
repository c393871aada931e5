/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of DNS without sockets. Input: a script of packets and steps for l3_tcp and l3_udp. Segments are written with right checksums, to
 * ports that are in use, and with numbers near those that are expected next; other packets are bytes of the script.
 * What is sent is a packet; each query that is asked ends once; at last nothing is watched and no timer runs.
 */
#include "control/dns/l3_tcp.h"
#include "control/dns/l3_udp.h"

#include "control/dns/l3_packet.h"
#include "control/dns/server.h"
#include "engine/checksum.h"
#include "platform/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    PORTS = 8,
    ENDS = 2 * PORTS + 1,
    WAITING = 64,
    STEPS_MAX = 400
};

/* The other side of a connection, as far as it can be seen from what is sent to it. */
struct peer {
    uint32_t next, ack;
    uint16_t id; /* of the message that the last segment began with */
};

struct script {
    const uint8_t *p, *end;
};

struct fuzz {
    struct l3_tcp *t;
    struct l3_udp u;
    time_ns now;
    struct peer hosts[PORTS];
    struct peer server;
    uint16_t port, udp_port; /* of ours, the last that was watched */
    unsigned tcp_watched, udp_watched, asks, ends;
    uint64_t waiting[WAITING];
    unsigned waiting_n;
};

static const uint8_t SENTINEL[4] = {100, 100, 111, 1}, SENTINEL6[16] = {0xfd, 1};
static const uint8_t HOST[4] = {100, 64, 0, 7}, HOST6[16] = {0xfd, 2};
static const uint8_t SERVER[4] = {10, 1, 2, 3}, SERVER6[16] = {0xfd, 3};

static uint8_t take(struct script *s)
{
    return s->p < s->end ? *s->p++ : 0;
}

static const uint8_t *take_bytes(struct script *s, size_t n, size_t *len)
{
    const uint8_t *p = s->p;
    *len = size_min(n, (size_t)(s->end - s->p));
    s->p += *len;
    return p;
}

/* ---- what is sent ---- */

static void learn(struct peer *e, const struct ip_view *v, const uint8_t *packet)
{
    const uint8_t *tcp = packet + v->l4_off;
    uint32_t len = v->total_len - v->l4_off - (tcp[TCP_OFF_DATA] >> 4) * 4u;

    e->ack =
        load_be32(tcp + TCP_OFF_SEQ) + len + ((tcp[TCP_OFF_FLAGS] & (TCP_F_SYN | TCP_F_FIN)) != 0);
    if (len >= 4)
        e->id = load_be16(packet + v->total_len - len + 2);
    if (tcp[TCP_OFF_FLAGS] & TCP_F_ACK)
        e->next = load_be32(tcp + TCP_OFF_ACK);
}

static void to_host(void *arg, const uint8_t *packet, uint32_t len)
{
    struct fuzz *f = arg;
    struct ip_view v;

    ASSERT(l3_packet_parse(&v, packet, len) && v.total_len == len && len <= L3_MTU);
    ASSERT(v.src_port == DNS_PORT);
    learn(&f->hosts[v.dst_port % PORTS], &v, packet);
}

static void to_tunnel(void *arg, const uint8_t *packet, uint32_t len)
{
    struct fuzz *f = arg;
    struct ip_view v;

    ASSERT(l3_packet_parse(&v, packet, len) && v.total_len == len && len <= L3_MTU);
    if (v.proto == IP_PROTO_TCP)
        learn(&f->server, &v, packet);
}

static void watch_tcp(void *arg, uint16_t port, bool on)
{
    struct fuzz *f = arg;
    f->tcp_watched += on ? 1 : -1u;
    if (on)
        f->port = port;
}

static void watch_udp(void *arg, uint16_t port, bool on)
{
    struct fuzz *f = arg;
    f->udp_watched += on ? 1 : -1u;
    if (on)
        f->udp_port = port;
}

static void on_query(void *arg, uint64_t client, const struct ip_addr *sentinel,
                     const uint8_t *query, size_t len)
{
    struct fuzz *f = arg;

    ASSERT(len >= L3_MESSAGE_MIN && sentinel->family != ADDR_NONE);
    if (query[2] & 1 || f->waiting_n == WAITING)
        l3_tcp_answer(f->t, client, query, len, f->now);
    else
        f->waiting[f->waiting_n++] = client;
}

static void on_asked(void *arg, uint64_t id, enum err err, const uint8_t *answer, size_t len)
{
    struct fuzz *f = arg;

    (void)answer;
    ASSERT((err == ERR_OK) == (len >= L3_MESSAGE_MIN) && id > 0 && id <= f->asks);
    f->ends++;
}

static const struct l3_tcp_events TCP_EVENTS = {to_host, to_tunnel, watch_tcp, on_query, on_asked};
static const struct l3_udp_events UDP_EVENTS = {to_tunnel, watch_udp, on_asked};

/* ---- what is received ---- */

static size_t write_segment(uint8_t out[L3_MTU], struct script *s, const struct peer *e, bool host,
                            uint16_t sport, uint16_t dport)
{
    uint8_t shape = take(s), flags = take(s);
    uint32_t seq = e->next + (uint32_t)(int8_t)take(s), ack = e->ack + (uint32_t)(int8_t)take(s);
    size_t options = (shape >> 1) % 4 * 4, len;
    bool v6 = shape & 1;
    uint16_t window = shape & 0x80 ? 0 : (uint16_t)(shape << 6);
    const uint8_t *more = take_bytes(s, options + take(s) * 4u, &len);
    size_t header = v6 ? IPV6_HEADER : IPV4_HEADER_MIN;
    uint8_t *tcp = out + header;

    if (len < options)
        options = 0;
    uint32_t l4_len = (uint32_t)(TCP_HEADER_MIN + len);
    memset(out, 0, header + TCP_HEADER_MIN);
    out[0] = v6 ? 6 << 4 : 0x45;
    if (v6) {
        store_be16(out + IPV6_OFF_PAYLOAD_LEN, (uint16_t)l4_len);
        out[IPV6_OFF_NEXT] = IP_PROTO_TCP;
        memcpy(out + IPV6_OFF_SRC, host ? HOST6 : SERVER6, 16);
        memcpy(out + IPV6_OFF_DST, host ? SENTINEL6 : HOST6, 16);
    } else {
        store_be16(out + IPV4_OFF_TOTAL_LEN, (uint16_t)(header + l4_len));
        out[IPV4_OFF_PROTO] = IP_PROTO_TCP;
        memcpy(out + IPV4_OFF_SRC, host ? HOST : SERVER, 4);
        memcpy(out + IPV4_OFF_DST, host ? SENTINEL : HOST, 4);
        checksum_store(out + IPV4_OFF_CHECKSUM, checksum_finish(checksum_partial(out, header, 0)));
    }
    store_be16(tcp + TCP_OFF_SRC_PORT, sport);
    store_be16(tcp + TCP_OFF_DST_PORT, dport);
    store_be32(tcp + TCP_OFF_SEQ, seq);
    store_be32(tcp + TCP_OFF_ACK, ack);
    tcp[TCP_OFF_DATA] = (uint8_t)((5 + options / 4) << 4);
    tcp[TCP_OFF_FLAGS] = flags;
    store_be16(tcp + TCP_OFF_WINDOW, window);
    memcpy(tcp + TCP_HEADER_MIN, more, len);
    if ((shape & 0x40) && len >= options + 4)
        store_be16(tcp + TCP_HEADER_MIN + options + 2, e->id);
    uint64_t sum = v6 ? checksum_pseudo_v6(out, IP_PROTO_TCP, l4_len)
                      : checksum_pseudo_v4(out, IP_PROTO_TCP, l4_len);
    checksum_store(tcp + TCP_OFF_CHECKSUM, checksum_finish(checksum_partial(tcp, l4_len, sum)));
    return header + l4_len;
}

static void segment_of_host(struct fuzz *f, struct script *s)
{
    uint8_t packet[L3_MTU], port = take(s) % PORTS;
    size_t len =
        write_segment(packet, s, &f->hosts[port], true, (uint16_t)(40000 + port), DNS_PORT);

    l3_tcp_from_host(f->t, packet, len, f->now);
}

static void segment_of_server(struct fuzz *f, struct script *s)
{
    uint8_t packet[L3_MTU];
    size_t len = write_segment(packet, s, &f->server, false, DNS_PORT, f->port);

    l3_tcp_from_tunnel(f->t, packet, len, f->now);
}

static void datagram_of_server(struct fuzz *f, struct script *s)
{
    struct sock_addr from = {.port = DNS_PORT}, to = {.port = f->udp_port};
    uint8_t packet[L3_MTU];
    size_t len;

    bool v6 = take(s) & 1;
    from.ip = v6 ? ip_addr_v6(SERVER6) : ip_addr_v4(SERVER);
    to.ip = v6 ? ip_addr_v6(HOST6) : ip_addr_v4(HOST);
    const uint8_t *payload = take_bytes(s, take(s), &len);
    len = l3_packet_write_udp(packet, &from, &to, payload, len);
    l3_udp_input(&f->u, packet, len);
}

static void raw_packet(struct fuzz *f, struct script *s)
{
    size_t len;
    bool host = take(s) & 1;
    const uint8_t *packet = take_bytes(s, take(s) * 6u, &len);

    if (host) {
        l3_tcp_from_host(f->t, packet, len, f->now);
    } else {
        l3_udp_input(&f->u, packet, len);
        l3_tcp_from_tunnel(f->t, packet, len, f->now);
    }
}

/* ---- what the owner does ---- */

static void ask(struct fuzz *f, struct script *s)
{
    uint8_t how = take(s);
    size_t len;
    const uint8_t *query = take_bytes(s, take(s), &len);
    struct sock_addr to = {.ip = how & 1 ? ip_addr_v6(SERVER6) : ip_addr_v4(SERVER),
                           .port = DNS_PORT};
    struct ip_addr own = how & 2 ? ip_addr_v6(HOST6) : ip_addr_v4(HOST);

    f->asks++;
    enum err e = how & 4 ? l3_udp_ask(&f->u, f->asks, &to, &own, query, len, f->now)
                         : l3_tcp_ask(f->t, f->asks, &to, &own, query, len, f->now);
    if (e != ERR_OK)
        f->ends++;
}

static void set_sentinels(struct fuzz *f, bool some)
{
    struct ip_addr list[2] = {ip_addr_v4(SENTINEL), ip_addr_v6(SENTINEL6)};
    l3_tcp_set_sentinels(f->t, list, some ? 2 : 0, f->now);
}

static void answer(struct fuzz *f, struct script *s)
{
    static const uint8_t bytes[L3_MESSAGE_MAX];
    uint8_t how = take(s);

    if (how == 0) {
        l3_tcp_reset(f->t, f->now);
    } else if (how == 1) {
        l3_udp_reset(&f->u);
    } else if (how < 4) {
        set_sentinels(f, how == 2);
    } else if (f->waiting_n > 0) {
        uint64_t client = f->waiting[--f->waiting_n];
        if (how == 4)
            l3_tcp_refuse(f->t, client, f->now);
        else
            l3_tcp_answer(f->t, client, bytes, how & 0x80 ? sizeof bytes : how, f->now);
    }
}

static void run_to(struct fuzz *f, time_ns end)
{
    for (;;) {
        time_ns next = time_min(l3_tcp_poll_timeout(f->t), l3_udp_poll_timeout(&f->u));
        if (next > end || next == TIME_NEVER)
            break;
        f->now = time_max(f->now, next);
        l3_udp_handle_timeout(&f->u, f->now);
        l3_tcp_handle_timeout(f->t, f->now);
    }
    if (end != TIME_NEVER)
        f->now = end;
}

static void step(struct fuzz *f, struct script *s)
{
    switch (take(s) % 8) {
    case 0:
    case 1:
        segment_of_host(f, s);
        break;
    case 2:
        segment_of_server(f, s);
        break;
    case 3:
        datagram_of_server(f, s);
        break;
    case 4:
        raw_packet(f, s);
        break;
    case 5:
        ask(f, s);
        break;
    case 6:
        answer(f, s);
        break;
    case 7:
        run_to(f, f->now + take(s) * 100 * NS_PER_MS);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t seed[L3_SEED_LEN] = {1};
    struct script s = {data, data + size};
    struct fuzz *f = mem_zalloc(1, sizeof *f);
    char why[128];

    f->now = 1000 * NS_PER_SEC;
    l3_udp_init(&f->u, seed, &UDP_EVENTS, f);
    ASSERT(l3_tcp_new(&f->t, seed, &TCP_EVENTS, f, f->now, why, sizeof why) == ERR_OK);
    set_sentinels(f, true);
    for (unsigned i = 0; i < STEPS_MAX && s.p < s.end; i++)
        step(f, &s);
    run_to(f, TIME_NEVER);
    ASSERT(f->ends == f->asks);
    ASSERT(f->tcp_watched == 0 && f->udp_watched == 0);
    l3_tcp_free(f->t);
    free(f);
    return 0;
}
