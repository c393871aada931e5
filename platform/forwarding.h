/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forwarding contract: the host of a gateway passes on what comes out of its TUN, in its own name, and takes the answers back. Control
 * thread only. All of it is undone by forwarding_free, or by routes_recover and the next forwarding_new if the process was killed.
 * Source: spec/tunnel.md 8.7.
 *
 * DEVIATE: upstream leaves this to its packages' scripts, which know only of uplinks called e* and w*.
 */
#ifndef FZ_PLATFORM_FORWARDING_H
#define FZ_PLATFORM_FORWARDING_H

#include "platform/base/addr.h"
#include "platform/base/err.h"

struct forwarding;

/*
 * Lets packets from and to the device `tun` pass, and masquerades those out of it with a source in `v4` or `v6`. It exists already. Where
 * the host has no IPv6, or that cannot be forwarded, IPv4 alone is, which is logged. On failure nothing is changed, and `why` is one clear
 * sentence. Only for one who has instance_take.
 */
enum err forwarding_new(struct forwarding **out, const char *tun, const struct ip_prefix *v4,
                        const struct ip_prefix *v6, char *why, unsigned why_size) MUST_USE;
/* Sets once more what somebody else has taken back. Failures are logged. */
void forwarding_renew(struct forwarding *f);
/* NULL: does nothing. */
void forwarding_free(struct forwarding *f);

#endif
