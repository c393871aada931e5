/* SPDX-License-Identifier: Apache-2.0 */
/* See client.h. */
#include "tools/fzportal/client.h"

#include <stdio.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "tools/fzportal/devices.h"
#include "tools/fzportal/flows.h"
#include "tools/fzportal/grants.h"
#include "tools/fzportal/ingest.h"
#include "tools/fzportal/peers.h"
#include "tools/fzportal/relays.h"
#include "tools/fzportal/resources.h"

/* ---- what it is told ---- */

static json_t *interface_of(const struct portal_session *s)
{
    const struct portal_config_dns *dns = &s->portal->dns;
    json_t *view = portal_device_addresses(s->device);
    json_t *do53 = json_array(), *doh = json_array(), *legacy = json_array();

    for (size_t i = 0; dns->mode == PORTAL_DNS_CUSTOM && i < dns->servers.n; i++) {
        struct sock_addr addr = {.port = 53};
        char text[SOCK_ADDR_TEXT_MAX], ip[IP_TEXT_MAX];
        if (ip_addr_parse(&addr.ip, dns->servers.at[i]) != ERR_OK)
            continue;
        json_array_append_new(do53,
                              json_pack("{s:s}", "ip", ip_addr_format(&addr.ip, ip, sizeof ip)));
        json_array_append_new(legacy, json_pack("{s:s, s:s}", "protocol", "ip_port", "address",
                                                sock_addr_format(&addr, text, sizeof text)));
    }
    if (dns->mode == PORTAL_DNS_SECURE)
        json_array_append_new(doh, json_pack("{s:s}", "url", dns->url));
    json_object_update_new(view, json_pack("{s:s?, s:o, s:o, s:o}", "search_domain",
                                           dns->search_domain, "upstream_do53", do53,
                                           "upstream_doh", doh, "upstream_dns", legacy));
    return view;
}

void portal_client_push_init(struct portal_session *s)
{
    struct portal *p = s->portal;
    json_t *payload =
        json_pack("{s:o, s:o, s:o, s:o, s:o}", "interface", interface_of(s), "resources",
                  portal_resources_for(p, s), "relays", portal_relays_for(s), "authorizations",
                  portal_grants_for(p, s->device), "flow_logs", portal_flow_logs(p));
    portal_session_push(s, "init", payload);
}

void portal_client_push_config(struct portal_session *s)
{
    portal_session_push(s, "config_changed", json_pack("{s:o}", "interface", interface_of(s)));
}

/* ---- coming and going ---- */

void portal_client_joined(struct portal_session *s)
{
    struct device *d = s->device;

    if (!s->agent.semver) { /* its version is compared with others from now on */
        portal_session_crash(s);
        return;
    }
    if (d->session) /* the same device on an older socket */
        portal_session_disconnect(d->session, "token_expired");
    d->session = s;
    memcpy(d->key, s->key, sizeof d->key);
    portal_client_push_init(s);
}

void portal_client_left(struct portal_session *s)
{
    portal_flows_forget(s);
    if (s->device->session == s)
        s->device->session = NULL;
    s->relays_n = 0;
    s->iceless = false;
}

/* ---- what it says ---- */

static enum session_result request(struct portal_session *s, const json_t *payload,
                                   const json_t *ref)
{
    struct portal *p = s->portal;
    const json_t *id = json_object_get(payload, "resource_id");
    const json_t *connected = json_object_get(payload, "connected_gateway_ids");
    struct uuid uuid;
    bool violated;

    if (!id)
        return SESSION_UNKNOWN;
    if (!json_is_string(id) || !uuid_parse(&uuid, json_string_value(id)) ||
        (connected && !json_is_array(connected)))
        return SESSION_CRASH;
    char text[UUID_TEXT_MAX];
    uuid_format(&uuid, text);
    struct resource *r = portal_resource_find(p, text);
    if (!r || !portal_resource_is_visible(p, s, r)) {
        portal_flow_refuse(s, text, "not_found", NULL);
        return SESSION_DONE;
    }
    const struct policy *policy = portal_policy_for(p, s->token, r, &violated);
    if (violated)
        portal_flow_refuse(s, text, "forbidden", portal_policies_violated(p, s->token, r));
    else if (portal_resource_is_pool(r))
        portal_peer_request(s, r, policy, payload);
    else if (!portal_flow_request(s, r, policy, connected, ref && !json_is_null(ref)))
        return SESSION_CRASH;
    return SESSION_DONE;
}

