/* SPDX-License-Identifier: Apache-2.0 */
/*
 * platform/netwatch.h on Linux: rtnetlink's notifications say that something has changed, a dump after the debounce says
 * whether the machine is elsewhere. A dump and not the notifications, because they leave out what a link takes along.
 */
#include "platform/netwatch.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/linux/netwatch_private.h"
#include "platform/linux/nm_watch.h"
#include "platform/linux/why.h"

#define MODULE "netwatch"

enum {
    RECEIVE_BUFFER =
        1 << 20, /* a few thousand notifications; the kernel takes the memory when they come */
    CLOCK_ATTEMPTS = 3
};

static const uint8_t families[NETWATCH_FAMILIES] = {ADDR_V4, ADDR_V6};

/* ---- events ---- */

static void tell_ways(struct netwatch *w)
{
    w->ways_due = false;
    w->telling = true;
    w->events.ways(w->arg);
    w->telling = false;
}

static void tell_settled(struct netwatch *w)
{
    w->telling = true;
    w->events.settled(w->arg);
    w->telling = false;
}

static void tell_moved(struct netwatch *w, const char *why)
{
    w->telling = true;
    w->events.moved(w->arg, why);
    w->telling = false;
}

/* Begins or prolongs the debounce. */
static void note_change(struct netwatch *w)
{
    time_ns now = loop_now(w->loop);

    if (!loop_timer_armed(&w->quiet))
        w->first = now;
    loop_timer_set(w->loop, &w->quiet, netwatch_deadline(w->first, now));
}

/* ---- has the machine moved? ---- */

/* The phrase for it, NULL: it has not. *nowhere: there is no way out now. */
static const char *judge(const struct netwatch *w, const struct way_out now[NETWATCH_FAMILIES],
                         bool *nowhere)
{
    bool route = false, address = false, first = false, same = false;

    for (unsigned i = 0; i < NETWATCH_FAMILIES; i++) {
        enum way_change change = way_out_compare(&w->last[i], &now[i]);
        route = route || change == WAY_ROUTE;
        address = address || change == WAY_ADDRESS;
        first = first || change == WAY_FIRST;
        same = same || change == WAY_SAME;
    }
    *nowhere = !route && !address && !first && !same;
    if (route)
        return "the default route has changed";
    if (address)
        return "an address of the default route's interface is gone";
    return first && !same ? "there is a default route now" : NULL;
}

/*
 * Takes over what is there now. What is gone is remembered, since it may come back as it was; not after a move: if the new
 * network has that family as well, but later, this is no second move.
 */
static void adopt(struct netwatch *w, struct way_out now[NETWATCH_FAMILIES], bool moved)
{
    for (unsigned i = 0; i < NETWATCH_FAMILIES; i++) {
        if (!now[i].exists && !moved)
            continue;
        way_out_fini(&w->last[i]);
        w->last[i] = now[i];
        now[i] = (struct way_out){0};
    }
}

static int read_ways_out(struct netwatch *w, struct way_out now[NETWATCH_FAMILIES])
{
    int e = 0;

    for (unsigned i = 0; i < NETWATCH_FAMILIES && e == 0; i++)
        e = way_out_read(&now[i], &w->requests, families[i], &w->own, &w->last[i]);
    return e;
}

/* Writes why the machine has moved; "": it has not, as far as one knows. */
static void check_moved(struct netwatch *w, char why[NETWATCH_WHY_MAX])
{
    struct way_out now[NETWATCH_FAMILIES] = {0};
    bool nowhere, had_way = w->last[0].exists || w->last[1].exists;
    int e = read_ways_out(w, now);

    why[0] = '\0';
    if (e == 0) {
        const char *found = judge(w, now, &nowhere);
        if (found)
            snprintf(why, NETWATCH_WHY_MAX, "%s", found);
        else if (!nowhere || !had_way)
            memcpy(why, w->hint, NETWATCH_WHY_MAX);
        if (why[0])
            w->hint[0] = '\0';
        adopt(w, now, why[0]);
        w->check = false;
    } else {
        log_debug(MODULE, "cannot read the default routes: %s; the next change has them read again",
                  netlink_text(&w->requests, e));
    }
    for (unsigned i = 0; i < NETWATCH_FAMILIES; i++)
        way_out_fini(&now[i]);
}

