/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ChaCha20 blocks, 32 at a time: two units of 16 lanes, a lane being one block of one packet. Vector i of a unit
 * holds word i of the state of all its lanes. Two units in flight hide the latency of the four dependent chains that
 * each has. Any thread; see avx512.h. Source: RFC 8439 section 2.3.
 */
#ifndef FZ_CHACHA20_AVX512_H
#define FZ_CHACHA20_AVX512_H

#include "engine/avx512.h"

#ifdef HAVE_AVX512_CODE

enum {
    CHACHA_UNIT = 16, /* lanes of a unit */
    CHACHA_LANES = 2 * CHACHA_UNIT
};

/*
 * What stays the same for all blocks of 16 lanes. `first`: the state after the first column round, whose columns 1 to
 * 3 depend on key and nonce alone; only column 0 has the block counter in it. Secret.
 */
struct chacha_unit {
    vec nonce_low, nonce_high; /* state words 14 and 15 */
    vec block;                 /* of each lane, in the first step */
    vec first[16];             /* 0, 4, 8 and 12 are unused */
};

AVX512_BEGIN

/*
 * Between the first and the last round 32 vectors are live, all registers there are. gcc 12 uses a scratch register
 * unless the operations are in place by construction.
 */
#ifdef __clang__
#define CHACHA_ADD(x, y) x = _mm512_add_epi32(x, y)
#define CHACHA_XOR(x, y) x = _mm512_xor_si512(x, y)
#define CHACHA_ROL(x, n) x = _mm512_rol_epi32(x, n)
#else
#define CHACHA_ADD(x, y) __asm__("vpaddd %1, %0, %0" : "+v"(x) : "v"(y))
#define CHACHA_XOR(x, y) __asm__("vpxord %1, %0, %0" : "+v"(x) : "v"(y))
#define CHACHA_ROL(x, n) __asm__("vprold %1, %0, %0" : "+v"(x) : "i"(n))
#endif

/* a += b; d ^= a; d <<<= n, for four columns: words a+i, b+(i+bs)%4, d+(i+ds)%4. */
#define CHACHA_QUARTER_STEP(v, a, as, b, bs, d, ds, n)                                             \
    do {                                                                                           \
        UNROLL for (int i_ = 0; i_ < 4; i_++)                                                      \
            CHACHA_ADD(v[a + (i_ + as) % 4], v[b + (i_ + bs) % 4]);                                \
        UNROLL for (int i_ = 0; i_ < 4; i_++)                                                      \
            CHACHA_XOR(v[d + (i_ + ds) % 4], v[a + (i_ + as) % 4]);                                \
        UNROLL for (int i_ = 0; i_ < 4; i_++) CHACHA_ROL(v[d + (i_ + ds) % 4], n);                 \
    } while (0)

/* Four quarter rounds, on columns (shifts 0) or diagonals (shifts 1, 2, 3). */
#define CHACHA_ROUND(v, s1, s2, s3)                                                                \
    do {                                                                                           \
        CHACHA_QUARTER_STEP(v, 0, 0, 4, s1, 12, s3, 16);                                           \
        CHACHA_QUARTER_STEP(v, 8, s2, 12, s3, 4, s1, 12);                                          \
        CHACHA_QUARTER_STEP(v, 0, 0, 4, s1, 12, s3, 8);                                            \
        CHACHA_QUARTER_STEP(v, 8, s2, 12, s3, 4, s1, 7);                                           \
    } while (0)
#define CHACHA_COLUMNS(v)   CHACHA_ROUND(v, 0, 0, 0)
#define CHACHA_DIAGONALS(v) CHACHA_ROUND(v, 1, 2, 3)

