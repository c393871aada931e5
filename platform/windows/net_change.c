/* SPDX-License-Identifier: Apache-2.0 */
/* See net_change.h. */
#include "platform/windows/net_change.h"

static bool is_own_route(struct net_change *c, const struct ip_prefix *dst)
{
    return dst && dst->len == ip_addr_bits(&dst->ip) && own_hosts_has(c->own, &dst->ip);
}

static void on_change(void *arg, enum net_change_what what, uint64_t luid, unsigned kind,
                      const struct ip_prefix *dst)
{
    struct net_change *c = arg;
    unsigned bits = NET_CHANGE_WAYS;

    if ((luid != 0 && luid == counter_read(&c->tun_luid)) || is_own_route(c, dst))
        return;
    if (what == NET_CHANGE_ADDRESSES) {
        if (kind != NET_CHANGE_ADDED && kind != NET_CHANGE_DELETED)
            return;
        bits |= NET_CHANGE_MOVED;
    }
    if (edge_raise(&c->changes, bits))
        c->wake(c->arg);
}

enum err net_change_init(struct net_change *c, const struct net_change_source *source,
                         struct own_hosts *own, void (*wake)(void *arg), void *arg)
{
    *c = (struct net_change){.source = source, .own = own, .wake = wake, .arg = arg};
    for (unsigned i = 0; i < NET_CHANGE_WHATS; i++) {
        if (source->start(source->ctx, (enum net_change_what)i, on_change, c, &c->handles[i]) == 0)
            continue;
        c->handles[i] = NULL;
        net_change_fini(c);
        return ERR_UNSUPPORTED;
    }
    return ERR_OK;
}

void net_change_fini(struct net_change *c)
{
    for (unsigned i = 0; i < NET_CHANGE_WHATS; i++) {
        if (c->handles[i])
            c->source->stop(c->source->ctx, c->handles[i]);
        c->handles[i] = NULL;
    }
}

void net_change_set_tun(struct net_change *c, uint64_t luid)
{
    counter_set(&c->tun_luid, luid);
}

unsigned net_change_take(struct net_change *c)
{
    return edge_take(&c->changes);
}
