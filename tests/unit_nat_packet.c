/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What NAT does to packets: the right fields, checksums that are right when they were and wrong when they were not, whole or begun,
 * and back again; and ICMP errors written anew.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/checksum.h"
#include "engine/filter.h"
#include "engine/nat_packet.h"
#include "tests/support/inner_packet.h"

static uint8_t packet[2048];
static struct ip_view view;

static struct ip_addr ip(const char *text)
{
    struct ip_addr a;
    assert_int_equal(ip_addr_parse(&a, text), ERR_OK);
    return a;
}

static void parse(size_t len)
{
    assert_true(ip_parse(&view, packet, len));
    assert_true(ip_l4_valid(&view, packet));
}

/* An echo instead of what inner_build wrote, with its checksum. */
static void make_echo(const struct inner *s, size_t len)
{
    size_t l4 = len - s->payload - 8;

    packet[l4] = s->proto == IP_PROTO_ICMP ? 8 : 128;
    packet[l4 + 1] = 0;
    inner_be16(packet + l4 + 2, 0);
    inner_be16(packet + l4 + 4, s->sport);
    uint16_t sum = s->proto == IP_PROTO_ICMP ? inner_sum(packet + l4, len - l4, 0)
                                             : inner_l4_sum(packet, len, l4, s->proto);
    inner_be16(packet + l4 + 2, (uint16_t)~sum);
}

static size_t make(const struct inner *s)
{
    size_t len = inner_build(packet, s);
    if (s->proto == IP_PROTO_ICMP || s->proto == IP_PROTO_ICMPV6)
        make_echo(s, len);
    parse(len);
    return len;
}

static bool checksums_right(size_t len)
{
    bool v4 = view.version == 4, icmp = view.proto == IP_PROTO_ICMP;
    size_t l4 = view.l4_off;

    if (v4 && inner_sum(packet, l4, 0) != 0xffff)
        return false;
    return (icmp ? inner_sum(packet + l4, len - l4, 0)
                 : inner_l4_sum(packet, len, l4, view.proto)) == 0xffff;
}

static uint16_t port_at(unsigned at)
{
    return load_be16(packet + view.l4_off + at);
}

/* It is the packet's. */
static void check_view(size_t len)
{
    struct ip_view again;

    assert_true(ip_parse(&again, packet, len));
    assert_int_equal(again.src_port, view.src_port);
    assert_int_equal(again.dst_port, view.dst_port);
    assert_int_equal(again.l4_off, view.l4_off);
}

static void test_both_ways(void **state)
{
    static const struct inner rows[] = {
        {.version = 4, .proto = 6, .payload = 100},
        {.version = 4, .proto = 17, .payload = 33},
        {.version = 4, .proto = 1, .payload = 56},
        {.version = 6, .proto = 6, .tcp_extra = 12, .payload = 1},
        {.version = 6, .proto = 17, .payload = 1000},
        {.version = 6, .proto = 58, .payload = 7},
        {.version = 4, .proto = 6, .ip_extra = 8},
        {.version = 6, .proto = 17, .ip_extra = 16, .payload = 3},
        {.version = 6, .proto = 17, .frag = 0xffff, .payload = 3},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows) * 200; i++) {
        struct inner s = rows[i % ARRAY_LEN(rows)];
        uint8_t before[2048];
        s.fill = i;
        s.sport = (uint16_t)(i * 7919);
        s.dport = (uint16_t)(i * 104729);
        size_t len = make(&s);
        bool echo = s.proto == 1 || s.proto == 58;
        struct ip_addr real = ip(s.version == 4 ? "198.51.100.7" : "2001:db8::7");
        struct ip_addr old = ip_dst(packet, (uint8_t)s.version);
        struct ip_addr us = ip_src(packet, (uint8_t)s.version);
        uint16_t q = (uint16_t)(s.sport + i);
        memcpy(before, packet, len);

        nat_packet_outbound(packet, &view, real.bytes, q);
        assert_true(checksums_right(len));
        struct ip_addr dst = ip_dst(packet, (uint8_t)s.version);
        assert_true(ip_addr_equal(&dst, &real));
        assert_int_equal(port_at(echo ? 4 : 0), q);
        check_view(len);

        /* The same from the other end gives the packet back, with ends changed over. */
        size_t n = s.version == 4 ? 4 : 16, at = s.version == 4 ? 12 : 8;
        memcpy(packet + at, real.bytes, n);
        memcpy(packet + at + n, us.bytes, n);
        if (!echo) {
            inner_be16(packet + view.l4_off, s.dport);
            inner_be16(packet + view.l4_off + 2, q);
        }
        parse(len);
        nat_packet_inbound(packet, &view, old.bytes, s.sport, false);
        assert_true(checksums_right(len));
        struct ip_addr src = ip_src(packet, (uint8_t)s.version);
        assert_true(ip_addr_equal(&src, &old));
        assert_int_equal(port_at(echo ? 4 : 2), s.sport);
        check_view(len);
    }
}

