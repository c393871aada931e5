/* SPDX-License-Identifier: Apache-2.0 */
/* The TURN client until it has an allocation, and what else may come of it. */
#include "tests/turn_rig.h"

/* ---- beginning ---- */

static void test_configuration(void **state)
{
    static const uint8_t seed[TURN_SEED_LEN];
    char name[TURN_CREDENTIAL_MAX + 2];
    struct turn_config config = {.username = name, .password = ""};
    (void)state;

    memset(name, 'n', sizeof name);
    name[TURN_CREDENTIAL_MAX + 1] = '\0';
    config.v4 = addr(RELAY4);
    assert_int_equal(turn_init(&rig.t, &config, seed, 0), ERR_INVALID);
    name[TURN_CREDENTIAL_MAX] = '\0';
    assert_int_equal(turn_init(&rig.t, &config, seed, 0), ERR_OK);
    config.v4 = (struct sock_addr){.port = 0};
    assert_int_equal(turn_init(&rig.t, &config, seed, 0), ERR_INVALID);
    assert_true(turn_poll_timeout(&rig.t) == TIME_NEVER);
    tells_nothing();
    sends_nothing();
}

static void test_all_addresses_are_asked_and_the_first_answer_wins(void **state)
{
    struct stun_message first;
    struct turn_datagram to_v4;
    struct sock_addr server;
    (void)state;

    start(RELAY4, RELAY6);
    sends_to(STUN_BINDING, RELAY4);
    assert_false(rig.m.has & STUN_HAS_INTEGRITY);
    first = rig.m, to_v4 = rig.sent;
    sends_to(STUN_BINDING, RELAY6);
    assert_false(stun_id_equal(&first.id, &rig.m.id));
    sends_nothing();
    tells_nothing();
    assert_false(turn_server(&rig.t, &server));
    assert_int_equal(turn_rtt(&rig.t), 0);

    rig.now += MS(40);
    answer(STUN_SUCCESS);
    answer_address(STUN_XOR_MAPPED_ADDRESS, LOCAL6); /* no translation */
    assert_true(arrives_at(UNSEALED, RELAY6, LOCAL6));
    assert_int_equal(turn_rtt(&rig.t), MS(40));
    tells_candidate(TURN_EVENT_CANDIDATE_ADDED, CANDIDATE_HOST, LOCAL6);
    tells_candidate(TURN_EVENT_CANDIDATE_ADDED, CANDIDATE_SRFLX, LOCAL6);
    assert_addr(&rig.event.candidate.base, LOCAL6);
    tells_nothing();
    sends_to(STUN_ALLOCATE, RELAY6);
    assert_true(turn_server(&rig.t, &server));
    assert_addr(&server, RELAY6);

    /* the slower family contributes its addresses and nothing else */
    rig.now += MS(40);
    rig.m = first, rig.sent = to_v4;
    binding_answered();
    assert_int_equal(turn_rtt(&rig.t), MS(45)); /* 7/8 of 40 and 1/8 of 80 */
    tells_candidate(TURN_EVENT_CANDIDATE_ADDED, CANDIDATE_HOST, LOCAL4);
    tells_candidate(TURN_EVENT_CANDIDATE_ADDED, CANDIDATE_SRFLX, PUBLIC4);
    assert_addr(&rig.event.candidate.base, LOCAL4);
    assert_int_equal(rig.event.candidate.raddr.ip.family, ADDR_V4);
    tells_nothing();
    sends_nothing();
    assert_true(turn_server(&rig.t, &server));
    assert_addr(&server, RELAY6);
}

