/* SPDX-License-Identifier: Apache-2.0 */
/* See adapters.h. */
#include "platform/windows/adapters.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/mem.h"

#define OUR_NAME "Firezone"

enum {
    LIST_BYTES = 15000, /* as Microsoft advises */
    LIST_ATTEMPTS = 2
};

enum err adapters_read(const struct ip_helper *h, void **list)
{
    unsigned long size = LIST_BYTES, e = IP_HELPER_BUFFER_OVERFLOW;

    *list = NULL;
    for (unsigned i = 0; i < LIST_ATTEMPTS && e == IP_HELPER_BUFFER_OVERFLOW; i++) {
        free(*list);
        *list = mem_zalloc(size, 1);
        e = h->get_adapters(h->ctx, *list, &size);
    }
    if (e == IP_HELPER_OK)
        return ERR_OK;
    free(*list);
    *list = NULL;
    return e == IP_HELPER_NOT_ENOUGH_MEMORY ? ERR_NO_MEMORY : ERR_IO;
}

/* Users may rename an adapter, so the name counts only before ours is known. */
bool adapter_is_ours(const struct ip_helper_adapter *a, uint64_t tun_luid)
{
    return tun_luid != 0 ? a->luid == tun_luid : strcmp(a->name, OUR_NAME) == 0;
}

bool adapter_is_usable(const struct ip_helper_adapter *a, uint64_t tun_luid)
{
    return a->up && !adapter_is_ours(a, tun_luid);
}

bool adapter_has_address(const struct ip_helper_adapter *a, const struct ip_addr *address)
{
    for (unsigned i = 0; i < a->addresses_n; i++) {
        if (ip_addr_equal(&a->addresses[i].ip, address))
            return true;
    }
    return false;
}

uint32_t adapter_index(const struct ip_helper_adapter *a, const struct ip_addr *ip)
{
    return ip->family == ADDR_V6 ? a->ifindex_v6 : a->ifindex;
}

bool adapter_link_only(const struct ip_addr *ip)
{
    if (ip->family == ADDR_V4)
        return ip->bytes[0] == 169 && ip->bytes[1] == 254;
    return ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80;
}

uint64_t adapter_metric(const struct ip_helper *h, const struct ip_helper_route *route,
                        unsigned family)
{
    uint32_t metric = 0;

    if (h->interface_metric(h->ctx, route->luid, family, &metric) != IP_HELPER_OK)
        metric = 0;
    return (uint64_t)route->metric + metric;
}
