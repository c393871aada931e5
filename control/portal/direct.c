/* SPDX-License-Identifier: Apache-2.0 */
/* See direct.h. */
#include "control/portal/direct.h"

#include <string.h>

#include "control/portal/messages.h"
#include "platform/base/bytes.h"

static int64_t read_expiry(const json_t *object, struct fields *f)
{
    return fields_integer_or(f, object, "expires_at", 0, INT64_MAX / 2, MESSAGE_NEVER);
}

bool message_grant_at(struct message_grant *g, const json_t *list, size_t i, struct fields *f)
{
    struct fields_mark mark = fields_enter(f, "authorizations", (int)i);
    const json_t *object = fields_element(f, list, i);
    g->client = fields_uuid(f, object, "client_id");
    g->resource = fields_uuid(f, object, "resource_id");
    g->expires_at = read_expiry(object, f);
    fields_leave(f, mark);
    return !f->failed;
}

/* ---- access ---- */

static bool read_controlling(const json_t *payload, struct fields *f)
{
    static const char *const roles[] = {"controlled", "controlling"};
    unsigned i = fields_choice(f, payload, "ice_role", roles, ARRAY_LEN(roles));
    if (i == ARRAY_LEN(roles))
        fields_fail(f, "ice_role", "not known");
    return i == 1;
}

static void read_subject(struct message_subject *m, const json_t *payload, struct fields *f)
{
    const json_t *object = fields_object_or_null(f, payload, "subject");
    struct fields_mark mark = fields_enter(f, "subject", -1);
    m->actor_id = fields_text_or_null(f, object, "actor_id");
    m->actor_name = fields_text_or_null(f, object, "actor_name");
    m->actor_email = fields_text_or_null(f, object, "actor_email");
    m->actor_type = fields_text_or_null(f, object, "actor_type");
    m->auth_provider_id = fields_text_or_null(f, object, "auth_provider_id");
    m->ip = fields_text_or_null(f, object, "ip");
    m->ip_region = fields_text_or_null(f, object, "ip_region");
    m->ip_city = fields_text_or_null(f, object, "ip_city");
    m->user_agent = fields_text_or_null(f, object, "user_agent");
    fields_leave(f, mark);
}

/* Filters that are missing would open everything: whoever lets another one in has to be told. */
static void read_inbound(struct message_direct *d, const json_t *payload, struct fields *f)
{
    const json_t *resource = fields_object_or_null(f, payload, "resource");

    d->inbound = resource;
    if (!d->inbound)
        return;
    struct fields_mark mark = fields_enter(f, "resource", -1);
    d->resource = fields_uuid(f, resource, "id");
    d->filters = resource_read_filters(resource, f);
    fields_leave(f, mark);
    d->expires_at = read_expiry(payload, f);
    read_subject(&d->subject, payload, f);
}

void direct_read_granted(struct message *m, const json_t *payload, struct fields *f)
{
    struct message_direct *d = &m->direct;
    d->client = fields_uuid(f, payload, "client_id");
    d->client_name = fields_text_or_null(f, payload, "client_name");
    fields_key(f, payload, "client_public_key", d->client_key);
    fields_key(f, payload, "preshared_key", d->preshared_key);
    d->client_ipv4 = fields_host(f, payload, "client_ipv4", ADDR_V4);
    d->client_ipv6 = fields_host(f, payload, "client_ipv6", ADDR_V6);
    d->local_ice = access_read_ice(payload, "local_ice_credentials", f);
    d->remote_ice = access_read_ice(payload, "remote_ice_credentials", f);
    d->controlling = read_controlling(payload, f);
    d->iceless = fields_bool_or(f, payload, "use_iceless", false);
    read_inbound(d, payload, f);
}

/* It says what it is about in any of four ways. */
void direct_read_refused(struct message *m, const json_t *payload, struct fields *f)
{
    m->client = fields_uuid_or_nil(f, payload, "client_id");
    m->resource_id = fields_uuid_or_nil(f, payload, "resource_id");
    m->ipv4 = fields_host_or_none(f, payload, "ipv4", ADDR_V4);
    m->ipv6 = fields_host_or_none(f, payload, "ipv6", ADDR_V6);
    m->reason = access_read_reason(payload, f);
}

void direct_read_revoked(struct message *m, const json_t *payload, struct fields *f)
{
    m->client = fields_uuid(f, payload, "client_id");
    m->resource_id = fields_uuid(f, payload, "resource_id");
}

void direct_read_filters(struct message *m, const json_t *payload, struct fields *f)
{
    m->resource_id = fields_uuid(f, payload, "id");
    m->filters = resource_read_filters(payload, f);
}

/* ---- candidates ---- */

void direct_read_candidates(struct message *m, const json_t *payload, struct fields *f)
{
    m->client = fields_uuid(f, payload, "client_id");
    m->candidates = fields_list(f, payload, "candidates");
}

void direct_read_undelivered(struct message *m, const json_t *payload, struct fields *f)
{
    m->client = fields_uuid(f, payload, "client_id");
    m->reason = access_read_reason(payload, f);
}

/* ---- names in device pools ---- */

void direct_read_resolved(struct message *m, const json_t *payload, struct fields *f)
{
    m->resource_id = fields_uuid(f, payload, "resource_id");
    m->domain = fields_text(f, payload, "domain");
    m->ipv4 = fields_host(f, payload, "ipv4", ADDR_V4);
    m->ipv6 = fields_host(f, payload, "ipv6", ADDR_V6);
}

void direct_read_unresolved(struct message *m, const json_t *payload, struct fields *f)
{
    m->resource_id = fields_uuid(f, payload, "resource_id");
    m->domain = fields_text(f, payload, "domain");
    m->reason = access_read_reason(payload, f);
}
