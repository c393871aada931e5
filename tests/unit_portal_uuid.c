/* SPDX-License-Identifier: Apache-2.0 */
/* UUIDs as text, and the one that stands for none. */
#include "control/portal/uuid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

#define U1 "3b0c7a52-0000-4000-8000-00000000abcd"

static void test_text(void **state)
{
    char text[UUID_TEXT_MAX];
    struct uuid u;
    (void)state;
    assert_true(uuid_parse(&u, "3B0C7A52-0000-4000-8000-00000000ABCD"));
    assert_int_equal(u.bytes[0], 0x3b);
    assert_int_equal(u.bytes[15], 0xcd);
    uuid_format(&u, text);
    assert_string_equal(text, U1);
}

static void test_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "3b0c7a52",
                                        "3b0c7a5200004000800000000000abcd",
                                        (U1 "0"),
                                        (" " U1),
                                        "3b0c7a520-000-4000-8000-000000000001",
                                        "3b0c7a52-0000-4000-8000-00000000000g",
                                        "3b0c7a52-0000-4000-8000-00000000000"};
    struct uuid u;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_false(uuid_parse(&u, wrong[i]));
}

static void test_compare(void **state)
{
    struct uuid a, b;
    (void)state;
    assert_true(uuid_parse(&a, U1));
    assert_true(uuid_parse(&b, U1));
    assert_true(uuid_equal(&a, &b));
    b.bytes[15] ^= 1;
    assert_false(uuid_equal(&a, &b));
    assert_false(uuid_is_nil(&a));
    assert_true(uuid_parse(&a, "00000000-0000-0000-0000-000000000000"));
    assert_true(uuid_is_nil(&a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_compare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
