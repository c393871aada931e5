/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an agent, its candidates, and what comes out of it; see ice.h. */
#include "control/p2p/ice.h"

#include "control/p2p/ice_private.h"
#include "platform/base/blake2s.h"
#include "platform/base/bytes.h"

static void set_state(struct ice *a, enum ice_state next, time_ns now)
{
    enum {
        ANY = (1u << ICE_STATE_COUNT) - 1,
        BEGUN = ANY & ~(1u << ICE_NEW)
    };
    static const unsigned legal[] = {
        [ICE_NEW] = ANY,         [ICE_CHECKING] = BEGUN,     [ICE_CONNECTED] = BEGUN,
        [ICE_COMPLETED] = BEGUN, [ICE_DISCONNECTED] = BEGUN, [ICE_FAILED] = 1u << ICE_FAILED,
    };
    ASSERT(legal[a->state] & 1u << next);
    if (next == ICE_DISCONNECTED && a->state != ICE_DISCONNECTED)
        a->disconnected_at = now;
    a->state = next;
}

static bool put_credentials(struct ice_credentials *out, const char *ufrag, const char *password)
{
    size_t ufrag_len = strlen(ufrag), password_len = strlen(password);

    if (ufrag_len == 0 || ufrag_len > ICE_UFRAG_MAX || password_len == 0 ||
        password_len > ICE_PASSWORD_MAX)
        return false;
    memcpy(out->ufrag, ufrag, ufrag_len + 1);
    memcpy(out->password, password, password_len + 1);
    return true;
}

enum err ice_init(struct ice *a, const struct ice_config *config, const uint8_t seed[ICE_SEED_LEN],
                  time_ns now)
{
    static const uint8_t purpose[] = "ICE";
    uint8_t other[BLAKE2S_HASH_LEN];

    ASSERT(now > 0);
    memset(a, 0, sizeof *a);
    if (!put_credentials(&a->own, config->ufrag, config->password) ||
        !put_credentials(&a->remote, config->remote_ufrag, config->remote_password)) {
        ice_wipe(a);
        return ERR_INVALID;
    }
    a->role = config->role;
    a->kind = config->kind;
    a->tag = config->tag;
    a->timing = ice_timing(a->kind, false);
    a->created_at = now;
    blake2s_kdf(a->key, other, NULL, seed, purpose, sizeof purpose);
    a->tie_breaker = load_be64(other);
    a->serial = a->role_serial = load_be32(other + 8);
    secure_wipe(other, sizeof other);
    return ERR_OK;
}

void ice_wipe(struct ice *a)
{
    secure_wipe(a, sizeof *a);
}

/* ---- time ---- */

static void give_up_pairs(struct ice *a, time_ns now)
{
    for (unsigned i = a->pairs.count; i-- > 0;) {
        if (ice_schedule_given_up(&a->pairs.at[i].schedule, a->timing, now))
            ice_pairs_remove(&a->pairs, &a->pairs.at[i]);
    }
}

static void make_checks(struct ice *a, time_ns now)
{
    for (unsigned i = 0; i < a->pairs.count; i++) {
        struct ice_pair *p = &a->pairs.at[i];
        if (now < p->schedule.next_at)
            continue;
        ice_schedule_sent(&p->schedule, a->timing, now, a->serial++);
        p->queued = true;
    }
}

static bool has_local(const struct ice *a)
{
    for (int i = 0; i < ICE_LOCAL_MAX; i++) {
        if (a->candidates.locals[i].state == ICE_LIVE)
            return true;
    }
    return false;
}

static enum ice_state judge(const struct ice *a, time_ns now)
{
    unsigned nominated = 0;

    for (unsigned i = 0; i < a->pairs.count; i++)
        nominated += a->pairs.at[i].nominated;
    if (nominated > 0)
        return nominated < a->pairs.count ? ICE_CONNECTED : ICE_COMPLETED;
    if (a->pairs.count > 0)
        return ICE_CHECKING;
    if (a->had_remote && has_local(a) &&
        (a->pairs.begun || now >= a->created_at + ICE_CANDIDATE_TIMEOUT_NS))
        return ICE_DISCONNECTED;
    return a->pairs.begun || a->state != ICE_NEW ? ICE_CHECKING : ICE_NEW;
}

