/* SPDX-License-Identifier: Apache-2.0 */
/* Upgrades of the development portal: who is let in, and what everybody else is told. */
#include "tests/portal_rig.h"

#define CLIENT_V2 "/client/v2/websocket"
#define GOOD      "external_id=a&public_key=" RIG_KEY_A

static void expect_answer(const struct rig *rig, unsigned status, const char *code,
                          const char *detail)
{
    assert_int_equal(rig->answer.status, status);
    assert_string_equal(rig->answer.code, code);
    assert_string_equal(rig->answer.detail, detail);
}

static void test_good(void **state)
{
    static const struct {
        const char *path, *query, *token, *agent;
    } cases[] = {
        {CLIENT_V2, GOOD, ".laptop", RIG_CLIENT},
        {"/client/websocket", GOOD, ".laptop", RIG_CLIENT},
        {CLIENT_V2, GOOD "&token=.laptop", NULL, RIG_CLIENT},
        {CLIENT_V2, GOOD "&token=.nonsense", ".laptop", RIG_CLIENT},
        {CLIENT_V2, "token=%2elaptop&" GOOD, NULL, RIG_CLIENT},
        {CLIENT_V2, "firezone_id=a&public_key=" RIG_KEY_A, ".laptop", RIG_CLIENT},
        {CLIENT_V2, GOOD "&vsn=1.0.0", ".laptop", "x y connlib/1.0.0"},
        {CLIENT_V2, GOOD "&name=&&device_serial=1&unknown=x", ".laptop", RIG_CLIENT},
        {"/gateway/v2/websocket", GOOD, ".gw", RIG_GATEWAY},
        {"/gateway/websocket", "external_id=b&public_key=" RIG_KEY_A, ".gw", NULL},
        {"/relay/websocket", "ipv4=203.0.113.7", ".relay", NULL},
        {"/relay/websocket", "ipv4=&ipv6=2001:db8::7&port=3479", ".relay", NULL},
    };
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct portal_session *s =
            rig_upgrade(&rig, cases[i].path, cases[i].query, cases[i].token, cases[i].agent);
        if (!s)
            fail_msg("%zu: %u %s %s", i, rig.answer.status, rig.answer.code, rig.answer.detail);
        assert_ptr_equal(portal_session_user(s), &rig);
        rig_expect_nothing(s);
        rig_expect_alive(s);
    }
    rig_stop(&rig);
}

/* Of a browser: only pages of the portal itself may connect. */
static void test_origin(void **state)
{
    static const struct {
        const char *origin, *host;
        bool secure, good;
    } cases[] = {
        {"http://portal.test", "portal.test", false, true},
        {"HTTP://Portal.TEST", "portal.test", false, true},
        {"http://portal.test:80", "portal.test", false, true},
        {"http://portal.test:8081", "portal.test:8081", false, true},
        {"https://portal.test", "portal.test", true, true},
        {"https://portal.test", "portal.test:443", true, true},
        {"http://[::1]:8081", "[::1]:8081", false, true},
        {"http://[::1]", "[::1]", false, true},
        {"https://portal.test", "portal.test", false, false},
        {"http://portal.test", "portal.test", true, false},
        {"http://portal.test", "portal.test:8081", false, false},
        {"http://portal.test:8081", "portal.test", false, false},
        {"http://portal.test:x", "portal.test", false, false},
        {"http://portal.test:80/", "portal.test", false, false},
        {"http://portal.test.other", "portal.test", false, false},
        {"http://portal", "portal.test", false, false},
        {"http://", "portal.test", false, false},
        {"http://[::1]", "[::1]:81", false, false},
        {"http://[::1", "[::1", false, false},
        {"portal.test", "portal.test", false, false},
        {"null", "portal.test", false, false},
        {"", "portal.test", false, false},
        {"http://portal.test", NULL, false, false},
    };
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct portal_request r = {.path = CLIENT_V2,
                                   .query = GOOD,
                                   .token = ".laptop",
                                   .user_agent = RIG_CLIENT,
                                   .origin = cases[i].origin,
                                   .host = cases[i].host,
                                   .secure = cases[i].secure};
        const struct portal_session *s = portal_upgrade(rig.p, rig.t, &r, &rig, &rig.answer);
        if ((s != NULL) != cases[i].good)
            fail_msg("%zu: %s", i, s ? "let in" : "refused");
        if (!s)
            expect_answer(&rig, 403, "", "");
    }
    rig_stop(&rig);
}

