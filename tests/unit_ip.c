/* SPDX-License-Identifier: Apache-2.0 */
/* The IP parser: what it accepts, what it refuses, what it says; and the ECN mark with its checksum. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "engine/wire/ip.h"
#include "tests/support/inner_packet.h"

static uint8_t packet[2048];

/* Parses an exactly sized copy on the heap: reading too far is seen by sanitizers. */
static bool parse_exact(struct ip_view *v, const uint8_t *p, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, p, len);
    bool ok = ip_parse(v, copy, len);
    free(copy);
    return ok;
}

/* Field by field: a view has padding. */
static bool same_view(const struct ip_view *a, const struct ip_view *b)
{
    return a->version == b->version && a->proto == b->proto && a->ecn == b->ecn &&
           a->fragment == b->fragment && a->l4_off == b->l4_off && a->total_len == b->total_len &&
           a->src_port == b->src_port && a->dst_port == b->dst_port;
}

static void test_accepts(void **state)
{
    (void)state;
    static const struct row {
        struct inner s;
        unsigned proto, l4_off, ecn;
        bool fragment, ports, valid;
    } rows[] = {
        /* 0 */ {{.version = 4, .payload = 100}, 6, 20, 0, false, true, true},
        {{.version = 6, .payload = 100}, 6, 40, 0, false, true, true},
        {{.version = 4, .proto = 17, .tos = 0xb9}, 17, 20, 1, false, true, true},
        {{.version = 6, .proto = 17, .tos = 0xb8 | 2, .flow = 0xfffff},
         17,
         40,
         2,
         false,
         true,
         true},
        {{.version = 4, .ip_extra = 40, .tos = 3}, 6, 60, 3, false, true, true},
        /* 5 */ {{.version = 6, .ip_extra = 24}, 6, 64, 0, false, true, true},
        {{.version = 4, .frag = 0x4000}, 6, 20, 0, false, true, true},
        {{.version = 4, .frag = 0x2000}, 6, 20, 0, true, false, false},
        {{.version = 4, .frag = 0x0001}, 6, 0, 0, true, false, false},
        {{.version = 4, .frag = 0x2001}, 6, 0, 0, true, false, false},
        /* 10 */ {{.version = 6, .frag = 0x0001}, 6, 48, 0, true, false, false},
        {{.version = 6, .frag = 0x0008}, 6, 0, 0, true, false, false},
        {{.version = 6, .frag = 0xffff}, 6, 48, 0, false, true, true}, /* atomic */
        {{.version = 6, .frag = 0x0008, .ip_extra = 8}, 6, 0, 0, true, false, false},
        {{.version = 4, .proto = 1, .payload = 0}, 1, 20, 0, false, false, true},
        /* 15 */ {{.version = 6, .proto = 58}, 58, 40, 0, false, false, true},
        {{.version = 6, .proto = 1}, 1, 40, 0, false, false, false},
        {{.version = 4, .proto = 58}, 58, 20, 0, false, false, false},
        {{.version = 4, .proto = 50}, 50, 20, 0, false, false, true},
        {{.version = 6, .proto = 59}, 59, 0, 0, false, false, false},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct inner s = rows[i].s;
        s.sport = 0x1234;
        s.dport = 0xabcd;
        size_t len = inner_build(packet, &s);
        struct ip_view v;
        print_message("row %u\n", i);
        assert_true(parse_exact(&v, packet, len));
        assert_int_equal(v.version, s.version);
        assert_int_equal(v.proto, rows[i].proto);
        assert_int_equal(v.l4_off, rows[i].l4_off);
        assert_int_equal(v.ecn, rows[i].ecn);
        assert_int_equal(ip_get_ecn(packet), rows[i].ecn);
        assert_int_equal(v.fragment, rows[i].fragment);
        assert_int_equal(v.total_len, len);
        assert_int_equal(v.src_port, rows[i].ports ? 0x1234 : 0);
        assert_int_equal(v.dst_port, rows[i].ports ? 0xabcd : 0);
        assert_int_equal(ip_l4_valid(&v, packet), rows[i].valid);

        /* Padding behind the packet changes nothing; a missing byte does. */
        struct ip_view padded;
        memset(packet + len, 0xee, 16);
        assert_true(parse_exact(&padded, packet, len + 16));
        assert_true(same_view(&padded, &v));
        for (size_t cut = 0; cut < len; cut++)
            assert_false(parse_exact(&v, packet, cut));
    }
}

