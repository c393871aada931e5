/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `DNS =` says in a configuration: the servers that the system shall ask while the tunnel is up, and the domains that it shall
 * search. As wg-quick has it: addresses are servers, other words domains, with commas or white space between. Pure; control role.
 */
#ifndef FZ_CONTROL_CONFIG_DNS_H
#define FZ_CONTROL_CONFIG_DNS_H

#include <stddef.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"

enum {
    CONFIG_DNS_SERVERS_MAX = 8,
    CONFIG_DNS_SEARCH_MAX = 6,
    CONFIG_DNS_DOMAIN_MAX = 253 /* bytes; one more if the last is a dot */
};

struct config_dns {
    struct ip_addr servers[CONFIG_DNS_SERVERS_MAX];
    unsigned servers_n;
    char search[CONFIG_DNS_SEARCH_MAX][CONFIG_DNS_DOMAIN_MAX + 2];
    unsigned search_n;
};

/*
 * Adds the words of one value; what is there already is not added again. ERR_PARSE: `why` is a phrase that shows nothing which could
 * be a key.
 */
enum err config_dns_add(struct config_dns *d, const char *value, size_t len, char *why,
                        unsigned why_size) MUST_USE;

#endif
