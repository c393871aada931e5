/* SPDX-License-Identifier: Apache-2.0 */
/* What a running relay is told: `fzrelay ctl`. */
#include "tests/relay_rig.h"
#include "tools/fzrelay/orders.h"

static struct rig g;
static struct rig_client client;
static uint16_t port;
static struct orders orders;
static char told[64]; /* the portal */

static enum err secret_changed(void *arg, const char *secret, char *why, unsigned why_size)
{
    assert_ptr_equal(arg, &g);
    snprintf(told, sizeof told, "%s", secret);
    snprintf(why, why_size, "the portal is not pleased");
    return strcmp(secret, "bad") == 0 ? ERR_INVALID : ERR_OK;
}

static int start(void **state)
{
    (void)state;
    rig_start(&g);
    rig_client(&client, "192.0.2.10:40000", "a");
    port = rig_allocate(&g, &client, (struct rig_ask){.additional = ADDR_V6});
    rig_bind(&g, &client, 0x4000, "198.51.100.1:1000");
    orders = (struct orders){.relay = g.r, .secret_changed = secret_changed, .arg = &g};
    told[0] = '\0';
    return 0;
}

static int stop(void **state)
{
    (void)state;
    rig_stop(&g);
    return 0;
}

static json_t *tell(const char *text)
{
    json_t *command = json_loads(text, 0, NULL);
    assert_non_null(command);
    json_t *answer = orders_handle(&orders, g.now, command);
    json_decref(command);
    rig_ports(&g);
    return answer;
}

static void expect_done(const char *text)
{
    json_t *answer = tell(text);
    assert_true(json_is_true(json_object_get(answer, "ok")));
    json_decref(answer);
}

static void expect_failure(const char *text, const char *error)
{
    json_t *answer = tell(text);
    assert_true(json_is_false(json_object_get(answer, "ok")));
    const char *got = json_string_value(json_object_get(answer, "error"));
    if (!got || !strstr(got, error))
        fail_msg("%s: no '%s' in '%s'", text, error, got ? got : "");
    json_decref(answer);
}

static json_int_t number(const json_t *object, const char *part, const char *key)
{
    return json_integer_value(json_object_get(part ? json_object_get(object, part) : object, key));
}

static void test_stats(void **state)
{
    struct outbox_stats sent = {.datagrams = 5, .full = 2};
    struct inbox_stats received = {.calls = 3, .items = 9};
    (void)state;

    rig_send(&g, &client, 0x4000, "12345");
    json_t *answer = tell("{\"command\":\"stats\"}");
    assert_int_equal(number(answer, NULL, "allocations"), 1);
    assert_int_equal(number(answer, NULL, "channels"), 1);
    assert_int_equal(number(answer, NULL, "bytes_to_peers"), 5);
    assert_int_equal(number(answer, "datagrams", "to_peers"), 1);
    assert_int_equal(number(answer, "datagrams", "replies"), 3);
    assert_int_equal(number(answer, "errors", "401"), 1);
    assert_null(json_object_get(answer, "sent"));
    assert_null(json_object_get(answer, "received"));
    json_decref(answer);
    orders.received = &received;
    orders.sent = &sent;
    answer = tell("{\"command\":\"stats\"}");
    assert_int_equal(number(answer, "sent", "datagrams"), 5);
    assert_int_equal(number(answer, "sent", "lost_full"), 2);
    assert_int_equal(number(answer, "received", "calls"), 3);
    assert_int_equal(number(answer, "received", "items"), 9);
    json_decref(answer);
}

static void test_list(void **state)
{
    (void)state;

    g.now += 100 * NS_PER_SEC;
    json_t *answer = tell("{\"command\":\"list\"}");
    json_t *wanted = json_pack("{s:b, s:[{s:s, s:i, s:b, s:b, s:i, s:f}]}", "ok", 1, "allocations",
                               "client", "192.0.2.10:40000", "port", port, "ipv4", 1, "ipv6", 1,
                               "channels", 1, "seconds", 500.0);
    assert_true(json_equal(answer, wanted));
    json_decref(wanted);
    json_decref(answer);
}

static void test_drop(void **state)
{
    char text[64];
    (void)state;

    expect_failure("{\"command\":\"drop\"}", "either port=N or all=true");
    expect_failure("{\"command\":\"drop\",\"port\":7,\"all\":true}", "either");
    expect_failure("{\"command\":\"drop\",\"port\":70000}", "port is a number");
    expect_failure("{\"command\":\"drop\",\"port\":7}", "no allocation with port 7");
    snprintf(text, sizeof text, "{\"command\":\"drop\",\"port\":%u}", port);
    expect_done(text);
    assert_int_equal(g.closed, 1);
    rig_ask(&g, &client, (struct rig_ask){.method = STUN_REFRESH});
    rig_expect(&g, 437, &client);
    expect_done("{\"command\":\"drop\",\"all\":true}");
}

