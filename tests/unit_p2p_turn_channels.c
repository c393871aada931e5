/* SPDX-License-Identifier: Apache-2.0 */
/* Channels of an allocation: how they are bound, how long they last, which numbers they have. */
#include "tests/turn_rig.h"

static void test_channel(void **state)
{
    struct sock_addr peer;
    (void)state;

    until_allocated();
    assert_int_equal(channel_for(PEER), 0);
    assert_true(bind_peer(PEER));
    assert_true(bind_peer(PEER));
    sends(STUN_CHANNEL_BIND);
    sends_nothing();
    assert_addr(&rig.m.peer, PEER);
    assert_int_equal(rig.m.channel, 0x4000);
    assert_true(stun_text_is(rig.m.nonce, NONCE1));
    assert_int_equal(channel_for(PEER), 0x4000); /* sending is possible, receiving is not */
    assert_false(open_channel(0x4000));
    tells_nothing();
    error_arrives(438, NONCE2);
    sends(STUN_CHANNEL_BIND);
    assert_int_equal(rig.m.channel, 0x4000);
    success_arrives();
    tells(TURN_EVENT_CHANNEL_BOUND);
    assert_int_equal(rig.event.channel, 0x4000);
    assert_addr(&rig.event.peer, PEER);
    assert_true(turn_peer_of(&rig.t, rig.now, 0x4000, &peer));
    assert_addr(&peer, PEER);
    assert_false(open_channel(0x4001));
    assert_false(open_channel(0));
    assert_true(bind_peer(PEER));
    sends_nothing();
    assert_true(bind_peer(PEER2));
    sends(STUN_CHANNEL_BIND);
    assert_int_equal(rig.m.channel, 0x4001);
}

static void test_peers_that_cannot_be_bound(void **state)
{
    (void)state;

    until_nonce();
    answer(STUN_SUCCESS);
    answer_address(STUN_XOR_RELAYED_ADDRESS, RELAYED4);
    stun_add_u32(&rig.w, STUN_LIFETIME, 600);
    assert_true(arrives(SEALED));
    assert_false(bind_peer("[2001:db8::77]:1"));
    assert_false(bind_peer("198.51.100.77:0"));
    assert_false(bind_peer("0.0.0.0:1"));
    sends_nothing();
    assert_true(bind_peer(PEER));
}

static void test_peers_wait_for_the_allocation(void **state)
{
    struct sock_addr peer = addr("198.51.100.77:1");
    (void)state;

    until_nonce();
    for (unsigned i = 0; i < TURN_WAITING_MAX + 3; i++) {
        peer.port = (uint16_t)(1000 + i);
        assert_true(turn_bind(&rig.t, rig.now, &peer));
        assert_true(turn_bind(&rig.t, rig.now, &peer));
    }
    assert_int_equal(turn_channel_for(&rig.t, rig.now, &peer), 0);
    assert_true(allocation_arrives(600, SEALED));
    for (unsigned i = 0; i < TURN_WAITING_MAX; i++) {
        sends(STUN_CHANNEL_BIND);
        assert_int_equal(rig.m.peer.port, 1003 + i); /* the oldest three are forgotten */
        assert_int_equal(rig.m.channel, 0x4000 + i);
    }
    sends_nothing();
}

static void test_refused_channels(void **state)
{
    static const unsigned codes[] = {400, 403, 443, 508};
    (void)state;

    until_allocated();
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        assert_true(bind_peer(PEER));
        sends(STUN_CHANNEL_BIND);
        assert_int_equal(rig.m.channel, 0x4000 + i);
        error_arrives(codes[i], NULL);
        assert_int_equal(channel_for(PEER), 0);
        tells(TURN_EVENT_CHANNEL_LOST);
        assert_int_equal(rig.event.channel, 0x4000 + i);
        tells_nothing();
        assert_int_equal(rig.t.state, TURN_ALLOCATED);
    }
    assert_true(bind_peer(PEER));
    sends(STUN_CHANNEL_BIND);
    error_arrives(401, NONCE1);
    tells(TURN_EVENT_DEALLOCATED);
    tells(TURN_EVENT_CANDIDATE_INVALIDATED);
    tells(TURN_EVENT_CANDIDATE_INVALIDATED);
    assert_failed_for(TURN_FAILURE_AUTHENTICATION);
}

static void test_channel_without_answer(void **state)
{
    (void)state;

    until_allocated();
    assert_true(bind_peer(PEER));
    sends(STUN_CHANNEL_BIND);
    due_at(MS(1000));
    due_at(MS(2500));
    due_at(MS(4750));
    due_at(MS(8125));
    tells(TURN_EVENT_DEALLOCATED);
    tells(TURN_EVENT_CANDIDATE_INVALIDATED);
    tells(TURN_EVENT_CANDIDATE_INVALIDATED);
    assert_failed_for(TURN_FAILURE_NO_RESPONSE);
}

