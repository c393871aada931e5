/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fzbench micro: what it costs that a batch's plaintext was written on another CPU, as a helper finds it. One thread
 * writes batches into a few buffers, another seals them, in turn, so that neither waits for more than the other's step;
 * then one thread does both. The two differ in nothing but where the cache lines are.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench/figure.h"
#include "bench/micro.h"
#include "bench/micro_team.h"
#include "engine/wire/wg.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/clock.h"

enum {
    LEN = 1280,
    BATCH = 32,
    BATCHES =
        8, /* buffers that take turns: more than a first-level cache holds, less than a second-level one */
    STRIDE = ALIGN_UP(LEN + WG_DATA_OVERHEAD, CACHE_LINE),
    SAMPLES_MAX = 1 << 16 /* of one measurement, the latest */
};

/* Of one step; written by the thread that does it. */
struct step {
    uint32_t *samples_ns; /* of a batch */
    size_t n;
} __attribute__((aligned(CACHE_LINE)));

/* What the two threads write is apart from all else. NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct handed {
    size_t sealed __attribute__((aligned(CACHE_LINE)));  /* atomic, by the sealer: batches */
    size_t written __attribute__((aligned(CACHE_LINE))); /* atomic, by the writer: batches */
    bool ended;                                          /* atomic: no more are written */
    struct step write, seal;
    struct micro_team team;
    struct crypt crypt;
    struct crypt_key key;
    uint8_t source[LEN];
    uint8_t *plain, *dest; /* BATCHES * BATCH packets, STRIDE bytes apart */
};

static uint8_t *at(uint8_t *area, size_t batch, unsigned i)
{
    return area + (batch % BATCHES * BATCH + i) * STRIDE;
}

static struct handed *handed_new(const struct micro_case *c)
{
    static const uint8_t raw[CRYPT_KEY_LEN] = {4, 5, 6};
    const size_t size = (size_t)BATCHES * BATCH * STRIDE;
    struct handed *h = mem_check(aligned_alloc(CACHE_LINE, sizeof *h));
    memset(h, 0, sizeof *h);
    enum err err = crypt_init(&h->crypt, c->crypto);
    ASSERT(err == ERR_OK); /* only usable ones are listed */
    crypt_key_init(&h->key, raw);
    h->write.samples_ns = mem_zalloc(SAMPLES_MAX, sizeof *h->write.samples_ns);
    h->seal.samples_ns = mem_zalloc(SAMPLES_MAX, sizeof *h->seal.samples_ns);
    h->plain = mem_check(aligned_alloc(CACHE_LINE, size));
    h->dest = mem_check(aligned_alloc(CACHE_LINE, size));
    memset(h->plain, 0, size);
    memset(h->dest, 0, size);
    for (unsigned i = 0; i < LEN; i++)
        h->source[i] = (uint8_t)(i * 11);
    return h;
}

static void handed_free(struct handed *h)
{
    crypt_key_fini(&h->key);
    free(h->write.samples_ns);
    free(h->seal.samples_ns);
    free(h->plain);
    free(h->dest);
    free(h);
}

static void add_sample(struct step *s, time_ns since)
{
    s->samples_ns[s->n++ % SAMPLES_MAX] = (uint32_t)(clock_now() - since);
}

static void write_batch(struct handed *h, size_t batch)
{
    time_ns then = clock_now();
    for (unsigned i = 0; i < BATCH; i++)
        memcpy(at(h->plain, batch, i), h->source, LEN);
    add_sample(&h->write, then);
}

static void seal_batch(struct handed *h, size_t batch)
{
    struct crypt_packet p[BATCH];
    for (unsigned i = 0; i < BATCH; i++)
        p[i] = (struct crypt_packet){.data = at(h->dest, batch, i),
                                     .from = at(h->plain, batch, i),
                                     .len = LEN,
                                     .counter = batch % BATCHES * BATCH + i};
    time_ns then = clock_now();
    crypt_seal(&h->crypt, &h->key, p, BATCH);
    add_sample(&h->seal, then);
}

/* ---- the threads ---- */

static void *writer_main(void *arg)
{
    struct handed *h = arg;
    unsigned turns = 0;
    if (!micro_team_begin(&h->team))
        return NULL;
    for (size_t n = 0; !micro_team_over(&h->team) || n < BATCHES * 2; n++) {
        write_batch(h, n);
        __atomic_store_n(&h->written, n + 1, __ATOMIC_RELEASE); /* pairs with sealer_main */
        while (__atomic_load_n(&h->sealed, __ATOMIC_ACQUIRE) <= n)
            micro_team_spin(&turns);
    }
    __atomic_store_n(&h->ended, true, __ATOMIC_RELEASE); /* pairs with sealer_main */
    return NULL;
}