static void test_freeze(void **state)
{
    (void)state;

    expect_failure("{\"command\":\"freeze\",\"what\":\"hell\"}", "all, requests or data");
    expect_done("{\"command\":\"freeze\",\"what\":\"data\"}");
    rig_send(&g, &client, 0x4000, "x");
    assert_int_equal(g.verdict, RELAY_DROP_FROZEN);
    rig_ask(&g, &client, (struct rig_ask){.method = STUN_REFRESH});
    rig_expect(&g, 0, &client);
    expect_done("{\"command\":\"freeze\",\"what\":\"requests\"}");
    rig_send(&g, &client, 0x4000, "x");
    assert_int_equal(g.verdict, RELAY_TO_PEER);
    expect_done("{\"command\":\"freeze\"}");
    rig_ask(&g, &client, (struct rig_ask){.method = STUN_REFRESH});
    assert_int_equal(g.verdict, RELAY_DROP_FROZEN);
    expect_done("{\"command\":\"thaw\"}");
    rig_ask(&g, &client, (struct rig_ask){.method = STUN_REFRESH});
    rig_expect(&g, 0, &client);
}

static void test_fail(void **state)
{
    static const struct {
        const char *command;
        enum stun_method method;
        unsigned code;
    } cases[] = {
        {"{\"command\":\"fail\",\"code\":486}", STUN_ALLOCATE, 486},
        {"{\"command\":\"fail\",\"code\":508,\"method\":\"refresh\"}", STUN_REFRESH, 508},
        {"{\"command\":\"fail\",\"code\":699,\"method\":\"channel-bind\"}", STUN_CHANNEL_BIND, 699},
        {"{\"command\":\"fail\",\"code\":403,\"method\":\"create-permission\"}",
         STUN_CREATE_PERMISSION, 403},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        expect_done(cases[i].command);
        rig_ask(&g, &client,
                (struct rig_ask){.method = cases[i].method,
                                 .channel = 0x4000,
                                 .peer = rig_addr("198.51.100.1:1000")});
        rig_expect(&g, cases[i].code, &client);
    }
    assert_int_equal(rig_stats(&g).errors[RELAY_ERROR_403], 1);
    expect_done("{\"command\":\"fail\",\"code\":486,\"method\":\"refresh\",\"count\":2}");
    for (unsigned i = 0; i < 3; i++) {
        rig_ask(&g, &client, (struct rig_ask){.method = STUN_REFRESH});
        rig_expect(&g, i < 2 ? 486 : 0, &client);
    }
    expect_failure("{\"command\":\"fail\"}", "code is a number");
    expect_failure("{\"command\":\"fail\",\"code\":200}", "code is a number");
    expect_failure("{\"command\":\"fail\",\"code\":486,\"count\":0}", "count is a number");
    expect_failure("{\"command\":\"fail\",\"code\":486,\"method\":\"binding\"}", "method is");
    expect_failure("{\"command\":\"fail\",\"code\":486,\"method\":7}", "method is a text");
    for (unsigned i = 0; i < RELAY_PLANS_MAX; i++)
        expect_done(cases[0].command);
    expect_failure(cases[0].command, "too many");
}

static void test_nonces_and_secret(void **state)
{
    (void)state;

    expect_done("{\"command\":\"expire-nonces\"}");
    rig_ask(&g, &client, (struct rig_ask){.method = STUN_REFRESH});
    rig_expect(&g, 438, &client);
    expect_failure("{\"command\":\"secret\"}", "secret is a text");
    expect_failure("{\"command\":\"secret\",\"secret\":\"\"}", "secret is a text");
    assert_string_equal(told, "");
    expect_failure("{\"command\":\"secret\",\"secret\":\"bad\"}", "not pleased");
    assert_string_equal(relay_secret(g.r), RIG_SECRET); /* all or nothing */
    expect_failure("{\"command\":\"secret\",\"secret\":7}", "secret is a text");
    expect_done("{\"command\":\"secret\",\"secret\":\"new\"}");
    assert_string_equal(told, "new");
    assert_string_equal(relay_secret(g.r), "new");
}

/* As on the command line: a secret may look like anything. */
static void test_secret_texts(void **state)
{
    static const char *const secrets[] = {"7", "1e5", "true", "null", "{\"a\":1}", "[]", "\"q\""};
    char why[256], command[] = "secret", word[64];
    char *const argv[] = {command, word};
    json_t *json;
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
        snprintf(word, sizeof word, "secret=%s", secrets[i]);
        assert_int_equal(ctl_build(&json, 2, argv, orders_is_text, why, sizeof why), ERR_OK);
        json_decref(orders_handle(&orders, g.now, json));
        json_decref(json);
        assert_string_equal(relay_secret(g.r), secrets[i]);
    }
    assert_false(orders_is_text("drop", "secret", 6));
    assert_false(orders_is_text("secret", "secre", 5));
}

static void test_table(void **state)
{
    const struct ctl_help *h;
    (void)state;

    for (size_t i = 0; (h = orders_at(i)); i++)
        assert_true(h->name[0] && h->what[0]);
    expect_failure("{\"command\":\"explode\"}", "no command 'explode'");
    expect_failure("{\"command\":7}", "no command");
    expect_failure("{\"command\":\"stats\",\"more\":1}", "'stats' takes no 'more'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_stats, start, stop),
        cmocka_unit_test_setup_teardown(test_list, start, stop),
        cmocka_unit_test_setup_teardown(test_drop, start, stop),
        cmocka_unit_test_setup_teardown(test_freeze, start, stop),
        cmocka_unit_test_setup_teardown(test_fail, start, stop),
        cmocka_unit_test_setup_teardown(test_nonces_and_secret, start, stop),
        cmocka_unit_test_setup_teardown(test_secret_texts, start, stop),
        cmocka_unit_test_setup_teardown(test_table, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