/* "expand 32-byte k" */
INLINE vec chacha_constant(int i)
{
    static const uint32_t words[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    return _mm512_set1_epi32((int)words[i]);
}

INLINE vec chacha_key_word(const uint32_t key[8], int i)
{
    return _mm512_set1_epi32((int)key[i]);
}

/* One quarter round of column i. */
INLINE void chacha_column(vec *v, int i)
{
    static const int rotations[4] = {16, 12, 8, 7};
    UNROLL for (int half = 0; half < 2; half++)
    {
        v[i] = _mm512_add_epi32(v[i], v[4 + i]);
        v[12 + i] = _mm512_xor_si512(v[12 + i], v[i]);
        v[12 + i] = _mm512_rolv_epi32(v[12 + i], _mm512_set1_epi32(rotations[2 * half]));
        v[8 + i] = _mm512_add_epi32(v[8 + i], v[12 + i]);
        v[4 + i] = _mm512_xor_si512(v[4 + i], v[8 + i]);
        v[4 + i] = _mm512_rolv_epi32(v[4 + i], _mm512_set1_epi32(rotations[2 * half + 1]));
    }
}

INLINE void chacha_initial(vec *v, const uint32_t key[8], const struct chacha_unit *u, vec block)
{
    UNROLL for (int i = 0; i < 4; i++) v[i] = chacha_constant(i);
    UNROLL for (int i = 0; i < 8; i++) v[4 + i] = chacha_key_word(key, i);
    v[12] = block;
    v[13] = _mm512_setzero_si512();
    v[14] = u->nonce_low;
    v[15] = u->nonce_high;
}

/* counters: the 64-bit nonce of each lane; block: the block number of each lane in the first step. */
INLINE void chacha_unit_init(struct chacha_unit *u, const uint32_t key[8],
                             const uint64_t counters[CHACHA_UNIT], vec block)
{
    vec low = _mm512_loadu_si512(counters), high = _mm512_loadu_si512(counters + 8);
    __m256i low_a = _mm512_cvtepi64_epi32(low), low_b = _mm512_cvtepi64_epi32(high);
    __m256i high_a = _mm512_cvtepi64_epi32(_mm512_srli_epi64(low, 32)),
            high_b = _mm512_cvtepi64_epi32(_mm512_srli_epi64(high, 32));
    u->nonce_low = _mm512_inserti64x4(_mm512_castsi256_si512(low_a), low_b, 1);
    u->nonce_high = _mm512_inserti64x4(_mm512_castsi256_si512(high_a), high_b, 1);
    u->block = block;
    chacha_initial(u->first, key, u, block);
    UNROLL for (int i = 1; i < 4; i++) chacha_column(u->first, i);
}

/* The state after the first column round. */
INLINE void chacha_start(vec *v, const uint32_t key[8], const struct chacha_unit *u, vec block)
{
    UNROLL for (int i = 0; i < 16; i++) v[i] = u->first[i];
    v[0] = chacha_constant(0);
    v[4] = chacha_key_word(key, 0);
    v[8] = chacha_key_word(key, 4);
    v[12] = block;
    chacha_column(v, 0);
}

/* The other 19 rounds, of two units. */
INLINE void chacha_rounds(vec *a, vec *b)
{
    CHACHA_DIAGONALS(a);
    CHACHA_DIAGONALS(b);
    for (int i = 0; i < 9; i++) {
        CHACHA_COLUMNS(a);
        CHACHA_COLUMNS(b);
        CHACHA_DIAGONALS(a);
        CHACHA_DIAGONALS(b);
    }
}

/* Adds the initial state: v becomes the key stream. */
INLINE void chacha_finish(vec *v, const uint32_t key[8], const struct chacha_unit *u, vec block)
{
    UNROLL for (int i = 0; i < 4; i++) v[i] = _mm512_add_epi32(v[i], chacha_constant(i));
    UNROLL for (int i = 0; i < 8; i++) v[4 + i] =
        _mm512_add_epi32(v[4 + i], chacha_key_word(key, i));
    v[12] = _mm512_add_epi32(v[12], block);
    v[14] = _mm512_add_epi32(v[14], u->nonce_low);
    v[15] = _mm512_add_epi32(v[15], u->nonce_high);
}

/* 16 x 16 words: afterwards v[i] is the block of lane i. */
INLINE void chacha_transpose(vec *v)
{
    vec x[16];
    UNROLL for (int i = 0; i < 4; i++)
    {
        vec *w = v + 4 * i;
        vec low01 = _mm512_unpacklo_epi32(w[0], w[1]), high01 = _mm512_unpackhi_epi32(w[0], w[1]);
        vec low23 = _mm512_unpacklo_epi32(w[2], w[3]), high23 = _mm512_unpackhi_epi32(w[2], w[3]);
        x[i] = _mm512_unpacklo_epi64(low01, low23);
        x[4 + i] = _mm512_unpackhi_epi64(low01, low23);
        x[8 + i] = _mm512_unpacklo_epi64(high01, high23);
        x[12 + i] = _mm512_unpackhi_epi64(high01, high23);
    }
    UNROLL for (int i = 0; i < 4; i++)
    {
        const vec *y = x + 4 * i;
        vec p = _mm512_shuffle_i32x4(y[0], y[1], 0x44), q = _mm512_shuffle_i32x4(y[0], y[1], 0xee);
        vec r = _mm512_shuffle_i32x4(y[2], y[3], 0x44), s = _mm512_shuffle_i32x4(y[2], y[3], 0xee);
        v[i] = _mm512_shuffle_i32x4(p, r, 0x88);
        v[4 + i] = _mm512_shuffle_i32x4(p, r, 0xdd);
        v[8 + i] = _mm512_shuffle_i32x4(q, s, 0x88);
        v[12 + i] = _mm512_shuffle_i32x4(q, s, 0xdd);
    }
}

AVX512_END

#endif
#endif
