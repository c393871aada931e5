/* SPDX-License-Identifier: Apache-2.0 */
/* rtnetlink's messages as values: each kind, what is left out, what is ours, and every way to cut one short. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/icmpv6.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "platform/base/bytes.h"
#include "platform/linux/net_event.h"

struct message {
    char bytes[1024] __attribute__((aligned(8)));
    struct nlmsghdr *h;
};

static void *message_begin(struct message *m, uint16_t type, const void *header, size_t size)
{
    memset(m, 0, sizeof *m);
    m->h = mnl_nlmsg_put_header(m->bytes);
    m->h->nlmsg_type = type;
    return memcpy(mnl_nlmsg_put_extra_header(m->h, size), header, size);
}

static void put_ip(struct message *m, uint16_t type, const char *text)
{
    struct ip_addr ip;
    assert_int_equal(ip_addr_parse(&ip, text), ERR_OK);
    mnl_attr_put(m->h, type, ip_addr_len(&ip), ip.bytes);
}

static struct net_event parse(const struct message *m)
{
    struct net_event e;
    assert_int_equal(net_event_next(&e, m->bytes, m->h->nlmsg_len), m->h->nlmsg_len);
    return e;
}

static void expect_ip(const struct ip_addr *ip, const char *expected)
{
    char text[IP_TEXT_MAX];
    assert_string_equal(ip_addr_format(ip, text, sizeof text), expected);
}

/* ---- one message of each kind ---- */

static void make_link(struct message *m, uint16_t type, unsigned char family, int ifindex)
{
    struct ifinfomsg ifi = {.ifi_family = family,
                            .ifi_index = ifindex,
                            .ifi_flags = IFF_UP | IFF_RUNNING | IFF_BROADCAST};
    message_begin(m, type, &ifi, sizeof ifi);
    mnl_attr_put_strz(m->h, IFLA_IFNAME, "eth0");
    mnl_attr_put_u32(m->h, IFLA_MTU, 1500);
    mnl_attr_put_u32(m->h, IFLA_MASTER, 9);
    mnl_attr_put_u8(m->h, IFLA_OPERSTATE, 6);
}

static void make_address(struct message *m, uint8_t flags)
{
    struct ifaddrmsg ifa = {.ifa_family = AF_INET6,
                            .ifa_prefixlen = 64,
                            .ifa_flags = flags,
                            .ifa_scope = RT_SCOPE_UNIVERSE,
                            .ifa_index = 3};
    message_begin(m, RTM_NEWADDR, &ifa, sizeof ifa);
    put_ip(m, IFA_ADDRESS, "2001:db8::5");
}

static void make_route(struct message *m, unsigned char family)
{
    struct rtmsg rtm = {.rtm_family = family, .rtm_table = RT_TABLE_MAIN, .rtm_type = RTN_UNICAST};
    message_begin(m, RTM_NEWROUTE, &rtm, sizeof rtm);
    mnl_attr_put_u32(m->h, RTA_OIF, 3);
    put_ip(m, RTA_GATEWAY, family == AF_INET ? "192.0.2.1" : "fe80::1");
    mnl_attr_put_u32(m->h, RTA_PRIORITY, 100);
}

static struct rtmsg *route_header(struct message *m)
{
    return mnl_nlmsg_get_payload(m->h);
}

static void make_rule(struct message *m, uint32_t table)
{
    struct fib_rule_hdr frh = {.family = AF_INET, .action = FR_ACT_TO_TBL};
    message_begin(m, RTM_NEWRULE, &frh, sizeof frh);
    mnl_attr_put_u32(m->h, FRA_TABLE, table);
}

static void make_nexthop(struct message *m, uint32_t ifindex)
{
    struct nhmsg nh = {.nh_family = AF_INET};
    message_begin(m, RTM_DELNEXTHOP, &nh, sizeof nh);
    mnl_attr_put_u32(m->h, NHA_OIF, ifindex);
}

