/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this program asks of Windows' IP Helper, as values of its own behind a table of functions: ip_helper.c binds them to the
 * system, tests to tables of theirs, on every system. Numbers are Windows': error codes, address families, protocols.
 * Control role.
 */
#ifndef FZ_WINDOWS_IP_HELPER_H
#define FZ_WINDOWS_IP_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/addr.h"

enum {
    IP_HELPER_OK = 0,
    IP_HELPER_NOT_ENOUGH_MEMORY = 8,
    IP_HELPER_NOT_SUPPORTED = 50, /* the call is there, but does nothing; so is the next one */
    IP_HELPER_BUFFER_OVERFLOW = 111,
    IP_HELPER_NOT_IMPLEMENTED = 120,
    IP_HELPER_NOT_FOUND = 1168,     /* on deletion: it is gone; of IPv6: it is off */
    IP_HELPER_ALREADY_EXISTS = 5010 /* on creation: the same is there */
};

enum {
    IP_HELPER_AF_UNSPEC = 0,
    IP_HELPER_AF_INET = 2,
    IP_HELPER_AF_INET6 = 23,
    IP_HELPER_PROTOCOL_NETMGMT = 3, /* of a route: somebody has configured it */
    IP_HELPER_NAME_MAX = 128,
    IP_HELPER_ADDRESSES_MAX = 16
};

struct ip_helper_adapter {
    uint64_t luid;
    uint32_t ifindex, ifindex_v6;  /* 0: the family is off */
    bool up;                       /* operationally */
    char name[IP_HELPER_NAME_MAX]; /* friendly, which users may change; "": none */
    struct ip_prefix addresses[IP_HELPER_ADDRESSES_MAX];
    unsigned addresses_n;
    uint32_t deprecated; /* bit i: addresses[i] is about to go, and not for anything new */
};

struct ip_helper_route {
    uint64_t luid;
    uint32_t ifindex;
    struct ip_prefix dst;
    struct ip_addr next_hop; /* unspecified: on link */
    uint32_t metric;         /* to which the interface's is added */
    uint32_t protocol;
    bool loopback;
};

/* An address as the system writes it: the family may be missing, or one that nobody knows. */
struct ip_helper_source {
    unsigned family; /* IP_HELPER_AF_* */
    uint8_t bytes[16];
};

/* ctx: the first member. Functions return IP_HELPER_OK or an error of Windows. */
struct ip_helper {
    void *ctx;
    /* The system's own list into `buf` of *size bytes; with IP_HELPER_BUFFER_OVERFLOW *size is what it takes. */
    unsigned long (*get_adapters)(void *ctx, void *buf, unsigned long *size);
    /* Adapter number `i` of such a list; false: there is none. */
    bool (*adapter_at)(void *ctx, const void *buf, size_t i, struct ip_helper_adapter *out);
    /* NULL, or IP_HELPER_NOT_SUPPORTED: this system has no such call. */
    unsigned long (*best_route)(void *ctx, uint64_t luid, const struct ip_addr *dst,
                                struct ip_helper_route *route, struct ip_helper_source *source);
    unsigned long (*interface_metric)(void *ctx, uint64_t luid, unsigned family, uint32_t *metric);
    /* All routes of a family; given back by free_routes. */
    unsigned long (*get_routes)(void *ctx, unsigned family, struct ip_helper_route **out,
                                size_t *n);
    void (*free_routes)(void *ctx, struct ip_helper_route *routes);
    unsigned long (*create_route)(void *ctx, const struct ip_helper_route *route);
    unsigned long (*delete_route)(void *ctx, const struct ip_helper_route *route);
};

/* The system's. Never NULL; calls that the system lacks are. */
const struct ip_helper *ip_helper_system(void);

static inline unsigned ip_helper_family(const struct ip_addr *ip)
{
    return ip->family == ADDR_V6 ? IP_HELPER_AF_INET6 : IP_HELPER_AF_INET;
}

#endif
