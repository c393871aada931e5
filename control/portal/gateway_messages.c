/* SPDX-License-Identifier: Apache-2.0 */
/* See gateway_messages.h. */
#include "control/portal/gateway_messages.h"

#include <string.h>

#include "platform/base/bytes.h"

static void read_init(struct gateway_message *m, const json_t *payload, struct fields *f)
{
    const json_t *addresses = fields_object(f, payload, "interface");
    struct fields_mark mark = fields_enter(f, "interface", -1);
    m->ipv4 = fields_ip(f, addresses, "ipv4", ADDR_V4);
    m->ipv6 = fields_ip(f, addresses, "ipv6", ADDR_V6);
    fields_leave(f, mark);

    const json_t *config = fields_object_or_null(f, payload, "config");
    mark = fields_enter(f, "config", -1);
    m->masquerade_v4 = fields_bool_or(f, config, "ipv4_masquerade_enabled", true);
    m->masquerade_v6 = fields_bool_or(f, config, "ipv6_masquerade_enabled", true);
    fields_leave(f, mark);

    m->account = fields_text_or_null(f, payload, "account_slug");
    m->grants = fields_list_or_null(f, payload, "authorizations");
    m->relays = fields_list_or_null(f, payload, "relays");
}

static void read_client(struct gateway_message_client *c, const json_t *payload, struct fields *f)
{
    const json_t *object = fields_object(f, payload, "client");
    struct fields_mark mark = fields_enter(f, "client", -1);
    c->id = fields_uuid(f, object, "id");
    fields_key(f, object, "public_key", c->public_key);
    fields_key(f, object, "preshared_key", c->preshared_key);
    c->ipv4 = fields_ip(f, object, "ipv4", ADDR_V4);
    c->ipv6 = fields_ip(f, object, "ipv6", ADDR_V6);
    c->version = fields_text_or_null(f, object, "version");
    c->os_name = fields_text_or_null(f, object, "device_os_name");
    c->os_version = fields_text_or_null(f, object, "device_os_version");
    c->serial = fields_text_or_null(f, object, "device_serial");
    c->uuid = fields_text_or_null(f, object, "device_uuid");
    fields_leave(f, mark);
}

static void read_resource_of(struct message_resource *r, const json_t *payload, struct fields *f)
{
    const json_t *object = fields_object(f, payload, "resource");
    struct fields_mark mark = fields_enter(f, "resource", -1);
    resource_read_for_gateway(r, object, f);
    fields_leave(f, mark);
}

static void read_authorization(struct gateway_message *m, const json_t *payload, struct fields *f)
{
    struct gateway_message_authorization *a = &m->authorization;
    a->ref = fields_text_within(f, payload, "ref", GATEWAY_REF_MAX);
    read_resource_of(&a->resource, payload, f);
    read_client(&a->client, payload, f);
    a->client_ice = access_read_ice(payload, "client_ice_credentials", f);
    a->gateway_ice = access_read_ice(payload, "gateway_ice_credentials", f);
    a->expires_at = access_read_expiry(payload, f);
    a->subject = access_read_subject(payload, f);
    a->iceless = fields_bool_or(f, payload, "use_iceless", false);
}

static void read_rejected(struct gateway_message *m, const json_t *payload, struct fields *f)
{
    m->client = fields_uuid(f, payload, "client_id");
    m->resource_id = fields_uuid(f, payload, "resource_id");
}

/* It must be told: nobody is let in for ever because something is missing. */
static void read_expiry(struct gateway_message *m, const json_t *payload, struct fields *f)
{
    read_rejected(m, payload, f);
    m->expires_at = fields_integer(f, payload, "expires_at", 0, INT64_MAX / 2);
}

/* The payload is the resource itself. */
static void read_updated(struct gateway_message *m, const json_t *payload, struct fields *f)
{
    resource_read_for_gateway(&m->resource, payload, f);
}

static void read_candidates(struct gateway_message *m, const json_t *payload, struct fields *f)
{
    m->client = fields_uuid(f, payload, "client_id");
    m->candidates = fields_list(f, payload, "candidates");
}

static void read_relays_presence(struct gateway_message *m, const json_t *payload, struct fields *f)
{
    m->gone = fields_list(f, payload, "disconnected_ids");
    m->relays = fields_list(f, payload, "connected");
}

static const struct {
    const char *name;
    enum gateway_message_kind kind;
    void (*read)(struct gateway_message *m, const json_t *payload, struct fields *f);
} table[] = {
    {"init", GATEWAY_INIT, read_init},
    {GATEWAY_MESSAGE_AUTHORIZATION, GATEWAY_AUTHORIZATION, read_authorization},
    {"reject_access", GATEWAY_ACCESS_REJECTED, read_rejected},
    {"resource_updated", GATEWAY_RESOURCE_UPDATED, read_updated},
    {"ice_candidates", GATEWAY_CANDIDATES_ADDED, read_candidates},
    {"invalidate_ice_candidates", GATEWAY_CANDIDATES_REMOVED, read_candidates},
    {"relays_presence", GATEWAY_RELAYS_PRESENCE, read_relays_presence},
    {"access_authorization_expiry_updated", GATEWAY_EXPIRY_CHANGED, read_expiry},
};

bool gateway_message_read(struct gateway_message *m, const char *name, const json_t *payload,
                          struct fields *f)
{
    *m = (struct gateway_message){.kind = GATEWAY_UNKNOWN};
    *f = (struct fields){.failed = false};
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (strcmp(name, table[i].name) != 0)
            continue;
        m->kind = table[i].kind;
        if (table[i].read)
            table[i].read(m, payload, f);
        break;
    }
    if (f->failed)
        gateway_message_wipe(m);
    return !f->failed;
}

void gateway_message_wipe(struct gateway_message *m)
{
    secure_wipe(m->authorization.client.preshared_key,
                sizeof m->authorization.client.preshared_key);
}
