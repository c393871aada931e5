/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a gateway does for its clients on the host, beside the tunnel: forwarding and masquerading (platform/forwarding.h), and the DNS
 * service on its addresses (gateway_dns.h). From the tunnel's first `init` on. Control role. Source: spec/tunnel.md 8.1, 8.6 and 8.7.
 */
#ifndef FZ_CONTROL_GATEWAY_HOST_H
#define FZ_CONTROL_GATEWAY_HOST_H

#include <stdbool.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"

struct member;
struct gateway_host;

/*
 * The member's tunnel is up. forward: false, the host's administrator sees to forwarding. On failure `why` is one clear
 * sentence.
 */
enum err gateway_host_new(struct gateway_host **out, struct member *m, bool forward, char *why,
                          unsigned why_size) MUST_USE;
/* Undoes it all, while the tunnel still is there. NULL: does nothing. */
void gateway_host_free(struct gateway_host *h);

/* With the member's addresses of now, if they are others. Failure as above. */
enum err gateway_host_serve(struct gateway_host *h, char *why, unsigned why_size) MUST_USE;

/* The host's network, or its firewall, may have changed; its resolvers may have. NULL: does nothing. */
void gateway_host_renew(struct gateway_host *h);
void gateway_host_resolvers(struct gateway_host *h);

/* Counters of the DNS service, to the log. NULL: does nothing. */
void gateway_host_log(const struct gateway_host *h);

#endif
