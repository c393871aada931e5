/* SPDX-License-Identifier: Apache-2.0 */
/* The development portal's control interface: what commands do, and what they say when they cannot. */
#include "tests/portal_rig.h"

#define GOOD "external_id=a&public_key=" RIG_KEY_A

static void expect_error(struct rig *rig, const char *command, const char *error)
{
    json_t *answer = rig_control(rig, command);
    assert_true(json_is_false(json_object_get(answer, "ok")));
    if (strncmp(rig_text(answer, "error"), error, strlen(error)) != 0)
        fail_msg("%s: %s", command, rig_text(answer, "error"));
    json_decref(answer);
}

static void test_errors(void **state)
{
    static const struct {
        const char *command, *error;
    } cases[] = {
        {"{}", "\"command\" is missing"},
        {"{\"command\":7}", "\"command\" is missing"},
        {"{\"command\":\"x\"}", "x: no such command; \"help\" lists them"},
        {"{\"command\":\"stop\",\"x\":1}", "stop: no such key as \"x\""},
        {"{\"command\":\"kick\"}",
         "kick: say which sessions by session, role, device, token or all"},
        {"{\"command\":\"kick\",\"all\":true,\"x\":1}", "kick: no such key as \"x\""},
        {"{\"command\":\"kick\",\"all\":true}", "no such session"},
        {"{\"command\":\"kick\",\"all\":true,\"how\":\"x\"}", "kick: how: close, drop"},
        {"{\"command\":\"kick\",\"all\":true,\"how\":7}", "kick: how: close, drop"},
        {"{\"command\":\"kick\",\"all\":true,\"code\":1}", "kick: code: not a number from 1000"},
        {"{\"command\":\"kick\",\"all\":true,\"reason\":1}", "kick: reason: not a text"},
        {"{\"command\":\"silence\",\"all\":true,\"on\":1}", "silence: on: neither true nor false"},
        {"{\"command\":\"send\",\"all\":true}", "send: event: missing, or not a text"},
        {"{\"command\":\"send\",\"all\":true,\"event\":\"x\",\"topic\":1}", "send: topic: not a"},
        {"{\"command\":\"refuse\"}", "refuse: status: a number from 300 to 599 is needed"},
        {"{\"command\":\"refuse\",\"status\":200}", "refuse: status: a number from 300"},
        {"{\"command\":\"refuse\",\"status\":401,\"code\":1}", "refuse: code: not a text"},
        {"{\"command\":\"refuse\",\"status\":401,\"detail\":1}", "refuse: detail: not a text"},
        {"{\"command\":\"refuse\",\"status\":401,\"retry_after\":-1}", "refuse: retry_after: not"},
        {"{\"command\":\"refuse\",\"status\":401,\"count\":-1}", "refuse: count: not a number"},
        {"{\"command\":\"refuse\",\"status\":401,\"role\":\"x\"}", "refuse: role: client, gateway"},
        {"{\"command\":\"expire\"}", "token: there is none of this name"},
        {"{\"command\":\"expire\",\"token\":\"laptop\",\"in\":-1}", "in: not a number of seconds"},
        {"{\"command\":\"revoke\",\"client\":\"x\"}", "client: there is none of this name"},
        {"{\"command\":\"revoke\",\"resource\":\"x\"}", "resource: there is none of this name"},
        {"{\"command\":\"revoke\",\"peer\":7}", "peer: there is none of this name"},
        {"{\"command\":\"lifetime\"}", "in: a number of seconds is needed"},
        {"{\"command\":\"lifetime\",\"in\":\"5\"}", "in: a number of seconds is needed"},
        {"{\"command\":\"lifetime\",\"in\":5,\"client\":\"x\"}", "client: there is none"},
        {"{\"command\":\"policy\",\"name\":\"x\"}", "name: there is no such policy"},
        {"{\"command\":\"policy\",\"name\":\"all\",\"on\":1}", "on: neither true nor false"},
        {"{\"command\":\"address\",\"device\":\"x\"}", "device: none, or several, have this id"},
        {"{\"command\":\"state\",\"part\":\"x\"}", "part: there is no such part"},
        {"{\"command\":\"dns\",\"mode\":\"x\"}", "mode: not one of system, custom, secure"},
        {"{\"command\":\"dns\",\"mode\":\"custom\"}", "servers: mode custom needs some"},
        {"{\"command\":\"dns\",\"x\":1}", "x: no such key, there are mode, servers, url"},
        {"{\"command\":\"dns\",\"servers\":[1]}", "servers: neither text, number, true, false nor"},
        {"{\"command\":\"dns\",\"servers\":{}}", "servers: neither text, number, true, false nor"},
        {"{\"command\":\"resource_add\"}", "name: missing, empty or too long"},
        {"{\"command\":\"resource_add\",\"name\":\"Lab\"}",
         "name: there is such a resource already"},
        {"{\"command\":\"resource_add\",\"name\":\"N\"}", "type: missing"},
        {"{\"command\":\"resource_add\",\"name\":\"N\",\"type\":\"ip\",\"address\":\"10.0.0.1\","
         "\"site\":\"x\"}",
         "site: there is no such site"},
        {"{\"command\":\"resource_add\",\"name\":\"N\",\"x\":\"ip\"}",
         "x: no such key, there are id"},
        {"{\"command\":\"resource_add\",\"name\":\"N\",\"filters\":\"x\"}", "filters: not filters"},
        {"{\"command\":\"resource_change\",\"name\":\"N\"}", "name: there is no such resource"},
        {"{\"command\":\"resource_change\",\"name\":\"Lab\",\"id\":\"x\"}",
         "id: cannot be changed"},
        {"{\"command\":\"resource_change\",\"name\":\"Lab\",\"site\":\"\"}", "site: missing"},
        {"{\"command\":\"resource_change\",\"name\":\"Lab\",\"type\":\"\"}",
         "type: cannot be empty"},
        {"{\"command\":\"resource_remove\",\"name\":\"N\"}", "name: there is no such resource"},
    };
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_error(&rig, cases[i].command, cases[i].error);
    rig_stop(&rig);
}

