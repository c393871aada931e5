/* SPDX-License-Identifier: Apache-2.0 */
/* The development portal's configuration: the example, and what is refused with which sentence. */
#include "tools/fzportal/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"
#include "platform/base/mem.h"

#define SITE     "[site A]\n"
#define SECRET   "4c98bf59c99b3e467ecd7cf9d6b3e5279645fca59be67bc5bb4af3cf653761ab"
#define ID_1     "11111111-1111-4111-8111-111111111111"
#define ID_2     "22222222-2222-4222-8222-222222222222"
#define LABEL_63 "123456789012345678901234567890123456789012345678901234567890123"
#define LABEL_64 LABEL_63 "4"
#define RESOURCE SITE "[resource R]\n"

static void test_example(void **state)
{
    struct portal_config c;
    char why[256] = "";
    enum err err = portal_config_load(&c, "tools/fzportal/example.ini", why, sizeof why);
    (void)state;

    if (err != ERR_OK)
        fail_msg("%s", why);
    assert_string_equal(c.account, "acme");
    assert_int_equal(c.tokens_n, 5);
    assert_string_equal(c.tokens[0].text, ".client-laptop");
    assert_true(c.tokens[0].is_user);
    assert_int_equal(c.tokens[0].lifetime_s, 30 * 86400);
    assert_int_equal(c.tokens[0].groups.n, 2);
    assert_null(c.tokens[1].text);
    assert_int_equal(c.tokens[3].role, PORTAL_GATEWAY);
    assert_string_equal(c.tokens[3].site, "Frankfurt");
    assert_int_equal(c.resources_n, 7);
    const struct portal_config_resource *git = &c.resources[0];
    assert_int_equal(git->kind, PORTAL_DNS);
    assert_int_equal(git->stack, PORTAL_STACK_DUAL);
    assert_int_equal(git->filters.n, 3);
    assert_string_equal(git->filters.at[1].protocol, "tcp");
    assert_int_equal(git->filters.at[1].first, 22);
    assert_false(git->filters.at[2].ranged);
    assert_int_equal(c.resources[2].filters.at[1].last, 6000);
    assert_int_equal(c.policies[1].lifetime_s, 3600);
    assert_int_equal(c.policies[2].violates.n, 2);
    assert_int_equal(c.relays[0].port, 3478);
    assert_int_equal(c.dns.mode, PORTAL_DNS_CUSTOM);
    assert_int_equal(c.dns.servers.n, 2);
    portal_config_fini(&c);
}

static void test_defaults(void **state)
{
    struct portal_config c;
    char why[256];
    (void)state;

    assert_int_equal(portal_config_parse(&c, "", "x", why, sizeof why), ERR_OK);
    assert_int_equal(c.listen.port, 8081);
    assert_true(c.connect_limit);
    assert_int_equal(c.idle_s, 37);
    assert_int_equal(c.idle_relay_s, 41);
    assert_int_equal(c.answer_s, 15);
    assert_null(c.seed);
    assert_string_equal(c.account, "development");
    assert_false(c.iceless);
    portal_config_fini(&c);
}

static void test_missing_file(void **state)
{
    struct portal_config c;
    char why[256];
    (void)state;

    assert_int_equal(portal_config_load(&c, "/nonexistent/x.ini", why, sizeof why), ERR_NOT_FOUND);
    assert_string_equal(why, "/nonexistent/x.ini: not found");
    portal_config_fini(&c);
}

