/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O contract over UDP: the same tests for every backend, in a network namespace of our own. Most use one backend
 * that sends to its own socket over loopback.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/io_rig.h"

static void expect_sent(struct io *io, unsigned n)
{
    struct io_send *s = io_udp_take_done(io);
    for (unsigned i = 0; i < n; i++, s = s->next) {
        assert_non_null(s);
        assert_int_equal(s->result, IO_SENT);
    }
    assert_null(s);
}

/* ---- datagrams ---- */

static void roundtrip(void **state, unsigned family, const char *self, const char *other)
{
    RIG_NEW(io, 4, 16);
    struct udp_group g = rig_udp(family, 0, 0);
    struct sock_addr to = rig_addr(self, g.port);
    uint8_t data[5] = {1, 2, 3, 4, 5};
    assert_int_equal(io_attach_udp(io, family, g.fds[0]), ERR_OK);

    for (uint8_t ecn = 0; ecn < 4; ecn++) {
        struct io_send s = rig_send(data, sizeof data, &to);
        s.ecn = ecn;
        if (ecn & 1)
            s.from.ip = rig_addr(other, 0).ip;
        io_udp_send(io, &s);
        struct io_rx rx = rig_receive(io);
        assert_int_equal(rx.kind, IO_RX_UDP);
        assert_int_equal(rx.len, 5);
        assert_int_equal(rx.segment_size, 5);
        assert_memory_equal(rx.data, data, 5);
        assert_int_equal(((uintptr_t)rx.data + 16) % 16, 0);
        assert_int_equal(rx.ecn, ecn);
        assert_int_equal(rx.from.port, g.port);
        assert_true(ip_addr_equal(&rx.from.ip, ecn & 1 ? &s.from.ip : &to.ip));
        assert_true(ip_addr_equal(&rx.to.ip, &to.ip));
        assert_int_equal(rx.to.ifindex, if_nametoindex("lo"));
        io_rx_give_back(io, IO_RX_UDP, rx.buffer);
        expect_sent(io, 1);
    }
    io_free(io);
    udp_group_close(&g);
}

static void test_roundtrip_v4(void **state)
{
    roundtrip(state, ADDR_V4, "127.0.0.1", "127.0.0.5");
}

static void test_roundtrip_v6(void **state)
{
    roundtrip(state, ADDR_V6, "::1", "fd00::5");
}

static void test_empty_datagram(void **state)
{
    RIG_NEW(io, 4, 16);
    struct udp_group g = rig_udp(ADDR_V4, 0, 0);
    struct sock_addr to = rig_addr("127.0.0.1", g.port);
    assert_int_equal(io_attach_udp(io, ADDR_V4, g.fds[0]), ERR_OK);
    uint8_t none[1];
    struct io_send s = rig_send(none, 0, &to);
    io_udp_send(io, &s);
    struct io_rx rx = rig_receive(io);
    assert_int_equal(rx.len, 0);
    assert_int_not_equal(rx.segment_size, 0);
    expect_sent(io, 1);
    io_free(io);
    udp_group_close(&g);
}

