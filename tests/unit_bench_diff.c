/* SPDX-License-Identifier: Apache-2.0 */
/* What fails a comparison of results and what does not, as rows and as the command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/diff.c"
#include "tests/bench_run.h"

#define NONE INFINITY

/* The kinds of rows below: "KIND SAMPLE..." */
static const struct kind {
    const char *name, *unit;
    enum result_better better;
    enum result_gate gate;
} kinds[] = {
    {"lower", "x", RESULT_LOWER, GATE_NONE},
    {"lower-y", "y", RESULT_LOWER, GATE_NONE},
    {"higher", "x", RESULT_HIGHER, GATE_NONE},
    {"neither", "x", RESULT_NEITHER, GATE_NONE},
    {"instr", "x", RESULT_LOWER, GATE_INSTRUCTIONS},
    {"instr-y", "y", RESULT_LOWER, GATE_INSTRUCTIONS},
    {"calls", "x", RESULT_LOWER, GATE_SYSCALLS},
    {"zero", "x", RESULT_LOWER, GATE_ZERO},
};

static const struct row_case {
    const char *before, *after; /* NULL: there is no such row */
    double max_regress;
    enum outcome outcome;
    bool failed;
} row_cases[] = {
    /* 0: without --max-regress a plain row never fails */
    {"lower 1", "lower 1", NONE, OUTCOME_SAME, false},
    {"lower 1 2 3", "lower 3 4 5", NONE, OUTCOME_SPREAD, false},
    {"lower 4 5 6", "lower 1 2 3", NONE, OUTCOME_BETTER, false},
    {"lower 1 2 3", "lower 40 50 60", NONE, OUTCOME_WORSE, false},
    {"higher 4 5 6", "higher 1 2 3", NONE, OUTCOME_WORSE, false},
    /* 5 */
    {"higher 1 2 3", "higher 4 5 6", NONE, OUTCOME_BETTER, false},
    {"neither 1 2 3", "neither 4 5 6", NONE, OUTCOME_OTHER, false},
    {"lower 1", NULL, 0, OUTCOME_MISSING, false},
    {NULL, "lower 1", 0, OUTCOME_NEW, false},
    {"lower 1", "lower-y 9", 0, OUTCOME_UNIT, false},
    /* 10: with it, medians decide, in the direction that is worse */
    {"lower 100", "lower 105", 5, OUTCOME_WORSE, false},
    {"lower 100", "lower 1 106 106", 5, OUTCOME_LIMIT, true},
    {"lower 100", "lower 50", 5, OUTCOME_BETTER, false},
    {"higher 100", "higher 95", 5, OUTCOME_WORSE, false},
    {"higher 100", "higher 94", 5, OUTCOME_LIMIT, true},
    /* 15 */
    {"higher 100", "higher 200", 0, OUTCOME_BETTER, false},
    {"neither 1", "neither 9", 0, OUTCOME_OTHER, false},
    {"lower 0", "lower 1", 1000, OUTCOME_LIMIT, true},
    {"higher 0", "higher 1", 0, OUTCOME_BETTER, false},
    {"lower 7", "lower 7", 0, OUTCOME_SAME, false},
    /* 20: instructions, +2 % or less if --max-regress is */
    {"instr 1500", "instr 1530", NONE, OUTCOME_WORSE, false},
    {"instr 1500", "instr 1531", NONE, OUTCOME_LIMIT, true},
    {"instr 1500", "instr 1531", 50, OUTCOME_LIMIT, true},
    {"instr 1500", "instr 1516", 1, OUTCOME_LIMIT, true},
    {"instr 1500", "instr 15", 0, OUTCOME_BETTER, false},
    /* 25: system calls, +10 % */
    {"calls 1", "calls 1.1", NONE, OUTCOME_WORSE, false},
    {"calls 1", "calls 1.11", NONE, OUTCOME_LIMIT, true},
    {"calls 1", "calls 1.08", 7.5, OUTCOME_LIMIT, true},
    {"calls 0", "calls 0.01", NONE, OUTCOME_LIMIT, true},
    {"calls 1", NULL, NONE, OUTCOME_MISSING, true},
    /* 30: zero, in each sample */
    {"zero 0", "zero 0", 0, OUTCOME_SAME, false},
    {"zero 0", "zero 0 0 1", NONE, OUTCOME_NOT_ZERO, true},
    {"zero 5", "zero 5", NONE, OUTCOME_NOT_ZERO, true},
    {"zero 5", "zero 0", NONE, OUTCOME_BETTER, false},
    {NULL, "zero 0 0 -1", NONE, OUTCOME_NOT_ZERO, true},
    /* 35 */
    {NULL, "zero 0", NONE, OUTCOME_NEW, false},
    {"zero 0", NULL, NONE, OUTCOME_MISSING, true},
    /* 37: a gate is not lost when one file has none, nor when the unit changes */
    {"instr 100", "higher 200", NONE, OUTCOME_LIMIT, true},
    {"lower 100", "instr 200", NONE, OUTCOME_LIMIT, true},
    {"instr 1", "instr-y 1", NONE, OUTCOME_UNIT, true},
};

