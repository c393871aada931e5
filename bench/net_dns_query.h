/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queries for the client's DNS service, and what has to come of them: names of a resource, for which it has addresses of its own, and
 * names that it has to ask its server for, with what that server says. All are for an IPv4 address, and a header and a question
 * only. Pure.
 */
#ifndef FZ_BENCH_NET_DNS_QUERY_H
#define FZ_BENCH_NET_DNS_QUERY_H

#include <stddef.h>
#include <stdint.h>

enum net_dns_kind {
    NET_DNS_RESOURCE,
    NET_DNS_USED, /* of a resource that a gateway lets the client reach, and is to know the names of */
    NET_DNS_UPSTREAM,
    NET_DNS_KINDS
};

/* Of the resources. */
#define NET_DNS_PATTERN      "*.corp.test"
#define NET_DNS_PATTERN_USED "*.used.test"

enum {
    NET_DNS_QUERY_MAX = 48,
    NET_DNS_ANSWER_MAX = 1232
};

struct net_dns_query {
    size_t len;
    uint8_t bytes[NET_DNS_QUERY_MAX];
};

/* In names of rows. Static storage. */
const char *net_dns_kind_name(enum net_dns_kind kind);

/* For name number `name` of its kind, with id 0. */
void net_dns_query_write(struct net_dns_query *q, enum net_dns_kind kind, unsigned name);

enum net_dns_verdict {
    NET_DNS_GOOD,   /* an answer with such addresses as there should be */
    NET_DNS_FAILED, /* another answer to this query: it says that something is wrong */
    NET_DNS_OTHER   /* not an answer to it */
};

/* Whatever its id is. */
enum net_dns_verdict net_dns_query_check(const struct net_dns_query *q, enum net_dns_kind kind,
                                         const uint8_t *answer, size_t len);

/*
 * What the server says, which may not be kept; there are no addresses of other types. `message`, which has room for NET_DNS_ANSWER_MAX, becomes the answer. Returns its
 * length; 0: this is no query.
 */
size_t net_dns_query_answer(uint8_t *message, size_t len);

#endif
