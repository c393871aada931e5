/* SPDX-License-Identifier: Apache-2.0 */
/* The development relay's answers: authentication, methods, the order of attributes. */
#include "tests/relay_rig.h"
#include "tests/support/hex.h"

/* The types of the attributes of the last answer, in order. */
static void expect_attributes(const struct rig *g, const uint16_t *types, size_t n)
{
    size_t at = STUN_HEADER_LEN, i = 0;

    for (; at < g->m.len; at += 4 + ALIGN_UP((size_t)load_be16(g->bytes + at + 2), 4)) {
        assert_true(i < n);
        assert_int_equal(load_be16(g->bytes + at), types[i++]);
    }
    assert_int_equal(i, n);
}

#define EXPECT_ATTRIBUTES(g, ...)                                                                  \
    expect_attributes(g, (const uint16_t[]){__VA_ARGS__},                                          \
                      ARRAY_LEN(((const uint16_t[]){__VA_ARGS__})))

static void test_binding(void **state)
{
    static const char *const from[] = {"192.0.2.10:40000", "[2001:db8::10]:40000"};
    struct rig g;
    uint8_t bytes[64];
    (void)state;

    rig_start(&g);
    uint32_t len = hex_decode(bytes, sizeof bytes,
                              "0001000c2112a4420102030405060708090a0b0c80220007736e6f776e657400");
    for (size_t i = 0; i < ARRAY_LEN(from); i++) {
        struct sock_addr a = rig_addr(from[i]);
        rig_input(&g, &a, bytes, len);
        rig_expect(&g, 0, NULL);
        assert_int_equal(g.m.method, STUN_BINDING);
        assert_true(sock_addr_equal(&g.m.mapped, &a));
        EXPECT_ATTRIBUTES(&g, STUN_SOFTWARE, STUN_XOR_MAPPED_ADDRESS);
    }
    rig_stop(&g);
}

/* The requests of the vectors, as a client sent them. */
static void test_vectors(void **state)
{
    static const char allocate[] =
        "000300582112a4420102030405060708090a0b0c0019000411000000800000040200000080220007736e6f776e65"
        "740000060011313930303030303030303a63324673644100000000140008666972657a6f6e650008001433415"
        "66f5872308d4379f6d0ee54821ec9750da7";
    struct rig g;
    struct rig_client c;
    uint8_t bytes[256];
    (void)state;

    rig_start(&g);
    rig_client_as(&c, "192.0.2.10:40000", "1900000000:c2FsdA");
    uint32_t len = hex_decode(bytes, sizeof bytes, allocate);
    rig_input(&g, &c.addr, bytes, len);
    rig_expect(&g, 401, &c);
    assert_int_equal(rig_stats(&g).errors[RELAY_ERROR_401], 1);
    EXPECT_ATTRIBUTES(&g, STUN_SOFTWARE, STUN_ERROR_CODE, STUN_REALM, STUN_NONCE,
                      STUN_MESSAGE_INTEGRITY);
    assert_true(stun_text_is(g.m.realm, "firezone"));
    rig_stop(&g);
}

/* Section 12.2: which usernames are answered at all. */
static void test_usernames(void **state)
{
    static const struct {
        const char *username;
        bool answered;
    } cases[] = {
        {"1900000000:c2FsdA", true},
        {"1900000000:", true},
        {"0:c2FsdA", true}, /* expired, but well-formed */
        {"9223372036854775807:x", true},
        {"9223372036854775808:x", false},
        {"99999999999999999999999:x", false},
        {"1900000000", false},
        {"1900000000:a:b", false},
        {":c2FsdA", false},
        {"01900000000:c2FsdA", false},
        {"+1900000000:c2FsdA", false},
        {" 1900000000:c2FsdA", false},
        {"-1:c2FsdA", false},
        {"0x10:c2FsdA", false},
        {"", false},
    };
    struct rig g;
    struct rig_client c;
    (void)state;

    rig_start(&g);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (unsigned integrity = 0; integrity < 2; integrity++) {
            rig_client_as(&c, "192.0.2.10:40000", cases[i].username);
            rig_ask(&g, &c, (struct rig_ask){.method = STUN_ALLOCATE, .no_integrity = !integrity});
            if (cases[i].answered)
                rig_expect(&g, 401, &c);
            else
                assert_int_equal(g.verdict, RELAY_DROP_USERNAME);
        }
    }
    rig_stop(&g);
}

