/* SPDX-License-Identifier: Apache-2.0 */
/* Small parts of the development portal: User-Agents and versions, decoded queries, the hash table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"
#include "tools/fzportal/agent.h"
#include "tools/fzportal/query.h"
#include "tools/fzportal/table.h"

static void test_agents(void **state)
{
    static const struct {
        const char *text;
        enum agent_component component;
        const char *version, *os_name, *os_version;
        bool semver;
    } cases[] = {
        {"Ubuntu/22.4.0 headless-client/1.5.12 (x86_64; 6.8.0)", AGENT_HEADLESS, "1.5.12", "Ubuntu",
         "22.4.0", true},
        {"Windows/10.0.22631 connlib/1.0.0", AGENT_GUI, "1.0.0", "Windows", "10.0.22631", true},
        {"iOS/17 apple-client/1.5.0", AGENT_APPLE, "1.5.0", "iOS", "17", true},
        {"relay/0.1.2", AGENT_RELAY, "0.1.2", "relay", "0.1.2", true},
        {"X/1 gateway/1.6.1-rc.1+b", AGENT_GATEWAY, "1.6.1-rc.1+b", "X", "1", true},
        {"X/1 gui-client/1.5", AGENT_GUI, "1.5", "X", "1", false},
        {"X/1 gui-client/01.5.0", AGENT_GUI, "01.5.0", "X", "1", false},
        {"X/1 gui-client/1.5.0-", AGENT_GUI, "1.5.0-", "X", "1", false},
        {"X/1 gui-client/1.5.0.1", AGENT_GUI, "1.5.0.1", "X", "1", false},
        {"X/1 android-client/", AGENT_ANDROID, "", "X", "1", false},
        {"Mozilla/5.0 (X11)", AGENT_NONE, "", "Mozilla", "5.0", false},
        {"", AGENT_NONE, "", "", "", false},
        {"\xff/\x01 gateway/1.0.0\xff", AGENT_GATEWAY, "1.0.0?", "?", "?", false},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct agent a;
        agent_parse(&a, cases[i].text);
        print_message("%s\n", cases[i].text);
        assert_int_equal(a.component, cases[i].component);
        assert_string_equal(a.version, cases[i].version);
        assert_string_equal(a.os_name, cases[i].os_name);
        assert_string_equal(a.os_version, cases[i].os_version);
        assert_int_equal(a.semver, cases[i].semver);
    }
}

static struct agent agent(const char *version)
{
    char text[64] = "X/1 headless-client/";
    struct agent a;
    agent_parse(&a, strcat(text, version));
    return a;
}

static void test_pairs(void **state)
{
    static const struct {
        const char *client, *gateway;
        bool fit;
    } cases[] = {
        {"1.5.12", "1.4.0", true},  {"1.5.12", "1.3.9", false}, {"1.5.12", "1.6.9", true},
        {"1.5.12", "1.7.0", false}, {"1.5.0", "2.5.0", false},  {"1.0.0", "1.0.0", true},
        {"1.0.0", "1.1.0", true},   {"1.5.0", "x", false},      {"x", "1.5.0", false},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct agent c = agent(cases[i].client), g = agent(cases[i].gateway);
        assert_int_equal(agent_fits_gateway(&c, &g), cases[i].fit);
    }
    struct agent a = agent("1.5.9"), b = agent("1.5.10"), c = agent("1.6.0"), x = agent("x");
    assert_true(agent_fits_client(&a, &b));
    assert_false(agent_fits_client(&a, &c));
    assert_true(agent_compare(&a, &b) < 0);
    assert_true(agent_compare(&c, &b) > 0);
    assert_true(agent_compare(&x, &b) < 0);
    assert_true(agent_compare(&b, &x) > 0);
    assert_int_equal(agent_compare(&x, &x), 0);
    assert_int_equal(agent_compare(&a, &a), 0);
}

static void test_query(void **state)
{
    struct query q;
    (void)state;

    assert_true(query_parse(&q, "a=1&b=x+y%2B%2f&&c&=d&a=2&e=f=g"));
    assert_string_equal(query_get(&q, "a"), "2");
    assert_string_equal(query_get(&q, "b"), "x y+/");
    assert_string_equal(query_get(&q, "c"), "");
    assert_string_equal(query_get(&q, "e"), "f=g");
    assert_null(query_get(&q, "x"));
    query_fini(&q);
    static const char *const bad[] = {"a=%", "a=%4", "a=%4g", "%zz=1", "a=%00", "a=%ff"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(query_parse(&q, bad[i]));
        query_fini(&q);
    }
    char *many = calloc(1, QUERY_BYTES_MAX + 2);
    for (size_t i = 0; i <= QUERY_PARAMS_MAX; i++)
        strcat(many, "a&");
    assert_false(query_parse(&q, many));
    query_fini(&q);
    memset(many, 'x', QUERY_BYTES_MAX + 1);
    assert_false(query_parse(&q, many));
    query_fini(&q);
    free(many);
}

/* Against the simplest set there is. */
static void test_table(void **state)
{
    enum {
        N = 500
    };
    struct item {
        struct table_link link;
        bool in;
    } *items = calloc(N, sizeof *items);
    struct table t = {.n = 0};
    unsigned dice = 1, n = 0;
    (void)state;

    assert_null(table_first(&t, 7));
    for (int step = 0; step < 20000; step++) {
        dice = dice * 1103515245 + 12345;
        size_t i = dice / 65536 % N;
        uint64_t hash = table_hash(TABLE_HASH, &(uint8_t){(uint8_t)(i % 100)}, 1);
        if (items[i].in)
            table_remove(&t, &items[i].link);
        else
            table_add(&t, &items[i].link, hash);
        n += items[i].in ? -1U : 1;
        items[i].in = !items[i].in;
        bool found = false;
        for (struct table_link *l = table_first(&t, hash); l; l = table_next(l))
            found |= l == &items[i].link;
        assert_int_equal(found, items[i].in);
        assert_int_equal(t.n, n);
    }
    table_fini(&t);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_agents),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_query),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
