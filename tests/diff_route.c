/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Differential test of the route table against a linear scan: random overlapping prefixes of all
 * lengths, both families, several entries per prefix, from one entry to tens of thousands; probes
 * are random, and the edges of every kind of prefix. The complete walk is compared, not only the
 * first answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "engine/route.h"
#include "platform/base/bytes.h"

enum {
    WALK_MAX = 4096
};

static uint64_t random_state;

/* xorshift64*: repeatable on every system. */
static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % n;
}

/* Bytes from a small alphabet, so that prefixes nest and probes hit. */
static struct ip_addr random_addr(unsigned family)
{
    static const uint8_t alphabet[] = {0, 0, 0xff, 0xff, 0x80, 0x7f, 1, 0xfe, 10};
    struct ip_addr a = {.family = (uint8_t)family};
    bool wild = random_below(4) == 0;
    for (size_t i = 0; i < ip_addr_len(&a); i++)
        a.bytes[i] =
            wild ? (uint8_t)random_below(256) : alphabet[random_below(ARRAY_LEN(alphabet))];
    if (family == ADDR_V6 && random_below(8) == 0) { /* v4-mapped */
        memset(a.bytes, 0, 10);
        memset(a.bytes + 10, 0xff, 2);
    }
    return a;
}

static struct route_entry random_entry(const struct route_entry *earlier, size_t n)
{
    struct route_entry e = {.value = random_below(50), .order = random_below(4)};
    unsigned family = random_below(2) ? ADDR_V4 : ADDR_V6;
    e.prefix.ip = random_addr(family);
    uint32_t bits = ip_addr_bits(&e.prefix.ip), kind = random_below(8);
    e.prefix.len = (uint8_t)(kind == 0 ? bits : random_below(bits + 1));
    if (n > 0 && kind >= 6) /* same prefix again, or one below or above it */
        e.prefix = earlier[random_below((uint32_t)n)].prefix;
    if (kind == 7)
        e.prefix.len = (uint8_t)random_below(ip_addr_bits(&e.prefix.ip) + 1u);
    return e;
}

/* First or last address of a prefix, or the one before or after it. */
static struct ip_addr edge_of(struct ip_prefix p)
{
    unsigned kind = random_below(4);
    ip_prefix_mask(&p);
    struct ip_addr a = p.ip;
    if (kind & 1)
        for (unsigned bit = p.len; bit < ip_addr_bits(&a); bit++)
            a.bytes[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
    int step = kind == 2 ? -1 : kind == 3 ? 1 : 0;
    for (size_t i = ip_addr_len(&a); step != 0 && i-- > 0;) {
        a.bytes[i] = (uint8_t)(a.bytes[i] + step);
        if (a.bytes[i] != (step > 0 ? 0 : 0xff))
            break;
    }
    return a;
}

struct answer {
    uint32_t len, order, position, value;
};

/* Longest first, then order, then as given. */
static int compare_answers(const void *va, const void *vb)
{
    const struct answer *a = va, *b = vb;
    if (a->len != b->len)
        return a->len > b->len ? -1 : 1;
    if (a->order != b->order)
        return a->order < b->order ? -1 : 1;
    return (a->position > b->position) - (a->position < b->position);
}

static bool is_duplicate(struct answer *out, size_t n, const struct answer *candidate)
{
    for (size_t i = 0; i < n; i++) {
        if (out[i].len != candidate->len || out[i].value != candidate->value)
            continue;
        if (compare_answers(candidate, &out[i]) < 0)
            out[i] = *candidate;
        return true;
    }
    return false;
}

/* The reference: entries that cover one address have equal prefixes if their lengths are equal. */
static size_t reference_walk(const struct route_entry *e, size_t n, const struct ip_addr *dst,
                             struct answer *out)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        struct answer a = {e[i].prefix.len, e[i].order, (uint32_t)i, e[i].value};
        if (!ip_prefix_contains(&e[i].prefix, dst) || is_duplicate(out, found, &a))
            continue;
        assert_true(found < WALK_MAX);
        out[found++] = a;
    }
    qsort(out, found, sizeof *out, compare_answers);
    return found;
}

static void compare_probe(const struct route_table *t, const struct route_entry *e, size_t n,
                          const struct ip_addr *dst)
{
    static struct answer expected[WALK_MAX];
    char text[IP_TEXT_MAX];
    size_t found = reference_walk(e, n, dst, expected);
    struct route_cursor c;
    uint32_t v = route_lookup_first(t, dst->family, dst->bytes, &c);
    for (size_t i = 0; i < found; i++, v = route_lookup_next(&c))
        if (v != expected[i].value || route_cursor_prefix_len(&c) != expected[i].len)
            fail_msg("%s, answer %zu of %zu: %u/%u, not %u/%u",
                     ip_addr_format(dst, text, sizeof text), i, found, (unsigned)v,
                     route_cursor_prefix_len(&c), expected[i].value, expected[i].len);
    assert_int_equal(v, ROUTE_NONE);
}

static void run(size_t n, unsigned probes, uint64_t seed)
{
    struct route_entry *e = calloc(n, sizeof *e);
    assert_non_null(e);
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (size_t i = 0; i < n; i++)
        e[i] = random_entry(e, i);
    struct route_table *t = route_build(e, n);
    assert_non_null(t);
    for (unsigned i = 0; i < probes; i++) {
        struct ip_addr dst = i % 2 ? edge_of(e[random_below((uint32_t)n)].prefix)
                                   : random_addr(random_below(2) ? ADDR_V4 : ADDR_V6);
        compare_probe(t, e, n, &dst);
    }
    route_table_free(t);
    free(e);
}

static void test_tiny(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 2000; seed++)
        run(1 + seed % 12, 30, seed);
}

/* Sizes around full nodes and full levels of the search trees. */
static void test_level_edges(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 160; n++)
        run(n, 60, 5000 + n);
}

static void test_thousands(void **state)
{
    (void)state;
    run(1000, 1500, 1);
    run(3000, 700, 2);
}

static void test_tens_of_thousands(void **state)
{
    (void)state;
    run(12000, 300, 3);
    run(40000, 100, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiny),
        cmocka_unit_test(test_level_edges),
        cmocka_unit_test(test_thousands),
        cmocka_unit_test(test_tens_of_thousands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
