/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of packets through ChaCha20 and Poly1305, see crypt_avx512.h. */
#include "engine/crypt_avx512.h"

#include "engine/avx512.h"
#include "platform/base/bytes.h"
#include "platform/base/cache.h"
#include "platform/base/err.h"

#ifdef HAVE_AVX512_CODE

#include "engine/chacha20_avx512.h"
#include "engine/poly1305_avx512.h"

/* A test build marks keys as uninitialised and finds every branch on them; the validity of a tag is no secret. */
#ifdef FZ_DECLASSIFY
#include <sanitizer/msan_interface.h>
#define DECLASSIFY(x) __msan_unpoison(&(x), sizeof(x))
#else
#define DECLASSIFY(x) (void)(x)
#endif

enum {
    SET_MAX = CHACHA_LANES,
    KEY_WORDS = 8,
    BLOCK = 64,
    POLY_AHEAD = 4 * POLY_CHUNK, /* how far ahead of the authentication lines are asked for */
    STACK_WIPE = 8192            /* what the functions below sets_run use at most */
};

/*
 * Up to `width` packets on 32 lanes: lane i has packet i % width, of whose blocks the one numbered step * per_step +
 * i / width. Block 0 is the one-time key, block 1 the first of the data. Lanes of missing packets have no bytes left.
 */
struct set {
    unsigned n, width, width_log2, per_step;
    unsigned steps, full_end; /* from step 1 to before full_end every lane has 64 bytes of data */
    uintptr_t from[CHACHA_LANES], to[CHACHA_LANES]; /* the data of the lane's block in step 0 */
    int32_t left[CHACHA_LANES];                     /* bytes of data from there on */
    struct crypt_packet *packets[SET_MAX];

    /* Secret from here on. */
    uint32_t key[KEY_WORDS];
    struct chacha_unit unit[2];
    vec key_words[2][KEY_WORDS]; /* of block 0, lanes as in `unit` */
    vec stream[CHACHA_LANES];    /* step 0: a block per lane; later room for one unit */
    uint8_t tags[SET_MAX][CRYPT_TAG_LEN] __attribute__((aligned(64))); /* the right ones */
};

AVX512_BEGIN

static const uint8_t *packet_from(const struct crypt_packet *p)
{
    return p->from ? p->from : p->data;
}

/*
 * Addresses are numbers where they may lie outside of a packet: that of block 0 does, and so do those of lanes that
 * have no bytes left. Nothing is accessed there, not even under an empty mask: behind the packet there may be no page,
 * and a masked access to one that is missing costs the better part of a microsecond.
 */
INLINE vec load_block(uintptr_t at)
{
    return _mm512_loadu_si512((const void *)at);
}

INLINE void store_block(uintptr_t at, vec v)
{
    _mm512_storeu_si512((void *)at, v);
}

/* The first `left` of 64 bytes, and zeros; `left` may be outside 0..64. */
INLINE vec load_bytes(uintptr_t at, int64_t left)
{
    if (left <= 0)
        return _mm512_setzero_si512();
    return _mm512_maskz_loadu_epi8(AVX512_FIRST_BYTES(left), (const void *)at);
}

/* XORs as many bytes as there are of the block at `from` to `to`. */
INLINE void xor_bytes(uintptr_t to, uintptr_t from, int64_t left, vec v)
{
    if (left <= 0)
        return;
    __mmask64 mask = AVX512_FIRST_BYTES(left);
    vec data = _mm512_maskz_loadu_epi8(mask, (const void *)from);
    _mm512_mask_storeu_epi8((void *)to, mask, _mm512_xor_si512(v, data));
}

/* ---- ChaCha20 over a set ---- */

INLINE vec set_block(const struct set *s, int unit, unsigned step)
{
    return _mm512_add_epi32(s->unit[unit].block, _mm512_set1_epi32((int)(step * s->per_step)));
}

