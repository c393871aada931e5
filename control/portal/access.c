/* SPDX-License-Identifier: Apache-2.0 */
/* See access.h. */
#include "control/portal/access.h"

#include "control/portal/messages.h"
#include "platform/base/bytes.h"

struct message_ice access_read_ice(const json_t *object, const char *key, struct fields *f)
{
    const json_t *ice = fields_object(f, object, key);
    struct fields_mark mark = fields_enter(f, key, -1);
    struct message_ice m;
    m.username = fields_text(f, ice, "username");
    m.password = fields_text(f, ice, "password");
    fields_leave(f, mark);
    return m;
}

enum message_fail_reason access_read_reason(const json_t *object, struct fields *f)
{
    static const char *const reasons[FAIL_UNKNOWN] = {[FAIL_NOT_FOUND] = "not_found",
                                                      [FAIL_OFFLINE] = "offline",
                                                      [FAIL_VERSION_MISMATCH] = "version_mismatch",
                                                      [FAIL_FORBIDDEN] = "forbidden",
                                                      [FAIL_DISABLED] = "disabled",
                                                      [FAIL_AMBIGUOUS_ADDRESS] =
                                                          "ambiguous_address",
                                                      [FAIL_MISSING_ADDRESS] = "missing_address",
                                                      [FAIL_INVALID_ADDRESS] = "invalid_address"};
    return (enum message_fail_reason)fields_choice(f, object, "reason", reasons, FAIL_UNKNOWN);
}

int64_t access_read_expiry(const json_t *object, struct fields *f)
{
    return fields_integer_or(f, object, "expires_at", 0, INT64_MAX / 2, MESSAGE_NEVER);
}

struct message_subject access_read_subject(const json_t *object, struct fields *f)
{
    const json_t *subject = fields_object_or_null(f, object, "subject");
    struct fields_mark mark = fields_enter(f, "subject", -1);
    struct message_subject m;
    m.actor_id = fields_text_or_null(f, subject, "actor_id");
    m.actor_name = fields_text_or_null(f, subject, "actor_name");
    m.actor_email = fields_text_or_null(f, subject, "actor_email");
    m.actor_type = fields_text_or_null(f, subject, "actor_type");
    m.auth_provider_id = fields_text_or_null(f, subject, "auth_provider_id");
    m.ip = fields_text_or_null(f, subject, "ip");
    m.ip_region = fields_text_or_null(f, subject, "ip_region");
    m.ip_city = fields_text_or_null(f, subject, "ip_city");
    m.user_agent = fields_text_or_null(f, subject, "user_agent");
    fields_leave(f, mark);
    return m;
}

bool message_grant_at(struct message_grant *g, const json_t *list, size_t i, struct fields *f)
{
    struct fields_mark mark = fields_enter(f, "authorizations", (int)i);
    const json_t *object = fields_element(f, list, i);
    g->client = fields_uuid(f, object, "client_id");
    g->resource = fields_uuid(f, object, "resource_id");
    g->expires_at = access_read_expiry(object, f);
    fields_leave(f, mark);
    return !f->failed;
}

void access_read_granted(struct message *m, const json_t *payload, struct fields *f)
{
    struct message_authorization *a = &m->authorization;
    a->resource = fields_uuid(f, payload, "resource_id");
    a->gateway = fields_uuid(f, payload, "gateway_id");
    a->site = fields_uuid(f, payload, fields_spelling(payload, "site_id", "gateway_group_id"));
    fields_key(f, payload, "gateway_public_key", a->gateway_key);
    fields_key(f, payload, "preshared_key", a->preshared_key);
    a->gateway_ipv4 = fields_ip(f, payload, "gateway_ipv4", ADDR_V4);
    a->gateway_ipv6 = fields_ip(f, payload, "gateway_ipv6", ADDR_V6);
    a->client_ice = access_read_ice(payload, "client_ice_credentials", f);
    a->gateway_ice = access_read_ice(payload, "gateway_ice_credentials", f);
    a->iceless = fields_bool_or(f, payload, "use_iceless", false);
}

void access_read_refused(struct message *m, const json_t *payload, struct fields *f)
{
    m->resource_id = fields_uuid(f, payload, "resource_id");
    m->reason = access_read_reason(payload, f);
    m->violated = fields_list_or_null(f, payload, "violated_properties");
}

void access_read_candidates(struct message *m, const json_t *payload, struct fields *f)
{
    m->gateway = fields_uuid(f, payload, "gateway_id");
    m->candidates = fields_list(f, payload, "candidates");
}
