/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded single-producer single-consumer rings of fixed-size elements, over ck_ring.
 *
 *   RING_DEFINE(event, struct event)   gives struct event_ring and event_ring_{init,fini,push_spsc,pop_spsc,len}
 *
 * Elements are copied in and out. Capacity is a power of two; one slot stays empty. ck_ring orders the payload
 * between producer (release in enqueue) and consumer (acquire in dequeue); ThreadSanitizer does not see that, hence
 * the explicit annotations.
 */
#ifndef FZ_BASE_RING_H
#define FZ_BASE_RING_H

#include <stdbool.h>
#include <stdlib.h>

#include <ck_ring.h>

#include "platform/base/err.h"

#if defined(__SANITIZE_THREAD__)
#define RING_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RING_TSAN 1
#endif
#endif

#ifdef RING_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define RING_ACQUIRE(r) __tsan_acquire(r)
#define RING_RELEASE(r) __tsan_release(r)
#else
#define RING_ACQUIRE(r) ((void)0)
#define RING_RELEASE(r) ((void)0)
#endif

#define RING_FN static inline __attribute__((unused))

/* The slot type of a ring; part of RING_DEFINE. */
#define RING_SLOT(name, type)                                                                      \
    struct name##_ring_slot {                                                                      \
        type value;                                                                                \
    };

#define RING_DEFINE(name, type)                                                                    \
    RING_SLOT(name, type)                                                                          \
    CK_RING_PROTOTYPE(name##_ck, name##_ring_slot)                                                 \
    struct name##_ring {                                                                           \
        ck_ring_t ring;                                                                            \
        struct name##_ring_slot *slots;                                                            \
    };                                                                                             \
    /* capacity: power of two, >= 4. */                                                            \
    RING_FN enum err name##_ring_init(struct name##_ring *r, unsigned capacity)                    \
    {                                                                                              \
        r->slots = calloc(capacity, sizeof *r->slots);                                             \
        ck_ring_init(&r->ring, capacity);                                                          \
        return r->slots ? ERR_OK : ERR_NO_MEMORY;                                                  \
    }                                                                                              \
    RING_FN void name##_ring_fini(struct name##_ring *r)                                           \
    {                                                                                              \
        free(r->slots);                                                                            \
        r->slots = NULL;                                                                           \
    }                                                                                              \
    /* Producer only. False: full, nothing was pushed. */                                          \
    RING_FN bool name##_ring_push_spsc(struct name##_ring *r, type const *e)                       \
    {                                                                                              \
        struct name##_ring_slot slot = {*e};                                                       \
        RING_RELEASE(r);                                                                           \
        return CK_RING_ENQUEUE_SPSC(name##_ck, &r->ring, r->slots, &slot);                         \
    }                                                                                              \
    /* Consumer only. False: empty. */                                                             \
    RING_FN bool name##_ring_pop_spsc(struct name##_ring *r, type *e)                              \
    {                                                                                              \
        struct name##_ring_slot slot;                                                              \
        if (!CK_RING_DEQUEUE_SPSC(name##_ck, &r->ring, r->slots, &slot))                           \
            return false;                                                                          \
        RING_ACQUIRE(r);                                                                           \
        *e = slot.value;                                                                           \
        return true;                                                                               \
    }                                                                                              \
    /* Any thread; a snapshot. */                                                                  \
    RING_FN unsigned name##_ring_len(const struct name##_ring *r)                                  \
    {                                                                                              \
        return ck_ring_size(&r->ring);                                                             \
    }

#endif
