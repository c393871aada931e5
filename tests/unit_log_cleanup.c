/* SPDX-License-Identifier: Apache-2.0 */
/* Which log files go: the rules one by one, then random folders against a slower plan. */
#include "control/log_cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

#define NOW_S  INT64_C(1800000000)
#define NS     INT64_C(1000000000)
#define NOW_NS (NOW_S * NS)

enum {
    FILES_MAX = 24
};

/* "x.log" stands for a log file, of which a letter tells the second; other names for themselves. */
static struct log_cleanup_file file(const char *name, unsigned folder, uint64_t size, int64_t age_s)
{
    static char names['z' + 1][48];

    if (strcmp(name + 1, ".log") == 0) {
        char *full = names[(unsigned char)name[0]];
        snprintf(full, sizeof names[0], "gui-client.2026-03-01-12-34-%02d.log", name[0] - 'a');
        name = full;
    }
    return (struct log_cleanup_file){
        .name = name, .folder = folder, .size = size, .mtime_ns = NOW_NS - age_s * NS};
}

/* The letters of the files that go, in their order. */
static const char *doomed(struct log_cleanup_file *files, size_t n, uint64_t cap)
{
    static char out[64];
    size_t len = 0;

    assert_int_equal(log_cleanup_plan(files, n, cap, NOW_NS), ERR_OK);
    for (size_t i = 0; i < n; i++) {
        if (files[i].doomed)
            out[len++] = (char)('a' + atoi(strrchr(files[i].name, '-') + 1));
    }
    out[len] = '\0';
    return out;
}

static void names_that_count(void **state)
{
    (void)state;
    static const char *const ours[] = {
        "firezone-headless-client.2026-03-01-12-34-56.log",
        "firezone-gateway.2026-03-01-12-34-56.log",
        "tunnel-service.2026-03-01-12-34-56.log",
        "gui-client.0000-99-99-99-99-99.log",
    };
    static const char *const others[] = {
        "syslog.log",
        "nginx.2026-03-01-12-34-56.log",
        "2026-03-01-12-34-56.log",
        "gui-client.log",
        "gui-client.latest",
        "gui-client",
        "gui-client2026-03-01-12-34-56.log",
        "gui-client.2026-03-01-12-34-5.log",
        "gui-client.2026-03-01-12-34-56",
        "gui-client.2026-03-01-12-34-56.log.gz",
        "gui-client.2026-03-01-12-34-56.LOG",
        "gui-client.2026-03-01-12:34:56.log",
        "my-gui-client.2026-03-01-12-34-56.log",
        "gui-client.2026-03-01-12-34-56.1.log",
        "",
    };

    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        assert_true(log_cleanup_counts(ours[i]));
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_false(log_cleanup_counts(others[i]));
}

static void oldest_first_until_small_enough(void **state)
{
    (void)state;
    struct log_cleanup_file files[] = {file("a.log", 0, 40, 1000), file("b.log", 0, 40, 3000),
                                       file("c.log", 0, 40, 2000), file("d.log", 0, 40, 0)};
    assert_string_equal(doomed(files, 4, 160), ""); /* exactly the cap */
    assert_string_equal(doomed(files, 4, 159), "b");
    assert_string_equal(doomed(files, 4, 120), "b");
    assert_string_equal(doomed(files, 4, 119), "bc");
    assert_string_equal(doomed(files, 4, 1), "bca");
    assert_string_equal(doomed(files, 0, 1), "");
    /* of the same age the names decide */
    files[0] = file("z.log", 0, 40, 900);
    files[1] = file("y.log", 0, 40, 900);
    files[2] = file("x.log", 0, 40, 900);
    assert_string_equal(doomed(files, 3, 80), "x");
}

static void young_and_future_files_stay(void **state)
{
    (void)state;
    struct log_cleanup_file files[] = {file("a.log", 0, 50, 299), file("b.log", 0, 50, 300),
                                       file("c.log", 0, 50, -1), file("d.log", 0, 50, -1000000),
                                       file("e.log", 0, 50, 0)};
    assert_string_equal(doomed(files, 5, 1), "b");
    files[0] = file("a.log", 0, 50, 300);
    files[0].mtime_ns++; /* a nanosecond too young */
    files[1] = file("b.log", 0, 50, 10);
    assert_string_equal(doomed(files, 2, 1), "");
    files[0].mtime_ns = INT64_MIN; /* before time began */
    assert_string_equal(doomed(files, 2, 1), "a");
}

static void last_of_a_folder_stays(void **state)
{
    (void)state;
    struct log_cleanup_file files[] = {file("a.log", 0, 500, 9000), file("b.log", 1, 50, 8000),
                                       file("c.log", 1, 50, 7000), file("d.log", 2, 50, 6000)};
    assert_string_equal(doomed(files, 4, 1), "b");
    assert_string_equal(doomed(files, 4, 600), "b");
    assert_string_equal(doomed(files, 4, 650), "");
    /* other names do not make a file one of several */
    files[0] = file("a.txt", 0, 500, 9000);
    files[1] = file("b.log", 0, 50, 8000);
    assert_string_equal(doomed(files, 2, 1), "");
}

