/* SPDX-License-Identifier: Apache-2.0 */
/* IP Helper's notifications for net_change.h, looked up when the program runs. */
#include "platform/windows/net_change.h"

/* winsock2.h comes before windows.h */
#include <winsock2.h>
#include <ws2tcpip.h>

#include <windows.h>

#include <iphlpapi.h>
#include <netioapi.h>

#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"

_Static_assert((int)MibParameterNotification == NET_CHANGE_PARAMETER &&
                   (int)MibAddInstance == NET_CHANGE_ADDED &&
                   (int)MibDeleteInstance == NET_CHANGE_DELETED &&
                   (int)MibInitialNotification == NET_CHANGE_INITIAL,
               "Windows' numbers");

typedef DWORD(WINAPI *notify_address_fn)(ADDRESS_FAMILY, PUNICAST_IPADDRESS_CHANGE_CALLBACK, PVOID,
                                         BOOLEAN, HANDLE *);
typedef DWORD(WINAPI *notify_route_fn)(ADDRESS_FAMILY, PIPFORWARD_CHANGE_CALLBACK, PVOID, BOOLEAN,
                                       HANDLE *);
typedef DWORD(WINAPI *notify_interface_fn)(ADDRESS_FAMILY, PIPINTERFACE_CHANGE_CALLBACK, PVOID,
                                           BOOLEAN, HANDLE *);
typedef DWORD(WINAPI *cancel_fn)(HANDLE);

static struct {
    notify_address_fn address;
    notify_route_fn route;
    notify_interface_fn interface_;
    cancel_fn cancel;
} calls;

struct registration {
    net_change_fn fn;
    void *arg;
    HANDLE handle;
};

static VOID WINAPI on_address(PVOID arg, PMIB_UNICASTIPADDRESS_ROW row, MIB_NOTIFICATION_TYPE kind)
{
    struct registration *r = arg;
    r->fn(r->arg, NET_CHANGE_ADDRESSES, row ? row->InterfaceLuid.Value : 0, (unsigned)kind, NULL);
}

static VOID WINAPI on_route(PVOID arg, PMIB_IPFORWARD_ROW2 row, MIB_NOTIFICATION_TYPE kind)
{
    struct registration *r = arg;
    struct ip_prefix dst;

    if (!row) {
        r->fn(r->arg, NET_CHANGE_ROUTES, 0, (unsigned)kind, NULL);
        return;
    }
    bool v6 = row->DestinationPrefix.Prefix.si_family == AF_INET6;
    dst.ip = v6 ? ip_addr_v6(&row->DestinationPrefix.Prefix.Ipv6.sin6_addr)
                : ip_addr_v4(&row->DestinationPrefix.Prefix.Ipv4.sin_addr);
    dst.len = row->DestinationPrefix.PrefixLength;
    r->fn(r->arg, NET_CHANGE_ROUTES, row->InterfaceLuid.Value, (unsigned)kind, &dst);
}

static VOID WINAPI on_interface(PVOID arg, PMIB_IPINTERFACE_ROW row, MIB_NOTIFICATION_TYPE kind)
{
    struct registration *r = arg;
    r->fn(r->arg, NET_CHANGE_INTERFACES, row ? row->InterfaceLuid.Value : 0, (unsigned)kind, NULL);
}

static unsigned long start(void *ctx, enum net_change_what what, net_change_fn fn, void *arg,
                           void **handle)
{
    struct registration *r = mem_zalloc(1, sizeof *r);
    unsigned long e = ERROR_NOT_SUPPORTED;

    (void)ctx;
    *r = (struct registration){.fn = fn, .arg = arg};
    switch (what) {
    case NET_CHANGE_ADDRESSES:
        e = calls.address(AF_UNSPEC, on_address, r, FALSE, &r->handle);
        break;
    case NET_CHANGE_ROUTES:
        e = calls.route(AF_UNSPEC, on_route, r, FALSE, &r->handle);
        break;
    case NET_CHANGE_INTERFACES:
        e = calls.interface_(AF_UNSPEC, on_interface, r, FALSE, &r->handle);
        break;
    case NET_CHANGE_WHATS:
        break;
    }
    if (e != NO_ERROR) {
        free(r);
        return e;
    }
    *handle = r;
    return NO_ERROR;
}

static void stop(void *ctx, void *handle)
{
    struct registration *r = handle;

    (void)ctx;
    (void)calls.cancel(r->handle);
    free(r);
}

static const struct net_change_source source = {.start = start, .stop = stop};

#define FIND(field, name)                                                                          \
    do {                                                                                           \
        FARPROC found = dll ? GetProcAddress(dll, name) : NULL;                                    \
        memcpy(&calls.field, &found, sizeof found);                                                \
    } while (0)

const struct net_change_source *net_change_system(void)
{
    HMODULE dll = LoadLibraryExA("iphlpapi.dll", NULL, LOAD_LIBRARY_SEARCH_SYSTEM32);

    FIND(address, "NotifyUnicastIpAddressChange");
    FIND(route, "NotifyRouteChange2");
    FIND(interface_, "NotifyIpInterfaceChange");
    FIND(cancel, "CancelMibChangeNotify2");
    return calls.address && calls.route && calls.interface_ && calls.cancel ? &source : NULL;
}
