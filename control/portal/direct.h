/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the portal tells a client about direct access between clients. One of the two asked (the initiator); the other (the
 * target) lets it in, as far as filters allow and until the grant expires or is revoked.
 * All text is borrowed from the payload. Pure; control role. Source: spec/portal.md 6, 7.1 and 8.1.
 */
#ifndef FZ_CONTROL_PORTAL_DIRECT_H
#define FZ_CONTROL_PORTAL_DIRECT_H

#include "control/portal/access.h"

#define MESSAGE_NEVER INT64_MAX /* expires_at of what does not expire */

/* Who is behind the initiator. For people to read: each is NULL if it was not told. */
struct message_subject {
    const char *actor_id, *actor_name, *actor_email, *actor_type;
    const char *auth_provider_id;
    const char *ip, *ip_region, *ip_city;
    const char *user_agent;
};

struct message_direct {
    struct uuid client;      /* the other one, here and below */
    const char *client_name; /* NULL: not told */
    uint8_t client_key[KEY_LEN];
    uint8_t preshared_key[KEY_LEN]; /* wipe it: message_wipe */
    struct ip_addr client_ipv4, client_ipv6;
    struct message_ice local_ice, remote_ice;
    bool controlling; /* the role of this side in ICE */
    bool iceless;
    bool inbound; /* this client is the target; what follows is set only then */
    struct uuid resource;
    const json_t *filters; /* for message_filter_at; empty: everything is allowed */
    int64_t expires_at;    /* Unix seconds, or MESSAGE_NEVER */
    struct message_subject subject;
};

/* Of the initial list: a client that may reach this one. */
struct message_grant {
    struct uuid client, resource;
    int64_t expires_at; /* Unix seconds, or MESSAGE_NEVER */
};

/* Element `i` of the list of grants. False: it is wrong, `f->why` says how, and is to be skipped. */
bool message_grant_at(struct message_grant *g, const json_t *list, size_t i, struct fields *f);

/* Payloads, for the table of messages. */
void direct_read_granted(struct message *m, const json_t *payload, struct fields *f);
void direct_read_refused(struct message *m, const json_t *payload, struct fields *f);
void direct_read_revoked(struct message *m, const json_t *payload, struct fields *f);
void direct_read_filters(struct message *m, const json_t *payload, struct fields *f);
void direct_read_candidates(struct message *m, const json_t *payload, struct fields *f);
void direct_read_undelivered(struct message *m, const json_t *payload, struct fields *f);
void direct_read_resolved(struct message *m, const json_t *payload, struct fields *f);
void direct_read_unresolved(struct message *m, const json_t *payload, struct fields *f);

#endif
