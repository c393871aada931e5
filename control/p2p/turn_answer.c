/* SPDX-License-Identifier: Apache-2.0 */
/* What answers of the relay mean; spec/p2p.md 5.3, 5.5, 13. */
#include "control/p2p/turn_private.h"
#include "platform/base/bytes.h"
#include "platform/base/err.h"

enum {
    LIFETIME_MAX_S = 86400,
    ERROR_BAD_REQUEST = 400,
    ERROR_UNAUTHORIZED = 401,
    ERROR_UNKNOWN_ATTRIBUTE = 420,
    ERROR_MISMATCH = 437,
    ERROR_STALE_NONCE = 438
};

/* An answer to `r`, which is a copy: the request itself is over. */
struct answer {
    const struct stun_message *m;
    const struct sock_addr *local;
    struct turn_request r;
    struct turn_request *slot;    /* where it was */
    struct turn_channel *channel; /* of a CHANNEL-BIND */
    bool had_nonce, was_plain;
};

/* Whose answer it may be. False: nobody's. */
static bool find_request(struct turn *t, const struct stun_message *m, struct answer *out)
{
    struct turn_request *fixed[] = {&t->binding[0], &t->binding[1], &t->allocate, &t->refresh};
    unsigned attempt = 0;

    *out = (struct answer){.m = m};
    for (unsigned i = 0; i < ARRAY_LEN(fixed) && !out->slot; i++) {
        if (turn_request_owns(fixed[i], &m->id, &attempt))
            out->slot = fixed[i];
    }
    if (!out->slot)
        out->channel = turn_channels_of_answer(&t->channels, &m->id, &attempt);
    if (out->channel)
        out->slot = &out->channel->request;
    if (!out->slot || out->slot->method != m->method)
        return false;
    out->had_nonce = out->slot->nonce_mask >> attempt & 1;
    out->was_plain = out->slot->plain_mask >> attempt & 1;
    return true;
}

static bool is_challenge(const struct answer *a)
{
    return a->m->class == STUN_ERROR && (a->m->error == ERROR_STALE_NONCE ||
                                         (a->m->error == ERROR_UNAUTHORIZED && !a->had_nonce));
}

/*
 * A first request with MESSAGE-INTEGRITY but without nonce was refused by somebody who does not know that custom: as
 * such, or because of what an earlier life has left there, which is looked at before.
 */
static bool is_sign(const struct turn *t, const struct answer *a)
{
    return a->slot->method == STUN_ALLOCATE && a->m->class == STUN_ERROR &&
           (a->m->error == ERROR_BAD_REQUEST || a->m->error == ERROR_MISMATCH) &&
           !(a->m->has & STUN_HAS_INTEGRITY) && !a->had_nonce && !a->was_plain && t->nonce_len == 0;
}

static bool authentic(const struct turn *t, const struct answer *a)
{
    const struct stun_message *m = a->m;

    if (a->slot->method == STUN_BINDING)
        return true;
    if (m->has & STUN_HAS_INTEGRITY)
        return stun_integrity_ok(m, t->key, sizeof t->key);
    if (m->class != STUN_ERROR)
        return false;
    return a->was_plain || is_sign(t, a) ||
           (t->unauthenticated_challenges &&
            (m->error == ERROR_UNAUTHORIZED || m->error == ERROR_STALE_NONCE));
}

static void sample_rtt(struct turn *t, time_ns now, const struct turn_request *r)
{
    time_ns sample = time_max(time_since(now, r->first_at), 1);

    t->rtt_ns = t->rtt_ns == 0 ? sample : (7 * t->rtt_ns + sample) / 8;
}

/* ---- success ---- */

static void lifetime_begins(struct turn *t, time_ns now, uint32_t lifetime_s)
{
    time_ns lifetime = (time_ns)size_min(lifetime_s, LIFETIME_MAX_S) * NS_PER_SEC;

    t->refresh_at = now + lifetime / 2;
    t->expires_at = now + lifetime;
}

static void suspend(struct turn *t)
{
    t->waiting_count = 0;
    turn_set_state(t, TURN_SUSPENDED);
}