/* It is bound again at half of its lifetime only if the peer is heard. */
static void test_lifetime_of_a_channel(void **state)
{
    (void)state;

    until_bound();
    live_until(SEC(400));
    assert_true(open_channel(0x4000)); /* never heard: not bound again */
    assert_int_equal(rig.t.channels.slots[0].bound_at, BEGIN);
    turn_note_data_received(&rig.t, BEGIN - 1, 0x4000); /* before it was bound */
    turn_note_data_received(&rig.t, rig.now, 0x4001);
    assert_false(rig.t.channels.slots[0].received);
    turn_note_data_received(&rig.t, rig.now, 0x4000);
    assert_int_equal(turn_poll_timeout(&rig.t), BEGIN + SEC(300)); /* overdue */
    live_until(SEC(401));
    assert_int_equal(rig.t.channels.slots[0].bound_at, BEGIN + SEC(400));
    tells_nothing();
    assert_true(open_channel(0x4000));

    live_until(SEC(1000) - 1);
    assert_true(open_channel(0x4000));
    assert_int_equal(channel_for(PEER), 0x4000);
    live_until(SEC(1000));
    assert_false(open_channel(0x4000));
    assert_int_equal(channel_for(PEER), 0);
    tells(TURN_EVENT_CHANNEL_LOST);
    assert_int_equal(rig.event.channel, 0x4000);
    tells_nothing();

    /* in the cooldown the peer gets the same number, another peer does not */
    live_until(SEC(1299));
    rig.t.channels.next = 0x4000;
    assert_true(bind_peer(PEER2));
    sends(STUN_CHANNEL_BIND);
    assert_int_equal(rig.m.channel, 0x4001);
    success_arrives();
    tells(TURN_EVENT_CHANNEL_BOUND);
    assert_true(bind_peer(PEER));
    sends(STUN_CHANNEL_BIND);
    assert_int_equal(rig.m.channel, 0x4000);
    assert_int_equal(channel_for(PEER), 0x4000);
    success_arrives();
    tells(TURN_EVENT_CHANNEL_BOUND);
    assert_int_equal(rig.event.channel, 0x4000);
    assert_true(open_channel(0x4000));
}

static void test_numbers_are_used_again(void **state)
{
    struct sock_addr third = addr("198.51.100.79:1"), fourth = addr("198.51.100.80:1");
    (void)state;

    until_bound();
    live_until(SEC(899));
    forget_events();
    rig.t.channels.next = CHANNEL_LAST;
    assert_true(bind_peer(PEER2));
    sends(STUN_CHANNEL_BIND);
    assert_int_equal(rig.m.channel, CHANNEL_LAST);
    success_arrives();
    assert_int_equal(rig.t.channels.next, CHANNEL_FIRST);
    live_until(SEC(899) + NS_PER_MS);
    assert_true(turn_bind(&rig.t, rig.now, &third)); /* 0x4000 is still reserved */
    sends(STUN_CHANNEL_BIND);
    assert_int_equal(rig.m.channel, 0x4001);
    success_arrives();
    live_until(SEC(900));
    rig.t.channels.next = CHANNEL_FIRST;
    assert_true(turn_bind(&rig.t, rig.now, &fourth));
    sends(STUN_CHANNEL_BIND);
    assert_int_equal(rig.m.channel, 0x4000);
    assert_addr(&rig.m.peer, "198.51.100.80:1");
    assert_int_equal(channel_for(PEER), 0);
}

static void test_too_many_channels(void **state)
{
    struct sock_addr peer = addr("198.51.100.77:1");
    (void)state;

    until_allocated();
    for (unsigned i = 0; i < TURN_CHANNELS_MAX; i++) {
        peer.port = (uint16_t)(1000 + i);
        assert_true(turn_bind(&rig.t, rig.now, &peer));
        sends(STUN_CHANNEL_BIND);
        success_arrives();
    }
    peer.port = 1;
    assert_false(turn_bind(&rig.t, rig.now, &peer));
    sends_nothing();
    forget_events();
    live_until(SEC(899));
    assert_false(turn_bind(&rig.t, rig.now, &peer));
    live_until(SEC(900));
    assert_true(turn_bind(&rig.t, rig.now, &peer));
    sends(STUN_CHANNEL_BIND);
    assert_int_equal(rig.m.channel, 0x4000 + TURN_CHANNELS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channel),
        cmocka_unit_test(test_peers_that_cannot_be_bound),
        cmocka_unit_test(test_peers_wait_for_the_allocation),
        cmocka_unit_test(test_refused_channels),
        cmocka_unit_test(test_channel_without_answer),
        cmocka_unit_test(test_lifetime_of_a_channel),
        cmocka_unit_test(test_numbers_are_used_again),
        cmocka_unit_test(test_too_many_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
