/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests of the TURN client: one client in virtual time, and a relay that answers its last request as the test says.
 */
#ifndef FZ_TESTS_TURN_RIG_H
#define FZ_TESTS_TURN_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "control/p2p/turn.h"
#include "platform/base/bytes.h"

#define MS(n)  ((time_ns)(n)*NS_PER_MS)
#define SEC(n) ((time_ns)(n)*NS_PER_SEC)
#define BEGIN  SEC(1000)

static const char RELAY4[] = "203.0.113.5:3478", RELAY6[] = "[2001:db8::5]:3478";
static const char LOCAL4[] = "192.0.2.10:52625", LOCAL6[] = "[2001:db8::a]:52625";
static const char PUBLIC4[] = "198.51.100.9:40000";
static const char RELAYED4[] = "203.0.113.5:49200", RELAYED6[] = "[2001:db8::5]:49201";
static const char PEER[] = "198.51.100.77:52625", PEER2[] = "198.51.100.78:52625";
static const char USER[] = "1900000000:c2FsdA", PASSWORD[] = "secret";
static const char NONCE1[] = "11111111-2222-4333-8444-555555555555", NONCE2[] = "another";

/* How an answer is authenticated. */
enum seal {
    SEALED,
    UNSEALED,
    WRONGLY_SEALED
};

static struct rig {
    struct turn t;
    time_ns now;
    struct turn_datagram sent; /* the last request, */
    struct stun_message m;     /* which this is */
    struct turn_event event;   /* the last one */
    struct stun_writer w;      /* the answer that is being made */
    uint8_t answer[512];
    bool taken;
} rig;

static inline struct sock_addr addr(const char *text)
{
    struct sock_addr a;
    assert_int_equal(sock_addr_parse(&a, text), ERR_OK);
    return a;
}

static inline void assert_addr(const struct sock_addr *a, const char *text)
{
    char buf[SOCK_ADDR_TEXT_MAX];
    assert_string_equal(sock_addr_format(a, buf, sizeof buf), text);
}

static inline void start(const char *v4, const char *v6)
{
    static const uint8_t seed[TURN_SEED_LEN] = {7};
    struct turn_config config = {.username = USER, .password = PASSWORD};

    if (v4)
        config.v4 = addr(v4);
    if (v6)
        config.v6 = addr(v6);
    rig = (struct rig){.now = BEGIN};
    assert_int_equal(turn_init(&rig.t, &config, seed, rig.now), ERR_OK);
}

static inline void key_of(uint8_t key[STUN_KEY_LEN])
{
    stun_turn_key(key, USER, "firezone", PASSWORD);
}

/* The next datagram is this request; what is the same in all of them is checked. */
static inline void sends_to(unsigned method, const char *server)
{
    uint8_t key[STUN_KEY_LEN];

    assert_true(turn_poll_transmit(&rig.t, &rig.sent));
    assert_addr(&rig.sent.to, server);
    assert_int_equal(stun_parse(&rig.m, rig.sent.bytes, rig.sent.len), ERR_OK);
    assert_int_equal(rig.m.class, STUN_REQUEST);
    assert_int_equal(rig.m.method, method);
    assert_true(stun_text_is(rig.m.software, "snownet"));
    assert_false(rig.m.has & STUN_HAS_FINGERPRINT);
    if (rig.m.has & STUN_HAS_INTEGRITY) {
        key_of(key);
        assert_true(stun_integrity_ok(&rig.m, key, sizeof key));
        assert_true(stun_text_is(rig.m.username, USER));
        assert_true(stun_text_is(rig.m.realm, "firezone"));
    } else {
        assert_null(rig.m.username.bytes);
        assert_null(rig.m.realm.bytes);
        assert_null(rig.m.nonce.bytes);
    }
    assert_int_equal(!!(rig.m.has & STUN_HAS_TRANSPORT), method == STUN_ALLOCATE);
    assert_int_equal(rig.m.additional_family, method == STUN_ALLOCATE ? ADDR_V6 : ADDR_NONE);
}

static inline void sends(unsigned method)
{
    sends_to(method, RELAY4);
}

static inline void sends_nothing(void)
{
    struct turn_datagram d;
    assert_false(turn_poll_transmit(&rig.t, &d));
}

static inline void tells(enum turn_event_kind kind)
{
    assert_true(turn_poll_event(&rig.t, &rig.event));
    assert_int_equal(rig.event.kind, kind);
}

static inline void tells_nothing(void)
{
    struct turn_event e;
    assert_false(turn_poll_event(&rig.t, &e));
}

static inline void forget_events(void)
{
    while (turn_poll_event(&rig.t, &rig.event))
        continue;
}

static inline void tells_candidate(enum turn_event_kind kind, enum candidate_kind what,
                                   const char *at)
{
    tells(kind);
    assert_int_equal(rig.event.candidate.kind, what);
    assert_addr(&rig.event.candidate.addr, at);
}

/* ---- answers to the last request that was sent ---- */

static inline void answer(enum stun_class class)
{
    stun_begin(&rig.w, rig.answer, sizeof rig.answer, (enum stun_method)rig.m.method, class,
               &rig.m.id);
    stun_add_text(&rig.w, STUN_SOFTWARE, "firezone-relay; rev=xxxx");
}

