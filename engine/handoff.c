/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets that were read by one worker but belong to another: the record travels, the buffer is lent and comes back.
 * One ring per ordered pair of workers in each direction, so every ring has one producer and one consumer.
 */
#include "engine/worker.h"

bool handoff_lend(struct worker *w, unsigned target, const struct io_rx *rx)
{
    struct span span = {.rx = *rx, .origin = (uint8_t)w->index};

    if (target >= w->engine->workers_n)
        return false;
    struct worker *other = w->engine->workers[target];
    if (!span_ring_push_spsc(&other->handoff_in[w->index], &span))
        return false;
    w->lent[rx->kind][rx->buffer]++;
    w->wake_worker[target] = true;
    tally(w, TALLY_HANDOFFS_OUT, 1);
    return true;
}

void handoff_release(struct worker *w, unsigned origin, unsigned kind, uint16_t buffer)
{
    if (LIKELY(origin == w->index)) {
        if (w->lent[kind][buffer] == 0)
            io_rx_give_back(w->io, kind, buffer);
        return;
    }
    struct handback back = {.kind = (uint8_t)kind, .buffer = buffer};
    struct worker *other = w->engine->workers[origin];
    bool pushed = handback_ring_push_spsc(&other->handback_in[w->index], &back);
    ASSERT(pushed); /* the ring holds more than can be outstanding */
    w->wake_worker[origin] = true;
}

void handoff_collect(struct worker *w)
{
    struct handback back;
    for (unsigned i = 0; i < w->engine->workers_n; i++) {
        if (i == w->index)
            continue;
        while (handback_ring_pop_spsc(&w->handback_in[i], &back)) {
            DASSERT(w->lent[back.kind][back.buffer] > 0);
            if (--w->lent[back.kind][back.buffer] == 0)
                io_rx_give_back(w->io, back.kind, back.buffer);
        }
    }
}

unsigned handoff_take(struct worker *w)
{
    unsigned n = 0, workers = w->engine->workers_n;
    if (workers == 1)
        return 0;
    /* First a fair share for each, so that one busy reader does not starve the others; then what is left. */
    for (unsigned i = 0; i < 2 * workers; i++) {
        unsigned from = i % workers;
        if (from == w->index)
            continue;
        unsigned limit = i < workers ? n + WORKER_SPANS_MAX / (workers - 1) : WORKER_SPANS_MAX;
        while (n < size_min(limit, WORKER_SPANS_MAX) &&
               span_ring_pop_spsc(&w->handoff_in[from], &w->spans[n]))
            n++;
    }
    if (n > 0)
        tally(w, TALLY_HANDOFFS_IN, n);
    return n;
}

bool handoff_pending(const struct worker *w)
{
    for (unsigned i = 0; i < w->engine->workers_n; i++) {
        if (i != w->index &&
            (span_ring_len(&w->handoff_in[i]) > 0 || handback_ring_len(&w->handback_in[i]) > 0))
            return true;
    }
    return false;
}

void handoff_wake(struct worker *w)
{
    for (unsigned i = 0; i < w->engine->workers_n; i++) {
        if (!w->wake_worker[i])
            continue;
        w->wake_worker[i] = false;
        if (sleeper_must_wake(&w->engine->workers[i]->sleeper))
            io_wake(w->engine->workers[i]->io);
    }
}