static void test_refuses(void **state)
{
    (void)state;
    struct ip_view v;
    struct inner s4 = {.version = 4, .payload = 10}, s6 = {.version = 6, .payload = 10};
    size_t len = inner_build(packet, &s4);
    for (unsigned version = 0; version < 16; version++) {
        packet[0] = (uint8_t)(version << 4 | 5);
        if (version != 4 && version != 6) {
            assert_false(ip_parse(&v, packet, len));
        }
    }
    for (unsigned ihl = 0; ihl < 5; ihl++) {
        packet[0] = (uint8_t)(0x40 | ihl);
        assert_false(ip_parse(&v, packet, len));
    }
    packet[0] = 0x4f; /* 60 bytes of header, 50 in all */
    assert_false(ip_parse(&v, packet, len));
    packet[0] = 0x45;
    for (unsigned total = 0; total < 20; total++) {
        inner_be16(packet + 2, total);
        assert_false(ip_parse(&v, packet, len));
    }
    inner_be16(packet + 2, (uint32_t)len + 1);
    assert_false(ip_parse(&v, packet, len));
    inner_be16(packet + 2, 0xffff);
    assert_false(ip_parse(&v, packet, len));

    len = inner_build(packet, &s6);
    inner_be16(packet + 4, (uint32_t)len - 40 + 1);
    assert_false(ip_parse(&v, packet, len));
    assert_false(ip_parse(&v, packet, 39));
    assert_false(ip_parse(&v, packet, 0));
}

/* Cut-off transport headers: still packets, but not valid ones for the stricter rules. */
static void test_short_transport(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2)
        for (unsigned proto = 6; proto <= 17; proto += 11)
            for (unsigned have = 0; have < 20; have++) {
                struct inner s = {.version = version, .proto = proto, .sport = 7, .dport = 9};
                struct ip_view v;
                size_t off = version == 4 ? 20 : 40;
                inner_build(packet, &s);
                inner_be16(packet + (version == 4 ? 2 : 4),
                           (uint32_t)(version == 4 ? off + have : have));
                assert_true(parse_exact(&v, packet, off + have));
                assert_int_equal(v.l4_off, have > 0 ? off : 0);
                assert_int_equal(v.src_port, have >= 4 ? 7 : 0);
                assert_int_equal(v.dst_port, have >= 4 ? 9 : 0);
                assert_int_equal(ip_l4_valid(&v, packet), proto == 17 && have == 8);
            }
}

static void test_l4_rules(void **state)
{
    (void)state;
    struct ip_view v;
    struct inner s = {.version = 4, .payload = 0};
    size_t len = inner_build(packet, &s);
    assert_true(ip_parse(&v, packet, len));
    for (unsigned offset = 0; offset < 16; offset++) {
        packet[32] = (uint8_t)(offset << 4);
        assert_int_equal(ip_l4_valid(&v, packet), offset == 5);
    }
    s.proto = 17;
    s.payload = 5;
    len = inner_build(packet, &s);
    assert_true(ip_parse(&v, packet, len));
    for (unsigned udp = 0; udp < 20; udp++) {
        inner_be16(packet + 24, udp);
        assert_int_equal(ip_l4_valid(&v, packet), udp == 13);
    }
    s.proto = 1;
    inner_build(packet, &s);
    inner_be16(packet + 2, 27);
    assert_true(ip_parse(&v, packet, 27));
    assert_false(ip_l4_valid(&v, packet)); /* 7 bytes of ICMP */
}

