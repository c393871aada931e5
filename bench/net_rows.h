/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From figures to rows: "net/PART/SETTING/IMPLEMENTATION", and the ratio of the first implementation to each other one
 * in the same round, so that what disturbs a round disturbs both sides of its ratio.
 */
#ifndef FZ_BENCH_NET_ROWS_H
#define FZ_BENCH_NET_ROWS_H

#include <stddef.h>

#include "bench/net_options.h"
#include "bench/result.h"

enum {
    NET_FIGURES_MAX = 32,
    NET_FIGURE_PATH_MAX = 32
};

/* What all figures of a kind have in common. */
struct net_unit {
    const char *name;
    enum result_better better;
    enum result_gate gate;
};

struct net_figure {
    char path[NET_FIGURE_PATH_MAX]; /* "tcp1/forward" */
    const struct net_unit *unit;
    double value;
};

/* What one measurement of one tunnel found. */
struct net_figures {
    struct net_figure list[NET_FIGURES_MAX];
    size_t n;
};

/* part/detail is the path; the unit must outlive `f`. */
void net_rows_figure(struct net_figures *f, const char *part, const char *detail,
                     const struct net_unit *unit, double value);

/* "mtu1420", or "mtu1420-offloads-off". */
void net_rows_setting(char *out, size_t size, unsigned mtu, bool offloads);
/* Appends the link to it: "-rtt10ms-loss1%". */
void net_rows_setting_link(char *out, size_t size, const struct net_link_setting *link);

/* Adds what the implementations, n of them, found in one round. */
void net_rows_add(struct result *r, const char *setting, const struct net_impl *impls,
                  const struct net_figures *figures, size_t n);
/* And the ratios of it. */
void net_rows_add_ratios(struct result *r, const char *setting, const struct net_impl *impls,
                         const struct net_figures *figures, size_t n);
/* All samples of another result. */
void net_rows_append(struct result *r, const struct result *more);

/* Notes on the rows in Gbit/s of a relayed implementation: the path that it went, and what limits those that are as high as goes. */
void net_rows_mark_relayed(struct result *r, const char *setting, const char *impl,
                           const char *kind);
/*
 * The goals that ratios of a relayed path to a direct one have, and those of Firezone to a plain tunnel, and whether they are
 * met. After all samples.
 */
void net_rows_mark_goals(struct result *r, const char *setting);
/* Likewise those of the DNS service at its usual rate. */
void net_rows_mark_dns(struct result *r, const char *setting, const char *impl);

/*
 * What the link itself carries is a row of that setting, too, after all others; those in Gbit/s that are above half of it are
 * marked.
 */
void net_rows_mark(struct result *r, const char *setting, double ceiling_gbit);

#endif
