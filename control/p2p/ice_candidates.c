/* SPDX-License-Identifier: Apache-2.0 */
/* See ice_candidates.h. */
#include "control/p2p/ice_candidates.h"

#include "platform/base/err.h"

/* ---- our own ---- */

static bool same_kind(const struct candidate *a, const struct candidate *b)
{
    return a->kind == b->kind && a->addr.ip.family == b->addr.ip.family;
}

static bool priority_taken(const struct ice_candidates *c, uint32_t priority)
{
    for (int i = 0; i < ICE_LOCAL_MAX; i++) {
        if (c->locals[i].state == ICE_LIVE && c->locals[i].candidate.priority == priority)
            return true;
    }
    return false;
}

/* By the number of those there are; further on if a removal left a gap. */
static uint32_t local_priority(const struct ice_candidates *c, const struct candidate *candidate)
{
    unsigned count = 0;

    for (int i = 0; i < ICE_LOCAL_MAX; i++)
        count += c->locals[i].state == ICE_LIVE && same_kind(&c->locals[i].candidate, candidate);
    for (unsigned i = 0; i < ICE_LOCAL_MAX; i++) {
        uint32_t priority = candidate_priority(candidate, count + i);
        if (!priority_taken(c, priority))
            return priority;
    }
    return candidate_priority(candidate, count);
}

static int local_free(const struct ice_candidates *c)
{
    for (int i = 0; i < ICE_LOCAL_MAX; i++) {
        if (c->locals[i].state == ICE_FREE)
            return i;
    }
    return ICE_NONE;
}

static int local_redundant(const struct ice_candidates *c, const struct candidate *candidate)
{
    for (int i = 0; i < ICE_LOCAL_MAX; i++) {
        const struct ice_local *l = &c->locals[i];
        if (l->state == ICE_LIVE && sock_addr_equal(&l->candidate.addr, &candidate->addr) &&
            sock_addr_equal(&l->candidate.base, &candidate->base))
            return i;
    }
    return ICE_NONE;
}

int ice_local_add(struct ice_candidates *c, const struct candidate *candidate)
{
    struct candidate added = *candidate;
    int at = local_redundant(c, candidate);

    if (candidate->kind == CANDIDATE_PRFLX || !candidate_addr_ok(&added.addr) ||
        added.base.ip.family != added.addr.ip.family)
        return ICE_NONE;
    if (at != ICE_NONE)
        c->locals[at].order = c->order++;
    added.priority = local_priority(c, candidate);
    if (at != ICE_NONE && c->locals[at].candidate.priority >= added.priority)
        return ICE_NONE;
    if (at != ICE_NONE && c->locals[at].candidate.kind == added.kind)
        return ICE_NONE;
    if (at == ICE_NONE && (added.kind == CANDIDATE_RELAY || ice_local_room(c)))
        at = local_free(c);
    if (at != ICE_NONE)
        c->locals[at] =
            (struct ice_local){.candidate = added, .state = ICE_LIVE, .order = c->order++};
    return at;
}

static bool is_direct(const struct ice_local *l)
{
    return l->state == ICE_LIVE && l->candidate.kind != CANDIDATE_RELAY;
}

bool ice_local_room(const struct ice_candidates *c)
{
    unsigned count = 0;

    for (int i = 0; i < ICE_LOCAL_MAX; i++)
        count += is_direct(&c->locals[i]);
    return count < ICE_LOCAL_MAX - ICE_LOCAL_RELAYED;
}

int ice_local_older(const struct ice_candidates *c, int after)
{
    int oldest = ICE_NONE;

    for (int i = 0; i < ICE_LOCAL_MAX; i++) {
        if (is_direct(&c->locals[i]) &&
            (after == ICE_NONE || c->locals[i].order > c->locals[after].order) &&
            (oldest == ICE_NONE || c->locals[i].order < c->locals[oldest].order))
            oldest = i;
    }
    return oldest;
}

int ice_local_find(const struct ice_candidates *c, const struct candidate *candidate)
{
    for (int i = 0; i < ICE_LOCAL_MAX; i++) {
        if (c->locals[i].state == ICE_LIVE && candidate_equal(&c->locals[i].candidate, candidate))
            return i;
    }
    return ICE_NONE;
}

int ice_local_receiver(const struct ice_candidates *c, const struct sock_addr *addr)
{
    for (int i = 0; i < ICE_LOCAL_MAX; i++) {
        const struct ice_local *l = &c->locals[i];
        bool receives = l->candidate.kind == CANDIDATE_HOST || l->candidate.kind == CANDIDATE_RELAY;
        if (l->state == ICE_LIVE && receives && sock_addr_equal(&l->candidate.addr, addr))
            return i;
    }
    return ICE_NONE;
}

/* What the peer does not know needs no word. */
void ice_local_remove(struct ice_candidates *c, int local, bool tell)
{
    struct ice_local *l = &c->locals[local];

    ASSERT(l->state == ICE_LIVE);
    l->state = tell && l->told ? ICE_GONE : ICE_FREE;
}

/* ---- the peer's ---- */

static int remote_free(const struct ice_candidates *c)
{
    for (int i = 0; i < ICE_REMOTE_MAX; i++) {
        if (c->remotes[i].state == ICE_FREE)
            return i;
    }
    return ICE_NONE;
}

bool ice_remote_full(const struct ice_candidates *c)
{
    return remote_free(c) == ICE_NONE;
}

