/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the log: their layout, escapes, what is no UTF-8, and where they are cut. */
#include "platform/base/log_line.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

#define STAMP "2026-03-01T12:34:56.789Z"

static char line[LOG_LINE_MAX + 1];

static const char *render(enum log_format format, enum log_level level, const char *module,
                          const char *message, size_t len)
{
    struct log_record r = {STAMP, level, module, message, len};
    size_t n = log_line(line, format, &r);
    assert_true(n <= LOG_LINE_MAX);
    line[n] = '\0';
    return line;
}

static void layout(void **state)
{
    (void)state;
    assert_string_equal(render(LOG_TEXT, LOG_ERROR, "m", "text", 4), STAMP " ERROR m: text\n");
    assert_string_equal(render(LOG_TEXT, LOG_WARN, "m", "", 0), STAMP "  WARN m: \n");
    assert_string_equal(render(LOG_TEXT, LOG_INFO, "a-b", "x y", 3), STAMP "  INFO a-b: x y\n");
    assert_string_equal(render(LOG_TEXT, LOG_DEBUG, "m", "x", 1), STAMP " DEBUG m: x\n");
    assert_string_equal(render(LOG_TEXT, LOG_TRACE, "m", "x", 1), STAMP " TRACE m: x\n");
    assert_string_equal(render(LOG_JSON, LOG_WARN, "tunnel", "peer 1", 6),
                        "{\"time\":\"" STAMP "\",\"level\":\"WARN\",\"target\":\"tunnel\","
                        "\"message\":\"peer 1\"}\n");
    assert_non_null(strstr(render(LOG_JSON, LOG_ERROR, "m", "", 0), "\"level\":\"ERROR\""));
}

static void escapes(void **state)
{
    (void)state;
    static const struct {
        const char *in, *text, *json;
    } cases[] = {
        {"a\nb\tc\rd\be\ff", "a\\nb\\tc\\rd\\be\\ff", "a\\nb\\tc\\rd\\be\\ff"},
        {"\x01\x1b[31m\x7f", "\\x01\\x1b[31m\\x7f", "\\u0001\\u001b[31m\\u007f"},
        {"say \"x\" \\ /", "say \"x\" \\ /", "say \\\"x\\\" \\\\ /"},
        {"\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\xa5", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\xa5",
         "\xc3\xa4\xe2\x82\xac\xf0\x9f\x94\xa5"},
        {"\xc2\x9b", "\\x9b", "\\u009b"},
        {"\x80|\xff|\xc0\xaf|", "\xef\xbf\xbd|\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|",
         "\xef\xbf\xbd|\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd|"},
        {"\xe2\x82|", "\xef\xbf\xbd|", "\xef\xbf\xbd|"},         /* two of three bytes */
        {"\xed\xa0\x80|", "\xef\xbf\xbd|", "\xef\xbf\xbd|"},     /* a surrogate */
        {"\xe0\x80\x80|", "\xef\xbf\xbd|", "\xef\xbf\xbd|"},     /* longer than needed */
        {"\xf4\x90\x80\x80|", "\xef\xbf\xbd|", "\xef\xbf\xbd|"}, /* beyond U+10FFFF */
        {"x\xf0\x9f\x94", "x", "x"},                             /* cut amid a character */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char want[256];
        snprintf(want, sizeof want, STAMP "  INFO m: %s\n", cases[i].text);
        assert_string_equal(render(LOG_TEXT, LOG_INFO, "m", cases[i].in, strlen(cases[i].in)),
                            want);
        snprintf(want, sizeof want,
                 "{\"time\":\"" STAMP
                 "\",\"level\":\"INFO\",\"target\":\"m\",\"message\":\"%s\"}\n",
                 cases[i].json);
        assert_string_equal(render(LOG_JSON, LOG_INFO, "m", cases[i].in, strlen(cases[i].in)),
                            want);
    }
    /* a zero within the given length is a control character as any other */
    assert_string_equal(render(LOG_TEXT, LOG_INFO, "m", "a\0b", 3), STAMP "  INFO m: a\\x00b\n");
    assert_non_null(strstr(render(LOG_JSON, LOG_INFO, "m", "a\0b", 3), "\"a\\u0000b\"}\n"));
    /* a module's name cannot break the line either */
    assert_string_equal(render(LOG_TEXT, LOG_INFO, "a\nb", "", 0), STAMP "  INFO a\\nb: \n");
}

/* Messages that grow six-fold end before an escape that does not fit, and the line stays whole. */
static void long_lines_are_cut(void **state)
{
    (void)state;
    static char message[LOG_MESSAGE_MAX];
    static char module[LOG_LINE_MAX * 2];

    for (size_t len = 0; len <= sizeof message; len++) {
        memset(message, 1, len);
        const char *text = render(LOG_JSON, LOG_INFO, "m", message, len);
        size_t n = strlen(text);
        assert_string_equal(text + n - 3, "\"}\n");
        size_t escaped = n - 3 - (size_t)(strstr(text, "\"message\":\"") + 11 - text);
        assert_int_equal(escaped % 6, 0);
        assert_true(escaped == 6 * len || n > LOG_LINE_MAX - 6);
        text = render(LOG_TEXT, LOG_INFO, "m", message, len);
        n = strlen(text);
        assert_ptr_equal(strchr(text, '\n'), text + n - 1);
        assert_true(n == LOG_STAMP_LEN + 11 + 4 * len || n > LOG_LINE_MAX - 4);
    }
    memset(module, 'm', sizeof module - 1);
    for (int format = LOG_TEXT; format <= LOG_JSON; format++) {
        const char *text = render((enum log_format)format, LOG_INFO, module, "x", 1);
        assert_int_equal(strlen(text), LOG_LINE_MAX);
        assert_ptr_equal(strchr(text, '\n'), text + LOG_LINE_MAX - 1);
    }
    assert_non_null(strstr(line, "mm\",\"message\":\"\"}\n"));
}

static void colours(void **state)
{
    (void)state;
    char out[LOG_LINE_MAX + LOG_COLOUR_MAX];
    static const char want[] = "\033[2m" STAMP "\033[0m \033[31mERROR\033[0m m: text\n";

    render(LOG_TEXT, LOG_ERROR, "m", "text", 4);
    size_t n = log_line_colour(out, line, strlen(line), LOG_ERROR);
    assert_int_equal(n, sizeof want - 1);
    assert_memory_equal(out, want, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout),
        cmocka_unit_test(escapes),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(colours),
    };
    return cmocka_run_group_tests_name("log_line", tests, NULL, NULL);
}
