/* SPDX-License-Identifier: Apache-2.0 */
/* The node: connections, their paths and their end. */
#include "tests/node_rig.h"

/* ---- creating ---- */

static void test_no_connection_without_relay(void **state)
{
    (void)state;
    start();
    assert_false(node_has_relay(&rig.n));
    assert_int_equal(connect_to(1), NODE_NO_RELAYS);
    rig.relays[0].silent = true;
    add_relays(1);
    assert_int_equal(connect_to(1), NODE_NO_RELAYS);
    assert_null(node_find(&rig.n, &rig.c.id));
    assert_int_equal(rig.n.connections, 0);

    rig.relays[0].silent = false;
    run_for(SEC(2));
    assert_true(node_has_relay(&rig.n));
    assert_int_equal(connect_to(1), NODE_CREATED);
    assert_ptr_equal(node_find(&rig.n, &rig.c.id), &rig.c);
}

static void test_credentials_are_looked_at(void **state)
{
    struct node_peer p = peer_config(1);
    char text[ICE_PASSWORD_MAX + 2];
    (void)state;

    start();
    add_relays(1);
    memset(text, 'a', sizeof text);
    text[ICE_PASSWORD_MAX + 1] = '\0';
    p.ufrag = "";
    assert_int_equal(node_connect(&rig.n, rig.now, &p, &rig.c), NODE_INVALID);
    p = peer_config(1), p.ufrag = "a-b"; /* no line can carry it */
    assert_int_equal(node_connect(&rig.n, rig.now, &p, &rig.c), NODE_INVALID);
    p = peer_config(1), p.remote_ufrag = "a:b";
    assert_int_equal(node_connect(&rig.n, rig.now, &p, &rig.c), NODE_INVALID);
    p = peer_config(1), p.remote_password = text;
    assert_int_equal(node_connect(&rig.n, rig.now, &p, &rig.c), NODE_INVALID);
    p = peer_config(1), p.remote_ufrag = text + ICE_PASSWORD_MAX - ICE_UFRAG_MAX;
    assert_int_equal(node_connect(&rig.n, rig.now, &p, &rig.c), NODE_INVALID);
    assert_int_equal(rig.n.connections, 0);
    text[ICE_PASSWORD_MAX] = '\0';
    p = peer_config(1), p.remote_password = text;
    assert_int_equal(node_connect(&rig.n, rig.now, &p, &rig.c), NODE_CREATED);
}

static void test_candidates_are_signalled_best_first(void **state)
{
    uint32_t before = UINT32_MAX;
    (void)state;

    start();
    add_relays(2);
    forget_events();
    assert_int_equal(connect_to(1), NODE_CREATED);
    pump();
    assert_int_equal(rig.event_count, 3); /* two relays see the same addresses */
    for (unsigned i = 0; i < rig.event_count; i++) {
        const struct node_event *e = &rig.events[i];
        struct candidate_line line;
        assert_int_equal(e->kind, NODE_EVENT_CANDIDATE_ADDED);
        assert_ptr_equal(e->connection, &rig.c);
        assert_int_equal(candidate_parse(&line, e->line, strlen(e->line)), ERR_OK);
        assert_int_equal(line.ufrag_len, 4);
        assert_memory_equal(line.ufrag, "abcd", 4);
        assert_true(line.candidate.priority < before);
        before = line.candidate.priority;
    }
    assert_true(told_line(NODE_EVENT_CANDIDATE_ADDED, "host", LOCAL));
    assert_true(told_line(NODE_EVENT_CANDIDATE_ADDED, "srflx", PUBLIC));
}

static void test_only_the_relay_in_use_is_a_candidate(void **state)
{
    char text[SOCK_ADDR_TEXT_MAX];
    (void)state;

    start();
    add_relays(2);
    assert_int_equal(connect_to(1), NODE_CREATED);
    pump();
    sock_addr_format(&used_relay()->relayed, text, sizeof text);
    assert_true(told_line(NODE_EVENT_CANDIDATE_ADDED, "relay", text));
    sock_addr_format(&rig.relays[!used_number()].relayed, text, sizeof text);
    assert_false(told_line(NODE_EVENT_CANDIDATE_ADDED, "relay", text));
}

