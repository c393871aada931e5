/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resources as the portal describes them to a client and to a gateway, with what they allow and, of a device pool, its devices. What a
 * resource needs is checked when it is read, filters and devices included; these lists are not copied, their elements are
 * taken out one by one. All text is borrowed from the payload. Pure; control role. Source: spec/portal.md 6.
 */
#ifndef FZ_CONTROL_PORTAL_RESOURCE_H
#define FZ_CONTROL_PORTAL_RESOURCE_H

#include "control/portal/fields.h"

enum message_resource_kind {
    RESOURCE_DNS,
    RESOURCE_CIDR,
    RESOURCE_INTERNET,
    RESOURCE_STATIC_POOL, /* other clients, by their addresses */
    RESOURCE_DYNAMIC_POOL /* other clients, by names that the portal resolves */
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

struct message_device {
    struct uuid client;
    struct ip_addr ipv4, ipv6;
};

struct message_resource {
    enum message_resource_kind kind;
    struct uuid id;
    const char *name;        /* "Internet Resource" for that one */
    const char *address;     /* RESOURCE_DNS, RESOURCE_DYNAMIC_POOL: a name or pattern */
    struct ip_prefix prefix; /* RESOURCE_CIDR */
    const char *description; /* NULL: none */
    enum message_ip_stack ip_stack;
    bool can_be_disabled;  /* RESOURCE_INTERNET */
    const json_t *filters; /* for message_filter_at; none: everything is allowed */
    const json_t *devices; /* RESOURCE_STATIC_POOL, for message_device_at */
    struct uuid site;      /* nil: a pool, which has none */
    const char *site_name; /* NULL: likewise */
};

/* False: it is to be skipped; `f->failed` tells one that is wrong from one of a kind that is not known. */
bool resource_read(struct message_resource *r, const json_t *object, struct fields *f);

/*
 * As a gateway is told, which is less: RESOURCE_DNS and RESOURCE_CIDR with name, address and filters, RESOURCE_INTERNET with its id;
 * there is no site. Filters that are missing would open everything. False: it is wrong, any other kind included.
 */
bool resource_read_for_gateway(struct message_resource *r, const json_t *object, struct fields *f);

/* Member "filters" of an object that may leave it out, or of one that must not; NULL if it failed. */
const json_t *resource_read_filters_or_null(const json_t *object, struct fields *f);
const json_t *resource_read_filters(const json_t *object, struct fields *f);

/* Element `i` of what was read without an error. */
struct message_filter message_filter_at(const json_t *filters, size_t i);
struct message_device message_device_at(const json_t *devices, size_t i);

#endif
