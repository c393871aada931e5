/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that reach other clients through the development portal's device pools. */
#include "tests/portal_rig.h"
#include "tools/fzportal/derive.h"

static void ask(struct rig *rig, struct portal_session *s, const char *pool, const char *rest)
{
    char payload[512], id[37];
    rig_id(rig, "resources", pool, id);
    snprintf(payload, sizeof payload, "{\"resource_id\":\"%s\",\"connected_gateway_ids\":[]%s}", id,
             rest);
    rig_say(rig, s, "client", "request_authorization", payload, 7);
}

/* A camera at 100.64.1.38 and fd00:2021:1111::126. */
static struct portal_session *camera(struct rig *rig)
{
    struct portal_session *s = rig_client(rig, "cam", ".camera");
    rig_order(rig, "{\"command\":\"address\",\"device\":\"cam\",\"ipv4\":\"100.64.1.38\","
                   "\"ipv6\":\"fd00:2021:1111::126\"}");
    json_decref(rig_expect(s, "init"));
    return s;
}

static void expect_denied(struct portal_session *s, const char *reason)
{
    json_t *denied = rig_expect(s, "client_device_access_denied");
    assert_string_equal(rig_text(denied, "reason"), reason);
    rig_text(denied, "resource_id");
    json_decref(denied);
}

/* The pool is told anew when a device of it is new, and when its addresses are. */
static void test_pool(void **state)
{
    struct rig rig;
    char id[37];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop");
    camera(&rig);
    rig_id(&rig, "devices", "cam", id);
    rig_wait_ms(&rig, 199);
    rig_expect_nothing(c);
    rig_wait_ms(&rig, 1);
    json_t *view = rig_expect(c, "resource_created_or_updated");
    json_t *wanted = json_pack("[{s:s, s:s, s:s}]", "client_id", id, "ipv4", "100.64.1.38/32",
                               "ipv6", "fd00:2021:1111::126/128");
    assert_string_equal(rig_text(view, "type"), "static_device_pool");
    assert_true(json_equal(json_object_get(view, "devices"), wanted));
    json_decref(wanted);
    json_decref(view);
    rig_expect_nothing(c);
    rig_order(&rig, "{\"command\":\"address\",\"device\":\"cam\",\"ipv4\":\"100.64.1.39\"}");
    rig_wait_ms(&rig, 200);
    view = rig_expect(c, "resource_created_or_updated");
    assert_string_equal(rig_text(json_array_get(json_object_get(view, "devices"), 0), "ipv4"),
                        "100.64.1.39/32");
    json_decref(view);
    rig_wait_ms(&rig, 1000);
    rig_expect_nothing(c);
    rig_stop(&rig);
}

/* Many devices of a pool that all of them see: minutes would tell that something is cubic. */
static void test_crowd(void **state)
{
    enum {
        N = 600
    };
    struct rig rig;
    struct portal_session *s[N];
    (void)state;

    rig_start(&rig, "[portal]\nconnect_limit = no\n[client-token a]\ntoken = .a\n"
                    "[resource P]\ntype = static_device_pool\nmembers = a\n");
    for (int i = 0; i < N; i++) {
        char id[16];
        snprintf(id, sizeof id, "%d", i);
        s[i] = rig_client(&rig, id, ".a");
    }
    rig_wait_ms(&rig, 200);
    for (int i = 0; i < N; i++) {
        json_t *view = rig_expect(s[i], "resource_created_or_updated");
        assert_int_equal(json_array_size(json_object_get(view, "devices")), N);
        json_decref(view);
        rig_expect_nothing(s[i]);
    }
    rig_stop(&rig);
}

static void drain(struct portal_session *s)
{
    const char *text;
    size_t len;
    while (portal_poll_transmit(s, &text, &len))
        ;
}

