/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vectors of RFC 8439 on the AVX-512 code. No vector of its AEAD is without associated data, so what goes through
 * whole batches are the texts of ChaCha20; blocks, tags and the AEAD go through the functions within.
 */
#include "tests/support/crypt_inner.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/support/hex.h"
#include "tests/support/rfc8439_vectors.h"

#ifdef HAVE_AVX512_CODE

enum {
    TEXT_MAX = 4096
};

static void skip_where_unusable(void)
{
    if (!crypt_avx512_usable()) {
        print_message(INNER_UNUSABLE);
        skip();
    }
}

/* Each vector in each lane, its neighbours being other blocks of other nonces. */
static void test_blocks(void **state)
{
    (void)state;
    skip_where_unusable();
    for (size_t v = 0; v < ARRAY_LEN(rfc_blocks); v++) {
        uint8_t key[CRYPT_KEY_LEN], want[BLOCK], out[CHACHA_LANES][BLOCK];
        uint32_t want_len = hex_decode(want, sizeof want, rfc_blocks[v].stream);
        hex_decode(key, sizeof key, rfc_blocks[v].key);
        for (unsigned lane = 0; lane < CHACHA_LANES; lane++) {
            struct inner_lane lanes[CHACHA_LANES];
            for (unsigned i = 0; i < CHACHA_LANES; i++) {
                memset(lanes[i].nonce, (int)(i + v), NONCE_LEN);
                lanes[i].block = i;
            }
            hex_decode(lanes[lane].nonce, NONCE_LEN, rfc_blocks[v].nonce);
            lanes[lane].block = rfc_blocks[v].block;
            inner_blocks(out, key, lanes);
            if (memcmp(out[lane], want, want_len) != 0)
                fail_msg("section %s in lane %u", rfc_blocks[v].section, lane);
        }
    }
}

/* One packet of a batch is text behind as many blocks as come before its first; the others have any bytes. */
static void check_text(size_t v, unsigned n, unsigned place)
{
    static uint8_t data[CRYPT_BATCH_MAX][TEXT_MAX], want[TEXT_MAX];
    struct crypt_packet p[CRYPT_BATCH_MAX];
    struct crypt_key key;
    uint8_t nonce[NONCE_LEN];
    uint32_t len = (uint32_t)strlen(rfc_texts[v].text);
    uint32_t before = (rfc_texts[v].first - 1) * BLOCK;

    hex_decode(key.raw, sizeof key.raw, rfc_texts[v].key);
    hex_decode(nonce, sizeof nonce, rfc_texts[v].nonce);
    assert_int_equal(load_le32(nonce), 0);
    assert_int_equal(hex_decode(want, sizeof want, rfc_texts[v].sealed), len);
    for (unsigned i = 0; i < n; i++)
        p[i] = (struct crypt_packet){.data = data[i], .len = (i * 59 + n) % 1500, .counter = i};
    p[place].len = before + len;
    p[place].counter = load_le64(nonce + 4);
    memcpy(data[place] + before, rfc_texts[v].text, len);
    crypt_avx512_ops.seal(&key, p, n);
    assert_memory_equal(data[place] + before, want, len);
    assert_int_equal(crypt_avx512_ops.open(&key, p, n), n);
    assert_memory_equal(data[place] + before, rfc_texts[v].text, len);
}

static void test_texts_in_batches(void **state)
{
    (void)state;
    skip_where_unusable();
    for (size_t v = 0; v < ARRAY_LEN(rfc_texts); v++) {
        for (unsigned n = 3; n <= CRYPT_BATCH_MAX; n++) {
            if (sets_cover(n) == n) /* or else some would go to BoringSSL, which has no key here */
                check_text(v, n, (n * 5 + (unsigned)v) % n);
        }
    }
}

/* Each vector in each lane of eight; neighbours have other lengths. */
static void check_tag(const char *section, const char *key_text, const uint8_t *bytes, uint32_t n,
                      const char *tag_text)
{
    static const uint8_t other[500] = {1, 2, 3};
    for (unsigned lane = 0; lane < POLY_LANES; lane++) {
        uint8_t key[POLY_LANES][CRYPT_KEY_LEN], tag[POLY_LANES][CRYPT_TAG_LEN], want[CRYPT_TAG_LEN];
        const uint8_t *data[POLY_LANES];
        uint32_t len[POLY_LANES];
        for (unsigned i = 0; i < POLY_LANES; i++) {
            memset(key[i], (int)(3 * i), CRYPT_KEY_LEN);
            data[i] = other;
            len[i] = 61 * i;
        }
        hex_decode(key[lane], CRYPT_KEY_LEN, key_text);
        data[lane] = bytes;
        len[lane] = n;
        inner_poly(tag, key, data, len);
        hex_decode(want, sizeof want, tag_text);
        if (memcmp(tag[lane], want, sizeof want) != 0)
            fail_msg("section %s in lane %u", section, lane);
    }
}

static void test_tags(void **state)
{
    (void)state;
    skip_where_unusable();
    for (size_t v = 0; v < ARRAY_LEN(rfc_poly_texts); v++)
        check_tag(rfc_poly_texts[v].section, rfc_poly_texts[v].key,
                  (const uint8_t *)rfc_poly_texts[v].text, (uint32_t)strlen(rfc_poly_texts[v].text),
                  rfc_poly_texts[v].tag);
    for (size_t v = 0; v < ARRAY_LEN(rfc_poly_bytes); v++) {
        uint8_t bytes[64];
        uint32_t n = hex_decode(bytes, sizeof bytes, rfc_poly_bytes[v].data);
        check_tag(rfc_poly_bytes[v].section, rfc_poly_bytes[v].key, bytes, n,
                  rfc_poly_bytes[v].tag);
    }
}

static void test_aead(void **state)
{
    (void)state;
    skip_where_unusable();
    for (size_t v = 0; v < ARRAY_LEN(rfc_aead); v++) {
        struct inner_message m[POLY_LANES];
        uint8_t aad[16], sealed[TEXT_MAX], tag[POLY_LANES][CRYPT_TAG_LEN], want[CRYPT_TAG_LEN];
        uint32_t len = (uint32_t)strlen(rfc_aead[v].text);
        m[0] = (struct inner_message){.aad = aad, .sealed = sealed, .len = len};
        m[0].aad_len = hex_decode(aad, sizeof aad, rfc_aead[v].aad);
        hex_decode(m[0].key, sizeof m[0].key, rfc_aead[v].key);
        hex_decode(m[0].nonce, sizeof m[0].nonce, rfc_aead[v].nonce);
        hex_decode(want, sizeof want, rfc_aead[v].tag);
        inner_crypt(sealed, (const uint8_t *)rfc_aead[v].text, len, m[0].key, m[0].nonce, 1);
        for (unsigned i = 1; i < POLY_LANES; i++)
            m[i] = m[0];
        inner_tags(tag, m);
        for (unsigned i = 0; i < POLY_LANES; i++)
            assert_memory_equal(tag[i], want, sizeof want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_texts_in_batches),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_aead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    puts(INNER_UNUSABLE);
    return 77;
}

#endif
