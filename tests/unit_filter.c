/* SPDX-License-Identifier: Apache-2.0 */
/* What packets count as, and filters against a list that is asked rule by rule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "engine/filter.h"
#include "platform/base/bytes.h"
#include "tests/support/inner_packet.h"
#include "tests/support/random.h"

static void classes(void **state)
{
    (void)state;
    static const struct {
        unsigned version, proto;
        int type, code; /* of ICMP; -1: leave */
        uint8_t kind;
    } rows[] = {
        {4, 6, -1, 0, PACKET_TCP},
        {6, 17, -1, 0, PACKET_UDP},
        {4, 1, 8, 0, PACKET_ECHO_REQUEST},
        {4, 1, 0, 0, PACKET_ECHO_REPLY},
        {4, 1, 8, 1, PACKET_ICMP_OTHER},
        {4, 1, 3, 1, PACKET_ICMP_ERROR},
        {4, 1, 11, 9, PACKET_ICMP_ERROR},
        {4, 1, 5, 0, PACKET_ICMP_OTHER},
        {4, 1, 12, 0, PACKET_ICMP_OTHER},
        {4, 1, 13, 0, PACKET_ICMP_OTHER},
        {6, 58, 128, 0, PACKET_ECHO_REQUEST},
        {6, 58, 129, 0, PACKET_ECHO_REPLY},
        {6, 58, 129, 7, PACKET_ICMP_OTHER},
        {6, 58, 1, 6, PACKET_ICMP_ERROR},
        {6, 58, 2, 0, PACKET_ICMP_ERROR},
        {6, 58, 2, 1, PACKET_ICMP_OTHER},
        {6, 58, 3, 1, PACKET_ICMP_ERROR},
        {6, 58, 4, 0, PACKET_ICMP_OTHER},
        {4, 50, -1, 0, PACKET_OTHER},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t p[256];
        struct ip_view v;
        struct inner s = {.version = rows[i].version,
                          .proto = rows[i].proto,
                          .sport = 700,
                          .dport = 443,
                          .payload = 40};
        size_t len = inner_build(p, &s);
        assert_true(ip_parse(&v, p, len));
        if (rows[i].type >= 0) {
            p[v.l4_off] = (uint8_t)rows[i].type;
            p[v.l4_off + 1] = (uint8_t)rows[i].code;
            store_be16(p + v.l4_off + 4, 0x1234);
        }
        struct packet_class c = packet_classify(&v, p);
        bool echo = c.kind == PACKET_ECHO_REQUEST || c.kind == PACKET_ECHO_REPLY;
        bool ports = c.kind == PACKET_TCP || c.kind == PACKET_UDP;
        if (c.kind != rows[i].kind)
            fail_msg("row %u: kind %u", i, c.kind);
        assert_int_equal(c.src, ports ? 700 : echo ? 0x1234 : 0);
        assert_int_equal(c.dst, ports ? 443 : echo ? 0x1234 : 0);
        assert_int_equal(packet_is_flow(c.kind), echo || ports);
    }
}

static struct filter *build(const struct filter_rule *rules, size_t n)
{
    size_t size = filter_size(rules, n);
    struct filter *f = malloc(size);

    assert_non_null(f);
    assert_int_equal(size % 8, 0);
    size_t used = filter_build(f, rules, n);
    assert_true(used <= size && used % 8 == 0);
    return f;
}

static void no_rules_permit_everything(void **state)
{
    (void)state;
    struct filter *f = build(NULL, 0);

    for (uint8_t kind = PACKET_TCP; kind <= PACKET_OTHER; kind++)
        assert_true(filter_permits(f, kind, 0) && filter_permits(f, kind, 65535));
    free(f);
}

/* Whatever else a list of rules permits, it is no other protocol. */
static void odd_rules(void **state)
{
    (void)state;
    static const struct filter_rule rules[] = {
        {FILTER_TCP, 10, 9}, {9, 0, 65535}, {FILTER_ICMP, 1, 0}};
    struct filter *f = build(rules, ARRAY_LEN(rules));

    assert_false(filter_permits(f, PACKET_TCP, 10));
    assert_false(filter_permits(f, PACKET_UDP, 10));
    assert_true(filter_permits(f, PACKET_ICMP_OTHER, 0));
    assert_false(filter_permits(f, PACKET_OTHER, 0));
    free(f);
}

static bool naive(const struct filter_rule *rules, size_t n, uint8_t kind, uint16_t port)
{
    for (size_t i = 0; i < n; i++) {
        if (rules[i].protocol == FILTER_ICMP
                ? kind >= PACKET_ECHO_REQUEST && kind <= PACKET_ICMP_OTHER
                : kind == rules[i].protocol && rules[i].first <= port && port <= rules[i].last)
            return true;
    }
    return n == 0;
}

static uint64_t rng_state = 7;

static uint32_t rng_below(uint32_t n)
{
    return random_below(&rng_state, n);
}

static void against_naive(void **state)
{
    (void)state;

    for (unsigned round = 0; round < 2000; round++) {
        struct filter_rule rules[12];
        size_t n = rng_below(ARRAY_LEN(rules) + 1);
        uint32_t span = round % 3 == 0 ? 65536 : 40; /* near the end, too */
        for (size_t i = 0; i < n; i++) {
            uint32_t a = 65536 - 1 - rng_below(span), b = 65536 - 1 - rng_below(span);
            rules[i] = (struct filter_rule){(uint8_t)rng_below(3), (uint16_t)(a < b ? a : b),
                                            (uint16_t)(a < b ? b : a)};
        }
        struct filter *f = build(rules, n);
        for (unsigned k = 0; k < 200; k++) {
            uint8_t kind = (uint8_t)rng_below(PACKET_OTHER + 1);
            uint16_t port = (uint16_t)(65536 - 1 - rng_below(span + 2 < 65536 ? span + 2 : span));
            if (filter_permits(f, kind, port) != naive(rules, n, kind, port))
                fail_msg("round %u: kind %u port %u", round, kind, port);
        }
        free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes),
        cmocka_unit_test(no_rules_permit_everything),
        cmocka_unit_test(odd_rules),
        cmocka_unit_test(against_naive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