/* The time at which the agent fails as things stand. */
static time_ns failure_at(const struct ice *a)
{
    if (a->state == ICE_DISCONNECTED)
        return a->disconnected_at + ICE_DISCONNECT_GRACE_NS;
    return a->had_remote ? TIME_NEVER : a->created_at + ICE_CANDIDATE_TIMEOUT_NS;
}

void ice_step(struct ice *a, time_ns now)
{
    if (a->state == ICE_FAILED)
        return;
    give_up_pairs(a, now);
    make_checks(a, now);
    ice_nominate(a, now);
    make_checks(a, now); /* of what is nominated just now */
    set_state(a, judge(a, now), now);
    if (now >= failure_at(a)) {
        a->failure = a->had_remote ? ICE_FAILURE_DISCONNECTED : ICE_FAILURE_NO_CANDIDATES;
        set_state(a, ICE_FAILED, now);
    }
}

void ice_handle_timeout(struct ice *a, time_ns now)
{
    ice_step(a, now);
}

time_ns ice_poll_timeout(const struct ice *a)
{
    time_ns at;

    if (a->state == ICE_FAILED)
        return TIME_NEVER;
    at = failure_at(a);
    if (!a->pairs.begun && a->had_remote && has_local(a) && a->state != ICE_DISCONNECTED)
        at = time_min(at, a->created_at + ICE_CANDIDATE_TIMEOUT_NS);
    for (unsigned i = 0; i < a->pairs.count; i++)
        at = time_min(at, ice_schedule_at(&a->pairs.at[i].schedule, a->timing));
    return at;
}

void ice_set_idle(struct ice *a, time_ns now, bool idle)
{
    const struct ice_timing *timing = ice_timing(a->kind, idle);

    a->idle = idle;
    if (timing == a->timing)
        return;
    a->timing = timing;
    for (unsigned i = 0; i < a->pairs.count; i++)
        ice_schedule_retime(&a->pairs.at[i].schedule, timing, now);
    ice_step(a, now);
}

/* ---- our candidates ---- */

bool ice_add_local(struct ice *a, time_ns now, const struct candidate *candidate)
{
    int at;

    if (a->state == ICE_FAILED)
        return false;
    at = ice_local_add(&a->candidates, candidate);
    if (at == ICE_NONE)
        return false;
    ice_pairs_form_local(&a->pairs, &a->candidates, at, a->role, now);
    ice_step(a, now);
    return true;
}

bool ice_remove_local(struct ice *a, time_ns now, const struct candidate *candidate)
{
    int at = ice_local_find(&a->candidates, candidate);

    if (a->state == ICE_FAILED || at == ICE_NONE)
        return false;
    ice_pairs_remove_local(&a->pairs, at);
    ice_local_remove(&a->candidates, at, candidate->kind == CANDIDATE_RELAY);
    /* Others of the same base were not needed until now. */
    for (int i = 0; i < ICE_LOCAL_MAX; i++) {
        const struct ice_local *l = &a->candidates.locals[i];
        if (l->state == ICE_LIVE && sock_addr_equal(&l->candidate.base, &candidate->base))
            ice_pairs_form_local(&a->pairs, &a->candidates, i, a->role, now);
    }
    ice_step(a, now);
    return true;
}

bool ice_remove_base(struct ice *a, time_ns now, const struct ip_addr *ip)
{
    bool any = false;

    for (int i = 0; i < ICE_LOCAL_MAX && a->state != ICE_FAILED; i++) {
        const struct ice_local *l = &a->candidates.locals[i];
        if (l->state != ICE_LIVE || l->candidate.kind == CANDIDATE_RELAY ||
            !ip_addr_equal(&l->candidate.base.ip, ip))
            continue;
        ice_pairs_remove_local(&a->pairs, i);
        ice_local_remove(&a->candidates, i, true);
        any = true;
    }
    if (any)
        ice_step(a, now);
    return any;
}

void ice_signal_again(struct ice *a)
{
    for (int i = 0; i < ICE_LOCAL_MAX; i++) {
        if (a->candidates.locals[i].state == ICE_LIVE)
            a->candidates.locals[i].told = false;
    }
}

/* ---- the peer's candidates ---- */

static bool is_of_peer(const struct ice *a, const struct candidate_line *line)
{
    return line->candidate.transport == CANDIDATE_UDP &&
           (!line->ufrag || (line->ufrag_len == strlen(a->remote.ufrag) &&
                             memcmp(line->ufrag, a->remote.ufrag, line->ufrag_len) == 0));
}

