/* SPDX-License-Identifier: Apache-2.0 */
/* The log: levels, filter, format, sink, and the shape of a line; stderr goes to a file or a terminal meanwhile. */
#include "platform/base/log.h"

#include <fcntl.h>
#include <pthread.h>
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include <cmocka.h>

#include "platform/base/bytes.h"
#include "platform/base/log_filter.h"

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
    assert_string_equal(level, "WARN");
    assert_string_equal(rest, "module: text 42%");
    assert_int_equal(text[strlen(text) - 1], '\n');
}

/* Lengths around the limit of a message: always one line. */
static void long_messages_are_cut(void **state)
{
    (void)state;
    static char body[4096];

    log_set_level(LOG_INFO);
    for (size_t len = 1000; len < 1100; len++) {
        memset(body, 'x', len);
        body[len] = '\0';
        capture_begin();
        log_info("m", "%s", body);
        const char *text = capture_end();
        size_t n = strlen(text);
        assert_ptr_equal(strchr(text, '\n'), text + n - 1);
        size_t xs = strspn(strstr(text, "m: ") + 3, "x");
        assert_int_equal(xs, len < LOG_MESSAGE_MAX ? len : LOG_MESSAGE_MAX);
    }
}

static void set_filter(const char *text)
{
    struct log_filter f;
    char why[256];
    assert_int_equal(log_filter_parse(&f, text, why, sizeof why), ERR_OK);
    log_set_filter(&f);
}

/* What is logged in all levels by three modules: their initials, upper case for a line that exists. */
static const char *pattern(void)
{
    static const char *const modules[] = {"alpha", "beta", "gamma"};
    static char out[16];
    size_t n = 0;

    capture_begin();
    for (int level = LOG_ERROR; level <= LOG_TRACE; level++) {
        for (size_t i = 0; i < ARRAY_LEN(modules); i++)
            log_write((enum log_level)level, modules[i], "level %d", level);
    }
    const char *text = capture_end();
    for (size_t i = 0; i < ARRAY_LEN(modules); i++) {
        char part[32];
        int level = LOG_TRACE;
        for (; level >= LOG_ERROR; level--) {
            snprintf(part, sizeof part, "%s: level %d\n", modules[i], level);
            if (strstr(text, part))
                break;
        }
        out[n++] = level < 0 ? '-' : "ewidt"[level];
        for (; level >= LOG_ERROR; level--) { /* no gaps */
            snprintf(part, sizeof part, "%s: level %d\n", modules[i], level);
            assert_non_null(strstr(text, part));
        }
    }
    out[n] = '\0';
    return out;
}

static void targets_filter(void **state)
{
    (void)state;
    set_filter("warn,beta=debug,gamma=off,wire=trace");
    assert_true(log_enabled(LOG_TRACE)); /* of some module */
    assert_string_equal(pattern(), "wd-");
    set_filter("off,alpha=info");
    assert_false(log_enabled(LOG_DEBUG));
    assert_string_equal(pattern(), "i--");
    log_set_level(LOG_ERROR);
    assert_string_equal(pattern(), "eee");
    log_set_level(LOG_OFF);
    assert_false(log_enabled(LOG_ERROR));
    assert_string_equal(pattern(), "---");
    log_set_level(LOG_INFO);
    assert_string_equal(pattern(), "iii");
}

static void formats(void **state)
{
    (void)state;

    log_set_output(2, LOG_JSON);
    capture_begin();
    log_info("m", "say %s", "\"x\"\n");
    const char *text = capture_end();
    assert_memory_equal(text, "{\"time\":\"20", 11);
    const char *rest = strchr(text, 'Z');
    assert_non_null(rest);
    assert_string_equal(rest, "Z\",\"level\":\"INFO\",\"target\":\"m\","
                              "\"message\":\"say \\\"x\\\"\\n\"}\n");
    log_set_output(2, LOG_TEXT);
}

struct taken {
    char text[4096];
    size_t n;
    unsigned lines;
};

