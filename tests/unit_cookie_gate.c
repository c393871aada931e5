/* SPDX-License-Identifier: Apache-2.0 */
/* The cookie gate against known answers and against the sender's side: mac1, mac2, rotation, binding, lifetime. */
#include "engine/cookie_gate.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "control/wg/cookie.h"
#include "platform/base/bytes.h"
#include "tests/support/wg_vectors.h"

static struct cookie_gate gate;
static struct cookie sender;
static struct sock_addr source;
static uint8_t msg[WG_INITIATION_LEN];

static const time_ns now = 1000 * NS_PER_SEC;

static int set_up(void **state)
{
    (void)state;
    cookie_gate_init(&gate, hs_sr_public, hs_cookie_secret);
    cookie_init(&sender, hs_sr_public);
    assert_int_equal(sock_addr_parse(&source, "192.0.2.7:51820"), ERR_OK);
    memcpy(msg, hs_initiation, sizeof msg);
    return 0;
}

static enum cookie_verdict check(const struct sock_addr *from)
{
    return cookie_gate_check(&gate, msg, sizeof msg, from, true);
}

/* Sends msg, gets the reply, and has the sender add its MACs again at `at`. */
static void exchange(time_ns at)
{
    uint8_t reply[WG_COOKIE_REPLY_LEN];
    cookie_add_macs(&sender, now, msg, sizeof msg);
    cookie_gate_reply(&gate, msg, sizeof msg, &source, hs_cookie_nonce, reply);
    assert_int_equal(wg_message_kind(reply, sizeof reply), WG_KIND_COOKIE_REPLY);
    assert_true(cookie_consume_reply(&sender, now, reply));
    cookie_add_macs(&sender, at, msg, sizeof msg);
}

static void test_known_answers(void **state)
{
    uint8_t reply[WG_COOKIE_REPLY_LEN];
    (void)state;
    memset(msg + WG_INITIATION_MAC1, 0xee, 32);
    cookie_add_macs(&sender, now, msg, sizeof msg);
    assert_memory_equal(msg, hs_initiation, sizeof msg);

    cookie_gate_reply(&gate, msg, sizeof msg, &source, hs_cookie_nonce, reply);
    assert_memory_equal(reply, hs_cookie_reply, sizeof reply);

    assert_true(cookie_consume_reply(&sender, now, reply));
    assert_memory_equal(sender.cookie, hs_cookie, 16);
    cookie_add_macs(&sender, now, msg, sizeof msg);
    assert_memory_equal(msg, hs_initiation_mac2, sizeof msg);
}

static void test_mac1(void **state)
{
    (void)state;
    assert_int_equal(cookie_gate_check(&gate, msg, sizeof msg, &source, false), COOKIE_MAC1_VALID);
    assert_int_equal(check(&source), COOKIE_REPLY_NEEDED);
    for (unsigned i = 0; i < WG_INITIATION_MAC2; i++) {
        msg[i] ^= 0x40;
        assert_int_equal(cookie_gate_check(&gate, msg, sizeof msg, &source, false),
                         COOKIE_MAC1_INVALID);
        assert_int_equal(check(&source), COOKIE_MAC1_INVALID);
        msg[i] ^= 0x40;
    }
}

static void test_response_message(void **state)
{
    uint8_t response[WG_RESPONSE_LEN];
    struct cookie_gate g;
    struct cookie c;
    uint8_t reply[WG_COOKIE_REPLY_LEN];
    (void)state;
    cookie_gate_init(&g, hs_si_public, hs_cookie_secret);
    cookie_init(&c, hs_si_public);
    memcpy(response, hs_response, sizeof response);
    assert_int_equal(cookie_gate_check(&g, response, sizeof response, &source, true),
                     COOKIE_REPLY_NEEDED);

    cookie_add_macs(&c, now, response, sizeof response);
    assert_memory_equal(response, hs_response, sizeof response);
    cookie_gate_reply(&g, response, sizeof response, &source, hs_cookie_nonce, reply);
    assert_int_equal(load_le32(reply + WG_COOKIE_REPLY_RECEIVER), HS_INDEX_R);
    assert_true(cookie_consume_reply(&c, now, reply));
    cookie_add_macs(&c, now, response, sizeof response);
    assert_int_equal(cookie_gate_check(&g, response, sizeof response, &source, true),
                     COOKIE_MAC2_VALID);
}

static void test_mac2_binds_source(void **state)
{
    static const char *const others[] = {
        "192.0.2.7:51821",
        "192.0.2.8:51820",
        "[2001:db8::7]:51820",
        "[c000:207::]:51820",
    };
    (void)state;
    exchange(now);
    assert_int_equal(check(&source), COOKIE_MAC2_VALID);
    assert_int_equal(cookie_gate_check(&gate, msg, sizeof msg, &source, false), COOKIE_MAC1_VALID);
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct sock_addr other;
        assert_int_equal(sock_addr_parse(&other, others[i]), ERR_OK);
        assert_int_equal(check(&other), COOKIE_REPLY_NEEDED);
    }
    for (unsigned i = WG_INITIATION_MAC2; i < WG_INITIATION_LEN; i++) {
        msg[i] ^= 1;
        assert_int_equal(check(&source), COOKIE_REPLY_NEEDED);
        msg[i] ^= 1;
    }
}

