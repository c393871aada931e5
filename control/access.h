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
 * For now, resources with a prefix, and the Internet. Control role. Source: spec/tunnel.md 5.3, 5.6; spec/portal.md 7.
 */
#ifndef FZ_CONTROL_ACCESS_H
#define FZ_CONTROL_ACCESS_H

#include <jansson.h>

#include "control/peers.h"
#include "control/portal/messages.h"
#include "control/resources.h"

struct access;

struct access_events {
    /* For the portal. ERR_CLOSED: it is away. */
    enum err (*push)(void *arg, const char *name, const json_t *payload);
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

/* An event of the peers. */
void access_wanted(struct access *a, void *destination_arg);
/* in_use: what was granted through it is asked for again (DEVIATE): the client may have nothing to send, and wait for data. */
void access_ended(struct access *a, const struct uuid *gateway, bool in_use);
/* `init` has come, or a relay is there: what waits for either is asked now. */
void access_ask_held(struct access *a);
/* Another network: everything may be asked again at once. */
void access_reset(struct access *a);

#endif
