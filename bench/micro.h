/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parts of the packet path, and of the control thread, that `fzbench micro` measures, one by one.
 *
 * A case is one group of rows: "micro/", its name, and "/ns", "/cycles" and so on. Most are loops of one thread
 * (struct micro_ops, run by micro_loop): `work` does a fixed number of items, and it alone is counted; what it did is
 * checked each time. Cases with several threads measure, and check, themselves. The main thread measures, one case at a
 * time.
 */
#ifndef FZ_BENCH_MICRO_H
#define FZ_BENCH_MICRO_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/result.h"
#include "engine/crypt.h"

enum {
    MICRO_NAME_MAX = 96,
    MICRO_CASES_MAX = 512,
    MICRO_THREADS_MAX = 32
};

struct micro_case;

/* One thread's loop. The order of calls: open, then (prepare, work, check) as often as wanted, close. */
struct micro_ops {
    /* Returns the loop's state; *items: how many `work` does, some tens of microseconds long in all. */
    void *(*open)(const struct micro_case *c, unsigned *items);
    void (*prepare)(void *state); /* NULL: nothing to prepare */
    void (*work)(void *state);
    bool (*check)(void *state); /* false: what `work` did is wrong */
    void (*close)(void *state);
};

struct micro_case {
    char name[MICRO_NAME_MAX]; /* "aead/seal/avx512/32x1280" */
    const char *item;          /* "packet": a row's figures are per one of these */
    /* Cases of one set do the same work and take turns; the others' ratios are to the first one. Unique otherwise. */
    unsigned set;
    double ratio_goal; /* at least; 0: none */
    bool counted;      /* with --callgrind, too */
    /* Asked once, before it is measured: what this machine lacks to measure it, or NULL. NULL: any machine can. */
    const char *(*missing)(const struct micro_case *c);

    const struct micro_ops *ops;
    /* Instead of `ops`: takes about `ms`, adds one sample to each of the case's rows. False: `why` says what went wrong. */
    bool (*measure)(const struct micro_case *c, unsigned ms, struct result *r, char *why,
                    size_t why_size);

    /* For the file that added the case. */
    int kind;
    unsigned len, batch, threads;
    bool roaming;
    enum crypt_backend crypto;
};

struct micro_list {
    struct micro_case cases[MICRO_CASES_MAX];
    unsigned n, sets;
};

/* Appends a copy of *c with this name; its set is a new one unless `same_set`, the set of the case before it. */
void micro_list_add(struct micro_list *l, const struct micro_case *c, bool same_set,
                    const char *name, ...) __attribute__((format(printf, 4, 5)));

/* The cases that each file knows, as far as this machine can run them. threads: the most readers at a time. */
void micro_aead_cases(struct micro_list *l);
void micro_checksum_cases(struct micro_list *l);
void micro_segment_cases(struct micro_list *l);
void micro_coalesce_cases(struct micro_list *l);
void micro_route_cases(struct micro_list *l);
void micro_replay_cases(struct micro_list *l);
void micro_ring_cases(struct micro_list *l, unsigned cpus);
void micro_handed_cases(struct micro_list *l, unsigned cpus);
void micro_source_cases(struct micro_list *l);
void micro_source_miss_cases(struct micro_list *l);
void micro_resolve_cases(struct micro_list *l);
void micro_portal_cases(struct micro_list *l);
void micro_dns_cases(struct micro_list *l);
void micro_policy_cases(struct micro_list *l);
void micro_nat_cases(struct micro_list *l);
void micro_source_thread_cases(struct micro_list *l, unsigned threads, unsigned cpus);

struct micro_outcome {
    double ns, cycles, instructions; /* per item; instructions: 0 without CPU counters */
    uint64_t items;                  /* done while counting */
};

/*
 * Runs a loop until it has been at work for `ms` or, if items > 0, has done so many, then without any warm-up. ns is
 * the median of the stretches, so that what interrupts some of them does not show. False: a result was wrong.
 */
bool micro_loop(const struct micro_case *c, unsigned ms, uint64_t items, struct micro_outcome *out);

#endif