static void add(struct result *r, const char *name, const char *row)
{
    double samples[3];
    char kind[16];

    if (!row)
        return;
    int n = sscanf(row, "%15s %lf %lf %lf", kind, &samples[0], &samples[1], &samples[2]) - 1;
    assert_true(n >= 1);
    const struct kind *k = kinds;
    while (strcmp(k->name, kind) != 0)
        k++;
    for (int i = 0; i < n; i++)
        result_add(r, name, k->unit, k->better, k->gate, samples[i]);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(row_cases); i++) {
        const struct row_case *c = &row_cases[i];
        struct result old, new;
        struct diff d;
        result_init(&old, "micro");
        result_init(&new, "micro");
        add(&old, "row", c->before);
        add(&new, "row", c->after);
        diff_init(&d, &old, &new, c->max_regress);
        assert_int_equal(d.n, 1);
        if (d.entries[0].outcome != c->outcome || d.entries[0].failed != c->failed)
            print_error("case %zu: %s\n", i, outcome_names[d.entries[0].outcome]);
        assert_int_equal(d.entries[0].outcome, c->outcome);
        assert_int_equal(d.entries[0].failed, c->failed);
        assert_int_equal(d.failed, c->failed);
        assert_int_equal(d.outcomes[c->outcome], 1);
        diff_fini(&d);
        result_fini(&old);
        result_fini(&new);
    }
}

/* The command, on files */

static char folder[] = P_tmpdir "/unit_bench_diff.XXXXXX";
static char old_path[64], new_path[64], json_path[64];
static struct bench_run run;

static int folder_make(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(old_path, sizeof old_path, "%s/old", folder);
    snprintf(new_path, sizeof new_path, "%s/new", folder);
    snprintf(json_path, sizeof json_path, "%s/json", folder);
    return 0;
}

static int folder_remove(void **state)
{
    (void)state;
    unlink(old_path);
    unlink(new_path);
    unlink(json_path);
    return rmdir(folder);
}

static void save(struct result *r, const char *path)
{
    char why[256];
    assert_int_equal(result_save(r, path, why, sizeof why), ERR_OK);
    result_fini(r);
}

/* ns grows by 20 %, instructions by 1 %. */
static void make_files(void)
{
    struct result old, new;

    result_init(&old, "micro");
    result_add(&old, "a/ns", "ns", RESULT_LOWER, GATE_NONE, 100);
    result_add(&old, "a/instructions", "1/packet", RESULT_LOWER, GATE_INSTRUCTIONS, 1000);
    result_add(&old, "a/gone", "ns", RESULT_LOWER, GATE_NONE, 1);
    result_init(&new, "micro");
    result_add(&new, "a/new", "ns", RESULT_LOWER, GATE_NONE, 3);
    result_add(&new, "a/instructions", "1/packet", RESULT_LOWER, GATE_INSTRUCTIONS, 1010);
    result_add(&new, "a/ns", "ns", RESULT_LOWER, GATE_NONE, 120);
    save(&old, old_path);
    save(&new, new_path);
}

static void test_table(void **state)
{
    static const char expected[] =
        "name                    old          new unit         change  verdict\n"
        "a/ns                    100          120 ns            +20 %  worse\n"
        "a/instructions         1000         1010 1/packet     +1.0 %  worse\n"
        "a/gone                    1            - ns                   missing\n"
        "a/new                     -            3 ns                   new\n"
        "4 rows: 2 worse, 1 missing, 1 new; 0 fail\n";
    const char *plain[] = {"diff", old_path, new_path, NULL};
    const char *strict[] = {"diff", "--max-regress", "19.5", old_path, new_path, NULL};
    const char *loose[] = {"diff", old_path, new_path, "--max-regress=20", NULL};

    (void)state;
    make_files();
    bench_run(&run, bench_diff, plain);
    assert_int_equal(run.code, BENCH_OK);
    assert_string_equal(run.err, "");
    assert_non_null(strstr(run.out, "\n\n"));
    assert_string_equal(strstr(run.out, "\n\n") + 2, expected);
    bench_run(&run, bench_diff, strict);
    assert_int_equal(run.code, BENCH_FAILED);
    assert_non_null(strstr(run.out, "  FAIL: worse by more than 19.5 %\n"));
    bench_run(&run, bench_diff, loose);
    assert_int_equal(run.code, BENCH_OK);
}

