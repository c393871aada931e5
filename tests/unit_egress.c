/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeps single sockets out of the tunnel, against a real kernel, in a network namespace of its own:
 *
 *   up0 192.0.2.10/24, 2001:db8:1::10/64   default
 *   tun 100.64.0.1/32, fd00:2021::1/128    default in table 7777, for whatever is not marked
 *
 * Exit code 77 (skipped) without the privilege or the commands to build it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/dns_socket.h"
#include "platform/egress.h"
#include "platform/linux/addr_os.h"
#include "platform/linux/egress_socket.h"
#include "platform/tcp.h"
#include "tests/support/netns.h"

enum {
    MARK = 0xfd0020
};

static char why_text[256];

static const char *const topology[] = {
    "link add up0 type veth peer name up0-peer",
    "link add tun type veth peer name tun-peer",
    "link set up0 up",
    "link set up0-peer up",
    "link set tun up",
    "link set tun-peer up",
    "addr add 192.0.2.10/24 dev up0",
    "addr add 100.64.0.1/32 dev tun",
    "-6 addr add 2001:db8:1::10/64 dev up0 nodad",
    "-6 addr add fd00:2021::1/128 dev tun nodad",
    "route add default via 192.0.2.1 dev up0",
    "-6 route add default via 2001:db8:1::1 dev up0",
    "route add default dev tun table 7777",
    "-6 route add default dev tun table 7777",
    "rule add not fwmark 0xfd0020 lookup 7777 priority 100",
    "-6 rule add not fwmark 0xfd0020 lookup 7777 priority 100",
};

static bool build_topology(void)
{
    for (size_t i = 0; i < ARRAY_LEN(topology); i++) {
        if (netns_ip(topology[i]))
            continue;
        fprintf(stderr, "skipped: 'ip %s' failed\n", topology[i]);
        return false;
    }
    return true;
}

static struct sock_addr addr(const char *text)
{
    struct sock_addr a;
    if (sock_addr_parse(&a, text) != ERR_OK)
        fail_msg("bad address '%s'", text);
    return a;
}

static void open_egress(struct egress *e, uint32_t mark, bool resolve)
{
    if (egress_open(e, mark, resolve, "egress", why_text, sizeof why_text) != ERR_OK)
        fail_msg("%s", why_text);
    egress_set_tun(e, if_nametoindex("tun"));
}

/* Which way a UDP socket goes that was prepared for it: "source mark device". */
static const char *way(const struct egress *e, const char *to)
{
    static char text[128];
    char device[IF_NAMESIZE] = "", source[IP_TEXT_MAX];
    struct sock_addr server = addr(to), local;
    union addr_os name;
    socklen_t len = sizeof name, device_len = sizeof device, mark_len = sizeof(uint32_t);
    uint32_t mark = 0;
    int fd;

    enum err err = dns_socket_open(&fd, &server, false, e, why_text, sizeof why_text);
    if (err != ERR_OK)
        return err == ERR_UNREACHABLE  ? "unreachable"
               : err == ERR_PERMISSION ? "forbidden"
                                       : err_text(err);
    assert_int_equal(getsockname(fd, &name.sa, &len), 0);
    addr_os_from(&local, &name);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_MARK, &mark, &mark_len), 0);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &device_len), 0);
    dns_socket_close(fd);
    snprintf(text, sizeof text, "%s %x %s", ip_addr_format(&local.ip, source, sizeof source), mark,
             device[0] ? device : "-");
    return text;
}

static void test_ways(void **state)
{
    static const struct {
        bool mark, resolve;
        const char *to, *way;
    } cases[] = {
        {false, false, "203.0.113.1:53", "100.64.0.1 0 -"}, /* what it is all about */
        {false, false, "[2001:db8:9::1]:53", "fd00:2021::1 0 -"},
        {true, false, "203.0.113.1:53", "192.0.2.10 fd0020 -"},
        {true, false, "[2001:db8:9::1]:53", "2001:db8:1::10 fd0020 -"},
        {false, true, "203.0.113.1:53", "192.0.2.10 0 up0"},
        {false, true, "[2001:db8:9::1]:53", "2001:db8:1::10 0 up0"},
        {true, true, "203.0.113.1:53", "192.0.2.10 fd0020 up0"},
        {false, true, "192.0.2.77:53", "192.0.2.10 0 up0"},
        {false, true, "127.0.0.53:53", "127.0.0.1 0 lo"},
        {false, true, "192.0.2.10:53", "192.0.2.10 0 -"}, /* ourselves */
        {false, true, "[2001:db8:1::10]:53", "2001:db8:1::10 0 -"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct egress e;
        open_egress(&e, cases[i].mark ? MARK : 0, cases[i].resolve);
        assert_int_equal(e.source != NULL, cases[i].resolve);
        const char *got = way(&e, cases[i].to);
        if (strcmp(got, cases[i].way) != 0)
            fail_msg("case %zu: '%s', not '%s' (%s)", i, got, cases[i].way, why_text);
        egress_close(&e);
    }
    assert_string_equal(way(NULL, "203.0.113.1:53"), "100.64.0.1 0 -");
}

static void test_link_local(void **state)
{
    struct sock_addr server = addr("[fe80::1]:53");
    char device[IF_NAMESIZE] = "";
    socklen_t len = sizeof device;
    struct egress e;
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)state;
    open_egress(&e, 0, true);
    server.scope = if_nametoindex("up0");
    assert_int_equal(egress_apply(fd, &e, &server, "UDP", (struct why){why_text, sizeof why_text}),
                     ERR_OK);
    assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &len), 0);
    assert_string_equal(device, "up0");
    close(fd);
    egress_close(&e);
}

