/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums in vectors of 64-bit lanes. Two running values per lane, three instructions per vector:
 *
 *   all  += v          modulo 2^64
 *   high += v >> 32    exact
 *
 * With v = low + 2^32 * high the exact sum of the low halves is all - 2^32 * high (modulo 2^64, which it never
 * reaches), so no carry has to be caught. 2^16 = 1 modulo 2^16 - 1: 32-bit words add up like 16-bit words.
 */
#include "engine/checksum.h"

#include <stdbool.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/*
 * One version for AVX2, chosen by the dynamic linker, where that is possible; elsewhere the compiler lowers the
 * vectors to what it knows the machine has. Not in sanitizer builds, whose runtime is not ready when resolvers run.
 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer) || __has_feature(undefined_behavior_sanitizer)
#define NO_CLONES
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NO_CLONES
#endif
#if defined(__x86_64__) && defined(__ELF__) && defined(__GLIBC__) && !defined(__AVX2__) &&         \
    !defined(NO_CLONES)
#define CLONES
#endif

/* gcc 12 takes log2 of the lane count for the width of a lane. */
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wanalyzer-shift-count-overflow"
#endif

typedef uint64_t vec __attribute__((vector_size(32), aligned(1), may_alias));

struct lanes {
    vec all, high;
};

ALWAYS_INLINE void take(struct lanes *l, uint8_t *dst, const uint8_t *src, size_t at, bool copy)
{
    vec v = *(const vec *)(src + at);
    if (copy)
        *(vec *)(dst + at) = v;
    l->all += v;
    l->high += v >> 32;
}

ALWAYS_INLINE void take128(struct lanes *a, struct lanes *b, uint8_t *dst, const uint8_t *src,
                           size_t at, bool copy)
{
    take(a, dst, src, at, copy);
    take(b, dst, src, at + 32, copy);
    take(a, dst, src, at + 64, copy);
    take(b, dst, src, at + 96, copy);
}

ALWAYS_INLINE uint64_t take64(uint8_t *dst, const uint8_t *src, bool copy)
{
    if (copy)
        memcpy(dst, src, 8);
    return checksum_load64(src);
}

/* The last n < 32 bytes. */
ALWAYS_INLINE uint64_t take_tail(uint8_t *dst, const uint8_t *src, size_t n, bool copy)
{
    uint64_t sum = 0;
    if (n & 16) {
        sum = take64(dst, src, copy) + take64(dst + 8, src + 8, copy);
        src += 16;
        dst += 16;
    }
    if (n & 8) {
        sum += take64(dst, src, copy);
        src += 8;
        dst += 8;
    }
    if (n & 4) {
        sum += checksum_load32(src);
        if (copy)
            memcpy(dst, src, 4);
        src += 4;
        dst += 4;
    }
    if (n & 2) {
        uint16_t w;
        memcpy(&w, src, sizeof w);
        sum += w;
        if (copy)
            memcpy(dst, src, 2);
        src += 2;
        dst += 2;
    }
    if (n & 1) { /* padded with a zero byte behind it */
        sum += src[0];
        if (copy)
            dst[0] = src[0];
    }
    return sum;
}

ALWAYS_INLINE uint64_t sum_bytes(uint8_t *dst, const uint8_t *src, size_t n, bool copy)
{
    struct lanes a = {{0}, {0}}, b = {{0}, {0}};
    size_t i = 0;
    for (; i + 256 <= n; i += 256) {
        take128(&a, &b, dst, src, i, copy);
        take128(&a, &b, dst, src, i + 128, copy);
    }
    if (n & 128) {
        take128(&a, &b, dst, src, i, copy);
        i += 128;
    }
    if (n & 64) {
        take(&a, dst, src, i, copy);
        take(&b, dst, src, i + 32, copy);
        i += 64;
    }
    if (n & 32) {
        take(&a, dst, src, i, copy);
        i += 32;
    }
    uint64_t sum = take_tail(copy ? dst + i : dst, src + i, n % 32, copy);
    vec high = a.high + b.high;
    vec both = a.all + b.all - (high << 32) + high;
    return sum + both[0] + both[1] + both[2] + both[3]; /* exact while n < 2^32 */
}

/* A `dst` that goes along and is never written. */
ALWAYS_INLINE uint8_t *unwritten(const void *p)
{
    return (uint8_t *)(uintptr_t)p;
}

ALWAYS_INLINE uint64_t below_2_34(uint64_t sum, uint64_t init)
{
    return (sum & 0xffffffff) + (sum >> 32) + (init & 0xffffffff) + (init >> 32);
}

#ifdef CLONES

__attribute__((target("avx2"))) static uint64_t partial_avx2(const void *p, size_t n, uint64_t init)
{
    return below_2_34(sum_bytes(unwritten(p), p, n, false), init);
}

__attribute__((target("avx2"))) static uint64_t copy_avx2(void *dst, const void *src, size_t n,
                                                          uint64_t init)
{
    return below_2_34(sum_bytes(dst, src, n, true), init);
}

static uint64_t partial_any(const void *p, size_t n, uint64_t init)
{
    return below_2_34(sum_bytes(unwritten(p), p, n, false), init);
}

static uint64_t copy_any(void *dst, const void *src, size_t n, uint64_t init)
{
    return below_2_34(sum_bytes(dst, src, n, true), init);
}

typedef uint64_t (*partial_fn)(const void *p, size_t n, uint64_t init);
typedef uint64_t (*copy_fn)(void *dst, const void *src, size_t n, uint64_t init);

/* Named by the attributes below only. */
__attribute__((used)) static partial_fn resolve_partial(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") ? partial_avx2 : partial_any;
}

__attribute__((used)) static copy_fn resolve_copy(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") ? copy_avx2 : copy_any;
}

uint64_t checksum_partial(const void *p, size_t n, uint64_t init)
    __attribute__((ifunc("resolve_partial")));

uint64_t checksum_copy(void *dst, const void *src, size_t n, uint64_t init)
    __attribute__((ifunc("resolve_copy")));

#else

uint64_t checksum_partial(const void *p, size_t n, uint64_t init)
{
    return below_2_34(sum_bytes(unwritten(p), p, n, false), init);
}

uint64_t checksum_copy(void *dst, const void *src, size_t n, uint64_t init)
{
    return below_2_34(sum_bytes(dst, src, n, true), init);
}

#endif
