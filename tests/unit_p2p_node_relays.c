/* SPDX-License-Identifier: Apache-2.0 */
/* The node's relays: which one is chosen, what happens when they come, go and fail. */
#include "tests/node_rig.h"

static const char *relayed_of(unsigned i)
{
    static char text[SOCK_ADDR_TEXT_MAX];
    return sock_addr_format(&rig.relays[i].relayed, text, sizeof text);
}

/* ---- choosing ---- */

static void set_rtt(unsigned i, time_ns rtt)
{
    for (unsigned j = 0; j < NODE_RELAYS_MAX; j++) {
        struct node_relay *r = &rig.n.relays[j];
        if (r->used && turn_has_server(&r->turn, &rig.relays[i].server))
            r->turn.rtt_ns = rtt;
    }
}

/* The relays that are ever chosen, as bits. */
static unsigned choices(void)
{
    unsigned seen = 0;

    for (unsigned i = 0; i < 100; i++) {
        struct node_connection c;
        struct node_peer p = peer_config(1000 + i);
        struct node_event e;
        assert_int_equal(node_connect(&rig.n, rig.now, &p, &c), NODE_CREATED);
        seen |= 1u << (relay_at(&c.relay->turn.servers[0]) - rig.relays);
        node_close(&rig.n, rig.now, &c);
        while (node_poll_event(&rig.n, &e))
            continue;
    }
    return seen;
}

static void test_near_relays_are_chosen(void **state)
{
    static const struct {
        unsigned relays;
        unsigned rtt_ms[RIG_RELAYS];
        unsigned chosen;
    } cases[] = {
        {1, {500}, 1},          {2, {20, 30}, 3},       {2, {20, 31}, 1},
        {2, {31, 20}, 2},       {3, {20, 22, 24}, 7},   {3, {20, 22, 28}, 7}, /* 22 + 3 * 2 */
        {3, {20, 22, 29}, 3},   {3, {10, 100, 370}, 7},                       /* 100 + 3 * 90 */
        {3, {10, 100, 371}, 3}, {3, {500, 20, 20}, 6},
    };
    (void)state;

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        start();
        add_relays(cases[i].relays);
        for (unsigned j = 0; j < cases[i].relays; j++)
            set_rtt(j, MS(cases[i].rtt_ms[j]));
        assert_int_equal(choices(), cases[i].chosen);
    }
}

static void test_relays_that_have_not_answered_are_not_chosen(void **state)
{
    (void)state;
    start();
    rig.relays[0].silent = true;
    add_relays(2);
    assert_int_equal(choices(), 2);
}

static void test_relays_that_refuse_are_the_last_resort(void **state)
{
    (void)state;
    start();
    rig.relays[0].refuses = 508;
    add_relays(2);
    assert_int_equal(choices(), 2);
    start();
    rig.relays[0].refuses = 508;
    add_relays(1);
    assert_int_equal(choices(), 1);
    assert_int_equal(connect_to(1), NODE_CREATED);
    pump();
    assert_true(told_line(NODE_EVENT_CANDIDATE_ADDED, "srflx", PUBLIC));
    assert_false(told_line(NODE_EVENT_CANDIDATE_ADDED, "relay", relayed_of(0)));
}

/* ---- the portal's lists ---- */

static void test_the_same_list_changes_nothing(void **state)
{
    (void)state;
    start();
    add_relays(2);
    add_relays(2);
    assert_int_equal(rig.relays[0].allocations, 1);
    assert_int_equal(rig.relays[0].refreshes, 0);
    add_relays(1); /* the other is asked whether it lives */
    assert_int_equal(rig.relays[0].refreshes, 0);
    assert_int_equal(rig.relays[1].refreshes, 1);
    assert_int_equal(rig.relays[1].allocations, 1);
}

static void test_one_that_does_not_live_is_removed(void **state)
{
    (void)state;
    start();
    add_relays(2);
    rig.relays[1].silent = true;
    add_relays(1);
    run_for(MS(999));
    assert_null(told(NODE_EVENT_RELAY_LOST));
    run_for(MS(1));
    assert_non_null(told(NODE_EVENT_RELAY_LOST));
    assert_int_equal(told(NODE_EVENT_RELAY_LOST)->relay_failure, TURN_FAILURE_NO_RESPONSE);
    assert_memory_equal(told(NODE_EVENT_RELAY_LOST)->relay.bytes, uuid_of(0x101).bytes, UUID_LEN);
    assert_null(told(NODE_EVENT_NO_RELAYS));
}

