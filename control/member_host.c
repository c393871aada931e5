/* SPDX-License-Identifier: Apache-2.0 */
/* A member and its host: what netwatch.h and dns_control.h tell, and what it does about it. */
#include "control/member.h"
#include "control/system_names.h"
#include "control/tunnel_p2p.h"
#include "platform/base/log.h"
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
    if (m->tunnel)
        tunnel_p2p_sources(m->tunnel);
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

void member_host_resolvers(struct member *m)
{
    if (m->names)
        system_names_refresh(m->names, m->dns, m->role->name);
    if (m->names && m->role->resolvers)
        m->role->resolvers(m->arg);
}

static void on_resolvers(void *arg)
{
    member_host_resolvers(arg);
}

/* Without a method that somebody has asked for, a system that lacks one is not touched. */
static enum err open_dns(struct member *m, char *why, unsigned why_size)
{
    bool asked = m->options->dns_asked;
    enum dns_method method = asked ? m->options->dns : dns_control_guess();
    enum err err = dns_control_new(&m->dns, method, m->loop, on_resolvers, m, why, why_size);

    if (err == ERR_OK || asked || method == DNS_METHOD_DISABLED)
        return err;
    log_info(m->role->name, "%s: going on without", why);
    return dns_control_new(&m->dns, DNS_METHOD_DISABLED, m->loop, on_resolvers, m, why, why_size);
}

static const struct netwatch_events events = {on_ways, on_settled, on_moved};

enum err member_host_open(struct member *m, char *why, unsigned why_size)
{
    struct netwatch_config config = {.network_manager = true};

    config.own_tables = routes_product_tables(&config.own_tables_len);
    enum err err = netwatch_new(&m->netwatch, m->loop, &config, &events, m, why, why_size);
    return err == ERR_OK ? open_dns(m, why, why_size) : err;
}

void member_host_close(struct member *m)
{
    dns_control_free(m->dns);
    netwatch_free(m->netwatch);
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
