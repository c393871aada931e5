/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The UDP send path against a scripted kernel: every datagram that "leaves" is logged, errors come from a table.
 * Invariants: datagrams leave in order, each at most once; every send comes back, in order, with the right result.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

static int fake_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags);
#define sendmmsg fake_sendmmsg
#include "platform/linux/io_send.c"
#undef sendmmsg

enum {
    SENDS_MAX = 600,
    LOG_MAX = 20000,
    SCRIPT_MAX = 16
};

/* The n-th message offered to the kernel (failed ones count too) fails with error. */
struct fault {
    unsigned at;
    int error;
};

static struct {
    struct fault script[SCRIPT_MAX];
    unsigned n_script;
    unsigned offered;
    int no_gso;    /* errno for every segmented message, 0: works */
    int no_gso_to; /* the same for one destination port */
    uint16_t no_gso_port;
    bool random;
    uint32_t log[LOG_MAX]; /* first word of each datagram that left */
    unsigned n_log, calls, segmented;
} kernel;

static uint16_t segment_of(struct msghdr *h)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
        if (c->cmsg_level == IPPROTO_UDP)
            return *(uint16_t *)(void *)CMSG_DATA(c);
    }
    return 0;
}

static int fault_of(struct msghdr *h, uint16_t segment)
{
    unsigned now = kernel.offered++;
    const struct sockaddr_in *to = h->msg_name;
    for (unsigned i = 0; i < kernel.n_script; i++)
        if (kernel.script[i].at == now)
            return kernel.script[i].error;
    if (segment && kernel.no_gso)
        return kernel.no_gso;
    if (segment && kernel.no_gso_to && ntohs(to->sin_port) == kernel.no_gso_port)
        return kernel.no_gso_to;
    if (kernel.random && rand() % 5 == 0) {
        static const int errors[] = {EAGAIN, EAGAIN, EINVAL, ENOBUFS, EMSGSIZE, EIO, ECONNREFUSED};
        return errors[rand() % 7];
    }
    return 0;
}

static int fake_sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
    assert_int_equal(fd, 42);
    assert_int_equal(flags, MSG_DONTWAIT);
    assert_in_range(n, 1, IO_SEND_BATCH);
    kernel.calls++;
    for (unsigned i = 0; i < n; i++) {
        struct msghdr *h = &messages[i].msg_hdr;
        uint16_t segment = segment_of(h);
        int error = fault_of(h, segment);
        if (error && i > 0) {
            kernel.offered--; /* offered again as the first of the next call */
            return (int)i;
        }
        if (error) {
            errno = error;
            return -1;
        }
        const uint8_t *at = h->msg_iov->iov_base;
        size_t left = h->msg_iov->iov_len;
        kernel.segmented += segment != 0;
        do {
            size_t step = segment && segment < left ? segment : left;
            assert_true(kernel.n_log < LOG_MAX);
            if (step >= 4)
                memcpy(&kernel.log[kernel.n_log], at, 4);
            kernel.n_log++;
            at += step;
            left -= step;
        } while (left > 0);
    }
    return (int)n;
}

static struct io io;
static struct io_send sends[SENDS_MAX];
static uint8_t bytes[SENDS_MAX][1000];
static uint32_t next_word;

static int setup(void **state)
{
    (void)state;
    memset(&io, 0, sizeof io);
    memset(&kernel, 0, sizeof kernel);
    io.done_tail = &io.done_head;
    udp_tx_open(&io.tx[0], 42);
    udp_tx_open(&io.tx[1], -1);
    next_word = 0;
    return 0;
}

/* Queues send i: `n` datagrams of 100 bytes, numbered on. */
static void queue(unsigned i, unsigned n, uint16_t port)
{
    for (unsigned k = 0; k < n; k++, next_word++)
        memcpy(bytes[i] + (size_t)k * 100, &next_word, 4);
    sends[i] =
        (struct io_send){.data = bytes[i], .len = n * 100, .segment_size = 100, .result = 99};
    assert_int_equal(sock_addr_parse(&sends[i].to, "192.0.2.1:1"), ERR_OK);
    sends[i].to.port = port;
    io_udp_send(&io, &sends[i]);
}

static void expect_done(unsigned first, unsigned n)
{
    struct io_send *s = io.done_head;
    for (unsigned i = first; i < first + n; i++, s = s->next)
        assert_ptr_equal(s, &sends[i]);
    assert_null(s);
    io.done_head = NULL;
    io.done_tail = &io.done_head;
}

static void expect_log(unsigned n)
{
    assert_int_equal(kernel.n_log, n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(kernel.log[i], i);
}

static void fault(unsigned at, int error)
{
    kernel.script[kernel.n_script++] = (struct fault){at, error};
}

static void test_batches(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++)
        queue(i, 1 + i % 3, 1);
    udp_tx_flush(&io, &io.tx[0]);
    expect_log(next_word);
    expect_done(0, 200);
    assert_int_equal(kernel.calls, 4); /* 64 a call */
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(sends[i].result, IO_SENT);
}

