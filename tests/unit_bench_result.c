/* SPDX-License-Identifier: Apache-2.0 */
/* Results: figures of rows, the file there and back, and that every flaw of a file is named by its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/figure.h"
#include "bench/result.h"
#include "bench/save.h"
#include "platform/base/bytes.h"

#define HEAD                                                                                       \
    "{\"format\":1,\"command\":\"micro\",\"version\":\"\",\"machine\":\"m\",\"date\":\"d\","
#define ROW(name)                                                                                  \
    "{\"name\":\"" name "\",\"unit\":\"x\",\"better\":\"lower\",\"gate\":\"none\",\"samples\":[1]}"

static char folder[] = P_tmpdir "/unit_bench_result.XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int folder_make(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void test_figures(void **state)
{
    static const struct {
        size_t n;
        double samples[5];
        double median, min, max;
    } cases[] = {
        {1, {7}, 7, 7, 7},
        {2, {4, 1}, 2.5, 1, 4},
        {3, {9, 1, 5}, 5, 1, 9},
        {4, {4, 3, 2, 1}, 2.5, 1, 4},
        {5, {0, -3, 8, 8, 8}, 8, -3, 8},
    };
    static const struct result_row none = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct result r;
        result_init(&r, "micro");
        for (size_t k = 0; k < cases[i].n; k++)
            result_add(&r, "a/b", "x", RESULT_LOWER, GATE_NONE, cases[i].samples[k]);
        const struct result_row *row = result_find(&r, "a/b");
        assert_non_null(row);
        assert_int_equal(r.n, 1);
        assert_int_equal(row->n, cases[i].n);
        assert_true(result_median(row) == cases[i].median);
        assert_true(result_min(row) == cases[i].min);
        assert_true(result_max(row) == cases[i].max);
        assert_null(result_find(&r, "a"));
        result_fini(&r);
    }
    assert_true(result_median(&none) == 0 && result_min(&none) == 0 && result_max(&none) == 0);
}

static void test_init(void **state)
{
    struct result r;

    (void)state;
    result_init(&r, "net");
    assert_string_equal(r.command, "net");
    assert_true(r.version[0] != '\0');
    assert_non_null(strstr(r.machine, " CPU"));
    assert_non_null(strstr(r.machine, ", Linux "));
    assert_int_equal(strlen(r.date), strlen("2000-01-01T00:00:00Z"));
    assert_int_equal(r.n, 0);
    result_fini(&r);
    result_fini(&r);
}

static void test_there_and_back(void **state)
{
    enum {
        ROWS = 70,
        SAMPLES = 33
    };
    struct result a, b;
    char why[300];
    const char *path = in_folder("result.json");

    (void)state;
    result_init(&a, "pipeline");
    for (unsigned s = 0; s < SAMPLES; s++) {
        for (unsigned i = 0; i < ROWS; i++) {
            char name[64];
            snprintf(name, sizeof name, "group/\"%u\"/caf\xc3\xa9", i);
            result_add(&a, name, i % 2 ? "Gbit/s" : "", (enum result_better)(i % 3),
                       (enum result_gate)(i % 4), s == 0 ? 1e18 : i + s / 10.0);
        }
    }
    result_note(&a, a.rows[3].name, "first");
    result_note(&a, a.rows[3].name, "of note");
    assert_int_equal(result_save(&a, path, why, sizeof why), ERR_OK);
    assert_int_equal(result_load(&b, path, why, sizeof why), ERR_OK);
    assert_string_equal(a.command, b.command);
    assert_string_equal(a.version, b.version);
    assert_string_equal(a.machine, b.machine);
    assert_string_equal(a.date, b.date);
    assert_int_equal(b.n, ROWS);
    for (unsigned i = 0; i < ROWS; i++) {
        const struct result_row *x = &a.rows[i], *y = &b.rows[i];
        assert_string_equal(x->name, y->name);
        assert_string_equal(x->unit, y->unit);
        assert_int_equal(x->better, y->better);
        assert_int_equal(x->gate, y->gate);
        if (i == 3)
            assert_string_equal(y->note, "of note");
        else
            assert_null(y->note);
        assert_int_equal(y->n, SAMPLES);
        for (unsigned s = 0; s < SAMPLES; s++)
            assert_true(fabs(x->samples[s] - y->samples[s]) < 1e-9);
    }
    /* What was loaded can grow. */
    result_add(&b, "new", "x", RESULT_LOWER, GATE_NONE, 1);
    result_add(&b, b.rows[0].name, "", RESULT_LOWER, GATE_NONE, 1);
    assert_int_equal(b.n, ROWS + 1);
    assert_int_equal(b.rows[0].n, SAMPLES + 1);
    result_fini(&a);
    result_fini(&b);
    unlink(path);
}

