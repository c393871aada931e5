/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a User-Agent says of a peer, and what its version may get. Pure; any thread. Source: spec/portal.md 1.3 and 12.
 */
#ifndef FZ_TOOLS_FZPORTAL_AGENT_H
#define FZ_TOOLS_FZPORTAL_AGENT_H

#include <stdbool.h>
#include <stdint.h>

enum {
    AGENT_TEXT_MAX = 255
};

enum agent_component {
    AGENT_NONE, /* no word of a known program */
    AGENT_RELAY,
    AGENT_GATEWAY,
    AGENT_HEADLESS,
    AGENT_GUI, /* connlib/ as well */
    AGENT_APPLE,
    AGENT_ANDROID
};

struct agent {
    enum agent_component component;
    bool semver; /* major, minor and patch count */
    uint32_t major, minor, patch;
    char text[AGENT_TEXT_MAX + 1]; /* all of it */
    char version[AGENT_TEXT_MAX + 1];
    char os_name[AGENT_TEXT_MAX + 1], os_version[AGENT_TEXT_MAX + 1];
};

enum agent_feature {
    AGENT_SITES,         /* key `sites` instead of `gateway_groups` */
    AGENT_PEERS,         /* receives grants of other clients */
    AGENT_POOLS,         /* receives device pools */
    AGENT_SITE_IN_PLACE, /* a resource may change its site without being deleted */
    AGENT_INTERNET,      /* the Internet resource */
    AGENT_PATTERNS       /* today's wildcards in names */
};

void agent_parse(struct agent *a, const char *user_agent);
/* False without a version, too. service: the client belongs to a service account. */
bool agent_has(const struct agent *a, enum agent_feature feature, bool service);
/* Client X.Y goes with gateways from X.(Y-1).0 to before X.(Y+2).0. */
bool agent_fits_gateway(const struct agent *client, const struct agent *gateway);
/* Both in the same minor version. */
bool agent_fits_client(const struct agent *a, const struct agent *b);
/* < 0, 0, > 0; without a version it is the oldest. */
int agent_compare(const struct agent *a, const struct agent *b);

#endif