static void test_help(void **state)
{
    struct rig rig;
    size_t n = 0;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    while (portal_command_at(n))
        n++;
    json_t *answer = rig_control(&rig, "{\"command\":\"help\"}");
    assert_int_equal(json_array_size(json_object_get(answer, "commands")), n);
    assert_true(n > 15);
    json_decref(answer);
    rig_stop(&rig);
}

static void test_id_is_taken(void **state)
{
    struct rig rig;
    char id[37], command[256];
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    rig_id(&rig, "resources", "Lab", id);
    snprintf(
        command, sizeof command,
        "{\"command\":\"resource_add\",\"name\":\"N\",\"type\":\"ip\",\"address\":\"10.0.0.1\","
        "\"site\":\"Main\",\"id\":\"%s\"}",
        id);
    expect_error(&rig, command, "id: another resource has it");
    rig_stop(&rig);
}

static void test_kick(void **state)
{
    static const struct {
        const char *how;
        const char *frames[2];
        bool over;
        unsigned code;
    } cases[] = {
        {"", {NULL, NULL}, true, 1012},
        {",\"how\":\"close\",\"code\":4000", {NULL, NULL}, true, 4000},
        {",\"how\":\"drop\"", {NULL, NULL}, true, 0},
        {",\"how\":\"crash\"", {"phx_error", NULL}, true, 1012},
        {",\"how\":\"disconnect\"", {"disconnect", "phx_close"}, true, 1000},
        {",\"how\":\"phx_close\"", {"phx_close", NULL}, false, 0},
    };
    static const char *const who[] = {"\"session\":1",        "\"role\":\"client\"",
                                      "\"device\":\"a\"",     "\"device\":\"a box\"",
                                      "\"token\":\"laptop\"", "\"all\":true,\"token\":\"laptop\""};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (size_t j = 0; j < ARRAY_LEN(who); j++) {
            struct rig rig;
            char command[256];
            rig_start(&rig, RIG_CONFIG);
            struct portal_session *c = rig_client(&rig, "a", ".laptop");
            struct portal_session *g = rig_gateway(&rig, "g");
            snprintf(command, sizeof command, "{\"command\":\"kick\",%s%s}", who[j], cases[i].how);
            rig_order(&rig, command);
            for (size_t k = 0; k < 2 && cases[i].frames[k]; k++)
                json_decref(rig_expect(c, cases[i].frames[k]));
            rig_expect_nothing(c);
            if (cases[i].over)
                rig_expect_over(c, cases[i].code);
            else
                json_decref(rig_join(&rig, c, "client"));
            rig_expect_nothing(g);
            rig_expect_alive(g);
            rig_stop(&rig);
        }
    }
}

