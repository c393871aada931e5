/* SPDX-License-Identifier: Apache-2.0 */
/* The STUN codec against published messages, against itself, and against messages that are wrong in one place. */
#include "control/p2p/stun.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

enum {
    MESSAGE_MAX = 1024
};

struct bytes {
    uint8_t at[MESSAGE_MAX];
    size_t len;
};

static unsigned digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static struct bytes from_hex(const char *hex)
{
    struct bytes b = {.len = strlen(hex) / 2};

    assert_true(b.len <= MESSAGE_MAX && strlen(hex) % 2 == 0);
    for (size_t i = 0; i < b.len; i++)
        b.at[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    return b;
}

static struct sock_addr addr(const char *text)
{
    struct sock_addr a;
    assert_int_equal(sock_addr_parse(&a, text), ERR_OK);
    return a;
}

static void assert_text(struct stun_text t, const char *text)
{
    assert_true(stun_text_is(t, text));
}

static void assert_addr(const struct sock_addr *a, const char *text)
{
    char buf[SOCK_ADDR_TEXT_MAX];
    assert_string_equal(sock_addr_format(a, buf, sizeof buf), text);
}

static const struct stun_id SPEC_ID = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}};
static const uint8_t text[STUN_TEXT_MAX + 1];
static const char NAME[] = "1900000000:c2FsdA";

/* ---- RFC 5769 ---- */

#define RFC_HEADER(type_len) type_len "2112a442b7e7a701bc34d686fa87dfae"

static void test_rfc5769_request(void **state)
{
    static const char password[] = "VOkJxbRl1RmTxUk/WvJxBt";
    struct bytes b = from_hex(RFC_HEADER("00010058") "80220010"
                                                     "5354554e207465737420636c69656e74"
                                                     "00240004"
                                                     "6e0001ff"
                                                     "80290008"
                                                     "932ff9b151263b36"
                                                     "00060009"
                                                     "6576746a3a68367659202020"
                                                     "00080014"
                                                     "9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
                                                     "80280004"
                                                     "e57a3bcf");
    struct stun_text receiver, sender;
    struct stun_message m;
    (void)state;

    assert_int_equal(stun_parse(&m, b.at, b.len), ERR_OK);
    assert_int_equal(m.method, STUN_BINDING);
    assert_int_equal(m.class, STUN_REQUEST);
    assert_text(m.software, "STUN test client");
    assert_text(m.username, "evtj:h6vY");
    assert_int_equal(m.priority, 0x6e0001ff);
    assert_true(m.controlled == UINT64_C(0x932ff9b151263b36));
    assert_int_equal(m.has, STUN_HAS_PRIORITY | STUN_HAS_CONTROLLED | STUN_HAS_INTEGRITY |
                                STUN_HAS_FINGERPRINT);
    assert_true(stun_fingerprint_ok(&m));
    assert_int_equal(m.unknown, 0);
    assert_true(stun_integrity_ok(&m, password, strlen(password)));
    assert_false(stun_integrity_ok(&m, password, strlen(password) - 1));
    assert_false(stun_integrity_ok(&m, "", 0));
    assert_true(stun_is_ice_request(&m));
    assert_false(stun_is_ice_success(&m));
    assert_true(stun_username_split(&m, &receiver, &sender));
    assert_text(receiver, "evtj");
    assert_text(sender, "h6vY");
}

static void test_rfc5769_responses(void **state)
{
    static const struct {
        const char *hex, *mapped;
    } cases[] = {
        {RFC_HEADER("0101003c") "8022000b7465737420766563746f7220"
                                "002000080001a147e112a643"
                                "000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
                                "80280004c07d4c96",
         "192.0.2.1:32853"},
        {RFC_HEADER("01010048") "8022000b7465737420766563746f7220"
                                "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
                                "00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
                                "80280004c8fb0b4c",
         "[2001:db8:1234:5678:11:2233:4455:6677]:32853"},
    };
    static const char password[] = "VOkJxbRl1RmTxUk/WvJxBt";
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes b = from_hex(cases[i].hex);
        struct stun_message m;

        assert_int_equal(stun_parse(&m, b.at, b.len), ERR_OK);
        assert_int_equal(m.class, STUN_SUCCESS);
        assert_text(m.software, "test vector");
        assert_addr(&m.mapped, cases[i].mapped);
        assert_true(stun_fingerprint_ok(&m));
        assert_true(stun_integrity_ok(&m, password, strlen(password)));
        assert_true(stun_is_ice_success(&m));
        assert_false(stun_is_ice_request(&m));
        b.at[b.len - 1] ^= 1;
        assert_int_equal(stun_parse(&m, b.at, b.len), ERR_OK);
        assert_false(stun_fingerprint_ok(&m));
    }
}

