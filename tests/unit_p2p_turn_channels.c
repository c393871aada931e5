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

/* Each time with the same number, after a pause that grows. */
static void test_refused_channels(void **state)
{
    static const unsigned codes[] = {400, 403, 443, 508, 400, 400, 400, 400};
    static const unsigned pauses[] = {1, 2, 4, 8, 16, 32, 64, 64};
    struct sock_addr peer = addr(PEER);
    (void)state;

    until_allocated();
    assert_true(bind_peer(PEER));
    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        sends(STUN_CHANNEL_BIND);
        assert_int_equal(rig.m.channel, 0x4000);
        assert_true(turn_refused_until(&rig.t, &peer) <= rig.now);
        error_arrives(codes[i], NULL);
        assert_int_equal(channel_for(PEER), 0);
        tells(TURN_EVENT_CHANNEL_LOST);
        assert_int_equal(rig.event.channel, 0x4000);
        tells_nothing();
        if (codes[i] == 400) { /* is it for want of an allocation? */
            sends(STUN_REFRESH);
            success_arrives();
        }
        assert_int_equal(rig.t.state, TURN_ALLOCATED);
        assert_int_equal(turn_refused_until(&rig.t, &peer), rig.now + SEC(pauses[i]));
        rig.now += SEC(pauses[i]) - 1;
        assert_false(bind_peer(PEER));
        sends_nothing();
        rig.now += 1;
        assert_true(bind_peer(PEER));
    }
    assert_true(bind_peer(PEER2)); /* another peer does not wait */
    sends(STUN_CHANNEL_BIND);
    success_arrives();
    assert_int_equal(rig.m.channel, 0x4000);
    sends(STUN_CHANNEL_BIND);
    assert_int_equal(rig.m.channel, 0x4001);
    error_arrives(400, NULL);
    assert_int_equal(channel_for(PEER), 0x4000);
    assert_int_equal(turn_refused_until(&rig.t, &peer), 0);
    sends(STUN_REFRESH);
    success_arrives();

    rig.now += SEC(1);
    assert_true(bind_peer(PEER2));
    sends(STUN_CHANNEL_BIND);
    forget_events();
    error_arrives(401, NONCE1);
    tells(TURN_EVENT_DEALLOCATED);
    tells(TURN_EVENT_CANDIDATE_INVALIDATED);
    tells(TURN_EVENT_CANDIDATE_INVALIDATED);
    assert_failed_for(TURN_FAILURE_AUTHENTICATION);
}

/* The answer of coturn, which has started anew: that says 437 only to a REFRESH. */
static void test_refused_for_want_of_an_allocation(void **state)
{
    struct stun_message refresh;
    (void)state;

    until_allocated();
    assert_true(bind_peer(PEER));
    sends(STUN_CHANNEL_BIND);
    error_arrives(400, NULL);
    sends(STUN_REFRESH);
    assert_false(rig.m.has & STUN_HAS_LIFETIME);
    refresh = rig.m;
    assert_true(bind_peer(PEER2));
    sends(STUN_CHANNEL_BIND);
    error_arrives(400, NULL);
    sends_nothing(); /* one REFRESH for both */
    forget_events();
    rig.m = refresh;
    error_arrives(437, NULL);
    tells(TURN_EVENT_DEALLOCATED);
    sends(STUN_ALLOCATE);
    assert_true(allocation_arrives(600, SEALED));
    assert_true(bind_peer(PEER)); /* without a pause: it is another allocation */
    sends(STUN_CHANNEL_BIND);
    success_arrives();
    assert_int_equal(channel_for(PEER), rig.m.channel);
}

/* What the relay refuses to prolong is not asked for at once either; its number is not another peer's for 15 min. */
static void test_a_refused_channel_keeps_its_number(void **state)
{
    (void)state;

    until_bound();
    turn_note_data_received(&rig.t, rig.now, 0x4000);
    rig.now = BEGIN + SEC(300);
    turn_handle_timeout(&rig.t, rig.now);
    do {
        assert_true(turn_poll_transmit(&rig.t, &rig.sent));
        assert_int_equal(stun_parse(&rig.m, rig.sent.bytes, rig.sent.len), ERR_OK);
        if (rig.m.method == STUN_BINDING)
            binding_answered();
        if (rig.m.method == STUN_REFRESH)
            success_arrives();
    } while (rig.m.method != STUN_CHANNEL_BIND);
    error_arrives(508, NULL);
    tells(TURN_EVENT_CHANNEL_LOST);
    assert_false(open_channel(0x4000));
    live_until(SEC(1200) - NS_PER_SEC);
    rig.t.channels.next = 0x4000;
    assert_true(bind_peer(PEER2));
    sends(STUN_CHANNEL_BIND);
    assert_int_equal(rig.m.channel, 0x4001);
    success_arrives();
    live_until(SEC(1201));
    rig.t.channels.next = 0x4000;
    assert_true(bind_peer("198.51.100.79:1"));
    sends(STUN_CHANNEL_BIND);
    assert_int_equal(rig.m.channel, 0x4000);
}

