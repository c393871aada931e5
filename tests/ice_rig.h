/* SPDX-License-Identifier: Apache-2.0 */
/* For the unit tests of an ICE agent: one agent in virtual time, and a peer that says what a test wants it to say. */
#ifndef FZ_TESTS_ICE_RIG_H
#define FZ_TESTS_ICE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "control/p2p/ice.h"
#include "platform/base/bytes.h"

#define START (5 * NS_PER_SEC)
#define MS(n) ((n)*NS_PER_MS)

static const struct ice_credentials OURS = {"cluf", "clpasswordclpassword22"};
static const struct ice_credentials THEIRS = {"gwuf", "gwpasswordgwpassword22"};
static const uint8_t SEED[ICE_SEED_LEN] = {1, 2, 3};
static const char HOST[] = "192.0.2.10:52625", PEER[] = "198.51.100.7:52625";
static const char RELAYED[] = "203.0.113.5:50000", PEER_RELAYED[] = "203.0.113.9:60000";
static const uint64_t LOW = 0, HIGH = UINT64_MAX;

struct rig {
    struct ice ice;
    time_ns now;
    struct ice_datagram out;
    struct stun_message sent; /* view of `out` */
    uint32_t serial;
};

static inline struct sock_addr addr(const char *text)
{
    struct sock_addr a;
    assert_int_equal(sock_addr_parse(&a, text), ERR_OK);
    return a;
}

static inline void begin(struct rig *r, enum ice_role role, enum ice_kind kind)
{
    struct ice_config config = {.role = role,
                                .kind = kind,
                                .ufrag = OURS.ufrag,
                                .password = OURS.password,
                                .remote_ufrag = THEIRS.ufrag,
                                .remote_password = THEIRS.password,
                                .tag = 0xabcd};

    memset(r, 0, sizeof *r);
    r->now = START;
    assert_int_equal(ice_init(&r->ice, &config, SEED, r->now), ERR_OK);
}

static inline bool add_local(struct rig *r, enum candidate_kind kind, const char *at,
                             const char *local)
{
    struct sock_addr a = addr(at), l = addr(local);
    struct candidate c = candidate_make(kind, &a, &l);
    return ice_add_local(&r->ice, r->now, &c);
}

static inline bool remove_local(struct rig *r, enum candidate_kind kind, const char *at,
                                const char *local)
{
    struct sock_addr a = addr(at), l = addr(local);
    struct candidate c = candidate_make(kind, &a, &l);
    return ice_remove_local(&r->ice, r->now, &c);
}

static inline struct candidate_line line_of(enum candidate_kind kind, const char *at)
{
    struct candidate_line line = {.ufrag = NULL};
    struct sock_addr a = addr(at);

    line.candidate = candidate_make(kind, &a, &a);
    line.candidate.base = a;
    line.candidate.priority = candidate_priority(&line.candidate, 0);
    return line;
}

static inline bool add_remote(struct rig *r, enum candidate_kind kind, const char *at)
{
    struct candidate_line line = line_of(kind, at);
    return ice_add_remote(&r->ice, r->now, &line);
}

static inline bool invalidate(struct rig *r, enum candidate_kind kind, const char *at)
{
    struct candidate_line line = line_of(kind, at);
    return ice_invalidate_remote(&r->ice, r->now, &line);
}

static inline bool transmit(struct rig *r)
{
    if (!ice_poll_transmit(&r->ice, &r->out))
        return false;
    assert_int_equal(stun_parse(&r->sent, r->out.bytes, r->out.len), ERR_OK);
    return true;
}

static inline void assert_quiet(struct rig *r)
{
    assert_false(transmit(r));
}

/* To the next moment at which the agent wants to be called. */
static inline time_ns advance(struct rig *r)
{
    time_ns at = ice_poll_timeout(&r->ice);
    assert_true(at != TIME_NEVER && at > r->now);
    r->now = at;
    ice_handle_timeout(&r->ice, r->now);
    return r->now - START;
}

static inline bool next_event(struct rig *r, enum ice_event_kind kind, struct ice_event *out)
{
    while (ice_poll_event(&r->ice, out)) {
        if (out->kind == kind)
            return true;
    }
    return false;
}

static inline void assert_nominated(struct rig *r, const char *local, const char *remote)
{
    struct sock_addr l = addr(local), p = addr(remote);
    struct ice_event e;

    assert_true(next_event(r, ICE_EVENT_NOMINATED, &e));
    assert_true(sock_addr_equal(&e.path.local, &l));
    assert_true(sock_addr_equal(&e.path.remote, &p));
}

/* ---- the peer ---- */

static inline enum ice_verdict input(struct rig *r, const char *local, const char *from,
                                     const uint8_t *bytes, size_t len)
{
    struct sock_addr l = addr(local), f = addr(from);
    struct stun_message m;

    assert_int_equal(stun_parse(&m, bytes, len), ERR_OK);
    return ice_handle_input(&r->ice, r->now, &l, &f, &m);
}

/* Answers what was transmitted last. */
static inline enum ice_verdict answer(struct rig *r)
{
    struct sock_addr mapped = addr("203.0.113.77:7777");
    uint8_t bytes[ICE_DATAGRAM_MAX];
    struct stun_message m;
    size_t len = ice_write_success(bytes, &r->sent.id, &mapped, &THEIRS);

    assert_int_equal(r->sent.class, STUN_REQUEST);
    assert_int_equal(stun_parse(&m, bytes, len), ERR_OK);
    return ice_handle_input(&r->ice, r->now, &r->out.from, &r->out.to, &m);
}

static inline enum ice_verdict request_as(struct rig *r, const char *local, const char *from,
                                          const struct ice_check *check)
{
    static const uint8_t key[ICE_KEY_LEN] = {9};
    struct ice_check c = *check;
    uint8_t bytes[ICE_DATAGRAM_MAX];

    c.id = ice_id_make(77, key, ++r->serial);
    return input(r, local, from, bytes, ice_write_check(bytes, &c, &THEIRS, &OURS));
}

/* From a peer of the other role. */
static inline enum ice_verdict request(struct rig *r, const char *local, const char *from,
                                       bool nominate)
{
    struct ice_check check = {
        .role = r->ice.role == ICE_CONTROLLING ? ICE_CONTROLLED : ICE_CONTROLLING,
        .use_candidate = nominate,
        .priority = 110 << 24,
    };
    return request_as(r, local, from, &check);
}

static inline void assert_answered(struct rig *r, const char *local, const char *to)
{
    struct sock_addr l = addr(local), t = addr(to);

    assert_true(transmit(r));
    assert_int_equal(r->sent.class, STUN_SUCCESS);
    assert_true(stun_integrity_ok(&r->sent, OURS.password, strlen(OURS.password)));
    assert_true(sock_addr_equal(&r->out.from, &l) && sock_addr_equal(&r->out.to, &t));
    assert_true(sock_addr_equal(&r->sent.mapped, &t));
}

static inline void begin_pair(struct rig *r, enum ice_role role, enum ice_kind kind)
{
    begin(r, role, kind);
    assert_true(add_local(r, CANDIDATE_HOST, HOST, HOST));
    assert_true(add_remote(r, CANDIDATE_HOST, PEER));
}

#endif