static void test_tolerant(void **state)
{
    static const char *const cases[] = {
        HEAD "\"rows\":[]}",
        " \n" HEAD "\"rows\":[" ROW("a") "," ROW("b") "],\"host\":{\"name\":[1,2]}}\n",
        HEAD "\"rows\":[{\"samples\":[1,-2,3e17,0.5],\"note\":null,\"name\":\"a\",\"unit\":\"\","
             "\"better\":\"neither\",\"gate\":\"zero\"}]}",
    };
    char why[300] = "";
    struct result r;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum err err = result_parse(&r, "f", cases[i], strlen(cases[i]), why, sizeof why);
        if (err != ERR_OK)
            print_error("case %zu: %s\n", i, why);
        assert_int_equal(err, ERR_OK);
        result_fini(&r);
    }
}

#define FIELDS(name, unit, better, gate, samples)                                                  \
    HEAD "\"rows\":[" ROW("first") ",{\"name\":" name ",\"unit\":" unit ",\"better\":" better      \
                                   ",\"gate\":" gate ",\"samples\":" samples "}]}"

static void test_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        /* 0 */
        {"", "f: line 1: is not JSON"},
        {"{", "f: line 1: is not JSON"},
        {HEAD "\"rows\":[]} x", "f: line 1: is not JSON"},
        {"[]", "f: is not a result of fzbench"},
        {"{}", "f: format: is missing"},
        /* 5 */
        {"{\"format\":\"1\"}", "f: format: must be a whole number"},
        {"{\"format\":2}", "f: format: is 2, but this fzbench reads format 1 only"},
        {"{\"format\":1}", "f: command: is missing"},
        {"{\"format\":1,\"format\":1}", "f: line 1: is not JSON: duplicate object key"},
        {"{\"format\":1,\"command\":7}", "f: command: must be a string"},
        /* 10 */
        {"{\"format\":1,\"command\":\"a\\u001b[2Jb\"}", "f: command: has a control character"},
        {"{\"format\":1,\"command\":\"a\\u009b2Jb\"}", "f: command: has a control character"},
        {"{\"format\":1,\"command\":\"a\\u0000b\"}", "f: line 1: is not JSON"},
        {"{\"format\":1,\"command\":\"\xff\"}", "f: line 1: is not JSON"},
        {HEAD "\"x\":0}", "f: rows: is missing"},
        /* 15 */
        {HEAD "\"rows\":{}}", "f: rows: must be an array"},
        {HEAD "\"rows\":[" ROW("a") ",3]}", "f: rows[1]: must be an object"},
        {HEAD "\"rows\":[{}]}", "f: rows[0].name: is missing"},
        {HEAD "\"rows\":[" ROW("") "]}", "f: rows[0].name: must not be empty"},
        {HEAD "\"rows\":[" ROW("a") "," ROW("b") "," ROW("a") "]}",
         "f: rows[2].name: \"a\" is that of rows[0], too"},
        /* 20 */
        {FIELDS("[]", "\"x\"", "\"lower\"", "\"none\"", "[1]"),
         "f: rows[1].name: must be a string"},
        {FIELDS("\"b\"", "1", "\"lower\"", "\"none\"", "[1]"), "f: rows[1].unit: must be a string"},
        {FIELDS("\"b\"", "\"x\"", "\"Lower\"", "\"none\"", "[1]"),
         "f: rows[1].better: must be one of \"lower\", \"higher\", \"neither\""},
        {FIELDS("\"b\"", "\"x\"", "\"lower\"", "null", "[1]"), "f: rows[1].gate: must be a string"},
        {FIELDS("\"b\"", "\"x\"", "\"lower\"", "\"no\"", "[1]"), "f: rows[1].gate: must be one of"},
        /* 25 */
        {FIELDS("\"b\"", "\"x\"", "\"lower\"", "\"none\"", "1"),
         "f: rows[1].samples: must be an array"},
        {FIELDS("\"b\"", "\"x\"", "\"lower\"", "\"none\"", "[]"),
         "f: rows[1].samples: must not be empty"},
        {FIELDS("\"b\"", "\"x\"", "\"lower\"", "\"none\"", "[1,\"2\"]"),
         "f: rows[1].samples: element 1 must be a number"},
        {FIELDS("\"b\"", "\"x\"", "\"lower\"", "\"none\"", "[1,2,null]"),
         "f: rows[1].samples: element 2 must be a number"},
        {FIELDS("\"b\"", "\"x\"", "\"lower\"", "\"none\"", "[1.1e18]"),
         "f: rows[1].samples: element 0 is beyond 1e+18"},
        /* 30 */
        {FIELDS("\"b\"", "\"x\"", "\"lower\"", "\"none\"", "[1e999]"), "f: line 1: is not JSON"},
        {FIELDS("\"b\"", "\"x\"", "\"lower\"", "\"none\"", "[NaN]"), "f: line 1: is not JSON"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char why[300] = "";
        struct result r = {0};
        enum err err = result_parse(&r, "f", cases[i].text, strlen(cases[i].text), why, sizeof why);
        if (err != ERR_PARSE || strncmp(why, cases[i].why, strlen(cases[i].why)) != 0)
            print_error("case %zu: %s\n", i, why);
        assert_int_equal(err, ERR_PARSE);
        assert_memory_equal(why, cases[i].why, strlen(cases[i].why));
        assert_null(r.rows);
        for (const char *p = why; *p; p++)
            assert_in_range(*p, ' ', '~');
    }
}

