/* SPDX-License-Identifier: Apache-2.0 */
/* The product's routes and rules, see routes.h. */
#include "platform/linux/routes_product.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <stdio.h>

#include "platform/linux/reverse_path.h"
#include "platform/linux/routes_private.h"

enum {
    GUARD_PRIORITY = 96,
    FIRST_PRIORITY = 100,
    PRIORITY_STEP = 100,
    AFTER_PRIORITY = FIRST_PRIORITY + PRIORITY_STEP * (PRODUCT_TABLES - 1) + 1
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

struct rule product_rule(enum product_table table, unsigned family, uint32_t mark)
{
    return (struct rule){.family = (uint8_t)family,
                         .action = FR_ACT_TO_TBL,
                         .invert = true,
                         .has_mark = true,
                         .protocol = RULE_PROTOCOL_KERNEL,
                         .mark = mark,
                         .table = product_table_number(table),
                         .priority = FIRST_PRIORITY + PRIORITY_STEP * (uint32_t)table};
}

struct guard product_guard(unsigned family)
{
    return (struct guard){.family = (uint8_t)family,
                          .first = GUARD_PRIORITY,
                          .enter = FIRST_PRIORITY,
                          .after = AFTER_PRIORITY};
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

enum err routes_product_guard(struct routes *r, unsigned family)
{
    struct guard guard = product_guard(family);
    return routes_guard(r, &guard);
}

static uint32_t table_of(const struct ip_prefix *dst)
{
    return product_table_number(dst->len == 0 ? PRODUCT_INTERNET : PRODUCT_USER);
}

/* A guard that looks at all protocols makes the reverse path that of the uplink. */
static bool reverse_path_ok(const struct routes *r)
{
    return r->guards[0].family == ADDR_V4 && r->guards[0].ip_proto == 0;
}

enum err routes_product_add(struct routes *r, const struct ip_prefix *dst)
{
    enum err err = routes_add(r, dst, table_of(dst));

    if (err == ERR_OK && dst->len == 0 && dst->ip.family == ADDR_V4 && !reverse_path_ok(r))
        reverse_path_warn(&r->netlink, r->ifindex);
    return err;
}

enum err routes_product_del(struct routes *r, const struct ip_prefix *dst)
{
    return routes_del(r, dst, table_of(dst));
}