static void test_bad(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"x", "f:1: neither a section nor key = value"},
        {"\n\nx = 1", "f:3: x: outside of any section"},
        {"[nonsense]", "f:1: [nonsense]: no such section"},
        {"[portal", "f:1: ']' is missing"},
        {"[portal] x", "f:1: there is something behind ']'"},
        {" [portal]", "f:1: a section has to begin at the start of its line"},
        {"[portal]\n[portal]", "f:2: [portal]: this section is there already"},
        {"[portal x]", "f:1: [portal]: this section has no name"},
        {"[account]", "f:1: [account]: this section needs a name"},
        {"[account A]", "f:1: [account]: its name may have small letters, digits, '_' and '-'"},
        {"[account a]\n[account b]", "f:2: [account]: this section is there already"},
        {"[site]", "f:1: [site]: a name of 1 to 255 bytes is needed"},
        {"[site A]\n[site B]\n[site A]", "f:3: there is a site called \"A\" already, in line 1"},
        {"[site A]\nx = 1", "f:2: x: no such key of [site], which has id"},
        {"[site A]\nid = 1", "f:2: id: not a UUID"},
        {"[portal]\nidle = 1\nidle = 2", "f:3: idle: this key is there already"},
        {"[portal]\nidle = 1\n 2", "f:3: idle: its value has one line"},
        {"[portal]\nidle = 1x", "f:2: idle: not a duration such as 90s, 15m, 12h or 30d"},
        {"[portal]\nidle = 0", "f:2: idle: not a duration such as 90s, 15m, 12h or 30d"},
        {"[portal]\nlisten = x", "f:2: listen: not an address and port such as"},
        {"[portal]\nconnect_refill = 0",
         "f:2: connect_refill: not a whole number from 1 to 1000000"},
        {"[portal]\nconnect_limit = maybe",
         "f:2: connect_limit: not one of yes, no, on, off, true"},
        {"[portal]\ncertificate = x", "f: [portal]: certificate and key need each other"},
        {"[portal]\ncontrol =", "f:2: control: empty"},
        {"[dns]\nmode = x", "f:2: mode: not one of system, custom, secure"},
        {"[dns]\nmode = custom", "f: [dns]: servers: mode custom needs some"},
        {"[dns]\nmode = custom\nservers = x", "f: [dns]: servers: not IP addresses"},
        {"[dns]\nmode = custom\nservers = ::1,::2,::3,::4,::5,::6,::7,::8,::9",
         "f: [dns]: servers: more than 8"},
        {"[dns]\nmode = secure", "f: [dns]: url: mode secure needs one"},
        {"[dns]\nurl = http://x", "f: [dns]: url: it has to begin with https://"},
        {"[dns]\nurl = https://", "f: [dns]: url: there is no host in it"},
        {"[dns]\nurl = https:///dns-query", "f: [dns]: url: there is no host in it"},
        {"[dns]\nurl = https://:443/", "f: [dns]: url: there is no host in it"},
        {"[dns]\nurl = https://a b/", "f: [dns]: url: there is no host in it"},
        {"[dns]\nurl = https://user@a/", "f: [dns]: url: there is no host in it"},
        {"[dns]\nurl = https://[::1/", "f: [dns]: url: there is no host in it"},
        {"[dns]\nurl = https://[1.2.3.4]/", "f: [dns]: url: there is no host in it"},
        {"[dns]\nurl = https://a:/", "f: [dns]: url: there is something behind the host"},
        {"[dns]\nurl = https://a:65536", "f: [dns]: url: there is something behind the host"},
        {"[dns]\nurl = https://[::1]x/", "f: [dns]: url: there is something behind the host"},
        {"[dns]\nurl = https://a/dns query", "f: [dns]: url: a URL is printable ASCII"},
        {"[dns]\nurl = https://a/dns-query?x", "f: [dns]: url: a query or fragment has no place"},
        {"[dns]\nurl = https://a?x", "f: [dns]: url: a query or fragment has no place"},
        {"[dns]\nurl = https://a/#x", "f: [dns]: url: a query or fragment has no place"},
        {"[dns]\nsearch_domain = x." LABEL_64, "f: [dns]: search_domain: not a name"},
        {"[dns]\nsearch_domain = *.x", "f: [dns]: search_domain: not a name"},
        {"[client-token a]\n[relay-token a]", "f:2: there is a token called \"a\" already"},
        {"[client-token a]\ntoken = x y", "f:2: token: a token is printable ASCII without spaces"},
        {"[client-token a]\ntoken = x\n[relay-token b]\ntoken = x",
         "f: token: two sections have the same one"},
        {"[gateway-token a]", "f:1: [gateway-token a]: site: missing"},
        {"[gateway-token a]\nsite = B", "f:1: [gateway-token a]: site: there is no such site"},
        {RESOURCE, "f:2: [resource R]: type: missing"},
        {RESOURCE "type = x", "f:3: type: not one of dns, cidr, ip, internet"},
        {RESOURCE "type = dns", "f:2: [resource R]: address: missing"},
        {RESOURCE "type = dns\naddress = a b", "f:2: [resource R]: address: not a name or pattern"},
        {RESOURCE "type = dns\naddress = a", "f:2: [resource R]: site: missing"},
        {RESOURCE "type = dns\naddress = a\nsite = B",
         "f:2: [resource R]: site: there is no such site"},
        {RESOURCE "type = cidr\naddress = 10.0.0.0\nsite = A",
         "f:2: [resource R]: address: not a network such as 10.20.0.0/16"},
        {RESOURCE "type = cidr\naddress = 10.0.0.1/8\nsite = A",
         "f:2: [resource R]: address: bits are set behind the /length"},
        {RESOURCE "type = ip\naddress = 10.0.0.1/32\nsite = A",
         "f:2: [resource R]: address: not an IP address"},
        {RESOURCE "type = cidr\naddress = 10.0.0.0/8\nsite = A\nip_stack = dual",
         "f:2: [resource R]: ip_stack: only dns resources have one"},
        {RESOURCE "type = internet\nsite = A\naddress = a",
         "f:2: [resource R]: address: a resource of this type has none"},
        {RESOURCE "type = internet\nsite = A\nfilters = tcp",
         "f:2: [resource R]: filters: the Internet resource has none"},
        {RESOURCE "type = internet\nsite = A\n[resource S]\ntype = internet\nsite = A",
         "f:5: [resource S]: type: there is an internet resource already"},
        {RESOURCE "type = static_device_pool\nsite = A",
         "f:2: [resource R]: site: device pools have none"},
        {RESOURCE "type = ip\naddress = ::1\nsite = A\nmembers = x",
         "f:2: [resource R]: members: only device pools have them"},
        {RESOURCE "filters = tcp/0-70000", "f:3: filters: not filters such as tcp/443"},
        {RESOURCE "filters = tcp/5-4", "f:3: filters: not filters such as tcp/443"},
        {RESOURCE "filters = icmp/1", "f:3: filters: not filters such as tcp/443"},
        {RESOURCE "filters = sctp", "f:3: filters: not filters such as tcp/443"},
        {"[policy P]\ngroups = a", "f:1: [policy P]: resources: missing"},
        {"[policy P]\nresources = *", "f:1: [policy P]: groups: missing"},
        {"[policy P]\ngroups = *\nresources = R",
         "f:1: [policy P]: resources: there is none called \"R\""},
        {"[relay R]\nstamp_secret = " SECRET, "f:1: [relay R]: ipv4 or ipv6: missing"},
        {"[relay R]\nipv4 = 192.0.2.1",
         "f:1: [relay R]: stamp_secret, or username and password: missing"},
        {"[relay R]\nipv4 = 192.0.2.1\nusername = u",
         "f:1: [relay R]: username and password need each other"},
        {"[relay R]\nipv4 = 192.0.2.1\nstamp_secret = " SECRET "\npassword = p",
         "f:1: [relay R]: username and password need each other"},
        {"[relay R]\nipv4 = 192.0.2.1\nstamp_secret = " SECRET "\nusername = u\npassword = p",
         "f:1: [relay R]: stamp_secret: username and password are literal"},
        {"[relay R]\nusername =", "f:2: username: empty"},
        {"[relay R]\nipv4 = ::1", "f:2: ipv4: not an IPv4 address"},
        {"[relay R]\nport = 0", "f:2: port: not a port from 1 to 65535"},
        {"[relay R]\nstamp_secret = x", "f:2: stamp_secret: not 64 lower-case hexadecimal digits"},
        {"[relay R]\nipv4 = 192.0.2.1\nstamp_secret = " SECRET
         "\n[relay S]\nipv4 = 192.0.2.1\nstamp_secret = " SECRET,
         "f:4: [relay S]: stamp_secret: another relay has the same"},
        {"[site A]\nid = " ID_1 "\n[site B]\nid = " ID_1,
         "f:3: [site B]: id: that of line 1 is the same"},
        {RESOURCE "id = " ID_1 "\ntype = ip\naddress = ::1\nsite = A\n[resource S]\nid = " ID_2
                  "\n[resource T]\nid = " ID_1,
         "f:9: [resource T]: id: that of line 2 is the same"},
        {"[policy P]\nid = " ID_1 "\n[policy Q]\nid = " ID_1,
         "f:3: [policy Q]: id: that of line 1 is the same"},
        {"[client-token \xff]", "f:1: the name of a token is not UTF-8"},
        {"[client-token a]\nactor = \xff", "f:2: actor: not UTF-8, or longer than 1024 bytes"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct portal_config c;
        char why[256] = "";
        enum err err = portal_config_parse(&c, cases[i].text, "f", why, sizeof why);
        if (err != ERR_PARSE || strncmp(why, cases[i].why, strlen(cases[i].why)) != 0)
            fail_msg("%zu: \"%s\" instead of \"%s\"", i, why, cases[i].why);
        portal_config_fini(&c);
    }
}

