/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Route table: numbered lookups, order within a prefix, duplicates, edges of the address space, bad
 * input.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "engine/route.h"
#include "platform/base/bytes.h"

enum {
    WALK_MAX = 16
};

/* An empty prefix ends the list. */
struct given {
    const char *prefix;
    uint32_t value;
    uint32_t order;
};

static struct route_table *build(const struct given *given)
{
    struct route_entry entries[32];
    size_t n = 0;
    for (; given[n].prefix; n++) {
        assert_true(n < ARRAY_LEN(entries));
        assert_int_equal(ip_prefix_parse(&entries[n].prefix, given[n].prefix), ERR_OK);
        entries[n].value = given[n].value;
        entries[n].order = given[n].order;
    }
    struct route_table *t = route_build(entries, n);
    assert_non_null(t);
    return t;
}

/* All answers for `dst` as text: "value/length value/length ...". */
static const char *walk(const struct route_table *t, const char *dst)
{
    static char text[256];
    struct ip_addr a;
    struct route_cursor c;
    size_t used = 0;
    text[0] = '\0';
    assert_int_equal(ip_addr_parse(&a, dst), ERR_OK);
    uint32_t v = route_lookup_first(t, a.family, a.bytes, &c);
    for (unsigned i = 0; v != ROUTE_NONE; v = route_lookup_next(&c), i++) {
        assert_true(i < WALK_MAX);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%u/%u", i ? " " : "",
                                 (unsigned)v, route_cursor_prefix_len(&c));
    }
    assert_int_equal(route_cursor_prefix_len(&c), 0);
    assert_int_equal(route_lookup_next(&c), ROUTE_NONE); /* stays at the end */
    return text;
}

static const struct given table[] = {
    {"0.0.0.0/0", 1, 0},
    {"10.0.0.0/8", 2, 0},
    {"10.1.0.0/16", 3, 0},
    {"10.1.0.0/16", 4, 0},
    {"10.1.2.0/24", 5, 0},
    {"10.1.2.3/32", 6, 0},
    {"10.255.255.255/32", 7, 0},
    {"255.255.255.255/32", 8, 0},
    {"0.0.0.0/32", 9, 0},
    {"192.168.77.77/16", 10, 0}, /* host bits are ignored */
    {"2001:db8::/32", 20, 0},
    {"2001:db8::/64", 21, 0},
    {"2001:db8::1/128", 22, 0},
    {"2001:db8:0:0:8000::/65", 23, 0},
    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", 24, 0},
    {"::/128", 25, 0},
    {"::ffff:10.1.2.0/120", 26, 0},
    {NULL, 0, 0},
};

