/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of authorisations of the development portal: repeated, changed and revoked. */
#include "tests/portal_flow.h"
#include "tools/fzportal/derive.h"

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
    json_decref(rig_expect(g, "reject_access"));
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

/* What a gateway was asked for counts before it answers, and whether or not it does. */
static void test_before_the_answer(void **state)
{
    enum how {
        CLIENT_GONE,
        ASKED_AGAIN,
        TOO_LATE,
        ANSWERED
    };
    static const char *const ends[] = {
        "{\"command\":\"revoke\",\"client\":\"a\"}",
        "{\"command\":\"expire\",\"token\":\"laptop\"}",
        "{\"command\":\"resource_remove\",\"name\":\"Lab\"}",
        "{\"command\":\"resource_change\",\"name\":\"Lab\",\"address\":\"10.1.0.0/16\"}"};
    (void)state;

    for (int how = CLIENT_GONE; how <= ANSWERED; how++) {
        for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
            struct rig rig;
            rig_start(&rig, RIG_CONFIG);
            struct portal_session *c = rig_client(&rig, "a", ".laptop"),
                                  *g = rig_gateway(&rig, "g");
            flow_ask(&rig, c, "request_authorization", "Lab", "[]");
            json_t *order = rig_expect(g, "create_authorization");
            if (how == CLIENT_GONE)
                rig_close(&rig, c);
            if (how == ASKED_AGAIN) {
                flow_ask(&rig, c, "request_authorization", "Lab", "[]");
                json_decref(rig_expect(g, "create_authorization"));
            }
            if (how == TOO_LATE)
                rig_wait_ms(&rig, 15000);
            if (how == ANSWERED) {
                flow_agree(&rig, g, "authorization_created", rig_text(order, "ref"));
                flow_expect_reply(g, "ok", NULL);
            }
            rig_order(&rig, ends[i]);
            json_t *rejected = rig_expect(g, "reject_access");
            assert_string_equal(rig_text(rejected, "client_id"),
                                rig_text(json_object_get(order, "client"), "id"));
            assert_string_equal(rig_text(rejected, "resource_id"),
                                rig_text(json_object_get(order, "resource"), "id"));
            json_decref(rejected);
            json_decref(order);
            rig_expect_nothing(g);
            rig_stop(&rig);
        }
    }
}

/* An answer to what was revoked meanwhile means nothing to the client. */
static void test_revoked_meanwhile(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    flow_ask(&rig, c, "request_authorization", "Lab", "[]");
    json_t *order = rig_expect(g, "create_authorization");
    rig_order(&rig, "{\"command\":\"revoke\",\"client\":\"a\"}");
    json_decref(rig_expect(g, "reject_access"));
    flow_agree(&rig, g, "authorization_created", rig_text(order, "ref"));
    flow_expect_reply(g, "ok", NULL);
    rig_expect_nothing(c);
    json_decref(order);
    rig_stop(&rig);
}

/* A gateway that comes back before it has answered finds what it was asked for. */
static void test_replay_unanswered(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    flow_ask(&rig, c, "request_authorization", "Lab", "[]");
    rig_close(&rig, g);
    g = rig_upgrade(&rig, "/gateway/v2/websocket", "external_id=g&public_key=" RIG_KEY_B, ".gw",
                    RIG_GATEWAY);
    json_t *init = rig_join(&rig, g, "gateway");
    assert_int_equal(json_array_size(json_object_get(init, "authorizations")), 1);
    json_decref(init);
    rig_expect_nothing(c);
    rig_stop(&rig);
}

