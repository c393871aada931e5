/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Noise_IKpsk2 as WireGuard uses it, see noise.h. The pattern, initiator on the left:
 *
 *      <- s
 *      ...
 *      -> e, es, s, ss, {timestamp}
 *      <- e, ee, se, psk, {nothing}
 */
#include "control/wg/noise.h"

#include <string.h>

#include <openssl/aead.h>
#include <openssl/curve25519.h>
#include <openssl/err.h>

#include "platform/base/blake2s.h"
#include "platform/base/bytes.h"

static const char construction[] = "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
static const char identifier[] = "WireGuard v1 zx2c4 Jason@zx2c4.com";

static void transcript_wipe(struct noise_transcript *t)
{
    secure_wipe(t, sizeof *t);
}

static void mix_hash(uint8_t hash[NOISE_HASH_LEN], const void *data, size_t len)
{
    blake2s_hash2(hash, hash, NOISE_HASH_LEN, data, len);
}

static void initial_chaining_key(uint8_t out[NOISE_HASH_LEN])
{
    blake2s_hash2(out, construction, sizeof construction - 1, NULL, 0);
}

/* The hash of a handshake whose responder has this static key: the pattern's pre-message "<- s". */
static void initial_hash(uint8_t out[NOISE_HASH_LEN], const uint8_t responder_static[WG_KEY_LEN])
{
    initial_chaining_key(out);
    mix_hash(out, identifier, sizeof identifier - 1);
    mix_hash(out, responder_static, WG_KEY_LEN);
}

/* Mixes input into the chaining key; key: receives a key for the next seal or open, or NULL. */
static void mix_key(struct noise_transcript *t, uint8_t *key, const uint8_t input[WG_KEY_LEN])
{
    blake2s_kdf(t->chaining_key, key, NULL, t->chaining_key, input, WG_KEY_LEN);
}

/* The same with the shared secret of two keys. False: it is zero, because the public key is of low order. */
static bool mix_dh(struct noise_transcript *t, uint8_t *key, const uint8_t private_key[WG_KEY_LEN],
                   const uint8_t public_key[WG_KEY_LEN])
{
    uint8_t shared[WG_KEY_LEN];
    bool ok = X25519(shared, private_key, public_key);
    if (ok)
        mix_key(t, key, shared);
    secure_wipe(shared, sizeof shared);
    return ok;
}

/* "e": an ephemeral key goes into both values. */
static void mix_ephemeral(struct noise_transcript *t, const uint8_t public_key[WG_KEY_LEN])
{
    mix_hash(t->hash, public_key, WG_KEY_LEN);
    mix_key(t, NULL, public_key);
}

/* "psk": the pre-shared key goes into both values and yields a key. */
static void mix_psk(struct noise_transcript *t, uint8_t key[WG_KEY_LEN],
                    const uint8_t psk[WG_KEY_LEN])
{
    uint8_t temp[NOISE_HASH_LEN];
    blake2s_kdf(t->chaining_key, temp, key, t->chaining_key, psk, WG_KEY_LEN);
    mix_hash(t->hash, temp, sizeof temp);
    secure_wipe(temp, sizeof temp);
}

/* A handshake key seals exactly one message, hence the constant nonce. */
static const uint8_t zero_nonce[12];

static void aead_init(EVP_AEAD_CTX *aead, const uint8_t key[WG_KEY_LEN])
{
    int done =
        EVP_AEAD_CTX_init(aead, EVP_aead_chacha20_poly1305(), key, WG_KEY_LEN, WG_TAG_LEN, NULL);
    ASSERT(done); /* only wrong sizes fail */
}

static void aead_fini(EVP_AEAD_CTX *aead)
{
    EVP_AEAD_CTX_cleanup(aead);
    secure_wipe(aead, sizeof *aead);
}

