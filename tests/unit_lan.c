/* SPDX-License-Identifier: Apache-2.0 */
/* Which routes are those of local networks, and which copies are missing or too many. */
#include "platform/linux/lan.h"

#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

enum {
    ETH = 2,
    WLAN = 3,
    DOWN = 4,
    WG = 5,
    TUN = 9
};

static const struct lan_link links[] = {
    {ETH, IF_OPER_UP},     {WLAN, IF_OPER_UP}, {DOWN, IF_OPER_DOWN},
    {WG, IF_OPER_UNKNOWN}, {TUN, IF_OPER_UP},
};

static struct lan_route route(const char *dst, uint32_t oif)
{
    struct lan_route r = {.oif = oif, .type = RTN_UNICAST, .protocol = RTPROT_KERNEL};
    assert_int_equal(ip_prefix_parse(&r.dst, dst), ERR_OK);
    r.scope = r.dst.ip.family == ADDR_V4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
    r.metric = r.dst.ip.family == ADDR_V4 ? 0 : 256;
    return r;
}

enum change {
    SAME,
    SCOPE_GLOBAL,
    SCOPE_HOST,
    STATIC,
    RA,
    GATEWAY,
    LOCAL,
    BLACKHOLE
};

static const struct {
    const char *dst;
    uint32_t oif;
    enum change change;
    bool wanted;
} cases[] = {
    {"192.0.2.0/24", ETH, SAME, true},
    {"192.0.2.0/24", WLAN, SAME, true},
    {"192.0.2.0/24", DOWN, SAME, false},
    {"192.0.2.0/24", WG, SAME, false}, /* not known whether it is up: another tunnel */
    {"192.0.2.0/24", TUN, SAME, false},
    {"192.0.2.0/24", 77, SAME, false}, /* gone meanwhile */
    {"192.0.2.0/24", 0, SAME, false},
    {"192.0.2.0/24", ETH, STATIC, true}, /* IPv4 goes by the scope */
    {"192.0.2.0/24", ETH, SCOPE_GLOBAL, false},
    {"192.0.2.0/24", ETH, SCOPE_HOST, false},
    {"192.0.2.0/24", ETH, LOCAL, false},
    {"192.0.2.0/24", ETH, BLACKHOLE, false},
    {"192.0.2.7/32", ETH, SAME, true},
    {"0.0.0.0/0", ETH, SAME, false},
    {"169.254.0.0/16", ETH, SAME, true},
    {"2001:db8::/64", ETH, SAME, true},
    {"2001:db8::/64", DOWN, SAME, false},
    {"2001:db8::/64", WG, SAME, false},
    {"2001:db8::/64", TUN, SAME, false},
    {"2001:db8::/64", ETH, STATIC, false},
    {"2001:db8::/64", ETH, RA, false},
    {"2001:db8::/64", ETH, GATEWAY, false},
    {"2001:db8::/64", ETH, BLACKHOLE, false},
    {"fd00::/8", ETH, SAME, true},
    {"::/0", ETH, SAME, false},
    {"fe80::/64", ETH, SAME, false},
    {"febf::/64", ETH, SAME, false},
    {"fec0::/64", ETH, SAME, true},
    {"ff00::/8", ETH, SAME, false},
};

static struct lan_route of_case(size_t i)
{
    struct lan_route r = route(cases[i].dst, cases[i].oif);

    switch (cases[i].change) {
    case SAME:
        break;
    case SCOPE_GLOBAL:
        r.scope = RT_SCOPE_UNIVERSE;
        break;
    case SCOPE_HOST:
        r.scope = RT_SCOPE_HOST;
        break;
    case STATIC:
        r.protocol = RTPROT_STATIC;
        break;
    case RA:
        r.protocol = RTPROT_RA;
        break;
    case GATEWAY:
        r.gateway = true;
        break;
    case LOCAL:
        r.type = RTN_LOCAL;
        break;
    case BLACKHOLE:
        r.type = RTN_BLACKHOLE;
        break;
    }
    return r;
}

static void wanted(void **state)
{
    (void)state;
    const struct lan_plan plan = {.links = links, .links_n = ARRAY_LEN(links), .tun_ifindex = TUN};

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct lan_route r = of_case(i);
        if (lan_wanted(&r, &plan) != cases[i].wanted)
            fail_msg("case %zu: %s by %u", i, cases[i].dst, cases[i].oif);
    }
}

/* Routes and copies by number of the list below; marked: as characters, routes then copies. */
static void marks(void **state)
{
    (void)state;
    struct lan_route all[] = {
        route("192.0.2.0/24", ETH),  route("192.0.2.0/24", WLAN), route("198.51.100.0/24", ETH),
        route("192.0.2.0/24", DOWN), route("0.0.0.0/0", ETH),     route("192.0.2.0/24", ETH),
        route("192.0.2.0/24", ETH),
    };
    all[5].source = (struct ip_addr){.family = ADDR_V4, .bytes = {192, 0, 2, 9}};
    all[6].metric = 100;
    static const struct {
        const char *routes, *copies, *marked_routes, *marked_copies;
    } plans[] = {
        {"", "", "", ""},     {"0", "", "0", ""},        {"0", "0", "", ""},
        {"", "0", "", "0"},   {"1", "0", "1", "0"},      {"02", "0", "2", ""},
        {"02", "20", "", ""}, {"34", "", "", ""},        {"3", "3", "", "3"},
        {"5", "0", "5", "0"}, {"6", "0", "6", "0"},      {"06", "00", "6", ""},
        {"4", "4", "", "4"},  {"024", "251", "0", "51"},
    };

    for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
        struct lan_route routes[8], copies[8];
        struct lan_plan plan = {.routes = routes,
                                .copies = copies,
                                .links = links,
                                .links_n = ARRAY_LEN(links),
                                .tun_ifindex = TUN};
        for (const char *p = plans[i].routes; *p; p++)
            routes[plan.routes_n++] = all[*p - '0'];
        for (const char *p = plans[i].copies; *p; p++)
            copies[plan.copies_n++] = all[*p - '0'];
        bool any = lan_mark(&plan);
        if (any != (plans[i].marked_routes[0] || plans[i].marked_copies[0]))
            fail_msg("plan %zu: %d", i, any);
        for (size_t k = 0; k < plan.routes_n; k++) {
            if (routes[k].marked != (strchr(plans[i].marked_routes, plans[i].routes[k]) != NULL))
                fail_msg("plan %zu: route %zu", i, k);
        }
        for (size_t k = 0; k < plan.copies_n; k++) {
            if (copies[k].marked != (strchr(plans[i].marked_copies, plans[i].copies[k]) != NULL))
                fail_msg("plan %zu: copy %zu", i, k);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wanted),
        cmocka_unit_test(marks),
    };
    return cmocka_run_group_tests_name("lan", tests, NULL, NULL);
}
