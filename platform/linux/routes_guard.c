/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of guard.h in force, with one for each address of the TUN. */
#include <errno.h>

#include "platform/linux/routes_private.h"

static enum err add(struct routes *r, const struct rule *rule)
{
    int e = rule_add(&r->netlink, rule);

    if (e != 0 && e != EEXIST)
        return routes_fail(r, rule->family, e, "cannot add a policy rule");
    routes_remember(r, &(struct change){.kind = CHANGE_RULE, .u.rule = *rule});
    return ERR_OK;
}

static enum err add_address(struct routes *r, const struct guard *g, const struct ip_addr *address)
{
    struct rule rule = guard_address(g, address);
    return add(r, &rule);
}

enum err routes_guard(struct routes *r, const struct guard *g)
{
    struct rule rules[GUARD_RULES];
    size_t changes_n = r->changes_n;
    enum err err = ERR_OK;

    ASSERT(r->guards_n < GUARDS_MAX);
    guard_rules(rules, g);
    for (unsigned i = 0; i < GUARD_RULES && err == ERR_OK; i++)
        err = add(r, &rules[i]);
    for (size_t i = 0; i < changes_n && err == ERR_OK; i++) {
        if (r->changes[i].kind == CHANGE_ADDR && r->changes[i].u.addr.ip.family == g->family)
            err = add_address(r, g, &r->changes[i].u.addr.ip);
    }
    r->guards[r->guards_n++] = *g;
    return err;
}

enum err routes_guard_address(struct routes *r, const struct ip_addr *address)
{
    enum err err = ERR_OK;

    for (unsigned i = 0; i < r->guards_n && err == ERR_OK; i++) {
        if (r->guards[i].family == address->family)
            err = add_address(r, &r->guards[i], address);
    }
    return err;
}

static void remove_rule(struct routes *r, const struct rule *rule)
{
    for (size_t i = r->changes_n; i-- > 0;) {
        if (r->changes[i].kind == CHANGE_RULE && rule_equal(&r->changes[i].u.rule, rule)) {
            (void)rule_del(&r->netlink, rule);
            routes_forget(r, i);
            return;
        }
    }
}

void routes_unguard_address(struct routes *r, const struct ip_addr *address)
{
    for (unsigned i = 0; i < r->guards_n; i++) {
        struct rule rule = guard_address(&r->guards[i], address);
        if (r->guards[i].family == address->family)
            remove_rule(r, &rule);
    }
}

bool routes_guarded(const struct routes *r, unsigned family)
{
    for (unsigned i = 0; i < r->guards_n; i++) {
        if (r->guards[i].family == family && r->guards[i].ip_proto == 0)
            return true;
    }
    return false;
}
