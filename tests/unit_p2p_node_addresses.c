/* SPDX-License-Identifier: Apache-2.0 */
/* Our addresses, which vanish and come back while the connections go on. */
#include "tests/node_rig.h"

static const char LOCAL2[] = "192.0.2.11:52625", PUBLIC2[] = "198.51.100.10:40000";

static void lose(const char *what)
{
    struct sock_addr a = addr(what);
    node_address_lost(&rig.n, rig.now, &a.ip);
}

static void move(const char *local, const char *mapped)
{
    rig.local = addr(local);
    rig.mapped = addr(mapped);
}

static bool has_base(const char *what)
{
    struct sock_addr a = addr(what);

    for (unsigned i = 0; i < ICE_LOCAL_MAX; i++) {
        const struct ice_local *l = &rig.c.ice.candidates.locals[i];
        if (l->state == ICE_LIVE && sock_addr_equal(&l->candidate.base, &a))
            return true;
    }
    return false;
}

/* What is left carries the connection, until relays have said which address is the new one. */
static void test_an_address_is_replaced_by_another(void **state)
{
    unsigned refused;
    (void)state;

    start_connected(2, true, false);
    assert_int_equal(rig.c.path.kind, NODE_PEER_TO_PEER);
    forget_events();
    move(LOCAL2, PUBLIC2);
    lose(LOCAL);
    refused = rig.refused;
    assert_int_equal(rig.c.path.kind, NODE_RELAY_TO_PEER);
    assert_false(has_base(LOCAL));
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rig.relays[i].bindings, 1);
        assert_int_equal(rig.relays[i].refreshes, 0);
    }
    pump();
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rig.relays[i].bindings, 2);
        assert_int_equal(rig.relays[i].refreshes, 1);
    }
    assert_true(told_line(NODE_EVENT_CANDIDATE_ADDED, "host", LOCAL2));
    assert_true(told_line(NODE_EVENT_CANDIDATE_ADDED, "srflx", PUBLIC2));
    assert_int_equal(told_count(NODE_EVENT_CANDIDATE_ADDED), 2);
    assert_true(told_line(NODE_EVENT_CANDIDATE_INVALIDATED, "host", LOCAL));
    assert_true(told_line(NODE_EVENT_CANDIDATE_INVALIDATED, "srflx", PUBLIC));
    assert_int_equal(told_count(NODE_EVENT_CANDIDATE_INVALIDATED), 2);
    run_for(SEC(3));
    assert_int_equal(rig.c.path.kind, NODE_PEER_TO_PEER);
    assert_addr(&rig.c.path.from, LOCAL2);
    assert_int_equal(rig.refused, refused);
    assert_null(told(NODE_EVENT_PATH_LOST));
    assert_null(told(NODE_EVENT_RELAY_LOST));
}

static void test_an_address_that_was_the_only_way(void **state)
{
    (void)state;

    start();
    rig.direct = true;
    rig.relays[0].refuses = 508;
    add_relays(1);
    peer_begins(ICE_CONTROLLED, ICE_GATEWAY);
    assert_int_equal(connect_to(1), NODE_CREATED);
    run_for(SEC(3));
    assert_int_equal(rig.c.path.kind, NODE_PEER_TO_PEER);
    forget_events();
    move(LOCAL2, PUBLIC2);
    rig.relays[0].silent = true;
    lose(LOCAL);
    pump();
    assert_int_equal(told_count(NODE_EVENT_PATH_LOST), 1);
    assert_int_equal(told_count(NODE_EVENT_CANDIDATE_INVALIDATED), 2);
    assert_int_equal(rig.event_count, 3);
    rig.relays[0].silent =
        false; /* the second BINDING is answered, of an allocation that is suspended, too */
    run_for(SEC(2));
    assert_int_equal(told(NODE_EVENT_PATH)->path.kind, NODE_PEER_TO_PEER);
    assert_addr(&told(NODE_EVENT_PATH)->path.from, LOCAL2);
    assert_null(told(NODE_EVENT_FAILED));
}

/* A relay whose address of ours has changed since still is not the only one that knows the old one: connections do, too. */
static void test_an_older_address(void **state)
{
    (void)state;

    start_connected(2, true, false);
    move(LOCAL2, PUBLIC2);
    run_for(SEC(30)); /* keepalive to the relay that is not used */
    assert_true(has_base(LOCAL) && has_base(LOCAL2));
    lose(LOCAL);
    assert_false(has_base(LOCAL));
    assert_true(has_base(LOCAL2));
    run_for(SEC(3));
    assert_addr(&rig.c.path.from, LOCAL2);
}

static void test_many_refusals_ask_once(void **state)
{
    (void)state;

    start_connected(1, true, false);
    move(LOCAL2, PUBLIC2);
    for (unsigned i = 0; i < 1000; i++) {
        lose(LOCAL);
        lose("192.0.2.99:1"); /* never was ours */
        pump();
        rig.now += MS(1);
    }
    assert_int_equal(rig.relays[0].bindings, 2);
    assert_int_equal(rig.relays[0].refreshes, 1);
    for (unsigned i = 0; i < 100; i++) {
        struct sock_addr other = addr(LOCAL);
        other.ip.bytes[2] = (uint8_t)(100 + i);
        node_address_lost(&rig.n, rig.now, &other.ip);
    }
    lose(LOCAL); /* forgotten that it had vanished, but nothing uses it */
    pump();
    assert_int_equal(rig.relays[0].bindings, 2);
}