static void test_reason(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop");
    rig_order(&rig, "{\"command\":\"kick\",\"all\":true,\"how\":\"disconnect\","
                    "\"reason\":\"certificate_revoked\"}");
    rig_expect_payload(c, "disconnect", "{\"reason\":\"certificate_revoked\"}");
    rig_stop(&rig);
}

static void test_silence(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop");
    rig_order(&rig, "{\"command\":\"silence\",\"device\":\"a\"}");
    rig_say(&rig, c, "phoenix", "heartbeat", "{}", 1);
    rig_expect_nothing(c);
    rig_order(&rig, "{\"command\":\"silence\",\"all\":true}");
    struct portal_session *d = rig_client(&rig, "b", ".laptop");
    rig_say(&rig, d, "phoenix", "heartbeat", "{}", 1);
    rig_expect_nothing(d);
    rig_order(&rig, "{\"command\":\"silence\",\"all\":true,\"on\":false}");
    rig_say(&rig, c, "phoenix", "heartbeat", "{}", 2);
    json_decref(rig_frame(c));
    rig_say(&rig, rig_client(&rig, "c", ".laptop"), "phoenix", "heartbeat", "{}", 1);
    rig_stop(&rig);
}

static void test_stall(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    rig_order(&rig, "{\"command\":\"stall\",\"all\":true}"); /* there is no session yet */
    struct portal_session *c =
        rig_upgrade(&rig, "/client/v2/websocket", GOOD, ".laptop", RIG_CLIENT);
    rig_say(&rig, c, "client", "phx_join", "null", 0);
    rig_expect_nothing(c);
    rig_expect_alive(c);
    rig_order(&rig, "{\"command\":\"stall\",\"all\":true,\"on\":false}");
    json_decref(rig_join(&rig, c, "client"));
    rig_stop(&rig);
}

static void test_send(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop");
    rig_order(&rig, "{\"command\":\"send\",\"all\":true,\"event\":\"x\"}");
    rig_expect_text(c, "{\"topic\":\"client\",\"event\":\"x\",\"payload\":{},\"ref\":null}");
    rig_order(&rig, "{\"command\":\"send\",\"all\":true,\"event\":\"x\",\"payload\":[1],"
                    "\"topic\":\"y\",\"ref\":7}");
    rig_expect_text(c, "{\"topic\":\"y\",\"event\":\"x\",\"payload\":[1],\"ref\":7}");
    rig_stop(&rig);
}

static void test_init(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    struct portal_session *r = rig_relay(&rig, "ipv4=192.0.2.1", RIG_SECRET);
    struct portal_session *idle = rig_upgrade(
        &rig, "/client/v2/websocket", "external_id=b&public_key=" RIG_KEY_A, ".laptop", RIG_CLIENT);
    rig_order(&rig, "{\"command\":\"init\",\"all\":true}");
    json_decref(rig_expect(c, "init"));
    json_decref(rig_expect(g, "init"));
    json_decref(rig_expect(r, "init"));
    rig_expect_nothing(idle);
    rig_stop(&rig);
}