/* Only the channel is lost; but the allocation is asked for. */
static void test_channel_without_answer(void **state)
{
    (void)state;

    until_bound();
    assert_true(bind_peer(PEER2));
    sends(STUN_CHANNEL_BIND);
    due_at(MS(1000));
    due_at(MS(2500));
    due_at(MS(4750));
    sends(STUN_CHANNEL_BIND);
    due_at(MS(8125));
    tells(TURN_EVENT_CHANNEL_LOST);
    assert_int_equal(rig.event.channel, 0x4001);
    tells_nothing();
    assert_int_equal(channel_for(PEER), 0x4000);
    assert_int_equal(channel_for(PEER2), 0);
    sends(STUN_REFRESH);
    sends_nothing();
    success_arrives();
    assert_int_equal(rig.t.state, TURN_ALLOCATED);
    assert_false(bind_peer(PEER2));
    rig.now += SEC(1);
    assert_true(bind_peer(PEER2));
    sends(STUN_CHANNEL_BIND);
    assert_int_equal(rig.m.channel, 0x4001);

    /* a relay that says nothing at all */
    due_at(MS(10125));
    due_at(MS(11625));
    due_at(MS(13875));
    due_at(MS(17250));
    forget_events();
    due_at(MS(18250));
    due_at(MS(19750));
    due_at(MS(22000));
    due_at(MS(25000)); /* keepalive, which is not answered either */
    due_at(MS(25375));
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
    for (unsigned i = 0; i < TURN_CHANNELS_MAX; i++) {
        peer.port = (uint16_t)(1000 + i);
        assert_int_equal(turn_channel_for(&rig.t, rig.now, &peer), CHANNEL_FIRST + i);
    }
    peer.port = 1;
    assert_false(turn_has_channel(&rig.t, &peer));
    assert_false(turn_bind(&rig.t, rig.now, &peer));
    sends_nothing();
    forget_events();
    live_until(SEC(899));
    assert_false(turn_bind(&rig.t, rig.now, &peer));
    live_until(SEC(900));
    assert_true(turn_bind(&rig.t, rig.now, &peer));
    sends(STUN_CHANNEL_BIND);
    assert_int_equal(rig.m.channel, CHANNEL_FIRST); /* numbers go round */
}

/* ---- the table against a slow one, which has a place for every number ---- */

enum {
    NUMBERS = CHANNEL_LAST - CHANNEL_FIRST + 1,
    RANDOM_PEERS = 40
};

struct reference {
    enum {
        NOBODY,
        ASKED,
        BOUND,
        REFUSED
    } is[NUMBERS];
    unsigned peer[NUMBERS];
    time_ns bound_at[NUMBERS];
    bool received[NUMBERS];
    unsigned next;
};

static struct turn_channels table;
static struct reference slow;
static uint64_t random_state = 1;

static unsigned random_below(unsigned n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(random_state >> 33) % n;
}

static struct sock_addr random_peer(unsigned i)
{
    struct sock_addr peer = addr(PEER);
    peer.port = (uint16_t)(1 + i);
    return peer;
}

/* NUMBERS: none. */
static unsigned slow_of_peer(unsigned peer)
{
    unsigned i = 0;

    while (i < NUMBERS && (slow.is[i] == NOBODY || slow.peer[i] != peer))
        i++;
    return i;
}

static unsigned slow_add(unsigned peer, time_ns now)
{
    unsigned i = slow.next;

    while (slow.is[i] != NOBODY && (slow.is[i] == ASKED || slow.received[i] ||
                                    now < slow.bound_at[i] + TURN_CHANNEL_RESERVED_NS))
        i = (i + 1) % NUMBERS;
    slow.is[i] = ASKED;
    slow.peer[i] = peer;
    slow.received[i] = false;
    slow.next = (i + 1) % NUMBERS;
    return i;
}

