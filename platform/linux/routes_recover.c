/* SPDX-License-Identifier: Apache-2.0 */
/* What runs that were killed have left on the host: found in journals and in the product's tables, and undone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/linux/guard.h"
#include "platform/linux/journal.h"
#include "platform/linux/reverse_path.h"
#include "platform/linux/route_list.h"
#include "platform/linux/routes_product.h"
#include "platform/routes.h"

#define MODULE "routes"

static const uint8_t families[] = {ADDR_V4, ADDR_V6};

static bool no_family(int e)
{
    return e == EOPNOTSUPP || e == EAFNOSUPPORT;
}

static int delete_rule(struct netlink *n, const struct rule *rule, unsigned *deleted)
{
    int e = rule_del(n, rule);

    (*deleted)++;
    return e == ENOENT ? 0 : e;
}

/* Deletes those of the rules that are there, exactly like this. Returns 0 or a positive errno; *deleted: added up. */
static int delete_rules(struct netlink *n, const struct rule *rules, size_t rules_n,
                        unsigned *deleted)
{
    struct rule *existing = NULL;
    size_t existing_n = 0;
    int e = rules_n > 0 ? rule_list(n, rules[0].family, &existing, &existing_n) : 0;

    if (e != 0)
        return no_family(e) ? 0 : e;
    for (size_t i = rules_n; i-- > 0 && e == 0;) {
        for (size_t k = 0; k < existing_n && e == 0; k++) {
            if (rule_equal(&rules[i], &existing[k]))
                e = delete_rule(n, &existing[k], deleted);
        }
    }
    free(existing);
    return e;
}

/* The same for all of a guard, whose addresses nobody knows any more. */
static int delete_guard(struct netlink *n, const struct guard *g, unsigned *deleted)
{
    struct rule rules[GUARD_RULES], *existing = NULL;
    size_t existing_n = 0;
    int e = rule_list(n, g->family, &existing, &existing_n);

    if (e != 0)
        return no_family(e) ? 0 : e;
    for (size_t k = 0; k < existing_n && e == 0; k++) {
        if (guard_is_address(g, &existing[k]))
            e = delete_rule(n, &existing[k], deleted);
    }
    free(existing);
    guard_rules(rules, g);
    return e == 0 ? delete_rules(n, rules, GUARD_RULES, deleted) : e;
}

static void failed(struct netlink *n, int e)
{
    log_warn(MODULE, "what a former run has left cannot be removed: %s%s", netlink_text(n, e),
             e == EPERM ? "; run as root or with CAP_NET_ADMIN" : "");
}

/* An interface that is gone has no settings. */
static bool restore(const struct sysctl *s, unsigned *restored)
{
    int e = sysctl_write(s);

    *restored += e == 0;
    if (e != 0 && e != ENOENT)
        log_warn(MODULE,
                 "cannot set net.%s.conf.%s.%s to %u, as it was before a run that was killed: %s",
                 sysctl_family(s->key), s->scope, sysctl_name(s->key), s->value, strerror(e));
    return e == 0 || e == ENOENT;
}

static bool undo_journal(void *arg, const struct journal_text *text)
{
    struct netlink *n = arg;
    struct rule rules[RULE_STEERING];
    unsigned deleted = 0, restored = 0;
    bool marks = false, all = true;
    int e = 0;

    for (size_t i = text->n; i-- > 0 && e == 0;) {
        const struct journal_entry *entry = &text->entries[i];
        if (entry->kind == JOURNAL_MARKS) {
            marks = true;
            continue;
        }
        if (entry->kind == JOURNAL_SYSCTL) {
            all = restore(&entry->sysctl, &restored) && all;
            continue;
        }
        struct guard guard = guard_of_steering(&entry->steering);
        e = delete_guard(n, &guard, &deleted);
        rule_steering_at(rules, &entry->steering);
        if (e == 0)
            e = delete_rules(n, rules, RULE_STEERING, &deleted);
    }
    if (e != 0) {
        failed(n, e);
        return false;
    }
    if (marks)
        reverse_path_restore(n);
    if (deleted > 0)
        log_info(MODULE, "removed %u policy rules of a run that was killed", deleted);
    if (restored > 0)
        log_info(MODULE, "%u settings of the kernel are as before a run that was killed", restored);
    return all;
}

void routes_recover(void)
{
    struct netlink n;

    if (netlink_open(&n) != ERR_OK)
        return;
    journal_recover(undo_journal, &n);
    netlink_close(&n);
}

void routes_product_recover(uint32_t mark)
{
    struct netlink n;
    unsigned rules = 0, routes = 0;
    int e = 0;

    if (netlink_open(&n) != ERR_OK)
        return;
    for (size_t f = 0; f < ARRAY_LEN(families); f++) {
        for (unsigned t = 0; t < PRODUCT_TABLES && e == 0; t++) {
            struct rule rule = product_rule(t, families[f], mark);
            struct guard guard = product_guard(t, families[f]);
            e = delete_guard(&n, &guard, &rules);
            if (e == 0)
                e = delete_rules(&n, &rule, 1, &rules);
            if (e == 0)
                e = route_list_flush(&n, families[f], rule.table, &routes);
        }
    }
    if (e != 0)
        failed(&n, e);
    if (rules > 0 || routes > 0)
        log_info(MODULE, "removed %u policy rules and %u routes of a run that was killed", rules,
                 routes);
    netlink_close(&n);
}
