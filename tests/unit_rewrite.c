/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and ports of packets are exchanged, and all their checksums stay right; so do those that are still to be finished. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/rewrite.h"
#include "engine/segment.h"
#include "platform/base/bytes.h"
#include "tests/support/inner_packet.h"

static uint64_t rng_state = 13;

static uint32_t below(uint32_t n)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (uint32_t)(rng_state >> 32) % n;
}

static size_t random_packet(uint8_t *p, struct ip_view *v, bool *none)
{
    static const unsigned protos[] = {6, 17, 1};
    struct inner s = {.version = below(2) ? 4 : 6,
                      .proto = protos[below(3)],
                      .src = (uint8_t)below(256),
                      .dst = (uint8_t)below(256),
                      .sport = (uint16_t)below(65536),
                      .dport = (uint16_t)below(65536),
                      .payload = below(50),
                      .fill = below(1000)};

    s.no_udp_checksum = *none = s.proto == 17 && s.version == 4 && below(8) == 0;
    if (s.proto == 1 && s.version == 6)
        s.proto = 58;
    size_t len = inner_build(p, &s);
    assert_true(ip_parse(v, p, len));
    if (s.proto == 1 || s.proto == 58) { /* an echo with a right checksum */
        uint8_t *icmp = p + v->l4_off;
        icmp[0] = s.proto == 1 ? 8 : 128;
        icmp[1] = 0;
        store_be16(icmp + 2, 0);
        uint16_t sum = s.proto == 1 ? inner_sum(icmp, len - v->l4_off, 0)
                                    : inner_l4_sum(p, len, v->l4_off, 58);
        store_be16(icmp + 2, (uint16_t)~sum);
    }
    return len;
}

static uint16_t l4_sum(const uint8_t *p, size_t len, const struct ip_view *v)
{
    return v->proto == 1 ? inner_sum(p + v->l4_off, len - v->l4_off, 0)
                         : inner_l4_sum(p, len, v->l4_off, v->proto);
}

/* As the kernel hands it over with NEEDS_CSUM: the field has the sum of the pseudo-header. */
static void make_partial(uint8_t *p, size_t len, const struct ip_view *v, unsigned off)
{
    uint8_t copy[256];

    memcpy(copy, p, len);
    store_be16(copy + v->l4_off + off, 0);
    memset(copy + v->l4_off, 0, len - v->l4_off);
    store_be16(p + v->l4_off + off, inner_l4_sum(copy, len, v->l4_off, v->proto));
}

static void finish(uint8_t *p, size_t len, const struct ip_view *v, unsigned off)
{
    struct vnet_hdr h = {
        .flags = VNET_F_NEEDS_CSUM, .csum_start = v->l4_off, .csum_offset = (uint16_t)off};
    struct segment_plan plan;
    uint8_t out[256];

    assert_int_equal(segment_plan(&plan, &h, p, len, 1280), SEGMENT_OK);
    segment_write(&plan, 0, out);
    memcpy(p, out, len);
}

static void checksums_stay_right(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 100000; round++) {
        uint8_t p[256], addr[16];
        struct ip_view v, again;
        bool none;
        size_t len = random_packet(p, &v, &none);
        unsigned off = v.proto == 6 ? 16 : v.proto == 17 ? 6 : 2;
        bool icmp = v.proto == 1 || v.proto == 58;
        bool partial = !icmp && !none && below(3) == 0;
        for (unsigned i = 0; i < sizeof addr; i++)
            addr[i] = below(4) == 0 ? 0xff : (uint8_t)below(256);
        const struct rewrite r = {.addr_end = (enum rewrite_end)below(2),
                                  .port_end = (enum rewrite_end)below(2),
                                  .addr = addr,
                                  .port = (uint16_t)below(65536),
                                  .partial = partial};
        if (!icmp && !none)
            assert_int_equal(l4_sum(p, len, &v), 0xffff);
        if (partial)
            make_partial(p, len, &v, off);
        rewrite_packet(&v, p, &r);
        if (partial)
            finish(p, len, &v, off);
        assert_true(ip_parse(&again, p, len));
        if (none)
            assert_int_equal(load_be16(p + v.l4_off + 6), 0);
        else if (l4_sum(p, len, &v) != 0xffff)
            fail_msg("round %u: version %u protocol %u%s", round, v.version, v.proto,
                     partial ? " partial" : "");
        if (v.proto == 17 && !none)
            assert_int_not_equal(load_be16(p + v.l4_off + 6), 0);
        assert_true(v.version == 6 || inner_sum(p, (p[0] & 15u) * 4, 0) == 0xffff);
        assert_memory_equal(r.addr_end == REWRITE_SRC ? ip_src_ptr(p, v.version)
                                                      : ip_dst_ptr(p, v.version),
                            addr, v.version == 4 ? 4 : 16);
        if (icmp)
            assert_int_equal(load_be16(p + v.l4_off + 4), r.port);
        else
            assert_int_equal(r.port_end == REWRITE_SRC ? again.src_port : again.dst_port, r.port);
        assert_int_equal(again.src_port, v.src_port);
        assert_int_equal(again.dst_port, v.dst_port);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(checksums_stay_right)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
