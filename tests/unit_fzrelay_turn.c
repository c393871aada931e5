/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own TURN client (control/p2p/turn.h) and the development relay, one against the other in virtual time: a network that
 * delays, and loses what a test says.
 */
#include "control/p2p/turn.h"
#include "platform/base/mem.h"
#include "tests/relay_rig.h"

#define RELAY4   "203.0.113.7:3478"
#define CLIENT   "192.0.2.10:52625"
#define PEER4    "198.51.100.1:1000"
#define PEER6    "[2001:db8::99]:1000"
#define DELAY_NS (20 * NS_PER_MS)

enum {
    FLIGHT_MAX = 64
};

struct flight {
    time_ns at;
    bool to_relay;
    size_t len;
    uint8_t bytes[TURN_DATAGRAM_MAX];
};

struct world {
    struct rig g;
    struct turn *t;
    struct sock_addr client, relay;
    struct flight flights[FLIGHT_MAX]; /* in order */
    unsigned flights_n;
    unsigned sent, lose_every; /* 0: nothing is lost */
    unsigned allocated, deallocated, bound, lost, failed, closed;
};

static void launch(struct world *w, bool to_relay, const uint8_t *bytes, size_t len)
{
    struct flight *f = &w->flights[w->flights_n];

    w->sent++;
    if (w->lose_every && w->sent % w->lose_every == 0)
        return;
    assert_true(w->flights_n < FLIGHT_MAX && len <= sizeof f->bytes);
    w->flights_n++;
    f->at = w->g.now + DELAY_NS;
    f->to_relay = to_relay;
    f->len = len;
    memcpy(f->bytes, bytes, len);
}

static void drain(struct world *w)
{
    struct turn_datagram d;
    struct turn_event e;

    while (turn_poll_transmit(w->t, &d)) {
        if (sock_addr_equal(&d.to, &w->relay)) /* the other address of the relay is not reachable */
            launch(w, true, d.bytes, d.len);
    }
    while (turn_poll_event(w->t, &e)) {
        w->allocated += e.kind == TURN_EVENT_ALLOCATED;
        w->deallocated += e.kind == TURN_EVENT_DEALLOCATED;
        w->bound += e.kind == TURN_EVENT_CHANNEL_BOUND;
        w->lost += e.kind == TURN_EVENT_CHANNEL_LOST;
        w->failed += e.kind == TURN_EVENT_FAILED;
        w->closed += e.kind == TURN_EVENT_CLOSED;
    }
}

static void land(struct world *w)
{
    struct flight f = w->flights[0];

    w->flights_n--;
    memmove(w->flights, w->flights + 1, w->flights_n * sizeof f);
    if (!f.to_relay) {
        turn_handle_input(w->t, w->g.now, &w->client, &w->relay, f.bytes, f.len);
        return;
    }
    rig_input(&w->g, &w->client, f.bytes, f.len);
    if (w->g.verdict == RELAY_REPLY)
        launch(w, false, w->g.bytes, w->g.out.len);
}

static void pass(struct world *w, uint64_t seconds)
{
    time_ns end = w->g.now + seconds * NS_PER_SEC;

    drain(w);
    for (;;) {
        time_ns flight = w->flights_n ? w->flights[0].at : TIME_NEVER;
        time_ns at =
            time_min(time_min(turn_poll_timeout(w->t), relay_poll_timeout(w->g.r)), flight);
        w->g.now = time_max(w->g.now, time_min(at, end));
        w->g.unix_s = RIG_UNIX + (int64_t)((w->g.now - RIG_START) / NS_PER_SEC);
        if (at > end)
            return;
        relay_handle_timeout(w->g.r, w->g.now);
        rig_ports(&w->g);
        if (flight <= w->g.now)
            land(w);
        turn_handle_timeout(w->t, w->g.now);
        drain(w);
    }
}

static void start(struct world *w)
{
    static const uint8_t seed[TURN_SEED_LEN] = {3};
    char username[32], password[DERIVE_RELAY_PASSWORD_LEN + 1];

    memset(w, 0, sizeof *w);
    rig_start(&w->g);
    w->client = rig_addr(CLIENT);
    w->relay = rig_addr(RELAY4);
    snprintf(username, sizeof username, "%lld:c2FsdA", (long long)RIG_EXPIRY);
    derive_relay_password(password, RIG_EXPIRY, RIG_SECRET, "c2FsdA");
    w->t = mem_zalloc(1, sizeof *w->t);
    const struct turn_config config = {.v4 = w->relay,
                                       .v6 = rig_addr("[2001:db8::7]:3478"),
                                       .username = username,
                                       .password = password};
    assert_int_equal(turn_init(w->t, &config, seed, w->g.now), ERR_OK);
}

static void stop(struct world *w)
{
    turn_wipe(w->t);
    free(w->t);
    rig_stop(&w->g);
}

static uint16_t bound_channel(struct world *w, const char *peer)
{
    struct sock_addr a = rig_addr(peer);

    assert_true(turn_bind(w->t, w->g.now, &a));
    pass(w, 1);
    return turn_channel_for(w->t, w->g.now, &a);
}

/* Data both ways on a channel that the client believes to be bound. */
static void expect_data(struct world *w, uint16_t channel, const char *peer)
{
    struct rig_client c = {.addr = w->client};
    struct sock_addr relayed, a = rig_addr(peer), got;

    turn_note_data_sent(w->t, w->g.now);
    rig_send(&w->g, &c, channel, "x");
    assert_int_equal(w->g.verdict, RELAY_TO_PEER);
    assert_true(sock_addr_equal(&w->g.out.to, &a));
    assert_true(turn_relayed(w->t, (enum addr_family)a.ip.family, &relayed));
    rig_peer(&w->g, relayed.port, peer, "x");
    assert_int_equal(w->g.verdict, RELAY_TO_CLIENT);
    assert_int_equal(load_be16(w->g.out.header), channel);
    assert_true(turn_peer_of(w->t, w->g.now, channel, &got));
    assert_true(sock_addr_equal(&got, &a));
    turn_note_data_received(w->t, w->g.now, channel);
}

