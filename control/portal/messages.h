/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the portal tells a client, as types. One table of messages; strict about what is needed, tolerant of members and
 * messages that are not known. A list of resources or relays is not copied: its elements are read one by one when they are
 * needed, so that one bad resource costs that resource only and 10,000 of them no memory. All text is borrowed from the
 * payload. Pure; control role. Source: spec/portal.md 6 and 7.1.
 */
#ifndef FZ_CONTROL_PORTAL_MESSAGES_H
#define FZ_CONTROL_PORTAL_MESSAGES_H

#include "control/portal/fields.h"

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
    MESSAGE_AUTHORIZATION_CREATED,
    MESSAGE_AUTHORIZATION_FAILED,
    MESSAGE_CANDIDATES_ADDED,
    MESSAGE_CANDIDATES_REMOVED,
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

enum message_resource_kind {
    RESOURCE_DNS,
    RESOURCE_CIDR,
    RESOURCE_INTERNET
};

enum message_ip_stack {
    IP_STACK_DUAL,
    IP_STACK_V4,
    IP_STACK_V6
};

enum message_protocol {
    PROTOCOL_TCP,
    PROTOCOL_UDP,
    PROTOCOL_ICMP
};

struct message_filter {
    enum message_protocol protocol;
    uint16_t port_first, port_last; /* inclusive; of TCP and UDP */
};

struct message_resource {
    enum message_resource_kind kind;
    struct uuid id;
    const char *name;        /* "Internet Resource" for that one */
    const char *address;     /* RESOURCE_DNS: a name or pattern */
    struct ip_prefix prefix; /* RESOURCE_CIDR */
    const char *description; /* NULL: none */
    enum message_ip_stack ip_stack;
    bool can_be_disabled;  /* RESOURCE_INTERNET */
    const json_t *filters; /* for message_filter; none: everything is allowed */
    struct uuid site;
    const char *site_name;
};

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
    FAIL_UNKNOWN /* any other text */
};

struct message {
    enum message_kind kind;
    struct message_interface interface_; /* INIT, CONFIG_CHANGED */
    const json_t *resources, *relays;    /* INIT; relays of RELAYS_PRESENCE as well */
    const json_t *gone;                  /* RELAYS_PRESENCE: ids of relays, for message_uuid */
    struct message_resource resource;    /* RESOURCE_UPSERTED */
    struct uuid resource_id;             /* RESOURCE_DELETED, AUTHORIZATION_FAILED */
    struct message_authorization authorization;
    enum message_fail_reason reason; /* AUTHORIZATION_FAILED */
    struct uuid gateway;             /* CANDIDATES_* */
    const json_t *candidates;        /* CANDIDATES_*, for message_text */
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
/* Of a resource that was read without an error. */
struct message_filter message_filter_at(const json_t *filters, size_t i);

#endif
