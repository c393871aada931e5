/* SPDX-License-Identifier: Apache-2.0 */
/* An allocation that is kept alive, lost, made anew, and deleted. */
#include "tests/turn_rig.h"

/* ---- 437 ---- */

static void test_mismatch_of_allocate(void **state)
{
    (void)state;

    until_nonce();
    error_arrives(437, NULL);
    assert_int_equal(rig.t.state, TURN_DELETING);
    sends(STUN_REFRESH);
    assert_true(rig.m.has & STUN_HAS_LIFETIME);
    assert_int_equal(rig.m.lifetime_s, 0);
    assert_true(stun_text_is(rig.m.nonce, NONCE1));
    error_arrives(438, NONCE2); /* it still deletes */
    sends(STUN_REFRESH);
    assert_true(rig.m.has & STUN_HAS_LIFETIME);
    success_arrives();
    sends(STUN_ALLOCATE);
    assert_true(allocation_arrives(600, SEALED));
    assert_int_equal(rig.t.state, TURN_ALLOCATED);
}

/* What the relay knows of our address of the other family does not depend on its allocation. */
static void test_mismatch_beside_other_family(void **state)
{
    static const char local6[] = "[2001:db8::77]:52625";
    struct stun_message binding4, binding6;
    (void)state;

    start(RELAY4, RELAY6);
    sends_to(STUN_BINDING, RELAY4);
    binding4 = rig.m;
    sends_to(STUN_BINDING, RELAY6);
    binding6 = rig.m;
    rig.m = binding4;
    binding_answered();
    sends(STUN_ALLOCATE);
    error_arrives(401, NONCE1);
    sends(STUN_ALLOCATE);
    error_arrives(437, NULL);
    sends(STUN_REFRESH);
    forget_events();
    rig.m = binding6;
    answer(STUN_SUCCESS);
    answer_address(STUN_XOR_MAPPED_ADDRESS, local6);
    assert_true(arrives_at(UNSEALED, RELAY6, local6));
    tells_candidate(TURN_EVENT_CANDIDATE_ADDED, CANDIDATE_HOST, local6);
}

static void test_mismatch_without_end(void **state)
{
    (void)state;

    until_nonce();
    for (unsigned i = 0; i < 2; i++) {
        error_arrives(437, NULL);
        sends(STUN_REFRESH);
        if (i == 0) {
            success_arrives();
            sends(STUN_ALLOCATE);
        }
    }
    error_arrives(437, NULL); /* the third */
    sends_nothing();
    assert_int_equal(rig.t.state, TURN_ALLOCATING);
    due_at(SEC(1));
    sends(STUN_ALLOCATE);
    error_arrives(437, NULL);
    sends(STUN_REFRESH);
    success_arrives();
    sends_nothing();
    due_at(SEC(3));
    sends(STUN_ALLOCATE);
    assert_true(allocation_arrives(600, SEALED));
    forget_events();
    live_until(SEC(303));
    assert_int_equal(rig.t.mismatches, 0); /* a REFRESH went well */
}

static void test_deletion_that_is_refused(void **state)
{
    (void)state;

    until_nonce();
    error_arrives(437, NULL);
    sends(STUN_REFRESH);
    error_arrives(500, NULL);
    sends_nothing();
    due_at(SEC(1));
    sends(STUN_ALLOCATE);
}

static void test_mismatch_of_refresh_and_bind(void **state)
{
    (void)state;

    for (unsigned i = 0; i < 2; i++) {
        until_bound();
        if (i == 0) {
            turn_refresh(&rig.t, rig.now);
            sends(STUN_REFRESH);
        } else {
            assert_true(bind_peer(PEER2));
            sends(STUN_CHANNEL_BIND);
        }
        error_arrives(437, NULL);
        tells(TURN_EVENT_DEALLOCATED);
        tells_candidate(TURN_EVENT_CANDIDATE_INVALIDATED, CANDIDATE_RELAY, RELAYED4);
        tells_candidate(TURN_EVENT_CANDIDATE_INVALIDATED, CANDIDATE_RELAY, RELAYED6);
        tells_nothing();
        assert_int_equal(channel_for(PEER), 0);
        assert_false(open_channel(0x4000));
        sends(STUN_ALLOCATE);
        sends_nothing();
        assert_true(allocation_arrives(600, SEALED));
        if (i == 1) { /* the peer was not forgotten */
            sends(STUN_CHANNEL_BIND);
            assert_addr(&rig.m.peer, PEER2);
        }
        sends_nothing();
    }
}

