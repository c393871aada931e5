/* SPDX-License-Identifier: Apache-2.0 */
/* See messages.h. */
#include "control/portal/messages.h"

#include <string.h>

#include "platform/base/bytes.h"

/* ---- parts ---- */

static const json_t *list_object(struct fields *f, const json_t *list, size_t i)
{
    const json_t *value = json_array_get(list, i);
    if (!json_is_object(value))
        fields_fail(f, NULL, "not an object");
    return f->failed ? NULL : value;
}

static void read_do53(struct message_interface *m, const json_t *object, struct fields *f)
{
    const json_t *list = fields_list(f, object, "upstream_do53");
    for (size_t i = 0; i < json_array_size(list) && m->do53_n < MESSAGE_UPSTREAMS_MAX; i++) {
        struct fields_mark mark = fields_enter(f, "upstream_do53", (int)i);
        m->do53[m->do53_n++] = fields_ip(f, list_object(f, list, i), "ip", ADDR_NONE);
        fields_leave(f, mark);
    }
}

static void read_doh(struct message_interface *m, const json_t *object, struct fields *f)
{
    const json_t *list = fields_list(f, object, "upstream_doh");
    for (size_t i = 0; i < json_array_size(list) && m->doh_n < MESSAGE_UPSTREAMS_MAX; i++) {
        struct fields_mark mark = fields_enter(f, "upstream_doh", (int)i);
        const char *url = fields_text(f, list_object(f, list, i), "url");
        if (!f->failed && strncmp(url, "https://", 8) != 0)
            fields_fail(f, "url", "does not begin with https://");
        m->doh[m->doh_n++] = url;
        fields_leave(f, mark);
    }
}

/* The older spelling: only the address counts, the port is always 53. */
static void read_upstream_dns(struct message_interface *m, const json_t *object, struct fields *f)
{
    const json_t *list = fields_list(f, object, "upstream_dns");
    for (size_t i = 0; i < json_array_size(list) && m->do53_n < MESSAGE_UPSTREAMS_MAX; i++) {
        struct fields_mark mark = fields_enter(f, "upstream_dns", (int)i);
        m->do53[m->do53_n++] = fields_sock_addr(f, list_object(f, list, i), "address").ip;
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

static void read_ice(struct message_ice *m, const json_t *payload, const char *key,
                     struct fields *f)
{
    const json_t *object = fields_object(f, payload, key);
    struct fields_mark mark = fields_enter(f, key, -1);
    m->username = fields_text(f, object, "username");
    m->password = fields_text(f, object, "password");
    fields_leave(f, mark);
}

/* The name of the member in current portals, or in older ones. */
static const char *either(const json_t *object, const char *current, const char *older)
{
    return json_object_get(object, current) || !json_object_get(object, older) ? current : older;
}

/* ---- filters ---- */

static const char *const protocols[] = {
    [PROTOCOL_TCP] = "tcp", [PROTOCOL_UDP] = "udp", [PROTOCOL_ICMP] = "icmp"};

static uint16_t read_port(struct fields *f, const json_t *object, const char *key, uint16_t absent)
{
    if (!json_object_get(object, key) || json_is_null(json_object_get(object, key)))
        return absent;
    return (uint16_t)fields_integer(f, object, key, 0, UINT16_MAX);
}

static struct message_filter read_filter(const json_t *object, struct fields *f)
{
    const char *protocol = fields_text(f, object, "protocol");
    struct message_filter m = {.protocol = PROTOCOL_TCP};
    unsigned i = 0;

    while (i < ARRAY_LEN(protocols) && strcmp(protocol, protocols[i]) != 0)
        i++;
    if (i == ARRAY_LEN(protocols))
        fields_fail(f, "protocol", "not known");
    else
        m.protocol = (enum message_protocol)i;
    m.port_first = read_port(f, object, "port_range_start", 0);
    m.port_last = read_port(f, object, "port_range_end", UINT16_MAX);
    if (m.port_first > m.port_last)
        fields_fail(f, "port_range_end", "lies before port_range_start");
    return m;
}

static const json_t *read_filters(const json_t *object, struct fields *f)
{
    const json_t *list = fields_list(f, object, "filters");
    for (size_t i = 0; i < json_array_size(list) && !f->failed; i++) {
        struct fields_mark mark = fields_enter(f, "filters", (int)i);
        read_filter(list_object(f, list, i), f);
        fields_leave(f, mark);
    }
    return list;
}

struct message_filter message_filter_at(const json_t *filters, size_t i)
{
    struct fields f = {.failed = false};
    return read_filter(json_array_get(filters, i), &f);
}

/* ---- resources ---- */

static void read_site(struct message_resource *r, const json_t *object, struct fields *f)
{
    const char *key = either(object, "sites", "gateway_groups");
    const json_t *list = fields_list(f, object, key);
    struct fields_mark mark = fields_enter(f, key, 0);
    const json_t *site = list_object(f, list, 0); /* there is one; the list is historical */
    r->site = fields_uuid(f, site, "id");
    r->site_name = fields_text(f, site, "name");
    fields_leave(f, mark);
}

static enum message_ip_stack read_ip_stack(const json_t *object, struct fields *f)
{
    const char *text = fields_text_or_null(f, object, "ip_stack");
    if (!text || strcmp(text, "dual") == 0)
        return IP_STACK_DUAL;
    if (strcmp(text, "ipv4_only") == 0)
        return IP_STACK_V4;
    if (strcmp(text, "ipv6_only") != 0)
        fields_fail(f, "ip_stack", "not known");
    return IP_STACK_V6;
}

/* False: of a kind that is not known. */
static bool read_resource_kind(struct message_resource *r, const json_t *object, struct fields *f)
{
    static const char *const kinds[] = {
        [RESOURCE_DNS] = "dns", [RESOURCE_CIDR] = "cidr", [RESOURCE_INTERNET] = "internet"};
    const char *type = fields_text(f, object, "type");
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(type, kinds[i]) == 0) {
            r->kind = (enum message_resource_kind)i;
            return true;
        }
    }
    return false;
}