/* A hop of a multipath route, inside RTA_MULTIPATH. */
static void put_hop(struct message *m, int ifindex, unsigned char flags, const char *gateway)
{
    struct rtnexthop *hop = mnl_nlmsg_get_payload_tail(m->h);
    uint32_t before = m->h->nlmsg_len;
    *hop = (struct rtnexthop){.rtnh_flags = flags, .rtnh_ifindex = ifindex};
    m->h->nlmsg_len += sizeof *hop;
    if (gateway)
        put_ip(m, RTA_GATEWAY, gateway);
    hop->rtnh_len = (uint16_t)(m->h->nlmsg_len - before);
}

static void make_multipath(struct message *m)
{
    struct rtmsg rtm = {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_type = RTN_UNICAST};
    message_begin(m, RTM_NEWROUTE, &rtm, sizeof rtm);
    struct nlattr *nest = mnl_attr_nest_start(m->h, RTA_MULTIPATH);
    put_hop(m, 3, 0, "192.0.2.1");
    put_hop(m, 4, RTNH_F_DEAD, "192.0.2.2");
    put_hop(m, 5, 0, NULL);
    mnl_attr_nest_end(m->h, nest);
}

/* ---- tests ---- */

static void test_link(void **state)
{
    struct message m;

    (void)state;
    make_link(&m, RTM_NEWLINK, AF_UNSPEC, 3);
    struct net_event e = parse(&m);
    assert_int_equal(e.kind, NET_EVENT_LINK);
    assert_false(e.gone);
    assert_int_equal(e.ifindex, 3);
    assert_int_equal(e.mtu, 1500);
    assert_int_equal(e.master, 9);
    uint32_t up = e.state;
    ((struct ifinfomsg *)mnl_nlmsg_get_payload(m.h))->ifi_flags |= IFF_PROMISC;
    assert_int_equal(parse(&m).state, up);
    ((struct ifinfomsg *)mnl_nlmsg_get_payload(m.h))->ifi_flags &= ~(unsigned)IFF_RUNNING;
    assert_int_not_equal(parse(&m).state, up);
    make_link(&m, RTM_DELLINK, AF_UNSPEC, 3);
    assert_true(parse(&m).gone);
    make_link(&m, RTM_DELLINK, AF_BRIDGE, 3); /* leaves its bridge */
    assert_int_equal(parse(&m).kind, NET_EVENT_NONE);
    make_link(&m, RTM_NEWLINK, AF_UNSPEC, 0);
    assert_int_equal(parse(&m).kind, NET_EVENT_NONE);
    make_link(&m, RTM_NEWLINK, AF_UNSPEC, 3);
    mnl_attr_put_u32(m.h, IFLA_WIRELESS, 0);
    assert_int_equal(parse(&m).kind, NET_EVENT_NONE);
}