/* {plain}: encrypts, and mixes the ciphertext into the hash. out: len + WG_TAG_LEN bytes. */
static void seal_and_hash(struct noise_transcript *t, const uint8_t key[WG_KEY_LEN], uint8_t *out,
                          const uint8_t *plain, size_t len)
{
    EVP_AEAD_CTX aead;
    size_t out_len;
    aead_init(&aead, key);
    int done = EVP_AEAD_CTX_seal(&aead, out, &out_len, len + WG_TAG_LEN, zero_nonce,
                                 sizeof zero_nonce, plain, len, t->hash, sizeof t->hash);
    ASSERT(done);
    aead_fini(&aead);
    mix_hash(t->hash, out, len + WG_TAG_LEN);
}

/* The reverse. sealed: len + WG_TAG_LEN bytes. */
static bool open_and_hash(struct noise_transcript *t, const uint8_t key[WG_KEY_LEN], uint8_t *plain,
                          const uint8_t *sealed, size_t len)
{
    EVP_AEAD_CTX aead;
    size_t plain_len;
    aead_init(&aead, key);
    bool ok = EVP_AEAD_CTX_open(&aead, plain, &plain_len, len, zero_nonce, sizeof zero_nonce,
                                sealed, len + WG_TAG_LEN, t->hash, sizeof t->hash);
    aead_fini(&aead);
    if (ok)
        mix_hash(t->hash, sealed, len + WG_TAG_LEN);
    else
        ERR_clear_error();
    return ok;
}

/* The session keys: the first is the initiator's for sending. */
static void split(const struct noise_transcript *t, uint8_t initiator_send[WG_KEY_LEN],
                  uint8_t responder_send[WG_KEY_LEN])
{
    blake2s_kdf(initiator_send, responder_send, NULL, t->chaining_key, NULL, 0);
}

static void copy_key(uint8_t to[WG_KEY_LEN], const uint8_t from[WG_KEY_LEN])
{
    memcpy(to, from, WG_KEY_LEN);
}

static void clamp(uint8_t key[WG_KEY_LEN]) /* RFC 7748 section 5 */
{
    key[0] &= 0xf8;
    key[31] = (uint8_t)((key[31] & 0x7f) | 0x40);
}

/* ---- keys ---- */

void noise_identity_init(struct noise_identity *id, const uint8_t private_key[WG_KEY_LEN])
{
    copy_key(id->private_key, private_key);
    clamp(id->private_key);
    X25519_public_from_private(id->public_key, id->private_key);
    initial_hash(id->hash, id->public_key);
}

void noise_identity_wipe(struct noise_identity *id)
{
    secure_wipe(id, sizeof *id);
}

void noise_remote_init(struct noise_remote *r, const struct noise_identity *id,
                       const uint8_t public_key[WG_KEY_LEN], const uint8_t *psk)
{
    memset(r, 0, sizeof *r);
    copy_key(r->public_key, public_key);
    initial_hash(r->hash, public_key);
    noise_remote_set_identity(r, id);
    noise_remote_set_psk(r, psk);
}

void noise_remote_set_identity(struct noise_remote *r, const struct noise_identity *id)
{
    r->usable = X25519(r->static_static, id->private_key, r->public_key);
}

void noise_remote_set_psk(struct noise_remote *r, const uint8_t *psk)
{
    static const uint8_t none[WG_KEY_LEN];
    copy_key(r->psk, psk ? psk : none);
}

void noise_remote_wipe(struct noise_remote *r)
{
    secure_wipe(r, sizeof *r);
}

void noise_timestamp(uint8_t out[WG_TIMESTAMP_LEN], uint64_t unix_ns)
{
    /* TAI64 labels count from 2^62; 37 s is TAI's lead over UTC. Peers only compare. */
    store_be64(out, (UINT64_C(1) << 62) + 37 + unix_ns / NS_PER_SEC);
    store_be32(out + 8, (uint32_t)(unix_ns % NS_PER_SEC));
}

