/* SPDX-License-Identifier: Apache-2.0 */
/* Names and versions of distributions as the portal shows them. */
#include "platform/linux/os_release.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

static void test_parse(void **state)
{
    static const struct {
        const char *text, *name, *version;
    } cases[] = {
        {"PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\nID=debian\n",
         "Debian", "12.0.0"},
        {"NAME=\"Ubuntu\"\nVERSION_ID=\"22.04\"\n", "Ubuntu", "22.4.0"},
        {"NAME='Alpine Linux'\nID=alpine\nVERSION_ID=3.19.1", "Alpine", "3.19.1"},
        {"NAME=\"Fedora Linux\"\nVERSION_ID=40\n", "Fedora", "40.0.0"},
        {"NAME=\"Red Hat Enterprise Linux\"\nVERSION_ID=\"9.3\"\n", "Red Hat Enterprise", "9.3.0"},
        {"ID=arch\nBUILD_ID=rolling\n", "arch", ""},
        {"NAME=\"a\\\"b\\\\c\"\nNAME_X=no\nXNAME=no\n", "a\"b\\c", ""},
        {"NAME=first\nNAME=last\n", "last", ""},
        {"VERSION_ID=\"7.9.2009.1\"", "", "7.9.2009"},
        {"VERSION_ID=20240101", "", "20240101.0.0"},
        {"VERSION_ID=99999999999999999999", "", "999999999.0.0"},
        {"VERSION_ID=15-SP5", "", "15.0.0"},
        {"VERSION_ID=tumbleweed", "", ""},
        {"NAME=\"open", "open", ""},
        {"NAME=x\\", "x\\", ""},
        {"NAME=\"two\nVERSION_ID=1\n", "two", "1.0.0"},
        {"NAME=Linux", "Linux", ""},
        {"", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct os_release os;
        os_release_parse(&os, cases[i].text);
        assert_string_equal(os.name, cases[i].name);
        assert_string_equal(os.version, cases[i].version);
    }
}

static void test_long(void **state)
{
    char text[200] = "NAME=\"";
    struct os_release os;

    (void)state;
    memset(text + 6, 'n', 150);
    os_release_parse(&os, text);
    assert_int_equal(strlen(os.name), OS_RELEASE_NAME_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
