/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections of ours on Windows: bound to the source that the resolver finds, and with a route to their host while they live. Real sockets
 * on the loopback network, and tables of the test's own, so that no route of the machine is touched.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* winsock2.h comes before windows.h */
#include <winsock2.h>
#include <ws2tcpip.h>

#include "platform/tcp.h"
#include "platform/windows/source_private.h"
#include "platform/windows/suspend.h"
#include "tests/support/ip_helper_text.h"

enum {
    TUN = 9,
    WAIT_MS = 10000
};

static const char *const host[] = {
    "adapter 1 up Ethernet 25 127.0.0.1/32",
    "adapter 9 up Firezone 1 127.0.0.3/32",
    "route 1 0.0.0.0/0 via 192.0.2.1",
    "route 9 0.0.0.0/0",
    "route 9 127.0.0.2/32",
    NULL,
};

static struct fake_helper fake;
static struct source source;
static struct egress egress;
static SOCKET listener;
static struct sock_addr server;
static unsigned routes_before;

static int set_up(void **state)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    int len = sizeof name;
    WSADATA data;
    (void)state;
    fake_helper_init(&fake);
    fake_helper_describe(&fake, host);
    routes_before = fake.routes_n;
    source = (struct source){.helper = &fake.helper, .tun_luid = TUN};
    egress = (struct egress){.source = &source};
    assert_int_equal(WSAStartup(MAKEWORD(2, 2), &data), 0);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    server = (struct sock_addr){.ip = addr("127.0.0.2")};
    memcpy(&name.sin_addr, server.ip.bytes, 4);
    assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(listener, 8), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &len), 0);
    server.port = ntohs(name.sin_port);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    if (listener != INVALID_SOCKET)
        closesocket(listener);
    assert_int_equal(fake.routes_n, routes_before);
    assert_int_equal(fake.tables_out, 0);
    return 0;
}

static enum err wait_connected(int fd)
{
    char why[160];
    enum err err = ERR_AGAIN;
    for (unsigned i = 0; i < WAIT_MS / 10 && err == ERR_AGAIN; i++) {
        err = tcp_connected(fd, why, sizeof why);
        if (err == ERR_AGAIN)
            Sleep(10);
    }
    return err;
}

static int connect_to(const struct sock_addr *to)
{
    char why[160] = "";
    int fd;
    if (tcp_connect(&fd, to, &egress, why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
    return fd;
}

static void expect_failure(const struct sock_addr *to, enum err expected)
{
    char why[160] = "";
    int fd = 0;
    assert_int_equal(tcp_connect(&fd, to, &egress, why, sizeof why), expected);
    assert_int_equal(fd, -1);
    assert_true(why[0] != '\0');
    assert_int_equal(fake.routes_n, routes_before);
}

static void test_bound_and_routed(void **state)
{
    (void)state;
    int a = connect_to(&server), b = connect_to(&server);
    struct ip_addr from = addr("127.0.0.1");
    assert_int_equal(wait_connected(a), ERR_OK);
    assert_int_equal(wait_connected(b), ERR_OK);
    struct sock_addr local = tcp_local(a);
    assert_true(ip_addr_equal(&local.ip, &from));
    assert_int_equal(fake.routes_n, routes_before + 1); /* both share it */
    const struct ip_helper_route *r = &fake.routes[routes_before];
    assert_true(r->luid == 1 && r->dst.len == 32 && ip_addr_equal(&r->dst.ip, &server.ip));
    tcp_close(a);
    assert_int_equal(fake.routes_n, routes_before + 1);
    tcp_close(b);
    tcp_close(-1);
}

/* What a run that was killed has left goes, before the way is looked for. */
static void test_left_over(void **state)
{
    (void)state;
    struct ip_helper_route *r = &fake.routes[fake.routes_n++];
    *r = (struct ip_helper_route){.luid = 2, .protocol = IP_HELPER_PROTOCOL_NETMGMT};
    r->dst = ip_prefix_host(&server.ip);
    r->next_hop = addr("192.0.2.77");
    int fd = connect_to(&server);
    assert_int_equal(fake.routes_n, routes_before + 1);
    assert_int_equal(fake.routes[routes_before].luid, 1);
    tcp_close(fd);
}

static void test_no_way(void **state)
{
    (void)state;
    fake.create_error = 5;
    expect_failure(&server, ERR_PERMISSION);
    fake.create_error = 0;
    fake.adapters[0].up = false;
    expect_failure(&server, ERR_UNREACHABLE); /* but the tunnel */
    fake.adapters[0].up = true;
    fake.list_error = 87;
    expect_failure(&server, ERR_UNREACHABLE);
    fake.list_error = 0;
    fake.adapters[0].addresses[0] = prefix("203.0.113.9/32"); /* not the machine's any more */
    expect_failure(&server, ERR_UNREACHABLE);
    struct sock_addr none = {.port = 1};
    expect_failure(&none, ERR_INVALID);
}

/* Nobody listens: it is said by tcp_connect or later, and the route goes with the socket. */
static void test_refused(void **state)
{
    char why[160] = "";
    int fd;
    (void)state;
    closesocket(listener);
    listener = INVALID_SOCKET;
    if (tcp_connect(&fd, &server, &egress, why, sizeof why) == ERR_OK) {
        assert_int_equal(wait_connected(fd), ERR_UNREACHABLE);
        tcp_close(fd);
    } else {
        assert_int_equal(fd, -1);
    }
}

/* A link-local address is on one link, of which only the tunnel's is none. */
static void test_link_local(void **state)
{
    struct sock_addr to = {.ip = addr("fe80::1"), .port = 9, .scope = TUN + 100};
    (void)state;
    expect_failure(&to, ERR_UNREACHABLE);
    to.scope = 77;
    expect_failure(&to, ERR_UNREACHABLE);
}

static void test_suspends(void **state)
{
    time_ns first = suspend_total(), second = suspend_total();
    (void)state;
    time_ns apart = first > second ? first - second : second - first;
    assert_true(apart < NS_PER_SEC); /* a test is not suspended */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bound_and_routed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_left_over, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_link_local, set_up, tear_down),
        cmocka_unit_test(test_suspends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
