/* SPDX-License-Identifier: Apache-2.0 */
/* Authorisations of the development portal: a client asks, a gateway agrees, and what becomes of it. Both generations. */
#include "control/portal/messages.h"
#include "tests/portal_flow.h"
#include "tools/fzportal/derive.h"

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="

/* A JWT with the claims that devices insist on. */
static void check_token(const json_t *message, const char *role)
{
    json_t *claims = flow_claims(message);
    static const char *const needed[] = {"account_id",
                                         "initiator_device_id",
                                         "responder_device_id",
                                         "policy_authorization_id",
                                         "policy_id",
                                         "resource_id",
                                         "resource_name",
                                         "initiator_actor_id",
                                         "authorized_at",
                                         "initiator_actor_name",
                                         "authorization_expires_at"};
    for (size_t i = 0; i < ARRAY_LEN(needed); i++)
        rig_text(claims, needed[i]);
    assert_string_equal(rig_text(claims, "role"), role);
    assert_string_equal(rig_text(claims, "authorized_at"), "2026-07-31T12:13:20.000000Z");
    assert_true(json_is_false(json_object_get(claims, "uploads_enabled")));
    json_int_t exp = json_integer_value(json_object_get(claims, "exp"));
    assert_int_equal(exp, RIG_UNIX + 30 * 86400 + 30 * 86400);
    json_decref(claims);
}

static void test_authorize(void **state)
{
    struct rig rig;
    char client_id[37], gateway_id[37], lab[37], site[37];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    rig_id(&rig, "devices", "a", client_id);
    rig_id(&rig, "devices", "g", gateway_id);
    rig_id(&rig, "resources", "Lab", lab);
    rig_id(&rig, "sites", "Main", site);

    flow_ask(&rig, c, "request_authorization", "Lab", "[]");
    rig_expect_nothing(c);
    json_t *order = rig_expect(g, "create_authorization");
    json_t *view = json_pack("{s:s, s:s, s:s, s:s, s:[]}", "type", "cidr", "id", lab, "name", "Lab",
                             "address", "10.20.0.0/16", "filters");
    assert_true(json_equal(json_object_get(order, "resource"), view));
    json_decref(view);
    json_t *client = json_object_get(order, "client");
    assert_string_equal(rig_text(client, "id"), client_id);
    assert_string_equal(rig_text(client, "public_key"), KEY_A);
    assert_string_equal(rig_text(client, "version"), "1.5.12");
    assert_string_equal(rig_text(client, "device_os_name"), "Ubuntu");
    assert_string_equal(rig_text(client, "device_os_version"), "22.4.0");
    assert_true(json_is_null(json_object_get(client, "device_serial")));
    assert_int_equal(json_object_size(client), 12);
    json_t *subject = json_object_get(order, "subject");
    assert_string_equal(rig_text(subject, "actor_name"), "Ada");
    assert_string_equal(rig_text(subject, "actor_type"), "account_user");
    assert_string_equal(rig_text(subject, "ip"), "198.51.100.20");
    assert_int_equal(json_object_size(subject), 11);
    assert_int_equal(json_integer_value(json_object_get(order, "expires_at")),
                     RIG_UNIX + 30 * 86400);
    assert_true(json_is_false(json_object_get(order, "use_iceless")));
    check_token(order, "responder");

    flow_agree(&rig, g, "authorization_created", rig_text(order, "ref"));
    flow_expect_reply(g, "ok", NULL);
    json_t *answer = rig_expect(c, "authorization_created");
    struct fields f = {.failed = false};
    struct message m;
    if (!message_read(&m, "authorization_created", answer, &f))
        fail_msg("%s", f.why);
    message_wipe(&m);
    check_token(answer, "initiator");
    assert_string_equal(rig_text(answer, "resource_id"), lab);
    assert_string_equal(rig_text(answer, "gateway_id"), gateway_id);
    assert_string_equal(rig_text(answer, "site_id"), site);
    assert_string_equal(rig_text(answer, "gateway_public_key"), KEY_B);
    assert_string_equal(rig_text(answer, "preshared_key"), rig_text(client, "preshared_key"));
    assert_true(json_equal(json_object_get(answer, "client_ice_credentials"),
                           json_object_get(order, "client_ice_credentials")));
    assert_true(json_equal(json_object_get(answer, "gateway_ice_credentials"),
                           json_object_get(order, "gateway_ice_credentials")));
    assert_int_equal(json_object_size(answer), 12 - 1);
    struct derive_ice ci, gi;
    struct derive_end ce = {client_id, KEY_A, NULL}, ge = {gateway_id, KEY_B, NULL};
    derive_ice(&ci, &gi, &ce, &ge);
    assert_string_equal(rig_text(json_object_get(answer, "client_ice_credentials"), "username"),
                        ci.username);
    assert_string_equal(rig_text(json_object_get(answer, "gateway_ice_credentials"), "password"),
                        gi.password);
    json_decref(order);

    /* The same keys give the same secrets. */
    json_t *again = flow_authorize(&rig, c, g, "Git");
    assert_string_equal(rig_text(again, "preshared_key"), rig_text(answer, "preshared_key"));
    json_decref(again);
    json_decref(answer);
    rig_stop(&rig);
}

