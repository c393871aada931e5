/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy rules around one of a tunnel that let only the right packets of the host come to it.
 *
 * A mark is on what our sockets send, but not on what the kernel says in their place: a port is closed, a connection is not
 * known. Such an answer comes from an address of the uplink, and it would enter the tunnel. In general, whoever has
 * chosen another source than the tunnel's wants another way. So of what the host itself sends only that goes on to the tunnel's
 * rule which has no source yet, or one of the tunnel's:
 *
 *   first    from 0.0.0.0/32 goto ENTER          (IPv6: a rule with a source does not see packets that have none)
 *   first+1  from ADDRESS goto ENTER             for each address of the tunnel
 *   first+2  iif lo goto AFTER                   (IPv6: from ::/1 and from 8000::/1)
 *   ENTER    the tunnel's rule
 *   AFTER    nop
 *
 * ENTER and AFTER are neighbours, so that nobody else's rule is jumped over but one of the very same priority.
 * What is forwarded is not looked at. It also makes strict reverse-path filters on the uplink accept what comes in for us.
 */
#ifndef FZ_LINUX_GUARD_H
#define FZ_LINUX_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/linux/rule.h"

struct guard {
    uint8_t family;
    uint8_t ip_proto; /* only packets of this protocol are kept away; 0: all */
    uint32_t first;   /* three priorities */
    uint32_t enter, after;
};

enum {
    GUARD_RULES = 3
};

/* That of a steered tunnel. */
struct guard guard_of_steering(const struct steering *s);
/* All but those for addresses. */
void guard_rules(struct rule out[GUARD_RULES], const struct guard *g);
struct rule guard_address(const struct guard *g, const struct ip_addr *address);
/* Whether it is the rule for some address. */
bool guard_is_address(const struct guard *g, const struct rule *rule);

#endif
