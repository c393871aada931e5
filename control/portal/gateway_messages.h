/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the portal tells a gateway, as types: who may reach which resource through it, until when, and the clients' candidates.
 * As messages.h has it for clients: strict about what is needed, tolerant of members and messages that are not known. All text is
 * borrowed from the payload. Pure; control role. Source: spec/portal.md 6 and 8.1, spec/tunnel.md 8.1 and 18.2.
 * DEVIATE: a changed expiry counts, as with upstream's older gateways; present ones ignore it.
 */
#ifndef FZ_CONTROL_PORTAL_GATEWAY_MESSAGES_H
#define FZ_CONTROL_PORTAL_GATEWAY_MESSAGES_H

#include "control/portal/access.h"
#include "control/portal/fields.h"
#include "control/portal/resource.h"

#define GATEWAY_MESSAGE_AUTHORIZATION "create_authorization"

enum {
    GATEWAY_REF_MAX = 8 << 10 /* of a text that the portal has signed */
};

enum gateway_message_kind {
    GATEWAY_UNKNOWN, /* another name: not an error */
    GATEWAY_INIT,
    GATEWAY_AUTHORIZATION, /* asks for one; the gateway answers with its `ref` */
    GATEWAY_ACCESS_REJECTED,
    GATEWAY_RESOURCE_UPDATED, /* only its filters count */
    GATEWAY_CANDIDATES_ADDED,
    GATEWAY_CANDIDATES_REMOVED,
    GATEWAY_RELAYS_PRESENCE,
    GATEWAY_EXPIRY_CHANGED /* of one grant */
};

struct gateway_message_client {
    struct uuid id;
    uint8_t public_key[KEY_LEN];
    uint8_t preshared_key[KEY_LEN]; /* wipe it: gateway_message_wipe */
    struct ip_addr ipv4, ipv6;      /* in the tunnel */
    /* For people to read: each is NULL if it was not told. */
    const char *version, *os_name, *os_version, *serial, *uuid;
};

struct gateway_message_authorization {
    const char *ref; /* the answer repeats it as it is */
    struct message_resource resource;
    struct gateway_message_client client;
    struct message_ice client_ice, gateway_ice; /* the client is the controlling side */
    int64_t expires_at;                         /* Unix seconds, or MESSAGE_NEVER */
    struct message_subject subject;
    bool iceless;
};

/* Each member says which kinds have it; it is zero in all others. */
struct gateway_message {
    enum gateway_message_kind kind;

    struct ip_addr ipv4, ipv6;         /* INIT: the gateway's own, in the tunnel */
    bool masquerade_v4, masquerade_v6; /* INIT; true unless the portal says otherwise */
    const char *account;               /* INIT; NULL: not told */
    const json_t *grants;              /* INIT, for message_grant_at: all that there are */
    const json_t *relays;              /* INIT, RELAYS_PRESENCE, for message_relay_at */
    const json_t *gone;                /* RELAYS_PRESENCE: ids of relays, for message_uuid_at */

    struct gateway_message_authorization authorization; /* AUTHORIZATION */
    struct message_resource resource;                   /* RESOURCE_UPDATED */

    struct uuid client;       /* ACCESS_REJECTED, EXPIRY_CHANGED, CANDIDATES_* */
    struct uuid resource_id;  /* ACCESS_REJECTED, EXPIRY_CHANGED */
    int64_t expires_at;       /* EXPIRY_CHANGED: as in authorisations */
    const json_t *candidates; /* CANDIDATES_*, for message_text_at */
};

/* False: something needed is missing or of another type, `f->why` says what; the message is to be dropped, with a warning. */
bool gateway_message_read(struct gateway_message *m, const char *name, const json_t *payload,
                          struct fields *f);
void gateway_message_wipe(struct gateway_message *m);

#endif
