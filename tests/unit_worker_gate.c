/* SPDX-License-Identifier: Apache-2.0 */
/* Handshake messages that come through relays: the gate, cookies and limits, for each channel on its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "control/wg/cookie.h"
#include "engine/wire/channel.h"
#include "tests/worker_rig.c"

#define RELAY_V4 "192.0.2.9:3478"
#define RELAY_V6 "[2001:db8::9]:3478"

enum {
    CHANNEL = 0x4001
};

static const uint8_t our_key[WG_KEY_LEN] = {7}, secret[32] = {9};

/* A handshake message of a peer whose way to us is (relay, channel), or direct with channel 0. */
struct sender {
    struct cookie cookie;
    const char *at;
    uint16_t channel;
    uint8_t sequence;
    uint8_t msg[WG_HANDSHAKE_LEN_MAX];
    unsigned len;
};

static void sender_init(struct sender *s, const char *at, uint16_t channel)
{
    memset(s, 0, sizeof *s);
    cookie_init(&s->cookie, our_key);
    s->at = at;
    s->channel = channel;
}

static void send_bytes(const struct sender *s) REQUIRES_ROLE(role_worker)
{
    uint8_t datagram[CHANNEL_HEADER_LEN + WG_HANDSHAKE_LEN_MAX];
    uint32_t head = s->channel != 0 ? CHANNEL_HEADER_LEN : 0;

    if (s->channel != 0)
        channel_write(datagram, s->channel, (uint16_t)s->len);
    memcpy(datagram + head, s->msg, s->len);
    rig_receive_bytes(0, s->at, datagram, head + s->len, (uint16_t)(head + s->len));
    rig_loop(0);
}

/* Another message of this kind, with the MACs that the sender can make. */
static void send_message(struct sender *s, uint32_t kind) REQUIRES_ROLE(role_worker)
{
    s->len = kind == WG_KIND_INITIATION ? WG_INITIATION_LEN : WG_RESPONSE_LEN;
    memset(s->msg, ++s->sequence, s->len);
    store_le32(s->msg, kind);
    cookie_add_macs(&s->cookie, rig.now, s->msg, s->len);
    send_bytes(s);
}

static void start(const struct engine_config *config) REQUIRES_ROLE(role_worker)
{
    rig_start(config, 1);
    engine_set_gate(rig.engine, our_key, secret);
}

static void start_fixed(void) REQUIRES_ROLE(role_worker)
{
    start(&(struct engine_config){.workers = 1, .crypto = CRYPT_AUTO, .fixed_paths = true});
}

static void set_under_load(void)
{
    rig.engine->workers[0]->load_until = rig.now + NS_PER_SEC;
}

/* The sender gets the cookie that the engine sent last. */
static void take_cookie(struct sender *s)
{
    const struct io_send *sent = &rig.io[0].sends[rig.io[0].sends_n - 1];
    const uint8_t *datagram = rig.io[0].sent[rig.io[0].sends_n - 1];
    uint32_t head = s->channel != 0 ? CHANNEL_HEADER_LEN : 0;
    char text[SOCK_ADDR_TEXT_MAX];

    assert_string_equal(sock_addr_format(&sent->to, text, sizeof text), s->at);
    assert_int_equal(sent->len, head + WG_COOKIE_REPLY_LEN);
    assert_int_equal(channel_parse(datagram, sent->len), s->channel);
    /* To a relay from any address of ours: it knows us by the one that we reach it from. */
    assert_int_equal(sent->from.ip.family, s->channel != 0 ? ADDR_NONE : ADDR_V4);
    assert_int_equal(sent->from.ifindex, s->channel != 0 ? 0 : RIG_IFINDEX);
    assert_true(cookie_consume_reply(&s->cookie, rig.now, datagram + head));
}

