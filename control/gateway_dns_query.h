/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the gateway's DNS service does with a query, and the replies of its own. Sans-IO; control role. Source: spec/tunnel.md 7.7 and
 * 8.6.
 *
 * DEVIATE: upstream passes on whatever a client asks. Clients ask a gateway for SRV and TXT only, and whoever may use one resource
 * shall not learn the addresses of all others from the network's resolver: the rest is refused.
 */
#ifndef FZ_CONTROL_GATEWAY_DNS_QUERY_H
#define FZ_CONTROL_GATEWAY_DNS_QUERY_H

#include <stddef.h>
#include <stdint.h>

enum {
    GATEWAY_DNS_UDP_QUERY_MAX = 2000,
    GATEWAY_DNS_UDP_ANSWER_MAX = 1200, /* longer ones are truncated */
    GATEWAY_DNS_HEAD_MAX = 12 + 255 + 4
};

enum gateway_dns_verdict {
    GATEWAY_DNS_PASS,   /* on to a resolver */
    GATEWAY_DNS_ANSWER, /* at once, with `rcode` */
    GATEWAY_DNS_DROP    /* is no query */
};

/* A reply without records: what is kept of the query, its header and question. */
struct gateway_dns_reply {
    uint16_t len;
    uint8_t bytes[GATEWAY_DNS_HEAD_MAX];
};

/* *reply: to be answered with, until then the query's head. Unless it is dropped. */
enum gateway_dns_verdict gateway_dns_judge(struct gateway_dns_reply *reply, const uint8_t *query,
                                           size_t len);
/* Makes it the reply that says so. */
void gateway_dns_fail(struct gateway_dns_reply *reply);
/* Instead of a resolver's answer, of a header at least, that is too long for UDP. */
void gateway_dns_truncate(struct gateway_dns_reply *reply, const uint8_t *answer);

#endif
