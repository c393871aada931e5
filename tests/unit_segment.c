/* SPDX-License-Identifier: Apache-2.0 */
/* Segmentation: every field of every segment, unsegmented packets, and each reason to refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "engine/segment.h"
#include "engine/wire/ip.h"
#include "platform/base/bytes.h"
#include "tests/support/inner_packet.h"

enum {
    FIN = TCP_F_FIN,
    PSH = TCP_F_PSH,
    ACK = TCP_F_ACK,
    CWR = TCP_F_CWR,
    ECE = TCP_F_ECE,
    NEEDS = VNET_F_NEEDS_CSUM,
    MTU = 1420
};

static uint8_t packet[70000];

static struct vnet_hdr header_for(const struct inner *s, unsigned size)
{
    bool tcp = s->proto != 17;
    return (struct vnet_hdr){
        .flags = NEEDS,
        .gso_type = !tcp              ? VNET_GSO_UDP_L4
                    : s->version == 6 ? VNET_GSO_TCPV6
                                      : VNET_GSO_TCPV4,
        .hdr_len = 1, /* never to be trusted */
        .gso_size = (uint16_t)size,
        .csum_start = 3,
        .csum_offset = 5,
    };
}

/* Segment i of the packet that `s` describes, as a packet of its own. */
static struct inner expected_segment(const struct inner *s, unsigned i, unsigned n, unsigned size)
{
    struct inner e = *s;
    e.id = (uint16_t)(s->id + i);
    e.seq = s->seq + i * size;
    if (i > 0)
        e.flags &= (uint8_t)~CWR;
    if (i + 1 < n)
        e.flags &= (uint8_t) ~(FIN | PSH);
    e.payload = i + 1 < n ? size : s->payload - (n - 1) * size;
    return e;
}

/* Splits the described packet and compares all bytes of all segments, written in the order given by `step`. */
static void check_split(const struct inner *s, unsigned size, unsigned step)
{
    static uint8_t expected[70000];
    size_t len = inner_build(packet, s);
    size_t header_len = len - s->payload;
    struct vnet_hdr h = header_for(s, size);
    struct segment_plan plan;
    assert_int_equal(segment_plan(&plan, &h, packet, len, 65535), SEGMENT_OK);
    unsigned n = (s->payload + size - 1) / size;
    assert_int_equal(plan.n, n);
    assert_int_equal(plan.header_len, header_len);
    for (unsigned k = 0; k < n; k++) {
        unsigned i = k * step % n;
        struct inner e = expected_segment(s, i, n, size);
        size_t expected_len = inner_build(expected, &e);
        memcpy(expected + header_len, packet + header_len + (size_t)i * size, e.payload);
        size_t off = header_len - (s->proto == 17 ? 8 : 20 + s->tcp_extra);
        unsigned proto = s->proto ? s->proto : 6;
        uint8_t *sum_at = expected + off + (proto == 17 ? 6 : 16);
        inner_be16(sum_at, 0);
        uint16_t sum = (uint16_t)~inner_l4_sum(expected, expected_len, off, proto);
        inner_be16(sum_at, proto == 17 && sum == 0 ? 0xffff : sum);

        assert_int_equal(segment_len(&plan, i), expected_len);
        uint8_t *out = malloc(expected_len); /* exactly: nothing may be written behind it */
        assert_non_null(out);
        segment_write(&plan, i, out);
        assert_memory_equal(out, expected, expected_len);
        free(out);
    }
}

