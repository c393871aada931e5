/* SPDX-License-Identifier: Apache-2.0 */
/* The log: levels, the shape of a line, and its bounds; stderr goes to a file meanwhile. */
#include "platform/base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <io.h>
#else
#include <unistd.h>
#endif

#include <cmocka.h>

/* What reached stderr between capture_begin and capture_end. */
static struct {
    FILE *file;
    int real_stderr;
    char text[1 << 16];
} capture;

static void capture_begin(void)
{
    fflush(stderr);
    capture.file = tmpfile();
    assert_non_null(capture.file);
    capture.real_stderr = dup(2);
    assert_true(dup2(fileno(capture.file), 2) >= 0);
}

static const char *capture_end(void)
{
    dup2(capture.real_stderr, 2);
    close(capture.real_stderr);
    rewind(capture.file);
    size_t n = fread(capture.text, 1, sizeof capture.text - 1, capture.file);
    capture.text[n] = '\0';
    fclose(capture.file);
    return capture.text;
}

static void levels_parse(void **state)
{
    (void)state;
    static const char *const names[] = {"error", "warn", "info", "debug", "trace"};
    enum log_level level;

    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(log_level_parse(&level, names[i]), ERR_OK);
        assert_int_equal(level, i);
    }
    assert_int_equal(log_level_parse(&level, ""), ERR_PARSE);
    assert_int_equal(log_level_parse(&level, "Info"), ERR_PARSE);
    assert_int_equal(log_level_parse(&level, "info "), ERR_PARSE);
    assert_int_equal(log_level_parse(&level, "verbose"), ERR_PARSE);
}

static unsigned evaluated;

static int evaluate(void)
{
    evaluated++;
    return 7;
}

static void levels_filter(void **state)
{
    (void)state;
    for (int max = LOG_ERROR; max <= LOG_TRACE; max++) {
        log_set_level((enum log_level)max);
        capture_begin();
        for (int level = LOG_ERROR; level <= LOG_TRACE; level++) {
            assert_int_equal(log_enabled((enum log_level)level), level <= max);
            log_write((enum log_level)level, "test", "level %d", level);
        }
        const char *text = capture_end();
        for (int level = LOG_ERROR; level <= LOG_TRACE; level++) {
            char part[32];
            snprintf(part, sizeof part, "test: level %d\n", level);
            assert_int_equal(strstr(text, part) != NULL, level <= max);
        }
    }
    /* the arguments of a debug line cost nothing when it is off */
    log_set_level(LOG_INFO);
    log_debug("test", "%d", evaluate());
    assert_int_equal(evaluated, 0);
}

static void line_shape(void **state)
{
    (void)state;
    unsigned y, mo, d, h, mi, s, ms;
    char level[8], rest[64];

    log_set_level(LOG_INFO);
    capture_begin();
    log_warn("module", "%s %u%%", "text", 42u);
    const char *text = capture_end();
    assert_int_equal(sscanf(text, "%4u-%2u-%2uT%2u:%2u:%2u.%3uZ %7s %63[^\n]", &y, &mo, &d, &h, &mi,
                            &s, &ms, level, rest),
                     9);
    assert_true(y >= 2020 && mo >= 1 && mo <= 12 && d >= 1 && d <= 31 && h < 24 && mi < 60);
    assert_true(s <= 60 && ms < 1000);
    assert_string_equal(level, "warn");
    assert_string_equal(rest, "module: text 42%");
    assert_int_equal(text[strlen(text) - 1], '\n');
}

/* Lengths around the limit: always one line, never more than 1 KiB. */
static void long_lines_are_cut(void **state)
{
    (void)state;
    static char body[4096];

    log_set_level(LOG_INFO);
    for (size_t len = 900; len < 1100; len++) {
        memset(body, 'x', len);
        body[len] = '\0';
        capture_begin();
        log_info("m", "%s", body);
        const char *text = capture_end();
        size_t n = strlen(text);
        assert_true(n <= 1024);
        assert_ptr_equal(strchr(text, '\n'), text + n - 1);
        size_t xs = strspn(strstr(text, "m: ") + 3, "x");
        assert_true(xs == len || n >= 1023);
    }
    memset(body, 'y', sizeof body - 1);
    capture_begin();
    log_info("m", "%s", body);
    assert_true(strlen(capture_end()) <= 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_parse),
        cmocka_unit_test(levels_filter),
        cmocka_unit_test(line_shape),
        cmocka_unit_test(long_lines_are_cut),
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
