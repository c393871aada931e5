/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums against a byte-wise reference: every length and alignment, both code paths, the extremes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/checksum.c"
#include "tests/support/inner_packet.h"

static const struct variant {
    const char *name;
    uint64_t (*partial)(const void *p, size_t n, uint64_t init);
    uint64_t (*copy)(void *dst, const void *src, size_t n, uint64_t init);
} variants[] = {
    {"chosen", checksum_partial, checksum_copy},
#ifdef CLONES
    {"portable", partial_any, copy_any},
#endif
};

enum {
    VARIANTS = sizeof variants / sizeof variants[0],
    BUF = 70000,
    GUARD = 64
};

static uint8_t src[BUF], dst[BUF];

static void fill(uint32_t seed)
{
    uint32_t x = seed;
    for (size_t i = 0; i < sizeof src; i++) {
        x = x * 1664525u + 1013904223u;
        src[i] = (uint8_t)(x >> 24);
    }
}

static uint16_t swapped(uint16_t v)
{
    return (uint16_t)(v >> 8 | v << 8);
}

static void check_one(const struct variant *v, size_t from, size_t to, size_t n)
{
    uint16_t expected = inner_sum(src + from, n, 0);
    uint64_t sum = v->partial(src + from, n, 0);
    assert_true(sum < UINT64_C(1) << 34);
    assert_int_equal(swapped(checksum_fold(sum)), expected);

    memset(dst + to, 0xa5, n + 2 * GUARD);
    assert_true(v->copy(dst + to + GUARD, src + from, n, 0) == sum);
    assert_memory_equal(dst + to + GUARD, src + from, n);
    for (size_t i = 0; i < GUARD; i++) {
        assert_int_equal(dst[to + i], 0xa5);
        assert_int_equal(dst[to + GUARD + n + i], 0xa5);
    }
}

static void test_lengths_and_alignments(void **state)
{
    (void)state;
    fill(1);
    for (unsigned v = 0; v < VARIANTS; v++) {
        for (size_t n = 0; n <= 400; n++)
            for (size_t from = 0; from < 33; from += n < 200 ? 1 : 5)
                check_one(&variants[v], from, (from * 7 + n) % 32, n);
        static const size_t longer[] = {1220, 1379, 1380, 1400, 1460, 8940, 65495, 65534, 65535};
        for (unsigned i = 0; i < sizeof longer / sizeof longer[0]; i++)
            for (size_t from = 0; from < 9; from++)
                check_one(&variants[v], from, 9 - from, longer[i]);
    }
}

static void test_extremes(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {0xff, 0, 0x80, 0x7f, 1};
    for (unsigned v = 0; v < VARIANTS; v++)
        for (unsigned b = 0; b < sizeof bytes; b++) {
            memset(src, bytes[b], sizeof src);
            for (size_t n = 0; n < 300; n++)
                check_one(&variants[v], 1, 3, n);
            check_one(&variants[v], 0, 0, 65535);
        }
    assert_int_equal(checksum_fold(0), 0);
    assert_int_equal(checksum_fold(0xffff), 0xffff);
    assert_int_equal(checksum_fold(0x10000), 1);
    assert_int_equal(checksum_fold(UINT64_MAX), 0xffff);
    assert_int_equal(checksum_fold(UINT64_C(0xffffffff00000000)), 0xffff);
    assert_int_equal(checksum_finish(0xffff), 0);
    assert_int_equal(checksum_finish_udp(0xffff), 0xffff);
    assert_int_equal(checksum_finish_udp(1), 0xfffe);
}

/* Any cut at an even offset, and any start value, gives the sum of the whole. */
static void test_pieces(void **state)
{
    (void)state;
    fill(2);
    for (unsigned v = 0; v < VARIANTS; v++)
        for (size_t cut = 0; cut <= 200; cut += 2) {
            uint64_t whole = variants[v].partial(src, 201, 0);
            uint64_t first = variants[v].partial(src, cut, 0);
            uint64_t both = variants[v].partial(src + cut, 201 - cut, first);
            uint64_t added = first + variants[v].copy(dst, src + cut, 201 - cut, 0);
            assert_int_equal(checksum_fold(both), checksum_fold(whole));
            assert_int_equal(checksum_fold(added), checksum_fold(whole));
        }
    uint64_t sum = checksum_partial(src, 0, UINT64_MAX);
    assert_true(sum < UINT64_C(1) << 34);
    assert_int_equal(checksum_fold(sum), 0xffff);
    assert_int_equal(checksum_fold(checksum_partial("\x01\x00", 2, UINT64_MAX - 1)),
                     checksum_fold(checksum_partial("\x01\x00", 2, 0xfffe)));
}

/* The example of RFC 1071 section 3. */
static void test_published_example(void **state)
{
    (void)state;
    static const uint8_t example[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    uint8_t out[2];
    for (unsigned v = 0; v < VARIANTS; v++) {
        uint64_t sum = variants[v].partial(example, sizeof example, 0);
        checksum_store(out, checksum_fold(sum));
        assert_int_equal(out[0], 0xdd);
        assert_int_equal(out[1], 0xf2);
        checksum_store(out, checksum_finish(sum));
        assert_int_equal(out[0], 0x22);
        assert_int_equal(out[1], 0x0d);
    }
}

static void test_pseudo_headers(void **state)
{
    (void)state;
    static uint8_t packet[70000];
    for (unsigned version = 4; version <= 6; version += 2)
        for (unsigned payload = 0; payload < 65000; payload += 1 + payload / 3) {
            struct inner s = {.version = version, .proto = 17, .payload = payload, .fill = payload};
            s.src = (uint8_t)payload;
            s.dst = (uint8_t)~payload;
            size_t len = inner_build(packet, &s), off = version == 4 ? 20 : 40;
            uint32_t l4_len = (uint32_t)(len - off);
            uint64_t sum = version == 4 ? checksum_pseudo_v4(packet, 17, l4_len)
                                        : checksum_pseudo_v6(packet, 17, l4_len);
            assert_int_equal(checksum_fold(checksum_partial(packet + off, l4_len, sum)), 0xffff);
        }
}

static void test_fields_as_sums(void **state)
{
    (void)state;
    assert_int_equal(checksum_be16(0x1234), checksum_fold(checksum_partial("\x12\x34", 2, 0)));
    assert_int_equal(checksum_fold(checksum_be32(0x12345678)),
                     checksum_fold(checksum_partial("\x12\x34\x56\x78", 4, 0)));
    assert_int_equal(checksum_fold(checksum_load32("\x12\x34\x56\x78")),
                     checksum_fold(checksum_be32(0x12345678)));
    assert_int_equal(checksum_fold(checksum_load64("\x12\x34\x56\x78\x9a\xbc\xde\xf0")),
                     checksum_fold(checksum_be32(0x12345678) + checksum_be32(0x9abcdef0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths_and_alignments),
        cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_published_example),
        cmocka_unit_test(test_pseudo_headers),
        cmocka_unit_test(test_fields_as_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
