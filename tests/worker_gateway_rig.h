/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker of a gateway with two clients, ALICE, who has grants and names, and BOB, who has none; what they send, what the network sends,
 * and what comes out at the other side. Included by unit tests.
 */
#ifndef FZ_TESTS_WORKER_GATEWAY_RIG_H
#define FZ_TESTS_WORKER_GATEWAY_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/grants.h"
#include "engine/icmp.h"
#include "engine/wire/inner.h"
#include "engine/wire/ranges.h"
#include "tests/support/inner_packet.h"
#include "tests/worker_rig.c"

enum {
    ALICE,
    BOB,
    PEERS,

    DNS_GRANT = 7, /* indexes */
    OTHER_DNS_GRANT = 3,
    CIDR_GRANT = 5,
    INTERNET_GRANT = 9
};

#define GATEWAY_IP  "100.64.0.1"
#define GATEWAY_IP6 "fd00:2021:1111::1"
#define ALICE_IP    "100.64.0.2"
#define ALICE_IP6   "fd00:2021:1111::2"
#define BOB_IP      "100.64.0.3"
#define NAME_IP     "100.96.0.1"
#define NAME_IP6    "fd00:2021:1111:8000::1"
#define REAL_IP     "198.51.100.7"
#define REAL_IP6    "2001:db8::7"
#define CIDR_IP     "10.1.0.5"

static const struct engine_config config = {
    .workers = 1, .crypto = CRYPT_AUTO, .fixed_paths = true, .role = ENGINE_GATEWAY};
static uint8_t packet[2048];
static struct ip_view view;

static struct ip_addr ip(const char *text)
{
    struct ip_addr a = {0};
    if (text)
        assert_int_equal(ip_addr_parse(&a, text), ERR_OK);
    return a;
}

static const struct filter_rule web[] = {{FILTER_TCP, 80, 80}, {FILTER_TCP, 443, 443}};

/* ---- the world ---- */

/* internet: that one as well. */
static void grant_all(bool internet)
{
    const struct engine_grant list[] = {{.index = DNS_GRANT, .kind = ENGINE_GRANT_DNS},
                                        {.index = CIDR_GRANT,
                                         .kind = ENGINE_GRANT_CIDR,
                                         .prefix = {ip("10.1.0.0"), 16},
                                         .rules = web,
                                         .rules_n = ARRAY_LEN(web)},
                                        {.index = 4,
                                         .kind = ENGINE_GRANT_CIDR,
                                         .prefix = {ip("10.1.0.0"), 24},
                                         .rules = web,
                                         .rules_n = 1},
                                        {.index = INTERNET_GRANT, .kind = ENGINE_GRANT_INTERNET}};
    const struct engine_grants g = {.ipv4 = ip(ALICE_IP),
                                    .ipv6 = ip(ALICE_IP6),
                                    .grants = list,
                                    .n = ARRAY_LEN(list) - !internet};
    assert_int_equal(engine_set_grants(rig.engine, rig.peers[ALICE], &g), ERR_OK);
}

static bool translate(uint32_t slot, const char *proxy, const char *real, uint64_t domain,
                      uint16_t grant) REQUIRES_ROLE(role_worker)
{
    struct engine_translation t = {.slot = slot, .grant = grant, .domain = domain, .n = 1};
    struct event_ack a;

    t.pairs[0].proxy = ip(proxy);
    t.pairs[0].real = ip(real);
    rig_command(slot % rig.engine->workers_n,
                &(struct command){.kind = COMMAND_TRANSLATE, .slot = slot, .translation = &t});
    do
        assert_true(engine_pop_ack(rig.engine, &a));
    while (a.kind != ACK_TRANSLATED);
    assert_ptr_equal(a.translation, &t);
    return a.done;
}

