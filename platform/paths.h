/* SPDX-License-Identifier: Apache-2.0 */
/* Well-known names of this system. Static text; any thread. Source: spec/platform.md 0 and 0.1. */
#ifndef FZ_PLATFORM_PATHS_H
#define FZ_PLATFORM_PATHS_H

#define PATHS_DEVICE_ID_FILE  "firezone-id.json" /* in paths_config() */
#define PATHS_GATEWAY_ID_FILE "gateway_id"       /* in paths_gateway() */

const char *paths_token(void);   /* the file of the token */
const char *paths_config(void);  /* the folder of what the client keeps */
const char *paths_gateway(void); /* the folder of what the gateway keeps */
const char *paths_run(void);     /* the folder of what lives as long as the system runs */
const char *paths_tun(void);     /* what the TUN device of either is called */

#endif
