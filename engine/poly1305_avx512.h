/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Poly1305 of eight messages at once, one in each 64-bit lane, four blocks between two reductions. Numbers modulo
 * 2^130 - 5 are three limbs of 44, 44 and 42 bits. All blocks are full ones, as the AEAD has them (zero padding, then
 * the block of lengths). Any thread; see avx512.h. Source: RFC 8439 sections 2.5 and 2.8.
 */
#ifndef FZ_POLY1305_AVX512_H
#define FZ_POLY1305_AVX512_H

#include "engine/avx512.h"

#ifdef HAVE_AVX512_CODE

enum {
    POLY_LANES = 8,
    POLY_CHUNK = 64 /* bytes of a message per step: four blocks */
};

/* A factor: its limbs, and 20 times the upper two, which is what they weigh 2^132 (= 20 modulo the prime) higher. */
struct poly_factor {
    vec r0, r1, r2, s1, s2;
};

/* Secret. */
struct poly {
    struct poly_factor power[4]; /* r, r^2, r^3, r^4 */
    vec pad_low, pad_high;       /* s of the RFC, added at the end */
    vec h0, h1, h2;              /* may exceed their limbs by a few bits */
};

AVX512_BEGIN

#define POLY_MASK44 _mm512_set1_epi64(0xfffffffffff)
#define POLY_MASK42 _mm512_set1_epi64(0x3ffffffffff)

/* Sums of products: low and high 52 bits apart, by the limb they belong to. */
struct poly_sum {
    vec low0, low1, low2, high0, high1, high2;
};

/* The low 52 bits of a product weigh what limb i does, the rest 2^52 times that. */
#define POLY_MULTIPLY_ADD(sum, i, m, f)                                                            \
    do {                                                                                           \
        (sum)->low##i = _mm512_madd52lo_epu64((sum)->low##i, m, f);                                \
        (sum)->high##i = _mm512_madd52hi_epu64((sum)->high##i, m, f);                              \
    } while (0)

INLINE void poly_multiply_add(struct poly_sum *a, vec m0, vec m1, vec m2,
                              const struct poly_factor *f)
{
    POLY_MULTIPLY_ADD(a, 0, m0, f->r0);
    POLY_MULTIPLY_ADD(a, 1, m0, f->r1);
    POLY_MULTIPLY_ADD(a, 2, m0, f->r2);
    POLY_MULTIPLY_ADD(a, 0, m1, f->s2);
    POLY_MULTIPLY_ADD(a, 1, m1, f->r0);
    POLY_MULTIPLY_ADD(a, 2, m1, f->r1);
    POLY_MULTIPLY_ADD(a, 0, m2, f->s1);
    POLY_MULTIPLY_ADD(a, 1, m2, f->s2);
    POLY_MULTIPLY_ADD(a, 2, m2, f->r0);
}

INLINE vec poly_times5(vec c)
{
    return _mm512_add_epi64(c, _mm512_slli_epi64(c, 2));
}

/* Reduces partially: h0 and h2 fit their limbs, h1 exceeds its own by a bit at most. */
INLINE void poly_carry(const struct poly_sum *a, vec *h0, vec *h1, vec *h2)
{
    vec c, x0, x1, x2;
    c = _mm512_add_epi64(_mm512_srli_epi64(a->low0, 44), _mm512_slli_epi64(a->high0, 8));
    x0 = _mm512_and_si512(a->low0, POLY_MASK44);
    x1 = _mm512_add_epi64(a->low1, c);
    c = _mm512_add_epi64(_mm512_srli_epi64(x1, 44), _mm512_slli_epi64(a->high1, 8));
    x1 = _mm512_and_si512(x1, POLY_MASK44);
    x2 = _mm512_add_epi64(a->low2, c);
    c = _mm512_add_epi64(_mm512_srli_epi64(x2, 42), _mm512_slli_epi64(a->high2, 10));
    *h2 = _mm512_and_si512(x2, POLY_MASK42);
    x0 = _mm512_add_epi64(x0, poly_times5(c));
    *h0 = _mm512_and_si512(x0, POLY_MASK44);
    *h1 = _mm512_add_epi64(x1, _mm512_srli_epi64(x0, 44));
}

INLINE struct poly_sum poly_sum_zero(void)
{
    vec z = _mm512_setzero_si512();
    return (struct poly_sum){z, z, z, z, z, z};
}