static void make_room(struct ice *a)
{
    int at;

    if (!ice_remote_full(&a->candidates))
        return;
    at = ice_remote_worst(&a->candidates, ice_pairs_remotes(&a->pairs));
    if (at != ICE_NONE)
        ice_remote_forget(&a->candidates, at);
}

int ice_make_reflexive(struct ice *a, const struct sock_addr *addr, uint32_t priority)
{
    make_room(a);
    return ice_remote_add_reflexive(&a->candidates, addr, priority);
}

bool ice_add_remote(struct ice *a, time_ns now, const struct candidate_line *line)
{
    bool changed;
    int at;

    if (a->state == ICE_FAILED || !is_of_peer(a, line) || !candidate_addr_ok(&line->candidate.addr))
        return false;
    make_room(a);
    at = ice_remote_add(&a->candidates, &line->candidate, &changed);
    if (at == ICE_NONE)
        return false;
    a->had_remote = true;
    if (changed)
        ice_pairs_rank(&a->pairs, &a->candidates, a->role);
    ice_pairs_form_remote(&a->pairs, &a->candidates, at, a->role, now);
    for (int i = 0; i < ICE_OPTIMISTIC_STEP; i++) {
        at = ice_remote_add_optimistic(&a->candidates);
        if (at != ICE_NONE)
            ice_pairs_form_remote(&a->pairs, &a->candidates, at, a->role, now);
    }
    ice_step(a, now);
    return true;
}

bool ice_invalidate_remote(struct ice *a, time_ns now, const struct candidate_line *line)
{
    const struct sock_addr *addr = &line->candidate.addr;
    int at = ice_remote_find(&a->candidates, &line->candidate);

    if (a->state == ICE_FAILED || !is_of_peer(a, line) || at == ICE_NONE ||
        a->candidates.remotes[at].state != ICE_LIVE)
        return false;
    ice_pairs_remove_remote(&a->pairs, at);
    ice_remote_invalidate(&a->candidates, at);
    at = ice_remote_at(&a->candidates, addr);
    /* Another one that was signalled with the same address was not needed until now. */
    if (a->candidates.remotes[at].state == ICE_LIVE)
        ice_pairs_form_remote(&a->pairs, &a->candidates, at, a->role, now);
    ice_step(a, now);
    return true;
}

/* ---- outputs ---- */

static void transmit_answer(struct ice *a, struct ice_datagram *out)
{
    const struct ice_answer *answer = &a->answers[a->answer_first];
    size_t len;

    *out = (struct ice_datagram){.from = answer->from, .to = answer->to};
    out->relayed = answer->relayed;
    len = answer->conflict ? ice_write_conflict(out->bytes, &answer->id, &a->own)
                           : ice_write_success(out->bytes, &answer->id, &answer->to, &a->own);
    out->len = (uint16_t)len;
    a->answer_first = (a->answer_first + 1) % ICE_ANSWER_MAX;
    a->answer_count--;
}

static void transmit_check(struct ice *a, struct ice_pair *p, struct ice_datagram *out)
{
    const struct candidate *local = &a->candidates.locals[p->local].candidate;
    struct ice_check check = {
        .id = ice_id_make(a->tag, a->key, ice_schedule_serial(&p->schedule)),
        .role = a->role,
        .use_candidate = a->role == ICE_CONTROLLING && p->nominated,
        .priority = candidate_prflx_priority(local->priority),
        .tie_breaker = a->tie_breaker,
    };

    *out = (struct ice_datagram){.from = local->base,
                                 .to = a->candidates.remotes[p->remote].candidate.addr,
                                 .relayed = local->kind == CANDIDATE_RELAY};
    out->len = (uint16_t)ice_write_check(out->bytes, &check, &a->own, &a->remote);
    p->queued = false;
}

bool ice_poll_transmit(struct ice *a, struct ice_datagram *out)
{
    struct ice_pair *best = NULL;

    if (a->state == ICE_FAILED)
        return false;
    if (a->answer_count > 0) {
        transmit_answer(a, out);
        return true;
    }
    for (unsigned i = 0; i < a->pairs.count; i++) {
        struct ice_pair *p = &a->pairs.at[i];
        if (p->queued && (!best || p->priority > best->priority))
            best = p;
    }
    if (best)
        transmit_check(a, best, out);
    return best != NULL;
}

