/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's NAT in a worker: names there and back with all that the network answers, and what becomes of them when grants or clients go.
 */
#include "tests/worker_gateway_rig.h"

/* ---- names, there and back ---- */

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

/* New flows are the worker's own business. */
static void flows_unheard(void **state) REQUIRES_ROLE(role_worker)
{
    struct inner s = udp;
    struct event_packet e;

    (void)state;
    start();
    for (unsigned i = 0; i < 3000; i++) {
        s.sport = (uint16_t)(2000 + i);
        assert_true(client_sends(&s, ALICE_IP, NAME_IP) > 0);
        assert_false(answered);
    }
    assert_int_equal(rig_count(VERDICT_IN_FORWARDED), 3000);
    assert_int_equal(rig_count(VERDICT_IN_PUNTED), 0);
    assert_false(engine_pop_packet(rig.engine, &e));
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

/* ---- what the network answers ---- */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(names_move),
        cmocka_unit_test(names_renumbered),
        cmocka_unit_test(names_renumbered_in_vain),
        cmocka_unit_test(names_grants),
        cmocka_unit_test(names_refused),
        cmocka_unit_test(flows_refused),
        cmocka_unit_test(flows_unheard),
        cmocka_unit_test(names_gone),
        cmocka_unit_test(inbound_late),
        cmocka_unit_test(inbound_frames),
        cmocka_unit_test(inbound_stalls),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
