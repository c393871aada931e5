/* SPDX-License-Identifier: Apache-2.0 */
/* The development relay's channels, and the data on them. */
#include "tests/relay_rig.h"

#define PEER4 "198.51.100.1:1000"
#define PEER6 "[2001:db8::99]:1000"

static void start(struct rig *g, struct rig_client *c, uint16_t *port, enum addr_family additional)
{
    rig_start(g);
    rig_client(c, "192.0.2.10:40000", "a");
    /* Longer than any channel, so that only those end. */
    *port = rig_allocate(
        g, c, (struct rig_ask){.additional = additional, .has_lifetime = true, .lifetime_s = 3600});
}

static void expect_out(const struct rig *g, const char *to, uint16_t port, uint16_t channel,
                       const char *text)
{
    struct sock_addr a = rig_addr(to);

    assert_true(sock_addr_equal(&g->out.to, &a));
    assert_int_equal(g->out.port, port);
    assert_int_equal(g->out.header_len, channel ? 4 : 0);
    if (channel) {
        assert_int_equal(load_be16(g->out.header), channel);
        assert_int_equal(load_be16(g->out.header + 2), strlen(text));
    }
    assert_int_equal(g->out.len, strlen(text));
    assert_memory_equal(g->out.bytes, text, strlen(text));
}

static void test_both_ways(void **state)
{
    static const char *const peers[] = {PEER4, PEER6};
    struct rig g;
    struct rig_client c;
    uint16_t port;
    (void)state;

    start(&g, &c, &port, ADDR_V6);
    for (uint16_t i = 0; i < 2; i++) {
        uint16_t channel = (uint16_t)(0x4000 + 0xfff * i);
        rig_send(&g, &c, channel, "too early");
        assert_int_equal(g.verdict, RELAY_DROP_NO_CHANNEL);
        rig_peer(&g, port, peers[i], "too early");
        assert_int_equal(g.verdict, RELAY_DROP_STRANGER);
        rig_bind(&g, &c, channel, peers[i]);
        rig_expect(&g, 0, &c);
        rig_send(&g, &c, channel, "to the peer");
        assert_int_equal(g.verdict, RELAY_TO_PEER);
        expect_out(&g, peers[i], port, 0, "to the peer");
        rig_peer(&g, port, peers[i], "to the client");
        assert_int_equal(g.verdict, RELAY_TO_CLIENT);
        expect_out(&g, "192.0.2.10:40000", 0, channel, "to the client");
        rig_send(&g, &c, channel, "");
        assert_int_equal(g.verdict, RELAY_TO_PEER);
        rig_peer(&g, port, peers[i], "");
        assert_int_equal(g.verdict, RELAY_TO_CLIENT);
    }
    struct relay_stats s = rig_stats(&g);
    assert_int_equal(s.bytes_to_peers, 2 * strlen("to the peer"));
    assert_int_equal(s.bytes_to_clients, 2 * strlen("to the client"));
    assert_int_equal(s.verdicts[RELAY_TO_PEER], 4);
    rig_stop(&g);
}

/* Exactly the bound peer, the client's own socket, the right port. */
static void test_strangers(void **state)
{
    static const char *const others[] = {"198.51.100.1:1001", "198.51.100.2:1000", PEER6};
    struct rig g;
    struct rig_client c, other;
    uint16_t port;
    (void)state;

    start(&g, &c, &port, ADDR_V6);
    rig_bind(&g, &c, 0x4000, PEER4);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        rig_peer(&g, port, others[i], "x");
        assert_int_equal(g.verdict, RELAY_DROP_STRANGER);
    }
    rig_peer(&g, port, "198.51.100.1:0", "x");
    assert_int_equal(g.verdict, RELAY_DROP_PORT_ZERO);
    rig_peer(&g, (uint16_t)(port ^ 1), PEER4, "x");
    assert_int_equal(g.verdict, RELAY_DROP_NO_ALLOCATION);
    rig_client(&other, "192.0.2.10:40001", "b");
    rig_send(&g, &other, 0x4000, "x");
    assert_int_equal(g.verdict, RELAY_DROP_NO_ALLOCATION);
    /* Two clients may use the same number and peer. */
    uint16_t second = rig_allocate(&g, &other, (struct rig_ask){.method = STUN_ALLOCATE});
    rig_bind(&g, &other, 0x4000, PEER4);
    rig_expect(&g, 0, &other);
    rig_peer(&g, second, PEER4, "x");
    expect_out(&g, "192.0.2.10:40001", 0, 0x4000, "x");
    rig_peer(&g, port, PEER4, "x");
    expect_out(&g, "192.0.2.10:40000", 0, 0x4000, "x");
    rig_stop(&g);
}