/* ---- paths ---- */

static void test_a_direct_path(void **state)
{
    const struct node_event *e;
    (void)state;

    start_connected(1, true, false);
    e = told(NODE_EVENT_PATH);
    assert_non_null(e);
    assert_int_equal(e->path.kind, NODE_PEER_TO_PEER);
    assert_addr(&e->path.to, PEER);
    assert_addr(&e->path.from, LOCAL);
    assert_int_equal(e->path.channel, 0);
    assert_int_equal(told_count(NODE_EVENT_UP), 1);
    run_for(SEC(60));
    assert_int_equal(told_count(NODE_EVENT_UP), 1);
    assert_null(told(NODE_EVENT_PATH_LOST));
    assert_null(told(NODE_EVENT_FAILED));
}

/* A host candidate is not bound before something is to be sent to it. */
static void test_a_path_through_our_relay(void **state)
{
    const struct node_event *e;
    (void)state;

    start_connected(1, false, false);
    e = told(NODE_EVENT_PATH);
    assert_non_null(e);
    assert_int_equal(e->path.kind, NODE_RELAY_TO_PEER);
    assert_true(sock_addr_equal(&e->path.to, &rig.relays[0].server));
    assert_int_equal(e->path.from.ip.family, ADDR_NONE);
    assert_int_equal(e->path.channel, CHANNEL_FIRST);
    assert_addr(&e->path.peer, PEER);
    assert_int_equal(rig.relays[0].binds, 1);
    assert_int_equal(channel_parse(rig.last.bytes, rig.last.len), CHANNEL_FIRST);
}

static void test_paths_to_the_relay_of_the_peer(void **state)
{
    (void)state;
    start_connected(1, false, true);
    assert_int_equal(rig.c.path.kind, NODE_PEER_TO_RELAY);
    assert_addr(&rig.c.path.to, PEER_RELAYED);
    assert_addr(&rig.c.path.from, LOCAL);
    assert_int_equal(rig.relays[0].binds, 2); /* of the relayed one at once */
}

static void test_a_better_path_replaces_another(void **state)
{
    (void)state;
    start_connected(1, false, false);
    assert_int_equal(rig.c.path.kind, NODE_RELAY_TO_PEER);
    forget_events();
    rig.direct = true;
    run_for(SEC(3));
    assert_int_equal(told(NODE_EVENT_PATH)->path.kind, NODE_PEER_TO_PEER);
    assert_int_equal(told_count(NODE_EVENT_UP), 0);
}

static void test_channels_for_what_the_peer_signals(void **state)
{
    (void)state;
    start();
    add_relays(1);
    assert_int_equal(connect_to(1), NODE_CREATED);
    pump();
    assert_true(node_add_candidate(&rig.n, rig.now, &rig.c,
                                   "candidate:1 1 udp 1686109951 198.51.100.77 4000 typ srflx "
                                   "raddr 0.0.0.0 rport 0 ufrag efgh"));
    pump();
    assert_int_equal(rig.relays[0].binds, 1);
    assert_addr(&rig.relays[0].channels[0], "198.51.100.77:4000");
    assert_false(node_add_candidate(&rig.n, rig.now, &rig.c,
                                    "candidate:1 1 udp 1 198.51.100.78 4000 typ srflx "
                                    "raddr 0.0.0.0 rport 0 ufrag other"));
    assert_false(node_add_candidate(&rig.n, rig.now, &rig.c, "nonsense"));
    pump();
    assert_int_equal(rig.relays[0].binds, 1);
}

/* ---- reuse ---- */

static void test_the_same_again_is_reused(void **state)
{
    (void)state;
    start_connected(1, true, false);
    forget_events();
    assert_int_equal(connect_to(1), NODE_REUSED);
    pump();
    assert_int_equal(told_count(NODE_EVENT_CANDIDATE_ADDED), 3);
    assert_null(told(NODE_EVENT_PATH));
    assert_int_equal(rig.c.path.kind, NODE_PEER_TO_PEER);
    assert_int_equal(rig.n.connections, 1);
}

