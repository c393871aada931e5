/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ChaCha20-Poly1305 for transport data, a batch of packets of one key per call, behind a table of backends; and the
 * XChaCha20-Poly1305 of cookies.
 *
 * Keys are made by control on the heap and handed over; their memory never moves. A key is read-only once made, so
 * any number of threads may use one at the same time. Sealing and opening neither allocate nor leave anything in
 * BoringSSL's error queue. Source: RFC 8439; WireGuard paper, sections 5.4.6 and 5.4.7.
 */
#ifndef FZ_ENGINE_CRYPT_H
#define FZ_ENGINE_CRYPT_H

#include <stdbool.h>
#include <stdint.h>

#include <openssl/aead.h>

#include "platform/base/err.h"

enum {
    CRYPT_BATCH_MAX = 64,
    CRYPT_LEN_MAX = UINT16_MAX, /* more than any packet has */
    CRYPT_TAG_LEN = 16,
    CRYPT_KEY_LEN = 32
};

enum crypt_backend {
    CRYPT_AUTO, /* the fastest that this CPU runs */
    CRYPT_BORINGSSL,
    CRYPT_AVX512 /* whole batches at once, see crypt_avx512.h */
};

/* One direction of a session. `raw` is what a backend of our own starts from. */
struct crypt_key {
    uint8_t raw[CRYPT_KEY_LEN];
    EVP_AEAD_CTX aead;
};

/*
 * A packet. The result goes to `data`: `len` bytes and, when sealing, CRYPT_TAG_LEN more behind them. It is made from
 * what stands there or, if `from` is not NULL, at `from`, which must not overlap `data`; when opening the tag follows it.
 */
struct crypt_packet {
    uint8_t *data;
    const uint8_t *from;
    uint32_t len; /* without the tag; at most CRYPT_LEN_MAX */
    uint64_t counter;
    bool ok; /* set by crypt_open */
};

/* What a backend supplies; the contracts are those of crypt_seal and crypt_open. */
struct crypt_backend_ops {
    const char *name;
    void (*seal)(const struct crypt_key *k, struct crypt_packet *p, unsigned n);
    unsigned (*open)(const struct crypt_key *k, struct crypt_packet *p, unsigned n);
};

struct crypt {
    const struct crypt_backend_ops *ops;
};

/* "auto", "boringssl" or "avx512". Returns ERR_OK or ERR_PARSE. */
enum err crypt_backend_parse(enum crypt_backend *out, const char *text) MUST_USE;

/* Chooses the backend. Returns ERR_OK, or ERR_UNSUPPORTED if this CPU lacks what it needs. */
enum err crypt_init(struct crypt *c, enum crypt_backend backend) MUST_USE;

/* The name of the backend chosen. */
static inline const char *crypt_name(const struct crypt *c)
{
    return c->ops->name;
}

/* Control role. */
void crypt_key_init(struct crypt_key *k, const uint8_t raw[CRYPT_KEY_LEN]);

/* Wipes the key; no thread may use it any more. */
void crypt_key_fini(struct crypt_key *k);

/*
 * Seals n packets (1..CRYPT_BATCH_MAX). nonce: 4 zero bytes and the counter, little-endian; no associated
 * data. The counters are usually consecutive, but need not be. Any thread.
 */
static inline void crypt_seal(const struct crypt *c, const struct crypt_key *k,
                              struct crypt_packet *p, unsigned n)
{
    DASSERT(n > 0 && n <= CRYPT_BATCH_MAX);
    c->ops->seal(k, p, n);
}

/*
 * Opens n packets (1..CRYPT_BATCH_MAX), sets `ok` of each and returns how many are. The data of a packet that is not
 * holds no plaintext afterwards. Any thread.
 */
static inline unsigned crypt_open(const struct crypt *c, const struct crypt_key *k,
                                  struct crypt_packet *p, unsigned n)
{
    DASSERT(n > 0 && n <= CRYPT_BATCH_MAX);
    return c->ops->open(k, p, n);
}

/* Encrypts the 16-byte cookie of a cookie reply; mac1 of the message that is answered is authenticated with it. */
void crypt_cookie_seal(uint8_t sealed[32], const uint8_t key[CRYPT_KEY_LEN],
                       const uint8_t nonce[24], const uint8_t mac1[16], const uint8_t cookie[16]);

/* The reverse. False: not authentic, `cookie` is zero. */
bool crypt_cookie_open(uint8_t cookie[16], const uint8_t key[CRYPT_KEY_LEN],
                       const uint8_t nonce[24], const uint8_t mac1[16],
                       const uint8_t sealed[32]) MUST_USE;

#endif