/* The answers to a connection to ourselves come by the loopback device. */
static void test_tcp_to_ourselves(void **state)
{
    struct sock_addr to = addr("192.0.2.10:0");
    union addr_os name;
    socklen_t len = addr_os_to(&name, &to);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
    struct egress e;
    (void)state;
    assert_int_equal(bind(listener, &name.sa, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    len = sizeof name;
    assert_int_equal(getsockname(listener, &name.sa, &len), 0);
    addr_os_from(&to, &name);
    open_egress(&e, 0, true);
    assert_int_equal(tcp_connect(&fd, &to, &e, why_text, sizeof why_text), ERR_OK);
    int accepted = accept(listener, NULL, NULL);
    assert_true(accepted >= 0);
    assert_int_equal(tcp_connected(fd, why_text, sizeof why_text), ERR_OK);
    close(accepted);
    tcp_close(fd);
    close(listener);
    egress_close(&e);
}

/* No way but the tunnel is no way; and it is looked up anew each time. */
static void test_uplink_lost(void **state)
{
    struct egress e;
    (void)state;
    open_egress(&e, 0, true);
    netns_must("link set up0 down");
    assert_string_equal(way(&e, "203.0.113.1:53"), "unreachable");
    assert_non_null(strstr(why_text, "no way to it but the tunnel"));
    assert_string_equal(way(&e, "[2001:db8:9::1]:53"), "unreachable");
    netns_must("link set up0 up");
    netns_must("route add default via 192.0.2.1 dev up0");
    assert_string_equal(way(&e, "203.0.113.1:53"), "192.0.2.10 0 up0");
    netns_must("-6 addr add 2001:db8:1::10/64 dev up0 nodad");
    netns_must("-6 route add default via 2001:db8:1::1 dev up0");
    egress_close(&e);
}

/* Who may not mark is kept out by source and interface, without asking for it. */
static void test_mark_forbidden(void **state)
{
    struct egress e;
    (void)state;
    assert_int_equal(seteuid(65534), 0);
    open_egress(&e, MARK, false);
    assert_int_equal(e.mark, 0);
    assert_non_null(e.source);
    assert_string_equal(way(&e, "203.0.113.1:53"), "192.0.2.10 0 up0");
    egress_close(&e);
    open_egress(&e, 0, false); /* no mark is wanted */
    assert_null(e.source);
    egress_close(&e);
    /* With marks alone, nothing is sent. */
    e = (struct egress){.mark = MARK};
    assert_string_equal(way(&e, "203.0.113.1:53"), "forbidden");
    assert_non_null(strstr(why_text, "run as root or with CAP_NET_ADMIN"));
    assert_int_equal(seteuid(0), 0);
}

static void test_interface_of_address(void **state)
{
    static const struct {
        const char *address, *device;
    } cases[] = {{"192.0.2.10:1", "up0"}, {"[2001:db8:1::10]:1", "up0"}, {"127.0.0.1:1", "lo"},
                 {"100.64.0.1:1", NULL},  {"[fd00:2021::1]:1", NULL},    {"192.0.2.11:1", NULL}};
    struct egress e;
    (void)state;
    open_egress(&e, 0, true);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sock_addr a = addr(cases[i].address);
        assert_int_equal(source_interface(e.source, &a.ip),
                         cases[i].device ? if_nametoindex(cases[i].device) : 0);
    }
    egress_close(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ways),
        cmocka_unit_test(test_link_local),
        cmocka_unit_test(test_tcp_to_ourselves),
        cmocka_unit_test(test_uplink_lost),
        cmocka_unit_test(test_mark_forbidden),
        cmocka_unit_test(test_interface_of_address),
    };
    netns_enter_or_skip();
    if (!build_topology())
        return TEST_SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
