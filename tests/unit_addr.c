/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses: text both ways, prefix arithmetic against a bit-by-bit reference. */
#include "platform/base/addr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "platform/base/bytes.h"

static const struct {
    const char *text, *shown; /* shown NULL: malformed */
    unsigned family;
} addr_cases[] = {
    {"192.0.2.1", "192.0.2.1", ADDR_V4},
    {"0.0.0.0", "0.0.0.0", ADDR_V4},
    {"255.255.255.255", "255.255.255.255", ADDR_V4},
    {"2001:db8::1", "2001:db8::1", ADDR_V6},
    {"2001:0DB8:0:0:0:0:0:1", "2001:db8::1", ADDR_V6},
    {"::", "::", ADDR_V6},
    {"::ffff:192.0.2.1", "::ffff:192.0.2.1", ADDR_V6},
    {"", NULL, 0},
    {"192.0.2", NULL, 0},
    {"192.0.2.256", NULL, 0},
    {"192.0.2.1 ", NULL, 0},
    {" 192.0.2.1", NULL, 0},
    {"192.0.2.1/24", NULL, 0},
    {"2001:db8::1::2", NULL, 0},
    {"[2001:db8::1]", NULL, 0},
    {"fe80::1%2", NULL, 0},
    {"12345::", NULL, 0},
    {"example.com", NULL, 0},
};

static void addresses(void **state)
{
    (void)state;
    char text[IP_TEXT_MAX];

    for (unsigned i = 0; i < ARRAY_LEN(addr_cases); i++) {
        struct ip_addr a;
        memset(&a, 0xaa, sizeof a);
        enum err e = ip_addr_parse(&a, addr_cases[i].text);
        if (e != (addr_cases[i].shown ? ERR_OK : ERR_PARSE))
            fail_msg("\"%s\": %s", addr_cases[i].text, err_text(e));
        if (!addr_cases[i].shown) {
            assert_int_equal(a.family, ADDR_NONE);
            continue;
        }
        assert_int_equal(a.family, addr_cases[i].family);
        assert_string_equal(ip_addr_format(&a, text, sizeof text), addr_cases[i].shown);
        /* the unused part is zero, so that memcmp compares */
        for (size_t k = ip_addr_len(&a); k < sizeof a.bytes; k++)
            assert_int_equal(a.bytes[k], 0);
    }
}