static void test_rfc5769_long_term(void **state)
{
    static const char name[] = "\u30DE\u30C8\u30EA\u30C3\u30AF\u30B9";
    struct bytes b = from_hex("000100602112a44278ad3433c6ad72c029da412e"
                              "00060012e3839ee38388e383aae38383e382afe382b90000"
                              "0015001c662f2f3439396b393534643"
                              "64f4c33346f4c39465354767936347341"
                              "0014000b6578616d706c652e6f726700"
                              "00080014f67024656dd64a3e02b8e0712e85c9a28ca89666");
    uint8_t key[STUN_KEY_LEN];
    struct stun_message m;
    (void)state;

    assert_int_equal(stun_parse(&m, b.at, b.len), ERR_OK);
    assert_text(m.username, name);
    assert_text(m.nonce, "f//499k954d6OL34oL9FSTvy64sA");
    assert_text(m.realm, "example.org");
    stun_turn_key(key, name, "example.org", "TheMatrIX");
    assert_true(stun_integrity_ok(&m, key, sizeof key));
    key[3] ^= 0x10;
    assert_false(stun_integrity_ok(&m, key, sizeof key));
}

/* ---- the messages of spec/p2p.md 16, byte for byte ---- */

static void spec_key(uint8_t key[STUN_KEY_LEN])
{
    struct bytes expected = from_hex("a440636b915db50fb08a702fcc249a75");

    stun_turn_key(key, NAME, "firezone", "ILcMeRxx4vn9P7V9ulhzZWl2ACmaIzYx29Q0jwKMEjU");
    assert_memory_equal(key, expected.at, STUN_KEY_LEN);
}

static void assert_written(struct stun_writer *w, const char *hex)
{
    struct bytes expected = from_hex(hex);

    assert_int_equal(stun_finish(w), expected.len);
    assert_memory_equal(w->bytes, expected.at, expected.len);
}

static void test_writes_binding(void **state)
{
    uint8_t buf[64];
    struct stun_writer w;
    (void)state;

    stun_begin(&w, buf, sizeof buf, STUN_BINDING, STUN_REQUEST, &SPEC_ID);
    stun_add_text(&w, STUN_SOFTWARE, "snownet");
    assert_written(&w, "0001000c2112a4420102030405060708090a0b0c80220007736e6f776e657400");
}

static void test_writes_allocate(void **state)
{
    uint8_t buf[256], key[STUN_KEY_LEN];
    struct stun_writer w;
    (void)state;

    spec_key(key);
    stun_begin(&w, buf, sizeof buf, STUN_ALLOCATE, STUN_REQUEST, &SPEC_ID);
    stun_add_transport(&w, STUN_UDP);
    stun_add_family(&w, STUN_ADDITIONAL_ADDRESS_FAMILY, ADDR_V6);
    stun_add_text(&w, STUN_SOFTWARE, "snownet");
    stun_add_text(&w, STUN_USERNAME, NAME);
    stun_add_text(&w, STUN_REALM, "firezone");
    stun_add_integrity(&w, key, sizeof key);
    assert_written(&w,
                   "000300582112a4420102030405060708090a0b0c0019000411000000800000040200000080"
                   "220007736e6f776e65740000060011313930303030303030303a633246736441000000001400"
                   "08666972657a6f6e65000800143341566f5872308d4379f6d0ee54821ec9750da7");
}

static void test_writes_channel_bind(void **state)
{
    struct sock_addr peer = addr("203.0.113.7:52625");
    uint8_t buf[256], key[STUN_KEY_LEN];
    struct stun_writer w;
    (void)state;

    spec_key(key);
    stun_begin(&w, buf, sizeof buf, STUN_CHANNEL_BIND, STUN_REQUEST, &SPEC_ID);
    stun_add_address(&w, STUN_XOR_PEER_ADDRESS, &peer);
    stun_add_channel(&w, 0x4000);
    stun_add_text(&w, STUN_SOFTWARE, "snownet");
    stun_add_text(&w, STUN_USERNAME, NAME);
    stun_add_text(&w, STUN_REALM, "firezone");
    stun_add_text(&w, STUN_NONCE, "11111111-2222-4333-8444-555555555555");
    stun_add_integrity(&w, key, sizeof key);
    assert_written(
        &w, "000900842112a4420102030405060708090a0b0c001200080001ec83ea12d545000c000440000000"
            "80220007736e6f776e65740000060011313930303030303030303a63324673644100000000140008"
            "666972657a6f6e650015002431313131313131312d323232322d343333332d383434342d35353535"
            "353535353535353500080014a9470598384a7806e4a8a58df3a0ff4ec697a9a5");
}

