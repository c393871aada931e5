/* SPDX-License-Identifier: Apache-2.0 */
/* Policy rules: the choice of priorities, and rules to the kernel and back, with the netlink exchange below them. */
#include "platform/linux/rule.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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
    struct rule out[RULE_STEERING];
    size_t n = 0;

    assert_true(rule_steering(out, ADDR_V4, 1, 2, existing, 0));
    assert_int_equal(out[0].priority, 32000);
    assert_int_equal(out[3].priority, 32765);
    existing[n++] = (struct rule){.priority = 32765};
    existing[n++] = (struct rule){.priority = 32763};
    existing[n++] = (struct rule){.priority = 32001};
    assert_true(rule_steering(out, ADDR_V4, 1, 2, existing, n));
    assert_int_equal(out[0].priority, 32002);
    assert_int_equal(out[1].priority, 32003);
    assert_int_equal(out[2].priority, 32761);
    assert_int_equal(out[3].priority, 32762);
    for (uint32_t p = 32100; p < 32766; p++)
        existing[n++] = (struct rule){.priority = p};
    assert_false(rule_steering(out, ADDR_V4, 1, 2, existing, n));
    n = 0;
    for (uint32_t p = 32000; p < 32100; p += 2)
        existing[n++] = (struct rule){.priority = p};
    assert_false(rule_steering(out, ADDR_V4, 1, 2, existing, n));
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
        cmocka_unit_test(netlink_exchanges),
    };
    return cmocka_run_group_tests_name("rule", tests, NULL, NULL);
}
