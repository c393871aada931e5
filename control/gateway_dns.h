/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's DNS service on its own addresses in the tunnel, port 53535: what a client asks of SRV and TXT goes on to a resolver of the
 * gateway's host, UDP by UDP and TCP by TCP, and the answer back. Control role. Source: spec/tunnel.md 8.1 and 8.6.
 *
 * DEVIATE: upstream looks for the fastest resolver by asking all of them for a name of its vendor every minute. Here the system's
 * order counts, and who has not answered comes last for a while.
 */
#ifndef FZ_CONTROL_GATEWAY_DNS_H
#define FZ_CONTROL_GATEWAY_DNS_H

#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/egress.h"
#include "platform/loop.h"
#include "platform/resolvers.h"

enum {
    GATEWAY_DNS_PORT = 53535,
    GATEWAY_DNS_QUERIES_MAX =
        1024, /* under way; what comes then is dropped, by TCP with its connection */
    GATEWAY_DNS_CLIENT_QUERIES_MAX = 64,
    GATEWAY_DNS_STREAMS_MAX = 128, /* TCP connections; what comes then is closed */
    GATEWAY_DNS_CLIENT_STREAMS_MAX = 8,
    GATEWAY_DNS_STREAM_QUERIES_MAX = 4, /* more are not read until one is answered */
    GATEWAY_DNS_IDLE_S = 10 /* a connection without a query under way that gets or takes no byte */
};

struct gateway_dns;

struct gateway_dns_counts {
    uint64_t passed_on, refused; /* queries */
    uint64_t malformed;          /* dropped: no query */
    uint64_t over_limit;         /* dropped, or a connection closed: too much at once */
    uint64_t failed;             /* answered by SERVFAIL: no resolver, or it does not answer */
    uint64_t truncated;
};

/* device: the TUN; NULL, any. egress: of what is sent to resolvers. Both borrowed. */
enum err gateway_dns_new(struct gateway_dns **out, struct loop *l, const char *device,
                         const struct egress *egress, char *why, unsigned why_size) MUST_USE;
/* NULL: does nothing. */
void gateway_dns_free(struct gateway_dns *d);

/*
 * Serves on these addresses, with this port, instead of those before; queries under way are dropped. A family that the host does not have
 * is left out, both: ERR_UNSUPPORTED. On failure `why` is one clear sentence.
 */
enum err gateway_dns_serve(struct gateway_dns *d, const struct ip_addr *v4,
                           const struct ip_addr *v6, uint16_t port, char *why,
                           unsigned why_size) MUST_USE;
/* Whom to ask from now on. */
void gateway_dns_set_resolvers(struct gateway_dns *d, const struct sock_addr *resolvers,
                               unsigned n);

void gateway_dns_counts(const struct gateway_dns *d, struct gateway_dns_counts *out);

#endif
