/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of upstream servers, kept for as long as they say. Only answers that are worth it: NOERROR, whole, at least one record
 * of the type that was asked for, each of them good for DNS_CACHE_TTL_MIN_S. They are given again with what is left of their time, and
 * without the records that came along.
 *
 * Bounded: of DNS_CACHE_MAX answers the one that was learned first goes. Control role; no clock. Source: spec/tunnel.md 7.8.
 */
#ifndef FZ_CONTROL_DNS_CACHE_H
#define FZ_CONTROL_DNS_CACHE_H

#include "control/dns/message.h"
#include "platform/base/time.h"

enum {
    DNS_CACHE_MAX = 2048,        /* answers */
    DNS_CACHE_ANSWER_MAX = 4096, /* bytes of one; longer ones are not kept */
    DNS_CACHE_RECORDS_MAX = 64,  /* likewise */
    DNS_CACHE_TTL_MIN_S = 5,
    DNS_CACHE_TTL_MAX_S = 86400
};

struct dns_cache;

/* secret: random. */
struct dns_cache *dns_cache_new(uint64_t secret);
void dns_cache_free(struct dns_cache *c);

/* answer: to this query (dns_head_answered). */
void dns_cache_learn(struct dns_cache *c, const struct dns_query *q, const uint8_t *answer,
                     size_t len, time_ns now);
/* The answer to the query, of at most `max` bytes, which it needs not fit. 0: none is known. */
size_t dns_cache_find(struct dns_cache *c, const struct dns_query *q, uint8_t *out, size_t max,
                      time_ns now);
void dns_cache_flush(struct dns_cache *c);
unsigned dns_cache_len(const struct dns_cache *c);

#endif