static void test_eagain_keeps_order(void **state)
{
    (void)state;
    fault(5, EAGAIN);
    fault(6, EAGAIN);
    for (unsigned i = 0; i < 20; i++)
        queue(i, 2, 1);
    udp_tx_flush(&io, &io.tx[0]);
    assert_true(io.tx[0].blocked);
    expect_log(10);
    expect_done(0, 5);
    assert_int_equal(counter_read(&io.stats.eagain_udp), 1);
    queue(20, 2, 1);
    io.tx[0].blocked = false;
    udp_tx_flush(&io, &io.tx[0]);
    assert_true(io.tx[0].blocked);
    expect_log(10);
    io.tx[0].blocked = false;
    udp_tx_flush(&io, &io.tx[0]);
    expect_log(42);
    expect_done(5, 16);
}

/* Segmentation fails, single datagrams do not: off for the socket. */
static void test_gso_refused(void **state)
{
    (void)state;
    kernel.no_gso = EIO;
    for (unsigned i = 0; i < 10; i++)
        queue(i, 3, 1);
    udp_tx_flush(&io, &io.tx[0]);
    expect_log(30);
    expect_done(0, 10);
    for (unsigned i = 0; i < 10; i++)
        assert_int_equal(sends[i].result, IO_SENT);
    assert_true(io.tx[0].gso_off);
    assert_int_equal(counter_read(&io.stats.gso_retries), 1);
    assert_int_equal(kernel.segmented, 0);
}

/* The path is gone: both attempts fail, segmentation stays on, later sends are tried. */
static void test_path_lost(void **state)
{
    (void)state;
    fault(0, EADDRNOTAVAIL);
    fault(1, EADDRNOTAVAIL);
    queue(0, 3, 1);
    queue(1, 3, 1);
    udp_tx_flush(&io, &io.tx[0]);
    expect_done(0, 2);
    assert_int_equal(sends[0].result, IO_PATH_LOST);
    assert_int_equal(sends[1].result, IO_SENT);
    assert_false(io.tx[0].gso_off);
    assert_int_equal(io.tx[0].n_avoid, 0);
    assert_int_equal(kernel.segmented, 1);
    assert_int_equal(kernel.n_log, 3);
    assert_int_equal(kernel.log[0], 3);
}

/* One destination does not take segments (small MTU): the others go on with them. */
static void test_gso_avoids_destination(void **state)
{
    (void)state;
    kernel.no_gso_to = EINVAL;
    kernel.no_gso_port = 7;
    for (unsigned i = 0; i < 30; i++)
        queue(i, 3, i % 2 ? 7 : 1);
    udp_tx_flush(&io, &io.tx[0]);
    expect_log(90);
    expect_done(0, 30);
    assert_false(io.tx[0].gso_off);
    assert_int_equal(io.tx[0].n_avoid, 1);
    assert_int_equal(kernel.segmented, 15);
    assert_in_range(counter_read(&io.stats.gso_retries), 1, 2);
}

/* ... and after a while segmentation is tried again there. */
static void test_gso_avoid_ends(void **state)
{
    (void)state;
    fault(0, EMSGSIZE);
    for (unsigned round = 0; round < 2 * IO_AVOID_SENDS / 100; round++) {
        kernel.n_log = 0;
        next_word = 0;
        for (unsigned i = 0; i < 100; i++)
            queue(i, 2, 1);
        udp_tx_flush(&io, &io.tx[0]);
        expect_log(200);
        expect_done(0, 100);
    }
    assert_int_equal(io.tx[0].n_avoid, 0);
    assert_true(kernel.segmented > 0);
    assert_int_equal(counter_read(&io.stats.gso_retries), 1);
}

/* The avoidance ends while a run is half sent: the rest of it goes as it began. */
static void test_gso_avoid_ends_within_run(void **state)
{
    (void)state;
    fault(2, EAGAIN);
    io.tx[0].n_avoid = 1;
    assert_int_equal(sock_addr_parse(&io.tx[0].avoid[0].to, "192.0.2.1:7"), ERR_OK);
    io.tx[0].avoid[0].sends = 1;
    queue(0, 5, 7);
    queue(1, 5, 7);
    udp_tx_flush(&io, &io.tx[0]);
    expect_log(2);
    assert_int_equal(io.tx[0].n_avoid, 0);
    io.tx[0].blocked = false;
    udp_tx_flush(&io, &io.tx[0]);
    expect_log(10);
    expect_done(0, 2);
    assert_int_equal(kernel.segmented, 1);
}

