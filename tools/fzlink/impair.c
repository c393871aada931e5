/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/fzlink/impair.h"

#include <string.h>

#define BIT_NS_PER_BYTE (8 * NS_PER_SEC)

/* ---- chance ---- */

/* What is drawn for each packet. */
enum draw {
    DRAW_DUPLICATE,
    DRAW_LOSS,
    DRAW_REORDER,
    DRAW_JITTER,
    DRAW_LOSS_OF_COPY,
    DRAW_REORDER_OF_COPY,
    DRAW_JITTER_OF_COPY,
    DRAWS
};

/* The finaliser of SplitMix64 (Steele, Lea, Flood 2014): every bit of the result depends on every bit of `v`. */
static uint64_t scatter(uint64_t v)
{
    v = (v ^ (v >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ (v >> 27)) * UINT64_C(0x94d049bb133111eb);
    return v ^ (v >> 31);
}

/* Uniform in 32 bits: the same for the same seed, packet and draw. */
static uint32_t draw(const struct impair *x, enum draw what)
{
    uint64_t n = x->stats.offered * DRAWS + (uint64_t)what + 1;
    return (uint32_t)(scatter(x->seed + n * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

static bool happens(const struct impair *x, enum draw what, uint32_t share)
{
    return (((uint64_t)draw(x, what) * IMPAIR_WHOLE) >> 32) < share;
}

/* ---- rings ---- */

static struct impair_packet *fifo_first(const struct impair *x, const struct impair_fifo *f)
{
    return &f->slots[f->head & (x->capacity - 1)];
}

static void fifo_push(const struct impair *x, struct impair_fifo *f, const struct impair_packet *p)
{
    ASSERT(f->n < x->capacity);
    f->slots[(f->head + f->n) & (x->capacity - 1)] = *p;
    f->n++;
}

static struct impair_packet fifo_pop(const struct impair *x, struct impair_fifo *f)
{
    DASSERT(f->n > 0);
    struct impair_packet p = *fifo_first(x, f);
    f->head++;
    f->n--;
    return p;
}

void impair_init(struct impair *x, struct impair_packet *slots, uint32_t capacity, uint64_t seed)
{
    ASSERT(capacity > 0 && (capacity & (capacity - 1)) == 0);
    memset(x, 0, sizeof *x);
    x->capacity = capacity;
    x->seed = scatter(seed);
    x->queue.slots = slots;
    x->delayed.slots = slots + capacity;
    x->overtook.slots = slots + 2 * (size_t)capacity;
}

/* ---- the line ---- */

/* The first of the queue starts on the line at `now`. */
static void line_start(struct impair *x, time_ns now)
{
    const struct impair_packet *p = fifo_first(x, &x->queue);

    if (x->settings.rate != 0) {
        uint64_t work = p->len * BIT_NS_PER_BYTE + x->line_rest;
        now += work / x->settings.rate;
        x->line_rest = work % x->settings.rate;
    }
    x->line_free = now;
}

/* What comes off the line at `now`. */
static void line_end(struct impair *x, struct impair_packet *p, time_ns now)
{
    const struct impair_settings *s = &x->settings;

    if (p->lost) {
        x->stats.lost++;
        return;
    }
    if (p->overtakes) {
        p->at = now;
        x->stats.reordered += x->delayed.n > 0 && x->last_due > now;
        fifo_push(x, &x->overtook, p);
        return;
    }
    /* delay - jitter ... delay + jitter */
    uint64_t varied = (uint64_t)(((unsigned __int128)p->chance * (2 * s->jitter + 1)) >> 32);
    p->at = time_max(now + s->delay - s->jitter + varied, x->last_due);
    x->last_due = p->at;
    fifo_push(x, &x->delayed, p);
}

/* All that has left the line by `now` does so, each at its own time. */
static void advance(struct impair *x, time_ns now)
{
    while (x->queue.n > 0 && x->line_free <= now) {
        struct impair_packet p = fifo_pop(x, &x->queue);
        time_ns then = x->line_free;
        x->queue_overtaking -= p.overtakes;
        line_end(x, &p, then);
        if (x->queue.n > 0) {
            x->queue_bytes -= fifo_first(x, &x->queue)->len;
            line_start(x, then);
        }
    }
}

void impair_set(struct impair *x, const struct impair_settings *settings, time_ns now)
{
    ASSERT(settings->jitter <= settings->delay);
    advance(x, now);
    if (settings->rate != x->settings.rate)
        x->line_rest = 0;
    x->settings = *settings;
}

/* ---- packets ---- */

uint32_t impair_queue_len(const struct impair *x)
{
    return x->queue.n > 0 ? x->queue.n - 1 : 0;
}

/* False: there is no room for it. */
static bool enqueue(struct impair *x, const struct impair_packet *p, time_ns now)
{
    const struct impair_settings *s = &x->settings;

    advance(x, now);
    uint64_t packets = (uint64_t)impair_queue_len(x) + 1;
    if (x->queue.n + x->delayed.n + x->overtook.n == x->capacity) {
        x->stats.dropped_full++;
        return false;
    }
    if (x->queue.n > 0 && ((s->queue_packets != 0 && packets > s->queue_packets) ||
                           (s->queue_bytes != 0 && x->queue_bytes + p->len > s->queue_bytes))) {
        x->stats.dropped_queue++;
        return false;
    }
    fifo_push(x, &x->queue, p);
    x->queue_overtaking += p->overtakes;
    if (x->queue.n == 1) {
        line_start(x, time_max(now, x->line_free));
        return true;
    }
    x->queue_bytes += p->len;
    if (packets > x->stats.queue_packets_max)
        x->stats.queue_packets_max = packets;
    if (x->queue_bytes > x->stats.queue_bytes_max)
        x->stats.queue_bytes_max = x->queue_bytes;
    return true;
}

unsigned impair_offer(struct impair *x, uint32_t len, const uint32_t names[IMPAIR_TAKEN_MAX],
                      time_ns now)
{
    const struct impair_settings *s = &x->settings;
    struct impair_packet p[IMPAIR_TAKEN_MAX] = {
        {.len = len,
         .lost = happens(x, DRAW_LOSS, s->loss),
         .overtakes = happens(x, DRAW_REORDER, s->reorder),
         .chance = draw(x, DRAW_JITTER)},
        {.len = len,
         .lost = happens(x, DRAW_LOSS_OF_COPY, s->loss),
         .overtakes = happens(x, DRAW_REORDER_OF_COPY, s->reorder),
         .chance = draw(x, DRAW_JITTER_OF_COPY)},
    };
    unsigned n = happens(x, DRAW_DUPLICATE, s->duplicate) ? 2 : 1, taken = 0;

    x->stats.offered++;
    x->stats.offered_bytes += len;
    x->stats.duplicated += n - 1;
    for (unsigned i = 0; i < n; i++) {
        p[i].name = names[taken];
        if (enqueue(x, &p[i], now))
            taken += !p[i].lost;
    }
    return taken;
}

bool impair_poll(struct impair *x, uint32_t *name, time_ns now)
{
    struct impair_fifo *from = &x->delayed;

    advance(x, now);
    if (x->overtook.n > 0 &&
        (x->delayed.n == 0 || fifo_first(x, &x->overtook)->at < fifo_first(x, &x->delayed)->at))
        from = &x->overtook;
    if (from->n == 0 || fifo_first(x, from)->at > now)
        return false;
    struct impair_packet p = fifo_pop(x, from);
    x->stats.delivered++;
    x->stats.delivered_bytes += p.len;
    *name = p.name;
    return true;
}

time_ns impair_poll_timeout(const struct impair *x)
{
    time_ns at = TIME_NEVER;

    if (x->overtook.n > 0)
        at = fifo_first(x, &x->overtook)->at;
    if (x->delayed.n > 0)
        at = time_min(at, fifo_first(x, &x->delayed)->at);
    /* What follows on the line is due no sooner than what is delayed, unless it overtakes. */
    if (x->queue_overtaking > 0)
        at = time_min(at, x->line_free);
    else if (x->queue.n > 0 && x->delayed.n == 0)
        at = time_min(at, x->line_free + x->settings.delay - x->settings.jitter);
    return at;
}
