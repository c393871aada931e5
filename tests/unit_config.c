/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file: what is understood, and that every mistake is named by line and key without keys in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config.h"
#include "platform/base/bytes.h"

/* Valid text forms; the values do not matter here. */
#define KEY_1 "dwdtCnMYpX08FsFyUbJmRd9ML5LrwJnEufXAs9nIsRo="
#define KEY_2 "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="
#define KEY_3 "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08="

#define IFACE "[Interface]\nPrivateKey = " KEY_1 "\n"

static void parse_ok(struct config *c, const char *text)
{
    struct config_error e;
    enum err err = config_parse(c, text, strlen(text), &e);
    if (err != ERR_OK)
        print_error("line %u key '%s': %s\n", e.line, e.key, e.message);
    assert_int_equal(err, ERR_OK);
}

static const char *prefix_text(const struct ip_prefix *p)
{
    static char buf[IP_PREFIX_TEXT_MAX];
    return ip_prefix_format(p, buf, sizeof buf);
}

static const char *endpoint_text(const struct device_peer_update *p)
{
    static char buf[SOCK_ADDR_TEXT_MAX];
    return sock_addr_format(&p->endpoint, buf, sizeof buf);
}

static void test_full_file(void **state)
{
    static const char text[] = "\xef\xbb\xbf# a comment\r\n"
                               "[Interface]\r\n"
                               "PrivateKey=" KEY_1 "\r\n"
                               "ListenPort = 51820 # trailing\r\n"
                               "Address = 10.0.0.2/24, fd00::2/64\n"
                               "address = 192.0.2.7\n"
                               "\tMTU = 1280\n"
                               "FwMark = 0xCa6c\n"
                               "Table = 1234\n"
                               "\n"
                               "[PEER]\n"
                               "publickey = " KEY_2 "\n"
                               "PresharedKey = " KEY_3 "\n"
                               "AllowedIPs = 10.0.0.77/8 ,fd00::99/16\n"
                               "AllowedIPs = 192.0.2.1\n"
                               "Endpoint = [2001:db8::1]:51821\n"
                               "PersistentKeepalive = 25\n"
                               "[Peer]\n"
                               "PublicKey = " KEY_3 "\n"
                               "AllowedIPs =\n"
                               "PersistentKeepalive = off";
    struct config c;

    (void)state;
    parse_ok(&c, text);
    assert_true(c.device.has_private_key && c.device.replace_peers);
    assert_int_equal(c.device.private_key[0], 0x77);
    assert_true(c.device.has_listen_port);
    assert_int_equal(c.device.listen_port, 51820);
    assert_true(c.device.has_fwmark);
    assert_int_equal(c.device.fwmark, 0xca6c);
    assert_int_equal(c.mtu, 1280);
    assert_int_equal(c.table, CONFIG_TABLE_NUMBER);
    assert_int_equal(c.table_number, 1234);
    assert_int_equal(c.addresses_n, 3);
    assert_string_equal(prefix_text(&c.addresses[0]), "10.0.0.2/24");
    assert_string_equal(prefix_text(&c.addresses[1]), "fd00::2/64");
    assert_string_equal(prefix_text(&c.addresses[2]), "192.0.2.7/32");
    assert_int_equal(c.notices_n, 0);
    assert_int_equal(c.device.peers_n, 2);

    const struct device_peer_update *p = &c.device.peers[0];
    assert_int_equal(p->public_key[0], 0x85);
    assert_true(p->has_psk && p->has_endpoint && p->has_keepalive && p->replace_allowed);
    assert_int_equal(p->psk[0], 0xde);
    assert_int_equal(p->keepalive_seconds, 25);
    assert_string_equal(endpoint_text(p), "[2001:db8::1]:51821");
    assert_string_equal(p->endpoint_host, "");
    assert_int_equal(p->allowed_n, 3);
    assert_string_equal(prefix_text(&p->allowed[0].prefix), "10.0.0.0/8");
    assert_string_equal(prefix_text(&p->allowed[1].prefix), "fd00::/16");
    assert_string_equal(prefix_text(&p->allowed[2].prefix), "192.0.2.1/32");

    p = &c.device.peers[1];
    assert_false(p->has_psk || p->has_endpoint);
    assert_true(p->has_keepalive);
    assert_int_equal(p->keepalive_seconds, 0);
    assert_int_equal(p->allowed_n, 0);
    config_fini(&c);
    config_fini(&c);
}

