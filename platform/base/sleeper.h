/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sleeping and waking without lost wake-ups.
 *
 * Sleeper: sleeper_prepare (sets the flag, full fence), look at all its queues once more, sleep only if they are
 * empty, sleeper_awake afterwards. Waker: push, then sleeper_must_wake (full fence, reads the flag) and, if true,
 * signal. The two full fences pair: either the sleeper sees the push or the waker sees the flag (store-load order,
 * which acquire and release do not give). Several wakers may see the flag; one signal too many is harmless.
 */
#ifndef FZ_BASE_SLEEPER_H
#define FZ_BASE_SLEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/bytes.h"

struct sleeper {
    uint32_t asleep;
} __attribute__((aligned(CACHE_LINE)));

/* ThreadSanitizer does not model fences: there the flag itself is accessed with seq_cst read-modify-writes. */
static inline void sleeper_prepare(struct sleeper *s)
{
#if defined(__SANITIZE_THREAD__)
    __atomic_exchange_n(&s->asleep, 1, __ATOMIC_SEQ_CST);
#else
    /* A fence of its own: on AArch64 an exchange does not keep later loads behind it. */
    __atomic_store_n(&s->asleep, 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

static inline void sleeper_awake(struct sleeper *s)
{
    __atomic_store_n(&s->asleep, 0, __ATOMIC_RELAXED);
}

/* After a push. True: the caller signals; the flag is taken down so that one of several wakers does. */
static inline bool sleeper_must_wake(struct sleeper *s)
{
#if defined(__SANITIZE_THREAD__)
    return __atomic_exchange_n(&s->asleep, 0, __ATOMIC_SEQ_CST) == 1;
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&s->asleep, __ATOMIC_RELAXED) == 0)
        return false;
    return __atomic_exchange_n(&s->asleep, 0, __ATOMIC_SEQ_CST) == 1;
#endif
}

#endif
