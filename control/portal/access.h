/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the portal tells a client about access to resources behind gateways: granted, refused, and the gateways' candidates;
 * with the parts that messages about direct access between clients (direct.h) and those for a gateway (gateway_messages.h) have
 * as well. All text is borrowed from the payload. Pure; control role. Source: spec/portal.md 6, 7.1 and 8.1.
 */
#ifndef FZ_CONTROL_PORTAL_ACCESS_H
#define FZ_CONTROL_PORTAL_ACCESS_H

#include "control/portal/fields.h"

#define MESSAGE_NEVER INT64_MAX /* expires_at of what does not expire */

struct message;

struct message_ice {
    const char *username, *password;
};

struct message_authorization {
    struct uuid resource, gateway, site;
    uint8_t gateway_key[KEY_LEN];
    uint8_t preshared_key[KEY_LEN]; /* wipe it: message_wipe */
    struct ip_addr gateway_ipv4, gateway_ipv6;
    struct message_ice client_ice, gateway_ice;
    bool iceless;
};

/* Who is behind the device that wants access. For people to read: each is NULL if it was not told. */
struct message_subject {
    const char *actor_id, *actor_name, *actor_email, *actor_type;
    const char *auth_provider_id;
    const char *ip, *ip_region, *ip_city;
    const char *user_agent;
};

/* Of the initial list: a client that may reach a resource through this device, or on it. */
struct message_grant {
    struct uuid client, resource;
    int64_t expires_at; /* Unix seconds, or MESSAGE_NEVER */
};

enum message_fail_reason {
    FAIL_NOT_FOUND,
    FAIL_OFFLINE,
    FAIL_VERSION_MISMATCH,
    FAIL_FORBIDDEN,
    FAIL_DISABLED,
    FAIL_AMBIGUOUS_ADDRESS,
    FAIL_MISSING_ADDRESS,
    FAIL_INVALID_ADDRESS,
    FAIL_UNKNOWN /* any other text */
};

/* Element `i` of the list of grants. False: it is wrong, `f->why` says how, and is to be skipped. */
bool message_grant_at(struct message_grant *g, const json_t *list, size_t i, struct fields *f);

/* Members of an object: `key` with a user name and a password; "reason"; "expires_at" and "subject", which may be left out. */
struct message_ice access_read_ice(const json_t *object, const char *key, struct fields *f);
enum message_fail_reason access_read_reason(const json_t *object, struct fields *f);
int64_t access_read_expiry(const json_t *object, struct fields *f);
struct message_subject access_read_subject(const json_t *object, struct fields *f);

/* Payloads, for the table of messages. */
void access_read_granted(struct message *m, const json_t *payload, struct fields *f);
void access_read_refused(struct message *m, const json_t *payload, struct fields *f);
void access_read_candidates(struct message *m, const json_t *payload, struct fields *f);

#endif