static void test_defaults(void **state)
{
    struct config c;

    (void)state;
    parse_ok(&c, IFACE);
    assert_int_equal(c.mtu, 0);
    assert_int_equal(c.table, CONFIG_TABLE_AUTO);
    assert_false(c.device.has_listen_port || c.device.has_fwmark);
    assert_int_equal(c.device.peers_n + c.addresses_n + c.notices_n, 0);
    config_fini(&c);
}

static void test_interface_values(void **state)
{
    static const struct {
        const char *line;
        uint32_t mark;
        int table; /* enum config_table, -1: not looked at */
        uint32_t number;
    } cases[] = {
        {"FwMark = off", 0, -1, 0},
        {"FwMark = 4294967295", UINT32_MAX, -1, 0},
        {"FwMark = 0XFFFFFFFF", UINT32_MAX, -1, 0},
        {"Table = AUTO", 0, CONFIG_TABLE_AUTO, 0},
        {"Table = off", 0, CONFIG_TABLE_OFF, 0},
        {"Table = main", 0, CONFIG_TABLE_NUMBER, 254},
        {"Table = default", 0, CONFIG_TABLE_NUMBER, 253},
        {"Table = 0x10", 0, CONFIG_TABLE_NUMBER, 16},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[256];
        struct config c;
        snprintf(text, sizeof text, IFACE "%s\n", cases[i].line);
        parse_ok(&c, text);
        assert_int_equal(c.device.fwmark, cases[i].mark);
        if (cases[i].table >= 0) {
            assert_int_equal((int)c.table, cases[i].table);
            assert_int_equal(c.table_number, cases[i].number);
        }
        config_fini(&c);
    }
}

static void test_endpoints(void **state)
{
    static const struct {
        const char *text, *literal, *host;
        uint16_t port;
    } cases[] = {
        {"192.0.2.1:1", "192.0.2.1:1", "", 0},
        {"[::1]:65535", "[::1]:65535", "", 0},
        {"[fe80::1%7]:99", "[fe80::1%7]:99", "", 0},
        {"[fe80::1%eth0.5]:99", NULL, "fe80::1%eth0.5", 99},
        {"vpn.example.com:51820", NULL, "vpn.example.com", 51820},
        {"my_host-1:1", NULL, "my_host-1", 1},
        {"1e100.net:443", NULL, "1e100.net", 443},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[256];
        struct config c;
        snprintf(text, sizeof text, IFACE "[Peer]\nPublicKey=" KEY_2 "\nEndpoint = %s\n",
                 cases[i].text);
        parse_ok(&c, text);
        const struct device_peer_update *p = &c.device.peers[0];
        assert_true(p->has_endpoint);
        assert_string_equal(p->endpoint_host, cases[i].host);
        assert_int_equal(p->endpoint_port, cases[i].port);
        if (cases[i].literal)
            assert_string_equal(endpoint_text(p), cases[i].literal);
        else
            assert_int_equal(p->endpoint.ip.family, ADDR_NONE);
        config_fini(&c);
    }
}

/* servers and search: with a space behind each. */
static const struct {
    const char *text, *servers, *search;
} dns_cases[] = {
    {"", "", ""},
    {"DNS = 10.0.0.1\n", "10.0.0.1 ", ""},
    {"dns=10.0.0.1, fd00::1, example.com\n", "10.0.0.1 fd00::1 ", "example.com "},
    {"DNS = 10.0.0.1 , b.example\nMTU = 1400\nDNS = 10.0.0.2,a.example # x\n", "10.0.0.1 10.0.0.2 ",
     "b.example a.example "},
    {"DNS = 10.0.0.1 10.0.0.2\t10.0.0.3,,10.0.0.4,\n", "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 ", ""},
    {"DNS = fd00::1, FD00:0::1, 10.0.0.1, a, a, A\nDNS = a, fd00::1\n", "fd00::1 10.0.0.1 ",
     "a A "},
    {"DNS = corp-1.ex_ample.com., x\n", "", "corp-1.ex_ample.com. x "},
    {"DNS = 1.0.0.1,1.0.0.2,1.0.0.3,1.0.0.4,1.0.0.5,1.0.0.6,1.0.0.7,1.0.0.8,1.0.0.1,a,b,c,d,e,f,a\n",
     "1.0.0.1 1.0.0.2 1.0.0.3 1.0.0.4 1.0.0.5 1.0.0.6 1.0.0.7 1.0.0.8 ", "a b c d e f "},
};

