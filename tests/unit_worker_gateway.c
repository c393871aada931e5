/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's rules in a worker: what clients may send where, what they are told of what they may not, names there and back with
 * all that the network answers, and what becomes of them when grants or clients go. Peers are clients: ALICE has grants, BOB has none.
 */
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

/* Only these; of kind DNS. */
static void grant_names(unsigned n, const uint16_t *indexes, const struct filter_rule *rules)
{
    struct engine_grant list[4];

    for (unsigned i = 0; i < n; i++)
        list[i] = (struct engine_grant){.index = indexes[i],
                                        .kind = ENGINE_GRANT_DNS,
                                        .rules = rules,
                                        .rules_n = rules ? 1 : 0};
    const struct engine_grants g = {
        .ipv4 = ip(ALICE_IP), .ipv6 = ip(ALICE_IP6), .grants = list, .n = n};
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

/* ---- what clients may ---- */

static void outbound(void **state) REQUIRES_ROLE(role_worker)
{
    enum outcome {
        PASSES,
        NOTHING,
        PROHIBITED,
        UNREACHABLE
    };
    static const struct {
        const char *from, *to;
        struct inner packet;
        bool internet;
        enum verdict verdict;
        enum outcome outcome;
    } rows[] = {
        {ALICE_IP, GATEWAY_IP, {.proto = 17, .dport = 53535}, false, VERDICT_IN_FORWARDED, PASSES},
        {ALICE_IP6, GATEWAY_IP6, {.proto = 99}, false, VERDICT_IN_FORWARDED, PASSES},
        {ALICE_IP, BOB_IP, {.proto = 6}, true, VERDICT_IN_PROHIBITED, PROHIBITED},
        {ALICE_IP, "224.0.0.1", {.proto = 17}, true, VERDICT_IN_MULTICAST, NOTHING},
        {ALICE_IP6, "ff02::1", {.proto = 17}, true, VERDICT_IN_MULTICAST, NOTHING},
        {BOB_IP, CIDR_IP, {.proto = 6, .dport = 80}, false, VERDICT_IN_BAD_SOURCE, PROHIBITED},
        {CIDR_IP, GATEWAY_IP, {.proto = 6}, false, VERDICT_IN_BAD_SOURCE, PROHIBITED},
        {ALICE_IP,
         CIDR_IP,
         {.proto = 17, .frag = 0x2000, .payload = 8},
         false,
         VERDICT_IN_FRAGMENT,
         NOTHING},
        /* Networks: the /24 permits 80 only, the /16 443 too. */
        {ALICE_IP, CIDR_IP, {.proto = 6, .dport = 80}, false, VERDICT_IN_FORWARDED, PASSES},
        {ALICE_IP, CIDR_IP, {.proto = 6, .dport = 443}, false, VERDICT_IN_FORWARDED, PASSES},
        {ALICE_IP, CIDR_IP, {.proto = 6, .dport = 22}, false, VERDICT_IN_PROHIBITED, PROHIBITED},
        {ALICE_IP, CIDR_IP, {.proto = 17, .dport = 80}, false, VERDICT_IN_PROHIBITED, PROHIBITED},
        {ALICE_IP, CIDR_IP, {.proto = 1}, false, VERDICT_IN_PROHIBITED, PROHIBITED},
        {ALICE_IP, "10.2.0.1", {.proto = 6, .dport = 80}, false, VERDICT_IN_PROHIBITED, PROHIBITED},
        /* The Internet. */
        {ALICE_IP, "1.1.1.1", {.proto = 17}, false, VERDICT_IN_PROHIBITED, PROHIBITED},
        {ALICE_IP, "1.1.1.1", {.proto = 17}, true, VERDICT_IN_FORWARDED, PASSES},
        {ALICE_IP, "10.2.0.1", {.proto = 17}, true, VERDICT_IN_REJECTED, UNREACHABLE},
        {ALICE_IP, "127.0.0.1", {.proto = 17}, true, VERDICT_IN_REJECTED, UNREACHABLE},
        {ALICE_IP, "169.254.1.1", {.proto = 17}, true, VERDICT_IN_REJECTED, UNREACHABLE},
        {ALICE_IP, "172.31.255.255", {.proto = 17}, true, VERDICT_IN_REJECTED, UNREACHABLE},
        {ALICE_IP, "172.32.0.0", {.proto = 17}, true, VERDICT_IN_FORWARDED, PASSES},
        {ALICE_IP, "192.168.3.4", {.proto = 17}, true, VERDICT_IN_REJECTED, UNREACHABLE},
        {ALICE_IP6, "::1", {.proto = 17}, true, VERDICT_IN_REJECTED, UNREACHABLE},
        {ALICE_IP6, "::ffff:1.1.1.1", {.proto = 17}, true, VERDICT_IN_REJECTED, UNREACHABLE},
        {ALICE_IP6, "fd11::1", {.proto = 17}, true, VERDICT_IN_REJECTED, UNREACHABLE},
        {ALICE_IP6, "fe80::1", {.proto = 17}, true, VERDICT_IN_REJECTED, UNREACHABLE},
        {ALICE_IP6,
         "fd00:2021:1111:8000:100:100:111:1",
         {.proto = 17},
         true,
         VERDICT_IN_REJECTED,
         UNREACHABLE},
        {ALICE_IP6, "64:ff9b::1", {.proto = 17}, true, VERDICT_IN_FORWARDED, PASSES},
        {ALICE_IP, CIDR_IP, {.proto = 6, .dport = 80}, true, VERDICT_IN_FORWARDED, PASSES},
        {ALICE_IP, "100.100.111.1", {.proto = 17}, true, VERDICT_IN_PROHIBITED, PROHIBITED},
        /* Names. */
        {ALICE_IP, NAME_IP, {.proto = 17}, false, VERDICT_IN_FORWARDED, PASSES},
        {ALICE_IP, NAME_IP, {.proto = 17}, true, VERDICT_IN_FORWARDED, PASSES},
        {ALICE_IP, "100.96.0.2", {.proto = 17}, true, VERDICT_IN_PROHIBITED, PROHIBITED},
        {ALICE_IP6,
         "fd00:2021:1111:8000::2",
         {.proto = 17},
         true,
         VERDICT_IN_PROHIBITED,
         PROHIBITED},
        {ALICE_IP, NAME_IP, {.proto = 99}, false, VERDICT_IN_UNSUPPORTED, NOTHING},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        bool v6 = strchr(rows[i].from, ':') != NULL;
        start();
        grant_all(rows[i].internet);
        size_t len = client_sends(&rows[i].packet, rows[i].from, rows[i].to);
        assert_int_equal(rig_count(rows[i].verdict), 1);
        assert_int_equal(rig_in(), 1);
        assert_int_equal(answered, rows[i].outcome == PROHIBITED || rows[i].outcome == UNREACHABLE);
        assert_int_equal(len > 0, rows[i].outcome != NOTHING);
        if (answered) {
            bool denied = rows[i].outcome == PROHIBITED;
            expect_error(v6 ? 1 : 3, v6 ? (denied ? 1 : 3) : (denied ? 13 : 0), rows[i].from,
                         rows[i].to);
        }
        rig_stop();
    }
}

/* ICMP errors of clients stay here; so does all of a client that has no grants. */
static void outbound_silent(void **state) REQUIRES_ROLE(role_worker)
{
    uint8_t error[ICMP_ERROR_MAX];

    (void)state;
    start();
    assert_true(ip_parse(&view, packet, build(&udp, CIDR_IP, ALICE_IP)));
    size_t len = icmp_error_write(error, &view, packet, ICMP_NETWORK);
    memcpy(packet, error, len);
    assert_int_equal(from_client(ALICE, len), 0);
    assert_int_equal(rig_count(VERDICT_IN_ICMP_ERROR), 1);

    assert_true(from_client(BOB, build(&udp, BOB_IP, GATEWAY_IP)) > 0);
    assert_true(answered);
    assert_int_equal(rig_count(VERDICT_IN_BAD_SOURCE), 1);
    rig_stop();
}

/* What no tunnel of the product carries, control packets included. */
static void outbound_too_big(void **state) REQUIRES_ROLE(role_worker)
{
    struct inner s = {.proto = 17, .sport = 5, .dport = 6, .payload = RIG_MTU - 28};
    struct event_packet e;

    (void)state;
    start();
    assert_int_equal(client_sends(&s, ALICE_IP, GATEWAY_IP), RIG_MTU);
    s.payload++;
    assert_int_equal(client_sends(&s, ALICE_IP, GATEWAY_IP), 0);
    assert_int_equal(rig_count(VERDICT_IN_TOO_BIG), 1);
    for (unsigned len = RIG_MTU; len <= RIG_MTU + 1; len++) {
        inner_write_goodbye(packet);
        store_be16(packet + IPV6_OFF_PAYLOAD_LEN, (uint16_t)(len - IPV6_HEADER));
        assert_int_equal(from_client(ALICE, len), 0);
        assert_int_equal(engine_pop_packet(rig.engine, &e), len == RIG_MTU);
        assert_int_equal(rig_count(VERDICT_IN_TOO_BIG), 1 + (len > RIG_MTU));
    }
    rig_stop();
}

/* ---- names, there and back ---- */

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

static void names(void **state) REQUIRES_ROLE(role_worker)
{
    const struct inner echo4 = {.proto = 1, .sport = 77, .payload = 56};
    const struct inner echo6 = {.proto = 58, .sport = 77, .payload = 56};

    (void)state;
    start();
    /* Two names that lead to one address: their flows from one port are told apart. */
    assert_true(translate(ALICE, "100.96.0.5", REAL_IP, 2, DNS_GRANT));
    for (unsigned i = 0; i < 2; i++) {
        round_trip(&udp, ALICE_IP, NAME_IP, REAL_IP);
        round_trip(&udp, ALICE_IP, "100.96.0.5", REAL_IP);
        round_trip(&tcp, ALICE_IP, NAME_IP, REAL_IP);
        round_trip(&echo4, ALICE_IP, NAME_IP, REAL_IP);
        round_trip(&echo4, ALICE_IP, "100.96.0.5", REAL_IP);
        round_trip(&udp, ALICE_IP6, NAME_IP6, REAL_IP6);
        round_trip(&tcp, ALICE_IP6, NAME_IP6, REAL_IP6);
        round_trip(&echo6, ALICE_IP6, NAME_IP6, REAL_IP6);
    }
    rig_stop();
}

/* A name moves on: flows stay where they are, new ones do not. */
static void names_move(void **state) REQUIRES_ROLE(role_worker)
{
    struct inner other = udp;

    (void)state;
    start();
    round_trip(&udp, ALICE_IP, NAME_IP, REAL_IP);
    assert_true(translate(ALICE, NAME_IP, "203.0.113.9", 1, DNS_GRANT));
    round_trip(&udp, ALICE_IP, NAME_IP, REAL_IP);
    other.sport++;
    round_trip(&other, ALICE_IP, NAME_IP, "203.0.113.9");
    assert_true(translate(ALICE, NAME_IP, NULL, 1, DNS_GRANT)); /* it has no address any more */
    assert_true(client_sends(&udp, ALICE_IP, NAME_IP) > 0);
    assert_true(answered);
    expect_error(3, 0, ALICE_IP, NAME_IP);
    assert_int_equal(rig_count(VERDICT_IN_NO_ADDRESS), 1);
    /* What it stood for may be in the tunnel itself, for somebody who has a name of his own: then it is none. */
    assert_true(translate(ALICE, NAME_IP, BOB_IP, 1, DNS_GRANT));
    assert_true(client_sends(&udp, ALICE_IP, NAME_IP) > 0);
    assert_int_equal(rig_count(VERDICT_IN_NO_ADDRESS), 2);
    rig_stop();
}

/* The client uses the address for another name: it has begun anew. */
static void names_renumbered(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    start();
    round_trip(&udp, ALICE_IP, NAME_IP, REAL_IP);
    assert_true(translate(ALICE, NAME_IP, "203.0.113.9", 5, DNS_GRANT));
    assert_int_equal(rig_tally(TALLY_RENUMBERED), 1);
    assert_int_equal(
        network_sends(&(struct inner){.proto = 17, .sport = 53, .dport = 1000, .payload = 9},
                      REAL_IP, ALICE_IP),
        0);
    assert_int_equal(rig_count(VERDICT_OUT_PROHIBITED), 1);
    assert_true(client_sends(&udp, ALICE_IP6, NAME_IP6) > 0);
    assert_true(answered); /* the other one is gone, too */
    round_trip(&udp, ALICE_IP, NAME_IP, "203.0.113.9");
    rig_stop();
}

/* The same although the other name is refused: its packets are not the first one's. */
static void names_renumbered_in_vain(void **state) REQUIRES_ROLE(role_worker)
{
    struct engine_translation t = {
        .slot = ALICE, .refused = true, .grant = DNS_GRANT, .domain = 1, .n = 1};

    (void)state;
    start();
    t.pairs[0].proxy = ip(NAME_IP);
    struct worker *w = rig.engine->workers[0];
    assert_true(gateway_translate(w, rig.peers[ALICE], &t)); /* what it had is its own */
    round_trip(&udp, ALICE_IP, NAME_IP, REAL_IP);
    t.domain = 5;
    assert_true(gateway_translate(w, rig.peers[ALICE], &t));
    assert_int_equal(rig_tally(TALLY_RENUMBERED), 1);
    assert_true(client_sends(&udp, ALICE_IP, NAME_IP) > 0);
    assert_true(answered);
    expect_error(3, 13, ALICE_IP, NAME_IP);
    rig_stop();
}

/* Several grants lead to a name: one that permits will do; those that are over count no more, at once. */
static void names_grants(void **state) REQUIRES_ROLE(role_worker)
{
    static const uint16_t both[] = {OTHER_DNS_GRANT, DNS_GRANT};
    static const struct filter_rule only_tcp = {FILTER_TCP, 1, 65535};
    const struct inner back = {.proto = 17, .sport = 53, .dport = 1000, .payload = 9};

    (void)state;
    start();
    grant_names(2, both, NULL);
    round_trip(&udp, ALICE_IP, NAME_IP, REAL_IP);
    grant_names(1, both, NULL); /* the one that leads there is over */
    assert_true(client_sends(&udp, ALICE_IP, NAME_IP) > 0);
    assert_true(answered);
    expect_error(3, 13, ALICE_IP, NAME_IP);
    assert_int_equal(network_sends(&back, REAL_IP, ALICE_IP), 0);
    assert_int_equal(rig_count(VERDICT_OUT_PROHIBITED), 1);
    assert_true(translate(ALICE, NAME_IP, REAL_IP, 1, OTHER_DNS_GRANT));
    round_trip(&udp, ALICE_IP, NAME_IP, REAL_IP);
    grant_names(1, both, &only_tcp);
    assert_true(client_sends(&udp, ALICE_IP, NAME_IP) > 0);
    assert_true(answered);
    assert_int_equal(network_sends(&back, REAL_IP, ALICE_IP), 0);
    round_trip(&tcp, ALICE_IP, NAME_IP, REAL_IP);
    grant_names(0, both, NULL);
    assert_int_equal(network_sends(&back, GATEWAY_IP, ALICE_IP) > 0, true);
    rig_stop();
}

static bool never_over(const void *arg, uint16_t grant)
{
    (void)arg, (void)grant;
    return false;
}

/* There is no such peer, or it says what cannot be, or there is no room for all of it. */
static void names_refused(void **state) REQUIRES_ROLE(role_worker)
{
    struct engine_translation t = {.slot = ALICE, .domain = 9, .grant = DNS_GRANT, .n = 4};
    struct ip_addr real = ip(REAL_IP), first = proxy_addr_v4(100000, 0);

    (void)state;
    start();
    struct worker *w = rig.engine->workers[0];
    assert_false(translate(1000, NAME_IP, REAL_IP, 1, DNS_GRANT));
    assert_false(translate(ALICE, "100.64.0.9", REAL_IP, 1, DNS_GRANT));
    assert_int_equal(rig_tally(TALLY_TRANSLATIONS_FULL), 1);
    for (uint32_t i = 0; nat_names_room(&w->nat, 10 + ALICE) > 3; i++) {
        struct ip_addr proxy = proxy_addr_v4(100 + i, 0);
        assert_int_equal(nat_name_set(&w->nat, 10 + ALICE, &proxy, &real, 1, 1, never_over, NULL),
                         NAT_OK);
    }
    for (unsigned i = 0; i < t.n; i++) {
        t.pairs[i].proxy = proxy_addr_v4(100000, i);
        t.pairs[i].real = real;
    }
    assert_false(gateway_translate(w, rig.peers[ALICE], &t));
    assert_null(nat_name_find(&w->nat, 10 + ALICE, 4, first.bytes));
    t.n = 3;
    assert_true(gateway_translate(w, rig.peers[ALICE], &t));
    /* Grants that are over make room for one that is not. */
    for (uint16_t i = 100; i < 100 + 2 * NAT_GRANTS_MAX; i++)
        assert_true(translate(ALICE, NAME_IP, REAL_IP, 1, i));
    assert_true(translate(ALICE, NAME_IP, REAL_IP, 1, DNS_GRANT));
    round_trip(&udp, ALICE_IP, NAME_IP, REAL_IP);
    rig_stop();
}

/* She has her share of flows, until they end. */
static void flows_refused(void **state) REQUIRES_ROLE(role_worker)
{
    struct ip_addr proxy = ip(NAME_IP);
    struct nat_flow *f;

    (void)state;
    start();
    struct nat *n = &rig.engine->workers[0]->nat;
    const struct nat_name *name = nat_name_find(n, 10 + ALICE, 4, proxy.bytes);
    for (unsigned i = 0; i < NAT_ENTRIES_MAX / NAT_SHARE; i++)
        assert_int_equal(nat_outbound(n, 10 + ALICE, name, i < 65000 ? 6 : 17, (uint16_t)(i + 2000),
                                      0, rig.now, &f),
                         NAT_OK);
    assert_int_equal(client_sends(&udp, ALICE_IP, NAME_IP), 0);
    assert_int_equal(rig_count(VERDICT_IN_NAT_SHARE), 1);
    rig.now += 60 * NS_PER_SEC;
    round_trip(&udp, ALICE_IP, NAME_IP, REAL_IP);
    rig_stop();
}

/* ALICE's peer goes, and another comes, of this tenant of her number. */
static void peer_again(uint32_t tenant) REQUIRES_ROLE(role_worker)
{
    struct event_ack a;

    rig_command(0, &(struct command){.kind = COMMAND_PEER_REMOVE, .slot = ALICE});
    while (engine_pop_ack(rig.engine, &a)) {
        if (a.kind == ACK_PEER_GONE)
            engine_peer_free(a.peer);
        else if (a.kind == ACK_SESSION_GONE)
            engine_session_free(a.session);
    }
    rig.peers[ALICE] = engine_peer_new(ALICE, 0);
    engine_peer_client(rig.peers[ALICE], 10 + ALICE, tenant);
    rig_command(0, &(struct command){.kind = COMMAND_PEER_ADD, .peer = rig.peers[ALICE]});
    rig_path(ALICE, "192.0.2.1:51820", NULL, 0);
    rig_session(ALICE);
    grant_all(false);
}

static void expect_no_name(void) REQUIRES_ROLE(role_worker)
{
    assert_true(client_sends(&udp, ALICE_IP, NAME_IP) > 0);
    assert_true(answered);
    expect_error(3, 13, ALICE_IP, NAME_IP);
}

/* Who comes back finds his flows; nothing is left to the next one in his place. */
static void names_gone(void **state) REQUIRES_ROLE(role_worker)
{
    const struct inner back = {.proto = 17, .sport = 53, .dport = 1000, .payload = 9};

    (void)state;
    start();
    peer_again(1);
    assert_true(translate(ALICE, NAME_IP, REAL_IP, 1, DNS_GRANT));
    round_trip(&udp, ALICE_IP, NAME_IP, REAL_IP);
    peer_again(1);
    assert_true(network_sends(&back, REAL_IP, ALICE_IP) > 0);
    expect_ends(NAME_IP, ALICE_IP);
    round_trip(&udp, ALICE_IP, NAME_IP, REAL_IP);
    peer_again(2);
    expect_no_name();
    assert_true(translate(ALICE, NAME_IP, REAL_IP, 1, DNS_GRANT));
    round_trip(&udp, ALICE_IP, NAME_IP, REAL_IP);
    rig_command(0, &(struct command){.kind = COMMAND_CLIENT_FORGET, .slot = 10 + ALICE});
    expect_no_name();
    rig_stop();
}

/* ---- what the network may ---- */

static void inbound(void **state) REQUIRES_ROLE(role_worker)
{
    static const struct {
        const char *from, *to;
        struct inner packet;
        bool internet;
        enum verdict verdict;
    } rows[] = {
        {GATEWAY_IP, ALICE_IP, {.proto = 17, .sport = 53535}, false, VERDICT_OUT_FORWARDED},
        {GATEWAY_IP6, ALICE_IP6, {.proto = 99}, false, VERDICT_OUT_FORWARDED},
        {GATEWAY_IP, BOB_IP, {.proto = 17}, false, VERDICT_OUT_NO_PEER}, /* no grants */
        {BOB_IP, ALICE_IP, {.proto = 6, .sport = 80}, true, VERDICT_OUT_BAD_SOURCE},
        {NAME_IP, ALICE_IP, {.proto = 6, .sport = 80}, true, VERDICT_OUT_BAD_SOURCE},
        {CIDR_IP, ALICE_IP, {.proto = 6, .sport = 80}, false, VERDICT_OUT_FORWARDED},
        {CIDR_IP, ALICE_IP, {.proto = 6, .dport = 80}, false, VERDICT_OUT_PROHIBITED},
        {CIDR_IP, ALICE_IP, {.proto = 17, .sport = 80}, false, VERDICT_OUT_PROHIBITED},
        {CIDR_IP, ALICE_IP, {.proto = 99}, false, VERDICT_OUT_UNSUPPORTED},
        {"1.1.1.1", ALICE_IP, {.proto = 17}, false, VERDICT_OUT_PROHIBITED},
        {"1.1.1.1", ALICE_IP, {.proto = 17}, true, VERDICT_OUT_FORWARDED},
        {"192.168.1.1", ALICE_IP, {.proto = 17}, true, VERDICT_OUT_PROHIBITED},
        {REAL_IP, ALICE_IP, {.proto = 17, .sport = 53}, false, VERDICT_OUT_PROHIBITED},
        {CIDR_IP,
         ALICE_IP,
         {.proto = 17, .frag = 0x2000, .payload = 8},
         false,
         VERDICT_OUT_FRAGMENT},
        {CIDR_IP, "100.64.0.77", {.proto = 6, .sport = 80}, false, VERDICT_OUT_NO_ROUTE},
        {CIDR_IP, "100.64.0.50", {.proto = 6, .sport = 80}, false, VERDICT_OUT_NO_PEER},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        start();
        grant_all(rows[i].internet);
        size_t len = network_sends(&rows[i].packet, rows[i].from, rows[i].to);
        assert_int_equal(rig_count(rows[i].verdict), 1);
        assert_int_equal(rig_out(), 1);
        assert_int_equal(len > 0, rows[i].verdict == VERDICT_OUT_FORWARDED);
        if (len > 0)
            expect_ends(rows[i].from, rows[i].to);
        rig_stop();
    }
}

/* What is late is not taken for a packet without a flow. */
static void inbound_late(void **state) REQUIRES_ROLE(role_worker)
{
    struct inner back = {.proto = 6, .sport = 80, .dport = 1000, .flags = TCP_F_RST};

    (void)state;
    start();
    grant_all(true);
    round_trip(&tcp, ALICE_IP, NAME_IP, REAL_IP);
    assert_true(network_sends(&back, REAL_IP, ALICE_IP) > 0);
    expect_ends(NAME_IP, ALICE_IP);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(network_sends(&back, REAL_IP, ALICE_IP), 0);
    assert_int_equal(rig_count(VERDICT_OUT_NAT_EXPIRED), 2);
    round_trip(&tcp, ALICE_IP, NAME_IP, REAL_IP);
    rig_stop();
}

/* A super-packet with a checksum that is only begun is split behind the NAT. */
static void inbound_frames(void **state) REQUIRES_ROLE(role_worker)
{
    const struct inner big = {.proto = 6, .sport = 80, .dport = 1000, .payload = 3000, .seq = 7};
    struct vnet_hdr h = {.flags = VNET_F_NEEDS_CSUM,
                         .gso_type = VNET_GSO_TCPV4,
                         .hdr_len = 40,
                         .gso_size = 1200,
                         .csum_start = 20,
                         .csum_offset = TCP_OFF_CHECKSUM};
    static uint8_t frame[4096];

    (void)state;
    start();
    round_trip(&tcp, ALICE_IP, NAME_IP, REAL_IP);
    for (unsigned round = 0; round < 2; round++) { /* with one segment, and with three */
        struct inner s = big;
        s.payload = round == 0 ? 1200 : 600;
        size_t len = build(&s, REAL_IP, ALICE_IP);
        if (round == 0) {
            memcpy(frame, packet, len); /* the rest of the payload is zero */
            len = 40 + 3000;
            inner_be16(frame + 2, (uint32_t)len);
            inner_be16(frame + 10, 0);
            inner_be16(frame + 10, (uint16_t)~inner_sum(frame, 20, 0));
        } else {
            memcpy(frame, packet, len);
            h.gso_type = VNET_GSO_NONE;
        }
        uint32_t l4_len = (uint32_t)len - 20;
        checksum_store(frame + 20 + TCP_OFF_CHECKSUM,
                       checksum_fold(checksum_pseudo_v4(frame, IP_PROTO_TCP, l4_len)));
        struct io_rx *rx = rig_record(0, IO_RX_TUN);
        memcpy(rx->data, &h, sizeof h);
        memcpy(rx->data + IO_VNET_LEN, frame, len);
        rx->len = (uint32_t)(IO_VNET_LEN + len);
        unsigned n = rig.io[0].sends_n;
        rig_loop(0);
        const struct io_send *sent = &rig.io[0].sends[n];
        unsigned packets = 0;
        for (uint32_t at = 0;
             at < size_min(sent->len, RIG_SENT_MAX) && at + sent->segment_size <= RIG_SENT_MAX;
             at += sent->segment_size, packets++) {
            opened(ALICE, rig.io[0].sent[n] + at, size_min(sent->segment_size, sent->len - at));
            expect_ends(NAME_IP, ALICE_IP);
            assert_int_equal(view.dst_port, 1000);
        }
        assert_int_equal(packets, 1);
    }
    assert_int_equal(rig_count(VERDICT_OUT_FORWARDED),
                     6); /* two of them ALICE's own, and an answer */
    rig_stop();
}

/* No train is free: the frame comes again, and is not taken for one that was translated. */
static void inbound_stalls(void **state) REQUIRES_ROLE(role_worker)
{
    const struct inner back = {.proto = 17, .sport = 53, .dport = 1000, .payload = 9};
    unsigned n = 0;

    (void)state;
    start();
    round_trip(&udp, ALICE_IP, NAME_IP, REAL_IP);
    rig.io[0].hold = true;
    while (rig.engine->workers[0]->frames.n == 0 && n < 200) {
        static const struct vnet_hdr plain;
        build(&back, REAL_IP, ALICE_IP);
        (void)from_network(&plain, view.total_len);
        n++;
    }
    assert_true(n > 30 && n < 200);
    rig.io[0].hold = false;
    rig_land(0, IO_SENT);
    for (unsigned i = 0; i < 4; i++)
        rig_loop(0);
    assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), n + 2);
    assert_int_equal(rig_out(), n + 2);
    rig_stop();
}

