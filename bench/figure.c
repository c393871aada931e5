/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/figure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DIGITS = 4,
    DECIMALS_MAX = 9,
    CHANGE_MAX = 99999
};

const char *figure_format(double value, char *buf, size_t size)
{
    int decimals = 0;

    if (value != rint(value)) {
        decimals = DIGITS - 1 - (int)floor(log10(fabs(value)));
        decimals = decimals < 0 ? 0 : decimals > DECIMALS_MAX ? DECIMALS_MAX : decimals;
    }
    snprintf(buf, size, "%.*f", decimals, value);
    return buf;
}

double figure_change(double old, double new)
{
    if (old == new)
        return 0;
    return old == 0 ? copysign(INFINITY, new) : (new - old) / fabs(old) * 100;
}

const char *figure_format_change(double old, double new, char *buf, size_t size)
{
    double change = figure_change(old, new);

    if (change == 0)
        snprintf(buf, size, "=");
    else if (old == 0)
        snprintf(buf, size, "from 0");
    else if (fabs(change) > CHANGE_MAX)
        snprintf(buf, size, "%s%d %%", change > 0 ? "> +" : "< -", CHANGE_MAX);
    else
        snprintf(buf, size, "%+.*f %%", fabs(change) < 10 ? 1 : 0, change);
    return buf;
}

static int compare_samples(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

uint32_t figure_percentile(uint32_t *samples, size_t n, unsigned percent)
{
    qsort(samples, n, sizeof *samples, compare_samples);
    return samples[(n - 1) * percent / 100];
}
