/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE2s against RFC 7693's own self test and known answers of other implementations, and in pieces against itself. */
#include "platform/base/blake2s.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "platform/base/bytes.h"
#include "tests/support/wg_vectors.h"

static void fill_sequence(uint8_t *out, size_t n, uint8_t start)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(start + i);
}

static void digest(uint8_t *out, size_t out_len, const void *key, size_t key_len, const void *data,
                   size_t len)
{
    struct blake2s s;
    blake2s_init(&s, out_len, key, key_len);
    blake2s_update(&s, data, len);
    blake2s_final(&s, out);
}

/* RFC 7693, appendix B. */
static void test_rfc_abc(void **state)
{
    static const uint8_t expected[32] = {
        0x50, 0x8c, 0x5e, 0x8c, 0x32, 0x7c, 0x14, 0xe2, 0xe1, 0xa7, 0x2b,
        0xa3, 0x4e, 0xeb, 0x45, 0x2f, 0x37, 0x45, 0x8b, 0x20, 0x9e, 0xd6,
        0x3a, 0x29, 0x4d, 0x99, 0x9b, 0x4c, 0x86, 0x67, 0x59, 0x82,
    };
    uint8_t out[32];
    (void)state;
    blake2s_hash2(out, "a", 1, "bc", 2);
    assert_memory_equal(out, expected, 32);
}

/* The deterministic filler of RFC 7693, appendix E. */
static void fill_fibonacci(uint8_t *out, size_t len, uint32_t seed)
{
    uint32_t a = 0xdead4bad * seed, b = 1;
    for (size_t i = 0; i < len; i++) {
        uint32_t t = a + b;
        a = b;
        b = t;
        out[i] = (uint8_t)(t >> 24);
    }
}

/* RFC 7693, appendix E: a digest over the digests of four output and six input lengths, keyed and not. */
static void test_rfc_self_test(void **state)
{
    static const uint8_t expected[32] = {
        0x6a, 0x41, 0x1f, 0x08, 0xce, 0x25, 0xad, 0xcd, 0xfb, 0x02, 0xab,
        0xa6, 0x41, 0x45, 0x1c, 0xec, 0x53, 0xc5, 0x98, 0xb2, 0x4f, 0x4f,
        0xc7, 0x87, 0xfb, 0xdc, 0x88, 0x79, 0x7f, 0x4c, 0x1d, 0xfe,
    };
    static const size_t out_lens[] = {16, 20, 28, 32}, in_lens[] = {0, 3, 64, 65, 255, 1024};
    uint8_t in[1024], key[32], out[32];
    struct blake2s all;
    (void)state;

    blake2s_init(&all, 32, NULL, 0);
    for (size_t i = 0; i < ARRAY_LEN(out_lens); i++) {
        for (size_t j = 0; j < ARRAY_LEN(in_lens); j++) {
            fill_fibonacci(in, in_lens[j], (uint32_t)in_lens[j]);
            digest(out, out_lens[i], NULL, 0, in, in_lens[j]);
            blake2s_update(&all, out, out_lens[i]);

            fill_fibonacci(key, out_lens[i], (uint32_t)out_lens[i]);
            digest(out, out_lens[i], key, out_lens[i], in, in_lens[j]);
            blake2s_update(&all, out, out_lens[i]);
        }
    }
    blake2s_final(&all, out);
    assert_memory_equal(out, expected, 32);
}

static void test_known_answers(void **state)
{
    uint8_t in[256], key[32], out[32];
    struct blake2s all;
    (void)state;
    fill_sequence(in, sizeof in, 0);
    fill_sequence(key, sizeof key, 0);

    for (size_t i = 0; i < ARRAY_LEN(blake2s_kat); i++) {
        digest(out, 32, NULL, 0, in, blake2s_kat[i].len);
        assert_memory_equal(out, blake2s_kat[i].plain, 32);
        digest(out, 32, key, 32, in, blake2s_kat[i].len);
        assert_memory_equal(out, blake2s_kat[i].keyed, 32);
    }

    blake2s_init(&all, 32, NULL, 0);
    for (size_t len = 0; len < 256; len++) {
        digest(out, 32, key, 32, in, len);
        blake2s_update(&all, out, 32);
    }
    blake2s_final(&all, out);
    assert_memory_equal(out, blake2s_kat_all, 32);
}