static void test_answers_that_are_nobody_s(void **state)
{
    struct sock_addr relay = addr(RELAY4), local = addr(LOCAL4);
    (void)state;

    start(RELAY4, NULL);
    sends(STUN_BINDING);
    answer(STUN_SUCCESS);
    answer_address(STUN_XOR_MAPPED_ADDRESS, PUBLIC4);
    assert_false(arrives_at(UNSEALED, "203.0.113.5:3479", LOCAL4));
    assert_false(arrives_at(UNSEALED, RELAY6, LOCAL4));
    for (unsigned i = 0; i < STUN_ID_LEN; i++) {
        rig.answer[8 + i] ^= 1;
        assert_false(arrives(UNSEALED));
        rig.answer[8 + i] ^= 1;
    }
    answer(STUN_SUCCESS); /* says nothing */
    assert_false(arrives(UNSEALED));
    answer(STUN_INDICATION);
    assert_false(arrives(UNSEALED));
    answer(STUN_ERROR); /* without a code */
    assert_false(arrives(UNSEALED));
    rig.m.method = STUN_ALLOCATE;
    answer(STUN_SUCCESS);
    assert_false(arrives(SEALED));
    assert_false(turn_handle_input(&rig.t, rig.now, &local, &relay, (const uint8_t *)"\0\1", 2));
    tells_nothing();
    sends_nothing();
    rig.m.method = STUN_BINDING;
    binding_answered();
    answer(STUN_SUCCESS);
    answer_address(STUN_XOR_MAPPED_ADDRESS, PUBLIC4);
    assert_false(arrives(UNSEALED)); /* a second time */
}

static void test_schedule_of_bindings(void **state)
{
    static const time_ns times[] = {MS(1000), MS(2500), MS(4750)};
    uint8_t first[TURN_DATAGRAM_MAX];
    (void)state;

    start(RELAY4, NULL);
    sends(STUN_BINDING);
    memcpy(first, rig.sent.bytes, rig.sent.len);
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        due_at(times[i]);
        sends(STUN_BINDING);
        assert_memory_equal(rig.sent.bytes, first, rig.sent.len);
        sends_nothing();
    }
    due_at(MS(8125));
    assert_failed_for(TURN_FAILURE_NO_RESPONSE);
}

static void test_a_silent_family_changes_nothing(void **state)
{
    struct stun_message first;
    (void)state;

    start(RELAY4, RELAY6);
    sends_to(STUN_BINDING, RELAY4);
    first = rig.m;
    sends_to(STUN_BINDING, RELAY6);
    rig.m = first;
    binding_answered();
    sends(STUN_ALLOCATE);
    assert_true(allocation_arrives(600, SEALED)); /* a relay that needs no nonce */
    forget_events();
    for (unsigned i = 0; i < 3; i++) {
        rig.now = turn_poll_timeout(&rig.t);
        turn_handle_timeout(&rig.t, rig.now);
        sends_to(STUN_BINDING, RELAY6);
    }
    due_at(MS(8125));
    tells_nothing();
    sends_nothing();
    assert_int_equal(rig.t.state, TURN_ALLOCATED);
}

static void test_schedule_of_allocates(void **state)
{
    static const time_ns times[] = {MS(1000), MS(2500), MS(4750)};
    struct stun_id id;
    (void)state;

    until_allocate();
    for (size_t i = 0; i < ARRAY_LEN(times); i++) {
        id = rig.m.id;
        due_at(times[i]);
        sends(STUN_ALLOCATE);
        assert_false(stun_id_equal(&rig.m.id, &id));
    }
    due_at(MS(8125));
    assert_failed_for(TURN_FAILURE_NO_RESPONSE);
}

static void test_a_late_answer_to_an_earlier_attempt(void **state)
{
    struct stun_message first;
    (void)state;

    until_nonce();
    first = rig.m;
    due_at(MS(1000));
    sends(STUN_ALLOCATE);
    rig.now += MS(100);
    rig.m = first;
    rig.m.id.bytes[STUN_ID_LEN - 1] ^= 2; /* an attempt that was not made */
    assert_false(allocation_arrives(600, SEALED));
    rig.m = first;
    assert_true(allocation_arrives(600, SEALED));
    assert_int_equal(rig.t.state, TURN_ALLOCATED);
}

/* ---- allocation ---- */

