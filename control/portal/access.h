/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the portal tells a client about access to resources behind gateways: granted, refused, and the gateways' candidates;
 * with the parts that messages about direct access between clients (direct.h) have as well.
 * All text is borrowed from the payload. Pure; control role. Source: spec/portal.md 6 and 7.1.
 */
#ifndef FZ_CONTROL_PORTAL_ACCESS_H
#define FZ_CONTROL_PORTAL_ACCESS_H

#include "control/portal/fields.h"

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

/* Members of an object: `key` with a user name and a password; "reason". */
struct message_ice access_read_ice(const json_t *object, const char *key, struct fields *f);
enum message_fail_reason access_read_reason(const json_t *object, struct fields *f);

/* Payloads, for the table of messages. */
void access_read_granted(struct message *m, const json_t *payload, struct fields *f);
void access_read_refused(struct message *m, const json_t *payload, struct fields *f);
void access_read_candidates(struct message *m, const json_t *payload, struct fields *f);

#endif
