/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fzbench micro: what it costs to hand a received record to another worker: how often per second the ring between them
 * can be passed, and how long one passage takes when both sides spin.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/figure.h"
#include "bench/micro.h"
#include "bench/micro_team.h"
#include "engine/worker.h"
#include "platform/base/mem.h"
#include "platform/clock.h"

enum {
    SAMPLES_MAX = 1 << 20, /* of one measurement, the latest */
    SLICE = 512,           /* spans that are timed together */
    REST_TURNS = 64        /* a microsecond or two */
};

/* Written by one thread, read by the main thread when that has ended. */
struct party {
    uint64_t spans, disordered;
    uint32_t *samples_ns; /* of slices, or of passages, if it is the one that takes the time */
    size_t samples;
} __attribute__((aligned(CACHE_LINE)));

struct lane {
    struct span_ring ring;
} __attribute__((aligned(CACHE_LINE)));

struct hop {
    struct lane there, back;
    struct party from, to;
    struct micro_team team;
    bool ended; /* atomic: `from` sends nothing more */
};

static struct hop *hop_new(void)
{
    struct hop *h = mem_check(aligned_alloc(CACHE_LINE, sizeof *h));
    memset(h, 0, sizeof *h);
    if (span_ring_init(&h->there.ring, RING_SPANS) != ERR_OK ||
        span_ring_init(&h->back.ring, RING_SPANS) != ERR_OK)
        mem_check(NULL);
    h->from.samples_ns = mem_zalloc(SAMPLES_MAX, sizeof *h->from.samples_ns);
    h->to.samples_ns = mem_zalloc(SAMPLES_MAX, sizeof *h->to.samples_ns);
    return h;
}

static void hop_free(struct hop *h)
{
    span_ring_fini(&h->there.ring);
    span_ring_fini(&h->back.ring);
    free(h->from.samples_ns);
    free(h->to.samples_ns);
    free(h);
}

/* Spans carry their number where a record has its length. */
static struct span numbered(uint64_t n)
{
    return (struct span){.rx.len = (uint32_t)n};
}

/* The time since `then` was for so many passages, or slices. Returns now. */
static time_ns take_sample(struct party *p, time_ns then, unsigned n)
{
    time_ns now = clock_now();
    p->samples_ns[p->samples++ % SAMPLES_MAX] = (uint32_t)((now - then) / n);
    return now;
}

/* ---- one way, as fast as it goes ---- */

/* Something to do meanwhile, as workers have it; else the two would fight for each cache line. */
static void rest(unsigned *turns)
{
    for (unsigned i = 0; i < REST_TURNS; i++)
        micro_team_spin(turns);
}

static void *producer_main(void *arg)
{
    struct hop *h = arg;
    unsigned turns = 0;
    if (!micro_team_begin(&h->team))
        return NULL;
    while (!micro_team_over(&h->team) || h->from.spans < SLICE) {
        struct span s = numbered(h->from.spans);
        if (span_ring_push_spsc(&h->there.ring, &s))
            h->from.spans++;
        else
            rest(&turns);
    }
    __atomic_store_n(&h->ended, true, __ATOMIC_RELEASE); /* pairs with consumer_main */
    return NULL;
}

static void *consumer_main(void *arg)
{
    struct hop *h = arg;
    struct span s;
    unsigned turns = 0;
    if (!micro_team_begin(&h->team))
        return NULL;
    time_ns then = clock_now();
    for (;;) {
        bool ended = __atomic_load_n(&h->ended, __ATOMIC_ACQUIRE); /* pairs with producer_main */
        if (span_ring_pop_spsc(&h->there.ring, &s)) {
            h->to.disordered += s.rx.len != (uint32_t)h->to.spans;
            if (++h->to.spans % SLICE == 0)
                then = take_sample(&h->to, then, 1);
        } else if (ended) {
            break;
        } else {
            rest(&turns);
        }
    }
    return NULL;
}

/* ---- there and back, one at a time ---- */

