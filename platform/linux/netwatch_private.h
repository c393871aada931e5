/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network watch on Linux, opened for its tests: the state, the clocks it reads, and its arithmetic of time.
 * Control role.
 */
#ifndef FZ_LINUX_NETWATCH_PRIVATE_H
#define FZ_LINUX_NETWATCH_PRIVATE_H

#include "platform/base/time.h"
#include "platform/linux/net_event.h"
#include "platform/linux/net_seen.h"
#include "platform/linux/netlink.h"
#include "platform/linux/way_out.h"
#include "platform/netwatch.h"

#define NETWATCH_QUIET_NS      (500 * NS_PER_MS)
#define NETWATCH_LATEST_NS     (2 * NS_PER_SEC)
#define NETWATCH_HINT_AFTER_NS (5 * NS_PER_SEC)
#define NETWATCH_SUSPEND_NS    (1 * NS_PER_SEC)

enum {
    NETWATCH_FAMILIES = 2,
    NETWATCH_WHY_MAX = 96,
    NETWATCH_BATCH = 256,         /* datagrams per wake-up: well below a millisecond */
    NETWATCH_DATAGRAM_MAX = 32768 /* what the kernel allocates at most for one */
};

/* Both count from the start of the machine; the first goes on while it is suspended. */
struct netwatch_clocks {
    time_ns boot, monotonic;
};

struct nm_watch;

struct netwatch {
    struct loop *loop;
    struct netwatch_events events;
    void *arg;
    uint32_t own_tables[NETWATCH_OWN_TABLES_MAX];
    struct net_own own;
    struct netlink requests;
    int fd;       /* notifications */
    int clock_fd; /* readable when the clock was set, as it is after a suspend; -1: there is none */
    uint8_t *datagram;
    struct net_seen seen;
    struct way_out last[NETWATCH_FAMILIES]; /* IPv4, IPv6: what was last there */

    struct nm_watch *network_manager; /* NULL: not asked, or there is no bus */

    struct loop_timer quiet;
    time_ns first;               /* change that the timer waits for */
    bool check;                  /* the way out may have changed */
    bool ways_due;               /* not told yet */
    bool telling;                /* an event is being called */
    time_ns told;                /* when `moved` was last called after a debounce, 0: never */
    char hint[NETWATCH_WHY_MAX]; /* "": none */

    void (*read_clocks)(void *arg, struct netwatch_clocks *out);
    void *clocks_arg;
    time_ns asleep; /* boot - monotonic: all suspends so far */
};

/* When a series of changes that began at `first` is taken for complete, if `now` is its last. */
static inline time_ns netwatch_deadline(time_ns first, time_ns now)
{
    return time_min(now + NETWATCH_QUIET_NS, first + NETWATCH_LATEST_NS);
}

/* How long the machine has been suspended since *asleep was what it was; 0: not worth mentioning. Brings *asleep up to date. */
static inline time_ns netwatch_suspended(time_ns *asleep, const struct netwatch_clocks *now)
{
    time_ns all = time_since(now->boot, now->monotonic);
    time_ns more = time_since(all, *asleep);

    *asleep = all;
    return more > NETWATCH_SUSPEND_NS ? more : 0;
}

#endif
