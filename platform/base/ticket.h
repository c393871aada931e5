/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that its owner may share: a queue of tickets in the order in which the owner wants them back. The owner pushes
 * and pops; any other thread, and the owner too, may take the oldest ticket that is on offer and finish it.
 *
 * A ticket is a part of a larger record, whose memory stays valid as long as any thread may look at the queue; what the
 * taker needs is written before the push, what it made is read after ticket_is_done. Pairs: the push (release) with
 * the taker's compare-and-swap (acquire), ticket_finish (release) with ticket_is_done (acquire). A taker may meet a ticket
 * that was popped and pushed again meanwhile; what it takes then is the new work, whole.
 */
#ifndef FZ_BASE_TICKET_H
#define FZ_BASE_TICKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/bytes.h"

enum {
    TICKET_QUEUE_SIZE = 32 /* power of two */
};

enum ticket_state {
    TICKET_IDLE,
    TICKET_OFFERED,
    TICKET_TAKEN,
    TICKET_DONE
};

struct ticket {
    uint32_t state; /* enum ticket_state */
};

struct ticket_queue {
    uint32_t head,
        tail; /* written by the owner; numbers of the oldest ticket and of the next one */
    struct ticket *ring[TICKET_QUEUE_SIZE];
} __attribute__((aligned(CACHE_LINE)));

/* ---- the owner ---- */

static inline unsigned ticket_queue_len(const struct ticket_queue *q)
{
    return q->tail - q->head;
}

/* state: TICKET_OFFERED, or TICKET_DONE for what only has to keep its place. False: full. */
static inline bool ticket_push(struct ticket_queue *q, struct ticket *t, enum ticket_state state)
{
    if (ticket_queue_len(q) == TICKET_QUEUE_SIZE)
        return false;
    __atomic_store_n(&t->state, (uint32_t)state, __ATOMIC_RELEASE);
    __atomic_store_n(&q->ring[q->tail % TICKET_QUEUE_SIZE], t, __ATOMIC_RELEASE);
    __atomic_store_n(&q->tail, q->tail + 1, __ATOMIC_RELEASE);
    return true;
}

/* The oldest ticket; NULL: none. */
static inline struct ticket *ticket_first(const struct ticket_queue *q)
{
    return ticket_queue_len(q) == 0 ? NULL : q->ring[q->head % TICKET_QUEUE_SIZE];
}

/* Removes the oldest ticket; if somebody has taken it, it is not free before it is done. */
static inline void ticket_pop(struct ticket_queue *q)
{
    __atomic_store_n(&q->head, q->head + 1, __ATOMIC_RELEASE);
}

static inline bool ticket_is_done(const struct ticket *t)
{
    return __atomic_load_n(&t->state, __ATOMIC_ACQUIRE) == TICKET_DONE;
}

/* ---- any thread ---- */

/* False: it is not on offer. */
static inline bool ticket_take(struct ticket *t)
{
    uint32_t offered = TICKET_OFFERED;
    return __atomic_load_n(&t->state, __ATOMIC_RELAXED) == TICKET_OFFERED &&
           __atomic_compare_exchange_n(&t->state, &offered, TICKET_TAKEN, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

/* Takes the oldest ticket that is on offer; NULL: none. */
static inline struct ticket *ticket_take_any(struct ticket_queue *q)
{
    uint32_t tail = __atomic_load_n(&q->tail, __ATOMIC_ACQUIRE);
    uint32_t i = __atomic_load_n(&q->head, __ATOMIC_RELAXED);
    for (; (int32_t)(tail - i) > 0; i++) {
        struct ticket *t = __atomic_load_n(&q->ring[i % TICKET_QUEUE_SIZE], __ATOMIC_ACQUIRE);
        if (ticket_take(t))
            return t;
    }
    return NULL;
}

/* More than `n` are on offer; others may take them meanwhile. */
static inline bool ticket_offers_more(const struct ticket_queue *q, unsigned n)
{
    uint32_t tail = __atomic_load_n(&q->tail, __ATOMIC_ACQUIRE);
    uint32_t i = __atomic_load_n(&q->head, __ATOMIC_RELAXED);
    for (; (int32_t)(tail - i) > 0; i++) {
        const struct ticket *t = __atomic_load_n(&q->ring[i % TICKET_QUEUE_SIZE], __ATOMIC_ACQUIRE);
        if (__atomic_load_n(&t->state, __ATOMIC_RELAXED) == TICKET_OFFERED && n-- == 0)
            return true;
    }
    return false;
}

/* Something is on offer. After sleeper_prepare it sees what was pushed before sleeper_must_wake returned false. */
static inline bool ticket_offered(const struct ticket_queue *q)
{
    return ticket_offers_more(q, 0);
}

/* By who took it: what was made is there. */
static inline void ticket_finish(struct ticket *t)
{
    __atomic_store_n(&t->state, TICKET_DONE, __ATOMIC_RELEASE);
}

#endif