/* The relay knows an allocation by the address that it sees: under another one it is perhaps nobody's. */
static void note_mapping(struct turn *t, time_ns now, const struct sock_addr *mapped)
{
    bool changed = t->mapped.ip.family != ADDR_NONE && !sock_addr_equal(&t->mapped, mapped);

    t->mapped = *mapped;
    if (changed)
        turn_check_allocation(t, now);
}

static void binding_success(struct turn *t, time_ns now, const struct answer *a)
{
    const struct sock_addr *local = a->local, *mapped = &a->m->mapped;

    if (candidate_addr_ok(local)) {
        turn_candidate_set(t, CANDIDATE_HOST, local, local);
        if (mapped->ip.family == local->ip.family)
            turn_candidate_set(t, CANDIDATE_SRFLX, mapped, local);
    }
    if (t->state == TURN_BINDING) {
        t->active = a->r.server;
        turn_allocate(t, now);
    }
    if (a->r.server == t->active)
        note_mapping(t, now, mapped);
}

static void allocate_success(struct turn *t, time_ns now, const struct answer *a)
{
    const struct stun_message *m = a->m;

    if (!(m->has & STUN_HAS_LIFETIME) || m->lifetime_s == 0 ||
        (!candidate_addr_ok(&m->relayed4) && !candidate_addr_ok(&m->relayed6))) {
        suspend(t);
        return;
    }
    turn_candidate_set(t, CANDIDATE_RELAY, &m->relayed4, a->local);
    turn_candidate_set(t, CANDIDATE_RELAY, &m->relayed6, a->local);
    lifetime_begins(t, now, m->lifetime_s);
    t->keepalive_at = now + TURN_KEEPALIVE_NS;
    turn_set_state(t, TURN_ALLOCATED);
    turn_bind_waiting(t, now);
}

static void closed(struct turn *t)
{
    turn_invalidate(t);
    turn_set_state(t, TURN_CLOSED);
}

static void refresh_success(struct turn *t, time_ns now, const struct answer *a)
{
    if (t->state == TURN_CLOSING)
        closed(t);
    else if (a->r.deletes)
        turn_allocate(t, now);
    else if (!(a->m->has & STUN_HAS_LIFETIME))
        t->refresh_at = now + turn_next_pause(t);
    else if (a->m->lifetime_s == 0) {
        turn_invalidate(t);
        turn_allocate(t, now);
    } else {
        t->mismatches = 0;
        t->pause_ns = TURN_PAUSE_MIN_NS;
        lifetime_begins(t, now, a->m->lifetime_s);
    }
}

static void success(struct turn *t, time_ns now, const struct answer *a)
{
    switch (a->r.method) {
    case STUN_BINDING:
        binding_success(t, now, a);
        break;
    case STUN_ALLOCATE:
        allocate_success(t, now, a);
        break;
    case STUN_REFRESH:
        refresh_success(t, now, a);
        break;
    case STUN_CHANNEL_BIND:
        turn_channels_bound(&t->channels, a->channel, now);
        break;
    }
}

/* ---- errors ---- */

/* The same request once more, with what is known now. */
static void begin_again(struct turn *t, time_ns now, const struct answer *a)
{
    uint8_t attempts_max = t->state == TURN_CLOSING ? 1 : TURN_ATTEMPTS;

    turn_begin(t, now, a->slot, (enum stun_method)a->r.method, a->r.server, attempts_max);
    a->slot->deletes = a->r.deletes;
    a->slot->reauths = (uint8_t)(a->r.reauths + 1);
    if (a->channel)
        turn_channels_settle(&t->channels, a->channel);
}

/* Takes the nonce of a challenge. False: it has none, or is of another realm. */
static bool adopt_nonce(struct turn *t, const struct stun_message *m)
{
    if (m->nonce.len == 0 || m->nonce.len > sizeof t->nonce ||
        (m->realm.bytes && !stun_text_is(m->realm, TURN_REALM)))
        return false;
    memcpy(t->nonce, m->nonce.bytes, m->nonce.len);
    t->nonce_len = m->nonce.len;
    return true;
}

