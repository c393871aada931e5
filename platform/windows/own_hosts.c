/* SPDX-License-Identifier: Apache-2.0 */
/* See own_hosts.h. */
#include "platform/windows/own_hosts.h"

static bool holds(const struct own_hosts *o, const struct ip_addr *host)
{
    for (unsigned i = 0; i < OWN_HOSTS_MAX; i++) {
        if (ip_addr_equal(&o->hosts[i], host))
            return true;
    }
    return false;
}

void own_hosts_add(struct own_hosts *o, const struct ip_addr *host)
{
    pthread_mutex_lock(&o->lock);
    if (!holds(o, host))
        o->hosts[o->next++ % OWN_HOSTS_MAX] = *host;
    pthread_mutex_unlock(&o->lock);
}

bool own_hosts_has(struct own_hosts *o, const struct ip_addr *host)
{
    if (host->family == ADDR_NONE)
        return false;
    pthread_mutex_lock(&o->lock);
    bool found = holds(o, host);
    pthread_mutex_unlock(&o->lock);
    return found;
}

struct own_hosts *own_hosts_process(void)
{
    static struct own_hosts process = OWN_HOSTS_INIT;
    return &process;
}
