/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the portal for access, and what its answers do. */
#include "tests/access_rig.h"

/* ---- asking ---- */

static void test_asks_at_the_first_packet(void **state)
{
    (void)state;
    added(1, LAB);
    assert_int_equal(fake.routes, 1);
    assert_int_equal(fake.pushes, 0);
    fake.listed = 2;
    wanted(LAB);
    assert_int_equal(fake.pushes, 1);
    assert_string_equal(fake.name, REQUEST_AUTHORIZATION);
    assert_string_equal(fake.payload,
                        "{\"resource_id\":\"01006000-0000-0000-0000-000000000000\","
                        "\"connected_gateway_ids\":[\"09000000-0000-0000-0000-000000000000\","
                        "\"09010000-0000-0000-0000-000000000000\"]}");
}

static void test_asks_again_not_too_soon(void **state)
{
    (void)state;
    added(1, LAB);
    added(2, "10.0.1.0/24");
    wanted(LAB);
    fake.now += SEC(2) - 1;
    wanted(LAB);
    assert_int_equal(fake.pushes, 1);
    wanted("10.0.1.0/24"); /* each for itself */
    assert_int_equal(fake.pushes, 2);
    fake.now += 1;
    wanted(LAB);
    assert_int_equal(fake.pushes, 3);
}

static void test_names_no_more_gateways_than_fit(void **state)
{
    (void)state;
    added(1, LAB);
    fake.listed = GATEWAYS_MAX;
    wanted(LAB);
    assert_int_equal(fake.pushes, 1);
    assert_non_null(strstr(fake.payload, "093f0000-"));
    assert_null(strstr(fake.payload, "09400000-"));
}

static void test_held_while_the_portal_is_away(void **state)
{
    (void)state;
    added(1, LAB);
    added(2, "10.0.1.0/24");
    fake.portal_there = false;
    wanted(LAB);
    wanted(LAB);
    granted(1); /* it was not asked for */
    assert_int_equal(fake.connects, 0);
    fake.portal_there = true;
    access_ask_held(a);
    assert_int_equal(fake.pushes, 1); /* once, and only this one */
    access_ask_held(a);
    assert_int_equal(fake.pushes, 1);
    wanted(LAB); /* counted from when it was sent */
    assert_int_equal(fake.pushes, 1);
    granted(1);
    assert_int_equal(fake.grants, 1);
}

static void test_another_network(void **state)
{
    (void)state;
    added(1, LAB);
    added(2, "10.0.1.0/24");
    wanted(LAB);
    wanted("10.0.1.0/24");
    refused(2);
    access_reset(a);
    granted(1); /* with keys that are not ours any more */
    assert_int_equal(fake.connects, 0);
    wanted("10.0.1.0/24"); /* at once */
    assert_int_equal(fake.pushes, 3);
    access_ask_held(a); /* what was not answered */
    assert_int_equal(fake.pushes, 4);
    assert_non_null(strstr(fake.payload, "01006000"));
    granted(1);
    assert_int_equal(fake.grants, 1);
}

/* ---- answers ---- */

static void test_grant_connects(void **state)
{
    struct ip_prefix v4, v6;

    (void)state;
    assert_int_equal(ip_prefix_parse(&v4, "100.71.0.9/32"), ERR_OK);
    assert_int_equal(ip_prefix_parse(&v6, "fd00:2021:1111::9/128"), ERR_OK);
    added(1, LAB);
    wanted(LAB);
    granted(1);
    assert_int_equal(fake.connects, 1);
    assert_int_equal(fake.connected.role, ICE_CONTROLLING);
    assert_int_equal(fake.connected.kind, ICE_CLIENT);
    assert_string_equal(fake.ufrag, "ours");
    assert_string_equal(fake.remote_password, "their password");
    assert_int_equal(fake.connected.public_key[0], 1);
    assert_int_equal(fake.connected.preshared_key[0], 2);
    assert_true(ip_addr_equal(&fake.allowed[0].ip, &v4.ip) && fake.allowed[0].len == v4.len);
    assert_true(ip_addr_equal(&fake.allowed[1].ip, &v6.ip) && fake.allowed[1].len == v6.len);
    assert_int_not_equal(fake.group, TUNNEL_NO_GROUP);
    assert_ptr_equal(resource_of(LAB)->peer, &fake.gateway);
}

