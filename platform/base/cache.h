/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the CPU early for cache lines that another CPU may have, so that they come while something else is done. Hints:
 * any address will do, nothing is read or changed.
 */
#ifndef FZ_CACHE_H
#define FZ_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "platform/base/bytes.h"

/* For reading. */
static inline void cache_fetch(const void *p)
{
    __builtin_prefetch(p, 0);
}

/* For writing: no other CPU has the line afterwards. x86-64 CPUs without the instruction take it for a NOP. */
static inline void cache_claim(const void *p)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" ::"m"(*(const uint8_t *)p));
#else
    __builtin_prefetch(p, 1);
#endif
}

/* The lines of `len` bytes, for writing. */
static inline void cache_claim_bytes(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i += CACHE_LINE)
        cache_claim(p + i);
}

#endif
