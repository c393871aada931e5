/* SPDX-License-Identifier: Apache-2.0 */
/* What a TURN client knows of our addresses, and what it has told of them. See turn.h. */
#include "control/p2p/turn_private.h"

void turn_candidates_invalidate(struct turn *t, unsigned first)
{
    for (unsigned i = first; i < TURN_CANDIDATES; i++) {
        t->candidates[i].valid = false;
        t->candidates[i].stale = t->candidates[i].told;
    }
}

void turn_candidate_set(struct turn *t, enum candidate_kind kind, const struct sock_addr *addr,
                        const struct sock_addr *local)
{
    unsigned first = kind == CANDIDATE_HOST    ? TURN_CANDIDATE_HOSTS
                     : kind == CANDIDATE_SRFLX ? TURN_CANDIDATE_SRFLXS
                                               : TURN_CANDIDATE_RELAYS;
    struct turn_candidate *c = &t->candidates[first + (addr->ip.family == ADDR_V6)];

    if (!candidate_addr_ok(addr))
        return;
    c->now = candidate_make(kind, addr, local);
    c->valid = true;
}

bool turn_relayed(const struct turn *t, enum addr_family family, struct sock_addr *out)
{
    const struct turn_candidate *c = &t->candidates[TURN_CANDIDATE_RELAYS + (family == ADDR_V6)];

    if (c->valid)
        *out = c->now.addr;
    return c->valid;
}

bool turn_forget_address(struct turn *t, const struct ip_addr *ip)
{
    bool any = false;

    for (unsigned i = 0; i < TURN_CANDIDATE_RELAYS; i++) {
        struct turn_candidate *c = &t->candidates[i];
        if (!c->valid || !ip_addr_equal(&c->now.base.ip, ip))
            continue;
        c->valid = c->told = c->stale = false;
        any = true;
    }
    return any;
}

static bool poll_invalidated(struct turn *t, struct turn_event *out)
{
    for (unsigned i = 0; i < TURN_CANDIDATES; i++) {
        struct turn_candidate *c = &t->candidates[i];
        if (!c->stale)
            continue;
        c->stale = c->told = false;
        *out = (struct turn_event){.kind = TURN_EVENT_CANDIDATE_INVALIDATED, .candidate = c->then};
        return true;
    }
    return false;
}

static bool poll_added(struct turn *t, struct turn_event *out)
{
    for (unsigned i = 0; i < TURN_CANDIDATES; i++) {
        struct turn_candidate *c = &t->candidates[i];
        if (!c->valid || (c->told && candidate_equal(&c->now, &c->then)))
            continue;
        c->told = true;
        c->then = c->now;
        *out = (struct turn_event){.kind = TURN_EVENT_CANDIDATE_ADDED, .candidate = c->now};
        return true;
    }
    return false;
}

bool turn_candidates_tell(struct turn *t, struct turn_event *out)
{
    return poll_invalidated(t, out) || poll_added(t, out);
}
