/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ChaCha20 and Poly1305 of the AVX-512 backend, driven apart from its sets: any nonce, block number and message, and so
 * the AEAD with associated data, which the backend does not offer. Includes the .c under test; include once per program.
 */
#ifndef FZ_TESTS_CRYPT_INNER_H
#define FZ_TESTS_CRYPT_INNER_H

#include "engine/crypt_avx512.c"

#include <stdio.h>

#define INNER_UNUSABLE "this CPU has no AVX-512 with IFMA and VBMI2\n"

#ifdef HAVE_AVX512_CODE

enum {
    NONCE_LEN = 12,
    INNER_MAC_MAX =
        1 << 12 /* bytes that the MAC of an AEAD message covers, padding and lengths included */
};

struct inner_lane {
    uint8_t nonce[NONCE_LEN];
    uint32_t block;
};

AVX512_BEGIN

/* The blocks of 32 lanes. */
static NOINLINE void inner_blocks(uint8_t out[CHACHA_LANES][BLOCK],
                                  const uint8_t key[CRYPT_KEY_LEN],
                                  const struct inner_lane lanes[CHACHA_LANES])
{
    struct chacha_unit u[2];
    uint32_t key_words[KEY_WORDS] __attribute__((aligned(64)));
    vec v[2][16], first_word[2];
    memcpy(key_words, key, sizeof key_words);
    for (unsigned k = 0; k < 2; k++) {
        uint32_t first_words[CHACHA_UNIT], blocks[CHACHA_UNIT];
        uint64_t counters[CHACHA_UNIT];
        for (unsigned i = 0; i < CHACHA_UNIT; i++) {
            first_words[i] = load_le32(lanes[k * CHACHA_UNIT + i].nonce);
            counters[i] = load_le64(lanes[k * CHACHA_UNIT + i].nonce + 4);
            blocks[i] = lanes[k * CHACHA_UNIT + i].block;
        }
        first_word[k] = _mm512_loadu_si512(first_words);
        chacha_unit_init(&u[k], key_words, counters, _mm512_loadu_si512(blocks));
        chacha_initial(u[k].first, key_words, &u[k], u[k].block);
        u[k].first[13] = first_word[k]; /* which the backend has as zero */
        for (int i = 1; i < 4; i++)
            chacha_column(u[k].first, i);
        chacha_start(v[k], key_words, &u[k], u[k].block);
    }
    chacha_rounds(v[0], v[1]);
    for (unsigned k = 0; k < 2; k++) {
        chacha_finish(v[k], key_words, &u[k], u[k].block);
        v[k][13] = _mm512_add_epi32(v[k][13], first_word[k]);
        chacha_transpose(v[k]);
        for (unsigned i = 0; i < CHACHA_UNIT; i++)
            _mm512_storeu_si512(out[k * CHACHA_UNIT + i], v[k][i]);
    }
}

/* The last `len` % 16 bytes, as the RFC has them for Poly1305 alone: a one behind them, zeros up to the block's end. */
static inline void inner_poly_rest(struct poly *p, const uint8_t *const data[POLY_LANES],
                                   const uint32_t len[POLY_LANES])
{
    uint64_t words[2][POLY_LANES] = {{0}};
    struct poly_sum sum = poly_sum_zero();
    __mmask8 lanes = 0;
    vec m0, m1, m2;
    for (unsigned i = 0; i < POLY_LANES; i++) {
        uint8_t block[16] = {0};
        uint32_t rest = len[i] % 16;
        memcpy(block, data[i] + len[i] - rest, rest);
        block[rest] = 1;
        words[0][i] = load_le64(block);
        words[1][i] = load_le64(block + 8);
        lanes |= (__mmask8)((rest > 0) << i);
    }
    poly_limbs(_mm512_loadu_si512(words[0]), _mm512_loadu_si512(words[1]), &m0, &m1, &m2);
    poly_multiply_add(&sum, _mm512_add_epi64(m0, p->h0), _mm512_add_epi64(m1, p->h1),
                      _mm512_add_epi64(m2, p->h2), &p->power[0]);
    poly_carry(&sum, &m0, &m1, &m2);
    p->h0 = _mm512_mask_mov_epi64(p->h0, lanes, m0);
    p->h1 = _mm512_mask_mov_epi64(p->h1, lanes, m1);
    p->h2 = _mm512_mask_mov_epi64(p->h2, lanes, m2);
}

static inline void inner_poly_init(struct poly *p, const uint8_t key[POLY_LANES][CRYPT_KEY_LEN])
{
    uint64_t words[4][POLY_LANES];
    for (unsigned w = 0; w < 4; w++) {
        for (unsigned i = 0; i < POLY_LANES; i++)
            words[w][i] = load_le64(key[i] + 8 * w);
    }
    poly_init(p, _mm512_loadu_si512(words[0]), _mm512_loadu_si512(words[1]),
              _mm512_loadu_si512(words[2]), _mm512_loadu_si512(words[3]));
}

