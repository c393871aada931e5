/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts that have, or lately had, a route of ours (host_route.h). The system tells of these routes as of all others; they are no change of
 * the network, after which one would connect anew, and so make the next one. Control adds, threads of the system's ask.
 */
#ifndef FZ_WINDOWS_OWN_HOSTS_H
#define FZ_WINDOWS_OWN_HOSTS_H

#include <pthread.h>
#include <stdbool.h>

#include "platform/base/addr.h"

enum {
    OWN_HOSTS_MAX = 64 /* then the oldest is forgotten, and a change of its route is one */
};

struct own_hosts {
    pthread_mutex_t lock;
    struct ip_addr hosts[OWN_HOSTS_MAX];
    unsigned next;
};

#define OWN_HOSTS_INIT                                                                             \
    {                                                                                              \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                          \
    }

/* Before the route is made or removed. */
void own_hosts_add(struct own_hosts *o, const struct ip_addr *host);
bool own_hosts_has(struct own_hosts *o, const struct ip_addr *host);

/* The process's: routes are the machine's, whoever connects. */
struct own_hosts *own_hosts_process(void);

#endif