static void test_good(void **state)
{
    static const char *const cases[] = {
        "\xef\xbb\xbf[portal]\r\nidle = 5\r\n",
        "[ site   B C ]\n[gateway-token x] ; with a comment\nsite = B C\n",
        RESOURCE "type = dynamic_device_pool\naddress = *.x\nmembers = a,\n  b\n\n  c ; d\n",
        RESOURCE "type = ip\naddress = ::1\nsite = A\nfilters =\n",
        "# nothing\n; at all",
        "[portal]\nseed = some text",
        "[dns]\nurl = https://dns.example\nsearch_domain = a." LABEL_63 "\n",
        "[dns]\nurl = https://192.0.2.1:8443/a/b\n",
        "[dns]\nurl = https://[2001:db8::1]:443/dns-query\n",
        "[site A]\nid = " ID_1 "\n[policy P]\nid = " ID_1 "\ngroups = *\nresources = *\n",
        "[relay R]\nipv4 = 192.0.2.1\nusername = u:v\npassword = p w\n"
        "[relay S]\nipv6 = ::1\nusername = u:v\npassword = p w\n"
        "[relay T]\nipv4 = 192.0.2.1\nstamp_secret = " SECRET "\n",
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct portal_config c;
        char why[256] = "";
        enum err err = portal_config_parse(&c, cases[i], "f", why, sizeof why);
        if (err != ERR_OK)
            fail_msg("%zu: %s", i, why);
        if (i == 1)
            assert_string_equal(c.sites[0].name, "B C");
        if (i == 2)
            assert_int_equal(c.resources[0].members.n, 3);
        if (i == 5)
            assert_string_equal(c.seed, "some text");
        if (i == 10) {
            assert_string_equal(c.relays[0].username, "u:v");
            assert_string_equal(c.relays[0].password, "p w");
            assert_null(c.relays[0].secret);
            assert_null(c.relays[2].username);
        }
        portal_config_fini(&c);
    }
}