static void *caller_main(void *arg)
{
    struct hop *h = arg;
    unsigned turns = 0;
    if (!micro_team_begin(&h->team))
        return NULL;
    time_ns then = clock_now();
    while (!micro_team_over(&h->team) || h->from.spans == 0) {
        struct span s = numbered(h->from.spans);
        while (!span_ring_push_spsc(&h->there.ring, &s))
            micro_team_spin(&turns);
        while (!span_ring_pop_spsc(&h->back.ring, &s))
            micro_team_spin(&turns);
        h->from.disordered += s.rx.len != (uint32_t)h->from.spans;
        h->from.spans++;
        then = take_sample(&h->from, then, 2);
    }
    __atomic_store_n(&h->ended, true, __ATOMIC_RELEASE); /* pairs with echo_main */
    return NULL;
}

static void *echo_main(void *arg)
{
    struct hop *h = arg;
    struct span s;
    unsigned turns = 0;
    if (!micro_team_begin(&h->team))
        return NULL;
    for (;;) {
        bool ended = __atomic_load_n(&h->ended, __ATOMIC_ACQUIRE); /* pairs with caller_main */
        if (span_ring_pop_spsc(&h->there.ring, &s)) {
            h->to.disordered += s.rx.len != (uint32_t)h->to.spans;
            h->to.spans++;
            while (!span_ring_push_spsc(&h->back.ring, &s))
                micro_team_spin(&turns);
        } else if (ended) {
            break;
        } else {
            micro_team_spin(&turns);
        }
    }
    return NULL;
}

/* ---- rows ---- */

static bool pass(struct hop *h, void *(*from)(void *), void *(*to)(void *), unsigned ms, char *why,
                 size_t why_size)
{
    const struct micro_member members[] = {{from, h}, {to, h}};

    if (!micro_team_run(&h->team, members, ARRAY_LEN(members), ms))
        snprintf(why, why_size, "no thread can be started");
    else if (h->from.samples + h->to.samples == 0 || h->to.spans != h->from.spans)
        snprintf(why, why_size, "%llu of %llu spans arrived", (unsigned long long)h->to.spans,
                 (unsigned long long)h->from.spans);
    else if (h->to.disordered > 0 || h->from.disordered > 0)
        snprintf(why, why_size, "spans are not in order");
    else
        return true;
    return false;
}

static double percentile(struct party *p, unsigned percent)
{
    size_t n = size_min(p->samples, SAMPLES_MAX);
    return figure_percentile(p->samples_ns, n, percent);
}

/* The median of the slices: that another process had a CPU meanwhile does not show. */
static bool measure_throughput(const struct micro_case *c, unsigned ms, struct result *r, char *why,
                               size_t why_size)
{
    struct hop *h = hop_new();
    char row[MICRO_NAME_MAX + 32];
    bool ok = pass(h, producer_main, consumer_main, ms, why, why_size);

    if (ok) {
        snprintf(row, sizeof row, "micro/%s/ns", c->name);
        result_add(r, row, "ns/span", RESULT_LOWER, GATE_NONE, percentile(&h->to, 50) / SLICE);
    }
    hop_free(h);
    return ok;
}

static bool measure_latency(const struct micro_case *c, unsigned ms, struct result *r, char *why,
                            size_t why_size)
{
    static const unsigned percents[] = {50, 99};
    struct hop *h = hop_new();
    char row[MICRO_NAME_MAX + 32];
    bool ok = pass(h, caller_main, echo_main, ms, why, why_size);

    for (size_t i = 0; i < ARRAY_LEN(percents) && ok; i++) {
        snprintf(row, sizeof row, "micro/%s/p%u", c->name, percents[i]);
        result_add(r, row, "ns", RESULT_LOWER, GATE_NONE, percentile(&h->from, percents[i]));
    }
    hop_free(h);
    return ok;
}

void micro_ring_cases(struct micro_list *l, unsigned cpus)
{
    struct micro_case c = {.measure = measure_throughput, .threads = 2};

    if (cpus < c.threads)
        return;
    micro_list_add(l, &c, false, "ring/hop");
    c.measure = measure_latency;
    micro_list_add(l, &c, false, "ring/latency");
}
