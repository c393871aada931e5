/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of `fzlink ctl` and their answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "platform/base/bytes.h"
#include "tools/fzlink/command.h"

static enum err parse(enum command *out, struct settings *s, const char *text, char why[256])
{
    json_t *json = json_loads(text, 0, NULL);

    assert_non_null(json);
    memset(why, 0, 256);
    enum err err = command_parse(out, s, json, (struct why){why, 256});
    json_decref(json);
    return err;
}

static void test_set(void **state)
{
    enum command command;
    struct settings s;
    char why[256];

    (void)state;
    settings_init(&s);
    assert_int_equal(parse(&command, &s,
                           "{\"command\":\"set\",\"delay\":\"10ms/20ms\",\"loss\":\"1%\","
                           "\"queue\":50,\"jitter\":0}",
                           why),
                     ERR_OK);
    assert_int_equal(command, COMMAND_SET);
    assert_true(s.of[A_TO_B].delay == 10 * NS_PER_MS && s.of[B_TO_A].delay == 20 * NS_PER_MS);
    assert_true(s.of[A_TO_B].loss == 10000 && s.of[B_TO_A].loss == 10000);
    assert_int_equal(s.of[B_TO_A].queue_packets, 50);
    assert_int_equal(parse(&command, &s, "{\"command\":\"stats\"}", why), ERR_OK);
    assert_int_equal(command, COMMAND_STATS);
    assert_int_equal(parse(&command, &s, "{\"command\":\"show\"}", why), ERR_OK);
    assert_int_equal(command, COMMAND_SHOW);
}

/* Nothing of a command that is refused holds. */
static void test_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"{\"command\":\"stop\"}", "'stop' is none of set, show and stats"},
        {"{\"command\":7}", "'' is none of set, show and stats"},
        {"{\"command\":\"set\"}", "set: NAME=VALUE is missing"},
        {"{\"command\":\"stats\",\"loss\":\"1%\"}", "stats takes no arguments"},
        {"{\"command\":\"set\",\"colour\":\"red\"}", "there is no setting 'colour'"},
        {"{\"command\":\"set\",\"delay\":\"1ms\",\"loss\":1}",
         "loss: '1' is not a share up to 100%, such as 1% (or two of them, A-TO-B/B-TO-A)"},
        {"{\"command\":\"set\",\"delay\":\"1ms\",\"loss\":[]}",
         "loss: '[]' is not a share up to 100%, such as 1% (or two of them, A-TO-B/B-TO-A)"},
        {"{\"command\":\"set\",\"delay\":\"1ms\",\"jitter\":\"2ms\"}",
         "the jitter is at most the delay"},
    };
    enum command command;
    struct settings s, before;
    char why[256];

    (void)state;
    settings_init(&s);
    before = s;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_not_equal(parse(&command, &s, cases[i].text, why), ERR_OK);
        assert_string_equal(why, cases[i].why);
        assert_memory_equal(&s, &before, sizeof s);
    }
}

static void test_show(void **state)
{
    struct settings s;
    json_t *json;

    (void)state;
    settings_init(&s);
    s.of[A_TO_B].rate = 100000000;
    s.of[B_TO_A].loss = 10000;
    json = command_show(&s);
    assert_true(json_is_true(json_object_get(json, "ok")));
    const json_t *a = json_object_get(json, "a_to_b"), *b = json_object_get(json, "b_to_a");
    assert_int_equal(json_object_size(a), SETTINGS);
    assert_string_equal(json_string_value(json_object_get(a, "rate")), "100mbit");
    assert_string_equal(json_string_value(json_object_get(b, "rate")), "none");
    assert_string_equal(json_string_value(json_object_get(b, "loss")), "1%");
    assert_string_equal(json_string_value(json_object_get(a, "queue")), "1000");
    json_decref(json);
}

static void test_stats(void **state)
{
    struct link_stats stats[DIRECTIONS] = {{.overruns = 1}, {.overruns = 2}};
    json_t *json;

    (void)state;
    stats[A_TO_B].lane.impair.lost = 3;
    stats[B_TO_A].lane.impair.queue_packets_max = 4;
    json = command_stats(stats);
    const json_t *a = json_object_get(json, "a_to_b"), *b = json_object_get(json, "b_to_a");
    assert_int_equal(json_integer_value(json_object_get(a, "overruns")), 1);
    assert_int_equal(json_integer_value(json_object_get(a, "lost")), 3);
    assert_int_equal(json_integer_value(json_object_get(b, "overruns")), 2);
    assert_int_equal(json_integer_value(json_object_get(b, "queue_packets_max")), 4);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_show),
        cmocka_unit_test(test_stats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
