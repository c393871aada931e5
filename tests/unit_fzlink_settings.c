/* SPDX-License-Identifier: Apache-2.0 */
/* Quantities and settings of an emulated link as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "platform/base/bytes.h"
#include "tools/fzlink/settings.h"

static void test_duration(void **state)
{
    static const struct {
        const char *text;
        time_ns value;
        const char *again; /* NULL: the same */
    } good[] = {
        {"0", 0, NULL},
        {"10ms", 10 * NS_PER_MS, NULL},
        {"0.5ms", 500 * NS_PER_US, "500us"},
        {"1.5ms", 1500 * NS_PER_US, NULL},
        {"1500us", 1500 * NS_PER_US, "1.5ms"},
        {"7ns", 7, NULL},
        {"1.000000001s", NS_PER_SEC + 1, NULL},
        {"60s", 60 * NS_PER_SEC, NULL},
        {"1.50000000000000s", 1500 * NS_PER_MS, "1.5s"},
        {"0ms", 0, "0"},
        {"7.0ns", 7, "7ns"},
    };
    static const char *const bad[] = {"",
                                      "1",
                                      "ms",
                                      "-1ms",
                                      "+1ms",
                                      " 1ms",
                                      "1 ms",
                                      "1m",
                                      "1.ms",
                                      ".5ms",
                                      "0.5ns",
                                      "61s",
                                      "60.1s",
                                      "1e3ms",
                                      "1..2s",
                                      "1.2.3s",
                                      "1ms ",
                                      "0x1ms",
                                      "7.05ns",
                                      "00",
                                      "99999999999999999999s",
                                      "1.0000000001s"};
    char text[VALUE_TEXT_MAX];
    time_ns v;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(value_duration_parse(&v, good[i].text));
        assert_true(v == good[i].value);
        assert_string_equal(value_duration_format(v, text),
                            good[i].again ? good[i].again : good[i].text);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (value_duration_parse(&v, bad[i]))
            fail_msg("'%s' was taken", bad[i]);
    }
}

static void test_share(void **state)
{
    static const char *const bad[] = {"1", "%", "101%", "100.0001%", "0.00001%", "-1%", "1%%"};
    char text[VALUE_TEXT_MAX];
    uint32_t v;

    (void)state;
    assert_true(value_share_parse(&v, "0.1%") && v == IMPAIR_WHOLE / 1000);
    assert_string_equal(value_share_format(v, text), "0.1%");
    assert_true(value_share_parse(&v, "100%") && v == IMPAIR_WHOLE);
    assert_string_equal(value_share_format(v, text), "100%");
    assert_true(value_share_parse(&v, "0.0001%") && v == 1);
    assert_string_equal(value_share_format(v, text), "0.0001%");
    assert_true(value_share_parse(&v, "0") && v == 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (value_share_parse(&v, bad[i]))
            fail_msg("'%s' was taken", bad[i]);
    }
}

static void test_rate(void **state)
{
    static const char *const bad[] = {"100",  "999bit", "1001gbit", "10mb",  "100 mbit",
                                      "mbit", "NONE",   "1.5bit",   "-1mbit"};
    char text[VALUE_TEXT_MAX];
    uint64_t v;

    (void)state;
    assert_true(value_rate_parse(&v, "100mbit") && v == 100000000);
    assert_string_equal(value_rate_format(v, text), "100mbit");
    assert_true(value_rate_parse(&v, "2.5Gbit") && v == 2500000000);
    assert_string_equal(value_rate_format(v, text), "2.5gbit");
    assert_true(value_rate_parse(&v, "1000gbit") && v == UINT64_C(1000000000000));
    assert_true(value_rate_parse(&v, "none") && v == 0);
    assert_string_equal(value_rate_format(v, text), "none");
    assert_true(value_rate_parse(&v, "0") && v == 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (value_rate_parse(&v, bad[i]))
            fail_msg("'%s' was taken", bad[i]);
    }
}