static void test_address(void **state)
{
    static const struct {
        uint32_t flags, state;
    } cases[] = {
        {0, NET_ADDRESS_GLOBAL | NET_ADDRESS_USABLE},
        {IFA_F_PERMANENT | IFA_F_TEMPORARY, NET_ADDRESS_GLOBAL | NET_ADDRESS_USABLE},
        {IFA_F_TENTATIVE, NET_ADDRESS_GLOBAL},
        {IFA_F_TENTATIVE | IFA_F_OPTIMISTIC, NET_ADDRESS_GLOBAL | NET_ADDRESS_USABLE},
        {IFA_F_TENTATIVE | IFA_F_DADFAILED, NET_ADDRESS_GLOBAL | NET_ADDRESS_FAILED},
        {IFA_F_DEPRECATED, NET_ADDRESS_GLOBAL | NET_ADDRESS_USABLE | NET_ADDRESS_DEPRECATED},
    };
    struct message m;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        make_address(&m, (uint8_t)cases[i].flags);
        assert_int_equal(parse(&m).state, cases[i].state);
        make_address(&m, (uint8_t)~cases[i].flags);
        mnl_attr_put_u32(m.h, IFA_FLAGS, cases[i].flags);
        assert_int_equal(parse(&m).state, cases[i].state);
    }
    struct net_event e = parse(&m);
    assert_int_equal(e.kind, NET_EVENT_ADDRESS);
    assert_int_equal(e.ifindex, 3);
    assert_int_equal(e.dst.len, 64);
    expect_ip(&e.dst.ip, "2001:db8::5");
    put_ip(&m, IFA_LOCAL, "2001:db8::6"); /* point-to-point: the other is the peer's */
    e = parse(&m);
    expect_ip(&e.dst.ip, "2001:db8::6");
    ((struct ifaddrmsg *)mnl_nlmsg_get_payload(m.h))->ifa_scope = RT_SCOPE_LINK;
    assert_false(parse(&m).state & NET_ADDRESS_GLOBAL);
    m.h->nlmsg_type = RTM_DELADDR;
    assert_true(parse(&m).gone);
    ((struct ifaddrmsg *)mnl_nlmsg_get_payload(m.h))->ifa_family = AF_INET; /* of another length */
    assert_int_equal(parse(&m).kind, NET_EVENT_NONE);
}

static void test_route(void **state)
{
    struct message m;

    (void)state;
    make_route(&m, AF_INET);
    put_ip(&m, RTA_PREFSRC, "192.0.2.5");
    struct net_event e = parse(&m);
    assert_int_equal(e.kind, NET_EVENT_ROUTE);
    assert_int_equal(e.family, ADDR_V4);
    assert_int_equal(e.dst.len, 0);
    assert_int_equal(e.table, RT_TABLE_MAIN);
    assert_int_equal(e.metric, 100);
    assert_int_equal(e.hops_len, 1);
    assert_int_equal(e.hops[0].ifindex, 3);
    expect_ip(&e.hops[0].gateway, "192.0.2.1");
    expect_ip(&e.source, "192.0.2.5");
    assert_true(e.usable);
    assert_false(e.expires);

    mnl_attr_put_u32(m.h, RTA_TABLE, 70000);
    assert_int_equal(parse(&m).table, 70000);
    make_route(&m, AF_INET6);
    put_ip(&m, RTA_DST, "2001:db8::");
    route_header(&m)->rtm_dst_len = 32;
    struct rta_cacheinfo cache = {.rta_expires = 1800};
    mnl_attr_put(m.h, RTA_CACHEINFO, sizeof cache, &cache);
    e = parse(&m);
    expect_ip(&e.dst.ip, "2001:db8::");
    assert_int_equal(e.dst.len, 32);
    assert_true(e.expires);
}

static void test_route_gateway_of_the_other_family(void **state)
{
    struct message m;
    char via[2 + 16] = {AF_INET6, 0, (char)0xfe, (char)0x80, [17] = 7};

    (void)state;
    make_route(&m, AF_INET);
    mnl_attr_put(m.h, RTA_VIA, sizeof via, via);
    struct net_event e = parse(&m);
    expect_ip(&e.hops[0].gateway, "fe80::7");
}

static void test_route_preference(void **state)
{
    struct message m;
    uint8_t seen[3];
    static const uint8_t best_first[] = {ICMPV6_ROUTER_PREF_HIGH, ICMPV6_ROUTER_PREF_MEDIUM,
                                         ICMPV6_ROUTER_PREF_LOW};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(best_first); i++) {
        make_route(&m, AF_INET6);
        mnl_attr_put_u8(m.h, RTA_PREF, best_first[i]);
        seen[i] = parse(&m).preference;
    }
    assert_true(seen[0] < seen[1] && seen[1] < seen[2]);
    make_route(&m, AF_INET6);
    assert_int_equal(parse(&m).preference, seen[1]);
}