/* ---- suspend ---- */

/* An interruption between the readings would look like a short suspend: they are taken again. */
static void read_clocks(void *arg, struct netwatch_clocks *out)
{
    (void)arg;
    for (unsigned i = 0; i < CLOCK_ATTEMPTS; i++) {
        struct timespec before, boot, after;
        ASSERT(clock_gettime(CLOCK_MONOTONIC, &before) == 0);
        ASSERT(clock_gettime(CLOCK_BOOTTIME, &boot) == 0);
        ASSERT(clock_gettime(CLOCK_MONOTONIC, &after) == 0);
        out->boot = (time_ns)boot.tv_sec * NS_PER_SEC + (time_ns)boot.tv_nsec;
        out->monotonic = (time_ns)after.tv_sec * NS_PER_SEC + (time_ns)after.tv_nsec;
        time_ns begun = (time_ns)before.tv_sec * NS_PER_SEC + (time_ns)before.tv_nsec;
        if (time_since(out->monotonic, begun) < NETWATCH_SUSPEND_NS / 10)
            return;
    }
}

/*
 * Whether there was a suspend since the last look. It is told of as a move when the debounce ends and there is a way out: on waking up
 * there is mostly none yet.
 */
static bool check_suspended(struct netwatch *w)
{
    struct netwatch_clocks now;

    w->read_clocks(w->clocks_arg, &now);
    time_ns asleep = netwatch_suspended(&w->asleep, &now);
    if (asleep == 0)
        return false;
    snprintf(w->hint, NETWATCH_WHY_MAX, "the machine was suspended for %" PRIu64 " s",
             asleep / NS_PER_SEC);
    w->check = true;
    return true;
}

/* False: there is no such clock to wait for; suspends are noticed when something else happens. */
static bool arm_clock(int fd)
{
    const struct itimerspec never = {.it_value.tv_sec = INT64_MAX};

    /* ECANCELED: armed, and it was set again meanwhile, which is about to be looked at */
    return timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) == 0 ||
           errno == ECANCELED;
}

static void clock_was_set(void *arg, unsigned events)
{
    struct netwatch *w = arg;
    uint64_t expirations;

    (void)events;
    if (read(w->clock_fd, &expirations, sizeof expirations) < 0 && errno == ECANCELED)
        log_debug(MODULE, "the clock was set");
    if (!arm_clock(w->clock_fd))
        loop_del_fd(w->loop, w->clock_fd);
    if (check_suspended(w)) {
        note_change(w);
        tell_ways(w);
    }
}

/* ---- the debounce ends ---- */

static void settle(void *arg)
{
    struct netwatch *w = arg;
    char why[NETWATCH_WHY_MAX] = "";

    w->ways_due = check_suspended(w) || w->ways_due;
    if (w->check)
        check_moved(w, why);
    if (why[0])
        w->told = loop_now(w->loop);
    if (w->ways_due)
        tell_ways(w);
    tell_settled(w);
    if (why[0])
        tell_moved(w, why);
}

/* ---- notifications ---- */

/* Whether the event can have to do with the way out. */
static bool is_about_way_out(const struct net_event *e)
{
    return e->kind != NET_EVENT_RULE && (e->kind != NET_EVENT_ROUTE || e->dst.len == 0);
}

/* True: the datagram tells of a change. */
static bool take_datagram(struct netwatch *w, size_t len)
{
    struct net_event e;
    size_t at = 0, taken;
    bool changed = false;

    while ((taken = net_event_next(&e, w->datagram + at, len - at)) > 0) {
        at += taken;
        if (net_event_is_own(&e, &w->own) || !net_seen_take(&w->seen, &e))
            continue;
        changed = true;
        w->check = w->check || is_about_way_out(&e);
    }
    return changed;
}

/* What the kernel could not deliver may have been anything. */
static void take_loss(struct netwatch *w)
{
    log_debug(MODULE, "the kernel's notifications came faster than they were read; some are lost");
    net_seen_forget(&w->seen);
    w->check = true;
}

