/* SPDX-License-Identifier: Apache-2.0 */
/* See ice_pairs.h. */
#include "control/p2p/ice_pairs.h"

#include <stddef.h>

#include "platform/base/err.h"

uint64_t ice_pair_priority(uint32_t controlling, uint32_t controlled)
{
    uint64_t lower = controlling < controlled ? controlling : controlled;
    uint64_t upper = controlling < controlled ? controlled : controlling;

    return (lower << 32) + 2 * upper + (controlling > controlled);
}

static uint64_t rank(const struct ice_candidates *c, int local, int remote, enum ice_role role)
{
    uint32_t ours = c->locals[local].candidate.priority;
    uint32_t theirs = c->remotes[remote].candidate.priority;

    return role == ICE_CONTROLLING ? ice_pair_priority(ours, theirs)
                                   : ice_pair_priority(theirs, ours);
}

void ice_pairs_rank(struct ice_pairs *p, const struct ice_candidates *c, enum ice_role role)
{
    for (unsigned i = 0; i < p->count; i++)
        p->at[i].priority = rank(c, p->at[i].local, p->at[i].remote, role);
}

void ice_pairs_remove(struct ice_pairs *p, struct ice_pair *pair)
{
    ASSERT(p->count > 0 && pair >= p->at && pair < p->at + p->count);
    *pair = p->at[--p->count];
}

static struct ice_pair *worst(struct ice_pairs *p)
{
    struct ice_pair *w = NULL;

    for (unsigned i = 0; i < p->count; i++) {
        struct ice_pair *pair = &p->at[i];
        if (!pair->nominated && !pair->selected && (!w || pair->priority < w->priority))
            w = pair;
    }
    return w;
}

/* Room for one of this priority. NULL: all others are worth more. */
static struct ice_pair *make_room(struct ice_pairs *p, uint64_t priority)
{
    struct ice_pair *w;

    if (p->count < ICE_PAIR_MAX)
        return &p->at[p->count++];
    w = worst(p);
    return w && w->priority < priority ? w : NULL;
}

struct ice_pair *ice_pairs_form(struct ice_pairs *p, const struct ice_candidates *c, int local,
                                int remote, enum ice_role role, time_ns now)
{
    const struct ice_local *l = &c->locals[local];
    const struct ice_remote *r = &c->remotes[remote];
    uint64_t priority = rank(c, local, remote, role);
    struct ice_pair *pair;

    ASSERT(l->state == ICE_LIVE && r->state == ICE_LIVE);
    if (l->candidate.addr.ip.family != r->candidate.addr.ip.family)
        return NULL;
    pair = ice_pairs_find(p, c, &l->candidate.base, &r->candidate.addr);
    if (pair && pair->priority >= priority)
        return pair;
    if (!pair) {
        pair = make_room(p, priority);
        if (!pair)
            return NULL;
        *pair = (struct ice_pair){.nominated = false};
        ice_schedule_begin(&pair->schedule, now);
        p->begun = true;
    }
    pair->local = (uint8_t)local;
    pair->remote = (uint8_t)remote;
    pair->priority = priority;
    return pair;
}

void ice_pairs_form_local(struct ice_pairs *p, const struct ice_candidates *c, int local,
                          enum ice_role role, time_ns now)
{
    for (int i = 0; i < ICE_REMOTE_MAX; i++) {
        if (c->remotes[i].state == ICE_LIVE)
            (void)ice_pairs_form(p, c, local, i, role, now);
    }
}

void ice_pairs_form_remote(struct ice_pairs *p, const struct ice_candidates *c, int remote,
                           enum ice_role role, time_ns now)
{
    for (int i = 0; i < ICE_LOCAL_MAX; i++) {
        if (c->locals[i].state == ICE_LIVE)
            (void)ice_pairs_form(p, c, i, remote, role, now);
    }
}

void ice_pairs_remove_local(struct ice_pairs *p, int local)
{
    for (unsigned i = p->count; i-- > 0;) {
        if (p->at[i].local == local)
            ice_pairs_remove(p, &p->at[i]);
    }
}

void ice_pairs_remove_remote(struct ice_pairs *p, int remote)
{
    for (unsigned i = p->count; i-- > 0;) {
        if (p->at[i].remote == remote)
            ice_pairs_remove(p, &p->at[i]);
    }
}

uint64_t ice_pairs_remotes(const struct ice_pairs *p)
{
    uint64_t bits = 0;

    for (unsigned i = 0; i < p->count; i++)
        bits |= UINT64_C(1) << p->at[i].remote;
    return bits;
}

struct ice_pair *ice_pairs_find(struct ice_pairs *p, const struct ice_candidates *c,
                                const struct sock_addr *base, const struct sock_addr *remote)
{
    for (unsigned i = 0; i < p->count; i++) {
        struct ice_pair *pair = &p->at[i];
        if (sock_addr_equal(&c->locals[pair->local].candidate.base, base) &&
            sock_addr_equal(&c->remotes[pair->remote].candidate.addr, remote))
            return pair;
    }
    return NULL;
}

struct ice_pair *ice_pairs_selected(struct ice_pairs *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        if (p->at[i].selected)
            return &p->at[i];
    }
    return NULL;
}
