/* SPDX-License-Identifier: Apache-2.0 */
/* Paths that are control's alone (fixed_paths), what comes through relays, and what is learned when sending fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/wire/channel.h"
#include "engine/wire/inner.h"
#include "tests/worker_rig.c"

static const struct engine_config roaming = {.workers = 1, .crypto = CRYPT_AUTO};
static const struct engine_config fixed = {.workers = 1, .crypto = CRYPT_AUTO, .fixed_paths = true};

#define PEER_AT  "198.51.100.7:51820"
#define RELAY_AT "192.0.2.9:3478"
#define OURS     "192.0.2.2"

enum {
    CHANNEL = 0x4001,
    LEN = 100,
    DATAGRAM = LEN + WG_DATA_OVERHEAD
};

static void feed(void) REQUIRES_ROLE(role_worker)
{
    assert_true(rig_feed(0, 0, LEN, 0));
    rig_loop(0);
}

static const struct io_send *last_send(void)
{
    assert_true(rig.io[0].sends_n > 0);
    return &rig.io[0].sends[rig.io[0].sends_n - 1];
}

static void assert_addr(const struct sock_addr *a, const char *expected)
{
    char text[SOCK_ADDR_TEXT_MAX];
    assert_string_equal(sock_addr_format(a, text, sizeof text), expected);
}

static void assert_ip(const struct ip_addr *a, const char *expected)
{
    char text[IP_TEXT_MAX];
    assert_string_equal(ip_addr_format(a, text, sizeof text), expected);
}

/* ---- data ---- */

