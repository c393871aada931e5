/* SPDX-License-Identifier: Apache-2.0 */
/* Where the client's DNS service is, from its log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bench/net_names.h"
#include "platform/base/bytes.h"

#define AT "2026-11-27T22:11:38.990Z  INFO dns: "

static void test_parse(void **state)
{
    static const struct {
        const char *line, *stub; /* NULL: it says nothing */
    } cases[] = {
        {AT "100.100.111.1 stands for 203.0.113.2:53", "100.100.111.1"},
        {"100.100.111.12 stands for 203.0.113.2:53", "100.100.111.12"},
        {AT "100.100.111.1 stands for 203.0.113.25:53", NULL},
        {AT "100.100.111.1 stands for 9.9.9.9:53", NULL},
        {AT "100.100.111.1 stands for https://203.0.113.2/", NULL},
        {AT "fd00:2021:1111:8000:100:100:111:0 stands for 203.0.113.2:53", NULL},
        {AT " stands for 203.0.113.2:53", NULL},
        {" stands for 203.0.113.2:53", NULL},
        {AT "100.100.111.1 stands for ", NULL},
        {AT "nobody stands for 203.0.113.2:53", NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char stub[NET_INNER_MAX] = "untouched";
        bool says = net_names_parse(cases[i].line, "203.0.113.2", stub);
        assert_int_equal(says, cases[i].stub != NULL);
        assert_string_equal(stub, says ? cases[i].stub : "untouched");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