static void test_same_addresses_after_a_mismatch_are_told_anew(void **state)
{
    (void)state;

    until_bound();
    turn_refresh(&rig.t, rig.now);
    sends(STUN_REFRESH);
    error_arrives(437, NULL);
    sends(STUN_ALLOCATE);
    assert_true(allocation_arrives(600, SEALED));
    assert_true(bind_peer(PEER));
    sends(STUN_CHANNEL_BIND);
    success_arrives();
    /* nothing was fetched meanwhile */
    tells(TURN_EVENT_DEALLOCATED);
    tells_candidate(TURN_EVENT_CANDIDATE_INVALIDATED, CANDIDATE_RELAY, RELAYED4);
    tells_candidate(TURN_EVENT_CANDIDATE_INVALIDATED, CANDIDATE_RELAY, RELAYED6);
    tells_candidate(TURN_EVENT_CANDIDATE_ADDED, CANDIDATE_RELAY, RELAYED4);
    tells_candidate(TURN_EVENT_CANDIDATE_ADDED, CANDIDATE_RELAY, RELAYED6);
    tells(TURN_EVENT_ALLOCATED);
    tells(TURN_EVENT_CHANNEL_BOUND);
    tells_nothing();
}

/* ---- refresh, keepalive, expiry ---- */

static void test_refresh(void **state)
{
    (void)state;

    until_allocated();
    live_until(SEC(300) - 1);
    assert_int_equal(turn_poll_timeout(&rig.t), BEGIN + SEC(300));
    rig.now = BEGIN + SEC(300);
    turn_handle_timeout(&rig.t, rig.now);
    sends_to(STUN_BINDING, RELAY4); /* 300 is a multiple of 25, too */
    binding_answered();
    sends(STUN_REFRESH);
    assert_false(rig.m.has & STUN_HAS_LIFETIME);
    assert_true(stun_text_is(rig.m.nonce, NONCE1));
    error_arrives(438, NONCE2);
    sends(STUN_REFRESH);
    assert_true(stun_text_is(rig.m.nonce, NONCE2));
    assert_false(rig.m.has & STUN_HAS_LIFETIME);
    success_arrives();
    assert_int_equal(rig.t.refresh_at, BEGIN + SEC(600));
    assert_int_equal(rig.t.expires_at, BEGIN + SEC(900));
    tells_nothing();
}

static void test_refresh_that_finds_it_deleted(void **state)
{
    (void)state;

    until_allocated();
    turn_refresh(&rig.t, rig.now);
    sends(STUN_REFRESH);
    answer(STUN_SUCCESS);
    stun_add_u32(&rig.w, STUN_LIFETIME, 0);
    assert_true(arrives(SEALED));
    tells(TURN_EVENT_DEALLOCATED);
    sends(STUN_ALLOCATE);
}

/* The machine slept: nothing is left, but the relay may still be there. */
static void test_expiry(void **state)
{
    (void)state;

    until_bound();
    rig.now += SEC(600);
    turn_handle_timeout(&rig.t, rig.now);
    tells(TURN_EVENT_DEALLOCATED);
    tells(TURN_EVENT_CANDIDATE_INVALIDATED);
    tells(TURN_EVENT_CANDIDATE_INVALIDATED);
    tells_nothing();
    sends(STUN_ALLOCATE);
    sends_nothing();
}

static void test_refresh_that_fails_is_tried_again(void **state)
{
    static const unsigned pauses[] = {1, 2, 4, 8};
    time_ns at = 0;
    (void)state;

    until_allocated();
    turn_refresh(&rig.t, rig.now);
    sends(STUN_REFRESH);
    for (size_t i = 0; i < ARRAY_LEN(pauses); i++) {
        if (i == 1) { /* no lifetime: no success either */
            answer(STUN_SUCCESS);
            assert_true(arrives(SEALED));
        } else
            error_arrives(500, NULL);
        sends_nothing();
        at += SEC(pauses[i]);
        due_at(at);
        sends(STUN_REFRESH);
    }
    success_arrives();
    assert_int_equal(rig.t.refresh_at, BEGIN + at + SEC(300));
    assert_int_equal(rig.t.state, TURN_ALLOCATED);
}