/* What was wrong stays wrong, by as much; no checksum stays none. */
static void test_wrong_stays_wrong(void **state)
{
    static const struct inner rows[] = {{.proto = 6, .bad_l4_checksum = true, .payload = 9},
                                        {.proto = 17, .bad_l4_checksum = true, .payload = 9},
                                        {.proto = 17, .bad_ip_checksum = true, .payload = 9}};
    struct ip_addr real = ip("10.9.8.7");

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        size_t len = make(&rows[i]);
        nat_packet_outbound(packet, &view, real.bytes, 9);
        assert_false(checksums_right(len));
    }
    make(&(struct inner){.proto = 17, .no_udp_checksum = true, .payload = 5});
    nat_packet_outbound(packet, &view, real.bytes, 9);
    assert_int_equal(port_at(UDP_OFF_CHECKSUM), 0);
}

/* A UDP checksum that comes out as zero is sent as 0xffff. */
static void test_udp_zero(void **state)
{
    struct ip_addr real = ip("10.9.8.7");
    unsigned seen = 0;

    (void)state;
    for (unsigned q = 1; q <= UINT16_MAX; q++) {
        size_t len = make(&(struct inner){.proto = 17, .payload = 2, .sport = 5});
        nat_packet_outbound(packet, &view, real.bytes, (uint16_t)q);
        assert_int_not_equal(port_at(UDP_OFF_CHECKSUM), 0);
        seen += port_at(UDP_OFF_CHECKSUM) == 0xffff;
        if (q % 1000 == 0)
            assert_true(checksums_right(len));
    }
    assert_int_equal(seen, 1);
}

/* A begun checksum: the field has the sum of the pseudo-header, and is finished later. */
static void test_begun(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 400; i++) {
        const struct inner s = {.version = i & 1 ? 6 : 4,
                                .proto = i & 2 ? 6 : 17,
                                .sport = 80,
                                .dport = (uint16_t)(i * 31337),
                                .payload = 40,
                                .fill = i};
        size_t len = make(&s);
        struct ip_addr proxy = ip(s.version == 4 ? "100.96.0.1" : "fd00:2021:1111:8000::1");
        uint32_t l4_len = (uint32_t)len - view.l4_off;
        uint8_t *field =
            packet + view.l4_off + (s.proto == 6 ? TCP_OFF_CHECKSUM : UDP_OFF_CHECKSUM);
        checksum_store(field, checksum_fold(s.version == 4
                                                ? checksum_pseudo_v4(packet, view.proto, l4_len)
                                                : checksum_pseudo_v6(packet, view.proto, l4_len)));
        nat_packet_inbound(packet, &view, proxy.bytes, (uint16_t)(i + 1), true);
        assert_int_equal(port_at(2), i + 1);
        checksum_store(field, checksum_finish(checksum_partial(packet + view.l4_off, l4_len, 0)));
        assert_true(checksums_right(len));
    }
}

/* ---- ICMP errors ---- */

struct error_row {
    struct inner quoted;
    uint8_t type, code;
    uint32_t rest, want_rest;
    size_t cut; /* bytes of the quoted transport part that are there */
    size_t want_len;
};

/* An error of a router's about what the client sent to the real address from port 500; into `packet`. */
static void make_error(const struct error_row *row)
{
    bool v6 = row->quoted.version == 6;
    struct ip_addr client = ip(v6 ? "fd00:2021:1111::2" : "100.64.0.2");
    struct ip_addr real = ip(v6 ? "2001:db8::7" : "198.51.100.7");
    struct ip_addr router = ip(v6 ? "2001:db8:1::1" : "203.0.113.1");
    size_t n = v6 ? 16 : 4, header = v6 ? 40 : 20, src = v6 ? 8 : 12;
    uint8_t quoted[1500];

    struct inner sent = row->quoted;
    sent.src = 2;
    make(&sent);
    size_t l4 = view.l4_off;
    struct ip_view v = view;
    nat_packet_outbound(packet, &v, real.bytes, 500);
    memcpy(packet + src, client.bytes, n);
    memcpy(quoted, packet, l4 + row->cut);
    size_t icmp_len = 8 + l4 + row->cut;
    const struct inner outer = {
        .version = row->quoted.version, .proto = 17, .ttl = 60, .payload = (unsigned)icmp_len - 8};
    size_t len = inner_build(packet, &outer);
    memcpy(packet + src, router.bytes, n);
    memcpy(packet + src + n, client.bytes, n);
    packet[v6 ? 6 : 9] = v6 ? IP_PROTO_ICMPV6 : IP_PROTO_ICMP;
    packet[header] = row->type;
    packet[header + 1] = row->code;
    inner_be32(packet + header + 4, row->rest);
    memcpy(packet + header + 8, quoted, icmp_len - 8);
    parse(len);
}

