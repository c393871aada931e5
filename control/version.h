/* SPDX-License-Identifier: Apache-2.0 */
/* Versions; the only place that states them. */
#ifndef FZ_CONTROL_VERSION_H
#define FZ_CONTROL_VERSION_H

#define FZ_VERSION "0.1.0" /* of all programs */

/*
 * The version announced to the portal, which selects features by it as if it were upstream's headless client: sites by that
 * name (1.5.6), device pools (1.5.9), the protocol's second generation (1.5.11). This is the release it was specified from.
 */
#define FZ_PORTAL_VERSION "1.5.12"

/* The same for the gateway: the portal gives a client of version X.Y gateways from X.(Y-1) to X.(Y+1). */
#define FZ_PORTAL_GATEWAY_VERSION "1.6.1"

#endif
