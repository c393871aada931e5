/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The I/O contract over a TUN device: frames in both directions, large ones, order, back-pressure, fairness against
 * UDP, a device that goes down, comes up and vanishes. The kernel's own stack is the other end.
 */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tests/support/io_rig.h"

#define DEVICE "tun7"

enum {
    HEADERS = IO_VNET_LEN + 20 + 8,
    PORT = 4001,
    RX_MAX = 64
};

struct tun_rig {
    struct io *io;
    int tun;
    int sock; /* of the kernel's side, bound to 10.9.0.1:PORT */
};

static bool open_rig(struct tun_rig *r, void **state, unsigned tun_buffers)
{
    struct sockaddr_in self = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int bytes = 4 << 20;
    if (!rig_new(&r->io, state, tun_buffers, 16))
        return false;
    r->tun = rig_device(DEVICE, IFF_TUN | IFF_VNET_HDR, "10.9.0.1");
    assert_true(r->tun >= 0);
    assert_int_equal(io_attach_tun(r->io, r->tun, true), ERR_OK);
    assert_int_equal(io_attach_tun(r->io, r->tun, true), ERR_EXISTS);
    r->sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    inet_pton(AF_INET, "10.9.0.1", &self.sin_addr);
    assert_int_equal(bind(r->sock, (const struct sockaddr *)&self, sizeof self), 0);
    assert_int_equal(setsockopt(r->sock, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes), 0);
    return true;
}

static void close_rig(struct tun_rig *r)
{
    io_free(r->io);
    close(r->tun);
    close(r->sock);
    assert_int_equal(if_nametoindex(DEVICE), 0); /* nothing holds the queue any more */
}

#define OPEN_RIG(r, buffers)                                                                       \
    struct tun_rig r;                                                                              \
    if (!open_rig(&r, state, buffers))                                                             \
    skip()

/* The kernel sends a datagram into the TUN. */
static void kernel_sends(const struct tun_rig *r, const void *data, size_t len)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(5000)};
    inet_pton(AF_INET, "10.9.0.2", &to.sin_addr);
    assert_int_equal(sendto(r->sock, data, len, 0, (const struct sockaddr *)&to, sizeof to), len);
}

static void kernel_sends_number(const struct tun_rig *r, uint32_t number)
{
    kernel_sends(r, &number, sizeof number);
}

/* True if the frame is one of ours, not what the system sends by itself (IPv6 solicitations). */
static bool is_ours(const struct io_rx *rx)
{
    const uint8_t *ip = rx->data + IO_VNET_LEN;
    return rx->len >= HEADERS && ip[0] == 0x45 && ip[9] == IPPROTO_UDP && ip[19] == 2;
}

/* The next frame of ours; the caller gives the buffer back. */
static struct io_rx receive(struct io *io)
{
    struct io_rx rx;
    time_ns limit = rig_limit();
    for (;;) {
        if (io_wait(io, &rx, 1, limit) == 0) {
            if (clock_now() >= limit)
                fail_msg("no frame");
            continue;
        }
        assert_int_equal(rx.kind, IO_RX_TUN);
        if (is_ours(&rx))
            return rx;
        io_rx_give_back(io, IO_RX_TUN, rx.buffer);
    }
}

static void expect_number(struct io *io, uint32_t number)
{
    struct io_rx rx = receive(io);
    uint32_t got;
    memcpy(&got, rx.data + HEADERS, sizeof got);
    assert_int_equal(got, number);
    io_rx_give_back(io, IO_RX_TUN, rx.buffer);
}

/* A packet for the kernel's socket: virtio header and IP, UDP header, payload: three pieces. */
struct packet {
    uint8_t head[HEADERS];
    uint32_t number;
    uint8_t rest[200];
    struct iovec iov[3];
};

static struct io_frame make_packet(struct packet *p, uint32_t number, unsigned rest)
{
    uint8_t *ip = p->head + IO_VNET_LEN, *udp = ip + 20;
    unsigned udp_len = 8 + 4 + rest, total = 20 + udp_len;
    uint32_t sum = 0;

