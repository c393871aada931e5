/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes as the kernel's own messages, so that they can be sent again as they are: to be deleted, or copied to another table. All
 * functions return 0 or a positive errno. Control thread.
 */
#ifndef FZ_LINUX_ROUTE_LIST_H
#define FZ_LINUX_ROUTE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/linux/netlink.h"

typedef bool (*route_list_keep)(const struct nlmsghdr *route);

struct route_list {
    uint8_t *bytes; /* messages, one behind the other; free() */
    size_t len, size;
    uint32_t table; /* what they are of */
    route_list_keep keep;
};

/* The routes of a family in a table. keep: which of them, NULL: all. A family that is switched off has none. */
int route_list_read(struct netlink *n, uint8_t family, uint32_t table, route_list_keep keep,
                    struct route_list *out);
/* The next one; *at: 0 at first. NULL: there is none. */
const struct nlmsghdr *route_list_next(const struct route_list *l, size_t *at);

/* type: RTM_NEWROUTE or RTM_DELROUTE, for that table. */
int route_list_send(struct netlink *n, const struct nlmsghdr *route, uint16_t type, uint32_t table);

/* Deletes all routes of the family in the table; *deleted: how many, added up. */
int route_list_flush(struct netlink *n, uint8_t family, uint32_t table, unsigned *deleted);

#endif