static inline void inner_poly_tags(uint8_t tag[POLY_LANES][CRYPT_TAG_LEN], const struct poly *p)
{
    uint64_t words[2][POLY_LANES];
    vec low, high;
    poly_finish(p, &low, &high);
    _mm512_storeu_si512(words[0], low);
    _mm512_storeu_si512(words[1], high);
    for (unsigned i = 0; i < POLY_LANES; i++) {
        store_le64(tag[i], words[0][i]);
        store_le64(tag[i] + 8, words[1][i]);
    }
}

/* Poly1305 of eight messages, of any lengths. */
static NOINLINE void inner_poly(uint8_t tag[POLY_LANES][CRYPT_TAG_LEN],
                                const uint8_t key[POLY_LANES][CRYPT_KEY_LEN],
                                const uint8_t *const data[POLY_LANES],
                                const uint32_t len[POLY_LANES])
{
    struct poly p;
    struct poly_blocks b;
    __mmask8 active, present[4] = {0};
    vec in[POLY_LANES];
    inner_poly_init(&p, key);
    for (uint32_t at = 0;; at += POLY_CHUNK) {
        active = 0;
        for (unsigned i = 0; i < POLY_LANES; i++) {
            bool more = len[i] / 16 > at / 16 + 4; /* one block at least is left for the end */
            active |= (__mmask8)(more << i);
            in[i] = more ? _mm512_loadu_si512(data[i] + at) : _mm512_setzero_si512();
        }
        if (active == 0)
            break;
        poly_transpose(&b, in);
        poly_step(&p, &b, 4, active);
    }
    for (unsigned i = 0; i < POLY_LANES; i++) {
        uint8_t end[POLY_CHUNK] = {0};
        uint32_t blocks = len[i] / 16, chunks = blocks > 0 ? (blocks - 1) / 4 : 0;
        blocks -= 4 * chunks;
        memcpy(end + 16 * (4 - blocks), data[i] + chunks * POLY_CHUNK, 16 * blocks);
        in[i] = _mm512_loadu_si512(end);
        for (unsigned k = 0; k < 4; k++)
            present[k] |= (__mmask8)((k + blocks >= 4) << i);
    }
    poly_transpose(&b, in);
    poly_last(&p, &b, present);
    inner_poly_rest(&p, data, len);
    inner_poly_tags(tag, &p);
}

AVX512_END

/* XORs the key stream from block `first` on. */
static inline void inner_crypt(uint8_t *out, const uint8_t *in, size_t len,
                               const uint8_t key[CRYPT_KEY_LEN], const uint8_t nonce[NONCE_LEN],
                               uint32_t first)
{
    struct inner_lane lanes[CHACHA_LANES];
    uint8_t stream[CHACHA_LANES][BLOCK];
    for (size_t at = 0; at < len; at++) {
        if (at % sizeof stream == 0) {
            for (uint32_t i = 0; i < CHACHA_LANES; i++) {
                memcpy(lanes[i].nonce, nonce, NONCE_LEN);
                lanes[i].block = first + (uint32_t)(at / BLOCK) + i;
            }
            inner_blocks(stream, key, lanes);
        }
        out[at] = in[at] ^ stream[at % sizeof stream / BLOCK][at % BLOCK];
    }
}

/* A message of the AEAD, sealed or about to be. */
struct inner_message {
    uint8_t key[CRYPT_KEY_LEN], nonce[NONCE_LEN], tag[CRYPT_TAG_LEN];
    const uint8_t *aad, *sealed;
    uint32_t aad_len, len;
};

static inline uint32_t inner_mac_data(uint8_t out[INNER_MAC_MAX], const struct inner_message *m)
{
    uint32_t at = 0;
    memset(out, 0, INNER_MAC_MAX);
    memcpy(out, m->aad, m->aad_len);
    at = ALIGN_UP(m->aad_len, 16);
    memcpy(out + at, m->sealed, m->len);
    at += ALIGN_UP(m->len, 16);
    store_le64(out + at, m->aad_len);
    store_le64(out + at + 8, m->len);
    return at + 16;
}

/* The tags of eight messages. */
static inline void inner_tags(uint8_t tag[POLY_LANES][CRYPT_TAG_LEN],
                              const struct inner_message m[POLY_LANES])
{
    static const uint8_t zeros[CRYPT_KEY_LEN];
    static uint8_t covered[POLY_LANES][INNER_MAC_MAX];
    uint8_t keys[POLY_LANES][CRYPT_KEY_LEN];
    const uint8_t *data[POLY_LANES];
    uint32_t len[POLY_LANES];
    for (unsigned i = 0; i < POLY_LANES; i++) {
        inner_crypt(keys[i], zeros, sizeof zeros, m[i].key, m[i].nonce, 0);
        len[i] = inner_mac_data(covered[i], &m[i]);
        data[i] = covered[i];
    }
    inner_poly(tag, keys, data, len);
}

#endif
#endif