/* Other filters are told to all gateways, whether or not anybody has asked them for the resource. */
static void test_filters(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    struct portal_session *h = rig_gateway(&rig, "h");
    rig_order(&rig, "{\"command\":\"resource_change\",\"name\":\"Lab\",\"filters\":\"icmp\"}");
    json_decref(rig_expect(g, "resource_updated"));
    json_decref(rig_expect(h, "resource_updated"));
    json_decref(rig_expect(c, "resource_created_or_updated"));
    rig_order(&rig, "{\"command\":\"resource_change\",\"name\":\"Cameras\",\"filters\":\"icmp\"}");
    rig_expect_nothing(g);
    json_decref(rig_expect(c, "resource_created_or_updated"));
    rig_expect_nothing(c);
    rig_stop(&rig);
}

static void ids_of_a_run(struct rig *rig, char device[37], char resource[37], char grant[37])
{
    struct portal_session *c = rig_client(rig, "a", ".laptop"), *g = rig_gateway(rig, "g");
    json_decref(flow_authorize(rig, c, g, "Lab"));
    rig_id(rig, "devices", "a", device);
    rig_id(rig, "resources", "Lab", resource);
    json_t *answer = rig_control(rig, "{\"command\":\"state\",\"part\":\"authorizations\"}");
    snprintf(grant, 37, "%s",
             rig_text(json_array_get(json_object_get(answer, "authorizations"), 0), "id"));
    json_decref(answer);
}

/* With the same seed what has a name keeps its ids after a restart, and what has none gets others. */
static void test_restart(void **state)
{
    struct rig rig;
    char device[2][37], resource[2][37], grant[2][37];
    uint8_t seed[32];
    (void)state;

    rig_start(&rig, RIG_CONFIG "[client-token made]\n");
    for (int i = 0; i < 2; i++) {
        portal_free(rig.p);
        derive_seed(seed, "some text");
        rig.t.unix_seconds++;
        assert_int_equal(portal_new(&rig.p, &rig.config, seed, rig.t), ERR_OK);
        ids_of_a_run(&rig, device[i], resource[i], grant[i]);
    }
    assert_string_equal(device[0], device[1]);
    assert_string_equal(resource[0], resource[1]);
    assert_string_not_equal(grant[0], grant[1]);
    rig_stop(&rig);
}

/* Of several policies the one by which access lasts longest counts; of refusals, all reasons. */
static void test_several_policies(void **state)
{
    static const struct {
        const char *policies;
        int lifetime_s; /* 0: refused */
    } cases[] = {
        {"[policy p]\ngroups = *\nresources = R\nlifetime = 10m\n"
         "[policy q]\ngroups = *\nresources = *\nlifetime = 20m\n",
         1200},
        {"[policy p]\ngroups = *\nresources = R\nlifetime = 20m\n"
         "[policy q]\ngroups = *\nresources = R\nlifetime = 10m\n",
         1200},
        {"[policy p]\ngroups = *\nresources = R\nlifetime = 20m\n"
         "[policy q]\ngroups = *\nresources = R\n",
         30 * 86400},
        {"[policy p]\ngroups = *\nresources = R\nviolates = remote_ip\n"
         "[policy q]\ngroups = *\nresources = *\nlifetime = 10m\n"
         "[policy r]\ngroups = x\nresources = *\n",
         600},
        {"[policy p]\ngroups = *\nresources = R\nviolates = remote_ip, client_verified\n"
         "[policy q]\ngroups = *\nresources = *\nviolates = auth_provider_id, remote_ip\n"
         "[policy r]\ngroups = x\nresources = *\nviolates = current_utc_datetime\n",
         0},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig rig;
        char config[1024];
        snprintf(config, sizeof config,
                 "[portal]\nconnect_limit = no\n[client-token a]\ntoken = .laptop\n"
                 "[gateway-token gw]\ntoken = .gw\nsite = A\n[site A]\n"
                 "[resource R]\ntype = ip\naddress = 10.0.0.1\nsite = A\n%s",
                 cases[i].policies);
        rig_start(&rig, config);
        struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
        flow_ask(&rig, c, "request_authorization", "R", "[]");
        if (cases[i].lifetime_s > 0) {
            json_t *order = rig_expect(g, "create_authorization");
            assert_int_equal(json_integer_value(json_object_get(order, "expires_at")),
                             RIG_UNIX + cases[i].lifetime_s);
            json_decref(order);
        } else {
            json_t *failed = rig_expect(c, "authorization_creation_failed");
            json_t *wanted =
                json_pack("[s, s, s]", "remote_ip", "client_verified", "auth_provider_id");
            assert_true(json_equal(json_object_get(failed, "violated_properties"), wanted));
            json_decref(wanted);
            json_decref(failed);
        }
        rig_stop(&rig);
    }
}

