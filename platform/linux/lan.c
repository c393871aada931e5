/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/linux/lan.h"

#include <linux/if.h>
#include <linux/rtnetlink.h>

static bool is_up(uint32_t ifindex, const struct lan_plan *plan)
{
    for (size_t i = 0; i < plan->links_n; i++) {
        if (plan->links[i].ifindex == ifindex)
            return plan->links[i].operstate == IF_OPER_UP;
    }
    return false;
}

static bool v6_wanted(const struct lan_route *r)
{
    const uint8_t *b = r->dst.ip.bytes;
    bool multicast = b[0] == 0xff, link_local = b[0] == 0xfe && (b[1] & 0xc0) == 0x80;

    return r->protocol == RTPROT_KERNEL && !r->gateway && !multicast && !link_local;
}

bool lan_wanted(const struct lan_route *r, const struct lan_plan *plan)
{
    if (r->dst.len == 0 || r->type != RTN_UNICAST || r->oif == plan->tun_ifindex ||
        !is_up(r->oif, plan))
        return false;
    return r->dst.ip.family == ADDR_V6 ? v6_wanted(r) : r->scope == RT_SCOPE_LINK;
}

/* Apart from the table. */
static bool same(const struct lan_route *a, const struct lan_route *b)
{
    return a->dst.len == b->dst.len && ip_addr_equal(&a->dst.ip, &b->dst.ip) &&
           ip_addr_equal(&a->source, &b->source) && a->oif == b->oif && a->metric == b->metric &&
           a->type == b->type && a->scope == b->scope && a->protocol == b->protocol &&
           a->tos == b->tos && a->gateway == b->gateway;
}

bool lan_mark(struct lan_plan *plan)
{
    bool any = false;

    for (size_t k = 0; k < plan->copies_n; k++)
        plan->copies[k].marked = true;
    for (size_t i = 0; i < plan->routes_n; i++) {
        struct lan_route *r = &plan->routes[i];
        bool wanted = lan_wanted(r, plan);
        r->marked = wanted;
        for (size_t k = 0; k < plan->copies_n && wanted; k++) {
            if (same(r, &plan->copies[k]))
                r->marked = plan->copies[k].marked = false;
        }
        any = any || r->marked;
    }
    for (size_t k = 0; k < plan->copies_n; k++)
        any = any || plan->copies[k].marked;
    return any;
}