static void test_bad_entries(void **state)
{
    struct node_relay_config configs[NODE_RELAYS_MAX + 2];
    char name[TURN_CREDENTIAL_MAX + 2];
    (void)state;

    memset(name, 'n', sizeof name);
    name[TURN_CREDENTIAL_MAX + 1] = '\0';
    start();
    for (unsigned i = 0; i < ARRAY_LEN(configs); i++) {
        configs[i] = relay_config(0);
        configs[i].id = uuid_of(i);
    }
    configs[0].username = name;
    assert_int_equal(node_update_relays(&rig.n, rig.now, NULL, 0, configs, ARRAY_LEN(configs)), 2);
    configs[0] = relay_config(0);
    configs[0].id = uuid_of(1);
    configs[0].password = name; /* it was good before */
    assert_int_equal(node_update_relays(&rig.n, rig.now, NULL, 0, configs, 1), 1);
    configs[0] = relay_config(0);
    configs[0].id = uuid_of(50);
    assert_int_equal(node_update_relays(&rig.n, rig.now, NULL, 0, configs, 1), 0);
}

/* ---- migration ---- */

static void test_removed_by_the_portal(void **state)
{
    unsigned before, after;
    (void)state;

    start_connected(2, false, false);
    before = used_number(), after = !before;
    assert_int_equal(rig.c.path.kind, NODE_RELAY_TO_PEER);
    forget_events();
    remove_relay(before);
    pump();
    assert_int_equal(used_number(), after);
    assert_true(told_line(NODE_EVENT_CANDIDATE_INVALIDATED, "relay", relayed_of(before)));
    assert_true(told_line(NODE_EVENT_CANDIDATE_ADDED, "relay", relayed_of(after)));
    assert_int_equal(told_count(NODE_EVENT_CANDIDATE_ADDED), 1);
    assert_null(told(NODE_EVENT_RELAY_LOST));
    run_for(SEC(2));
    assert_int_equal(rig.c.path.kind, NODE_RELAY_TO_PEER);
    assert_true(sock_addr_equal(&rig.c.path.to, &rig.relays[after].server));
    assert_null(told(NODE_EVENT_FAILED));
}

static void test_a_new_one_gets_channels_to_the_peer(void **state)
{
    unsigned before;
    (void)state;

    start_connected(2, true, true);
    before = used_number();
    assert_int_equal(rig.relays[!before].binds, 0);
    remove_relay(before);
    pump();
    assert_true(rig.relays[!before].binds >= 1);
    assert_addr(&rig.relays[!before].channels[0], PEER_RELAYED);
}

static void test_the_last_one_fails(void **state)
{
    (void)state;
    start_connected(1, true, false);
    forget_events();
    rig.relays[0].silent = true;
    run_for(SEC(300 + 9)); /* checks go through it, so that only REFRESH notices */
    assert_int_equal(told_count(NODE_EVENT_RELAY_LOST), 1);
    assert_int_equal(told_count(NODE_EVENT_NO_RELAYS), 1);
    assert_true(told_line(NODE_EVENT_CANDIDATE_INVALIDATED, "relay", relayed_of(0)));
    assert_null(rig.c.relay);
    assert_int_equal(rig.c.path.kind, NODE_PEER_TO_PEER);
    run_for(SEC(100));
    assert_int_equal(told_count(NODE_EVENT_NO_RELAYS), 1);
    assert_null(told(NODE_EVENT_FAILED));

    add_relays(2);
    pump();
    assert_int_equal(used_number(), 1);
    assert_true(told_line(NODE_EVENT_CANDIDATE_ADDED, "relay", relayed_of(1)));
    assert_int_equal(rig.n.homeless, 0);
}

static void test_wrong_credentials(void **state)
{
    (void)state;
    start();
    rig.relays[0].wrong_password = true;
    add_relays(1);
    assert_int_equal(told(NODE_EVENT_RELAY_LOST)->relay_failure, TURN_FAILURE_AUTHENTICATION);
    assert_non_null(told(NODE_EVENT_NO_RELAYS));
    assert_false(node_has_relay(&rig.n));
}