static void test_splits(void **state)
{
    (void)state;
    static const struct row {
        struct inner s;
        unsigned size;
    } rows[] = {
        /* 0: TCP over IPv4 */
        {{.version = 4, .payload = 3000, .flags = ACK | PSH, .id = 7, .seq = 1}, 1380},
        {{.version = 4, .payload = 3000, .flags = ACK | PSH | FIN | CWR | ECE, .tos = 2}, 1380},
        {{.version = 4, .payload = 4140, .flags = ACK | CWR, .id = 0xffff}, 1380},
        {{.version = 4, .payload = 1380, .flags = ACK | PSH | FIN | CWR}, 1380},
        {{.version = 4, .payload = 5, .flags = ACK | PSH | FIN | CWR}, 1380},
        /* 5 */
        {{.version = 4, .payload = 65495, .seq = 0xffff0000, .id = 0xfff0, .frag = 0x4000}, 1380},
        {{.version = 4, .payload = 256, .flags = ACK}, 1},
        {{.version = 4, .payload = 9001, .tcp_extra = 12, .tcp_option = 0x0101080a}, 1368},
        {{.version = 4, .payload = 9001, .tcp_extra = 40, .ip_extra = 40, .tos = 0xff}, 1300},
        {{.version = 4, .payload = 50, .ip_extra = 4}, 7},
        /* 10: TCP over IPv6 */
        {{.version = 6, .payload = 3000, .flags = ACK | PSH | FIN | CWR, .flow = 0x12345}, 1360},
        {{.version = 6, .payload = 60000, .tcp_extra = 12, .seq = 0xfffffff0, .tos = 1}, 1348},
        {{.version = 6, .payload = 4000, .ip_extra = 8}, 1000},
        {{.version = 6, .payload = 4000, .ip_extra = 72, .tcp_extra = 40}, 999},
        /* 14: UDP */
        {{.version = 4, .proto = 17, .payload = 3000, .id = 0xfffe}, 1392},
        {{.version = 4, .proto = 17, .payload = 64, .id = 1}, 1},
        {{.version = 4, .proto = 17, .payload = 8000, .ip_extra = 8}, 1001},
        {{.version = 6, .proto = 17, .payload = 64000, .tos = 3}, 1232},
        {{.version = 6, .proto = 17, .payload = 33, .ip_extra = 16}, 32},
        {{.version = 6, .proto = 17, .payload = 32}, 32},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct inner s = rows[i].s;
        print_message("row %u\n", i);
        s.src = 1;
        s.dst = 2;
        s.sport = 443;
        s.dport = 50000;
        s.ttl = 64;
        s.ack = 0xdeadbeef;
        s.window = 501;
        s.fill = i;
        check_split(&s, rows[i].size, 1);
        check_split(&s, rows[i].size, 7);
    }
}

/* Sizes around multiples, so that last segments of 1 byte and full ones come up with every header. */
static void test_split_sizes(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2)
        for (unsigned proto = 6; proto <= 17; proto += 11)
            for (unsigned payload = 1; payload < 400; payload += 1 + payload / 9)
                for (unsigned size = 20; size < 140; size += 3) {
                    struct inner s = {.version = version, .proto = proto, .payload = payload};
                    s.fill = size;
                    s.id = (uint16_t)(payload * size);
                    s.seq = size << 25;
                    s.flags = ACK;
                    check_split(&s, size, 1);
                }
}

/* Payloads whose UDP checksum is 0 must be sent as 0xffff, segmented or not. */
static void test_udp_zero_checksum(void **state)
{
    (void)state;
    for (unsigned gso = 0; gso < 2; gso++) {
        struct inner s = {.version = 4, .proto = 17, .payload = 6};
        struct segment_plan plan;
        uint8_t out[64];
        size_t len = inner_build(packet, &s);
        inner_be16(packet + 26, 0);
        inner_be16(packet + 28, 0);
        /* The two bytes that make the whole sum 0xffff. */
        inner_be16(packet + 28, (uint16_t)~inner_l4_sum(packet, len, 20, 17));
        struct vnet_hdr h = header_for(&s, 100);
        if (!gso) {
            uint8_t pseudo[12] = {[9] = 17, [11] = 14};
            memcpy(pseudo, packet + 12, 8);
            inner_be16(packet + 26, inner_sum(pseudo, 12, 0));
            h = (struct vnet_hdr){.flags = NEEDS, .csum_start = 20, .csum_offset = 6};
        }
        assert_int_equal(segment_plan(&plan, &h, packet, len, MTU), SEGMENT_OK);
        segment_write(&plan, 0, out);
        assert_int_equal(load_be16(out + 26), 0xffff);
        assert_int_equal(inner_l4_sum(out, len, 20, 17), 0xffff);
    }
}