static void test_dns(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(dns_cases); i++) {
        char text[256], servers[512] = "", search[512] = "", ip[IP_TEXT_MAX];
        struct config c;
        snprintf(text, sizeof text, IFACE "%s", dns_cases[i].text);
        parse_ok(&c, text);
        for (unsigned k = 0; k < c.dns.servers_n; k++)
            strcat(strcat(servers, ip_addr_format(&c.dns.servers[k], ip, sizeof ip)), " ");
        for (unsigned k = 0; k < c.dns.search_n; k++)
            strcat(strcat(search, c.dns.search[k]), " ");
        assert_string_equal(servers, dns_cases[i].servers);
        assert_string_equal(search, dns_cases[i].search);
        assert_int_equal(c.notices_n, 0);
        config_fini(&c);
    }
}

/* The longest label and name, and one byte more. */
static void test_dns_lengths(void **state)
{
    static const struct {
        size_t label, len;
        bool dot, good;
    } lengths[] = {{63, 253, false, true},  {63, 253, true, true},  {64, 200, false, false},
                   {63, 254, false, false}, {63, 255, true, false}, {1, 253, false, true}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        char name[300] = "", why[96] = "";
        struct config_dns d = {0};
        size_t len = lengths[i].len;
        for (size_t k = 0; k < len; k++)
            name[k] = k % (lengths[i].label + 1) == lengths[i].label ? '.' : 'a';
        if (lengths[i].dot)
            name[len] = '.';
        enum err err = config_dns_add(&d, name, strlen(name), why, sizeof why);
        if ((err == ERR_OK) != lengths[i].good)
            fail_msg("case %zu: %s", i, why);
        if (err == ERR_OK)
            assert_string_equal(d.search[0], name);
    }
}

static void test_notices(void **state)
{
    static const char text[] = IFACE "PreUp = touch /x # y\n"
                                     "PostUp = a\nPostUp = b = c\n"
                                     "PreDown = a\nPostDown = b\n"
                                     "SaveConfig = true\n";
    static const char *const expected[] = {
        "PreUp (line 3) is not run",    "PostUp (line 4) is not run",
        "PostUp (line 5) is not run",   "PreDown (line 6) is not run",
        "PostDown (line 7) is not run", "SaveConfig (line 8) is not done"};
    struct config c;

    (void)state;
    parse_ok(&c, text);
    assert_int_equal(c.notices_n, ARRAY_LEN(expected));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        assert_memory_equal(c.notices[i], expected[i], strlen(expected[i]));
        assert_non_null(strchr(c.notices[i], ';')); /* and what to do instead */
    }
    config_fini(&c);
    parse_ok(&c, IFACE "SaveConfig = false\n");
    assert_int_equal(c.notices_n, 0);
    config_fini(&c);
}

#define PEER IFACE "[Peer]\nPublicKey = " KEY_2 "\n"

