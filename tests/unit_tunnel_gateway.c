/* SPDX-License-Identifier: Apache-2.0 */
/* What a gateway's tunnel tells its workers of clients, and what comes back. */
#include "control/tunnel_gateway.h"

#include "tests/tunnel_p2p_rig.h"

static struct {
    struct tunnel_translation *x;
    unsigned times;
    bool done;
} last;

static int set_up_gateway(void **state)
{
    int result = set_up(state);

    t->options.role = ENGINE_GATEWAY;
    memset(&last, 0, sizeof last);
    return result;
}

static void on_done(struct tunnel_translation *x, bool done)
{
    last.x = x;
    last.done = done;
    last.times++;
}

/* The worker has it. */
static void answer(const struct command *c, bool done)
{
    fake.acks[fake.acks_end++] =
        (struct event_ack){.kind = ACK_TRANSLATED, .translation = c->translation, .done = done};
    events_come();
}

static void test_translation(void **state)
{
    struct tunnel_translation x = {.engine = {.n = 2, .grant = 3}, .done = on_done};

    (void)state;
    (void)add_peer(1, 5, false, NULL);
    struct tunnel_peer *p = add_peer(2, 4, false, NULL);
    forget_steps();
    tunnel_gateway_translate(p, &x);
    const struct command *c = assert_step(0, COMMAND_TRANSLATE);
    assert_int_equal(fake.steps[0].worker, 4 % WORKERS);
    assert_int_equal(c->slot, p->slot);
    assert_int_equal(c->translation->slot, p->slot);
    assert_int_equal(c->translation->grant, 3);
    assert_int_equal(last.times, 0);
    answer(c, true);
    assert_int_equal(last.times, 1);
    assert_true(last.done);
    assert_ptr_equal(last.x, &x);
    tunnel_gateway_translate(p, &x);
    answer(c, false);
    assert_int_equal(last.times, 2);
    assert_false(last.done);
}

/* Its queue is in order: the peer is there still when the worker sees it, or never was. */
static void test_peer_goes_meanwhile(void **state)
{
    struct tunnel_translation x = {.engine = {.n = 1}, .done = on_done};
    struct tunnel_peer *p = add_peer(1, 4, false, NULL);

    (void)state;
    forget_steps();
    tunnel_gateway_translate(p, &x);
    tunnel_p2p_remove(t, p);
    const struct command *c = assert_step(0, COMMAND_TRANSLATE);
    assert_non_null(step_of(COMMAND_PEER_REMOVE));
    answer(c, true);
    assert_int_equal(last.times, 1);
}

static void test_grants_go_to_the_peer(void **state)
{
    struct engine_grant g = {.index = 7, .kind = ENGINE_GRANT_INTERNET};
    struct tunnel_peer *p = add_peer(1, 4, false, NULL);
    struct ip_addr v4 = prefix("100.64.0.9/32").ip, none = {.family = ADDR_NONE};

    (void)state;
    tunnel_gateway_grants(p, &(struct engine_grants){.grants = &g, .n = 1});
    assert_ptr_equal(fake.granted_to, p->engine_peer);
    assert_int_equal(fake.granted_n, 1);
    tunnel_p2p_addresses(t, &v4, &none);
    assert_true(ip_addr_equal(&fake.gateway, &v4));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_gateway, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_translation),
        TEST(test_peer_goes_meanwhile),
        TEST(test_grants_go_to_the_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
