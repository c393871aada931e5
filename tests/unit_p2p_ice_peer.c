/* SPDX-License-Identifier: Apache-2.0 */
/* An ICE agent and what its peer says: requests, nomination, roles, answers. */
#include "tests/ice_rig.h"

/* ---- requests ---- */

static void test_requests(void **state)
{
    struct ice_check check = {.role = ICE_CONTROLLING, .priority = 5};
    struct ice_credentials wrong = OURS;
    uint8_t bytes[ICE_DATAGRAM_MAX];
    struct ice_event e;
    struct rig r;
    size_t len;
    (void)state;

    begin(&r, ICE_CONTROLLED, ICE_GATEWAY);
    assert_int_equal(request(&r, HOST, PEER, false), ICE_VERDICT_NOT_LOCAL);
    assert_true(add_local(&r, CANDIDATE_HOST, HOST, HOST));
    assert_true(add_local(&r, CANDIDATE_SRFLX, "198.51.100.1:1000", HOST));
    assert_true(add_local(&r, CANDIDATE_RELAY, RELAYED, HOST));
    assert_int_equal(request(&r, "198.51.100.1:1000", PEER, false), ICE_VERDICT_NOT_LOCAL);
    wrong.password[3] ^= 1;
    len = ice_write_check(bytes, &check, &THEIRS, &wrong);
    assert_int_equal(input(&r, HOST, PEER, bytes, len), ICE_VERDICT_UNAUTHENTIC);
    wrong = OURS;
    wrong.ufrag[0] ^= 1;
    len = ice_write_check(bytes, &check, &THEIRS, &wrong);
    assert_int_equal(input(&r, HOST, PEER, bytes, len), ICE_VERDICT_OTHER_AGENT);
    len = ice_write_check(bytes, &check, &wrong, &OURS);
    assert_int_equal(input(&r, HOST, PEER, bytes, len), ICE_VERDICT_OTHER_AGENT);
    assert_quiet(&r);
    assert_int_equal(r.ice.state, ICE_NEW);

    /* Peer reflexive, through a relay of ours. */
    assert_int_equal(request(&r, RELAYED, PEER, false), ICE_VERDICT_ACCEPTED);
    assert_true(next_event(&r, ICE_EVENT_PEER_REFLEXIVE, &e));
    assert_int_equal(e.candidate.kind, CANDIDATE_PRFLX);
    assert_int_equal(e.candidate.priority, 110 << 24);
    assert_int_equal(r.ice.pairs.count, 1);
    assert_answered(&r, RELAYED, PEER);
    assert_true(r.out.relayed);
    assert_true(transmit(&r)); /* and our check */
    assert_int_equal(r.sent.class, STUN_REQUEST);
    assert_true(r.out.relayed);
    assert_quiet(&r);
    /* The same candidate, as it is signalled. */
    assert_true(add_remote(&r, CANDIDATE_SRFLX, PEER));
    assert_int_equal(r.ice.pairs.count, 2);
    assert_int_equal(r.ice.pairs.at[0].priority >> 32, 37748479);
    assert_false(next_event(&r, ICE_EVENT_PEER_REFLEXIVE, &e));
}

static void test_triggered(void **state)
{
    struct rig r;
    (void)state;

    begin_pair(&r, ICE_CONTROLLED, ICE_GATEWAY);
    while (r.now < START + MS(7750))
        (void)advance(&r);
    while (transmit(&r))
        ;
    r.now += MS(100);
    assert_int_equal(request(&r, HOST, PEER, false), ICE_VERDICT_ACCEPTED);
    assert_answered(&r, HOST, PEER);
    assert_quiet(&r); /* one is under way */
    r.now += MS(200);
    assert_int_equal(request(&r, HOST, PEER, false), ICE_VERDICT_ACCEPTED);
    assert_answered(&r, HOST, PEER);
    assert_true(transmit(&r));
    assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
    r.now += MS(1000);
    assert_int_equal(request(&r, HOST, PEER, false), ICE_VERDICT_ACCEPTED);
    assert_answered(&r, HOST, PEER);
    assert_quiet(&r); /* there is nothing to find out */
}