/* Step 0: the one-time keys and, in the lanes beyond `width`, the first blocks of key stream, to be used later. */
static NOINLINE void set_first_step(struct set *s)
{
    vec a[16], b[16];
    vec block_a = set_block(s, 0, 0), block_b = set_block(s, 1, 0);
    chacha_start(a, s->key, &s->unit[0], block_a);
    chacha_start(b, s->key, &s->unit[1], block_b);
    chacha_rounds(a, b);
    UNROLL for (int i = 0; i < 16; i++) s->stream[CHACHA_UNIT + i] = b[i];
    __asm__ volatile("" ::: "memory"); /* frees b's registers for the rest of a */
    chacha_finish(a, s->key, &s->unit[0], block_a);
    UNROLL for (int i = 0; i < KEY_WORDS; i++) s->key_words[0][i] = a[i];
    if (s->per_step > 1) {
        chacha_transpose(a);
        UNROLL for (int i = 0; i < 16; i++) s->stream[i] = a[i];
    }
    UNROLL for (int i = 0; i < 16; i++) b[i] = s->stream[CHACHA_UNIT + i];
    chacha_finish(b, s->key, &s->unit[1], block_b);
    UNROLL for (int i = 0; i < KEY_WORDS; i++) s->key_words[1][i] = b[i];
    if (s->per_step > 1) {
        chacha_transpose(b);
        UNROLL for (int i = 0; i < 16; i++) s->stream[CHACHA_UNIT + i] = b[i];
    }
}

/* XORs a block per lane, 64 bytes each. */
INLINE void unit_xor(const struct set *s, unsigned lane, const vec *v, size_t at)
{
    UNROLL for (unsigned i = 0; i < CHACHA_UNIT; i++) store_block(
        s->to[lane + i] + at, _mm512_xor_si512(v[i], load_block(s->from[lane + i] + at)));
}

/* The same with as many bytes as each lane has left. */
INLINE void unit_xor_left(const struct set *s, unsigned lane, const vec *v, size_t at)
{
    UNROLL for (unsigned i = 0; i < CHACHA_UNIT; i++) xor_bytes(
        s->to[lane + i] + at, s->from[lane + i] + at, s->left[lane + i] - (int64_t)at, v[i]);
}

/*
 * Asks for the lines that the step will read and write after its rounds: 32 streams are more than a CPU sees by itself,
 * and with helpers another CPU had them last. A block's first line is the last one of the block before.
 */
INLINE void set_prefetch(const struct set *s, size_t at)
{
    for (unsigned i = 0; i < CHACHA_LANES; i++)
        cache_fetch((const void *)(s->from[i] + at + BLOCK - 1));
    if (s->from[0] == s->to[0])
        return;
    for (unsigned i = 0; i < CHACHA_LANES; i++)
        cache_claim((const void *)(s->to[i] + at + BLOCK - 1));
}

INLINE void set_step(struct set *s, unsigned step, bool full)
{
    vec a[16], b[16];
    vec block_a = set_block(s, 0, step), block_b = set_block(s, 1, step);
    size_t at = (size_t)step * s->per_step * BLOCK;

    if (full)
        set_prefetch(s, at);
    chacha_start(a, s->key, &s->unit[0], block_a);
    chacha_start(b, s->key, &s->unit[1], block_b);
    chacha_rounds(a, b);
    UNROLL for (int i = 0; i < 16; i++) s->stream[i] = b[i];
    __asm__ volatile("" ::: "memory");
    chacha_finish(a, s->key, &s->unit[0], block_a);
    chacha_transpose(a);
    if (full)
        unit_xor(s, 0, a, at);
    else
        unit_xor_left(s, 0, a, at);
    UNROLL for (int i = 0; i < 16; i++) b[i] = s->stream[i];
    chacha_finish(b, s->key, &s->unit[1], block_b);
    chacha_transpose(b);
    if (full)
        unit_xor(s, CHACHA_UNIT, b, at);
    else
        unit_xor_left(s, CHACHA_UNIT, b, at);
}

static NOINLINE void set_step_full(struct set *s, unsigned step)
{
    set_step(s, step, true);
}

static NOINLINE void set_step_left(struct set *s, unsigned step)
{
    set_step(s, step, false);
}

/* What step 0 made beyond the one-time keys. */
static NOINLINE void set_xor_first(struct set *s)
{
    for (unsigned i = s->width; i < CHACHA_LANES; i++)
        xor_bytes(s->to[i], s->from[i], s->left[i], s->stream[i]);
}