static void test_long_line(void **state)
{
    struct portal_config c;
    char why[256];
    char *text = mem_zalloc(5000, 1);
    (void)state;

    memset(text, '#', 4999);
    assert_int_equal(portal_config_parse(&c, text, "f", why, sizeof why), ERR_PARSE);
    assert_string_equal(why, "f:1: the line is longer than 4096 bytes");
    free(text);
}

/* 10,000 resources and as many in one policy: seconds would tell that something is quadratic. */
static void test_many(void **state)
{
    enum {
        N = 10000
    };
    struct portal_config c;
    char why[256] = "", *text = mem_zalloc(N, 160);
    size_t len = (size_t)sprintf(text, "[site A]\n[policy P]\ngroups = *\nresources = r0\n");
    (void)state;

    for (int i = 1; i < N; i++)
        len += (size_t)sprintf(text + len, " r%d\n", i);
    for (int i = 0; i < N; i++)
        len += (size_t)sprintf(text + len,
                               "[resource r%d]\ntype = ip\naddress = 10.0.%d.%d\nsite = A\n", i,
                               i / 250, i % 250);
    if (portal_config_parse(&c, text, "f", why, sizeof why) != ERR_OK)
        fail_msg("%s", why);
    assert_int_equal(c.resources_n, N);
    assert_int_equal(c.policies[0].resources.n, N);
    portal_config_fini(&c);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),      cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_missing_file), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_good),         cmocka_unit_test(test_long_line),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
