/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_search.h"

#include <math.h>

#include "platform/base/err.h"

void net_search_init(struct net_search *s, double start, double min, double max, double gap)
{
    ASSERT(min > 0 && min <= start && start <= max && gap > 1);
    *s = (struct net_search){.next = start, .min = min, .max = max, .gap = gap};
}

void net_search_report(struct net_search *s, bool passed)
{
    ASSERT(!net_search_done(s));
    if (passed)
        s->passed = s->next;
    else
        s->failed = s->next;
    if (s->failed <= 0)
        s->next = fmin(s->next * 2, s->max);
    else if (s->passed <= 0)
        s->next = fmax(s->next / 2, s->min);
    else
        s->next = sqrt(s->passed * s->failed);
}

bool net_search_done(const struct net_search *s)
{
    if (s->passed > 0 && s->failed > 0)
        return s->failed <= s->passed * s->gap;
    return s->passed >= s->max || (s->failed > 0 && s->failed <= s->min);
}
