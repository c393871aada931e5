/* SPDX-License-Identifier: Apache-2.0 */
/* See wireguard_dns.h. */
#include "control/wireguard_dns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/options.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/dns_control.h"

#define MODULE "dns"

_Static_assert((int)CONFIG_DNS_SERVERS_MAX <= (int)DNS_SERVERS_MAX &&
                   (int)CONFIG_DNS_SEARCH_MAX <= (int)DNS_SEARCH_MAX,
               "the system takes all that a file can say");

enum {
    REASON_MAX = 512
};

struct wireguard_dns {
    struct dns_control *control;
    struct config_dns wish;
    bool applied;
};

/* The tunnel asks nobody by itself: whom the system asks is the system's business. */
static void on_changed(void *arg)
{
    (void)arg;
}

static enum err failed(enum err err, const char *reason, char *why, unsigned why_size)
{
    snprintf(why, why_size, "the DNS of the configuration cannot be applied: %s%s", reason,
             strstr(reason, "--dns-control") ? ""
                                             : "; use --dns-control disabled to go without it");
    return err;
}

enum err wireguard_dns_new(struct wireguard_dns **out, struct loop *l, const struct options *o,
                           const struct config_dns *wish, char *why, unsigned why_size)
{
    enum dns_method method = o->dns_asked ? o->dns : dns_control_guess();
    char reason[REASON_MAX];

    *out = NULL;
    if (wish->servers_n == 0 && wish->search_n == 0)
        return ERR_OK;
    if (wish->servers_n == 0 || method == DNS_METHOD_DISABLED) {
        log_warn(MODULE, "the system's DNS stays as it is: %s",
                 wish->servers_n == 0 ? "the configuration has search domains but no server"
                                      : "--dns-control disabled");
        return ERR_OK;
    }
    struct wireguard_dns *d = mem_zalloc(1, sizeof *d);
    d->wish = *wish;
    enum err err = dns_control_new(&d->control, method, l, on_changed, d, reason, sizeof reason);
    if (err != ERR_OK) {
        free(d);
        return failed(err, reason, why, why_size);
    }
    *out = d;
    return ERR_OK;
}

void wireguard_dns_free(struct wireguard_dns *d)
{
    if (!d)
        return;
    dns_control_free(d->control);
    free(d);
}

enum err wireguard_dns_apply(struct wireguard_dns *d, const char *tun_name, uint32_t tun_ifindex,
                             char *why, unsigned why_size)
{
    struct dns_settings s = {.tun_ifindex = tun_ifindex, .tun_name = tun_name};
    char reason[REASON_MAX];

    if (!d || d->applied)
        return ERR_OK;
    d->applied = true;
    for (; s.servers_n < d->wish.servers_n; s.servers_n++)
        s.servers[s.servers_n] = d->wish.servers[s.servers_n];
    for (; s.search_n < d->wish.search_n; s.search_n++)
        s.search[s.search_n] = d->wish.search[s.search_n];
    enum err err = dns_control_set(d->control, &s, reason, sizeof reason);
    return err == ERR_OK ? err : failed(err, reason, why, why_size);
}