/* An authorisation ends with the token it was asked for with, which a device may have changed since for another of its actor. */
static void test_changed_token(void **state)
{
    static const char *const tokens[] = {"one", "two"};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        struct rig rig;
        char command[64];
        rig_start(&rig, "[portal]\nconnect_limit = no\n"
                        "[client-token one]\ntoken = .one\nactor = Ada\n"
                        "[client-token two]\ntoken = .two\nactor = Ada\n"
                        "[gateway-token gw]\ntoken = .gw\nsite = A\n[site A]\n"
                        "[resource R]\ntype = ip\naddress = 10.0.0.1\nsite = A\n");
        struct portal_session *c = rig_client(&rig, "a", ".one"), *g = rig_gateway(&rig, "g");
        json_decref(flow_authorize(&rig, c, g, "R"));
        rig_close(&rig, c);
        rig_client(&rig, "a", ".two");
        snprintf(command, sizeof command, "{\"command\":\"expire\",\"token\":\"%s\"}", tokens[i]);
        rig_order(&rig, command);
        if (i == 0)
            json_decref(rig_expect(g, "reject_access"));
        rig_expect_nothing(g);
        rig_stop(&rig);
    }
}

/* The ingest tokens of an authorisation name it; asked for again, it is another one. */
static void test_named_in_tokens(void **state)
{
    struct rig rig;
    char seen[2][37];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    for (int i = 0; i < 2; i++) {
        flow_ask(&rig, c, "request_authorization", "Lab", "[]");
        json_t *order = rig_expect(g, "create_authorization");
        flow_expect_shown(&rig, order);
        flow_agree(&rig, g, "authorization_created", rig_text(order, "ref"));
        flow_expect_reply(g, "ok", NULL);
        json_t *answer = rig_expect(c, "authorization_created"), *claims = flow_claims(answer);
        flow_expect_shown(&rig, answer);
        snprintf(seen[i], sizeof seen[i], "%s", rig_text(claims, "policy_authorization_id"));
        json_decref(claims);
        json_decref(answer);
        json_decref(order);
    }
    assert_string_not_equal(seen[0], seen[1]);

    struct portal_session *t = rig_client(&rig, "cam", ".camera");
    rig_order(&rig, "{\"command\":\"address\",\"device\":\"cam\",\"ipv4\":\"100.64.1.38\"}");
    json_decref(rig_expect(t, "init"));
    char pool[37], payload[256];
    rig_id(&rig, "resources", "Cameras", pool);
    snprintf(payload, sizeof payload, "{\"resource_id\":\"%s\",\"ipv4\":\"100.64.1.38\"}", pool);
    rig_say(&rig, c, "client", "request_authorization", payload, 1);
    json_t *mine = rig_expect(c, "client_device_access_authorized");
    json_t *theirs = rig_expect(t, "client_device_access_authorized");
    flow_expect_shown(&rig, mine);
    flow_expect_shown(&rig, theirs);
    json_decref(mine);
    json_decref(theirs);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_removed_meanwhile),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_revoke),
        cmocka_unit_test(test_expired_token),
        cmocka_unit_test(test_before_the_answer),
        cmocka_unit_test(test_revoked_meanwhile),
        cmocka_unit_test(test_replay_unanswered),
        cmocka_unit_test(test_filters),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_several_policies),
        cmocka_unit_test(test_changed_token),
        cmocka_unit_test(test_named_in_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
