/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of authorisations of the development portal: repeated, changed and revoked. */
#include "tests/portal_flow.h"

/* The client is gone before the gateway agrees, or the gateway before it does. */
static void test_gone(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    flow_ask(&rig, c, "request_authorization", "Lab", "[]");
    json_t *order = rig_expect(g, "create_authorization");
    rig_close(&rig, c);
    flow_agree(&rig, g, "authorization_created", rig_text(order, "ref"));
    flow_expect_reply(g, "ok", NULL);
    json_decref(order);
    c = rig_client(&rig, "a", ".laptop");
    flow_ask(&rig, c, "request_authorization", "Lab", "[]");
    rig_close(&rig, g);
    rig_wait_ms(&rig, 15000);
    flow_expect_refused(&rig, c, "Lab", "offline");
    rig_stop(&rig);
}

/* The resource is gone before the gateway agrees. */
static void test_removed_meanwhile(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    flow_ask(&rig, c, "request_authorization", "Lab", "[]");
    json_t *order = rig_expect(g, "create_authorization");
    rig_order(&rig, "{\"command\":\"resource_remove\",\"name\":\"Lab\"}");
    json_decref(rig_expect(c, "resource_deleted"));
    flow_agree(&rig, g, "authorization_created", rig_text(order, "ref"));
    flow_expect_reply(g, "ok", NULL);
    json_decref(order);
    rig_wait_ms(&rig, 15000);
    rig_expect_nothing(c);
    rig_expect_nothing(g);
    rig_stop(&rig);
}

/* What was granted is repeated to a gateway that comes back, until it expires or is revoked. */
static void test_replay(void **state)
{
    struct rig rig;
    char client_id[37], lab[37];
    (void)state;

    rig_start(&rig, "[portal]\nconnect_limit = no\nidle = 1h\n"
                    "[client-token a]\ntoken = .laptop\n[gateway-token gw]\ntoken = .gw\nsite = A\n"
                    "[site A]\n[resource Lab]\ntype = ip\naddress = 10.0.0.1\nsite = A\n"
                    "[policy p]\ngroups = *\nresources = *\nlifetime = 10m\n");
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    json_decref(flow_authorize(&rig, c, g, "Lab"));
    rig_id(&rig, "devices", "a", client_id);
    rig_id(&rig, "resources", "Lab", lab);
    rig_close(&rig, g);
    g = rig_upgrade(&rig, "/gateway/v2/websocket", "external_id=g&public_key=" RIG_KEY_B, ".gw",
                    RIG_GATEWAY);
    json_t *init = rig_join(&rig, g, "gateway");
    json_t *wanted = json_pack("[{s:s, s:s, s:I}]", "client_id", client_id, "resource_id", lab,
                               "expires_at", (json_int_t)(RIG_UNIX + 600));
    assert_true(json_equal(json_object_get(init, "authorizations"), wanted));
    json_decref(wanted);
    json_decref(init);
    /* Another one through the same gateway makes it longer, not two. */
    rig_wait_ms(&rig, 60000);
    json_decref(flow_authorize(&rig, c, g, "Lab"));
    rig_order(&rig, "{\"command\":\"init\",\"role\":\"gateway\"}");
    init = rig_expect(g, "init");
    json_t *list = json_object_get(init, "authorizations");
    assert_int_equal(json_array_size(list), 1);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "expires_at")),
                     RIG_UNIX + 660);
    json_decref(init);
    rig_wait_ms(&rig, 600000);
    rig_order(&rig, "{\"command\":\"init\",\"role\":\"gateway\"}");
    init = rig_expect(g, "init");
    assert_int_equal(json_array_size(json_object_get(init, "authorizations")), 0);
    json_decref(init);
    rig_wait_ms(&rig, 60000);
    rig_order(&rig, "{\"command\":\"state\",\"part\":\"authorizations\"}");
    rig_stop(&rig);
}

static void test_revoke(void **state)
{
    struct rig rig;
    char client_id[37], lab[37], rejected[256];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    rig_id(&rig, "devices", "a", client_id);
    rig_id(&rig, "resources", "Lab", lab);
    snprintf(rejected, sizeof rejected, "{\"client_id\":\"%s\",\"resource_id\":\"%s\"}", client_id,
             lab);
    json_decref(flow_authorize(&rig, c, g, "Lab"));
    rig_order(&rig, "{\"command\":\"revoke\",\"client\":\"a\",\"resource\":\"Lab\"}");
    rig_expect_payload(g, "reject_access", rejected);
    rig_expect_nothing(c);

    /* Filters change in place, an address does not. */
    json_decref(flow_authorize(&rig, c, g, "Lab"));
    rig_order(&rig, "{\"command\":\"resource_change\",\"name\":\"Lab\",\"filters\":\"icmp\"}");
    json_t *view = rig_expect(g, "resource_updated");
    assert_string_equal(rig_text(view, "id"), lab);
    assert_int_equal(json_array_size(json_object_get(view, "filters")), 1);
    json_decref(view);
    json_decref(rig_expect(c, "resource_created_or_updated"));
    rig_order(&rig,
              "{\"command\":\"resource_change\",\"name\":\"Lab\",\"address\":\"10.1.0.0/16\"}");
    rig_expect_payload(g, "reject_access", rejected);
    json_decref(rig_expect(c, "resource_created_or_updated"));

    json_decref(flow_authorize(&rig, c, g, "Lab"));
    rig_order(&rig, "{\"command\":\"resource_remove\",\"name\":\"Lab\"}");
    rig_expect_payload(g, "reject_access", rejected);
    rig_expect_nothing(g);
    rig_stop(&rig);
}

/* A token that ends takes its authorisations with it. */
static void test_expired_token(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    json_decref(flow_authorize(&rig, c, g, "Lab"));
    rig_order(&rig, "{\"command\":\"expire\",\"token\":\"laptop\"}");
    rig_expect_payload(c, "disconnect", "{\"reason\":\"token_expired\"}");
    rig_expect_payload(c, "phx_close", "{}");
    rig_expect_over(c, 1000);
    json_decref(rig_expect(g, "reject_access"));
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gone),          cmocka_unit_test(test_removed_meanwhile),
        cmocka_unit_test(test_replay),        cmocka_unit_test(test_revoke),
        cmocka_unit_test(test_expired_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