/* Section 12.3, in its order. */
static void test_authentication(void **state)
{
    static const char stale[] = "11111111-2222-4333-8444-555555555555";
    static const struct {
        struct rig_ask ask;
        unsigned code;
        bool authenticated;
    } cases[] = {
        {{.no_integrity = true, .no_username = true}, 401, false},
        {{.no_integrity = true}, 401, true},
        {{.no_username = true}, 401, false},
        {{.no_nonce = true}, 401, true},
        {{.nonce = "11111111-2222-4333-8444-55555555555"}, 401, true},
        {{.nonce = "11111111-2222-4333-8444-5555555555555"}, 401, true},
        {{.nonce = "11111111x2222-4333-8444-555555555555"}, 401, true},
        {{.nonce = "1111111--2222-4333-8444-555555555555"}, 401, true},
        {{.nonce = "g1111111-2222-4333-8444-555555555555"}, 401, true},
        {{.nonce = stale}, 438, true},
        {{.nonce = stale, .wrong_key = true}, 438, true}, /* before integrity */
        {{.wrong_key = true}, 401, true},
    };
    static const enum stun_method methods[] = {STUN_ALLOCATE, STUN_REFRESH, STUN_CHANNEL_BIND,
                                               STUN_CREATE_PERMISSION};
    struct rig g;
    struct rig_client c;
    (void)state;

    rig_start(&g);
    rig_client(&c, "192.0.2.10:40000", "c2FsdA");
    rig_login(&g, &c);
    for (size_t k = 0; k < ARRAY_LEN(methods); k++) {
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            struct rig_ask ask = cases[i].ask;
            ask.method = methods[k];
            ask.channel = 0x4000;
            ask.peer = rig_addr("192.0.2.1:1");
            rig_ask(&g, &c, ask);
            rig_expect(&g, cases[i].code, cases[i].authenticated ? &c : NULL);
            assert_int_equal(g.m.method, methods[k]);
            if (cases[i].authenticated)
                EXPECT_ATTRIBUTES(&g, STUN_SOFTWARE, STUN_ERROR_CODE, STUN_REALM, STUN_NONCE,
                                  STUN_MESSAGE_INTEGRITY);
            else
                EXPECT_ATTRIBUTES(&g, STUN_SOFTWARE, STUN_ERROR_CODE, STUN_REALM, STUN_NONCE);
            assert_true(stun_text_is(g.m.nonce, c.nonce)); /* it stays while it is good */
        }
    }
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_CREATE_PERMISSION, .fingerprint = true});
    rig_expect(&g, 0, &c);
    EXPECT_ATTRIBUTES(&g, STUN_SOFTWARE, STUN_MESSAGE_INTEGRITY);
    rig_stop(&g);
}

static void test_expiry(void **state)
{
    struct rig g;
    struct rig_client c;
    (void)state;

    rig_start(&g);
    rig_client(&c, "192.0.2.10:40000", "c2FsdA");
    rig_login(&g, &c);
    g.unix_s = RIG_EXPIRY;
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_CREATE_PERMISSION});
    rig_expect(&g, 0, &c);
    g.unix_s = RIG_EXPIRY + 1;
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_CREATE_PERMISSION});
    rig_expect(&g, 401, &c);
    rig_stop(&g);
}

