/* SPDX-License-Identifier: Apache-2.0 */
/* What a path does to a WireGuard peer, and what becomes of its messages: two peers with real keys, in virtual time. */
#include "control/p2p/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "engine/wire/channel.h"
#include "platform/base/bytes.h"

#define SEC(n) ((time_ns)(n)*NS_PER_SEC)

enum {
    CONTROLLING,
    CONTROLLED
};

static const char *const PATHS[] = {"198.51.100.1:52625", "198.51.100.2:1234"};
static const char LOCAL[] = "192.0.2.10:52625", RELAY[] = "203.0.113.1:3478";

struct side {
    struct noise_identity identity;
    struct wg_peer wg;
    struct p2p_peer p2p;
    struct wg_fresh fresh;
    unsigned ups, failures;
};

static struct side sides[2], *const one = &sides[CONTROLLING], *const other = &sides[CONTROLLED];
static time_ns now;
static uint32_t numbers; /* entropy, indices */

static struct sock_addr addr(const char *text)
{
    struct sock_addr a;
    assert_int_equal(sock_addr_parse(&a, text), ERR_OK);
    return a;
}

static struct wg_fresh *fresh_of(struct side *s)
{
    uint32_t number = ++numbers;

    memset(&s->fresh, 0, sizeof s->fresh);
    store_le32(s->fresh.noise.ephemeral, number);
    s->fresh.noise.local_index = number;
    noise_timestamp(s->fresh.noise.timestamp, UINT64_C(1700000000000000000) + now + number);
    return &s->fresh;
}

static int set_up(void **state)
{
    const struct wg_timing timing = P2P_PEER_TIMING;

    (void)state;
    now = SEC(1000);
    numbers = 0;
    memset(sides, 0, sizeof sides);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t key[WG_KEY_LEN];
        memset(key, (int)(0x30 + i), sizeof key);
        noise_identity_init(&sides[i].identity, key);
    }
    for (unsigned i = 0; i < 2; i++) {
        struct wg_peer_config config = {.identity = &sides[i].identity, .timing = timing};
        memcpy(config.public_key, sides[!i].identity.public_key, WG_KEY_LEN);
        memset(config.psk, 0x42, sizeof config.psk);
        wg_peer_init(&sides[i].wg, &config, 5 + i, now);
        p2p_peer_init(&sides[i].p2p, i == CONTROLLING);
    }
    return 0;
}

/* ---- what the tunnel does ---- */

static void hear(struct side *s, enum p2p_peer_news news)
{
    s->ups += news == P2P_PEER_UP;
    s->failures += news == P2P_PEER_FAILED;
}

static void take_events(struct side *s)
{
    struct wg_event e;

    while (wg_peer_poll_event(&s->wg, &e))
        hear(s, p2p_peer_note(&s->p2p, &e));
}

static struct node_path direct(const char *to)
{
    return (struct node_path){
        .kind = NODE_PEER_TO_PEER, .to = addr(to), .from = addr(LOCAL), .peer = addr(to)};
}

static struct node_path relayed(uint16_t channel)
{
    return (struct node_path){
        .kind = NODE_RELAY_TO_PEER, .to = addr(RELAY), .channel = channel, .peer = addr(PATHS[0])};
}

static void path_is(struct side *s, const struct node_path *path)
{
    hear(s, p2p_peer_set_path(&s->p2p, &s->wg, now, path, fresh_of(s)));
    take_events(s);
}

/* The next message that leaves; of none its length is 0. */
static struct node_transmit leaves(struct side *s)
{
    struct node_transmit t;

    memset(&t, 0xee, sizeof t);
    if (!p2p_peer_poll_transmit(&s->p2p, &s->wg, &t))
        t.len = 0;
    return t;
}

static void assert_leaves(struct side *s, enum wg_kind kind, const char *to)
{
    struct node_transmit t = leaves(s);
    struct sock_addr expected = addr(to), from = addr(LOCAL);

    assert_int_equal(t.len, kind == WG_KIND_INITIATION ? WG_INITIATION_LEN : WG_RESPONSE_LEN);
    assert_int_equal(wg_message_kind(t.bytes, t.len), kind);
    assert_true(sock_addr_equal(&t.to, &expected));
    assert_true(sock_addr_equal(&t.from, &from));
}

static void assert_nothing_leaves(struct side *s)
{
    assert_int_equal(leaves(s).len, 0);
}

/* A message as it left arrives at the other side, which may not know a path yet. */
static enum wg_outcome arrives(struct side *s, const struct node_transmit *t)
{
    struct sock_addr from = addr("203.0.113.200:9");
    struct noise_opened opened;
    enum wg_outcome outcome;

