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
                                    "other"};

static void check_fields(struct fields *f)
{
    ASSERT(f->path[0] == 0);
    ASSERT(f->failed == (f->why[0] != 0));
    *f = (struct fields){.failed = false};
}

static void check_resource(const struct message_resource *r)
{
    ASSERT(r->name && r->name[0] && r->site_name && r->site_name[0]);
    ASSERT(r->kind != RESOURCE_DNS || (r->address && r->address[0]));
    ASSERT(r->kind != RESOURCE_CIDR || r->prefix.ip.family != ADDR_NONE);
    for (size_t i = 0; i < json_array_size(r->filters); i++) {
        struct message_filter filter = message_filter_at(r->filters, i);
        ASSERT(filter.port_first <= filter.port_last && filter.protocol <= PROTOCOL_ICMP);
    }
}

static void check_lists(const struct message *m, struct fields *f)
{
    struct message_resource resource;
    struct message_relay relay;
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
    for (size_t i = 0; i < json_array_size(m->candidates); i++)
        message_text_at(m->candidates, i);
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
    if (good && (m.kind == MESSAGE_INIT || m.kind == MESSAGE_CONFIG_CHANGED))
        ASSERT(m.interface_.ipv4.family == ADDR_V4 &&
               m.interface_.do53_n * m.interface_.doh_n == 0);
    if (good && m.kind == MESSAGE_RESOURCE_UPSERTED)
        check_resource(&m.resource);
    if (good && m.kind == MESSAGE_AUTHORIZATION_CREATED)
        ASSERT(m.authorization.client_ice.username[0] && m.authorization.gateway_ice.password[0]);
    if (good)
        check_lists(&m, &f);
    message_wipe(&m);
    json_decref(payload);
    return 0;
}
