/* SPDX-License-Identifier: Apache-2.0 */
/*
 * platform/netwatch.h on Windows: threads of the system's say that something has changed, a look at the tables after the debounce
 * says whether the machine is elsewhere. They only set bits and ring; all else is the loop's thread.
 *
 * The end of a suspend is noticed with the changes that come with it: adapters go up again.
 */
#include "platform/netwatch.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/windows/default_way.h"
#include "platform/windows/net_change.h"
#include "platform/windows/network_list.h"
#include "platform/windows/source_best.h"
#include "platform/windows/suspend.h"

#define MODULE "netwatch"

#define QUIET_NS      (500 * NS_PER_MS)
#define LATEST_NS     (2 * NS_PER_SEC)
#define HINT_AFTER_NS (5 * NS_PER_SEC)
#define SUSPEND_NS    (1 * NS_PER_SEC)

enum {
    FAMILIES = 2,
    WHY_MAX = 96
};

static const enum addr_family families[FAMILIES] = {ADDR_V4, ADDR_V6};

struct netwatch {
    struct loop *loop;
    struct netwatch_events events;
    void *arg;
    const struct ip_helper *helper;
    uint64_t
        tun_luid; /* the last one, also when it is gone: what is told of its end is ours, too */

    struct loop_bell bell;
    struct net_change change;
    struct network_list *networks; /* NULL: the system has none */
    struct edges listed;           /* 1: the list of networks has told of a change */

    struct default_way last[FAMILIES]; /* what was last there */
    struct loop_timer quiet;
    time_ns first;      /* change that the timer waits for */
    bool check;         /* the way out may have changed */
    bool ways_due;      /* not told yet */
    bool telling;       /* an event is being called */
    time_ns told;       /* when `moved` was last called, 0: never */
    char hint[WHY_MAX]; /* "": none */
    time_ns suspended;  /* all suspends so far */
};

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
    w->told = loop_now(w->loop);
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
    loop_timer_set(w->loop, &w->quiet, time_min(now + QUIET_NS, w->first + LATEST_NS));
}

/* ---- has the machine moved? ---- */

static enum err read_ways(struct netwatch *w, struct default_way now[FAMILIES])
{
    enum err err = ERR_OK;

    for (unsigned i = 0; i < FAMILIES && err == ERR_OK; i++)
        err = default_way_read(&now[i], w->helper, w->tun_luid, families[i], &w->last[i]);
    return err;
}

/* The phrase for it, NULL: it has not. *nowhere: there is no way out now. */
static const char *judge(const struct netwatch *w, const struct default_way now[FAMILIES],
                         bool *nowhere)
{
    unsigned seen = 0; /* bit: enum default_way_change */

    for (unsigned i = 0; i < FAMILIES; i++)
        seen |= 1u << default_way_compare(&w->last[i], &now[i]);
    *nowhere = seen == 1u << DEFAULT_WAY_NONE;
    if (seen & 1u << DEFAULT_WAY_ROUTE)
        return "the default route has changed";
    if (seen & 1u << DEFAULT_WAY_ADDRESS)
        return "an address of the default route's interface is gone";
    bool first = seen & 1u << DEFAULT_WAY_FIRST, same = seen & 1u << DEFAULT_WAY_SAME;
    return first && !same ? "there is a default route now" : NULL;
}

/*
 * What is gone is remembered, since it may come back as it was; not after a move: if the new network has that family as well, but
 * later, this is no second move.
 */
static void adopt(struct netwatch *w, const struct default_way now[FAMILIES], bool moved)
{
    for (unsigned i = 0; i < FAMILIES; i++) {
        if (now[i].exists || moved)
            w->last[i] = now[i];
    }
}

/* Writes why the machine has moved; "": it has not, as far as one knows. */
static void check_moved(struct netwatch *w, char why[WHY_MAX])
{
    struct default_way now[FAMILIES];
    bool nowhere, had_way = w->last[0].exists || w->last[1].exists;
    enum err err = read_ways(w, now);

    if (err != ERR_OK) {
        log_debug(MODULE, "cannot read the default routes: %s; the next change has them read again",
                  err_text(err));
        return;
    }
    const char *found = judge(w, now, &nowhere);
    if (found)
        snprintf(why, WHY_MAX, "%s", found);
    else if (!nowhere || !had_way)
        memcpy(why, w->hint, WHY_MAX);
    if (why[0])
        w->hint[0] = '\0';
    adopt(w, now, why[0]);
    w->check = false;
}