static void begin(struct noise_transcript *t, const uint8_t hash[NOISE_HASH_LEN])
{
    memcpy(t->hash, hash, NOISE_HASH_LEN);
    initial_chaining_key(t->chaining_key);
}

/* ---- first message: -> e, es, s, ss, {timestamp} ---- */

bool noise_initiation_create(struct noise_pending *pending, uint8_t msg[WG_INITIATION_LEN],
                             const struct noise_identity *id, const struct noise_remote *r,
                             const struct noise_fresh *fresh)
{
    struct noise_transcript t;
    uint8_t key[WG_KEY_LEN];
    uint8_t *ephemeral = msg + WG_INITIATION_EPHEMERAL;
    if (!r->usable)
        return false;

    memset(msg, 0, WG_INITIATION_LEN);
    store_le32(msg, WG_KIND_INITIATION);
    store_le32(msg + WG_INITIATION_SENDER, fresh->local_index);
    begin(&t, r->hash);

    /* e */
    X25519_public_from_private(ephemeral, fresh->ephemeral);
    mix_ephemeral(&t, ephemeral);

    /* es */
    bool ok = mix_dh(&t, key, fresh->ephemeral, r->public_key);
    ASSERT(ok); /* `usable` says that the key is not of low order */

    /* s */
    seal_and_hash(&t, key, msg + WG_INITIATION_STATIC, id->public_key, WG_KEY_LEN);

    /* ss */
    mix_key(&t, key, r->static_static);

    /* {timestamp} */
    seal_and_hash(&t, key, msg + WG_INITIATION_TIMESTAMP, fresh->timestamp, WG_TIMESTAMP_LEN);

    pending->transcript = t;
    copy_key(pending->ephemeral, fresh->ephemeral);
    pending->local_index = fresh->local_index;
    secure_wipe(key, sizeof key);
    transcript_wipe(&t);
    return true;
}

bool noise_initiation_open(struct noise_opened *o, const struct noise_identity *id,
                           const uint8_t msg[WG_INITIATION_LEN])
{
    struct noise_transcript t;
    uint8_t key[WG_KEY_LEN], remote_static[WG_KEY_LEN];
    begin(&t, id->hash);

    /* e */
    mix_ephemeral(&t, msg + WG_INITIATION_EPHEMERAL);

    /* es, s */
    bool ok = mix_dh(&t, key, id->private_key, msg + WG_INITIATION_EPHEMERAL) &&
              open_and_hash(&t, key, remote_static, msg + WG_INITIATION_STATIC, WG_KEY_LEN);
    if (ok) {
        copy_key(o->remote_static, remote_static);
        copy_key(o->remote_ephemeral, msg + WG_INITIATION_EPHEMERAL);
        memcpy(o->sealed_timestamp, msg + WG_INITIATION_TIMESTAMP, sizeof o->sealed_timestamp);
        o->transcript = t;
        o->remote_index = load_le32(msg + WG_INITIATION_SENDER);
    }
    secure_wipe(key, sizeof key);
    secure_wipe(remote_static, sizeof remote_static);
    transcript_wipe(&t);
    return ok;
}

static enum noise_result check_fresh(const struct noise_remote *r,
                                     const uint8_t timestamp[WG_TIMESTAMP_LEN], time_ns now)
{
    /* Big-endian, so byte order is time order; nothing accepted yet compares as zero. */
    if (memcmp(timestamp, r->last_timestamp, WG_TIMESTAMP_LEN) <= 0)
        return NOISE_REPLAYED;
    if (r->has_initiation && time_since(now, r->last_initiation_at) < WG_INITIATION_INTERVAL_NS)
        return NOISE_FLOODED;
    return NOISE_OK;
}