    memset(p->head, 0, sizeof p->head);
    ip[0] = 0x45;
    store_be16(ip + 2, (uint16_t)total);
    ip[8] = 64;
    ip[9] = IPPROTO_UDP;
    memcpy(ip + 12, "\12\11\0\2\12\11\0\1", 8); /* 10.9.0.2 to 10.9.0.1 */
    for (unsigned i = 0; i < 20; i += 2)
        sum += load_be16(ip + i);
    sum = (sum & 0xffff) + (sum >> 16);
    store_be16(ip + 10, (uint16_t) ~((sum & 0xffff) + (sum >> 16)));
    store_be16(udp, 5000);
    store_be16(udp + 2, PORT);
    store_be16(udp + 4, (uint16_t)udp_len);
    p->number = number;
    p->iov[0] = (struct iovec){p->head, IO_VNET_LEN + 20};
    p->iov[1] = (struct iovec){udp, 8};
    p->iov[2] = (struct iovec){&p->number, 4 + rest};
    return (struct io_frame){.iov = p->iov, .n_iov = 3, .error = 77};
}

static void expect_at_socket(const struct tun_rig *r, uint32_t first, uint32_t n)
{
    struct pollfd p = {.fd = r->sock, .events = POLLIN};
    uint8_t data[2048];
    for (uint32_t i = first; i < first + n; i++) {
        uint32_t number;
        assert_int_equal(poll(&p, 1, 20000), 1);
        assert_true(recv(r->sock, data, sizeof data, 0) >= 4);
        memcpy(&number, data, sizeof number);
        assert_int_equal(number, i);
    }
    assert_int_equal(recv(r->sock, data, sizeof data, 0), -1);
}

static void write_numbers(struct tun_rig *r, uint32_t first, unsigned n, int error)
{
    static struct packet packets[IO_TUN_WRITES_MAX];
    struct io_frame frames[IO_TUN_WRITES_MAX];
    for (unsigned i = 0; i < n; i++)
        frames[i] = make_packet(&packets[i], first + i, i % 200);
    io_tun_write(r->io, frames, n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(frames[i].error, error);
}

/* ---- */

static void test_read(void **state)
{
    static uint8_t large[60000];
    OPEN_RIG(r, 8);
    for (uint32_t i = 0; i < 100; i++) {
        kernel_sends_number(&r, i);
        struct io_rx rx = receive(r.io);
        assert_int_equal(rx.len, HEADERS + 4);
        assert_int_equal((uintptr_t)(rx.data + IO_VNET_LEN) % 16, 0);
        memcpy(large, rx.data + HEADERS, 4);
        assert_memory_equal(rx.data + HEADERS, &i, 4);
        io_rx_give_back(r.io, IO_RX_TUN, rx.buffer);
    }
    /* One frame of 60,000 bytes. */
    rig_set_mtu(DEVICE, 65535);
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (uint8_t)(i * 7 + i / 256);
    kernel_sends(&r, large, sizeof large);
    struct io_rx rx = receive(r.io);
    assert_int_equal(rx.len, HEADERS + sizeof large);
    assert_memory_equal(rx.data + HEADERS, large, sizeof large);
    io_rx_give_back(r.io, IO_RX_TUN, rx.buffer);
    close_rig(&r);
}

/* More frames than buffers and more than fit into one call; their order stays. */
static void test_read_order(void **state)
{
    static struct io_rx rx[RX_MAX];
    uint32_t sent = 0, got = 0;
    time_ns limit = rig_limit();
    OPEN_RIG(r, 16);
    while (got < 2000) {
        while (sent < 2000 && sent < got + 300)
            kernel_sends_number(&r, sent++);
        unsigned n = io_wait(r.io, rx, 1 + sent % RX_MAX, limit);
        assert_true(clock_now() < limit);
        for (unsigned i = 0; i < n; i++) {
            if (is_ours(&rx[i])) {
                assert_memory_equal(rx[i].data + HEADERS, &got, 4);
                got++;
            }
            io_rx_give_back(r.io, IO_RX_TUN, rx[i].buffer);
        }
    }
    close_rig(&r);
}

static void test_write(void **state)
{
    static const unsigned sizes[] = {1, 2, 5, 128, 1, 128};
    uint32_t next = 0;
    OPEN_RIG(r, 8);
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        write_numbers(&r, next, sizes[i], 0);
        expect_at_socket(&r, next, sizes[i]);
        next += sizes[i];
    }
    io_tun_write(r.io, NULL, 0);
    close_rig(&r);
}