static void test_allocation(void **state)
{
    struct sock_addr a;
    (void)state;

    until_allocate();
    assert_true(rig.m.has & STUN_HAS_INTEGRITY);
    assert_null(rig.m.nonce.bytes);
    assert_int_equal(rig.m.transport, STUN_UDP);
    error_arrives(401, NONCE1);
    sends(STUN_ALLOCATE);
    assert_true(rig.m.has & STUN_HAS_INTEGRITY);
    assert_true(stun_text_is(rig.m.nonce, NONCE1));
    assert_false(turn_relayed(&rig.t, ADDR_V4, &a));
    assert_true(allocation_arrives(600, SEALED));
    tells_candidate(TURN_EVENT_CANDIDATE_ADDED, CANDIDATE_RELAY, RELAYED4);
    assert_addr(&rig.event.candidate.base, RELAYED4);
    assert_addr(&rig.event.candidate.local, LOCAL4);
    tells_candidate(TURN_EVENT_CANDIDATE_ADDED, CANDIDATE_RELAY, RELAYED6);
    assert_addr(&rig.event.candidate.local, LOCAL4);
    tells(TURN_EVENT_ALLOCATED);
    tells_nothing();
    assert_true(turn_relayed(&rig.t, ADDR_V4, &a));
    assert_addr(&a, RELAYED4);
    assert_true(turn_relayed(&rig.t, ADDR_V6, &a));
    assert_addr(&a, RELAYED6);
}

static void test_only_authentic_answers_count(void **state)
{
    (void)state;

    until_allocate();
    for (enum seal seal = UNSEALED; seal <= WRONGLY_SEALED; seal++) {
        assert_false(allocation_arrives(600, seal));
        answer_error(401, NONCE1);
        assert_false(arrives(seal));
        answer_error(438, NONCE1);
        assert_false(arrives(seal));
        answer_error(420, NULL);
        assert_false(arrives(seal));
        answer_error(508, NULL);
        assert_false(arrives(seal));
    }
    answer_error(400, NULL); /* see the test of coturn for unsealed ones */
    assert_false(arrives(WRONGLY_SEALED));
    answer_error(437, NULL);
    assert_false(arrives(WRONGLY_SEALED));
    sends_nothing();
    assert_int_equal(rig.t.state, TURN_ALLOCATING);
    assert_true(allocation_arrives(600, SEALED));
}

static void test_allocations_that_are_none(void **state)
{
    (void)state;

    for (unsigned i = 0; i < 4; i++) {
        until_nonce();
        answer(STUN_SUCCESS);
        if (i != 0)
            answer_address(STUN_XOR_RELAYED_ADDRESS, i == 1 ? "0.0.0.0:1" : RELAYED4);
        if (i != 2)
            stun_add_u32(&rig.w, STUN_LIFETIME, i == 3 ? 0 : 600);
        assert_true(arrives(SEALED));
        assert_int_equal(rig.t.state, TURN_SUSPENDED);
        tells_nothing();
        sends_nothing();
        assert_true(turn_poll_timeout(&rig.t) == TIME_NEVER);
    }
}

static void test_nonces(void **state)
{
    (void)state;

    /* 438 to a request that had one */
    until_nonce();
    rig.now += MS(500);
    error_arrives(438, NONCE2);
    sends(STUN_ALLOCATE);
    assert_true(stun_text_is(rig.m.nonce, NONCE2));
    due_at(MS(1500)); /* a fresh schedule */
    sends(STUN_ALLOCATE);

    /* 401 to one that had one: the credentials are wrong */
    error_arrives(401, NONCE1);
    assert_failed_for(TURN_FAILURE_AUTHENTICATION);

    /* another realm, no nonce, one that is too long */
    for (unsigned i = 0; i < 3; i++) {
        static const char longest[TURN_NONCE_MAX + 2] = {[0 ... TURN_NONCE_MAX] = 'n'};
        until_allocate();
        answer(STUN_ERROR);
        stun_add_error(&rig.w, 401, "");
        if (i == 0)
            stun_add_text(&rig.w, STUN_REALM, "example.org");
        if (i != 1)
            stun_add_text(&rig.w, STUN_NONCE, i == 2 ? longest : NONCE1);
        assert_true(arrives(SEALED));
        assert_int_equal(rig.t.state, TURN_SUSPENDED);
        sends_nothing();
    }
}

