/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Source ranking, table-driven. A case describes a host in lines of text:
 *   link IFINDEX up|down [METRIC4 METRIC6]
 *   addr IFINDEX ADDRESS/LEN [tentative] [deprecated] [temporary] [secondary]
 *   route PREFIX [dev IFINDEX] [via GATEWAY] [src ADDRESS] [from PREFIX] [metric N] [tier N]
 *         [local|reject|throw]
 * Interface 9 is our TUN.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/source_rank.h"

enum {
    TUN = 9,
    ROWS_MAX = 16,
    WORDS_MAX = 16
};

struct host {
    struct source_link links[ROWS_MAX];
    struct source_address addresses[ROWS_MAX];
    struct source_route routes[ROWS_MAX];
    struct source_tables tables;
};

static struct ip_addr addr(const char *text)
{
    struct ip_addr a;
    if (ip_addr_parse(&a, text) != ERR_OK)
        fail_msg("bad address '%s'", text);
    return a;
}

static struct ip_prefix prefix(const char *text)
{
    struct ip_prefix p;
    if (ip_prefix_parse(&p, text) != ERR_OK)
        fail_msg("bad prefix '%s'", text);
    return p;
}

static void add_link(struct host *h, char **w, unsigned n)
{
    struct source_link *l = &h->links[h->tables.links_len++];
    *l = (struct source_link){.ifindex = (uint32_t)atoi(w[1]), .up = strcmp(w[2], "up") == 0};
    if (n > 4) {
        l->metric_v4 = (uint32_t)atoi(w[3]);
        l->metric_v6 = (uint32_t)atoi(w[4]);
    }
}

static void add_address(struct host *h, char **w, unsigned n)
{
    struct ip_prefix p = prefix(w[2]);
    struct source_address *a = &h->addresses[h->tables.addresses_len++];
    *a = (struct source_address){
        .ifindex = (uint32_t)atoi(w[1]), .ip = p.ip, .prefix_len = p.len, .usable = true};
    for (unsigned i = 3; i < n; i++) {
        if (strcmp(w[i], "tentative") == 0)
            a->usable = false;
        a->deprecated |= strcmp(w[i], "deprecated") == 0;
        a->temporary |= strcmp(w[i], "temporary") == 0;
        a->secondary |= strcmp(w[i], "secondary") == 0;
    }
}

static void add_route(struct host *h, char **w, unsigned n)
{
    struct source_route *r = &h->routes[h->tables.routes_len++];
    *r = (struct source_route){.type = SOURCE_ROUTE_UNICAST, .dst = prefix(w[1])};
    for (unsigned i = 2; i < n; i++) {
        const char *value = i + 1 < n ? w[i + 1] : "";
        if (strcmp(w[i], "local") == 0)
            r->type = SOURCE_ROUTE_LOCAL;
        else if (strcmp(w[i], "reject") == 0)
            r->type = SOURCE_ROUTE_REJECT;
        else if (strcmp(w[i], "throw") == 0)
            r->type = SOURCE_ROUTE_THROW;
        else if (strcmp(w[i], "dev") == 0)
            r->ifindex = (uint32_t)atoi(value);
        else if (strcmp(w[i], "via") == 0)
            r->gateway = addr(value);
        else if (strcmp(w[i], "src") == 0)
            r->preferred = addr(value);
        else if (strcmp(w[i], "from") == 0)
            r->from = prefix(value);
        else if (strcmp(w[i], "metric") == 0)
            r->metric = (uint32_t)strtoul(value, NULL, 10);
        else if (strcmp(w[i], "tier") == 0)
            r->tier = (uint32_t)atoi(value);
    }
}

static void add_line(struct host *h, char *line)
{
    char *words[WORDS_MAX];
    unsigned n = 0;
    while (n < WORDS_MAX && *line) {
        words[n++] = line;
        line += strcspn(line, " ");
        while (*line == ' ')
            *line++ = '\0';
    }
    if (n >= 3 && strcmp(words[0], "link") == 0)
        add_link(h, words, n);
    else if (n >= 3 && strcmp(words[0], "addr") == 0)
        add_address(h, words, n);
    else if (n >= 2 && strcmp(words[0], "route") == 0)
        add_route(h, words, n);
    else
        fail_msg("bad line '%s'", words[0]);
}

