/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small value with one writer and any reader that must be read whole (Boehm, "Can seqlocks get along with
 * programming language memory models?"). The payload is copied in relaxed 64-bit words, so there is no data race;
 * the sequence word (even = stable) tells a torn read.
 */
#ifndef FZ_BASE_SEQLOCK_H
#define FZ_BASE_SEQLOCK_H

#include <stdint.h>
#include <string.h>

enum {
    SEQLOCK_WORDS = 8
};

struct seqlock {
    uint32_t sequence;
    uint64_t words[SEQLOCK_WORDS];
};

/* Writer only. n <= 64 bytes. The release fence keeps the odd mark before the words; partner: seqlock_read. */
static inline void seqlock_write(struct seqlock *s, const void *value, size_t n)
{
    uint64_t copy[SEQLOCK_WORDS] = {0};
    uint32_t sequence = s->sequence;
    memcpy(copy, value, n);
    __atomic_store_n(&s->sequence, sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    for (unsigned i = 0; i < SEQLOCK_WORDS; i++)
        __atomic_store_n(&s->words[i], copy[i], __ATOMIC_RELAXED);
    __atomic_store_n(&s->sequence, sequence + 2, __ATOMIC_RELEASE);
}

/* Any thread. Retries while a write is under way, which is a few dozen instructions long. */
static inline void seqlock_read(const struct seqlock *s, void *value, size_t n)
{
    uint64_t copy[SEQLOCK_WORDS];
    uint32_t before, after;
    do {
        before = __atomic_load_n(&s->sequence, __ATOMIC_ACQUIRE);
        for (unsigned i = 0; i < SEQLOCK_WORDS; i++)
            copy[i] = __atomic_load_n(&s->words[i], __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        after = __atomic_load_n(&s->sequence, __ATOMIC_RELAXED);
    } while (before != after || (before & 1));
    memcpy(value, copy, n);
}

#endif
