/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A counter with one writer and any reader, and published scalars. Relaxed atomics: a reader sees whole values,
 * in no particular order between counters.
 */
#ifndef FZ_BASE_COUNTER_H
#define FZ_BASE_COUNTER_H

#include <stdint.h>

struct counter {
    uint64_t value;
};

/* Writer only. */
static inline void counter_add(struct counter *c, uint64_t n)
{
    __atomic_store_n(&c->value, c->value + n, __ATOMIC_RELAXED);
}

/* Writer only: for published timestamps and gauges. */
static inline void counter_set(struct counter *c, uint64_t v)
{
    __atomic_store_n(&c->value, v, __ATOMIC_RELAXED);
}

/* Any thread. */
static inline uint64_t counter_read(const struct counter *c)
{
    return __atomic_load_n(&c->value, __ATOMIC_RELAXED);
}

#endif