static void test_another_one_replaces(void **state)
{
    (void)state;
    for (unsigned what = 0; what < 6; what++) {
        struct node_peer p = peer_config(1);
        start_connected(1, true, false);
        forget_events();
        p.public_key[31] = what == 0;
        p.preshared_key[31] = what == 1;
        if (what == 2)
            p.role = ICE_CONTROLLED;
        if (what == 3)
            p.password = "another";
        if (what == 4)
            p.remote_ufrag = "another";
        if (what == 5)
            p.kind = ICE_CLIENT_TO_CLIENT;
        assert_int_equal(node_connect(&rig.n, rig.now, &p, &rig.c), NODE_REPLACED);
        assert_int_equal(rig.c.path.kind, NODE_PATH_NONE);
        rig.has_peer = false;
        pump();
        assert_int_equal(told_count(NODE_EVENT_CANDIDATE_ADDED), 3);
        assert_int_equal(rig.event_count, 3); /* of the old one nothing is told */
        assert_int_equal(rig.n.connections, 1);
        assert_ptr_equal(node_find(&rig.n, &p.id), &rig.c);
    }
}

static void test_without_relay_the_old_one_stays(void **state)
{
    struct node_peer p = peer_config(1);
    (void)state;

    start_connected(1, true, false);
    remove_relay(0);
    pump();
    p.public_key[0] ^= 1;
    assert_int_equal(node_connect(&rig.n, rig.now, &p, &rig.c), NODE_NO_RELAYS);
    assert_int_equal(rig.c.path.kind, NODE_PEER_TO_PEER);
    assert_int_equal(connect_to(1), NODE_REUSED);
}

/* ---- the end ---- */

static void test_no_candidates(void **state)
{
    (void)state;
    start();
    add_relays(1);
    assert_int_equal(connect_to(1), NODE_CREATED);
    run_until(MS(9999));
    assert_null(told(NODE_EVENT_FAILED));
    run_until(SEC(10));
    assert_int_equal(told(NODE_EVENT_FAILED)->failure, ICE_FAILURE_NO_CANDIDATES);
    assert_ptr_equal(told(NODE_EVENT_FAILED)->connection, &rig.c);
    assert_null(node_find(&rig.n, &rig.c.id));
    assert_int_equal(rig.n.connections, 0);
}

static void test_a_deaf_peer(void **state)
{
    struct node_traffic packets = {.sent = true, .packets = true};
    (void)state;

    start_connected(1, true, false);
    run_for(SEC(10));
    forget_events();
    rig.peer_deaf = true;
    for (unsigned i = 0; i < 20; i++) {
        node_note_traffic(&rig.n, rig.now, &rig.c, packets);
        run_for(SEC(1));
        if (i < 14)
            assert_null(told(NODE_EVENT_FAILED));
    }
    assert_non_null(told(NODE_EVENT_FAILED));
    assert_int_equal(told(NODE_EVENT_FAILED)->failure, ICE_FAILURE_DISCONNECTED);
    assert_non_null(told(NODE_EVENT_PATH_LOST));
    assert_int_equal(rig.n.connections, 0);
}

static void test_closing(void **state)
{
    struct node_traffic packets = {.sent = true, .packets = true};
    (void)state;

    start_connected(1, true, false);
    forget_events();
    node_close(&rig.n, rig.now, &rig.c);
    node_close(&rig.n, rig.now, &rig.c);
    node_note_traffic(&rig.n, rig.now, &rig.c, packets);
    assert_false(node_add_candidate(&rig.n, rig.now, &rig.c,
                                    "candidate:1 1 udp 1 198.51.100.77 4000 typ host"));
    rig.has_peer = false;
    pump();
    assert_int_equal(rig.event_count, 1);
    assert_int_equal(rig.events[0].kind, NODE_EVENT_CLOSED);
    assert_ptr_equal(rig.events[0].connection, &rig.c);
    run_for(SEC(100));
    assert_int_equal(rig.event_count, 1);
}

/* ---- idling ---- */

