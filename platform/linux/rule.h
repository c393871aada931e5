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

#include "platform/base/addr.h"
#include "platform/linux/netlink.h"

struct rule {
    uint8_t family;    /* enum addr_family */
    uint8_t action;    /* FR_ACT_*, from linux/fib_rules.h */
    bool invert;       /* "not" */
    bool has_mark;     /* matches `mark`, all bits */
    bool host;         /* "iif lo": what the host itself sends */
    uint8_t ip_proto;  /* of this protocol; 0: any */
    bool suppress_all; /* suppress_prefixlength 0: results that are default routes do not count */
    bool more;         /* of a listed one: it has conditions that are not among these */
    uint8_t protocol;  /* who has made it; 0: nobody in particular */
    uint32_t mark, table, priority;
    uint32_t target;       /* of FR_ACT_GOTO: the priority to go on with */
    struct ip_prefix from; /* whose source is in it; ADDR_NONE: any, or none yet */
};

enum {
    RULE_STEERING = 4,
    STEER_MAIN = 4,              /* behind the first of them */
    RULE_PROTOCOL_KERNEL = 2,    /* of the product's rules */
    RULE_PROTOCOL_STEERING = 253 /* of those below; nobody else's, see /etc/iproute2/rt_protos */
};

/* Both return 0 or a positive errno. add: EEXIST if the very same rule is there. */
int rule_add(struct netlink *n, const struct rule *rule);
int rule_del(struct netlink *n, const struct rule *rule);

/* All rules of a family, in order; the caller frees *out. Returns 0 or a positive errno. */
int rule_list(struct netlink *n, uint8_t family, struct rule **out, size_t *out_n);

/* The same in every respect. */
bool rule_equal(const struct rule *a, const struct rule *b);

/*
 * The rules of one tunnel and family:
 *
 *   bypass     fwmark MARK lookup main              the tunnel's own datagrams take the host's ordinary way,
 *   bypass+1   fwmark MARK unreachable              or none: never another tunnel's table
 *   steer      lookup main suppress_prefixlength 0  more specific routes of the host stay in force
 *   steer+1..3                                      the kernel's ICMP errors in the name of our sockets pass by (guard.h)
 *   steer+4    not fwmark MARK lookup TABLE         all else goes through the tunnel
 *   steer+5                                         where the errors go on
 *
 * The first pair stands before the others of all tunnels. So when several default-route tunnels run, each one's
 * datagrams leave directly; with the others alone they would go round in circles between the tunnels. Rules
 * that the administrator has placed before ours keep their precedence.
 */
struct steering {
    uint8_t family;
    uint32_t mark, table;
    uint32_t bypass, steer; /* priorities */
};

/* Fills in priorities that are free in `existing`. False: no room. */
bool rule_steering_choose(struct steering *s, const struct rule *existing, size_t existing_n);
/* Whether it is one that could have been chosen. */
bool rule_steering_ok(const struct steering *s);
void rule_steering_at(struct rule out[RULE_STEERING], const struct steering *s);

#endif