INLINE void poly_factor_set(struct poly_factor *f, vec r0, vec r1, vec r2)
{
    f->r0 = r0;
    f->r1 = r1;
    f->r2 = r2;
    f->s1 = _mm512_slli_epi64(poly_times5(r1), 2);
    f->s2 = _mm512_slli_epi64(poly_times5(r2), 2);
}

INLINE void poly_factor_multiply(struct poly_factor *out, const struct poly_factor *x,
                                 const struct poly_factor *y)
{
    struct poly_sum a = poly_sum_zero();
    vec r0, r1, r2;
    poly_multiply_add(&a, x->r0, x->r1, x->r2, y);
    poly_carry(&a, &r0, &r1, &r2);
    poly_factor_set(out, r0, r1, r2);
}

/* 128-bit numbers to limbs. */
INLINE void poly_limbs(vec low, vec high, vec *m0, vec *m1, vec *m2)
{
    *m0 = _mm512_and_si512(low, POLY_MASK44);
    *m1 = _mm512_and_si512(_mm512_shrdi_epi64(low, high, 44), POLY_MASK44);
    *m2 = _mm512_srli_epi64(high, 24);
}

/* The one-time keys of eight messages: r clamped here. */
INLINE void poly_init(struct poly *p, vec r_low, vec r_high, vec s_low, vec s_high)
{
    vec r0, r1, r2;
    r_low = _mm512_and_si512(r_low, _mm512_set1_epi64(0x0ffffffc0fffffff));
    r_high = _mm512_and_si512(r_high, _mm512_set1_epi64(0x0ffffffc0ffffffc));
    poly_limbs(r_low, r_high, &r0, &r1, &r2);
    poly_factor_set(&p->power[0], r0, r1, r2);
    poly_factor_multiply(&p->power[1], &p->power[0], &p->power[0]);
    poly_factor_multiply(&p->power[2], &p->power[1], &p->power[0]);
    poly_factor_multiply(&p->power[3], &p->power[1], &p->power[1]);
    p->pad_low = s_low;
    p->pad_high = s_high;
    p->h0 = p->h1 = p->h2 = _mm512_setzero_si512();
}

/* Eight times four blocks: low[i] and high[i] are block i of all messages. */
struct poly_blocks {
    vec low[4], high[4];
};

/* pairs[i]: of messages 2i and 2i + 1 by turns, half of each of their four blocks. */
INLINE void poly_transpose_half(vec out[4], const vec pairs[4])
{
    vec p = _mm512_shuffle_i64x2(pairs[0], pairs[1], 0x44);
    vec q = _mm512_shuffle_i64x2(pairs[0], pairs[1], 0xee);
    vec r = _mm512_shuffle_i64x2(pairs[2], pairs[3], 0x44);
    vec s = _mm512_shuffle_i64x2(pairs[2], pairs[3], 0xee);
    out[0] = _mm512_shuffle_i64x2(p, r, 0x88);
    out[1] = _mm512_shuffle_i64x2(p, r, 0xdd);
    out[2] = _mm512_shuffle_i64x2(q, s, 0x88);
    out[3] = _mm512_shuffle_i64x2(q, s, 0xdd);
}

/* in[i]: 64 bytes of message i, which stays in lane i. */
INLINE void poly_transpose(struct poly_blocks *b, const vec in[POLY_LANES])
{
    vec low[4], high[4];
    UNROLL for (int i = 0; i < 4; i++)
    {
        low[i] = _mm512_unpacklo_epi64(in[2 * i], in[2 * i + 1]);
        high[i] = _mm512_unpackhi_epi64(in[2 * i], in[2 * i + 1]);
    }
    poly_transpose_half(b->low, low);
    poly_transpose_half(b->high, high);
}