/* A full socket in the middle of a run of single datagrams: goes on where it stopped. */
static void test_eagain_within_run(void **state)
{
    (void)state;
    fault(0, EIO);
    fault(3, EAGAIN);
    queue(0, 5, 1);
    queue(1, 5, 1);
    udp_tx_flush(&io, &io.tx[0]);
    expect_log(2);
    assert_null(io.done_head);
    io.tx[0].blocked = false;
    udp_tx_flush(&io, &io.tx[0]);
    expect_log(10);
    expect_done(0, 2);
    assert_int_equal(sends[0].result, IO_SENT);
    assert_true(io.tx[0].gso_off);
}

static void test_results(void **state)
{
    (void)state;
    static const struct {
        int error;
        enum io_result result;
    } cases[] = {{EPERM, IO_DENIED},
                 {ENOBUFS, IO_NO_BUFFER},
                 {EHOSTUNREACH, IO_PATH_LOST},
                 {EMSGSIZE, IO_TOO_BIG},
                 {EBADF, IO_CLOSED}};
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        setup(NULL);
        fault(1, cases[i].error);
        for (unsigned k = 0; k < 3; k++)
            queue(k, 1, 1);
        udp_tx_flush(&io, &io.tx[0]);
        expect_done(0, 3);
        assert_int_equal(sends[0].result, IO_SENT);
        assert_int_equal(sends[1].result, cases[i].result);
        assert_int_equal(sends[2].result, IO_SENT);
        assert_int_equal(kernel.n_log, 2);
    }
}

/* An error that lay pending on the socket costs nothing; a lasting unknown one is reported. */
static void test_pending_error(void **state)
{
    (void)state;
    fault(0, ECONNREFUSED);
    fault(2, ECONNREFUSED);
    fault(3, ECONNREFUSED);
    for (unsigned k = 0; k < 3; k++)
        queue(k, 1, 1);
    udp_tx_flush(&io, &io.tx[0]);
    expect_done(0, 3);
    assert_int_equal(sends[0].result, IO_SENT);
    assert_int_equal(sends[1].result, IO_FAILED);
    assert_int_equal(sends[2].result, IO_SENT);
}

static void test_closed(void **state)
{
    (void)state;
    fault(2, EAGAIN);
    for (unsigned k = 0; k < 5; k++)
        queue(k, 1, 1);
    udp_tx_flush(&io, &io.tx[0]);
    udp_tx_close(&io, &io.tx[0]);
    queue(5, 1, 1);
    expect_done(0, 6);
    for (unsigned k = 0; k < 6; k++)
        assert_int_equal(sends[k].result, k < 2 ? IO_SENT : IO_CLOSED);
    assert_int_equal(kernel.n_log, 2);
}

/* Random errors: strictly ascending order always, every send back once and in order. */
static void test_random(void **state)
{
    (void)state;
    srand(1);
    for (unsigned round = 0; round < 200; round++) {
        setup(NULL);
        kernel.random = true;
        unsigned queued = 0;
        while (queued < SENDS_MAX) {
            for (unsigned k = 0, n = (unsigned)rand() % 90; k < n && queued < SENDS_MAX; k++)
                queue(queued++, 1 + (unsigned)rand() % 9, (uint16_t)(1 + rand() % 6));
            io.tx[0].blocked = false;
            udp_tx_flush(&io, &io.tx[0]);
        }
        while (io.tx[0].head) {
            io.tx[0].blocked = false;
            udp_tx_flush(&io, &io.tx[0]);
        }
        expect_done(0, SENDS_MAX);
        unsigned lost = 0;
        for (unsigned i = 0; i < SENDS_MAX; i++)
            lost += sends[i].result != IO_SENT;
        for (unsigned i = 1; i < kernel.n_log; i++)
            assert_true(kernel.log[i] > kernel.log[i - 1]);
        assert_true(kernel.n_log + lost * 9 >= next_word);
        assert_true(lost < SENDS_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_batches, setup),
        cmocka_unit_test_setup(test_eagain_keeps_order, setup),
        cmocka_unit_test_setup(test_gso_refused, setup),
        cmocka_unit_test_setup(test_path_lost, setup),
        cmocka_unit_test_setup(test_gso_avoids_destination, setup),
        cmocka_unit_test_setup(test_gso_avoid_ends, setup),
        cmocka_unit_test_setup(test_gso_avoid_ends_within_run, setup),
        cmocka_unit_test_setup(test_eagain_within_run, setup),
        cmocka_unit_test_setup(test_results, setup),
        cmocka_unit_test_setup(test_pending_error, setup),
        cmocka_unit_test_setup(test_closed, setup),
        cmocka_unit_test_setup(test_random, setup),
    };
    log_set_level(LOG_WARN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
