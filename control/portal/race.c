/* SPDX-License-Identifier: Apache-2.0 */
#include "control/portal/race.h"

#include <string.h>

#include "platform/base/bytes.h"

static bool known(const struct race *r, const struct sock_addr *addr)
{
    for (unsigned i = 0; i < r->n; i++) {
        if (sock_addr_equal(&r->addrs[i], addr))
            return true;
    }
    return false;
}

/* Adds the next of `addrs` from *at on that is of the family and new. False: there is none, or no room. */
static bool add_next(struct race *r, const struct sock_addr *addrs, unsigned n, bool v6,
                     unsigned *at)
{
    while (*at < n && r->n < RACE_MAX) {
        const struct sock_addr *a = &addrs[(*at)++];
        if ((a->ip.family == ADDR_V6) == v6 && !known(r, a)) {
            r->addrs[r->n++] = *a;
            return true;
        }
    }
    return false;
}

void race_init(struct race *r, const struct sock_addr *addrs, unsigned n, time_ns now)
{
    unsigned at4 = 0, at6 = 0;
    bool more4 = true, more6 = true;

    memset(r, 0, sizeof *r);
    while (more4 || more6) {
        more6 = more6 && add_next(r, addrs, n, true, &at6);
        more4 = more4 && add_next(r, addrs, n, false, &at4);
    }
    r->next_at = now;
    r->end_at = now + RACE_TIMEOUT_NS;
}

bool race_poll_start(struct race *r, time_ns now, unsigned *index)
{
    if (r->started == r->n || now < r->next_at || now >= r->end_at)
        return false;
    *index = r->started++;
    r->attempts[*index] = RACE_STARTED;
    r->next_at = now + RACE_DELAY_NS;
    return true;
}

static bool any_under_way(const struct race *r)
{
    for (unsigned i = 0; i < r->started; i++) {
        if (r->attempts[i] == RACE_STARTED)
            return true;
    }
    return false;
}

void race_failed(struct race *r, time_ns now, unsigned index)
{
    ASSERT(index < r->started);
    r->attempts[index] = RACE_FAILED;
    /* The last one started decides when the next follows; an older one only if nothing else is left. */
    if (index + 1 == r->started || !any_under_way(r))
        r->next_at = now;
}

bool race_lost(const struct race *r, time_ns now)
{
    return now >= r->end_at || (r->started == r->n && !any_under_way(r));
}

time_ns race_poll_timeout(const struct race *r)
{
    return r->started == r->n ? r->end_at : time_min(r->next_at, r->end_at);
}
