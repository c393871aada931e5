/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's rules in a worker: what a client's packets reach and what it is told otherwise, names through the NAT and back, ICMP
 * errors of the network, what is let in, and a client that comes back. Peer 0 is the client; the rig is both ends of its session.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/grants.h"
#include "engine/icmp.h"
#include "engine/wire/inner.h"
#include "tests/support/inner_packet.h"
#include "tests/worker_rig.c"

#define CLIENT  "100.64.0.1"
#define CLIENT6 "fd00:2021:1111::1"
#define OURS    "100.64.0.9"
#define PROXY   "100.96.0.1"
#define REAL    "192.168.7.1"
#define NET     "10.9.0.7"

static const struct engine_config config = {
    .workers = 1, .crypto = CRYPT_AUTO, .fixed_paths = true, .role = ENGINE_GATEWAY};
static const struct filter_rule web[] = {{FILTER_TCP, 80, 80}, {FILTER_ICMP, 0, 0}};
static uint8_t packet[2048];

static struct ip_addr ip(const char *text)
{
    struct ip_addr a;
    assert_int_equal(ip_addr_parse(&a, text), ERR_OK);
    return a;
}

static void grant(bool internet, bool network, bool name)
{
    struct engine_grant list[3];
    struct engine_grants g = {.ipv4 = ip(CLIENT), .ipv6 = ip(CLIENT6), .grants = list};

    if (network)
        list[g.n++] = (struct engine_grant){
            .index = 1, .kind = ENGINE_GRANT_CIDR, .prefix = {ip("10.9.0.0"), 16}};
    if (name)
        list[g.n++] = (struct engine_grant){
            .index = 2, .kind = ENGINE_GRANT_DNS, .rules = web, .rules_n = ARRAY_LEN(web)};
    if (internet)
        list[g.n++] = (struct engine_grant){.index = 3, .kind = ENGINE_GRANT_INTERNET};
    assert_int_equal(engine_set_grants(rig.engine, rig.peers[0], &g), ERR_OK);
}

static void translate(const char *proxy, const char *real) REQUIRES_ROLE(role_worker)
{
    struct engine_translation t = {.grant = 2, .domain = 7, .n = 1};
    struct event_ack a;

    t.pairs[0].proxy = ip(proxy);
    if (real)
        t.pairs[0].real = ip(real);
    rig_command(0, &(struct command){.kind = COMMAND_TRANSLATE, .slot = 0, .translation = &t});
    assert_true(engine_pop_ack(rig.engine, &a));
    assert_int_equal(a.kind, ACK_TRANSLATED);
    assert_ptr_equal(a.translation, &t);
    assert_true(a.done);
}

static void start(void) REQUIRES_ROLE(role_worker)
{
    struct ip_addr none = {.family = ADDR_NONE};
    struct ip_addr own = ip(OURS);

    rig_start(&config, 1);
    const struct engine_route route = {{ip(CLIENT), 32}, engine_peer_value(rig.peers[0])};
    assert_int_equal(engine_set_routes(rig.engine, &route, 1), ERR_OK);
    engine_set_gateway(rig.engine, &own, &none);
    rig_session(0);
    grant(false, true, true);
}

/* ---- packets ---- */

static size_t build(const struct inner *s, const char *from, const char *to)
{
    struct ip_addr src = ip(from), dst = ip(to);
    size_t n = s->version == 6 ? 16 : 4, len = inner_build(packet, s);
    struct ip_view v;

    memcpy(packet + (n == 4 ? 12 : 8), src.bytes, n);
    memcpy(packet + (n == 4 ? 16 : 24), dst.bytes, n);
    if (n == 4) { /* both checksums of the packet as it is now */
        store_be16(packet + 10, 0);
        store_be16(packet + 10, (uint16_t)~inner_sum(packet, 20, 0));
    }
    assert_true(ip_parse(&v, packet, len));
    unsigned off = s->proto == 6 ? 16 : 6;
    if (s->proto == 6 || s->proto == 17) {
        store_be16(packet + v.l4_off + off, 0);
        store_be16(packet + v.l4_off + off,
                   (uint16_t)~inner_l4_sum(packet, len, v.l4_off, s->proto));
    }
    return len;
}

