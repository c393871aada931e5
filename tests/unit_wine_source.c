/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Windows source resolver on a real IP Helper, which is Wine's where this runs: its answers are those that an oracle reads from the
 * system's tables of routes and adapters, and GetBestRoute2's where there is one; connections; registrations for changes. What the
 * system lacks is skipped, and said.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* winsock2.h comes before windows.h */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <iphlpapi.h>
#include <netioapi.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/source.h"
#include "platform/tcp.h"
#include "platform/windows/net_change.h"
#include "platform/windows/network_list.h"
#include "platform/windows/source_best.h"

static const char *const destinations[] = {"127.0.0.1", "203.0.113.1", "10.1.2.3",    "8.8.8.8",
                                           "8.8.4.4",   "::1",         "2001:db8::1", "2600::1"};

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

/* ---- the oracle: Windows' own structures, and none of our code ---- */

struct oracle_row {
    NET_LUID luid;
    unsigned prefix_len;
    uint64_t metric;
    unsigned order; /* of the adapter in the system's list */
};

static bool oracle_covers(const MIB_IPFORWARD_ROW2 *row, const struct ip_addr *dst)
{
    const uint8_t *prefix = dst->family == ADDR_V4
                                ? (const uint8_t *)&row->DestinationPrefix.Prefix.Ipv4.sin_addr
                                : (const uint8_t *)&row->DestinationPrefix.Prefix.Ipv6.sin6_addr;
    for (unsigned bit = 0; bit < row->DestinationPrefix.PrefixLength; bit++) {
        if ((prefix[bit / 8] ^ dst->bytes[bit / 8]) >> (7 - bit % 8) & 1)
            return false;
    }
    return true;
}

/* Whether a list of addresses has one of the family, or exactly `ip`. */
static bool oracle_has(const IP_ADAPTER_ADDRESSES *a, int family, const struct ip_addr *ip)
{
    for (const IP_ADAPTER_UNICAST_ADDRESS *u = a->FirstUnicastAddress; u; u = u->Next) {
        const struct sockaddr *sa = u->Address.lpSockaddr;
        const void *bytes = family == AF_INET
                                ? (const void *)&((const struct sockaddr_in *)sa)->sin_addr
                                : (const void *)&((const struct sockaddr_in6 *)sa)->sin6_addr;
        if (sa->sa_family == family &&
            (!ip || memcmp(bytes, ip->bytes, family == AF_INET ? 4 : 16) == 0))
            return true;
    }
    return false;
}

/* The adapter of the LUID and its place in the list, if it is up and has the family. */
static const IP_ADAPTER_ADDRESSES *oracle_adapter(const IP_ADAPTER_ADDRESSES *list, NET_LUID luid,
                                                  int family, unsigned *order)
{
    *order = 0;
    for (const IP_ADAPTER_ADDRESSES *a = list; a; a = a->Next, ++*order) {
        if (a->Luid.Value == luid.Value)
            return a->OperStatus == IfOperStatusUp && oracle_has(a, family, NULL) ? a : NULL;
    }
    return NULL;
}

static uint64_t oracle_metric(const MIB_IPFORWARD_ROW2 *row, int family)
{
    MIB_IPINTERFACE_ROW i = {.Family = (ADDRESS_FAMILY)family, .InterfaceLuid = row->InterfaceLuid};
    DWORD(WINAPI * ask)(PMIB_IPINTERFACE_ROW); /* Wine has none */
    FARPROC found = GetProcAddress(GetModuleHandleA("iphlpapi.dll"), "GetIpInterfaceEntry");

    memcpy(&ask, &found, sizeof ask);
    return (uint64_t)row->Metric + (ask && ask(&i) == NO_ERROR ? i.Metric : 0);
}

static bool oracle_before(const struct oracle_row *a, const struct oracle_row *b)
{
    if (a->prefix_len != b->prefix_len)
        return a->prefix_len > b->prefix_len;
    return a->metric != b->metric ? a->metric < b->metric : a->order < b->order;
}

/* NULL: no way. */
static const IP_ADAPTER_ADDRESSES *oracle(const IP_ADAPTER_ADDRESSES *list,
                                          const MIB_IPFORWARD_TABLE2 *table,
                                          const struct ip_addr *dst)
{
    int family = dst->family == ADDR_V4 ? AF_INET : AF_INET6;
    const IP_ADAPTER_ADDRESSES *best = NULL;
    struct oracle_row best_row = {.order = 0};

    for (ULONG i = 0; i < table->NumEntries; i++) {
        const MIB_IPFORWARD_ROW2 *r = &table->Table[i];
        struct oracle_row row = {.luid = r->InterfaceLuid,
                                 .prefix_len = r->DestinationPrefix.PrefixLength,
                                 .metric = oracle_metric(r, family)};
        const IP_ADAPTER_ADDRESSES *a = oracle_adapter(list, row.luid, family, &row.order);
        if (!a || !oracle_covers(r, dst) || (best && !oracle_before(&row, &best_row)))
            continue;
        best = a;
        best_row = row;
    }
    return best;
}

/* GetBestRoute2, asked without an adapter, which is the same as long as there is no TUN of ours. False: there is no such call. */
static bool best_of_system(const struct ip_addr *dst, uint64_t *luid)
{
    SOCKADDR_INET to = {.si_family = dst->family == ADDR_V4 ? AF_INET : AF_INET6}, from;
    MIB_IPFORWARD_ROW2 row;

    memset(&row, 0, sizeof row);
    if (dst->family == ADDR_V4)
        memcpy(&to.Ipv4.sin_addr, dst->bytes, 4);
    else
        memcpy(&to.Ipv6.sin6_addr, dst->bytes, 16);
    unsigned long e = GetBestRoute2(NULL, 0, NULL, &to, 0, &row, &from);
    *luid = e == NO_ERROR ? row.InterfaceLuid.Value : 0;
    return e != ERROR_NOT_SUPPORTED && e != ERROR_CALL_NOT_IMPLEMENTED;
}

