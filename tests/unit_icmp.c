/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP errors: what is written about which packets, and what is read from those of others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "engine/filter.h"
#include "engine/icmp.h"
#include "platform/base/bytes.h"
#include "tests/support/inner_packet.h"

/* What the error about `packet` must be like, whatever it is about. */
static void expect_error(const uint8_t *packet, const struct ip_view *v, enum icmp_reason reason)
{
    bool v6 = v->version == 6;
    uint8_t out[ICMP_ERROR_MAX];
    struct ip_view e;
    struct icmp_quote q;

    size_t len = icmp_error_write(out, v, packet, reason);
    size_t l4 = v6 ? 40 : 20, header = v6 ? 40u : (packet[0] & 15u) * 4u;
    size_t quoted = v6 ? size_min(v->total_len, 1232) : size_min(v->total_len, header + 8);
    assert_int_equal(len, l4 + 8 + quoted);
    assert_true(ip_parse(&e, out, len) && e.total_len == len && ip_l4_valid(&e, out));
    assert_int_equal(e.version, v->version);
    assert_int_equal(out[v6 ? 7 : 8], 20);
    assert_memory_equal(ip_src_ptr(out, v->version), ip_dst_ptr(packet, v->version), v6 ? 16 : 4);
    assert_memory_equal(ip_dst_ptr(out, v->version), ip_src_ptr(packet, v->version), v6 ? 16 : 4);
    assert_int_equal(out[l4], v6 ? 1 : 3);
    assert_int_equal(out[l4 + 1], reason == ICMP_PROHIBITED ? (v6 ? 1 : 13) : (v6 ? 3 : 0));
    assert_memory_equal(out + l4 + 8, packet, quoted);
    if (v6) {
        assert_int_equal(inner_l4_sum(out, len, l4, 58), 0xffff);
    } else {
        assert_int_equal(inner_sum(out, 20, 0), 0xffff);
        assert_int_equal(inner_sum(out + l4, len - l4, 0), 0xffff);
    }
    assert_int_equal(packet_classify(&e, out).kind, PACKET_ICMP_ERROR);
    if (!icmp_error_parse(&q, &e, out)) {
        assert_false(packet_is_flow(packet_classify(v, packet).kind));
        return;
    }
    assert_int_equal(icmp_is_prohibited(&q), reason == ICMP_PROHIBITED);
    struct packet_class c = packet_classify(v, packet);
    struct ip_addr from = ip_src(packet, v->version), to = ip_dst(packet, v->version);
    assert_int_equal(q.proto, v->proto);
    assert_int_equal(q.src, c.src);
    assert_int_equal(q.dst, c.dst);
    assert_true(ip_addr_equal(&q.from, &from) && ip_addr_equal(&q.to, &to));
    assert_int_equal(q.at, l4 + 8);
    assert_int_equal(q.l4_at, l4 + 8 + v->l4_off);
}

static void written_and_read(void **state)
{
    (void)state;
    static const struct inner rows[] = {
        {.version = 4, .proto = 6, .src = 1, .dst = 2, .sport = 5, .dport = 443, .payload = 1000},
        {.version = 4, .proto = 17, .src = 1, .dst = 2, .sport = 5, .dport = 53, .payload = 0},
        {.version = 4, .proto = 17, .src = 1, .dst = 2, .ip_extra = 8, .sport = 9, .payload = 20},
        {.version = 6, .proto = 6, .src = 1, .dst = 2, .sport = 5, .dport = 443, .payload = 1220},
        {.version = 6, .proto = 17, .src = 1, .dst = 2, .ip_extra = 16, .dport = 3, .payload = 9},
        {.version = 4, .proto = 50, .src = 1, .dst = 2, .payload = 30},
        {.version = 6, .proto = 50, .src = 1, .dst = 2, .payload = 30},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t packet[2048];
        struct ip_view v;
        size_t len = inner_build(packet, &rows[i]);
        assert_true(ip_parse(&v, packet, len));
        expect_error(packet, &v, ICMP_PROHIBITED);
        expect_error(packet, &v, ICMP_NETWORK);
    }
}

/* An echo request of either version; `type` may make it something else. */
static size_t echo(uint8_t *packet, struct ip_view *v, unsigned version, uint8_t type, uint8_t code)
{
    struct inner s = {
        .version = version, .proto = version == 6 ? 58 : 1, .src = 1, .dst = 2, .payload = 40};
    size_t len = inner_build(packet, &s);

    assert_true(ip_parse(v, packet, len));
    packet[v->l4_off] = type;
    packet[v->l4_off + 1] = code;
    store_be16(packet + v->l4_off + 4, 0xbeef);
    return len;
}

static void echoes(void **state)
{
    (void)state;
    uint8_t packet[256];
    struct ip_view v;

    echo(packet, &v, 4, 8, 0);
    expect_error(packet, &v, ICMP_PROHIBITED);
    echo(packet, &v, 6, 128, 0);
    expect_error(packet, &v, ICMP_NETWORK);
}