static void test_malformed(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum relay_verdict verdict;
    } cases[] = {
        {"\x40\0\0\x2hi", 6, RELAY_TO_PEER},
        {"\x40\0\0\x2hi\0\0", 8, RELAY_TO_PEER}, /* padding */
        {"\x40\0\0\x3hi", 6, RELAY_DROP_NOT_TURN},
        {"\x40\0\xff\xffhi", 6, RELAY_DROP_NOT_TURN},
        {"\x40\0\0", 3, RELAY_DROP_NOT_TURN},
        {"\x40", 1, RELAY_DROP_NOT_TURN},
        {"\x50\0\0\x2hi", 6, RELAY_DROP_NOT_TURN},
    };
    struct rig g;
    struct rig_client c;
    uint16_t port;
    (void)state;

    start(&g, &c, &port, ADDR_NONE);
    rig_bind(&g, &c, 0x4000, PEER4);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        rig_input(&g, &c.addr, cases[i].bytes, cases[i].len);
        assert_int_equal(g.verdict, cases[i].verdict);
        if (g.verdict == RELAY_TO_PEER)
            expect_out(&g, PEER4, port, 0, "hi");
    }
    rig_stop(&g);
}

/* Bind: 437, 443, the numbers, one peer per channel and one channel per peer. */
static void test_bind(void **state)
{
    struct rig g;
    struct rig_client c;
    uint16_t port;
    (void)state;

    rig_start(&g);
    rig_client(&c, "192.0.2.10:40000", "a");
    rig_login(&g, &c);
    rig_bind(&g, &c, 0x4000, PEER4);
    rig_expect(&g, 437, &c);
    rig_stop(&g);

    start(&g, &c, &port, ADDR_NONE);
    rig_bind(&g, &c, 0x4000, PEER6);
    rig_expect(&g, 443, &c);
    static const uint16_t numbers[] = {0x0001, 0x3fff, 0x5000, 0xffff};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        rig_bind(&g, &c, numbers[i], PEER4);
        rig_expect(&g, 400, &c);
    }
    rig_bind(&g, &c, 0x4000, PEER4);
    rig_expect(&g, 0, &c);
    rig_bind(&g, &c, 0x4001, PEER4);
    rig_expect(&g, 400, &c);
    rig_bind(&g, &c, 0x4000, "198.51.100.1:1001");
    rig_expect(&g, 400, &c);
    rig_bind(&g, &c, 0x4001, "198.51.100.1:1001");
    rig_expect(&g, 0, &c);
    rig_bind(&g, &c, 0x4000, "198.51.100.1:1001");
    rig_expect(&g, 400, &c);
    rig_bind(&g, &c, 0x4000, PEER4);
    rig_expect(&g, 0, &c);
    assert_int_equal(rig_stats(&g).channels, 2);
    rig_stop(&g);
}

/* 600 s of data, 300 s more for the same two only. */
static void test_ages(void **state)
{
    struct rig g;
    struct rig_client c;
    uint16_t port;
    (void)state;

    start(&g, &c, &port, ADDR_NONE);
    rig_bind(&g, &c, 0x4000, PEER4);
    rig_pass(&g, 300000);
    rig_bind(&g, &c, 0x4000, PEER4); /* the clock starts anew */
    rig_pass(&g, 599999);
    rig_send(&g, &c, 0x4000, "x");
    assert_int_equal(g.verdict, RELAY_TO_PEER);
    rig_peer(&g, port, PEER4, "x");
    assert_int_equal(g.verdict, RELAY_TO_CLIENT);
    rig_pass(&g, 1);
    rig_send(&g, &c, 0x4000, "x");
    assert_int_equal(g.verdict, RELAY_DROP_NO_CHANNEL);
    rig_peer(&g, port, PEER4, "x");
    assert_int_equal(g.verdict, RELAY_DROP_STRANGER);
    rig_pass(&g, 299999);
    rig_bind(&g, &c, 0x4000, "198.51.100.1:1001");
    rig_expect(&g, 400, &c);
    rig_bind(&g, &c, 0x4001, PEER4);
    rig_expect(&g, 400, &c);
    rig_pass(&g, 1);
    assert_int_equal(rig_stats(&g).channels, 0);
    rig_bind(&g, &c, 0x4000, "198.51.100.1:1001");
    rig_expect(&g, 0, &c);
    rig_bind(&g, &c, 0x4001, PEER4);
    rig_expect(&g, 0, &c);
    rig_stop(&g);
}