/* One that comes back each time it is refused is not asked for each time. */
static void test_an_address_that_comes_back(void **state)
{
    (void)state;

    start_connected(1, true, false);
    forget_events();
    lose(LOCAL);
    assert_false(has_base(LOCAL));
    pump();
    assert_true(has_base(LOCAL));
    assert_true(told_line(NODE_EVENT_CANDIDATE_ADDED, "host", LOCAL));
    assert_true(told_line(NODE_EVENT_CANDIDATE_ADDED, "srflx", PUBLIC));
    assert_int_equal(rig.relays[0].bindings, 2);
    for (unsigned i = 0; i < 20; i++) {
        lose(LOCAL);
        assert_false(has_base(LOCAL));
        run_for(MS(50));
    }
    unsigned bindings = rig.relays[0].bindings;
    assert_in_range(bindings, 3, 2 + SEC(1) / TURN_ASK_GAP_NS);
    run_for(SEC(3));
    assert_true(has_base(LOCAL));
    assert_int_equal(rig.c.path.kind, NODE_PEER_TO_PEER);
    assert_in_range(rig.relays[0].bindings, bindings, bindings + 1);
}

/* The relay has us under another mapping, and does not know the allocation any more. */
static void test_an_allocation_that_goes_with_the_address(void **state)
{
    struct node_connection *c = &rig.c;
    (void)state;

    start_connected(1, false, false);
    assert_int_equal(c->path.kind, NODE_RELAY_TO_PEER);
    move(LOCAL2, PUBLIC2);
    lose(LOCAL);
    assert_int_equal(c->path.kind, NODE_RELAY_TO_PEER); /* it may still work */
    rig.relays[0].forgets = true;
    rig.relays[0].relayed.port++;
    pump();
    assert_int_equal(rig.relays[0].allocations, 2);
    run_for(SEC(3));
    assert_int_equal(c->path.kind, NODE_RELAY_TO_PEER);
    assert_null(told(NODE_EVENT_FAILED));
}

/* Those that relays see no more make room, but not the one in use; those of relays always have room. */
static void test_many_addresses(void **state)
{
    struct node_relay_config config;
    char host[32], mapped[32];
    (void)state;

    start_connected(2, true, false);
    assert_int_equal(rig.c.path.kind, NODE_PEER_TO_PEER);
    for (unsigned i = 0; i < 40; i++) {
        snprintf(host, sizeof host, "10.0.0.%u:52625", 1 + i);
        snprintf(mapped, sizeof mapped, "198.51.100.%u:4000", 100 + i);
        move(host, mapped);
        forget_events();
        for (unsigned j = 0; j < 2; j++) {
            rig.n.relays[j].turn.asked_at = 0; /* not only once a second */
            turn_ask(&rig.n.relays[j].turn, rig.now);
            rig.n.relays[j].sends = rig.n.relays[j].stale = true;
        }
        rig.peer_deaf = true; /* it would go on with the new one */
        pump();
        assert_true(has_base(host));
        assert_true(has_base(LOCAL));
        assert_addr(&rig.c.path.from, LOCAL);
        assert_true(told_line(NODE_EVENT_CANDIDATE_ADDED, "host", host));
        assert_true(told_line(NODE_EVENT_CANDIDATE_ADDED, "srflx", mapped));
        rig.now += MS(1);
    }
    assert_true(has_base("10.0.0.39:52625"));
    assert_false(has_base("10.0.0.2:52625"));
    forget_events();
    rig.relays[used_number()].relayed.port++;
    strcpy(used_relay()->user, "newuser");
    config = relay_config(used_number());
    assert_int_equal(node_update_relays(&rig.n, rig.now, NULL, 0, &config, 1), 0);
    pump();
    assert_int_equal(told_count(NODE_EVENT_CANDIDATE_INVALIDATED), 1);
    assert_int_equal(told_count(NODE_EVENT_CANDIDATE_ADDED), 1);
}

static void test_after_the_network_changed_it_counts_again(void **state)
{
    (void)state;

    start_connected(1, true, false);
    rig.relays[0].silent = true;
    lose(LOCAL);
    node_reset(&rig.n, rig.now);
    rig.has_peer = false;
    rig.relays[0].silent = false;
    pump();
    assert_int_equal(connect_to(1), NODE_CREATED);
    assert_true(has_base(LOCAL));
    lose(LOCAL);
    assert_false(has_base(LOCAL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_address_is_replaced_by_another),
        cmocka_unit_test(test_an_address_that_was_the_only_way),
        cmocka_unit_test(test_an_older_address),
        cmocka_unit_test(test_many_refusals_ask_once),
        cmocka_unit_test(test_an_address_that_comes_back),
        cmocka_unit_test(test_an_allocation_that_goes_with_the_address),
        cmocka_unit_test(test_many_addresses),
        cmocka_unit_test(test_after_the_network_changed_it_counts_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
