/* SPDX-License-Identifier: Apache-2.0 */
/* Packets that wait for a path; routes that change while they do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/worker_rig.c"

static const struct engine_config one_worker = {
    .workers = 1, .crypto = CRYPT_AUTO, .fixed_paths = true};

#define PATH "192.0.2.1:51820"

/* Peers without paths, which wait for one. */
static void start(unsigned peers) REQUIRES_ROLE(role_worker)
{
    rig_start(&one_worker, peers);
    for (unsigned i = 0; i < peers; i++) {
        engine_peer_wait_for_path(rig.peers[i]);
        rig_path(i, NULL, NULL, 0);
        (void)engine_peer_take_edges(rig.peers[i]);
    }
}

/* `n` packets to the peer's network, of `first`, `first` + 1, ... bytes. */
static void feed(unsigned peer, unsigned n, unsigned first) REQUIRES_ROLE(role_worker)
{
    for (unsigned i = 0; i < n; i++) {
        assert_true(rig_feed(0, peer, first + i, 0));
        rig_loop(0);
    }
}

/* All inner packets that were sent so far, in order: their lengths. */
static unsigned sent(uint16_t lens[2 * PEER_STAGED_MAX])
{
    unsigned n = 0;

    for (unsigned i = 0; i < rig.io[0].sends_n; i++) {
        const struct io_send *s = &rig.io[0].sends[i];
        for (uint32_t at = 0; at < s->len; at += s->segment_size) {
            size_t len = size_min(s->segment_size, s->len - at);
            assert_true(n < 2 * PEER_STAGED_MAX);
            lens[n++] = (uint16_t)(len - WG_DATA_OVERHEAD);
        }
    }
    return n;
}

/* What was sent begins at `at` with `n` packets of `first`, `first` + 1, ... bytes. Returns where they end. */
static unsigned assert_sent(unsigned at, unsigned n, unsigned first)
{
    uint16_t lens[2 * PEER_STAGED_MAX];

    assert_true(sent(lens) >= at + n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(lens[at + i], first + i);
    return at + n;
}

static void assert_nothing_sent(void)
{
    assert_int_equal(rig.io[0].sends_n, 0);
}

static unsigned handshakes_wanted(unsigned peer)
{
    return (engine_peer_take_edges(rig.peers[peer]) & EDGE_WANT_HANDSHAKE) != 0;
}

/* ---- waiting for a path ---- */

/* They leave when there are a session and a path, whichever comes last, in order. */
static void test_leave_in_order(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    for (unsigned path_last = 0; path_last < 2; path_last++) {
        start(1);
        feed(0, 5, 100);
        if (path_last)
            rig_session(0);
        else
            rig_path(0, PATH, NULL, 0);
        feed(0, 5, 105);
        assert_nothing_sent();
        assert_int_equal(rig_out(), 0);
        if (path_last)
            rig_path(0, PATH, NULL, 0);
        else
            rig_session(0);
        assert_int_equal(assert_sent(0, 10, 100), 10);
        feed(0, 1, 110);
        (void)assert_sent(0, 11, 100);
        assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), 11);
        assert_int_equal(rig_out(), 11);
        assert_int_equal(rig_tally(TALLY_OUT_STAGED), 10);
        rig_stop();
    }
}

/* A path that is lost again is waited for again. */
static void test_path_goes_and_comes(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    start(1);
    rig_path(0, PATH, NULL, 0);
    rig_session(0);
    feed(0, 1, 100);
    rig_path(0, NULL, NULL, 0);
    feed(0, 3, 101);
    rig_command(0, &(struct command){.kind = COMMAND_KEEPALIVE});
    assert_int_equal(assert_sent(0, 1, 100), 1);
    assert_int_equal(rig.io[0].sends_n, 1);
    rig_path(0, "192.0.2.9:3478", NULL, 0);
    (void)assert_sent(0, 4, 100);
    assert_int_equal(rig.io[0].sends[1].to.port, 3478);
    assert_int_equal(rig_out(), 4);
    rig_stop();
}

static void test_newest_are_kept(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    start(1);
    feed(0, PEER_STAGED_MAX + 7, 100);
    assert_int_equal(rig_count(VERDICT_OUT_STAGE_FULL), 7);
    rig_session(0);
    rig_path(0, PATH, NULL, 0);
    (void)assert_sent(0, PEER_STAGED_MAX, 107);
    assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), PEER_STAGED_MAX);
    assert_int_equal(rig_out(), PEER_STAGED_MAX + 7);
    rig_stop();
}

/* Control is asked once a second while packets come, and not at all once there is a session. */
static void test_handshake_wanted(void **state) REQUIRES_ROLE(role_worker)
{
    unsigned wanted = 0;
    (void)state;
    start(1);
    for (unsigned ms = 0; ms < 2500; ms += 50, rig.now += 50 * NS_PER_MS) {
        feed(0, 1, 100);
        wanted += handshakes_wanted(0);
    }
    assert_int_equal(wanted, 3);
    rig_session(0);
    rig.now += 2 * NS_PER_SEC;
    feed(0, 1, 100);
    assert_int_equal(handshakes_wanted(0), 0);
    rig_stop();
}

/* Peers whose packets do not wait: dropped, and nobody is asked. */
static void test_not_waiting(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    rig_start(&one_worker, 1);
    rig_path(0, NULL, NULL, 0);
    (void)engine_peer_take_edges(rig.peers[0]);
    feed(0, 3, 100);
    assert_true(rig_feed_segments(0, 0, 4));
    rig_loop(0);
    assert_int_equal(rig_count(VERDICT_OUT_NO_ENDPOINT), 7);
    assert_int_equal(rig_out(), 7);
    assert_int_equal(handshakes_wanted(0), 0);
    assert_int_equal(rig.peers[0]->staged_n, 0);
    rig_stop();
}

/* ---- routes ---- */

/* Control: the network is another peer's, then the peer goes. */
static void replace_route(void)
{
    static const uint8_t net[4] = {10, 1, 0, 0};
    const struct engine_route route = {{ip_addr_v4(net), 24}, engine_peer_value(rig.peers[1])};

    assert_int_equal(engine_set_routes(rig.engine, &route, 1), ERR_OK);
    engine_command(rig.engine, 0, &(struct command){.kind = COMMAND_PEER_REMOVE, .slot = 0});
}

/* No packet follows a route that is older than a command of the same loop. */
static void test_routes_of_commands(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    start(2);
    rig_session(1);
    rig_path(1, PATH, NULL, 0);
    feed(0, 2, 100);
    assert_true(rig_feed(0, 0, 102, 0));
    assert_true(rig_feed(0, 0, 103, 0));
    rig.io[0].meanwhile = replace_route;
    rig_loop(0);
    assert_null(rig.engine->workers[0]->peers[0]);
    (void)assert_sent(0, 2, 102);
    assert_int_equal(rig_count(VERDICT_OUT_NO_PEER), 0);
    assert_int_equal(rig_count(VERDICT_OUT_STAGE_PURGED), 2);
    assert_int_equal(rig_out(), 4);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leave_in_order),  cmocka_unit_test(test_path_goes_and_comes),
        cmocka_unit_test(test_newest_are_kept), cmocka_unit_test(test_handshake_wanted),
        cmocka_unit_test(test_not_waiting),     cmocka_unit_test(test_routes_of_commands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