static void test_requests_refused(void **state)
{
    struct ice_check check = {.role = ICE_CONTROLLING, .priority = 5, .tie_breaker = HIGH};
    uint8_t bytes[ICE_DATAGRAM_MAX];
    struct stun_writer w;
    struct rig r;
    (void)state;

    begin_pair(&r, ICE_CONTROLLED, ICE_GATEWAY);
    while (transmit(&r))
        ;
    assert_int_equal(request_as(&r, HOST, "[2001:db8::7]:1", &check), ICE_VERDICT_NOT_LOCAL);
    assert_int_equal(request_as(&r, HOST, "0.0.0.0:1", &check), ICE_VERDICT_NOT_LOCAL);
    /* Of both roles. */
    stun_begin(&w, bytes, sizeof bytes, STUN_BINDING, STUN_REQUEST, &(struct stun_id){{1}});
    stun_add_text(&w, STUN_USERNAME, "cluf:gwuf");
    stun_add_u64(&w, STUN_ICE_CONTROLLED, HIGH);
    stun_add_u64(&w, STUN_ICE_CONTROLLING, HIGH);
    stun_add_u32(&w, STUN_PRIORITY, 5);
    stun_add_integrity(&w, OURS.password, strlen(OURS.password));
    assert_int_equal(input(&r, HOST, PEER, bytes, stun_finish(&w)), ICE_VERDICT_ROLE);
    assert_int_equal(r.ice.role, ICE_CONTROLLED);
    assert_quiet(&r);
}

/* What the peer signals and invalidates was found at the same address before. */
static void test_reflexive_then_signalled(void **state)
{
    struct sock_addr peer = addr(PEER);
    struct rig r;
    int at;
    (void)state;

    begin(&r, ICE_CONTROLLED, ICE_GATEWAY);
    assert_true(add_local(&r, CANDIDATE_HOST, HOST, HOST));
    assert_int_equal(request(&r, HOST, PEER, false), ICE_VERDICT_ACCEPTED);
    assert_int_equal(r.ice.pairs.at[0].priority >> 32, 110 << 24);
    assert_true(add_remote(&r, CANDIDATE_RELAY, PEER));
    assert_int_equal(r.ice.pairs.count, 1);
    at = ice_remote_at(&r.ice.candidates, &peer);
    assert_int_equal(r.ice.candidates.remotes[at].candidate.kind, CANDIDATE_RELAY);
    assert_int_equal(r.ice.pairs.at[0].priority >> 32, 37748479);
    assert_true(add_remote(&r, CANDIDATE_SRFLX, PEER));
    assert_true(invalidate(&r, CANDIDATE_RELAY, PEER));
    assert_true(invalidate(&r, CANDIDATE_SRFLX, PEER));
    assert_int_equal(r.ice.pairs.count, 0);
    assert_int_equal(request(&r, HOST, PEER, false), ICE_VERDICT_INVALIDATED);
}

/* The best pair first. */
static void test_order(void **state)
{
    struct rig r;
    (void)state;

    begin(&r, ICE_CONTROLLING, ICE_CLIENT);
    assert_true(add_remote(&r, CANDIDATE_RELAY, PEER_RELAYED));
    assert_true(add_remote(&r, CANDIDATE_HOST, PEER));
    assert_true(add_remote(&r, CANDIDATE_SRFLX, "198.51.100.7:9"));
    assert_true(add_local(&r, CANDIDATE_HOST, HOST, HOST));
    for (uint64_t last = UINT64_MAX; transmit(&r);) {
        struct ice_pair *p =
            ice_pairs_find(&r.ice.pairs, &r.ice.candidates, &r.out.from, &r.out.to);
        assert_non_null(p);
        assert_true(p->priority < last);
        last = p->priority;
    }
}

/* ---- nomination ---- */

