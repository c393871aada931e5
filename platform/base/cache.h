/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks the CPU early for cache lines that another CPU may have, so that they come while something else is done. Hints:
 * any address will do, nothing is read or changed.
 */
#ifndef FZ_CACHE_H
#define FZ_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include <ck_pr.h>

#include "platform/base/bytes.h"

/* For reading. */
static inline void cache_fetch(const void *p)
{
    __builtin_prefetch(p, 0);
}

/* For writing: no other CPU has the line afterwards. Not __builtin_prefetch, which asks for reading on plain x86-64. */
static inline void cache_claim(const void *p)
{
    ck_pr_rfo(p);
}

/* The lines of `len` bytes, for writing. */
static inline void cache_claim_bytes(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i += CACHE_LINE)
        cache_claim(p + i);
}

#endif