static void test_refused(void **state)
{
#define LONG16 "0123456789abcdef"
#define LONG64 LONG16 LONG16 LONG16 LONG16
#define LONG   LONG64 LONG64 LONG64 LONG64
    static const struct {
        const char *path, *query, *token, *agent;
        unsigned status;
        const char *code, *detail;
    } cases[] = {
        {"/", "", NULL, NULL, 404, "", ""},
        {"/client/v3/websocket", GOOD, ".laptop", RIG_CLIENT, 404, "", ""},
        {"/relay/v2/websocket", "", ".relay", NULL, 404, "", ""},
        {CLIENT_V2, GOOD "&vsn=2.0.0", ".laptop", RIG_CLIENT, 403, "", ""},
        {CLIENT_V2, GOOD "&name=%zz", ".laptop", RIG_CLIENT, 400, "", ""},
        {CLIENT_V2, GOOD "&name=%ff", ".laptop", RIG_CLIENT, 400, "", ""},
        {CLIENT_V2, GOOD, NULL, RIG_CLIENT, 401, "missing_token", "Missing token"},
        {CLIENT_V2, GOOD "&token=", NULL, RIG_CLIENT, 401, "missing_token", "Missing token"},
        {CLIENT_V2, "", NULL, NULL, 401, "missing_token", "Missing token"},
        {CLIENT_V2, GOOD, ".nonsense", RIG_CLIENT, 401, "invalid_token", "Invalid token"},
        {CLIENT_V2, GOOD, ".gw", RIG_CLIENT, 401, "invalid_token", "Invalid token"},
        {CLIENT_V2, "", ".lapto", NULL, 401, "invalid_token", "Invalid token"},
        {CLIENT_V2, GOOD, ".laptop", NULL, 400, "invalid_connect_params", "user_agent is invalid"},
        {CLIENT_V2, GOOD, ".laptop", "Mozilla/5.0", 400, "invalid_connect_params",
         "user_agent is invalid"},
        {CLIENT_V2, "public_key=" RIG_KEY_A, ".laptop", RIG_CLIENT, 400, "invalid_connect_params",
         "external_id can't be blank"},
        {CLIENT_V2, "external_id=" LONG "&public_key=" RIG_KEY_A, ".laptop", RIG_CLIENT, 400,
         "invalid_connect_params", "external_id should be at most 255 character(s)"},
        {CLIENT_V2, GOOD "&name=" LONG, ".laptop", RIG_CLIENT, 400, "invalid_connect_params",
         "name should be at most 255 character(s)"},
        {CLIENT_V2, "external_id=a", ".laptop", RIG_CLIENT, 400, "invalid_connect_params",
         "public_key can't be blank"},
        {CLIENT_V2, "external_id=a&public_key=AAAA", ".laptop", RIG_CLIENT, 400,
         "invalid_connect_params", "public_key should be 44 character(s)"},
        {CLIENT_V2, "external_id=a&public_key=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8!",
         ".laptop", RIG_CLIENT, 400, "invalid_connect_params",
         "public_key must be a base64-encoded string"},
        {CLIENT_V2, "", ".laptop", "x", 400, "invalid_connect_params",
         "external_id can't be blank; public_key can't be blank; user_agent is invalid"},
        {"/relay/websocket", "", ".relay", NULL, 500, "unhandled_connect_error",
         "Unhandled connect error"},
        {"/relay/websocket", "ipv4=::1", ".relay", NULL, 500, "unhandled_connect_error",
         "Unhandled connect error"},
        {"/relay/websocket", "ipv4=192.0.2.1&port=0", ".relay", NULL, 500,
         "unhandled_connect_error", "Unhandled connect error"},
        {"/relay/websocket", "ipv4=192.0.2.1", ".laptop", NULL, 401, "invalid_token",
         "Invalid token"},
    };
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        print_message("%zu\n", i);
        assert_null(
            rig_upgrade(&rig, cases[i].path, cases[i].query, cases[i].token, cases[i].agent));
        expect_answer(&rig, cases[i].status, cases[i].code, cases[i].detail);
        assert_int_equal(rig.answer.retry_after_s, -1);
    }
    rig_stop(&rig);
}

/* One permit per second and token; tokens nobody has count as well. */
static void test_rate_limit(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, "[client-token a]\ntoken = .a\n[client-token b]\ntoken = .b\n");
    assert_non_null(rig_upgrade(&rig, CLIENT_V2, GOOD, ".a", RIG_CLIENT));
    rig_wait_ms(&rig, 999);
    assert_null(rig_upgrade(&rig, CLIENT_V2, GOOD, ".a", RIG_CLIENT));
    expect_answer(&rig, 503, "rate_limit", "Too many connections, try again later");
    assert_int_equal(rig.answer.retry_after_s, 1);
    assert_non_null(rig_upgrade(&rig, CLIENT_V2, GOOD, ".b", RIG_CLIENT));
    rig_wait_ms(&rig, 1);
    assert_non_null(rig_upgrade(&rig, CLIENT_V2, GOOD, ".a", RIG_CLIENT));
    assert_null(rig_upgrade(&rig, CLIENT_V2, GOOD, ".x", RIG_CLIENT));
    expect_answer(&rig, 401, "invalid_token", "Invalid token");
    assert_null(rig_upgrade(&rig, CLIENT_V2, GOOD, ".x", RIG_CLIENT));
    expect_answer(&rig, 503, "rate_limit", "Too many connections, try again later");
    /* A refusal costs no permit. */
    rig_wait_ms(&rig, 1000);
    assert_null(rig_upgrade(&rig, CLIENT_V2, GOOD, ".x", RIG_CLIENT));
    expect_answer(&rig, 401, "invalid_token", "Invalid token");
    rig_wait_ms(&rig, 120000);
    rig_stop(&rig);
}