static void test_refusals(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop");
    flow_ask(&rig, c, "request_authorization", "Lab", "[]");
    flow_expect_refused(&rig, c, "Lab", "offline");
    struct portal_session *g =
        rig_gateway_as(&rig, "/gateway/v2/websocket", "g", "X/1 gateway/1.3.9");
    flow_ask(&rig, c, "request_authorization", "Lab", "[]");
    flow_expect_refused(&rig, c, "Lab", "version_mismatch");
    struct portal_session *odd =
        rig_gateway_as(&rig, "/gateway/v2/websocket", "h", "X/1 gateway/one");
    flow_ask(&rig, c, "request_authorization", "Lab", "[]");
    flow_expect_refused(&rig, c, "Lab", "version_mismatch");
    flow_ask(&rig, c, "request_authorization", "Far", "[]");
    flow_expect_refused(&rig, c, "Far", "offline");

    flow_ask(&rig, c, "request_authorization", "Vault", "[]");
    json_t *failed = rig_expect(c, "authorization_creation_failed");
    assert_string_equal(rig_text(failed, "reason"), "forbidden");
    json_t *wanted = json_pack("[s]", "remote_ip");
    assert_true(json_equal(json_object_get(failed, "violated_properties"), wanted));
    json_decref(wanted);
    json_decref(failed);

    rig_say(&rig, c, "client", "request_authorization",
            "{\"resource_id\":\"11111111-1111-4111-8111-111111111111\"}", 1);
    rig_expect_payload(c, "authorization_creation_failed",
                       "{\"resource_id\":\"11111111-1111-4111-8111-111111111111\","
                       "\"reason\":\"not_found\"}");
    struct portal_session *other = rig_client(&rig, "b", ".camera");
    flow_ask(&rig, other, "request_authorization", "Lab", "[]");
    flow_expect_refused(&rig, other, "Lab", "not_found");
    rig_expect_nothing(g);
    rig_expect_nothing(odd);
    rig_stop(&rig);
}

/* Of a request without a ref the real portal's channel crashes, but only where a gateway has to be asked. */
static void test_null_ref(void **state)
{
    struct rig rig;
    char frame[512], id[37];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop");
    rig_id(&rig, "resources", "Lab", id);
    snprintf(frame, sizeof frame,
             "{\"topic\":\"client\",\"event\":\"request_authorization\",\"payload\":"
             "{\"resource_id\":\"%s\"},\"ref\":null}",
             id);
    rig_send(&rig, c, frame);
    flow_expect_refused(&rig, c, "Lab", "offline");
    struct portal_session *g = rig_gateway(&rig, "g");
    rig_send(&rig, c, frame);
    rig_expect_payload(c, "phx_error", "{}");
    rig_expect_over(c, 1012);
    rig_expect_nothing(g);
    rig_stop(&rig);
}

static void test_choice(void **state)
{
    struct rig rig;
    char list[128] = "[\"x\",7,\"", id[37];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop");
    struct portal_session *old =
        rig_gateway_as(&rig, "/gateway/v2/websocket", "old", "X/1 gateway/1.5.0");
    struct portal_session *newer = rig_gateway(&rig, "new");
    /* The newest, unless one is connected already. */
    flow_ask(&rig, c, "request_authorization", "Lab", "[]");
    json_decref(rig_expect(newer, "create_authorization"));
    rig_expect_nothing(old);
    rig_id(&rig, "devices", "old", id);
    strcat(strcat(list, id), "\"]");
    flow_ask(&rig, c, "request_authorization", "Lab", list);
    json_decref(rig_expect(old, "create_authorization"));
    rig_expect_nothing(newer);
    rig_stop(&rig);
}