/* Nothing waits for a client that is not connected, and nobody is asked to connect it. */
static void inbound_unconnected(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    start();
    round_trip(&udp, ALICE_IP, NAME_IP, REAL_IP);
    rig_command(0, &(struct command){.kind = COMMAND_SESSIONS_DROP, .slot = ALICE});
    (void)engine_peer_take_edges(rig.peers[ALICE]);
    assert_int_equal(network_sends(&udp, GATEWAY_IP, ALICE_IP), 0);
    assert_int_equal(rig_count(VERDICT_OUT_NO_SESSION), 1);
    assert_int_equal(rig.peers[ALICE]->staged_n, 0);
    assert_int_equal(engine_peer_take_edges(rig.peers[ALICE]) & EDGE_WANT_HANDSHAKE, 0);
    rig_stop();
}

/* ---- ICMP errors of the network ---- */

/* An error of `by` about what the client sent from its outer `port` to `to`; into `packet`. */
static size_t error_about(const char *by, const char *to, uint16_t port)
{
    struct inner s = udp;
    uint8_t error[ICMP_ERROR_MAX];
    struct ip_addr from = ip(by);

    s.sport = port;
    build(&s, from.family == ADDR_V4 ? ALICE_IP : ALICE_IP6, to);
    size_t len = icmp_error_write(error, &view, packet, ICMP_NETWORK);
    memcpy(packet, error, len);
    memcpy(packet + (from.family == ADDR_V4 ? 12 : 8), from.bytes, ip_addr_len(&from));
    assert_true(ip_parse(&view, packet, len));
    if (from.family == ADDR_V4) {
        inner_be16(packet + 10, 0);
        inner_be16(packet + 10, (uint16_t)~inner_sum(packet, 20, 0));
    } else {
        inner_be16(packet + 42, 0);
        inner_be16(packet + 42, (uint16_t)~inner_l4_sum(packet, len, 40, 58));
    }
    return len;
}