/* 10 000 requests, of whatever kind, per client address. */
static void test_nonces(void **state)
{
    struct rig g;
    struct rig_client c, other;
    char first[64];
    (void)state;

    rig_start(&g);
    rig_client(&c, "192.0.2.10:40000", "c2FsdA");
    rig_client(&other, "192.0.2.10:40001", "c2FsdA");
    rig_login(&g, &c);
    rig_login(&g, &other);
    assert_string_not_equal(c.nonce, other.nonce);
    assert_int_equal(c.nonce[14], '4');
    assert_non_null(strchr("89ab", c.nonce[19]));
    rig_ask(&g, &other, (struct rig_ask){.method = STUN_REFRESH, .nonce = c.nonce});
    rig_expect(&g, 438, &other);
    for (unsigned i = 0; i < RELAY_NONCE_USES; i++) {
        rig_ask(&g, &c, (struct rig_ask){.method = STUN_REFRESH, .wrong_key = i % 7 == 0});
        assert_int_equal(g.m.error, i % 7 == 0 ? 401 : 437);
    }
    strcpy(first, c.nonce);
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_REFRESH});
    rig_expect(&g, 438, &c);
    rig_take_nonce(&g, &c);
    assert_string_not_equal(first, c.nonce);
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_REFRESH});
    rig_expect(&g, 437, &c);
    rig_stop(&g);
}

/* A relay that is full of nonces takes the oldest. */
static void test_nonces_bounded(void **state)
{
    struct relay_config config = rig_config();
    struct rig_client c[5];
    struct rig g;
    char addr[32];
    (void)state;

    config.nonces_max = 4;
    rig_start_with(&g, &config);
    for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
        snprintf(addr, sizeof addr, "192.0.2.10:%u", 40000 + i);
        rig_client(&c[i], addr, "c2FsdA");
        rig_login(&g, &c[i]);
    }
    assert_int_equal(rig_stats(&g).nonces, 4);
    for (unsigned i = ARRAY_LEN(c); i-- > 0;) {
        rig_ask(&g, &c[i], (struct rig_ask){.method = STUN_REFRESH});
        rig_expect(&g, i == 0 ? 438 : 437, &c[i]);
    }
    rig_stop(&g);
}

/* What cannot be decoded is refused without authentication, or ignored. */
static void test_not_decoded(void **state)
{
    static const struct rig_ask incomplete[] = {
        {.method = STUN_ALLOCATE, .no_transport = true},
        {.method = STUN_CHANNEL_BIND, .channel = 0x4000},
        {.method = STUN_CHANNEL_BIND, .peer = {.ip = {ADDR_V4, {192, 0, 2, 1}}, .port = 1}},
        {.method = (enum stun_method)0x002},
        {.method = STUN_SEND},
    };
    struct rig g;
    struct rig_client c;
    uint8_t buf[512];
    (void)state;

    rig_start(&g);
    rig_client(&c, "192.0.2.10:40000", "c2FsdA");
    rig_login(&g, &c);
    for (size_t i = 0; i < ARRAY_LEN(incomplete); i++) {
        rig_ask(&g, &c, incomplete[i]);
        rig_expect(&g, 400, NULL);
        EXPECT_ATTRIBUTES(&g, STUN_SOFTWARE, STUN_ERROR_CODE);
    }
    /* An attribute that is broken: LIFETIME of two bytes. */
    const struct stun_id id = {{7}};
    struct stun_writer w;
    stun_begin(&w, buf, sizeof buf, STUN_REFRESH, STUN_REQUEST, &id);
    stun_add_bytes(&w, STUN_LIFETIME, "ab", 2);
    rig_input(&g, &c.addr, buf, stun_finish(&w));
    rig_expect(&g, 400, NULL);
    assert_true(stun_id_equal(&g.m.id, &id));
    /* Other classes, and what is no STUN. */
    static const enum stun_class classes[] = {STUN_INDICATION, STUN_SUCCESS, STUN_ERROR};
    for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
        rig_ask(&g, &c, (struct rig_ask){.method = STUN_ALLOCATE, .class = classes[i]});
        assert_int_equal(g.verdict, RELAY_DROP_NOT_REQUEST);
    }
    rig_input(&g, &c.addr, "", 0);
    assert_int_equal(g.verdict, RELAY_DROP_NOT_TURN);
    rig_input(&g, &c.addr, "\x80zzzzzzzzzzzzzzzzzzz", 20);
    assert_int_equal(g.verdict, RELAY_DROP_NOT_TURN);
    /* From port 0 */
    struct rig_client zero = c;
    zero.addr.port = 0;
    rig_ask(&g, &zero, (struct rig_ask){.method = STUN_REFRESH});
    assert_int_equal(g.verdict, RELAY_DROP_PORT_ZERO);
    rig_stop(&g);
}