static bool tell_invalidated(struct ice *a, struct ice_event *out)
{
    for (int i = 0; i < ICE_LOCAL_MAX; i++) {
        struct ice_local *l = &a->candidates.locals[i];
        if (l->state != ICE_GONE)
            continue;
        l->state = ICE_FREE;
        out->kind = ICE_EVENT_CANDIDATE_INVALIDATED;
        out->candidate = l->candidate;
        return true;
    }
    return false;
}

static bool tell_local(struct ice *a, struct ice_event *out)
{
    struct ice_local *best = NULL;

    for (int i = 0; i < ICE_LOCAL_MAX; i++) {
        struct ice_local *l = &a->candidates.locals[i];
        if (l->state == ICE_LIVE && !l->told &&
            (!best || l->candidate.priority > best->candidate.priority))
            best = l;
    }
    if (!best)
        return false;
    best->told = true;
    out->kind = ICE_EVENT_CANDIDATE_ADDED;
    out->candidate = best->candidate;
    return true;
}

static bool tell_reflexive(struct ice *a, struct ice_event *out)
{
    for (int i = 0; i < ICE_REMOTE_MAX; i++) {
        struct ice_remote *r = &a->candidates.remotes[i];
        if (r->state != ICE_LIVE || r->told)
            continue;
        r->told = true;
        out->kind = ICE_EVENT_PEER_REFLEXIVE;
        out->candidate = r->candidate;
        return true;
    }
    return false;
}

bool ice_selected(struct ice *a, struct ice_path *out)
{
    const struct ice_pair *p = ice_pairs_selected(&a->pairs);
    const struct candidate *local, *remote;

    if (!p)
        return false;
    local = &a->candidates.locals[p->local].candidate;
    remote = &a->candidates.remotes[p->remote].candidate;
    *out = (struct ice_path){.local = local->base,
                             .remote = remote->addr,
                             .local_kind = local->kind,
                             .remote_kind = remote->kind};
    return true;
}

bool ice_doubtful(struct ice *a)
{
    const struct ice_pair *p = ice_pairs_selected(&a->pairs);

    return p && ice_schedule_doubtful(&p->schedule, a->timing);
}

/* Other kinds make no difference. */
static bool same_path(const struct ice_path *a, const struct ice_path *b)
{
    return sock_addr_equal(&a->local, &b->local) && sock_addr_equal(&a->remote, &b->remote) &&
           (a->local_kind == CANDIDATE_RELAY) == (b->local_kind == CANDIDATE_RELAY) &&
           (a->remote_kind == CANDIDATE_RELAY) == (b->remote_kind == CANDIDATE_RELAY);
}

static bool tell_nominated(struct ice *a, struct ice_event *out)
{
    struct ice_path path;

    if (!ice_selected(a, &path) || same_path(&path, &a->told_path))
        return false;
    a->told_path = path;
    out->kind = ICE_EVENT_NOMINATED;
    out->path = path;
    return true;
}

static bool tell_state(struct ice *a, struct ice_event *out)
{
    if (a->state == a->told_state)
        return false;
    a->told_state = a->state;
    out->kind = ICE_EVENT_STATE;
    out->state = a->state;
    return true;
}

bool ice_poll_event(struct ice *a, struct ice_event *out)
{
    *out = (struct ice_event){.kind = ICE_EVENT_FAILED, .failure = a->failure};
    if (a->state != ICE_FAILED)
        return tell_invalidated(a, out) || tell_local(a, out) || tell_reflexive(a, out) ||
               tell_nominated(a, out) || tell_state(a, out);
    if (a->failure_told)
        return false;
    a->failure_told = true;
    return true;
}

/* ---- texts ---- */

const char *ice_state_text(enum ice_state state)
{
    static const char *const texts[] = {"new",       "checking",     "connected",
                                        "completed", "disconnected", "failed"};
    ASSERT((size_t)state < ARRAY_LEN(texts));
    return texts[state];
}

const char *ice_failure_text(enum ice_failure failure)
{
    return failure == ICE_FAILURE_NO_CANDIDATES ? "the peer sent no candidate" : "no path works";
}

const char *ice_verdict_text(enum ice_verdict verdict)
{
    static const char *const texts[] = {
#define X(name, text) text,
        ICE_VERDICT_LIST(X)
#undef X
    };
    ASSERT((size_t)verdict < ARRAY_LEN(texts));
    return texts[verdict];
}
