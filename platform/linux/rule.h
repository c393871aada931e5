/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy routing rules (`ip rule`) as values, and the four of them that send a family's default traffic through a
 * tunnel without sending the tunnel's own datagrams back into it. Control thread.
 */
#ifndef FZ_LINUX_RULE_H
#define FZ_LINUX_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/linux/netlink.h"

struct rule {
    uint8_t family;    /* enum addr_family */
    uint8_t action;    /* FR_ACT_*, from linux/fib_rules.h */
    bool invert;       /* "not" */
    bool has_mark;     /* matches `mark`, all bits */
    bool suppress_all; /* suppress_prefixlength 0: results that are default routes do not count */
    uint32_t mark, table, priority;
};

enum {
    RULE_STEERING = 4
};

/* Both return 0 or a positive errno. add: EEXIST if the very same rule is there. */
int rule_add(struct netlink *n, const struct rule *rule);
int rule_del(struct netlink *n, const struct rule *rule);

/* All rules of a family, in order; the caller frees *out. Returns 0 or a positive errno. */
int rule_list(struct netlink *n, uint8_t family, struct rule **out, size_t *out_n);

/*
 * Fills in the rules for one tunnel, with priorities that are free in `existing`. False: no room.
 *
 *   P1      fwmark MARK lookup main              the tunnel's own datagrams take the host's ordinary way,
 *   P1+1    fwmark MARK unreachable              or none: never another tunnel's table
 *   P2-1    lookup main suppress_prefixlength 0  more specific routes of the host stay in force
 *   P2      not fwmark MARK lookup TABLE         all else goes through the tunnel
 *
 * The first pair stands before the second pairs of all tunnels. So when several default-route tunnels run, each one's
 * datagrams leave directly; with the second pairs alone they would go round in circles between the tunnels. Rules
 * that the administrator has placed before ours keep their precedence.
 */
bool rule_steering(struct rule out[RULE_STEERING], uint8_t family, uint32_t mark, uint32_t table,
                   const struct rule *existing, size_t existing_n);

#endif