/* The relay writes the message anew to check it, with padding of zeros. */
static void test_padding(void **state)
{
    struct rig g;
    struct rig_client c;
    uint8_t buf[512];
    const struct stun_id id = {{7}};
    struct stun_writer w;
    (void)state;

    rig_start(&g);
    rig_client(&c, "192.0.2.10:40000", "c2FsdA"); /* of 17 bytes: 3 of padding */
    rig_login(&g, &c);
    for (unsigned dirty = 0; dirty < 2; dirty++) {
        stun_begin(&w, buf, sizeof buf, STUN_CREATE_PERMISSION, STUN_REQUEST, &id);
        stun_add_text(&w, STUN_USERNAME, c.username);
        if (dirty)
            buf[w.len - 1] = ' ';
        stun_add_text(&w, STUN_NONCE, c.nonce);
        stun_add_integrity(&w, c.key, sizeof c.key);
        rig_input(&g, &c.addr, buf, stun_finish(&w));
        rig_expect(&g, dirty ? 401 : 0, &c);
    }
    rig_stop(&g);
}

static void test_allocate(void **state)
{
    struct rig g;
    struct rig_client c;
    (void)state;

    rig_start(&g);
    rig_client(&c, "192.0.2.10:40000", "c2FsdA");
    rig_allocate(&g, &c, (struct rig_ask){.additional = ADDR_V6});
    EXPECT_ATTRIBUTES(&g, STUN_SOFTWARE, STUN_XOR_RELAYED_ADDRESS, STUN_XOR_RELAYED_ADDRESS,
                      STUN_XOR_MAPPED_ADDRESS, STUN_LIFETIME, STUN_MESSAGE_INTEGRITY);
    assert_int_equal(g.bytes[STUN_HEADER_LEN + 28 + 5], 1); /* IPv4 first */
    struct ip_addr v4 = rig_ip("203.0.113.7"), v6 = rig_ip("2001:db8::7");
    assert_true(ip_addr_equal(&g.m.relayed4.ip, &v4) && ip_addr_equal(&g.m.relayed6.ip, &v6));
    assert_int_equal(g.m.relayed4.port, g.m.relayed6.port);
    assert_true(g.m.relayed4.port >= 49152);
    assert_true(sock_addr_equal(&g.m.mapped, &c.addr));
    assert_int_equal(g.m.lifetime_s, 600);
    assert_int_equal(g.opened, 1);
    /* It has one now. */
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_ALLOCATE});
    rig_expect(&g, 437, &c);
    EXPECT_ATTRIBUTES(&g, STUN_SOFTWARE, STUN_ERROR_CODE, STUN_MESSAGE_INTEGRITY);
    rig_stop(&g);
}

/* The families rules; have: of the relay. */
static void test_families(void **state)
{
    enum {
        BOTH = RELAY_V4 | RELAY_V6
    };
    static const struct {
        unsigned have;
        enum addr_family requested, additional;
        unsigned code, get;
    } cases[] = {
        {BOTH, ADDR_NONE, ADDR_NONE, 0, RELAY_V4},
        {BOTH, ADDR_V4, ADDR_NONE, 0, RELAY_V4},
        {BOTH, ADDR_V6, ADDR_NONE, 0, RELAY_V6},
        {BOTH, ADDR_NONE, ADDR_V6, 0, BOTH},
        {BOTH, ADDR_NONE, ADDR_V4, 400, 0},
        {BOTH, ADDR_V4, ADDR_V6, 400, 0},
        {BOTH, ADDR_V6, ADDR_V4, 400, 0},
        {RELAY_V4, ADDR_NONE, ADDR_NONE, 0, RELAY_V4},
        {RELAY_V4, ADDR_NONE, ADDR_V6, 0, RELAY_V4},
        {RELAY_V4, ADDR_V6, ADDR_NONE, 440, 0},
        {RELAY_V6, ADDR_NONE, ADDR_NONE, 440, 0},
        {RELAY_V6, ADDR_V4, ADDR_NONE, 440, 0},
        {RELAY_V6, ADDR_V6, ADDR_NONE, 0, RELAY_V6},
        {RELAY_V6, ADDR_NONE, ADDR_V6, 0, RELAY_V6},
        {RELAY_V6, ADDR_NONE, ADDR_V4, 400, 0},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct relay_config config = rig_config();
        struct rig g;
        struct rig_client c;
        if (!(cases[i].have & RELAY_V4))
            config.public4.family = ADDR_NONE;
        if (!(cases[i].have & RELAY_V6))
            config.public6.family = ADDR_NONE;
        rig_start_with(&g, &config);
        rig_client(&c, "192.0.2.10:40000", "c2FsdA");
        rig_login(&g, &c);
        rig_ask(&g, &c,
                (struct rig_ask){.method = STUN_ALLOCATE,
                                 .requested = cases[i].requested,
                                 .additional = cases[i].additional});
        rig_expect(&g, cases[i].code, &c);
        unsigned get =
            (g.m.relayed4.ip.family ? RELAY_V4 : 0) | (g.m.relayed6.ip.family ? RELAY_V6 : 0);
        assert_int_equal(get, cases[i].get);
        assert_int_equal(rig_stats(&g).allocations, cases[i].code == 0);
        rig_stop(&g);
    }
}