/* One datagram. False: there is none. */
static bool take_next(struct netwatch *w, bool *changed)
{
    struct sockaddr_nl from = {0};
    socklen_t from_len = sizeof from;
    ssize_t len = recvfrom(w->fd, w->datagram, NETWATCH_DATAGRAM_MAX, MSG_TRUNC,
                           (struct sockaddr *)&from, &from_len);

    if (len < 0 && errno != ENOBUFS)
        return errno == EINTR;
    if (len < 0 || len > NETWATCH_DATAGRAM_MAX) {
        take_loss(w);
        *changed = true;
    } else if (from.nl_pid == 0 && take_datagram(w, (size_t)len)) {
        *changed = true; /* from the kernel */
    }
    return true;
}

static void take_notifications(void *arg, unsigned events)
{
    struct netwatch *w = arg;
    bool changed = false;

    (void)events;
    for (unsigned i = 0; i < NETWATCH_BATCH && take_next(w, &changed); i++)
        ;
    changed = check_suspended(w) || changed;
    if (!changed)
        return;
    note_change(w);
    tell_ways(w);
}

/* ---- set-up ---- */

/* Groups that the kernel does not know are no reason to fail: what it has not got does not change. */
static void join_groups(int fd)
{
    static const int groups[] = {RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR,
                                 RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,  RTNLGRP_IPV4_RULE,
                                 RTNLGRP_IPV6_RULE,  RTNLGRP_NEXTHOP};

    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]) != 0)
            log_debug(MODULE, "cannot join group %d: %s", groups[i], strerror(errno));
    }
}

static enum err open_notifications(struct netwatch *w, struct why why)
{
    struct sockaddr_nl local = {.nl_family = AF_NETLINK};
    int size = RECEIVE_BUFFER;

