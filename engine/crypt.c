/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of ChaCha20-Poly1305, see crypt.h. */
#include "engine/crypt.h"

#include <string.h>

#include <openssl/err.h>

#include "engine/crypt_avx512.h"
#include "platform/base/bytes.h"

enum {
    NONCE_LEN = 12,
    XNONCE_LEN = 24,
    COOKIE_LEN = 16
};

static void nonce_from_counter(uint8_t nonce[NONCE_LEN], uint64_t counter)
{
    memset(nonce, 0, 4);
    store_le64(nonce + 4, counter);
}

/* ---- BoringSSL, packet by packet ---- */

static void boringssl_seal(const struct crypt_key *k, struct crypt_packet *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t nonce[NONCE_LEN];
        size_t sealed_len;
        nonce_from_counter(nonce, p[i].counter);
        int done = EVP_AEAD_CTX_seal(&k->aead, p[i].data, &sealed_len,
                                     (size_t)p[i].len + CRYPT_TAG_LEN, nonce, sizeof nonce,
                                     p[i].from ? p[i].from : p[i].data, p[i].len, NULL, 0);
        ASSERT(done); /* only wrong sizes fail */
    }
}

static unsigned boringssl_open(const struct crypt_key *k, struct crypt_packet *p, unsigned n)
{
    unsigned ok_count = 0;
    for (unsigned i = 0; i < n; i++) {
        uint8_t nonce[NONCE_LEN];
        size_t opened_len;
        nonce_from_counter(nonce, p[i].counter);
        /* On failure the whole output is zeroed. */
        p[i].ok = EVP_AEAD_CTX_open(&k->aead, p[i].data, &opened_len, p[i].len, nonce, sizeof nonce,
                                    p[i].from ? p[i].from : p[i].data,
                                    (size_t)p[i].len + CRYPT_TAG_LEN, NULL, 0);
        ok_count += p[i].ok;
    }
    if (UNLIKELY(ok_count < n))
        ERR_clear_error();
    return ok_count;
}

const struct crypt_backend_ops crypt_boringssl_ops = {
    .name = "boringssl",
    .seal = boringssl_seal,
    .open = boringssl_open,
};

/* ---- choice ---- */

enum err crypt_backend_parse(enum crypt_backend *out, const char *text)
{
    static const struct {
        const char *text;
        enum crypt_backend backend;
    } names[] = {{"auto", CRYPT_AUTO}, {"boringssl", CRYPT_BORINGSSL}, {"avx512", CRYPT_AVX512}};

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(text, names[i].text) == 0) {
            *out = names[i].backend;
            return ERR_OK;
        }
    }
    return ERR_PARSE;
}

enum err crypt_init(struct crypt *c, enum crypt_backend backend)
{
    const struct crypt_backend_ops *avx512 = crypt_avx512_usable() ? &crypt_avx512_ops : NULL;

    switch (backend) {
    case CRYPT_AUTO:
        c->ops = avx512 ? avx512 : &crypt_boringssl_ops;
        return ERR_OK;
    case CRYPT_BORINGSSL:
        c->ops = &crypt_boringssl_ops;
        return ERR_OK;
    case CRYPT_AVX512:
        c->ops = avx512;
        return avx512 ? ERR_OK : ERR_UNSUPPORTED;
    }
    return ERR_UNSUPPORTED;
}

/* ---- keys ---- */

void crypt_key_init(struct crypt_key *k, const uint8_t raw[CRYPT_KEY_LEN])
{
    memcpy(k->raw, raw, sizeof k->raw);
    int done = EVP_AEAD_CTX_init(&k->aead, EVP_aead_chacha20_poly1305(), raw, CRYPT_KEY_LEN,
                                 CRYPT_TAG_LEN, NULL);
    ASSERT(done); /* only wrong sizes fail */
}

void crypt_key_fini(struct crypt_key *k)
{
    EVP_AEAD_CTX_cleanup(&k->aead);
    secure_wipe(k, sizeof *k);
}

/* ---- cookies ---- */

static void cookie_aead_init(EVP_AEAD_CTX *aead, const uint8_t key[CRYPT_KEY_LEN])
{
    int done = EVP_AEAD_CTX_init(aead, EVP_aead_xchacha20_poly1305(), key, CRYPT_KEY_LEN,
                                 CRYPT_TAG_LEN, NULL);
    ASSERT(done);
}

static void cookie_aead_fini(EVP_AEAD_CTX *aead)
{
    EVP_AEAD_CTX_cleanup(aead);
    secure_wipe(aead, sizeof *aead);
}

void crypt_cookie_seal(uint8_t sealed[32], const uint8_t key[CRYPT_KEY_LEN],
                       const uint8_t nonce[24], const uint8_t mac1[16], const uint8_t cookie[16])
{
    EVP_AEAD_CTX aead;
    size_t sealed_len;
    cookie_aead_init(&aead, key);
    int done = EVP_AEAD_CTX_seal(&aead, sealed, &sealed_len, COOKIE_LEN + CRYPT_TAG_LEN, nonce,
                                 XNONCE_LEN, cookie, COOKIE_LEN, mac1, CRYPT_TAG_LEN);
    ASSERT(done);
    cookie_aead_fini(&aead);
}

bool crypt_cookie_open(uint8_t cookie[16], const uint8_t key[CRYPT_KEY_LEN],
                       const uint8_t nonce[24], const uint8_t mac1[16], const uint8_t sealed[32])
{
    EVP_AEAD_CTX aead;
    size_t cookie_len;
    cookie_aead_init(&aead, key);
    bool ok =
        EVP_AEAD_CTX_open(&aead, cookie, &cookie_len, COOKIE_LEN, nonce, XNONCE_LEN, sealed,
                          COOKIE_LEN + CRYPT_TAG_LEN, mac1, CRYPT_TAG_LEN); /* zeroed on failure */
    cookie_aead_fini(&aead);
    if (!ok)
        ERR_clear_error();
    return ok;
}