/* Runs of segments arrive complete, in order, with their size; both families queued at once. */
static void segments(void **state, bool gso)
{
    enum {
        RUNS = 24,
        SEGMENT = 1200,
        LEN = 40 * SEGMENT + 300
    };
    static uint8_t data[RUNS][LEN];
    static struct io_send sends[RUNS];
    static const unsigned families[2] = {ADDR_V4, ADDR_V6};
    RIG_NEW(io, 4, 128);
    struct udp_group g[2];
    unsigned got[2] = {0, 0};
    size_t bytes = 0;

    for (unsigned f = 0; f < 2; f++) {
        g[f] = rig_udp(families[f], 0, 8 << 20);
        assert_int_equal(io_attach_udp(io, families[f], g[f].fds[0]), ERR_OK);
        io->tx[f].gso_off = !gso;
    }
    for (unsigned i = 0; i < RUNS; i++) {
        unsigned f = i % 2;
        struct sock_addr to = rig_addr(f ? "::1" : "127.0.0.1", g[f].port);
        sends[i] = rig_send(data[i], LEN, &to);
        sends[i].segment_size = SEGMENT;
        for (unsigned k = 0; k * SEGMENT < LEN; k++)
            memcpy(data[i] + (size_t)k * SEGMENT, &(uint32_t){i / 2 * 41 + k}, 4);
        io_udp_send(io, &sends[i]);
    }
    while (bytes < (size_t)RUNS * LEN) {
        struct io_rx rx = rig_receive(io);
        unsigned f = rx.from.ip.family == ADDR_V6;
        for (uint32_t at = 0; at < rx.len; at += rx.segment_size, got[f]++) {
            uint32_t number;
            memcpy(&number, rx.data + at, 4);
            assert_int_equal(number, got[f]);
        }
        bytes += rx.len;
        io_rx_give_back(io, IO_RX_UDP, rx.buffer);
    }
    assert_int_equal(bytes, (size_t)RUNS * LEN);
    expect_sent(io, RUNS);
    io_free(io);
    udp_group_close(&g[0]);
    udp_group_close(&g[1]);
}

static void test_segments_gso(void **state)
{
    segments(state, true);
}

static void test_segments_without_gso(void **state)
{
    segments(state, false);
}

/* A source address that does not exist: reported as path loss, segmentation stays on, the socket goes on working. */
static void lost_path(void **state, unsigned family, const char *self, const char *missing)
{
    static uint8_t data[3000];
    RIG_NEW(io, 4, 16);
    struct udp_group g = rig_udp(family, 0, 0);
    struct sock_addr to = rig_addr(self, g.port);
    assert_int_equal(io_attach_udp(io, family, g.fds[0]), ERR_OK);
    struct io_send bad = rig_send(data, sizeof data, &to), good = rig_send(data, sizeof data, &to);
    bad.segment_size = good.segment_size = 1000;
    bad.from.ip = rig_addr(missing, 0).ip;
    io_udp_send(io, &bad);
    io_udp_send(io, &good);
    io_flush(io);
    assert_ptr_equal(io_udp_take_done(io), &bad);
    assert_int_equal(bad.result, IO_PATH_LOST);
    assert_ptr_equal(bad.next, &good);
    assert_int_equal(good.result, IO_SENT);
    assert_int_equal(counter_read(&io_stats(io)->gso_retries), 1);
    assert_false(io->tx[family == ADDR_V6].gso_off);
    assert_int_equal(rig_receive(io).len, 3000);
    io_free(io);
    udp_group_close(&g);
}

static void test_lost_path_v4(void **state)
{
    lost_path(state, ADDR_V4, "127.0.0.1", "192.0.2.77");
}

static void test_lost_path_v6(void **state)
{
    lost_path(state, ADDR_V6, "::1", "fd00::99");
}

/*
 * Segments above the path MTU (loopback with a small one): fragments arrive, nothing is lost, segmentation stays on
 * for other destinations.
 */
static void test_segment_above_mtu(void **state)
{
    static uint8_t data[6000];
    RIG_NEW(io, 4, 16);
    struct udp_group g = rig_udp(ADDR_V4, 0, 0);
    struct sock_addr to = rig_addr("127.0.0.1", g.port);
    uint32_t bytes = 0;
    rig_set_mtu("lo", 1300);
    assert_int_equal(io_attach_udp(io, ADDR_V4, g.fds[0]), ERR_OK);
    struct io_send s = rig_send(data, sizeof data, &to);
    s.segment_size = 1400;
    io_udp_send(io, &s);
    while (bytes < sizeof data) {
        struct io_rx rx = rig_receive(io);
        bytes += rx.len;
        io_rx_give_back(io, IO_RX_UDP, rx.buffer);
    }
    expect_sent(io, 1);
    assert_int_equal(counter_read(&io_stats(io)->gso_retries), 1);
    rig_set_mtu("lo", 65536);
    io_free(io);
    udp_group_close(&g);
}

