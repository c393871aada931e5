/* SPDX-License-Identifier: Apache-2.0 */
/* The network watch on a real Windows, which is Wine where this runs: it opens, reads the default ways, judges a hint, and ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "platform/netwatch.h"
#include "tests/support/loop_fake.h"

static unsigned settled, moved;
static char moved_why[120];

static void on_ways(void *arg)
{
    (void)arg;
}

static void on_settled(void *arg)
{
    (void)arg;
    settled++;
}

static void on_move(void *arg, const char *why)
{
    (void)arg;
    moved++;
    snprintf(moved_why, sizeof moved_why, "%s", why);
}

static const struct netwatch_events events = {on_ways, on_settled, on_move};

static void test_opens_and_judges(void **state)
{
    struct netwatch_config config = {.network_manager = true};
    struct netwatch *w;
    char why[160] = "";
    (void)state;
    the_loop = (struct loop){.now = 100 * NS_PER_SEC};
    enum err err = netwatch_new(&w, &the_loop, &config, &events, NULL, why, sizeof why);
    if (err == ERR_UNSUPPORTED) {
        printf("%s\n", why);
        skip();
    }
    if (err != ERR_OK)
        fail_msg("%s", why);
    netwatch_set_tun(w, 0);
    netwatch_set_tun(w, 0xfffffff);
    netwatch_hint(w, "the test says so");
    pass(2 * NS_PER_SEC);
    assert_int_equal(settled, 1);
    assert_int_equal(moved, 1);
    assert_string_equal(moved_why, "the test says so");
    netwatch_handled(w);
    netwatch_free(w);
    assert_null(the_loop.bell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opens_and_judges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
