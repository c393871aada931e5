/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the portal's messages. Whatever the payload is, a refused one has a reason, an accepted one has all that was
 * promised, and reading leaves the path where it was. Input: the number of a message, then its payload as JSON.
 */
#include "control/portal/messages.h"

#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"init",
                                    "config_changed",
                                    "resource_created_or_updated",
                                    "resource_deleted",
                                    "relays_presence",
                                    "authorization_created",
                                    "authorization_creation_failed",
                                    "ice_candidates",
                                    "invalidate_gateway_ice_candidates",
                                    "other",
                                    "client_device_access_authorized",
                                    "client_device_access_denied",
                                    "reject_access",
                                    "resource_filters_updated",
                                    "client_ice_candidates",
                                    "client_ice_candidate_error",
                                    "device_pool_domain_resolved",
                                    "device_pool_domain_resolution_failed"};

static void check_fields(struct fields *f)
{
    ASSERT(f->path[0] == 0);
    ASSERT(f->failed == (f->why[0] != 0));
    *f = (struct fields){.failed = false};
}

static void check_filters(const json_t *filters)
{
    for (size_t i = 0; i < json_array_size(filters); i++) {
        struct message_filter filter = message_filter_at(filters, i);
        ASSERT(filter.port_first <= filter.port_last && filter.protocol <= PROTOCOL_ICMP);
    }
}

static void check_resource(const struct message_resource *r)
{
    bool pool = r->kind == RESOURCE_STATIC_POOL || r->kind == RESOURCE_DYNAMIC_POOL;
    bool named = r->kind == RESOURCE_DNS || r->kind == RESOURCE_DYNAMIC_POOL;

    ASSERT(r->name && r->name[0]);
    ASSERT(pool == !r->site_name && (pool || r->site_name[0]));
    ASSERT(named == (r->address && r->address[0]));
    ASSERT((r->kind == RESOURCE_CIDR) == (r->prefix.ip.family != ADDR_NONE));
    ASSERT(r->kind == RESOURCE_STATIC_POOL || !r->devices);
    check_filters(r->filters);
    for (size_t i = 0; i < json_array_size(r->devices); i++) {
        struct message_device device = message_device_at(r->devices, i);
        ASSERT(device.ipv4.family == ADDR_V4 && device.ipv6.family == ADDR_V6);
    }
}

static void check_direct(const struct message_direct *d)
{
    ASSERT(d->client_ipv4.family == ADDR_V4 && d->client_ipv6.family == ADDR_V6);
    ASSERT(d->local_ice.username[0] && d->local_ice.password[0]);
    ASSERT(d->remote_ice.username[0] && d->remote_ice.password[0]);
    ASSERT(d->inbound == (d->filters != NULL));
    ASSERT(!d->inbound || d->expires_at >= 0);
    check_filters(d->filters);
}

static void check_lists(const struct message *m, struct fields *f)
{
    struct message_resource resource;
    struct message_relay relay;
    struct message_grant grant;
    struct uuid id;

    for (size_t i = 0; i < json_array_size(m->resources); i++) {
        bool good = message_resource_at(&resource, m->resources, i, f);
        ASSERT(!good || !f->failed);
        if (good)
            check_resource(&resource);
        check_fields(f);
    }
    for (size_t i = 0; i < json_array_size(m->relays); i++) {
        if (message_relay_at(&relay, m->relays, i, f))
            ASSERT(relay.username[0] && relay.password[0] && relay.addr.port != 0);
        check_fields(f);
    }
    for (size_t i = 0; i < json_array_size(m->gone); i++) {
        message_uuid_at(&id, m->gone, i, f);
        check_fields(f);
    }
    for (size_t i = 0; i < json_array_size(m->grants); i++) {
        bool good = message_grant_at(&grant, m->grants, i, f);
        ASSERT(good == !f->failed && (!good || grant.expires_at >= 0));
        check_fields(f);
    }
    for (size_t i = 0; i < json_array_size(m->candidates); i++)
        message_text_at(m->candidates, i);
    for (size_t i = 0; i < json_array_size(m->violated); i++)
        message_text_at(m->violated, i);
    check_filters(m->filters);
}

static void check_message(const struct message *m)
{
    if (m->kind == MESSAGE_INIT || m->kind == MESSAGE_CONFIG_CHANGED)
        ASSERT(m->interface_.ipv4.family == ADDR_V4 &&
               m->interface_.do53_n * m->interface_.doh_n == 0);
    if (m->kind == MESSAGE_RESOURCE_UPSERTED)
        check_resource(&m->resource);
    if (m->kind == MESSAGE_AUTHORIZATION_CREATED)
        ASSERT(m->authorization.client_ice.username[0] && m->authorization.gateway_ice.password[0]);
    if (m->kind == MESSAGE_DIRECT_AUTHORIZED)
        check_direct(&m->direct);
    if (m->kind == MESSAGE_DIRECT_FILTERS_UPDATED)
        ASSERT(m->filters);
    if (m->kind == MESSAGE_DOMAIN_RESOLVED)
        ASSERT(m->domain[0] && m->ipv4.family == ADDR_V4 && m->ipv6.family == ADDR_V6);
    ASSERT(m->reason <= FAIL_UNKNOWN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct message m;
    struct fields f;

    if (size == 0)
        return 0;
    json_t *payload = json_loadb((const char *)data + 1, size - 1, JSON_DECODE_ANY, NULL);
    if (!payload)
        return 0;
    bool good = message_read(&m, names[data[0] % ARRAY_LEN(names)], payload, &f);
    ASSERT(good == !f.failed);
    check_fields(&f);
    if (good)
        check_message(&m);
    if (good)
        check_lists(&m, &f);
    message_wipe(&m);
    json_decref(payload);
    return 0;
}