static void test_idle_after_a_while_without_packets(void **state)
{
    struct node_traffic packets = {.packets = true};
    time_ns up_at;
    (void)state;

    start_connected(1, true, false);
    up_at = rig.c.active_at;
    run_until(up_at + SEC(20) - 1 - BEGIN);
    assert_false(rig.c.idle);
    run_until(up_at + SEC(20) - BEGIN);
    assert_true(rig.c.idle);
    assert_true(rig.c.ice.idle);
    run_for(SEC(100));
    assert_true(rig.c.idle);
    assert_null(told(NODE_EVENT_PATH_LOST));

    node_note_traffic(&rig.n, rig.now, &rig.c, packets);
    assert_false(rig.c.idle);
    assert_false(rig.c.ice.idle);
    for (unsigned i = 0; i < 10; i++) {
        run_for(SEC(19));
        assert_false(rig.c.idle);
        node_note_traffic(&rig.n, rig.now, &rig.c, packets);
    }
    run_for(SEC(20));
    assert_true(rig.c.idle);
    assert_int_equal(connect_to(1), NODE_REUSED);
    assert_false(rig.c.idle);
}

static void test_other_traffic_is_not_use(void **state)
{
    struct node_traffic keepalives = {.sent = true, .received = true};
    (void)state;

    start_connected(1, true, false);
    for (unsigned i = 0; i < 30; i++) {
        run_for(SEC(1));
        node_note_traffic(&rig.n, rig.now, &rig.c, keepalives);
    }
    assert_true(rig.c.idle);
}

/* ---- checks ---- */

/* A check of the peer that calls itself `remote`. */
static enum node_verdict check_from(const char *from, const char *remote, uint8_t number)
{
    struct stun_id id = {{number}};
    struct node_received out;
    struct stun_writer w;
    uint8_t buf[256];
    char name[32];

    snprintf(name, sizeof name, "abcd:%s", remote);
    stun_begin(&w, buf, sizeof buf, STUN_BINDING, STUN_REQUEST, &id);
    stun_add_text(&w, STUN_USERNAME, name);
    stun_add_u32(&w, STUN_PRIORITY, 1862270975);
    stun_add_u64(&w, STUN_ICE_CONTROLLED, 1);
    stun_add_integrity(&w, "ourpassword", 11);
    return arrives(from, buf, stun_finish(&w), &out);
}

static void test_two_of_the_same_name(void **state)
{
    static struct node_connection second;
    struct node_peer p = peer_config(2);
    (void)state;

    start();
    add_relays(1);
    assert_int_equal(connect_to(1), NODE_CREATED);
    p.remote_ufrag = "ijkl";
    assert_int_equal(node_connect(&rig.n, rig.now, &p, &second), NODE_CREATED);
    assert_int_equal(check_from(PEER, "efgh", 1), NODE_CONSUMED);
    assert_true(rig.c.ice.had_remote);
    assert_false(second.ice.had_remote);
    assert_int_equal(check_from(PEER, "ijkl", 2), NODE_CONSUMED);
    assert_true(second.ice.had_remote);
    assert_int_equal(check_from(PEER, "mnop", 3), NODE_DROP_AGENT);
    assert_int_equal(rig.n.refusals[ICE_VERDICT_OTHER_AGENT], 1);
}

static void test_a_channel_for_who_is_seen(void **state)
{
    (void)state;
    start();
    add_relays(1);
    assert_int_equal(connect_to(1), NODE_CREATED);
    pump();
    assert_int_equal(check_from("198.51.100.50:777", "efgh", 1), NODE_CONSUMED);
    pump();
    assert_int_equal(rig.relays[0].binds, 1);
    assert_addr(&rig.relays[0].channels[0], "198.51.100.50:777");
    assert_addr(&rig.last.to, "198.51.100.50:777"); /* answered, and checked */
    assert_addr(&rig.last.from, LOCAL);
}

static void test_an_older_time_counts_as_the_last(void **state)
{
    (void)state;
    start();
    add_relays(1);
    assert_int_equal(connect_to(1), NODE_CREATED);
    run_until(SEC(5));
    node_handle_timeout(&rig.n, rig.now);
    node_handle_timeout(&rig.n, BEGIN);
    assert_int_equal(rig.n.now, rig.now);
    run_until(SEC(10));
    assert_non_null(told(NODE_EVENT_FAILED));
}

/* ---- the network changes, the end ---- */