static const struct bad {
    const char *text;
    unsigned line;
    const char *key, *message; /* message: a part of it */
} bad[] = {
    {"", 0, "", "no [Interface]"},
    {"[Peer]\nPublicKey = " KEY_2 "\n", 0, "", "no [Interface]"},
    {"[Interface]\n", 0, "", "no PrivateKey"},
    {"ListenPort = 1\n", 1, "ListenPort", "before the first section"},
    {"\n[Interfaces]\n", 2, "", "unknown section"},
    {"[Interface] x\n", 1, "", "unknown section"},
    {IFACE "[Interface]\n", 3, "", "second [Interface]"},
    {IFACE "Foo = 1\n", 3, "Foo", "unknown key"},
    {IFACE "ListenPort\n", 3, "", "expected 'Key = Value'"},
    {IFACE "= 5\n", 3, "", "unknown key"},
    {IFACE "ListenPort =\n", 3, "ListenPort", "missing"},
    {IFACE "ListenPort = # 5\n", 3, "ListenPort", "missing"},
    {IFACE "ListenPort = 65536\n", 3, "ListenPort", "0 to 65535"},
    {IFACE "ListenPort = -1\n", 3, "ListenPort", "0 to 65535"},
    {IFACE "ListenPort = 0x10\n", 3, "ListenPort", "0 to 65535"},
    {IFACE "ListenPort = 5 6\n", 3, "ListenPort", "0 to 65535"},
    {IFACE "ListenPort = 1\nlistenport = 1\n", 4, "listenport", "twice"},
    {IFACE "PrivateKey = " KEY_2 "\n", 3, "PrivateKey", "twice"},
    {IFACE "FwMark = 0x\n", 3, "FwMark", "expected a number"},
    {IFACE "FwMark = 0x100000000\n", 3, "FwMark", "expected a number"},
    {IFACE "FwMark = 99999999999999999999\n", 3, "FwMark", "expected a number"},
    {IFACE "MTU = 575\n", 3, "MTU", "576"},
    {IFACE "MTU = 65536\n", 3, "MTU", "65535"},
    {IFACE "MTU = 1279\nAddress = 10.0.0.1\nAddress = fd00::1\n", 3, "MTU", "1280"},
    {IFACE "Table = 0\n", 3, "Table", "expected"},
    {IFACE "Table = foo\n", 3, "Table", "expected"},
    {IFACE "Address = 10.0.0.300/24\n", 3, "Address", "\"10.0.0.300/24\""},
    {IFACE "Address = 10.0.0.1/33\n", 3, "Address", "\"10.0.0.1/33\""},
    {IFACE "Address = 10.0.0.1,\n", 3, "Address", "an entry is not"},
    {IFACE "Address = ,10.0.0.1\n", 3, "Address", "an entry is not"},
    {IFACE "Address = hello\n", 3, "Address", "an entry is not"},
    {IFACE "Address = 10.0.0.1, 10.0.0.1/8\n", 3, "Address", "given before"},
    {IFACE "Address = 0.0.0.0/0\n", 3, "Address", "unspecified"},
    {IFACE "Address = ff02::1\n", 3, "Address", "multicast"},
    {IFACE "Address = 224.0.0.1\n", 3, "Address", "multicast"},
    {IFACE "SaveConfig = yes\n", 3, "SaveConfig", "true"},
    {IFACE "AllowedIPs = 10.0.0.0/8\n", 3, "AllowedIPs", "belongs in [Peer]"},
    {IFACE "DNS =\n", 3, "DNS", "missing"},
    {IFACE "DNS = ,\n", 3, "DNS", "expected addresses of servers"},
    {IFACE "DNS = 10.0.0.300\n", 3, "DNS", "not an IP address"},
    {IFACE "DNS = 10.0.0.1\nDNS = 1.2.3\n", 4, "DNS", "not an IP address"},
    {IFACE "DNS = 10.0.0.1/32\n", 3, "DNS", "neither"},
    {IFACE "DNS = 10.0.0.1:53\n", 3, "DNS", "without port"},
    {IFACE "DNS = [fd00::1]\n", 3, "DNS", "not an IP address"},
    {IFACE "DNS = fe80::1%eth0\n", 3, "DNS", "without port and interface"},
    {IFACE "DNS = 0.0.0.0\n", 3, "DNS", "unspecified"},
    {IFACE "DNS = ::\n", 3, "DNS", "unspecified"},
    {IFACE "DNS = 224.0.0.1\n", 3, "DNS", "multicast"},
    {IFACE "DNS = ff02::1\n", 3, "DNS", "multicast"},
    {IFACE "DNS = a..b\n", 3, "DNS", "neither"},
    {IFACE "DNS = .a\n", 3, "DNS", "neither"},
    {IFACE "DNS = a.b..\n", 3, "DNS", "neither"},
    {IFACE "DNS = ~.\n", 3, "DNS", "neither"},
    {IFACE "DNS = a\\nnameserver\n", 3, "DNS", "neither"},
    {IFACE "DNS = caf\xc3\xa9.example\n", 3, "DNS", "neither"},
    {IFACE "DNS = 1.0.0.1,1.0.0.2,1.0.0.3,1.0.0.4,1.0.0.5,1.0.0.6,1.0.0.7\nDNS=1.0.0.8,1.0.0.9\n",
     4, "DNS", "more than 8 servers"},
    {IFACE "DNS = a,b,c,d,e,f\nDNS = g\n", 4, "DNS", "more than 6 search domains"},
    {PEER "MTU = 1400\n", 5, "MTU", "belongs in [Interface]"},
    {PEER "DNS = 1.1.1.1\n", 5, "DNS", "belongs in [Interface]"},
    {IFACE "[Peer]\nAllowedIPs = 10.0.0.0/8\n", 3, "", "no PublicKey"},
    {IFACE "[Peer]\n[Peer]\nPublicKey = " KEY_2 "\n", 3, "", "no PublicKey"},
    {PEER "[Peer]\nPublicKey = " KEY_3 "\n[Peer]\nPublicKey = " KEY_2 "\n", 8, "PublicKey",
     "line 4"},
    {PEER "PublicKey = " KEY_3 "\n", 5, "PublicKey", "twice"},
    {PEER "AllowedIPs = 10.0.0.0/8,,10.1.0.0/16\n", 5, "AllowedIPs", "an entry"},
    {PEER "AllowedIPs = 10.0.0.0/08x\n", 5, "AllowedIPs", "an entry"},
    {PEER "AllowedIPs = ::/129\n", 5, "AllowedIPs", "\"::/129\""},
    {PEER "PersistentKeepalive = 65536\n", 5, "PersistentKeepalive", "65535"},
    {PEER "PersistentKeepalive = on\n", 5, "PersistentKeepalive", "65535"},
    {PEER "Endpoint = host\n", 5, "Endpoint", "host:port"},
    {PEER "Endpoint = :1\n", 5, "Endpoint", "host name"},
    {PEER "Endpoint = host:0\n", 5, "Endpoint", "1 to 65535"},
    {PEER "Endpoint = host:\n", 5, "Endpoint", "1 to 65535"},
    {PEER "Endpoint = host:http\n", 5, "Endpoint", "1 to 65535"},
    {PEER "Endpoint = 2001:db8::1:5\n", 5, "Endpoint", "brackets"},
    {PEER "Endpoint = [2001:db8::1]\n", 5, "Endpoint", "host:port"},
    {PEER "Endpoint = []:5\n", 5, "Endpoint", "IPv6 address in the brackets"},
    {PEER "Endpoint = [:5\n", 5, "Endpoint", "host:port"},
    {PEER "Endpoint = [10.0.0.1]:5\n", 5, "Endpoint", "IPv6 address in the brackets"},
    {PEER "Endpoint = [fe80::1%]:5\n", 5, "Endpoint", "IPv6 address in the brackets"},
    {PEER "Endpoint = [fe80::1%a%b]:5\n", 5, "Endpoint", "forbidden characters"},
    {PEER "Endpoint = 10.0.0.256:5\n", 5, "Endpoint", "not an IPv4"},
    {PEER "Endpoint = ho st:5\n", 5, "Endpoint", "forbidden"},
    {PEER "PresharedKey = abc\n", 5, "PresharedKey", "44 characters"},
    {"[Interface]\nPrivateKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 2, "PrivateKey",
     "zero"},
    {IFACE "[Peer]\nPublicKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 4, "PublicKey",
     "zero"},
};

