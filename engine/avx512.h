/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vocabulary of the AVX-512 code: what lies between AVX512_BEGIN and AVX512_END is compiled for that instruction set,
 * whatever the rest of the program is compiled for. Such code may only run after crypt_avx512_usable() said so.
 * Nothing here, or built from it, has a branch or an address that depends on a secret.
 */
#ifndef FZ_AVX512_H
#define FZ_AVX512_H

#if defined(__x86_64__)
#define HAVE_AVX512_CODE 1

#include <immintrin.h>
#include <stdint.h>

#ifdef __clang__
#define AVX512_BEGIN                                                                               \
    _Pragma(                                                                                       \
        "clang attribute push(__attribute__((target(\"avx512f,avx512vl,avx512bw,avx512dq,avx512ifma,avx512vbmi2,bmi2\"))), apply_to = function)")
#define AVX512_END _Pragma("clang attribute pop")
#else
#define AVX512_BEGIN                                                                               \
    _Pragma("GCC push_options")                                                                    \
        _Pragma("GCC target(\"avx512f,avx512vl,avx512bw,avx512dq,avx512ifma,avx512vbmi2,bmi2\")")
#define AVX512_END _Pragma("GCC pop_options")
#endif

#define INLINE   static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))
/* Without it gcc 12 keeps arrays of vectors in memory. */
#define UNROLL _Pragma("GCC unroll 16")

typedef __m512i vec;

/* A byte mask of the first n of 64 bytes; n may be outside 0..64. */
#define AVX512_FIRST_BYTES(n) ((n) <= 0 ? 0 : (n) >= 64 ? ~UINT64_C(0) : ~UINT64_C(0) >> (64 - (n)))

#endif
#endif