static void *sealer_main(void *arg)
{
    struct handed *h = arg;
    unsigned turns = 0;
    if (!micro_team_begin(&h->team))
        return NULL;
    for (size_t n = 0;;) {
        bool ended = __atomic_load_n(&h->ended, __ATOMIC_ACQUIRE); /* pairs with writer_main */
        if (__atomic_load_n(&h->written, __ATOMIC_ACQUIRE) > n) {
            seal_batch(h, n++);
            __atomic_store_n(&h->sealed, n, __ATOMIC_RELEASE); /* pairs with writer_main */
        } else if (ended) {
            return NULL;
        } else {
            micro_team_spin(&turns);
        }
    }
}

static void *both_main(void *arg)
{
    struct handed *h = arg;
    if (!micro_team_begin(&h->team))
        return NULL;
    for (size_t n = 0; !micro_team_over(&h->team) || n < BATCHES * 2; n++) {
        write_batch(h, n);
        seal_batch(h, n);
    }
    return NULL;
}

/* ---- rows ---- */

/* Every buffer holds what its latest sealing must have made. */
static bool right(const struct handed *h)
{
    struct crypt reference;
    enum err err = crypt_init(&reference, CRYPT_BORINGSSL);
    bool ok = err == ERR_OK && h->seal.n == h->write.n && h->seal.n >= BATCHES;
    for (unsigned i = 0; i < BATCHES * BATCH && ok; i++) {
        uint8_t out[LEN] = {0};
        struct crypt_packet p = {.data = out, .from = at(h->dest, 0, i), .len = LEN, .counter = i};
        ok = crypt_open(&reference, &h->key, &p, 1) == 1 && memcmp(out, h->source, LEN) == 0;
    }
    return ok;
}

/* Nanoseconds per packet, the median of batches: that something interrupted some of them does not show. */
static double median(struct step *s)
{
    size_t n = size_min(s->n, SAMPLES_MAX);
    return figure_percentile(s->samples_ns, n, 50) / (double)BATCH;
}

static bool run_once(const struct micro_case *c, bool apart, unsigned ms, double *write_ns,
                     double *seal_ns)
{
    struct handed *h = handed_new(c);
    const struct micro_member two[] = {{writer_main, h}, {sealer_main, h}}, one = {both_main, h};
    bool ok = micro_team_run(&h->team, apart ? two : &one, apart ? 2 : 1, ms) && right(h);
    if (ok) {
        *write_ns = median(&h->write);
        *seal_ns = median(&h->seal);
    }
    handed_free(h);
    return ok;
}

static void add_row(const struct micro_case *c, struct result *r, const char *what,
                    const char *unit, double value)
{
    char row[MICRO_NAME_MAX + 32];
    snprintf(row, sizeof row, "micro/%s/%s", c->name, what);
    result_add(r, row, unit, RESULT_LOWER, GATE_NONE, value);
}

static bool measure(const struct micro_case *c, unsigned ms, struct result *r, char *why,
                    size_t why_size)
{
    double own_write, own_seal, write, seal;
    if (!run_once(c, false, ms / 2, &own_write, &own_seal) ||
        !run_once(c, true, ms - ms / 2, &write, &seal)) {
        snprintf(why, why_size, "no thread can be started, or a batch was not sealed right");
        return false;
    }
    add_row(c, r, "own/write_ns", "ns/packet", own_write);
    add_row(c, r, "own/seal_ns", "ns/packet", own_seal);
    add_row(c, r, "other/write_ns", "ns/packet", write);
    add_row(c, r, "other/seal_ns", "ns/packet", seal);
    add_row(c, r, "slowdown", "x", (write + seal) / (own_write + own_seal));
    return true;
}

void micro_handed_cases(struct micro_list *l, unsigned cpus)
{
    static const enum crypt_backend backends[] = {CRYPT_BORINGSSL, CRYPT_AVX512};
    struct micro_case c = {.measure = measure, .threads = 2};
    struct crypt crypt;

    for (size_t i = 0; i < ARRAY_LEN(backends) && cpus >= c.threads; i++) {
        c.crypto = backends[i];
        if (crypt_init(&crypt, c.crypto) == ERR_OK)
            micro_list_add(l, &c, false, "handed/%s/%ux%u", crypt_name(&crypt), BATCH, LEN);
    }
}
