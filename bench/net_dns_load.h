/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks: one socket that sends queries, and one process that waits for their answers. Either at a rate, whether or not answers
 * come, or one at a time.
 */
#ifndef FZ_BENCH_NET_DNS_LOAD_H
#define FZ_BENCH_NET_DNS_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/net_dns_query.h"
#include "platform/base/err.h"
#include "platform/linux/why.h"

enum {
    NET_DNS_NAMES = 2000,  /* which are asked for in turn */
    NET_DNS_WAIT_MS = 2000 /* then a query without an answer is lost */
};

struct net_dns_load;

/* What became of the queries. Times are from just before a query is sent, of good answers only; 0 if there are none. */
struct net_dns_found {
    uint64_t asked, good, failed, lost;
    double seconds; /* in which they were asked */
    double p50_us, p99_us, p999_us;
};

/* fd: a UDP socket, connected; borrowed. */
struct net_dns_load *net_dns_load_new(int fd, enum net_dns_kind kind);
void net_dns_load_free(struct net_dns_load *l);

/* Asks for `seconds`, and waits for what is missing then. per_second: 0: one at a time. */
enum err net_dns_load_run(struct net_dns_load *l, double per_second, double seconds,
                          struct net_dns_found *out, struct why why) MUST_USE;

/* All were asked (95 % of the rate at least) and answered. Pure. */
bool net_dns_load_passed(const struct net_dns_found *f, double per_second);

#endif