/* Which refusal comes first: 437, 508, transport, families. */
static void test_allocate_order(void **state)
{
    struct relay_config config = rig_config();
    struct rig g;
    struct rig_client c, other;
    const struct rig_ask bad = {.method = STUN_ALLOCATE, .transport = 6, .additional = ADDR_V4};
    (void)state;

    config.lowest_port = config.highest_port = 50000;
    rig_start_with(&g, &config);
    rig_client(&c, "192.0.2.10:40000", "a");
    rig_client(&other, "192.0.2.11:40000", "b");
    rig_login(&g, &other);
    rig_ask(&g, &other, bad);
    rig_expect(&g, 400, &other);
    assert_int_equal(rig_allocate(&g, &c, (struct rig_ask){.method = STUN_ALLOCATE}), 50000);
    rig_ask(&g, &c, bad);
    rig_expect(&g, 437, &c);
    rig_ask(&g, &other, bad);
    rig_expect(&g, 508, &other);
    rig_ask(&g, &other, (struct rig_ask){.method = STUN_ALLOCATE});
    rig_expect(&g, 508, &other);
    /* Its port is free again once it has been closed. */
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_REFRESH, .has_lifetime = true});
    rig_expect(&g, 0, &c);
    rig_ask(&g, &other, (struct rig_ask){.method = STUN_ALLOCATE});
    rig_expect(&g, 0, &other);
    rig_stop(&g);
}

static void test_one_per_username(void **state)
{
    struct rig g;
    struct rig_client c, moved, other;
    (void)state;

    rig_start(&g);
    rig_client(&c, "192.0.2.10:40000", "a");
    rig_client(&moved, "[2001:db8::10]:40001", "a");
    rig_client(&other, "192.0.2.11:40000", "b");
    uint16_t port = rig_allocate(&g, &c, (struct rig_ask){.method = STUN_ALLOCATE});
    rig_allocate(&g, &other, (struct rig_ask){.method = STUN_ALLOCATE});
    rig_bind(&g, &c, 0x4000, "198.51.100.1:1000");
    rig_expect(&g, 0, &c);
    uint16_t next = rig_allocate(&g, &moved, (struct rig_ask){.method = STUN_ALLOCATE});
    assert_int_not_equal(port, next);
    assert_int_equal(rig_stats(&g).allocations, 2);
    assert_int_equal(rig_stats(&g).channels, 0);
    assert_int_equal(g.closed, 1);
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_REFRESH});
    rig_expect(&g, 437, &c);
    /* A request that is refused deletes nothing. */
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_ALLOCATE, .transport = 6});
    rig_expect(&g, 400, &c);
    rig_ask(&g, &moved, (struct rig_ask){.method = STUN_REFRESH});
    rig_expect(&g, 0, &moved);
    rig_stop(&g);
}

