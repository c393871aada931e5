/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which resources this client reaches, and through whom: a resource's addresses lead into the tunnel from the start; the
 * first packet to one asks the portal, whose grant names a gateway, to which the packets go once there is a connection.
 *
 *                 packets wait             granted             connected
 *      NOT ASKED -------------> ASKED ---------------> GRANTED ----------> (tunnel)
 *          ^                     |  refused, nothing      |
 *          +---------------------+  for a while           |  connection ended
 *          +----------------------------------------------+
 *
 * A resource with names has addresses of ours for each (engine/wire/ranges.h); its gateway is told of them before packets
 * may go there (name_gate.h). access.c: resources; access_grants.c: asking and grants; access_names.c: names.
 * Control role. Source: spec/tunnel.md 3.3, 5.3, 5.6, 5.7, 6.3; spec/portal.md 7.
 */
#ifndef FZ_CONTROL_ACCESS_H
#define FZ_CONTROL_ACCESS_H

#include <jansson.h>

#include "control/peers.h"
#include "control/portal/messages.h"
#include "control/resources.h"

struct access;

/* Through whom a resource is reached: its addresses in the tunnel. */
struct access_gateway {
    struct uuid id;
    struct ip_addr ipv4, ipv6;
};

struct access_events {
    /* For the portal. ERR_CLOSED: it is away. */
    enum err (*push)(void *arg, const char *name, const json_t *payload);
    /* From now on it is reached through this gateway; NULL: there is none (any more). */
    void (*granted)(void *arg, const struct uuid *resource, const struct access_gateway *gateway);
};

/* internet: the Internet resource is used, if there is one: everything that no other route of the host leads to. */
struct access *access_new(struct loop *l, struct peers *peers, bool internet,
                          const struct access_events *events, void *arg);
/* Takes nothing out of the tunnel, which goes next. */
void access_free(struct access *a);
/* The tunnel is there. */
void access_attach(struct access *a, struct tunnel *t);

void access_resource(struct access *a, enum resource_change change, const struct resource *r);
void access_granted(struct access *a, const struct message_authorization *m);
void access_refused(struct access *a, const struct message *m);

/* Some resource has this address, names aside. */
bool access_reaches(struct access *a, const struct ip_addr *addr);
/* Somebody wants this resource. NULL: it is not granted; the portal is asked if it was not lately, and `granted` tells. */
const struct access_gateway *access_want(struct access *a, const struct uuid *resource);

/*
 * Name number `name` belongs to these resources, in order of precedence; 0: to none. Those that are not known are left out.
 * stacks: enum message_ip_stack of each.
 */
void access_name(struct access *a, uint32_t name, const char *text, const struct uuid *resources,
                 const uint8_t *stacks, unsigned n);
/* The host has been given its addresses: whoever is to carry packets to it shall know them. */
void access_name_answered(struct access *a, uint32_t name);

/* Events of the peers. */
void access_wanted(struct access *a, void *resource_arg);
void access_connected(struct access *a, const struct uuid *gateway);
/* in_use: what was granted through it is asked for again (DEVIATE): the client may have nothing to send, and wait for data. */
void access_ended(struct access *a, const struct uuid *gateway, bool in_use);
void access_inner(struct access *a, const struct uuid *gateway, const uint8_t *packet, size_t len);
/* A gateway does not let packets to this destination through: what we were granted may be over. */
void access_prohibited(struct access *a, const struct ip_addr *destination);

/* `init` has come, or a relay is there: what waits for either is asked now. */
void access_ask_held(struct access *a);
/* Another network: everything may be asked again at once. */
void access_reset(struct access *a);

#endif
