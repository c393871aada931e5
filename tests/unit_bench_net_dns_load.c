/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks in the part dns, against a service that is a process of the test: what is counted as good, failed and lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/net_command.h"
#include "bench/net_dns_load.h"
#include "bench/net_traffic.h"
#include "platform/base/bytes.h"

enum {
    TENTH = 10
};

/* How the service behaves, to each query by its number. */
struct service {
    int fd;
    bool silent, wrong, twice, refuses; /* once in ten times */
};

static void serve(void *arg)
{
    const struct service *s = arg;
    uint8_t message[NET_DNS_ANSWER_MAX];

    for (unsigned i = 0;; i++) {
        ssize_t n = recv(s->fd, message, sizeof message, 0);
        if (n <= 0)
            return;
        bool odd = i % TENTH == 0;
        size_t len = net_dns_query_answer(message, (size_t)n);
        if (len == 0 || (odd && s->silent))
            continue;
        if (odd && s->refuses)
            message[3] |= 5;
        if (odd && s->wrong)
            message[13] ^= 1;
        for (unsigned times = odd && s->twice ? 2 : 1; times > 0; times--)
            (void)send(s->fd, message, len, 0);
    }
}

static void run(struct service *s, double per_second, struct net_dns_found *f)
{
    char text[256];
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
    s->fd = fds[1];
    pid_t pid = net_traffic_fork(serve, s);
    assert_true(pid > 0);
    struct net_dns_load *l = net_dns_load_new(fds[0], NET_DNS_UPSTREAM);
    assert_int_equal(net_dns_load_run(l, per_second, 0.3, f, (struct why){text, sizeof text}),
                     ERR_OK);
    net_dns_load_free(l);
    net_command_kill(pid);
    close(fds[0]);
    close(fds[1]);
    assert_int_equal(f->good + f->failed + f->lost, f->asked);
    assert_true(f->asked > 0 && f->p50_us > 0 && f->p50_us <= f->p99_us && f->p99_us <= f->p999_us);
}

/* The first of each ten. */
static uint64_t tenth(uint64_t n)
{
    return (n + TENTH - 1) / TENTH;
}

static void test_good(void **state)
{
    struct service s = {.twice = true}; /* which does not count */
    struct net_dns_found f;

    (void)state;
    run(&s, 1000, &f);
    assert_int_equal(f.good, f.asked);
    assert_in_range(f.asked, 1, 300);
    run(&s, 0, &f);
    assert_int_equal(f.good, f.asked);
}

static void test_lost(void **state)
{
    struct service silent = {.silent = true}, wrong = {.wrong = true};
    struct net_dns_found f;

    (void)state;
    run(&silent, 1000, &f);
    assert_int_equal(f.lost, tenth(f.asked));
    run(&wrong, 1000, &f);
    assert_int_equal(f.lost, tenth(f.asked));
}

static void test_failed(void **state)
{
    struct service s = {.refuses = true};
    struct net_dns_found f;

    (void)state;
    run(&s, 1000, &f);
    assert_int_equal(f.failed, tenth(f.asked));
    assert_int_equal(f.lost, 0);
    run(&s, 0, &f);
    assert_int_equal(f.failed, tenth(f.asked));
}

static void test_passed(void **state)
{
    static const struct {
        uint64_t asked, lost, failed;
        bool passed;
    } cases[] = {
        {2000, 0, 0, true},  {1900, 0, 0, true},  {1899, 0, 0, false},
        {2000, 1, 0, false}, {2000, 0, 1, false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct net_dns_found f = {.asked = cases[i].asked,
                                        .lost = cases[i].lost,
                                        .failed = cases[i].failed,
                                        .seconds = 2};
        assert_int_equal(net_dns_load_passed(&f, 1000), cases[i].passed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_lost),
                                       cmocka_unit_test(test_failed),
                                       cmocka_unit_test(test_passed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
