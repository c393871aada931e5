/* SPDX-License-Identifier: Apache-2.0 */
/* The device's lists grow without losing anything, and the text forms of keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/device.h"
#include "control/key_text.h"

static void test_update_grows(void **state)
{
    enum {
        PEERS = 100,
        ALLOWED = 9
    };
    struct device_update u;

    (void)state;
    device_update_init(&u);
    for (unsigned i = 0; i < PEERS; i++) {
        struct device_peer_update *p = device_update_peer(&u);
        static const struct device_peer_update zero;
        assert_memory_equal(p, &zero, sizeof zero);
        p->public_key[0] = (uint8_t)i;
        for (unsigned k = 0; k < i % ALLOWED; k++) {
            struct ip_prefix prefix = {.ip = {ADDR_V4, {10, (uint8_t)i, (uint8_t)k}}, .len = 24};
            device_peer_allow(p, &prefix, k == 1);
        }
    }
    assert_int_equal(u.peers_n, PEERS);
    for (unsigned i = 0; i < PEERS; i++) {
        assert_int_equal(u.peers[i].public_key[0], i);
        assert_int_equal(u.peers[i].allowed_n, i % ALLOWED);
        for (unsigned k = 0; k < i % ALLOWED; k++) {
            assert_int_equal(u.peers[i].allowed[k].prefix.ip.bytes[2], k);
            assert_int_equal(u.peers[i].allowed[k].remove, k == 1);
        }
    }
    device_update_fini(&u);
    assert_null(u.peers);
    device_update_fini(&u);
}

static void test_status_fini(void **state)
{
    struct device_status s = {.peers_n = 2};

    (void)state;
    s.peers = calloc(2, sizeof *s.peers);
    s.peers[1].allowed = calloc(1, sizeof *s.peers[1].allowed);
    s.peers[1].allowed_n = 1;
    memset(s.private_key, 7, sizeof s.private_key);
    device_status_fini(&s);
    assert_null(s.peers);
    assert_int_equal(s.private_key[5], 0);
    device_status_fini(&s);
}

/* The X25519 keys of RFC 7748, section 6.1; base64 by coreutils. */
static const struct {
    const char *hex, *base64;
} keys[] = {
    {"77076d0a7318a57d3c16c17251b26645df4c2f92ebc099c4b9f5c0b3d9c8b11a",
     "dwdtCnMYpX08FsFyUbJmRd9ML5LrwJnEufXAs9nIsRo="},
    {"8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
     "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="},
    {"0000000000000000000000000000000000000000000000000000000000000000",
     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
    {"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
     "//////////////////////////////////////////8="},
    {"fbefbefbefbefbefbefbefbefbefbefbefbefbefbefbefbefbefbefbefbefbef",
     "++++++++++++++++++++++++++++++++++++++++++8="},
};

static void test_key_text(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        uint8_t a[KEY_LEN], b[KEY_LEN];
        char text[KEY_HEX_LEN + 1];
        assert_int_equal(key_hex_decode(a, keys[i].hex, KEY_HEX_LEN), ERR_OK);
        assert_int_equal(key_base64_decode(b, keys[i].base64, KEY_BASE64_LEN), ERR_OK);
        assert_memory_equal(a, b, KEY_LEN);
        key_hex_encode(text, a);
        assert_string_equal(text, keys[i].hex);
        key_base64_encode(text, a);
        assert_string_equal(text, keys[i].base64);
    }
}

static void test_key_text_refused(void **state)
{
    static const char good[] = "dwdtCnMYpX08FsFyUbJmRd9ML5LrwJnEufXAs9nIsRo=";
    static const uint8_t zero[KEY_LEN];
    uint8_t key[KEY_LEN];
    char text[80];

    (void)state;
    assert_int_equal(key_base64_decode(key, good, 43), ERR_PARSE);
    snprintf(text, sizeof text, "%s=", good);
    assert_int_equal(key_base64_decode(key, text, 45), ERR_PARSE);
    /* every character outside the alphabet, in every place */
    for (unsigned at = 0; at < KEY_BASE64_LEN; at++) {
        for (int c = -128; c < 128; c++) {
            bool alphabet = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                            (c >= '0' && c <= '9') || c == '+' || c == '/';
            bool ok = at == 43   ? c == '='
                      : at == 42 ? alphabet && strchr("AEIMQUYcgkosw048", c)
                                 : alphabet;
            memcpy(text, good, sizeof good);
            text[at] = (char)c;
            memset(key, 1, sizeof key);
            enum err err = key_base64_decode(key, text, KEY_BASE64_LEN);
            assert_int_equal(err, ok ? ERR_OK : ERR_PARSE);
            if (!ok)
                assert_memory_equal(key, zero, KEY_LEN);
        }
    }
    memset(text, 'a', KEY_HEX_LEN);
    assert_int_equal(key_hex_decode(key, text, KEY_HEX_LEN - 1), ERR_PARSE);
    for (unsigned at = 0; at < KEY_HEX_LEN; at++) {
        for (int c = -128; c < 128; c++) {
            bool ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
            memset(text, 'a', KEY_HEX_LEN);
            text[at] = (char)c;
            assert_int_equal(key_hex_decode(key, text, KEY_HEX_LEN), ok ? ERR_OK : ERR_PARSE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_update_grows),
        cmocka_unit_test(test_status_fini),
        cmocka_unit_test(test_key_text),
        cmocka_unit_test(test_key_text_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
