/* SPDX-License-Identifier: Apache-2.0 */
/* See requests.h. */
#include "control/portal/requests.h"

#include "platform/base/err.h"

static json_t *uuid_json(const struct uuid *uuid)
{
    char text[UUID_TEXT_MAX];
    uuid_format(uuid, text);
    return json_string(text);
}

/* Memory that is missing shows here: neither the object nor `value`, which is given away, is NULL. */
static void set(json_t *object, const char *key, json_t *value)
{
    bool done = json_object_set_new(object, key, value) == 0;
    ASSERT(done);
}

static void append(json_t *list, json_t *value)
{
    bool done = json_array_append_new(list, value) == 0;
    ASSERT(done);
}

json_t *request_relays(void)
{
    json_t *payload = json_object();
    ASSERT(payload);
    return payload;
}

json_t *request_capabilities(bool iceless)
{
    json_t *payload = json_object();
    set(payload, "iceless", json_boolean(iceless));
    return payload;
}

json_t *request_authorization(const struct uuid *resource, const struct uuid *gateways, size_t n)
{
    json_t *payload = json_object(), *list = json_array();
    for (size_t i = 0; i < n; i++)
        append(list, uuid_json(&gateways[i]));
    set(payload, "resource_id", uuid_json(resource));
    set(payload, "connected_gateway_ids", list);
    return payload;
}

json_t *request_direct(const struct uuid *pool, const struct ip_addr *device)
{
    json_t *payload = request_authorization(pool, NULL, 0);
    char text[IP_TEXT_MAX];
    ASSERT(device->family == ADDR_V4 || device->family == ADDR_V6);
    set(payload, device->family == ADDR_V4 ? "ipv4" : "ipv6",
        json_string(ip_addr_format(device, text, sizeof text)));
    return payload;
}

static json_t *candidates_for(const char *key, const struct uuid *peer,
                              const char *const *candidates, size_t n)
{
    json_t *payload = json_object(), *list = json_array();
    for (size_t i = 0; i < n; i++)
        append(list, json_string(candidates[i]));
    set(payload, key, uuid_json(peer));
    set(payload, "candidates", list);
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
    set(payload, "resource_id", uuid_json(pool));
    set(payload, "domain", json_string(domain));
    return payload;
}