/* To a device that is online: the payload with the sender's id in place of the receiver's. */
static void forward(struct portal_session *s, const struct device *d, const char *event,
                    const json_t *candidates)
{
    if (d->session)
        portal_session_push(
            d->session, event,
            json_pack("{s:s, s:O}", "client_id", s->device->id.text, "candidates", candidates));
}

static const struct {
    const char *event, *forwarded;
    const char *to; /* member: an id, or a list of them */
    bool list;
    enum portal_role role;
} routes[] = {
    {"new_gateway_ice_candidates", "ice_candidates", "gateway_id", false, PORTAL_GATEWAY},
    {"invalidate_gateway_ice_candidates", "invalidate_ice_candidates", "gateway_id", false,
     PORTAL_GATEWAY},
    {"broadcast_ice_candidates", "ice_candidates", "gateway_ids", true, PORTAL_GATEWAY},
    {"broadcast_invalidated_ice_candidates", "invalidate_ice_candidates", "gateway_ids", true,
     PORTAL_GATEWAY},
    {"new_client_ice_candidates", "client_ice_candidates", "client_id", false, PORTAL_CLIENT},
    {"invalidate_client_ice_candidates", "invalidate_client_ice_candidates", "client_id", false,
     PORTAL_CLIENT},
};

/* Those to a client that is not there are answered if they are withdrawn. */
static void tell_offline(struct portal_session *s, const char *event, const char *to)
{
    const struct device *d = portal_device_find(s->portal, to);
    if (strcmp(event, "invalidate_client_ice_candidates") == 0 && (!d || !d->session))
        portal_session_push(s, "client_ice_candidate_error",
                            json_pack("{s:s, s:s}", "client_id", to, "reason", "offline"));
}

static enum session_result candidates(struct portal_session *s, size_t route, const json_t *payload)
{
    json_t *to = json_object_get(payload, routes[route].to);
    const json_t *list = json_object_get(payload, "candidates");
    struct device *receivers[PORTAL_RECEIVERS_MAX];

    if (!to || !list)
        return SESSION_UNKNOWN;
    if (!json_is_array(list) || (routes[route].list ? !json_is_array(to) : !json_is_string(to)))
        return SESSION_CRASH;
    json_t *ids = routes[route].list ? json_incref(to) : json_pack("[O]", to);
    size_t n = portal_devices_listed(s->portal, ids, routes[route].role, receivers);
    json_decref(ids);
    for (size_t i = 0; i < n; i++)
        forward(s, receivers[i], routes[route].forwarded, list);
    if (!routes[route].list)
        tell_offline(s, routes[route].event, json_string_value(to));
    return SESSION_DONE;
}

enum session_result portal_client_message(struct portal_session *s, const char *event,
                                          const json_t *payload, const json_t *ref)
{
    for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
        if (strcmp(event, routes[i].event) == 0)
            return candidates(s, i, payload);
    }
    if (strcmp(event, s->v2 ? "request_authorization" : "create_flow") == 0)
        return request(s, payload, ref);
    if (strcmp(event, "no_relays") == 0) {
        portal_relays_presence(s);
        return SESSION_DONE;
    }
    if (strcmp(event, "set_snownet_capabilities") == 0) {
        s->iceless = json_is_true(json_object_get(payload, "iceless"));
        return SESSION_DONE;
    }
    if (strcmp(event, "resolve_device_pool_domain") == 0)
        return portal_pool_resolve(s, payload);
    if (strcmp(event, "request_device_access") == 0)
        return SESSION_DONE;
    return SESSION_UNKNOWN;
}