/* io_uring's point: a batch of frames is one system call. */
static void test_write_calls(void **state)
{
    OPEN_RIG(r, 8);
    struct io_rx rx;
    bool batched = *state == &rig_uring;
    while (io_wait(r.io, &rx, 1, rig_in_ms(20)) == 1)
        io_rx_give_back(r.io, IO_RX_TUN, rx.buffer);
    uint64_t before = counter_read(&io_stats(r.io)->syscalls);
    write_numbers(&r, 0, 100, 0);
    assert_int_equal(counter_read(&io_stats(r.io)->syscalls) - before, batched ? 1 : 100);
    close_rig(&r);
}

/* Frames that arrive while we write are not lost, and writes while records wait keep everything in order. */
static void test_read_between_writes(void **state)
{
    struct io_rx rx;
    OPEN_RIG(r, 64);
    assert_int_equal(io_wait(r.io, &rx, 1, 0), 0);
    uint32_t sent = 0, written = 0, got = 0;
    for (unsigned round = 0; round < 50; round++) {
        for (unsigned i = 0; i < 30; i++)
            kernel_sends_number(&r, sent++);
        for (unsigned i = 0; i < 3; i++) {
            write_numbers(&r, written, 7, 0);
            expect_at_socket(&r, written, 7);
            written += 7;
            expect_number(r.io, got++);
        }
        while (got < sent)
            expect_number(r.io, got++);
    }
    close_rig(&r);
}

static void test_one_bad_frame(void **state)
{
    static struct packet packets[8];
    struct io_frame frames[8];
    OPEN_RIG(r, 8);
    for (uint32_t i = 0; i < 8; i++)
        frames[i] = make_packet(&packets[i], i < 3 ? i : i - 1, 0);
    frames[3].n_iov = 1;
    packets[3].iov[0].iov_len = 4; /* not even a virtio header */
    io_tun_write(r.io, frames, 8);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(frames[i].error, i == 3 ? EINVAL : 0);
    expect_at_socket(&r, 0, 7);
    close_rig(&r);
}

static void test_buffers_exhausted(void **state)
{
    enum {
        BUFFERS = 4,
        FRAMES = 20
    };
    struct io_rx held[BUFFERS], rx;
    OPEN_RIG(r, BUFFERS);
    /* The system's own packets (IPv6) come first, and would take buffers. */
    while (io_wait(r.io, &rx, 1, rig_in_ms(100)) == 1)
        io_rx_give_back(r.io, IO_RX_TUN, rx.buffer);
    for (uint32_t i = 0; i < FRAMES; i++)
        kernel_sends_number(&r, i);
    for (unsigned n = 0; n < BUFFERS; n++)
        held[n] = receive(r.io);
    assert_int_equal(io_wait(r.io, &rx, 1, rig_in_ms(1)), 0); /* may look for a moment */
    uint64_t calls = counter_read(&io_stats(r.io)->syscalls);
    assert_int_equal(io_wait(r.io, &rx, 1, rig_in_ms(100)), 0);
    assert_true(counter_read(&io_stats(r.io)->syscalls) < calls + 20); /* waits, does not spin */
    assert_true(counter_read(&io_stats(r.io)->rx_no_buffer) >= 1);
    for (uint32_t i = 0; i < BUFFERS; i++) {
        assert_memory_equal(held[i].data + HEADERS, &i, 4);
        io_rx_give_back(r.io, IO_RX_TUN, held[i].buffer);
    }
    for (uint32_t i = BUFFERS; i < FRAMES; i++)
        expect_number(r.io, i);
    close_rig(&r);
}

