/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which servers answer what the stub does not, and the address at which the system finds the stub for each of them: its sentinel.
 * The servers are the portal's addresses, else its DoH URLs, else the system's own. When the set of them changes every one gets a
 * new sentinel, none of those that were in use until then, so that whoever keeps state for a server sees another one.
 * Control role. Source: spec/tunnel.md 7.1.
 */
#ifndef FZ_CONTROL_DNS_SENTINELS_H
#define FZ_CONTROL_DNS_SENTINELS_H

#include "control/dns/server.h"

enum {
    DNS_SENTINELS_MAX = 16
};

struct dns_sentinel {
    struct ip_addr ip;            /* of the server's family; DoH: v4 */
    struct dns_upstream upstream; /* the URL is ours */
};

struct dns_sentinels {
    struct dns_sentinel list[DNS_SENTINELS_MAX]; /* in the order of the servers */
    unsigned n;
};

/* All borrowed. */
struct dns_sources {
    const struct ip_addr *do53; /* the portal's */
    size_t do53_n;
    const char *const *doh; /* likewise */
    size_t doh_n;
    const struct sock_addr *system; /* their ports count */
    size_t system_n;
};

void dns_sentinels_init(struct dns_sentinels *s);
void dns_sentinels_fini(struct dns_sentinels *s);

/*
 * True: the set of servers is another one, and so are all sentinels. Sentinels are no servers, and nothing is there twice. More
 * than DNS_SENTINELS_MAX servers: the first ones.
 */
bool dns_sentinels_update(struct dns_sentinels *s, const struct dns_sources *from);

/* The place in the list of one with this address; -1: there is none. */
int dns_sentinels_find(const struct dns_sentinels *s, const struct ip_addr *ip);

#endif