static void test_nomination_controlling(void **state)
{
    struct ice_event e;
    struct rig r;
    (void)state;

    begin(&r, ICE_CONTROLLING, ICE_CLIENT);
    assert_true(add_local(&r, CANDIDATE_HOST, HOST, HOST));
    assert_true(add_remote(&r, CANDIDATE_RELAY, PEER_RELAYED));
    assert_true(transmit(&r));
    assert_false(r.sent.has & STUN_HAS_USE_CANDIDATE);
    r.now += MS(30);
    assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
    assert_nominated(&r, HOST, PEER_RELAYED);
    assert_true(next_event(&r, ICE_EVENT_STATE, &e));
    assert_int_equal(e.state, ICE_COMPLETED);
    assert_true(transmit(&r)); /* at once */
    assert_true(r.sent.has & STUN_HAS_USE_CANDIDATE);
    assert_int_equal(request(&r, HOST, PEER_RELAYED, true), ICE_VERDICT_ROLE);
    assert_quiet(&r);

    /* A better one; checks of both say so. */
    assert_true(add_remote(&r, CANDIDATE_HOST, PEER));
    assert_int_equal(r.ice.state, ICE_CONNECTED);
    assert_true(transmit(&r));
    assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
    assert_nominated(&r, HOST, PEER);
    for (int i = 0; i < 20; i++) {
        while (transmit(&r)) {
            assert_true(r.sent.has & STUN_HAS_USE_CANDIDATE);
            assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
        }
        (void)advance(&r);
    }
    assert_false(next_event(&r, ICE_EVENT_NOMINATED, &e));
    /* A worse one is not. */
    assert_true(add_remote(&r, CANDIDATE_SRFLX, "198.51.100.7:9"));
    while (transmit(&r))
        assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
    assert_false(next_event(&r, ICE_EVENT_NOMINATED, &e));
    /* Back to the relay when the better one is doubtful, long before it is given up. */
    for (time_ns end = r.now + MS(8000); r.now < end; (void)advance(&r)) {
        while (transmit(&r)) {
            if (r.out.to.port == addr(PEER_RELAYED).port)
                assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
        }
    }
    assert_nominated(&r, HOST, PEER_RELAYED);
    /* And to the better one when it answers. */
    while (!transmit(&r) || r.out.to.port != addr(PEER).port)
        (void)advance(&r);
    assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
    assert_nominated(&r, HOST, PEER);
}

static void test_nomination_controlled(void **state)
{
    struct ice_event e;
    struct rig r;
    (void)state;

    begin_pair(&r, ICE_CONTROLLED, ICE_GATEWAY);
    assert_true(add_remote(&r, CANDIDATE_RELAY, PEER_RELAYED));
    while (transmit(&r))
        assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
    assert_false(next_event(&r, ICE_EVENT_NOMINATED, &e));
    assert_int_equal(r.ice.state, ICE_CHECKING);
    assert_int_equal(request(&r, HOST, PEER_RELAYED, true), ICE_VERDICT_ACCEPTED);
    assert_nominated(&r, HOST, PEER_RELAYED);
    assert_int_equal(r.ice.state, ICE_CONNECTED);
    assert_answered(&r, HOST, PEER_RELAYED);
    assert_true(transmit(&r)); /* our check, at once */
    assert_false(r.sent.has & STUN_HAS_USE_CANDIDATE);
    assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
    assert_int_equal(request(&r, HOST, PEER, true), ICE_VERDICT_ACCEPTED);
    assert_nominated(&r, HOST, PEER);
    /* The worse one again: the better one stays. */
    r.now += MS(10);
    assert_int_equal(request(&r, HOST, PEER_RELAYED, true), ICE_VERDICT_ACCEPTED);
    assert_false(next_event(&r, ICE_EVENT_NOMINATED, &e));
    assert_int_equal(r.ice.state, ICE_COMPLETED);
    /* Until it is invalidated. */
    assert_true(invalidate(&r, CANDIDATE_HOST, PEER));
    assert_nominated(&r, HOST, PEER_RELAYED);
}

