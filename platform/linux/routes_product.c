/* SPDX-License-Identifier: Apache-2.0 */
/* The product's routes and rules, see routes.h. */
#include "platform/linux/routes_product.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <stdio.h>
#include <stdlib.h>

#include "platform/base/log.h"
#include "platform/linux/reverse_path.h"
#include "platform/linux/routes_private.h"

enum {
    FIRST_PRIORITY = 100,
    PRIORITY_STEP = 100,
    BEFORE = 3 /* priorities of the guard before the rule */
};

static const uint32_t numbers[PRODUCT_TABLES] = {
    [PRODUCT_USER] = 0x2021fd00,
    [PRODUCT_LINK_SCOPE] = 0x2021fd01,
    [PRODUCT_INTERNET] = 0x2021fd02,
};

uint32_t product_table_number(enum product_table table)
{
    return numbers[table];
}

const uint32_t *routes_product_tables(size_t *n)
{
    *n = PRODUCT_TABLES;
    return numbers;
}

static uint32_t priority_of(enum product_table table)
{
    return FIRST_PRIORITY + PRIORITY_STEP * (uint32_t)table;
}

struct rule product_rule(enum product_table table, unsigned family, uint32_t mark)
{
    return (struct rule){.family = (uint8_t)family,
                         .action = FR_ACT_TO_TBL,
                         .invert = true,
                         .has_mark = true,
                         .protocol = RULE_PROTOCOL_KERNEL,
                         .mark = mark,
                         .table = product_table_number(table),
                         .priority = priority_of(table)};
}

struct guard product_guard(enum product_table table, unsigned family)
{
    return (struct guard){.family = (uint8_t)family,
                          .first = priority_of(table) - BEFORE,
                          .enter = priority_of(table),
                          .after = priority_of(table) + 1};
}

enum err routes_product_rules(struct routes *r, unsigned family, uint32_t mark)
{
    for (unsigned i = 0; i < PRODUCT_TABLES; i++) {
        struct rule rule = product_rule(i, family, mark);
        int e = rule_add(&r->netlink, &rule);
        if (e == EOPNOTSUPP || e == EAFNOSUPPORT) {
            snprintf(r->why, sizeof r->why, "this kernel has no policy routing for IPv%c",
                     family == ADDR_V6 ? '6' : '4');
            return ERR_UNSUPPORTED;
        }
        if (e != 0 && e != EEXIST)
            return routes_fail(r, family, e, "cannot add a policy rule for table %u", rule.table);
        routes_remember(r, &(struct change){.kind = CHANGE_RULE, .u.rule = rule});
    }
    return ERR_OK;
}

/* The guard would send the host's packets past a rule of somebody else. */
static bool is_in_the_way(const struct rule *rule, unsigned family)
{
    for (unsigned i = 0; i < PRODUCT_TABLES; i++) {
        if (rule->priority == priority_of(i) && rule->table != product_table_number(i))
            return rule->family == family;
    }
    return false;
}

static int others_in_the_way(struct routes *r, unsigned family, uint32_t *priority)
{
    struct rule *rules;
    size_t n;
    int e = rule_list(&r->netlink, (uint8_t)family, &rules, &n);

    *priority = 0;
    if (e != 0)
        return e;
    for (size_t i = 0; i < n && *priority == 0; i++) {
        if (is_in_the_way(&rules[i], family))
            *priority = rules[i].priority;
    }
    free(rules);
    return 0;
}

enum err routes_product_guard(struct routes *r, unsigned family)
{
    uint32_t priority;
    int e = others_in_the_way(r, family, &priority);
    enum err err = ERR_OK;

    if (e != 0)
        return routes_fail(r, family, e, "cannot read the policy rules");
    if (priority != 0) {
        log_warn(
            "routes",
            "another program has an IPv%c policy rule with priority %u: what the host answers in the name of "
            "our sockets may enter the tunnel",
            family == ADDR_V6 ? '6' : '4', priority);
        return ERR_OK;
    }
    for (unsigned i = 0; i < PRODUCT_TABLES && err == ERR_OK; i++) {
        struct guard guard = product_guard(i, family);
        err = routes_guard(r, &guard);
    }
    return err;
}

static uint32_t table_of(const struct ip_prefix *dst)
{
    return product_table_number(dst->len == 0 ? PRODUCT_INTERNET : PRODUCT_USER);
}

enum err routes_product_add(struct routes *r, const struct ip_prefix *dst)
{
    enum err err = routes_add(r, dst, table_of(dst));

    if (err == ERR_OK && dst->len == 0 && dst->ip.family == ADDR_V4 &&
        !routes_guarded(r, ADDR_V4)) /* else the reverse path is the uplink's */
        reverse_path_warn(&r->netlink, r->ifindex);
    return err;
}

enum err routes_product_del(struct routes *r, const struct ip_prefix *dst)
{
    return routes_del(r, dst, table_of(dst));
}