static void test_refresh_without_answer(void **state)
{
    (void)state;

    for (unsigned single = 0; single < 2; single++) {
        until_allocated();
        if (single) {
            turn_refresh(&rig.t, rig.now);
            turn_refresh(&rig.t, rig.now);
        } else {
            live_until(SEC(299));
            turn_note_data_sent(&rig.t, rig.now);
            rig.now = BEGIN + SEC(300);
            turn_handle_timeout(&rig.t, rig.now);
        }
        sends(STUN_REFRESH);
        sends_nothing();
        if (single)
            due_at(SEC(1));
        else {
            due_at(SEC(301));
            sends(STUN_REFRESH);
            due_at(MS(302500));
            sends(STUN_REFRESH);
            due_at(MS(304750));
            sends(STUN_REFRESH);
            due_at(MS(308125));
        }
        tells(TURN_EVENT_DEALLOCATED);
        tells(TURN_EVENT_CANDIDATE_INVALIDATED);
        tells(TURN_EVENT_CANDIDATE_INVALIDATED);
        assert_failed_for(TURN_FAILURE_NO_RESPONSE);
    }
}

static void test_keepalive(void **state)
{
    struct stun_id id;
    (void)state;

    until_allocated();
    due_at(SEC(25));
    sends(STUN_BINDING);
    id = rig.m.id;
    binding_answered();
    tells_nothing();
    due_at(SEC(50));
    sends(STUN_BINDING);
    assert_false(stun_id_equal(&rig.m.id, &id));
    binding_answered();
    rig.now += SEC(10);
    turn_note_data_sent(&rig.t, rig.now);
    turn_note_data_sent(&rig.t, rig.now - SEC(5)); /* reported late */
    due_at(SEC(85));
    sends(STUN_BINDING);

    /* another address of ours: only the new one is told */
    answer(STUN_SUCCESS);
    answer_address(STUN_XOR_MAPPED_ADDRESS, "198.51.100.9:40001");
    assert_true(arrives(UNSEALED));
    tells_candidate(TURN_EVENT_CANDIDATE_ADDED, CANDIDATE_SRFLX, "198.51.100.9:40001");
    tells_nothing();
}

/* A NAT has given us another port, under which the relay does not know us. */
static void test_another_mapping_and_the_allocation(void **state)
{
    static const char other[] = "198.51.100.9:40001";
    (void)state;

    until_bound();
    due_at(SEC(25));
    sends(STUN_BINDING);
    binding_answered();
    sends_nothing();
    due_at(SEC(50));
    sends(STUN_BINDING);
    answer(STUN_SUCCESS);
    answer_address(STUN_XOR_MAPPED_ADDRESS, other);
    assert_true(arrives(UNSEALED));
    sends(STUN_REFRESH);
    sends_nothing();
    error_arrives(437, NULL);
    sends(STUN_ALLOCATE);
    assert_true(allocation_arrives(600, SEALED));
    due_at(SEC(75));
    sends(STUN_BINDING);
    answer(STUN_SUCCESS);
    answer_address(STUN_XOR_MAPPED_ADDRESS, other);
    assert_true(arrives(UNSEALED));
    sends_nothing();
}

/* What the address of the other family, which is not used, sees does not matter. */
static void test_another_mapping_of_the_other_family(void **state)
{
    static const char local6[] = "[2001:db8::77]:52625", mapped6[] = "[2001:db8::78]:52625";
    struct stun_message binding6;
    (void)state;

    until_allocated();
    rig.t.servers[1] = addr(RELAY6);
    for (unsigned i = 0; i < 2; i++) {
        rig.now += SEC(2);
        turn_ask(&rig.t, rig.now);
        sends(STUN_BINDING);
        binding_answered();
        sends_to(STUN_BINDING, RELAY6);
        binding6 = rig.m;
        sends(STUN_REFRESH); /* turn_ask's */
        success_arrives();
        rig.m = binding6;
        answer(STUN_SUCCESS);
        answer_address(STUN_XOR_MAPPED_ADDRESS, i ? local6 : mapped6);
        assert_true(arrives_at(UNSEALED, RELAY6, local6));
        sends_nothing();
    }
}

static void test_keepalive_without_answer(void **state)
{
    (void)state;

    until_allocated();
    due_at(SEC(25));
    due_at(SEC(26));
    due_at(MS(27500));
    due_at(MS(29750));
    due_at(MS(33125));
    tells(TURN_EVENT_DEALLOCATED);
    tells(TURN_EVENT_CANDIDATE_INVALIDATED);
    tells(TURN_EVENT_CANDIDATE_INVALIDATED);
    assert_failed_for(TURN_FAILURE_NO_RESPONSE);
}

/* ---- our addresses vanish ---- */

