/* SPDX-License-Identifier: Apache-2.0 */
/* The messages that come to an agent: requests of the peer, and answers to our checks; see ice.h. */
#include "control/p2p/ice_private.h"
#include "platform/base/bytes.h"
#include "platform/base/err.h"

enum {
    ROLE_CONFLICT = 487
};

bool ice_owns_request(const struct ice *a, const struct stun_message *m)
{
    struct stun_text receiver, sender;

    return stun_username_split(m, &receiver, &sender) && stun_text_is(receiver, a->own.ufrag) &&
           stun_text_is(sender, a->remote.ufrag);
}

bool ice_owns_id(const struct ice *a, const struct stun_id *id)
{
    uint32_t serial;
    return ice_id_open(id, a->tag, a->key, &serial);
}

static void switch_role(struct ice *a)
{
    a->role = a->role == ICE_CONTROLLING ? ICE_CONTROLLED : ICE_CONTROLLING;
    a->role_serial = a->serial;
    ice_pairs_rank(&a->pairs, &a->candidates, a->role);
}

/* ---- requests ---- */

struct request {
    const struct stun_message *m;
    const struct sock_addr *from;
    int local, remote; /* entries of the candidates */
};

static void answer(struct ice *a, const struct request *r, bool conflict)
{
    const struct candidate *local = &a->candidates.locals[r->local].candidate;
    unsigned at = (a->answer_first + a->answer_count++) % ICE_ANSWER_MAX;

    a->answers[at] = (struct ice_answer){.id = r->m->id,
                                         .from = local->addr,
                                         .to = *r->from,
                                         .relayed = local->kind == CANDIDATE_RELAY,
                                         .conflict = conflict};
}

/* True if the peer claims our role. */
static bool is_conflict(const struct ice *a, const struct stun_message *m, uint64_t *theirs)
{
    bool controlling = a->role == ICE_CONTROLLING;

    *theirs = controlling ? m->controlling : m->controlled;
    return m->has & (controlling ? STUN_HAS_CONTROLLING : STUN_HAS_CONTROLLED);
}

static enum ice_verdict settle_roles(struct ice *a, const struct request *r)
{
    const uint32_t both = STUN_HAS_CONTROLLING | STUN_HAS_CONTROLLED;
    uint64_t theirs;

    if ((r->m->has & both) == both)
        return ICE_VERDICT_ROLE;
    if (is_conflict(a, r->m, &theirs)) {
        if (a->tie_breaker >= theirs) {
            answer(a, r, true);
            return ICE_VERDICT_CONFLICT;
        }
        switch_role(a);
    }
    if (r->m->has & STUN_HAS_USE_CANDIDATE && a->role == ICE_CONTROLLING)
        return ICE_VERDICT_ROLE;
    return ICE_VERDICT_ACCEPTED;
}

static enum ice_verdict find_remote(struct ice *a, struct request *r)
{
    r->remote = ice_remote_at(&a->candidates, r->from);
    if (r->remote == ICE_NONE)
        r->remote = ice_make_reflexive(a, r->from, r->m->priority);
    if (r->remote == ICE_NONE)
        return ICE_VERDICT_FULL;
    if (a->candidates.remotes[r->remote].state == ICE_GONE)
        return ICE_VERDICT_INVALIDATED;
    a->had_remote = true;
    return ICE_VERDICT_ACCEPTED;
}

/* The pair on which it came; NULL: there are too many better ones. */
static struct ice_pair *find_pair(struct ice *a, const struct request *r, time_ns now)
{
    struct ice_pair *p = ice_pairs_find(&a->pairs, &a->candidates,
                                        &a->candidates.locals[r->local].candidate.base, r->from);

    return p ? p : ice_pairs_form(&a->pairs, &a->candidates, r->local, r->remote, a->role, now);
}

static enum ice_verdict handle_request(struct ice *a, time_ns now, const struct sock_addr *local,
                                       const struct sock_addr *from, const struct stun_message *m)
{
    struct request r = {.m = m, .from = from};
    enum ice_verdict verdict;
    struct ice_pair *p;

    if (!ice_owns_request(a, m))
        return ICE_VERDICT_OTHER_AGENT;
    if (!stun_integrity_ok(m, a->own.password, strlen(a->own.password)))
        return ICE_VERDICT_UNAUTHENTIC;
    r.local = ice_local_receiver(&a->candidates, local);
    if (r.local == ICE_NONE || from->ip.family != local->ip.family || !candidate_addr_ok(from))
        return ICE_VERDICT_NOT_LOCAL;
    if (a->answer_count == ICE_ANSWER_MAX)
        return ICE_VERDICT_FULL;
    verdict = settle_roles(a, &r);
    if (verdict == ICE_VERDICT_ACCEPTED)
        verdict = find_remote(a, &r);
    if (verdict != ICE_VERDICT_ACCEPTED)
        return verdict;
    answer(a, &r, false);
    p = find_pair(a, &r, now);
    if (p) {
        ice_schedule_requested(&p->schedule, now);
        if (m->has & STUN_HAS_USE_CANDIDATE)
            ice_nominated_by_peer(a, p, now);
        ice_notice_silence(a, p, now);
    }
    return ICE_VERDICT_ACCEPTED;
}

/* ---- answers ---- */

static enum ice_verdict handle_success(struct ice *a, time_ns now, uint32_t serial)
{
    for (unsigned i = 0; i < a->pairs.count; i++) {
        if (ice_schedule_answered(&a->pairs.at[i].schedule, a->timing, now, serial))
            return ICE_VERDICT_ACCEPTED;
    }
    return ICE_VERDICT_UNEXPECTED;
}

/* The peer keeps the role in which the check was sent. */
static enum ice_verdict handle_error(struct ice *a, const struct stun_message *m, uint32_t serial)
{
    if (m->error != ROLE_CONFLICT || serial - a->role_serial > UINT32_MAX / 2)
        return ICE_VERDICT_UNEXPECTED;
    switch_role(a);
    return ICE_VERDICT_ACCEPTED;
}

static enum ice_verdict handle_answer(struct ice *a, time_ns now, const struct stun_message *m)
{
    uint32_t serial;

    if (!ice_id_open(&m->id, a->tag, a->key, &serial))
        return ICE_VERDICT_OTHER_AGENT;
    if (!stun_integrity_ok(m, a->remote.password, strlen(a->remote.password)))
        return ICE_VERDICT_UNAUTHENTIC;
    return m->class == STUN_ERROR ? handle_error(a, m, serial) : handle_success(a, now, serial);
}

enum ice_verdict ice_handle_input(struct ice *a, time_ns now, const struct sock_addr *local,
                                  const struct sock_addr *from, const struct stun_message *m)
{
    bool error = m->method == STUN_BINDING && m->class == STUN_ERROR;
    enum ice_verdict verdict = ICE_VERDICT_NOT_ICE;

    if (a->state == ICE_FAILED)
        return ICE_VERDICT_ENDED;
    if (stun_is_ice_request(m))
        verdict = handle_request(a, now, local, from, m);
    else if (stun_is_ice_success(m) || error)
        verdict = handle_answer(a, now, m);
    ice_step(a, now);
    return verdict;
}
