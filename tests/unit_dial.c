/* SPDX-License-Identifier: Apache-2.0 */
/* Dialling over loopback: who wins, who is told, and that nothing stays open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "control/dial.h"
#include "platform/base/bytes.h"
#include "platform/clock.h"
#include "platform/linux/addr_os.h"
#include "platform/tcp.h"

struct rig {
    struct loop *loop;
    struct dial_result result;
    unsigned calls;
    struct loop_timer guard;
};

static struct sock_addr addr(const char *ip, uint16_t port)
{
    struct sock_addr a = {.port = port};
    assert_int_equal(ip_addr_parse(&a.ip, ip), ERR_OK);
    return a;
}

static unsigned open_fds(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void on_done(void *arg, const struct dial_result *result)
{
    struct rig *r = arg;
    r->result = *result;
    r->calls++;
    loop_stop(r->loop);
}

static void on_guard(void *arg)
{
    struct rig *r = arg;
    loop_stop(r->loop);
}

static struct rig rig_new(void)
{
    struct rig r = {0};
    assert_int_equal(loop_new(&r.loop), ERR_OK);
    return r;
}

/* At most 20 s, in case nobody calls. */
static void run(struct rig *r)
{
    loop_timer_init(&r->guard, on_guard, r);
    loop_timer_set(r->loop, &r->guard, clock_now() + 20 * NS_PER_SEC);
    assert_int_equal(loop_run(r->loop), ERR_OK);
    loop_timer_clear(r->loop, &r->guard);
}

static void dial(struct rig *r, const struct sock_addr *addrs, unsigned n,
                 const struct egress *egress)
{
    struct dial *d;
    assert_int_equal(dial_start(&d, r->loop, addrs, n, egress, on_done, r), ERR_OK);
    assert_int_equal(r->calls, 0);
    run(r);
    assert_int_equal(r->calls, 1);
}

/* A listener on a free port. */
static int listen_on(const char *ip, int backlog, uint16_t *port)
{
    union addr_os name;
    struct sock_addr a = addr(ip, 0);
    socklen_t len = addr_os_to(&name, &a);
    int fd = socket(name.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &name.sa, len), 0);
    assert_int_equal(listen(fd, backlog), 0);
    assert_int_equal(getsockname(fd, &name.sa, &len), 0);
    addr_os_from(&a, &name);
    *port = a.port;
    return fd;
}

/* A port that was free a moment ago, so that a connection to it is refused. */
static uint16_t closed_port(void)
{
    uint16_t port;
    close(listen_on("127.0.0.1", 1, &port));
    return port;
}

static void test_connects(void **state)
{
    (void)state;
    unsigned before = open_fds();
    struct rig r = rig_new();
    uint16_t port;
    int listener = listen_on("127.0.0.1", 8, &port), nodelay = 0;
    socklen_t len = sizeof nodelay;
    struct sock_addr to[] = {addr("127.0.0.1", closed_port()), addr("127.0.0.1", port)};

    dial(&r, to, ARRAY_LEN(to), NULL);
    assert_int_equal(r.result.err, ERR_OK);
    assert_true(sock_addr_equal(&r.result.to, &to[1]));
    assert_int_equal(getsockopt(r.result.fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len), 0);
    assert_true(nodelay != 0);
    int accepted = accept(listener, NULL, NULL);
    assert_true(accepted >= 0);
    assert_int_equal(write(r.result.fd, "x", 1), 1);
    close(accepted);
    close(listener);
    tcp_close(r.result.fd);
    loop_free(r.loop);
    assert_int_equal(open_fds(), before);
}

/* The first address swallows everything: its queue is full. The second is tried before the first has failed. */
static void test_silent_address(void **state)
{
    (void)state;
    unsigned before = open_fds();
    struct rig r = rig_new();
    uint16_t silent_port, port;
    int silent = listen_on("127.0.0.1", 0, &silent_port),
        listener = listen_on("127.0.0.1", 8, &port);
    struct sock_addr to[] = {addr("127.0.0.1", silent_port), addr("127.0.0.1", port)};
    int fill[8];
    char why[64];

    for (size_t i = 0; i < ARRAY_LEN(fill); i++)
        assert_int_equal(tcp_connect(&fill[i], &to[0], 0, why, sizeof why), ERR_OK);
    assert_int_equal(tcp_connected(fill[ARRAY_LEN(fill) - 1], why, sizeof why), ERR_AGAIN);
    dial(&r, to, ARRAY_LEN(to), NULL);
    assert_int_equal(r.result.err, ERR_OK);
    assert_true(sock_addr_equal(&r.result.to, &to[1]));
    tcp_close(r.result.fd);
    for (size_t i = 0; i < ARRAY_LEN(fill); i++)
        tcp_close(fill[i]);
    close(silent);
    close(listener);
    loop_free(r.loop);
    assert_int_equal(open_fds(), before);
}

static void test_refused(void **state)
{
    (void)state;
    unsigned before = open_fds();
    struct rig r = rig_new();
    uint16_t port = closed_port();
    struct sock_addr to[] = {addr("127.0.0.1", port), addr("127.0.0.2", port)};

    dial(&r, to, ARRAY_LEN(to), NULL);
    assert_int_not_equal(r.result.err, ERR_OK);
    assert_int_equal(r.result.fd, -1);
    assert_non_null(strstr(r.result.why, "127.0.0.2"));
    assert_non_null(strstr(r.result.why, "refused"));
    loop_free(r.loop);
    assert_int_equal(open_fds(), before);
}

static void test_no_address(void **state)
{
    (void)state;
    struct rig r = rig_new();
    dial(&r, NULL, 0, NULL);
    assert_int_equal(r.result.err, ERR_NOT_FOUND);
    assert_string_not_equal(r.result.why, "");
    loop_free(r.loop);
}

static void test_cancel(void **state)
{
    (void)state;
    unsigned before = open_fds();
    struct rig r = rig_new();
    uint16_t port;
    int listener = listen_on("127.0.0.1", 8, &port);
    struct sock_addr to = addr("127.0.0.1", port);
    struct dial *d;

    assert_int_equal(dial_start(&d, r.loop, &to, 1, 0, on_done, &r), ERR_OK);
    dial_cancel(d);
    dial_cancel(NULL);
    loop_stop(r.loop);
    run(&r);
    assert_int_equal(r.calls, 0);
    close(listener);
    loop_free(r.loop);
    assert_int_equal(open_fds(), before);
}

/* Marked, or not at all: whoever may not mark is told so at once, although another address is left. */
static void test_mark(void **state)
{
    (void)state;
    struct rig r = rig_new();
    uint16_t port;
    int listener = listen_on("127.0.0.1", 8, &port);
    struct sock_addr to[] = {addr("127.0.0.1", port), addr("127.0.0.2", port)};
    const struct egress marked = {.mark = 0xfd002021};
    uint32_t mark = 0;
    socklen_t len = sizeof mark;

    dial(&r, to, ARRAY_LEN(to), &marked);
    if (geteuid() == 0 && r.result.err == ERR_OK) {
        assert_int_equal(getsockopt(r.result.fd, SOL_SOCKET, SO_MARK, &mark, &len), 0);
        assert_int_equal(mark, 0xfd002021);
    } else {
        assert_int_equal(r.result.err, ERR_PERMISSION);
        assert_non_null(strstr(r.result.why, "mark"));
    }
    tcp_close(r.result.fd);
    close(listener);
    loop_free(r.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connects), cmocka_unit_test(test_silent_address),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_no_address),
        cmocka_unit_test(test_cancel),   cmocka_unit_test(test_mark)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
