/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Windows source resolver on a real IP Helper, which is Wine's where this runs: its answers are those that the tables of routes and
 * adapters give, with GetBestRoute2 and without; connections; registrations for changes. What the system lacks is skipped, and said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* winsock2.h comes before windows.h */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/source.h"
#include "platform/tcp.h"
#include "platform/windows/net_change.h"
#include "platform/windows/network_list.h"
#include "platform/windows/source_best.h"

static const char *const destinations[] = {"127.0.0.1", "192.0.2.1", "10.1.2.3",
                                           "8.8.8.8",   "::1",       "2001:db8::1"};

static struct ip_addr addr(const char *text)
{
    struct ip_addr a;
    if (ip_addr_parse(&a, text) != ERR_OK)
        fail_msg("bad address '%s'", text);
    return a;
}

static size_t adapters(const struct ip_helper *h, struct ip_helper_adapter *out, size_t max)
{
    unsigned long size = 1 << 20;
    void *list = calloc(size, 1);
    size_t n = 0;

    assert_non_null(list);
    assert_int_equal(h->get_adapters(h->ctx, list, &size), IP_HELPER_OK);
    while (n < max && h->adapter_at(h->ctx, list, n, &out[n]))
        n++;
    free(list);
    return n;
}

static void test_adapters(void **state)
{
    struct ip_helper_adapter list[64];
    size_t n = adapters(ip_helper_system(), list, ARRAY_LEN(list));
    (void)state;
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
        assert_true(list[i].ifindex != 0 || list[i].ifindex_v6 != 0);
        if (list[i].ifindex != 0)
            assert_true(source_best_luid(ip_helper_system(), list[i].ifindex) == list[i].luid);
        for (unsigned k = 0; k < list[i].addresses_n && list[i].up; k++)
            assert_true(source_best_interface(ip_helper_system(), 0, &list[i].addresses[k].ip) !=
                        0);
    }
    assert_true(source_best_luid(ip_helper_system(), 0xfffffff) == 0);
}

static bool has_best_route(void)
{
    const struct ip_helper *h = ip_helper_system();
    struct ip_addr dst = addr("8.8.8.8");
    struct ip_helper_route route;
    struct ip_helper_source source;
    unsigned long e = h->best_route ? h->best_route(h->ctx, 1, &dst, &route, &source)
                                    : (unsigned long)IP_HELPER_NOT_SUPPORTED;
    return e != IP_HELPER_NOT_SUPPORTED && e != IP_HELPER_NOT_IMPLEMENTED;
}

/* The oracle: the table of routes and the metrics of interfaces, without any help of the system. */
static enum err by_table(const struct ip_addr *dst, struct ip_source *out)
{
    struct ip_helper without = *ip_helper_system();
    struct source_best best;
    without.best_route = NULL;
    enum err err = source_best(&without, 0, dst, &best);
    *out = best.source;
    return err;
}

static void test_against_the_table(void **state)
{
    struct source_config config = {.tun_ifindex = 0};
    struct ip_source got, want;
    struct source *s;
    unsigned answers = 0;
    (void)state;
    if (!ip_helper_system()->get_routes) {
        printf("this system has no GetIpForwardTable2\n");
        skip();
    }
    if (!has_best_route())
        printf("this system has no GetBestRoute2: the table is all there is\n");
    assert_int_equal(source_new(&s, &config), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(destinations); i++) {
        struct ip_addr dst = addr(destinations[i]);
        enum err err = source_resolve(s, &dst, &got), expected = by_table(&dst, &want);
        if (err != expected)
            fail_msg("%s: %s, by the table: %s", destinations[i], err_text(err),
                     err_text(expected));
        if (err != ERR_OK)
            continue;
        answers++;
        assert_int_equal(got.ifindex, want.ifindex);
        assert_true(got.ip.family == dst.family);
        assert_int_equal(source_interface(s, &got.ip), got.ifindex);
    }
    printf("%u of %u destinations can be reached\n", answers, (unsigned)ARRAY_LEN(destinations));
    source_free(s);
}

/* Without the adapter that an answer came from there is another answer, or none. */
static void test_never_the_tun(void **state)
{
    struct source_best best, other;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(destinations); i++) {
        struct ip_addr dst = addr(destinations[i]);
        if (source_best(ip_helper_system(), 0, &dst, &best) != ERR_OK)
            continue;
        uint64_t luid = source_best_luid(ip_helper_system(), best.source.ifindex);
        enum err err = source_best(ip_helper_system(), luid, &dst, &other);
        if (err == ERR_OK)
            assert_int_not_equal(other.source.ifindex, best.source.ifindex);
        else
            assert_int_equal(err, ERR_UNREACHABLE);
    }
}

static void test_connection_to_ourselves(void **state)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    struct sock_addr to = {.ip = addr("127.0.0.1")};
    int len = sizeof name, fd;
    char why[160] = "";
    struct egress e;
    WSADATA data;
    (void)state;
    assert_int_equal(WSAStartup(MAKEWORD(2, 2), &data), 0);
    SOCKET listener = socket(AF_INET, SOCK_STREAM, 0);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)&name, sizeof name), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&name, &len), 0);
    to.port = ntohs(name.sin_port);
    assert_int_equal(egress_open(&e, 1, false, "test", why, sizeof why), ERR_OK);
    if (tcp_connect(&fd, &to, &e, why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
    SOCKET accepted = accept(listener, NULL, NULL);
    assert_true(accepted != INVALID_SOCKET);
    assert_int_equal(tcp_connected(fd, why, sizeof why), ERR_OK);
    struct sock_addr local = tcp_local(fd);
    assert_true(ip_addr_equal(&local.ip, &to.ip) && local.port != 0);
    closesocket(accepted);
    tcp_close(fd);
    closesocket(listener);
    egress_close(&e);
}

static void on_wake(void *arg)
{
    (void)arg;
}

static void test_registrations(void **state)
{
    const struct net_change_source *source = net_change_system();
    struct net_change c;
    (void)state;
    if (!source) {
        printf("this system does not tell of changes\n");
        skip();
    }
    if (net_change_init(&c, source, on_wake, NULL) != ERR_OK) {
        printf("this system refuses to tell of changes\n");
        skip();
    }
    net_change_fini(&c);
}

static void on_moved(void *arg)
{
    (void)arg;
}

static void test_list_of_networks(void **state)
{
    struct network_list *l;
    (void)state;
    if (network_list_new(&l, on_moved, NULL) != ERR_OK) {
        printf("this system does not tell of networks\n");
        skip();
    }
    network_list_free(l);
    network_list_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adapters),      cmocka_unit_test(test_against_the_table),
        cmocka_unit_test(test_never_the_tun), cmocka_unit_test(test_connection_to_ourselves),
        cmocka_unit_test(test_registrations), cmocka_unit_test(test_list_of_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