static void take(void *arg, const char *line, size_t len)
{
    struct taken *t = arg;
    assert_true(len <= LOG_LINE_MAX && line[len - 1] == '\n');
    if (t->n + len < sizeof t->text) {
        memcpy(t->text + t->n, line, len);
        t->n += len;
        t->text[t->n] = '\0';
    }
    t->lines++;
}

static void sink_gets_the_same(void **state)
{
    (void)state;
    static struct taken taken;

    log_set_sink(take, &taken);
    capture_begin();
    log_info("m", "one");
    log_debug("m", "not wanted");
    log_error("m", "two");
    const char *text = capture_end();
    assert_int_equal(taken.lines, 2);
    assert_string_equal(text, taken.text);
    log_set_sink(NULL, NULL);
    capture_begin();
    log_info("m", "three");
    assert_non_null(strstr(capture_end(), "three"));
    assert_int_equal(taken.lines, 2);
}

#ifndef _WIN32
static void to_another_stream(void **state)
{
    (void)state;
    int ends[2];
    char text[256] = "";

    assert_int_equal(pipe(ends), 0);
    log_set_output(ends[1], LOG_TEXT);
    capture_begin();
    log_info("m", "text");
    assert_string_equal(capture_end(), "");
    assert_true(read(ends[0], text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, " INFO m: text\n"));
    log_set_output(2, LOG_TEXT);
    close(ends[0]);
    close(ends[1]);
}

/* Logs until a stream without a reader is full and longer: whoever logs does not wait. Then reads it: each line is there or counted. */
static void check_stalled(int writer, int reader)
{
    static struct taken taken;
    static char text[1 << 20];
    enum {
        LINES = 20000
    };
    size_t n = 0;
    unsigned lines = 0, counted = 0, notices = 0;
    const char *notice = " WARN log: lines that could not be written here: ";
    ssize_t got;

    memset(&taken, 0, sizeof taken);
    log_set_sink(take, &taken);
    log_set_output(writer, LOG_TEXT);
    alarm(20);
    for (int i = 0; i < LINES; i++)
        log_info("m", "line %d of many, each of which takes its room, some more than others: %.*s",
                 i, i % 150,
                 "................................................................................"
                 ".....................................................................");
    assert_int_equal(taken.lines, LINES);
    assert_int_equal(fcntl(reader, F_SETFL, O_NONBLOCK), 0);
    for (int i = 0; i < 100; i++) {
        while ((got = read(reader, text + n, sizeof text - 1 - n)) > 0)
            n += (size_t)got;
        if (i < 99 && i % 33 == 0)
            log_info("m", "after");
        usleep(1000);
    }
    alarm(0);
    text[n] = '\0';
    for (const char *at = text; (at = strstr(at, " m: line ")); at++)
        lines++;
    for (const char *at = text; (at = strstr(at, notice)); at++, notices++)
        counted += (unsigned)strtoul(at + strlen(notice), NULL, 10);
    assert_true(notices > 0 && lines > 20 && lines < LINES);
    assert_in_range(lines + counted, LINES, LINES + notices); /* a terminal takes a part of one */
    assert_non_null(strstr(strstr(text, notice), " INFO m: after"));
    log_set_sink(NULL, NULL);
    log_set_output(2, LOG_TEXT);
}

static void nobody_waits_for_a_pipe(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    check_stalled(ends[1], ends[0]);
    close(ends[0]);
    close(ends[1]);
}

static void nobody_waits_for_a_socket(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    check_stalled(ends[1], ends[0]);
    close(ends[0]);
    close(ends[1]);
}

static void nobody_waits_for_a_terminal(void **state)
{
    (void)state;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        skip();
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    setenv("NO_COLOR", "1", 1);
    check_stalled(terminal, master);
    unsetenv("NO_COLOR");
    close(terminal);
    close(master);
}
#endif

static void *log_much(void *arg)
{
    for (int i = 0; i < 200; i++) {
        log_info("thread", "%s %d", (const char *)arg, i);
        log_debug("thread", "%s %d", (const char *)arg, i);
    }
    return NULL;
}

