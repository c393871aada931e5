/* SPDX-License-Identifier: Apache-2.0 */
/* Which of the system's resolvers are asked. What the system has, and who asks them, are replaced here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "platform/base/err.h"

static enum err system_answer;
static const char *const *system_has;

#define dns_control_resolvers read_test_resolvers
#define names_new             new_test_names
#define names_set_servers     set_test_servers
#include "control/system_names.c"
#undef dns_control_resolvers
#undef names_new
#undef names_set_servers

static struct sock_addr asked[RESOLVERS_MAX];
static unsigned asked_n, asked_times;
static const struct egress marked = {.mark = 0xfd002021};
static const struct egress *asked_egress;
static enum err names_answer;

enum err read_test_resolvers(struct dns_control *c, struct sock_addr out[RESOLVERS_MAX],
                             unsigned *n, char *why, unsigned why_size)
{
    assert_null(c);
    snprintf(why, why_size, "No such file or directory");
    for (*n = 0; system_has[*n]; (*n)++)
        assert_int_equal(sock_addr_parse(&out[*n], system_has[*n]), ERR_OK);
    return system_answer;
}

enum err set_test_servers(struct names *s, const struct sock_addr *servers, unsigned n)
{
    (void)s;
    memcpy(asked, servers, n * sizeof *servers);
    asked_n = n;
    asked_times++;
    return names_answer;
}

enum err new_test_names(struct names **out, struct loop *l, const struct sock_addr *servers,
                        unsigned n, const struct egress *egress, const char *hosts_path)
{
    (void)l;
    assert_string_equal(hosts_path, "/etc/hosts");
    asked_egress = egress;
    *out = NULL;
    return set_test_servers(NULL, servers, n);
}

static void expect_asked(const char *const *want)
{
    char text[SOCK_ADDR_TEXT_MAX];
    for (unsigned i = 0; i < asked_n; i++) {
        assert_non_null(want[i]);
        assert_string_equal(sock_addr_format(&asked[i], text, sizeof text), want[i]);
    }
    assert_null(want[asked_n]);
}

static void start(void)
{
    struct names *names;
    char why[160] = "";
    assert_int_equal(system_names_new(&names, NULL, NULL, &marked, "client", why, sizeof why),
                     ERR_OK);
    assert_string_equal(why, "");
}

/* Just inside of the two ranges, and just outside. */
static void test_sentinels(void **state)
{
    static const char *const has[] = {"100.100.111.0:53",
                                      "100.100.110.255:53",
                                      "[fd00:2021:1111:8000:100:100:111:ff]:53",
                                      "100.100.111.255:53",
                                      "9.9.9.9:53",
                                      "[fd00:2021:1111:8000:100:100:111:0]:53",
                                      "100.100.112.0:53",
                                      "[fd00:2021:1111:8000:100:100:111:100]:53",
                                      NULL};
    static const char *const want[] = {"100.100.110.255:53", "9.9.9.9:53", "100.100.112.0:53",
                                       "[fd00:2021:1111:8000:100:100:111:100]:53", NULL};
    (void)state;
    system_has = has;
    start();
    expect_asked(want);
    assert_ptr_equal(asked_egress, &marked);
}

static void test_refresh(void **state)
{
    static const char *const before[] = {"9.9.9.9:53", NULL};
    static const char *const after[] = {"100.100.111.1:53", "[2620:fe::fe]:53", NULL};
    (void)state;
    system_has = before;
    start();
    expect_asked(before);
    system_has = after;
    system_names_refresh(NULL, NULL, "client");
    expect_asked(after + 1);
}

/*
 * At the start nobody is asked then, but there are still the hosts file and literal addresses. Later, those who were.
 */
static void test_unreadable(void **state)
{
    static const char *const has[] = {"9.9.9.9:53", NULL}, *const none[] = {NULL};
    unsigned times = asked_times;
    (void)state;
    system_has = has;
    system_answer = ERR_NOT_FOUND;
    start();
    expect_asked(none);
    system_answer = ERR_OK;
    system_names_refresh(NULL, NULL, "client");
    expect_asked(has);
    system_answer = ERR_IO;
    system_names_refresh(NULL, NULL, "client");
    expect_asked(has);
    assert_int_equal(asked_times, times + 2);
    system_answer = ERR_OK;
}

static void test_failure(void **state)
{
    static const char *const none[] = {NULL};
    struct names *names;
    char why[160] = "";
    (void)state;
    system_has = none;
    names_answer = ERR_NO_MEMORY;
    assert_int_equal(system_names_new(&names, NULL, NULL, NULL, "client", why, sizeof why),
                     ERR_NO_MEMORY);
    assert_non_null(strstr(why, "the name resolver does not start: "));
    names_answer = ERR_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentinels),
        cmocka_unit_test(test_refresh),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