static void set_crypt(struct set *s)
{
    unsigned step = 1;
    if (s->per_step > 1)
        set_xor_first(s);
    for (; step < s->full_end; step++)
        set_step_full(s, step);
    for (; step < s->steps; step++)
        set_step_left(s, step);
}

/* ---- Poly1305 over a set ---- */

/* Eight of the set's messages. */
struct messages {
    uintptr_t at[POLY_LANES];
    uint32_t len[POLY_LANES];
};

/* Words of block 0, of eight lanes, as 64-bit numbers. */
INLINE vec key_pair(const struct set *s, unsigned first_lane, int word)
{
    const vec *w = s->key_words[first_lane / CHACHA_UNIT];
    __m256i low, high;
    if (first_lane % CHACHA_UNIT == 0) {
        low = _mm512_castsi512_si256(w[word]);
        high = _mm512_castsi512_si256(w[word + 1]);
    } else {
        low = _mm512_extracti64x4_epi64(w[word], 1);
        high = _mm512_extracti64x4_epi64(w[word + 1], 1);
    }
    return _mm512_or_si512(_mm512_cvtepu32_epi64(low),
                           _mm512_slli_epi64(_mm512_cvtepu32_epi64(high), 32));
}

INLINE uint32_t blocks16(uint32_t len)
{
    return (len + 15) / 16;
}

/* Chunk `at` of all messages; `active` ones have (the start of) four blocks there. */
INLINE void poly_chunk_left(struct poly *p, const struct messages *m, uint32_t at)
{
    vec in[POLY_LANES];
    struct poly_blocks b;
    __mmask8 active = 0;
    UNROLL for (int i = 0; i < POLY_LANES; i++)
    {
        bool whole = blocks16(m->len[i]) / 4 * POLY_CHUNK > at;
        int64_t left = whole ? (int64_t)m->len[i] - at : 0;
        active |= (__mmask8)(whole << i);
        in[i] = load_bytes(m->at[i] + at, left);
    }
    poly_transpose(&b, in);
    poly_step(p, &b, 4, active);
}

/* The up to three blocks behind the last chunk, and the block of lengths; all messages have the same length. */
INLINE void poly_tail_equal(struct poly *p, const struct messages *m)
{
    uint32_t blocks = blocks16(m->len[0]) % 4, at = blocks16(m->len[0]) / 4 * POLY_CHUNK;
    int64_t left = blocks ? (int64_t)m->len[0] - at : 0;
    vec length = _mm512_set1_epi64((int64_t)m->len[0]), in[POLY_LANES];
    struct poly_blocks b;

    UNROLL for (int i = 0; i < POLY_LANES; i++) in[i] = load_bytes(m->at[i] + at, left);
    poly_transpose(&b, in);
    UNROLL for (uint32_t i = 0; i < 4; i++)
    {
        if (blocks == i) {
            b.low[i] = _mm512_setzero_si512();
            b.high[i] = length; /* none are associated data */
            poly_step(p, &b, (int)i + 1, 0xff);
        }
    }
}

/* The same for messages of different lengths: what each has is moved to the end of four blocks. */
INLINE void poly_tail(struct poly *p, const struct messages *m)
{
    uint8_t tail[POLY_LANES][POLY_CHUNK] __attribute__((aligned(64)));
    vec in[POLY_LANES];
    struct poly_blocks b;
    __mmask8 present[4] = {0, 0, 0, 0xff};

    UNROLL for (int i = 0; i < POLY_LANES; i++)
    {
        uint32_t blocks = blocks16(m->len[i]) % 4;
        uint32_t at = blocks16(m->len[i]) / 4 * POLY_CHUNK;
        vec data = load_bytes(m->at[i] + at, blocks ? (int64_t)m->len[i] - at : 0);
        __m128i lengths = _mm_set_epi64x((int64_t)m->len[i], 0);
        _mm512_store_si512(tail[i], _mm512_setzero_si512());
        _mm512_mask_storeu_epi8(tail[i] + 16 * (3 - blocks), (UINT64_C(1) << (16 * blocks)) - 1,
                                data);
        _mm_store_si128((__m128i *)(void *)(tail[i] + 48), lengths);
        for (uint32_t k = 0; k < 3; k++)
            present[k] |= (__mmask8)((k + blocks >= 3) << i);
    }
    UNROLL for (int i = 0; i < POLY_LANES; i++) in[i] = _mm512_load_si512(tail[i]);
    poly_transpose(&b, in);
    poly_last(p, &b, present);
}

