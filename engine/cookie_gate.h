/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cookie gate: the part of answering a handshake message that needs no state, so that workers can do it before
 * anything reaches the control thread. It checks mac1 (the sender knows our public key) and, under load, mac2 (the
 * sender receives at the address it claims), and makes the cookie replies that let honest senders pass.
 *
 * A plain value: control fills it, rotates the secret every WG_COOKIE_LIFETIME_NS and publishes copies; workers
 * only read. Holds secrets: wipe every copy. Source: WireGuard paper, sections 5.3 and 5.4.7.
 */
#ifndef FZ_ENGINE_COOKIE_GATE_H
#define FZ_ENGINE_COOKIE_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/wire/wg.h"
#include "platform/base/addr.h"
#include "platform/base/blake2s.h"

struct cookie_gate {
    struct blake2s mac1;       /* keyed with HASH("mac1----" || our public key) */
    uint8_t reply_key[32];     /* HASH("cookie--" || our public key) */
    struct blake2s secrets[2]; /* keyed with the current and the previous cookie secret */
    bool has_previous;
};

enum cookie_verdict {
    COOKIE_MAC1_INVALID, /* drop */
    COOKIE_MAC1_VALID,   /* not under load: let it pass */
    COOKIE_REPLY_NEEDED, /* under load and without a valid mac2: answer with cookie_gate_reply */
    COOKIE_MAC2_VALID    /* under load, but the address is proven: let it pass */
};

/* public_key: ours. secret: 32 random bytes. */
void cookie_gate_init(struct cookie_gate *g, const uint8_t public_key[WG_KEY_LEN],
                      const uint8_t secret[32]);

/* New secret; cookies of the one before stay valid until the next call. */
void cookie_gate_rotate(struct cookie_gate *g, const uint8_t secret[32]);

void cookie_gate_wipe(struct cookie_gate *g);

/*
 * Judges a datagram that wg_message_kind found to be an initiation or a response. Well below a microsecond unless
 * under load and mac2 is present. Constant time in all secrets. Any thread.
 */
enum cookie_verdict cookie_gate_check(const struct cookie_gate *g, const uint8_t *msg, size_t len,
                                      const struct sock_addr *from, bool under_load);

/* Writes the cookie reply to `msg` from `from`. nonce: 24 random bytes, never used before. Any thread. */
void cookie_gate_reply(const struct cookie_gate *g, const uint8_t *msg, size_t len,
                       const struct sock_addr *from, const uint8_t nonce[WG_NONCE_LEN],
                       uint8_t out[WG_COOKIE_REPLY_LEN]);

#endif