/* In the cooldown the same two come back to life. */
static void test_revived(void **state)
{
    struct rig g;
    struct rig_client c;
    uint16_t port;
    (void)state;

    start(&g, &c, &port, ADDR_NONE);
    rig_bind(&g, &c, 0x4000, PEER4);
    rig_pass(&g, 899999);
    rig_bind(&g, &c, 0x4000, PEER4);
    rig_expect(&g, 0, &c);
    rig_pass(&g, 599999);
    rig_send(&g, &c, 0x4000, "x");
    assert_int_equal(g.verdict, RELAY_TO_PEER);
    rig_stop(&g);
}

/* A relay without room for channels says so, and has it again. */
static void test_bounded(void **state)
{
    struct relay_config config = rig_config();
    struct rig g;
    struct rig_client c;
    (void)state;

    config.channels_max = 1;
    rig_start_with(&g, &config);
    rig_client(&c, "192.0.2.10:40000", "a");
    rig_allocate(&g, &c, (struct rig_ask){.has_lifetime = true, .lifetime_s = 3600});
    rig_bind(&g, &c, 0x4000, PEER4);
    rig_expect(&g, 0, &c);
    rig_bind(&g, &c, 0x4001, "198.51.100.1:1001");
    rig_expect(&g, 508, &c);
    rig_pass(&g, 900000);
    rig_bind(&g, &c, 0x4001, "198.51.100.1:1001");
    rig_expect(&g, 0, &c);
    rig_stop(&g);
}

/* Many allocations with many channels, against what one would expect of each. */
static void test_many(void **state)
{
    enum {
        CLIENTS = 200,
        CHANNELS = 20
    };
    static struct rig_client c[CLIENTS];
    uint16_t ports[CLIENTS];
    struct rig g;
    char text[32], peer[32];
    (void)state;

    rig_start(&g);
    for (unsigned i = 0; i < CLIENTS; i++) {
        snprintf(text, sizeof text, "192.0.2.%u:%u", i % 50, 1000 + i);
        snprintf(peer, sizeof peer, "s%u", i);
        rig_client(&c[i], text, peer);
        ports[i] = rig_allocate(
            &g, &c[i], (struct rig_ask){.has_lifetime = true, .lifetime_s = 100 + i * 7 % 31});
        for (uint16_t k = 0; k < CHANNELS; k++) {
            snprintf(peer, sizeof peer, "198.51.100.%u:%u", k, 2000 + i % 3);
            rig_bind(&g, &c[i], (uint16_t)(0x4000 + k), peer);
            rig_expect(&g, 0, &c[i]);
        }
    }
    for (unsigned s = 0; s < 140; s++) {
        unsigned alive = 0;
        for (unsigned i = 0; i < CLIENTS; i++) {
            bool lives = s < 100 + i * 7 % 31;
            uint16_t k = (uint16_t)((i + s) % CHANNELS);
            alive += lives;
            rig_send(&g, &c[i], (uint16_t)(0x4000 + k), "x");
            assert_int_equal(g.verdict, lives ? RELAY_TO_PEER : RELAY_DROP_NO_ALLOCATION);
            snprintf(peer, sizeof peer, "198.51.100.%u:%u", k, 2000 + i % 3);
            if (lives)
                expect_out(&g, peer, ports[i], 0, "x");
            rig_peer(&g, ports[i], peer, "x");
            assert_int_equal(g.verdict, lives ? RELAY_TO_CLIENT : RELAY_DROP_NO_ALLOCATION);
        }
        assert_int_equal(rig_stats(&g).allocations, alive);
        assert_int_equal(rig_stats(&g).channels, alive * CHANNELS);
        rig_pass(&g, 1000);
    }
    assert_true(g.opened == CLIENTS && g.closed == CLIENTS);
    assert_int_equal(relay_poll_timeout(g.r), TIME_NEVER);
    rig_stop(&g);
}

/* Longer than channel data can say. */
static void test_too_long(void **state)
{
    static uint8_t bytes[65536];
    struct rig g;
    struct rig_client c;
    uint16_t port;
    struct sock_addr from = rig_addr(PEER4);
    (void)state;

    start(&g, &c, &port, ADDR_NONE);
    rig_bind(&g, &c, 0x4000, PEER4);
    assert_int_equal(relay_handle_peer(g.r, g.now, port, &from, bytes, 65536, &g.out),
                     RELAY_DROP_TOO_LONG);
    assert_int_equal(relay_handle_peer(g.r, g.now, port, &from, bytes, 65535, &g.out),
                     RELAY_TO_CLIENT);
    rig_stop(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways), cmocka_unit_test(test_strangers),
        cmocka_unit_test(test_malformed), cmocka_unit_test(test_bind),
        cmocka_unit_test(test_ages),      cmocka_unit_test(test_revived),
        cmocka_unit_test(test_bounded),   cmocka_unit_test(test_many),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