static void test_writes_ice_check(void **state)
{
    static const char password[] = "gwpasswordgwpassword22";
    uint8_t buf[256];
    struct stun_writer w;
    (void)state;

    stun_begin(&w, buf, sizeof buf, STUN_BINDING, STUN_REQUEST, &SPEC_ID);
    stun_add_text(&w, STUN_USERNAME, "gwuf:cluf");
    stun_add_u64(&w, STUN_ICE_CONTROLLING, UINT64_C(0x1122334455667788));
    stun_add_u32(&w, STUN_PRIORITY, 110u << 24 | 65534 << 8 | 255);
    stun_add_empty(&w, STUN_USE_CANDIDATE);
    stun_add_integrity(&w, password, strlen(password));
    stun_add_fingerprint(&w);
    assert_written(&w,
                   "000100482112a4420102030405060708090a0b0c00060009677775663a636c7566000000802a"
                   "00081122334455667788002400046efffeff0025000000080014ffe2a74fe021a3b81ac15395"
                   "4cd326583e336d67802800048dd652c8");
}

static void test_writes_ice_success(void **state)
{
    static const char password[] = "gwpasswordgwpassword22";
    struct sock_addr mapped = addr("198.51.100.9:40000");
    uint8_t buf[256];
    struct stun_writer w;
    (void)state;

    stun_begin(&w, buf, sizeof buf, STUN_BINDING, STUN_SUCCESS, &SPEC_ID);
    stun_add_address(&w, STUN_XOR_MAPPED_ADDRESS, &mapped);
    stun_add_integrity(&w, password, strlen(password));
    stun_add_fingerprint(&w);
    assert_written(&w, "0101002c2112a4420102030405060708090a0b0c002000080001bd52e721c04b000800143"
                       "7e746aa36017c8329f6b5072ed1733764a301f9802800047518c164");
}

/* ---- round trips ---- */

static void test_all_types_of_message(void **state)
{
    uint8_t buf[STUN_HEADER_LEN];
    struct stun_message m;
    struct stun_writer w;
    (void)state;

    for (unsigned method = 0; method < 1 << 12; method++) {
        for (unsigned class = 0; class < 4; class ++) {
            stun_begin(&w, buf, sizeof buf, (enum stun_method)method, (enum stun_class) class,
                       &SPEC_ID);
            assert_int_equal(stun_finish(&w), sizeof buf);
            assert_int_equal(stun_parse(&m, buf, sizeof buf), ERR_OK);
            assert_int_equal(m.method, method);
            assert_int_equal(m.class, class);
            assert_true(stun_id_equal(&m.id, &SPEC_ID));
        }
    }
    stun_begin(&w, buf, sizeof buf, STUN_CHANNEL_BIND, STUN_ERROR, &SPEC_ID);
    assert_int_equal(load_be16(buf), 0x0119);
    stun_begin(&w, buf, sizeof buf, STUN_DATA, STUN_INDICATION, &SPEC_ID);
    assert_int_equal(load_be16(buf), 0x0017);
}