static void test_unsolicited_grants_are_ignored(void **state)
{
    struct message_authorization m;

    (void)state;
    granted(1); /* of no resource */
    added(1, LAB);
    granted(1);
    assert_int_equal(fake.connects, 0);
    wanted(LAB);
    granted(1);
    granted(1); /* once more */
    assert_int_equal(fake.connects, 1);
    fake.now += SEC(2);
    wanted(LAB);
    m = grant_of(1);
    m.site.bytes[0]++; /* its packets could not be moved there */
    access_granted(a, &m);
    assert_int_equal(fake.connects, 1);
}

static void test_grant_without_relays(void **state)
{
    (void)state;
    added(1, LAB);
    wanted(LAB);
    fake.connect = NODE_NO_RELAYS;
    granted(1);
    assert_int_equal(fake.pushes, 2);
    assert_string_equal(fake.name, REQUEST_RELAYS);
    assert_string_equal(fake.payload, "{}");
    assert_int_equal(fake.grants, 0);
    fake.connect = NODE_CREATED;
    granted(1); /* it has to be asked for anew */
    assert_int_equal(fake.grants, 0);
    access_ask_held(a); /* which is done when a relay answers */
    assert_int_equal(fake.pushes, 3);
    assert_string_equal(fake.name, REQUEST_AUTHORIZATION);
    granted(1);
    assert_int_equal(fake.grants, 1);
}

/* Nothing is asked before a relay has answered; if that takes long the portal is asked for others. */
static void test_waits_for_a_relay(void **state)
{
    (void)state;
    added(1, LAB);
    fake.no_relay = true;
    wanted(LAB);
    access_ask_held(a);
    fake.now += SEC(1);
    wanted(LAB);
    assert_int_equal(fake.pushes, 0);
    fake.now += SEC(1);
    wanted(LAB);
    assert_int_equal(fake.pushes, 1);
    assert_string_equal(fake.name, REQUEST_RELAYS);
    fake.no_relay = false;
    access_ask_held(a);
    assert_int_equal(fake.pushes, 2);
    assert_string_equal(fake.name, REQUEST_AUTHORIZATION);
    access_ask_held(a);
    assert_int_equal(fake.pushes, 2);
    granted(1);
    assert_int_equal(fake.grants, 1);
}

static void test_grant_that_cannot_be_used(void **state)
{
    (void)state;
    added(1, LAB);
    wanted(LAB);
    fake.connect = NODE_INVALID;
    granted(1);
    assert_int_equal(fake.grants, 0);
    assert_int_equal(fake.pushes, 1);
}

static void test_refused(void **state)
{
    (void)state;
    refused(1); /* of no resource */
    added(1, LAB);
    wanted(LAB);
    refused(1);
    granted(1);
    assert_int_equal(fake.connects, 0);
    fake.now += SEC(2) - 1;
    wanted(LAB);
    assert_int_equal(fake.pushes, 1);
    fake.now += 1;
    wanted(LAB);
    assert_int_equal(fake.pushes, 2);
}

static void test_asks_again_when_the_connection_has_ended(void **state)
{
    (void)state;
    added(1, LAB);
    added(2, "10.0.1.0/24");
    wanted(LAB);
    granted(1);
    wanted("10.0.1.0/24");
    connection_ends(false);
    (void)settle();
    assert_int_equal(fake.pushes, 2);
    wanted(LAB); /* at once */
    assert_int_equal(fake.pushes, 3);
    assert_non_null(strstr(fake.payload, "01006000"));
    wanted("10.0.1.0/24"); /* this one is still being asked for */
    assert_int_equal(fake.pushes, 3);
    fake.connect = NODE_REUSED;
    granted(2);
    granted(1);
    assert_int_equal(fake.grants, 3);
}

