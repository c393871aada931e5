/* SPDX-License-Identifier: Apache-2.0 */
/* How packets become runs and trains, and what is counted when they are sent or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/worker_rig.c"

static const struct engine_config one_worker = {.workers = 1, .crypto = CRYPT_AUTO};

struct packet {
    uint16_t len;
    uint8_t ecn;
};

struct run {
    uint32_t len;
    uint16_t segment_size;
    uint8_t ecn;
};

enum {
    OVER = WG_DATA_OVERHEAD
};

/* Numbered cases: packets in, runs out. */
static const struct {
    struct packet in[8];
    struct run out[8];
} cases[] = {
    /* 0: one size is one run */
    {{{100, 0}, {100, 0}, {100, 0}}, {{3 * (100 + OVER), 100 + OVER, 0}}},
    /* 1: a shorter one ends the run, an equal one after it begins the next */
    {{{100, 0}, {100, 0}, {60, 0}, {100, 0}},
     {{2 * (100 + OVER) + 60 + OVER, 100 + OVER, 0}, {100 + OVER, 100 + OVER, 0}}},
    /* 2: nothing follows the short end, were it as short */
    {{{100, 0}, {60, 0}, {60, 0}, {60, 0}},
     {{160 + 2 * OVER, 100 + OVER, 0}, {2 * (60 + OVER), 60 + OVER, 0}}},
    /* 3: a longer one begins a run */
    {{{60, 0}, {61, 0}, {61, 0}}, {{60 + OVER, 60 + OVER, 0}, {2 * (61 + OVER), 61 + OVER, 0}}},
    /* 4: each run has one ECN mark, which is the inner one */
    {{{100, 0}, {100, 2}, {100, 2}, {100, 0}},
     {{100 + OVER, 100 + OVER, 0}, {2 * (100 + OVER), 100 + OVER, 2}, {100 + OVER, 100 + OVER, 0}}},
    /* 5: a shorter one with another mark does not end the run but begins one */
    {{{100, 1}, {60, 3}, {60, 3}}, {{100 + OVER, 100 + OVER, 1}, {2 * (60 + OVER), 60 + OVER, 3}}},
};

static void test_runs(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    for (unsigned k = 0; k < ARRAY_LEN(cases); k++) {
        const struct io *io = &rig.io[0];
        unsigned packets = 0, runs = 0;
        rig_start(&one_worker, 1);
        rig_session(0);
        for (; cases[k].in[packets].len > 0; packets++)
            rig_feed(0, 0, cases[k].in[packets].len, cases[k].in[packets].ecn);
        rig_loop(0);
        for (; cases[k].out[runs].len > 0; runs++) {
            assert_int_equal(io->sends[runs].len, cases[k].out[runs].len);
            assert_int_equal(io->sends[runs].segment_size, cases[k].out[runs].segment_size);
            assert_int_equal(io->sends[runs].ecn, cases[k].out[runs].ecn);
        }
        assert_int_equal(io->sends_n, runs);
        assert_int_equal(rig_tally(TALLY_SEAL_BATCHES), 1);
        assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), packets);
        assert_int_equal(rig_out(), packets);
        rig_stop();
    }
}

/* Super-packets, since a worker has fewer buffers than a train has packets. */
static void test_most_packets(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    rig_start(&one_worker, 1);
    rig_session(0);
    for (unsigned i = 0; i < 13; i++)
        assert_true(rig_feed_segments(0, 0, 5));
    rig_loop(0);
    assert_int_equal(rig.io[0].sends_n, 2);
    assert_int_equal(rig.io[0].sends[0].len, CRYPT_BATCH_MAX * (428 + OVER));
    assert_int_equal(rig.io[0].sends[1].len, 428 + OVER);
    assert_int_equal(rig_tally(TALLY_SEAL_BATCHES), 2);
    assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), 65);
    rig_stop();
}

static void test_most_bytes(void **state) REQUIRES_ROLE(role_worker)
{
    const unsigned fit = IO_GSO_BYTES_MAX / (RIG_MTU + OVER);
    (void)state;
    /* Staged packets leave in one go: more than one train's bytes. */
    rig_start(&one_worker, 1);
    for (unsigned i = 0; i < fit + 1; i++) {
        assert_true(rig_feed(0, 0, RIG_MTU, 0));
        rig_loop(0);
    }
    assert_int_equal(rig.io[0].sends_n, 0);
    rig_session(0);
    assert_int_equal(rig.io[0].sends_n, 2);
    assert_int_equal(rig.io[0].sends[0].len, fit * (RIG_MTU + OVER));
    assert_int_equal(rig.io[0].sends[1].len, RIG_MTU + OVER);
    assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), fit + 1);
    rig_stop();
}