static void addresses_from_bytes(void **state)
{
    (void)state;
    static const uint8_t bytes[16] = {192, 0, 2, 1, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    struct ip_addr v4 = ip_addr_v4(bytes), v6 = ip_addr_v6(bytes), parsed, none = {0};
    char text[IP_TEXT_MAX];

    assert_int_equal(ip_addr_parse(&parsed, "192.0.2.1"), ERR_OK);
    assert_true(ip_addr_equal(&v4, &parsed));
    assert_memory_equal(&v4, &parsed, sizeof v4);
    assert_false(ip_addr_equal(&v4, &v6));
    assert_int_equal(ip_addr_bits(&v4), 32);
    assert_int_equal(ip_addr_bits(&v6), 128);
    assert_memory_equal(v6.bytes, bytes, 16);
    assert_string_equal(ip_addr_format(&none, text, sizeof text), "-");
    assert_string_equal(ip_addr_format(&v6, text, 5), "-"); /* no room: not half an address */
}

static const struct {
    const char *text, *shown, *masked;
} prefix_cases[] = {
    {"10.0.0.0/8", "10.0.0.0/8", "10.0.0.0/8"},
    {"10.1.2.3/8", "10.1.2.3/8", "10.0.0.0/8"},
    {"10.255.255.255/9", "10.255.255.255/9", "10.128.0.0/9"},
    {"192.0.2.255/31", "192.0.2.255/31", "192.0.2.254/31"},
    {"192.0.2.1", "192.0.2.1/32", "192.0.2.1/32"},
    {"0.0.0.0/0", "0.0.0.0/0", "0.0.0.0/0"},
    {"1.2.3.4/0", "1.2.3.4/0", "0.0.0.0/0"},
    {"::/0", "::/0", "::/0"},
    {"2001:db8:ffff::/33", "2001:db8:ffff::/33", "2001:db8:8000::/33"},
    {"fd00::1", "fd00::1/128", "fd00::1/128"},
    {"fd00::ffff/127", "fd00::ffff/127", "fd00::fffe/127"},
    {"10.0.0.0/33", NULL, NULL},
    {"::/129", NULL, NULL},
    {"10.0.0.0/", NULL, NULL},
    {"10.0.0.0/-1", NULL, NULL},
    {"10.0.0.0/+8", NULL, NULL},
    {"10.0.0.0/ 8", NULL, NULL},
    {"10.0.0.0/8x", NULL, NULL},
    {"10.0.0.0/8/8", NULL, NULL},
    {"10.0.0.0/4294967304", NULL, NULL},
    {"10.0.0.0/99999999999999999999", NULL, NULL},
    {"/8", NULL, NULL},
    {"", NULL, NULL},
    {"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/8", NULL, NULL},
};

static void prefixes(void **state)
{
    (void)state;
    char text[IP_PREFIX_TEXT_MAX];

    for (unsigned i = 0; i < ARRAY_LEN(prefix_cases); i++) {
        struct ip_prefix p;
        enum err e = ip_prefix_parse(&p, prefix_cases[i].text);
        if (e != (prefix_cases[i].shown ? ERR_OK : ERR_PARSE))
            fail_msg("\"%s\": %s", prefix_cases[i].text, err_text(e));
        if (e != ERR_OK)
            continue;
        assert_string_equal(ip_prefix_format(&p, text, sizeof text), prefix_cases[i].shown);
        ip_prefix_mask(&p);
        assert_string_equal(ip_prefix_format(&p, text, sizeof text), prefix_cases[i].masked);
    }
}

static unsigned bit(const struct ip_addr *a, unsigned i)
{
    return a->bytes[i / 8] >> (7 - i % 8) & 1;
}

/* One bit after the other. */
static bool contains_reference(const struct ip_prefix *p, const struct ip_addr *a)
{
    if (p->ip.family != a->family)
        return false;
    for (unsigned i = 0; i < p->len; i++) {
        if (bit(&p->ip, i) != bit(a, i))
            return false;
    }
    return true;
}

static uint32_t next_random(uint32_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 17;
    *s ^= *s << 5;
    return *s;
}

static void contains_like_the_reference(void **state)
{
    (void)state;
    uint32_t seed = 2463534242u;
    unsigned inside = 0;

    for (unsigned i = 0; i < 200000; i++) {
        struct ip_prefix p = {.ip.family = next_random(&seed) & 1 ? ADDR_V4 : ADDR_V6};
        p.len = (uint8_t)(next_random(&seed) % (ip_addr_bits(&p.ip) + 1u));
        for (unsigned k = 0; k < ip_addr_len(&p.ip); k++)
            p.ip.bytes[k] = (uint8_t)next_random(&seed);
        struct ip_addr a = p.ip;
        /* one bit off, near the border of the prefix more often than not */
        unsigned off = (p.len + next_random(&seed) % 9 + ip_addr_bits(&a) - 4u) % ip_addr_bits(&a);
        a.bytes[off / 8] ^= (uint8_t)(0x80 >> off % 8);
        bool expected = contains_reference(&p, &a);
        inside += expected;
        if (ip_prefix_contains(&p, &a) != expected)
            fail_msg("case %u: length %u, bit %u", i, p.len, off);
        /* masking takes nothing out of the prefix */
        ip_prefix_mask(&p);
        assert_int_equal(ip_prefix_contains(&p, &a), expected);
        for (unsigned k = p.len; k < ip_addr_bits(&p.ip); k++)
            assert_int_equal(bit(&p.ip, k), 0);
    }
    assert_in_range(inside, 50000, 150000);
}

static void families_do_not_mix(void **state)
{
    (void)state;
    struct ip_prefix all4, all6;
    struct ip_addr a4, a6;

    assert_int_equal(ip_prefix_parse(&all4, "0.0.0.0/0"), ERR_OK);
    assert_int_equal(ip_prefix_parse(&all6, "::/0"), ERR_OK);
    assert_int_equal(ip_addr_parse(&a4, "0.0.0.0"), ERR_OK);
    assert_int_equal(ip_addr_parse(&a6, "::"), ERR_OK);
    assert_true(ip_prefix_contains(&all4, &a4));
    assert_true(ip_prefix_contains(&all6, &a6));
    assert_false(ip_prefix_contains(&all4, &a6));
    assert_false(ip_prefix_contains(&all6, &a4));
}

static const struct {
    const char *text, *shown;
    uint16_t port;
    uint32_t scope;
} sock_cases[] = {
    {"192.0.2.1:51820", "192.0.2.1:51820", 51820, 0},
    {"192.0.2.1:0", "192.0.2.1:0", 0, 0},
    {"192.0.2.1:65535", "192.0.2.1:65535", 65535, 0},
    {"[2001:db8::1]:51820", "[2001:db8::1]:51820", 51820, 0},
    {"[fe80::1%3]:1", "[fe80::1%3]:1", 1, 3},
    {"[fe80::1%4294967295]:1", "[fe80::1%4294967295]:1", 1, 4294967295u},
    {"[::]:1", "[::]:1", 1, 0},
    {"192.0.2.1", NULL, 0, 0},
    {"192.0.2.1:", NULL, 0, 0},
    {"192.0.2.1:65536", NULL, 0, 0},
    {"192.0.2.1:-1", NULL, 0, 0},
    {"192.0.2.1:1x", NULL, 0, 0},
    {":51820", NULL, 0, 0},
    {"2001:db8::1:51820", NULL, 0, 0},
    {"[192.0.2.1]:51820", NULL, 0, 0},
    {"192.0.2.1%1:51820", NULL, 0, 0},
    {"[2001:db8::1]", NULL, 0, 0},
    {"[2001:db8::1:51820", NULL, 0, 0},
    {"2001:db8::1]:51820", NULL, 0, 0},
    {"[fe80::1%eth0]:1", NULL, 0, 0},
    {"[fe80::1%]:1", NULL, 0, 0},
    {"[fe80::1%4294967296]:1", NULL, 0, 0},
    {"[]:1", NULL, 0, 0},
    {"[:1", NULL, 0, 0},
    {"]:1", NULL, 0, 0},
    {"", NULL, 0, 0},
    {"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:8", NULL, 0, 0},
};

static void transport_addresses(void **state)
{
    (void)state;
    char text[SOCK_ADDR_TEXT_MAX];

    for (unsigned i = 0; i < ARRAY_LEN(sock_cases); i++) {
        struct sock_addr a, b;
        enum err e = sock_addr_parse(&a, sock_cases[i].text);
        if (e != (sock_cases[i].shown ? ERR_OK : ERR_PARSE))
            fail_msg("\"%s\": %s", sock_cases[i].text, err_text(e));
        if (e != ERR_OK)
            continue;
        assert_int_equal(a.port, sock_cases[i].port);
        assert_int_equal(a.scope, sock_cases[i].scope);
        assert_string_equal(sock_addr_format(&a, text, sizeof text), sock_cases[i].shown);
        assert_int_equal(sock_addr_parse(&b, text), ERR_OK);
        assert_true(sock_addr_equal(&a, &b));
        b.port ^= 1;
        assert_false(sock_addr_equal(&a, &b));
        b = a;
        b.scope ^= 1;
        assert_false(sock_addr_equal(&a, &b));
    }
}

/* The longest texts there are fit the constants. */
static void texts_fit(void **state)
{
    (void)state;
    struct sock_addr a = {.ip.family = ADDR_V6, .port = 65535, .scope = 4294967295u};
    struct ip_prefix p = {.len = 128};
    char text[128];

    memset(a.ip.bytes, 0xff, sizeof a.ip.bytes);
    p.ip = a.ip;
    assert_true(strlen(ip_addr_format(&a.ip, text, sizeof text)) < IP_TEXT_MAX);
    assert_true(strlen(ip_prefix_format(&p, text, sizeof text)) < IP_PREFIX_TEXT_MAX);
    assert_true(strlen(sock_addr_format(&a, text, sizeof text)) < SOCK_ADDR_TEXT_MAX);
    /* IPv4-mapped is the longest that inet_ntop writes with a tail of digits */
    assert_int_equal(ip_addr_parse(&a.ip, "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"), ERR_OK);
}

static uint32_t fake_ifindex(const char *name)
{
    return strcmp(name, "eth0") == 0 ? 7 : 0;
}

static void scoped_addresses(void **state)
{
    static const struct {
        const char *text, *ip; /* ip NULL: malformed */
        uint32_t scope;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", 0},
        {"2001:db8::1", "2001:db8::1", 0},
        {"fe80::1", "fe80::1", 0},
        {"fe80::1%3", "fe80::1", 3},
        {"febf::1%eth0", "febf::1", 7},
        {"2001:db8::1%eth0", "2001:db8::1", 0}, /* nothing to tell apart */
        {"2001:db8::1%nowhere", "2001:db8::1", 0},
        {"fe80::1%nowhere", NULL, 0},
        {"fe80::1%0", NULL, 0},
        {"fe80::1%", NULL, 0},
        {"2001:db8::1%", NULL, 0},
        {"192.0.2.1%eth0", NULL, 0},
        {"%eth0", NULL, 0},
        {"", NULL, 0},
        {"[fe80::1]", NULL, 0},
        {"fe80::1%an-interface-with-a-name-that-is-longer-than-all-of-them-in-the-whole-world",
         NULL, 0},
    };
    (void)state;

    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct sock_addr a;
        struct ip_addr ip;
        memset(&a, 0xaa, sizeof a);
        enum err e = ip_scoped_parse(&a, cases[i].text, strlen(cases[i].text), fake_ifindex);
        if (e != (cases[i].ip ? ERR_OK : ERR_PARSE))
            fail_msg("\"%s\": %s", cases[i].text, err_text(e));
        assert_int_equal(a.port, 0);
        assert_int_equal(a.scope, cases[i].scope);
        if (!cases[i].ip)
            continue;
        assert_int_equal(ip_addr_parse(&ip, cases[i].ip), ERR_OK);
        assert_true(ip_addr_equal(&a.ip, &ip));
    }
    struct sock_addr a;
    assert_int_equal(ip_scoped_parse(&a, "192.0.2.12", 9, NULL), ERR_OK); /* `len` counts */
    assert_int_equal(a.ip.bytes[3], 1);
    assert_int_equal(ip_scoped_parse(&a, "fe80::1%eth0", 12, NULL), ERR_PARSE);
    assert_int_equal(ip_scoped_parse(&a, "::1\0:", 5, NULL), ERR_PARSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(scoped_addresses),
        cmocka_unit_test(addresses_from_bytes),
        cmocka_unit_test(prefixes),
        cmocka_unit_test(contains_like_the_reference),
        cmocka_unit_test(families_do_not_mix),
        cmocka_unit_test(transport_addresses),
        cmocka_unit_test(texts_fit),
    };
    return cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
