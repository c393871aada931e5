/* SPDX-License-Identifier: Apache-2.0 */
/* See direct.h. */
#include "control/portal/direct.h"

#include <string.h>

#include "control/portal/messages.h"
#include "platform/base/bytes.h"

/* ---- access ---- */

static bool read_controlling(const json_t *payload, struct fields *f)
{
    static const char *const roles[] = {"controlled", "controlling"};
    unsigned i = fields_choice(f, payload, "ice_role", roles, ARRAY_LEN(roles));
    if (i == ARRAY_LEN(roles))
        fields_fail(f, "ice_role", "not known");
    return i == 1;
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
    d->expires_at = access_read_expiry(payload, f);
    d->subject = access_read_subject(payload, f);
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