static void test_no_endless_talk_about_nonces(void **state)
{
    (void)state;

    until_allocate();
    for (unsigned i = 0; i < TURN_REAUTH_MAX; i++) {
        error_arrives(438, NONCE1);
        sends(STUN_ALLOCATE);
    }
    answer_error(438, NONCE2);
    assert_false(arrives(SEALED));
    sends_nothing();
    due_at(MS(1000));
    sends(STUN_ALLOCATE);
    assert_true(stun_text_is(rig.m.nonce, NONCE2));
    assert_true(allocation_arrives(600, SEALED));
}

static void test_refused_allocations(void **state)
{
    static const unsigned codes[] = {400, 403, 440, 442, 486, 500, 508, 300};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        until_allocate();
        assert_true(bind_peer(PEER));
        error_arrives(codes[i], NULL);
        assert_int_equal(rig.t.state, TURN_SUSPENDED);
        tells_nothing();
        sends_nothing();
        assert_true(turn_poll_timeout(&rig.t) == TIME_NEVER);
        assert_false(bind_peer(PEER));

        /* the next list of relays wakes it, and what it told of itself stays */
        turn_refresh(&rig.t, rig.now);
        tells_nothing();
        sends(STUN_BINDING);
        binding_answered();
        sends(STUN_ALLOCATE);
        tells_nothing();
        assert_null(rig.m.nonce.bytes);
        assert_true(allocation_arrives(600, SEALED));
        sends_nothing(); /* nobody waits any more */
    }
}

static void test_unknown_attribute(void **state)
{
    (void)state;

    until_nonce();
    error_arrives(420, NULL);
    assert_failed_for(TURN_FAILURE_PROTOCOL);

    until_bound();
    live_until(SEC(25) - 1);
    due_at(SEC(25));
    sends(STUN_BINDING);
    answer_error(420, NULL);
    assert_true(arrives(UNSEALED));
    tells(TURN_EVENT_DEALLOCATED);
    tells_candidate(TURN_EVENT_CANDIDATE_INVALIDATED, CANDIDATE_RELAY, RELAYED4);
    tells_candidate(TURN_EVENT_CANDIDATE_INVALIDATED, CANDIDATE_RELAY, RELAYED6);
    assert_failed_for(TURN_FAILURE_PROTOCOL);
}

static void test_binding_errors(void **state)
{
    struct stun_message first;
    (void)state;

    start(RELAY4, RELAY6);
    sends_to(STUN_BINDING, RELAY4);
    first = rig.m;
    sends_to(STUN_BINDING, RELAY6);
    answer_error(500, NULL);
    assert_true(arrives(UNSEALED));
    tells_nothing();
    rig.m = first;
    answer_error(500, NULL);
    assert_true(arrives(UNSEALED));
    assert_failed_for(TURN_FAILURE_NO_RESPONSE);
}

/* ---- relays that are not Firezone's ---- */

static void test_coturn(void **state)
{
    (void)state;

    until_allocate();
    answer_error(400, NULL);
    assert_true(arrives(UNSEALED));
    sends(STUN_ALLOCATE);
    assert_false(rig.m.has & STUN_HAS_INTEGRITY);
    answer_error(401, NONCE1);
    assert_true(arrives(UNSEALED));
    sends(STUN_ALLOCATE);
    assert_true(rig.m.has & STUN_HAS_INTEGRITY);
    assert_true(stun_text_is(rig.m.nonce, NONCE1));
    assert_false(allocation_arrives(600, UNSEALED)); /* a success always has to be authentic */
    answer_error(437, NULL);
    assert_false(arrives(UNSEALED));
    assert_true(allocation_arrives(600, SEALED));
    assert_int_equal(rig.t.state, TURN_ALLOCATED);
    assert_true(bind_peer(PEER));
    sends(STUN_CHANNEL_BIND);
    answer_error(438, NONCE2);
    assert_true(arrives(UNSEALED));
    sends(STUN_CHANNEL_BIND);
    assert_true(stun_text_is(rig.m.nonce, NONCE2));
    answer_error(401, NONCE1); /* wrong credentials */
    assert_true(arrives(UNSEALED));
    assert_int_equal(rig.t.state, TURN_FAILED);

    /* a restart forgets what it has learned */
    turn_restart(&rig.t, rig.now);
    sends(STUN_BINDING);
    binding_answered();
    sends(STUN_ALLOCATE);
    assert_true(rig.m.has & STUN_HAS_INTEGRITY);
    answer_error(401, NONCE1);
    assert_false(arrives(UNSEALED));
}

