/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets that were read by one worker but belong to another: the record travels, the buffer is lent and comes back.
 * One ring per ordered pair of workers in each direction, so every ring has one producer and one consumer.
 *
 * A worker may hold fewer buffers of ours than nobody holds: one that stands still gets half of them, a second one a
 * quarter, and one is always left, so that what is for others goes on. Beyond that its spans wait here, which keeps
 * buffers and so slows the reading down to its pace; when it has returned nothing for LEND_PATIENCE_MS they are
 * dropped. Of what is lent to a worker and not returned a ring holds WORKER_SPANS_OUT_MAX; no more is lent.
 */
#include "engine/worker.h"

enum {
    LEND_PATIENCE_MS = 100 /* longer than a busy system keeps a thread from its CPU */
};

_Static_assert(WORKER_UDP_BUFFERS >= WORKER_TUN_BUFFERS, "struct lending's arrays serve both");

static unsigned pool_size(unsigned kind)
{
    return kind == IO_RX_TUN ? WORKER_TUN_BUFFERS : WORKER_UDP_BUFFERS;
}

static bool may_hold(const struct lending *l, unsigned target, const struct io_rx *rx)
{
    if (l->out[target] >= WORKER_SPANS_OUT_MAX)
        return false;
    return l->at[rx->kind][rx->buffer][target] > 0 ||
           l->held[rx->kind][target] + l->held_all[rx->kind] + 1u < pool_size(rx->kind);
}

static time_ns patience_end(const struct lending *l, unsigned target)
{
    return l->progress[target] + LEND_PATIENCE_MS * NS_PER_MS;
}

static void span_push(struct worker *w, unsigned target, const struct span *span)
    REQUIRES_ROLE(role_worker)
{
    struct lending *l = &w->lending;
    const struct io_rx *rx = &span->rx;
    bool pushed = span_ring_push_spsc(&w->engine->workers[target]->handoff_in[w->index], span);

    ASSERT(pushed); /* `out` bounds what is in it */
    l->out[target]++;
    if (l->at[rx->kind][rx->buffer][target]++ == 0) {
        l->held[rx->kind][target]++;
        l->held_all[rx->kind]++;
    }
    w->wake_worker[target] = true;
}

bool handoff_lend(struct worker *w, unsigned target, const struct io_rx *rx)
{
    struct lending *l = &w->lending;
    struct span span = {.rx = *rx, .origin = (uint8_t)w->index, .epoch = w->rx_epoch};

    if (target >= w->engine->workers_n)
        return false;
    if (l->out[target] == 0)
        l->progress[target] = w->now;
    if (l->waits[target] == 0 && may_hold(l, target, rx)) {
        span_push(w, target, &span);
    } else {
        if (l->waiting_n == WORKER_LENT_WAITING || w->now >= patience_end(l, target))
            return false;
        l->waiting[l->waiting_n++] = (struct lend_waiting){span, (uint8_t)target};
        l->waits[target]++;
        tally(w, TALLY_HANDOFFS_WAITED, 1);
    }
    l->spans[rx->kind][rx->buffer]++;
    tally(w, TALLY_HANDOFFS_OUT, 1);
    return true;
}

void handoff_release(struct worker *w, unsigned origin, unsigned kind, uint16_t buffer)
{
    if (LIKELY(origin == w->index)) {
        if (w->lending.spans[kind][buffer] == 0)
            io_rx_give_back(w->io, kind, buffer);
        return;
    }
    struct handback back = {.kind = (uint8_t)kind, .buffer = buffer};
    struct worker *other = w->engine->workers[origin];
    bool pushed = handback_ring_push_spsc(&other->handback_in[w->index], &back);
    ASSERT(pushed); /* the origin's lending.out bounds what is in it */
    w->wake_worker[origin] = true;
}

void handoff_hold(struct worker *w, unsigned kind, uint16_t buffer)
{
    w->lending.spans[kind][buffer]++;
}

void handoff_unhold(struct worker *w, unsigned kind, uint16_t buffer)
{
    DASSERT(w->lending.spans[kind][buffer] > 0);
    if (--w->lending.spans[kind][buffer] == 0)
        io_rx_give_back(w->io, kind, buffer);
}

static void returned(struct worker *w, unsigned from, const struct handback *back)
    REQUIRES_ROLE(role_worker)
{
    struct lending *l = &w->lending;

    l->progress[from] = w->now;
    l->out[from]--;
    if (--l->at[back->kind][back->buffer][from] == 0) {
        l->held[back->kind][from]--;
        l->held_all[back->kind]--;
    }
    handoff_unhold(w, back->kind, back->buffer);
}

static void count_span(struct worker *w, const struct io_rx *rx, enum verdict out, enum verdict in)
    REQUIRES_ROLE(role_worker)
{
    if (rx->kind == IO_RX_TUN)
        count(w, out, egress_packets(w, rx));
    else
        count(w, in, (rx->len + rx->segment_size - 1) / rx->segment_size);
}

/* Order is kept: for a worker and a kind, when the first one that waits may not go, the later ones may not, either. */
static void waiting_go_on(struct worker *w) REQUIRES_ROLE(role_worker)
{
    struct lending *l = &w->lending;
    unsigned kept = 0;

    for (unsigned i = 0; i < l->waiting_n; i++) {
        const struct lend_waiting *x = &l->waiting[i];
        const struct io_rx *rx = &x->span.rx;
        if (may_hold(l, x->target, rx)) {
            l->waits[x->target]--;
            span_push(w, x->target, &x->span);
        } else if (w->now >= patience_end(l, x->target)) {
            l->waits[x->target]--;
            count_span(w, rx, VERDICT_OUT_HANDOFF_FULL, VERDICT_IN_HANDOFF_FULL);
            handoff_unhold(w, rx->kind, rx->buffer);
        } else {
            l->waiting[kept++] = *x;
        }
    }
    l->waiting_n = kept;
}

void handoff_collect(struct worker *w)
{
    struct handback back;
    for (unsigned i = 0; i < w->engine->workers_n; i++) {
        if (i == w->index)
            continue;
        while (handback_ring_pop_spsc(&w->handback_in[i], &back))
            returned(w, i, &back);
    }
    if (UNLIKELY(w->lending.waiting_n > 0))
        waiting_go_on(w);
}

time_ns handoff_deadline(const struct worker *w)
{
    const struct lending *l = &w->lending;
    time_ns first = TIME_NEVER;
    for (unsigned i = 0; i < l->waiting_n; i++)
        first = time_min(first, patience_end(l, l->waiting[i].target));
    return first;
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

bool handoff_pending(const struct worker *w, bool spans)
{
    for (unsigned i = 0; i < w->engine->workers_n; i++) {
        if (i != w->index && (handback_ring_len(&w->handback_in[i]) > 0 ||
                              (spans && span_ring_len(&w->handoff_in[i]) > 0)))
            return true;
    }
    return false;
}

void handoff_stop(struct worker *w)
{
    struct lending *l = &w->lending;
    unsigned n;

    while ((n = handoff_take(w)) > 0) {
        for (unsigned i = 0; i < n; i++)
            count_span(w, &w->spans[i].rx, VERDICT_OUT_STOPPED, VERDICT_IN_STOPPED);
    }
    for (unsigned i = 0; i < l->waiting_n; i++)
        count_span(w, &l->waiting[i].span.rx, VERDICT_OUT_STOPPED, VERDICT_IN_STOPPED);
    l->waiting_n = 0;
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