static void test_v6_source(void **state)
{
    (void)state;
    assert_int_equal(sock_addr_parse(&source, "[2001:db8::1]:443"), ERR_OK);
    exchange(now);
    assert_int_equal(check(&source), COOKIE_MAC2_VALID);
    source.ip.bytes[15] ^= 1; /* the last byte of the address counts */
    assert_int_equal(check(&source), COOKIE_REPLY_NEEDED);
}

static void test_rotation(void **state)
{
    uint8_t secret[32] = {1}, first[WG_INITIATION_LEN], cookie[WG_COOKIE_LEN];
    (void)state;
    exchange(now);
    memcpy(first, msg, sizeof msg);
    for (uint8_t i = 1; i < 5; i++) {
        memcpy(cookie, sender.cookie, sizeof cookie);
        secret[0] = i;
        cookie_gate_rotate(&gate, secret);
        assert_int_equal(check(&source), COOKIE_MAC2_VALID); /* made with the one before */
        exchange(now);
        assert_memory_not_equal(cookie, sender.cookie, sizeof cookie);
        assert_int_equal(check(&source), COOKIE_MAC2_VALID);
        assert_int_equal(cookie_gate_check(&gate, first, sizeof first, &source, true),
                         i < 2 ? COOKIE_MAC2_VALID : COOKIE_REPLY_NEEDED);
    }
}

static void test_cookie_lifetime(void **state)
{
    (void)state;
    exchange(now + WG_COOKIE_LIFETIME_NS - 1);
    assert_int_equal(check(&source), COOKIE_MAC2_VALID);
    cookie_add_macs(&sender, now + WG_COOKIE_LIFETIME_NS, msg, sizeof msg);
    assert_true(ct_is_zero(msg + WG_INITIATION_MAC2, 16));
}

static void test_reply_refused(void **state)
{
    uint8_t reply[WG_COOKIE_REPLY_LEN];
    (void)state;
    cookie_gate_reply(&gate, msg, sizeof msg, &source, hs_cookie_nonce, reply);
    assert_false(cookie_consume_reply(&sender, now, reply)); /* nothing sent yet */
    cookie_add_macs(&sender, now, msg, sizeof msg);
    for (unsigned i = 4; i < WG_COOKIE_REPLY_LEN; i++) {
        reply[i] ^= 0x80;
        assert_false(cookie_consume_reply(&sender, now, reply));
        reply[i] ^= 0x80;
    }
    assert_true(cookie_consume_reply(&sender, now, reply));
    assert_false(cookie_consume_reply(&sender, now, reply)); /* one per message */

    msg[WG_INITIATION_TIMESTAMP] ^= 1; /* a newer message: the reply belongs to the older */
    cookie_add_macs(&sender, now, msg, sizeof msg);
    assert_false(cookie_consume_reply(&sender, now, reply));
}

static void test_wipe(void **state)
{
    (void)state;
    cookie_gate_wipe(&gate);
    cookie_wipe(&sender);
    assert_true(ct_is_zero(&gate, sizeof gate));
    assert_true(ct_is_zero(&sender, sizeof sender));
}

/* A table of well- and ill-formed datagrams. */
static void test_classification(void **state)
{
    static const struct {
        uint32_t type;
        size_t len;
        enum wg_kind expected;
    } cases[] = {
        {1, 148, WG_KIND_INITIATION},  {1, 147, WG_KIND_NONE},     {1, 149, WG_KIND_NONE},
        {2, 92, WG_KIND_RESPONSE},     {2, 91, WG_KIND_NONE},      {2, 148, WG_KIND_NONE},
        {3, 64, WG_KIND_COOKIE_REPLY}, {3, 63, WG_KIND_NONE},      {3, 65, WG_KIND_NONE},
        {4, 32, WG_KIND_DATA},         {4, 31, WG_KIND_NONE},      {4, 33, WG_KIND_DATA},
        {4, 1500, WG_KIND_DATA},       {4, 65535, WG_KIND_DATA},   {0, 148, WG_KIND_NONE},
        {5, 148, WG_KIND_NONE},        {0x101, 148, WG_KIND_NONE}, {0x01000004, 64, WG_KIND_NONE},
        {0x10004, 64, WG_KIND_NONE},   {1, 0, WG_KIND_NONE},       {4, 3, WG_KIND_NONE},
    };
    static uint8_t bytes[65535];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        store_le32(bytes, cases[i].type);
        assert_int_equal(wg_message_kind(bytes, cases[i].len), cases[i].expected);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(test_##name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(known_answers), TEST(mac1),           TEST(response_message), TEST(mac2_binds_source),
        TEST(v6_source),     TEST(rotation),       TEST(cookie_lifetime),  TEST(reply_refused),
        TEST(wipe),          TEST(classification),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