/* It looks at what is there before it looks at credentials, and takes a second or two to delete it. */
static void test_coturn_has_an_allocation_of_an_earlier_life(void **state)
{
    (void)state;

    until_allocate();
    answer_error(437, NULL);
    assert_true(arrives(UNSEALED));
    sends(STUN_ALLOCATE);
    assert_false(rig.m.has & STUN_HAS_INTEGRITY);
    answer_error(437, NULL);
    assert_true(arrives(UNSEALED));
    assert_int_equal(rig.t.state, TURN_DELETING);
    sends(STUN_REFRESH);
    assert_false(rig.m.has & STUN_HAS_INTEGRITY);
    answer_error(401, NONCE1);
    assert_true(arrives(UNSEALED));
    sends(STUN_REFRESH);
    assert_true(rig.m.has & STUN_HAS_INTEGRITY);
    assert_int_equal(rig.m.lifetime_s, 0);
    success_arrives();
    sends(STUN_ALLOCATE);
    answer_error(437, NULL);
    assert_false(arrives(UNSEALED));
    due_at(SEC(1));
    sends(STUN_ALLOCATE);
    answer_error(438, NONCE2);
    assert_true(arrives(UNSEALED));
    sends(STUN_ALLOCATE);
    assert_true(allocation_arrives(600, SEALED));
    assert_int_equal(rig.t.state, TURN_ALLOCATED);
}

static void test_a_refusal_of_the_plain_request_is_final(void **state)
{
    (void)state;

    until_allocate();
    answer_error(400, NULL);
    assert_true(arrives(UNSEALED));
    sends(STUN_ALLOCATE);
    answer_error(400, NULL);
    assert_true(arrives(UNSEALED));
    assert_int_equal(rig.t.state, TURN_SUSPENDED);
}

static void test_an_unauthenticated_error_is_no_sign_later(void **state)
{
    static const unsigned codes[] = {400, 437};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        until_nonce();
        answer_error(codes[i], NULL);
        assert_false(arrives(UNSEALED));
        sends_nothing();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_all_addresses_are_asked_and_the_first_answer_wins),
        cmocka_unit_test(test_answers_that_are_nobody_s),
        cmocka_unit_test(test_schedule_of_bindings),
        cmocka_unit_test(test_a_silent_family_changes_nothing),
        cmocka_unit_test(test_schedule_of_allocates),
        cmocka_unit_test(test_a_late_answer_to_an_earlier_attempt),
        cmocka_unit_test(test_allocation),
        cmocka_unit_test(test_only_authentic_answers_count),
        cmocka_unit_test(test_allocations_that_are_none),
        cmocka_unit_test(test_nonces),
        cmocka_unit_test(test_no_endless_talk_about_nonces),
        cmocka_unit_test(test_refused_allocations),
        cmocka_unit_test(test_unknown_attribute),
        cmocka_unit_test(test_binding_errors),
        cmocka_unit_test(test_coturn),
        cmocka_unit_test(test_coturn_has_an_allocation_of_an_earlier_life),
        cmocka_unit_test(test_a_refusal_of_the_plain_request_is_final),
        cmocka_unit_test(test_an_unauthenticated_error_is_no_sign_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
