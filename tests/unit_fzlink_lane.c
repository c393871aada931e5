/* SPDX-License-Identifier: Apache-2.0 */
/* A direction of the link and its thread, between two sockets that keep messages whole, as a TUN device does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/segment.h"
#include "engine/wire/ip.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/clock.h"
#include "platform/tun.h"
#include "tools/fzlink/lane.h"

enum {
    MTU = 1500,
    HEADERS = 28,
    PAYLOAD = 1000,
    WAIT_MS = 10000
};

struct rig {
    int in[2], out[2]; /* [0]: the lane's */
    struct lane *lane;
    bool broken; /* written by the lane's thread; read when that has ended */
};

static void on_broken(void *arg)
{
    struct rig *r = arg;
    r->broken = true;
}

static void begin(struct rig *r, unsigned offloads, struct impair_settings s)
{
    memset(r, 0, sizeof *r);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, r->in), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, r->out), 0);
    assert_int_equal(fcntl(r->in[0], F_SETFL, O_NONBLOCK), 0);
    const struct lane_config config = {.name = "lane",
                                       .from = r->in[0],
                                       .to = r->out[0],
                                       .mtu = MTU,
                                       .offloads = offloads,
                                       .seed = 1,
                                       .broken = on_broken,
                                       .arg = r};
    assert_int_equal(lane_start(&r->lane, &config, &s), ERR_OK);
}

static void end(struct rig *r)
{
    lane_stop(r->lane);
    for (unsigned i = 0; i < 2; i++) {
        close(r->in[i]);
        close(r->out[i]);
    }
}

/* A frame of `segments` datagrams: number `id` and its successors, with the payload of the byte that is the low byte of each. */
static size_t make_frame(uint8_t *frame, uint16_t id, unsigned segments)
{
    struct vnet_hdr h = {0};
    uint8_t *ip = frame + VNET_HDR_LEN, *udp = ip + IPV4_HEADER_MIN;
    size_t len = HEADERS + (size_t)segments * PAYLOAD;

    memset(frame, 0, VNET_HDR_LEN + HEADERS);
    ip[0] = 0x45;
    store_be16(ip + IPV4_OFF_TOTAL_LEN, (uint16_t)len);
    store_be16(ip + IPV4_OFF_ID, id);
    store_be16(ip + IPV4_OFF_FRAG, IPV4_FRAG_DF);
    ip[IPV4_OFF_TTL] = 64;
    ip[IPV4_OFF_PROTO] = IP_PROTO_UDP;
    memcpy(ip + IPV4_OFF_SRC, (uint8_t[]){192, 0, 2, 1, 192, 0, 2, 2}, 8);
    store_be16(udp, 1111);
    store_be16(udp + 2, 2222);
    store_be16(udp + 4, (uint16_t)(len - IPV4_HEADER_MIN));
    for (unsigned i = 0; i < segments; i++)
        memset(ip + HEADERS + i * PAYLOAD, (uint8_t)(id + i), PAYLOAD);
    if (segments > 1)
        h = (struct vnet_hdr){.flags = VNET_F_NEEDS_CSUM,
                              .gso_type = VNET_GSO_UDP_L4,
                              .gso_size = PAYLOAD,
                              .csum_start = IPV4_HEADER_MIN,
                              .csum_offset = 6};
    memcpy(frame, &h, sizeof h);
    return VNET_HDR_LEN + len;
}

static void put(struct rig *r, uint16_t id, unsigned segments)
{
    uint8_t frame[VNET_HDR_LEN + 65536];
    size_t len = make_frame(frame, id, segments);

    assert_int_equal(send(r->in[1], frame, len, 0), (ssize_t)len);
}

/* The next frame that comes out: the packets in it, each whole. in_order: they are number *id and its successors. */
static unsigned get(struct rig *r, uint16_t *id, bool in_order)
{
    uint8_t frame[VNET_HDR_LEN + 65536];
    struct pollfd p = {.fd = r->out[1], .events = POLLIN};

    assert_int_equal(poll(&p, 1, WAIT_MS), 1);
    ssize_t n = recv(r->out[1], frame, sizeof frame, 0);
    assert_true(n > VNET_HDR_LEN + HEADERS);
    *id = load_be16(frame + VNET_HDR_LEN + IPV4_OFF_ID);
    const uint8_t *payload = frame + VNET_HDR_LEN + HEADERS;
    unsigned segments = (unsigned)(n - VNET_HDR_LEN - HEADERS) / PAYLOAD;
    for (unsigned i = 0; i < segments; i++) {
        uint8_t first = payload[i * PAYLOAD];
        assert_true(!in_order || first == (uint8_t)(*id + i));
        for (unsigned k = 0; k < PAYLOAD; k++)
            assert_int_equal(payload[i * PAYLOAD + k], first);
    }
    return segments;
}

