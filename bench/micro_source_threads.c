/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fzbench micro: the source cache read by several threads, at rest and while one more thread roams without a pause: it
 * forgets all answers, then gives them again. Readers see to it that an answer is whole and never older than the one
 * before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench/micro.h"
#include "bench/micro_source.h"
#include "bench/micro_team.h"
#include "platform/base/mem.h"

enum {
    ROUND = 16 /* times all destinations, between looks at the time */
};

struct crowd {
    struct micro_team team;
    struct source_cache *cache;
    struct ip_addr to[MICRO_DESTINATIONS];
    /* Of the thread that roams, read when it has ended. */
    uint64_t roams;
    bool refused; /* an answer of the current generation was not kept */
    time_ns took;
};

/* Written by its thread, read when that has ended. */
struct reader {
    struct crowd *crowd;
    uint64_t hits, misses, wrong;
    time_ns took; /* CPU time */
} __attribute__((aligned(2 * CACHE_LINE)));

/* Not the time that other processes had the CPU. */
static time_ns own_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (time_ns)t.tv_sec * NS_PER_SEC + (time_ns)t.tv_nsec;
}

static void *reader_main(void *arg)
{
    struct reader *r = arg;
    struct crowd *c = r->crowd;
    uint64_t hits = 0, misses = 0, wrong = 0, newest = 0;
    struct ip_source source;

    if (!micro_team_begin(&c->team))
        return NULL;
    time_ns begin = own_time();
    do {
        for (unsigned i = 0; i < ROUND * MICRO_DESTINATIONS; i++) {
            unsigned d = i % MICRO_DESTINATIONS;
            if (!source_cache_lookup(c->cache, &c->to[d], &source)) {
                misses++;
                continue;
            }
            uint64_t generation = micro_answer_generation(&source);
            hits++;
            wrong += !micro_answer_right(d, &source) || generation < newest;
            newest = generation;
        }
    } while (!micro_team_over(&c->team) || hits == 0);
    r->took = own_time() - begin;
    r->hits = hits;
    r->misses = misses;
    r->wrong = wrong;
    return NULL;
}

static void *roamer_main(void *arg)
{
    struct crowd *c = arg;
    if (!micro_team_begin(&c->team))
        return NULL;
    time_ns begin = own_time();
    do {
        source_cache_invalidate(c->cache);
        c->refused |= micro_answer_all(c->cache, c->to) != MICRO_DESTINATIONS;
        c->roams++;
    } while (!micro_team_over(&c->team));
    c->took = own_time() - begin;
    return NULL;
}

/* Of all readers. */
struct sums {
    uint64_t hits, misses, wrong;
    double hits_per_us;
};

static struct sums sum_readers(const struct reader *readers, unsigned n)
{
    struct sums s = {0};
    for (unsigned i = 0; i < n; i++) {
        s.hits += readers[i].hits;
        s.misses += readers[i].misses;
        s.wrong += readers[i].wrong;
        s.hits_per_us += (double)readers[i].hits / ((double)readers[i].took / NS_PER_US);
    }
    return s;
}

static void add_rows(const struct micro_case *c, const struct sums *s, double roams_per_us,
                     struct result *r)
{
    char row[MICRO_NAME_MAX + 32];

    snprintf(row, sizeof row, "micro/%s/hits", c->name);
    result_add(r, row, "million/s", RESULT_HIGHER, GATE_NONE, s->hits_per_us);
    if (!c->roaming)
        return;
    snprintf(row, sizeof row, "micro/%s/found", c->name);
    result_add(r, row, "of lookups", RESULT_NEITHER, GATE_NONE,
               (double)s->hits / (double)(s->hits + s->misses));
    snprintf(row, sizeof row, "micro/%s/roams", c->name);
    result_add(r, row, "million/s", RESULT_NEITHER, GATE_NONE, roams_per_us);
}

/* Runs the case's threads. False: `why` says what is wrong with what they found. */
static bool run(const struct micro_case *c, struct crowd *crowd, struct reader *readers,
                unsigned ms, char *why, size_t why_size)
{
    struct micro_member members[MICRO_THREADS_MAX];

    for (unsigned i = 0; i < c->threads; i++) {
        readers[i] = (struct reader){.crowd = crowd};
        members[i] = (struct micro_member){reader_main, &readers[i]};
    }
    members[c->threads] = (struct micro_member){roamer_main, crowd};
    if (!micro_team_run(&crowd->team, members, c->threads + (c->roaming ? 1 : 0), ms)) {
        snprintf(why, why_size, "no thread can be started");
        return false;
    }
    struct sums s = sum_readers(readers, c->threads);
    if (s.wrong == 0 && (c->roaming || s.misses == 0) && !crowd->refused)
        return true;
    snprintf(why, why_size, "of %llu answers %llu are wrong, and %llu lookups found none",
             (unsigned long long)s.hits, (unsigned long long)s.wrong, (unsigned long long)s.misses);
    return false;
}

static bool measure(const struct micro_case *c, unsigned ms, struct result *r, char *why,
                    size_t why_size)
{
    struct crowd *crowd = mem_zalloc(1, sizeof *crowd);
    struct reader *readers =
        mem_check(aligned_alloc(_Alignof(struct reader), c->threads * sizeof *readers));

    crowd->cache = mem_check(source_cache_new(MICRO_SOURCE_SEED));
    for (unsigned i = 0; i < MICRO_DESTINATIONS; i++)
        crowd->to[i] = micro_destination(i);
    micro_answer_all(crowd->cache, crowd->to);
    bool ok = run(c, crowd, readers, ms, why, why_size);
    if (ok) {
        struct sums s = sum_readers(readers, c->threads);
        add_rows(c, &s, (double)crowd->roams * NS_PER_US / (double)(crowd->took + 1), r);
    }
    source_cache_free(crowd->cache);
    free(readers);
    free(crowd);
    return ok;
}

void micro_source_thread_cases(struct micro_list *l, unsigned threads, unsigned cpus)
{
    for (int roaming = 0; roaming <= 1; roaming++) {
        for (unsigned n = 1; n <= threads && n + (unsigned)roaming <= cpus; n++) {
            struct micro_case c = {.measure = measure, .roaming = roaming, .threads = n};
            micro_list_add(l, &c, false, "source_cache/%s/%u_thread%s",
                           roaming ? "roaming" : "still", n, n > 1 ? "s" : "");
        }
    }
}
