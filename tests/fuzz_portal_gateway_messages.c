/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzer of the messages for a gateway. Whatever the payload is, a refused one has a reason and no secret, an accepted one has
 * all that was promised, and reading leaves the path where it was. Input: the number of a message, then its payload as JSON.
 */
#include "control/portal/gateway_messages.h"

#include "control/portal/messages.h"
#include "platform/base/bytes.h"
#include "platform/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"init",
                                    "create_authorization",
                                    "reject_access",
                                    "resource_updated",
                                    "ice_candidates",
                                    "invalidate_ice_candidates",
                                    "relays_presence",
                                    "access_authorization_expiry_updated",
                                    "other"};

static void check_fields(struct fields *f)
{
    ASSERT(f->path[0] == 0);
    ASSERT(f->failed == (f->why[0] != 0));
    *f = (struct fields){.failed = false};
}

/* Without filters in the message only what has none by its kind is open. */
static void check_resource(const struct message_resource *r)
{
    ASSERT(r->kind == RESOURCE_DNS || r->kind == RESOURCE_CIDR || r->kind == RESOURCE_INTERNET);
    ASSERT(r->name[0]);
    ASSERT((r->kind == RESOURCE_DNS) == (r->address && r->address[0]));
    ASSERT((r->kind == RESOURCE_CIDR) == (r->prefix.ip.family != ADDR_NONE));
    ASSERT((r->kind == RESOURCE_INTERNET) == !r->filters);
    for (size_t i = 0; i < json_array_size(r->filters); i++) {
        struct message_filter filter = message_filter_at(r->filters, i);
        ASSERT(filter.port_first <= filter.port_last && filter.protocol <= PROTOCOL_ICMP);
    }
}

static void check_authorization(const struct gateway_message_authorization *a)
{
    ASSERT(a->ref[0]);
    check_resource(&a->resource);
    ASSERT(a->client.ipv4.family == ADDR_V4 && a->client.ipv6.family == ADDR_V6);
    ASSERT(a->client_ice.username[0] && a->client_ice.password[0]);
    ASSERT(a->gateway_ice.username[0] && a->gateway_ice.password[0]);
    ASSERT(a->expires_at >= 0);
}

static void check_lists(const struct gateway_message *m, struct fields *f)
{
    struct message_relay relay;
    struct message_grant grant;
    struct uuid id;

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
}

static void check_message(const struct gateway_message *m)
{
    if (m->kind == GATEWAY_INIT)
        ASSERT(m->ipv4.family == ADDR_V4 && m->ipv6.family == ADDR_V6);
    if (m->kind == GATEWAY_AUTHORIZATION)
        check_authorization(&m->authorization);
    if (m->kind == GATEWAY_RESOURCE_UPDATED)
        check_resource(&m->resource);
    if (m->kind == GATEWAY_CANDIDATES_ADDED || m->kind == GATEWAY_CANDIDATES_REMOVED)
        ASSERT(m->candidates);
    if (m->kind == GATEWAY_EXPIRY_CHANGED)
        ASSERT(m->expires_at >= 0 && m->expires_at < MESSAGE_NEVER);
    if (m->kind == GATEWAY_RELAYS_PRESENCE)
        ASSERT(m->relays && m->gone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gateway_message m;
    struct fields f;

    if (size == 0)
        return 0;
    json_t *payload = json_loadb((const char *)data + 1, size - 1, JSON_DECODE_ANY, NULL);
    if (!payload)
        return 0;
    bool good = gateway_message_read(&m, names[data[0] % ARRAY_LEN(names)], payload, &f);
    ASSERT(good == !f.failed);
    ASSERT(good || ct_is_zero(m.authorization.client.preshared_key, KEY_LEN));
    check_fields(&f);
    if (good)
        check_message(&m);
    if (good)
        check_lists(&m, &f);
    gateway_message_wipe(&m);
    json_decref(payload);
    return 0;
}
