/* SPDX-License-Identifier: Apache-2.0 */
/* See guard.h. */
#include "platform/linux/guard.h"

#include <linux/fib_rules.h>
#include <netinet/in.h>

/* Whoever steers all of his traffic wants what is bound to an address to go through the tunnel as well. */
struct guard guard_of_steering(const struct steering *s)
{
    return (struct guard){.family = s->family,
                          .ip_proto = s->family == ADDR_V6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
                          .first = s->steer + 1,
                          .enter = s->steer + STEER_MAIN,
                          .after = s->steer + STEER_MAIN + 1};
}

static struct rule jump(const struct guard *g, uint32_t priority, uint32_t target)
{
    return (struct rule){.family = g->family,
                         .action = FR_ACT_GOTO,
                         .protocol = RULE_PROTOCOL_STEERING,
                         .target = target,
                         .priority = priority};
}

void guard_rules(struct rule out[GUARD_RULES], const struct guard *g)
{
    bool v6 = g->family == ADDR_V6;

    out[0] = (struct rule){.family = g->family,
                           .action = FR_ACT_NOP,
                           .protocol = RULE_PROTOCOL_STEERING,
                           .priority = g->after};
    out[1] = v6 ? jump(g, g->first + 2, g->after) : jump(g, g->first, g->enter);
    out[2] = jump(g, g->first + 2, g->after);
    out[1].from = (struct ip_prefix){.ip.family = g->family, .len = v6 ? 1 : 32};
    if (v6) {
        out[2].from = out[1].from;
        out[2].from.ip.bytes[0] = 0x80;
        out[1].host = true;
        out[1].ip_proto = g->ip_proto;
    }
    out[2].host = true;
    out[2].ip_proto = g->ip_proto;
}

struct rule guard_address(const struct guard *g, const struct ip_addr *address)
{
    struct rule rule = jump(g, g->first + 1, g->enter);

    rule.from = ip_prefix_host(address);
    return rule;
}

bool guard_is_address(const struct guard *g, const struct rule *rule)
{
    struct rule like = guard_address(g, &rule->from.ip);

    return rule->from.ip.family == g->family && rule_equal(rule, &like);
}