static const struct {
    const char *dst, *answers;
} lookups[] = {
    /*  0 */ {"10.1.2.3", "6/32 5/24 3/16 4/16 2/8 1/0"},
    /*  1 */ {"10.1.2.4", "5/24 3/16 4/16 2/8 1/0"},
    /*  2 */ {"10.1.2.255", "5/24 3/16 4/16 2/8 1/0"},
    /*  3 */ {"10.1.3.0", "3/16 4/16 2/8 1/0"},
    /*  4 */ {"10.0.255.255", "2/8 1/0"},
    /*  5 */ {"10.2.0.0", "2/8 1/0"},
    /*  6 */ {"10.255.255.255", "7/32 2/8 1/0"},
    /*  7 */ {"11.0.0.0", "1/0"},
    /*  8 */ {"9.255.255.255", "1/0"},
    /*  9 */ {"255.255.255.255", "8/32 1/0"},
    /* 10 */ {"255.255.255.254", "1/0"},
    /* 11 */ {"0.0.0.0", "9/32 1/0"},
    /* 12 */ {"0.0.0.1", "1/0"},
    /* 13 */ {"192.168.1.1", "10/16 1/0"},
    /* 14 */ {"2001:db8::1", "22/128 21/64 20/32"},
    /* 15 */ {"2001:db8::2", "21/64 20/32"},
    /* 16 */ {"2001:db8::8000:0:0:0", "23/65 21/64 20/32"},
    /* 17 */ {"2001:db8:0:1::", "20/32"},
    /* 18 */ {"2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", ""},
    /* 19 */ {"2001:db9::", ""},
    /* 20 */ {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "24/128"},
    /* 21 */ {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", ""},
    /* 22 */ {"::", "25/128"},
    /* 23 */ {"::1", ""},
    /* 24: v4 and v4-mapped are different spaces */ {"::ffff:10.1.2.3", "26/120"},
    /* 25 */ {"::ffff:10.1.3.3", ""},
};

static void test_lookups(void **state)
{
    (void)state;
    struct route_table *t = build(table);
    assert_int_equal(route_table_len(t), ARRAY_LEN(table) - 1);
    for (size_t i = 0; i < ARRAY_LEN(lookups); i++) {
        const char *got = walk(t, lookups[i].dst);
        if (strcmp(got, lookups[i].answers) != 0)
            fail_msg("case %zu: %s gives '%s', not '%s'", i, lookups[i].dst, got,
                     lookups[i].answers);
    }
    route_table_free(t);
}

static void test_order_and_duplicates(void **state)
{
    (void)state;
    const struct given given[] = {
        {"10.0.0.0/8", 7, 30}, {"10.0.0.0/8", 5, 20}, {"10.0.0.0/8", 7, 10}, {"10.0.0.0/8", 6, 20},
        {"10.0.0.0/8", 5, 40}, {"10.9.9.9/8", 8, 0},  {"10.0.0.0/9", 7, 0},  {"::/0", 7, 0},
        {"0.0.0.0/0", 7, 0},   {NULL, 0, 0},
    };
    struct route_table *t = build(given);
    assert_int_equal(route_table_len(t), 7);
    /* Lowest order first, equal orders as given; of 7 and 5 the lower order counts. */
    assert_string_equal(walk(t, "10.200.0.1"), "8/8 7/8 5/8 6/8 7/0");
    assert_string_equal(walk(t, "10.1.0.1"), "7/9 8/8 7/8 5/8 6/8 7/0");
    assert_string_equal(walk(t, "::1"), "7/0");
    route_table_free(t);
}

static void test_empty(void **state)
{
    (void)state;
    struct route_table *t = route_build(NULL, 0);
    assert_non_null(t);
    assert_int_equal(route_table_len(t), 0);
    assert_string_equal(walk(t, "0.0.0.0"), "");
    assert_string_equal(walk(t, "255.255.255.255"), "");
    assert_string_equal(walk(t, "::"), "");
    assert_string_equal(walk(t, "ffff::"), "");
    route_table_free(t);
    route_table_free(NULL);
}

static void test_other_versions(void **state)
{
    (void)state;
    const struct given given[] = {{"0.0.0.0/0", 1, 0}, {"::/0", 2, 0}, {NULL, 0, 0}};
    const uint8_t dst[16] = {0};
    struct route_table *t = build(given);
    for (unsigned version = 0; version < 16; version++) {
        uint32_t expected = version == 4 ? 1 : version == 6 ? 2 : ROUTE_NONE;
        assert_int_equal(route_lookup(t, version, dst), expected);
    }
    route_table_free(t);
}

static void test_covers(void **state)
{
    (void)state;
    struct route_table *t = build(table);
    const uint8_t host[4] = {10, 1, 2, 3}, nowhere[16] = {0x30};
    assert_true(route_covers(t, 4, host, 6));
    assert_false(route_covers(t, 4, host, 5)); /* covers too, but is not the longest */
    assert_false(route_covers(t, 6, nowhere, 20));
    route_table_free(t);
}

static void test_invalid(void **state)
{
    (void)state;
    struct route_entry e = {.value = 1};
    assert_null(route_build(&e, 1)); /* no family */
    e.prefix.ip.family = ADDR_V4;
    e.prefix.len = 33;
    assert_null(route_build(&e, 1));
    e.prefix.ip.family = ADDR_V6;
    e.prefix.len = 129;
    assert_null(route_build(&e, 1));
    e.prefix.len = 128;
    e.value = ROUTE_NONE;
    assert_null(route_build(&e, 1));
}

static void test_builder(void **state)
{
    (void)state;
    struct route_builder b;
    struct ip_prefix p;
    route_builder_init(&b);
    assert_int_equal(ip_prefix_parse(&p, "10.0.0.0/8"), ERR_OK);
    assert_int_equal(route_builder_add(&b, &p, ROUTE_NONE), ERR_INVALID);
    for (uint32_t i = 0; i < 200; i++) /* grows several times */
        assert_int_equal(route_builder_add(&b, &p, 199 - i), ERR_OK);
    p.len = 33;
    assert_int_equal(route_builder_add(&b, &p, 1), ERR_INVALID);
    struct route_table *t = route_builder_build(&b);
    struct route_cursor c;
    const uint8_t dst[4] = {10, 1, 1, 1};
    assert_non_null(t);
    assert_int_equal(route_lookup_first(t, 4, dst, &c), 199);
    for (uint32_t i = 1; i < 200; i++)
        assert_int_equal(route_lookup_next(&c), 199 - i);
    assert_int_equal(route_lookup_next(&c), ROUTE_NONE);
    route_table_free(t);
    route_builder_fini(&b);
}

/* Every prefix of one address, both families: the deepest nesting there is. */
static void test_deepest_nesting(void **state)
{
    (void)state;
    for (unsigned family = ADDR_V4; family <= ADDR_V6; family += ADDR_V6 - ADDR_V4) {
        struct route_builder b;
        struct ip_prefix p = {.ip.family = (uint8_t)family};
        unsigned bits = ip_addr_bits(&p.ip);
        memset(p.ip.bytes, 0xff, ip_addr_len(&p.ip));
        route_builder_init(&b);
        for (unsigned len = 0; len <= bits; len++) {
            p.len = (uint8_t)len;
            assert_int_equal(route_builder_add(&b, &p, len), ERR_OK);
        }
        struct route_table *t = route_builder_build(&b);
        assert_non_null(t);
        struct route_cursor c;
        uint32_t v = route_lookup_first(t, family, p.ip.bytes, &c);
        for (unsigned len = bits + 1; len-- > 0; v = route_lookup_next(&c))
            assert_int_equal(v, len);
        assert_int_equal(v, ROUTE_NONE);
        route_table_free(t);
        route_builder_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookups), cmocka_unit_test(test_order_and_duplicates),
        cmocka_unit_test(test_empty),   cmocka_unit_test(test_other_versions),
        cmocka_unit_test(test_covers),  cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_builder), cmocka_unit_test(test_deepest_nesting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