static void test_json(void **state)
{
    const char *argv[] = {"diff", old_path, new_path,  "--max-regress",
                          "5",    "--json", json_path, NULL};
    const char *nowhere[] = {"diff", old_path, new_path, "--json", "/nonexistent/json", NULL};
    json_error_t e;

    (void)state;
    make_files();
    bench_run(&run, bench_diff, argv);
    assert_int_equal(run.code, BENCH_FAILED);
    json_t *root = json_load_file(json_path, 0, &e);
    assert_non_null(root);
    assert_int_equal(json_integer_value(json_object_get(root, "failed")), 1);
    assert_string_equal(json_string_value(json_object_get(json_object_get(root, "old"), "file")),
                        old_path);
    const json_t *rows = json_object_get(root, "rows");
    assert_int_equal(json_array_size(rows), 4);
    const json_t *row = json_array_get(rows, 0);
    assert_true(json_number_value(json_object_get(row, "old")) == 100);
    assert_true(json_number_value(json_object_get(row, "new")) == 120);
    assert_true(json_number_value(json_object_get(row, "change_percent")) == 20);
    assert_true(json_number_value(json_object_get(row, "limit_percent")) == 5);
    assert_string_equal(json_string_value(json_object_get(row, "verdict")), "worse than allowed");
    assert_true(json_is_true(json_object_get(row, "failed")));
    row = json_array_get(rows, 2);
    assert_true(json_is_null(json_object_get(row, "new")));
    assert_true(json_is_null(json_object_get(row, "limit_percent")));
    json_decref(root);

    bench_run(&run, bench_diff, nowhere);
    assert_int_equal(run.code, BENCH_FAILED);
    assert_string_equal(
        run.err, "fzbench diff: cannot write /nonexistent/json: No such file or directory\n");
}

static void test_not_comparable(void **state)
{
    const char *argv[] = {"diff", old_path, new_path, NULL};
    struct result r;

    (void)state;
    make_files();
    result_init(&r, "net");
    save(&r, new_path);
    bench_run(&run, bench_diff, argv);
    assert_int_equal(run.code, BENCH_FAILED);
    assert_non_null(strstr(run.err, "/old is a result of 'micro' and "));

    result_init(&r, "micro");
    save(&r, new_path);
    bench_run(&run, bench_diff, argv);
    assert_int_equal(run.code, BENCH_FAILED);
    assert_non_null(strstr(run.err, "no row is in both files"));
    assert_non_null(strstr(run.out, "FAIL: missing"));

    result_init(&r, "micro");
    free(r.machine);
    r.machine = strdup("another one");
    result_add(&r, "a/instructions", "1/packet", RESULT_LOWER, GATE_INSTRUCTIONS, 1000);
    save(&r, new_path);
    bench_run(&run, bench_diff, argv);
    assert_int_equal(run.code, BENCH_OK);
    assert_non_null(strstr(run.err, "fzbench diff: warning: measured on different machines"));
}

static void test_usage(void **state)
{
    static const struct {
        const char *argv[6];
        int code;
        const char *err;
    } cases[] = {
        {{"diff"}, BENCH_USAGE, "two files are needed, OLD and NEW, not 0"},
        {{"diff", "a", "b", "c"}, BENCH_USAGE, "two files are needed, OLD and NEW, not 3"},
        {{"diff", "--foo", "a", "b"}, BENCH_USAGE, "unknown option '--foo'"},
        {{"diff", "-x", "a", "b"}, BENCH_USAGE, "unknown option '-x'"},
        {{"diff", "a", "b", "--json"}, BENCH_USAGE, "option '--json' needs a value"},
        {{"diff", "a", "b", "--help=1"}, BENCH_USAGE, "option '--help' takes no value"},
        {{"diff", "a", "b", "--max-regress", "-1"}, BENCH_USAGE, "'-1' is not a number"},
        {{"diff", "a", "b", "--max-regress", "5%"}, BENCH_USAGE, "'5%' is not a number"},
        {{"diff", "a", "b", "--max-regress", "nan"}, BENCH_USAGE, "'nan' is not a number"},
        {{"diff", "a", "b", "--max-regress", ""}, BENCH_USAGE, "'' is not a number"},
        {{"diff", "a", "b", "--max-regress", "1001"}, BENCH_USAGE, "'1001' is not a number"},
        {{"diff", "/nonexistent", "b"}, BENCH_FAILED, "cannot read /nonexistent: No such file"},
    };
    const char *help_argv[] = {"diff", "a", "--help", NULL};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        bench_run(&run, bench_diff, cases[i].argv);
        if (run.code != cases[i].code || !strstr(run.err, cases[i].err))
            print_error("case %zu: %d %s\n", i, run.code, run.err);
        assert_int_equal(run.code, cases[i].code);
        assert_non_null(strstr(run.err, cases[i].err));
        assert_ptr_equal(strchr(run.err, '\n'), run.err + strlen(run.err) - 1);
        assert_string_equal(run.out, "");
        assert_int_equal(strstr(run.err, "--help' tells more") != NULL, run.code == BENCH_USAGE);
    }
    bench_run(&run, bench_diff, help_argv);
    assert_int_equal(run.code, BENCH_OK);
    assert_memory_equal(run.out, "Usage: fzbench diff", strlen("Usage: fzbench diff"));
    assert_string_equal(run.err, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),  cmocka_unit_test(test_table),
        cmocka_unit_test(test_json),  cmocka_unit_test(test_not_comparable),
        cmocka_unit_test(test_usage),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
