/* SPDX-License-Identifier: Apache-2.0 */
/* The hosts file: which lines count, in which order, and how much of it. */
#include "control/hosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

enum {
    FOUND_MAX = 3
};

static uint32_t fake_ifindex(const char *name)
{
    return strcmp(name, "eth0") == 0 ? 7 : 0;
}

static const struct {
    const char *text, *found; /* each followed by a space */
} cases[] = {
    {"", ""},
    {"192.0.2.1 portal.example\n", "192.0.2.1:0 "},
    {"192.0.2.1 portal.example", "192.0.2.1:0 "},
    {"\t 192.0.2.1\tother\tportal.example \r\n", "192.0.2.1:0 "},
    {"192.0.2.1 Portal.EXAMPLE\r\n", "192.0.2.1:0 "},
    {"192.0.2.1 a portal.example # b\n192.0.2.2 a # portal.example\n#192.0.2.3 portal.example\n",
     "192.0.2.1:0 "},
    {"192.0.2.1 portal\n192.0.2.2 portal.example.com\n192.0.2.3 xportal.example\n"
     "192.0.2.4 portal.exampl\nportal.example 192.0.2.5\n192.0.2.6\nportal.example\n",
     ""},
    {"192.0.2.2 portal.example\n192.0.2.1 portal.example portal.example\n192.0.2.2 "
     "portal.example\n",
     "192.0.2.2:0 192.0.2.1:0 "},
    {"2001:db8::1 portal.example\nfe80::1%eth0 portal.example\nfe80::1%none portal.example\n",
     "[2001:db8::1]:0 [fe80::1%7]:0 "},
    {"not-an-address portal.example\n192.0.2 portal.example\n\n\n192.0.2.1 portal.example\n",
     "192.0.2.1:0 "},
    {"192.0.2.1 portal.example\n192.0.2.2 portal.example\n192.0.2.3 portal.example\n"
     "192.0.2.4 portal.example\n",
     "192.0.2.1:0 192.0.2.2:0 192.0.2.3:0 "},
};

static void test_find(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sock_addr found[FOUND_MAX];
        char text[FOUND_MAX * SOCK_ADDR_TEXT_MAX] = "", one[SOCK_ADDR_TEXT_MAX];
        size_t len = strlen(cases[i].text);
        char *exact = malloc(len + 1); /* without a zero, so that reading on is seen */
        assert_non_null(exact);
        memcpy(exact, cases[i].text, len);
        unsigned n = hosts_find(found, FOUND_MAX, exact, len, "portal.example", fake_ifindex);
        free(exact);
        for (unsigned k = 0; k < n; k++) {
            strcat(text, sock_addr_format(&found[k], one, sizeof one));
            strcat(text, " ");
        }
        if (strcmp(text, cases[i].found) != 0)
            fail_msg("case %zu: %s", i, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_find)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