static bool read_resource(struct message_resource *r, const json_t *object, struct fields *f)
{
    *r = (struct message_resource){.kind = RESOURCE_DNS};
    if (!read_resource_kind(r, object, f))
        return false;
    r->id = fields_uuid(f, object, "id");
    read_site(r, object, f);
    if (r->kind == RESOURCE_INTERNET) {
        r->name = "Internet Resource";
        r->can_be_disabled = fields_bool_or(f, object, "can_be_disabled", false);
        return !f->failed;
    }
    r->name = fields_text(f, object, "name");
    r->description = fields_text_or_null(f, object, "address_description");
    r->filters = read_filters(object, f);
    if (r->kind == RESOURCE_DNS) {
        r->address = fields_text(f, object, "address");
        r->ip_stack = read_ip_stack(object, f);
    } else {
        r->prefix = fields_prefix(f, object, "address");
    }
    return !f->failed;
}

bool message_resource_at(struct message_resource *r, const json_t *list, size_t i, struct fields *f)
{
    struct fields_mark mark = fields_enter(f, "resources", (int)i);
    const json_t *object = list_object(f, list, i);
    bool good = object && read_resource(r, object, f);
    fields_leave(f, mark);
    return good;
}

/* ---- relays and other lists ---- */

bool message_relay_at(struct message_relay *r, const json_t *list, size_t i, struct fields *f)
{
    struct fields_mark mark = fields_enter(f, "relays", (int)i);
    const json_t *object = list_object(f, list, i);
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
    m->resources = fields_list(f, payload, "resources");
    m->relays = fields_list(f, payload, "relays");
}

static void read_config_changed(struct message *m, const json_t *payload, struct fields *f)
{
    read_interface(&m->interface_, payload, f);
}

static void read_upserted(struct message *m, const json_t *payload, struct fields *f)
{
    if (!read_resource(&m->resource, payload, f) && !f->failed)
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

static void read_authorization(struct message *m, const json_t *payload, struct fields *f)
{
    struct message_authorization *a = &m->authorization;
    a->resource = fields_uuid(f, payload, "resource_id");
    a->gateway = fields_uuid(f, payload, "gateway_id");
    a->site = fields_uuid(f, payload, either(payload, "site_id", "gateway_group_id"));
    fields_key(f, payload, "gateway_public_key", a->gateway_key);
    fields_key(f, payload, "preshared_key", a->preshared_key);
    a->gateway_ipv4 = fields_ip(f, payload, "gateway_ipv4", ADDR_V4);
    a->gateway_ipv6 = fields_ip(f, payload, "gateway_ipv6", ADDR_V6);
    read_ice(&a->client_ice, payload, "client_ice_credentials", f);
    read_ice(&a->gateway_ice, payload, "gateway_ice_credentials", f);
    a->iceless = fields_bool_or(f, payload, "use_iceless", false);
}

static void read_failed(struct message *m, const json_t *payload, struct fields *f)
{
    static const char *const reasons[] = {[FAIL_NOT_FOUND] = "not_found",
                                          [FAIL_OFFLINE] = "offline",
                                          [FAIL_VERSION_MISMATCH] = "version_mismatch",
                                          [FAIL_FORBIDDEN] = "forbidden",
                                          [FAIL_DISABLED] = "disabled"};
    const char *text = fields_text(f, payload, "reason");
    unsigned i = 0;
    m->resource_id = fields_uuid(f, payload, "resource_id");
    while (i < ARRAY_LEN(reasons) && strcmp(text, reasons[i]) != 0)
        i++;
    m->reason = (enum message_fail_reason)i;
}

static void read_candidates(struct message *m, const json_t *payload, struct fields *f)
{
    m->gateway = fields_uuid(f, payload, "gateway_id");
    m->candidates = fields_list(f, payload, "candidates");
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
    {"authorization_created", MESSAGE_AUTHORIZATION_CREATED, read_authorization},
    {"authorization_creation_failed", MESSAGE_AUTHORIZATION_FAILED, read_failed},
    {"ice_candidates", MESSAGE_CANDIDATES_ADDED, read_candidates},
    {"gateway_ice_candidates", MESSAGE_CANDIDATES_ADDED, read_candidates},
    {"invalidate_ice_candidates", MESSAGE_CANDIDATES_REMOVED, read_candidates},
    {"invalidate_gateway_ice_candidates", MESSAGE_CANDIDATES_REMOVED, read_candidates},
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
}
