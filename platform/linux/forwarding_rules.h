/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packet filter's part of forwarding.h, through nftables: for each family a table of our own that masquerades, and keeps out of the TUN
 * what speaks in the tunnel's name, and rules in chains of others that would else drop what is forwarded. Control thread.
 *
 * Our tables belong to this process alone: nobody else can change them, "flush ruleset" included, and they go when it ends, however that
 * is. A rule of ours in somebody else's chain stays after a kill, and is known by its comment.
 */
#ifndef FZ_LINUX_FORWARDING_RULES_H
#define FZ_LINUX_FORWARDING_RULES_H

#include "platform/base/addr.h"
#include "platform/base/err.h"

struct forwarding_rules;

/* ERR_UNSUPPORTED: the kernel has no nftables. ERR_PERMISSION. `why`: one clear sentence. */
enum err forwarding_rules_new(struct forwarding_rules **out, const char *tun, char *why,
                              unsigned why_size) MUST_USE;
/* Removes our tables. NULL: does nothing. */
void forwarding_rules_free(struct forwarding_rules *r);

/*
 * Masquerades packets that come out of the TUN from `range`, and drops those that would be passed on into it from there: nobody elsewhere
 * has these addresses, and the TUN's own among them the engine takes for the host's. Replaces what there was for its family.
 */
enum err forwarding_rules_own(struct forwarding_rules *r, const struct ip_prefix *range, char *why,
                              unsigned why_size) MUST_USE;
/*
 * Rules at the end of each chain where all that is forwarded passes, and whose policy is to drop it. What the host's own rules drop stays
 * dropped. Where all is as it shall be, nothing is done.
 */
enum err forwarding_rules_accept(struct forwarding_rules *r, char *why, unsigned why_size) MUST_USE;
/* Removes those, also of runs that were killed. */
enum err forwarding_rules_retract(struct forwarding_rules *r, char *why,
                                  unsigned why_size) MUST_USE;

#endif