static void errors(void **state) REQUIRES_ROLE(role_worker)
{
    static const struct vnet_hdr plain;
    static const char *const sources[] = {"203.0.113.1", REAL_IP, GATEWAY_IP};

    (void)state;
    start();
    assert_true(translate(ALICE, "100.96.0.5", REAL_IP, 2, DNS_GRANT));
    round_trip(&udp, ALICE_IP, "100.96.0.5", REAL_IP);
    round_trip(&udp, ALICE_IP, NAME_IP, REAL_IP); /* from port 1001 outside */
    round_trip(&udp, ALICE_IP6, NAME_IP6, REAL_IP6);
    for (unsigned i = 0; i < ARRAY_LEN(sources); i++) {
        assert_true(from_network(&plain, error_about(sources[i], REAL_IP, 1001)) > 0);
        expect_ends(NAME_IP, ALICE_IP);
        expect_error(3, 0, ALICE_IP, NAME_IP);
        assert_int_equal(load_be16(packet + 20 + 8 + 20), 1000);
    }
    assert_true(from_network(&plain, error_about("2001:db8:9::1", REAL_IP6, 1000)) > 0);
    expect_ends(NAME_IP6, ALICE_IP6);
    expect_error(1, 3, ALICE_IP6, NAME_IP6);
    /* About no flow of ours: networks and the Internet. */
    assert_true(from_network(&plain, error_about("203.0.113.1", CIDR_IP, 1000)) > 0);
    expect_ends("203.0.113.1", ALICE_IP);
    expect_error(3, 0, ALICE_IP, CIDR_IP);
    /* About what is over, from a client, and about nothing that can be read. */
    uint64_t before = rig_count(VERDICT_OUT_NAT_EXPIRED);
    assert_int_equal(from_network(&plain, error_about(BOB_IP, REAL_IP, 1001)), 0);
    assert_int_equal(rig_count(VERDICT_OUT_BAD_SOURCE), 1);
    rig.now += 121 * NS_PER_SEC;
    assert_int_equal(from_network(&plain, error_about("203.0.113.1", REAL_IP, 1001)), 0);
    assert_int_equal(rig_count(VERDICT_OUT_NAT_EXPIRED), before + 1);
    size_t len = error_about("203.0.113.1", REAL_IP, 1001);
    packet[28] = 0x55; /* no IP header */
    assert_int_equal(from_network(&plain, len), 0);
    assert_int_equal(rig_count(VERDICT_OUT_UNSUPPORTED), 1);
    rig_stop();
}

