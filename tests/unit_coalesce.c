/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coalescing: which packets join, which do not, what closes an item; limits; reuse after a reset. Each case lists
 * packets and names the item each must end in; tests/support/stream.h checks order and bytes of all of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/coalesce.h"
#include "tests/support/stream.h"

enum {
    ALL = COALESCE_TCP | COALESCE_UDP,
    PSH = TCP_F_ACK | TCP_F_PSH,
    CASE_MAX = 8
};

static struct coalesce coalescer;
static struct stream stream;
static uint8_t packet[70000];

static void add(const struct inner *s)
{
    assert_true(stream_add(&stream, packet, (uint32_t)inner_build(packet, s)));
}

/* "aab": packets 0 and 1 are in the first item written, packet 2 in the second. */
static void expect_items(const char *expected)
{
    char got[STREAM_MAX + 1] = "";
    for (unsigned i = 0; i < stream.n; i++)
        got[i] = (char)('a' + stream.packets[i].item);
    assert_string_equal(got, expected);
}

struct row {
    const char *expected;
    struct inner p[CASE_MAX];
};

static void run_rows(const struct row *rows, unsigned n_rows, unsigned offloads)
{
    coalesce_init(&coalescer, offloads);
    for (unsigned r = 0; r < n_rows; r++) {
        print_message("row %u\n", r);
        unsigned n = (unsigned)strlen(rows[r].expected);
        assert_true(n <= CASE_MAX);
        for (unsigned i = 0; i < n; i++)
            add(&rows[r].p[i]);
        stream_run(&stream, &coalescer, STREAM_MAX);
        expect_items(rows[r].expected);
        stream_clear(&stream);
    }
}

#pragma GCC diagnostic ignored "-Woverride-init" /* the macros' fields are defaults */

/* TCP of 100 bytes at `at`, over IPv4 with DF and over IPv6, then further fields. */
#define T4(at, ...)                                                                                \
    {                                                                                              \
        .version = 4, .frag = 0x4000, .payload = 100, .seq = (at), .fill = (at), __VA_ARGS__       \
    }
#define T6(at, ...)                                                                                \
    {                                                                                              \
        .version = 6, .payload = 100, .seq = (at), .fill = (at), __VA_ARGS__                       \
    }
#define U4(n, ...)                                                                                 \
    {                                                                                              \
        .version = 4, .proto = 17, .frag = 0x4000, .payload = (n), .fill = (n), __VA_ARGS__        \
    }
#define U6(n, ...)                                                                                 \
    {                                                                                              \
        .version = 6, .proto = 17, .payload = (n), .fill = (n), __VA_ARGS__                        \
    }

static void test_tcp(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* 0 */ {"aaa", {T4(0), T4(100), T4(200)}},
        {"aaa", {T6(0), T6(100), T6(200)}},
        {"aab", {T4(0), T4(100, .flags = PSH), T4(200)}},
        {"abb", {T4(0, .flags = PSH), T4(100), T4(200)}},
        {"aab", {T4(0), T4(100, .payload = 99), T4(199)}},
        /* 5 */ {"ab", {T4(0), T4(100, .payload = 101)}},
        {"ab", {T4(0), T4(101)}},
        {"abb", {T4(100), T4(0), T4(100)}},
        {"aa", {T4(0xffffffce), T4(50)}}, /* sequence numbers wrap */
        {"ab", {T4(0), T4(100, .ack = 1)}},
        /* 10 */ {"ab", {T4(0), T4(100, .window = 1)}},
        {"ab", {T4(0), T4(100, .tcp_extra = 4)}},
        {"aa",
         {T4(0, .tcp_extra = 12, .tcp_option = 7), T4(100, .tcp_extra = 12, .tcp_option = 7)}},
        {"ab",
         {T4(0, .tcp_extra = 12, .tcp_option = 7), T4(100, .tcp_extra = 12, .tcp_option = 8)}},
        {"ab",
         {T4(0, .tcp_extra = 40, .tcp_option = 1), T4(100, .tcp_extra = 40, .tcp_option = 2)}},
        /* 15: whatever is not ACK or ACK|PSH stays alone and closes the item */
        {"abc", {T4(0), T4(100, .flags = TCP_F_ACK | TCP_F_FIN), T4(200)}},
        {"abc", {T4(0), T4(100, .flags = TCP_F_ACK | TCP_F_URG), T4(200)}},
        {"abc", {T4(0), T4(100, .flags = TCP_F_ACK | TCP_F_ECE), T4(200)}},
        {"abc", {T4(0), T4(100, .flags = TCP_F_ACK | TCP_F_CWR), T4(200)}},
        {"abc", {T4(0), T4(100, .flags = TCP_F_ACK | TCP_F_SYN), T4(200)}},
        /* 20 */ {"abc", {T4(0), T4(100, .flags = TCP_F_ACK | TCP_F_RST), T4(200)}},
        {"abc", {T4(0), T4(100, .flags = TCP_F_PSH), T4(200)}},
        {"abc", {T4(0), T4(100, .payload = 0), T4(100)}},
        {"ab", {T4(0, .payload = 0), T4(0)}},
        {"ab", {T6(0), T6(100, .payload = 0)}},
    };
    run_rows(rows, ARRAY_LEN(rows), ALL);
}