static void test_an_address_that_vanishes(void **state)
{
    struct sock_addr local = addr(LOCAL4), other = addr(PUBLIC4), relayed;
    struct stun_message before;
    (void)state;

    until_bound();
    due_at(SEC(25));
    sends(STUN_BINDING);
    before = rig.m;
    assert_false(turn_forget_address(&rig.t, &other.ip));
    assert_true(turn_forget_address(&rig.t, &local.ip));
    assert_false(turn_forget_address(&rig.t, &local.ip));
    tells_nothing();
    turn_ask(&rig.t, rig.now);
    turn_ask(&rig.t, rig.now);
    sends(STUN_BINDING);
    assert_false(stun_id_equal(&rig.m.id, &before.id)); /* not only with the next attempt */
    binding_answered();
    sends(STUN_REFRESH);
    success_arrives();
    sends_nothing();
    tells_candidate(TURN_EVENT_CANDIDATE_ADDED, CANDIDATE_HOST, LOCAL4);
    tells_candidate(TURN_EVENT_CANDIDATE_ADDED, CANDIDATE_SRFLX, PUBLIC4);
    tells_nothing();
    assert_true(turn_relayed(&rig.t, ADDR_V4, &relayed));
    assert_int_equal(channel_for(PEER), 0x4000);
    due_at(SEC(25) + TURN_ASK_GAP_NS); /* for the second time */
    sends(STUN_BINDING);
    binding_answered();
    sends(STUN_REFRESH);
    success_arrives();
    tells_nothing();
    assert_true(turn_poll_timeout(&rig.t) > rig.now + SEC(1));
}

static void test_nothing_is_asked_of_who_is_gone(void **state)
{
    (void)state;

    until_bound();
    due_at(SEC(25));
    turn_ask(&rig.t, rig.now);
    turn_ask(&rig.t, rig.now);
    turn_close(&rig.t, rig.now);
    turn_ask(&rig.t, rig.now);
    sends(STUN_REFRESH);
    success_arrives();
    forget_events();
    turn_ask(&rig.t, rig.now);
    turn_check_allocation(&rig.t, rig.now);
    sends_nothing();
    assert_true(turn_poll_timeout(&rig.t) == TIME_NEVER);
}

/* ---- restart, end ---- */

static void test_restart(void **state)
{
    struct sock_addr server, relayed;
    struct stun_id id;
    (void)state;

    until_bound();
    assert_true(bind_peer(PEER2));
    sends(STUN_CHANNEL_BIND);
    id = rig.m.id;
    turn_restart(&rig.t, rig.now);
    tells(TURN_EVENT_DEALLOCATED);
    tells_candidate(TURN_EVENT_CANDIDATE_INVALIDATED, CANDIDATE_HOST, LOCAL4);
    tells_candidate(TURN_EVENT_CANDIDATE_INVALIDATED, CANDIDATE_SRFLX, PUBLIC4);
    tells_candidate(TURN_EVENT_CANDIDATE_INVALIDATED, CANDIDATE_RELAY, RELAYED4);
    tells_candidate(TURN_EVENT_CANDIDATE_INVALIDATED, CANDIDATE_RELAY, RELAYED6);
    tells_nothing();
    assert_false(turn_server(&rig.t, &server));
    assert_false(turn_relayed(&rig.t, ADDR_V4, &relayed));
    assert_int_equal(turn_rtt(&rig.t), 0);
    assert_int_equal(channel_for(PEER), 0);
    sends(STUN_BINDING);
    assert_false(stun_id_equal(&rig.m.id, &id));
    sends_nothing();
    binding_answered();
    tells_candidate(TURN_EVENT_CANDIDATE_ADDED, CANDIDATE_HOST, LOCAL4);
    tells_candidate(TURN_EVENT_CANDIDATE_ADDED, CANDIDATE_SRFLX, PUBLIC4);
    sends(STUN_ALLOCATE);
    assert_null(rig.m.nonce.bytes);

    /* the relay still has the former allocation */
    error_arrives(401, NONCE1);
    sends(STUN_ALLOCATE);
    error_arrives(437, NULL);
    sends(STUN_REFRESH);
    success_arrives();
    sends(STUN_ALLOCATE);
    assert_true(allocation_arrives(600, SEALED));
}