static void host_parse(struct host *h, const char *text)
{
    char line[128];
    memset(h, 0, sizeof *h);
    while (*text) {
        size_t len = strcspn(text, "\n");
        assert_true(len < sizeof line);
        memcpy(line, text, len);
        line[len] = '\0';
        add_line(h, line);
        text += len + (text[len] != '\0');
    }
    h->tables.links = h->links;
    h->tables.addresses = h->addresses;
    h->tables.routes = h->routes;
}

/* Two uplinks and our TUN, which covers everything. */
#define TWO_UPLINKS                                                                                \
    "link 1 up\nlink 2 up\nlink 3 up\nlink 9 up\n"                                                 \
    "addr 1 127.0.0.1/8\naddr 2 192.168.1.10/24\naddr 3 10.0.0.5/24\naddr 9 100.64.0.1/32\n"       \
    "route 0.0.0.0/1 dev 9\nroute 128.0.0.0/1 dev 9\n"                                             \
    "route 0.0.0.0/0 dev 2 via 192.168.1.1 metric 100\n"                                           \
    "route 0.0.0.0/0 dev 3 via 10.0.0.1 metric 50\n"                                               \
    "route 192.168.1.0/24 dev 2\nroute 10.0.0.0/24 dev 3\n"

#define V6_UPLINK                                                                                  \
    "link 2 up\nlink 9 up\n"                                                                       \
    "addr 2 fe80::2/64\naddr 2 fd00:1::2/64\naddr 2 2001:db8:1::2/64\naddr 9 fd00:2021::1/128\n"   \
    "route 2000::/3 dev 9\nroute fe80::/64 dev 2 metric 256\nroute fd00:1::/64 dev 2 metric 256\n" \
    "route ::/0 dev 2 via fe80::1 metric 1024\n"