/* 437: the relay does not have our allocation, or has one where it should not. */
static void mismatch(struct turn *t, time_ns now, const struct answer *a)
{
    struct sock_addr peer = a->channel ? a->channel->peer : (struct sock_addr){.port = 0};

    if (t->state == TURN_CLOSING) {
        closed(t);
        return;
    }
    if (t->mismatches < UINT8_MAX)
        t->mismatches++;
    struct turn_request other = t->binding[t->active != 1];
    turn_invalidate(t);
    if (turn_request_in_flight(&other)) /* it asks for our address of the other family */
        t->binding[t->active != 1] = other;
    if (a->r.method == STUN_ALLOCATE) {
        turn_set_state(t, TURN_DELETING);
        turn_delete(t, now, TURN_ATTEMPTS);
        return;
    }
    if (a->r.method == STUN_CHANNEL_BIND)
        turn_wait(t, &peer);
    turn_allocate(t, now);
}

static void other_error(struct turn *t, time_ns now, const struct answer *a)
{
    switch (a->r.method) {
    case STUN_BINDING:
        if (t->state == TURN_BINDING && !turn_request_in_flight(&t->binding[!a->r.server]))
            turn_fail(t, TURN_FAILURE_NO_RESPONSE);
        break;
    case STUN_ALLOCATE:
        suspend(t);
        break;
    case STUN_REFRESH:
        if (t->state == TURN_CLOSING)
            closed(t);
        else if (t->state == TURN_DELETING) {
            turn_set_state(t, TURN_ALLOCATING);
            t->allocate_at = now + turn_next_pause(t);
        } else
            t->refresh_at = now + turn_next_pause(t);
        break;
    case STUN_CHANNEL_BIND:
        turn_channels_refused(&t->channels, a->channel, now);
        if (a->m->error == ERROR_BAD_REQUEST) /* coturn's 437 */
            turn_check_allocation(t, now);
        break;
    }
}

static void error(struct turn *t, time_ns now, const struct answer *a)
{
    bool is_binding = a->r.method == STUN_BINDING;

    if (a->m->error == ERROR_UNKNOWN_ATTRIBUTE && t->state != TURN_CLOSING)
        turn_fail(t, TURN_FAILURE_PROTOCOL);
    else if (is_binding)
        other_error(t, now, a);
    else if (is_challenge(a) && adopt_nonce(t, a->m))
        begin_again(t, now, a);
    else if (a->m->error == ERROR_UNAUTHORIZED && a->had_nonce && t->state != TURN_CLOSING)
        turn_fail(t, TURN_FAILURE_AUTHENTICATION);
    else if (a->m->error == ERROR_MISMATCH)
        mismatch(t, now, a);
    else
        other_error(t, now, a);
}

bool turn_handle_input(struct turn *t, time_ns now, const struct sock_addr *local,
                       const struct sock_addr *from, const uint8_t *bytes, size_t len)
{
    struct stun_message m;
    struct answer a;
    bool first_refusal;

    if (!turn_has_server(t, from) || stun_parse(&m, bytes, len) != ERR_OK ||
        !find_request(t, &m, &a))
        return false;
    if (m.class != STUN_SUCCESS && (m.class != STUN_ERROR || !(m.has & STUN_HAS_ERROR)))
        return false;
    if (m.method == STUN_BINDING && m.class == STUN_SUCCESS && m.mapped.ip.family == ADDR_NONE)
        return false;
    if (!authentic(t, &a))
        return false;
    /* Whoever changes the nonce again and again is asked on schedule, not at once. */
    if (is_challenge(&a) && a.slot->reauths >= TURN_REAUTH_MAX) {
        adopt_nonce(t, &m);
        return false;
    }
    first_refusal = is_sign(t, &a);
    a.local = local;
    a.r = *a.slot;
    sample_rtt(t, now, &a.r);
    turn_request_end(a.slot);
    if (a.channel)
        turn_channels_settle(&t->channels, a.channel);
    if (m.class == STUN_SUCCESS)
        success(t, now, &a);
    else if (first_refusal) {
        t->unauthenticated_challenges = true;
        begin_again(t, now, &a);
    } else
        error(t, now, &a);
    return true;
}
