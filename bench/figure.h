/* SPDX-License-Identifier: Apache-2.0 */
/* Figures as people read them. Any thread. */
#ifndef FZ_BENCH_FIGURE_H
#define FZ_BENCH_FIGURE_H

#include <stddef.h>
#include <stdint.h>

enum {
    FIGURE_TEXT_MAX = 32
};

/* Four significant digits and no exponent ("0.01234", "12.34", "123457"); whole numbers without a point. Returns buf. */
const char *figure_format(double value, char *buf, size_t size);

/* A change in per cent with its sign: "+1.9 %", "-12 %"; "=" for none, "from 0" where it has no size. Returns buf. */
const char *figure_format_change(double old, double new, char *buf, size_t size);

/* (new - old) in per cent of old's magnitude; 0 if they are equal, infinite if only old is 0. */
double figure_change(double old, double new);

/* The sample below which `percent` of the others lie; n is at least 1. Sorts them. */
uint32_t figure_percentile(uint32_t *samples, size_t n, unsigned percent);

#endif
