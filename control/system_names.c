/* SPDX-License-Identifier: Apache-2.0 */
/* See system_names.h. */
#include "control/system_names.h"

#include <stdio.h>

#include "platform/base/log.h"
#include "platform/base/sentinel.h"

enum {
    REASON_MAX = 160
};

/* False: they cannot be read, as while the service that knows them starts again. */
static bool capture(struct sock_addr servers[RESOLVERS_MAX], unsigned *kept,
                    struct dns_control *dns, const char *module)
{
    char reason[REASON_MAX];
    unsigned n = 0;

    *kept = 0;
    if (dns_control_resolvers(dns, servers, &n, reason, sizeof reason) != ERR_OK) {
        log_warn(module, "the system's resolvers cannot be read: %s", reason);
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        if (!sentinel_contains(&servers[i].ip))
            servers[(*kept)++] = servers[i];
    }
    return true;
}

enum err system_names_new(struct names **out, struct loop *l, struct dns_control *dns,
                          const struct egress *egress, const char *module, char *why,
                          unsigned why_size)
{
    struct sock_addr servers[RESOLVERS_MAX];
    unsigned n;

    (void)capture(servers, &n, dns, module);
    enum err err = names_new(out, l, servers, n, egress, "/etc/hosts");

    if (err != ERR_OK)
        snprintf(why, why_size, "the name resolver does not start: %s", err_text(err));
    return err;
}

void system_names_refresh(struct names *s, struct dns_control *dns, const char *module)
{
    struct sock_addr servers[RESOLVERS_MAX];
    unsigned n;

    if (capture(servers, &n, dns, module) && names_set_servers(s, servers, n) != ERR_OK)
        log_error(module, "the system's resolvers cannot be used");
}