    if (wg_message_kind(t->bytes, t->len) == WG_KIND_INITIATION) {
        assert_true(noise_initiation_open(&opened, &s->identity, t->bytes));
        outcome = wg_peer_handle_initiation(&s->wg, now, &opened, &from, fresh_of(s));
    } else {
        assert_int_equal(wg_message_kind(t->bytes, t->len), WG_KIND_RESPONSE);
        outcome = wg_peer_handle_response(&s->wg, now, t->bytes, &from);
    }
    take_events(s);
    return outcome;
}

/* One of them has an initiation to send, and both have paths: up to the session that works. */
static void shake_hands(struct side *initiator, struct side *responder)
{
    struct node_transmit t = leaves(initiator);

    assert_int_equal(arrives(responder, &t), WG_OUTCOME_ACCEPTED);
    t = leaves(responder);
    assert_int_equal(arrives(initiator, &t), WG_OUTCOME_ACCEPTED);
    wg_peer_confirmed(&responder->wg, now, numbers); /* the last index is the responder's */
    take_events(responder);
}

/* Timers are served for this long; what leaves is lost. Returns how many initiations left. */
static unsigned nobody_answers(struct side *s, time_ns span)
{
    const struct wg_activity nothing = {0};
    time_ns end = now + span;
    unsigned initiations = 0;

    for (time_ns due; (due = wg_peer_poll_timeout(&s->wg)) <= end;) {
        now = time_max(now, due);
        wg_peer_handle_timeout(&s->wg, now, &nothing, fresh_of(s));
        take_events(s);
        while (leaves(s).len > 0)
            initiations++;
    }
    now = end;
    return initiations;
}

/* ---- who begins ---- */

static void test_path_starts_a_handshake_of_the_controlling_side(void **state)
{
    struct node_path path = direct(PATHS[0]);

    (void)state;
    assert_nothing_leaves(one);
    path_is(one, &path);
    assert_leaves(one, WG_KIND_INITIATION, PATHS[0]);
    assert_nothing_leaves(one);
    path_is(other, &path);
    assert_nothing_leaves(other);
    assert_int_equal(other->wg.state, WG_PEER_IDLE);
    now += SEC(60);
    path = direct(PATHS[1]);
    path_is(other, &path);
    assert_nothing_leaves(other);
}

static void test_new_path_starts_another_one_not_too_soon(void **state)
{
    struct node_path paths[2] = {direct(PATHS[0]), direct(PATHS[1])};

    (void)state;
    path_is(other, &paths[0]);
    path_is(one, &paths[0]);
    shake_hands(one, other);
    now += P2P_PEER_QUIET_NS - 1;
    path_is(one, &paths[1]);
    assert_nothing_leaves(one);
    assert_int_equal(one->wg.state, WG_PEER_IDLE);
    now += 1;
    path_is(one, &paths[0]);
    assert_leaves(one, WG_KIND_INITIATION, PATHS[0]);
    now += SEC(5); /* counted from that one, which the retry follows to the newest path */
    path_is(one, &paths[1]);
    assert_int_equal(nobody_answers(one, NS_PER_SEC), 1);
}

/* The retries of an attempt follow the path, though a new path starts no other attempt. */
static void test_attempt_follows_the_path(void **state)
{
    struct node_path paths[2] = {direct(PATHS[0]), direct(PATHS[1])};
    const struct wg_activity nothing = {0};

    (void)state;
    path_is(one, &paths[0]);
    assert_leaves(one, WG_KIND_INITIATION, PATHS[0]);
    now += SEC(1);
    path_is(one, &paths[1]);
    assert_nothing_leaves(one);
    now = wg_peer_poll_timeout(&one->wg);
    wg_peer_handle_timeout(&one->wg, now, &nothing, fresh_of(one));
    assert_leaves(one, WG_KIND_INITIATION, PATHS[1]);
}

static void test_authorised_again(void **state)
{
    struct node_path path = direct(PATHS[0]);

    (void)state;
    p2p_peer_again(&one->p2p, &one->wg, now, fresh_of(one)); /* the first path is still to come */
    assert_false(one->fresh.used);
    path_is(other, &path);
    path_is(one, &path);
    shake_hands(one, other);
    now += P2P_PEER_QUIET_NS - 1;
    p2p_peer_again(&one->p2p, &one->wg, now, fresh_of(one));
    assert_nothing_leaves(one);
    now += 1;
    p2p_peer_again(&one->p2p, &one->wg, now, fresh_of(one));
    assert_leaves(one, WG_KIND_INITIATION, PATHS[0]);
    p2p_peer_again(&other->p2p, &other->wg, now, fresh_of(other));
    assert_nothing_leaves(other);
}

