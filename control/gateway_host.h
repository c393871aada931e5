/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a gateway does for its clients on the host, beside the tunnel: forwarding and masquerading (platform/forwarding.h). From the
 * tunnel's first `init` on. Control role. Source: spec/tunnel.md 8.1 and 8.7.
 */
#ifndef FZ_CONTROL_GATEWAY_HOST_H
#define FZ_CONTROL_GATEWAY_HOST_H

#include <stdbool.h>

#include "platform/base/err.h"

struct tunnel;
struct gateway_host;

/* The tunnel is up. forward: false, the host's administrator sees to forwarding. On failure `why` is one clear sentence. */
enum err gateway_host_new(struct gateway_host **out, struct tunnel *t, bool forward, char *why,
                          unsigned why_size) MUST_USE;
/* The host's network, or its firewall, may have changed. NULL: does nothing. */
void gateway_host_renew(struct gateway_host *h);
/* Undoes it all, while the tunnel still is there. NULL: does nothing. */
void gateway_host_free(struct gateway_host *h);

#endif