static void test_single_packets(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2)
        for (unsigned proto = 6; proto <= 17; proto += 11)
            for (unsigned payload = 0; payload <= 1300; payload += 13) {
                struct inner s = {
                    .version = version, .proto = proto, .payload = payload, .fill = 9};
                struct segment_plan plan;
                uint8_t *out, wanted[1500];
                size_t off = version == 4 ? 20 : 40, at = proto == 6 ? 16 : 6;
                size_t len = inner_build(packet, &s);
                memcpy(wanted, packet, len);
                struct vnet_hdr h = {0};
                out = malloc(len);
                assert_non_null(out);

                assert_int_equal(segment_plan(&plan, &h, packet, len, MTU), SEGMENT_OK);
                assert_int_equal(plan.n, 1);
                assert_int_equal(plan.header_len, 0);
                assert_int_equal(segment_len(&plan, 0), len);
                segment_write(&plan, 0, out);
                assert_memory_equal(out, wanted, len);

                /* With a partial checksum: the field holds the folded sum of the pseudo-header. */
                uint16_t whole = inner_l4_sum(packet, len, off, proto);
                assert_int_equal(whole, 0xffff);
                inner_be16(packet + off + at, 0);
                uint16_t rest = inner_sum(packet + off, len - off, 0);
                uint32_t pseudo = inner_l4_sum(packet, len, off, proto) + 0xffffu - rest;
                inner_be16(packet + off + at, pseudo > 0xffff ? pseudo - 0xffff : pseudo);
                h = (struct vnet_hdr){
                    .flags = NEEDS, .csum_start = (uint16_t)off, .csum_offset = (uint16_t)at};
                assert_int_equal(segment_plan(&plan, &h, packet, len, MTU), SEGMENT_OK);
                segment_write(&plan, 0, out);
                assert_memory_equal(out, wanted, len);
                free(out);
            }
}

static void test_single_bounds(void **state)
{
    (void)state;
    static const struct row {
        unsigned start, offset, len, mtu;
        enum segment_status status;
    } rows[] = {
        /* 0 */ {20, 16, 38, MTU, SEGMENT_OK},
        {20, 16, 37, MTU, SEGMENT_MALFORMED},
        {21, 16, 38, MTU, SEGMENT_MALFORMED},
        {0, 0, 2, MTU, SEGMENT_OK},
        {0, 0, 1, MTU, SEGMENT_MALFORMED},
        /* 5 */ {0xffff, 0xffff, 100, MTU, SEGMENT_MALFORMED},
        {0xffff, 1, 100, MTU, SEGMENT_MALFORMED},
        {1, 0xffff, 100, MTU, SEGMENT_MALFORMED},
        {99, 0, 100, MTU, SEGMENT_MALFORMED},
        {98, 0, 100, MTU, SEGMENT_OK},
        /* 10 */ {20, 16, MTU, MTU, SEGMENT_OK},
        {20, 16, MTU + 1, MTU, SEGMENT_TOO_BIG},
        {20, 16, 65535, 65535, SEGMENT_OK},
        {20, 16, 65535, 65534, SEGMENT_TOO_BIG},
        {20, 16, 65536, 65535, SEGMENT_MALFORMED},
        /* 15 */ {20, 16, 0, MTU, SEGMENT_MALFORMED},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct segment_plan plan;
        struct vnet_hdr h = {.flags = NEEDS,
                             .csum_start = (uint16_t)rows[i].start,
                             .csum_offset = (uint16_t)rows[i].offset};
        print_message("row %u\n", i);
        memset(packet, 0, 65536);
        assert_int_equal(segment_plan(&plan, &h, packet, rows[i].len, rows[i].mtu), rows[i].status);
        if (rows[i].status == SEGMENT_OK) {
            uint8_t *out = malloc(rows[i].len);
            assert_non_null(out);
            segment_write(&plan, 0, out);
            assert_int_equal(load_be16(out + rows[i].start + rows[i].offset), 0xffff);
            free(out);
        }
        h.flags = 2; /* checked by the kernel: csum_start means nothing */
        enum segment_status plain = rows[i].len == 0 || rows[i].len > 65535 ? SEGMENT_MALFORMED
                                    : rows[i].len > rows[i].mtu             ? SEGMENT_TOO_BIG
                                                                            : SEGMENT_OK;
        assert_int_equal(segment_plan(&plan, &h, packet, rows[i].len, rows[i].mtu), plain);
    }
}

