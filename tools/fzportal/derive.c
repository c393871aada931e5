/* SPDX-License-Identifier: Apache-2.0 */
/* See derive.h. */
#include "tools/fzportal/derive.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/err.h"

enum {
    SALT_MAX = 256 /* two UUIDs, two keys and the words between them: 180 */
};

size_t derive_base64(char *out, const void *data, size_t len, bool url)
{
    size_t n = EVP_EncodeBlock((uint8_t *)out, data, len);
    while (n > 0 && out[n - 1] == '=')
        n--;
    out[n] = 0;
    for (size_t i = 0; url && i < n; i++) {
        if (out[i] == '+')
            out[i] = '-';
        else if (out[i] == '/')
            out[i] = '_';
    }
    return n;
}

/* ---- 10.1: PBKDF2 of one iteration ---- */

static void psk(char *out, const struct derive_end *a, const struct derive_end *b, const char *salt)
{
    uint8_t password[2 * DERIVE_BASE_LEN], key[KEY_LEN];

    memcpy(password, a->base, DERIVE_BASE_LEN);
    memcpy(password + DERIVE_BASE_LEN, b->base, DERIVE_BASE_LEN);
    ASSERT(PKCS5_PBKDF2_HMAC((const char *)password, sizeof password, (const uint8_t *)salt,
                             strlen(salt), 1, EVP_sha256(), sizeof key, key) == 1);
    key_base64_encode(out, key);
    secure_wipe(password, sizeof password);
    secure_wipe(key, sizeof key);
}

void derive_psk_gateway(char *out, const struct derive_end *client,
                        const struct derive_end *gateway)
{
    char salt[SALT_MAX];
    snprintf(salt, sizeof salt, "WG_PSK|C_ID:%s|G_ID:%s|C_PK:%s|G_PK:%s", client->id, gateway->id,
             client->key, gateway->key);
    psk(out, client, gateway, salt);
}

void derive_psk_client(char *out, const struct derive_end *initiator,
                       const struct derive_end *target)
{
    char salt[SALT_MAX];
    snprintf(salt, sizeof salt, "WG_PSK_CC|CA_ID:%s|CB_ID:%s|CA_PK:%s|CB_PK:%s", initiator->id,
             target->id, initiator->key, target->key);
    psk(out, initiator, target, salt);
}

/* ---- 10.2 ---- */

/* 32 bytes in base32, lower case, without padding: 52 characters. */
static void base32(char out[53], const uint8_t hash[SHA256_DIGEST_LENGTH])
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz234567";
    for (unsigned i = 0; i < 52; i++) {
        unsigned value = 0;
        for (unsigned bit = i * 5; bit < i * 5 + 5; bit++)
            value = value << 1 | (bit < 256 ? hash[bit / 8] >> (7 - bit % 8) & 1U : 0);
        out[i] = digits[value];
    }
    out[52] = 0;
}

static void take(char *out, const char *from, size_t len)
{
    memcpy(out, from, len);
    out[len] = 0;
}

void derive_ice(struct derive_ice *initiator, struct derive_ice *receiver,
                const struct derive_end *i, const struct derive_end *r)
{
    char text[SALT_MAX], s[53];
    uint8_t hash[SHA256_DIGEST_LENGTH];

    snprintf(text, sizeof text, "%s:%s:%s:%s", i->id, i->key, r->id, r->key);
    SHA256((const uint8_t *)text, strlen(text), hash);
    base32(s, hash);
    take(initiator->username, s, DERIVE_ICE_NAME_LEN);
    take(initiator->password, s + 4, DERIVE_ICE_PASSWORD_LEN);
    take(receiver->username, s + 26, DERIVE_ICE_NAME_LEN);
    take(receiver->password, s + 30, DERIVE_ICE_PASSWORD_LEN);
}

/* ---- 10.3 and 10.4 ---- */

void derive_relay_password(char *out, int64_t expiry, const char *stamp_secret, const char *salt)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    char text[24], password[DERIVE_BASE64_SIZE(sizeof hash)];
    SHA256_CTX sha;

    snprintf(text, sizeof text, "%" PRId64 ":", expiry);
    SHA256_Init(&sha);
    SHA256_Update(&sha, text, strlen(text));
    SHA256_Update(&sha, stamp_secret, strlen(stamp_secret));
    SHA256_Update(&sha, ":", 1);
    SHA256_Update(&sha, salt, strlen(salt));
    SHA256_Final(hash, &sha);
    size_t len = derive_base64(password, hash, sizeof hash, false);
    take(out, password, len);
}

void derive_relay(struct derive_relay *out, int64_t expiry, const char *stamp_secret,
                  const char *user_key)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    char salt[DERIVE_BASE64_SIZE(sizeof hash)];

    SHA256((const uint8_t *)user_key, strlen(user_key), hash);
    derive_base64(salt, hash, sizeof hash, false);
    snprintf(out->username, sizeof out->username, "%" PRId64 ":%s", expiry, salt);
    derive_relay_password(out->password, expiry, stamp_secret, salt);
}

/* The bits 48 to 51 and 64 to 65 give way to version and variant. */
static void mark_uuid(struct uuid *id)
{
    id->bytes[6] = (uint8_t)(0x40 | (id->bytes[6] & 0x0f));
    id->bytes[8] = (uint8_t)(0x80 | (id->bytes[8] & 0x3f));
}

struct uuid derive_relay_id(const char *stamp_secret)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    struct uuid id;

    SHA256((const uint8_t *)stamp_secret, strlen(stamp_secret), hash);
    memcpy(id.bytes, hash, sizeof id.bytes);
    mark_uuid(&id);
    return id;
}

/* ---- from the seed ---- */

void derive_seed(uint8_t out[32], const char *text)
{
    SHA256((const uint8_t *)text, strlen(text), out);
}

void derive_seeded(void *out, size_t len, const uint8_t seed[32], const char *what,
                   const char *name)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    HMAC_CTX *ctx = HMAC_CTX_new();

    ASSERT(len <= sizeof hash && ctx);
    ASSERT(HMAC_Init_ex(ctx, seed, 32, EVP_sha256(), NULL) == 1);
    HMAC_Update(ctx, (const uint8_t *)what, strlen(what) + 1);
    HMAC_Update(ctx, (const uint8_t *)name, strlen(name));
    HMAC_Final(ctx, hash, NULL);
    HMAC_CTX_free(ctx);
    memcpy(out, hash, len);
    secure_wipe(hash, sizeof hash);
}

struct uuid derive_seeded_uuid(const uint8_t seed[32], const char *what, const char *name)
{
    struct uuid id;
    derive_seeded(id.bytes, sizeof id.bytes, seed, what, name);
    mark_uuid(&id);
    return id;
}
