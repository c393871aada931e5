/* SPDX-License-Identifier: Apache-2.0 */
/* iphlpapi, whose newer calls are looked up when the program runs: not every system has them. */
#include "platform/windows/ip_helper.h"

/* winsock2.h comes before windows.h */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <windows.h>

#include <iphlpapi.h>
#include <netioapi.h>

#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"

_Static_assert(ERROR_NOT_SUPPORTED == IP_HELPER_NOT_SUPPORTED, "the system's number");
_Static_assert(ERROR_BUFFER_OVERFLOW == IP_HELPER_BUFFER_OVERFLOW, "the system's number");
_Static_assert(ERROR_NOT_FOUND == IP_HELPER_NOT_FOUND, "the system's number");
_Static_assert(ERROR_OBJECT_ALREADY_EXISTS == IP_HELPER_ALREADY_EXISTS, "the system's number");
_Static_assert(AF_INET == IP_HELPER_AF_INET && AF_INET6 == IP_HELPER_AF_INET6, "families");
_Static_assert(MIB_IPPROTO_NETMGMT == IP_HELPER_PROTOCOL_NETMGMT, "the system's number");

/* ---- values ---- */

static struct ip_addr ip_from(const SOCKADDR_INET *s)
{
    if (s->si_family == AF_INET)
        return ip_addr_v4((const uint8_t *)&s->Ipv4.sin_addr);
    if (s->si_family == AF_INET6)
        return ip_addr_v6((const uint8_t *)&s->Ipv6.sin6_addr);
    return (struct ip_addr){.family = ADDR_NONE};
}

static SOCKADDR_INET ip_to(const struct ip_addr *ip)
{
    SOCKADDR_INET s;

    memset(&s, 0, sizeof s);
    s.si_family = (ADDRESS_FAMILY)ip_helper_family(ip);
    if (ip->family == ADDR_V4)
        memcpy(&s.Ipv4.sin_addr, ip->bytes, 4);
    else
        memcpy(&s.Ipv6.sin6_addr, ip->bytes, 16);
    return s;
}

static struct ip_helper_route route_from(const MIB_IPFORWARD_ROW2 *row)
{
    struct ip_helper_route r = {.luid = row->InterfaceLuid.Value,
                                .ifindex = row->InterfaceIndex,
                                .dst = {.ip = ip_from(&row->DestinationPrefix.Prefix),
                                        .len = row->DestinationPrefix.PrefixLength},
                                .next_hop = ip_from(&row->NextHop),
                                .metric = row->Metric,
                                .protocol = (uint32_t)row->Protocol,
                                .loopback = row->Loopback};
    if (r.next_hop.family == ADDR_NONE)
        r.next_hop.family = r.dst.ip.family;
    return r;
}

/* ---- adapters ---- */

static unsigned long get_adapters(void *ctx, void *buf, unsigned long *size)
{
    (void)ctx;
    return GetAdaptersAddresses(AF_UNSPEC, 0, NULL, buf, size);
}

static void addresses_from(struct ip_helper_adapter *out, const IP_ADAPTER_ADDRESSES *a)
{
    const IP_ADAPTER_UNICAST_ADDRESS *u = a->FirstUnicastAddress;

    for (; u && out->addresses_n < IP_HELPER_ADDRESSES_MAX; u = u->Next) {
        SOCKADDR_INET s;
        memset(&s, 0, sizeof s);
        /* Not one that may turn out to be somebody else's. */
        bool settled = u->DadState == IpDadStatePreferred || u->DadState == IpDadStateDeprecated;
        if (!settled || u->Address.iSockaddrLength > (int)sizeof s)
            continue;
        memcpy(&s, u->Address.lpSockaddr, (size_t)u->Address.iSockaddrLength);
        struct ip_prefix p = {.ip = ip_from(&s), .len = u->OnLinkPrefixLength};
        if (p.ip.family == ADDR_NONE || p.len > ip_addr_bits(&p.ip))
            continue;
        if (u->DadState == IpDadStateDeprecated)
            out->deprecated |= UINT32_C(1) << out->addresses_n;
        out->addresses[out->addresses_n++] = p;
        /* Wine has an index for one family only. */
        if (p.ip.family == ADDR_V6 && out->ifindex_v6 == 0)
            out->ifindex_v6 = out->ifindex;
    }
}

static bool adapter_at(void *ctx, const void *buf, size_t i, struct ip_helper_adapter *out)
{
    const IP_ADAPTER_ADDRESSES *a = buf;

    (void)ctx;
    for (; a && i > 0; i--)
        a = a->Next;
    if (!a || a->Length == 0)
        return false; /* no adapter at all leaves the buffer as it was */
    *out = (struct ip_helper_adapter){.luid = a->Luid.Value,
                                      .ifindex = a->IfIndex,
                                      .ifindex_v6 = a->Ipv6IfIndex,
                                      .up = a->OperStatus == IfOperStatusUp};
    if (a->FriendlyName && WideCharToMultiByte(CP_UTF8, 0, a->FriendlyName, -1, out->name,
                                               sizeof out->name, NULL, NULL) == 0)
        out->name[0] = '\0';
    addresses_from(out, a);
    return true;
}

/* ---- routes ---- */

typedef DWORD(WINAPI *best_route_fn)(NET_LUID *, NET_IFINDEX, const SOCKADDR_INET *,
                                     const SOCKADDR_INET *, ULONG, PMIB_IPFORWARD_ROW2,
                                     SOCKADDR_INET *);