/* A file of n rows; "x" is repeated `name_len` times in the last one's name. */
static char *many_rows(size_t n, size_t name_len, size_t *len)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, len);

    assert_non_null(f);
    fputs(HEAD "\"rows\":[", f);
    for (size_t i = 0; i < n; i++)
        fprintf(f,
                "%s{\"name\":\"%zu%.*s\",\"unit\":\"x\",\"better\":\"lower\",\"gate\":\"none\","
                "\"samples\":[1]}",
                i ? "," : "", i, i + 1 == n ? (int)name_len : 0,
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    fputs("]}", f);
    assert_int_equal(fclose(f), 0);
    return text;
}

static void test_bounds(void **state)
{
    static const struct {
        size_t rows, name_len;
        const char *why; /* NULL: accepted */
    } cases[] = {
        {2000, 0, NULL},
        {10001, 0, "f: rows: has more than 10000 elements"},
        {1, 254, NULL},
        {1, 255, "f: rows[0].name: is longer than 255 bytes"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char why[300] = "";
        struct result r;
        size_t len;
        char *text = many_rows(cases[i].rows, cases[i].name_len, &len);
        enum err err = result_parse(&r, "f", text, len, why, sizeof why);
        free(text);
        assert_string_equal(why, cases[i].why ? cases[i].why : "");
        assert_int_equal(err, cases[i].why ? ERR_PARSE : ERR_OK);
        if (err == ERR_OK)
            result_fini(&r);
    }
}

static void test_unreadable(void **state)
{
    char why[300];
    struct result r;

    (void)state;
    assert_int_equal(result_load(&r, in_folder("none"), why, sizeof why), ERR_NOT_FOUND);
    assert_non_null(strstr(why, "/none: No such file or directory"));
    assert_int_equal(result_load(&r, folder, why, sizeof why), ERR_INVALID);
    assert_non_null(strstr(why, "Is a directory"));

    const char *path = in_folder("huge");
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (64 << 20) + 1), 0);
    close(fd);
    assert_int_equal(result_load(&r, path, why, sizeof why), ERR_NO_SPACE);
    assert_non_null(strstr(why, "larger than 65536 KiB"));
    unlink(path);
}

static void read_back(const char *path, char *buf, size_t size)
{
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    buf[fread(buf, 1, size - 1, f)] = '\0';
    fclose(f);
}

static void test_save(void **state)
{
    char why[300] = "", text[16], link[128];
    const char *path = in_folder("file");
    struct stat st;

    (void)state;
    mode_t mask = umask(027);
    assert_int_equal(save_whole(path, "one", 3, why, sizeof why), ERR_OK);
    umask(mask);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);

    /* Replaced through a link; mode and link stay. */
    assert_int_equal(chmod(path, 0600), 0);
    snprintf(link, sizeof link, "%s/link", folder);
    assert_int_equal(symlink("file", link), 0);
    assert_int_equal(save_whole(link, "two", 3, why, sizeof why), ERR_OK);
    read_back(path, text, sizeof text);
    assert_string_equal(text, "two");
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    unlink(link);
    unlink(path);
}