/* Whatever way data comes, it is taken, and answered on the path that control set. */
static void test_fixed_path(void **state) REQUIRES_ROLE(role_worker)
{
    static const struct {
        const char *path;
        uint16_t path_channel;
        const char *from;
        uint16_t from_channel;
    } cases[] = {
        {RELAY_AT, CHANNEL, RELAY_AT, CHANNEL},
        {RELAY_AT, CHANNEL, RELAY_AT, CHANNEL + 1},
        {RELAY_AT, CHANNEL, "203.0.113.5:3478", CHANNEL_LAST},
        {RELAY_AT, CHANNEL, "[2001:db8::9]:3478", CHANNEL_FIRST},
        {RELAY_AT, CHANNEL, PEER_AT, 0},
        {RELAY_AT, CHANNEL, RELAY_AT, 0},
        {PEER_AT, 0, RELAY_AT, CHANNEL},
        {PEER_AT, 0, PEER_AT, 0},
        {PEER_AT, 0, "203.0.113.5:1", 0},
        {"[2001:db8::7]:51820", 0, PEER_AT, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct peer_activity a;

        rig_start(&fixed, 1);
        rig_path(0, cases[i].from, NULL, cases[i].from_channel);
        rig_session(0);
        feed();
        rig_path(0, cases[i].path, OURS, cases[i].path_channel);
        (void)engine_peer_take_edges(rig.peers[0]);

        rig_receive(0, 0, 0, "203.0.113.200:1");
        rig_loop(0);
        assert_int_equal(rig_count(VERDICT_IN_FORWARDED), 1);
        assert_int_equal(rig_in(), 1);
        engine_peer_activity(rig.peers[0], &a);
        assert_addr(&a.endpoint, cases[i].path);
        assert_int_equal(engine_peer_take_edges(rig.peers[0]) & EDGE_ENDPOINT, 0);

        feed();
        unsigned head = cases[i].path_channel != 0 ? CHANNEL_HEADER_LEN : 0;
        assert_addr(&last_send()->to, cases[i].path);
        assert_ip(&last_send()->from.ip, OURS);
        assert_int_equal(last_send()->len, head + DATAGRAM);
        assert_int_equal(channel_parse(rig.io[0].sent[1], last_send()->len), cases[i].path_channel);
        rig_stop();
    }
}

/* Without fixed paths the peer is where it was heard, and our address is the one it was heard at. */
static void test_roaming_path(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    rig_start(&roaming, 1);
    rig_path(0, "203.0.113.5:1", NULL, 0);
    rig_session(0);
    feed();
    rig_path(0, PEER_AT, OURS, 0);
    (void)engine_peer_take_edges(rig.peers[0]);
    rig_receive(0, 0, 0, "203.0.113.200:1");
    rig_loop(0);
    assert_int_equal(rig_count(VERDICT_IN_FORWARDED), 1);
    assert_int_equal(engine_peer_take_edges(rig.peers[0]) & EDGE_ENDPOINT, EDGE_ENDPOINT);
    feed();
    assert_addr(&last_send()->to, "203.0.113.5:1");
    assert_ip(&last_send()->from.ip, "203.0.113.200");
    rig_stop();
}

/* ---- what is not data ---- */

enum {
    STUN_LEN = 20
};

/* A binding request with `len` - 20 bytes of attributes. */
static void stun(uint8_t *out, unsigned len)
{
    memset(out, 0xa5, len);
    store_be16(out, 0x0001);
    store_be16(out + 2, (uint16_t)(len - STUN_LEN));
    store_be32(out + 4, 0x2112a442);
}

static uint8_t bytes[4096];

/* `framed`: behind a channel header whose length is off by `lie`. Returns the length. */
static unsigned other(bool framed, int lie, unsigned len)
{
    unsigned head = framed ? CHANNEL_HEADER_LEN : 0;

    stun(bytes + head, len < STUN_LEN ? STUN_LEN : len);
    if (framed)
        channel_write(bytes, CHANNEL, (uint16_t)((int)len + lie));
    return head + len;
}

static void assert_verdict(const struct engine_config *config, unsigned len, enum verdict v)
    REQUIRES_ROLE(role_worker)
{
    struct event_packet e;

    rig_start(config, 1);
    rig_path(0, RELAY_AT, NULL, CHANNEL);
    rig_session(0);
    rig_receive_bytes(0, RELAY_AT, bytes, len, (uint16_t)len);
    rig_loop(0);
    assert_int_equal(rig_in(), 1);
    assert_int_equal(rig_count(v), 1);
    assert_int_equal(engine_pop_packet(rig.engine, &e), v == VERDICT_IN_PUNTED);
    if (v == VERDICT_IN_PUNTED) {
        assert_int_equal(e.len, len);
        assert_memory_equal(e.bytes, bytes, len);
        assert_addr(&e.from, RELAY_AT);
        assert_ip(&e.to.ip, OURS);
        assert_int_equal(e.worker, 0);
        assert_false(engine_pop_packet(rig.engine, &e));
    }
    rig_stop();
}

/* STUN is control's, whole; in a channel only where control knows what to do with it. */
static void test_stun(void **state) REQUIRES_ROLE(role_worker)
{
    static const struct {
        unsigned len;
        bool punted, framed_punted;
    } cases[] = {
        {STUN_LEN, true, true},
        {STUN_LEN - 1, false, false},
        {STUN_LEN + 100, true, true},
        {EVENT_PACKET_MAX - CHANNEL_HEADER_LEN, true, true},
        {EVENT_PACKET_MAX, true, false},
        {EVENT_PACKET_MAX + 1, false, false},
        {0, false, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum verdict bare = cases[i].punted ? VERDICT_IN_PUNTED : VERDICT_IN_MALFORMED;
        unsigned len = other(false, 0, cases[i].len);
        assert_verdict(&fixed, len, bare);
        assert_verdict(&roaming, len, bare);
        len = other(true, 0, cases[i].len);
        assert_verdict(&fixed, len,
                       cases[i].framed_punted ? VERDICT_IN_PUNTED : VERDICT_IN_MALFORMED);
        assert_verdict(&roaming, len, VERDICT_IN_MALFORMED);
    }
}

/* Our own packets come back. However many there are, STUN still has a place. */
static void test_inner(void **state) REQUIRES_ROLE(role_worker)
{
    const uint8_t stun[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};
    uint8_t packet[INNER_LEN_MIN];
    struct event_packet e;
    unsigned sent = RING_PACKETS / 2 + 5;

    (void)state;
    inner_write_goodbye(packet);
    rig_start(&fixed, 1);
    rig_path(0, PEER_AT, NULL, 0);
    rig_session(0);
    for (unsigned i = 0; i < sent; i++) {
        struct command c = {.kind = COMMAND_PACKET};
        c.block = engine_block_new(packet, sizeof packet);
        rig_command(0, &c);
        rig_receive(0, 0, rig.io[0].sends_n - 1, "192.0.2.2:1");
        rig_loop(0);
    }
    assert_int_equal(rig_count(VERDICT_IN_PUNTED), RING_PACKETS / 2);
    assert_int_equal(rig_count(VERDICT_IN_PUNT_FULL), 5);
    rig_receive_bytes(0, PEER_AT, stun, sizeof stun, sizeof stun);
    rig_loop(0);
    assert_int_equal(rig_count(VERDICT_IN_PUNTED), RING_PACKETS / 2 + 1);
    for (unsigned i = 0; i < RING_PACKETS / 2; i++) {
        assert_true(engine_pop_packet(rig.engine, &e));
        assert_int_equal(e.kind, EVENT_PACKET_INNER);
        assert_int_equal(e.peer, 0);
        assert_int_equal(e.len, sizeof packet);
        assert_memory_equal(e.bytes, packet, sizeof packet);
    }
    assert_true(engine_pop_packet(rig.engine, &e));
    assert_int_equal(e.kind, EVENT_PACKET_DATAGRAM);
    rig_stop();
}

static void test_other_channel_data(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    for (int lie = -1; lie <= 1; lie += 2)
        assert_verdict(&fixed, other(true, lie, STUN_LEN), VERDICT_IN_MALFORMED);
    /* No STUN: another cookie, the two top bits, a channel in the channel, and WireGuard that is too short. */
    unsigned len = other(true, 0, STUN_LEN);
    bytes[CHANNEL_HEADER_LEN + 7] ^= 1;
    assert_verdict(&fixed, len, VERDICT_IN_MALFORMED);
    for (unsigned bits = 0x40; bits <= 0xc0; bits += 0x40) {
        len = other(true, 0, STUN_LEN);
        bytes[CHANNEL_HEADER_LEN] |= (uint8_t)bits;
        assert_verdict(&fixed, len, VERDICT_IN_MALFORMED);
    }
    len = other(true, 0, 64);
    channel_write(bytes + CHANNEL_HEADER_LEN, CHANNEL, 60);
    stun(bytes + 2 * CHANNEL_HEADER_LEN, 60);
    assert_verdict(&fixed, len, VERDICT_IN_MALFORMED);
    for (uint32_t kind = WG_KIND_INITIATION; kind <= WG_KIND_DATA; kind++) {
        len = other(true, 0, WG_DATA_LEN_MIN - 1);
        store_le32(bytes + CHANNEL_HEADER_LEN, kind);
        store_le32(bytes + CHANNEL_HEADER_LEN + 4, 1);
        assert_verdict(&fixed, len, VERDICT_IN_MALFORMED);
    }
    /* The last channel that is one, and the first that is none. */
    len = other(true, 0, STUN_LEN);
    store_be16(bytes, CHANNEL_LAST);
    assert_verdict(&fixed, len, VERDICT_IN_PUNTED);
    store_be16(bytes, CHANNEL_LAST + 1);
    assert_verdict(&fixed, len, VERDICT_IN_MALFORMED);
}

/* ---- sending ---- */

static void send_control(unsigned len, const char *from) REQUIRES_ROLE(role_worker)
{
    struct command c = {.kind = COMMAND_DATAGRAM, .slot = COMMAND_NO_PEER};

    assert_int_equal(sock_addr_parse(&c.datagram.to, RELAY_AT), ERR_OK);
    if (from)
        assert_int_equal(ip_addr_parse(&c.datagram.from.ip, from), ERR_OK);
    c.datagram.len = (uint16_t)len;
    for (unsigned i = 0; i < len && i < sizeof c.datagram.bytes; i++)
        c.datagram.bytes[i] = (uint8_t)(i * 7);
    rig_command(0, &c);
}

/* The largest datagram of control leaves as it is; a length that is none leaves nothing. */
static void test_largest_datagram(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    rig_start(&fixed, 1);
    assert_true(COMMAND_DATAGRAM_MAX >= 640);
    send_control(COMMAND_DATAGRAM_MAX, OURS);
    assert_int_equal(rig_tally(TALLY_CONTROL_SENT), 1);
    assert_int_equal(last_send()->len, COMMAND_DATAGRAM_MAX);
    assert_int_equal(last_send()->segment_size, COMMAND_DATAGRAM_MAX);
    assert_addr(&last_send()->to, RELAY_AT);
    assert_ip(&last_send()->from.ip, OURS);
    for (unsigned i = 0; i < COMMAND_DATAGRAM_MAX; i++)
        assert_int_equal(rig.io[0].sent[0][i], (uint8_t)(i * 7));
    send_control(COMMAND_DATAGRAM_MAX + 1, OURS);
    assert_int_equal(rig.io[0].sends_n, 1);
    assert_int_equal(rig_tally(TALLY_CONTROL_FAILED), 1);
    rig_stop();
}

static time_ns last_packet(void)
{
    struct peer_activity a;
    engine_peer_activity(rig.peers[0], &a);
    return a.last_packet;
}

/* Inner packets are activity, keepalives are none, however many go at once. */
static void test_last_packet(void **state) REQUIRES_ROLE(role_worker)
{
    const struct command keepalive = {.kind = COMMAND_KEEPALIVE};
    (void)state;
    for (uint16_t channel = 0; channel <= CHANNEL; channel += CHANNEL) {
        rig_start(&fixed, 1);
        rig_path(0, RELAY_AT, NULL, channel);
        rig_session(0);
        assert_int_equal(last_packet(), 0);

        rig_command(0, &keepalive);
        engine_command(rig.engine, 0, &keepalive);
        engine_command(rig.engine, 0, &keepalive);
        rig_command(0, &keepalive);
        assert_int_equal(rig_tally(TALLY_KEEPALIVES_SENT), 4);
        assert_int_equal(last_packet(), 0);
        struct peer_activity a;
        engine_peer_activity(rig.peers[0], &a);
        assert_int_equal(a.unanswered_since, 0);
        for (unsigned i = 0; i < 2; i++) {
            rig_receive(0, 0, i, "192.0.2.2:1");
            rig_loop(0);
        }
        assert_int_equal(rig_count(VERDICT_IN_KEEPALIVE), 4);
        assert_int_equal(last_packet(), 0);

        rig.now += NS_PER_SEC;
        time_ns sent = rig.now;
        feed();
        assert_int_equal(last_packet(), sent);
        rig.now += NS_PER_SEC;
        rig_command(0, &keepalive);
        assert_int_equal(last_packet(), sent);

        rig.now += NS_PER_SEC;
        rig_receive(0, 0, 2, "192.0.2.2:1");
        rig_loop(0);
        assert_int_equal(rig_count(VERDICT_IN_FORWARDED), 1);
        assert_int_equal(last_packet(), rig.now);
        rig.now += NS_PER_SEC;
        rig_receive(0, 0, 3, "192.0.2.2:1");
        rig_loop(0);
        assert_int_equal(rig_count(VERDICT_IN_KEEPALIVE), 5);
        assert_int_equal(last_packet(), rig.now - NS_PER_SEC);

        /* A packet and a keepalive in one run are a packet. */
        rig.now += NS_PER_SEC;
        engine_command(rig.engine, 0, &keepalive);
        feed();
        assert_int_equal(last_packet(), rig.now);
        rig_stop();
    }
}

/* Takes all edges. Returns how often the loss of `address` was among them. */
static unsigned lost_taken(const char *address)
{
    struct event_edge e;
    unsigned n = 0;

    while (engine_pop_edge(rig.engine, &e)) {
        struct ip_addr ip;
        if (e.kind != EVENT_EDGE_ADDRESS_LOST) {
            (void)engine_peer_take_edges(rig.peers[e.slot]);
            continue;
        }
        assert_int_equal(e.worker, 0);
        assert_int_not_equal(e.lost.family, ADDR_NONE);
        assert_int_equal(ip_addr_parse(&ip, address), ERR_OK);
        n += ip_addr_equal(&ip, &e.lost);
    }
    return n;
}

/* The address is reported once, the peer goes on without it. */
static void test_address_lost_by_data(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    rig_start(&fixed, 1);
    rig_path(0, PEER_AT, OURS, 0);
    rig_session(0);
    (void)lost_taken(OURS);
    rig.io[0].result = IO_PATH_LOST;
    feed();
    assert_ip(&last_send()->from.ip, OURS);
    assert_int_equal(lost_taken(OURS), 1);
    feed();
    assert_int_equal(last_send()->from.ip.family, ADDR_NONE);
    rig.now += 2 * NS_PER_SEC;
    feed();
    assert_int_equal(rig_count(VERDICT_OUT_PATH_LOST), 1);
    assert_int_equal(rig_count(VERDICT_OUT_NO_SOURCE), 2); /* the kernel found none */
    assert_int_equal(lost_taken(OURS), 0);                 /* without a source none was lost */

    /* Other failures say nothing about the address. */
    rig_path(0, PEER_AT, OURS, 0);
    for (unsigned r = IO_SENT; r <= IO_FAILED; r++) {
        if (r == IO_PATH_LOST)
            continue;
        rig.io[0].result = (enum io_result)r;
        feed();
        send_control(20, OURS);
        assert_ip(&last_send()->from.ip, OURS);
    }
    assert_int_equal(lost_taken(OURS), 0);
    rig_stop();
}

static void test_address_lost_by_control(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    rig_start(&fixed, 1);
    (void)lost_taken(OURS);
    rig.io[0].result = IO_PATH_LOST;
    send_control(20, NULL);
    assert_int_equal(lost_taken(OURS), 0);
    send_control(20, OURS);
    assert_int_equal(rig_tally(TALLY_CONTROL_FAILED), 2);
    assert_int_equal(lost_taken(OURS), 1);
    rig_stop();
}

/* Each of the addresses that fail by turns is reported once a second, by whatever is sent from it. */
static void test_lost_once_a_second(void **state) REQUIRES_ROLE(role_worker)
{
    static const char *const addresses[] = {OURS, "192.0.2.3", "2001:db8::2", "2001:db8::3"};
    unsigned reported[ARRAY_LEN(addresses)] = {0};
    (void)state;
    rig_start(&fixed, 1);
    rig_session(0);
    rig.io[0].result = IO_PATH_LOST;
    for (unsigned ms = 0; ms < 2500; ms += 50, rig.now += 50 * NS_PER_MS) {
        for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
            (void)lost_taken(OURS);
            send_control(20, addresses[i]);
            rig_path(0, PEER_AT, addresses[i], 0);
            feed();
            reported[i] += lost_taken(addresses[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++)
        assert_int_equal(reported[i], 3);
    rig_stop();
}

/* What fails late does not take the source from a path that was set meanwhile. */
static void test_source_set_meanwhile(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    rig_start(&fixed, 1);
    rig_path(0, PEER_AT, OURS, 0);
    rig_session(0);
    (void)lost_taken(OURS);
    rig.io[0].hold = true;
    feed();
    rig_path(0, PEER_AT, "192.0.2.3", 0);
    rig_land(0, IO_PATH_LOST);
    rig.io[0].hold = false;
    rig_loop(0);
    assert_int_equal(lost_taken(OURS), 1);
    feed();
    assert_ip(&last_send()->from.ip, "192.0.2.3");
    rig_stop();
}

/* Each worker says once that the device is gone, also when nothing else is to be said. */
static void test_tun_gone(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    const struct engine_config two = {.workers = 2, .crypto = CRYPT_AUTO};
    struct event_edge e;

    rig_start(&two, 1);
    (void)lost_taken(OURS);
    for (unsigned i = 0; i < 2; i++) {
        rig.io[i].tun_gone = true;
        rig_loop(i);
        assert_true(engine_pop_edge(rig.engine, &e));
        assert_int_equal(e.kind, EVENT_EDGE_TUN_GONE);
        assert_int_equal(e.worker, i);
        rig_loop(i);
        assert_false(engine_pop_edge(rig.engine, &e));
    }
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixed_path),
        cmocka_unit_test(test_roaming_path),
        cmocka_unit_test(test_stun),
        cmocka_unit_test(test_inner),
        cmocka_unit_test(test_other_channel_data),
        cmocka_unit_test(test_largest_datagram),
        cmocka_unit_test(test_last_packet),
        cmocka_unit_test(test_address_lost_by_data),
        cmocka_unit_test(test_address_lost_by_control),
        cmocka_unit_test(test_lost_once_a_second),
        cmocka_unit_test(test_source_set_meanwhile),
        cmocka_unit_test(test_tun_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
