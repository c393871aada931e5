/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Charts as SVG inside an HTML page. Colours come from the page's style: series i has the class s0 to s7 (i modulo
 * SVG_SERIES), and text, axes and whiskers have classes, too (bench/report_page.c).
 */
#ifndef FZ_BENCH_SVG_H
#define FZ_BENCH_SVG_H

#include <stddef.h>
#include <stdio.h>

enum {
    SVG_SERIES = 8
};

/* A figure and its spread. */
struct svg_value {
    double min, median, max;
};

/* `text` with the characters escaped that mean something in HTML. */
void svg_text(FILE *out, const char *text);

/* A horizontal bar as wide as its container allows; `scale` (not 0) would fill it. Figures below 0 count as 0. */
void svg_bar(FILE *out, const struct svg_value *value, double scale, size_t series,
             const char *title);

/* Lines over named steps, each point with its spread; the page gives the figures as text, too. */
struct svg_curves {
    const char *const *steps;
    size_t steps_n; /* at least 2 */
    size_t series_n;
    const struct svg_value *const *values; /* [series * steps_n + step]; NULL: not measured */
};
void svg_curves(FILE *out, const struct svg_curves *c);

/* The smallest of 1, 2, 2.5 and 5 times a power of ten that is at least x; 1 for 0 and below. */
double svg_round_up(double x);

#endif
