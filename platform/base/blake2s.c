/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE2s, see blake2s.h. Step labels follow RFC 7693 section 3. */
#include "platform/base/blake2s.h"

#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/err.h"

/* Section 2.6: the first 32 bits of the fractional parts of the square roots of the first eight primes. */
static const uint32_t initial_vector[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static inline uint32_t rotate_right(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

/* Section 3.1, the mixing function G on the words a, b, c, d of v. */
#define MIX(a, b, c, d, x, y)                                                                      \
    do {                                                                                           \
        v[a] += v[b] + (x);                                                                        \
        v[d] = rotate_right(v[d] ^ v[a], 16);                                                      \
        v[c] += v[d];                                                                              \
        v[b] = rotate_right(v[b] ^ v[c], 12);                                                      \
        v[a] += v[b] + (y);                                                                        \
        v[d] = rotate_right(v[d] ^ v[a], 8);                                                       \
        v[c] += v[d];                                                                              \
        v[b] = rotate_right(v[b] ^ v[c], 7);                                                       \
    } while (0)

/* One round: its arguments are one line of the message schedule SIGMA (section 2.7). */
#define ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15)                \
    do {                                                                                           \
        MIX(0, 4, 8, 12, m[s0], m[s1]);                                                            \
        MIX(1, 5, 9, 13, m[s2], m[s3]);                                                            \
        MIX(2, 6, 10, 14, m[s4], m[s5]);                                                           \
        MIX(3, 7, 11, 15, m[s6], m[s7]);                                                           \
        MIX(0, 5, 10, 15, m[s8], m[s9]);                                                           \
        MIX(1, 6, 11, 12, m[s10], m[s11]);                                                         \
        MIX(2, 7, 8, 13, m[s12], m[s13]);                                                          \
        MIX(3, 4, 9, 14, m[s14], m[s15]);                                                          \
    } while (0)

/* Section 3.2, the compression function F. total: bytes hashed so far, this block's message bytes included. */
static void compress(uint32_t h[8], const uint8_t block[BLAKE2S_BLOCK_LEN], uint64_t total,
                     bool last)
{
    uint32_t m[16], v[16];
    for (unsigned i = 0; i < 16; i++)
        m[i] = load_le32(block + 4 * i);
    for (unsigned i = 0; i < 8; i++) {
        v[i] = h[i];
        v[i + 8] = initial_vector[i];
    }
    v[12] ^= (uint32_t)total;
    v[13] ^= (uint32_t)(total >> 32);
    if (last)
        v[14] = ~v[14];

    ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);
    ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4);
    ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8);
    ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13);
    ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9);
    ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11);
    ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10);
    ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5);
    ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0);

    for (unsigned i = 0; i < 8; i++)
        h[i] ^= v[i] ^ v[i + 8];
    secure_wipe(m, sizeof m);
    secure_wipe(v, sizeof v);
}

void blake2s_init(struct blake2s *s, size_t hash_len, const void *key, size_t key_len)
{
    ASSERT(hash_len > 0 && hash_len <= BLAKE2S_HASH_LEN && key_len <= BLAKE2S_KEY_LEN);
    memset(s, 0, sizeof *s);
    memcpy(s->h, initial_vector, sizeof s->h);
    s->h[0] ^= 0x01010000u ^ (uint32_t)key_len << 8 ^ (uint32_t)hash_len; /* section 2.5 */
    s->hash_len = (uint8_t)hash_len;
    if (key_len > 0) {
        memcpy(s->buf, key, key_len);
        s->buf_len = BLAKE2S_BLOCK_LEN; /* the padded key is the first block (section 2.9) */
    }
}

/* Compresses the full buffer, which is known not to be the last block. */
static void flush_buffer(struct blake2s *s)
{
    s->total += BLAKE2S_BLOCK_LEN;
    compress(s->h, s->buf, s->total, false);
    s->buf_len = 0;
}

void blake2s_prime(struct blake2s *s)
{
    ASSERT(s->buf_len == BLAKE2S_BLOCK_LEN && s->total == 0);
    flush_buffer(s);
    secure_wipe(s->buf, sizeof s->buf);
    s->primed = true;
}

