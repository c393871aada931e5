/* SPDX-License-Identifier: Apache-2.0 */
/* Policies of the development portal that are taken away and brought back, and authorisations that end at another time. */
#include "tests/portal_flow.h"

#define HEAD                                                                                       \
    "[portal]\nconnect_limit = no\nidle = 1h\n"                                                    \
    "[client-token a]\ntoken = .laptop\ngroups = staff\n"                                          \
    "[client-token b]\ntoken = .guest\ngroups = guests\n"                                          \
    "[gateway-token gw]\ntoken = .gw\nsite = A\n[site A]\n"                                        \
    "[resource Lab]\ntype = cidr\naddress = 10.20.0.0/16\nsite = A\n"                              \
    "[resource Web]\ntype = dns\naddress = web.example\nsite = A\n"                                \
    "[resource Git]\ntype = dns\naddress = *.git.example\nsite = A\n"

static void expect_deleted(struct rig *rig, struct portal_session *c, const char *name)
{
    char id[37], json[64];
    rig_id(rig, "resources", name, id);
    snprintf(json, sizeof json, "\"%s\"", id);
    rig_expect_payload(c, "resource_deleted", json);
}

static void expect_shown(struct portal_session *c, const char *name)
{
    json_t *view = rig_expect(c, "resource_created_or_updated");
    assert_string_equal(rig_text(view, "name"), name);
    json_decref(view);
}

/* How many resources a client of the token is told of when it comes. */
static size_t resources_of(struct rig *rig, const char *id, const char *token)
{
    char query[128];
    snprintf(query, sizeof query, "external_id=%s&public_key=%s", id, RIG_KEY_A);
    struct portal_session *s = rig_upgrade(rig, "/client/v2/websocket", query, token, RIG_CLIENT);
    json_t *init = rig_join(rig, s, "client");
    size_t n = json_array_size(json_object_get(init, "resources"));
    json_decref(init);
    rig_close(rig, s);
    return n;
}

/* Only what nothing else shows goes and comes; what the policy allowed is revoked, and may be had again afterwards. */
static void test_policy_off_and_on(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, HEAD "[policy staff]\ngroups = staff\nresources = Lab, Web\n"
                         "[policy all]\ngroups = staff\nresources = *\n"
                         "[policy guests]\ngroups = guests\nresources = Web\n");
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    struct portal_session *b = rig_client(&rig, "b", ".guest");
    json_decref(flow_authorize(&rig, c, g, "Git"));
    json_decref(flow_authorize(&rig, b, g, "Web"));

    rig_order(&rig, "{\"command\":\"policy\",\"name\":\"all\",\"on\":false}");
    json_decref(rig_expect(g, "reject_access"));
    expect_deleted(&rig, c, "Git");
    rig_order(&rig, "{\"command\":\"policy\",\"name\":\"all\",\"on\":false}"); /* it is already */
    rig_expect_nothing(g);
    rig_expect_nothing(c);
    rig_expect_nothing(b);
    flow_ask(&rig, c, "request_authorization", "Git", "[]");
    flow_expect_refused(&rig, c, "Git", "not_found");
    assert_int_equal(resources_of(&rig, "a2", ".laptop"), 2);

    rig_order(&rig, "{\"command\":\"policy\",\"name\":\"staff\",\"on\":false}");
    expect_deleted(&rig, c, "Lab");
    expect_deleted(&rig, c, "Web");
    assert_int_equal(resources_of(&rig, "a2", ".laptop"), 0);
    assert_int_equal(resources_of(&rig, "b2", ".guest"), 1);

    rig_order(&rig, "{\"command\":\"policy\",\"name\":\"all\"}");
    expect_shown(c, "Lab");
    expect_shown(c, "Web");
    expect_shown(c, "Git");
    json_decref(flow_authorize(&rig, c, g, "Git"));
    rig_order(&rig, "{\"command\":\"policy\",\"name\":\"staff\",\"on\":true}");
    rig_expect_nothing(c);
    rig_expect_nothing(b);
    rig_expect_nothing(g);
    rig_stop(&rig);
}

/* The one that there is without any other goes as well: then nobody may reach anything. */
static void test_policy_of_everybody(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, HEAD);
    assert_int_equal(resources_of(&rig, "a", ".laptop"), 3);
    rig_order(&rig, "{\"command\":\"policy\",\"name\":\"everybody\",\"on\":false}");
    assert_int_equal(resources_of(&rig, "a", ".laptop"), 0);
    json_t *answer = rig_control(&rig, "{\"command\":\"state\",\"part\":\"policies\"}");
    const json_t *first = json_array_get(json_object_get(answer, "policies"), 0);
    assert_true(json_is_false(json_object_get(first, "on")));
    json_decref(answer);
    rig_stop(&rig);
}

/* A request that the gateway has not answered when the policy goes is not granted. */
static void test_policy_gone_meanwhile(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, HEAD);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    flow_ask(&rig, c, "request_authorization", "Web", "[]");
    json_t *order = rig_expect(g, "create_authorization");
    rig_order(&rig, "{\"command\":\"policy\",\"name\":\"everybody\",\"on\":false}");
    json_decref(rig_expect(g, "reject_access"));
    for (int i = 0; i < 3; i++)
        json_decref(rig_expect(c, "resource_deleted"));
    flow_agree(&rig, g, "authorization_created", rig_text(order, "ref"));
    flow_expect_reply(g, "ok", NULL);
    rig_expect_nothing(c);
    json_decref(order);
    rig_stop(&rig);
}

/* What the gateway's init says of the end of the first authorisation; 0: there is none. */
static int64_t end_by_init(struct rig *rig, struct portal_session *g)
{
    rig_order(rig, "{\"command\":\"init\",\"role\":\"gateway\"}");
    json_t *init = rig_expect(g, "init");
    int64_t at = json_integer_value(
        json_object_get(json_array_get(json_object_get(init, "authorizations"), 0), "expires_at"));
    json_decref(init);
    return at;
}

static void test_lifetime(void **state)
{
    struct rig rig;
    char client_id[37], web[37], moved[256];
    (void)state;

    rig_start(&rig, HEAD);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    json_decref(flow_authorize(&rig, c, g, "Web"));
    json_t *answer = rig_control(&rig, "{\"command\":\"lifetime\",\"in\":5,\"resource\":\"Lab\"}");
    assert_int_equal(json_integer_value(json_object_get(answer, "authorizations")), 0);
    json_decref(answer);
    rig_expect_nothing(g);

    rig_id(&rig, "devices", "a", client_id);
    rig_id(&rig, "resources", "Web", web);
    snprintf(moved, sizeof moved,
             "{\"client_id\":\"%s\",\"resource_id\":\"%s\",\"expires_at\":%lld}", client_id, web,
             (long long)RIG_UNIX + 5);
    rig_order(&rig, "{\"command\":\"lifetime\",\"in\":5,\"client\":\"a\",\"peer\":\"g\"}");
    rig_expect_payload(g, "access_authorization_expiry_updated", moved);
    rig_expect_nothing(c);
    assert_int_equal(end_by_init(&rig, g), RIG_UNIX + 5);
    rig_wait_ms(&rig, 5000);
    assert_int_equal(end_by_init(&rig, g), 0);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policy_off_and_on),
        cmocka_unit_test(test_policy_of_everybody),
        cmocka_unit_test(test_policy_gone_meanwhile),
        cmocka_unit_test(test_lifetime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