static void test_refuse(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    rig_order(&rig, "{\"command\":\"refuse\",\"status\":503,\"code\":\"busy\",\"detail\":\"Later\","
                    "\"retry_after\":7,\"count\":2,\"role\":\"client\"}");
    rig_order(&rig, "{\"command\":\"refuse\",\"status\":429}");
    assert_null(rig_upgrade(&rig, "/relay/websocket", "ipv4=192.0.2.1", ".relay", "x"));
    assert_int_equal(rig.answer.status, 429);
    assert_string_equal(rig.answer.code, "");
    assert_int_equal(rig.answer.retry_after_s, -1);
    for (int i = 0; i < 2; i++) {
        assert_null(rig_upgrade(&rig, "/client/v2/websocket", "", NULL, NULL));
        assert_int_equal(rig.answer.status, 503);
        assert_string_equal(rig.answer.code, "busy");
        assert_string_equal(rig.answer.detail, "Later");
        assert_int_equal(rig.answer.retry_after_s, 7);
    }
    assert_non_null(rig_upgrade(&rig, "/client/v2/websocket", GOOD, ".laptop", RIG_CLIENT));
    for (int i = 0; i < 16; i++)
        rig_order(&rig, "{\"command\":\"refuse\",\"status\":500}");
    expect_error(&rig, "{\"command\":\"refuse\",\"status\":500}",
                 "refuse: there are 16 such orders");
    rig_order(&rig, "{\"command\":\"refuse\",\"count\":0}");
    assert_non_null(rig_upgrade(&rig, "/client/v2/websocket", GOOD, ".laptop", RIG_CLIENT));
    rig_stop(&rig);
}

static void test_stop(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    assert_true(portal_listening(rig.p));
    rig_order(&rig, "{\"command\":\"stop\"}");
    assert_false(portal_listening(rig.p));
    rig_order(&rig, "{\"command\":\"start\"}");
    assert_true(portal_listening(rig.p));
    rig_stop(&rig);
}

/* All parts are there, and no secret is. */
static void test_state(void **state)
{
    static const char *const parts[] = {"tokens",    "sites",    "devices", "sessions",
                                        "resources", "policies", "relays",  "authorizations",
                                        "pending",   "refusals"};
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    rig_client(&rig, "a", ".laptop");
    rig_gateway(&rig, "g");
    rig_relay(&rig, "ipv4=192.0.2.1", RIG_SECRET);
    rig_order(&rig, "{\"command\":\"refuse\",\"status\":500}");
    json_t *answer = rig_control(&rig, "{\"command\":\"state\"}");
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        assert_true(json_is_array(json_object_get(answer, parts[i])));
    assert_int_equal(json_array_size(json_object_get(answer, "sessions")), 3);
    const json_t *s = json_array_get(json_object_get(answer, "sessions"), 0);
    assert_string_equal(rig_text(s, "state"), "joined");
    assert_string_equal(rig_text(s, "token"), "laptop");
    assert_int_equal(json_integer_value(json_object_get(s, "session")), 1);
    char *text = json_dumps(answer, 0);
    assert_null(strstr(text, ".laptop"));
    assert_null(strstr(text, RIG_SECRET));
    free(text);
    json_decref(answer);
    rig_stop(&rig);
}

static void test_expire_later(void **state)
{
    struct rig rig;
    (void)state;

    rig_start(&rig, RIG_CONFIG);
    struct portal_session *c = rig_client(&rig, "a", ".laptop"), *g = rig_gateway(&rig, "g");
    rig_order(&rig, "{\"command\":\"expire\",\"token\":\"laptop\",\"in\":20}");
    rig_wait_ms(&rig, 19999);
    rig_expect_nothing(c);
    rig_wait_ms(&rig, 1);
    json_decref(rig_expect(c, "disconnect"));
    assert_null(rig_upgrade(&rig, "/client/v2/websocket", GOOD, ".laptop", RIG_CLIENT));
    assert_int_equal(rig.answer.status, 401);
    rig_order(&rig, "{\"command\":\"expire\",\"token\":\"laptop\",\"in\":20}");
    assert_non_null(rig_upgrade(&rig, "/client/v2/websocket", GOOD, ".laptop", RIG_CLIENT));
    /* Gateways' as well. */
    rig_order(&rig, "{\"command\":\"expire\",\"token\":\"gw\"}");
    json_decref(rig_expect(g, "disconnect"));
    rig_stop(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),       cmocka_unit_test(test_help),
        cmocka_unit_test(test_id_is_taken),  cmocka_unit_test(test_kick),
        cmocka_unit_test(test_reason),       cmocka_unit_test(test_silence),
        cmocka_unit_test(test_stall),        cmocka_unit_test(test_send),
        cmocka_unit_test(test_init),         cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_stop),         cmocka_unit_test(test_state),
        cmocka_unit_test(test_expire_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
