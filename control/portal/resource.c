/* SPDX-License-Identifier: Apache-2.0 */
/* See resource.h. */
#include "control/portal/resource.h"

#include <string.h>

#include "platform/base/bytes.h"

#define INTERNET_NAME "Internet Resource" /* the portal gives it none */

/* ---- filters ---- */

static struct message_filter read_filter(const json_t *object, struct fields *f)
{
    static const char *const protocols[] = {
        [PROTOCOL_TCP] = "tcp", [PROTOCOL_UDP] = "udp", [PROTOCOL_ICMP] = "icmp"};
    unsigned i = fields_choice(f, object, "protocol", protocols, ARRAY_LEN(protocols));
    int64_t first = fields_integer_or(f, object, "port_range_start", 0, UINT16_MAX, 0);
    int64_t last = fields_integer_or(f, object, "port_range_end", 0, UINT16_MAX, UINT16_MAX);

    if (i == ARRAY_LEN(protocols))
        fields_fail(f, "protocol", "not known");
    if (first > last)
        fields_fail(f, "port_range_end", "lies before port_range_start");
    return (struct message_filter){(enum message_protocol)i, (uint16_t)first, (uint16_t)last};
}

static const json_t *checked_filters(const json_t *list, struct fields *f)
{
    for (size_t i = 0; i < json_array_size(list) && !f->failed; i++) {
        struct fields_mark mark = fields_enter(f, "filters", (int)i);
        read_filter(fields_element(f, list, i), f);
        fields_leave(f, mark);
    }
    return f->failed ? NULL : list;
}

const json_t *resource_read_filters_or_null(const json_t *object, struct fields *f)
{
    return checked_filters(fields_list_or_null(f, object, "filters"), f);
}

const json_t *resource_read_filters(const json_t *object, struct fields *f)
{
    return checked_filters(fields_list(f, object, "filters"), f);
}

struct message_filter message_filter_at(const json_t *filters, size_t i)
{
    struct fields f = {.failed = false};
    return read_filter(json_array_get(filters, i), &f);
}

/* ---- devices ---- */

static struct message_device read_device(const json_t *object, struct fields *f)
{
    struct message_device m;
    m.client = fields_uuid(f, object, fields_spelling(object, "client_id", "id"));
    m.ipv4 = fields_host(f, object, "ipv4", ADDR_V4);
    m.ipv6 = fields_host(f, object, "ipv6", ADDR_V6);
    return m;
}

static const json_t *read_devices(const json_t *object, struct fields *f)
{
    const json_t *list = fields_list_or_null(f, object, "devices");
    for (size_t i = 0; i < json_array_size(list) && !f->failed; i++) {
        struct fields_mark mark = fields_enter(f, "devices", (int)i);
        read_device(fields_element(f, list, i), f);
        fields_leave(f, mark);
    }
    return f->failed ? NULL : list;
}

struct message_device message_device_at(const json_t *devices, size_t i)
{
    struct fields f = {.failed = false};
    return read_device(json_array_get(devices, i), &f);
}

/* ---- resources ---- */

static void read_site(struct message_resource *r, const json_t *object, struct fields *f)
{
    const char *key = fields_spelling(object, "sites", "gateway_groups");
    const json_t *list = fields_list(f, object, key);
    struct fields_mark mark = fields_enter(f, key, 0);
    const json_t *site = fields_element(f, list, 0); /* there is one; the list is historical */
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

static void read_dns(struct message_resource *r, const json_t *object, struct fields *f)
{
    r->address = fields_text(f, object, "address");
    r->ip_stack = read_ip_stack(object, f);
    r->description = fields_text_or_null(f, object, "address_description");
    read_site(r, object, f);
}

static void read_cidr(struct message_resource *r, const json_t *object, struct fields *f)
{
    r->prefix = fields_prefix(f, object, "address");
    r->description = fields_text_or_null(f, object, "address_description");
    read_site(r, object, f);
}

static void read_internet(struct message_resource *r, const json_t *object, struct fields *f)
{
    r->can_be_disabled = fields_bool_or(f, object, "can_be_disabled", false);
    read_site(r, object, f);
}

static void read_static_pool(struct message_resource *r, const json_t *object, struct fields *f)
{
    r->devices = read_devices(object, f);
}

static void read_dynamic_pool(struct message_resource *r, const json_t *object, struct fields *f)
{
    r->address = fields_text(f, object, "address");
}

bool resource_read(struct message_resource *r, const json_t *object, struct fields *f)
{
    static const char *const names[] = {[RESOURCE_DNS] = "dns",
                                        [RESOURCE_CIDR] = "cidr",
                                        [RESOURCE_INTERNET] = "internet",
                                        [RESOURCE_STATIC_POOL] = "static_device_pool",
                                        [RESOURCE_DYNAMIC_POOL] = "dynamic_device_pool"};
    static void (*const read[])(struct message_resource *, const json_t *,
                                struct fields *) = {[RESOURCE_DNS] = read_dns,
                                                    [RESOURCE_CIDR] = read_cidr,
                                                    [RESOURCE_INTERNET] = read_internet,
                                                    [RESOURCE_STATIC_POOL] = read_static_pool,
                                                    [RESOURCE_DYNAMIC_POOL] = read_dynamic_pool};
    unsigned i = fields_choice(f, object, "type", names, ARRAY_LEN(names));

    *r = (struct message_resource){.kind = RESOURCE_DNS};
    if (i == ARRAY_LEN(names))
        return false;
    r->kind = (enum message_resource_kind)i;
    r->id = fields_uuid(f, object, "id");
    if (r->kind == RESOURCE_INTERNET) {
        r->name = INTERNET_NAME;
    } else {
        r->name = fields_text(f, object, "name");
        r->filters = resource_read_filters_or_null(object, f);
    }
    read[i](r, object, f);
    return !f->failed;
}

bool resource_read_for_gateway(struct message_resource *r, const json_t *object, struct fields *f)
{
    static const char *const names[] = {
        [RESOURCE_DNS] = "dns", [RESOURCE_CIDR] = "cidr", [RESOURCE_INTERNET] = "internet"};
    unsigned i = fields_choice(f, object, "type", names, ARRAY_LEN(names));

    *r = (struct message_resource){.kind = RESOURCE_DNS};
    if (i == ARRAY_LEN(names)) {
        fields_fail(f, "type", "not known");
        return false;
    }
    r->kind = (enum message_resource_kind)i;
    r->id = fields_uuid(f, object, "id");
    if (r->kind == RESOURCE_INTERNET) {
        r->name = INTERNET_NAME;
        return !f->failed;
    }
    r->name = fields_text(f, object, "name");
    r->filters = resource_read_filters(object, f);
    if (r->kind == RESOURCE_DNS)
        r->address = fields_text(f, object, "address");
    else
        r->prefix = fields_prefix(f, object, "address");
    return !f->failed;
}