static void test_answer_of_a_relay(void **state)
{
    struct sock_addr v4 = addr("203.0.113.7:49200"), v6 = addr("[2001:db8::7]:49201");
    struct sock_addr other = addr("203.0.113.8:1"), mapped = addr("[2001:db8::1]:52625");
    uint8_t buf[512];
    struct stun_message m;
    struct stun_writer w;
    (void)state;

    stun_begin(&w, buf, sizeof buf, STUN_ALLOCATE, STUN_SUCCESS, &SPEC_ID);
    stun_add_text(&w, STUN_SOFTWARE, "a relay");
    stun_add_address(&w, STUN_XOR_RELAYED_ADDRESS, &v6);
    stun_add_address(&w, STUN_XOR_RELAYED_ADDRESS, &v4);
    stun_add_address(&w, STUN_XOR_RELAYED_ADDRESS, &other);
    stun_add_address(&w, STUN_XOR_MAPPED_ADDRESS, &mapped);
    stun_add_u32(&w, STUN_LIFETIME, 600);
    stun_add_integrity(&w, "key", 3);
    assert_int_equal(stun_parse(&m, buf, stun_finish(&w)), ERR_OK);
    assert_addr(&m.relayed4, "203.0.113.7:49200");
    assert_addr(&m.relayed6, "[2001:db8::7]:49201");
    assert_addr(&m.mapped, "[2001:db8::1]:52625");
    assert_int_equal(m.has, STUN_HAS_LIFETIME | STUN_HAS_INTEGRITY);
    assert_int_equal(m.lifetime_s, 600);
    assert_true(stun_integrity_ok(&m, "key", 3));
}

static void test_error_of_a_relay(void **state)
{
    uint8_t buf[512];
    struct stun_message m;
    struct stun_writer w;
    (void)state;

    stun_begin(&w, buf, sizeof buf, STUN_REFRESH, STUN_ERROR, &SPEC_ID);
    stun_add_error(&w, 438, "Stale Nonce");
    stun_add_text(&w, STUN_REALM, "firezone");
    stun_add_text(&w, STUN_NONCE, "");
    assert_int_equal(stun_parse(&m, buf, stun_finish(&w)), ERR_OK);
    assert_int_equal(m.error, 438);
    assert_text(m.reason, "Stale Nonce");
    assert_text(m.realm, "firezone");
    assert_non_null(m.nonce.bytes); /* present and empty */
    assert_int_equal(m.nonce.len, 0);
    assert_null(m.username.bytes);
    assert_false(stun_integrity_ok(&m, "key", 3));
}

static void test_what_follows_the_integrity_does_not_count(void **state)
{
    uint8_t buf[512];
    struct stun_message m;
    struct stun_writer w;
    (void)state;

    stun_begin(&w, buf, sizeof buf, STUN_BINDING, STUN_REQUEST, &SPEC_ID);
    stun_add_text(&w, STUN_USERNAME, "a:b");
    stun_add_integrity(&w, "key", 3);
    stun_add_empty(&w, STUN_USE_CANDIDATE);
    stun_add_u32(&w, STUN_PRIORITY, 7);
    stun_add_integrity(&w, "other", 5);
    stun_add_bytes(&w, (enum stun_attr)0x0042, "", 0);
    stun_add_fingerprint(&w);
    assert_int_equal(stun_parse(&m, buf, stun_finish(&w)), ERR_OK);
    assert_int_equal(m.has, STUN_HAS_INTEGRITY | STUN_HAS_FINGERPRINT);
    assert_int_equal(m.unknown, 0);
    assert_true(stun_fingerprint_ok(&m));
    assert_true(stun_integrity_ok(&m, "key", 3));
    assert_false(stun_is_ice_request(&m));
}

static void test_the_first_of_two_counts(void **state)
{
    uint8_t buf[512];
    struct stun_message m;
    struct stun_writer w;
    (void)state;

    stun_begin(&w, buf, sizeof buf, STUN_CHANNEL_BIND, STUN_REQUEST, &SPEC_ID);
    for (unsigned i = 0; i < 2; i++) {
        stun_add_text(&w, STUN_NONCE, i == 0 ? "" : "second");
        stun_add_channel(&w, (uint16_t)(0x4000 + i));
        stun_add_u32(&w, STUN_LIFETIME, i);
        stun_add_family(&w, STUN_REQUESTED_ADDRESS_FAMILY, i == 0 ? ADDR_V4 : ADDR_V6);
        stun_add_family(&w, STUN_ADDITIONAL_ADDRESS_FAMILY, i == 0 ? ADDR_V6 : ADDR_V4);
        stun_add_transport(&w, (uint8_t)(i == 0 ? STUN_UDP : 6));
        stun_add_bytes(&w, (enum stun_attr)(0x0042 + i), "", 0);
    }
    assert_int_equal(stun_parse(&m, buf, stun_finish(&w)), ERR_OK);
    assert_int_equal(m.nonce.len, 0);
    assert_int_equal(m.channel, 0x4000);
    assert_int_equal(m.lifetime_s, 0);
    assert_int_equal(m.requested_family, ADDR_V4);
    assert_int_equal(m.additional_family, ADDR_V6);
    assert_int_equal(m.transport, STUN_UDP);
    assert_int_equal(m.unknown, 0x0042);
}