INLINE void messages_prefetch(const struct messages *m, int eights, uint32_t at)
{
    for (int e = 0; e < eights; e++) {
        for (int i = 0; i < POLY_LANES; i++)
            cache_fetch((const void *)(m[e].at[i] + at + POLY_CHUNK - 1));
    }
}

/* Messages of `eights` eights, side by side for the sake of latency. */
INLINE void poly_messages(struct poly *p, const struct messages *m, int eights)
{
    uint32_t shortest = UINT32_MAX, longest = 0, at = 0;

    for (int e = 0; e < eights; e++) {
        for (int i = 0; i < POLY_LANES; i++) {
            shortest = (uint32_t)size_min(shortest, m[e].len[i]);
            longest = (uint32_t)size_max(longest, m[e].len[i]);
        }
    }
    for (; at + POLY_CHUNK <= shortest; at += POLY_CHUNK) {
        if (at + POLY_AHEAD + POLY_CHUNK <= shortest)
            messages_prefetch(m, eights, at + POLY_AHEAD);
        UNROLL for (int e = 0; e < eights; e++)
        {
            vec in[POLY_LANES];
            struct poly_blocks b;
            UNROLL for (int i = 0; i < POLY_LANES; i++) in[i] = load_block(m[e].at[i] + at);
            poly_transpose(&b, in);
            poly_step(&p[e], &b, 4, 0xff);
        }
    }
    for (; at < blocks16(longest) / 4 * POLY_CHUNK; at += POLY_CHUNK) {
        for (int e = 0; e < eights; e++)
            poly_chunk_left(&p[e], &m[e], at);
    }
    for (int e = 0; e < eights; e++) {
        if (shortest == longest)
            poly_tail_equal(&p[e], &m[e]);
        else
            poly_tail(&p[e], &m[e]);
    }
}

/* The tags of 8 * eights packets from `first` on: of the ciphertext at `data`, or at `from` when it is to be opened. */
INLINE void tags_of(struct set *s, unsigned first, bool opening, int eights)
{
    struct poly p[2];
    struct messages m[2];

    for (int e = 0; e < eights; e++) {
        for (unsigned i = 0; i < POLY_LANES; i++) {
            unsigned k = first + (unsigned)e * POLY_LANES + i;
            const struct crypt_packet *x = s->packets[k < s->n ? k : s->n - 1];
            m[e].at[i] = (uintptr_t)(opening ? packet_from(x) : x->data);
            m[e].len[i] = x->len;
        }
    }
    UNROLL for (int e = 0; e < eights; e++)
    {
        unsigned lane = first + (unsigned)e * POLY_LANES;
        poly_init(&p[e], key_pair(s, lane, 0), key_pair(s, lane, 2), key_pair(s, lane, 4),
                  key_pair(s, lane, 6));
    }
    poly_messages(p, m, eights);
    UNROLL for (int e = 0; e < eights; e++)
    {
        vec low, high;
        poly_finish(&p[e], &low, &high);
        vec first_half =
            _mm512_permutex2var_epi64(low, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), high);
        vec second_half =
            _mm512_permutex2var_epi64(low, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), high);
        _mm512_storeu_si512(s->tags[first + (unsigned)e * POLY_LANES], first_half);
        _mm512_storeu_si512(s->tags[first + (unsigned)e * POLY_LANES + 4], second_half);
    }
}

static NOINLINE void tags_of_8(struct set *s, unsigned first, bool opening)
{
    tags_of(s, first, opening, 1);
}

static NOINLINE void tags_of_16(struct set *s, unsigned first, bool opening)
{
    tags_of(s, first, opening, 2);
}

static void set_tags(struct set *s, bool opening)
{
    unsigned first = 0;
    for (; first + POLY_LANES < s->n; first += 2 * POLY_LANES)
        tags_of_16(s, first, opening);
    if (first < s->n)
        tags_of_8(s, first, opening);
}

