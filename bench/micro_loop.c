/* SPDX-License-Identifier: Apache-2.0 */
/* The loop that measures one thread's work, see micro.h. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/count.h"
#include "bench/micro.h"
#include "platform/base/mem.h"

enum {
    STRETCHES_MAX = 16384, /* of one measurement that are kept, the latest */
    STRETCHES_MIN = 5,     /* so that an interruption is not the median */
    WARM_STRETCHES = 8
};

void micro_list_add(struct micro_list *l, const struct micro_case *c, bool same_set,
                    const char *name, ...)
{
    ASSERT(l->n < MICRO_CASES_MAX && (!same_set || l->sets > 0));
    struct micro_case *added = &l->cases[l->n++];
    va_list ap;

    *added = *c;
    added->set = same_set ? l->sets - 1 : l->sets++;
    va_start(ap, name);
    int len = vsnprintf(added->name, sizeof added->name, name, ap);
    va_end(ap);
    ASSERT(len > 0 && len < MICRO_NAME_MAX);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static double median(uint64_t *values, size_t n)
{
    qsort(values, n, sizeof *values, compare);
    size_t low = (n - 1) / 2, high = n / 2;
    return ((double)values[low] + (double)values[high]) / 2;
}

static bool stretch(const struct micro_ops *ops, void *state, struct count *count)
{
    if (ops->prepare)
        ops->prepare(state);
    if (count)
        count_begin(count);
    ops->work(state);
    if (count)
        count_end(count);
    return ops->check(state);
}

bool micro_loop(const struct micro_case *c, unsigned ms, uint64_t items, struct micro_outcome *out)
{
    const struct micro_ops *ops = c->ops;
    uint64_t *stretches = mem_zalloc(STRETCHES_MAX, sizeof *stretches);
    unsigned per_stretch;
    void *state = ops->open(c, &per_stretch);
    size_t n = 0;
    bool ok = true;
    struct count count;

    *out = (struct micro_outcome){0};
    for (unsigned i = 0; i < WARM_STRETCHES && items == 0 && ok; i++)
        ok = stretch(ops, state, NULL);
    double rate = items == 0 ? count_clock_rate() : 1;
    count_open(&count);
    do {
        uint64_t before = count.sum.ns;
        ok = ok && stretch(ops, state, &count);
        stretches[n++ % STRETCHES_MAX] = count.sum.ns - before;
        out->items += per_stretch;
    } while (ok &&
             (items > 0 ? out->items < items : n < STRETCHES_MIN || count.sum.ns < ms * NS_PER_MS));
    count_close(&count);
    ops->close(state);
    rate = items == 0 ? fmax(rate, count_clock_rate()) : 1; /* disturbed, it is too low */
    out->ns = median(stretches, size_min(n, STRETCHES_MAX)) / per_stretch;
    out->cycles =
        count.sum.cycles > 0 ? (double)count.sum.cycles / (double)out->items : out->ns * rate;
    out->instructions = (double)count.sum.instructions / (double)out->items;
    free(stretches);
    return ok;
}
