/* SPDX-License-Identifier: Apache-2.0 */
/* AEAD batches: known answers, every batch size and many lengths against one-packet calls, forgeries, error queue. */
#include "engine/crypt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>

#include "platform/base/bytes.h"
#include "tests/support/wg_vectors.h"

static struct crypt crypt;
static struct crypt_key key;

static int set_up(void **state)
{
    (void)state;
    assert_int_equal(crypt_init(&crypt, CRYPT_AUTO), ERR_OK);
    crypt_key_init(&key, hs_initiator_send);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    crypt_key_fini(&key);
    return 0;
}

static void test_choice(void **state)
{
    struct crypt c;
    enum crypt_backend b;
    (void)state;
    assert_int_equal(crypt_backend_parse(&b, "auto"), ERR_OK);
    assert_int_equal(b, CRYPT_AUTO);
    assert_int_equal(crypt_backend_parse(&b, "boringssl"), ERR_OK);
    assert_int_equal(b, CRYPT_BORINGSSL);
    assert_int_equal(crypt_backend_parse(&b, "boring"), ERR_PARSE);
    assert_int_equal(crypt_backend_parse(&b, ""), ERR_PARSE);
    assert_int_equal(crypt_init(&c, CRYPT_BORINGSSL), ERR_OK);
    assert_string_equal(crypt_name(&c), "boringssl");
}

static void test_known_answer(void **state)
{
    uint8_t data[56];
    struct crypt_packet p = {.data = data, .len = 40, .counter = UINT64_C(0x0102030405060708)};
    (void)state;
    for (uint8_t i = 0; i < 40; i++)
        data[i] = i;
    crypt_seal(&crypt, &key, &p, 1);
    assert_memory_equal(data, hs_data_sealed, sizeof data);
    assert_int_equal(crypt_open(&crypt, &key, &p, 1), 1);
    assert_true(p.ok);
    for (uint8_t i = 0; i < 40; i++)
        assert_int_equal(data[i], i);
}

enum {
    SLOT = 1600,
    GUARD = 0xa5
};

/* Lengths 0..1500 in a pattern, over all batch sizes; every byte beyond the tag stays as it was. */
static void test_batches(void **state)
{
    static uint8_t sealed[CRYPT_BATCH_MAX][SLOT], alone[SLOT];
    struct crypt_packet p[CRYPT_BATCH_MAX];
    (void)state;
    for (unsigned n = 1; n <= CRYPT_BATCH_MAX; n++) {
        memset(sealed, GUARD, sizeof sealed);
        for (unsigned i = 0; i < n; i++) {
            uint32_t len = (n * 24 + i * 7) % 1501;
            memset(sealed[i], (int)i, len);
            p[i] =
                (struct crypt_packet){.data = sealed[i], .len = len, .counter = UINT32_MAX - 5 + i};
        }
        crypt_seal(&crypt, &key, p, n);
        for (unsigned i = 0; i < n; i++) {
            memset(alone, GUARD, sizeof alone);
            memset(alone, (int)i, p[i].len);
            struct crypt_packet one = {.data = alone, .len = p[i].len, .counter = p[i].counter};
            crypt_seal(&crypt, &key, &one, 1);
            assert_memory_equal(alone, sealed[i], SLOT);
        }
        assert_int_equal(crypt_open(&crypt, &key, p, n), n);
        for (unsigned i = 0; i < n; i++) {
            assert_true(p[i].ok);
            for (unsigned j = 0; j < p[i].len; j++)
                assert_int_equal(sealed[i][j], i);
        }
    }
}

/* One forgery per batch, in every place a packet has: its neighbours open, it yields nothing, nothing is left over. */
static void test_forgery(void **state)
{
    enum {
        LEN = 100,
        N = 5
    };
    uint8_t buf[N][LEN + CRYPT_TAG_LEN];
    struct crypt_packet p[N];
    (void)state;
    for (unsigned byte = 0; byte < LEN + CRYPT_TAG_LEN + 1; byte++) {
        unsigned victim = byte % N;
        for (unsigned i = 0; i < N; i++) {
            memset(buf[i], 0x77, LEN);
            p[i] = (struct crypt_packet){.data = buf[i], .len = LEN, .counter = i, .ok = true};
        }
        crypt_seal(&crypt, &key, p, N);
        if (byte < LEN + CRYPT_TAG_LEN)
            buf[victim][byte] ^= 0x10;
        else
            p[victim].counter++; /* the counter is authenticated, too */
        assert_int_equal(crypt_open(&crypt, &key, p, N), N - 1);
        for (unsigned i = 0; i < N; i++) {
            assert_int_equal(p[i].ok, i != victim);
            for (unsigned j = 0; j < LEN; j++)
                assert_int_equal(buf[i][j] == 0x77, i != victim);
        }
        assert_int_equal(ERR_peek_error(), 0);
    }
}

static void test_other_key(void **state)
{
    uint8_t buf[CRYPT_TAG_LEN];
    struct crypt_packet p = {.data = buf, .len = 0, .counter = 0};
    struct crypt_key other;
    (void)state;
    crypt_key_init(&other, hs_responder_send);
    crypt_seal(&crypt, &other, &p, 1);
    assert_int_equal(crypt_open(&crypt, &key, &p, 1), 0);
    assert_false(p.ok);
    crypt_key_fini(&other);
    assert_true(ct_is_zero(&other, sizeof other));
}

static void test_cookie(void **state)
{
    const uint8_t *sealed = hs_cookie_reply + 32, *nonce = hs_cookie_reply + 8;
    uint8_t out[32], reply_key[32], cookie[16];
    (void)state;
    memset(reply_key, 9, sizeof reply_key);
    crypt_cookie_seal(out, reply_key, nonce, hs_psk, hs_cookie);
    assert_true(crypt_cookie_open(cookie, reply_key, nonce, hs_psk, out));
    assert_memory_equal(cookie, hs_cookie, 16);
    assert_false(crypt_cookie_open(cookie, reply_key, nonce, hs_psk + 1, out)); /* other mac1 */
    assert_true(ct_is_zero(cookie, sizeof cookie));
    assert_false(crypt_cookie_open(cookie, reply_key, nonce + 1, hs_psk, out));
    assert_false(crypt_cookie_open(cookie, reply_key, nonce, hs_psk, sealed));
    assert_int_equal(ERR_peek_error(), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(choice),  TEST(known_answer), TEST(batches),
        TEST(forgery), TEST(other_key),    TEST(cookie),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