/* h = (h + b0) r^n + b1 r^(n-1) + ... for n blocks, 1 to 4, in the lanes of `active`; the others stay. */
INLINE void poly_step(struct poly *p, const struct poly_blocks *b, int n, __mmask8 active)
{
    const vec bit128 = _mm512_set1_epi64(1ll << 40);
    struct poly_sum a = poly_sum_zero();
    vec m0, m1, m2;
    UNROLL for (int i = 1; i < n; i++)
    {
        poly_limbs(b->low[i], b->high[i], &m0, &m1, &m2);
        poly_multiply_add(&a, m0, m1, _mm512_or_si512(m2, bit128), &p->power[n - 1 - i]);
    }
    poly_limbs(b->low[0], b->high[0], &m0, &m1, &m2);
    poly_multiply_add(&a, _mm512_add_epi64(m0, p->h0), _mm512_add_epi64(m1, p->h1),
                      _mm512_add_epi64(_mm512_or_si512(m2, bit128), p->h2), &p->power[n - 1]);
    poly_carry(&a, &m0, &m1, &m2);
    if (__builtin_constant_p(active) && active == 0xff) {
        p->h0 = m0;
        p->h1 = m1;
        p->h2 = m2;
        return;
    }
    p->h0 = _mm512_mask_mov_epi64(p->h0, active, m0);
    p->h1 = _mm512_mask_mov_epi64(p->h1, active, m1);
    p->h2 = _mm512_mask_mov_epi64(p->h2, active, m2);
}

/*
 * The last n blocks of each message, n from 1 to 4, which stand at the end of the four; the ones before must be zero.
 * present[i]: lanes that have block i; h is added to the first block that a lane has.
 */
INLINE void poly_last(struct poly *p, const struct poly_blocks *b, const __mmask8 present[4])
{
    struct poly_sum a = poly_sum_zero();
    vec m0, m1, m2;
    __mmask8 before = 0;
    UNROLL for (int i = 0; i < 4; i++)
    {
        __mmask8 first = present[i] & (__mmask8)~before;
        before = present[i];
        poly_limbs(b->low[i], b->high[i], &m0, &m1, &m2);
        m2 = _mm512_mask_or_epi64(m2, present[i], m2, _mm512_set1_epi64(1ll << 40));
        m0 = _mm512_mask_add_epi64(m0, first, m0, p->h0);
        m1 = _mm512_mask_add_epi64(m1, first, m1, p->h1);
        m2 = _mm512_mask_add_epi64(m2, first, m2, p->h2);
        poly_multiply_add(&a, m0, m1, m2, &p->power[3 - i]);
    }
    poly_carry(&a, &p->h0, &p->h1, &p->h2);
}

/* The tags: h modulo the prime, plus s modulo 2^128. */
INLINE void poly_finish(const struct poly *p, vec *low, vec *high)
{
    vec h0 = p->h0, h1 = p->h1, h2 = p->h2, c, g0, g1, g2;
    UNROLL for (int i = 0; i < 2; i++)
    {
        c = _mm512_srli_epi64(h1, 44);
        h1 = _mm512_and_si512(h1, POLY_MASK44);
        h2 = _mm512_add_epi64(h2, c);
        c = _mm512_srli_epi64(h2, 42);
        h2 = _mm512_and_si512(h2, POLY_MASK42);
        h0 = _mm512_add_epi64(h0, poly_times5(c));
        c = _mm512_srli_epi64(h0, 44);
        h0 = _mm512_and_si512(h0, POLY_MASK44);
        h1 = _mm512_add_epi64(h1, c);
    }
    /* h - p, kept where it is not negative: h + 5 reaches 2^130 */
    g0 = _mm512_add_epi64(h0, _mm512_set1_epi64(5));
    g1 = _mm512_add_epi64(h1, _mm512_srli_epi64(g0, 44));
    g0 = _mm512_and_si512(g0, POLY_MASK44);
    g2 = _mm512_add_epi64(h2, _mm512_srli_epi64(g1, 44));
    g1 = _mm512_and_si512(g1, POLY_MASK44);
    __mmask8 reached = _mm512_test_epi64_mask(g2, _mm512_set1_epi64(1ll << 42));
    h0 = _mm512_mask_mov_epi64(h0, reached, g0);
    h1 = _mm512_mask_mov_epi64(h1, reached, g1);
    h2 = _mm512_mask_mov_epi64(h2, reached, g2);
    *low = _mm512_or_si512(h0, _mm512_slli_epi64(h1, 44));
    *high = _mm512_or_si512(_mm512_srli_epi64(h1, 20), _mm512_slli_epi64(h2, 24));
    *low = _mm512_add_epi64(*low, p->pad_low);
    __mmask8 carry = _mm512_cmplt_epu64_mask(*low, p->pad_low);
    *high = _mm512_add_epi64(*high, p->pad_high);
    *high = _mm512_mask_add_epi64(*high, carry, *high, _mm512_set1_epi64(1));
}

AVX512_END

#endif
#endif