static void test_username_forms(void **state)
{
    static const struct {
        const char *username;
        bool ok;
    } cases[] = {{"a:b", true}, {":b", true}, {"a:b:c", true}, {"a:", false},
                 {"a", false},  {"", false},  {":", false}};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct stun_text receiver, sender;
        struct stun_message m = {.username = {.bytes = (const uint8_t *)cases[i].username,
                                              .len = (uint16_t)strlen(cases[i].username)}};
        assert_int_equal(stun_username_split(&m, &receiver, &sender), cases[i].ok);
    }
}

/* ---- what is refused ---- */

static void test_wrong_headers(void **state)
{
    static const char *const cases[] = {
        "",
        "0001000021",
        "000100002112a4420102030405060708090a0b",         /* 19 bytes */
        "000100042112a4420102030405060708090a0b0c",       /* says more than there is */
        "000100002112a4420102030405060708090a0b0c000d00", /* more than it says */
        "000100002112a4430102030405060708090a0b0c",       /* cookie */
        "400100002112a4420102030405060708090a0b0c",       /* type */
        "800100002112a4420102030405060708090a0b0c",
        "000100022112a4420102030405060708090a0b0c0000", /* not a multiple of four */
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes b = from_hex(cases[i]);
        struct stun_message m;
        assert_int_equal(stun_parse(&m, b.at, b.len), ERR_INVALID);
    }
}

static void test_broken_attributes(void **state)
{
    static const char *const cases[] = {
        "000d0004",                         /* without its value */
        "80220001",                         /* without its padding */
        "8022ffff00000000",                 /* longer than the message */
        "000d000300000000",                 /* lengths that are not those of their types */
        "000d00050000000000000000",         /**/
        "0024000200000000",                 /**/
        "000c00024000000",                  /**/
        "0019000100000000",                 /**/
        "0017000200000000",                 /**/
        "80000008010000000000000",          /**/
        "0025000400000000",                 /**/
        "8029000400000000",                 /**/
        "802a000c000000000000000000000000", /**/
        "0009000300000000",                 /**/
        "80280008000000000000000",          /**/
        "0008000400000000",                 /**/
        "0020000400010000",                 /**/
        "0020000800020000c0000201",         /* families */
        "0020000800030000c0000201",         /**/
        "00170004000000ff",                 /**/
        "80000004030000ff",                 /**/
        "0009000400000200",                 /* error codes */
        "0009000400000700",                 /**/
        "0009000400000464",                 /**/
        "8028000400000000000d000400000000", /* something after FINGERPRINT */
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bytes b = from_hex("000100002112a4420102030405060708090a0b0c");
        size_t len = strlen(cases[i]) / 2;
        struct stun_message m;

        for (size_t n = 0; n < len; n++)
            b.at[b.len + n] = (uint8_t)(digit(cases[i][2 * n]) << 4 | digit(cases[i][2 * n + 1]));
        len = ALIGN_UP(len, 4);
        store_be16(b.at + 2, (uint16_t)len);
        assert_int_equal(stun_parse(&m, b.at, b.len + len), ERR_PARSE);
        assert_int_equal(m.method, STUN_BINDING);
        assert_true(stun_id_equal(&m.id, &SPEC_ID));
        assert_int_equal(m.has, 0);
    }
}

static void test_texts_have_limits(void **state)
{
    uint8_t buf[2048];
    struct stun_message m;
    struct stun_writer w;
    (void)state;

    for (unsigned extra = 0; extra < 2; extra++) {
        stun_begin(&w, buf, sizeof buf, STUN_BINDING, STUN_REQUEST, &SPEC_ID);
        stun_add_bytes(&w, STUN_USERNAME, text, STUN_USERNAME_MAX + extra);
        assert_int_equal(stun_finish(&w) == 0, extra);
        if (extra)
            continue;
        assert_int_equal(stun_parse(&m, buf, stun_finish(&w)), ERR_OK);
        assert_int_equal(m.username.len, STUN_USERNAME_MAX);
        store_be16(buf + 22, STUN_USERNAME_MAX + 1);
        store_be16(buf + 2, STUN_USERNAME_MAX + 8);
        memset(buf + 24 + STUN_USERNAME_MAX, 0, 4);
        assert_int_equal(stun_parse(&m, buf, 28 + STUN_USERNAME_MAX), ERR_PARSE);
    }
}