static void start_with(const struct engine_config *c) REQUIRES_ROLE(role_worker)
{
    struct ip_addr v4 = ip(GATEWAY_IP), v6 = ip(GATEWAY_IP6);

    rig_start(c, PEERS);
    uint32_t alice = engine_peer_value(rig.peers[ALICE]), bob = engine_peer_value(rig.peers[BOB]);
    const struct engine_route routes[] = {{{ip(ALICE_IP), 32}, alice},
                                          {{ip(ALICE_IP6), 128}, alice},
                                          {{ip(BOB_IP), 32}, bob},
                                          {{ip("100.64.0.50"), 32}, alice}}; /* not her address */
    assert_int_equal(engine_set_routes(rig.engine, routes, ARRAY_LEN(routes)), ERR_OK);
    engine_set_gateway(rig.engine, &v4, &v6);
    for (unsigned i = 0; i < PEERS; i++) {
        engine_peer_client(rig.peers[i], 10 + i, 1);
        rig_session(i);
    }
    grant_all(false);
    assert_true(translate(ALICE, NAME_IP, REAL_IP, 1, DNS_GRANT));
    assert_true(translate(ALICE, NAME_IP6, REAL_IP6, 1, DNS_GRANT));
}

static void start(void) REQUIRES_ROLE(role_worker)
{
    start_with(&config);
}

/* ---- packets ---- */

/* Addresses over those of inner_build, echoes over its UDP; into `packet`. */
static size_t build(const struct inner *s, const char *from, const char *to)
{
    struct ip_addr src = ip(from), dst = ip(to);
    size_t n = ip_addr_len(&src), at = n == 4 ? 12 : 8;
    struct inner x = *s;

    x.version = src.family;
    size_t len = inner_build(packet, &x);
    memcpy(packet + at, src.bytes, n);
    memcpy(packet + at + n, dst.bytes, n);
    assert_true(ip_parse(&view, packet, len));
    uint8_t *l4 = packet + view.l4_off;
    size_t l4_len = len - view.l4_off;
    if (n == 4) {
        inner_be16(packet + 10, 0);
        inner_be16(packet + 10, (uint16_t)~inner_sum(packet, view.l4_off, 0));
    }
    if (x.proto == 1 || x.proto == 58) {
        memcpy(l4, (const uint8_t[]){x.proto == 1 ? 8 : 128, 0, 0, 0}, 4);
        inner_be16(l4 + 4, x.sport);
        inner_be16(l4 + 2, (uint16_t) ~(x.proto == 1 ? inner_sum(l4, l4_len, 0)
                                                     : inner_l4_sum(packet, len, view.l4_off, 58)));
    } else if (x.proto == 6 || x.proto == 17) {
        uint8_t *field = l4 + (x.proto == 6 ? 16 : 6);
        inner_be16(field, 0);
        inner_be16(field, (uint16_t)~inner_l4_sum(packet, len, view.l4_off, x.proto));
    }
    return len;
}

static bool checksums_right(const uint8_t *p, size_t len)
{
    struct ip_view v;

    assert_true(ip_parse(&v, p, len));
    assert_true(ip_l4_valid(&v, p));
    assert_int_equal(v.total_len, len);
    size_t l4_len = len - v.l4_off;
    if (v.proto == 99) /* which has none */
        return true;
    return (v.version == 6 || inner_sum(p, v.l4_off, 0) == 0xffff) &&
           (v.proto == 1 ? inner_sum(p + v.l4_off, l4_len, 0)
                         : inner_l4_sum(p, len, v.l4_off, v.proto)) == 0xffff;
}

/* What came out, at the TUN or at the client, into `packet` with its view; 0: nothing. */
static size_t taken(const uint8_t *from, size_t len)
{
    memcpy(packet, from, len);
    assert_true(ip_parse(&view, packet, len));
    assert_true(checksums_right(packet, len));
    return len;
}

/* The plaintext of a datagram to the client. */
static size_t opened(uint32_t slot, const uint8_t *datagram, size_t len)
{
    uint8_t key[32], bytes[2048];
    struct crypt_key k;
    struct crypt c;

    memset(key, (int)slot, sizeof key);
    assert_int_equal(crypt_init(&c, CRYPT_AUTO), ERR_OK);
    crypt_key_init(&k, key);
    memcpy(bytes, datagram, len);
    struct crypt_packet p = {.data = bytes + WG_DATA_PACKET,
                             .len = (uint32_t)len - WG_DATA_OVERHEAD,
                             .counter = load_le64(bytes + WG_DATA_COUNTER)};
    assert_int_equal(crypt_open(&c, &k, &p, 1), 1);
    crypt_key_fini(&k);
    return taken(p.data, p.len);
}