static void test_other_credentials_start_over(void **state)
{
    struct node_relay_config config;
    (void)state;

    start_connected(1, false, false);
    assert_int_equal(rig.c.path.kind, NODE_RELAY_TO_PEER);
    forget_events();
    strcpy(rig.relays[0].user, "newuser");
    rig.relays[0].relayed.port++;
    config = relay_config(0);
    assert_int_equal(node_update_relays(&rig.n, rig.now, NULL, 0, &config, 1), 0);
    assert_int_equal(rig.c.path.kind, NODE_PATH_NONE);
    pump();
    assert_int_equal(rig.relays[0].allocations, 2);
    assert_int_equal(used_number(), 0);
    assert_int_equal(told_count(NODE_EVENT_CANDIDATE_INVALIDATED), 1);
    assert_true(told_line(NODE_EVENT_CANDIDATE_ADDED, "relay", relayed_of(0)));
    assert_int_equal(told_count(NODE_EVENT_CANDIDATE_ADDED), 1);
    run_for(SEC(3));
    assert_int_equal(rig.c.path.kind, NODE_RELAY_TO_PEER);
    assert_null(told(NODE_EVENT_RELAY_LOST));
}

static void test_an_expired_allocation_is_made_anew(void **state)
{
    (void)state;
    start_connected(1, false, false);
    forget_events();
    rig.relays[0].relayed.port++;
    rig.now += SEC(3600); /* asleep */
    run_for(SEC(3));
    assert_int_equal(rig.relays[0].allocations, 2);
    assert_null(told(NODE_EVENT_RELAY_LOST));
}

static void test_a_channel_in_use_lives_on(void **state)
{
    struct node_traffic traffic = {.sent = true, .received = true, .packets = true};
    (void)state;

    start_connected(1, false, false);
    forget_events();
    for (unsigned i = 0; i < 2000; i++) {
        run_for(SEC(1));
        node_note_traffic(&rig.n, rig.now, &rig.c, traffic);
    }
    assert_null(told(NODE_EVENT_PATH_LOST));
    assert_null(told(NODE_EVENT_PATH));
    assert_int_equal(rig.c.path.kind, NODE_RELAY_TO_PEER);
    assert_true(rig.relays[0].binds >= 6);
}

/* It does not say so, but nothing comes by it any more: it is asked long before the connection is given up. */
static void test_a_relay_that_forgets_is_found_out(void **state)
{
    (void)state;

    start_connected(1, false, false);
    unsigned refreshes = rig.relays[0].refreshes;
    run_for(SEC(10));
    assert_int_equal(rig.relays[0].refreshes, refreshes);
    rig.relays[0].forgets = true;
    rig.relays[0].relayed.port++;
    rig.peer_deaf = true;
    run_for(SEC(6));
    assert_int_equal(rig.relays[0].allocations, 2);
    rig.peer_deaf = false;
    run_for(SEC(3));
    assert_int_equal(rig.c.path.kind, NODE_RELAY_TO_PEER);
    assert_null(told(NODE_EVENT_FAILED));
}

/* It loses its allocation and gets no other. */
static void refuse(unsigned i)
{
    rig.relays[i].forgets = true;
    rig.relays[i].refuses = 508;
    for (unsigned j = 0; j < NODE_RELAYS_MAX; j++) {
        struct node_relay *r = &rig.n.relays[j];
        if (!r->used || !turn_has_server(&r->turn, &rig.relays[i].server))
            continue;
        turn_check_allocation(&r->turn, rig.now);
        r->sends = true;
    }
    pump();
}

static void test_a_relay_that_refuses_is_left(void **state)
{
    unsigned before, after;
    (void)state;

    start_connected(2, false, false);
    before = used_number(), after = !before;
    forget_events();
    refuse(before);
    assert_int_equal(used_number(), after);
    assert_true(told_line(NODE_EVENT_CANDIDATE_INVALIDATED, "relay", relayed_of(before)));
    assert_true(told_line(NODE_EVENT_CANDIDATE_ADDED, "relay", relayed_of(after)));
    run_for(SEC(3));
    assert_int_equal(rig.c.path.kind, NODE_RELAY_TO_PEER);
    assert_true(sock_addr_equal(&rig.c.path.to, &rig.relays[after].server));
    assert_null(told(NODE_EVENT_FAILED));
    assert_null(told(NODE_EVENT_RELAY_LOST));
    refuse(after); /* there is no other */
    assert_int_equal(used_number(), after);
}