static void test_padding(void **state) REQUIRES_ROLE(role_worker)
{
    static const struct {
        uint16_t len, padded;
    } lengths[] = {{20, 32},     {32, 32},        {33, 48},          {1403, 1408},
                   {1408, 1408}, {1409, RIG_MTU}, {RIG_MTU, RIG_MTU}};
    struct engine_config padding = one_worker;
    (void)state;
    padding.pad = true;
    for (unsigned k = 0; k < ARRAY_LEN(lengths); k++) {
        rig_start(&padding, 1);
        rig_session(0);
        rig_feed(0, 0, lengths[k].len, 0);
        rig_loop(0);
        assert_int_equal(rig.io[0].sends[0].len, lengths[k].padded + OVER);
        /* The other end finds the packet, without the padding. */
        rig_receive(0, 0, 0, "198.51.100.1:1");
        rig_loop(0);
        assert_int_equal(rig_count(VERDICT_IN_FORWARDED), 1);
        rig_stop();
    }
}

static void send_control(size_t len) REQUIRES_ROLE(role_worker)
{
    struct command c = {.kind = COMMAND_DATAGRAM};
    assert_int_equal(sock_addr_parse(&c.datagram.to, "192.0.2.1:51820"), ERR_OK);
    c.datagram.len = (uint16_t)len;
    rig_command(0, &c);
}

/* Verdicts are for packets that were read: keepalives and control's datagrams have tallies of their own. */
static void test_own_datagrams(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    rig_start(&one_worker, 1);
    rig_session(0);
    rig_command(0, &(struct command){.kind = COMMAND_KEEPALIVE});
    assert_int_equal(rig.io[0].sends[0].len, OVER);
    assert_int_equal(rig_tally(TALLY_KEEPALIVES_SENT), 1);
    assert_int_equal(rig_out(), 0);

    /* At the end of a run that begins with data. */
    engine_command(rig.engine, 0, &(struct command){.kind = COMMAND_KEEPALIVE});
    engine_command(rig.engine, 0, &(struct command){.kind = COMMAND_KEEPALIVE});
    rig_feed(0, 0, 100, 0);
    rig_loop(0);
    assert_int_equal(rig_tally(TALLY_KEEPALIVES_SENT), 3);
    assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), 1);
    struct worker *w = rig.engine->workers[0];
    memset(train_append(w, rig.peers[0], rig.peers[0]->current, 100, 0), 0, 100);
    egress_keepalive(w, rig.peers[0]);
    rig_loop(0);
    assert_int_equal(rig.io[0].sends[rig.io[0].sends_n - 1].len, 100 + 2 * OVER);
    assert_int_equal(rig_tally(TALLY_KEEPALIVES_SENT), 4);
    assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), 2);

    send_control(WG_INITIATION_LEN);
    assert_int_equal(rig_tally(TALLY_CONTROL_SENT), 1);
    rig.io[0].result = IO_DENIED;
    send_control(WG_INITIATION_LEN);
    rig_command(0, &(struct command){.kind = COMMAND_KEEPALIVE});
    assert_int_equal(rig_tally(TALLY_CONTROL_FAILED), 1);
    assert_int_equal(rig_tally(TALLY_KEEPALIVES_FAILED), 1);
    assert_int_equal(rig_out(), 2);

    /* No buffer is left. */
    rig.io[0].hold = true;
    for (unsigned i = 0; i < WORKER_SMALLS + 1; i++)
        send_control(WG_INITIATION_LEN);
    assert_int_equal(rig_tally(TALLY_CONTROL_FAILED), 2);
    assert_int_equal(rig_out(), 2);
    rig_stop();
}

