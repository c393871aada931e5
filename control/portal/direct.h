/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the portal tells a client about direct access between clients. One of the two asked (the initiator); the other (the
 * target) lets it in, as far as filters allow and until the grant expires or is revoked.
 * All text is borrowed from the payload. Pure; control role. Source: spec/portal.md 6 and 7.1.
 */
#ifndef FZ_CONTROL_PORTAL_DIRECT_H
#define FZ_CONTROL_PORTAL_DIRECT_H

#include "control/portal/access.h"

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
