/* SPDX-License-Identifier: Apache-2.0 */
/* The report: which charts rows become, that nothing of a file becomes markup, and the command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/report_page.h"
#include "bench/svg.h"
#include "platform/base/bytes.h"
#include "tests/bench_run.h"

enum {
    RUNS_MAX = 3,
    DEPTH_MAX = 32
};

static char *page_text(const struct report_run *runs, size_t n)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    report_page_write(out, runs, n);
    assert_int_equal(fclose(out), 0);
    return text;
}

static size_t count(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p += strlen(part))
        n++;
    return n;
}

/* Every element is closed in order, and no attribute's quotes are unbalanced. */
static void check_markup(const char *text)
{
    char open[DEPTH_MAX][16];
    size_t depth = 0;
    const char *style = strstr(text, "<style>"), *style_end = strstr(text, "</style>");

    assert_true(style && style_end);
    for (const char *p = text; (p = strchr(p, '<')) != NULL;) {
        size_t len = strcspn(p, ">");
        assert_int_equal(p[len], '>');
        char name[16] = "";
        assert_int_equal(memchr(p + 1, '<', len - 1) != NULL, false);
        sscanf(p + 1, "%15[a-zA-Z0-9!/]", name);
        if (name[0] == '/') {
            assert_true(depth > 0);
            assert_string_equal(name + 1, open[--depth]);
        } else if (name[0] != '!' && strcmp(name, "meta") != 0 && p[len - 1] != '/') {
            assert_true(depth < DEPTH_MAX);
            memcpy(open[depth++], name, sizeof name);
        }
        p += len;
    }
    assert_int_equal(depth, 0);
}

/* What would make a page need more than itself. */
static void check_self_contained(const char *text)
{
    static const char *const outside[] = {"http:",   "https:",  "src=",  "href", "url(",
                                          "@import", "<script", "<link", "<img", "<iframe"};
    for (size_t i = 0; i < ARRAY_LEN(outside); i++)
        assert_null(strstr(text, outside[i]));
}