static void write_everything(struct stun_writer *w, void *buf, size_t size)
{
    struct sock_addr v4 = addr("192.0.2.1:1"), v6 = addr("[2001:db8::1]:2");

    stun_begin(w, buf, size, STUN_ALLOCATE, STUN_ERROR, &SPEC_ID);
    stun_add_text(w, STUN_SOFTWARE, "x");
    stun_add_u32(w, STUN_LIFETIME, 1);
    stun_add_u64(w, STUN_ICE_CONTROLLED, 2);
    stun_add_empty(w, STUN_USE_CANDIDATE);
    stun_add_address(w, STUN_XOR_PEER_ADDRESS, &v4);
    stun_add_address(w, STUN_XOR_RELAYED_ADDRESS, &v6);
    stun_add_family(w, STUN_REQUESTED_ADDRESS_FAMILY, ADDR_V6);
    stun_add_transport(w, STUN_UDP);
    stun_add_channel(w, 0x4fff);
    stun_add_error(w, 300, "y");
    stun_add_integrity(w, "key", 3);
    stun_add_fingerprint(w);
}

/* Whatever the size of the buffer, nothing beyond it is written, and only a whole message is one. */
static void test_no_buffer_is_too_small(void **state)
{
    uint8_t whole[512], buf[512];
    struct stun_writer w;
    size_t len;
    (void)state;

    write_everything(&w, whole, sizeof whole);
    len = stun_finish(&w);
    assert_in_range(len, 150, 400);
    for (size_t size = 0; size <= len; size++) {
        memset(buf, 0xa5, sizeof buf);
        write_everything(&w, buf, size);
        assert_int_equal(stun_finish(&w), size == len ? len : 0);
        for (size_t i = size; i < sizeof buf; i++)
            assert_int_equal(buf[i], 0xa5);
    }
    assert_memory_equal(buf, whole, len);
}

static void test_values_that_cannot_be_written(void **state)
{
    struct sock_addr none = {.port = 1};
    uint8_t buf[128];
    struct stun_writer w;
    (void)state;

    for (unsigned i = 0; i < 5; i++) {
        stun_begin(&w, buf, sizeof buf, STUN_BINDING, STUN_REQUEST, &SPEC_ID);
        if (i == 0)
            stun_add_address(&w, STUN_XOR_MAPPED_ADDRESS, &none);
        else if (i == 1)
            stun_add_family(&w, STUN_REQUESTED_ADDRESS_FAMILY, ADDR_NONE);
        else if (i == 2)
            stun_add_error(&w, 299, "");
        else if (i == 3)
            stun_add_error(&w, 700, "");
        else
            stun_add_bytes(&w, STUN_NONCE, text, STUN_TEXT_MAX + 1);
        assert_int_equal(stun_finish(&w), 0);
    }
}

/* ---- a second, slow reading of the format, and random messages ---- */

static uint64_t random_state;

static uint32_t random_u32(void)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 32);
}

/* The value of the n-th attribute of a type that stands before MESSAGE-INTEGRITY; NULL: there is none. */
static const uint8_t *find(const uint8_t *b, size_t len, unsigned type, size_t *value_len)
{
    for (size_t at = 20; at + 4 <= len;) {
        unsigned t = load_be16(b + at), n = load_be16(b + at + 2);
        *value_len = n;
        if (t == type)
            return b + at + 4;
        if (t == STUN_MESSAGE_INTEGRITY)
            return NULL;
        at += 4 + (n + 3) / 4 * 4;
    }
    return NULL;
}

static void assert_text_found(const uint8_t *b, size_t len, unsigned type, struct stun_text t)
{
    size_t n = 0;
    const uint8_t *v = find(b, len, type, &n);

    assert_ptr_equal(v, t.bytes);
    assert_int_equal(v ? n : 0, t.len);
}