int ice_remote_find(const struct ice_candidates *c, const struct candidate *candidate)
{
    for (int i = 0; i < ICE_REMOTE_MAX; i++) {
        const struct ice_remote *r = &c->remotes[i];
        if (r->state != ICE_FREE && !r->optimistic && candidate_equal(&r->candidate, candidate))
            return i;
    }
    return ICE_NONE;
}

/* Found by other means than signalling, at the address of one that is signalled. */
static int unsignalled_at(const struct ice_candidates *c, const struct sock_addr *addr)
{
    for (int i = 0; i < ICE_REMOTE_MAX; i++) {
        const struct ice_remote *r = &c->remotes[i];
        if (r->state == ICE_LIVE && (r->optimistic || r->candidate.kind == CANDIDATE_PRFLX) &&
            sock_addr_equal(&r->candidate.addr, addr))
            return i;
    }
    return ICE_NONE;
}

static int remote_put(struct ice_candidates *c, int at, const struct candidate *candidate)
{
    if (at != ICE_NONE)
        c->remotes[at] = (struct ice_remote){
            .candidate = *candidate, .state = ICE_LIVE, .order = c->order++, .told = true};
    return at;
}

int ice_remote_add(struct ice_candidates *c, const struct candidate *candidate, bool *changed)
{
    int at = ice_remote_find(c, candidate);

    *changed = false;
    if (at != ICE_NONE && c->remotes[at].state == ICE_LIVE)
        return at;
    if (at == ICE_NONE)
        at = unsignalled_at(c, &candidate->addr);
    *changed = at != ICE_NONE;
    return remote_put(c, at != ICE_NONE ? at : remote_free(c), candidate);
}

int ice_remote_add_reflexive(struct ice_candidates *c, const struct sock_addr *addr,
                             uint32_t priority)
{
    struct candidate found = candidate_make(CANDIDATE_PRFLX, addr, addr);
    int at;

    found.priority = priority;
    at = remote_put(c, remote_free(c), &found);
    if (at != ICE_NONE)
        c->remotes[at].told = false;
    return at;
}

/* Signalled and still valid. */
static bool is_source(const struct ice_remote *r, enum candidate_kind kind)
{
    return r->state == ICE_LIVE && !r->optimistic && r->candidate.kind == kind &&
           r->candidate.addr.ip.family == ADDR_V4;
}

static unsigned optimistic_count(const struct ice_candidates *c)
{
    unsigned n = 0;

    for (int i = 0; i < ICE_REMOTE_MAX; i++)
        n += c->remotes[i].state == ICE_LIVE && c->remotes[i].optimistic;
    return n;
}

int ice_remote_add_optimistic(struct ice_candidates *c)
{
    if (optimistic_count(c) == ICE_OPTIMISTIC_MAX)
        return ICE_NONE;
    for (int i = 0; i < ICE_REMOTE_MAX; i++) {
        for (int j = 0; j < ICE_REMOTE_MAX && is_source(&c->remotes[i], CANDIDATE_SRFLX); j++) {
            struct candidate guess = c->remotes[i].candidate;
            int at;
            if (!is_source(&c->remotes[j], CANDIDATE_HOST))
                continue;
            guess.addr.port = c->remotes[j].candidate.addr.port;
            guess.base = c->remotes[j].candidate.addr;
            guess.priority -= guess.priority > 0;
            if (ice_remote_at(c, &guess.addr) != ICE_NONE)
                continue;
            at = remote_put(c, remote_free(c), &guess);
            if (at != ICE_NONE)
                c->remotes[at].optimistic = true;
            return at;
        }
    }
    return ICE_NONE;
}

int ice_remote_at(const struct ice_candidates *c, const struct sock_addr *addr)
{
    int gone = ICE_NONE;

    for (int i = 0; i < ICE_REMOTE_MAX; i++) {
        const struct ice_remote *r = &c->remotes[i];
        if (r->state == ICE_FREE || !sock_addr_equal(&r->candidate.addr, addr))
            continue;
        if (r->state == ICE_LIVE)
            return i;
        gone = i;
    }
    return gone;
}

void ice_remote_invalidate(struct ice_candidates *c, int remote)
{
    ASSERT(c->remotes[remote].state == ICE_LIVE);
    c->remotes[remote].state = ICE_GONE;
}

/* The greater, the sooner it may be forgotten. */
static int remote_worth_less(const struct ice_remote *r)
{
    if (r->optimistic)
        return 3;
    if (r->state == ICE_GONE)
        return 2;
    return r->candidate.kind == CANDIDATE_PRFLX;
}

int ice_remote_worst(const struct ice_candidates *c, uint64_t in_use)
{
    int worst = ICE_NONE;

    for (int i = 0; i < ICE_REMOTE_MAX; i++) {
        const struct ice_remote *r = &c->remotes[i],
                                *w = &c->remotes[worst != ICE_NONE ? worst : 0];
        if (r->state == ICE_FREE || (r->state == ICE_LIVE && in_use >> i & 1))
            continue;
        if (worst == ICE_NONE || remote_worth_less(r) > remote_worth_less(w) ||
            (remote_worth_less(r) == remote_worth_less(w) && r->order < w->order))
            worst = i;
    }
    return worst;
}

void ice_remote_forget(struct ice_candidates *c, int remote)
{
    c->remotes[remote].state = ICE_FREE;
}
