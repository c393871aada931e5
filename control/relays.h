/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relays that the portal offers: per relay one or two addresses and the credentials for them. Control role.
 * Source: spec/portal.md 6 and 7.1.
 */
#ifndef FZ_CONTROL_RELAYS_H
#define FZ_CONTROL_RELAYS_H

#include <stdbool.h>

#include "control/portal/messages.h"

enum {
    RELAYS_MAX = 8, /* the portal gives two */
    RELAY_CREDENTIAL_MAX = 127
};

struct relay {
    struct uuid id;
    struct sock_addr v4, v6; /* family ADDR_NONE: none */
    char username[RELAY_CREDENTIAL_MAX + 1];
    char password[RELAY_CREDENTIAL_MAX + 1];
    int64_t expires_at; /* Unix seconds */
};

enum relay_change {
    RELAY_ADDED,
    RELAY_CHANGED,
    RELAY_REMOVED
};

typedef void (*relay_changed)(void *arg, enum relay_change change, const struct relay *r);

struct relays {
    struct relay list[RELAYS_MAX];
    unsigned n;
    relay_changed changed;
    void *arg;
};

void relays_init(struct relays *s, relay_changed changed, void *arg);
/* Wipes the credentials; reports nothing. */
void relays_fini(struct relays *s);

/*
 * The elements of a `relays` list: both addresses of a relay are one relay, others stay unless there is
 * no room. An element that is wrong is skipped with a warning.
 */
void relays_upsert(struct relays *s, const json_t *list);
/* Whether a `relays` list has it. */
bool relays_named(const json_t *list, const struct uuid *id);
/* The ids of a `disconnected_ids` list. */
void relays_remove(struct relays *s, const json_t *ids);

#endif