static void test_life(void **state)
{
    struct world w;
    (void)state;

    start(&w);
    pass(&w, 2);
    assert_int_equal(w.t->state, TURN_ALLOCATED);
    assert_int_equal(w.allocated, 1);
    uint16_t four = bound_channel(&w, PEER4), six = bound_channel(&w, PEER6);
    assert_int_equal(w.bound, 2);
    /* Two hours with data every 20 s: nothing is refreshed too late. */
    for (unsigned i = 0; i < 360; i++) {
        expect_data(&w, four, PEER4);
        expect_data(&w, six, PEER6);
        pass(&w, 20);
        assert_int_equal(rig_stats(&w.g).allocations, 1);
    }
    assert_true(w.allocated == 1 && w.deallocated == 0 && w.lost == 0);
    turn_close(w.t, w.g.now);
    pass(&w, 2);
    assert_int_equal(w.closed, 1);
    assert_int_equal(rig_stats(&w.g).allocations, 0);
    assert_true(w.g.opened == 1 && w.g.closed == 1);
    stop(&w);
}

/* Every fifth datagram is lost. */
static void test_losses(void **state)
{
    struct world w;
    (void)state;

    start(&w);
    w.lose_every = 5;
    pass(&w, 60);
    assert_int_equal(w.t->state, TURN_ALLOCATED);
    struct sock_addr peer = rig_addr(PEER4);
    assert_true(turn_bind(w.t, w.g.now, &peer));
    pass(&w, 60);
    expect_data(&w, turn_channel_for(w.t, w.g.now, &peer), PEER4);
    for (unsigned i = 0; i < 60; i++) {
        pass(&w, 60);
        assert_int_equal(w.t->state, TURN_ALLOCATED);
    }
    assert_int_equal(w.failed, 0);
    stop(&w);
}

static void test_nonces_expire(void **state)
{
    struct world w;
    (void)state;

    start(&w);
    pass(&w, 2);
    uint16_t channel = bound_channel(&w, PEER4);
    for (unsigned i = 0; i < 5; i++) {
        relay_forget_nonces(w.g.r);
        pass(&w, 290);
        expect_data(&w, channel, PEER4);
    }
    assert_true(w.allocated == 1 && w.deallocated == 0 && w.failed == 0);
    assert_true(rig_stats(&w.g).errors[RELAY_ERROR_438] >= 4);
    stop(&w);
}

/* The relay has forgotten the allocation: it is made anew with the next refresh. */
static void test_dropped(void **state)
{
    struct world w;
    (void)state;

    start(&w);
    pass(&w, 2);
    bound_channel(&w, PEER4);
    relay_drop(w.g.r, 0);
    rig_ports(&w.g);
    pass(&w, 620);
    assert_true(w.deallocated == 1 && w.allocated == 2);
    assert_int_equal(rig_stats(&w.g).allocations, 1);
    expect_data(&w, bound_channel(&w, PEER4), PEER4);
    stop(&w);
}

/* It starts over from the same address while the relay still has the allocation of before. */
static void test_restart(void **state)
{
    struct world w;
    (void)state;

    start(&w);
    pass(&w, 2);
    turn_restart(w.t, w.g.now);
    pass(&w, 5);
    assert_int_equal(w.t->state, TURN_ALLOCATED);
    assert_int_equal(w.allocated, 2);
    assert_int_equal(rig_stats(&w.g).allocations, 1);
    assert_int_equal(rig_stats(&w.g).errors[RELAY_ERROR_437], 1);
    /* From another address: the relay deletes the one of before. */
    w.client.port++;
    turn_restart(w.t, w.g.now);
    pass(&w, 5);
    assert_int_equal(w.t->state, TURN_ALLOCATED);
    assert_int_equal(rig_stats(&w.g).allocations, 1);
    expect_data(&w, bound_channel(&w, PEER4), PEER4);
    stop(&w);
}

static void test_refused(void **state)
{
    struct world w;
    (void)state;

    start(&w);
    assert_true(relay_plan_error(w.g.r, STUN_ALLOCATE, 486, 1));
    pass(&w, 5);
    assert_int_equal(w.t->state, TURN_SUSPENDED);
    turn_refresh(w.t, w.g.now);
    pass(&w, 5);
    assert_int_equal(w.t->state, TURN_ALLOCATED);
    /* The secret has changed: the answers cannot be authenticated any more. */
    assert_int_equal(relay_set_secret(w.g.r, "another"), ERR_OK);
    turn_refresh(w.t, w.g.now);
    pass(&w, 60);
    assert_int_equal(w.t->state, TURN_FAILED);
    stop(&w);
}

static void test_frozen(void **state)
{
    struct world w;
    (void)state;

    start(&w);
    pass(&w, 2);
    relay_freeze(w.g.r, RELAY_FREEZE_REQUESTS | RELAY_FREEZE_DATA);
    turn_refresh(w.t, w.g.now);
    pass(&w, 60);
    assert_int_equal(w.t->state, TURN_FAILED);
    assert_true(w.failed == 1 && w.deallocated == 1);
    relay_freeze(w.g.r, RELAY_FREEZE_NOTHING);
    turn_restart(w.t, w.g.now);
    pass(&w, 5);
    assert_int_equal(w.t->state, TURN_ALLOCATED);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),          cmocka_unit_test(test_losses),
        cmocka_unit_test(test_nonces_expire), cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_restart),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_frozen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
