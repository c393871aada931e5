/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients that a gateway lets in: what the portal has authorised each for (grants.h), and until when. A client without any
 * authorisation left is disconnected; one whose connection has ended keeps what it has, and may come back, unless it has left by itself.
 * The engine is told of every change, and again when the client's connection is another one. What happens to one client costs
 * what that one has, however many others there are. Control role. Source: spec/tunnel.md 8.1, 8.2.
 */
#ifndef FZ_CONTROL_CLIENTS_H
#define FZ_CONTROL_CLIENTS_H

#include <jansson.h>

#include "control/grants.h"
#include "control/peers.h"
#include "control/portal/gateway_messages.h"

struct clients;

struct clients_events {
    /* For the portal. ERR_CLOSED: it is away. */
    enum err (*push)(void *arg, const char *name, const json_t *payload);
    /* Its connection is another one, or is to end: what was under way for the client is of no use any more. */
    void (*renewed)(void *arg, const struct uuid *client);
};

/* Out of memory is fatal. */
struct clients *clients_new(struct loop *l, struct peers *peers,
                            const struct clients_events *events, void *arg);
void clients_free(struct clients *s);

/* The tunnel is up. Tells the portal that the client may come, or that there is no relay. */
void clients_authorize(struct clients *s, const struct gateway_message_authorization *m);
void clients_reject(struct clients *s, const struct uuid *client, const struct uuid *resource);
/* The grant, if there is one, ends then. */
void clients_expire(struct clients *s, const struct uuid *client, const struct uuid *resource,
                    int64_t expires_at);
/* It has said goodbye, and wants nothing any more. */
void clients_left(struct clients *s, const struct uuid *client);
/* A resource has other filters. */
void clients_update(struct clients *s, const struct message_resource *r);
/* These are all, as `init` says: what is not listed is no more; what is has the expiry that it says. */
void clients_keep(struct clients *s, const json_t *grants);

/* A live grant. */
struct clients_resource {
    enum message_resource_kind kind;
    uint16_t index;             /* for the engine */
    struct dns_pattern pattern; /* RESOURCE_DNS; valid until the next change */
};
/* False: the client may not reach it. */
bool clients_resource(struct clients *s, const struct uuid *client, const struct uuid *resource,
                      struct clients_resource *out);

#endif