static void receive(size_t len) REQUIRES_ROLE(role_worker)
{
    unsigned n = rig.io[0].sends_n;

    rig_command(0, &(struct command){.kind = COMMAND_PACKET,
                                     .slot = 0,
                                     .block = engine_block_new(packet, (uint32_t)len)});
    assert_int_equal(rig.io[0].sends_n, n + 1);
    rig_receive(0, 0, n, "192.0.2.2:1");
    rig_loop(0);
}

/* From the client, as TCP. */
static void out(const char *from, const char *to, uint16_t sport, uint16_t dport, uint8_t flags)
    REQUIRES_ROLE(role_worker)
{
    const struct inner s = {
        .version = 4, .proto = 6, .sport = sport, .dport = dport, .flags = flags, .payload = 10};
    receive(build(&s, from, to));
}

static void feed(size_t len) REQUIRES_ROLE(role_worker)
{
    struct io_rx *rx = rig_record(0, IO_RX_TUN);

    assert_non_null(rx);
    memset(rx->data, 0, IO_VNET_LEN);
    memcpy(rx->data + IO_VNET_LEN, packet, len);
    rx->len = (uint32_t)(IO_VNET_LEN + len);
    rig_loop(0);
}

/* From the network, as TCP. */
static void in(const char *from, uint16_t sport, uint16_t dport)REQUIRES_ROLE(role_worker)
{
    const struct inner s = {.version = 4,
                            .proto = 6,
                            .sport = sport,
                            .dport = dport,
                            .flags = TCP_F_ACK,
                            .payload = 10};
    feed(build(&s, from, CLIENT));
}

/* The packet that went to the network last, with right checksums. */
static void assert_to_network(const char *src, const char *dst, uint16_t sport, uint16_t dport)
{
    const uint8_t *p = rig.io[0].frame + IO_VNET_LEN;
    size_t len = rig.io[0].frame_len - IO_VNET_LEN;
    struct ip_addr from = ip(src), to = ip(dst);
    struct ip_view v;

    assert_true(ip_parse(&v, p, len));
    struct ip_addr is_from = ip_src(p, v.version), is_to = ip_dst(p, v.version);
    assert_true(ip_addr_equal(&is_from, &from) && ip_addr_equal(&is_to, &to));
    assert_int_equal(v.src_port, sport);
    assert_int_equal(v.dst_port, dport);
    assert_int_equal(inner_sum(p, 20, 0), 0xffff);
    assert_int_equal(inner_l4_sum(p, v.total_len, v.l4_off, v.proto), 0xffff);
}

/* What the client was sent last: the rig opens it by sending it to the worker as if it were the client's. */
static uint64_t forwarded(void)
{
    return rig_count(VERDICT_OUT_FORWARDED);
}

static void expect(enum verdict v, uint64_t n)
{
    if (rig_count(v) != n)
        fail_msg("%s is %u, not %u", verdict_name(v), (unsigned)rig_count(v), (unsigned)n);
}

/* ---- tests ---- */

static void granted_or_told(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    start();
    out(CLIENT, NET, 5, 443, TCP_F_SYN);
    expect(VERDICT_IN_FORWARDED, 1);
    assert_to_network(CLIENT, NET, 5, 443);
    unsigned sent = rig.io[0].sends_n;
    out(CLIENT, "10.8.0.1", 5, 443, TCP_F_SYN);
    expect(VERDICT_IN_PROHIBITED, 1);
    assert_int_equal(rig.io[0].sends_n, sent + 2); /* the packet of the rig, and the error */
    out("100.64.0.2", NET, 5, 443, TCP_F_SYN);
    expect(VERDICT_IN_BAD_SOURCE, 1);
    out(CLIENT, "100.64.0.2", 5, 443, TCP_F_SYN); /* another client */
    expect(VERDICT_IN_PROHIBITED, 2);
    out(CLIENT, PROXY, 5, 80, TCP_F_SYN); /* no such name */
    expect(VERDICT_IN_PROHIBITED, 3);
    out(CLIENT, OURS, 5, 53535, TCP_F_SYN); /* our own services */
    expect(VERDICT_IN_FORWARDED, 2);
    out(CLIENT, "224.0.0.1", 5, 80, TCP_F_SYN);
    expect(VERDICT_IN_MULTICAST, 1);
    grant(false, false, false);
    out(CLIENT, NET, 5, 443, TCP_F_SYN);
    expect(VERDICT_IN_PROHIBITED, 4);
    rig_stop();
}