static void test_no_socket(void **state)
{
    RIG_NEW(io, 4, 16);
    uint8_t byte = 0;
    struct sock_addr to = rig_addr("::1", 9);
    struct io_send s = rig_send(&byte, 1, &to);
    struct io_rx rx;
    io_udp_send(io, &s);
    assert_int_equal(io_wait(io, &rx, 1, TIME_NEVER), 0); /* a finished send: does not sleep */
    assert_ptr_equal(io_udp_take_done(io), &s);
    assert_int_equal(s.result, IO_CLOSED);
    assert_null(io_udp_take_done(io));
    io_free(io);
}

/* ---- a socket that is full ---- */

/*
 * A TAP whose neighbour does not answer ARP yet: what is sent to it stays charged to the socket. Setting the
 * neighbour's address lets everything go, and the frames come out of the TAP's descriptor.
 */
static void resolve_neighbour(const char *address)
{
    struct arpreq request = {.arp_flags = ATF_PERM | ATF_COM, .arp_dev = "tap0"};
    struct sockaddr_in in = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, address, &in.sin_addr);
    memcpy(&request.arp_pa, &in, sizeof in);
    request.arp_ha.sa_family = ARPHRD_ETHER;
    memcpy(request.arp_ha.sa_data, "\2\0\0\0\0\1", 6);
    assert_int_equal(ioctl(fd, SIOCSARP, &request), 0);
    close(fd);
}

/* Reads frames until `n` UDP payloads of ours came; their numbers must ascend by one. */
static void expect_tap_order(int tap, uint16_t port, uint32_t first, uint32_t n)
{
    uint8_t frame[2048];
    time_ns limit = rig_limit();
    for (uint32_t next = first; next < first + n;) {
        ssize_t len = read(tap, frame, sizeof frame);
        if (len < 0) {
            assert_int_equal(errno, EAGAIN);
            assert_true(clock_now() < limit);
            rig_sleep_ms(1);
            continue;
        }
        if (len < 46 || frame[12] != 8 || frame[13] != 0 || frame[23] != IPPROTO_UDP ||
            (frame[36] << 8 | frame[37]) != port)
            continue;
        uint32_t number;
        memcpy(&number, frame + 42, 4);
        assert_int_equal(number, next);
        next++;
    }
}

enum {
    FULL_SENDS = 300,
    FULL_LEN = 900
};

static struct io_send full_sends[FULL_SENDS];
static uint8_t full_data[FULL_SENDS][FULL_LEN];

/* Queues numbered sends to `address` until the socket is full; some are left over. */
static unsigned fill_socket(struct io *io, const char *address)
{
    struct sock_addr to = rig_addr(address, 4000);
    for (uint32_t i = 0; i < FULL_SENDS; i++) {
        memcpy(full_data[i], &i, 4);
        full_sends[i] = rig_send(full_data[i], FULL_LEN, &to);
        if (i % 3 == 0)
            full_sends[i].segment_size = FULL_LEN / 2; /* two datagrams */
        else if (i % 3 == 1)
            full_sends[i].len = full_sends[i].segment_size = 8;
        io_udp_send(io, &full_sends[i]);
    }
    io_flush(io);
    unsigned done = 0;
    for (struct io_send *s = io_udp_take_done(io); s; s = s->next)
        assert_ptr_equal(s, &full_sends[done++]);
    assert_in_range(done, 1, FULL_SENDS - 1);
    assert_true(counter_read(&io_stats(io)->eagain_udp) >= 1);
    return done;
}