static void test_errors(void **state)
{
    static const struct error_row rows[] = {
        /* A router that quotes no more than it must. */
        {{.version = 4, .proto = 6, .sport = 777, .dport = 80}, 3, 1, 0, 0, 8, 56},
        {{.version = 4, .proto = 6, .sport = 777, .dport = 80}, 3, 4, 1400, 1400, 8, 56},
        {{.version = 4, .proto = 6, .sport = 777, .dport = 80}, 3, 1, 1400, 0, 8, 56},
        {{.version = 4, .proto = 17, .sport = 777, .dport = 53, .payload = 99},
         11,
         0,
         0,
         0,
         107,
         56}, /* more than a client is told */
        {{.version = 4, .proto = 17, .sport = 777, .dport = 53}, 3, 3, 0, 0, 4, 52},
        {{.version = 4, .proto = 1, .sport = 777, .payload = 8}, 3, 1, 0, 0, 8, 56},
        {{.version = 4, .proto = 6, .sport = 777, .ip_extra = 4}, 3, 1, 0, 0, 8, 60},
        {{.version = 6, .proto = 6, .sport = 777, .dport = 80}, 1, 4, 0, 0, 20, 108},
        {{.version = 6, .proto = 17, .sport = 777, .payload = 1200}, 2, 0, 1280, 1280, 1100, 1188},
        {{.version = 6, .proto = 17, .sport = 777, .payload = 1300}, 3, 0, 9, 0, 1300, 1280},
        {{.version = 6, .proto = 58, .sport = 777, .payload = 8}, 1, 0, 0, 0, 16, 104},
        {{.version = 6, .proto = 17, .sport = 777, .ip_extra = 8}, 1, 0, 0, 0, 4, 100},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        const struct error_row *row = &rows[i];
        uint8_t out[ICMP_ERROR_MAX];
        bool v6 = row->quoted.version == 6;
        struct ip_addr proxy = ip(v6 ? "fd00:2021:1111:8000::1" : "100.96.0.1");
        struct icmp_quote q, got;
        make_error(row);
        struct ip_addr client = ip_dst(packet, view.version);
        assert_int_equal(packet_classify(&view, packet).kind, PACKET_ICMP_ERROR);
        assert_true(icmp_error_parse(&q, &view, packet));
        assert_int_equal(q.src, 500);
        size_t len = nat_packet_error(out, &view, packet, &q, proxy.bytes, row->quoted.sport);
        assert_int_equal(len, row->want_len);

        memcpy(packet, out, len);
        parse(len);
        assert_true(checksums_right(len));
        assert_int_equal(packet[v6 ? 7 : 8], 20);
        struct ip_addr src = ip_src(packet, view.version), dst = ip_dst(packet, view.version);
        assert_true(ip_addr_equal(&src, &proxy));
        assert_true(ip_addr_equal(&dst, &client));
        assert_true(icmp_error_parse(&got, &view, packet));
        assert_int_equal(got.type, row->type);
        assert_int_equal(got.code, row->code);
        assert_int_equal(load_be32(packet + view.l4_off + 4), row->want_rest);
        assert_int_equal(got.src, row->quoted.sport);
        assert_int_equal(got.dst, q.proto == IP_PROTO_TCP || q.proto == IP_PROTO_UDP
                                      ? row->quoted.dport
                                      : row->quoted.sport);
        assert_true(ip_addr_equal(&got.to, &proxy));
        assert_true(ip_addr_equal(&got.from, &client));
        if (!v6)
            assert_int_equal(inner_sum(packet + got.at, got.l4_at - got.at, 0), 0xffff);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways), cmocka_unit_test(test_wrong_stays_wrong),
        cmocka_unit_test(test_udp_zero),  cmocka_unit_test(test_begun),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