/* What is due next, and whether somebody has something to tell. */
static void assert_queues(void)
{
    time_ns due = TIME_NEVER;
    bool tells_something = false;

    for (unsigned i = 0; i < NUMBERS; i++) {
        tells_something |= table.slots[i].tell != TURN_TELL_NOTHING;
        if (slow.is[i] != BOUND)
            continue;
        if (slow.received[i])
            due = time_min(due, slow.bound_at[i] + TURN_CHANNEL_REFRESH_NS);
        else if (!table.slots[i].expired)
            due = time_min(due, slow.bound_at[i] + TURN_CHANNEL_LIFETIME_NS);
    }
    assert_true(turn_channels_poll_timeout(&table) == due);
    assert_int_equal(node_link_used(&table.telling), tells_something);
}

static void assert_same(time_ns now)
{
    for (unsigned peer = 0; peer < RANDOM_PEERS; peer++) {
        struct sock_addr p = random_peer(peer);
        const struct turn_channel *c = turn_channels_of_peer(&table, &p);
        unsigned i = slow_of_peer(peer);

        assert_int_equal(c != NULL, i < NUMBERS);
        if (!c)
            continue;
        assert_int_equal(c->number, CHANNEL_FIRST + i);
        assert_ptr_equal(turn_channels_of_number(&table, c->number), c);
        assert_int_equal(turn_channel_open(c, now),
                         slow.is[i] == BOUND && now - slow.bound_at[i] < TURN_CHANNEL_LIFETIME_NS);
        assert_int_equal(turn_channel_wants_bind(c, now),
                         slow.is[i] == BOUND && slow.received[i] &&
                             now - slow.bound_at[i] >= TURN_CHANNEL_REFRESH_NS);
    }
}

static void random_step(time_ns now)
{
    unsigned peer = random_below(RANDOM_PEERS), i = slow_of_peer(peer);
    struct sock_addr p = random_peer(peer);
    struct turn_channel *c = turn_channels_of_peer(&table, &p);
    uint16_t number;

    switch (random_below(6)) {
    case 0:
    case 1:
        if (!c) {
            c = turn_channels_add(&table, now, &p);
            assert_non_null(c);
            assert_int_equal(c->number, CHANNEL_FIRST + slow_add(peer, now));
        }
        break;
    case 2:
    case 3:
        if (c) {
            turn_channels_bound(&table, c, now);
            slow.is[i] = BOUND, slow.bound_at[i] = now, slow.received[i] = false;
        }
        break;
    case 4:
        if (c && c->confirmed)
            turn_channels_received(&table, c), slow.received[i] = true;
        break;
    case 5:
        if (c && random_below(4) == 0) {
            turn_channels_refused(&table, c, now);
            assert_true(c->retry_at > now && c->retry_at <= now + SEC(64));
            slow.is[i] = REFUSED, slow.bound_at[i] = c->retry_at, slow.received[i] = false;
        }
        while (random_below(2) && turn_channels_tell(&table, &number, &p) != TURN_TELL_NOTHING)
            assert_true(sock_addr_equal(&p, &table.slots[number - CHANNEL_FIRST].peer));
        break;
    }
}

static void test_random_channels(void **state)
{
    time_ns now = BEGIN;
    (void)state;

    turn_channels_clear(&table);
    for (unsigned i = 0; i < 50000; i++) {
        if (random_below(1000) == 0) /* so that numbers meet */
            table.next = (uint16_t)(CHANNEL_FIRST + (slow.next = random_below(60)));
        random_step(now);
        if (i % 16 == 0)
            assert_queues();
        now += SEC(random_below(30));
        assert_same(now);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_channel),
        cmocka_unit_test(test_peers_that_cannot_be_bound),
        cmocka_unit_test(test_peers_wait_for_the_allocation),
        cmocka_unit_test(test_refused_channels),
        cmocka_unit_test(test_refused_for_want_of_an_allocation),
        cmocka_unit_test(test_a_refused_channel_keeps_its_number),
        cmocka_unit_test(test_channel_without_answer),
        cmocka_unit_test(test_lifetime_of_a_channel),
        cmocka_unit_test(test_numbers_are_used_again),
        cmocka_unit_test(test_too_many_channels),
        cmocka_unit_test(test_random_channels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
