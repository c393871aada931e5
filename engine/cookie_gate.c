/* SPDX-License-Identifier: Apache-2.0 */
/* The stateless checks of handshake messages, see cookie_gate.h. */
#include "engine/cookie_gate.h"

#include <string.h>

#include "engine/crypt.h"
#include "platform/base/bytes.h"
#include "platform/base/err.h"

/* HASH(label || public key). */
static void derive_key(uint8_t out[32], const char label[8], const uint8_t public_key[WG_KEY_LEN])
{
    blake2s_hash2(out, label, 8, public_key, WG_KEY_LEN);
}

static void primed_mac_init(struct blake2s *s, const uint8_t key[32])
{
    blake2s_init(s, WG_MAC_LEN, key, 32);
    blake2s_prime(s);
}

void cookie_gate_init(struct cookie_gate *g, const uint8_t public_key[WG_KEY_LEN],
                      const uint8_t secret[32])
{
    uint8_t mac1_key[32];
    memset(g, 0, sizeof *g);
    derive_key(mac1_key, "mac1----", public_key);
    primed_mac_init(&g->mac1, mac1_key);
    derive_key(g->reply_key, "cookie--", public_key);
    primed_mac_init(&g->secrets[0], secret);
}

void cookie_gate_rotate(struct cookie_gate *g, const uint8_t secret[32])
{
    g->secrets[1] = g->secrets[0];
    g->has_previous = true;
    primed_mac_init(&g->secrets[0], secret);
}

void cookie_gate_wipe(struct cookie_gate *g)
{
    secure_wipe(g, sizeof *g);
}

/* tau = MAC(secret, source): binds the address and the port; the family shows in the length. */
static void make_cookie(uint8_t cookie[WG_COOKIE_LEN], const struct blake2s *secret,
                        const struct sock_addr *from)
{
    struct blake2s s = *secret;
    uint8_t source[16 + 2];
    size_t ip_len = ip_addr_len(&from->ip);
    memcpy(source, from->ip.bytes, ip_len);
    store_be16(source + ip_len, from->port);
    blake2s_update(&s, source, ip_len + 2);
    blake2s_final(&s, cookie);
}

static bool mac1_valid(const struct cookie_gate *g, const uint8_t *msg, size_t len)
{
    struct blake2s s = g->mac1;
    uint8_t mac[WG_MAC_LEN];
    size_t offset = wg_mac1_offset(len);
    blake2s_update(&s, msg, offset);
    blake2s_final(&s, mac);
    return ct_equal(mac, msg + offset, sizeof mac);
}

static bool mac2_valid(const struct blake2s *secret, const uint8_t *msg, size_t len,
                       const struct sock_addr *from)
{
    uint8_t cookie[WG_COOKIE_LEN], mac[WG_MAC_LEN];
    size_t offset = wg_mac2_offset(len);
    make_cookie(cookie, secret, from);
    blake2s_mac16(mac, cookie, sizeof cookie, msg, offset);
    secure_wipe(cookie, sizeof cookie);
    return ct_equal(mac, msg + offset, sizeof mac);
}

enum cookie_verdict cookie_gate_check(const struct cookie_gate *g, const uint8_t *msg, size_t len,
                                      const struct sock_addr *from, bool under_load)
{
    DASSERT(len == WG_INITIATION_LEN || len == WG_RESPONSE_LEN);
    if (!mac1_valid(g, msg, len))
        return COOKIE_MAC1_INVALID;
    if (!under_load)
        return COOKIE_MAC1_VALID;
    /* A sender without a cookie leaves mac2 zero: no secret is needed to see that. */
    if (ct_is_zero(msg + wg_mac2_offset(len), WG_MAC_LEN))
        return COOKIE_REPLY_NEEDED;
    if (mac2_valid(&g->secrets[0], msg, len, from) ||
        (g->has_previous && mac2_valid(&g->secrets[1], msg, len, from)))
        return COOKIE_MAC2_VALID;
    return COOKIE_REPLY_NEEDED;
}

void cookie_gate_reply(const struct cookie_gate *g, const uint8_t *msg, size_t len,
                       const struct sock_addr *from, const uint8_t nonce[WG_NONCE_LEN],
                       uint8_t out[WG_COOKIE_REPLY_LEN])
{
    DASSERT(len == WG_INITIATION_LEN || len == WG_RESPONSE_LEN);
    uint8_t cookie[WG_COOKIE_LEN];
    make_cookie(cookie, &g->secrets[0], from);

    store_le32(out, WG_KIND_COOKIE_REPLY);
    /* Both kinds carry their sender's index at the same place. */
    memcpy(out + WG_COOKIE_REPLY_RECEIVER, msg + WG_INITIATION_SENDER, 4);
    memcpy(out + WG_COOKIE_REPLY_NONCE, nonce, WG_NONCE_LEN);
    crypt_cookie_seal(out + WG_COOKIE_REPLY_COOKIE, g->reply_key, nonce, msg + wg_mac1_offset(len),
                      cookie);
    secure_wipe(cookie, sizeof cookie);
}