static void test_timeout(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    flow_ask(&rig, c, "request_authorization", "Lab", "[]");
    json_t *order = rig_expect(g, "create_authorization");
    rig_wait_ms(&rig, 14999);
    rig_expect_nothing(c);
    rig_wait_ms(&rig, 1);
    flow_expect_refused(&rig, c, "Lab", "offline");
    flow_agree(&rig, g, "authorization_created", rig_text(order, "ref"));
    flow_expect_reply(g, "error", "invalid_ref");
    json_decref(order);
    rig_expect_nothing(c);
    rig_stop(&rig);
}

/* A second request takes the place of the first, whose answer then means nothing. */
static void test_repeated(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    flow_ask(&rig, c, "request_authorization", "Lab", "[]");
    rig_wait_ms(&rig, 10000);
    flow_ask(&rig, c, "request_authorization", "Lab", "[]");
    json_t *first = rig_expect(g, "create_authorization");
    json_t *second = rig_expect(g, "create_authorization");
    assert_string_not_equal(rig_text(first, "ref"), rig_text(second, "ref"));
    flow_agree(&rig, g, "authorization_created", rig_text(first, "ref"));
    flow_expect_reply(g, "ok", NULL);
    rig_expect_nothing(c);
    rig_wait_ms(&rig, 6000); /* past the first one's end */
    rig_expect_nothing(c);
    flow_agree(&rig, g, "authorization_created", rig_text(second, "ref"));
    flow_expect_reply(g, "ok", NULL);
    json_decref(rig_expect(c, "authorization_created"));
    flow_agree(&rig, g, "authorization_created", rig_text(second, "ref"));
    flow_expect_reply(g, "error", "invalid_ref");
    json_decref(first);
    json_decref(second);
    rig_stop(&rig);
}

/* Of requests that were asked again only so many are remembered, the last ones. */
static void test_repeated_often(void **state)
{
    enum {
        N = 10000,
        KEPT = 4096
    };
    struct rig rig;
    char first[64] = "", last_but_one[64] = "", last[64] = "";
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    for (int i = 0; i < N; i++) {
        flow_ask(&rig, c, "request_authorization", "Lab", "[]");
        json_t *order = rig_expect(g, "create_authorization");
        snprintf(last_but_one, sizeof last_but_one, "%s", last);
        snprintf(last, sizeof last, "%s", rig_text(order, "ref"));
        if (i == 0)
            snprintf(first, sizeof first, "%s", last);
        json_decref(order);
    }
    json_t *answer = rig_control(&rig, "{\"command\":\"state\",\"part\":\"pending\"}");
    assert_int_equal(json_array_size(json_object_get(answer, "pending")), KEPT + 1);
    json_decref(answer);
    flow_agree(&rig, g, "authorization_created", first);
    flow_expect_reply(g, "error", "invalid_ref");
    flow_agree(&rig, g, "authorization_created", last_but_one);
    flow_expect_reply(g, "ok", NULL);
    rig_expect_nothing(c);
    flow_agree(&rig, g, "authorization_created", last);
    flow_expect_reply(g, "ok", NULL);
    json_decref(rig_expect(c, "authorization_created"));
    rig_stop(&rig);
}

static void test_wrong_refs(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    flow_ask(&rig, c, "request_authorization", "Lab", "[]");
    json_t *order = rig_expect(g, "create_authorization");
    struct portal_session *h = rig_gateway(&rig, "h");
    flow_agree(&rig, h, "authorization_created", rig_text(order, "ref"));
    flow_expect_reply(h, "error", "invalid_ref");
    rig_say(&rig, g, "gateway", "authorization_created", "{\"ref\":7}", 1);
    flow_expect_reply(g, "error", "invalid_ref");
    rig_say(&rig, g, "gateway", "authorization_created", "{}", 1);
    flow_expect_reply(g, "error", "unknown_message");
    rig_say(&rig, g, "gateway", "flow_authorized", "{\"ref\":\"x\"}", 1);
    flow_expect_reply(g, "error", "unknown_message");
    rig_expect_nothing(c);
    json_decref(order);
    rig_stop(&rig);
}