static void test_charts(void **state)
{
    static const struct {
        const char *rows[8];
        size_t groups, bars, curves;
    } cases[] = {
        /* 0 */
        {{NULL}, 0, 0, 0},
        {{"alone"}, 1, 1, 0},
        {{"a/1", "a/2", "b/1", "a/3"}, 2, 4, 0},
        {{"a/b/1", "a/1", "a/b/2", "ab/1"}, 3, 4, 0},
        {{"rtt/p50", "rtt/p99", "rtt/p99.9"}, 1, 0, 1},
        /* 5 */
        {{"rtt/p50"}, 1, 1, 0},
        {{"rtt/p50", "rtt/mean", "rtt/p99"}, 1, 1, 1},
        {{"x/p50", "y/p99"}, 2, 2, 0},
        {{"x/p50", "x/p99", "y/p50", "y/p99"}, 2, 0, 2},
        {{"x/p50", "x/p101"}, 1, 2, 0},
        /* 10 */
        {{"x/p50", "x/packets"}, 1, 2, 0},
        {{"x/p", "x/p5x"}, 1, 2, 0},
        {{"/", "/a", "b/"}, 2, 3, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct report_run runs[RUNS_MAX];
        for (size_t k = 0; k < RUNS_MAX; k++) {
            runs[k].path = "file";
            result_init(&runs[k].result, "micro");
            for (size_t r = 0; r < ARRAY_LEN(cases[i].rows) && cases[i].rows[r]; r++)
                result_add(&runs[k].result, cases[i].rows[r], "ns", RESULT_LOWER, GATE_NONE, 5);
        }
        char *text = page_text(runs, RUNS_MAX);
        check_markup(text);
        check_self_contained(text);
        if (count(text, "class=\"group ") + count(text, "class=\"group\"") != cases[i].groups)
            print_error("case %zu\n", i);
        assert_int_equal(count(text, "class=\"group ") + count(text, "class=\"group\""),
                         cases[i].groups);
        assert_int_equal(count(text, "<svg class=\"bar "), RUNS_MAX * cases[i].bars);
        assert_int_equal(count(text, "<svg class=\"curves\""), cases[i].curves);
        assert_int_equal(count(text, "<path "), RUNS_MAX * cases[i].curves);
        assert_int_equal(count(text, "<section>"), 1);
        free(text);
        for (size_t k = 0; k < RUNS_MAX; k++)
            result_fini(&runs[k].result);
    }
}

static void replace(char **text, const char *by)
{
    free(*text);
    *text = strdup(by);
}

static void test_escape(void **state)
{
    static const char evil[] = "<script>\"'&</style>";
    struct report_run run = {.path = evil};

    (void)state;
    result_init(&run.result, evil);
    replace(&run.result.version, evil);
    replace(&run.result.machine, evil);
    replace(&run.result.date, evil);
    result_add(&run.result, "<script>/<script>\"'&", evil, RESULT_LOWER, GATE_NONE, 1);
    result_add(&run.result, "<script>/p50", evil, RESULT_LOWER, GATE_NONE, 1);
    result_add(&run.result, "<script>/p99", evil, RESULT_LOWER, GATE_NONE, 1);
    char *text = page_text(&run, 1);
    check_markup(text);
    check_self_contained(text);
    assert_int_equal(count(text, "</style>"), 1);
    assert_true(count(text, "&lt;script&gt;&quot;&#39;&amp;") >= 6);
    free(text);
    result_fini(&run.result);
}

/* Each command is a section with its own runs; the same name with another unit is another row. */
static void test_sections(void **state)
{
    static const char *const commands[RUNS_MAX] = {"micro", "net", "micro"};
    static const double samples[RUNS_MAX] = {100, 7, 80};
    struct report_run runs[RUNS_MAX];

    (void)state;
    for (size_t i = 0; i < RUNS_MAX; i++) {
        runs[i].path = "file";
        result_init(&runs[i].result, commands[i]);
        result_add(&runs[i].result, "a/b", "ns", RESULT_LOWER, GATE_NONE, samples[i]);
        result_add(&runs[i].result, "a/c", i == 2 ? "us" : "ns", RESULT_LOWER, GATE_ZERO, 5);
    }
    result_add(&runs[2].result, "a/b", "ns", RESULT_LOWER, GATE_NONE, 81);
    char *text = page_text(runs, RUNS_MAX);
    check_markup(text);
    assert_int_equal(count(text, "<section>"), 2);
    assert_int_equal(count(text, "<h2>micro</h2>"), 1);
    assert_int_equal(count(text, "<h2>net</h2>"), 1);
    assert_int_equal(count(text, "<svg class=\"bar "), 6);
    assert_int_equal(count(text, "<div class=\"row\">"), 5);
    assert_int_equal(count(text, "must be 0"), 3);
    assert_int_equal(count(text, "<span class=\"better\">-20 % better</span>"), 1);
    assert_int_equal(count(text, " better</span>") + count(text, " worse</span>"), 1);
    assert_int_equal(count(text, "80 to 81"), 2);
    free(text);
    for (size_t i = 0; i < RUNS_MAX; i++)
        result_fini(&runs[i].result);
}

/* No figure makes a drawing that is not a drawing. */
static void test_extremes(void **state)
{
    static const double samples[] = {0, -1, -1e18, 1e18, 5e-324, 1e-300, 1e-12, 3};
    struct report_run run = {.path = "file"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
        result_init(&run.result, "micro");
        result_add(&run.result, "a/p50", "x", RESULT_LOWER, GATE_NONE, samples[i]);
        result_add(&run.result, "a/p99", "x", RESULT_LOWER, GATE_NONE, samples[i]);
        result_add(&run.result, "a/bar", "x", RESULT_LOWER, GATE_NONE, samples[i]);
        result_add(&run.result, "a/bar", "x", RESULT_LOWER, GATE_NONE, -samples[i]);
        char *text = page_text(&run, 1);
        check_markup(text);
        assert_null(strstr(text, "nan"));
        assert_null(strstr(text, "inf"));
        assert_in_range(count(text, "class=\"grid\""), 1, 5);
        free(text);
        result_fini(&run.result);
    }
}

static void test_bar(void **state)
{
    static const struct {
        struct svg_value value;
        double scale;
        const char *has, *has_not;
    } cases[] = {
        {{1, 2, 3}, 4, "<rect y=\"2\" height=\"12\" width=\"50.00%\"/>", "\"100.00%\""},
        {{1, 2, 3}, 4, "x1=\"25.00%\" x2=\"75.00%\"", "x1=\"50.00%\""},
        {{2, 2, 2}, 2, "width=\"100.00%\"", "whisker"},
        {{-5, 2, 9}, 4, "x1=\"0.00%\" x2=\"100.00%\"", "-"},
        {{0, 0, 0}, 1, "width=\"0.00%\"", "whisker"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *text = NULL;
        size_t len;
        FILE *out = open_memstream(&text, &len);
        assert_non_null(out);
        svg_bar(out, &cases[i].value, cases[i].scale, 9, "title");
        assert_int_equal(fclose(out), 0);
        assert_non_null(strstr(text, cases[i].has));
        assert_null(strstr(text, cases[i].has_not));
        assert_non_null(strstr(text, "class=\"bar s1\""));
        free(text);
    }
}

static void test_round_up(void **state)
{
    static const struct {
        double x, up;
    } cases[] = {
        {0, 1},   {-3, 1},  {1, 1},     {1.1, 2},       {2.4, 2.5},  {2.6, 5},     {5.1, 10},
        {10, 10}, {11, 20}, {0.3, 0.5}, {0.021, 0.025}, {999, 1000}, {1e18, 1e18}, {5e-324, 1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        double up = svg_round_up(cases[i].x);
        assert_true(fabs(up - cases[i].up) <= 1e-9 * cases[i].up);
    }
}

/* The command */

static char folder[] = P_tmpdir "/unit_bench_report.XXXXXX";
static char result_path[64], page_path[64];
static struct bench_run run;

static int folder_make(void **state)
{
    struct result r;
    char why[256];

    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(result_path, sizeof result_path, "%s/result", folder);
    snprintf(page_path, sizeof page_path, "%s/page", folder);
    result_init(&r, "micro");
    result_add(&r, "a/b", "ns", RESULT_LOWER, GATE_NONE, 1);
    enum err err = result_save(&r, result_path, why, sizeof why);
    result_fini(&r);
    return err == ERR_OK ? 0 : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    unlink(result_path);
    unlink(page_path);
    return rmdir(folder);
}

static void test_command(void **state)
{
    const char *to_stdout[] = {"report", result_path, result_path, NULL};
    const char *to_file[] = {"report", "-o", page_path, result_path, result_path, NULL};
    char file[BENCH_RUN_TEXT_MAX];

    (void)state;
    bench_run(&run, bench_report, to_stdout);
    assert_int_equal(run.code, BENCH_OK);
    assert_string_equal(run.err, "");
    check_markup(run.out);
    char *expected = strdup(run.out);
    bench_run(&run, bench_report, to_file);
    assert_int_equal(run.code, BENCH_OK);
    assert_string_equal(run.out, "");
    FILE *f = fopen(page_path, "r");
    assert_non_null(f);
    file[fread(file, 1, sizeof file - 1, f)] = '\0';
    fclose(f);
    assert_string_equal(file, expected);
    free(expected);
}

static void test_usage(void **state)
{
    const struct {
        const char *argv[6];
        int code;
        const char *err;
    } cases[] = {
        {{"report"}, BENCH_USAGE, "at least one result file is needed"},
        {{"report", result_path, "-o"}, BENCH_USAGE, "option '-o' needs a value"},
        {{"report", result_path, "--open"}, BENCH_USAGE, "unknown option '--open'"},
        {{"report", "/nonexistent"}, BENCH_FAILED, "cannot read /nonexistent: No such file"},
        {{"report", result_path, folder}, BENCH_FAILED, "Is a directory"},
        {{"report", result_path, "-o", "/nonexistent/x"},
         BENCH_FAILED,
         "cannot write /nonexistent"},
    };
    const char *help[] = {"report", "--help", NULL};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bench_run(&run, bench_report, cases[i].argv);
        if (run.code != cases[i].code || !strstr(run.err, cases[i].err))
            print_error("case %zu: %d %s\n", i, run.code, run.err);
        assert_int_equal(run.code, cases[i].code);
        assert_non_null(strstr(run.err, cases[i].err));
        assert_ptr_equal(strchr(run.err, '\n'), run.err + strlen(run.err) - 1);
        assert_string_equal(run.out, "");
    }
    bench_run(&run, bench_report, help);
    assert_int_equal(run.code, BENCH_OK);
    assert_memory_equal(run.out, "Usage: fzbench report", strlen("Usage: fzbench report"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_charts),   cmocka_unit_test(test_escape),
        cmocka_unit_test(test_sections), cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_bar),      cmocka_unit_test(test_round_up),
        cmocka_unit_test(test_command),  cmocka_unit_test(test_usage),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
