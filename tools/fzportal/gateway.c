/* SPDX-License-Identifier: Apache-2.0 */
/* See gateway.h. */
#include "tools/fzportal/gateway.h"

#include <string.h>

#include "platform/base/bytes.h"
#include "tools/fzportal/devices.h"
#include "tools/fzportal/flows.h"
#include "tools/fzportal/grants.h"
#include "tools/fzportal/ingest.h"
#include "tools/fzportal/relays.h"

void portal_gateway_push_init(struct portal_session *s)
{
    struct portal *p = s->portal;
    json_t *payload = json_pack(
        "{s:o, s:{s:b, s:b}, s:s, s:o, s:o, s:o}", "interface", portal_device_addresses(s->device),
        "config", "ipv4_masquerade_enabled", p->config->masquerade_v4, "ipv6_masquerade_enabled",
        p->config->masquerade_v6, "account_slug", p->config->account, "relays",
        portal_relays_for(s), "authorizations", portal_grants_for(p, s->device), "flow_logs",
        portal_flow_logs(p));
    portal_session_push(s, "init", payload);
}

void portal_gateway_joined(struct portal_session *s)
{
    struct device *d = s->device;

    if (d->session) { /* both were let in before either had joined: the first one stays */
        portal_session_disconnect(s, "token_expired");
        return;
    }
    d->session = s;
    memcpy(d->key, s->key, sizeof d->key);
    portal_gateway_push_init(s);
}

void portal_gateway_left(struct portal_session *s)
{
    if (s->device->session == s)
        s->device->session = NULL;
    s->relays_n = 0;
    s->iceless = false;
}

static void forward(struct portal_session *s, const struct device *d, const char *event,
                    const json_t *candidates)
{
    if (d->session)
        portal_session_push(
            d->session, event,
            json_pack("{s:s, s:O}", "gateway_id", s->device->id.text, "candidates", candidates));
}

static enum session_result candidates(struct portal_session *s, const char *event,
                                      const json_t *payload)
{
    const json_t *to = json_object_get(payload, "client_ids");
    const json_t *list = json_object_get(payload, "candidates");
    struct device *receivers[PORTAL_RECEIVERS_MAX];

    if (!to || !list)
        return SESSION_UNKNOWN;
    if (!json_is_array(to) || !json_is_array(list))
        return SESSION_CRASH;
    size_t n = portal_devices_listed(s->portal, to, PORTAL_CLIENT, receivers);
    for (size_t i = 0; i < n; i++)
        forward(s, receivers[i], event, list);
    return SESSION_DONE;
}

static enum session_result agree(struct portal_session *s, const json_t *payload, json_t *ref)
{
    const json_t *token = json_object_get(payload, "ref");
    const char *topic = portal_session_topic(s);

    if (!token)
        return SESSION_UNKNOWN;
    if (json_is_string(token) && portal_flow_agree(s, json_string_value(token)))
        portal_session_reply(s, topic, ref, "ok", json_object());
    else
        portal_session_reply(s, topic, ref, "error", json_pack("{s:s}", "reason", "invalid_ref"));
    return SESSION_DONE;
}

enum session_result portal_gateway_message(struct portal_session *s, const char *event,
                                           const json_t *payload, json_t *ref)
{
    if (strcmp(event, s->v2 ? "authorization_created" : "flow_authorized") == 0)
        return agree(s, payload, ref);
    if (strcmp(event, "broadcast_ice_candidates") == 0)
        return candidates(s, "ice_candidates", payload);
    if (strcmp(event, "broadcast_invalidated_ice_candidates") == 0)
        return candidates(s, "invalidate_ice_candidates", payload);
    if (strcmp(event, "no_relays") == 0) {
        portal_relays_presence(s);
        return SESSION_DONE;
    }
    if (strcmp(event, "set_snownet_capabilities") == 0) {
        s->iceless = json_is_true(json_object_get(payload, "iceless"));
        return SESSION_DONE;
    }
    return SESSION_UNKNOWN;
}
