/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of a token's text, and which texts are none. */
#include "control/token_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

static void test_cleaned(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        {".SFMyNTY.abc", ".SFMyNTY.abc"},
        {".SFMyNTY.abc\n", ".SFMyNTY.abc"},
        {" \t.SFMy\r\nNTY.\v\fabc \n", ".SFMyNTY.abc"},
        {"!~", "!~"},
        {"x", "x"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[64];
        size_t len = strlen(cases[i].text), before = len;
        memset(text, 'z', sizeof text);
        memcpy(text, cases[i].text, len + 1);
        assert_int_equal(token_text_clean(text, &len), ERR_OK);
        assert_string_equal(text, cases[i].want);
        assert_int_equal(len, strlen(cases[i].want));
        for (size_t k = len; k <= before; k++) /* nothing of it stays behind */
            assert_int_equal(text[k], 0);
    }
}

static void test_refused(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        enum err err;
    } cases[] = {
        {"", 0, ERR_NOT_FOUND},
        {" \n\t ", 4, ERR_NOT_FOUND},
        {"a\0b", 3, ERR_INVALID},
        {"a\x7f", 2, ERR_INVALID},
        {"a\x1b[0m", 5, ERR_INVALID},
        {"caf\xc3\xa9", 5, ERR_INVALID},
        {"\xef\xbb\xbf.SFM", 7, ERR_INVALID},
        {"\xc2\xa0"
         "a",
         3, ERR_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[64] = "";
        size_t len = cases[i].len;
        memcpy(text, cases[i].text, len);
        assert_int_equal(token_text_clean(text, &len), cases[i].err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cleaned),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
