/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a client tells the portal: names of messages, and their payloads. Each function returns a new reference, which the
 * caller releases after it was pushed. None of the messages is answered when all is well.
 * Pure; control role. Source: spec/portal.md 7.2.
 */
#ifndef FZ_CONTROL_PORTAL_REQUESTS_H
#define FZ_CONTROL_PORTAL_REQUESTS_H

#include "control/portal/fields.h"

#define REQUEST_CAPABILITIES              "set_snownet_capabilities"
#define REQUEST_AUTHORIZATION             "request_authorization"
#define REQUEST_CANDIDATES_ADDED          "new_gateway_ice_candidates"
#define REQUEST_CANDIDATES_REMOVED        "invalidate_gateway_ice_candidates"
#define REQUEST_CLIENT_CANDIDATES_ADDED   "new_client_ice_candidates"
#define REQUEST_CLIENT_CANDIDATES_REMOVED "invalidate_client_ice_candidates"
#define REQUEST_DOMAIN                    "resolve_device_pool_domain"
#define REQUEST_RELAYS                    "no_relays"

/* Once after each join. */
json_t *request_capabilities(bool iceless);
/* gateways: those that there is a connection to, the preferred one first. */
json_t *request_authorization(const struct uuid *resource, const struct uuid *gateways, size_t n);
/* The same message for a device of a pool, by its address in the tunnel. */
json_t *request_direct(const struct uuid *pool, const struct ip_addr *device);
/* For both messages about candidates for a gateway, and for a client. */
json_t *request_candidates(const struct uuid *gateway, const char *const *candidates, size_t n);
json_t *request_client_candidates(const struct uuid *client, const char *const *candidates,
                                  size_t n);
/* The addresses of the device that has this name in a pool. */
json_t *request_domain(const struct uuid *pool, const char *domain);
/* No relay can be used: relays_presence answers it. */
json_t *request_relays(void);

#endif