/* Chains of extension headers: as many as allowed, one more, every kind, cut anywhere. */
static void test_extension_chains(void **state)
{
    (void)state;
    static const uint8_t kinds[] = {0, 60, 43, 51, 60, 43, 60, 51, 60};
    for (unsigned n = 1; n <= ARRAY_LEN(kinds); n++) {
        struct inner s = {.version = 6, .proto = 17, .sport = 1, .dport = 2, .payload = 4};
        struct ip_view v;
        inner_build(packet, &s);
        size_t off = 40;
        packet[6] = kinds[0];
        for (unsigned i = 0; i < n; i++) {
            bool ah = kinds[i] == 51;
            memset(packet + off, 0, 24);
            packet[off] = i + 1 < n ? kinds[i + 1] : 17;
            packet[off + 1] = ah ? 4 : 1; /* 24 and 16 bytes */
            off += ah ? 24 : 16;
        }
        memcpy(packet + off, "\0\1\0\2\0\14\0\0abcd", 12);
        size_t len = off + 12;
        inner_be16(packet + 4, (uint32_t)(len - 40));
        assert_true(parse_exact(&v, packet, len));
        assert_int_equal(v.l4_off, n <= IPV6_EXT_MAX ? off : 0);
        assert_int_equal(v.proto, n <= IPV6_EXT_MAX ? 17 : kinds[n - 1]);
        assert_int_equal(v.dst_port, n <= IPV6_EXT_MAX ? 2 : 0);
        for (size_t cut = 40; cut <= off; cut++) { /* payload length fits, the chain does not */
            inner_be16(packet + 4, (uint32_t)(cut - 40));
            assert_true(parse_exact(&v, packet, cut));
            assert_int_equal(v.l4_off, 0);
            assert_false(ip_l4_valid(&v, packet));
        }
    }
}

static void test_ce_mark(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2)
        for (unsigned id = 0; id < 70000; id += version == 4 ? 1 : 7001)
            for (unsigned ecn = 0; ecn < 4; ecn++) {
                struct inner s = {
                    .version = version, .tos = (uint8_t)(0xb8 | ecn), .flow = 0xabcde};
                uint8_t expected[128];
                s.id = (uint16_t)id;
                s.ttl = (uint8_t)(id >> 8);
                size_t len = inner_build(packet, &s);
                s.tos = (uint8_t)(ecn == 0 ? s.tos : 0xb8 | 3);
                inner_build(expected, &s);
                ip_set_ce(packet);
                assert_memory_equal(packet, expected, len);
                assert_int_equal(ip_get_ecn(packet), ecn == 0 ? 0 : 3);
            }
}

static void test_addresses(void **state)
{
    (void)state;
    struct inner s = {.version = 4, .src = 7, .dst = 9};
    char text[IP_TEXT_MAX];
    inner_build(packet, &s);
    struct ip_addr a = ip_src(packet, 4), b = ip_dst(packet, 4);
    assert_string_equal(ip_addr_format(&a, text, sizeof text), "100.64.0.7");
    assert_string_equal(ip_addr_format(&b, text, sizeof text), "100.64.1.9");
    s.version = 6;
    inner_build(packet, &s);
    a = ip_src(packet, 6);
    b = ip_dst(packet, 6);
    assert_string_equal(ip_addr_format(&a, text, sizeof text), "fd00::7");
    assert_string_equal(ip_addr_format(&b, text, sizeof text), "fd00::9");
    assert_ptr_equal(ip_src_ptr(packet, 6), packet + 8);
    assert_ptr_equal(ip_dst_ptr(packet, 4), packet + 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepts),          cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_short_transport),  cmocka_unit_test(test_l4_rules),
        cmocka_unit_test(test_extension_chains), cmocka_unit_test(test_ce_mark),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