static void set_write_tags(struct set *s)
{
    set_tags(s, false);
    for (unsigned i = 0; i < s->n; i++)
        memcpy(s->packets[i]->data + s->packets[i]->len, s->tags[i], CRYPT_TAG_LEN);
}

/* Sets `ok`, and takes lanes of packets that are not from those to be written. Returns how many are. */
static unsigned set_check_tags(struct set *s)
{
    unsigned ok_count = 0;
    set_tags(s, true);
    for (unsigned i = 0; i < s->n; i++) {
        struct crypt_packet *p = s->packets[i];
        __m128i made = _mm_load_si128((const __m128i *)(const void *)s->tags[i]);
        __m128i sent = _mm_loadu_si128((const __m128i *)(const void *)(packet_from(p) + p->len));
        __m128i differ = _mm_xor_si128(made, sent);
        bool ok = _mm_testz_si128(differ, differ);
        DECLASSIFY(ok);
        p->ok = ok;
        ok_count += ok;
        for (unsigned lane = i; !ok && lane < CHACHA_LANES; lane += s->width)
            s->left[lane] = 0;
    }
    if (ok_count < s->n)
        s->full_end = 1;
    return ok_count;
}

/* ---- sets ---- */

static void set_lanes(struct set *s)
{
    uint64_t counters[CHACHA_LANES];
    uint32_t block[CHACHA_LANES];

    for (unsigned i = 0; i < CHACHA_LANES; i++) {
        unsigned k = i & (s->width - 1);
        const struct crypt_packet *p = s->packets[k < s->n ? k : 0];
        block[i] = i >> s->width_log2;
        int32_t at = ((int32_t)block[i] - 1) * BLOCK;
        s->from[i] = (uintptr_t)packet_from(p) + (uintptr_t)at;
        s->to[i] = (uintptr_t)p->data + (uintptr_t)at;
        s->left[i] = k < s->n ? (int32_t)p->len - at : 0;
        counters[i] = p->counter;
    }
    for (unsigned u = 0; u < 2; u++)
        chacha_unit_init(&s->unit[u], s->key, counters + u * CHACHA_UNIT,
                         _mm512_loadu_si512(block + u * CHACHA_UNIT));
}

/* n packets, in falling order of length, on lanes for `width` of them. */
static void set_init(struct set *s, struct crypt_packet *const *packets, unsigned n, unsigned width)
{
    uint32_t shortest = packets[n - 1]->len, longest = packets[0]->len;

    memcpy(s->packets, packets, n * sizeof *packets);
    s->n = n;
    s->width = width;
    s->width_log2 = (unsigned)__builtin_ctz(width);
    s->per_step = CHACHA_LANES >> s->width_log2;
    s->steps = (1 + (longest + BLOCK - 1) / BLOCK + s->per_step - 1) * width / CHACHA_LANES;
    s->full_end = n == width ? (1 + shortest / BLOCK) * width / CHACHA_LANES : 1;
    set_lanes(s);
}

/*
 * Lanes for the next set when n packets are left, 0: they are too few. Wider sets cost less per lane, lanes without a
 * packet cost as much as others; the limits are where the cost of 1280-byte packets is equal.
 */
static unsigned set_width(unsigned n)
{
    if (n > 28)
        return 32;
    if (n > 12)
        return 16;
    if (n > 5)
        return 8;
    return n > 3 ? 4 : 0;
}

/* Falling order of length, so that the packets of a set differ little. Mostly they have it already. */
static void sort_packets(struct crypt_packet **out, struct crypt_packet *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned k = i;
        ASSERT(p[i].len <= CRYPT_LEN_MAX); /* or else `left` would not hold it */
        for (; k > 0 && out[k - 1]->len < p[i].len; k--)
            out[k] = out[k - 1];
        out[k] = &p[i];
    }
}

INLINE void wipe_block(uint8_t *at)
{
    __asm__ volatile("vmovdqu64 %1, %0"
                     : "=m"(*(uint8_t(*)[sizeof(vec)])at)
                     : "v"(_mm512_setzero_si512()));
}