static inline bool arrives_at(enum seal seal, const char *from, const char *at)
{
    struct sock_addr f = addr(from), l = addr(at);
    uint8_t key[STUN_KEY_LEN];

    key_of(key);
    if (seal == WRONGLY_SEALED)
        key[0] ^= 1;
    if (seal != UNSEALED)
        stun_add_integrity(&rig.w, key, sizeof key);
    assert_true(stun_finish(&rig.w) > 0);
    return turn_handle_input(&rig.t, rig.now, &l, &f, rig.answer, stun_finish(&rig.w));
}

static inline bool arrives(enum seal seal)
{
    return arrives_at(seal, RELAY4, LOCAL4);
}

static inline void answer_address(enum stun_attr attr, const char *text)
{
    struct sock_addr a = addr(text);
    stun_add_address(&rig.w, attr, &a);
}

static inline void binding_answered(void)
{
    answer(STUN_SUCCESS);
    answer_address(STUN_XOR_MAPPED_ADDRESS, PUBLIC4);
    assert_true(arrives(UNSEALED));
}

static inline void answer_error(unsigned code, const char *nonce)
{
    answer(STUN_ERROR);
    stun_add_error(&rig.w, code, "because");
    if (nonce) {
        stun_add_text(&rig.w, STUN_REALM, "firezone");
        stun_add_text(&rig.w, STUN_NONCE, nonce);
    }
}

static inline void error_arrives(unsigned code, const char *nonce)
{
    answer_error(code, nonce);
    assert_true(arrives(SEALED));
}

static inline bool allocation_arrives(unsigned lifetime_s, enum seal seal)
{
    answer(STUN_SUCCESS);
    answer_address(STUN_XOR_RELAYED_ADDRESS, RELAYED4);
    answer_address(STUN_XOR_RELAYED_ADDRESS, RELAYED6);
    answer_address(STUN_XOR_MAPPED_ADDRESS, PUBLIC4);
    stun_add_u32(&rig.w, STUN_LIFETIME, lifetime_s);
    return arrives(seal);
}

static inline void success_arrives(void)
{
    answer(STUN_SUCCESS);
    if (rig.m.method == STUN_REFRESH)
        stun_add_u32(&rig.w, STUN_LIFETIME, rig.m.has & STUN_HAS_LIFETIME ? rig.m.lifetime_s : 600);
    assert_true(arrives(SEALED));
}

/* ---- time ---- */

/* The next thing is due at BEGIN + `at`, and is done. */
static inline void due_at(time_ns at)
{
    assert_int_equal(turn_poll_timeout(&rig.t) - BEGIN, at);
    rig.now = BEGIN + at;
    turn_handle_timeout(&rig.t, rig.now);
    assert_true(turn_poll_timeout(&rig.t) > rig.now);
}

/* Goes to BEGIN + `at`, doing and answering what comes up on the way: BINDING, REFRESH. */
static inline void live_until(time_ns at)
{
    while (turn_poll_timeout(&rig.t) <= BEGIN + at) {
        rig.now = time_max(rig.now, turn_poll_timeout(&rig.t));
        turn_handle_timeout(&rig.t, rig.now);
        while (turn_poll_transmit(&rig.t, &rig.sent)) {
            assert_int_equal(stun_parse(&rig.m, rig.sent.bytes, rig.sent.len), ERR_OK);
            if (rig.m.method == STUN_BINDING)
                binding_answered();
            else
                success_arrives();
        }
    }
    rig.now = BEGIN + at;
}

/* ---- the usual beginnings ---- */

static inline void until_allocate(void)
{
    start(RELAY4, NULL);
    sends(STUN_BINDING);
    binding_answered();
    sends(STUN_ALLOCATE);
    forget_events();
}

static inline void until_nonce(void)
{
    until_allocate();
    error_arrives(401, NONCE1);
    sends(STUN_ALLOCATE);
}

static inline void until_allocated(void)
{
    until_nonce();
    assert_true(allocation_arrives(600, SEALED));
    assert_int_equal(rig.t.state, TURN_ALLOCATED);
    sends_nothing();
    forget_events();
}

static inline bool bind_peer(const char *peer)
{
    struct sock_addr p = addr(peer);
    return turn_bind(&rig.t, rig.now, &p);
}

static inline unsigned channel_for(const char *peer)
{
    struct sock_addr p = addr(peer);
    return turn_channel_for(&rig.t, rig.now, &p);
}

static inline bool open_channel(uint16_t channel)
{
    struct sock_addr peer;
    return turn_peer_of(&rig.t, rig.now, channel, &peer);
}

static inline void until_bound(void)
{
    until_allocated();
    assert_true(bind_peer(PEER));
    sends(STUN_CHANNEL_BIND);
    success_arrives();
    tells(TURN_EVENT_CHANNEL_BOUND);
}

static inline void assert_failed_for(enum turn_failure failure)
{
    tells(TURN_EVENT_FAILED);
    assert_int_equal(rig.event.failure, failure);
    tells_nothing();
    sends_nothing();
    assert_int_equal(rig.t.state, TURN_FAILED);
    assert_true(turn_poll_timeout(&rig.t) == TIME_NEVER);
    assert_false(bind_peer(PEER));
}

#endif