typedef DWORD(WINAPI *interface_fn)(PMIB_IPINTERFACE_ROW);
typedef DWORD(WINAPI *table_fn)(ADDRESS_FAMILY, PMIB_IPFORWARD_TABLE2 *);
typedef void(WINAPI *free_fn)(PVOID);
typedef DWORD(WINAPI *create_fn)(const MIB_IPFORWARD_ROW2 *);
typedef DWORD(WINAPI *delete_fn)(const MIB_IPFORWARD_ROW2 *);

static struct {
    best_route_fn best_route;
    interface_fn interface_entry;
    table_fn table;
    free_fn free_table;
    create_fn create;
    delete_fn delete;
} calls;

static unsigned long best_route(void *ctx, uint64_t luid, const struct ip_addr *dst,
                                struct ip_helper_route *route, struct ip_helper_source *source)
{
    NET_LUID of = {.Value = luid};
    SOCKADDR_INET to = ip_to(dst), from;
    MIB_IPFORWARD_ROW2 row;

    (void)ctx;
    memset(&row, 0, sizeof row);
    memset(&from, 0, sizeof from);
    unsigned long e = calls.best_route(&of, 0, NULL, &to, 0, &row, &from);
    if (e != NO_ERROR)
        return e;
    *route = route_from(&row);
    source->family = from.si_family;
    struct ip_addr ip = ip_from(&from);
    if (from.si_family == AF_UNSPEC) /* the place of a family's address all the same */
        memcpy(ip.bytes,
               dst->family == ADDR_V4 ? (const void *)&from.Ipv4.sin_addr
                                      : (const void *)&from.Ipv6.sin6_addr,
               dst->family == ADDR_V4 ? 4 : 16);
    memcpy(source->bytes, ip.bytes, sizeof source->bytes);
    return NO_ERROR;
}

static unsigned long interface_metric(void *ctx, uint64_t luid, unsigned family, uint32_t *metric)
{
    MIB_IPINTERFACE_ROW row;

    (void)ctx;
    if (!calls.interface_entry)
        return ERROR_NOT_SUPPORTED;
    memset(&row, 0, sizeof row);
    row.Family = (ADDRESS_FAMILY)family;
    row.InterfaceLuid.Value = luid;
    unsigned long e = calls.interface_entry(&row);
    *metric = row.Metric;
    return e;
}

static unsigned long get_routes(void *ctx, unsigned family, struct ip_helper_route **out, size_t *n)
{
    MIB_IPFORWARD_TABLE2 *table = NULL;
    unsigned long e = calls.table((ADDRESS_FAMILY)family, &table);

    (void)ctx;
    if (e != NO_ERROR)
        return e;
    *out = mem_zalloc(table->NumEntries + 1, sizeof **out);
    *n = 0;
    for (ULONG i = 0; i < table->NumEntries; i++) {
        struct ip_helper_route r = route_from(&table->Table[i]);
        if (r.dst.ip.family != ADDR_NONE && r.dst.len <= ip_addr_bits(&r.dst.ip))
            (*out)[(*n)++] = r;
    }
    calls.free_table(table);
    return NO_ERROR;
}

static void free_routes(void *ctx, struct ip_helper_route *routes)
{
    (void)ctx;
    free(routes);
}

static MIB_IPFORWARD_ROW2 row_of(const struct ip_helper_route *route)
{
    MIB_IPFORWARD_ROW2 row;

    memset(&row, 0, sizeof row);
    row.InterfaceLuid.Value = route->luid;
    row.InterfaceIndex = route->ifindex;
    row.DestinationPrefix.Prefix = ip_to(&route->dst.ip);
    row.DestinationPrefix.PrefixLength = route->dst.len;
    row.NextHop = ip_to(&route->next_hop);
    row.ValidLifetime = row.PreferredLifetime = 0xffffffff;
    row.Metric = route->metric;
    row.Protocol = (NL_ROUTE_PROTOCOL)route->protocol;
    return row;
}

static unsigned long create_route(void *ctx, const struct ip_helper_route *route)
{
    MIB_IPFORWARD_ROW2 row = row_of(route);

    (void)ctx;
    return calls.create ? calls.create(&row) : ERROR_NOT_SUPPORTED;
}

static unsigned long delete_route(void *ctx, const struct ip_helper_route *route)
{
    MIB_IPFORWARD_ROW2 row = row_of(route);

    (void)ctx;
    return calls.delete ? calls.delete(&row) : ERROR_NOT_SUPPORTED;
}

/* ---- binding ---- */

static struct ip_helper helper = {.get_adapters = get_adapters,
                                  .adapter_at = adapter_at,
                                  .interface_metric = interface_metric,
                                  .free_routes = free_routes,
                                  .create_route = create_route,
                                  .delete_route = delete_route};

/* Function pointers of one kind become such of another: what GetProcAddress is for. */
#define FIND(field, name)                                                                          \
    do {                                                                                           \
        FARPROC found = dll ? GetProcAddress(dll, name) : NULL;                                    \
        memcpy(&calls.field, &found, sizeof found);                                                \
    } while (0)

const struct ip_helper *ip_helper_system(void)
{
    static bool bound;

    if (bound)
        return &helper;
    HMODULE dll = LoadLibraryExA("iphlpapi.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);
    FIND(best_route, "GetBestRoute2");
    FIND(interface_entry, "GetIpInterfaceEntry");
    FIND(table, "GetIpForwardTable2");
    FIND(free_table, "FreeMibTable");
    FIND(create, "CreateIpForwardEntry2");
    FIND(delete, "DeleteIpForwardEntry2");
    helper.best_route = calls.best_route ? best_route : NULL;
    helper.get_routes = calls.table && calls.free_table ? get_routes : NULL;
    bound = true;
    return &helper;
}