static void test_mistakes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct config c;
        struct config_error e;
        enum err err = config_parse(&c, bad[i].text, strlen(bad[i].text), &e);
        if (err != ERR_PARSE || e.line != bad[i].line || strcmp(e.key, bad[i].key) != 0 ||
            !strstr(e.message, bad[i].message))
            fail_msg("case %zu: %d, line %u, key '%s': %s", i, err, e.line, e.key, e.message);
        assert_null(c.device.peers);
        assert_null(c.addresses);
        config_fini(&c);
    }
}

/* Whatever place a key ends up in by mistake, no message may show a piece of it. */
static void test_no_key_in_messages(void **state)
{
    static const char secret[] = "aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGU=";
    static const char *const forms[] = {
        "%s\n",
        "%s",
        "[%s]\n",
        "[Interface]\n%s\n",
        "[Interface]\nPrivateKey %s\n",
        "[Interface]\nPrivateKey = %sx\n",
        "[Interface]\nPrivateKey = =%s\n",
        "[Interface]\nListenPort = %s\n",
        "[Interface]\nAddress = %s\n",
        "[Interface]\nDNS = %s\n",
        "[Interface]\nTable = %s\n",
        "[Interface]\nMTU = %s\n",
        "[Interface]\nFwMark = %s\n",
        "[Interface]\nSaveConfig = %s\n",
        "[Interface]\nPrivateKey%s = 1\n",
        "[Peer]\nPublicKey = %s%s\n",
        "[Peer]\nPresharedKey = %s%s\n",
        "[Peer]\nEndpoint = %s\n",
        "[Peer]\nEndpoint = %s:0\n",
        "[Peer]\nAllowedIPs = %s\n",
        "[Peer]\nPersistentKeepalive = %s\n",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        for (size_t skip = 0; skip < sizeof secret - 8; skip++) {
            char text[256], message[300];
            struct config c;
            struct config_error e;
            const char *percent = strstr(forms[i], "%s");
            snprintf(text, sizeof text, "%.*s%s%s", (int)(percent - forms[i]), forms[i],
                     secret + skip, strncmp(percent + 2, "%s", 2) == 0 ? "AAAA\n" : percent + 2);
            if (config_parse(&c, text, strlen(text), &e) == ERR_OK)
                fail_msg("accepted: %s", text);
            snprintf(message, sizeof message, "%s %s", e.key, e.message);
            for (size_t at = 0; at + 6 < sizeof secret; at++) {
                char piece[7];
                snprintf(piece, sizeof piece, "%.6s", secret + at);
                if (strstr(message, piece) && sizeof secret - 1 - skip > 20)
                    fail_msg("shown: %s", message);
            }
        }
    }
}