/* Every way to cut 200 bytes into three pieces gives the same digest, keyed, unkeyed and primed. */
static void test_pieces(void **state)
{
    enum {
        LEN = 200
    };
    uint8_t in[LEN], key[32], expected[2][32], out[32];
    (void)state;
    fill_sequence(in, LEN, 7);
    fill_sequence(key, sizeof key, 90);
    digest(expected[0], 32, NULL, 0, in, LEN);
    digest(expected[1], 32, key, 32, in, LEN);

    for (size_t a = 0; a <= LEN; a++) {
        for (size_t b = a; b <= LEN; b += 13) {
            for (int mode = 0; mode < 3; mode++) {
                struct blake2s s;
                blake2s_init(&s, 32, key, mode > 0 ? 32 : 0);
                if (mode == 2)
                    blake2s_prime(&s);
                blake2s_update(&s, in, a);
                blake2s_update(&s, in + a, b - a);
                blake2s_update(&s, in + b, LEN - b);
                blake2s_final(&s, out);
                assert_memory_equal(out, expected[mode > 0], 32);
            }
        }
    }
}

static void test_final_wipes(void **state)
{
    struct blake2s s;
    uint8_t out[32];
    (void)state;
    blake2s_init(&s, 32, "secret", 6);
    blake2s_final(&s, out);
    assert_true(ct_is_zero(&s, sizeof s));
}

static void test_mac16(void **state)
{
    uint8_t a[16], b[16], data[100];
    (void)state;
    fill_sequence(data, sizeof data, 1);
    digest(a, 16, data, 16, data, sizeof data);
    blake2s_mac16(b, data, 16, data, sizeof data);
    assert_memory_equal(a, b, 16);
}

static void test_hmac(void **state)
{
    uint8_t key[65], data[50], out[32];
    (void)state;
    fill_sequence(key, sizeof key, 0);
    fill_sequence(data, sizeof data, 0x80);
    blake2s_hmac(out, key, 32, data, sizeof data);
    assert_memory_equal(out, hmac_short_key, 32);
    blake2s_hmac(out, key, 65, data, sizeof data);
    assert_memory_equal(out, hmac_long_key, 32);
    blake2s_hmac(key, key, 32, data, sizeof data); /* in place */
    assert_memory_equal(key, hmac_short_key, 32);
}

static void test_kdf(void **state)
{
    uint8_t key[32], input[32], out[3][32];
    (void)state;
    fill_sequence(key, sizeof key, 0);
    fill_sequence(input, sizeof input, 0x80);

    blake2s_kdf(out[0], out[1], out[2], key, input, sizeof input);
    assert_memory_equal(out, kdf3, 96);
    memset(out, 0, sizeof out);
    blake2s_kdf(out[0], out[1], NULL, key, input, sizeof input);
    assert_memory_equal(out, kdf3, 64);
    assert_true(ct_is_zero(out[2], 32));
    blake2s_kdf(out[0], out[1], NULL, key, NULL, 0);
    assert_memory_equal(out, kdf2_empty, 64);
    blake2s_kdf(key, input, NULL, key, input, sizeof input); /* in place */
    assert_memory_equal(key, kdf3, 32);
    assert_memory_equal(input, kdf3 + 32, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc_abc),       cmocka_unit_test(test_rfc_self_test),
        cmocka_unit_test(test_known_answers), cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_final_wipes),   cmocka_unit_test(test_mac16),
        cmocka_unit_test(test_hmac),          cmocka_unit_test(test_kdf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
