/* SPDX-License-Identifier: Apache-2.0 */
/* Rules to netlink messages and back, and the choice of priorities. */
#include "platform/linux/rule.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/addr.h"
#include "platform/base/bytes.h"
#include "platform/linux/addr_os.h"

#define HOST_DEVICE "lo"

/* Below the kernel's own rules (main 32766, default 32767), where rules without a stated priority end up as well. */
enum {
    BYPASS_FIRST = 32000,
    BYPASS_LAST = 32099,
    STEER_FIRST = 32100,
    STEER_LAST = 32765,
    BYPASS_RUN = 2, /* priorities in a row */
    STEER_RUN = 6
};

static struct nlmsghdr *rule_message(struct netlink_buf *b, uint16_t type, uint16_t flags,
                                     const struct rule *rule)
{
    struct nlmsghdr *h = netlink_begin(b, type, flags);
    struct fib_rule_hdr *frh = mnl_nlmsg_put_extra_header(h, sizeof *frh);

    frh->family = (uint8_t)addr_os_family(rule->family);
    frh->action = rule->action;
    frh->flags = rule->invert ? FIB_RULE_INVERT : 0;
    frh->table = rule->table < 256 ? (uint8_t)rule->table : RT_TABLE_UNSPEC;
    frh->src_len = rule->from.len;
    mnl_attr_put_u32(h, FRA_PRIORITY, rule->priority);
    if (rule->from.len != 0)
        mnl_attr_put(h, FRA_SRC, ip_addr_len(&rule->from.ip), rule->from.ip.bytes);
    if (rule->host)
        mnl_attr_put_strz(h, FRA_IIFNAME, HOST_DEVICE);
    if (rule->ip_proto != 0)
        mnl_attr_put_u8(h, FRA_IP_PROTO, rule->ip_proto);
    if (rule->target != 0)
        mnl_attr_put_u32(h, FRA_GOTO, rule->target);
    if (rule->has_mark)
        mnl_attr_put_u32(h, FRA_FWMARK, rule->mark);
    if (rule->table != 0)
        mnl_attr_put_u32(h, FRA_TABLE, rule->table);
    if (rule->suppress_all)
        mnl_attr_put_u32(h, FRA_SUPPRESS_PREFIXLEN, 0);
    if (rule->protocol != 0)
        mnl_attr_put_u8(h, FRA_PROTOCOL, rule->protocol);
    return h;
}

int rule_add(struct netlink *n, const struct rule *rule)
{
    struct netlink_buf b;
    return netlink_ack(n, rule_message(&b, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, rule));
}

int rule_del(struct netlink *n, const struct rule *rule)
{
    struct netlink_buf b;
    return netlink_ack(n, rule_message(&b, RTM_DELRULE, 0, rule));
}

bool rule_equal(const struct rule *a, const struct rule *b)
{
    return a->family == b->family && a->action == b->action && a->invert == b->invert &&
           a->has_mark == b->has_mark && a->mark == b->mark && a->suppress_all == b->suppress_all &&
           a->table == b->table && a->priority == b->priority && a->protocol == b->protocol &&
           a->host == b->host && a->ip_proto == b->ip_proto && a->target == b->target &&
           a->from.len == b->from.len && ip_addr_equal(&a->from.ip, &b->from.ip) && !a->more &&
           !b->more;
}

struct list {
    struct rule *rules;
    size_t n, max;
    bool out_of_memory;
};

static int take_attr(const struct nlattr *attr, void *arg)
{
    struct rule *rule = arg;

    size_t len = mnl_attr_get_payload_len(attr);
    uint32_t value = len >= sizeof value ? mnl_attr_get_u32(attr) : 0;

    switch (mnl_attr_get_type(attr)) {
    case FRA_PROTOCOL:
        rule->protocol = len > 0 ? mnl_attr_get_u8(attr) : 0;
        break;
    case FRA_PRIORITY:
        rule->priority = value;
        break;
    case FRA_TABLE:
        rule->table = value;
        break;
    case FRA_FWMARK:
        rule->mark = value;
        rule->has_mark = true;
        break;
    case FRA_FWMASK:
        rule->more = rule->more || value != UINT32_MAX;
        break;
    case FRA_SUPPRESS_PREFIXLEN:
        rule->suppress_all = value == 0;
        rule->more = rule->more || (value != 0 && value != UINT32_MAX);
        break;
    case FRA_SRC:
        if (len == (rule->family == ADDR_V4 ? 4 : 16))
            rule->from.ip = rule->family == ADDR_V4 ? ip_addr_v4(mnl_attr_get_payload(attr))
                                                    : ip_addr_v6(mnl_attr_get_payload(attr));
        break;
    case FRA_IIFNAME:
        rule->host =
            len == sizeof HOST_DEVICE && memcmp(mnl_attr_get_payload(attr), HOST_DEVICE, len) == 0;
        rule->more = rule->more || !rule->host;
        break;
    case FRA_IP_PROTO:
        rule->ip_proto = len > 0 ? mnl_attr_get_u8(attr) : 0;
        break;
    case FRA_GOTO:
        rule->target = value;
        break;
    case FRA_L3MDEV:
    case FRA_PAD:
        break;
    default:
        rule->more = true;
        break;
    }
    return MNL_CB_OK;
}

