/* SPDX-License-Identifier: Apache-2.0 */
/* The asked side of cookies, see cookie.h. */
#include "control/wg/cookie.h"

#include <string.h>

#include "engine/crypt.h"
#include "platform/base/bytes.h"

static void derive_key(uint8_t out[32], const char label[8], const uint8_t public_key[WG_KEY_LEN])
{
    blake2s_hash2(out, label, 8, public_key, WG_KEY_LEN);
}

void cookie_init(struct cookie *c, const uint8_t public_key[WG_KEY_LEN])
{
    uint8_t mac1_key[32];
    memset(c, 0, sizeof *c);
    derive_key(mac1_key, "mac1----", public_key);
    blake2s_init(&c->mac1, WG_MAC_LEN, mac1_key, sizeof mac1_key);
    blake2s_prime(&c->mac1);
    derive_key(c->reply_key, "cookie--", public_key);
}

void cookie_wipe(struct cookie *c)
{
    secure_wipe(c, sizeof *c);
}

void cookie_add_macs(struct cookie *c, time_ns now, uint8_t *msg, size_t len)
{
    DASSERT(len == WG_INITIATION_LEN || len == WG_RESPONSE_LEN);
    size_t mac1_at = wg_mac1_offset(len), mac2_at = wg_mac2_offset(len);

    struct blake2s s = c->mac1;
    blake2s_update(&s, msg, mac1_at);
    blake2s_final(&s, msg + mac1_at);
    memcpy(c->last_mac1, msg + mac1_at, WG_MAC_LEN);
    c->last_index = load_le32(msg + WG_INITIATION_SENDER); /* same offset in a response */
    c->awaits_reply = true;

    memset(msg + mac2_at, 0, WG_MAC_LEN);
    if (now < c->expires_at)
        blake2s_mac16(msg + mac2_at, c->cookie, sizeof c->cookie, msg, mac2_at);
}

bool cookie_consume_reply(struct cookie *c, time_ns now, const uint8_t msg[WG_COOKIE_REPLY_LEN])
{
    uint8_t cookie[WG_COOKIE_LEN];
    if (!c->awaits_reply || load_le32(msg + WG_COOKIE_REPLY_RECEIVER) != c->last_index)
        return false;
    bool ok = crypt_cookie_open(cookie, c->reply_key, msg + WG_COOKIE_REPLY_NONCE, c->last_mac1,
                                msg + WG_COOKIE_REPLY_COOKIE);
    if (ok) {
        memcpy(c->cookie, cookie, sizeof cookie);
        c->expires_at = now + WG_COOKIE_LIFETIME_NS;
        c->awaits_reply = false;
    }
    secure_wipe(cookie, sizeof cookie);
    return ok;
}
