/* SPDX-License-Identifier: Apache-2.0 */
/* The relay on real sockets: a port that somebody else has, and how many calls of the kernel forward how many datagrams. */
#include "tests/relay_rig.h"

#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/clock.h"
#include "platform/loop.h"
#include "tools/fzrelay/relay_io.h"
#include "tools/fzrelay/udp_batch.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
    BURST = 64, /* datagrams: as many as the kernel takes in one run */
    PAYLOAD = 1000,
    ATTEMPTS = 50 /* the kernel may deliver a burst piece by piece */
};
#define CHANNEL CHANNEL_FIRST

static const struct sock_addr loopback = {.ip = {ADDR_V4, {127, 0, 0, 1}}};

struct net {
    struct loop *loop;
    struct relay_io *relay;
    struct loop_timer guard;
    struct sock_addr server, peer_addr, relayed;
    int client, peer;
    struct rig_client who;
    struct inbox *in;
    struct outbox *runs, *singles;
};

static void on_readable(void *arg, unsigned events)
{
    (void)events;
    loop_stop(arg);
}

static void on_late(void *arg)
{
    (void)arg;
    fail_msg("nothing comes");
}

/* The relay works until that socket has something. */
static void await(struct net *n, int fd)
{
    assert_int_equal(loop_add_fd(n->loop, fd, LOOP_READ, on_readable, n->loop), ERR_OK);
    loop_timer_set(n->loop, &n->guard, clock_now() + 10 * NS_PER_SEC);
    assert_int_equal(loop_run(n->loop), ERR_OK);
    loop_timer_clear(n->loop, &n->guard);
    loop_del_fd(n->loop, fd);
}

static int open_end(struct sock_addr *at)
{
    char why[256];
    int fd;

    assert_int_equal(udp_batch_open(&fd, &loopback, why, sizeof why), ERR_OK);
    assert_int_equal(udp_batch_bound(fd, at), ERR_OK);
    return fd;
}

static void start(struct net *n, uint16_t lowest_port, uint16_t highest_port)
{
    const struct relay_io_options o = {.relay = {.public4 = loopback.ip,
                                                 .lowest_port = lowest_port,
                                                 .highest_port = highest_port,
                                                 .stamp_secret = RIG_SECRET,
                                                 .seed = {1, 2, 3}},
                                       .listen4 = loopback,
                                       .gso = true};
    char why[256];
    struct sock_addr at;

    *n = (struct net){.in = inbox_new(), .runs = outbox_new(true), .singles = outbox_new(false)};
    assert_int_equal(loop_new(&n->loop), ERR_OK);
    loop_timer_init(&n->guard, on_late, n);
    assert_int_equal(relay_io_new(&n->relay, n->loop, &o, why, sizeof why), ERR_OK);
    assert_true(relay_io_listens(n->relay, ADDR_V4, &n->server));
    n->client = open_end(&at);
    n->peer = open_end(&n->peer_addr);
    rig_client_as(&n->who, "127.0.0.1:1", "99999999999:a");
}

static void stop(struct net *n)
{
    relay_io_free(n->relay);
    loop_free(n->loop);
    close(n->client);
    close(n->peer);
    outbox_free(n->runs);
    outbox_free(n->singles);
    inbox_free(n->in);
}

/* The answer's code; 0: a success, which is authenticated. */
static unsigned ask(struct net *n, struct rig_ask a)
{
    uint8_t buf[512];
    size_t len = rig_write(buf, sizeof buf, &n->who, &a);
    struct inbox_item item;
    struct stun_message m;

    outbox_add(n->singles, n->client, &n->server, NULL, 0, buf, len);
    outbox_flush(n->singles);
    await(n, n->client);
    assert_int_equal(inbox_receive(n->in, n->client), 1);
    assert_true(inbox_get(n->in, 0, &item));
    assert_int_equal(stun_parse(&m, item.bytes, item.len), ERR_OK);
    assert_true(stun_integrity_ok(&m, n->who.key, sizeof n->who.key));
    if (m.nonce.len > 0 && m.nonce.len < sizeof n->who.nonce) {
        memcpy(n->who.nonce, m.nonce.bytes, m.nonce.len);
        n->who.nonce[m.nonce.len] = '\0';
    }
    if (m.class == STUN_SUCCESS && a.method == STUN_ALLOCATE)
        n->relayed = m.relayed4;
    return m.class == STUN_SUCCESS ? 0 : m.error;
}