static void test_burst(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, "[portal]\nconnect_capacity = 3\nconnect_refill = 2\n"
                    "[client-token a]\ntoken = .a\n");
    for (int i = 0; i < 3; i++)
        assert_non_null(rig_upgrade(&rig, CLIENT_V2, GOOD, ".a", RIG_CLIENT));
    assert_null(rig_upgrade(&rig, CLIENT_V2, GOOD, ".a", RIG_CLIENT));
    rig_wait_ms(&rig, 500);
    assert_non_null(rig_upgrade(&rig, CLIENT_V2, GOOD, ".a", RIG_CLIENT));
    assert_null(rig_upgrade(&rig, CLIENT_V2, GOOD, ".a", RIG_CLIENT));
    rig_stop(&rig);
}

static void test_token_expires(void **state)
{
    struct rig rig;
    struct portal_session *s;
    (void)state;

    rig_start(&rig, "[portal]\nconnect_limit = no\nidle = 1h\n"
                    "[client-token a]\ntoken = .a\nlifetime = 60\n");
    s = rig_client(&rig, "x", ".a");
    rig_wait_ms(&rig, 59999);
    rig_expect_nothing(s);
    rig_expect_alive(s);
    rig_wait_ms(&rig, 1);
    rig_expect_payload(s, "disconnect", "{\"reason\":\"token_expired\"}");
    rig_expect_payload(s, "phx_close", "{}");
    rig_expect_over(s, 1000);
    assert_null(rig_upgrade(&rig, CLIENT_V2, GOOD, ".a", RIG_CLIENT));
    expect_answer(&rig, 401, "invalid_token", "Invalid token");
    rig_stop(&rig);
}

static void test_gateway_already_connected(void **state)
{
    struct rig rig;
    struct portal_session *a, *b, *c;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    a = rig_upgrade(&rig, "/gateway/v2/websocket", GOOD, ".gw", RIG_GATEWAY);
    b = rig_upgrade(&rig, "/gateway/v2/websocket", GOOD, ".gw", RIG_GATEWAY);
    assert_non_null(b); /* the first one has not joined */
    json_decref(rig_join(&rig, a, "gateway"));
    assert_null(rig_upgrade(&rig, "/gateway/v2/websocket", GOOD, ".gw", RIG_GATEWAY));
    expect_answer(&rig, 409, "gateway_already_connected", "Gateway is already connected");
    rig_say(&rig, b, "gateway", "phx_join", "null", 0);
    json_decref(rig_frame(b));
    rig_expect_payload(b, "disconnect", "{\"reason\":\"token_expired\"}");
    rig_expect_payload(b, "phx_close", "{}");
    rig_expect_over(b, 1000);
    rig_expect_alive(a);
    rig_close(&rig, a);
    c = rig_upgrade(&rig, "/gateway/v2/websocket", GOOD, ".gw", RIG_GATEWAY);
    json_decref(rig_join(&rig, c, "gateway"));
    rig_stop(&rig);
}

static void test_generated_tokens(void **state)
{
    struct rig rig;
    struct portal_token_info a, b, none;
    (void)state;

    rig_start(&rig, "[client-token a]\n[client-token b]\ntoken = .b\n");
    assert_true(portal_token_at(rig.p, 0, &a));
    assert_true(portal_token_at(rig.p, 1, &b));
    assert_false(portal_token_at(rig.p, 2, &none));
    assert_string_equal(a.name, "a");
    assert_true(a.generated);
    assert_int_equal(strncmp(a.text, ".SFMyNTY.", 9), 0);
    assert_true(strlen(a.text) > 150);
    assert_string_equal(b.text, ".b");
    assert_false(b.generated);
    assert_non_null(rig_upgrade(&rig, CLIENT_V2, GOOD, a.text, RIG_CLIENT));
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_rate_limit),
        cmocka_unit_test(test_burst),
        cmocka_unit_test(test_token_expires),
        cmocka_unit_test(test_gateway_already_connected),
        cmocka_unit_test(test_generated_tokens),
        cmocka_unit_test(test_origin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
