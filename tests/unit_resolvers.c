/* SPDX-License-Identifier: Apache-2.0 */
/* resolv.conf: what counts as a server, what is passed over, and what a missing or odd file means. */
#include "platform/resolvers.h"

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

#include "platform/base/bytes.h"

static uint32_t fake_ifindex(const char *name)
{
    return strcmp(name, "eth0") == 0 ? 7 : 0;
}

static const struct {
    const char *text, *servers; /* each followed by a space */
} cases[] = {
    {"", ""},
    {"nameserver 192.0.2.1\n", "192.0.2.1:53 "},
    {"nameserver 192.0.2.1", "192.0.2.1:53 "}, /* no end of line */
    {"nameserver\t192.0.2.1\t \r\n", "192.0.2.1:53 "},
    {"  nameserver 192.0.2.1\n", "192.0.2.1:53 "},
    {"nameserver 192.0.2.1 # the first\nnameserver 192.0.2.2;the second\n",
     "192.0.2.1:53 192.0.2.2:53 "},
    {"# nameserver 192.0.2.1\n;nameserver 192.0.2.2\n", ""},
    {"nameserver 192.0.2.2\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n",
     "192.0.2.2:53 192.0.2.1:53 "},
    {"nameserver 2001:db8::1\nnameserver fe80::1%eth0\nnameserver fe80::1%3\n",
     "[2001:db8::1]:53 [fe80::1%7]:53 [fe80::1%3]:53 "},
    {"nameserver fe80::1%gone\nnameserver 192.0.2.1\n", "192.0.2.1:53 "},
    {"search example.com\noptions ndots:5\nThis is prose.\nnameservers 192.0.2.9\n"
     "nameserver192.0.2.9\nnameserver\nnameserver \nnameserver example.com\nnameserver 192.0.2\n"
     "nameserver [2001:db8::1]:53\nNAMESERVER 192.0.2.9\nnameserver 192.0.2.1 192.0.2.9\n",
     "192.0.2.1:53 "},
    {"nameserver 10.0.0.1\nnameserver 10.0.0.2\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n"
     "nameserver 10.0.0.5\nnameserver 10.0.0.6\nnameserver 10.0.0.7\nnameserver 10.0.0.8\n"
     "nameserver 10.0.0.9\n",
     "10.0.0.1:53 10.0.0.2:53 10.0.0.3:53 10.0.0.4:53 10.0.0.5:53 10.0.0.6:53 10.0.0.7:53 "
     "10.0.0.8:53 "},
};

static const char *shown(const struct sock_addr *servers, unsigned n)
{
    static char text[RESOLVERS_MAX * SOCK_ADDR_TEXT_MAX];
    char one[SOCK_ADDR_TEXT_MAX];

    text[0] = '\0';
    for (unsigned i = 0; i < n; i++) {
        strcat(text, sock_addr_format(&servers[i], one, sizeof one));
        strcat(text, " ");
    }
    return text;
}

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sock_addr servers[RESOLVERS_MAX];
        unsigned n = 99;
        size_t len = strlen(cases[i].text);
        char *exact = malloc(len + 1); /* without a zero, so that reading on is seen */
        assert_non_null(exact);
        memcpy(exact, cases[i].text, len);
        resolvers_parse(servers, &n, exact, len, fake_ifindex);
        free(exact);
        if (strcmp(shown(servers, n), cases[i].servers) != 0)
            fail_msg("case %zu: %s", i, shown(servers, n));
    }
}

static void write_file(const char *path, const char *text, size_t times)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    while (times-- > 0)
        assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void test_read(void **state)
{
    char dir[] = "/tmp/unit_resolvers.XXXXXX", path[64], why[64];
    struct sock_addr servers[RESOLVERS_MAX];
    unsigned n;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/resolv.conf", dir);

    assert_int_equal(resolvers_read(servers, &n, path, why, sizeof why), ERR_OK);
    assert_string_equal(shown(servers, n), "127.0.0.1:53 ");

    write_file(path, "search example.com\n", 1);
    assert_int_equal(resolvers_read(servers, &n, path, why, sizeof why), ERR_OK);
    assert_string_equal(shown(servers, n), "127.0.0.1:53 ");

    write_file(path, "nameserver 192.0.2.1\nnameserver fe80::1%lo\nnameserver fe80::1%nope\n", 1);
    assert_int_equal(resolvers_read(servers, &n, path, why, sizeof why), ERR_OK);
    assert_int_equal(n, 2);
    assert_int_equal(servers[1].scope, 1);

    write_file(path, "# 0123456789\n", 100000);
    assert_int_equal(resolvers_read(servers, &n, path, why, sizeof why), ERR_IO);
    assert_true(strlen(why) > 0);
    assert_int_equal(n, 0);

    why[0] = '\0';
    assert_int_equal(resolvers_read(servers, &n, dir, why, sizeof why), ERR_IO);
    assert_true(strlen(why) > 0);

    if (geteuid() != 0) {
        assert_int_equal(chmod(path, 0), 0);
        assert_int_equal(resolvers_read(servers, &n, path, why, sizeof why), ERR_PERMISSION);
    }
    unlink(path);
    rmdir(dir);
    assert_true(resolvers_read(servers, &n, NULL, why, sizeof why) != ERR_OK || n > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
