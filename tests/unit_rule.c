/* SPDX-License-Identifier: Apache-2.0 */
/* Policy rules: the choice of priorities, and rules to the kernel and back, with the netlink exchange below them. */
#include "platform/linux/rule.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/addr.h"
#include "tests/support/netns.h"

/* Priorities next to rules of others, and no room left. */
static void priorities_are_free_ones(void **state)
{
    (void)state;
    static struct rule existing[800];
    struct steering s = {.family = ADDR_V4, .mark = 1, .table = 2};
    size_t n = 0;

    assert_true(rule_steering_choose(&s, existing, 0));
    assert_int_equal(s.bypass, 32000);
    assert_int_equal(s.steer, 32760);
    existing[n++] = (struct rule){.priority = 32765};
    existing[n++] = (struct rule){.priority = 32759};
    existing[n++] = (struct rule){.priority = 32001};
    assert_true(rule_steering_choose(&s, existing, n));
    assert_int_equal(s.bypass, 32002);
    assert_int_equal(s.steer, 32753);
    assert_true(rule_steering_ok(&s));
    for (uint32_t p = 32100; p < 32766; p++)
        existing[n++] = (struct rule){.priority = p};
    assert_false(rule_steering_choose(&s, existing, n));
    n = 0;
    for (uint32_t p = 32000; p < 32100; p += 2)
        existing[n++] = (struct rule){.priority = p};
    assert_false(rule_steering_choose(&s, existing, n));
}

static void steering_in_range(void **state)
{
    (void)state;
    static const struct {
        struct steering s;
        bool ok;
    } cases[] = {
        {{ADDR_V4, 1, 2, 32000, 32100}, true},    {{ADDR_V6, 1, 2, 32098, 32760}, true},
        {{ADDR_NONE, 1, 2, 32000, 32100}, false}, {{ADDR_V4, 0, 2, 32000, 32100}, false},
        {{ADDR_V4, 1, 0, 32000, 32100}, false},   {{ADDR_V4, 1, 2, 31999, 32100}, false},
        {{ADDR_V4, 1, 2, 32099, 32100}, false},   {{ADDR_V4, 1, 2, 32000, 32099}, false},
        {{ADDR_V4, 1, 2, 32000, 32761}, false},
    };
    struct rule rules[RULE_STEERING];

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(rule_steering_ok(&cases[i].s), cases[i].ok);
    rule_steering_at(rules, &cases[0].s);
    assert_int_equal(rules[0].priority, 32000);
    assert_int_equal(rules[1].priority, 32001);
    assert_int_equal(rules[2].priority, 32100);
    assert_int_equal(rules[3].priority, 32104);
}

/* What comes back is what was sent, and a rule with one condition more is another one. */
static void rules_there_and_back(void **state)
{
    (void)state;
    static const char *const others[] = {"from 10.0.0.0/8", "to 10.0.0.0/8", "iif lo",
                                         "oif lo",          "tos 0x10",      "ipproto udp",
                                         "sport 7",         "uidrange 0-9"};
    const struct steering s = {ADDR_V4, 51, 52, 32000, 32100};
    struct rule rules[RULE_STEERING], *list = NULL;
    struct netlink n;
    size_t list_n = 0;
    char command[256];

    assert_int_equal(netlink_open(&n), ERR_OK);
    rule_steering_at(rules, &s);
    for (unsigned i = 0; i < RULE_STEERING; i++)
        assert_int_equal(rule_add(&n, &rules[i]), 0);
    assert_int_equal(rule_list(&n, ADDR_V4, &list, &list_n), 0);
    assert_int_equal(list_n, 3 + RULE_STEERING);
    for (unsigned i = 0; i < RULE_STEERING; i++) {
        assert_true(rule_equal(&rules[i], &list[1 + i]));
        assert_false(rule_equal(&rules[i], &list[1 + (i + 1) % RULE_STEERING]));
        assert_int_equal(rule_del(&n, &rules[i]), 0);
    }
    free(list);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        snprintf(command, sizeof command,
                 "ip rule add not fwmark 51 %s lookup 52 priority 32104 protocol 253", others[i]);
        assert_int_equal(system(command), 0);
        assert_int_equal(rule_list(&n, ADDR_V4, &list, &list_n), 0);
        assert_int_equal(list_n, 4);
        assert_false(rule_equal(&rules[3], &list[1]));
        free(list);
        assert_int_equal(system("ip rule del priority 32104"), 0);
    }
    netlink_close(&n);
}

/* The exchange itself: texts, answers that belong to nobody, dumps larger than one datagram. */
static void netlink_exchanges(void **state)
{
    (void)state;
    struct netlink n;
    struct rule rule = {.family = ADDR_V4, .action = 1, .table = 77, .has_mark = true};
    struct rule *rules = NULL;
    size_t rules_n = 0;

    assert_int_equal(netlink_open(&n), ERR_OK);
    for (unsigned i = 0; i < 1000; i++) {
        rule.mark = i + 1;
        rule.priority = 10000 + i;
        assert_int_equal(rule_add(&n, &rule), 0);
    }
    assert_int_equal(rule_add(&n, &rule), EEXIST);
    assert_string_not_equal(netlink_text(&n, EEXIST), "");
    /* an exchange is given up: its answer, ENODEV, must not be taken for the next one's */
    struct netlink_buf b;
    struct nlmsghdr *h = netlink_begin(&b, RTM_DELLINK, NLM_F_ACK);
    struct ifinfomsg *link = mnl_nlmsg_put_extra_header(h, sizeof *link);
    link->ifi_index = 99999;
    h->nlmsg_seq = 12345;
    assert_true(mnl_socket_sendto(n.socket, h, h->nlmsg_len) > 0);
    assert_int_equal(rule_list(&n, ADDR_V4, &rules, &rules_n), 0);
    assert_int_equal(rules_n, 1003);
    assert_int_equal(rules[1].priority, 10000);
    assert_int_equal(rules[1].mark, 1);
    assert_int_equal(rules[1].table, 77);
    free(rules);
    for (unsigned i = 0; i < 1000; i++) {
        rule.mark = i + 1;
        rule.priority = 10000 + i;
        assert_int_equal(rule_del(&n, &rule), 0);
    }
    assert_int_equal(rule_del(&n, &rule), ENOENT);
    netlink_close(&n);
}

int main(void)
{
    netns_enter_or_skip();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(priorities_are_free_ones),
        cmocka_unit_test(steering_in_range),
        cmocka_unit_test(rules_there_and_back),
        cmocka_unit_test(netlink_exchanges),
    };
    return cmocka_run_group_tests_name("rule", tests, NULL, NULL);
}
