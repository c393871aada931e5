/* SPDX-License-Identifier: Apache-2.0 */
/* See messages.h. */
#include "control/portal/messages.h"

#include <string.h>

#include "platform/base/bytes.h"

/* ---- the interface ---- */

static void read_do53(struct message_interface *m, const json_t *object, struct fields *f)
{
    const json_t *list = fields_list_or_null(f, object, "upstream_do53");
    for (size_t i = 0; i < json_array_size(list) && m->do53_n < MESSAGE_UPSTREAMS_MAX; i++) {
        struct fields_mark mark = fields_enter(f, "upstream_do53", (int)i);
        m->do53[m->do53_n++] = fields_ip(f, fields_element(f, list, i), "ip", ADDR_NONE);
        fields_leave(f, mark);
    }
}

static void read_doh(struct message_interface *m, const json_t *object, struct fields *f)
{
    const json_t *list = fields_list_or_null(f, object, "upstream_doh");
    for (size_t i = 0; i < json_array_size(list) && m->doh_n < MESSAGE_UPSTREAMS_MAX; i++) {
        struct fields_mark mark = fields_enter(f, "upstream_doh", (int)i);
        const char *url = fields_text(f, fields_element(f, list, i), "url");
        if (!f->failed && strncmp(url, "https://", 8) != 0)
            fields_fail(f, "url", "does not begin with https://");
        m->doh[m->doh_n++] = url;
        fields_leave(f, mark);
    }
}

/* The older spelling: only the address counts, the port is always 53. */
static void read_upstream_dns(struct message_interface *m, const json_t *object, struct fields *f)
{
    const json_t *list = fields_list_or_null(f, object, "upstream_dns");
    for (size_t i = 0; i < json_array_size(list) && m->do53_n < MESSAGE_UPSTREAMS_MAX; i++) {
        struct fields_mark mark = fields_enter(f, "upstream_dns", (int)i);
        m->do53[m->do53_n++] = fields_sock_addr(f, fields_element(f, list, i), "address").ip;
        fields_leave(f, mark);
    }
}

static void read_interface(struct message_interface *m, const json_t *payload, struct fields *f)
{
    const json_t *object = fields_object(f, payload, "interface");
    struct fields_mark mark = fields_enter(f, "interface", -1);

    m->ipv4 = fields_ip(f, object, "ipv4", ADDR_V4);
    m->ipv6 = fields_ip(f, object, "ipv6", ADDR_V6);
    m->search_domain = fields_text_or_null(f, object, "search_domain");
    read_do53(m, object, f);
    read_doh(m, object, f);
    if (m->do53_n == 0 && m->doh_n == 0)
        read_upstream_dns(m, object, f);
    if (m->do53_n > 0)
        m->doh_n = 0;
    fields_leave(f, mark);
}

/* ---- lists ---- */

bool message_resource_at(struct message_resource *r, const json_t *list, size_t i, struct fields *f)
{
    struct fields_mark mark = fields_enter(f, "resources", (int)i);
    const json_t *object = fields_element(f, list, i);
    bool good = object && resource_read(r, object, f);
    fields_leave(f, mark);
    return good;
}

bool message_relay_at(struct message_relay *r, const json_t *list, size_t i, struct fields *f)
{
    struct fields_mark mark = fields_enter(f, "relays", (int)i);
    const json_t *object = fields_element(f, list, i);
    bool turn = strcmp(fields_text(f, object, "type"), "turn") == 0;

    *r = (struct message_relay){.expires_at = 0};
    if (turn) {
        r->id = fields_uuid(f, object, "id");
        r->addr = fields_sock_addr(f, object, "addr");
        r->username = fields_text(f, object, "username");
        r->password = fields_text(f, object, "password");
        r->expires_at = fields_integer(f, object, "expires_at", 0, INT64_MAX / 2);
    }
    fields_leave(f, mark);
    return turn && !f->failed;
}

const char *message_text_at(const json_t *list, size_t i)
{
    return json_string_value(json_array_get(list, i));
}

bool message_uuid_at(struct uuid *u, const json_t *list, size_t i, struct fields *f)
{
    const char *text = message_text_at(list, i);
    if (text && uuid_parse(u, text))
        return true;
    struct fields_mark mark = fields_enter(f, "disconnected_ids", (int)i);
    fields_fail(f, NULL, "not a UUID");
    fields_leave(f, mark);
    return false;
}

