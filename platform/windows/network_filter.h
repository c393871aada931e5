/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of the changes of connectivity that Windows' list of networks tells of count: not those of networks that are neither wired nor
 * Wi-Fi nor mobile (tunnels, virtual switches), and not what is as it was. Pure; one thread at a time. Source: spec/platform.md 3.6.
 */
#ifndef FZ_WINDOWS_NETWORK_FILTER_H
#define FZ_WINDOWS_NETWORK_FILTER_H

#include <stdbool.h>
#include <stdint.h>

enum {
    NETWORK_ID_LEN = 16,
    NETWORKS_MAX = 128,
    /* Windows' NameType of a network's profile. */
    NETWORK_WIRED = 6,
    NETWORK_WIFI = 71,
    NETWORK_MOBILE = 243
};

struct network_entry {
    uint8_t id[NETWORK_ID_LEN];
    bool ignored;
    bool known; /* `connectivity` has been told */
    uint32_t connectivity;
};

struct network_filter {
    struct network_entry networks[NETWORKS_MAX];
    unsigned n;
    unsigned next; /* to be forgotten when there are too many */
};

void network_filter_init(struct network_filter *f);
/* A profile as it was at the start. */
void network_filter_profile(struct network_filter *f, const uint8_t id[NETWORK_ID_LEN],
                            uint32_t name_type);
/* Whether it counts. A network without a profile does. */
bool network_filter_changed(struct network_filter *f, const uint8_t id[NETWORK_ID_LEN],
                            uint32_t connectivity);

#endif