static void other_names_are_ignored(void **state)
{
    (void)state;
    struct log_cleanup_file files[] = {file("a.txt", 0, 1000, 9000), file("b.log", 0, 50, 8000),
                                       file("c.log", 0, 50, 7000), file("d.json", 0, 50, 6000)};
    assert_string_equal(doomed(files, 4, 100), "");
    assert_string_equal(doomed(files, 4, 99), "b");
}

static void what_cannot_be_deleted_is_passed_over(void **state)
{
    (void)state;
    struct log_cleanup_file files[] = {file("a.log", 0, 50, 9000), file("b.log", 0, 50, 8000),
                                       file("c.log", 0, 50, 7000)};
    assert_string_equal(doomed(files, 3, 100), "a");
    files[0].stays = true;
    assert_string_equal(doomed(files, 3, 100), "b");
    assert_string_equal(doomed(files, 3, 1), "bc");
}

static void cap_0_is_refused(void **state)
{
    (void)state;
    struct log_cleanup_file files[] = {file("a.log", 0, 50, 9000), file("b.log", 0, 50, 8000)};
    files[0].doomed = true;
    assert_int_equal(log_cleanup_plan(files, 2, 0, NOW_NS), ERR_INVALID);
    assert_false(files[0].doomed);
    files[0].size = UINT64_MAX;
    assert_int_equal(log_cleanup_plan(files, 2, 10, NOW_NS), ERR_INVALID);
    assert_false(files[0].doomed || files[1].doomed);
}

/* Looks for the oldest file that may go, again and again. */
static void slow_plan(const struct log_cleanup_file *f, size_t n, uint64_t cap, bool *gone)
{
    for (;;) {
        uint64_t total = 0;
        size_t best = n, left[LOG_CLEANUP_FOLDERS_MAX] = {0};
        for (size_t i = 0; i < n; i++) {
            if (gone[i] || !strstr(f[i].name, "-12-34-"))
                continue;
            total += f[i].size;
            left[f[i].folder]++;
        }
        for (size_t i = 0; i < n && total > cap; i++) {
            double age_s = (double)(NOW_NS - f[i].mtime_ns) / (double)NS;
            if (gone[i] || f[i].stays || !strstr(f[i].name, "-12-34-") || left[f[i].folder] < 2 ||
                age_s < 300)
                continue;
            if (best == n || f[i].mtime_ns < f[best].mtime_ns)
                best = i;
        }
        if (best == n)
            return;
        gone[best] = true;
    }
}

static uint32_t next_random(void)
{
    static uint64_t seed = 88172645463325252u;
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t)(seed >> 16);
}

static void random_folders(void **state)
{
    (void)state;
    static const char *const starts[] = {"gui-client.2026-03-01-12-34-",
                                         "tunnel-service.2026-03-01-12-34-",
                                         "firezone-gateway.2026-03-01-12-34-", "gui-client."};
    static char names[FILES_MAX][48];
    unsigned some = 0;

    for (int round = 0; round < 20000; round++) {
        struct log_cleanup_file files[FILES_MAX], before[FILES_MAX];
        bool gone[FILES_MAX] = {false};
        size_t n = next_random() % (FILES_MAX + 1);
        unsigned folders = 1 + next_random() % 4;
        uint64_t cap = 1 + next_random() % 3000;
        for (size_t i = 0; i < n; i++) {
            snprintf(names[i], sizeof names[i], "%s%02zu.log",
                     starts[next_random() % ARRAY_LEN(starts)], i);
            /* ages around the limit, all different */
            files[i] = file(names[i], next_random() % folders, next_random() % 400,
                            (int64_t)(next_random() % 1200) - 200);
            files[i].mtime_ns += (int64_t)i;
            files[i].stays = next_random() % 16 == 0;
        }
        memcpy(before, files, sizeof before);
        slow_plan(before, n, cap, gone);
        assert_int_equal(log_cleanup_plan(files, n, cap, NOW_NS), ERR_OK);
        for (size_t i = 0; i < n; i++) {
            const char *number = files[i].name + strlen(files[i].name) - strlen("00.log");
            size_t was = (size_t)strtoul(number, NULL, 10);
            assert_int_equal(files[i].doomed, gone[was]);
            some += files[i].doomed;
        }
    }
    assert_true(some > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_count),
        cmocka_unit_test(oldest_first_until_small_enough),
        cmocka_unit_test(young_and_future_files_stay),
        cmocka_unit_test(last_of_a_folder_stays),
        cmocka_unit_test(other_names_are_ignored),
        cmocka_unit_test(what_cannot_be_deleted_is_passed_over),
        cmocka_unit_test(cap_0_is_refused),
        cmocka_unit_test(random_folders),
    };
    return cmocka_run_group_tests_name("log_cleanup", tests, NULL, NULL);
}
