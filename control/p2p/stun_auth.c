/* SPDX-License-Identifier: Apache-2.0 */
/* See stun_auth.h; the key of long-term credentials is stun.h's. */
#include "control/p2p/stun_auth.h"

#include <openssl/digest.h>
#include <openssl/hmac.h>
#include <openssl/md5.h>

#include "control/p2p/stun.h"
#include "platform/base/bytes.h"
#include "platform/base/err.h"

#define FINGERPRINT_XOR UINT32_C(0x5354554e)
#define CRC32_POLY      UINT32_C(0xedb88320) /* bits reversed */

void stun_auth_integrity(uint8_t out[STUN_INTEGRITY_LEN], const uint8_t *message, uint16_t at,
                         const void *key, size_t key_len)
{
    uint8_t header[STUN_HEADER_LEN];
    unsigned out_len = 0;
    HMAC_CTX ctx;
    bool ok;

    ASSERT(at >= STUN_HEADER_LEN);
    memcpy(header, message, sizeof header);
    store_be16(header + 2, (uint16_t)(at + 4 + STUN_INTEGRITY_LEN - STUN_HEADER_LEN));
    HMAC_CTX_init(&ctx);
    ok = HMAC_Init_ex(&ctx, key_len > 0 ? key : "", key_len, EVP_sha1(), NULL) &&
         HMAC_Update(&ctx, header, sizeof header) &&
         HMAC_Update(&ctx, message + STUN_HEADER_LEN, (size_t)at - STUN_HEADER_LEN) &&
         HMAC_Final(&ctx, out, &out_len);
    HMAC_CTX_cleanse(&ctx);
    ASSERT(ok && out_len == STUN_INTEGRITY_LEN);
}

uint32_t stun_auth_fingerprint(const uint8_t *message, uint16_t at)
{
    uint32_t crc = UINT32_MAX;

    for (unsigned i = 0; i < at; i++) {
        crc ^= message[i];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? CRC32_POLY : 0);
    }
    return ~crc ^ FINGERPRINT_XOR;
}

void stun_turn_key(uint8_t key[STUN_KEY_LEN], const char *username, const char *realm,
                   const char *password)
{
    MD5_CTX ctx;
    bool ok;

    ok = MD5_Init(&ctx) && MD5_Update(&ctx, username, strlen(username)) &&
         MD5_Update(&ctx, ":", 1) && MD5_Update(&ctx, realm, strlen(realm)) &&
         MD5_Update(&ctx, ":", 1) && MD5_Update(&ctx, password, strlen(password)) &&
         MD5_Final(key, &ctx);
    secure_wipe(&ctx, sizeof ctx);
    ASSERT(ok);
}