static void test_full_socket_keeps_order(void **state)
{
    static unsigned run;
    struct io_rx rx;
    char address[IP_TEXT_MAX];
    RIG_NEW(io, 4, 16);
    int tap = rig_device("tap0", IFF_TAP, "10.9.0.1");
    if (tap < 0) {
        io_free(io);
        skip();
    }
    assert_int_equal(io_set_nonblock(tap, true), ERR_OK);
    struct udp_group g = rig_udp(ADDR_V4, 0, 8192);
    snprintf(address, sizeof address, "10.9.0.%u", 10 + run++);
    assert_int_equal(io_attach_udp(io, ADDR_V4, g.fds[0]), ERR_OK);
    unsigned done = fill_socket(io, address);
    assert_int_equal(io_wait(io, &rx, 1, rig_in_ms(1)), 0); /* may look for a moment */
    uint64_t calls = counter_read(&io_stats(io)->syscalls);
    assert_int_equal(io_wait(io, &rx, 1, rig_in_ms(50)), 0);
    assert_true(counter_read(&io_stats(io)->syscalls) < calls + 20); /* no busy loop */
    resolve_neighbour(address);

    time_ns limit = rig_limit();
    while (done < FULL_SENDS && clock_now() < limit) {
        io_wait(io, &rx, 1, limit);
        for (struct io_send *s = io_udp_take_done(io); s; s = s->next) {
            assert_ptr_equal(s, &full_sends[done++]);
            assert_int_equal(s->result, IO_SENT);
        }
    }
    assert_int_equal(done, FULL_SENDS);
    io_free(io);
    udp_group_close(&g);
    close(tap);
}

/* The same with all datagrams single, seen at the other end: strictly ascending. */
static void test_full_socket_order_on_the_wire(void **state)
{
    static unsigned run;
    struct io_rx rx;
    char address[IP_TEXT_MAX];
    RIG_NEW(io, 4, 16);
    int tap = rig_device("tap0", IFF_TAP, "10.9.0.1");
    if (tap < 0) {
        io_free(io);
        skip();
    }
    assert_int_equal(io_set_nonblock(tap, true), ERR_OK);
    struct udp_group g = rig_udp(ADDR_V4, 0, 8192);
    snprintf(address, sizeof address, "10.9.0.%u", 50 + run++);
    struct sock_addr to = rig_addr(address, 4000);
    assert_int_equal(io_attach_udp(io, ADDR_V4, g.fds[0]), ERR_OK);
    for (uint32_t i = 0; i < FULL_SENDS; i++) {
        memcpy(full_data[i], &i, 4);
        full_sends[i] = rig_send(full_data[i], i % 2 ? FULL_LEN : 8, &to);
        io_udp_send(io, &full_sends[i]);
    }
    io_flush(io);
    assert_true(counter_read(&io_stats(io)->eagain_udp) >= 1);
    resolve_neighbour(address);
    time_ns limit = rig_limit();
    while (io->tx[0].head && clock_now() < limit) {
        io_wait(io, &rx, 1, limit);
        io_udp_take_done(io);
    }
    expect_tap_order(tap, 4000, 0, FULL_SENDS);
    io_free(io);
    udp_group_close(&g);
    close(tap);
}

/* Detach while sends wait for a full socket: they come back, in order, and the poll for room is gone. */
static void test_detach_full_socket(void **state)
{
    static unsigned run;
    struct io_rx rx;
    char address[IP_TEXT_MAX];
    RIG_NEW(io, 4, 16);
    int tap = rig_device("tap0", IFF_TAP, "10.9.0.1");
    if (tap < 0) {
        io_free(io);
        skip();
    }
    struct udp_group g = rig_udp(ADDR_V4, 53000, 8192);
    snprintf(address, sizeof address, "10.9.0.%u", 100 + run++);
    assert_int_equal(io_attach_udp(io, ADDR_V4, g.fds[0]), ERR_OK);
    unsigned done = fill_socket(io, address);
    assert_int_equal(io_wait(io, &rx, 1, rig_in_ms(1)), 0);
    io_detach_udp(io);
    for (struct io_send *s = io_udp_take_done(io); s; s = s->next) {
        assert_ptr_equal(s, &full_sends[done++]);
        assert_int_equal(s->result, IO_CLOSED);
    }
    assert_int_equal(done, FULL_SENDS);
    udp_group_close(&g);
    assert_false(rig_port_is_bound(ADDR_V4, 53000));
    g = rig_udp(ADDR_V4, 53000, 0);
    assert_int_equal(io_attach_udp(io, ADDR_V4, g.fds[0]), ERR_OK);
    assert_int_equal(io_attach_udp(io, ADDR_V4, g.fds[0]), ERR_EXISTS);
    assert_int_equal(io_wait(io, &rx, 1, 0), 0);
    io_free(io);
    udp_group_close(&g);
    close(tap);
}