static void test_lifetimes(void **state)
{
    static const struct {
        bool told;
        uint32_t wanted, got;
    } cases[] = {{false, 0, 600},    {true, 1, 1},       {true, 600, 600},        {true, 601, 601},
                 {true, 3600, 3600}, {true, 3601, 3600}, {true, UINT32_MAX, 3600}};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (unsigned by_refresh = 0; by_refresh < 2; by_refresh++) {
            struct rig g;
            struct rig_client c;
            const struct rig_ask ask = {.method = STUN_REFRESH,
                                        .has_lifetime = cases[i].told,
                                        .lifetime_s = cases[i].wanted};
            rig_start(&g);
            rig_client(&c, "192.0.2.10:40000", "a");
            rig_allocate(&g, &c, by_refresh ? (struct rig_ask){.method = STUN_ALLOCATE} : ask);
            if (by_refresh) {
                rig_pass(&g, 500000);
                rig_ask(&g, &c, ask);
                rig_expect(&g, 0, &c);
                EXPECT_ATTRIBUTES(&g, STUN_SOFTWARE, STUN_LIFETIME, STUN_MESSAGE_INTEGRITY);
            }
            assert_int_equal(g.m.lifetime_s, cases[i].got);
            rig_pass(&g, cases[i].got * 1000 - 1);
            assert_int_equal(rig_stats(&g).allocations, 1);
            assert_int_equal(g.closed, 0);
            rig_pass(&g, 1);
            assert_int_equal(rig_stats(&g).allocations, 0);
            assert_int_equal(g.closed, 1);
            rig_stop(&g);
        }
    }
}

/* No timer has to run for it. */
static void test_expires_by_itself(void **state)
{
    struct rig g;
    struct rig_client c;
    (void)state;

    rig_start(&g);
    rig_client(&c, "192.0.2.10:40000", "a");
    rig_allocate(&g, &c, (struct rig_ask){.method = STUN_ALLOCATE});
    g.now += 600 * NS_PER_SEC;
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_REFRESH});
    rig_expect(&g, 437, &c);
    assert_int_equal(g.closed, 1);
    rig_stop(&g);
}

static void test_refresh_deletes(void **state)
{
    struct rig g;
    struct rig_client c;
    (void)state;

    rig_start(&g);
    rig_client(&c, "192.0.2.10:40000", "a");
    rig_login(&g, &c);
    const struct rig_ask delete = {.method = STUN_REFRESH, .has_lifetime = true};
    rig_ask(&g, &c, delete);
    rig_expect(&g, 437, &c);
    uint16_t port = rig_allocate(&g, &c, (struct rig_ask){.method = STUN_ALLOCATE});
    rig_bind(&g, &c, 0x4000, "198.51.100.1:1000");
    rig_ask(&g, &c, delete);
    rig_expect(&g, 0, &c);
    assert_true(g.m.has & STUN_HAS_LIFETIME && g.m.lifetime_s == 0);
    assert_int_equal(rig_stats(&g).channels, 0);
    rig_peer(&g, port, "198.51.100.1:1000", "late");
    assert_int_equal(g.verdict, RELAY_DROP_NO_ALLOCATION);
    /* The same client anew. */
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_ALLOCATE});
    rig_expect(&g, 0, &c);
    rig_stop(&g);
}

static void test_port_fails(void **state)
{
    struct relay_config config = rig_config();
    struct rig g;
    struct rig_client c;
    struct relay_port p;
    uint8_t buf[512];
    (void)state;

    config.lowest_port = config.highest_port = 50000;
    rig_start_with(&g, &config);
    rig_client(&c, "192.0.2.10:40000", "a");
    rig_login(&g, &c);
    for (unsigned i = 0; i < 3; i++) {
        size_t len = rig_write(buf, sizeof buf, &c, &(struct rig_ask){.method = STUN_ALLOCATE});
        assert_int_equal(relay_handle_client(g.r, g.now, g.unix_s, &c.addr, buf, len, &g.out),
                         RELAY_REPLY);
        assert_true(relay_poll_port(g.r, &p) && p.open && p.port == 50000);
        assert_int_equal(p.families, RELAY_V4);
        assert_true(relay_port_failed(g.r, p.port, &g.out));
        assert_true(sock_addr_equal(&g.out.to, &c.addr) && g.out.port == 0 && !g.out.header_len);
        memcpy(g.bytes, g.out.bytes, g.out.len);
        assert_int_equal(stun_parse(&g.m, g.bytes, g.out.len), ERR_OK);
        assert_int_equal(g.m.method, STUN_ALLOCATE);
        assert_memory_equal(g.m.id.bytes, buf + 8, sizeof g.m.id.bytes); /* of the request */
        g.verdict = RELAY_REPLY;
        rig_expect(&g, 508, &c);
        assert_int_equal(rig_stats(&g).errors[RELAY_ERROR_508], i + 1);
        assert_false(relay_poll_port(g.r, &p));
        assert_int_equal(rig_stats(&g).allocations, 0);
    }
    assert_false(relay_port_failed(g.r, 50000, &g.out));
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_ALLOCATE});
    rig_expect(&g, 0, &c);
    assert_false(relay_port_failed(g.r, 50000, &g.out)); /* that one is answered */
    rig_stop(&g);
}