static void get_in_order(struct rig *r, uint16_t first, unsigned n)
{
    for (unsigned got = 0; got < n;) {
        uint16_t id;
        unsigned segments = get(r, &id, true);
        assert_int_equal(id, first + got);
        got += segments;
    }
}

static void test_alone(void **state)
{
    struct lane_stats s;
    struct rig r;

    (void)state;
    begin(&r, 0, (struct impair_settings){0});
    for (uint16_t i = 0; i < 20; i++)
        put(&r, i, 1);
    get_in_order(&r, 0, 20);
    lane_read_stats(r.lane, &s);
    assert_int_equal(s.impair.offered, 20);
    assert_int_equal(s.impair.offered_bytes, 20 * (HEADERS + PAYLOAD));
    assert_int_equal(s.impair.delivered, 20);
    end(&r);
    assert_false(r.broken);
}

/* Frames are counted and impaired by packet, and joined again where that is possible. */
static void test_frames(void **state)
{
    struct lane_stats s;
    struct rig r;

    (void)state;
    begin(&r, TUN_OFFLOAD_TCP | TUN_OFFLOAD_UDP, (struct impair_settings){.delay = 20 * NS_PER_MS});
    put(&r, 0, 40);
    put(&r, 40, 1);
    put(&r, 41, 7);
    get_in_order(&r, 0, 48);
    lane_read_stats(r.lane, &s);
    assert_int_equal(s.impair.offered, 48);
    assert_int_equal(s.frames_in, 3);
    end(&r);
    begin(&r, 0, (struct impair_settings){0});
    put(&r, 0, 40);
    get_in_order(&r, 0, 40);
    end(&r);
}

static void test_lost(void **state)
{
    struct lane_stats s;
    struct rig r;
    unsigned got = 0;

    (void)state;
    begin(&r, TUN_OFFLOAD_UDP, (struct impair_settings){.loss = IMPAIR_WHOLE / 2});
    for (unsigned i = 0; i < 20; i++) {
        put(&r, (uint16_t)(i * 40), 40);
        do {
            lane_read_stats(r.lane, &s);
        } while (s.impair.delivered + s.impair.lost < 40 * (i + 1));
        while (got < s.impair.delivered) {
            uint16_t id;
            got += get(&r, &id, false);
        }
        assert_int_equal(got, s.impair.delivered);
    }
    assert_true(s.impair.lost > 300 && s.impair.lost < 500);
    end(&r);
}

static void test_malformed(void **state)
{
    uint8_t frame[VNET_HDR_LEN + 65536];
    struct lane_stats s;
    struct rig r;

    (void)state;
    begin(&r, 0, (struct impair_settings){0});
    assert_int_equal(send(r.in[1], "x", 1, 0), 1);
    size_t len = make_frame(frame, 0, 2);
    frame[1] = 99; /* a kind of frame that there is not */
    assert_int_equal(send(r.in[1], frame, len, 0), (ssize_t)len);
    put(&r, 5, 1);
    get_in_order(&r, 5, 1);
    lane_read_stats(r.lane, &s);
    assert_int_equal(s.malformed, 2);
    end(&r);
}

/* Settings change while packets pass; all come, in order. */
static void test_change(void **state)
{
    struct rig r;

    (void)state;
    begin(&r, 0, (struct impair_settings){0});
    for (uint16_t i = 0; i < 200; i++) {
        put(&r, i, 1);
        lane_set(r.lane, &(struct impair_settings){.delay = (i % 3) * NS_PER_MS,
                                                   .rate = i % 2 ? 100000000 : 0});
        if (i % 20 == 19)
            get_in_order(&r, (uint16_t)(i - 19), 20);
    }
    end(&r);
}

/* A shorter delay holds at once for what follows; a thread that sleeps for long is woken. */
static void test_stop_in_flight(void **state)
{
    struct lane_stats s;
    struct rig r;

    (void)state;
    begin(&r, 0, (struct impair_settings){.delay = 60 * NS_PER_SEC});
    put(&r, 0, 1);
    do {
        lane_read_stats(r.lane, &s);
    } while (s.impair.offered == 0);
    time_ns before = clock_now();
    end(&r);
    assert_true(clock_now() - before < 10 * NS_PER_SEC);
}

static void test_broken(void **state)
{
    struct rig r;

    (void)state;
    begin(&r, 0, (struct impair_settings){0});
    shutdown(r.in[1], SHUT_RDWR);
    end(&r);
    assert_true(r.broken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alone),  cmocka_unit_test(test_frames),
        cmocka_unit_test(test_lost),   cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_change), cmocka_unit_test(test_stop_in_flight),
        cmocka_unit_test(test_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