/* A download: there are packets only from the other side, and they do not come any more. */
static void test_asks_again_for_what_was_in_use(void **state)
{
    (void)state;
    added(1, LAB);
    added(2, "10.0.1.0/24");
    added(3, "10.0.2.0/24");
    wanted(LAB);
    granted(1);
    wanted("10.0.1.0/24");
    granted(2);
    connection_ends(true);
    assert_int_equal(fake.pushes, 2); /* not from within */
    (void)settle();
    assert_int_equal(fake.pushes, 4);
    granted(1);
    granted(2);
    assert_int_equal(fake.grants, 4);
    /* On another network, when the portal is there again. */
    fake.portal_there = false;
    connection_ends(true);
    access_reset(a);
    (void)settle();
    fake.portal_there = true;
    access_ask_held(a);
    assert_int_equal(fake.pushes, 6);
    access_ask_held(a);
    assert_int_equal(fake.pushes, 6);
}

/* ---- resources ---- */

static void test_without_a_tunnel_they_wait(void **state)
{
    static const struct access_events events = {on_push, on_granted};
    struct resource r = cidr(1, LAB);

    (void)state;
    access_free(a);
    a = access_new(NULL, NULL, false, &events, &fake);
    access_resource(a, RESOURCE_ADDED, &r);
    assert_int_equal(settle(), 0);
    assert_int_equal(fake.resources_n, 0);
    granted(1);
    access_attach(a, (struct tunnel *)&fake);
    settle();
    assert_int_equal(fake.resources_n, 1);
    assert_int_equal(fake.routes, 1);
}

static void test_renamed_disturbs_nothing(void **state)
{
    struct resource r = cidr(1, LAB);
    char name[] = "Lab 2"; /* gone after the call */

    (void)state;
    added(1, LAB);
    wanted(LAB);
    granted(1);
    r.name = name;
    change(RESOURCE_CHANGED, &r);
    memset(name, 'x', sizeof name - 1);
    assert_int_equal(fake.route_changes, 1);
    assert_ptr_equal(resource_of(LAB)->peer, &fake.gateway);
    log_set_sink(on_log, NULL);
    connection_ends(false);
    wanted(LAB);
    log_set_sink(NULL, NULL);
    assert_non_null(strstr(fake.logged, "'Lab 2'"));
}

static void test_changed(void **state)
{
    struct resource r = cidr(1, "10.0.7.0/24");

    (void)state;
    added(1, LAB);
    wanted(LAB);
    change(RESOURCE_CHANGED, &r);
    assert_null(resource_of(LAB));
    assert_non_null(resource_of("10.0.7.0/24"));
    assert_int_equal(fake.routes, 1);
    granted(1); /* of what it was before */
    assert_int_equal(fake.connects, 0);
    wanted("10.0.7.0/24");
    granted(1);
    assert_int_equal(fake.grants, 1);
    r.site.bytes[1]++; /* its gateways are others */
    change(RESOURCE_CHANGED, &r);
    assert_null(resource_of("10.0.7.0/24")->peer);
    r.kind = RESOURCE_DYNAMIC_POOL;
    change(RESOURCE_CHANGED, &r);
    assert_int_equal(fake.resources_n, 0);
    assert_int_equal(fake.routes, 0);
}

static void test_removed(void **state)
{
    struct resource r = cidr(1, LAB), other = cidr(2, "10.0.1.0/24");

    (void)state;
    other.kind = RESOURCE_STATIC_POOL; /* none of ours */
    change(RESOURCE_ADDED, &other);
    change(RESOURCE_REMOVED, &other);
    assert_int_equal(fake.adds_tried, 0);
    access_resource(a, RESOURCE_ADDED, &r); /* and gone before it had a route */
    access_resource(a, RESOURCE_REMOVED, &r);
    settle();
    assert_int_equal(fake.route_changes, 0);
    added(1, LAB);
    wanted(LAB);
    change(RESOURCE_REMOVED, &r);
    assert_int_equal(fake.routes, 0);
    granted(1);
    refused(1);
    connection_ends(false);
    access_ask_held(a);
    assert_int_equal(fake.connects, 0);
    assert_int_equal(fake.resources_n, 0);
}

