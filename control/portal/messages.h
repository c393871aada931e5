/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the portal tells a client, as types. One table of messages; strict about what is needed, tolerant of members and
 * messages that are not known. A list of resources or relays is not copied: its elements are read one by one when they are
 * needed, so that one bad resource costs that resource only and 10,000 of them no memory. All text is borrowed from the
 * payload. Pure; control role. Source: spec/portal.md 6 and 7.1.
 */
#ifndef FZ_CONTROL_PORTAL_MESSAGES_H
#define FZ_CONTROL_PORTAL_MESSAGES_H

#include "control/portal/access.h"
#include "control/portal/direct.h"
#include "control/portal/fields.h"
#include "control/portal/resource.h"

enum {
    MESSAGE_UPSTREAMS_MAX = 8
};

enum message_kind {
    MESSAGE_UNKNOWN, /* another name: not an error */
    MESSAGE_INIT,
    MESSAGE_CONFIG_CHANGED,
    MESSAGE_RESOURCE_UPSERTED,
    MESSAGE_RESOURCE_DELETED,
    MESSAGE_RELAYS_PRESENCE,
    /* Access through a gateway. */
    MESSAGE_AUTHORIZATION_CREATED,
    MESSAGE_AUTHORIZATION_FAILED,
    MESSAGE_CANDIDATES_ADDED,
    MESSAGE_CANDIDATES_REMOVED,
    /* Direct access between clients. */
    MESSAGE_DIRECT_AUTHORIZED,
    MESSAGE_DIRECT_DENIED,
    MESSAGE_DIRECT_REVOKED,         /* an inbound grant is no more */
    MESSAGE_DIRECT_FILTERS_UPDATED, /* of all inbound grants for a resource */
    MESSAGE_CLIENT_CANDIDATES_ADDED,
    MESSAGE_CLIENT_CANDIDATES_REMOVED,
    MESSAGE_CLIENT_CANDIDATES_UNDELIVERED, /* ours did not reach the other client */
    MESSAGE_DOMAIN_RESOLVED,
    MESSAGE_DOMAIN_FAILED,
    MESSAGE_OBSOLETE /* known, and of no consequence */
};

/* At most one of the two lists has elements; none: the system's own resolvers. */
struct message_interface {
    struct ip_addr ipv4, ipv6;
    const char *search_domain; /* NULL: none */
    struct ip_addr do53[MESSAGE_UPSTREAMS_MAX];
    unsigned do53_n;
    const char *doh[MESSAGE_UPSTREAMS_MAX]; /* https URLs */
    unsigned doh_n;
};

struct message_relay {
    struct uuid id;
    struct sock_addr addr;
    const char *username, *password; /* long-term credentials, realm "firezone" */
    int64_t expires_at;              /* Unix seconds */
};

/* Each member says which kinds have it; it is zero in all others. Lists are read with the functions named *_at. */
struct message {
    enum message_kind kind;

    struct message_interface interface_; /* INIT, CONFIG_CHANGED */
    const json_t *resources;             /* INIT */
    const json_t *grants;                /* INIT: the inbound ones, all that there are */
    const json_t *relays;                /* INIT, RELAYS_PRESENCE */
    const json_t *gone;                  /* RELAYS_PRESENCE: ids of relays */

    struct message_resource resource;           /* RESOURCE_UPSERTED */
    struct message_authorization authorization; /* AUTHORIZATION_CREATED */
    struct message_direct direct;               /* DIRECT_AUTHORIZED */

    /* RESOURCE_DELETED, AUTHORIZATION_FAILED, DOMAIN_*, DIRECT_* but AUTHORIZED; nil in DENIED: not told */
    struct uuid resource_id;
    struct uuid gateway; /* CANDIDATES_* */
    struct uuid client;  /* CLIENT_CANDIDATES_*, DIRECT_REVOKED, DIRECT_DENIED; nil: not told */
    const json_t *candidates;  /* CANDIDATES_*, CLIENT_CANDIDATES_ADDED, _REMOVED: texts */
    const json_t *filters;     /* DIRECT_FILTERS_UPDATED; empty: everything is allowed */
    const char *domain;        /* DOMAIN_* */
    struct ip_addr ipv4, ipv6; /* DOMAIN_RESOLVED, DIRECT_DENIED; of ADDR_NONE: not told */

    /* AUTHORIZATION_FAILED, DOMAIN_FAILED, DIRECT_DENIED, CLIENT_CANDIDATES_UNDELIVERED */
    enum message_fail_reason reason;
    const json_t *violated; /* AUTHORIZATION_FAILED: names of properties, texts */
};

/* False: something needed is missing or of another type, `f->why` says what; the message is to be dropped, with a warning. */
bool message_read(struct message *m, const char *name, const json_t *payload, struct fields *f);
void message_wipe(struct message *m);

/*
 * Element `i` of a list of the message. False: it is to be skipped; `f->failed` tells those that are wrong from those that
 * are only of no interest here (a relay without TURN, a resource of another kind).
 */
bool message_resource_at(struct message_resource *r, const json_t *list, size_t i,
                         struct fields *f);
bool message_relay_at(struct message_relay *r, const json_t *list, size_t i, struct fields *f);
bool message_uuid_at(struct uuid *u, const json_t *list, size_t i, struct fields *f);
/* NULL: not a text. */
const char *message_text_at(const json_t *list, size_t i);

#endif