/* About these there must be no error. */
static void never_about(void **state)
{
    (void)state;
    static const uint8_t types_v4[] = {3, 4, 5, 11, 12}, types_v6[] = {1, 2, 3, 4, 100, 127, 137};
    uint8_t packet[256], out[ICMP_ERROR_MAX];
    struct ip_view v;

    for (unsigned i = 0; i < ARRAY_LEN(types_v4); i++) {
        echo(packet, &v, 4, types_v4[i], 0);
        assert_int_equal(icmp_error_write(out, &v, packet, ICMP_PROHIBITED), 0);
    }
    for (unsigned i = 0; i < ARRAY_LEN(types_v6); i++) {
        echo(packet, &v, 6, types_v6[i], 0);
        assert_int_equal(icmp_error_write(out, &v, packet, ICMP_PROHIBITED), 0);
    }
    static const struct inner fragment = {.version = 4, .proto = 17, .src = 1, .frag = 0x2001};
    static const struct inner plain4 = {.version = 4, .proto = 17, .src = 1, .payload = 4},
                              plain6 = {.version = 6, .proto = 17, .src = 1, .payload = 4};
    assert_true(ip_parse(&v, packet, inner_build(packet, &fragment)));
    assert_int_equal(icmp_error_write(out, &v, packet, ICMP_NETWORK), 0);
    assert_true(ip_parse(&v, packet, inner_build(packet, &plain4)));
    assert_true(icmp_error_write(out, &v, packet, ICMP_NETWORK) > 0);
    packet[16] = 224;
    assert_int_equal(icmp_error_write(out, &v, packet, ICMP_NETWORK), 0);
    packet[16] = 10;
    memset(packet + 12, 0, 4);
    assert_int_equal(icmp_error_write(out, &v, packet, ICMP_NETWORK), 0);
    assert_true(ip_parse(&v, packet, inner_build(packet, &plain6)));
    packet[24] = 0xff;
    assert_int_equal(icmp_error_write(out, &v, packet, ICMP_NETWORK), 0);
}

/* Four bytes of a transport header are enough; with less, or another protocol, nobody can be told. */
static void short_quotes(void **state)
{
    (void)state;
    static const struct inner tcp4 = {.version = 4, .proto = 6, .src = 1, .dst = 2, .sport = 7},
                              tcp6 = {.version = 6, .proto = 6, .src = 1, .dst = 2, .sport = 7};
    static const struct inner *const rows[] = {&tcp4, &tcp6};
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t packet[256], out[ICMP_ERROR_MAX];
        struct ip_view v, e;
        struct icmp_quote q;
        assert_true(ip_parse(&v, packet, inner_build(packet, rows[i])));
        size_t len = icmp_error_write(out, &v, packet, ICMP_NETWORK);
        assert_true(ip_parse(&e, out, len));
        for (size_t cut = e.l4_off + 8u; cut <= len; cut++) {
            uint8_t *exact = malloc(cut);
            assert_non_null(exact);
            memcpy(exact, out, cut);
            e.total_len = (uint32_t)cut;
            bool enough = cut >= e.l4_off + 8u + v.l4_off + 4u;
            assert_int_equal(icmp_error_parse(&q, &e, exact), enough);
            free(exact);
        }
    }
}

static void odd_quotes(void **state)
{
    (void)state;
    static const struct inner udp = {.version = 4, .proto = 17, .src = 1, .dst = 2, .payload = 8};
    uint8_t packet[256], out[ICMP_ERROR_MAX];
    struct ip_view v, e;
    struct icmp_quote q;

    echo(packet, &v, 4, 8, 0);
    size_t len = icmp_error_write(out, &v, packet, ICMP_NETWORK);
    assert_true(ip_parse(&e, out, len));
    assert_true(icmp_error_parse(&q, &e, out));
    out[28 + 20] = 0; /* a quoted echo reply */
    assert_false(icmp_error_parse(&q, &e, out));
    out[28 + 20] = 8;
    out[28 + 21] = 1;
    assert_false(icmp_error_parse(&q, &e, out));

    assert_true(ip_parse(&v, packet, inner_build(packet, &udp)));
    len = icmp_error_write(out, &v, packet, ICMP_NETWORK);
    assert_true(ip_parse(&e, out, len));
    out[28] = 0x65; /* another version */
    assert_false(icmp_error_parse(&q, &e, out));
    out[28] = 0x44; /* no header */
    assert_false(icmp_error_parse(&q, &e, out));
    out[28] = 0x4f; /* longer than what is there */
    assert_false(icmp_error_parse(&q, &e, out));
    out[28] = 0x45;
    out[28 + 7] = 1; /* a later fragment */
    assert_false(icmp_error_parse(&q, &e, out));
    out[28 + 7] = 0;
    store_be16(out + 28 + 2, 9000); /* its length is not looked at */
    assert_true(icmp_error_parse(&q, &e, out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(written_and_read), cmocka_unit_test(echoes),
        cmocka_unit_test(never_about),      cmocka_unit_test(short_quotes),
        cmocka_unit_test(odd_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
