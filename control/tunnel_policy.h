/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client's packets may reach, as the workers see it (engine/policy.h): resources, which are prefixes or names, the
 * gateway that each is granted through, and the packets that wait: those of a resource that is not granted yet, of whose
 * arrival its owner hears (tunnel_p2p.h, `wanted`), and those to a name that the gateway does not know yet.
 *
 *     resource added --> not granted: packets wait --- grant ---> packets go to the gateway's peer
 *                              ^                                       |
 *                              +---- not granted any more, peer gone --+
 *
 * Nothing that waits is overtaken by what comes later. Control role; of a tunnel with the client's role.
 */
#ifndef FZ_CONTROL_TUNNEL_POLICY_H
#define FZ_CONTROL_TUNNEL_POLICY_H

#include "control/portal/uuid.h"
#include "control/tunnel_p2p.h"
#include "engine/client.h"

struct tunnel_resource;

struct tunnel_resource_spec {
    enum engine_resource_kind kind;   /* DNS, CIDR or INTERNET */
    struct uuid id;                   /* of several with one prefix the greatest is asked first */
    const struct ip_prefix *prefixes; /* CIDR, INTERNET */
    size_t prefixes_n;
    const struct filter_rule *rules; /* what it permits; none: everything */
    size_t rules_n;
    uint32_t group; /* of peers to which it may be granted */
    void *arg;      /* for `wanted` */
};

/* NULL: there are too many. */
struct tunnel_resource *tunnel_resource_add(struct tunnel *t,
                                            const struct tunnel_resource_spec *spec);
/* p: of the same group; NULL: it is granted to nobody any more. At once. */
void tunnel_resource_grant(struct tunnel_resource *r, struct tunnel_peer *p);
struct tunnel_peer *tunnel_resource_peer(const struct tunnel_resource *r);
void tunnel_resource_remove(struct tunnel_resource *r);

/* One of the resources that a name belongs to. */
struct tunnel_name_target {
    const struct tunnel_resource *resource;
    bool v4, v6; /* the families that it has */
    bool holds;  /* packets do not go to the gateway although it is granted */
    bool keeps;  /* with `holds`: they wait, the latest few; else they are dropped */
};
/*
 * Name number `name` (engine/wire/ranges.h has its addresses) belongs to these, in order of precedence; n 0: to none. To be
 * called again whenever something of it changes; a resource that is removed is left out by itself.
 */
void tunnel_name_set(struct tunnel *t, uint32_t name, const struct tunnel_name_target *targets,
                     unsigned n);

/* Our own addresses in the tunnel, and those at which names are asked for; from now on. */
void tunnel_policy_addresses(struct tunnel *t, const struct ip_addr *ipv4,
                             const struct ip_addr *ipv6);
void tunnel_policy_stubs(struct tunnel *t, const struct ip_addr *stubs, unsigned n);

#endif