static void test_zero_byte(void **state)
{
    struct config c;
    struct config_error e;

    (void)state;
    assert_int_equal(config_parse(&c, IFACE "\0", sizeof(IFACE), &e), ERR_PARSE);
    assert_non_null(strstr(e.message, "zero byte"));
}

/* Ten thousand peers, as one big file. */
static void test_many_peers(void **state)
{
    enum {
        PEERS = 10000
    };
    size_t size = PEERS * 160 + 256, n;
    char *text = malloc(size);
    struct config c;
    struct config_error e;
    static const char digits[] = "ABCDEFGHIJKLMNOP";

    (void)state;
    n = (size_t)snprintf(text, size, "%s", IFACE);
    for (unsigned i = 0; i < PEERS; i++) {
        char key[] = KEY_2;
        for (unsigned k = 0; k < 4; k++)
            key[k] = digits[(i >> (4 * k)) & 15];
        n += (size_t)snprintf(text + n, size - n,
                              "[Peer]\nPublicKey = %s\nAllowedIPs = 10.%u.%u.0/24\n", key, i >> 8,
                              i & 255);
    }
    assert_int_equal(config_parse(&c, text, n, &e), ERR_OK);
    assert_int_equal(c.device.peers_n, PEERS);
    assert_int_equal(c.device.peers[PEERS - 1].allowed[0].prefix.ip.bytes[1], (PEERS - 1) >> 8);
    config_fini(&c);
    n += (size_t)snprintf(text + n, size - n, "[Peer]\nPublicKey = AAAA%s\n", &KEY_2[4]);
    assert_int_equal(config_parse(&c, text, n, &e), ERR_PARSE);
    assert_int_equal(e.line, 2 + 3 * PEERS + 2);
    assert_string_equal(e.message, "the same peer as in line 4");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_file),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_interface_values),
        cmocka_unit_test(test_endpoints),
        cmocka_unit_test(test_dns),
        cmocka_unit_test(test_dns_lengths),
        cmocka_unit_test(test_notices),
        cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_no_key_in_messages),
        cmocka_unit_test(test_zero_byte),
        cmocka_unit_test(test_many_peers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
