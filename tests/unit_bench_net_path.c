/* SPDX-License-Identifier: Apache-2.0 */
/* What the client's log says of the path to the gateway, and how a log is read while it is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/net_log.h"
#include "bench/net_path.h"
#include "platform/base/bytes.h"

#define ID "0f1e2d3c-0000-4000-8000-000000000001"

static void test_lines(void **state)
{
    static const struct {
        const char *line, *kind; /* NULL: it says nothing */
    } cases[] = {
        {"INFO client: connected to gateway " ID ", peer to peer: 198.51.100.2:52625",
         "peer to peer"},
        {"INFO client: connected to gateway " ID ", peer to relay: [2001:db8::1]:49152",
         "peer to relay"},
        {"INFO client: the path to gateway " ID " is now relay to peer: 203.0.113.2:3478",
         "relay to peer"},
        {"INFO client: the path to gateway " ID " is now peer to peer: 198.51.100.2:1",
         "peer to peer"},
        {"INFO client: the connection to gateway " ID " has ended: it is silent", "none"},
        {"INFO gateway: connected to client " ID ", peer to peer: 192.0.2.2:52625", NULL},
        {"INFO client: connected to gateway " ID, NULL},
        {"INFO client: connected to gateway " ID ", peer to peer", NULL},
        {"INFO client: connected to gateway " ID ", : 198.51.100.2:52625", NULL},
        {"INFO client: connected to gateway " ID ",peer to peer: 198.51.100.2:52625", NULL},
        {"INFO client: the path to gateway " ID " was peer to peer: 198.51.100.2:1", NULL},
        {"INFO client: connected to gateway " ID
         ", a kind that is longer than any of the client: x",
         NULL},
        {"", NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char kind[NET_PATH_KIND_MAX] = "before";
        bool found = net_path_parse(cases[i].line, kind);
        if (found != (cases[i].kind != NULL))
            fail_msg("'%s'", cases[i].line);
        assert_string_equal(kind, found ? cases[i].kind : "before");
    }
}

static void join(void *arg, const char *line)
{
    char *all = arg;
    size_t n = strlen(all);

    snprintf(all + n, 256 - n, "[%s]", line);
}

/* A line that is not whole yet is read when it is. */
static void test_log(void **state)
{
    char path[] = "/tmp/unit_bench_net_path.XXXXXX", all[256] = "", last[NET_LOG_LINE_MAX];
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(net_log_read(path, 0, join, all), 0);
    net_log_last(path, last);
    assert_string_equal(last, "nothing");
    assert_int_equal(write(fd, "one\ntwo\n\nthr", 12), 12);
    long at = net_log_read(path, 0, join, all);
    assert_string_equal(all, "[one][two][]");
    assert_int_equal(at, 9);
    assert_true(net_log_has(path, "tw"));
    assert_false(net_log_has(path, "thr"));
    net_log_last(path, last);
    assert_string_equal(last, "two");
    assert_int_equal(write(fd, "ee\n", 3), 3);
    at = net_log_read(path, at, join, all);
    assert_string_equal(all, "[one][two][][three]");
    assert_int_equal(net_log_read(path, at, join, all), at);
    assert_string_equal(all, "[one][two][][three]");
    close(fd);
    unlink(path);
    assert_int_equal(net_log_read(path, 3, join, all), 3);
    assert_false(net_log_has(path, "one"));
}

/* A line that is too long for the buffer comes in parts, and the next one after it is read. */
static void test_long_lines(void **state)
{
    char path[] = "/tmp/unit_bench_net_path.XXXXXX", last[NET_LOG_LINE_MAX];
    FILE *f = fdopen(mkstemp(path), "w");

    (void)state;
    assert_non_null(f);
    for (unsigned i = 0; i < 3 * NET_LOG_LINE_MAX; i++)
        fputc('x', f);
    fputs("end\nafter\n", f);
    assert_int_equal(fclose(f), 0);
    assert_true(net_log_has(path, "xend"));
    net_log_last(path, last);
    assert_string_equal(last, "after");
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