/* Not for one that may refuse, too. */
static void test_a_relay_that_refuses_is_left_later(void **state)
{
    (void)state;

    start_connected(1, true, false);
    rig.relays[1].silent = true;
    add_relays(2);
    refuse(0);
    assert_int_equal(used_number(), 0);
    rig.relays[1].silent = false;
    rig.relays[1].refuses = 508;
    run_for(SEC(3));
    assert_int_equal(used_number(), 0);
    rig.relays[1].refuses = 0;
    add_relays(1); /* so that the other starts over */
    assert_int_equal(used_number(), 1);
    assert_true(told_line(NODE_EVENT_CANDIDATE_ADDED, "relay", relayed_of(1)));
    assert_int_equal(rig.c.path.kind, NODE_PEER_TO_PEER);
    node_close(&rig.n, rig.now, &rig.c);
    for (unsigned i = 0; i < NODE_RELAYS_MAX; i++)
        assert_int_equal(rig.n.relays[i].users, 0);
}

/* A relay that cannot bind a channel now is not asked in a loop, but again soon. */
static void test_a_refused_channel_is_asked_for_again(void **state)
{
    (void)state;

    start_connected(1, false, false);
    assert_int_equal(rig.c.path.kind, NODE_RELAY_TO_PEER);
    forget_events();
    rig.relays[0].forgets = true; /* so that channels are to be bound anew */
    rig.relays[0].refuses_binds = 2;
    turn_check_allocation(&rig.c.relay->turn, rig.now);
    rig.c.relay->sends = true;
    run_for(MS(990));
    assert_int_equal(rig.relays[0].allocations, 2);
    assert_int_equal(rig.relays[0].refusals, 1);
    assert_int_equal(rig.c.path.kind, NODE_PATH_NONE);
    run_for(SEC(2));
    assert_int_equal(rig.relays[0].refusals, 2);
    run_for(SEC(2));
    assert_int_equal(rig.relays[0].refusals, 2);
    run_for(SEC(3));
    assert_int_equal(rig.c.path.kind, NODE_RELAY_TO_PEER);
    assert_null(told(NODE_EVENT_FAILED));
}

/* A peer that has a new address all the time. Each has a channel, while it is one of few. */
static void churn(struct node_connection *c, unsigned from, unsigned count)
{
    char line[CANDIDATE_LINE_MAX];

    for (unsigned i = from; i < from + count; i++) {
        snprintf(line, sizeof line, "candidate:1 1 udp 1 198.51.100.77 %u typ srflx", 1000 + i);
        assert_true(node_add_candidate(&rig.n, rig.now, c, line));
        pump();
        assert_true(node_invalidate_candidate(&rig.n, rig.now, c, line));
    }
}

static void test_a_connection_takes_not_all_channels(void **state)
{
    static struct node_connection other;
    struct node_peer p = peer_config(2);
    uint64_t before;
    (void)state;

    start();
    add_relays(1);
    assert_int_equal(connect_to(1), NODE_CREATED);
    assert_int_equal(node_connect(&rig.n, rig.now, &p, &other), NODE_CREATED);
    assert_true(node_add_candidate(&rig.n, rig.now, &rig.c,
                                   "candidate:1 1 udp 1 198.51.100.77 52625 typ srflx"));
    churn(&rig.c, 0, NODE_CHANNELS_MAX - 1);
    assert_int_equal(rig.relays[0].binds, NODE_CHANNELS_MAX);
    before = rig.n.unbound;
    churn(&rig.c, 100, 50);
    assert_int_equal(rig.relays[0].binds, NODE_CHANNELS_MAX);
    assert_true(rig.n.unbound >= before + 50);
    churn(&rig.c, 0, 50); /* they have theirs */
    assert_int_equal(rig.relays[0].binds, NODE_CHANNELS_MAX);
    churn(&other, 200, 50);
    assert_int_equal(rig.relays[0].binds, NODE_CHANNELS_MAX + 50);
    run_for(NODE_CHANNEL_NS);
    churn(&rig.c, 300, 50);
    assert_int_equal(rig.relays[0].binds, NODE_CHANNELS_MAX + 51);
}

/* What a NAT makes of us a relay only says when it is asked. */
static void test_a_relay_is_asked_when_the_path_is_lost(void **state)
{
    struct node_traffic packets = {.sent = true, .packets = true};
    (void)state;

    start_connected(1, false, false);
    assert_int_equal(rig.relays[0].refreshes, 0);
    rig.peer_deaf = true;
    for (unsigned i = 0; i < 25; i++) {
        node_note_traffic(&rig.n, rig.now, &rig.c, packets);
        run_for(SEC(1));
    }
    assert_non_null(told(NODE_EVENT_FAILED));
    assert_int_equal(rig.relays[0].refreshes, 1);
}