/* ---- faults on demand ---- */

static void test_planned_errors(void **state)
{
    struct rig g;
    struct rig_client c;
    char first[64];
    (void)state;

    rig_start(&g);
    rig_client(&c, "192.0.2.10:40000", "a");
    rig_login(&g, &c);
    assert_true(relay_plan_error(g.r, STUN_ALLOCATE, 486, 2));
    assert_true(relay_plan_error(g.r, STUN_ALLOCATE, 508, 1));
    assert_true(relay_plan_error(g.r, STUN_REFRESH, 438, 1));
    assert_false(relay_plan_error(g.r, STUN_REFRESH, 200, 1));
    static const unsigned codes[] = {486, 486, 508, 0};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        rig_ask(&g, &c, (struct rig_ask){.method = STUN_ALLOCATE, .wrong_key = true});
        rig_expect(&g, 401, &c); /* that one is not used up by this */
        rig_ask(&g, &c, (struct rig_ask){.method = STUN_ALLOCATE});
        rig_expect(&g, codes[i], &c);
    }
    strcpy(first, c.nonce);
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_REFRESH});
    rig_expect(&g, 438, &c);
    rig_take_nonce(&g, &c);
    assert_string_not_equal(first, c.nonce);
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_REFRESH});
    rig_expect(&g, 0, &c);
    for (unsigned i = 0; i < RELAY_PLANS_MAX; i++)
        assert_true(relay_plan_error(g.r, STUN_ALLOCATE, 486, 1));
    assert_false(relay_plan_error(g.r, STUN_ALLOCATE, 486, 1));
    rig_stop(&g);
}

static void test_forget_nonces(void **state)
{
    struct rig g;
    struct rig_client c;
    (void)state;

    rig_start(&g);
    rig_client(&c, "192.0.2.10:40000", "a");
    rig_login(&g, &c);
    relay_forget_nonces(g.r);
    assert_int_equal(rig_stats(&g).nonces, 0);
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_ALLOCATE});
    rig_expect(&g, 438, &c);
    rig_take_nonce(&g, &c);
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_ALLOCATE});
    rig_expect(&g, 0, &c);
    rig_stop(&g);
}

static void test_secret(void **state)
{
    struct rig g;
    struct rig_client c;
    char longest[RELAY_SECRET_MAX + 2];
    (void)state;

    rig_start(&g);
    rig_client(&c, "192.0.2.10:40000", "a");
    rig_allocate(&g, &c, (struct rig_ask){.method = STUN_ALLOCATE});
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_int_equal(relay_set_secret(g.r, ""), ERR_INVALID);
    assert_int_equal(relay_set_secret(g.r, longest), ERR_INVALID);
    assert_string_equal(relay_secret(g.r), RIG_SECRET);
    assert_int_equal(relay_set_secret(g.r, "another"), ERR_OK);
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_REFRESH});
    assert_int_equal(g.m.error, 401);
    assert_false(stun_integrity_ok(&g.m, c.key, sizeof c.key)); /* it has another key for us */
    assert_int_equal(rig_stats(&g).allocations, 1);
    rig_stop(&g);
}