/* Whichever of them goes, the route stays for the other one. */
static void test_two_with_one_prefix(void **state)
{
    struct resource first = cidr(1, LAB), second = cidr(2, LAB);

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        change(RESOURCE_ADDED, &first);
        change(RESOURCE_ADDED, &second);
        assert_int_equal(fake.routes, 1);
        change(RESOURCE_REMOVED, i == 0 ? &first : &second);
        assert_int_equal(fake.routes, 1);
        fake.pushes = 0;
        fake.now += SEC(2);
        wanted(LAB);
        assert_int_equal(fake.pushes, 1);
        assert_non_null(strstr(fake.payload, i == 0 ? "02006000" : "01006000"));
        change(RESOURCE_REMOVED, i == 0 ? &second : &first);
        assert_int_equal(fake.routes, 0);
    }
}

static void add_many(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t bytes[4] = {11, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};
        struct resource r = cidr(i, LAB);
        r.prefix = (struct ip_prefix){.ip = ip_addr_v4(bytes), .len = 32};
        access_resource(a, RESOURCE_ADDED, &r);
    }
}

/* `fire` asserts that no step takes long. */
static void test_very_many_in_pieces(void **state)
{
    (void)state;
    add_many(10000);
    assert_int_equal(fake.route_changes, 0); /* not while the portal's message is read */
    assert_in_range(settle(), 10000 * ROUTE_US / PIECE_LIMIT_US, 10000 * ROUTE_US / 1900 + 1);
    assert_int_equal(fake.resources_n, 10000);
    assert_int_equal(fake.routes, 10000);
}

/* Those that do not fit cost next to nothing, and come when there is room. */
static void test_more_than_fit(void **state)
{
    struct ip_prefix p;
    struct resource r;

    (void)state;
    fake.room = 500;
    add_many(2000);
    settle();
    assert_int_equal(fake.resources_n, 500);
    fake.adds_tried = 0;
    for (unsigned i = 0; i < 10; i++)
        assert_true(fire(SEC(1)));
    assert_int_equal(fake.adds_tried, 10);
    assert_int_equal(fake.routes, 500);
    fake.room = 501;
    assert_true(fire(SEC(1)));
    settle();
    assert_int_equal(fake.resources_n, 501);
    p = fake.resources[0].prefixes[0]; /* one of those that have a place */
    r = cidr(load_be32(p.ip.bytes) & 0xffff, LAB);
    change(RESOURCE_REMOVED, &r);
    assert_int_equal(fake.resources_n, 500);
    assert_true(fire(SEC(1)));
    settle();
    assert_int_equal(fake.resources_n, 501);
    fake.room = RESOURCES_MAX;
    assert_true(fire(SEC(1)));
    settle();
    assert_int_equal(fake.resources_n, 1999);
    assert_false(fire(SEC(10)));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_asks_at_the_first_packet),
        TEST(test_asks_again_not_too_soon),
        TEST(test_names_no_more_gateways_than_fit),
        TEST(test_held_while_the_portal_is_away),
        TEST(test_another_network),
        TEST(test_grant_connects),
        TEST(test_unsolicited_grants_are_ignored),
        TEST(test_grant_without_relays),
        TEST(test_waits_for_a_relay),
        TEST(test_asks_again_for_what_was_in_use),
        TEST(test_grant_that_cannot_be_used),
        TEST(test_refused),
        TEST(test_asks_again_when_the_connection_has_ended),
        TEST(test_without_a_tunnel_they_wait),
        TEST(test_renamed_disturbs_nothing),
        TEST(test_changed),
        TEST(test_removed),
        TEST(test_two_with_one_prefix),
        TEST(test_very_many_in_pieces),
        TEST(test_more_than_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
