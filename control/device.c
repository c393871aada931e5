/* SPDX-License-Identifier: Apache-2.0 */
/* Growth and wiping of the device's lists. */
#include "control/device.h"

#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/mem.h"

void device_update_init(struct device_update *u)
{
    memset(u, 0, sizeof *u);
}

void device_update_fini(struct device_update *u)
{
    for (size_t i = 0; i < u->peers_n; i++)
        free(u->peers[i].allowed);
    if (u->peers)
        secure_wipe(u->peers, u->peers_n * sizeof *u->peers);
    free(u->peers);
    secure_wipe(u, sizeof *u);
}

struct device_peer_update *device_update_peer(struct device_update *u)
{
    u->peers = mem_grow(u->peers, u->peers_n, sizeof *u->peers);
    struct device_peer_update *p = &u->peers[u->peers_n++];
    memset(p, 0, sizeof *p);
    return p;
}

void device_peer_allow(struct device_peer_update *p, const struct ip_prefix *prefix, bool remove)
{
    p->allowed = mem_grow(p->allowed, p->allowed_n, sizeof *p->allowed);
    p->allowed[p->allowed_n++] = (struct device_allowed){.prefix = *prefix, .remove = remove};
}

void device_status_fini(struct device_status *s)
{
    for (size_t i = 0; i < s->peers_n; i++)
        free(s->peers[i].allowed);
    if (s->peers)
        secure_wipe(s->peers, s->peers_n * sizeof *s->peers);
    free(s->peers);
    secure_wipe(s, sizeof *s);
}
