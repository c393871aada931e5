/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's rules in a worker: what clients may send where, what they are told of what they may not, and what the network may send to
 * them. Names: unit_worker_nat.c.
 */
#include "tests/worker_gateway_rig.h"

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

/* It is the first that comes in its session: the client is told all the same. */
static void outbound_first(void **state) REQUIRES_ROLE(role_worker)
{
    struct io *io = &rig.io[0];
    struct command add = {.kind = COMMAND_SESSION_ADD, .slot = ALICE};
    uint8_t key[32] = {ALICE};
    struct event_ack a;

    (void)state;
    start();
    size_t len = build(&tcp, ALICE_IP, "10.2.0.1");
    unsigned n = io->sends_n;
    rig_command(0, &(struct command){.kind = COMMAND_PACKET,
                                     .slot = ALICE,
                                     .block = engine_block_new(packet, (uint32_t)len)});
    assert_int_equal(io->sends_n, n + 1);
    rig_command(0, &(struct command){.kind = COMMAND_SESSIONS_DROP, .slot = ALICE});
    while (engine_pop_ack(rig.engine, &a)) {
        if (a.kind == ACK_SESSION_GONE)
            engine_session_free(a.session);
    }
    add.session = engine_session_new(ALICE + 1, ALICE + 1, false, rig.now, key, key);
    rig_command(0, &add);
    assert_null(rig.peers[ALICE]->current);
    rig_receive(0, 0, n, "192.0.2.2:1");
    rig_loop(0);
    assert_int_equal(rig_count(VERDICT_IN_PROHIBITED), 1);
    assert_int_equal(io->sends_n, n + 2);
    opened_send(ALICE, n + 1);
    expect_error(3, 13, ALICE_IP, "10.2.0.1");
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
        cmocka_unit_test(outbound),       cmocka_unit_test(outbound_silent),
        cmocka_unit_test(outbound_first), cmocka_unit_test(outbound_too_big),
        cmocka_unit_test(inbound),        cmocka_unit_test(inbound_unconnected),
        cmocka_unit_test(handed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