/* ---- two workers ---- */

/* A frame that another worker has read is translated by the client's. */
static void handed_over(void **state) REQUIRES_ROLE(role_worker)
{
    static const struct engine_config two = {
        .workers = 2, .crypto = CRYPT_AUTO, .fixed_paths = true, .role = ENGINE_GATEWAY};

    (void)state;
    start_with(&two);
    round_trip(&udp, ALICE_IP, NAME_IP, REAL_IP);
    build(&(struct inner){.proto = 17, .sport = 53, .dport = 1000, .payload = 9}, REAL_IP,
          ALICE_IP);
    struct io_rx *rx = rig_record(1, IO_RX_TUN);
    memset(rx->data, 0, IO_VNET_LEN);
    memcpy(rx->data + IO_VNET_LEN, packet, view.total_len);
    rx->len = IO_VNET_LEN + view.total_len;
    unsigned n = rig.io[0].sends_n;
    rig_loop(1);
    rig_loop(0);
    rig_loop(1);
    assert_int_equal(rig.io[0].sends_n, n + 1);
    opened_send(ALICE, n);
    expect_ends(NAME_IP, ALICE_IP);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outbound),
        cmocka_unit_test(outbound_silent),
        cmocka_unit_test(outbound_too_big),
        cmocka_unit_test(names),
        cmocka_unit_test(names_move),
        cmocka_unit_test(names_renumbered),
        cmocka_unit_test(names_renumbered_in_vain),
        cmocka_unit_test(names_grants),
        cmocka_unit_test(names_refused),
        cmocka_unit_test(flows_refused),
        cmocka_unit_test(names_gone),
        cmocka_unit_test(inbound),
        cmocka_unit_test(inbound_late),
        cmocka_unit_test(inbound_frames),
        cmocka_unit_test(inbound_stalls),
        cmocka_unit_test(inbound_unconnected),
        cmocka_unit_test(errors),
        cmocka_unit_test(handed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