static enum segment_status plan_of(const struct inner *s, unsigned type, unsigned size,
                                   uint32_t mtu)
{
    struct segment_plan plan;
    size_t len = inner_build(packet, s);
    struct vnet_hdr h = header_for(s, size);
    if (type != 0)
        h.gso_type = (uint8_t)type;
    return segment_plan(&plan, &h, packet, len, mtu);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct row {
        struct inner s;
        unsigned type, size, mtu;
        enum segment_status status;
    } rows[] = {
        /* 0: sizes */
        {{.version = 4, .payload = 3000}, 0, 1380, 1420, SEGMENT_OK},
        {{.version = 4, .payload = 3000}, 0, 1380, 1419, SEGMENT_TOO_BIG},
        {{.version = 4, .payload = 3000}, 0, 0, 1420, SEGMENT_MALFORMED},
        {{.version = 4, .payload = 0}, 0, 100, 1420, SEGMENT_MALFORMED},
        {{.version = 4, .payload = 257}, 0, 1, 1420, SEGMENT_TOO_MANY},
        {{.version = 4, .payload = 256}, 0, 1, 1420, SEGMENT_OK},
        {{.version = 6, .payload = 1381}, 0, 1380, 1420, SEGMENT_TOO_BIG},
        {{.version = 6, .payload = 1360}, 0, 9000, 1420, SEGMENT_OK},
        {{.version = 6, .payload = 1361}, 0, 9000, 1420, SEGMENT_TOO_BIG},
        {{.version = 4, .proto = 17, .payload = 3000}, 0, 1393, 1420, SEGMENT_TOO_BIG},
        /* 10: types */
        {{.version = 4, .payload = 100}, VNET_GSO_TCPV4 | VNET_GSO_ECN, 50, 1420, SEGMENT_OK},
        {{.version = 4, .payload = 100}, VNET_GSO_TCPV6, 50, 1420, SEGMENT_MALFORMED},
        {{.version = 6, .payload = 100}, VNET_GSO_TCPV4, 50, 1420, SEGMENT_MALFORMED},
        {{.version = 4, .payload = 100}, VNET_GSO_UDP_L4, 50, 1420, SEGMENT_MALFORMED},
        {{.version = 6, .proto = 17, .payload = 100}, VNET_GSO_TCPV6, 50, 1420, SEGMENT_MALFORMED},
        {{.version = 4, .payload = 100}, 3, 50, 1420, SEGMENT_UNKNOWN_GSO},
        {{.version = 4, .payload = 100}, 2, 50, 1420, SEGMENT_UNKNOWN_GSO},
        {{.version = 4, .payload = 100}, 0x21, 50, 1420, SEGMENT_UNKNOWN_GSO},
        /* 18: headers */
        {{.version = 4, .payload = 100, .frag = 0x2000}, 0, 50, 1420, SEGMENT_MALFORMED},
        {{.version = 4, .payload = 100, .frag = 1}, 0, 50, 1420, SEGMENT_MALFORMED},
        {{.version = 6, .payload = 100, .frag = 1}, 0, 50, 1420, SEGMENT_MALFORMED},
        {{.version = 6, .payload = 100, .frag = 0xffff}, 0, 50, 1420, SEGMENT_MALFORMED},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        print_message("row %u\n", i);
        assert_int_equal(plan_of(&rows[i].s, rows[i].type, rows[i].size, rows[i].mtu),
                         rows[i].status);
    }
}

