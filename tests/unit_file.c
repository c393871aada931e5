/* SPDX-License-Identifier: Apache-2.0 */
/* Reading whole files, and the configuration through it: the errors of the file system, in one sentence each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/config.h"
#include "platform/file.h"

#define IFACE "[Interface]\nPrivateKey = dwdtCnMYpX08FsFyUbJmRd9ML5LrwJnEufXAs9nIsRo=\n"

static void write_file(const char *path, const char *text, mode_t mode)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void test_load(void **state)
{
    char folder[] = P_tmpdir "/unit_config.XXXXXX", path[64], why[300];
    struct config c;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/wg0.conf", folder);
    assert_int_equal(config_load(&c, path, why, sizeof why), ERR_NOT_FOUND);
    assert_memory_equal(why, path, strlen(path));

    write_file(path, IFACE, 0600);
    assert_int_equal(config_load(&c, path, why, sizeof why), ERR_OK);
    assert_int_equal(c.notices_n, 0);
    config_fini(&c);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(config_load(&c, path, why, sizeof why), ERR_OK);
    assert_int_equal(c.notices_n, 1);
    assert_non_null(strstr(c.notices[0], "chmod 600"));
    config_fini(&c);

    write_file(path, IFACE "MTU = x\n", 0600);
    assert_int_equal(config_load(&c, path, why, sizeof why), ERR_PARSE);
    assert_non_null(strstr(why, "wg0.conf line 3: MTU: expected"));
    assert_int_equal(config_load(&c, folder, why, sizeof why), ERR_INVALID);
    assert_int_equal(truncate(path, CONFIG_FILE_MAX + 1), 0);
    assert_int_equal(config_load(&c, path, why, sizeof why), ERR_NO_SPACE);
    unlink(path);
    rmdir(folder);
}

static void test_stamp(void **state)
{
    char folder[] = P_tmpdir "/unit_stamp.XXXXXX", path[64], other[64];
    struct file_stamp none, first, again;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a", folder);
    snprintf(other, sizeof other, "%s/b", folder);
    none = file_stamp(path);
    write_file(path, "one", 0600);
    first = file_stamp(path);
    assert_false(file_stamp_equal(&none, &first));
    again = file_stamp(path);
    assert_true(file_stamp_equal(&first, &again));
    write_file(other, "two", 0600);
    assert_int_equal(rename(other, path), 0); /* of the same length, in the same moment */
    again = file_stamp(path);
    assert_false(file_stamp_equal(&first, &again));
    unlink(path);
    again = file_stamp(path);
    assert_true(file_stamp_equal(&none, &again));
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_stamp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