static void test_ip_fields(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* 0: every TOS bit, the ECN ones above all */
        {"ab", {T4(0, .tos = 2), T4(100, .tos = 3)}},
        {"aa", {T4(0, .tos = 3), T4(100, .tos = 3)}},
        {"ab", {T4(0, .tos = 1), T4(100, .tos = 2)}},
        {"ab", {T4(0), T4(100, .tos = 0x80)}},
        {"ab", {T6(0, .tos = 2), T6(100, .tos = 3)}},
        /* 5 */ {"ab", {T6(0), T6(100, .tos = 0x80)}},
        {"ab", {T6(0), T6(100, .flow = 1)}},
        {"ab", {T6(0, .flow = 0x80000), T6(100)}},
        {"ab", {T4(0, .ttl = 64), T4(100, .ttl = 63)}},
        {"ab", {T6(0, .ttl = 64), T6(100, .ttl = 63)}},
        /* 10: DF set: any id; DF clear: the next one */
        {"aaa", {T4(0, .id = 9), T4(100, .id = 9), T4(200, .id = 77)}},
        {"aab",
         {T4(0, .frag = 0, .id = 9), T4(100, .frag = 0, .id = 10), T4(200, .frag = 0, .id = 12)}},
        {"aa", {T4(0, .frag = 0, .id = 0xffff), T4(100, .frag = 0, .id = 0)}},
        {"ab", {T4(0, .frag = 0, .id = 9), T4(100, .frag = 0, .id = 9)}},
        {"ab", {T4(0), T4(100, .frag = 0)}},
        /* 15 */ {"ab", {T4(0, .frag = 0, .id = 1), T4(100, .id = 2)}},
        {"ab", {T4(0), T4(100, .frag = 0xc000)}},
        {"ab", {T4(0, .ip_extra = 4), T4(100, .ip_extra = 4)}},
        {"abc", {T4(0), T4(100, .ip_extra = 4), T4(200)}},
        {"abc", {T6(0), T6(100, .ip_extra = 8), T6(200)}},
        /* 20 */ {"abc", {T6(0), T6(100, .frag = 0xffff), T6(200)}},
        {"abc", {T4(0), T4(100, .bad_ip_checksum = true), T4(200)}},
        {"ab", {T4(0, .bad_ip_checksum = true), T4(100)}},
        {"aa", {T4(0, .bad_l4_checksum = true), T4(100)}}, /* not looked at */
    };
    run_rows(rows, ARRAY_LEN(rows), ALL);
}

static void test_udp(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* 0 */ {"aaa", {U4(100), U4(100), U4(100)}},
        {"aaa", {U6(1200), U6(1200), U6(1200)}},
        {"aab", {U4(100), U4(99), U4(99)}},
        {"ab", {U4(100), U4(101)}},
        {"abc", {U4(100), U4(0), U4(100)}},
        /* 5 */ {"ab", {U4(0), U4(0)}},
        {"abc", {U4(100), U4(100, .no_udp_checksum = true), U4(100)}},
        {"abc", {U6(100), U6(100, .no_udp_checksum = true), U6(100)}},
        {"ab", {U4(100), U4(100, .tos = 3)}},
        {"ab", {U4(100), U6(100)}},
        /* 10 */
        {"aab", {U4(100, .frag = 0), U4(100, .frag = 0, .id = 1), U4(100, .frag = 0, .id = 1)}},
        {"ab", {U4(100), T4(0)}},
    };
    run_rows(rows, ARRAY_LEN(rows), ALL);
}