/* One byte of a good packet changed: lengths that disagree with the frame, header lengths that leave it. */
static void test_bad_headers(void **state)
{
    (void)state;
    static const struct row {
        struct inner s;
        unsigned at;
        uint8_t value;
    } rows[] = {
        /* 0 */ {{.version = 4, .payload = 100}, 0, 0x44},
        {{.version = 4, .payload = 100}, 0, 0x65},
        {{.version = 4, .payload = 10}, 0, 0x4f},
        {{.version = 4, .payload = 100}, 3, 141},
        {{.version = 4, .payload = 100}, 3, 139},
        /* 5 */ {{.version = 4, .payload = 100}, 32, 0x40},
        {{.version = 4, .payload = 10}, 32, 0xf0},
        {{.version = 6, .payload = 100}, 0, 0x45},
        {{.version = 6, .payload = 100}, 5, 119},
        {{.version = 6, .payload = 100}, 5, 121},
        /* 10 */ {{.version = 6, .payload = 100}, 6, 43},
        {{.version = 6, .payload = 100}, 6, 59},
        {{.version = 6, .payload = 100, .ip_extra = 8}, 41, 200},
        {{.version = 6, .payload = 100, .ip_extra = 8}, 40, 17},
        {{.version = 6, .payload = 100}, 52, 0x40},
        /* 15 */ {{.version = 6, .proto = 17, .payload = 100}, 0, 0x70},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct segment_plan plan;
        size_t len = inner_build(packet, &rows[i].s);
        struct vnet_hdr h = header_for(&rows[i].s, 50);
        print_message("row %u\n", i);
        assert_int_equal(segment_plan(&plan, &h, packet, len, MTU), SEGMENT_OK);
        packet[rows[i].at] = rows[i].value;
        assert_int_equal(segment_plan(&plan, &h, packet, len, MTU), SEGMENT_MALFORMED);
    }
}

/* Every prefix of a packet is refused without reading behind it. */
static void test_truncated(void **state)
{
    (void)state;
    for (unsigned version = 4; version <= 6; version += 2)
        for (unsigned proto = 6; proto <= 17; proto += 11) {
            struct inner s = {.version = version, .proto = proto, .payload = 100, .ip_extra = 16};
            size_t len = inner_build(packet, &s);
            struct vnet_hdr h = header_for(&s, 50);
            for (size_t n = 1; n < len; n++) {
                struct segment_plan plan;
                uint8_t *copy = malloc(n);
                assert_non_null(copy);
                memcpy(copy, packet, n);
                assert_int_equal(segment_plan(&plan, &h, copy, n, MTU), SEGMENT_MALFORMED);
                if (n >= 6) /* a length that agrees */
                    inner_be16(copy + (version == 4 ? 2 : 4),
                               (uint32_t)(version == 4 ? n : n - 40));
                enum segment_status status = segment_plan(&plan, &h, copy, n, MTU);
                size_t header_len = len - s.payload;
                assert_int_equal(status, n > header_len ? SEGMENT_OK : SEGMENT_MALFORMED);
                free(copy);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_split_sizes),
        cmocka_unit_test(test_udp_zero_checksum),
        cmocka_unit_test(test_single_packets),
        cmocka_unit_test(test_single_bounds),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_bad_headers),
        cmocka_unit_test(test_truncated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
