/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cryptography of WireGuard's handshake, Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s, both roles.
 *
 * Only the mathematics and the replay and flood rules of one initiation: no timers, no retries, no MACs (cookie.h)
 * and no queues (handshake.h). Time, ephemeral keys and timestamps are arguments. A call that fails leaves all state
 * as it was. Names of the message fields follow the WireGuard paper, section 5.4; steps in the code are labelled with
 * Noise's tokens. Pure; control role.
 */
#ifndef FZ_CONTROL_WG_NOISE_H
#define FZ_CONTROL_WG_NOISE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/wire/wg.h"
#include "platform/base/err.h"
#include "platform/base/time.h"

enum {
    NOISE_HASH_LEN = 32
};

/* Why a handshake message was refused; NOISE_OK is success. */
enum noise_result {
    NOISE_OK,
    NOISE_UNAUTHENTIC, /* some tag or key in it is wrong */
    NOISE_REPLAYED,    /* authentic, but its timestamp is not newer than the last one accepted */
    NOISE_FLOODED      /* authentic, but too soon after the last one accepted */
};

/* Our static key pair. */
struct noise_identity {
    uint8_t private_key[WG_KEY_LEN]; /* clamped */
    uint8_t public_key[WG_KEY_LEN];
    uint8_t hash[NOISE_HASH_LEN]; /* the hash a handshake towards us starts from */
};

/* What we know about a peer's keys. */
struct noise_remote {
    uint8_t public_key[WG_KEY_LEN];
    uint8_t psk[WG_KEY_LEN];           /* zero: none */
    uint8_t static_static[WG_KEY_LEN]; /* DH(our static, its static) */
    bool usable;                       /* false: its public key is of low order, nothing works */
    uint8_t hash[NOISE_HASH_LEN];      /* the hash a handshake towards it starts from */
    uint8_t last_timestamp[WG_TIMESTAMP_LEN]; /* of the newest initiation accepted */
    time_ns last_initiation_at;               /* when that was, if has_initiation */
    bool has_initiation;
};

/* What a message of ours needs of the outside world. */
struct noise_fresh {
    uint8_t ephemeral[WG_KEY_LEN]; /* 32 random bytes, never used before */
    uint8_t
        timestamp[WG_TIMESTAMP_LEN]; /* now, see noise_timestamp; newer than in any earlier call */
    uint32_t local_index;            /* a free one */
};

/* The running values of a handshake. */
struct noise_transcript {
    uint8_t hash[NOISE_HASH_LEN];
    uint8_t chaining_key[NOISE_HASH_LEN];
};

/* An initiation of ours that awaits its response. */
struct noise_pending {
    struct noise_transcript transcript;
    uint8_t ephemeral[WG_KEY_LEN]; /* private */
    uint32_t local_index;
};

/* An initiation of a peer, decrypted as far as its static key; the timestamp is still sealed. */
struct noise_opened {
    uint8_t remote_static[WG_KEY_LEN];
    uint8_t remote_ephemeral[WG_KEY_LEN];
    uint8_t sealed_timestamp[WG_TIMESTAMP_LEN + WG_TAG_LEN];
    struct noise_transcript transcript;
    uint32_t remote_index;
};

/* The keys of a session. */
struct noise_keys {
    uint8_t send[WG_KEY_LEN];
    uint8_t receive[WG_KEY_LEN];
    uint32_t local_index;
    uint32_t remote_index;
};

/* private_key: 32 random bytes, or a configured key; it is clamped here. */
void noise_identity_init(struct noise_identity *id, const uint8_t private_key[WG_KEY_LEN]);
void noise_identity_wipe(struct noise_identity *id);

/* psk: NULL means none. Nothing is known of earlier initiations. */
void noise_remote_init(struct noise_remote *r, const struct noise_identity *id,
                       const uint8_t public_key[WG_KEY_LEN], const uint8_t *psk);
/* For a new key pair of ours; the replay state stays. */
void noise_remote_set_identity(struct noise_remote *r, const struct noise_identity *id);
/* psk: NULL removes it. */
void noise_remote_set_psk(struct noise_remote *r, const uint8_t *psk);
void noise_remote_wipe(struct noise_remote *r);

/* TAI64N of a wall-clock time in nanoseconds since 1970. */
void noise_timestamp(uint8_t out[WG_TIMESTAMP_LEN], uint64_t unix_ns);

/*
 * Initiator: writes an initiation but for its two MACs, and what is needed to consume the response. False if the
 * peer's key is unusable.
 */
bool noise_initiation_create(struct noise_pending *pending, uint8_t msg[WG_INITIATION_LEN],
                             const struct noise_identity *id, const struct noise_remote *r,
                             const struct noise_fresh *fresh) MUST_USE;

/* Responder, first step: whose initiation is it? False: not authentic. msg was classified and passed the gate. */
bool noise_initiation_open(struct noise_opened *o, const struct noise_identity *id,
                           const uint8_t msg[WG_INITIATION_LEN]) MUST_USE;

/*
 * Responder, second step: proves that the owner of the static key `r` made the initiation, and that it is fresh.
 * `o` advances and the replay state of `r` is updated on NOISE_OK only.
 */
enum noise_result noise_initiation_accept(struct noise_opened *o, struct noise_remote *r,
                                          time_ns now) MUST_USE;

/*
 * Responder, third step: writes the response but for its two MACs, and derives the session. False, with nothing
 * written, cannot happen to an initiation that was accepted: its keys were used before.
 */
bool noise_response_create(struct noise_keys *keys, uint8_t msg[WG_RESPONSE_LEN],
                           const struct noise_opened *o, const struct noise_remote *r,
                           const struct noise_fresh *fresh) MUST_USE;

/* Initiator: consumes a response to `pending` and derives the session. False: not authentic. */
bool noise_response_consume(struct noise_keys *keys, const struct noise_pending *pending,
                            const struct noise_identity *id, const struct noise_remote *r,
                            const uint8_t msg[WG_RESPONSE_LEN]) MUST_USE;

void noise_pending_wipe(struct noise_pending *p);
void noise_opened_wipe(struct noise_opened *o);
void noise_keys_wipe(struct noise_keys *k);

#endif
