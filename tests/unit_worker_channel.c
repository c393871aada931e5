/* SPDX-License-Identifier: Apache-2.0 */
/* A peer behind a relay: its packets leave and arrive with a channel header, and nowhere else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/wire/channel.h"
#include "tests/worker_rig.c"

static const struct engine_config one_worker = {.workers = 1, .crypto = CRYPT_AUTO};

enum {
    CHANNEL = 0x4001
};

/* Frames of several packets are one run, each packet with its own header; the answer is taken in the same way. */
static void test_there_and_back(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    rig_start(&one_worker, 1);
    rig_path(0, "192.0.2.9:3478", NULL, CHANNEL);
    rig_session(0);
    assert_true(rig_feed_segments(0, 0, 3));
    rig_loop(0);
    assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), 3);
    assert_int_equal(rig.io[0].sends_n, 1);
    const struct io_send *s = &rig.io[0].sends[0];
    assert_int_equal(s->segment_size, CHANNEL_HEADER_LEN + WG_DATA_OVERHEAD + 428);
    assert_int_equal(s->len, 3 * s->segment_size);
    for (unsigned i = 0; i < 3; i++) {
        const uint8_t *datagram = rig.io[0].sent[0] + i * s->segment_size;
        assert_int_equal(channel_parse(datagram, s->segment_size), CHANNEL);
        assert_int_equal(load_le32(datagram + CHANNEL_HEADER_LEN), WG_KIND_DATA);
        assert_int_equal(load_le64(datagram + CHANNEL_HEADER_LEN + WG_DATA_COUNTER), i);
    }

    rig_receive(0, 0, 0, "192.0.2.2:1");
    rig_loop(0);
    assert_int_equal(rig_count(VERDICT_IN_FORWARDED), 3);
    /* The relay's address and the channel stay the path; nothing was learned from them. */
    struct peer_activity a;
    engine_peer_activity(rig.peers[0], &a);
    assert_int_equal(a.endpoint.port, 3478);
    assert_int_equal(engine_peer_take_edges(rig.peers[0]) & EDGE_ENDPOINT, EDGE_ENDPOINT);
    assert_int_equal(rig.peers[0]->channel, CHANNEL);
    assert_int_equal(rig.peers[0]->source.ip.family, ADDR_NONE);
    rig_stop();
}

static void test_keepalive(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    rig_start(&one_worker, 1);
    rig_path(0, "192.0.2.9:3478", NULL, CHANNEL);
    rig_session(0);
    rig_command(0, &(struct command){.kind = COMMAND_KEEPALIVE});
    rig_loop(0);
    assert_int_equal(rig_tally(TALLY_KEEPALIVES_SENT), 1);
    assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), 0);
    rig_receive(0, 0, 0, "192.0.2.2:1");
    rig_loop(0);
    assert_int_equal(rig_count(VERDICT_IN_KEEPALIVE), 1);
    rig_stop();
}

