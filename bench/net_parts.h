/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of `fzbench net`: each measures one tunnel once and says what it found. */
#ifndef FZ_BENCH_NET_PARTS_H
#define FZ_BENCH_NET_PARTS_H

#include <stddef.h>

#include "bench/net_options.h"
#include "bench/net_rows.h"
#include "bench/net_tunnel.h"

/* Adds to `out`. On failure `why` says what could not be measured. */
enum err net_parts_measure(enum net_part part, const struct net_options *o,
                           const struct net_tunnel *t, struct net_figures *out,
                           struct why why) MUST_USE;

/* The seconds that a measurement takes about. */
double net_parts_seconds(enum net_part part, const struct net_options *o);

#endif
