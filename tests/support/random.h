/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that look random and are the same on every system: xorshift64. For tests. */
#ifndef FZ_TESTS_SUPPORT_RANDOM_H
#define FZ_TESTS_SUPPORT_RANDOM_H

#include <stdint.h>

/* 0 .. n - 1. state: not 0. */
static inline uint32_t random_below(uint64_t *state, uint32_t n)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 32) % n;
}

#endif