static void test_flows(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* 0: interleaved flows that differ in one field */
        {"abab", {T4(0), T4(0, .sport = 1), T4(100), T4(100, .sport = 1)}},
        {"abab", {T4(0), T4(0, .dport = 1), T4(100), T4(100, .dport = 1)}},
        {"abab", {T4(0), T4(0, .src = 1), T4(100), T4(100, .src = 1)}},
        {"abab", {T6(0), T6(0, .dst = 1), T6(100), T6(100, .dst = 1)}},
        {"abab", {T6(0), T4(0), T6(100), T4(100)}},
        /* 5: only the flow of the odd packet closes; ICMP closes nothing */
        {"abcad",
         {T4(0), T4(0, .sport = 1), T4(100, .sport = 1, .payload = 0), T4(100),
          T4(100, .sport = 1)}},
        {"aba", {T4(0), {.version = 4, .proto = 1}, T4(100)}},
        /* 7: a fragment closes all, of whatever flow */
        {"abcd", {T4(0), {.version = 4, .proto = 17, .src = 9, .frag = 0x2000}, T4(100), T6(0)}},
        {"abc", {T6(0), {.version = 6, .proto = 17, .frag = 0x0008}, T6(100)}},
        {"abcdd", {T4(0), T6(0), {.version = 4, .frag = 1}, T4(100), T4(200)}},
        /* 10: and so does a packet whose flow cannot be told */
        {"abc", {T6(0), {.version = 6, .proto = 59}, T6(100)}},
    };
    run_rows(rows, ARRAY_LEN(rows), ALL);
}

static void test_offloads(void **state)
{
    (void)state;
    static const struct row none[] = {{"abcd", {T4(0), T4(100), U4(100), U4(100)}}};
    static const struct row tcp[] = {{"aabc", {T4(0), T4(100), U4(100), U4(100)}}};
    static const struct row udp[] = {{"abcc", {T4(0), T4(100), U4(100), U4(100)}}};
    run_rows(none, 1, 0);
    run_rows(tcp, 1, COALESCE_TCP);
    run_rows(udp, 1, COALESCE_UDP);
}

/* With COALESCE_VERIFY a wrong checksum keeps a packet alone, first or later, either family. */
static void test_verify(void **state)
{
    (void)state;
    static const struct row rows[] = {
        /* 0 */ {"aaa", {T4(0), T4(100), T4(200)}},
        {"abb", {T4(0, .bad_l4_checksum = true), T4(100), T4(200)}},
        {"abc", {T4(0), T4(100, .bad_l4_checksum = true), T4(200)}},
        {"aabc", {T6(0), T6(100), T6(200, .bad_l4_checksum = true), T6(300)}},
        {"aab", {U4(100), U4(100), U4(100, .bad_l4_checksum = true)}},
        /* 5 */ {"abcc", {U6(99), U6(99, .bad_l4_checksum = true), U6(99), U6(98)}},
    };
    run_rows(rows, ARRAY_LEN(rows), ALL | COALESCE_VERIFY);
}

/* Runs equal packets of `payload` bytes and returns how many went into the first item. */
static unsigned first_item(unsigned version, unsigned proto, unsigned payload, unsigned count)
{
    coalesce_init(&coalescer, ALL);
    for (unsigned i = 0; i < count; i++) {
        struct inner s = {.version = version, .proto = proto, .payload = payload, .fill = i};
        s.seq = i * payload;
        s.frag = version == 4 ? 0x4000 : 0;
        add(&s);
    }
    stream_run(&stream, &coalescer, STREAM_MAX);
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++)
        n += stream.packets[i].item == 0;
    stream_clear(&stream);
    return n;
}

static void test_limits(void **state)
{
    (void)state;
    assert_int_equal(first_item(4, 17, 100, 70), COALESCE_IOV_MAX);
    assert_int_equal(first_item(6, 6, 1, 70), COALESCE_IOV_MAX);
    assert_int_equal(first_item(4, 6, 1380, 60), 47); /* (65535 - 40) / 1380 */
    assert_int_equal(first_item(6, 6, 1380, 60), 47);
    assert_int_equal(first_item(4, 6, 13099, 6), 5); /* 40 + 5 * 13099 = 65535 */
    assert_int_equal(first_item(4, 6, 13100, 6), 4);
    assert_int_equal(first_item(4, 6, 8187, 9), 7); /* 8 would be 65536 */
    assert_int_equal(first_item(6, 17, 65535 - 48, 2), 1);
    assert_int_equal(first_item(4, 17, 65535 - 28, 2), 1);
}

