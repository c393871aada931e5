/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cookies, the side that was asked for one: adds mac1 and mac2 to our handshake messages, and keeps the cookie that a
 * peer under load sent us. The other side is engine/cookie_gate.h. Pure; control role.
 * Source: WireGuard paper, sections 5.4.4 and 5.4.7.
 */
#ifndef FZ_CONTROL_WG_COOKIE_H
#define FZ_CONTROL_WG_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/wire/wg.h"
#include "platform/base/blake2s.h"
#include "platform/base/err.h"
#include "platform/base/time.h"

struct cookie {
    struct blake2s mac1;           /* keyed with HASH("mac1----" || the peer's public key) */
    uint8_t reply_key[32];         /* HASH("cookie--" || the peer's public key) */
    uint8_t last_mac1[WG_MAC_LEN]; /* of our last handshake message, if awaits_reply */
    uint32_t last_index;           /* its sender index */
    bool awaits_reply;             /* one reply is accepted per message */
    uint8_t cookie[WG_COOKIE_LEN]; /* valid until expires_at */
    time_ns expires_at;            /* 0: we have none */
};

/* public_key: the peer's. */
void cookie_init(struct cookie *c, const uint8_t public_key[WG_KEY_LEN]);
void cookie_wipe(struct cookie *c);

/* Completes an initiation or a response of ours: mac1, and mac2 while we have a cookie. */
void cookie_add_macs(struct cookie *c, time_ns now, uint8_t *msg, size_t len);

/*
 * Keeps the cookie of a reply to our last handshake message for WG_COOKIE_LIFETIME_NS. False: not a reply to it, or
 * not authentic. msg: of WG_COOKIE_REPLY_LEN bytes.
 */
bool cookie_consume_reply(struct cookie *c, time_ns now,
                          const uint8_t msg[WG_COOKIE_REPLY_LEN]) MUST_USE;

#endif