static void test_save_failures(void **state)
{
    struct rlimit old, tight;
    char why[300] = "", text[16];
    const char *path;

    (void)state;
    assert_int_equal(save_whole(in_folder("no/file"), "x", 1, why, sizeof why), ERR_NOT_FOUND);
    assert_non_null(strstr(why, "/no/file: No such file or directory"));
    assert_int_equal(save_whole(folder, "x", 1, why, sizeof why), ERR_IO);
    assert_non_null(strstr(why, "Is a directory"));

    /* Too little room: the old content stays, and no temporary file. */
    path = in_folder("file");
    assert_int_equal(save_whole(path, "old", 3, why, sizeof why), ERR_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    tight = old;
    tight.rlim_cur = 2;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    enum err err = save_whole(path, "newer", 5, why, sizeof why);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(err, ERR_IO);
    assert_non_null(strstr(why, "/file: File too large"));
    read_back(path, text, sizeof text);
    assert_string_equal(text, "old");
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* it is empty */
    assert_int_equal(mkdir(folder, 0700), 0);
}

/* Modes do not stop root, who could also put a file in the place of a device. */
static void drop_root(uid_t user)
{
    if (user == 0)
        assert_int_equal(seteuid(65534), 0);
}

static void test_not_root(void **state)
{
    uid_t user = geteuid();
    char why[300];

    (void)state;
    assert_int_equal(chmod(folder, 0500), 0);
    drop_root(user);
    enum err refused = save_whole(in_folder("file"), "x", 1, why, sizeof why);
    bool named = strstr(why, "/file: Permission denied") != NULL;
    enum err full = save_whole("/dev/full", "x", 1, why, sizeof why);
    assert_int_equal(seteuid(user), 0);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_int_equal(refused, ERR_PERMISSION);
    assert_true(named);
    assert_int_equal(full, ERR_NO_SPACE);
    assert_string_equal(why, "cannot write /dev/full: No space left on device");
}

static void test_save_to_pipe(void **state)
{
    const char *path = in_folder("pipe");
    char why[300], text[8] = "";
    struct stat st;

    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDWR | O_NONBLOCK);
    assert_true(fd >= 0);
    assert_int_equal(save_whole(path, "whole", 5, why, sizeof why), ERR_OK);
    assert_int_equal(read(fd, text, sizeof text - 1), 5);
    assert_string_equal(text, "whole");
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    close(fd);
    unlink(path);
}

static void test_print(void **state)
{
    static const char expected[] = "name           median                min .. max  unit\n"
                                   "a/longer        12.50            12.00 .. 13.00  ns\n"
                                   "b                   0                            x\n";
    struct result r;
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);

    (void)state;
    result_init(&r, "micro");
    result_add(&r, "a/longer", "ns", RESULT_LOWER, GATE_NONE, 12.001);
    result_add(&r, "a/longer", "ns", RESULT_LOWER, GATE_NONE, 12.999);
    result_add(&r, "b", "x", RESULT_LOWER, GATE_ZERO, 0);
    result_print(&r, f);
    assert_int_equal(fclose(f), 0);
    assert_string_equal(text, expected);
    free(text);
    result_fini(&r);
}

static void test_figure_text(void **state)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {7, "7"},
        {123456, "123456"},
        {0.012344, "0.01234"},
        {1.23456, "1.235"},
        {12.3456, "12.35"},
        {-3.14159, "-3.142"},
        {98765.4, "98765"},
        {1e18, "1000000000000000000"},
        {1e-30, "0.000000000"},
    };
    static const struct {
        double old, new;
        const char *text;
    } changes[] = {
        {4, 4, "="},
        {0, 0, "="},
        {0, 1, "from 0"},
        {100, 101.94, "+1.9 %"},
        {100, 50, "-50 %"},
        {-10, -5, "+50 %"},
        {1, 1e9, "> +99999 %"},
        {1e-300, -1e18, "< -99999 %"},
    };
    char buf[FIGURE_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(figure_format(cases[i].value, buf, sizeof buf), cases[i].text);
    for (size_t i = 0; i < ARRAY_LEN(changes); i++)
        assert_string_equal(figure_format_change(changes[i].old, changes[i].new, buf, sizeof buf),
                            changes[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures),        cmocka_unit_test(test_init),
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_tolerant),
        cmocka_unit_test(test_refused),        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_unreadable),     cmocka_unit_test(test_save),
        cmocka_unit_test(test_save_failures),  cmocka_unit_test(test_not_root),
        cmocka_unit_test(test_save_to_pipe),   cmocka_unit_test(test_print),
        cmocka_unit_test(test_figure_text),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