/* 128 items, then false without a change; a packet that continues an item is taken even then. */
static void test_full(void **state)
{
    (void)state;
    struct inner s = {.version = 4, .payload = 50, .frag = 0x4000};
    coalesce_init(&coalescer, ALL);
    for (unsigned i = 0; i < COALESCE_ITEMS_MAX; i++) {
        s.sport = (uint16_t)i;
        add(&s);
    }
    s.sport = 5;
    s.seq = 50;
    add(&s); /* continues item 5 */
    s.sport = 999;
    add(&s); /* has no place */
    for (unsigned i = 0; i < stream.n; i++) {
        struct stream_packet *k = &stream.packets[i];
        bool taken = coalesce_add(&coalescer, k->packet, k->len, &k->view);
        assert_int_equal(taken, i != COALESCE_ITEMS_MAX + 1);
    }
    assert_int_equal(coalescer.n, COALESCE_ITEMS_MAX);
    assert_int_equal(coalescer.items[5].n_iov, 2);
    stream_flush(&stream, &coalescer, COALESCE_ITEMS_MAX + 1);
    struct stream_packet *last = &stream.packets[stream.n - 1];
    assert_true(coalesce_add(&coalescer, last->packet, last->len, &last->view));
    stream_flush(&stream, &coalescer, stream.n);
    stream_clear(&stream);
}

/* A reset forgets flows: what continues an item of the last batch opens a new one. All slots are free again. */
static void test_reset(void **state)
{
    (void)state;
    coalesce_init(&coalescer, ALL);
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < 2 * COALESCE_ITEMS_MAX; i++) {
            struct inner s = {.version = i % 2 ? 4 : 6, .payload = 20, .sport = (uint16_t)(i / 4)};
            s.seq = (i % 4 / 2 + 2 * round) * 20;
            s.dport = (uint16_t)(round % 3);
            s.frag = s.version == 4 ? 0x4000 : 0;
            add(&s);
        }
        unsigned items = stream.items;
        stream_run(&stream, &coalescer, STREAM_MAX);
        assert_int_equal(stream.items - items, COALESCE_ITEMS_MAX);
        stream_clear(&stream);
        for (unsigned i = 0; i < COALESCE_SLOTS; i++)
            assert_int_equal(coalescer.slots[i], 0);
    }
}

/* The packet's length is not the one in its header (the caller did not cut the padding): never merged. */
static void test_padding_not_cut(void **state)
{
    (void)state;
    coalesce_init(&coalescer, ALL);
    for (unsigned i = 0; i < 3; i++) {
        struct inner s = T4(100 * i);
        uint32_t len = (uint32_t)inner_build(packet, &s);
        memset(packet + len, 0, 4);
        assert_true(stream_add(&stream, packet, len + (i == 1 ? 4 : 0)));
    }
    stream_run(&stream, &coalescer, STREAM_MAX);
    expect_items("abc");
    stream_clear(&stream);
}

/* Transport headers cut short or inconsistent: alone, and they close their flow. */
static void test_bad_transport(void **state)
{
    (void)state;
    static const struct bad {
        unsigned proto, at, value, cut;
    } rows[] = {
        /* 0 */ {6, 32, 0x40, 0}, {6, 32, 0xf0, 0},  {6, 32, 0x51, 0},  {17, 25, 107, 0},
        {17, 25, 109, 0},         {6, 33, 0x10, 90}, {17, 25, 108, 95}, {6, 33, 0x10, 107},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        print_message("row %u\n", i);
        coalesce_init(&coalescer, ALL);
        for (unsigned k = 0; k < 3; k++) {
            struct inner s = {.version = 4, .proto = rows[i].proto, .payload = 100};
            s.frag = 0x4000;
            s.seq = k * 100;
            uint32_t len = (uint32_t)inner_build(packet, &s);
            if (k == 1) {
                packet[rows[i].at] = (uint8_t)rows[i].value;
                len -= rows[i].cut > 0 ? rows[i].cut + (rows[i].proto == 6 ? 12 : 0) : 0;
                inner_be16(packet + 2, len);
                inner_be16(packet + 10, 0);
                inner_be16(packet + 10, (uint16_t)~inner_sum(packet, 20, 0));
            }
            assert_true(stream_add(&stream, packet, len));
        }
        stream_run(&stream, &coalescer, STREAM_MAX);
        expect_items("abc");
        stream_clear(&stream);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp),           cmocka_unit_test(test_ip_fields),
        cmocka_unit_test(test_udp),           cmocka_unit_test(test_flows),
        cmocka_unit_test(test_offloads),      cmocka_unit_test(test_verify),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_full),
        cmocka_unit_test(test_reset),         cmocka_unit_test(test_padding_not_cut),
        cmocka_unit_test(test_bad_transport),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