static void test_authorized(void **state)
{
    struct rig rig;
    char a[37], cam[37], pool[37];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *t = camera(&rig);
    drain(c);
    rig_id(&rig, "devices", "a", a);
    rig_id(&rig, "devices", "cam", cam);
    rig_id(&rig, "resources", "Cameras", pool);
    ask(&rig, c, "Cameras", ",\"ipv4\":\"100.64.1.38\"");
    json_t *mine = rig_expect(c, "client_device_access_authorized");
    json_t *theirs = rig_expect(t, "client_device_access_authorized");
    assert_string_equal(rig_text(mine, "client_id"), cam);
    assert_string_equal(rig_text(mine, "client_name"), "cam box");
    assert_string_equal(rig_text(mine, "client_ipv6"), "fd00:2021:1111::126");
    assert_string_equal(rig_text(mine, "ice_role"), "controlling");
    assert_int_equal(json_object_size(mine), 11);
    assert_string_equal(rig_text(theirs, "client_id"), a);
    assert_string_equal(rig_text(theirs, "ice_role"), "controlled");
    assert_string_equal(rig_text(theirs, "preshared_key"), rig_text(mine, "preshared_key"));
    assert_true(json_equal(json_object_get(theirs, "local_ice_credentials"),
                           json_object_get(mine, "remote_ice_credentials")));
    assert_true(json_equal(json_object_get(theirs, "remote_ice_credentials"),
                           json_object_get(mine, "local_ice_credentials")));
    assert_string_equal(rig_text(json_object_get(theirs, "resource"), "id"), pool);
    assert_string_equal(rig_text(json_object_get(theirs, "subject"), "actor_name"), "Ada");
    assert_int_equal(json_integer_value(json_object_get(theirs, "expires_at")),
                     RIG_UNIX + 30 * 86400);
    assert_int_equal(json_object_size(theirs), 14);
    json_decref(mine);
    json_decref(theirs);

    /* Only who is reached gets it again. */
    rig_order(&rig, "{\"command\":\"init\",\"role\":\"client\"}");
    json_t *init = rig_expect(t, "init");
    json_t *wanted = json_pack("[{s:s, s:s, s:I}]", "client_id", a, "resource_id", pool,
                               "expires_at", (json_int_t)(RIG_UNIX + 30 * 86400));
    assert_true(json_equal(json_object_get(init, "authorizations"), wanted));
    json_decref(wanted);
    json_decref(init);
    init = rig_expect(c, "init");
    assert_int_equal(json_array_size(json_object_get(init, "authorizations")), 0);
    json_decref(init);

    rig_order(&rig, "{\"command\":\"resource_change\",\"name\":\"Cameras\",\"filters\":\"icmp\"}");
    json_t *filters = rig_expect(t, "resource_filters_updated");
    assert_string_equal(rig_text(filters, "id"), pool);
    assert_int_equal(json_array_size(json_object_get(filters, "filters")), 1);
    json_decref(filters);
    json_decref(rig_expect(c, "resource_created_or_updated"));
    rig_order(&rig, "{\"command\":\"resource_change\",\"name\":\"Cameras\",\"members\":\"\"}");
    expect_denied(c, "forbidden");
    json_decref(rig_expect(c, "resource_created_or_updated"));
    json_decref(rig_expect(t, "reject_access"));
    rig_expect_nothing(c);
    rig_expect_nothing(t);
    rig_stop(&rig);
}

static void test_denied(void **state)
{
    static const struct {
        const char *rest, *reason;
    } cases[] = {
        {"", "missing_address"},
        {",\"ipv4\":null", "missing_address"},
        {",\"ipv4\":\"100.64.1.38\",\"ipv6\":\"fd00:2021:1111::126\"", "ambiguous_address"},
        {",\"ipv4\":\"x\"", "invalid_address"},
        {",\"ipv4\":\"fd00:2021:1111::126\"", "invalid_address"},
        {",\"ipv6\":7", "invalid_address"},
        {",\"ipv4\":\"100.64.1.39\"", "not_found"},
        {",\"ipv4\":\"100.64.2.2\"", "not_found"}, /* itself */
        {",\"ipv4\":\"100.64.2.3\"", "forbidden"}, /* of another token */
        {",\"ipv4\":\"100.64.2.4\"", "not_found"}, /* a gateway */
    };
    struct rig rig;
    char id[37], wanted[256], pool[37];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *t = camera(&rig);
    rig_order(&rig, "{\"command\":\"address\",\"device\":\"a\",\"ipv4\":\"100.64.2.2\"}");
    rig_client(&rig, "b", ".laptop");
    rig_order(&rig, "{\"command\":\"address\",\"device\":\"b\",\"ipv4\":\"100.64.2.3\"}");
    rig_gateway(&rig, "g");
    rig_order(&rig, "{\"command\":\"address\",\"device\":\"g\",\"ipv4\":\"100.64.2.4\"}");
    drain(c);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ask(&rig, c, "Cameras", cases[i].rest);
        expect_denied(c, cases[i].reason);
    }
    rig_close(&rig, t);
    rig_id(&rig, "devices", "cam", id);
    rig_id(&rig, "resources", "Cameras", pool);
    ask(&rig, c, "Cameras", ",\"ipv4\":\"100.64.1.38\"");
    snprintf(wanted, sizeof wanted,
             "{\"client_id\":\"%s\",\"ipv4\":\"100.64.1.38\",\"ipv6\":null,\"resource_id\":\"%s\","
             "\"reason\":\"offline\"}",
             id, pool);
    rig_expect_payload(c, "client_device_access_denied", wanted);
    static const char *const old[] = {"X/1 headless-client/1.5.6", "X/1 headless-client/1.6.0"};
    for (size_t i = 0; i < ARRAY_LEN(old); i++) {
        t = rig_client_as(&rig, "/client/v2/websocket", "cam", ".camera", old[i]);
        json_decref(rig_join(&rig, t, "client"));
        ask(&rig, c, "Cameras", ",\"ipv4\":\"100.64.1.38\"");
        expect_denied(c, "version_mismatch");
        rig_expect_nothing(t);
        rig_close(&rig, t);
    }
    rig_stop(&rig);
}