static void test_route_unusable(void **state)
{
    struct message m;

    (void)state;
    make_route(&m, AF_INET);
    route_header(&m)->rtm_type = RTN_UNREACHABLE;
    assert_false(parse(&m).usable);
    make_route(&m, AF_INET);
    route_header(&m)->rtm_tos = 8;
    assert_false(parse(&m).usable);
    make_route(&m, AF_INET6);
    route_header(&m)->rtm_src_len = 48;
    assert_false(parse(&m).usable);
    make_route(&m, AF_INET);
    route_header(&m)->rtm_flags = RTNH_F_DEAD;
    assert_false(parse(&m).usable);
    route_header(&m)->rtm_flags = RTNH_F_LINKDOWN; /* in use until somebody takes it away */
    assert_true(parse(&m).usable);
    route_header(&m)->rtm_flags = RTM_F_CLONED;
    assert_int_equal(parse(&m).kind, NET_EVENT_NONE);
    route_header(&m)->rtm_flags = 0;
    route_header(&m)->rtm_family = 128; /* multicast forwarding */
    assert_int_equal(parse(&m).kind, NET_EVENT_NONE);
}

static void test_multipath(void **state)
{
    struct message m;

    (void)state;
    make_multipath(&m);
    struct net_event e = parse(&m);
    assert_int_equal(e.hops_len, 2); /* without the dead one */
    assert_int_equal(e.hops[0].ifindex, 3);
    expect_ip(&e.hops[0].gateway, "192.0.2.1");
    assert_int_equal(e.hops[1].ifindex, 5);
    assert_int_equal(e.hops[1].gateway.family, ADDR_NONE);
    assert_true(e.usable);
    struct rtmsg rtm = *route_header(&m);
    message_begin(&m, RTM_NEWROUTE, &rtm, sizeof rtm);
    struct nlattr *nest = mnl_attr_nest_start(m.h, RTA_MULTIPATH);
    for (int i = 1; i < NET_HOPS_MAX + 3; i++)
        put_hop(&m, i, 0, "192.0.2.1");
    mnl_attr_nest_end(m.h, nest);
    assert_int_equal(parse(&m).hops_len, NET_HOPS_MAX);
}

static void test_same_way(void **state)
{
    struct message m;

    (void)state;
    make_multipath(&m);
    struct net_event a = parse(&m), b = a, c = a;
    b.hops[0] = a.hops[1];
    b.hops[1] = a.hops[0];
    assert_true(net_event_same_way(&a, &b));
    c.hops[1].ifindex++;
    assert_false(net_event_same_way(&a, &c));
    c = a;
    c.hops[0].gateway.bytes[3]++;
    assert_false(net_event_same_way(&a, &c));
    c = a;
    c.hops[1] = c.hops[0]; /* one hop twice is not both */
    assert_false(net_event_same_way(&a, &c));
    assert_false(net_event_same_way(&c, &a));
    c = a;
    c.hops_len--;
    assert_false(net_event_same_way(&a, &c));
    c = a;
    c.nexthop_id = 1;
    assert_false(net_event_same_way(&a, &c));
    c = a;
    c.source.family = ADDR_V4;
    assert_false(net_event_same_way(&a, &c));
    c = a;
    c.metric++;
    assert_true(net_event_same_way(&a, &c));
}