static void check_destination(struct source *s, const IP_ADAPTER_ADDRESSES *list, const char *text,
                              unsigned *answers)
{
    struct ip_addr dst = addr(text);
    int family = dst.family == ADDR_V4 ? AF_INET : AF_INET6;
    MIB_IPFORWARD_TABLE2 *table = NULL;
    struct ip_source got;
    uint64_t luid;

    assert_int_equal(GetIpForwardTable2((ADDRESS_FAMILY)family, &table), NO_ERROR);
    const IP_ADAPTER_ADDRESSES *want = oracle(list, table, &dst);
    FreeMibTable(table);
    enum err err = source_resolve(s, &dst, &got);
    if (err != (want ? ERR_OK : ERR_UNREACHABLE))
        fail_msg("%s: %s, but by the table there is %s way", text, err_text(err),
                 want ? "a" : "no");
    if (!want)
        return;
    ++*answers;
    if (source_best_luid(ip_helper_system(), got.ifindex) != want->Luid.Value)
        fail_msg("%s: from interface %u, but by the table from %lu", text, got.ifindex,
                 want->IfIndex);
    assert_true(oracle_has(want, family, &got.ip));
    assert_int_equal(source_interface(s, &got.ip), got.ifindex);
    if (best_of_system(&dst, &luid) && luid != 0)
        assert_true(luid == want->Luid.Value);
}

static void test_against_the_table(void **state)
{
    struct source_config config = {.tun_ifindex = 0};
    unsigned long size = 1 << 20;
    IP_ADAPTER_ADDRESSES *list = calloc(size, 1);
    struct ip_addr any = addr("8.8.8.8");
    struct source *s;
    unsigned answers = 0;
    uint64_t luid;
    (void)state;
    if (!best_of_system(&any, &luid))
        printf("this system has no GetBestRoute2: the table of routes is all there is\n");
    assert_non_null(list);
    assert_int_equal(GetAdaptersAddresses(AF_UNSPEC, 0, NULL, list, &size), NO_ERROR);
    assert_int_equal(source_new(&s, &config), ERR_OK);
    for (size_t i = 0; i < ARRAY_LEN(destinations); i++)
        check_destination(s, list, destinations[i], &answers);
    printf("%u of %u destinations can be reached\n", answers, (unsigned)ARRAY_LEN(destinations));
    assert_true(answers > 0); /* ourselves */
    source_free(s);
    free(list);
}

/* An adapter may be left out by its index from the beginning, and later. */
static void test_tun_by_index(void **state)
{
    struct source_config config = {.tun_ifindex = 0};
    struct ip_addr dst = addr("127.0.0.1");
    struct ip_source first, got;
    struct source *s;
    (void)state;
    assert_int_equal(source_new(&s, &config), ERR_OK);
    assert_int_equal(source_resolve(s, &dst, &first), ERR_OK);
    source_set_tun(s, first.ifindex);
    if (source_resolve(s, &dst, &got) == ERR_OK)
        assert_int_not_equal(got.ifindex, first.ifindex);
    assert_int_equal(source_interface(s, &first.ip), 0);
    source_set_tun(s, 0);
    assert_int_equal(source_resolve(s, &dst, &got), ERR_OK);
    assert_int_equal(got.ifindex, first.ifindex);
    source_free(s);
    config.tun_ifindex = first.ifindex;
    assert_int_equal(source_new(&s, &config), ERR_OK);
    assert_int_equal(source_interface(s, &first.ip), 0);
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

/* Where no route can be made nothing is sent: it is an error that stays, not one to try again after. */
static void test_connection_without_routes(void **state)
{
    struct sock_addr to = {.ip = addr("203.0.113.1"), .port = 9};
    struct ip_helper_route none = {.dst = ip_prefix_host(&to.ip), .next_hop = {.family = ADDR_V4}};
    const struct ip_helper *h = ip_helper_system();
    struct ip_source way;
    char why[160] = "";
    struct egress e;
    int fd = 0;
    (void)state;
    if (h->create_route(h->ctx, &none) != IP_HELPER_NOT_SUPPORTED) {
        printf("this system makes routes, which would be the machine's\n");
        skip();
    }
    assert_int_equal(egress_open(&e, 0, true, "test", why, sizeof why), ERR_OK);
    enum err expected =
        source_resolve(e.source, &to.ip, &way) == ERR_OK ? ERR_PERMISSION : ERR_UNREACHABLE;
    assert_int_equal(tcp_connect(&fd, &to, &e, why, sizeof why), expected);
    assert_int_equal(fd, -1);
    assert_true(why[0] != '\0');
    to = (struct sock_addr){.ip = addr("fe80::1"), .port = 9, .scope = 0xfffffff};
    assert_int_equal(tcp_connect(&fd, &to, &e, why, sizeof why), ERR_UNREACHABLE);
    assert_int_equal(fd, -1);
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
    if (net_change_init(&c, source, own_hosts_process(), on_wake, NULL) != ERR_OK) {
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
        cmocka_unit_test(test_tun_by_index),  cmocka_unit_test(test_connection_without_routes),
        cmocka_unit_test(test_never_the_tun), cmocka_unit_test(test_connection_to_ourselves),
        cmocka_unit_test(test_registrations), cmocka_unit_test(test_list_of_networks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
