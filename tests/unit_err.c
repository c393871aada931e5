/* SPDX-License-Identifier: Apache-2.0 */
/* Error texts and the conversion of errno values. */
#include "platform/base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const enum err all[] = {
#define X(name, text) ERR_##name,
    ERR_LIST(X)
#undef X
};

enum {
    ALL_N = sizeof all / sizeof all[0]
};

static void every_error_has_its_text(void **state)
{
    (void)state;
    assert_int_equal(ERR_OK, 0);
    for (unsigned i = 0; i < ALL_N; i++) {
        const char *text = err_text(all[i]);
        assert_true(strlen(text) > 1);
        assert_null(strchr(text, '\n'));
        assert_true(text[0] >= 'a' && text[0] <= 'z');
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(text, err_text(all[k]));
    }
    assert_string_equal(err_text((enum err)(ALL_N + 5)), "unknown error");
}

static const struct {
    int value;
    enum err err;
} cases[] = {
    {0, ERR_OK},
    {EINVAL, ERR_INVALID},
    {ENOENT, ERR_NOT_FOUND},
    {ENODEV, ERR_NOT_FOUND},
    {EEXIST, ERR_EXISTS},
    {EBUSY, ERR_IN_USE},
    {EADDRINUSE, ERR_IN_USE},
    {EPERM, ERR_PERMISSION},
    {EACCES, ERR_PERMISSION},
    {ENOSYS, ERR_UNSUPPORTED},
    {EOPNOTSUPP, ERR_UNSUPPORTED},
    {EAFNOSUPPORT, ERR_UNSUPPORTED},
    {ENOMEM, ERR_NO_MEMORY},
    {ENOSPC, ERR_NO_SPACE},
    {ENOBUFS, ERR_FULL},
    {EAGAIN, ERR_AGAIN},
    {ETIMEDOUT, ERR_TIMEOUT},
    {ENETUNREACH, ERR_UNREACHABLE},
    {EHOSTUNREACH, ERR_UNREACHABLE},
    {EADDRNOTAVAIL, ERR_UNREACHABLE},
    {EPIPE, ERR_CLOSED},
    {EBADF, ERR_CLOSED},
    {EIO, ERR_IO},
    {ENOTTY, ERR_IO},
    {99999, ERR_IO},
    {-1, ERR_IO},
};

static void errno_values_convert(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(err_from_errno(cases[i].value), cases[i].err);
    /* no errno becomes success */
    for (int e = 1; e < 200; e++)
        assert_int_not_equal(err_from_errno(e), ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_its_text),
        cmocka_unit_test(errno_values_convert),
    };
    return cmocka_run_group_tests_name("err", tests, NULL, NULL);
}