void blake2s_update(struct blake2s *s, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len > 0) {
        if (s->buf_len == BLAKE2S_BLOCK_LEN)
            flush_buffer(s);
        size_t n = size_min(len, BLAKE2S_BLOCK_LEN - (size_t)s->buf_len);
        memcpy(s->buf + s->buf_len, p, n);
        s->buf_len = (uint8_t)(s->buf_len + n);
        p += n;
        len -= n;
    }
}

void blake2s_final(struct blake2s *s, void *out)
{
    ASSERT(!s->primed || s->buf_len > 0);
    s->total += s->buf_len;
    memset(s->buf + s->buf_len, 0, BLAKE2S_BLOCK_LEN - (size_t)s->buf_len);
    compress(s->h, s->buf, s->total, true);
    memcpy(out, s->h, s->hash_len); /* little-endian host: the words are in digest order */
    blake2s_wipe(s);
}

void blake2s_wipe(struct blake2s *s)
{
    secure_wipe(s, sizeof *s);
}

void blake2s_hash2(uint8_t out[BLAKE2S_HASH_LEN], const void *a, size_t a_len, const void *b,
                   size_t b_len)
{
    struct blake2s s;
    blake2s_init(&s, BLAKE2S_HASH_LEN, NULL, 0);
    blake2s_update(&s, a, a_len);
    blake2s_update(&s, b, b_len);
    blake2s_final(&s, out);
}

void blake2s_mac16(uint8_t out[16], const void *key, size_t key_len, const void *data, size_t len)
{
    struct blake2s s;
    blake2s_init(&s, 16, key, key_len);
    blake2s_update(&s, data, len);
    blake2s_final(&s, out);
}

/* H(block || data) for HMAC's two passes. */
static void hash_after_block(uint8_t out[BLAKE2S_HASH_LEN], const uint8_t block[BLAKE2S_BLOCK_LEN],
                             const void *data, size_t len)
{
    struct blake2s s;
    blake2s_init(&s, BLAKE2S_HASH_LEN, NULL, 0);
    blake2s_update(&s, block, BLAKE2S_BLOCK_LEN);
    blake2s_update(&s, data, len);
    blake2s_final(&s, out);
}

void blake2s_hmac(uint8_t out[BLAKE2S_HASH_LEN], const void *key, size_t key_len, const void *data,
                  size_t len)
{
    enum {
        INNER_PAD = 0x36,
        OUTER_PAD = 0x5c
    };
    uint8_t block[BLAKE2S_BLOCK_LEN] = {0}, inner[BLAKE2S_HASH_LEN];
    if (key_len > sizeof block)
        blake2s_hash2(block, key, key_len, NULL, 0);
    else if (key_len > 0)
        memcpy(block, key, key_len);

    for (unsigned i = 0; i < sizeof block; i++)
        block[i] ^= INNER_PAD;
    hash_after_block(inner, block, data, len);
    for (unsigned i = 0; i < sizeof block; i++)
        block[i] ^= INNER_PAD ^ OUTER_PAD;
    hash_after_block(out, block, inner, sizeof inner);

    secure_wipe(block, sizeof block);
    secure_wipe(inner, sizeof inner);
}

void blake2s_kdf(uint8_t *out1, uint8_t *out2, uint8_t *out3, const uint8_t key[BLAKE2S_HASH_LEN],
                 const void *input, size_t input_len)
{
    ASSERT(out1 && (out2 || !out3));
    uint8_t *outs[3] = {out1, out2, out3};
    uint8_t secret[BLAKE2S_HASH_LEN], chain[BLAKE2S_HASH_LEN + 1];
    size_t chain_len = 0; /* the first output hashes the counter alone */

    blake2s_hmac(secret, key, BLAKE2S_HASH_LEN, input, input_len);
    for (unsigned i = 0; i < ARRAY_LEN(outs) && outs[i]; i++) {
        chain[chain_len] = (uint8_t)(i + 1);
        blake2s_hmac(chain, secret, sizeof secret, chain, chain_len + 1);
        chain_len = BLAKE2S_HASH_LEN;
        memcpy(outs[i], chain, BLAKE2S_HASH_LEN);
    }
    secure_wipe(secret, sizeof secret);
    secure_wipe(chain, sizeof chain);
}