/* Control sees what the peer sent, and by which way. */
static void test_to_control(void **state) REQUIRES_ROLE(role_worker)
{
    static const uint16_t channels[] = {0, CHANNEL, CHANNEL_LAST};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(channels); i++) {
        for (uint32_t kind = WG_KIND_INITIATION; kind <= WG_KIND_COOKIE_REPLY; kind++) {
            struct event_handshake e;
            struct sender s;
            char text[SOCK_ADDR_TEXT_MAX];

            start_fixed();
            sender_init(&s, RELAY_V4, channels[i]);
            if (kind == WG_KIND_COOKIE_REPLY) {
                s.len = WG_COOKIE_REPLY_LEN;
                store_le32(s.msg, kind);
                send_bytes(&s);
            } else {
                send_message(&s, kind);
            }
            assert_int_equal(rig_count(VERDICT_IN_HANDSHAKE), 1);
            assert_int_equal(rig_in(), 1);
            assert_true(engine_pop_handshake(rig.engine, &e));
            assert_int_equal(e.channel, channels[i]);
            assert_string_equal(sock_addr_format(&e.from, text, sizeof text), RELAY_V4);
            assert_string_equal(ip_addr_format(&e.to.ip, text, sizeof text), "192.0.2.2");
            assert_int_equal(e.worker, 0);
            assert_int_equal(e.len, s.len);
            assert_memory_equal(e.bytes, s.msg, s.len);
            assert_false(engine_pop_handshake(rig.engine, &e));
            rig_stop();
        }
    }
}

/* Several in one receive, each in a channel of its own, with data that nobody knows between them. */
static void test_coalesced(void **state) REQUIRES_ROLE(role_worker)
{
    enum {
        SIZE = CHANNEL_HEADER_LEN + WG_INITIATION_LEN
    };
    uint8_t datagrams[5 * SIZE];
    struct event_handshake e;
    struct sender s;
    (void)state;
    start_fixed();
    sender_init(&s, RELAY_V4, CHANNEL);
    send_message(&s, WG_KIND_INITIATION);
    assert_true(engine_pop_handshake(rig.engine, &e));
    for (unsigned i = 0; i < 5; i++) {
        uint8_t *at = datagrams + i * SIZE;
        channel_write(at, (uint16_t)(CHANNEL + i), WG_INITIATION_LEN);
        memcpy(at + CHANNEL_HEADER_LEN, s.msg, WG_INITIATION_LEN);
        if (i % 2)
            store_le32(at + CHANNEL_HEADER_LEN, WG_KIND_DATA);
    }
    rig_receive_bytes(0, RELAY_V4, datagrams, sizeof datagrams, SIZE);
    rig_loop(0);
    assert_int_equal(rig_count(VERDICT_IN_NO_SESSION), 2);
    assert_int_equal(rig_in(), 1 + 5);
    for (unsigned i = 0; i < 5; i += 2) {
        assert_true(engine_pop_handshake(rig.engine, &e));
        assert_int_equal(e.channel, CHANNEL + i);
        assert_memory_equal(e.bytes, s.msg, WG_INITIATION_LEN);
    }
    rig_stop();
}

/* Where paths are not control's alone, nobody would know what to do with a handshake in a channel. */
static void test_roaming(void **state) REQUIRES_ROLE(role_worker)
{
    struct event_handshake e;
    struct sender s;
    (void)state;
    start(&(struct engine_config){.workers = 1, .crypto = CRYPT_AUTO});
    sender_init(&s, RELAY_V4, CHANNEL);
    send_message(&s, WG_KIND_INITIATION);
    send_message(&s, WG_KIND_RESPONSE);
    assert_int_equal(rig_count(VERDICT_IN_MALFORMED), 2);
    s.channel = 0;
    send_message(&s, WG_KIND_INITIATION);
    assert_int_equal(rig_count(VERDICT_IN_HANDSHAKE), 1);
    assert_int_equal(rig_in(), 3);
    assert_true(engine_pop_handshake(rig.engine, &e));
    assert_int_equal(e.channel, 0);
    rig_stop();
}

static void test_mac1(void **state) REQUIRES_ROLE(role_worker)
{
    struct sender s;
    (void)state;
    start_fixed();
    sender_init(&s, RELAY_V4, CHANNEL);
    send_message(&s, WG_KIND_INITIATION);
    for (unsigned i = 4; i < WG_INITIATION_MAC2; i += 16) {
        s.msg[i] ^= 1;
        send_bytes(&s);
        s.msg[i] ^= 1;
    }
    assert_int_equal(rig_count(VERDICT_IN_HANDSHAKE), 1);
    assert_int_equal(rig_count(VERDICT_IN_BAD_MAC1), (WG_INITIATION_MAC2 - 4 + 15) / 16);
    rig_stop();
}

