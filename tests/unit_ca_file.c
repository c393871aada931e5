/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are of use as certificates, and those that are not, with the reason. */
#include "control/ca_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"
#include "tests/support/test_ca.h"

static void test_check(void **state)
{
    struct test_ca ca;
    char why[300];

    (void)state;
    test_ca_make(&ca, "DNS:localhost");
    const struct {
        const char *path, *why; /* NULL: good */
        enum err err;
    } cases[] = {
        {ca.ca, NULL, ERR_OK},
        {ca.certificate, NULL, ERR_OK},
        {ca.key, "it holds none (PEM)", ERR_INVALID},
        {"/dev/null", "it holds none (PEM)", ERR_INVALID},
        {"/nonexistent", "No such file or directory", ERR_NOT_FOUND},
        {ca.folder, "Is a directory", ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(ca_file_check(cases[i].path, why, sizeof why), cases[i].err);
        if (cases[i].why && (!strstr(why, cases[i].path) || !strstr(why, cases[i].why)))
            fail_msg("%s", why);
    }
    test_ca_remove(&ca);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_check)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