/* ---- messages ---- */

static void read_init(struct message *m, const json_t *payload, struct fields *f)
{
    read_interface(&m->interface_, payload, f);
    m->resources = fields_list_or_null(f, payload, "resources");
    m->relays = fields_list_or_null(f, payload, "relays");
    m->grants = fields_list_or_null(f, payload, "authorizations");
}

static void read_config_changed(struct message *m, const json_t *payload, struct fields *f)
{
    read_interface(&m->interface_, payload, f);
}

static void read_upserted(struct message *m, const json_t *payload, struct fields *f)
{
    if (!resource_read(&m->resource, payload, f) && !f->failed)
        m->kind = MESSAGE_UNKNOWN; /* another kind of resource */
}

/* The payload is the id itself. */
static void read_deleted(struct message *m, const json_t *payload, struct fields *f)
{
    const char *text = json_string_value(payload);
    if (!text || !uuid_parse(&m->resource_id, text))
        fields_fail(f, NULL, "not a UUID");
}

static void read_relays_presence(struct message *m, const json_t *payload, struct fields *f)
{
    m->gone = fields_list(f, payload, "disconnected_ids");
    m->relays = fields_list(f, payload, "connected");
}

static const struct {
    const char *name;
    enum message_kind kind;
    void (*read)(struct message *m, const json_t *payload, struct fields *f);
} table[] = {
    {"init", MESSAGE_INIT, read_init},
    {"config_changed", MESSAGE_CONFIG_CHANGED, read_config_changed},
    {"resource_created_or_updated", MESSAGE_RESOURCE_UPSERTED, read_upserted},
    {"resource_deleted", MESSAGE_RESOURCE_DELETED, read_deleted},
    {"relays_presence", MESSAGE_RELAYS_PRESENCE, read_relays_presence},
    {"authorization_created", MESSAGE_AUTHORIZATION_CREATED, access_read_granted},
    {"authorization_creation_failed", MESSAGE_AUTHORIZATION_FAILED, access_read_refused},
    {"ice_candidates", MESSAGE_CANDIDATES_ADDED, access_read_candidates},
    {"gateway_ice_candidates", MESSAGE_CANDIDATES_ADDED, access_read_candidates},
    {"invalidate_ice_candidates", MESSAGE_CANDIDATES_REMOVED, access_read_candidates},
    {"invalidate_gateway_ice_candidates", MESSAGE_CANDIDATES_REMOVED, access_read_candidates},
    {"client_device_access_authorized", MESSAGE_DIRECT_AUTHORIZED, direct_read_granted},
    {"client_device_access_denied", MESSAGE_DIRECT_DENIED, direct_read_refused},
    {"reject_access", MESSAGE_DIRECT_REVOKED, direct_read_revoked},
    {"resource_filters_updated", MESSAGE_DIRECT_FILTERS_UPDATED, direct_read_filters},
    {"client_ice_candidates", MESSAGE_CLIENT_CANDIDATES_ADDED, direct_read_candidates},
    {"invalidate_client_ice_candidates", MESSAGE_CLIENT_CANDIDATES_REMOVED, direct_read_candidates},
    {"client_ice_candidate_error", MESSAGE_CLIENT_CANDIDATES_UNDELIVERED, direct_read_undelivered},
    {"device_pool_domain_resolved", MESSAGE_DOMAIN_RESOLVED, direct_read_resolved},
    {"device_pool_domain_resolution_failed", MESSAGE_DOMAIN_FAILED, direct_read_unresolved},
    {"access_authorization_expiry_updated", MESSAGE_OBSOLETE, NULL},
};

bool message_read(struct message *m, const char *name, const json_t *payload, struct fields *f)
{
    *m = (struct message){.kind = MESSAGE_UNKNOWN};
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
        message_wipe(m);
    return !f->failed;
}

void message_wipe(struct message *m)
{
    secure_wipe(m->authorization.preshared_key, sizeof m->authorization.preshared_key);
    secure_wipe(m->direct.preshared_key, sizeof m->direct.preshared_key);
}