static void test_port_taken(void **state)
{
    struct sock_addr taken;
    struct net n;
    int fd = open_end(&taken);
    (void)state;

    start(&n, taken.port, taken.port);
    assert_int_equal(ask(&n, (struct rig_ask){.method = STUN_ALLOCATE}), 401);
    assert_int_equal(ask(&n, (struct rig_ask){.method = STUN_ALLOCATE}), 508);
    assert_int_equal(ask(&n, (struct rig_ask){.method = STUN_REFRESH}), 437);
    close(fd);
    assert_int_equal(ask(&n, (struct rig_ask){.method = STUN_ALLOCATE}), 0);
    assert_int_equal(n.relayed.port, taken.port);
    assert_int_equal(ask(&n, (struct rig_ask){.method = STUN_REFRESH}), 0);
    stop(&n);
}

/* ---- how much work it is ---- */

/* The relay's calls and what they carried, of one burst. */
struct work {
    uint64_t in_calls, in_items, out_calls, out_runs, out_datagrams;
};

static struct work work_of(const struct net *n)
{
    const struct inbox_stats *in = relay_io_received(n->relay);
    const struct outbox_stats *out = relay_io_sent(n->relay);

    return (struct work){in->calls, in->items, out->calls, out->runs, out->datagrams};
}

static unsigned count_arrived(struct net *n, int fd)
{
    struct inbox_item item;
    unsigned got = 0, items;

    while ((items = inbox_receive(n->in, fd)) > 0) {
        for (unsigned i = 0; i < items; i++) {
            assert_true(inbox_get(n->in, i, &item) && item.segment > 0);
            got += (unsigned)((item.len + item.segment - 1) / item.segment);
        }
    }
    return got;
}

/* Passes one burst on; nothing else is under way. */
static struct work pass(struct net *n, bool to_peer, struct outbox *out)
{
    static uint8_t payload[PAYLOAD];
    const struct work before = work_of(n);
    uint8_t header[CHANNEL_HEADER_LEN];
    int from = to_peer ? n->client : n->peer, at = to_peer ? n->peer : n->client;
    unsigned got = 0;

    channel_write(header, CHANNEL, PAYLOAD);
    for (unsigned i = 0; i < BURST; i++)
        outbox_add(out, from, to_peer ? &n->server : &n->relayed, header,
                   to_peer ? sizeof header : 0, payload, sizeof payload);
    outbox_flush(out);
    while (got < BURST) {
        await(n, at);
        got += count_arrived(n, at);
    }
    assert_int_equal(got, BURST);
    const struct work now = work_of(n);
    return (struct work){now.in_calls - before.in_calls, now.in_items - before.in_items,
                         now.out_calls - before.out_calls, now.out_runs - before.out_runs,
                         now.out_datagrams - before.out_datagrams};
}

static bool has_gro(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), on = 1;
    bool has = fd >= 0 && setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) == 0;

    close(fd);
    return has;
}

static void prepare(struct net *n)
{
    start(n, 49152, 65535);
    assert_int_equal(ask(n, (struct rig_ask){.method = STUN_ALLOCATE}), 401);
    unsigned code = 508;
    for (unsigned i = 0; i < ATTEMPTS && code == 508; i++) /* somebody else's port */
        code = ask(n, (struct rig_ask){.method = STUN_ALLOCATE});
    assert_int_equal(code, 0);
    assert_int_equal(ask(n, (struct rig_ask){.method = STUN_CHANNEL_BIND,
                                             .channel = CHANNEL,
                                             .peer = n->peer_addr}),
                     0);
}

/* 64 datagrams that come as one are read by one call, and are sent as one by another. */
static void test_runs(void **state)
{
    struct net n;
    (void)state;

    if (!has_gro())
        skip();
    prepare(&n);
    for (unsigned to_peer = 0; to_peer < 2; to_peer++) {
        const struct work w = pass(&n, to_peer, n.runs);
        assert_int_equal(w.in_calls, 1);
        assert_int_equal(w.in_items, 1);
        assert_int_equal(w.out_calls, 1);
        assert_int_equal(w.out_runs, 1);
        assert_int_equal(w.out_datagrams, BURST);
    }
    stop(&n);
}

/* 64 that come one by one: two calls read them, a third finds no more; each batch is sent as one. */
static void test_singles(void **state)
{
    struct net n;
    (void)state;

    prepare(&n);
    for (unsigned to_peer = 0; to_peer < 2; to_peer++) {
        struct work w;
        unsigned i = 0;
        do
            w = pass(&n, to_peer, n.singles);
        while ((w.in_calls > 3 || w.out_calls > 2) && ++i < ATTEMPTS);
        assert_true(w.in_calls <= 3);
        assert_true(w.out_calls <= 2);
        assert_true(w.out_runs <= 2 && w.out_runs > 0);
        assert_int_equal(w.in_items, BURST);
        assert_int_equal(w.out_datagrams, BURST);
    }
    stop(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_port_taken),
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_singles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
