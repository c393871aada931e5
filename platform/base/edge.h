/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Edges: a set of bits that one thread raises and another takes, so that a fact is reported once however often it
 * happens, and never lost. The raiser queues a notice only when the set was empty; the taker empties it before it
 * looks at the facts. Both sides are read-modify-writes (acquire and release), which pair with each other.
 */
#ifndef FZ_BASE_EDGE_H
#define FZ_BASE_EDGE_H

#include <stdbool.h>
#include <stdint.h>

struct edges {
    uint32_t bits;
};

/* True: the set was empty, so the caller queues the notice. */
static inline bool edge_raise(struct edges *e, uint32_t bits)
{
    return __atomic_fetch_or(&e->bits, bits, __ATOMIC_ACQ_REL) == 0;
}

static inline uint32_t edge_take(struct edges *e)
{
    return __atomic_exchange_n(&e->bits, 0, __ATOMIC_ACQ_REL);
}

/*
 * Arming: bits that say "the other side already watches this fact". The worker publishes a fact, then asks
 * arm_missing; control takes the bit down with arm_clear and then reads the fact again. Full fences on both sides
 * (store-load), so that a fact published in between is seen by one of the two.
 */
static inline uint32_t arm_missing(struct edges *e, uint32_t bits)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if ((__atomic_load_n(&e->bits, __ATOMIC_RELAXED) & bits) == bits)
        return 0;
    return bits & ~__atomic_fetch_or(&e->bits, bits, __ATOMIC_SEQ_CST);
}

static inline void arm_clear(struct edges *e, uint32_t bits)
{
    __atomic_fetch_and(&e->bits, ~bits, __ATOMIC_SEQ_CST);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static inline void arm_set(struct edges *e, uint32_t bits)
{
    __atomic_fetch_or(&e->bits, bits, __ATOMIC_SEQ_CST);
}

#endif