enum noise_result noise_initiation_accept(struct noise_opened *o, struct noise_remote *r,
                                          time_ns now)
{
    struct noise_transcript t = o->transcript;
    uint8_t key[WG_KEY_LEN], timestamp[WG_TIMESTAMP_LEN];
    enum noise_result result = NOISE_UNAUTHENTIC;
    if (!r->usable || !ct_equal(o->remote_static, r->public_key, WG_KEY_LEN))
        goto out;

    /* ss */
    mix_key(&t, key, r->static_static);

    /* {timestamp} */
    if (!open_and_hash(&t, key, timestamp, o->sealed_timestamp, WG_TIMESTAMP_LEN))
        goto out;

    result = check_fresh(r, timestamp, now);
    if (result == NOISE_OK) {
        memcpy(r->last_timestamp, timestamp, WG_TIMESTAMP_LEN);
        r->last_initiation_at = now;
        r->has_initiation = true;
        o->transcript = t;
    }
out:
    secure_wipe(key, sizeof key);
    transcript_wipe(&t);
    return result;
}

/* ---- second message: <- e, ee, se, psk, {nothing} ---- */

bool noise_response_create(struct noise_keys *keys, uint8_t msg[WG_RESPONSE_LEN],
                           const struct noise_opened *o, const struct noise_remote *r,
                           const struct noise_fresh *fresh)
{
    struct noise_transcript t = o->transcript;
    uint8_t key[WG_KEY_LEN], ephemeral[WG_KEY_LEN];

    /* e */
    X25519_public_from_private(ephemeral, fresh->ephemeral);
    mix_ephemeral(&t, ephemeral);

    /* ee, se */
    bool ok = mix_dh(&t, NULL, fresh->ephemeral, o->remote_ephemeral) &&
              mix_dh(&t, NULL, fresh->ephemeral, r->public_key);
    if (ok) {
        memset(msg, 0, WG_RESPONSE_LEN);
        store_le32(msg, WG_KIND_RESPONSE);
        store_le32(msg + WG_RESPONSE_SENDER, fresh->local_index);
        store_le32(msg + WG_RESPONSE_RECEIVER, o->remote_index);
        copy_key(msg + WG_RESPONSE_EPHEMERAL, ephemeral);

        /* psk */
        mix_psk(&t, key, r->psk);

        /* {nothing} */
        seal_and_hash(&t, key, msg + WG_RESPONSE_NOTHING, NULL, 0);

        split(&t, keys->receive, keys->send);
        keys->local_index = fresh->local_index;
        keys->remote_index = o->remote_index;
    }
    secure_wipe(key, sizeof key);
    transcript_wipe(&t);
    return ok;
}

bool noise_response_consume(struct noise_keys *keys, const struct noise_pending *pending,
                            const struct noise_identity *id, const struct noise_remote *r,
                            const uint8_t msg[WG_RESPONSE_LEN])
{
    struct noise_transcript t = pending->transcript;
    const uint8_t *remote_ephemeral = msg + WG_RESPONSE_EPHEMERAL;
    uint8_t key[WG_KEY_LEN], nothing[1];

    /* e */
    mix_ephemeral(&t, remote_ephemeral);

    /* ee, se */
    bool ok = mix_dh(&t, NULL, pending->ephemeral, remote_ephemeral) &&
              mix_dh(&t, NULL, id->private_key, remote_ephemeral);
    if (ok) {
        /* psk */
        mix_psk(&t, key, r->psk);

        /* {nothing} */
        ok = open_and_hash(&t, key, nothing, msg + WG_RESPONSE_NOTHING, 0);
    }
    if (ok) {
        split(&t, keys->send, keys->receive);
        keys->local_index = pending->local_index;
        keys->remote_index = load_le32(msg + WG_RESPONSE_SENDER);
    }
    secure_wipe(key, sizeof key);
    transcript_wipe(&t);
    return ok;
}

void noise_pending_wipe(struct noise_pending *p)
{
    secure_wipe(p, sizeof *p);
}

void noise_opened_wipe(struct noise_opened *o)
{
    secure_wipe(o, sizeof *o);
}

void noise_keys_wipe(struct noise_keys *k)
{
    secure_wipe(k, sizeof *k);
}