static const struct {
    const char *host, *dst, *expected; /* "source ifindex", "unreachable" or "invalid" */
} cases[] = {
    /*  0: lowest metric, never the more specific TUN routes */
    {TWO_UPLINKS, "198.51.100.1", "10.0.0.5 3"},
    /*  1: the connected subnet beats the cheaper default */
    {TWO_UPLINKS, "192.168.1.77", "192.168.1.10 2"},
    /*  2: our own TUN address is no source and no way */
    {TWO_UPLINKS, "100.64.0.1", "10.0.0.5 3"},
    /*  3: nothing but the TUN */
    {"link 9 up\naddr 9 100.64.0.1/32\nroute 0.0.0.0/0 dev 9\n", "198.51.100.1", "unreachable"},
    /*  4: interface down */
    {"link 2 up\nlink 3 down\naddr 2 192.168.1.10/24\naddr 3 10.0.0.5/24\n"
     "route 0.0.0.0/0 dev 3 metric 1\nroute 0.0.0.0/0 dev 2 metric 9\n",
     "198.51.100.1", "192.168.1.10 2"},
    /*  5: interface unknown */
    {"addr 2 192.168.1.10/24\nroute 0.0.0.0/0 dev 2\n", "198.51.100.1", "unreachable"},
    /*  6: interface metrics count (as on Windows) */
    {"link 2 up 50 5\nlink 3 up 10 90\naddr 2 192.168.1.10/24\naddr 3 10.0.0.5/24\n"
     "route 0.0.0.0/0 dev 2 metric 10\nroute 0.0.0.0/0 dev 3 metric 20\n",
     "198.51.100.1", "10.0.0.5 3"},
    /*  7: per family */
    {"link 2 up 50 5\nlink 3 up 10 90\naddr 2 2001:db8:2::2/64\naddr 3 2001:db8:3::3/64\n"
     "route ::/0 dev 2 metric 10\nroute ::/0 dev 3 metric 20\n",
     "2001:db8:9::1", "2001:db8:2::2 2"},
    /*  8: metrics do not wrap */
    {"link 2 up 4 0\nlink 3 up\naddr 2 192.168.1.10/24\naddr 3 10.0.0.5/24\n"
     "route 0.0.0.0/0 dev 2 metric 4294967295\nroute 0.0.0.0/0 dev 3 metric 100\n",
     "198.51.100.1", "10.0.0.5 3"},
    /*  9: equal in everything: first in the table */
    {"link 2 up\nlink 3 up\naddr 3 10.0.0.5/24\naddr 2 192.168.1.10/24\n"
     "route 0.0.0.0/0 dev 3\nroute 0.0.0.0/0 dev 2\n",
     "198.51.100.1", "10.0.0.5 3"},
    /* 10: the route's preferred source */
    {"link 2 up\naddr 2 192.168.1.10/24\naddr 2 192.168.1.20/24 secondary\n"
     "route 0.0.0.0/0 dev 2 via 192.168.1.1 src 192.168.1.20\n",
     "198.51.100.1", "192.168.1.20 2"},
    /* 11: ... of another interface */
    {"link 1 up\nlink 2 up\naddr 1 203.0.113.1/32\naddr 2 192.168.1.10/24\n"
     "route 0.0.0.0/0 dev 2 via 192.168.1.1 src 203.0.113.1\n",
     "198.51.100.1", "203.0.113.1 2"},
    /* 12: ... but not one of the TUN */
    {"link 2 up\nlink 9 up\naddr 9 100.64.0.1/32\naddr 2 192.168.1.10/24\n"
     "route 0.0.0.0/0 dev 2 via 192.168.1.1 src 100.64.0.1\n",
     "198.51.100.1", "192.168.1.10 2"},
    /* 13: ... nor one that is gone */
    {"link 2 up\naddr 2 192.168.1.10/24\nroute 0.0.0.0/0 dev 2 src 192.168.1.99\n", "198.51.100.1",
     "192.168.1.10 2"},
    /* 14: the address in the gateway's subnet */
    {"link 2 up\naddr 2 172.16.0.9/24\naddr 2 192.168.1.10/24\n"
     "route 0.0.0.0/0 dev 2 via 192.168.1.1\n",
     "198.51.100.1", "192.168.1.10 2"},
    /* 15: on link, the address in the destination's subnet */
    {"link 2 up\naddr 2 172.16.0.9/24\naddr 2 192.168.1.10/24\nroute 192.168.1.0/24 dev 2\n",
     "192.168.1.50", "192.168.1.10 2"},
    /* 16: primary before secondary */
    {"link 2 up\naddr 2 192.168.1.20/24 secondary\naddr 2 192.168.1.10/24\n"
     "route 0.0.0.0/0 dev 2 via 192.168.1.1\n",
     "198.51.100.1", "192.168.1.10 2"},
    /* 17: deprecated only if there is no other */
    {"link 2 up\naddr 2 192.168.1.10/24 deprecated\naddr 2 192.168.1.20/24 secondary\n"
     "route 0.0.0.0/0 dev 2 via 192.168.1.1\n",
     "198.51.100.1", "192.168.1.20 2"},
    /* 18 */
    {"link 2 up\naddr 2 192.168.1.10/24 deprecated\nroute 0.0.0.0/0 dev 2\n", "198.51.100.1",
     "192.168.1.10 2"},
    /* 19: an unnumbered link borrows an address, not the TUN's, not loopback's */
    {"link 1 up\nlink 2 up\nlink 3 up\nlink 9 up\naddr 1 127.0.0.1/8\naddr 9 100.64.0.1/32\n"
     "addr 3 10.0.0.5/24\nroute 0.0.0.0/0 dev 2\n",
     "198.51.100.1", "10.0.0.5 2"},
    /* 20: no address at all */
    {"link 1 up\nlink 2 up\naddr 1 127.0.0.1/8\nroute 0.0.0.0/0 dev 2\n", "198.51.100.1",
     "unreachable"},
    /* 21: v4 link-local only, on link */
    {"link 2 up\naddr 2 169.254.3.4/16\nroute 169.254.0.0/16 dev 2\n", "169.254.9.9",
     "169.254.3.4 2"},
    /* 22: v4 link-local destination prefers the link-local source */
    {"link 2 up\naddr 2 192.168.1.10/24\naddr 2 169.254.3.4/16\nroute 169.254.0.0/16 dev 2\n",
     "169.254.9.9", "169.254.3.4 2"},
    /* 23: v4 link-local is no source beyond a gateway */
    {"link 2 up\naddr 2 169.254.3.4/16\nroute 0.0.0.0/0 dev 2 via 169.254.0.1\n", "198.51.100.1",
     "unreachable"},
    /* 24: a blackhole ends the lookup */
    {TWO_UPLINKS "route 198.51.100.0/24 reject\n", "198.51.100.1", "unreachable"},
    /* 25: a less specific one does not */
    {TWO_UPLINKS "route 198.0.0.0/8 reject\nroute 198.51.100.0/24 dev 2\n", "198.51.100.1",
     "192.168.1.10 2"},
    /* 26: a costlier one of the same length does not */
    {TWO_UPLINKS "route 0.0.0.0/0 reject metric 4294967295\n", "198.51.100.1", "10.0.0.5 3"},
    /* 27: a blackhole more specific than the TUN's route still does */
    {TWO_UPLINKS "route 128.0.0.0/1 reject\n", "198.51.100.1", "unreachable"},
    /* 28: tables in turn: an earlier default beats a later host route */
    {TWO_UPLINKS "route 198.51.100.1/32 dev 2 tier 1\n", "198.51.100.1", "10.0.0.5 3"},
    /* 29: throw goes on with the next table */
    {TWO_UPLINKS "route 198.51.100.0/24 throw\nroute 198.51.0.0/16 dev 2 tier 1\n", "198.51.100.1",
     "192.168.1.10 2"},
    /* 30: and ends if there is none */
    {TWO_UPLINKS "route 198.51.100.0/24 throw\n", "198.51.100.1", "unreachable"},
    /* 31: an address of this host */
    {"link 1 up\nlink 2 up\naddr 1 127.0.0.1/8\naddr 2 192.168.1.10/24\n"
     "route 192.168.1.10/32 dev 2 src 192.168.1.10 local\n"
     "route 127.0.0.0/8 dev 1 src 127.0.0.1 local\nroute 0.0.0.0/0 dev 2 tier 1\n",
     "192.168.1.10", "192.168.1.10 2"},
    /* 32 */
    {"link 1 up\naddr 1 127.0.0.1/8\nroute 127.0.0.0/8 dev 1 src 127.0.0.1 local\n", "127.0.0.5",
     "127.0.0.1 1"},
    /* 33: v6: global to global, not the unique local address (label) */
    {V6_UPLINK, "2001:db8:9::1", "2001:db8:1::2 2"},
    /* 34 */
    {V6_UPLINK, "2600:1234::1", "2001:db8:1::2 2"},
    /* 35: unique local to unique local */
    {V6_UPLINK, "fd00:7::1", "fd00:1::2 2"},
    /* 36: link-local to link-local */
    {V6_UPLINK, "fe80::99", "fe80::2 2"},
    /* 37: a link-local address is no source for a global destination */
    {"link 2 up\naddr 2 fe80::2/64\nroute ::/0 dev 2 via fe80::1\n", "2001:db8::1", "unreachable"},
    /* 38: ... the address of another interface is (unnumbered links) */
    {"link 1 up\nlink 2 up\naddr 2 fe80::2/64\naddr 1 ::1/128\naddr 1 2001:db8:5::1/128\n"
     "route ::/0 dev 2 via fe80::1\n",
     "2001:db8::1", "2001:db8:5::1 2"},
    /* 39: but no link-local address of another interface */
    {"link 2 up\nlink 3 up\naddr 3 fe80::3/64\nroute fe80::/64 dev 2\n", "fe80::1", "unreachable"},
    /* 40: tentative is no source */
    {"link 2 up\naddr 2 2001:db8:1::2/64 tentative\nroute ::/0 dev 2\n", "2001:db8::1",
     "unreachable"},
    /* 41: deprecated after preferred */
    {"link 2 up\naddr 2 2001:db8:1::2/64 deprecated\naddr 2 2001:db8:2::2/64\nroute ::/0 dev 2\n",
     "2001:db8:1::9", "2001:db8:2::2 2"},
    /* 42: stable before temporary */
    {"link 2 up\naddr 2 2001:db8:1::9/64 temporary\naddr 2 2001:db8:1::2/64\nroute ::/0 dev 2\n",
     "2001:db8:1::8", "2001:db8:1::2 2"},
    /* 43: longest common prefix */
    {"link 2 up\naddr 2 2001:db8:1::2/64\naddr 2 2001:db8:2::2/64\nroute ::/0 dev 2\n",
     "2001:db8:2:5::1", "2001:db8:2::2 2"},
    /* 44: ... within the address's own prefix: then the first one */
    {"link 2 up\naddr 2 2001:db8:1::2/64\naddr 2 2001:db8:1::9/64\nroute ::/0 dev 2\n",
     "2001:db8:1::8", "2001:db8:1::2 2"},
    /* 45: 6to4 to 6to4 */
    {"link 2 up\naddr 2 2001:db8:1::2/64\naddr 2 2002:c000:201::1/64\nroute ::/0 dev 2\n",
     "2002:c633:6401::1", "2002:c000:201::1 2"},
    /* 46: the label decides before the common prefix: no Teredo source for a native destination */
    {"link 2 up\naddr 2 2001:0:1::1/32\naddr 2 2600::2/64\nroute ::/0 dev 2\n", "2001:1::1",
     "2600::2 2"},
    /* 47: the scope decides before the lifetime */
    {"link 2 up\naddr 2 2001:db8:1::2/64\naddr 2 fe80::2/64 deprecated\nroute fe80::/64 dev 2\n",
     "fe80::9", "fe80::2 2"},
    /* 48: v4: a source that falls short of the destination's scope only if there is no other */
    {"link 2 up\naddr 2 169.254.3.4/16\naddr 2 192.168.1.10/24\nroute 0.0.0.0/0 dev 2\n",
     "198.51.100.1", "192.168.1.10 2"},
    /* 49 */
    {"link 2 up\naddr 2 169.254.3.4/16\nroute 0.0.0.0/0 dev 2\n", "198.51.100.1", "169.254.3.4 2"},
    /* 50: source-specific routes: each uplink with its own prefix */
    {"link 2 up\nlink 3 up\naddr 2 2001:db8:2::2/64\naddr 3 2001:db8:3::3/64\n"
     "route ::/0 dev 2 from 2001:db8:2::/48 metric 9\n"
     "route ::/0 dev 3 from 2001:db8:3::/48 metric 5\n",
     "2600::1", "2001:db8:3::3 3"},
    /* 51: ... a more specific source goes first, and binds the address */
    {"link 2 up\nlink 3 up\naddr 2 2001:db8:3::9/64\naddr 2 2001:db8:2::2/64\n"
     "addr 3 2001:db8:3::3/64\nroute ::/0 dev 3 metric 5\n"
     "route ::/0 dev 2 from 2001:db8:2::/48 metric 9\n",
     "2600::1", "2001:db8:2::2 2"},
    /* 52: ::1 */
    {"link 1 up\naddr 1 ::1/128\nroute ::1/128 dev 1 local\n", "::1", "::1 1"},
    /* 53: families do not mix */
    {V6_UPLINK, "198.51.100.1", "unreachable"},
    /* 54: v4-mapped is v6 without a way */
    {TWO_UPLINKS, "::ffff:198.51.100.1", "unreachable"},
    /* 55.. : no destinations */
    {TWO_UPLINKS, "0.0.0.0", "invalid"},
    {TWO_UPLINKS, "224.0.0.1", "invalid"},
    {V6_UPLINK, "::", "invalid"},
    {V6_UPLINK, "ff02::1", "invalid"},
    /* 59: empty host */
    {"", "198.51.100.1", "unreachable"},
};