static void test_queue(void **state)
{
    static const char *const bad[] = {"", "1.5", "1MiB", "1.5B", "-1", "1000000000001", "2000GB"};
    char text[VALUE_TEXT_MAX];
    uint64_t packets, bytes;

    (void)state;
    assert_true(value_queue_parse(&packets, &bytes, "1000") && packets == 1000 && bytes == 0);
    assert_string_equal(value_queue_format(packets, bytes, text), "1000");
    assert_true(value_queue_parse(&packets, &bytes, "1.5MB") && packets == 0 && bytes == 1500000);
    assert_string_equal(value_queue_format(packets, bytes, text), "1.5MB");
    assert_true(value_queue_parse(&packets, &bytes, "none") && packets == 0 && bytes == 0);
    assert_string_equal(value_queue_format(packets, bytes, text), "none");
    assert_true(value_queue_parse(&packets, &bytes, "0") && packets == 0 && bytes == 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (value_queue_parse(&packets, &bytes, bad[i]))
            fail_msg("'%s' was taken", bad[i]);
    }
}

static void test_directions(void **state)
{
    char why[256], text[VALUE_TEXT_MAX];
    struct why w = {why, sizeof why};
    struct settings s;

    (void)state;
    settings_init(&s);
    assert_int_equal(s.of[B_TO_A].queue_packets, SETTINGS_QUEUE_USUAL);
    assert_int_equal(settings_parse(&s, SETTING_DELAY, "10ms", w), ERR_OK);
    assert_true(s.of[A_TO_B].delay == 10 * NS_PER_MS && s.of[B_TO_A].delay == 10 * NS_PER_MS);
    assert_int_equal(settings_parse(&s, SETTING_DELAY, "0/20ms", w), ERR_OK);
    assert_true(s.of[A_TO_B].delay == 0 && s.of[B_TO_A].delay == 20 * NS_PER_MS);
    assert_int_equal(settings_parse(&s, SETTING_LOSS, "1%/0", w), ERR_OK);
    assert_string_equal(settings_format(&s, SETTING_LOSS, A_TO_B, text), "1%");
    assert_string_equal(settings_format(&s, SETTING_LOSS, B_TO_A, text), "0");
    assert_int_equal(settings_parse(&s, SETTING_QUEUE, "1MB/7", w), ERR_OK);
    assert_true(s.of[A_TO_B].queue_bytes == 1000000 && s.of[A_TO_B].queue_packets == 0);
    assert_true(s.of[B_TO_A].queue_bytes == 0 && s.of[B_TO_A].queue_packets == 7);
}

static void test_refused(void **state)
{
    static const struct {
        enum setting setting;
        const char *text, *why;
    } cases[] = {
        {SETTING_DELAY, "10",
         "delay: '10' is not a time up to 60s, such as 10ms (or two of them, A-TO-B/B-TO-A)"},
        {SETTING_LOSS, "1%/2%/3%",
         "loss: '1%/2%/3%' is not a share up to 100%, such as 1% (or two of them, A-TO-B/B-TO-A)"},
        {SETTING_RATE, "/1mbit",
         "rate: '/1mbit' is not a rate from 1kbit to 1000gbit, such as 100mbit, or none (or two of "
         "them, A-TO-B/B-TO-A)"},
    };
    char why[256];
    struct why w = {why, sizeof why};
    struct settings s;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        settings_init(&s);
        assert_int_equal(settings_parse(&s, cases[i].setting, cases[i].text, w), ERR_PARSE);
        assert_string_equal(why, cases[i].why);
    }
    settings_init(&s);
    assert_int_equal(settings_check(&s, w), ERR_OK);
    assert_int_equal(settings_parse(&s, SETTING_REORDER, "0/1%", w), ERR_OK);
    assert_int_equal(settings_check(&s, w), ERR_INVALID);
    assert_non_null(strstr(why, "reorder needs a delay"));
    assert_int_equal(settings_parse(&s, SETTING_DELAY, "0/1ms", w), ERR_OK);
    assert_int_equal(settings_check(&s, w), ERR_OK);
    assert_int_equal(settings_parse(&s, SETTING_JITTER, "0/2ms", w), ERR_OK);
    assert_int_equal(settings_check(&s, w), ERR_INVALID);
}

static void test_names(void **state)
{
    (void)state;
    for (unsigned i = 0; i < SETTINGS; i++)
        assert_int_equal(settings_find(settings_name((enum setting)i)), i);
    assert_int_equal(settings_find("colour"), SETTINGS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_duration),   cmocka_unit_test(test_share),
        cmocka_unit_test(test_rate),       cmocka_unit_test(test_queue),
        cmocka_unit_test(test_directions), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
