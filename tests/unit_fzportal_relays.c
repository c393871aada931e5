/* SPDX-License-Identifier: Apache-2.0 */
/* Relays of the development portal: their channel, and what devices are told of them. */
#include "tests/portal_rig.h"
#include "tools/fzportal/derive.h"

#define SECRET_1 "1111111111111111111111111111111111111111111111111111111111111111"
#define SECRET_2 "2222222222222222222222222222222222222222222222222222222222222222"
#define KEY_A    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B    "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="

static void test_join(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *s =
        rig_upgrade(&rig, "/relay/websocket", "ipv4=192.0.2.1", ".relay", "relay/1.0.0");
    static const char *const payloads[] = {"null", "{}", "{\"stamp_secret\":7}",
                                           "{\"stamp_secret\":\"\"}"};
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
        rig_say(&rig, s, "relay", "phx_join", payloads[i], 3);
        rig_expect_text(s, "{\"topic\":\"relay\",\"event\":\"phx_reply\",\"payload\":{\"status\":"
                           "\"error\",\"response\":{\"reason\":\"join crashed\"}},\"ref\":3}");
    }
    rig_say(&rig, s, "relay", "phx_join", "{\"stamp_secret\":\"" SECRET_1 "\"}", 4);
    rig_expect_text(s, "{\"topic\":\"relay\",\"event\":\"phx_reply\",\"payload\":{\"status\":"
                       "\"ok\",\"response\":{}},\"ref\":4}");
    rig_expect_payload(s, "init", "{}");
    rig_say(&rig, s, "relay", "no_relays", "{}", 5);
    rig_expect_text(s, "{\"topic\":\"relay\",\"event\":\"phx_reply\",\"payload\":{\"status\":"
                       "\"error\",\"response\":{\"reason\":\"unknown_message\"}},\"ref\":5}");
    rig_expect_alive(s);
    rig_stop(&rig);
}

/* Both addresses of a relay side by side, with the device's own credentials. */
static void test_init(void **state)
{
    struct rig rig;
    struct derive_relay c;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    rig_relay(&rig, "ipv4=203.0.113.7&ipv6=2001%3Adb8%3A%3A7&port=3479", RIG_SECRET);
    json_t *init = rig_join(
        &rig, rig_client_as(&rig, "/client/v2/websocket", "a", ".laptop", RIG_CLIENT), "client");
    int64_t expiry = RIG_UNIX + 30 * 86400;
    derive_relay(&c, expiry, RIG_SECRET, KEY_A);
    json_t *wanted = json_pack(
        "[{s:s, s:s, s:s, s:s, s:s, s:I}, {s:s, s:s, s:s, s:s, s:s, s:I}]", "id",
        "60e05bd1-b195-4f2f-9411-2fa7197a5c88", "type", "turn", "addr", "203.0.113.7:3479",
        "username", c.username, "password", c.password, "expires_at", (json_int_t)expiry, "id",
        "60e05bd1-b195-4f2f-9411-2fa7197a5c88", "type", "turn", "addr", "[2001:db8::7]:3479",
        "username", c.username, "password", c.password, "expires_at", (json_int_t)expiry);
    assert_true(json_equal(json_object_get(init, "relays"), wanted));
    json_decref(wanted);
    json_decref(init);
    init = rig_join(&rig,
                    rig_upgrade(&rig, "/gateway/v2/websocket",
                                "external_id=g&public_key=" RIG_KEY_B, ".gw", RIG_GATEWAY),
                    "gateway");
    derive_relay(&c, 2145916800, RIG_SECRET, KEY_B);
    const json_t *relay = json_array_get(json_object_get(init, "relays"), 0);
    assert_string_equal(rig_text(relay, "username"), c.username);
    assert_string_equal(rig_text(relay, "password"), c.password);
    assert_int_equal(json_integer_value(json_object_get(relay, "expires_at")), 2145916800);
    json_decref(init);
    rig_stop(&rig);
}

static void expect_presence(struct portal_session *s, const char *gone, size_t connected)
{
    json_t *presence = rig_expect(s, "relays_presence");
    const json_t *list = json_object_get(presence, "disconnected_ids");
    assert_int_equal(json_array_size(list), gone ? 1 : 0);
    if (gone)
        assert_string_equal(json_string_value(json_array_get(list, 0)), gone);
    assert_int_equal(json_array_size(json_object_get(presence, "connected")), connected);
    json_decref(presence);
}

/* Changes are collected for a second; a device holds two relays at most. */
static void test_presence(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    struct portal_session *r0 = rig_relay(&rig, "ipv4=192.0.2.1", RIG_SECRET);
    rig_wait_ms(&rig, 999);
    rig_expect_nothing(c);
    rig_wait_ms(&rig, 1);
    expect_presence(c, NULL, 1);
    expect_presence(g, NULL, 1);
    struct portal_session *r1 = rig_relay(&rig, "ipv6=::1", SECRET_1);
    struct portal_session *r2 = rig_relay(&rig, "ipv4=192.0.2.3", SECRET_2);
    rig_wait_ms(&rig, 1000);
    expect_presence(c, NULL, 2);
    expect_presence(g, NULL, 2);
    /* One that nobody holds, or everybody: who loses it gets another one. */
    rig_close(&rig, r0);
    rig_wait_ms(&rig, 1000);
    expect_presence(c, "60e05bd1-b195-4f2f-9411-2fa7197a5c88", 2);
    json_decref(rig_expect(g, "relays_presence"));
    rig_close(&rig, r1);
    rig_wait_ms(&rig, 1000);
    json_decref(rig_expect(c, "relays_presence"));
    json_decref(rig_expect(g, "relays_presence"));
    /* Gone and back before anybody was told. */
    rig_close(&rig, r2);
    rig_relay(&rig, "ipv4=192.0.2.3", SECRET_2);
    rig_wait_ms(&rig, 1000);
    rig_expect_nothing(c);
    rig_expect_nothing(g);
    rig_stop(&rig);
}