/* Both kinds have plenty waiting: neither waits until the other is empty. */
static void test_fair(void **state)
{
    static struct io_rx rx[RX_MAX];
    unsigned count[2] = {0, 0};
    OPEN_RIG(r, 16);
    struct udp_group g = rig_udp(ADDR_V4, 0, 0);
    struct sock_addr to = rig_addr("127.0.0.1", g.port);
    union addr_os name;
    socklen_t len = addr_os_to(&name, &to);
    assert_int_equal(io_attach_udp(r.io, ADDR_V4, g.fds[0]), ERR_OK);
    for (uint32_t i = 0; i < 200; i++) {
        kernel_sends_number(&r, i);
        assert_int_equal(sendto(g.fds[0], &i, 4, 0, &name.sa, len), 4);
    }
    for (unsigned round = 0; round < 20; round++) {
        unsigned n = io_wait(r.io, rx, 6, rig_limit());
        for (unsigned i = 0; i < n; i++) {
            count[rx[i].kind]++;
            io_rx_give_back(r.io, rx[i].kind, rx[i].buffer);
        }
    }
    assert_true(count[IO_RX_TUN] >= 20);
    assert_true(count[IO_RX_UDP] >= 20);
    udp_group_close(&g);
    close_rig(&r);
}

/* Down: frames are refused one by one, nothing spins. Up again: both directions work as before. */
static void test_down_and_up(void **state)
{
    struct io_rx rx;
    OPEN_RIG(r, 8);
    for (uint32_t round = 0; round < 3; round++) {
        kernel_sends_number(&r, round);
        expect_number(r.io, round);
        rig_set_up(DEVICE, false);
        write_numbers(&r, 0, 1, EIO);
        write_numbers(&r, 0, 100, EIO);
        uint64_t calls = counter_read(&io_stats(r.io)->syscalls);
        time_ns until = rig_in_ms(100);
        while (io_wait(r.io, &rx, 1, until) == 1)
            io_rx_give_back(r.io, IO_RX_TUN, rx.buffer);
        assert_false(io_tun_gone(r.io));
        assert_true(counter_read(&io_stats(r.io)->syscalls) < calls + 40);
        rig_set_up(DEVICE, true);
        write_numbers(&r, round * 10, 10, 0);
        expect_at_socket(&r, round * 10, 10);
    }
    kernel_sends_number(&r, 99);
    expect_number(r.io, 99);
    close_rig(&r);
}

static void remove_device(void)
{
    struct {
        uint32_t len;
        uint16_t type, flags;
        uint32_t seq, pid;
        uint8_t family, pad;
        uint16_t device_type;
        int32_t index;
        uint32_t device_flags, change;
    } request = {.len = sizeof request,
                 .type = 17 /* RTM_DELLINK */,
                 .flags = 5 /* NLM_F_REQUEST | NLM_F_ACK */,
                 .index = (int32_t)if_nametoindex(DEVICE)};
    uint8_t answer[256];
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
    assert_int_equal(send(fd, &request, sizeof request, 0), sizeof request);
    assert_true(recv(fd, answer, sizeof answer, 0) > 0);
    close(fd);
}

/* The device is deleted under us: errors are counted, reading backs off, the rest goes on, detach works. */
static void test_device_vanishes(void **state)
{
    struct io_rx rx;
    OPEN_RIG(r, 8);
    kernel_sends_number(&r, 1);
    expect_number(r.io, 1);
    remove_device();
    uint64_t calls = counter_read(&io_stats(r.io)->syscalls);
    time_ns until = rig_in_ms(300);
    assert_false(io_tun_gone(r.io));
    for (bool gone = false; !gone; gone = io_tun_gone(r.io))
        if (io_wait(r.io, &rx, 1, TIME_NEVER) == 1)
            io_rx_give_back(r.io, IO_RX_TUN, rx.buffer);
    while (clock_now() < until) /* told once, and then it is silent */
        assert_int_equal(io_wait(r.io, &rx, 1, until), 0);
    assert_false(io_tun_gone(r.io));
    assert_true(counter_read(&io_stats(r.io)->syscalls) < calls + 80);
    assert_true(counter_read(&io_stats(r.io)->rx_errors) >= 1);
    write_numbers(&r, 0, 1, EBADFD);
    write_numbers(&r, 0, 3, EBADFD);
    io_wake(r.io);
    assert_int_equal(io_wait(r.io, &rx, 1, TIME_NEVER), 0);
    io_detach_tun(r.io);
    write_numbers(&r, 0, 3, EBADF);
    close_rig(&r);
}

