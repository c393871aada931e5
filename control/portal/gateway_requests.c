/* SPDX-License-Identifier: Apache-2.0 */
/* See gateway_requests.h. */
#include "control/portal/gateway_requests.h"

#include "control/portal/payload.h"

json_t *gateway_request_authorized(const char *ref)
{
    json_t *payload = json_object();
    payload_set(payload, "ref", json_string(ref));
    return payload;
}

json_t *gateway_request_candidates(const struct uuid *client, const char *const *candidates,
                                   size_t n)
{
    json_t *payload = json_object(), *clients = json_array();
    payload_append(clients, payload_uuid(client));
    payload_set(payload, "client_ids", clients);
    payload_set(payload, "candidates", payload_texts(candidates, n));
    return payload;
}