static void test_want_needs_a_path(void **state)
{
    struct node_path path = direct(PATHS[0]);

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        p2p_peer_want(&sides[i].p2p, &sides[i].wg, now, fresh_of(&sides[i]));
        assert_false(sides[i].fresh.used);
        assert_int_equal(sides[i].wg.state, WG_PEER_IDLE);
        assert_int_equal(sides[i].wg.datagram_count, 0);
        assert_int_equal(sides[i].p2p.begun_at, 0);
    }
    path_is(other, &path);
    p2p_peer_want(&other->p2p, &other->wg, now, fresh_of(other));
    assert_leaves(other, WG_KIND_INITIATION, PATHS[0]);
    path_is(one, &path);
    shake_hands(one, other);
    now += SEC(6); /* not bound to the time between two that paths start */
    p2p_peer_want(&one->p2p, &one->wg, now, fresh_of(one));
    assert_leaves(one, WG_KIND_INITIATION, PATHS[0]);
}

/* ---- messages ---- */

/* The controlled side answers before it knows how to send: its newest two answers leave when it does. */
static void test_messages_wait_for_the_path(void **state)
{
    struct node_path path = direct(PATHS[0]);
    uint32_t receivers[3];

    (void)state;
    path_is(one, &path);
    for (unsigned i = 0; i < ARRAY_LEN(receivers); i++) {
        struct node_transmit t = leaves(one);
        assert_int_equal(arrives(other, &t), WG_OUTCOME_ACCEPTED);
        assert_nothing_leaves(other);
        receivers[i] = load_le32(t.bytes + 4); /* the sender's index */
        now = wg_peer_poll_timeout(&one->wg);
        wg_peer_handle_timeout(&one->wg, now, &(struct wg_activity){0}, fresh_of(one));
    }
    path_is(other, &path);
    for (unsigned i = 1; i < ARRAY_LEN(receivers); i++) {
        struct node_transmit t = leaves(other);
        assert_int_equal(wg_message_kind(t.bytes, t.len), WG_KIND_RESPONSE);
        assert_int_equal(load_le32(t.bytes + WG_RESPONSE_RECEIVER), receivers[i]);
        if (i == 2)
            assert_int_equal(arrives(one, &t), WG_OUTCOME_ACCEPTED);
    }
    assert_nothing_leaves(other);
}

static void test_channel_is_written_before_a_message(void **state)
{
    struct node_path path = relayed(0x4123);
    struct sock_addr relay = addr(RELAY);
    struct node_transmit t;

    (void)state;
    path_is(one, &path);
    t = leaves(one);
    assert_int_equal(t.len, CHANNEL_HEADER_LEN + WG_INITIATION_LEN);
    assert_int_equal(channel_parse(t.bytes, t.len), 0x4123);
    assert_int_equal(load_be16(t.bytes + 2), WG_INITIATION_LEN);
    assert_true(sock_addr_equal(&t.to, &relay));
    assert_int_equal(t.from.ip.family, ADDR_NONE);
    memmove(t.bytes, t.bytes + CHANNEL_HEADER_LEN, WG_INITIATION_LEN);
    t.len = WG_INITIATION_LEN;
    assert_int_equal(arrives(other, &t), WG_OUTCOME_ACCEPTED); /* unchanged behind it */
    path_is(other, &path);
    t = leaves(other);
    assert_int_equal(t.len, CHANNEL_HEADER_LEN + WG_RESPONSE_LEN);
    assert_int_equal(channel_parse(t.bytes, t.len), 0x4123);
}

/* Nobody's address is learned from a message. */
static void test_answers_go_to_the_path(void **state)
{
    struct node_path path = direct(PATHS[0]), own = direct(PATHS[1]);

    (void)state;
    path_is(one, &path);
    path_is(other, &own);
    struct node_transmit t = leaves(one);
    assert_int_equal(arrives(other, &t), WG_OUTCOME_ACCEPTED);
    assert_leaves(other, WG_KIND_RESPONSE, PATHS[1]);
}

/* ---- up ---- */

static void test_up_once_when_the_session_comes_last(void **state)
{
    struct node_path paths[2] = {direct(PATHS[0]), relayed(0x4001)};

    (void)state;
    path_is(other, &paths[0]);
    path_is(one, &paths[0]);
    assert_int_equal(one->ups + other->ups, 0);
    shake_hands(one, other);
    assert_int_equal(one->ups, 1);
    assert_int_equal(other->ups, 1);
    now += SEC(30);
    path_is(one, &paths[1]);
    path_is(other, &paths[1]);
    struct node_transmit t = leaves(one);
    memmove(t.bytes, t.bytes + CHANNEL_HEADER_LEN, t.len -= CHANNEL_HEADER_LEN);
    assert_int_equal(arrives(other, &t), WG_OUTCOME_ACCEPTED);
    wg_peer_confirmed(&other->wg, now, numbers);
    take_events(other);
    assert_int_equal(one->ups, 1);
    assert_int_equal(other->ups, 1);
    assert_int_equal(one->failures + other->failures, 0);
}