static void test_freeze(void **state)
{
    struct rig g;
    struct rig_client c;
    (void)state;

    rig_start(&g);
    rig_client(&c, "192.0.2.10:40000", "a");
    uint16_t port = rig_allocate(&g, &c, (struct rig_ask){.method = STUN_ALLOCATE});
    rig_bind(&g, &c, 0x4000, "198.51.100.1:1000");
    for (unsigned what = 0; what < 4; what++) {
        relay_freeze(g.r, what);
        rig_ask(&g, &c, (struct rig_ask){.method = STUN_REFRESH});
        assert_int_equal(g.verdict, what & RELAY_FREEZE_REQUESTS ? RELAY_DROP_FROZEN : RELAY_REPLY);
        rig_send(&g, &c, 0x4000, "x");
        assert_int_equal(g.verdict, what & RELAY_FREEZE_DATA ? RELAY_DROP_FROZEN : RELAY_TO_PEER);
        rig_peer(&g, port, "198.51.100.1:1000", "x");
        assert_int_equal(g.verdict, what & RELAY_FREEZE_DATA ? RELAY_DROP_FROZEN : RELAY_TO_CLIENT);
    }
    rig_pass(&g, 600000); /* time goes on */
    assert_int_equal(rig_stats(&g).allocations, 0);
    rig_stop(&g);
}

static void test_drop(void **state)
{
    struct rig g;
    struct rig_client c;
    char addr[32], salt[8];
    uint16_t port = 0;
    uint32_t cursor = 0;
    struct relay_allocation a;
    (void)state;

    rig_start(&g);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(addr, sizeof addr, "192.0.2.10:%u", 40000 + i);
        snprintf(salt, sizeof salt, "%u", i);
        rig_client(&c, addr, salt);
        port = rig_allocate(&g, &c, (struct rig_ask){.method = STUN_ALLOCATE});
    }
    rig_bind(&g, &c, 0x4000, "198.51.100.1:1000");
    unsigned n = 0, channels = 0;
    while (relay_next_allocation(g.r, &cursor, &a)) {
        n++;
        channels += a.channels;
        assert_int_equal(a.families, RELAY_V4);
    }
    assert_true(n == 20 && channels == 1);
    assert_int_equal(relay_drop(g.r, 1), 0);
    assert_int_equal(relay_drop(g.r, port), 1);
    assert_int_equal(relay_drop(g.r, port), 0);
    rig_ask(&g, &c, (struct rig_ask){.method = STUN_REFRESH});
    rig_expect(&g, 437, &c);
    assert_int_equal(relay_drop(g.r, 0), 19);
    rig_ports(&g);
    assert_int_equal(g.closed, 20);
    assert_int_equal(relay_poll_timeout(g.r), TIME_NEVER);
    rig_stop(&g);
}

static void test_config(void **state)
{
    struct relay_config c = rig_config();
    struct relay_server *r;
    (void)state;

    c.public4.family = c.public6.family = ADDR_NONE;
    assert_int_equal(relay_new(&r, &c), ERR_INVALID);
    c = rig_config();
    c.lowest_port = 0;
    assert_int_equal(relay_new(&r, &c), ERR_INVALID);
    c = rig_config();
    c.lowest_port = 5;
    c.highest_port = 4;
    assert_int_equal(relay_new(&r, &c), ERR_INVALID);
    c = rig_config();
    c.stamp_secret = "";
    assert_int_equal(relay_new(&r, &c), ERR_INVALID);
    assert_null(r);
    relay_free(NULL);
    assert_string_equal(relay_error_text(RELAY_ERROR_437), "437");
    assert_string_equal(relay_error_text(RELAY_ERROR_OTHER), "other");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_binding),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_usernames),
        cmocka_unit_test(test_authentication),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_nonces),
        cmocka_unit_test(test_nonces_bounded),
        cmocka_unit_test(test_not_decoded),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_allocate),
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_allocate_order),
        cmocka_unit_test(test_one_per_username),
        cmocka_unit_test(test_lifetimes),
        cmocka_unit_test(test_expires_by_itself),
        cmocka_unit_test(test_refresh_deletes),
        cmocka_unit_test(test_port_fails),
        cmocka_unit_test(test_planned_errors),
        cmocka_unit_test(test_forget_nonces),
        cmocka_unit_test(test_secret),
        cmocka_unit_test(test_freeze),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