static void test_candidates(void **state)
{
    struct rig rig;
    char a[37], cam[37], payload[256], wanted[256];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *t = camera(&rig);
    drain(c);
    rig_id(&rig, "devices", "a", a);
    rig_id(&rig, "devices", "cam", cam);
    snprintf(payload, sizeof payload, "{\"client_id\":\"%s\",\"candidates\":[\"x\"]}", cam);
    snprintf(wanted, sizeof wanted, "{\"client_id\":\"%s\",\"candidates\":[\"x\"]}", a);
    rig_say(&rig, c, "client", "new_client_ice_candidates", payload, 1);
    rig_expect_payload(t, "client_ice_candidates", wanted);
    rig_say(&rig, c, "client", "invalidate_client_ice_candidates", payload, 1);
    rig_expect_payload(t, "invalidate_client_ice_candidates", wanted);
    rig_close(&rig, t);
    rig_say(&rig, c, "client", "new_client_ice_candidates", payload, 1);
    rig_expect_nothing(c);
    rig_say(&rig, c, "client", "invalidate_client_ice_candidates", payload, 1);
    snprintf(wanted, sizeof wanted, "{\"client_id\":\"%s\",\"reason\":\"offline\"}", cam);
    rig_expect_payload(c, "client_ice_candidate_error", wanted);
    rig_stop(&rig);
}

static void test_resolve(void **state)
{
    static const struct {
        const char *pool, *domain;
        bool found;
    } cases[] = {
        {"Cams", "cam.cams.example", true},      {"Cams", "CAM.cams.Example", true},
        {"Cams", "other.cams.example", false},   {"Cams", "cams.example", false},
        {"Cams", ".cams.example", false},        {"Cams", "a.cam.cams.example", false},
        {"Cams", "cam.cams.example.com", false}, {"Cameras", "cam.cams.example", false},
        {"Lab", "cam.cams.example", false},
    };
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop");
    struct portal_session *t =
        rig_upgrade(&rig, "/client/v2/websocket", "external_id=x&name=cam&public_key=" RIG_KEY_A,
                    ".camera", RIG_CLIENT);
    json_decref(rig_join(&rig, t, "client"));
    rig_order(&rig, "{\"command\":\"address\",\"device\":\"cam\",\"ipv4\":\"100.64.1.38\","
                    "\"ipv6\":\"fd00:2021:1111::126\"}");
    drain(c);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char pool[37], payload[256], wanted[256];
        rig_id(&rig, "resources", cases[i].pool, pool);
        snprintf(payload, sizeof payload, "{\"resource_id\":\"%s\",\"domain\":\"%s\"}", pool,
                 cases[i].domain);
        rig_say(&rig, c, "client", "resolve_device_pool_domain", payload, 1);
        snprintf(wanted, sizeof wanted, "{\"resource_id\":\"%s\",\"domain\":\"%s\",%s}", pool,
                 cases[i].domain,
                 cases[i].found ? "\"ipv4\":\"100.64.1.38\",\"ipv6\":\"fd00:2021:1111::126\""
                                : "\"reason\":\"not_found\"");
        rig_expect_payload(c,
                           cases[i].found ? "device_pool_domain_resolved"
                                          : "device_pool_domain_resolution_failed",
                           wanted);
    }
    rig_stop(&rig);
}

/* A pool that the client sees but may not use resolves nothing either. */
static void test_resolve_violated(void **state)
{
    struct rig rig;
    char pool[37], payload[256], wanted[256];
    (void)state;

    rig_start(&rig, "[portal]\nconnect_limit = no\n[client-token a]\ntoken = .a\n"
                    "[resource P]\ntype = dynamic_device_pool\naddress = *.p.example\nmembers = a\n"
                    "[policy p]\ngroups = *\nresources = P\nviolates = remote_ip\n");
    struct portal_session *c = rig_client(&rig, "a", ".a");
    rig_id(&rig, "resources", "P", pool);
    snprintf(payload, sizeof payload, "{\"resource_id\":\"%s\",\"domain\":\"a.p.example\"}", pool);
    rig_say(&rig, c, "client", "resolve_device_pool_domain", payload, 1);
    snprintf(wanted, sizeof wanted,
             "{\"resource_id\":\"%s\",\"domain\":\"a.p.example\",\"reason\":\"not_found\"}", pool);
    rig_expect_payload(c, "device_pool_domain_resolution_failed", wanted);
    rig_stop(&rig);
}