/* ---- back-pressure ---- */

static void test_buffers_exhausted(void **state)
{
    enum {
        BUFFERS = 4,
        DATAGRAMS = 20
    };
    struct io_rx held[BUFFERS], rx;
    unsigned n = 0;
    RIG_NEW(io, 4, BUFFERS);
    struct udp_group g = rig_udp(ADDR_V4, 0, 0), from = rig_udp(ADDR_V4, 0, 0);
    struct sock_addr to = rig_addr("127.0.0.1", g.port);
    union addr_os name;
    socklen_t name_len = addr_os_to(&name, &to);
    assert_int_equal(io_attach_udp(io, ADDR_V4, g.fds[0]), ERR_OK);
    for (uint8_t i = 0; i < DATAGRAMS; i++)
        assert_int_equal(sendto(from.fds[0], &i, 1, 0, &name.sa, name_len), 1);

    while (n < BUFFERS)
        held[n++] = rig_receive(io);
    assert_int_equal(io_wait(io, &rx, 1, rig_in_ms(1)), 0); /* may look for a moment */
    uint64_t calls = counter_read(&io_stats(io)->syscalls);
    assert_int_equal(io_wait(io, &rx, 1, rig_in_ms(100)), 0);
    assert_true(counter_read(&io_stats(io)->syscalls) < calls + 20); /* waits, does not spin */
    assert_true(counter_read(&io_stats(io)->rx_no_buffer) >= 1);

    for (unsigned i = 0; i < DATAGRAMS; i++) {
        const struct io_rx *oldest = &held[i % BUFFERS];
        assert_int_equal(*oldest->data, i);
        io_rx_give_back(io, IO_RX_UDP, oldest->buffer);
        if (n < DATAGRAMS) {
            held[i % BUFFERS] = rig_receive(io);
            n++;
        }
    }
    assert_int_equal(io_wait(io, &rx, 1, 0), 0);
    io_free(io);
    udp_group_close(&g);
    udp_group_close(&from);
}

/* ---- */

static void add_loopback_v6(const char *address)
{
    struct {
        struct in6_addr addr;
        uint32_t prefix_len;
        int ifindex;
    } request = {.prefix_len = 128, .ifindex = (int)if_nametoindex("lo")};
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET6, address, &request.addr);
    if (fd < 0 || ioctl(fd, SIOCSIFADDR, &request) != 0)
        perror("IPv6 address on lo");
    /* For a moment it is tentative and cannot be used. */
    struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_addr = request.addr};
    for (unsigned i = 0; i < 2000; i++) {
        if (bind(fd, (const struct sockaddr *)&name, sizeof name) == 0)
            break;
        rig_sleep_ms(1);
    }
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TESTS(test_roundtrip_v4),
        RIG_TESTS(test_roundtrip_v6),
        RIG_TESTS(test_empty_datagram),
        RIG_TESTS(test_segments_gso),
        RIG_TESTS(test_segments_without_gso),
        RIG_TESTS(test_lost_path_v4),
        RIG_TESTS(test_lost_path_v6),
        RIG_TESTS(test_segment_above_mtu),
        RIG_TESTS(test_no_socket),
        RIG_TESTS(test_full_socket_keeps_order),
        RIG_TESTS(test_full_socket_order_on_the_wire),
        RIG_TESTS(test_buffers_exhausted),
        RIG_TESTS(test_detach_full_socket),
    };
    netns_enter_or_skip();
    add_loopback_v6("fd00::5");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