static void test_close(void **state)
{
    (void)state;

    for (unsigned i = 0; i < 5; i++) {
        until_bound();
        turn_close(&rig.t, rig.now);
        turn_close(&rig.t, rig.now);
        tells(TURN_EVENT_DEALLOCATED);
        tells(TURN_EVENT_CANDIDATE_INVALIDATED);
        tells(TURN_EVENT_CANDIDATE_INVALIDATED);
        tells_nothing();
        sends(STUN_REFRESH);
        sends_nothing();
        assert_true(rig.m.has & STUN_HAS_LIFETIME);
        assert_int_equal(rig.m.lifetime_s, 0);
        assert_false(bind_peer(PEER));
        if (i == 0)
            success_arrives();
        else if (i == 1)
            error_arrives(437, NULL);
        else if (i == 2)
            error_arrives(420, NULL);
        else if (i == 3)
            due_at(SEC(1));
        else {
            error_arrives(438, NONCE2);
            sends(STUN_REFRESH);
            error_arrives(401, NONCE2);
        }
        tells(TURN_EVENT_CLOSED);
        tells_nothing();
        sends_nothing();
        assert_true(turn_poll_timeout(&rig.t) == TIME_NEVER);
    }
}

static void test_close_of_what_is_not_yet_there(void **state)
{
    (void)state;

    until_allocate(); /* without a nonce there is nothing to delete */
    turn_close(&rig.t, rig.now);
    sends_nothing();
    tells(TURN_EVENT_CLOSED);
    until_nonce(); /* the relay may be about to make it */
    turn_close(&rig.t, rig.now);
    sends(STUN_REFRESH);
    success_arrives();
    tells(TURN_EVENT_CLOSED);
}

static void test_wipe(void **state)
{
    static const uint8_t zero[TURN_SEED_LEN];
    (void)state;

    until_bound();
    turn_wipe(&rig.t);
    assert_memory_equal(rig.t.key, zero, sizeof rig.t.key);
    assert_memory_equal(rig.t.seed, zero, sizeof rig.t.seed);
    assert_int_equal(rig.t.username[0], '\0');
    assert_int_equal(rig.t.nonce_len, 0);
    tells_nothing();
    sends_nothing();
    assert_true(turn_poll_timeout(&rig.t) == TIME_NEVER);
}

static void test_texts(void **state)
{
    (void)state;

    for (unsigned i = 0; i < TURN_STATE_COUNT; i++)
        assert_non_null(turn_state_text((enum turn_state)i));
    assert_string_equal(turn_failure_text(TURN_FAILURE_NO_RESPONSE), "no response");
}

/* Two clients of the same seed do the same; ids do not repeat. */
static void test_ids(void **state)
{
    struct stun_id ids[64];
    (void)state;

    until_bound();
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        rig.now = turn_poll_timeout(&rig.t);
        turn_handle_timeout(&rig.t, rig.now);
        assert_true(turn_poll_transmit(&rig.t, &rig.sent));
        assert_int_equal(stun_parse(&rig.m, rig.sent.bytes, rig.sent.len), ERR_OK);
        ids[i] = rig.m.id;
        if (rig.m.method == STUN_BINDING)
            binding_answered();
        else
            success_arrives();
        for (size_t k = 0; k < i; k++)
            assert_false(stun_id_equal(&ids[i], &ids[k]));
        while (turn_poll_transmit(&rig.t, &rig.sent)) {
            assert_int_equal(stun_parse(&rig.m, rig.sent.bytes, rig.sent.len), ERR_OK);
            success_arrives();
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mismatch_of_allocate),
        cmocka_unit_test(test_mismatch_beside_other_family),
        cmocka_unit_test(test_mismatch_without_end),
        cmocka_unit_test(test_deletion_that_is_refused),
        cmocka_unit_test(test_mismatch_of_refresh_and_bind),
        cmocka_unit_test(test_same_addresses_after_a_mismatch_are_told_anew),
        cmocka_unit_test(test_refresh),
        cmocka_unit_test(test_refresh_that_finds_it_deleted),
        cmocka_unit_test(test_expiry),
        cmocka_unit_test(test_refresh_that_fails_is_tried_again),
        cmocka_unit_test(test_refresh_without_answer),
        cmocka_unit_test(test_keepalive),
        cmocka_unit_test(test_another_mapping_and_the_allocation),
        cmocka_unit_test(test_another_mapping_of_the_other_family),
        cmocka_unit_test(test_keepalive_without_answer),
        cmocka_unit_test(test_an_address_that_vanishes),
        cmocka_unit_test(test_nothing_is_asked_of_who_is_gone),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_close_of_what_is_not_yet_there),
        cmocka_unit_test(test_wipe),
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