/* An old request comes again and again, from an address where nobody answers: it does not take the path. */
static void test_replayed_nomination(void **state)
{
    static const char elsewhere[] = "198.51.100.66:6666";
    struct sock_addr peer = addr(PEER);
    struct ice_event e;
    struct rig r;
    (void)state;

    begin(&r, ICE_CONTROLLED, ICE_GATEWAY);
    assert_true(add_local(&r, CANDIDATE_HOST, HOST, HOST));
    assert_true(add_remote(&r, CANDIDATE_SRFLX, PEER));
    while (transmit(&r))
        assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
    assert_int_equal(request(&r, HOST, PEER, true), ICE_VERDICT_ACCEPTED);
    assert_nominated(&r, HOST, PEER);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(request(&r, HOST, elsewhere, true), ICE_VERDICT_ACCEPTED);
        while (transmit(&r))
            if (r.sent.class == STUN_REQUEST && sock_addr_equal(&r.out.to, &peer))
                assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
        assert_false(next_event(&r, ICE_EVENT_NOMINATED, &e));
        r.now += MS(2000);
        ice_handle_timeout(&r.ice, r.now);
    }
    /* Whoever answers there is the peer. */
    assert_int_equal(request(&r, HOST, elsewhere, true), ICE_VERDICT_ACCEPTED);
    while (transmit(&r))
        if (r.sent.class == STUN_REQUEST)
            assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
    for (int i = 0; i < 20 && !next_event(&r, ICE_EVENT_NOMINATED, &e); i++) {
        r.now += MS(1000);
        ice_handle_timeout(&r.ice, r.now);
        while (transmit(&r))
            if (r.sent.class == STUN_REQUEST)
                assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
    }
    peer = addr(elsewhere);
    assert_true(sock_addr_equal(&e.path.remote, &peer));
}

/* The better pair breaks: a gateway that is heard on the other pair only finds out within seconds. */
static void test_silence_controlled(void **state)
{
    struct ice_event e;
    struct rig r;
    time_ns end, changed = 0;
    (void)state;

    begin_pair(&r, ICE_CONTROLLED, ICE_GATEWAY);
    assert_true(add_remote(&r, CANDIDATE_RELAY, PEER_RELAYED));
    for (int i = 0; i < 20; i++) {
        assert_int_equal(request(&r, HOST, PEER, true), ICE_VERDICT_ACCEPTED);
        assert_int_equal(request(&r, HOST, PEER_RELAYED, true), ICE_VERDICT_ACCEPTED);
        while (transmit(&r))
            if (r.sent.class == STUN_REQUEST)
                assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
        r.now += MS(1500);
        ice_handle_timeout(&r.ice, r.now);
    }
    assert_nominated(&r, HOST, PEER);
    for (end = r.now + MS(20000); r.now < end && changed == 0; r.now += MS(100)) {
        ice_handle_timeout(&r.ice, r.now);
        if ((end - r.now) % MS(1500) == 0)
            assert_int_equal(request(&r, HOST, PEER_RELAYED, true), ICE_VERDICT_ACCEPTED);
        while (transmit(&r))
            if (r.sent.class == STUN_REQUEST && r.out.to.port == addr(PEER_RELAYED).port)
                assert_int_equal(answer(&r), ICE_VERDICT_ACCEPTED);
        if (next_event(&r, ICE_EVENT_NOMINATED, &e))
            changed = r.now;
    }
    assert_true(changed > 0 && changed <= end - MS(11000));
    assert_int_equal(e.path.remote.port, addr(PEER_RELAYED).port);
}

/* ---- roles ---- */