static void test_what_is_own(void **state)
{
    static const uint32_t tables[] = {7777, 7778};
    const struct net_own own = {.tuns = {3, 0}, .tables = tables, .tables_len = 2}, none = {0};
    struct message m;
    struct net_event e;

    (void)state;
    make_link(&m, RTM_NEWLINK, AF_UNSPEC, 3);
    e = parse(&m);
    assert_true(net_event_is_own(&e, &own));
    assert_false(net_event_is_own(&e, &none));
    make_link(&m, RTM_NEWLINK, AF_UNSPEC, 4);
    e = parse(&m);
    assert_false(net_event_is_own(&e, &own));
    make_address(&m, 0);
    e = parse(&m);
    assert_true(net_event_is_own(&e, &own));
    make_nexthop(&m, 3);
    e = parse(&m);
    assert_int_equal(e.kind, NET_EVENT_NEXTHOP);
    assert_true(e.gone && net_event_is_own(&e, &own));
    make_nexthop(&m, 0); /* a group: of no interface */
    e = parse(&m);
    assert_false(net_event_is_own(&e, &own));
    make_rule(&m, 7778);
    e = parse(&m);
    assert_int_equal(e.kind, NET_EVENT_RULE);
    assert_true(net_event_is_own(&e, &own));
    make_rule(&m, RT_TABLE_MAIN);
    e = parse(&m);
    assert_false(net_event_is_own(&e, &own));
    make_route(&m, AF_INET); /* into the TUN */
    e = parse(&m);
    assert_true(net_event_is_own(&e, &own));
    e.hops[0].ifindex = 4;
    assert_false(net_event_is_own(&e, &own));
    e.table = 7777;
    assert_true(net_event_is_own(&e, &own));
    make_multipath(&m); /* one of two hops */
    e = parse(&m);
    assert_false(net_event_is_own(&e, &own));
    make_route(&m, AF_INET); /* without a hop */
    e = parse(&m);
    e.hops_len = 0;
    assert_false(net_event_is_own(&e, &own));
}

/* Each message cut at each length, with and without saying so in its header, in memory that ends there. */
static void test_truncated(void **state)
{
    struct message all[5];

    (void)state;
    make_link(&all[0], RTM_NEWLINK, AF_UNSPEC, 3);
    make_address(&all[1], 0);
    make_multipath(&all[2]);
    make_rule(&all[3], 7777);
    make_nexthop(&all[4], 3);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        enum net_event_kind kind = parse(&all[i]).kind;
        for (uint32_t cut = 0; cut < all[i].h->nlmsg_len; cut++) {
            char *exact = malloc(cut > 0 ? cut : 1);
            struct net_event e;
            assert_non_null(exact);
            memcpy(exact, all[i].bytes, cut);
            assert_int_equal(net_event_next(&e, exact, cut), 0);
            assert_int_equal(e.kind, NET_EVENT_NONE);
            if (cut >= sizeof(struct nlmsghdr)) {
                memcpy(exact, &cut, sizeof cut); /* nlmsg_len */
                assert_int_equal(net_event_next(&e, exact, cut), cut);
                assert_true(e.kind == NET_EVENT_NONE || e.kind == kind);
            }
            free(exact);
        }
    }
}

static void test_several_in_one_datagram(void **state)
{
    struct message a, b;
    char datagram[2048];
    struct net_event e;

    (void)state;
    make_link(&a, RTM_NEWLINK, AF_UNSPEC, 3);
    make_rule(&b, 7777);
    size_t a_len = a.h->nlmsg_len, b_len = b.h->nlmsg_len;
    memcpy(datagram, a.bytes, a_len);
    memcpy(datagram + a_len, b.bytes, b_len);
    memset(datagram + a_len + b_len, 0xff, 16);
    size_t at = net_event_next(&e, datagram, a_len + b_len + 16);
    assert_int_equal(at, a_len);
    assert_int_equal(e.kind, NET_EVENT_LINK);
    at += net_event_next(&e, datagram + at, b_len + 16);
    assert_int_equal(at, a_len + b_len);
    assert_int_equal(e.kind, NET_EVENT_RULE);
    assert_int_equal(net_event_next(&e, datagram + at, 16), 0);
    a.h->nlmsg_type = NLMSG_DONE;
    assert_int_equal(parse(&a).kind, NET_EVENT_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_link),
        cmocka_unit_test(test_address),
        cmocka_unit_test(test_route),
        cmocka_unit_test(test_route_gateway_of_the_other_family),
        cmocka_unit_test(test_route_preference),
        cmocka_unit_test(test_route_unusable),
        cmocka_unit_test(test_multipath),
        cmocka_unit_test(test_same_way),
        cmocka_unit_test(test_what_is_own),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_several_in_one_datagram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