static void internet(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    static const char *const rejected[] = {"10.9.0.7",    "172.31.0.1", "192.168.7.1",
                                           "169.254.1.1", "127.0.0.1",  "100.127.0.1"};
    start();
    grant(true, true, true);
    out(CLIENT, "203.0.113.1", 5, 443, TCP_F_SYN);
    expect(VERDICT_IN_FORWARDED, 1);
    for (unsigned i = 0; i + 1 < ARRAY_LEN(rejected); i++)
        out(CLIENT, rejected[i], 5, 443, TCP_F_SYN);
    expect(VERDICT_IN_REJECTED, ARRAY_LEN(rejected) - 1);
    out(CLIENT, "100.127.0.1", 5, 443, TCP_F_SYN); /* of the names' range */
    expect(VERDICT_IN_PROHIBITED, 1);
    rig_stop();
}

static void names(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    start();
    translate(PROXY, REAL);
    out(CLIENT, PROXY, 40000, 80, TCP_F_SYN);
    expect(VERDICT_IN_FORWARDED, 1);
    assert_to_network(CLIENT, REAL, 40000, 80);
    out(CLIENT, PROXY, 40000, 81, TCP_F_SYN); /* the filter's */
    expect(VERDICT_IN_PROHIBITED, 1);

    uint64_t sent = forwarded();
    in(REAL, 80, 40000);
    assert_int_equal(forwarded(), sent + 1);
    in(REAL, 80, 40001); /* of no flow, and nothing is granted there */
    expect(VERDICT_OUT_PROHIBITED, 1);

    /* Another name with the same address: the same port is another flow's already. */
    translate("100.96.0.5", REAL);
    out(CLIENT, "100.96.0.5", 40000, 80, TCP_F_SYN);
    assert_to_network(CLIENT, REAL, 40001, 80);
    sent = forwarded();
    in(REAL, 80, 40001);
    assert_int_equal(forwarded(), sent + 1);

    translate("100.96.0.2", NULL);
    out(CLIENT, "100.96.0.2", 1, 80, TCP_F_SYN);
    expect(VERDICT_IN_NO_ADDRESS, 1);
    grant(false, true, false); /* the name is not granted any more */
    out(CLIENT, PROXY, 40000, 80, TCP_F_ACK);
    expect(VERDICT_IN_PROHIBITED, 2);
    rig_stop();
}

/* The client sees its answers from the proxy address: what leaves is given to it, and it answers in its turn. */
static void there_and_back(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    start();
    translate(PROXY, REAL);
    out(CLIENT, PROXY, 40000, 80, TCP_F_SYN);
    unsigned n = rig.io[0].sends_n;
    in(REAL, 80, 40000);
    assert_int_equal(rig.io[0].sends_n, n + 1);
    /* Sealed with the session that the rig can open: as a packet of the client it is from a wrong source, and told so. */
    rig_receive(0, 0, n, "192.0.2.2:1");
    rig_loop(0);
    expect(VERDICT_IN_BAD_SOURCE, 1);
    rig_stop();
}