static void test_role_conflict(void **state)
{
    struct ice_check same = {.role = ICE_CONTROLLING, .use_candidate = true, .priority = 9};
    struct rig r;
    (void)state;

    for (int role = 0; role < 2; role++) {
        begin_pair(&r, (enum ice_role)role, ICE_CLIENT_TO_CLIENT);
        same.role = (enum ice_role)role;
        same.use_candidate = role == ICE_CONTROLLING;
        /* Ours is the greater tie-breaker, or equal: 487, and nothing else. */
        same.tie_breaker = LOW;
        assert_true(transmit(&r));
        assert_int_equal(request_as(&r, HOST, PEER, &same), ICE_VERDICT_CONFLICT);
        same.tie_breaker = r.ice.tie_breaker;
        assert_int_equal(request_as(&r, HOST, PEER, &same), ICE_VERDICT_CONFLICT);
        for (int i = 0; i < 2; i++) {
            assert_true(transmit(&r));
            assert_int_equal(r.sent.class, STUN_ERROR);
            assert_int_equal(r.sent.error, 487);
            assert_true(stun_integrity_ok(&r.sent, OURS.password, strlen(OURS.password)));
            assert_true(stun_fingerprint_ok(&r.sent));
        }
        assert_quiet(&r);
        assert_int_equal(r.ice.role, role);
        /* The peer's is the greater one. */
        same.tie_breaker = HIGH;
        assert_int_equal(request_as(&r, HOST, PEER, &same), ICE_VERDICT_ACCEPTED);
        assert_int_equal(r.ice.role, 1 - role);
        assert_answered(&r, HOST, PEER);
        assert_int_equal(r.ice.state, role == ICE_CONTROLLING ? ICE_COMPLETED : ICE_CHECKING);
    }
}

static void test_role_conflict_answer(void **state)
{
    uint8_t bytes[ICE_DATAGRAM_MAX];
    struct stun_id id;
    struct rig r;
    size_t len;
    (void)state;

    begin_pair(&r, ICE_CONTROLLING, ICE_CLIENT_TO_CLIENT);
    assert_true(transmit(&r));
    id = r.sent.id;
    len = ice_write_conflict(bytes, &id, &OURS);
    assert_int_equal(input(&r, HOST, PEER, bytes, len), ICE_VERDICT_UNAUTHENTIC);
    len = ice_write_conflict(bytes, &id, &THEIRS);
    assert_int_equal(input(&r, HOST, PEER, bytes, len), ICE_VERDICT_ACCEPTED);
    assert_int_equal(r.ice.role, ICE_CONTROLLED);
    assert_int_equal(input(&r, HOST, PEER, bytes, len), ICE_VERDICT_UNEXPECTED);
    assert_int_equal(r.ice.role, ICE_CONTROLLED);
    (void)advance(&r);
    assert_true(transmit(&r));
    assert_true(r.sent.has & STUN_HAS_CONTROLLED);
}

static void test_answers(void **state)
{
    struct sock_addr mapped = addr(HOST);
    uint8_t bytes[ICE_DATAGRAM_MAX], key[ICE_KEY_LEN] = {1};
    struct stun_id id = ice_id_make(0xabcd, key, 1);
    struct rig r;
    size_t len;
    (void)state;

    begin_pair(&r, ICE_CONTROLLING, ICE_CLIENT);
    assert_true(transmit(&r));
    len = ice_write_success(bytes, &id, &mapped, &THEIRS);
    assert_int_equal(input(&r, HOST, PEER, bytes, len), ICE_VERDICT_OTHER_AGENT);
    len = ice_write_success(bytes, &r.sent.id, &mapped, &OURS);
    assert_int_equal(input(&r, HOST, PEER, bytes, len), ICE_VERDICT_UNAUTHENTIC);
    /* Wherever it comes from. */
    len = ice_write_success(bytes, &r.sent.id, &mapped, &THEIRS);
    assert_int_equal(input(&r, RELAYED, "192.0.2.200:1", bytes, len), ICE_VERDICT_ACCEPTED);
    assert_nominated(&r, HOST, PEER);
    id = r.sent.id;
    assert_true(remove_local(&r, CANDIDATE_HOST, HOST, HOST));
    assert_int_equal(input(&r, HOST, PEER, bytes, len), ICE_VERDICT_UNEXPECTED);
    assert_true(ice_owns_id(&r.ice, &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_triggered),
        cmocka_unit_test(test_requests_refused),
        cmocka_unit_test(test_reflexive_then_signalled),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_nomination_controlling),
        cmocka_unit_test(test_nomination_controlled),
        cmocka_unit_test(test_replayed_nomination),
        cmocka_unit_test(test_silence_controlled),
        cmocka_unit_test(test_role_conflict),
        cmocka_unit_test(test_role_conflict_answer),
        cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