static void add_random(struct stun_writer *w)
{
    static const enum stun_attr texts[] = {STUN_USERNAME, STUN_REALM, STUN_NONCE, STUN_SOFTWARE};
    static const enum stun_attr addrs[] = {STUN_XOR_MAPPED_ADDRESS, STUN_XOR_PEER_ADDRESS,
                                           STUN_XOR_RELAYED_ADDRESS};
    struct sock_addr a = {.port = (uint16_t)random_u32()};
    uint32_t ip[4] = {random_u32(), random_u32(), random_u32(), random_u32()};

    a.ip = random_u32() % 2 ? ip_addr_v4(ip) : ip_addr_v6(ip);
    switch (random_u32() % 6) {
    case 0:
    case 1:
        stun_add_bytes(w, texts[random_u32() % 4], ip, random_u32() % 17);
        break;
    case 2:
        stun_add_address(w, addrs[random_u32() % 3], &a);
        break;
    case 3:
        stun_add_u32(w, random_u32() % 2 ? STUN_LIFETIME : STUN_PRIORITY, ip[0]);
        break;
    case 4:
        stun_add_u64(w, random_u32() % 2 ? STUN_ICE_CONTROLLED : STUN_ICE_CONTROLLING, ip[1]);
        break;
    case 5:
        stun_add_bytes(
            w, (enum stun_attr)(0x7000 + 0x2000 * (random_u32() % 2) + random_u32() % 0x1000), ip,
            random_u32() % 17);
        break;
    }
}

static void test_random_messages(void **state)
{
    uint8_t buf[600];
    struct stun_message m;
    struct stun_writer w;
    size_t n, len;
    (void)state;

    random_state = 7;
    for (unsigned i = 0; i < 20000; i++) {
        bool integrity = random_u32() % 2, fingerprint = random_u32() % 2;
        const uint8_t *v;

        stun_begin(&w, buf, sizeof buf, (enum stun_method)(random_u32() % 10),
                   (enum stun_class)(random_u32() % 4), &SPEC_ID);
        for (unsigned k = random_u32() % 8; k > 0; k--)
            add_random(&w);
        if (integrity)
            stun_add_integrity(&w, "a key", 5);
        if (fingerprint)
            stun_add_fingerprint(&w);
        len = stun_finish(&w);
        assert_int_not_equal(len, 0);

        assert_int_equal(stun_parse(&m, buf, len), ERR_OK);
        assert_text_found(buf, len, STUN_USERNAME, m.username);
        assert_text_found(buf, len, STUN_REALM, m.realm);
        assert_text_found(buf, len, STUN_NONCE, m.nonce);
        assert_text_found(buf, len, STUN_SOFTWARE, m.software);
        v = find(buf, len, STUN_LIFETIME, &n);
        assert_int_equal(m.lifetime_s, v ? load_be32(v) : 0);
        v = find(buf, len, STUN_XOR_MAPPED_ADDRESS, &n);
        assert_int_equal(m.mapped.port, v ? load_be16(v + 2) ^ 0x2112 : 0);
        assert_int_equal(m.mapped.ip.family, v ? (v[1] == 1 ? ADDR_V4 : ADDR_V6) : ADDR_NONE);
        assert_int_equal(!!(m.has & STUN_HAS_INTEGRITY), integrity);
        assert_int_equal(!!(m.has & STUN_HAS_FINGERPRINT), fingerprint);
        assert_int_equal(stun_fingerprint_ok(&m), fingerprint);
        assert_int_equal(stun_integrity_ok(&m, "a key", 5), integrity);
        if (!integrity)
            continue;
        n = random_u32() % (size_t)(m.integrity_at + 24);
        buf[n] ^= (uint8_t)(1 << random_u32() % 8);
        if (stun_parse(&m, buf, len) == ERR_OK)
            assert_false(stun_integrity_ok(&m, "a key", 5));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc5769_request),
        cmocka_unit_test(test_rfc5769_responses),
        cmocka_unit_test(test_rfc5769_long_term),
        cmocka_unit_test(test_writes_binding),
        cmocka_unit_test(test_writes_allocate),
        cmocka_unit_test(test_writes_channel_bind),
        cmocka_unit_test(test_writes_ice_check),
        cmocka_unit_test(test_writes_ice_success),
        cmocka_unit_test(test_all_types_of_message),
        cmocka_unit_test(test_answer_of_a_relay),
        cmocka_unit_test(test_error_of_a_relay),
        cmocka_unit_test(test_what_follows_the_integrity_does_not_count),
        cmocka_unit_test(test_the_first_of_two_counts),
        cmocka_unit_test(test_username_forms),
        cmocka_unit_test(test_wrong_headers),
        cmocka_unit_test(test_broken_attributes),
        cmocka_unit_test(test_texts_have_limits),
        cmocka_unit_test(test_no_buffer_is_too_small),
        cmocka_unit_test(test_values_that_cannot_be_written),
        cmocka_unit_test(test_random_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