static struct portal_session *named(struct rig *rig, const char *name, const char *token)
{
    char query[256];
    snprintf(query, sizeof query, "external_id=x&name=%s&public_key=%s", name, RIG_KEY_A);
    struct portal_session *s = rig_upgrade(rig, "/client/v2/websocket", query, token, RIG_CLIENT);
    json_decref(rig_join(rig, s, "client"));
    return s;
}

static void expect_pool(struct rig *rig, struct portal_session *s, size_t n)
{
    rig_wait_ms(rig, 200);
    json_t *view = rig_expect(s, "resource_created_or_updated");
    assert_int_equal(json_array_size(json_object_get(view, "devices")), n);
    json_decref(view);
    rig_expect_nothing(s);
}

/* A device that comes with another name, or another token of its actor, may belong to another pool. */
static void test_moved(void **state)
{
    static const struct {
        const char *name, *token;
    } inside[] = {{"cam", ".one"}, {"other", ".two"}};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(inside); i++) {
        struct rig rig;
        rig_start(
            &rig,
            "[portal]\nconnect_limit = no\n[client-token a]\ntoken = .a\ngroups = g\n"
            "[client-token one]\ntoken = .one\nactor = Ada\n"
            "[client-token two]\ntoken = .two\nactor = Ada\n"
            "[resource P]\ntype = static_device_pool\nmembers = cam, two\n"
            "[resource Q]\ntype = dynamic_device_pool\naddress = *.q.example\nmembers = cam, two\n"
            "[policy p]\ngroups = g\nresources = P, Q\n");
        struct portal_session *c = rig_client(&rig, "a", ".a"), *t = named(&rig, "other", ".one");
        rig_wait_ms(&rig, 200);
        rig_expect_nothing(c);
        t = named(&rig, inside[i].name, inside[i].token);
        rig_order(&rig, "{\"command\":\"address\",\"device\":\"x\",\"ipv4\":\"100.64.1.38\"}");
        expect_pool(&rig, c, 1);
        json_decref(rig_expect(t, "init"));
        t = named(&rig, inside[i].name, inside[i].token);
        rig_wait_ms(&rig, 200);
        rig_expect_nothing(c);
        static const char *const pools[] = {"P", "Q"};
        for (size_t j = 0; j < ARRAY_LEN(pools); j++) {
            ask(&rig, c, pools[j], ",\"ipv4\":\"100.64.1.38\"");
            json_decref(rig_expect(c, "client_device_access_authorized"));
            json_decref(rig_expect(t, "client_device_access_authorized"));
        }
        struct portal_session *out =
            rig_upgrade(&rig, "/client/v2/websocket",
                        "external_id=x&name=other&public_key=" RIG_KEY_A, ".one", RIG_CLIENT);
        for (size_t j = 0; j < ARRAY_LEN(pools); j++) {
            expect_denied(c, "forbidden");
            json_decref(rig_expect(t, "reject_access"));
        }
        json_t *init = rig_join(&rig, out, "client");
        assert_int_equal(json_array_size(json_object_get(init, "authorizations")), 0);
        json_decref(init);
        expect_pool(&rig, c, 0);
        rig_stop(&rig);
    }
}

static void test_switched_off(void **state)
{
    struct rig rig;
    char pool[37], payload[128], wanted[128];
    (void)state;

    rig_start(&rig, RIG_CONFIG "[features]\nclient_to_client = no\n");
    struct portal_session *c = rig_client(&rig, "a", ".laptop");
    rig_id(&rig, "resources", "Cameras", pool);
    snprintf(payload, sizeof payload, "{\"resource_id\":\"%s\",\"ipv4\":\"100.64.1.1\"}", pool);
    snprintf(wanted, sizeof wanted, "{\"resource_id\":\"%s\",\"reason\":\"not_found\"}", pool);
    rig_say(&rig, c, "client", "request_authorization", payload, 1);
    rig_expect_payload(c, "authorization_creation_failed", wanted);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool),         cmocka_unit_test(test_crowd),
        cmocka_unit_test(test_authorized),   cmocka_unit_test(test_denied),
        cmocka_unit_test(test_candidates),   cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_switched_off), cmocka_unit_test(test_resolve_violated),
        cmocka_unit_test(test_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