    w->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (w->fd < 0 || bind(w->fd, (struct sockaddr *)&local, sizeof local) != 0) {
        int e = errno;
        return why_fail(why, err_from_errno(e), "cannot listen to the kernel's routing socket: %s",
                        strerror(e));
    }
    if (setsockopt(w->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
        (void)setsockopt(w->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    join_groups(w->fd);
    enum err err = loop_add_fd(w->loop, w->fd, LOOP_READ, take_notifications, w);
    if (err != ERR_OK)
        return why_fail(why, err, "cannot wait for the kernel's routing socket: %s", err_text(err));
    return ERR_OK;
}

static void open_clock(struct netwatch *w)
{
    w->clock_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (w->clock_fd >= 0 && arm_clock(w->clock_fd) &&
        loop_add_fd(w->loop, w->clock_fd, LOOP_READ, clock_was_set, w) == ERR_OK)
        return;
    log_debug(MODULE,
              "cannot wait for the clock to be set: %s; the end of a suspend is noticed later",
              strerror(errno));
    if (w->clock_fd >= 0)
        close(w->clock_fd);
    w->clock_fd = -1;
}

static void take_seen(void *arg, const struct nlmsghdr *h)
{
    struct netwatch *w = arg;
    struct net_event e;

    if (!h)
        return; /* what is taken twice is as before */
    (void)net_event_next(&e, h, h->nlmsg_len);
    if (!net_event_is_own(&e, &w->own))
        (void)net_seen_take(&w->seen, &e);
}

/* What is there already is no news when it is told of again. Links first: they make routes forgotten. */
static int read_seen(struct netwatch *w)
{
    struct netlink_buf b;
    struct nlmsghdr *h = netlink_begin(&b, RTM_GETLINK, 0);
    (void)mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
    mnl_attr_put_u32(h, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    int e = netlink_dump(&w->requests, h, take_seen, w);
    if (e != 0)
        return e;
    h = netlink_begin(&b, RTM_GETADDR, 0);
    (void)mnl_nlmsg_put_extra_header(h, sizeof(struct ifaddrmsg));
    e = netlink_dump(&w->requests, h, take_seen, w);
    if (e != 0)
        return e;
    h = netlink_begin(&b, RTM_GETROUTE, 0);
    struct rtmsg *rtm = mnl_nlmsg_put_extra_header(h, sizeof *rtm);
    rtm->rtm_family = AF_INET6;
    mnl_attr_put_u32(h, RTA_TABLE, RT_TABLE_MAIN);
    e = netlink_dump(&w->requests, h, take_seen, w);
    return way_out_absent(e) ? 0 : e;
}

static enum err read_first(struct netwatch *w, struct why why)
{
    enum err err = netlink_open(&w->requests);

    if (err != ERR_OK)
        return why_fail(why, err, "cannot open the kernel's routing socket: %s", err_text(err));
    int e = read_seen(w);
    if (e != 0)
        log_debug(MODULE, "cannot read what there is already: %s; it will pass for new once",
                  netlink_text(&w->requests, e));
    struct way_out now[NETWATCH_FAMILIES] = {0};
    e = read_ways_out(w, now);
    adopt(w, now, true);
    if (e != 0)
        return why_fail(why, err_from_errno(e), "cannot read the machine's default routes: %s",
                        netlink_text(&w->requests, e));
    return ERR_OK;
}

static void on_network_manager(void *arg)
{
    netwatch_hint(arg, "NetworkManager has another connection");
}

/* Without a system bus there is no NetworkManager either. */
static void open_network_manager(struct netwatch *w)
{
    enum err err = nm_watch_new(&w->network_manager, w->loop, on_network_manager, w);

    if (err != ERR_OK)
        log_debug(MODULE, "NetworkManager is not watched: %s", err_text(err));
}

enum err netwatch_new(struct netwatch **out, struct loop *l, const struct netwatch_config *config,
                      const struct netwatch_events *events, void *arg, char *why, unsigned why_size)
{
    struct why sentence = {why, why_size};

    *out = NULL;
    if (config->own_tables_len > NETWATCH_OWN_TABLES_MAX)
        return why_fail(sentence, ERR_INVALID, "at most %d routing tables can be ours",
                        NETWATCH_OWN_TABLES_MAX);
    struct netwatch *w = mem_zalloc(1, sizeof *w);
    w->loop = l;
    w->events = *events;
    w->arg = arg;
    w->fd = w->clock_fd = -1;
    w->read_clocks = read_clocks;
    w->datagram = mem_zalloc(NETWATCH_DATAGRAM_MAX, 1);
    loop_timer_init(&w->quiet, settle, w);
    for (size_t i = 0; i < config->own_tables_len; i++)
        w->own_tables[i] = config->own_tables[i];
    w->own.tables = w->own_tables;
    w->own.tables_len = config->own_tables_len;
    /* Listen before reading: what changes in between is told of. */
    enum err err = open_notifications(w, sentence);
    if (err == ERR_OK)
        err = read_first(w, sentence);
    if (err != ERR_OK) {
        netwatch_free(w);
        return err;
    }
    open_clock(w);
    if (config->network_manager)
        open_network_manager(w);
    (void)check_suspended(w); /* all suspends until now */
    w->hint[0] = '\0';
    w->check = false;
    *out = w;
    return ERR_OK;
}

void netwatch_free(struct netwatch *w)
{
    if (!w)
        return;
    ASSERT(!w->telling);
    nm_watch_free(w->network_manager);
    loop_timer_clear(w->loop, &w->quiet);
    const int fds[] = {w->fd, w->clock_fd};
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        if (fds[i] < 0)
            continue;
        loop_del_fd(w->loop, fds[i]);
        close(fds[i]);
    }
    for (unsigned i = 0; i < NETWATCH_FAMILIES; i++)
        way_out_fini(&w->last[i]);
    net_seen_fini(&w->seen);
    netlink_close(&w->requests);
    free(w->datagram);
    free(w);
}

/* The one before stays ours: what the kernel tells about its end comes later. */
void netwatch_set_tun(struct netwatch *w, uint32_t ifindex)
{
    if (ifindex == w->own.tuns[0])
        return;
    if (w->own.tuns[0] != 0)
        w->own.tuns[1] = w->own.tuns[0];
    w->own.tuns[0] = ifindex;
}

void netwatch_handled(struct netwatch *w)
{
    struct way_out now[NETWATCH_FAMILIES] = {0};

    if (read_ways_out(w, now) == 0)
        adopt(w, now, now[0].exists || now[1].exists);
    for (unsigned i = 0; i < NETWATCH_FAMILIES; i++)
        way_out_fini(&now[i]);
    w->hint[0] = '\0';
    w->told = loop_now(w->loop);
}

void netwatch_hint(struct netwatch *w, const char *why)
{
    bool told = w->told != 0 && time_since(loop_now(w->loop), w->told) < NETWATCH_HINT_AFTER_NS;

    if (!told && !w->hint[0])
        snprintf(w->hint, sizeof w->hint, "%s", why);
    w->check = true;
    w->ways_due = true;
    note_change(w);
}
