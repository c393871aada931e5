/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of datagrams over loopback: order, content, runs; and the measurement that is made of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "platform/base/bytes.h"
#include "tools/fzrelay/ceiling.h"
#include "tools/fzrelay/udp_batch.h"

enum {
    ENDS = 3
};

struct net {
    int fds[ENDS];
    struct sock_addr at[ENDS];
    struct inbox *in;
    struct outbox *out;
};

static void start(struct net *n, const char *where, bool gso)
{
    char why[256];
    struct sock_addr any = {.port = 0};

    assert_int_equal(ip_addr_parse(&any.ip, where), ERR_OK);
    n->in = inbox_new();
    n->out = outbox_new(gso);
    for (unsigned i = 0; i < ENDS; i++) {
        assert_int_equal(udp_batch_open(&n->fds[i], &any, why, sizeof why), ERR_OK);
        assert_int_equal(udp_batch_bound(n->fds[i], &n->at[i]), ERR_OK);
    }
}

static void stop(struct net *n)
{
    for (unsigned i = 0; i < ENDS; i++)
        close(n->fds[i]);
    inbox_free(n->in);
    outbox_free(n->out);
}

/* The lengths of what has come, in order; each datagram holds its number. */
static unsigned receive(struct net *n, int fd, size_t *lengths, unsigned max)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct inbox_item item;
    unsigned got = 0;

    while (got < max && poll(&p, 1, 2000) > 0) {
        unsigned items = inbox_receive(n->in, fd);
        for (unsigned i = 0; i < items; i++) {
            assert_true(inbox_get(n->in, i, &item));
            assert_true(sock_addr_equal(&item.from, &n->at[0]));
            size_t at = 0;
            do {
                size_t len = size_min(item.segment, item.len - at);
                assert_true(got < max);
                if (len > 0)
                    assert_int_equal(item.bytes[at + len - 1], got & 255);
                lengths[got++] = len;
                at += len;
            } while (at < item.len);
        }
    }
    return got;
}

static void add(struct net *n, unsigned to, unsigned i, size_t len)
{
    static uint8_t payloads[256][2048]; /* they are read when they are sent */
    uint8_t header[4] = {1, 2, 3, (uint8_t)i};
    uint8_t *payload = payloads[i & 255];

    assert_true(len <= sizeof payloads[0]);
    if (len > 4)
        payload[len - 5] = (uint8_t)i;
    outbox_add(n->out, n->fds[0], &n->at[to], header, size_min(len, 4), payload,
               len > 4 ? len - 4 : 0);
}

static void test_order_and_content(void **state)
{
    static const char *const where[] = {"127.0.0.1", "::1"};
    static const size_t lengths[] = {1316, 1316, 1316, 700, 1316, 1316, 0, 4, 4, 4, 5, 1000, 1316};
    size_t got[128];
    (void)state;

    for (unsigned k = 0; k < 4; k++) {
        struct net n;
        start(&n, where[k % 2], k < 2);
        for (unsigned i = 0; i < 128; i++)
            add(&n, 1, i, lengths[i % ARRAY_LEN(lengths)]);
        outbox_flush(n.out);
        assert_int_equal(receive(&n, n.fds[1], got, 128), 128);
        for (unsigned i = 0; i < 128; i++)
            assert_int_equal(got[i], lengths[i % ARRAY_LEN(lengths)]);
        assert_int_equal(outbox_stats(n.out)->datagrams, 128);
        assert_int_equal(outbox_stats(n.out)->full + outbox_stats(n.out)->failed, 0);
        if (k >= 2)
            assert_int_equal(outbox_stats(n.out)->runs, 0);
        stop(&n);
    }
}

/* Two destinations in turns: each gets a run of its own. */
static void test_interleaved(void **state)
{
    struct net n;
    size_t got[20];
    (void)state;

    start(&n, "127.0.0.1", true);
    for (unsigned i = 0; i < 40; i++)
        add(&n, 1 + i % 2, i / 2, 500);
    outbox_flush(n.out);
    assert_int_equal(receive(&n, n.fds[1], got, 20), 20);
    assert_int_equal(receive(&n, n.fds[2], got, 20), 20);
    assert_int_equal(outbox_stats(n.out)->runs, 2);
    assert_int_equal(outbox_stats(n.out)->calls, 1);
    outbox_flush(n.out);
    assert_int_equal(outbox_stats(n.out)->calls, 1);
    stop(&n);
}

/* A run whose datagrams do not fit the path as segments goes datagram by datagram. */
static void test_refused_run(void **state)
{
    static uint8_t big[30000];
    struct net n;
    (void)state;

    start(&n, "127.0.0.1", true);
    struct sock_addr nowhere = {.ip = {ADDR_V6, {[15] = 1}}, .port = 9};
    add(&n, 1, 0, 100);
    for (unsigned i = 0; i < 2; i++)
        outbox_add(n.out, n.fds[0], &nowhere, NULL, 0, big, 1000);
    add(&n, 1, 1, 100);
    outbox_flush(n.out);
    size_t got[2];
    assert_int_equal(receive(&n, n.fds[1], got, 2), 2);
    assert_int_equal(outbox_stats(n.out)->failed, 2);
    /* As large as there are any. */
    for (unsigned i = 0; i < 4; i++)
        outbox_add(n.out, n.fds[0], &n.at[1], NULL, 0, big, sizeof big);
    outbox_flush(n.out);
    assert_int_equal(outbox_stats(n.out)->failed, 2);
    stop(&n);
}

static void test_taken(void **state)
{
    struct net n;
    char why[256];
    int fd;
    (void)state;

    start(&n, "127.0.0.1", true);
    assert_int_equal(udp_batch_open(&fd, &n.at[0], why, sizeof why), ERR_IN_USE);
    assert_int_equal(fd, -1);
    assert_non_null(strstr(why, "cannot use UDP 127.0.0.1:"));
    stop(&n);
}

/* How fast it is, is said nowhere: only that what goes in comes out. */
static void test_ceiling(void **state)
{
    struct ceiling_row rows[CEILING_ROWS];
    char why[256];
    (void)state;

    assert_int_equal(ceiling_measure(rows, 1316, 2000, why, sizeof why), ERR_OK);
    for (unsigned i = 0; i < CEILING_ROWS; i++) {
        assert_true(rows[i].forwarded + rows[i].lost >= 2000);
        assert_true(rows[i].forwarded > 1000 && rows[i].cpu_ns > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_content), cmocka_unit_test(test_interleaved),
        cmocka_unit_test(test_refused_run),       cmocka_unit_test(test_taken),
        cmocka_unit_test(test_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