/* A worker that only writes to another worker's queue takes nothing out of it. */
static void test_write_only(void **state)
{
    struct io_rx rx;
    OPEN_RIG(r, 8);
    io_detach_tun(r.io);
    assert_int_equal(io_attach_tun(r.io, r.tun, false), ERR_OK);
    kernel_sends_number(&r, 1);
    assert_int_equal(io_wait(r.io, &rx, 1, rig_in_ms(50)), 0);
    write_numbers(&r, 0, 20, 0);
    expect_at_socket(&r, 0, 20);
    io_detach_tun(r.io);
    assert_int_equal(io_attach_tun(r.io, r.tun, true), ERR_OK);
    expect_number(r.io, 1);
    close_rig(&r);
}

/* Detach in the middle of traffic, many times: records are discarded, buffers come back, the device goes with close. */
static void test_detach_under_load(void **state)
{
    static struct io_rx rx[RX_MAX];
    for (unsigned round = 0; round < 30; round++) {
        OPEN_RIG(r, 8);
        for (uint32_t i = 0; i < 40; i++)
            kernel_sends_number(&r, i);
        unsigned n = io_wait(r.io, rx, 1 + round % 4, rig_limit());
        write_numbers(&r, 0, 5, 0); /* completions gather in between */
        for (unsigned i = 0; i < n; i++)
            io_rx_give_back(r.io, IO_RX_TUN, rx[i].buffer);
        io_detach_tun(r.io);
        assert_int_equal(io_wait(r.io, rx, RX_MAX, 0), 0);
        assert_int_equal(io_attach_tun(r.io, r.tun, true), ERR_OK);
        kernel_sends_number(&r, 1000);
        for (;;) {
            struct io_rx last = receive(r.io);
            uint32_t number;
            memcpy(&number, last.data + HEADERS, 4);
            io_rx_give_back(r.io, IO_RX_TUN, last.buffer);
            if (number == 1000)
                break;
        }
        close_rig(&r);
    }
}

/* Nobody has anything to say: no wake-up at all. */
static void test_idle(void **state)
{
    struct io_rx rx;
    OPEN_RIG(r, 8);
    /* The system's own packets first. */
    while (io_wait(r.io, &rx, 1, rig_in_ms(500)) == 1)
        io_rx_give_back(r.io, IO_RX_TUN, rx.buffer);
    uint64_t wakeups = counter_read(&io_stats(r.io)->wakeups);
    uint64_t calls = counter_read(&io_stats(r.io)->syscalls);
    unsigned n = io_wait(r.io, &rx, 1, rig_in_ms(1000));
    assert_int_equal(n, 0);
    assert_int_equal(counter_read(&io_stats(r.io)->wakeups), wakeups + 1);
    assert_true(counter_read(&io_stats(r.io)->syscalls) <= calls + 2);
    close_rig(&r);
}

static void disable_ipv6(void)
{
    FILE *f = fopen("/proc/sys/net/ipv6/conf/default/disable_ipv6", "w");
    if (f) {
        fputs("1", f);
        fclose(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TESTS_TUN(test_idle),
        RIG_TESTS_TUN(test_read),
        RIG_TESTS_TUN(test_read_order),
        RIG_TESTS_TUN(test_write),
        RIG_TESTS_TUN(test_write_calls),
        RIG_TESTS_TUN(test_read_between_writes),
        RIG_TESTS_TUN(test_one_bad_frame),
        RIG_TESTS_TUN(test_buffers_exhausted),
        RIG_TESTS_TUN(test_fair),
        RIG_TESTS_TUN(test_down_and_up),
        RIG_TESTS_TUN(test_device_vanishes),
        RIG_TESTS_TUN(test_write_only),
        RIG_TESTS_TUN(test_detach_under_load),
    };
    netns_enter_or_skip();
    disable_ipv6();
    if (access("/dev/net/tun", R_OK | W_OK) != 0) {
        fprintf(stderr, "skipped: no /dev/net/tun\n");
        return TEST_SKIPPED;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
