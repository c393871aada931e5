/* SPDX-License-Identifier: Apache-2.0 */
/* The progress line, as a terminal and as a log get it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/progress.h"
#include "platform/base/bytes.h"

struct step {
    uint64_t done;
    const char *label;
    unsigned at_seconds;
};

static void check(bool in_place, const struct step *steps, size_t n, const char *expected)
{
    const time_ns start = 1000 * NS_PER_SEC;
    struct progress p;
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    progress_init(&p, out, in_place, 8, start);
    for (size_t i = 0; i < n; i++)
        progress_show(&p, steps[i].done, steps[i].label, start + steps[i].at_seconds * NS_PER_SEC);
    progress_clear(&p);
    progress_clear(&p);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(text, expected);
    free(text);
}

static void test_terminal(void **state)
{
    static const struct step steps[] = {
        {0, "first", 0}, {1, "b", 100}, {4, "c", 600}, {9, "d", 3600}};

    (void)state;
    check(true, steps, ARRAY_LEN(steps),
          "\r  0 %, 0 s: first"
          "\r 12 %, 1 min 40 s, about 11 min 40 s left: b"
          "\r 50 %, 10 min 00 s, about 10 min 00 s left: c"
          "\r100 %, 1 h 00 min, about 0 s left: d         "
          "\r                                    \r");
}

static void test_too_long(void **state)
{
    static const struct step steps[] = {
        {0, "a label that would wrap around and so leave its beginning behind on the terminal", 0}};

    (void)state;
    check(true, steps, ARRAY_LEN(steps),
          "\r  0 %, 0 s: a label that would wrap around and so leave its beginning behind on"
          "\r                                                                               \r");
}

static void test_log(void **state)
{
    static const struct step steps[] = {{0, "a", 0}, {1, "b", 1}, {2, "c", 2}, {3, "d", 3},
                                        {4, "e", 4}, {5, "f", 5}, {6, "g", 6}, {8, "h", 8}};
    static const struct step leap[] = {{0, "a", 0}, {5, "b", 5}, {5, "c", 6}, {8, "d", 9}};

    (void)state;
    check(false, steps, ARRAY_LEN(steps),
          "  0 %, 0 s: a\n"
          " 25 %, 2 s, about 6 s left: c\n"
          " 50 %, 4 s, about 4 s left: e\n"
          " 75 %, 6 s, about 2 s left: g\n");
    check(false, leap, ARRAY_LEN(leap),
          "  0 %, 0 s: a\n"
          " 62 %, 5 s, about 3 s left: b\n"
          "100 %, 9 s, about 0 s left: d\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terminal),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