/* Filter and sink change while threads log; a sink that was taken away is not called any more. */
static void changes_under_load(void **state)
{
    (void)state;
    static struct taken taken;
    pthread_t threads[3];

    capture_begin();
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_much, (void *)"thread"), 0);
    for (int i = 0; i < 20; i++) {
        log_set_sink(take, &taken);
        set_filter(i % 2 ? "thread=debug" : "off,main=info");
        log_set_sink(NULL, NULL);
        unsigned before = taken.lines;
        log_info("main", "between");
        assert_int_equal(taken.lines, before);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    capture_end();
    log_set_level(LOG_INFO);
}

#ifndef _WIN32
static void journal_has_its_own_stamps(void **state)
{
    (void)state;
    static struct taken taken;
    char name[64];
    struct stat st;

    log_set_sink(take, &taken);
    for (int mine = 0; mine < 2; mine++) {
        taken.n = 0;
        capture_begin();
        assert_int_equal(fstat(2, &st), 0);
        snprintf(name, sizeof name, "%llu:%llu", (unsigned long long)st.st_dev,
                 (unsigned long long)st.st_ino + !mine);
        setenv("JOURNAL_STREAM", name, 1);
        log_set_output(2, LOG_TEXT);
        log_info("m", "text");
        const char *text = capture_end();
        if (mine)
            assert_string_equal(text, " INFO m: text\n");
        else
            assert_true(strlen(text) > 30);
        assert_string_equal(taken.text + 25, " INFO m: text\n"); /* the file needs them */
    }
    /* a JSON line is whole in any case */
    capture_begin();
    assert_int_equal(fstat(2, &st), 0);
    snprintf(name, sizeof name, "%llu:%llu", (unsigned long long)st.st_dev,
             (unsigned long long)st.st_ino);
    setenv("JOURNAL_STREAM", name, 1);
    log_set_output(2, LOG_JSON);
    log_info("m", "text");
    assert_memory_equal(capture_end(), "{\"time\":", 8);
    setenv("JOURNAL_STREAM", "nonsense", 1);
    log_set_output(2, LOG_TEXT);
    unsetenv("JOURNAL_STREAM");
    log_set_sink(NULL, NULL);
}

static void terminals_have_colours(void **state)
{
    (void)state;
    static const char *const no_color[] = {NULL, "1", ""};
    static struct taken taken;
    int master = posix_openpt(O_RDWR | O_NOCTTY), real_stderr = dup(2);
    char text[256];

    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        skip();
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(terminal >= 0);
    log_set_sink(take, &taken);
    for (size_t i = 0; i < ARRAY_LEN(no_color); i++) {
        if (no_color[i])
            setenv("NO_COLOR", no_color[i], 1);
        else
            unsetenv("NO_COLOR");
        taken.n = 0;
        dup2(terminal, 2);
        log_set_output(2, LOG_TEXT);
        log_error("m", "text");
        dup2(real_stderr, 2);
        ssize_t n = read(master, text, sizeof text - 1);
        assert_true(n > 0);
        text[n] = '\0';
        bool coloured = i != 1;
        assert_int_equal(strstr(text, "\033[31mERROR\033[0m m: text") != NULL, coloured);
        assert_int_equal(strchr(text, '\033') != NULL, coloured);
        assert_null(strchr(taken.text, '\033'));
    }
    log_set_sink(NULL, NULL);
    unsetenv("NO_COLOR");
    log_set_output(2, LOG_TEXT);
    close(terminal);
    close(master);
    close(real_stderr);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_parse),
        cmocka_unit_test(levels_filter),
        cmocka_unit_test(line_shape),
        cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(targets_filter),
        cmocka_unit_test(formats),
        cmocka_unit_test(sink_gets_the_same),
        cmocka_unit_test(changes_under_load),
#ifndef _WIN32
        cmocka_unit_test(to_another_stream),
        cmocka_unit_test(nobody_waits_for_a_pipe),
        cmocka_unit_test(nobody_waits_for_a_socket),
        cmocka_unit_test(nobody_waits_for_a_terminal),
        cmocka_unit_test(journal_has_its_own_stamps),
        cmocka_unit_test(terminals_have_colours),
#endif
    };
    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
