/* SPDX-License-Identifier: Apache-2.0 */
/* A member and the network of its host: what it is told by netwatch.h, and what it does about it. */
#include "control/member.h"
#include "control/tunnel_p2p.h"
#include "platform/netwatch.h"
#include "platform/routes.h"

static void on_ways(void *arg)
{
    struct member *m = arg;

    m->settling = true;
    if (m->tunnel)
        tunnel_ways_changed(m->tunnel);
}

/* What waits to reconnect does so as soon as the loop goes on, unless `moved`, which comes first, has done it. */
static void on_settled(void *arg)
{
    struct member *m = arg;

    m->settling = false;
    if (loop_timer_armed(&m->reconnect))
        loop_timer_set(m->loop, &m->reconnect, loop_now(m->loop));
    if (m->tunnel && m->role->guarded)
        tunnel_lan_sync(m->tunnel);
}

static void on_moved(void *arg, const char *why)
{
    struct member *m = arg;

    m->settling = false; /* after a suspend there is no `settled` */
    names_roam(m->names);
    m->role->moved(m->arg, why);
}

static const struct netwatch_events events = {on_ways, on_settled, on_moved};

enum err member_host_open(struct member *m, char *why, unsigned why_size)
{
    struct netwatch_config config = {.network_manager = true};

    config.own_tables = routes_product_tables(&config.own_tables_len);
    return netwatch_new(&m->netwatch, m->loop, &config, &events, m, why, why_size);
}

void member_host_close(struct member *m)
{
    netwatch_free(m->netwatch);
    m->netwatch = NULL;
}

void member_host_up(struct member *m)
{
    netwatch_set_tun(m->netwatch, tunnel_ifindex(m->tunnel));
    on_settled(m);
}

void member_host_handled(struct member *m)
{
    netwatch_handled(m->netwatch);
}
