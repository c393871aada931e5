/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of routes.h, shared by its files: routes.c (the device, its addresses and routes, the rules of `wireguard` mode) and
 * routes_product.c (the product's tables). Control thread.
 */
#ifndef FZ_LINUX_ROUTES_PRIVATE_H
#define FZ_LINUX_ROUTES_PRIVATE_H

#include <net/if.h>

#include "platform/linux/guard.h"
#include "platform/linux/journal.h"
#include "platform/linux/netlink.h"
#include "platform/linux/rule.h"
#include "platform/routes.h"

enum change_kind {
    CHANGE_MTU,
    CHANGE_UP,
    CHANGE_ADDR,
    CHANGE_ROUTE,
    CHANGE_RULE,
    CHANGE_MARKS,
    CHANGE_LAN /* the table of copies */
};

struct change {
    enum change_kind kind;
    union {
        uint32_t mtu; /* the former one */
        struct ip_prefix addr;
        struct {
            struct ip_prefix dst;
            uint32_t table;
        } route;
        struct rule rule;
    } u;
};

enum {
    GUARDS_MAX = 16 /* the product has six, for its tables and both families */
};

struct routes {
    struct netlink netlink;
    uint32_t ifindex;
    char name[IF_NAMESIZE];
    char why[256];
    struct change *changes;
    size_t changes_n, changes_max;
    struct guard guards[GUARDS_MAX];
    unsigned guards_n;
    struct journal journal;
    bool lan;  /* there is a CHANGE_LAN */
    int watch; /* routes_watch_fd; -1: closed */
    bool down; /* as it says */
};

/* Keeps "what was tried: what the kernel says" and converts the errno. family: what it was about, ADDR_NONE: neither. */
enum err routes_fail(struct routes *r, unsigned family, int e, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A change that the kernel has accepted: routes_free undoes it. */
void routes_remember(struct routes *r, const struct change *c);
/* Nothing is to be undone for change `i` any more. */
void routes_forget(struct routes *r, size_t i);

/* routes_guard.c */
enum err routes_guard(struct routes *r, const struct guard *g) MUST_USE;
enum err routes_guard_address(struct routes *r, const struct ip_addr *address) MUST_USE;
void routes_unguard_address(struct routes *r, const struct ip_addr *address);
/* Packets of all protocols are kept away. */
bool routes_guarded(const struct routes *r, unsigned family);

/* Empties the table of copies. Returns 0 or a positive errno. */
int routes_lan_remove(struct netlink *n);
/* Sets addresses and routes once more. */
void routes_repair(struct routes *r);

#endif
