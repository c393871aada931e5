/* SPDX-License-Identifier: Apache-2.0 */
/* What all methods of DNS control have in common; the methods are fakes that count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define dns_disabled         test_disabled
#define dns_etc_resolv_conf  test_etc_resolv_conf
#define dns_systemd_resolved test_systemd_resolved
#include "platform/linux/dns_control.c"

static struct loop *loop;
static char calls[256]; /* of the fake, a letter each */
static enum err answer;
static loop_fn notify;
static void *notify_arg;
static unsigned changes;
static char why[64];

static void note(const char *what)
{
    strcat(calls, what);
}

static enum err fake_open(void **self, struct loop *l, loop_fn changed, void *arg, char *reason,
                          unsigned reason_size)
{
    note("o");
    assert_ptr_equal(l, loop);
    *self = calls;
    notify = changed;
    notify_arg = arg;
    snprintf(reason, reason_size, "not here");
    return answer;
}

static enum err wrong_open(void **self, struct loop *l, loop_fn changed, void *arg, char *reason,
                           unsigned reason_size)
{
    (void)self;
    (void)l;
    (void)changed;
    (void)arg;
    (void)reason;
    (void)reason_size;
    fail_msg("the wrong method is opened");
    return ERR_IO;
}

static void fake_close(void *self)
{
    assert_ptr_equal(self, calls);
    note("c");
}

static enum err fake_set(void *self, const struct dns_settings *s, char *reason,
                         unsigned reason_size)
{
    assert_ptr_equal(self, calls);
    assert_int_equal(s->servers_n, 1);
    snprintf(reason, reason_size, "no set");
    note("s");
    return answer;
}

static void fake_revert(void *self)
{
    assert_ptr_equal(self, calls);
    note("r");
}

static void fake_flush(void *self)
{
    assert_ptr_equal(self, calls);
    note("f");
}

static enum err fake_resolvers(void *self, struct sock_addr out[RESOLVERS_MAX], unsigned *n,
                               char *reason, unsigned reason_size)
{
    static const char *const has[] = {"100.100.111.7:53", "192.0.2.1:53",
                                      "[fd00:2021:1111:8000:100:100:111:9]:53", "100.100.112.0:53"};

    assert_ptr_equal(self, calls);
    for (*n = 0; *n < ARRAY_LEN(has); ++*n)
        assert_int_equal(sock_addr_parse(&out[*n], has[*n]), ERR_OK);
    snprintf(reason, reason_size, "no list");
    return answer;
}

#define FAKE(open_fn)                                                                              \
    {                                                                                              \
        .name = "fake", .open = open_fn, .close = fake_close, .set = fake_set,                     \
        .revert = fake_revert, .flush = fake_flush, .resolvers = fake_resolvers                    \
    }

const struct dns_method_ops test_disabled = FAKE(wrong_open);
const struct dns_method_ops test_etc_resolv_conf = FAKE(wrong_open);
const struct dns_method_ops test_systemd_resolved = FAKE(fake_open);

static void on_changed(void *arg)
{
    assert_ptr_equal(arg, &changes);
    changes++;
}

static void on_end(void *arg)
{
    loop_stop(arg);
}

/* All that is due now. */
static void run_loop(void)
{
    struct loop_timer end;

    loop_timer_init(&end, on_end, loop);
    loop_timer_set(loop, &end, loop_now(loop) + 10 * NS_PER_MS);
    assert_int_equal(loop_run(loop), ERR_OK);
}

static int set_up(void **state)
{
    (void)state;
    calls[0] = '\0';
    answer = ERR_OK;
    changes = 0;
    return loop_new(&loop) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

static struct dns_control *made(void)
{
    struct dns_control *c = NULL;

    assert_int_equal(dns_control_new(&c, DNS_METHOD_SYSTEMD_RESOLVED, loop, on_changed, &changes,
                                     why, sizeof why),
                     ERR_OK);
    assert_non_null(c);
    return c;
}

static void test_calls(void **state)
{
    struct dns_settings s = {.servers_n = 1};
    struct dns_control *c = made();

    (void)state;
    assert_int_equal(dns_control_set(c, &s, why, sizeof why), ERR_OK);
    dns_control_flush(c);
    dns_control_revert(c);
    answer = ERR_PERMISSION;
    assert_int_equal(dns_control_set(c, &s, why, sizeof why), ERR_PERMISSION);
    assert_string_equal(why, "no set");
    dns_control_free(c);
    assert_string_equal(calls, "osfrsrc");
    dns_control_free(NULL);
}

/* Once from the loop on its own, not earlier and not twice; and whenever the method says so. */
static void test_changed(void **state)
{
    struct dns_control *c = made();

    (void)state;
    assert_int_equal(changes, 0);
    run_loop();
    assert_int_equal(changes, 1);
    run_loop();
    assert_int_equal(changes, 1);
    notify(notify_arg);
    assert_int_equal(changes, 2);
    dns_control_free(c);

    c = made(); /* the method is faster: that was it */
    notify(notify_arg);
    run_loop();
    assert_int_equal(changes, 3);
    dns_control_free(c);

    c = made(); /* freed before: never */
    dns_control_free(c);
    run_loop();
    assert_int_equal(changes, 3);
}

static void test_resolvers(void **state)
{
    struct dns_control *c = made();
    struct sock_addr found[RESOLVERS_MAX];
    char text[SOCK_ADDR_TEXT_MAX];
    unsigned n = 99;

    (void)state;
    assert_int_equal(dns_control_resolvers(c, found, &n, why, sizeof why), ERR_OK);
    assert_int_equal(n, 2); /* none of our own stub */
    assert_string_equal(sock_addr_format(&found[0], text, sizeof text), "192.0.2.1:53");
    assert_string_equal(sock_addr_format(&found[1], text, sizeof text), "100.100.112.0:53");
    answer = ERR_TIMEOUT;
    assert_int_equal(dns_control_resolvers(c, found, &n, why, sizeof why), ERR_TIMEOUT);
    assert_int_equal(n, 0);
    assert_string_equal(why, "no list");
    dns_control_free(c);
}

static void test_refused(void **state)
{
    struct dns_control *c = NULL;

    (void)state;
    answer = ERR_UNSUPPORTED;
    assert_int_equal(dns_control_new(&c, DNS_METHOD_SYSTEMD_RESOLVED, loop, on_changed, &changes,
                                     why, sizeof why),
                     ERR_UNSUPPORTED);
    assert_string_equal(why, "not here");
    run_loop();
    assert_int_equal(changes, 0);
    assert_string_equal(calls, "o");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_calls), TEST(test_changed), TEST(test_resolvers),
                                       TEST(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
