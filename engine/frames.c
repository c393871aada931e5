/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that wait, see frames.h. */
#include "engine/frames.h"

#include <string.h>

#include "engine/wire/ip.h"
#include "engine/worker.h"

#define FLOW_UNKNOWN UINT64_MAX /* may be any flow */

static bool is_bulk(const struct io_rx *rx)
{
    return rx->len >= FRAMES_BULK_LEN;
}

/* Equal for all packets of a flow, never 0. Fragments, and what is no packet, may belong to any. */
static uint64_t flow_of(const struct io_rx *rx)
{
    const uint8_t *p = rx->data + IO_VNET_LEN;
    struct ip_view v;

    if (rx->len <= IO_VNET_LEN || !ip_parse(&v, p, rx->len - IO_VNET_LEN) || v.fragment)
        return FLOW_UNKNOWN;
    uint64_t h = (uint64_t)v.proto << 32 | (uint32_t)v.src_port << 16 | v.dst_port;
    const uint8_t *addresses = ip_src_ptr(p, v.version);
    for (unsigned i = 0; i < (v.version == 4 ? 8u : 32u); i += 8)
        h = (h ^ load_le64(addresses + i)) * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 32;
    return h == 0 || h == FLOW_UNKNOWN ? 1 : h;
}

static void put(struct worker *w, const struct io_rx *rx, unsigned origin, uint64_t flow)
    REQUIRES_ROLE(role_worker)
{
    struct frames *f = &w->frames;
    ASSERT(f->n < FRAMES_MAX);
    f->waiting[f->n++] = (struct frame_waiting){*rx, flow, (uint8_t)origin};
    f->bulk_n += is_bulk(rx);
}

/* False: no train is free. */
static bool send(struct worker *w, const struct io_rx *rx, unsigned origin)
    REQUIRES_ROLE(role_worker)
{
    switch (egress_frame(w, rx, origin)) {
    case EGRESS_DONE:
        handoff_release(w, origin, rx->kind, rx->buffer);
        break;
    case EGRESS_LENT:
        break;
    case EGRESS_STALLED:
        return false;
    }
    w->frames.spent += rx->len;
    return true;
}

/* A small packet of a flow that has nothing waiting, while bulk does. */
static bool goes_first(struct worker *w, const struct io_rx *rx, uint64_t *flow)
    REQUIRES_ROLE(role_worker)
{
    struct frames *f = &w->frames;

    *flow = 0;
    if (f->bulk_n == 0 || rx->len >= FRAMES_SMALL_LEN)
        return false;
    *flow = flow_of(rx);
    if (*flow == FLOW_UNKNOWN)
        return false;
    for (unsigned i = 0; i < f->n; i++) {
        struct frame_waiting *x = &f->waiting[i];
        if (x->flow == 0)
            x->flow = flow_of(&x->rx);
        if (x->flow == *flow || x->flow == FLOW_UNKNOWN)
            return false;
    }
    return true;
}

void frames_begin(struct worker *w)
{
    w->frames.spent = 0;
    w->frames.any_first = false;
}

void frames_add(struct worker *w, const struct io_rx *rx, unsigned origin)
{
    const struct frames *f = &w->frames;
    uint64_t flow = 0;

    if (LIKELY(f->n == 0 && f->spent < FRAMES_LOOP_BYTES)) {
        if (!send(w, rx, origin))
            put(w, rx, origin, flow);
        return;
    }
    bool first = goes_first(w, rx, &flow);
    if (!first || !send(w, rx, origin)) {
        put(w, rx, origin, flow);
        return;
    }
    w->frames.any_first = true;
    tally(w, TALLY_FRAMES_FIRST, 1);
}

void frames_run(struct worker *w)
{
    struct frames *f = &w->frames;
    unsigned done = 0;

    if (f->n == 0)
        return;
    if (f->any_first) { /* out before bulk is sealed */
        train_flush(w);
        io_flush(w->io);
    }
    for (; done < f->n && f->spent < FRAMES_LOOP_BYTES; done++) {
        const struct frame_waiting *x = &f->waiting[done];
        if (!send(w, &x->rx, x->origin))
            break;
        f->bulk_n -= is_bulk(&x->rx);
    }
    f->n -= done;
    memmove(f->waiting, f->waiting + done, f->n * sizeof f->waiting[0]);
}

unsigned frames_room(const struct worker *w)
{
    return FRAMES_MAX - w->frames.n;
}

void frames_stop(struct worker *w)
{
    struct frames *f = &w->frames;
    for (unsigned i = 0; i < f->n; i++)
        count(w, VERDICT_OUT_STOPPED, egress_packets(w, &f->waiting[i].rx));
    f->n = f->bulk_n = 0;
}
