/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of guard.h in force, with one for each address of the TUN. */
#include <errno.h>

#include "platform/linux/routes_private.h"

static struct guard *guard_of(struct routes *r, unsigned family)
{
    return family == ADDR_V6 ? &r->guards[1] : &r->guards[0];
}

static enum err add(struct routes *r, const struct rule *rule)
{
    int e = rule_add(&r->netlink, rule);

    if (e != 0 && e != EEXIST)
        return routes_fail(r, rule->family, e, "cannot add a policy rule");
    routes_remember(r, &(struct change){.kind = CHANGE_RULE, .u.rule = *rule});
    return ERR_OK;
}

enum err routes_guard(struct routes *r, const struct guard *g)
{
    struct rule rules[GUARD_RULES];
    size_t changes_n = r->changes_n;
    enum err err = ERR_OK;

    guard_rules(rules, g);
    for (unsigned i = 0; i < GUARD_RULES && err == ERR_OK; i++)
        err = add(r, &rules[i]);
    *guard_of(r, g->family) = *g;
    for (size_t i = 0; i < changes_n && err == ERR_OK; i++) {
        if (r->changes[i].kind == CHANGE_ADDR)
            err = routes_guard_address(r, &r->changes[i].u.addr.ip);
    }
    return err;
}

enum err routes_guard_address(struct routes *r, const struct ip_addr *address)
{
    const struct guard *g = guard_of(r, address->family);

    if (g->family != address->family)
        return ERR_OK; /* there is none for the family, or not yet */
    struct rule rule = guard_address(g, address);
    return add(r, &rule);
}

void routes_unguard_address(struct routes *r, const struct ip_addr *address)
{
    const struct guard *g = guard_of(r, address->family);
    struct rule rule = guard_address(g, address);

    for (size_t i = r->changes_n; i-- > 0 && g->family == address->family;) {
        if (r->changes[i].kind == CHANGE_RULE && rule_equal(&r->changes[i].u.rule, &rule)) {
            (void)rule_del(&r->netlink, &rule);
            routes_forget(r, i);
            return;
        }
    }
}