static void take_rule(void *arg, const struct nlmsghdr *h)
{
    struct list *list = arg;

    if (!h) {
        list->n = 0;
        return;
    }
    if (h->nlmsg_type != RTM_NEWRULE || list->out_of_memory)
        return;
    if (list->n == list->max) {
        size_t max = list->max ? 2 * list->max : 32;
        struct rule *more = realloc(list->rules, max * sizeof *more);
        if (!more) {
            list->out_of_memory = true;
            return;
        }
        list->rules = more;
        list->max = max;
    }
    const struct fib_rule_hdr *frh = mnl_nlmsg_get_payload(h);
    struct rule *rule = &list->rules[list->n++];
    *rule = (struct rule){.family = frh->family == AF_INET ? ADDR_V4 : ADDR_V6,
                          .action = frh->action,
                          .invert = frh->flags & FIB_RULE_INVERT,
                          .from.len = frh->src_len,
                          .more = frh->dst_len != 0 || frh->tos != 0,
                          .table = frh->table};
    mnl_attr_parse(h, sizeof *frh, take_attr, rule);
}

int rule_list(struct netlink *n, uint8_t family, struct rule **out, size_t *out_n)
{
    struct netlink_buf b;
    struct list list = {0};
    struct nlmsghdr *h = netlink_begin(&b, RTM_GETRULE, 0);
    struct fib_rule_hdr *frh = mnl_nlmsg_put_extra_header(h, sizeof *frh);

    frh->family = (uint8_t)addr_os_family(family);
    int e = netlink_dump(n, h, take_rule, &list);
    if (e == 0 && list.out_of_memory)
        e = ENOMEM;
    if (e != 0) {
        free(list.rules);
        list = (struct list){0};
    }
    *out = list.rules;
    *out_n = list.n;
    return e;
}

static bool priority_free(uint32_t priority, const struct rule *existing, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (existing[i].priority == priority)
            return false;
    }
    return true;
}

static bool run_free(uint32_t first, uint32_t len, const struct rule *existing, size_t n)
{
    for (uint32_t i = 0; i < len; i++) {
        if (!priority_free(first + i, existing, n))
            return false;
    }
    return true;
}

void rule_steering_at(struct rule out[RULE_STEERING], const struct steering *s)
{
    for (unsigned i = 0; i < RULE_STEERING; i++)
        out[i] = (struct rule){.family = s->family,
                               .action = FR_ACT_TO_TBL,
                               .protocol = RULE_PROTOCOL_STEERING,
                               .table = RT_TABLE_MAIN};
    out[0].has_mark = out[1].has_mark = out[3].has_mark = true;
    out[0].mark = out[1].mark = out[3].mark = s->mark;
    out[0].priority = s->bypass;
    out[1].priority = s->bypass + 1;
    out[1].action = FR_ACT_UNREACHABLE;
    out[1].table = 0;
    out[2].priority = s->steer;
    out[2].suppress_all = true;
    out[3].priority = s->steer + STEER_MAIN;
    out[3].invert = true;
    out[3].table = s->table;
}

bool rule_steering_ok(const struct steering *s)
{
    return (s->family == ADDR_V4 || s->family == ADDR_V6) && s->mark != 0 && s->table != 0 &&
           s->bypass >= BYPASS_FIRST && s->bypass < BYPASS_LAST && s->steer >= STEER_FIRST &&
           s->steer + STEER_RUN - 1 <= STEER_LAST;
}

bool rule_steering_choose(struct steering *s, const struct rule *existing, size_t existing_n)
{
    s->bypass = BYPASS_FIRST;
    s->steer = STEER_LAST - STEER_RUN + 1;
    while (s->bypass < BYPASS_LAST && !run_free(s->bypass, BYPASS_RUN, existing, existing_n))
        s->bypass++;
    while (s->steer >= STEER_FIRST && !run_free(s->steer, STEER_RUN, existing, existing_n))
        s->steer--;
    return s->bypass < BYPASS_LAST && s->steer >= STEER_FIRST;
}