/* Whether there was a suspend since the last look; it is a move as soon as there is a way out. */
static bool check_suspended(struct netwatch *w)
{
    time_ns all = suspend_total(), more = time_since(all, w->suspended);

    w->suspended = all;
    if (more <= SUSPEND_NS)
        return false;
    snprintf(w->hint, WHY_MAX, "the machine was suspended for %" PRIu64 " s", more / NS_PER_SEC);
    w->check = true;
    return true;
}

static void settle(void *arg)
{
    struct netwatch *w = arg;
    char why[WHY_MAX] = "";

    w->ways_due = check_suspended(w) || w->ways_due;
    if (w->check)
        check_moved(w, why);
    if (w->ways_due)
        tell_ways(w);
    tell_settled(w);
    if (why[0])
        tell_moved(w, why);
}

/* ---- what the system's threads tell ---- */

static void wake(void *arg)
{
    struct netwatch *w = arg;
    loop_bell_ring(&w->bell);
}

static void on_networks(void *arg)
{
    struct netwatch *w = arg;
    if (edge_raise(&w->listed, 1))
        loop_bell_ring(&w->bell);
}

static void on_bell(void *arg)
{
    struct netwatch *w = arg;
    bool changed = net_change_take(&w->change) != 0;

    if (edge_take(&w->listed) != 0) {
        netwatch_hint(w, "Windows says that a network has changed");
        changed = true;
    }
    changed = check_suspended(w) || changed;
    if (!changed)
        return;
    w->check = true;
    note_change(w);
    tell_ways(w);
}

/* ---- set-up ---- */

static enum err listen_to_system(struct netwatch *w, char *why, unsigned why_size)
{
    const struct net_change_source *source = net_change_system();
    enum err err = loop_bell_add(w->loop, &w->bell, on_bell, w);

    if (err != ERR_OK) {
        snprintf(why, why_size, "cannot add a bell to the loop: %s", err_text(err));
        return err;
    }
    err = source ? net_change_init(&w->change, source, own_hosts_process(), wake, w)
                 : ERR_UNSUPPORTED;
    if (err != ERR_OK) {
        w->change.source = NULL;
        snprintf(why, why_size, "Windows does not tell of changes of addresses and routes");
        return err;
    }
    if (network_list_new(&w->networks, on_networks, w) != ERR_OK)
        log_debug(MODULE, "the list of networks is not watched");
    return ERR_OK;
}

enum err netwatch_new(struct netwatch **out, struct loop *l, const struct netwatch_config *config,
                      const struct netwatch_events *events, void *arg, char *why, unsigned why_size)
{
    struct default_way now[FAMILIES];
    struct netwatch *w = mem_zalloc(1, sizeof *w);

    (void)config; /* all of it is Linux' */
    *out = NULL;
    *w = (struct netwatch){.loop = l, .events = *events, .arg = arg, .bell.fd = -1};
    w->helper = ip_helper_system();
    w->suspended = suspend_total();
    loop_timer_init(&w->quiet, settle, w);
    /* Listen before reading: what changes in between is told of. */
    enum err err = listen_to_system(w, why, why_size);
    if (err == ERR_OK) {
        err = read_ways(w, now);
        if (err != ERR_OK)
            snprintf(why, why_size, "cannot read the machine's default routes: %s", err_text(err));
    }
    if (err != ERR_OK) {
        netwatch_free(w);
        return err;
    }
    adopt(w, now, true);
    *out = w;
    return ERR_OK;
}

void netwatch_free(struct netwatch *w)
{
    if (!w)
        return;
    ASSERT(!w->telling);
    if (w->change.source)
        net_change_fini(&w->change);
    network_list_free(w->networks);
    loop_timer_clear(w->loop, &w->quiet);
    /* Nobody rings any more. */
    if (w->bell.fd >= 0)
        loop_bell_del(w->loop, &w->bell);
    free(w);
}

void netwatch_set_tun(struct netwatch *w, uint32_t ifindex)
{
    uint64_t luid = source_best_luid(w->helper, ifindex);

    if (luid == 0)
        return;
    w->tun_luid = luid;
    net_change_set_tun(&w->change, luid);
}

void netwatch_handled(struct netwatch *w)
{
    struct default_way now[FAMILIES];

    if (read_ways(w, now) == ERR_OK)
        adopt(w, now, now[0].exists || now[1].exists);
    w->hint[0] = '\0';
    w->told = loop_now(w->loop);
}

void netwatch_hint(struct netwatch *w, const char *why)
{
    bool told = w->told != 0 && time_since(loop_now(w->loop), w->told) < HINT_AFTER_NS;

    if (!told && !w->hint[0])
        snprintf(w->hint, sizeof w->hint, "%s", why);
    w->check = true;
    w->ways_due = true;
    note_change(w);
}
