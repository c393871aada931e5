/* SPDX-License-Identifier: Apache-2.0 */
/* See requests.h. */
#include "control/portal/requests.h"

#include "control/portal/payload.h"
#include "platform/base/err.h"

json_t *request_relays(void)
{
    json_t *payload = json_object();
    ASSERT(payload);
    return payload;
}

json_t *request_capabilities(bool iceless)
{
    json_t *payload = json_object();
    payload_set(payload, "iceless", json_boolean(iceless));
    return payload;
}

json_t *request_authorization(const struct uuid *resource, const struct uuid *gateways, size_t n)
{
    json_t *payload = json_object(), *list = json_array();
    for (size_t i = 0; i < n; i++)
        payload_append(list, payload_uuid(&gateways[i]));
    payload_set(payload, "resource_id", payload_uuid(resource));
    payload_set(payload, "connected_gateway_ids", list);
    return payload;
}

json_t *request_direct(const struct uuid *pool, const struct ip_addr *device)
{
    json_t *payload = request_authorization(pool, NULL, 0);
    char text[IP_TEXT_MAX];
    ASSERT(device->family == ADDR_V4 || device->family == ADDR_V6);
    payload_set(payload, device->family == ADDR_V4 ? "ipv4" : "ipv6",
                json_string(ip_addr_format(device, text, sizeof text)));
    return payload;
}

static json_t *candidates_for(const char *key, const struct uuid *peer,
                              const char *const *candidates, size_t n)
{
    json_t *payload = json_object();
    payload_set(payload, key, payload_uuid(peer));
    payload_set(payload, "candidates", payload_texts(candidates, n));
    return payload;
}

json_t *request_candidates(const struct uuid *gateway, const char *const *candidates, size_t n)
{
    return candidates_for("gateway_id", gateway, candidates, n);
}

json_t *request_client_candidates(const struct uuid *client, const char *const *candidates,
                                  size_t n)
{
    return candidates_for("client_id", client, candidates, n);
}

json_t *request_domain(const struct uuid *pool, const char *domain)
{
    json_t *payload = json_object();
    payload_set(payload, "resource_id", payload_uuid(pool));
    payload_set(payload, "domain", json_string(domain));
    return payload;
}