static const char *rank_text(const char *text, const char *dst, char *buf, size_t size)
{
    struct host h;
    struct ip_addr a = addr(dst);
    struct ip_source s;
    char ip[IP_TEXT_MAX];
    host_parse(&h, text);
    enum err e = source_rank(&h.tables, &a, TUN, &s);
    if (e == ERR_OK)
        snprintf(buf, size, "%s %u", ip_addr_format(&s.ip, ip, sizeof ip), (unsigned)s.ifindex);
    else
        snprintf(buf, size, "%s", e == ERR_UNREACHABLE ? "unreachable" : "invalid");
    return buf;
}

static void test_cases(void **state)
{
    (void)state;
    char got[64];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (strcmp(rank_text(cases[i].host, cases[i].dst, got, sizeof got), cases[i].expected) != 0)
            fail_msg("case %zu: %s gives '%s', not '%s'", i, cases[i].dst, got, cases[i].expected);
}

/*
 * Without a TUN its interface is like any other: shows that the cases above depend on the
 * exclusion.
 */
static void test_no_tun(void **state)
{
    (void)state;
    struct host h;
    struct ip_addr a = addr("198.51.100.1"), tun = addr("100.64.0.1");
    struct ip_source s;
    host_parse(&h, TWO_UPLINKS);
    assert_int_equal(source_rank(&h.tables, &a, 0, &s), ERR_OK);
    assert_int_equal(s.ifindex, TUN);
    assert_true(ip_addr_equal(&s.ip, &tun));
}

/* A failure leaves no half answer. */
static void test_failure_clears_output(void **state)
{
    (void)state;
    struct host h;
    struct ip_addr a = addr("198.51.100.1");
    struct ip_source s;
    memset(&s, 0xff, sizeof s);
    host_parse(&h, "");
    assert_int_equal(source_rank(&h.tables, &a, TUN, &s), ERR_UNREACHABLE);
    assert_int_equal(s.ip.family, ADDR_NONE);
    assert_int_equal(s.ifindex, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_no_tun),
        cmocka_unit_test(test_failure_clears_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
