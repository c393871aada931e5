/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only a gateway tells the portal: names of messages, and their payloads, as requests.h has them for clients. Of those,
 * REQUEST_CAPABILITIES and REQUEST_RELAYS are a gateway's as well. The portal answers the first message below, no other.
 * Pure; control role. Source: spec/portal.md 8.2.
 */
#ifndef FZ_CONTROL_PORTAL_GATEWAY_REQUESTS_H
#define FZ_CONTROL_PORTAL_GATEWAY_REQUESTS_H

#include "control/portal/requests.h"

#define GATEWAY_REQUEST_AUTHORIZED         "authorization_created"
#define GATEWAY_REQUEST_CANDIDATES_ADDED   "broadcast_ice_candidates"
#define GATEWAY_REQUEST_CANDIDATES_REMOVED "broadcast_invalidated_ice_candidates"

/* The gateway is ready for the client: this is what lets the client know of it. ref: of the message that asked. */
json_t *gateway_request_authorized(const char *ref);
/* For both messages about candidates. They may have several receivers, but one is what all gateways send. */
json_t *gateway_request_candidates(const struct uuid *client, const char *const *candidates,
                                   size_t n);

#endif