/* At least one block: its ends, and all whole cache lines between. As secure_wipe, whose start a small batch feels. */
INLINE void wipe(void *bytes, size_t len)
{
    uint8_t *const first = bytes, *const last = first + len - sizeof(vec);

    wipe_block(first);
    for (uint8_t *at = first + (-(uintptr_t)first & (sizeof(vec) - 1)); at < last;
         at += sizeof(vec))
        wipe_block(at);
    wipe_block(last);
}

/* Clears what the caller's callees have left in registers and on the stack. */
static NOINLINE void wipe_traces(void)
{
    uint8_t below[STACK_WIPE];
    wipe(below, sizeof below);
    __asm__ volatile("vzeroall\n\t"
                     ".irp i,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t"
                     "vpxord %%zmm\\i, %%zmm\\i, %%zmm\\i\n\t"
                     ".endr\n\t"
                     ".irp i,0,1,2,3,4,5,6,7\n\t"
                     "kxorq %%k\\i, %%k\\i, %%k\\i\n\t"
                     ".endr\n\t"
                     ".irp r,eax,ecx,edx,esi,edi,r8d,r9d,r10d,r11d\n\t"
                     "xorl %%\\r, %%\\r\n\t"
                     ".endr" ::
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
                           "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16",
                           "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24",
                           "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k0",
                           "k1", "k2", "k3", "k4", "k5", "k6", "k7", "rax", "rcx", "rdx", "rsi",
                           "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
}

/* How many of n packets go through sets. */
static unsigned sets_cover(unsigned n)
{
    unsigned done = 0, width;
    while ((width = set_width(n - done)) > 0)
        done += (unsigned)size_min(width, n - done);
    return done;
}

/* The first packets, as many as go through sets. Returns how many of them are authentic, when opening. */
static NOINLINE unsigned sets_each(struct set *s, const struct crypt_key *k,
                                   struct crypt_packet *const *sorted, unsigned n, bool opening)
{
    unsigned ok_count = 0;

    memcpy(s->key, k->raw, sizeof s->key);
    for (unsigned done = 0, width, count; (width = set_width(n - done)) > 0; done += count) {
        count = (unsigned)size_min(width, n - done);
        set_init(s, sorted + done, count, width);
        set_first_step(s);
        if (opening)
            ok_count += set_check_tags(s);
        set_crypt(s);
        if (!opening)
            set_write_tags(s);
    }
    return ok_count;
}

/* The same, leaving no secrets behind. All that may spill them runs below this function's frame. */
static NOINLINE unsigned sets_run(const struct crypt_key *k, struct crypt_packet *const *sorted,
                                  unsigned n, bool opening)
{
    struct set s;
    unsigned ok_count = sets_each(&s, k, sorted, n, opening);
    wipe(&s.key, sizeof s - offsetof(struct set, key));
    wipe_traces();
    return ok_count;
}

AVX512_END

static unsigned batch_run(const struct crypt_key *k, struct crypt_packet *p, unsigned n,
                          bool opening)
{
    struct crypt_packet *sorted[CRYPT_BATCH_MAX];
    unsigned covered = sets_cover(n), ok_count = 0;

    sort_packets(sorted, p, n);
    if (covered > 0)
        ok_count = sets_run(k, sorted, n, opening);
    for (unsigned i = covered; i < n; i++) {
        if (opening)
            ok_count += crypt_boringssl_ops.open(k, sorted[i], 1);
        else
            crypt_boringssl_ops.seal(k, sorted[i], 1);
    }
    return ok_count;
}

static void avx512_seal(const struct crypt_key *k, struct crypt_packet *p, unsigned n)
{
    (void)batch_run(k, p, n, false);
}

static unsigned avx512_open(const struct crypt_key *k, struct crypt_packet *p, unsigned n)
{
    return batch_run(k, p, n, true);
}

bool crypt_avx512_usable(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("avx512vbmi2") &&
           __builtin_cpu_supports("bmi2");
}

#else

bool crypt_avx512_usable(void)
{
    return false;
}

#endif

const struct crypt_backend_ops crypt_avx512_ops = {
    .name = "avx512",
#ifdef HAVE_AVX512_CODE
    .seal = avx512_seal,
    .open = avx512_open,
#endif
};