static void test_a_reset(void **state)
{
    unsigned allocations;
    (void)state;

    start_connected(2, true, false);
    forget_events();
    allocations = rig.relays[0].allocations + rig.relays[1].allocations;
    node_reset(&rig.n, rig.now);
    assert_false(node_has_relay(&rig.n));
    assert_int_equal(connect_to(1), NODE_NO_RELAYS);
    rig.has_peer = false;
    pump();
    assert_int_equal(told_count(NODE_EVENT_CLOSED), 1);
    assert_int_equal(rig.event_count, 1);
    assert_int_equal(rig.relays[0].allocations + rig.relays[1].allocations, allocations + 2);
    assert_int_equal(connect_to(1), NODE_CREATED);
    peer_begins(ICE_CONTROLLED, ICE_GATEWAY);
    run_for(SEC(3));
    assert_int_equal(told_count(NODE_EVENT_UP), 1);
}

static void test_shutting_down(void **state)
{
    (void)state;
    start_connected(2, true, false);
    forget_events();
    rig.relays[1].silent = true;
    node_shut_down(&rig.n, rig.now);
    assert_false(node_is_down(&rig.n));
    rig.has_peer = false;
    pump();
    assert_int_equal(told_count(NODE_EVENT_CLOSED), 1);
    assert_int_equal(rig.relays[0].deletions, 1);
    assert_int_equal(connect_to(1), NODE_INVALID);
    run_for(SEC(1));
    assert_true(node_is_down(&rig.n));
    assert_null(told(NODE_EVENT_NO_RELAYS));
    assert_true(node_poll_timeout(&rig.n) == TIME_NEVER);
}

/* ---- many ---- */

static void test_many_connections(void **state)
{
    enum {
        MANY = 300
    };
    static struct node_connection many[MANY];
    unsigned failed = 0;
    (void)state;

    start();
    add_relays(1);
    for (unsigned i = 0; i < MANY; i++) {
        struct node_peer p = peer_config(i);
        struct node_event e;
        rig.now += MS(1);
        assert_int_equal(node_connect(&rig.n, rig.now, &p, &many[i]), NODE_CREATED);
        while (node_poll_event(&rig.n, &e))
            assert_ptr_equal(e.connection, &many[i]);
    }
    for (unsigned i = 0; i < MANY; i++) {
        struct uuid id = uuid_of(i);
        assert_ptr_equal(node_find(&rig.n, &id), &many[i]);
    }
    while (failed < MANY) { /* in the order in which they came */
        struct node_event e;
        rig.now = node_poll_timeout(&rig.n);
        node_handle_timeout(&rig.n, rig.now);
        while (node_poll_event(&rig.n, &e)) {
            assert_int_equal(e.kind, NODE_EVENT_FAILED);
            assert_ptr_equal(e.connection, &many[failed]);
            failed++;
        }
        pump();
    }
    assert_int_equal(rig.n.connections, 0);
    node_fini(&rig.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_connection_without_relay),
        cmocka_unit_test(test_credentials_are_looked_at),
        cmocka_unit_test(test_candidates_are_signalled_best_first),
        cmocka_unit_test(test_only_the_relay_in_use_is_a_candidate),
        cmocka_unit_test(test_a_direct_path),
        cmocka_unit_test(test_a_path_through_our_relay),
        cmocka_unit_test(test_paths_to_the_relay_of_the_peer),
        cmocka_unit_test(test_a_better_path_replaces_another),
        cmocka_unit_test(test_channels_for_what_the_peer_signals),
        cmocka_unit_test(test_the_same_again_is_reused),
        cmocka_unit_test(test_another_one_replaces),
        cmocka_unit_test(test_without_relay_the_old_one_stays),
        cmocka_unit_test(test_no_candidates),
        cmocka_unit_test(test_a_deaf_peer),
        cmocka_unit_test(test_closing),
        cmocka_unit_test(test_idle_after_a_while_without_packets),
        cmocka_unit_test(test_other_traffic_is_not_use),
        cmocka_unit_test(test_two_of_the_same_name),
        cmocka_unit_test(test_a_channel_for_who_is_seen),
        cmocka_unit_test(test_an_older_time_counts_as_the_last),
        cmocka_unit_test(test_a_reset),
        cmocka_unit_test(test_shutting_down),
        cmocka_unit_test(test_many_connections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