static void test_a_relay_is_asked_when_the_peer_asks_again(void **state)
{
    struct node_peer p = peer_config(1);
    (void)state;

    start();
    add_relays(1);
    p.role = ICE_CONTROLLED;
    p.kind = ICE_GATEWAY;
    assert_int_equal(node_connect(&rig.n, rig.now, &p, &rig.c), NODE_CREATED);
    for (unsigned i = 0; i < 10; i++) {
        run_until(MS(500) * (i + 1));
        assert_int_equal(node_connect(&rig.n, rig.now, &p, &rig.c), NODE_REUSED);
        pump();
        assert_int_equal(rig.relays[0].refreshes, 1);
    }
}

/* ---- datagrams ---- */

static void wireguard(uint8_t out[32])
{
    memset(out, 0, 32);
    out[0] = 4;
}

static void test_wireguard(void **state)
{
    struct node_received out;
    uint8_t data[32];
    (void)state;

    start_connected(1, false, false);
    wireguard(data);
    assert_int_equal(arrives(PEER, data, sizeof data, &out), NODE_WIREGUARD);
    assert_addr(&out.from, PEER);
    assert_addr(&out.local, LOCAL);
    assert_int_equal(out.offset, 0);
    assert_int_equal(out.len, sizeof data);
    assert_int_equal(out.channel, 0);
    assert_int_equal(arrives("198.51.100.7:3478", data, sizeof data, &out), NODE_WIREGUARD);

    assert_int_equal(through_relay(&rig.relays[0], PEER, data, sizeof data, &out), NODE_WIREGUARD);
    assert_addr(&out.from, PEER);
    assert_addr(&out.local, relayed_of(0));
    assert_int_equal(out.offset, CHANNEL_HEADER_LEN);
    assert_int_equal(out.len, sizeof data);
    assert_int_equal(out.channel, CHANNEL_FIRST);
    assert_int_equal(rig.n.verdicts[NODE_WIREGUARD], 3);
}

static void test_what_is_dropped(void **state)
{
    struct node_received out;
    struct stun_writer w;
    struct stun_id id = {{0}};
    uint8_t data[256], channel[36];
    char server[SOCK_ADDR_TEXT_MAX];
    (void)state;

    start_connected(1, true, false);
    sock_addr_format(&rig.relays[0].server, server, sizeof server);
    wireguard(channel + 4);
    channel_write(channel, CHANNEL_LAST, 32);
    assert_int_equal(arrives(server, channel, 36, &out), NODE_DROP_CHANNEL);
    assert_int_equal(arrives(server, channel, 35, &out), NODE_DROP_UNKNOWN);
    assert_int_equal(arrives("203.0.113.2:3478", channel, 36, &out), NODE_DROP_UNKNOWN);
    assert_int_equal(arrives(PEER, channel, 36, &out), NODE_DROP_UNKNOWN);
    assert_int_equal(arrives(PEER, channel, 0, &out), NODE_DROP_UNKNOWN);
    assert_int_equal(arrives(server, channel, 0, &out), NODE_DROP_UNKNOWN);

    stun_begin(&w, data, sizeof data, STUN_BINDING, STUN_REQUEST, &id);
    assert_true(stun_finish(&w) > 0);
    assert_int_equal(arrives(PEER, data, stun_finish(&w), &out), NODE_DROP_STUN);
    assert_int_equal(arrives(server, data, stun_finish(&w), &out), NODE_DROP_RELAY);
    stun_add_text(&w, STUN_USERNAME, "nobody:efgh");
    stun_add_u32(&w, STUN_PRIORITY, 1);
    stun_add_integrity(&w, "x", 1);
    assert_int_equal(arrives(PEER, data, stun_finish(&w), &out), NODE_DROP_STRANGER);

    stun_begin(&w, data, sizeof data, STUN_BINDING, STUN_REQUEST, &id);
    stun_add_text(&w, STUN_USERNAME, "abcd:efgh");
    stun_add_u32(&w, STUN_PRIORITY, 1);
    stun_add_integrity(&w, "x", 1);
    assert_int_equal(arrives(PEER, data, stun_finish(&w), &out), NODE_DROP_AGENT);
    assert_int_equal(rig.n.refusals[ICE_VERDICT_UNAUTHENTIC], 1);

    stun_begin(&w, data, sizeof data, STUN_BINDING, STUN_SUCCESS, &id);
    stun_add_address(&w, STUN_XOR_MAPPED_ADDRESS, &rig.relays[0].server);
    stun_add_integrity(&w, "x", 1);
    assert_int_equal(arrives(PEER, data, stun_finish(&w), &out), NODE_DROP_ANSWER);
}