static void expiry(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    start();
    translate(PROXY, REAL);
    out(CLIENT, PROXY, 40000, 80, TCP_F_SYN);
    rig.now += 59 * NS_PER_SEC;
    uint64_t sent = forwarded();
    in(REAL, 80, 40000);
    assert_int_equal(forwarded(), sent + 1);
    out(CLIENT, PROXY, 40000, 80, TCP_F_RST);
    rig.now += 2 * NS_PER_SEC;
    in(REAL, 80, 40000);
    expect(VERDICT_OUT_NAT_EXPIRED, 1);
    rig_stop();
}

/* An error of a router's about what went to the real address. */
static void icmp_errors(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    uint8_t error[ICMP_ERROR_MAX];
    struct ip_view v;

    start();
    translate(PROXY, REAL);
    out(CLIENT, PROXY, 40000, 80, TCP_F_SYN);
    const struct inner s = {.version = 4, .proto = 6, .sport = 40000, .dport = 80, .payload = 10};
    assert_true(ip_parse(&v, packet, build(&s, CLIENT, REAL)));
    size_t len = icmp_error_write(error, &v, packet, ICMP_NETWORK);
    memcpy(packet, error, len);
    uint64_t sent = forwarded();
    feed(len);
    assert_int_equal(forwarded(), sent + 1);
    memcpy(packet, error, len);
    receive(len); /* clients send none */
    expect(VERDICT_IN_BAD_SOURCE, 0);
    expect(VERDICT_IN_ICMP_ERROR, 1);
    rig_stop();
}

/* Another peer of the same client finds its flows; another tenant of its number does not. */
static void comes_back(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    for (uint32_t tenant = 0; tenant < 2; tenant++) {
        struct event_ack a;
        start();
        translate(PROXY, REAL);
        out(CLIENT, PROXY, 40000, 80, TCP_F_SYN);
        rig_command(0, &(struct command){.kind = COMMAND_PEER_REMOVE, .slot = 0});
        while (engine_pop_ack(rig.engine, &a)) {
            if (a.kind == ACK_PEER_GONE)
                engine_peer_free(a.peer);
            else
                engine_session_free(a.session);
        }
        rig.peers[0] = engine_peer_new(0, 0);
        engine_peer_client(rig.peers[0], 0, tenant);
        rig_command(0,
                    &(struct command){.kind = COMMAND_PEER_ADD, .slot = 0, .peer = rig.peers[0]});
        rig_path(0, "192.0.2.1:51820", NULL, 0);
        rig_session(0);
        grant(false, false, true);
        uint64_t sent = forwarded();
        in(REAL, 80, 40000);
        assert_int_equal(forwarded(), sent + (tenant == 0));
        expect(VERDICT_OUT_PROHIBITED, tenant);
        rig_command(0, &(struct command){.kind = COMMAND_CLIENT_FORGET, .slot = 0});
        in(REAL, 80, 40000);
        expect(VERDICT_OUT_PROHIBITED, 1 + tenant);
        rig_stop();
    }
}

static void from_the_network(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    start();
    uint64_t sent = forwarded();
    in(NET, 443, 5);
    in(OURS, 53535, 5);
    assert_int_equal(forwarded(), sent + 2);
    in("10.8.0.1", 443, 5);
    expect(VERDICT_OUT_PROHIBITED, 1);
    in("100.64.0.2", 443, 5); /* another client */
    expect(VERDICT_OUT_BAD_SOURCE, 1);
    const struct inner igmp = {.version = 4, .proto = 2, .payload = 8};
    feed(build(&igmp, NET, CLIENT));
    expect(VERDICT_OUT_UNSUPPORTED, 1);
    const struct inner fragment = {.version = 4, .proto = 17, .frag = 0x2000, .payload = 20};
    feed(build(&fragment, NET, CLIENT));
    expect(VERDICT_OUT_FRAGMENT, 1);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(granted_or_told), cmocka_unit_test(internet),
        cmocka_unit_test(names),           cmocka_unit_test(there_and_back),
        cmocka_unit_test(expiry),          cmocka_unit_test(icmp_errors),
        cmocka_unit_test(comes_back),      cmocka_unit_test(from_the_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