/* What comes through channels is load like all else, and is then asked for a cookie. */
static void test_load(void **state) REQUIRES_ROLE(role_worker)
{
    struct event_handshake e;
    struct sender s;
    unsigned passed = 0;
    (void)state;
    start_fixed();
    sender_init(&s, RELAY_V4, CHANNEL);
    for (unsigned i = 0; i < 200; i++) {
        s.channel = (uint16_t)(CHANNEL + i % 4);
        send_message(&s, WG_KIND_INITIATION);
        passed += engine_pop_handshake(rig.engine, &e);
    }
    assert_true(passed > 0 && passed < 200);
    assert_int_equal(rig_count(VERDICT_IN_HANDSHAKE), passed);
    assert_int_equal(rig_count(VERDICT_IN_COOKIE_SENT), 200 - passed);
    assert_int_equal(rig_tally(TALLY_CONTROL_SENT), 200 - passed);
    assert_int_equal(rig_in(), 200);
    rig_stop();
}

/* A cookie is for one channel of one relay. */
static void test_cookie_of_channel(void **state) REQUIRES_ROLE(role_worker)
{
    static const char *const relays[] = {RELAY_V4, RELAY_V6};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(relays); i++) {
        static const struct {
            const char *at;
            uint16_t channel;
        } others[] = {{NULL, CHANNEL + 1},
                      {NULL, CHANNEL + 0x100},
                      {NULL, 0},
                      {"192.0.2.8:3478", CHANNEL},
                      {"[2001:db8:1::9]:3478", CHANNEL},
                      {"[2001:db8::8]:3478", CHANNEL}};
        struct sender s;

        start_fixed();
        set_under_load();
        sender_init(&s, relays[i], CHANNEL);
        send_message(&s, WG_KIND_INITIATION);
        assert_int_equal(rig_count(VERDICT_IN_COOKIE_SENT), 1);
        take_cookie(&s);
        send_message(&s, WG_KIND_INITIATION);
        send_message(&s, WG_KIND_RESPONSE);
        assert_int_equal(rig_count(VERDICT_IN_HANDSHAKE), 2);
        for (size_t k = 0; k < ARRAY_LEN(others); k++) {
            struct sender other = s;
            other.at = others[k].at ? others[k].at : s.at;
            other.channel = others[k].channel;
            send_message(&other, WG_KIND_INITIATION);
            assert_int_equal(rig_count(VERDICT_IN_COOKIE_SENT), 2 + k);
            if (other.channel != 0 || i == 0)
                take_cookie(&other); /* its own, by its own way */
        }
        assert_int_equal(rig_count(VERDICT_IN_HANDSHAKE), 2);
        rig_stop();
    }
}

/* Each channel has its own share of handshakes. */
static void test_limit_of_channel(void **state) REQUIRES_ROLE(role_worker)
{
    static const struct {
        const char *relay;
        uint16_t channels[3];
    } cases[] = {
        {RELAY_V4, {CHANNEL, CHANNEL + 1, CHANNEL + 0x100}},
        {RELAY_V6, {CHANNEL, CHANNEL + 1, CHANNEL + 0x100}},
        {RELAY_V4, {0, CHANNEL, CHANNEL + 1}},
        {RELAY_V6, {CHANNEL_LAST, CHANNEL_FIRST, CHANNEL}},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        start_fixed();
        set_under_load();
        for (unsigned k = 0; k < 3; k++) {
            struct sender s;

            sender_init(&s, cases[i].relay, cases[i].channels[k]);
            send_message(&s, WG_KIND_INITIATION);
            take_cookie(&s);
            for (unsigned n = 0; n < RATE_LIMIT_BURST + 3; n++)
                send_message(&s, WG_KIND_INITIATION);
            assert_int_equal(rig_count(VERDICT_IN_HANDSHAKE), (k + 1) * RATE_LIMIT_BURST);
            assert_int_equal(rig_count(VERDICT_IN_HANDSHAKE_LIMIT), (k + 1) * 3);
        }
        rig_stop();
    }
}

