/* SPDX-License-Identifier: Apache-2.0 */
/* A method that is not there: it refuses to open. */
#include <stdio.h>

#include "platform/linux/dns_method.h"

static enum err resolved_open(void **self, struct loop *l, loop_fn changed, void *arg, char *why,
                              unsigned why_size)
{
    (void)self;
    (void)l;
    (void)changed;
    (void)arg;
    snprintf(why, why_size,
             "systemd-resolved is not supported: use '--dns-control etc-resolv-conf' or "
             "'--dns-control disabled'");
    return ERR_UNSUPPORTED;
}

const struct dns_method_ops dns_systemd_resolved = {
    .name = "systemd-resolved",
    .open = resolved_open,
};
