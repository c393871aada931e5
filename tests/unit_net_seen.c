/* SPDX-License-Identifier: Apache-2.0 */
/* What is news: case by case, and a random history against a list that is searched from end to end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/linux/net_seen.h"

static struct net_event link_event(uint32_t ifindex, uint32_t state)
{
    return (struct net_event){.kind = NET_EVENT_LINK, .ifindex = ifindex, .state = state};
}

static struct net_event address_event(uint32_t ifindex, uint8_t last_byte, uint32_t state)
{
    return (struct net_event){
        .kind = NET_EVENT_ADDRESS,
        .family = ADDR_V4,
        .ifindex = ifindex,
        .dst = {.ip = {.family = ADDR_V4, .bytes = {192, 0, 2, last_byte}}, .len = 24},
        .state = state};
}

static struct net_event route_event(uint8_t family, uint32_t ifindex, bool expires)
{
    return (struct net_event){.kind = NET_EVENT_ROUTE,
                              .family = family,
                              .dst = {.ip = {.family = family}},
                              .table = 254,
                              .expires = expires,
                              .hops_len = 1,
                              .hops = {{.ifindex = ifindex}}};
}

static bool take(struct net_seen *s, struct net_event e)
{
    return net_seen_take(s, &e);
}

static bool take_gone(struct net_seen *s, struct net_event e)
{
    e.gone = true;
    return net_seen_take(s, &e);
}

static void test_links(void **state)
{
    struct net_seen s = {0};
    struct net_event wider = link_event(1, 1);

    (void)state;
    wider.mtu = 9000;
    assert_true(take(&s, link_event(1, 1)));
    assert_false(take(&s, link_event(1, 1)));
    assert_true(take(&s, link_event(2, 1)));
    assert_true(take(&s, link_event(1, 0)));
    assert_true(take(&s, link_event(1, 1)));
    assert_true(take(&s, wider));
    assert_false(take(&s, wider));
    assert_true(take_gone(&s, wider));
    assert_true(take(&s, wider));
    assert_false(take(&s, link_event(2, 1)));
    net_seen_fini(&s);
}

static void test_addresses(void **state)
{
    struct net_seen s = {0};

    (void)state;
    assert_true(take(&s, address_event(1, 5, NET_ADDRESS_USABLE)));
    assert_false(take(&s, address_event(1, 5, NET_ADDRESS_USABLE)));
    assert_true(take(&s, address_event(2, 5, NET_ADDRESS_USABLE)));
    assert_true(take(&s, address_event(1, 6, NET_ADDRESS_USABLE)));
    assert_true(take(&s, address_event(1, 5, NET_ADDRESS_USABLE | NET_ADDRESS_DEPRECATED)));
    assert_true(take_gone(&s, address_event(1, 5, 0)));
    assert_true(take_gone(&s, address_event(1, 5, 0))); /* was not known: told all the same */
    assert_true(take(&s, address_event(1, 5, NET_ADDRESS_USABLE)));
    net_seen_forget(&s);
    assert_true(take(&s, address_event(1, 6, NET_ADDRESS_USABLE)));
    assert_false(take(&s, address_event(1, 6, NET_ADDRESS_USABLE)));
    net_seen_fini(&s);
}

static void test_routes(void **state)
{
    struct net_seen s = {0};

    (void)state;
    assert_true(take(&s, route_event(ADDR_V6, 1, true)));
    assert_false(take(&s, route_event(ADDR_V6, 1, true)));
    assert_true(take(&s, route_event(ADDR_V6, 2, true))); /* replaced */
    assert_true(take(&s, route_event(ADDR_V6, 1, true))); /* and back */
    assert_true(take(&s, route_event(ADDR_V6, 1, false)));
    assert_true(take(&s, route_event(ADDR_V6, 1, false))); /* one that stays always counts */
    assert_true(take(&s, route_event(ADDR_V6, 1, true)));
    assert_true(take_gone(&s, route_event(ADDR_V6, 1, false)));
    assert_true(take(&s, route_event(ADDR_V6, 1, true)));
    assert_true(take(&s, route_event(ADDR_V4, 1, true)));
    assert_true(take(&s, route_event(ADDR_V4, 1, true)));
    assert_true(take(&s, link_event(1, 0))); /* may have taken the route along */
    assert_true(take(&s, route_event(ADDR_V6, 1, true)));
    assert_false(take(&s, link_event(1, 0)));
    assert_false(take(&s, route_event(ADDR_V6, 1, true)));
    net_seen_fini(&s);
}

static void test_what_is_never_remembered(void **state)
{
    struct net_seen s = {0};
    struct net_event rule = {.kind = NET_EVENT_RULE}, nexthop = {.kind = NET_EVENT_NEXTHOP};

    (void)state;
    assert_false(take(&s, (struct net_event){.kind = NET_EVENT_NONE}));
    for (int i = 0; i < 2; i++) {
        assert_true(take(&s, rule));
        assert_true(take(&s, nexthop));
    }
    assert_int_equal(s.len, 0);
    net_seen_fini(&s);
}

static void test_bounded(void **state)
{
    struct net_seen s = {0};

    (void)state;
    for (uint32_t i = 1; i <= NET_SEEN_MAX; i++)
        assert_true(take(&s, link_event(i, 0)));
    assert_int_equal(s.len, NET_SEEN_MAX);
    assert_false(take(&s, link_event(1, 0)));
    assert_true(take(&s, link_event(NET_SEEN_MAX + 1, 0)));
    assert_int_equal(s.len, 1);
    assert_true(take(&s, link_event(1, 0)));
    net_seen_fini(&s);
}

enum {
    THINGS = 64,
    STEPS = 20000
};

static void test_like_a_list(void **state)
{
    struct net_seen s = {0};
    struct {
        bool known;
        uint32_t state;
    } list[2][THINGS] = {0};

    (void)state;
    srand(7);
    for (int i = 0; i < STEPS; i++) {
        uint32_t is_link = (uint32_t)rand() % 2, n = (uint32_t)rand() % THINGS,
                 how = (uint32_t)rand() % 3;
        struct net_event e = is_link ? link_event(n, how) : address_event(n % 4, (uint8_t)n, how);
        e.gone = rand() % 4 == 0;
        bool expected = e.gone || !list[is_link][n].known || list[is_link][n].state != how;
        assert_int_equal(net_seen_take(&s, &e), expected);
        list[is_link][n].known = !e.gone;
        list[is_link][n].state = how;
    }
    net_seen_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_links),   cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_routes),  cmocka_unit_test(test_what_is_never_remembered),
        cmocka_unit_test(test_bounded), cmocka_unit_test(test_like_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