/* While cookies are rationed, the second message of a channel is the one that is answered. */
static void test_cookies_deferred(void **state) REQUIRES_ROLE(role_worker)
{
    struct sender s;
    (void)state;
    start_fixed();
    set_under_load();
    rig.engine->workers[0]->cookies_full_at = rig.now + NS_PER_SEC;
    for (uint16_t channel = CHANNEL; channel < CHANNEL + 3; channel++) {
        unsigned before = channel - CHANNEL;
        sender_init(&s, RELAY_V4, channel);
        send_message(&s, WG_KIND_INITIATION);
        assert_int_equal(rig_count(VERDICT_IN_COOKIE_DEFERRED), before + 1);
        send_message(&s, WG_KIND_INITIATION);
        assert_int_equal(rig_count(VERDICT_IN_COOKIE_SENT), before + 1);
        take_cookie(&s);
    }
    rig_stop();
}

/* A relay's source address is asked for like that of all that goes to relays. */
static void test_cookie_waits_for_source(void **state) REQUIRES_ROLE(role_worker)
{
    const struct ip_source ours = {.ip = ip_addr_v4((const uint8_t[4]){192, 0, 2, 2}),
                                   .ifindex = 3};
    struct event_edge e;
    struct sender s;
    uint64_t generation;
    (void)state;
    start(&(struct engine_config){
        .workers = 1, .crypto = CRYPT_AUTO, .fixed_paths = true, .source_resolve = true});
    set_under_load();
    sender_init(&s, RELAY_V4, CHANNEL);
    send_message(&s, WG_KIND_INITIATION);
    assert_int_equal(rig.io[0].sends_n, 0);
    do
        assert_true(engine_pop_edge(rig.engine, &e));
    while (e.kind != EVENT_EDGE_SOURCE);
    assert_true(engine_source_wanted(rig.engine, &e.dst, rig.now, &generation));
    engine_source_answer(rig.engine, generation, &e.dst, &ours, rig.now);
    rig_command(0, &(struct command){.kind = COMMAND_SOURCE_ANSWER});
    assert_int_equal(rig.io[0].sends_n, 1);
    assert_true(ip_addr_equal(&rig.io[0].sends[0].from.ip, &ours.ip));
    assert_int_equal(rig.io[0].sends[0].from.ifindex, 3);
    assert_int_equal(channel_parse(rig.io[0].sent[0], rig.io[0].sends[0].len), CHANNEL);
    rig_stop();
}

/* Handshakes and STUN that somebody behind the tunnel sends to our outer address: control never hears of them. */
static void test_from_own_tun(void **state) REQUIRES_ROLE(role_worker)
{
    struct event_handshake h;
    struct event_packet e;
    struct sender s;
    (void)state;
    start_fixed();
    rig.engine->tun.ifindex = RIG_IFINDEX;
    sender_init(&s, "192.0.2.77:9", 0);
    send_message(&s, WG_KIND_INITIATION);
    rig_receive_bytes(0, "192.0.2.77:9", (const uint8_t[40]){0}, 40, 20); /* two of a run */
    rig_loop(0);
    assert_int_equal(rig_count(VERDICT_IN_OWN_TUN), 3);
    assert_false(engine_pop_handshake(rig.engine, &h));
    assert_false(engine_pop_packet(rig.engine, &e));
    rig.engine->tun.ifindex = RIG_IFINDEX + 1;
    send_message(&s, WG_KIND_INITIATION);
    assert_true(engine_pop_handshake(rig.engine, &h));
    assert_int_equal(rig_count(VERDICT_IN_OWN_TUN), 3);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_own_tun),
        cmocka_unit_test(test_to_control),
        cmocka_unit_test(test_coalesced),
        cmocka_unit_test(test_roaming),
        cmocka_unit_test(test_mac1),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_cookie_of_channel),
        cmocka_unit_test(test_limit_of_channel),
        cmocka_unit_test(test_cookies_deferred),
        cmocka_unit_test(test_cookie_waits_for_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
