/* SPDX-License-Identifier: Apache-2.0 */
/* The state of client_dns.h, shared by its files. Control role. */
#ifndef FZ_CONTROL_CLIENT_DNS_PRIVATE_H
#define FZ_CONTROL_CLIENT_DNS_PRIVATE_H

#include "control/client_dns.h"
#include "control/dns/l3_tcp.h"
#include "control/dns/l3_udp.h"
#include "control/dns/sentinels.h"
#include "control/dns/service.h"
#include "control/dns/upstream.h"

enum {
    CLIENT_DNS_SEARCH_MAX = 255
};

/* Who asked by UDP, until he is answered. */
struct udp_client {
    struct sock_addr from;
    struct ip_addr sentinel;
    uint16_t next_free; /* place + 1; 0: none */
};

/* A query that waits for a resource to be granted. */
struct site_query {
    uint64_t id;
    struct uuid resource;
};

struct client_dns {
    struct member *member;
    struct access *access;
    struct dns_service *service;
    struct dns_asker *asker;
    struct l3_udp udp;
    struct l3_tcp *tcp;
    struct loop_timer timer;
    bool flush;  /* the system is to forget what it knows: once for many changes */
    bool moving; /* what was asked inside the tunnel ends, and is asked again */

    struct udp_client clients[DNS_SERVICE_MAX + 1];
    uint16_t clients_free;
    struct site_query waiting[DNS_SERVICE_MAX];
    unsigned waiting_n;

    /* client_dns_host.c */
    struct dns_sentinels sentinels;
    bool up, by_portal; /* by_portal: the servers are the portal's, and such by addresses */
    char search[CLIENT_DNS_SEARCH_MAX + 1];
    struct ip_addr do53[MESSAGE_UPSTREAMS_MAX];
    char *doh[MESSAGE_UPSTREAMS_MAX];
    unsigned do53_n, doh_n;
};

/* After whatever may have changed what is due. */
void client_dns_settle(struct client_dns *d);
/* Servers and sentinels are other ones: whoever depends on them is told. */
void client_dns_sentinels_changed(struct client_dns *d);

/* client_dns_host.c */
void client_dns_host_fini(struct client_dns *d);
/* Which server the sentinel stands for; -1: none. */
int client_dns_server(const struct client_dns *d, const struct ip_addr *sentinel);

#endif
