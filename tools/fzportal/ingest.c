/* SPDX-License-Identifier: Apache-2.0 */
/* See ingest.h. */
#include "tools/fzportal/ingest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "platform/base/mem.h"

enum {
    LIFETIME_S = 30 * 86400, /* beyond the authorisation's */
    TIME_TEXT_MAX = 40
};

/* "2026-07-31T12:00:00.000000Z" */
static void format_time(char out[TIME_TEXT_MAX], int64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    if (!gmtime_r(&t, &tm) || strftime(out, TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S.000000Z", &tm) == 0)
        out[0] = 0;
}

static void set_text(json_t *object, const char *key, const char *value)
{
    if (value && *value)
        json_object_set_new(object, key, json_string(value));
}

static json_t *claims(const struct portal *p, const struct ingest *i, bool initiator)
{
    char at[TIME_TEXT_MAX], until[TIME_TEXT_MAX];
    const struct device *d = i->initiator;
    const struct agent *agent = d->session ? &d->session->agent : NULL;

    format_time(at, p->t.unix_seconds);
    format_time(until, i->expires_at);
    json_t *c = json_pack(
        "{s:s, s:I, s:I, s:b, s:s, s:s, s:s}", "account_id", p->account_id.text, "iat",
        (json_int_t)p->t.unix_seconds, "exp", (json_int_t)i->expires_at + LIFETIME_S,
        "uploads_enabled", p->config->flow_uploads, "role", initiator ? "initiator" : "responder",
        "initiator_device_id", d->id.text, "responder_device_id", i->responder->id.text);
    set_text(c, "policy_authorization_id", i->authorization.text);
    set_text(c, "policy_id", i->policy->id.text);
    set_text(c, "resource_id", i->resource->id.text);
    set_text(c, "resource_name", i->resource->c.name);
    set_text(c, "resource_address", i->resource->c.address);
    set_text(c, "initiator_actor_id", d->token->actor_id.text);
    set_text(c, "initiator_actor_name", d->token->actor);
    set_text(c, "initiator_actor_email", d->token->config->email);
    set_text(c, "authorized_at", at);
    set_text(c, "authorization_expires_at", until);
    set_text(c, "initiator_client_version", agent ? agent->version : NULL);
    set_text(c, "initiator_device_os_name", agent ? agent->os_name : NULL);
    set_text(c, "initiator_device_os_version", agent ? agent->os_version : NULL);
    set_text(c, "initiator_device_serial", d->serial);
    set_text(c, "initiator_device_uuid", d->uuid);
    set_text(c, "initiator_device_identifier_for_vendor", d->vendor_id);
    set_text(c, "initiator_device_firebase_installation_id", d->firebase_id);
    return c;
}

static size_t put_segment(char *out, const void *data, size_t len)
{
    return derive_base64(out, data, len, true);
}

json_t *portal_ingest_token(const struct portal *p, const struct ingest *i, bool initiator)
{
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    uint8_t key[32], sign[32];
    unsigned sign_len = 0;
    json_t *json = claims(p, i, initiator);
    char *payload = mem_check(json_dumps(json, JSON_COMPACT));
    size_t payload_len = strlen(payload);
    char *text = mem_zalloc(1, DERIVE_BASE64_SIZE(sizeof header) + DERIVE_BASE64_SIZE(payload_len) +
                                   DERIVE_BASE64_SIZE(sizeof sign) + 3);

    size_t len = put_segment(text, header, sizeof header - 1);
    text[len++] = '.';
    len += put_segment(text + len, payload, payload_len);
    derive_seeded(key, sizeof key, p->seed, "flow logs", "");
    ASSERT(HMAC(EVP_sha256(), key, sizeof key, (const uint8_t *)text, len, sign, &sign_len));
    text[len++] = '.';
    put_segment(text + len, sign, sign_len);
    json_t *token = json_string(text);
    free(text);
    free(payload);
    json_decref(json);
    return token;
}

json_t *portal_flow_logs(const struct portal *p)
{
    return json_pack("{s:s, s:I, s:I}", "api_url", p->config->flow_url, "upload_interval_secs",
                     (json_int_t)p->config->flow_interval_s, "upload_batch_size",
                     (json_int_t)p->config->flow_batch);
}
