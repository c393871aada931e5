/* SPDX-License-Identifier: Apache-2.0 */
/* Resources and names of a client's tunnel: what its workers are told, and in which order. */
#include "tests/tunnel_p2p_rig.h"

#define LAB "10.0.0.0/24"

static int set_up_client(void **state)
{
    int result = set_up(state);
    t->options.role = ENGINE_CLIENT;
    return result;
}

static struct tunnel_resource *add_resource(unsigned n, const char *text, uint32_t group, void *arg)
{
    struct ip_prefix p = {.len = 0};
    struct filter_rule rule = {.protocol = FILTER_TCP, .first = 80, .last = 81};
    struct tunnel_resource_spec spec = {
        .kind = text ? ENGINE_RESOURCE_CIDR : ENGINE_RESOURCE_DNS,
        .id = {{(uint8_t)n}},
        .prefixes = &p,
        .prefixes_n = text ? 1 : 0,
        .rules = &rule,
        .rules_n = n % 2,
        .group = group,
        .arg = arg,
    };

    if (text)
        p = prefix(text);
    return tunnel_resource_add(t, &spec);
}

/* As published. */
static const struct engine_resource *resource_at(const struct tunnel_resource *r)
{
    assert_in_range(r->index, 0, fake.policy.resources_n - 1);
    assert_int_equal(fake.resources[r->index].generation, r->generation);
    return &fake.resources[r->index];
}

static uint32_t slot_in(uint32_t value)
{
    return value & ((1u << ENGINE_OWNER_SHIFT) - 1);
}

static void test_waits(void **state)
{
    (void)state;
    int mark;
    struct tunnel_resource *r = add_resource(1, LAB, 4, &mark);

    assert_non_null(r);
    const struct command *c = assert_step(0, COMMAND_PEER_ADD);
    assert_true(c->peer->waits);
    assert_int_equal(c->peer->waits_max, 128);
    assert_int_equal(c->peer->owner, 4 % WORKERS);
    uint32_t slot = c->slot;
    assert_int_equal(fake.steps_n, 1); /* many at once are published at once */
    pass(0);
    assert_step(1, PUBLISHED);
    assert_int_equal(slot_in(resource_at(r)->waits), slot);
    assert_int_equal(resource_at(r)->peer, ENGINE_NONE);
    assert_int_equal(resource_at(r)->rules_n, 1);
    assert_int_equal(fake.policy.routes_n, 1);
    edge_comes(slot, EDGE_WANT_HANDSHAKE);
    assert_int_equal(fake.wanteds, 1);
    assert_ptr_equal(fake.wanted, &mark);
    assert_int_equal(fake.edge_bits, 0); /* taken, so that there is another one */
    edge_comes(slot + 1, EDGE_WANT_HANDSHAKE);
    assert_int_equal(fake.wanteds, 1);
}

/* What waits goes on with the policy that says where to, and nothing is built anew for it. */
static void test_grant(void **state)
{
    (void)state;
    struct tunnel_resource *r = add_resource(1, LAB, 4, NULL);
    struct tunnel_peer *p = add_peer(1, 4, true, NULL);

    pass(0);
    forget_steps();
    tunnel_resource_grant(r, p);
    assert_step(0, PUBLISHED);
    assert_true(fake.policy.same_routes);
    assert_int_equal(slot_in(resource_at(r)->peer), p->slot);
    const struct command *c = assert_step(1, COMMAND_STAGE_REPLAY);
    assert_int_equal(c->slot, slot_in(resource_at(r)->waits));
    assert_int_equal(fake.steps[1].worker, 4 % WORKERS);
    tunnel_resource_grant(r, p); /* once more */
    assert_int_equal(fake.steps_n, 2);
    edge_comes(c->slot, EDGE_WANT_HANDSHAKE); /* late */
    assert_int_equal(fake.wanteds, 0);
    forget_steps();
    tunnel_resource_grant(r, NULL);
    assert_step(0, PUBLISHED);
    assert_int_equal(resource_at(r)->peer, ENGINE_NONE);
}

static void test_peer_removed(void **state)
{
    (void)state;
    struct tunnel_resource *r = add_resource(1, LAB, 1, NULL);
    struct tunnel_peer *p = add_peer(1, 1, true, NULL);
    uint32_t slot = p->slot;

    pass(0);
    assert_int_equal(fake.policy.routes_n, 2); /* its own address is one */
    tunnel_resource_grant(r, p);
    forget_steps();
    tunnel_p2p_remove(t, p);
    assert_step(0, PUBLISHED); /* nothing leads to it any more */
    assert_int_equal(resource_at(r)->peer, ENGINE_NONE);
    assert_int_equal(fake.policy.routes_n, 1);
    assert_int_equal(step_of(COMMAND_PEER_REMOVE)->slot, slot);
}

/* Gateways' own addresses before resources, these by id, the greatest first, and the Internet last. */
static void test_order(void **state)
{
    (void)state;
    struct tunnel_resource *low = add_resource(1, LAB, 0, NULL),
                           *high = add_resource(9, LAB, 0, NULL), *internet;
    struct ip_prefix all = prefix("0.0.0.0/0");
    struct tunnel_resource_spec spec = {
        .kind = ENGINE_RESOURCE_INTERNET, .id = {{5}}, .prefixes = &all, .prefixes_n = 1};
    uint32_t orders[4] = {0};

    internet = tunnel_resource_add(t, &spec);
    (void)add_peer(1, 0, true, NULL);
    assert_int_equal(fake.policy.routes_n, 4);
    for (unsigned i = 0; i < 4; i++) {
        const struct engine_policy_route *x = &fake.policy_routes[i];
        orders[x->resource == low->index        ? 2
               : x->resource == high->index     ? 1
               : x->resource == internet->index ? 3
                                                : 0] = x->order;
    }
    for (unsigned i = 1; i < 4; i++)
        assert_true(orders[i - 1] < orders[i]);
}