/* Data of a peer through a channel that does not lead to it, from another address, or to a peer without a relay. */
static void test_other_channels(void **state) REQUIRES_ROLE(role_worker)
{
    static const struct {
        const char *now;
        uint16_t channel;
        enum verdict verdict;
    } cases[] = {
        {"192.0.2.9:3478", CHANNEL, VERDICT_IN_FORWARDED},
        {"192.0.2.9:3478", CHANNEL + 1, VERDICT_IN_BAD_CHANNEL},
        {"192.0.2.8:3478", CHANNEL, VERDICT_IN_BAD_CHANNEL},
        {"192.0.2.9:3478", 0, VERDICT_IN_BAD_CHANNEL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        rig_start(&one_worker, 1);
        rig_path(0, "192.0.2.9:3478", NULL, CHANNEL);
        rig_session(0);
        assert_true(rig_feed(0, 0, 100, 0));
        rig_loop(0);
        rig_path(0, cases[i].now, NULL, cases[i].channel);
        rig_receive(0, 0, 0, "192.0.2.2:1");
        rig_loop(0);
        assert_int_equal(rig_count(cases[i].verdict), 1);
        assert_int_equal(rig_in(), 1);
        rig_stop();
    }
}

/* What stands behind a channel header but is no data, and headers that lie about the length. */
static void test_malformed(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    rig_start(&one_worker, 1);
    rig_path(0, "192.0.2.9:3478", NULL, CHANNEL);
    rig_session(0);
    for (unsigned len = 1; len < 64; len++) {
        struct io_rx *rx = rig_record(0, IO_RX_UDP);
        memset(rx->data, 0, len);
        rx->data[0] = 0x40;
        rx->data[1] = 1;
        rx->data[3] = (uint8_t)(len - CHANNEL_HEADER_LEN + len % 2);
        if (len > CHANNEL_HEADER_LEN)
            rx->data[CHANNEL_HEADER_LEN] = (uint8_t)(len % 7);
        rx->len = len;
        rx->segment_size = (uint16_t)len;
        assert_int_equal(sock_addr_parse(&rx->from, "192.0.2.9:3478"), ERR_OK);
        rig_loop(0);
    }
    assert_int_equal(rig_in(), 63);
    assert_int_equal(rig_count(VERDICT_IN_FORWARDED), 0);
    rig_stop();
}

/* A path that changes under load: what is open leaves in the old form, what follows in the new one. */
static void test_path_changes(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    rig_start(&one_worker, 1);
    rig_session(0);
    for (unsigned i = 0; i < 6; i++) {
        rig_path(0, "192.0.2.9:3478", NULL, i % 2 ? CHANNEL : 0);
        assert_true(rig_feed(0, 0, 100, 0));
        rig_loop(0);
        unsigned head = i % 2 ? CHANNEL_HEADER_LEN : 0;
        assert_int_equal(rig.io[0].sends_n, i + 1);
        assert_int_equal(rig.io[0].sends[i].len, head + WG_DATA_OVERHEAD + 100);
        assert_int_equal(load_le32(rig.io[0].sent[i] + head), WG_KIND_DATA);
    }
    rig_stop();
}

/* The same for packets that wait to be sealed by another worker. */
static void test_path_changes_with_helpers(void **state) REQUIRES_ROLE(role_worker)
{
    const struct engine_config helped = {
        .workers = 2, .crypto = CRYPT_AUTO, .helpers = ENGINE_HELPERS_ALWAYS};
    const unsigned old_len = WG_DATA_OVERHEAD + 100, new_len = CHANNEL_HEADER_LEN + old_len;
    const uint8_t key[32] = {0};
    unsigned packets = 0;
    (void)state;
    rig_start(&helped, 1);
    for (unsigned i = 0; i < PEER_STAGED_MAX; i++) {
        assert_true(rig_feed(0, 0, 100, 0));
        rig_loop(0);
    }
    for (unsigned i = 0; i < HELP_BACKLOG; i++)
        assert_true(rig_feed(0, 0, 100, 0));
    struct command c = {.kind = COMMAND_SESSION_ADD};
    c.session = engine_session_new(1, 1, true, rig.now, key, key);
    engine_command(rig.engine, 0, &c);
    rig_path(0, "192.0.2.9:3478", NULL, CHANNEL);
    for (unsigned i = 0; i < 4; i++)
        rig_loop(0);
    assert_true(rig_tally(TALLY_HELP_OFFERED) > 0);
    assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), PEER_STAGED_MAX + HELP_BACKLOG);
    for (unsigned i = 0; i < rig.io[0].sends_n; i++) {
        const struct io_send *s = &rig.io[0].sends[i];
        bool old = packets < PEER_STAGED_MAX;
        packets += s->len / s->segment_size;
        assert_int_equal(s->segment_size, old ? old_len : new_len);
        assert_int_equal(s->to.port, old ? 51820 : 3478);
    }
    assert_int_equal(packets, PEER_STAGED_MAX + HELP_BACKLOG);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_keepalive),
        cmocka_unit_test(test_other_channels), cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_path_changes),   cmocka_unit_test(test_path_changes_with_helpers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