/* Of the `i`-th send, which has one datagram. */
static size_t opened_send(uint32_t slot, unsigned i)
{
    return opened(slot, rig.io[0].sent[i], rig.io[0].sends[i].len);
}

/* The client sends `packet`. What came to the TUN, or else back to the client. */
static bool answered;

static size_t from_client(uint32_t slot, size_t len) REQUIRES_ROLE(role_worker)
{
    struct io *io = &rig.io[0];
    unsigned n = io->sends_n, delivered = io->delivered;

    rig_command(0, &(struct command){.kind = COMMAND_PACKET,
                                     .slot = slot,
                                     .block = engine_block_new(packet, (uint32_t)len)});
    assert_int_equal(io->sends_n, n + 1);
    rig_receive(0, 0, n, "192.0.2.2:1");
    rig_loop(0);
    answered = io->sends_n > n + 1;
    if (answered) {
        assert_int_equal(io->sends_n, n + 2);
        assert_int_equal(io->delivered, delivered);
        return opened_send(slot, n + 1);
    }
    return io->delivered > delivered ? taken(io->frame + VNET_HDR_LEN, io->frame_len - VNET_HDR_LEN)
                                     : 0;
}

static size_t client_sends(const struct inner *s, const char *from, const char *to)
    REQUIRES_ROLE(role_worker)
{
    return from_client(ALICE, build(s, from, to));
}

/* The network sends `packet`. What came to the client; 0: nothing. */
static size_t from_network(const struct vnet_hdr *h, size_t len) REQUIRES_ROLE(role_worker)
{
    struct io_rx *rx = rig_record(0, IO_RX_TUN);
    unsigned n = rig.io[0].sends_n;

    assert_non_null(rx);
    memcpy(rx->data, h, sizeof *h);
    memcpy(rx->data + IO_VNET_LEN, packet, len);
    rx->len = (uint32_t)(IO_VNET_LEN + len);
    rig_loop(0);
    return rig.io[0].sends_n > n ? opened_send(ALICE, n) : 0;
}

static size_t network_sends(const struct inner *s, const char *from, const char *to)
    REQUIRES_ROLE(role_worker)
{
    static const struct vnet_hdr plain;
    return from_network(&plain, build(s, from, to));
}

static void expect_ends(const char *from, const char *to)
{
    struct ip_addr src = ip_src(packet, view.version), dst = ip_dst(packet, view.version);
    struct ip_addr want_src = ip(from), want_dst = ip(to);

    assert_true(ip_addr_equal(&src, &want_src));
    assert_true(ip_addr_equal(&dst, &want_dst));
}

/* It is an error of `type` and `code`, v4 or v6, about the packet from `from` to `to`. */
static void expect_error(unsigned type, unsigned code, const char *from, const char *to)
{
    struct icmp_quote q;
    struct ip_addr src = ip(from), dst = ip(to);

    assert_int_equal(packet[view.l4_off], type);
    assert_int_equal(packet[view.l4_off + 1], code);
    assert_true(icmp_error_parse(&q, &view, packet));
    assert_true(ip_addr_equal(&q.from, &src));
    assert_true(ip_addr_equal(&q.to, &dst));
}

static const struct inner udp = {.proto = 17, .sport = 1000, .dport = 53, .payload = 20};
static const struct inner tcp = {.proto = 6, .sport = 1000, .dport = 80, .payload = 20};

/* Through the NAT, and what answers it back through it. */
static void round_trip(const struct inner *s, const char *from, const char *proxy, const char *real)
    REQUIRES_ROLE(role_worker)
{
    bool echo = s->proto == 1 || s->proto == 58;
    struct inner back = *s;

    assert_true(client_sends(s, from, proxy) > 0);
    assert_false(answered);
    expect_ends(from, real);
    uint16_t q = load_be16(packet + view.l4_off + (echo ? 4 : 0));
    if (!echo)
        assert_int_equal(view.dst_port, s->dport);
    back.sport = echo ? q : s->dport;
    back.dport = q;
    assert_true(network_sends(&back, real, from) > 0);
    expect_ends(proxy, from);
    if (echo) {
        assert_int_equal(load_be16(packet + view.l4_off + 4), s->sport);
        return;
    }
    assert_int_equal(view.src_port, s->dport);
    assert_int_equal(view.dst_port, s->sport);
}

#endif
