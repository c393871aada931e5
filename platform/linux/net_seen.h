/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was last heard of each link, address and expiring route, to tell a change from a refresh: the kernel repeats an
 * address whenever a router advertisement renews its lifetime, a link whenever its driver feels like it, and a route
 * when a network manager renews it.
 *
 * 16 bytes each, two digests: of what it is, and of what is so with it. Two that collide (one in 2^61) make a change
 * pass for a refresh once. Control role.
 */
#ifndef FZ_LINUX_NET_SEEN_H
#define FZ_LINUX_NET_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/linux/net_event.h"

enum {
    NET_SEEN_MAX = 1 << 15 /* then all is forgotten */
};

struct net_seen_entry {
    uint64_t what, how;
};

/* Zero is empty. */
struct net_seen {
    struct net_seen_entry *entries; /* sorted by `what` */
    size_t len;
};

void net_seen_fini(struct net_seen *s);

/* Remembers the event. True: it tells something new, as those do of which nothing is remembered. */
bool net_seen_take(struct net_seen *s, const struct net_event *e);

/* Messages were lost: the next one about anything counts as news. */
void net_seen_forget(struct net_seen *s);

#endif
