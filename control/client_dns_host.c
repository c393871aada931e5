/* SPDX-License-Identifier: Apache-2.0 */
/* Which servers there are, which sentinels stand for them, and what the host is told of these. */
#include <stdlib.h>
#include <string.h>

#include "control/client_dns_private.h"
#include "control/tunnel_policy.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"

enum {
    WHY_MAX = 256
};

/* ---- the host ---- */

static void tell_host(struct client_dns *d)
{
    struct dns_settings settings = {.tun_ifindex = tunnel_ifindex(d->member->tunnel),
                                    .tun_name = tunnel_name(d->member->tunnel)};
    char why[WHY_MAX];

    for (unsigned i = 0; i < d->sentinels.n && i < DNS_SERVERS_MAX; i++)
        settings.servers[settings.servers_n++] = d->sentinels.list[i].ip;
    if (d->search[0])
        settings.search[settings.search_n++] = d->search;
    if (dns_control_set(d->member->dns, &settings, why, sizeof why) != ERR_OK)
        log_error("dns", "names of resources are not found: %s", why);
}

static void tell_tunnel(struct client_dns *d)
{
    struct ip_addr stubs[DNS_SENTINELS_MAX];

    for (unsigned i = 0; i < d->sentinels.n; i++)
        stubs[i] = d->sentinels.list[i].ip;
    tunnel_policy_stubs(d->member->tunnel, stubs, d->sentinels.n);
}

/* ---- the servers ---- */

static void log_servers(const struct client_dns *d)
{
    if (d->sentinels.n == 0)
        log_warn("dns", "there are no DNS servers: names of resources are not found");
    for (unsigned i = 0; i < d->sentinels.n; i++) {
        const struct dns_sentinel *s = &d->sentinels.list[i];
        char ip[IP_TEXT_MAX], server[SOCK_ADDR_TEXT_MAX];
        log_info("dns", "%s stands for %s", ip_addr_format(&s->ip, ip, sizeof ip),
                 s->upstream.kind == DNS_DOH
                     ? s->upstream.url
                     : sock_addr_format(&s->upstream.server, server, sizeof server));
    }
}

/* Servers of before stay if the system's cannot be read, as while the service that knows them starts again. */
static void update(struct client_dns *d)
{
    struct sock_addr system[RESOLVERS_MAX];
    char why[WHY_MAX];
    unsigned n = 0;

    if (dns_control_resolvers(d->member->dns, system, &n, why, sizeof why) != ERR_OK &&
        d->do53_n + d->doh_n == 0) {
        log_warn("dns", "the system's resolvers cannot be read: %s", why);
        return;
    }
    struct dns_sources from = {.do53 = d->do53,
                               .do53_n = d->do53_n,
                               .doh = (const char *const *)d->doh,
                               .doh_n = d->doh_n,
                               .system = system,
                               .system_n = n};
    d->by_portal = d->do53_n > 0;
    if (!dns_sentinels_update(&d->sentinels, &from))
        return;
    log_servers(d);
    client_dns_sentinels_changed(d);
    tell_tunnel(d);
    tell_host(d);
}

int client_dns_server(const struct client_dns *d, const struct ip_addr *sentinel)
{
    return dns_sentinels_find(&d->sentinels, sentinel);
}

static void forget_doh(struct client_dns *d)
{
    for (unsigned i = 0; i < d->doh_n; i++)
        free(d->doh[i]);
    d->doh_n = 0;
}

void client_dns_settings(struct client_dns *d, const struct message_interface *from)
{
    const char *search = from->search_domain ? from->search_domain : "";
    bool other_search = strcmp(search, d->search) != 0 && strlen(search) < sizeof d->search;

    memcpy(d->do53, from->do53, sizeof d->do53);
    d->do53_n = from->do53_n;
    forget_doh(d);
    for (unsigned i = 0; i < from->doh_n; i++)
        d->doh[d->doh_n++] = mem_dup_text(from->doh[i], strlen(from->doh[i]));
    if (other_search)
        memcpy(d->search, search, strlen(search) + 1);
    if (!d->up)
        return;
    update(d);
    if (other_search)
        tell_host(d);
}

void client_dns_resolvers(struct client_dns *d)
{
    if (d->up)
        update(d);
}

void client_dns_up(struct client_dns *d)
{
    d->up = true;
    update(d);
}

void client_dns_host_fini(struct client_dns *d)
{
    forget_doh(d);
    dns_sentinels_fini(&d->sentinels);
}
