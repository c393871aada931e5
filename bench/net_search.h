/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The search for the highest rate that passes a trial: doubles from a start until one fails, or halves until one
 * passes, then bisects by ratio until the gap is small. Pure.
 *
 *   net_search_init(&s, 50e3, 1e3, 1e9, 1.05);
 *   while (!net_search_done(&s))
 *       net_search_report(&s, trial(s.next));
 */
#ifndef FZ_BENCH_NET_SEARCH_H
#define FZ_BENCH_NET_SEARCH_H

#include <stdbool.h>

struct net_search {
    double next;     /* the rate to be tried now */
    double passed;   /* the highest that has passed; 0: none */
    double failed;   /* the lowest that has failed; 0: none */
    double min, max; /* nothing is tried beyond */
    double gap;      /* done when failed / passed is at most this */
};

/* 0 < min <= start <= max, gap > 1. */
void net_search_init(struct net_search *s, double start, double min, double max, double gap);
/* What the trial of `next` came to. */
void net_search_report(struct net_search *s, bool passed);
/* The answer is `passed`. */
bool net_search_done(const struct net_search *s);

#endif