/* Its place is free when it is published that it is gone, and the worker has let go. */
static void test_removed(void **state)
{
    (void)state;
    struct tunnel_resource *r = add_resource(1, LAB, 0, NULL);
    uint32_t slot = fake.steps[0].c.slot, index = r->index, generation = r->generation;

    pass(0);
    forget_steps();
    fake.routes_fail = true;
    tunnel_resource_remove(r);
    pass(SEC(1));
    assert_null(step_of(COMMAND_PEER_REMOVE));
    fake.routes_fail = false;
    pass(SEC(1));
    assert_int_equal(assert_step(1, COMMAND_PEER_REMOVE)->slot, slot);
    assert_int_equal(fake.policy.routes_n, 0);
    r = add_resource(2, LAB, 0, NULL);
    assert_int_equal(r->index, index);
    assert_true(r->generation != generation);
    assert_int_not_equal(step_of(COMMAND_PEER_ADD)->slot, slot);
    events_come();
    forget_steps();
    assert_non_null(add_resource(3, NULL, 0, NULL));
    assert_int_equal(step_of(COMMAND_PEER_ADD)->slot, slot);
}

static void set_name(uint32_t number, const struct tunnel_resource *r, bool holds, bool keeps)
{
    struct tunnel_name_target target = {
        .resource = r, .v4 = true, .v6 = true, .holds = holds, .keeps = keeps};
    tunnel_name_set(t, number, &target, r ? 1 : 0);
}

/* Packets wait for the gateway, go on, and then the record is given back. */
static void test_name(void **state)
{
    (void)state;
    struct tunnel_resource *r = add_resource(1, NULL, 2, NULL);

    pass(0);
    forget_steps();
    set_name(7, r, true, false);
    assert_int_equal(assert_step(0, NAMED)->slot, 7);
    assert_true(fake.name[0].hold && fake.name[0].waits == ENGINE_NONE);
    set_name(7, r, true, true);
    uint32_t slot = assert_step(1, COMMAND_PEER_ADD)->slot;
    assert_int_equal(fake.peers[slot]->waits_max, 32);
    assert_int_equal(fake.steps[1].worker, 2);
    assert_step(2, NAMED);
    assert_int_equal(slot_in(fake.name[0].waits), slot);
    assert_int_equal(fake.name[0].generation, r->generation);
    forget_steps();
    set_name(7, r, false, false);
    assert_step(0, NAMED);
    assert_true(!fake.name[0].hold && slot_in(fake.name[0].waits) == slot);
    assert_int_equal(assert_step(1, COMMAND_STAGE_REPLAY)->slot, slot);
    assert_step(2, COMMAND_ECHO);
    forget_steps();
    events_come();
    assert_step(0, NAMED);
    assert_int_equal(fake.name[0].waits, ENGINE_NONE);
    pass(0);
    assert_int_equal(step_of(COMMAND_PEER_REMOVE)->slot, slot);
    forget_steps();
    set_name(7, NULL, false, false);
    assert_int_equal(fake.name_n, 0);
    events_come();
}

/* The echo of the first time comes when packets wait there again. */
static void test_name_waits_again(void **state)
{
    (void)state;
    struct tunnel_resource *r = add_resource(1, NULL, 2, NULL);

    set_name(0, r, true, true);
    uint32_t slot = slot_in(fake.name[0].waits);
    set_name(0, r, false, false);
    set_name(0, r, true, true);
    assert_int_equal(slot_in(fake.name[0].waits), slot);
    forget_steps();
    events_come();
    pass(0);
    assert_null(step_of(COMMAND_PEER_REMOVE));
    set_name(0, r, false, false);
    events_come();
    pass(0);
    assert_int_equal(step_of(COMMAND_PEER_REMOVE)->slot, slot);
}

static void test_name_without_its_resource(void **state)
{
    (void)state;
    struct tunnel_resource *r = add_resource(1, NULL, 2, NULL);

    set_name(3, r, true, true);
    uint32_t slot = slot_in(fake.name[0].waits);
    forget_steps();
    set_name(3, NULL, false, false);
    tunnel_resource_remove(r);
    pass(0);
    unsigned removed = 0;
    for (unsigned i = 0; i < fake.steps_n; i++)
        removed += fake.steps[i].c.kind == COMMAND_PEER_REMOVE;
    assert_int_equal(removed, 2); /* the name's and the resource's */
    assert_int_equal(step_of(COMMAND_PEER_REMOVE)->slot, slot);
}

static void test_addresses_and_stubs(void **state)
{
    (void)state;
    struct ip_addr own = addr("100.64.0.7:0").ip, none = {.family = ADDR_NONE};
    struct ip_addr stub = addr("100.100.111.1:0").ip;

    tunnel_p2p_addresses(t, &own, &none);
    assert_true(ip_addr_equal(&fake.policy.ipv4, &own));
    assert_int_equal(fake.policy.ipv6.family, ADDR_NONE);
    tunnel_policy_stubs(t, &stub, 1);
    assert_int_equal(fake.policy.stubs_n, 1);
    assert_true(ip_addr_equal(&fake.policy.stubs[0], &stub));
    assert_true(ip_addr_equal(&fake.policy.ipv4, &own));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_client, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_waits),
        TEST(test_grant),
        TEST(test_peer_removed),
        TEST(test_order),
        TEST(test_removed),
        TEST(test_name),
        TEST(test_name_waits_again),
        TEST(test_name_without_its_resource),
        TEST(test_addresses_and_stubs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