/* Each change of a burst puts off what is told. */
static void test_burst(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop");
    rig_relay(&rig, "ipv4=192.0.2.1", SECRET_1);
    rig_wait_ms(&rig, 900);
    rig_relay(&rig, "ipv4=192.0.2.2", SECRET_2);
    rig_wait_ms(&rig, 999);
    rig_expect_nothing(c);
    rig_wait_ms(&rig, 1);
    expect_presence(c, NULL, 2);
    rig_expect_nothing(c);
    rig_stop(&rig);
}

static void test_no_relays(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    rig_say(&rig, c, "client", "no_relays", "{}", 1);
    expect_presence(c, NULL, 0);
    rig_relay(&rig, "ipv4=192.0.2.1", RIG_SECRET);
    rig_say(&rig, c, "client", "no_relays", "{}", 1);
    expect_presence(c, NULL, 1);
    rig_say(&rig, g, "gateway", "no_relays", "{}", 1);
    expect_presence(g, NULL, 1);
    rig_wait_ms(&rig, 1000);
    rig_expect_nothing(c);
    rig_expect_nothing(g);
    rig_stop(&rig);
}

/* The same secret on another socket takes the place of the older one. */
static void test_replaced(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *old = rig_relay(&rig, "ipv4=192.0.2.1", RIG_SECRET);
    struct portal_session *c = rig_client(&rig, "a", ".laptop");
    struct portal_session *newer = rig_relay(&rig, "ipv4=192.0.2.1", RIG_SECRET);
    rig_expect_payload(old, "phx_close", "{}");
    rig_close(&rig, old);
    rig_expect_alive(newer);
    rig_wait_ms(&rig, 1000);
    rig_expect_nothing(c); /* it is the same relay */
    json_t *answer = rig_control(&rig, "{\"command\":\"state\",\"part\":\"relays\"}");
    assert_int_equal(json_array_size(json_object_get(answer, "relays")), 1);
    json_decref(answer);
    rig_stop(&rig);
}

static void test_static(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG "[relay r]\nipv4 = 203.0.113.7\nstamp_secret = " RIG_SECRET "\n");
    json_t *init = rig_join(
        &rig, rig_client_as(&rig, "/client/v2/websocket", "a", ".laptop", RIG_CLIENT), "client");
    const json_t *relay = json_array_get(json_object_get(init, "relays"), 0);
    assert_string_equal(rig_text(relay, "addr"), "203.0.113.7:3478");
    json_decref(init);
    /* Nobody may come with its secret. */
    struct portal_session *s =
        rig_upgrade(&rig, "/relay/websocket", "ipv4=192.0.2.1", ".relay", "relay/1.0.0");
    rig_say(&rig, s, "relay", "phx_join", "{\"stamp_secret\":\"" RIG_SECRET "\"}", 0);
    json_decref(rig_frame(s));
    rig_expect_payload(s, "phx_close", "{}");
    rig_expect_nothing(s);
    rig_stop(&rig);
}

/* Its credentials are the same for all; its id depends on its name. */
static void test_literal(void **state)
{
    struct rig rig;
    char id[64] = "";
    (void)state;

    rig_start(&rig,
              RIG_CONFIG "[relay r]\nipv4 = 203.0.113.7\nusername = alice\npassword = secret\n"
                         "[relay s]\nipv6 = 2001:db8::7\nport = 7\nusername = alice\n"
                         "password = secret\n");
    for (int i = 0; i < 2; i++) {
        json_t *init = rig_join(
            &rig, rig_client_as(&rig, "/client/v2/websocket", i ? "b" : "a", ".laptop", RIG_CLIENT),
            "client");
        const json_t *relays = json_object_get(init, "relays"), *relay;
        size_t at;
        unsigned seen = 0;
        assert_int_equal(json_array_size(relays), 2);
        json_array_foreach(relays, at, relay)
        {
            bool first = strcmp(rig_text(relay, "addr"), "203.0.113.7:3478") == 0;
            seen |= 1U << first;
            if (!first)
                assert_string_equal(rig_text(relay, "addr"), "[2001:db8::7]:7");
            assert_string_equal(rig_text(relay, "username"), "alice");
            assert_string_equal(rig_text(relay, "password"), "secret");
            if (first && i == 0)
                snprintf(id, sizeof id, "%s", rig_text(relay, "id"));
            assert_int_equal(strcmp(rig_text(relay, "id"), id) == 0, first);
        }
        assert_int_equal(seen, 3);
        json_decref(init);
    }
    rig_stop(&rig);
}

/* It learns nothing but that the socket closes. */
static void test_token_expires(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *r = rig_relay(&rig, "ipv4=192.0.2.1", RIG_SECRET);
    rig_order(&rig, "{\"command\":\"expire\",\"token\":\"relay\"}");
    rig_expect_nothing(r);
    rig_expect_over(r, 1001);
    rig_order(&rig, "{\"command\":\"expire\",\"token\":\"relay\",\"in\":60}");
    rig_close(&rig, r);
    rig_relay(&rig, "ipv4=192.0.2.1", RIG_SECRET);
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join),          cmocka_unit_test(test_init),
        cmocka_unit_test(test_presence),      cmocka_unit_test(test_burst),
        cmocka_unit_test(test_no_relays),     cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_static),        cmocka_unit_test(test_literal),
        cmocka_unit_test(test_token_expires),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