static void test_a_relay_that_is_gone_is_not_heard(void **state)
{
    struct node_received out;
    struct stun_writer w;
    struct stun_id id = {{0}};
    uint8_t data[256];
    (void)state;

    start_connected(1, false, false);
    stun_begin(&w, data, sizeof data, STUN_BINDING, STUN_SUCCESS, &id);
    assert_true(stun_finish(&w) > 0);
    remove_relay(0);
    assert_int_equal(arrives("203.0.113.1:3478", data, stun_finish(&w), &out), NODE_DROP_OLD_RELAY);
    assert_int_equal(arrives("203.0.113.1:3479", data, stun_finish(&w), &out), NODE_DROP_STUN);
    assert_int_equal(arrives("203.0.113.2:3478", data, stun_finish(&w), &out), NODE_DROP_STUN);
    wireguard(data);
    assert_int_equal(through_relay(&rig.relays[0], PEER, data, 32, &out), NODE_DROP_OLD_RELAY);
    wireguard(data);
    assert_int_equal(arrives("203.0.113.1:3478", data, 32, &out), NODE_WIREGUARD);

    for (unsigned i = 0; i < NODE_OLD_RELAYS_MAX; i++) {
        struct node_relay_config config = relay_config(1);
        struct uuid gone = config.id;
        config.v4.ip.bytes[3] = (uint8_t)(100 + i);
        assert_int_equal(node_update_relays(&rig.n, rig.now, NULL, 0, &config, 1), 0);
        assert_int_equal(node_update_relays(&rig.n, rig.now, &gone, 1, NULL, 0), 0);
    }
    wireguard(data);
    assert_int_equal(through_relay(&rig.relays[0], PEER, data, 32, &out), NODE_DROP_UNKNOWN);
}

/* ---- tables ---- */

static void test_the_queue_against_a_slow_one(void **state)
{
    enum {
        COUNT = 200,
        STEPS = 20000
    };
    static struct node_due dues[COUNT];
    struct node_queue q = {NULL};
    uint64_t x = 1;
    (void)state;

    for (unsigned i = 0; i < COUNT; i++)
        node_due_init(&dues[i]);
    for (unsigned step = 0; step < STEPS; step++) {
        time_ns least = TIME_NEVER;
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
        node_queue_set(&q, &dues[(x >> 33) % COUNT], x >> 60 < 4 ? TIME_NEVER : x >> 40 & 0xfff);
        for (unsigned i = 0; i < COUNT; i++)
            least = time_min(least, dues[i].at);
        if (least == TIME_NEVER)
            assert_null(node_queue_first(&q));
        else
            assert_int_equal(node_queue_first(&q)->at, least);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_near_relays_are_chosen),
        cmocka_unit_test(test_relays_that_have_not_answered_are_not_chosen),
        cmocka_unit_test(test_relays_that_refuse_are_the_last_resort),
        cmocka_unit_test(test_the_same_list_changes_nothing),
        cmocka_unit_test(test_one_that_does_not_live_is_removed),
        cmocka_unit_test(test_bad_entries),
        cmocka_unit_test(test_removed_by_the_portal),
        cmocka_unit_test(test_a_new_one_gets_channels_to_the_peer),
        cmocka_unit_test(test_the_last_one_fails),
        cmocka_unit_test(test_wrong_credentials),
        cmocka_unit_test(test_other_credentials_start_over),
        cmocka_unit_test(test_an_expired_allocation_is_made_anew),
        cmocka_unit_test(test_a_channel_in_use_lives_on),
        cmocka_unit_test(test_a_relay_that_forgets_is_found_out),
        cmocka_unit_test(test_a_relay_that_refuses_is_left),
        cmocka_unit_test(test_a_relay_that_refuses_is_left_later),
        cmocka_unit_test(test_a_refused_channel_is_asked_for_again),
        cmocka_unit_test(test_a_connection_takes_not_all_channels),
        cmocka_unit_test(test_a_relay_is_asked_when_the_path_is_lost),
        cmocka_unit_test(test_a_relay_is_asked_when_the_peer_asks_again),
        cmocka_unit_test(test_wireguard),
        cmocka_unit_test(test_what_is_dropped),
        cmocka_unit_test(test_a_relay_that_is_gone_is_not_heard),
        cmocka_unit_test(test_the_queue_against_a_slow_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