static void test_candidates(void **state)
{
    struct rig rig;
    char payload[512], client_id[37], gateway_id[37], wanted[512];
    static const struct {
        const char *says, *hears;
    } of_client[] = {{"new_gateway_ice_candidates", "ice_candidates"},
                     {"invalidate_gateway_ice_candidates", "invalidate_ice_candidates"}},
      of_both[] = {{"broadcast_ice_candidates", "ice_candidates"},
                   {"broadcast_invalidated_ice_candidates", "invalidate_ice_candidates"}};
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    rig_id(&rig, "devices", "a", client_id);
    rig_id(&rig, "devices", "g", gateway_id);
    for (size_t i = 0; i < 2; i++) {
        snprintf(wanted, sizeof wanted, "{\"client_id\":\"%s\",\"candidates\":[\"x\",7]}",
                 client_id);
        snprintf(payload, sizeof payload, "{\"gateway_id\":\"%s\",\"candidates\":[\"x\",7]}",
                 gateway_id);
        rig_say(&rig, c, "client", of_client[i].says, payload, 1);
        rig_expect_payload(g, of_client[i].hears, wanted);
        snprintf(payload, sizeof payload,
                 "{\"gateway_ids\":[\"x\",null,\"%s\"],\"candidates\":[\"x\",7]}", gateway_id);
        rig_say(&rig, c, "client", of_both[i].says, payload, 1);
        rig_expect_payload(g, of_both[i].hears, wanted);
        snprintf(wanted, sizeof wanted, "{\"gateway_id\":\"%s\",\"candidates\":[]}", gateway_id);
        snprintf(payload, sizeof payload, "{\"client_ids\":[\"x\",\"%s\"],\"candidates\":[]}",
                 client_id);
        rig_say(&rig, g, "gateway", of_both[i].says, payload, 1);
        rig_expect_payload(c, of_both[i].hears, wanted);
    }
    /* To the wrong kind of device. */
    snprintf(payload, sizeof payload, "{\"gateway_id\":\"%s\",\"candidates\":[]}", client_id);
    rig_say(&rig, c, "client", "new_gateway_ice_candidates", payload, 1);
    snprintf(payload, sizeof payload, "{\"client_ids\":[\"%s\"],\"candidates\":[]}", gateway_id);
    rig_say(&rig, g, "gateway", "broadcast_ice_candidates", payload, 1);
    rig_expect_nothing(c);
    rig_expect_nothing(g);
    rig_say(&rig, g, "gateway", "broadcast_ice_candidates", "{\"client_ids\":[]}", 1);
    flow_expect_reply(g, "error", "unknown_message");
    rig_say(&rig, g, "gateway", "broadcast_ice_candidates", "{\"client_ids\":1,\"candidates\":[]}",
            1);
    rig_expect_payload(g, "phx_error", "{}");
    rig_expect_over(g, 1012);
    rig_stop(&rig);
}

/* Whoever is listed several times gets it once, and there is an end to the list. */
static void test_many_receivers(void **state)
{
    static const struct {
        size_t before, times, sent;
    } cases[] = {{0, 64, 1}, {63, 1, 1}, {64, 1, 0}};
    struct rig rig;
    char ids[2][37], text[4096];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    rig_id(&rig, "devices", "a", ids[0]);
    rig_id(&rig, "devices", "g", ids[1]);
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        bool client = i % 2 == 0;
        size_t len = (size_t)snprintf(text, sizeof text, "{\"candidates\":[],\"%s\":[7",
                                      client ? "gateway_ids" : "client_ids");
        for (size_t j = 1; j < cases[i / 2].before; j++)
            len += (size_t)snprintf(text + len, sizeof text - len, ",7");
        for (size_t j = cases[i / 2].before == 0; j < cases[i / 2].times; j++)
            len += (size_t)snprintf(text + len, sizeof text - len, ",\"%s\"", ids[client]);
        snprintf(text + len, sizeof text - len, "]}");
        rig_say(&rig, client ? c : g, client ? "client" : "gateway", "broadcast_ice_candidates",
                text, 1);
        if (cases[i / 2].sent > 0)
            json_decref(rig_expect(client ? g : c, "ice_candidates"));
        rig_expect_nothing(c);
        rig_expect_nothing(g);
    }
    rig_stop(&rig);
}

