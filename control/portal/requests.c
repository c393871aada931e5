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

json_t *request_candidates(const struct uuid *gateway, const char *const *candidates, size_t n)
{
    json_t *payload = json_object(), *list = json_array();
    for (size_t i = 0; i < n; i++)
        append(list, json_string(candidates[i]));
    set(payload, "gateway_id", uuid_json(gateway));
    set(payload, "candidates", list);
    return payload;
}