static void test_up_once_when_the_path_comes_last(void **state)
{
    struct node_path path = direct(PATHS[0]), next = direct(PATHS[1]);

    (void)state;
    path_is(one, &path);
    struct node_transmit t = leaves(one);
    assert_int_equal(arrives(other, &t), WG_OUTCOME_ACCEPTED);
    assert_int_equal(other->ups, 0); /* only derived: it may not work */
    /* Its answer got there by another copy of it. */
    wg_peer_confirmed(&other->wg, now, numbers);
    take_events(other);
    assert_int_equal(other->ups, 0);
    path_is(other, &path);
    assert_int_equal(other->ups, 1);
    path_is(other, &next);
    assert_int_equal(other->ups, 1);
}

/* ---- failed ---- */

static void test_fails_when_nobody_answers(void **state)
{
    struct node_path path = direct(PATHS[0]);

    (void)state;
    path_is(one, &path);
    assert_leaves(one, WG_KIND_INITIATION, PATHS[0]);
    assert_in_range(nobody_answers(one, SEC(20) - 1), 3, 3); /* each 5 s and a bit later */
    assert_int_equal(one->failures, 0);
    nobody_answers(one, 1);
    assert_int_equal(one->failures, 1);
    assert_int_equal(one->ups, 0);
}

/* Also an attempt that is to renew a session: the peer may be another one by now. */
static void test_fails_when_nobody_answers_any_more(void **state)
{
    struct node_path path = direct(PATHS[0]);

    (void)state;
    path_is(other, &path);
    path_is(one, &path);
    shake_hands(one, other);
    now += SEC(100);
    p2p_peer_want(&one->p2p, &one->wg, now, fresh_of(one));
    assert_leaves(one, WG_KIND_INITIATION, PATHS[0]);
    nobody_answers(one, SEC(20) - 1);
    assert_int_equal(one->failures, 0);
    nobody_answers(one, 1);
    assert_int_equal(one->failures, 1);
}

static void test_fails_without_any_session(void **state)
{
    struct node_path path = direct(PATHS[0]);

    (void)state;
    path_is(other, &path);
    for (unsigned i = 0; i < 2; i++) { /* with a path, and without */
        struct side *s = i == 0 ? other : one;
        now = SEC(1000);
        assert_int_equal(nobody_answers(s, SEC(540) - 1), 0);
        assert_int_equal(s->failures, 0);
        nobody_answers(s, 1);
        assert_int_equal(s->failures, 1);
    }
}

/* The responder of a session does not renew it; without another one it is of no use in the end. */
static void test_fails_long_after_the_last_session(void **state)
{
    struct node_path path = direct(PATHS[0]);

    (void)state;
    path_is(other, &path);
    path_is(one, &path);
    now += SEC(3);
    shake_hands(one, other);
    assert_int_equal(nobody_answers(other, SEC(540) - 1), 0);
    assert_int_equal(other->failures, 0);
    nobody_answers(other, 1);
    assert_int_equal(other->failures, 1);
}

/* The initiator renews it though nobody sends, and that fails first. */
static void test_idle_session_is_renewed(void **state)
{
    struct node_path path = direct(PATHS[0]);

    (void)state;
    path_is(other, &path);
    path_is(one, &path);
    shake_hands(one, other);
    assert_int_equal(nobody_answers(one, SEC(180) - 1), 0);
    assert_int_equal(nobody_answers(one, SEC(1)), 1);
    nobody_answers(one, SEC(19) - 1);
    assert_int_equal(one->failures, 0);
    nobody_answers(one, SEC(1));
    assert_int_equal(one->failures, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_path_starts_a_handshake_of_the_controlling_side, set_up),
        cmocka_unit_test_setup(test_new_path_starts_another_one_not_too_soon, set_up),
        cmocka_unit_test_setup(test_attempt_follows_the_path, set_up),
        cmocka_unit_test_setup(test_authorised_again, set_up),
        cmocka_unit_test_setup(test_want_needs_a_path, set_up),
        cmocka_unit_test_setup(test_messages_wait_for_the_path, set_up),
        cmocka_unit_test_setup(test_channel_is_written_before_a_message, set_up),
        cmocka_unit_test_setup(test_answers_go_to_the_path, set_up),
        cmocka_unit_test_setup(test_up_once_when_the_session_comes_last, set_up),
        cmocka_unit_test_setup(test_up_once_when_the_path_comes_last, set_up),
        cmocka_unit_test_setup(test_fails_when_nobody_answers, set_up),
        cmocka_unit_test_setup(test_fails_when_nobody_answers_any_more, set_up),
        cmocka_unit_test_setup(test_fails_without_any_session, set_up),
        cmocka_unit_test_setup(test_fails_long_after_the_last_session, set_up),
        cmocka_unit_test_setup(test_idle_session_is_renewed, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