/* The unversioned paths speak of flows; either kind of peer goes with either. */
static void test_older_generation(void **state)
{
    static const struct {
        const char *client_path, *client_agent, *gateway_path, *gateway_agent;
        const char *request, *create, *created, *granted, *site;
    } cases[] = {
        {"/client/websocket", "X/1 headless-client/1.5.8", "/gateway/websocket",
         "X/1 gateway/1.5.2", "create_flow", "authorize_flow", "flow_authorized", "flow_created",
         "site_id"},
        {"/client/websocket", "X/1 headless-client/1.5.5", "/gateway/v2/websocket", RIG_GATEWAY,
         "create_flow", "create_authorization", "authorization_created", "flow_created",
         "gateway_group_id"},
        {"/client/v2/websocket", RIG_CLIENT, "/gateway/websocket", "X/1 gateway/1.5.2",
         "request_authorization", "authorize_flow", "flow_authorized", "authorization_created",
         "site_id"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct rig rig;
        rig_start(&rig, RIG_CONFIG);
        struct portal_session *c =
            rig_client_as(&rig, cases[i].client_path, "a", ".laptop", cases[i].client_agent);
        json_decref(rig_join(&rig, c, "client"));
        struct portal_session *g =
            rig_gateway_as(&rig, cases[i].gateway_path, "g", cases[i].gateway_agent);
        flow_ask(&rig, c, cases[i].request, "Lab", "[]");
        json_t *order = rig_expect(g, cases[i].create);
        assert_true(json_is_integer(json_object_get(order, "expires_at")));
        flow_agree(&rig, g, cases[i].created, rig_text(order, "ref"));
        json_decref(order);
        flow_expect_reply(g, "ok", NULL);
        json_t *answer = rig_expect(c, cases[i].granted);
        rig_text(answer, cases[i].site);
        assert_null(json_object_get(
            answer, strcmp(cases[i].site, "site_id") == 0 ? "gateway_group_id" : "site_id"));
        json_decref(answer);
        rig_close(&rig, g);
        flow_ask(&rig, c, cases[i].request, "Lab", "[]");
        json_decref(rig_expect(c, strcmp(cases[i].request, "create_flow") == 0
                                      ? "flow_creation_failed"
                                      : "authorization_creation_failed"));
        flow_ask(&rig, c,
                 strcmp(cases[i].request, "create_flow") == 0 ? "request_authorization"
                                                              : "create_flow",
                 "Lab", "[]");
        flow_expect_reply(c, "error", "unknown_message");
        rig_stop(&rig);
    }
}

static void test_iceless(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, "[portal]\nconnect_limit = no\n[features]\niceless = yes\n"
                    "[client-token a]\ntoken = .laptop\n[gateway-token gw]\ntoken = .gw\nsite = A\n"
                    "[site A]\n[resource Lab]\ntype = internet\nsite = A\n");
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    rig_say(&rig, c, "client", "set_snownet_capabilities", "{\"iceless\":true}", 1);
    json_t *answer = flow_authorize(&rig, c, g, "Lab");
    assert_true(json_is_false(json_object_get(answer, "use_iceless")));
    json_decref(answer);
    rig_say(&rig, g, "gateway", "set_snownet_capabilities", "{\"iceless\":true}", 1);
    answer = flow_authorize(&rig, c, g, "Lab");
    assert_true(json_is_true(json_object_get(answer, "use_iceless")));
    json_decref(answer);
    rig_stop(&rig);
}

/* The client's own reader takes what the portal says. */
static void test_own_reader(void **state)
{
    struct rig rig;
    struct fields f = {.failed = false};
    struct message m;
    (void)state;

    rig_start(&rig, RIG_CONFIG
              "[relay r]\nipv4 = 203.0.113.7\nipv6 = 2001:db8::7\nstamp_secret = " RIG_SECRET "\n"
              "[dns]\nmode = custom\nservers = 9.9.9.9, ::1\n");
    json_t *init = rig_join(
        &rig, rig_client_as(&rig, "/client/v2/websocket", "a", ".laptop", RIG_CLIENT), "client");
    if (!message_read(&m, "init", init, &f))
        fail_msg("%s", f.why);
    assert_int_equal(m.interface_.do53_n, 2);
    assert_int_equal(json_array_size(m.relays), 2);
    for (size_t i = 0; i < json_array_size(m.resources); i++) {
        struct message_resource r;
        if (!message_resource_at(&r, m.resources, i, &f) && f.failed)
            fail_msg("%s", f.why);
    }
    for (size_t i = 0; i < 2; i++) {
        struct message_relay r;
        if (!message_relay_at(&r, m.relays, i, &f))
            fail_msg("%s", f.why);
        assert_int_equal(r.expires_at, RIG_UNIX + 30 * 86400);
    }
    message_wipe(&m);
    json_decref(init);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_authorize),      cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_null_ref),       cmocka_unit_test(test_choice),
        cmocka_unit_test(test_timeout),        cmocka_unit_test(test_repeated),
        cmocka_unit_test(test_repeated_often), cmocka_unit_test(test_wrong_refs),
        cmocka_unit_test(test_candidates),     cmocka_unit_test(test_older_generation),
        cmocka_unit_test(test_iceless),        cmocka_unit_test(test_own_reader),
        cmocka_unit_test(test_many_receivers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