/* Without an answer about their source they are dropped, each counted as what it is. */
static void test_no_source(void **state) REQUIRES_ROLE(role_worker)
{
    struct engine_config resolving = one_worker;
    (void)state;
    resolving.source_resolve = true;
    rig_start(&resolving, 1);
    rig_session(0);
    rig_feed(0, 0, 100, 0);
    rig_loop(0);
    rig_command(0, &(struct command){.kind = COMMAND_KEEPALIVE});
    send_control(WG_INITIATION_LEN);
    assert_int_equal(rig.io[0].sends_n, 0);
    rig.now += 2 * SOURCE_PARKED_AGE_MAX;
    rig_loop(0);
    assert_int_equal(rig_count(VERDICT_OUT_NO_SOURCE), 1);
    assert_int_equal(rig_out(), 1);
    assert_int_equal(rig_tally(TALLY_KEEPALIVES_FAILED), 1);
    assert_int_equal(rig_tally(TALLY_CONTROL_FAILED), 1);
    rig_stop();
}

/* An address of ours does not say by which interface a datagram leaves: without one it might enter our own TUN. */
static void test_source_without_interface(void **state) REQUIRES_ROLE(role_worker)
{
    struct engine_config resolving = one_worker;
    struct command c = {.kind = COMMAND_ENDPOINT, .slot = 0};
    (void)state;
    resolving.source_resolve = true;
    rig_start(&resolving, 1);
    rig_session(0);
    c.endpoint.to = rig.peers[0]->endpoint;
    c.endpoint.from.ip = ip_addr_v4((const uint8_t[4]){192, 0, 2, 2});
    rig_command(0, &c);
    rig_feed(0, 0, 100, 0);
    rig_loop(0);
    assert_int_equal(rig.io[0].sends_n, 0);
    assert_int_equal(rig_count(VERDICT_OUT_NO_SOURCE), 1);
    c.endpoint.from.ifindex = 4;
    rig_command(0, &c);
    rig_feed(0, 0, 100, 0);
    rig_loop(0);
    assert_int_equal(rig.io[0].sends_n, 1);
    assert_int_equal(rig.io[0].sends[0].from.ifindex, 4);
    assert_int_equal(rig_count(VERDICT_OUT_NO_SOURCE), 1);
    rig_stop();
}

static unsigned edges_taken(uint32_t bit)
{
    struct event_edge e;
    unsigned n = 0;
    while (engine_pop_edge(rig.engine, &e))
        n += (engine_peer_take_edges(rig.peers[e.slot]) & bit) != 0;
    return n;
}

/* A path that stays lost is reported once a second. */
static void test_path_lost(void **state) REQUIRES_ROLE(role_worker)
{
    unsigned reported = 0;
    (void)state;
    rig_start(&one_worker, 1);
    rig_session(0);
    edges_taken(0);
    rig.io[0].result = IO_PATH_LOST;
    for (unsigned ms = 0; ms < 2500; ms += 10, rig.now += 10 * NS_PER_MS) {
        rig_feed(0, 0, 100, 0);
        rig_loop(0);
        reported += edges_taken(EDGE_PATH_LOST);
    }
    assert_int_equal(reported, 3);
    assert_int_equal(rig_count(VERDICT_OUT_NO_SOURCE), 250);
    rig_stop();
}

/* A peer's bytes contain its handshakes, as in the kernel: both messages, once each. */
static void test_handshake_bytes(void **state) REQUIRES_ROLE(role_worker)
{
    struct peer_activity a;
    (void)state;
    rig_start(&one_worker, 1);
    send_control(WG_INITIATION_LEN);
    rig_session(0);
    engine_peer_activity(rig.peers[0], &a);
    assert_int_equal(a.tx_bytes, WG_INITIATION_LEN);
    assert_int_equal(a.rx_bytes, WG_RESPONSE_LEN);
    struct command c = {.kind = COMMAND_DATAGRAM, .slot = COMMAND_NO_PEER};
    assert_int_equal(sock_addr_parse(&c.datagram.to, "192.0.2.1:51820"), ERR_OK);
    c.datagram.len = 20;
    rig_command(0, &c);
    engine_peer_activity(rig.peers[0], &a);
    assert_int_equal(a.tx_bytes, WG_INITIATION_LEN);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_most_packets),
        cmocka_unit_test(test_most_bytes),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_own_datagrams),
        cmocka_unit_test(test_no_source),
        cmocka_unit_test(test_source_without_interface),
        cmocka_unit_test(test_path_lost),
        cmocka_unit_test(test_handshake_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
