/* SPDX-License-Identifier: Apache-2.0 */
/* Workers at the edges of their queues and of a peer's life: nothing sticks, nothing is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

#include "tests/engine_pair.c"

enum {
    SLICE_MS = 20,
    PATIENCE_MS = 5000,
    ECHOES_FULL =
        6000, /* more than a worker's ring of acknowledgements and its ring of commands hold */
};

static const struct pair_config one_worker = {
    .workers = 1, .peers = 1, .io = IO_EPOLL, .steering = true, .sessions = true};

/* Takes the peer's edges until one of `wanted` is among them. */
static bool wait_edge(struct pair_side *s, uint32_t wanted, int timeout_ms)
{
    uint32_t edges = 0;
    for (int waited = 0; waited < timeout_ms && !(edges & wanted); waited += SLICE_MS) {
        struct event_edge e;
        struct pollfd fd = {.fd = engine_event_fd(s->engine), .events = POLLIN};
        poll(&fd, 1, SLICE_MS);
        engine_events_begin(s->engine);
        while (engine_pop_edge(s->engine, &e))
            edges |= engine_peer_take_edges(s->peers[e.slot]);
    }
    return edges & wanted;
}

static void command(struct pair_side *s, enum command_kind kind, uint64_t token)
{
    engine_command(s->engine, 0, &(struct command){.kind = (uint8_t)kind, .token = token});
}

static void settle(struct pair_side *s)
{
    command(s, COMMAND_ECHO, 0);
    while (pair_wait_acks(s, ACK_ECHO, 1, PATIENCE_MS) == 0)
        ;
}

/* A keepalive is due, but there is no session (yet, or any more): the peer has to be asked for one. */
static void test_keepalive_without_session(void **state)
{
    struct pair p;
    (void)state;
    pair_start(&p, &one_worker);
    settle(&p.a);
    wait_edge(&p.a, EDGE_ENDPOINT, PATIENCE_MS);

    command(&p.a, COMMAND_SESSIONS_DROP, 0);
    command(&p.a, COMMAND_KEEPALIVE, 0);
    assert_true(wait_edge(&p.a, EDGE_WANT_HANDSHAKE, PATIENCE_MS));
    pair_stop(&p);
}

/* Packets wait for a session when all sessions end: control hears of them again at once. */
static void test_sessions_dropped_with_staged(void **state)
{
    struct pair p;
    uint8_t packet[200];
    (void)state;
    pair_start(&p, &one_worker);
    command(&p.a, COMMAND_SESSIONS_DROP, 0);
    settle(&p.a);
    assert_true(pair_write(&p.a, 0, packet, pair_packet(packet, true, 0, 0, 0, 100)));
    assert_true(wait_edge(&p.a, EDGE_WANT_HANDSHAKE, PATIENCE_MS));

    command(&p.a, COMMAND_SESSIONS_DROP, 0);
    assert_true(wait_edge(&p.a, EDGE_WANT_HANDSHAKE, PATIENCE_MS));
    pair_stop(&p);
}

/* Echoes until the worker stops: its acknowledgements are full. Returns how many were sent. */
static unsigned fill_acks(struct pair_side *s)
{
    unsigned n = 0;
    for (; n < ECHOES_FULL && engine_commands_flush(s->engine); n++) {
        command(s, COMMAND_ECHO, n);
        for (int tries = 0; tries < 10 && !engine_commands_flush(s->engine); tries++)
            usleep(SLICE_MS * 1000);
    }
    return n;
}

/* Making room among the acknowledgements is enough to get a worker going that sleeps on its commands. */
static void test_commands_go_on(void **state)
{
    struct pair p;
    (void)state;
    pair_start(&p, &one_worker);
    settle(&p.a);

    unsigned sent = fill_acks(&p.a);
    assert_true(sent < ECHOES_FULL);
    usleep(SLICE_MS * 1000);
    /* The last one overflowed; all others are in the rings, so that no later push can wake the worker. */
    assert_int_equal(pair_wait_acks(&p.a, ACK_ECHO, sent - 1, PATIENCE_MS), sent - 1);
    pair_stop(&p);
}

/* The engine ends although nobody takes acknowledgements any more. */
static void test_stop_with_acks_full(void **state)
{
    struct pair p;
    (void)state;
    pair_start(&p, &one_worker);
    assert_true(fill_acks(&p.a) < ECHOES_FULL);
    pair_stop(&p);
}

/* An empty datagram has a verdict like every other. */
static void test_empty_datagram(void **state)
{
    struct pair p;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)state;
    pair_start(&p, &one_worker);
    settle(&p.a);
    to.sin_port = htons(p.a.udp.port);
    assert_int_equal(sendto(fd, "", 0, 0, (struct sockaddr *)&to, sizeof to), 0);
    for (int waited = 0; waited < PATIENCE_MS && pair_count(&p.a, VERDICT_IN_MALFORMED) == 0;
         waited += SLICE_MS)
        usleep(SLICE_MS * 1000);
    assert_int_equal(pair_count(&p.a, VERDICT_IN_MALFORMED), 1);
    close(fd);
    pair_stop(&p);
}

static uint64_t tallied(const struct pair_side *s, enum tally t)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < engine_workers(s->engine); i++)
        sum += counter_read(&engine_counters(s->engine, i)->tallies[t]);
    return sum;
}

static uint64_t verdicts(const struct pair_side *s, enum verdict first, enum verdict last)
{
    uint64_t sum = 0;
    for (unsigned v = first; v <= (unsigned)last; v++)
        sum += pair_count(s, (enum verdict)v);
    return sum;
}

static uint64_t out_verdicts(const struct pair_side *s)
{
    return verdicts(s, VERDICT_OUT_FORWARDED, VERDICT_OUT_STOPPED);
}

static uint64_t in_verdicts(const struct pair_side *s)
{
    return verdicts(s, VERDICT_IN_FORWARDED, VERDICT_IN_TUN_FAILED);
}

static uint64_t datagrams_sent(const struct pair_side *s)
{
    return pair_count(s, VERDICT_OUT_FORWARDED) + tallied(s, TALLY_KEEPALIVES_SENT) +
           tallied(s, TALLY_CONTROL_SENT);
}

/* Patient: until `a` and `b` are equal. */
#define WAIT_EQUAL(a, b)                                                                           \
    for (int waited_ = 0; waited_ < PATIENCE_MS && (a) != (b); waited_++)                          \
    usleep(1000)

/* Data, keepalives, datagrams of control, and what is no packet at all. Returns the packets written to a's TUN. */
static unsigned mixed_traffic(struct pair *p, unsigned peers, unsigned strays, int stray_fd)
{
    static uint8_t frame[70000];
    uint8_t packet[1420], junk[100] = {4};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    unsigned written = 0;

    to.sin_port = htons(p->b.udp.port);
    for (unsigned i = 0; i < 60; i++) {
        for (unsigned peer = 0; peer < peers + 1; peer++, written++) /* the last has no route */
            assert_true(pair_write(&p->a, peer, packet,
                                   pair_packet(packet, true, peer, 0, i, 100 + i % 2 * 900)));
        assert_true(pair_write(&p->a, i, junk, 1 + i)); /* no IP packet */
        written++;
        if (i < strays) {
            uint8_t stray[64] = {(uint8_t)(1 + i % 5)};
            sendto(stray_fd, stray, i, 0, (struct sockaddr *)&to, sizeof to);
        }
        for (unsigned peer = 0; peer < peers; peer++) {
            unsigned owner = peer % p->config.workers;
            struct command c = {.kind = COMMAND_DATAGRAM, .slot = peer};
            engine_command(p->a.engine, owner,
                           &(struct command){.kind = COMMAND_KEEPALIVE, .slot = peer});
            assert_int_equal(sock_addr_parse(&c.datagram.to, "127.0.0.1:1"), ERR_OK);
            c.datagram.to.port = p->b.udp.port;
            c.datagram.len = WG_INITIATION_LEN;
            c.datagram.bytes[0] = WG_KIND_INITIATION;
            engine_command(p->a.engine, owner, &c);
        }
        while (pair_read(&p->b, frame, sizeof frame, 0) > 0)
            ;
        WAIT_EQUAL(out_verdicts(&p->a), written);
        /* One packet, one keepalive and one datagram of control for each peer and round. */
        WAIT_EQUAL(datagrams_sent(&p->a), (uint64_t)(i + 1) * peers * 3);
        WAIT_EQUAL(in_verdicts(&p->b), datagrams_sent(&p->a) + (i < strays ? i + 1 : strays));
    }
    return written;
}

/* Every packet that is read has exactly one verdict, and nothing else has. */
static void test_each_packet_one_verdict(void **state)
{
    static const struct {
        enum io_backend io;
        bool steering;
        unsigned workers;
    } modes[] = {{IO_URING, true, 1}, {IO_URING, true, 3}, {IO_URING, false, 3},
                 {IO_EPOLL, true, 1}, {IO_EPOLL, true, 3}, {IO_EPOLL, false, 3}};
    enum {
        PEERS = 7,
        STRAYS = 40
    };
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)state;
    for (unsigned m = 0; m < ARRAY_LEN(modes); m++) {
        struct pair p;
        struct pair_config config = {.workers = modes[m].workers,
                                     .peers = PEERS,
                                     .io = modes[m].io,
                                     .steering = modes[m].steering,
                                     .sessions = true};
        pair_start(&p, &config);
        for (unsigned i = 0; i < config.workers; i++)
            engine_command(p.b.engine, i, &(struct command){.kind = COMMAND_ECHO});
        while (pair_wait_acks(&p.b, ACK_ECHO, config.workers, PATIENCE_MS) == 0)
            ;
        unsigned written = mixed_traffic(&p, PEERS, STRAYS, fd);
        if (out_verdicts(&p.a) != written || in_verdicts(&p.b) != datagrams_sent(&p.a) + STRAYS)
            pair_dump(&p);
        assert_int_equal(out_verdicts(&p.a), written);
        assert_int_equal(in_verdicts(&p.b), datagrams_sent(&p.a) + STRAYS);
        assert_int_equal(pair_count(&p.a, VERDICT_OUT_FORWARDED), 60 * PEERS);
        assert_int_equal(tallied(&p.a, TALLY_KEEPALIVES_SENT), 60 * PEERS);
        assert_int_equal(tallied(&p.a, TALLY_CONTROL_SENT), 60 * PEERS);
        pair_stop(&p);
    }
    close(fd);
}

/* One worker of four cannot use its TUN queue: none of them stays, and the engine is freed as ever. */
static void test_start_fails(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        struct engine_config config = {
            .workers = 4, .io = IO_EPOLL, .crypto = CRYPT_AUTO, .mtu = 1420, .peers_max = 1};
        struct engine_tun tun = {.queues = 4};
        struct engine *e;
        int fds[4][2];
        char why[256] = "";
        for (unsigned i = 0; i < 4; i++) {
            assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds[i]), 0);
            tun.fds[i] = i == round % 4 ? -1 : fds[i][1];
        }
        assert_int_equal(engine_new(&e, &config, why, sizeof why), ERR_OK);
        assert_int_equal(engine_start(e, &tun, why, sizeof why), ERR_INVALID);
        assert_true(why[0] != 0);
        engine_free(e);
        for (unsigned i = 0; i < 4; i++) {
            close(fds[i][0]);
            close(fds[i][1]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keepalive_without_session),
        cmocka_unit_test(test_sessions_dropped_with_staged),
        cmocka_unit_test(test_commands_go_on),
        cmocka_unit_test(test_stop_with_acks_full),
        cmocka_unit_test(test_empty_datagram),
        cmocka_unit_test(test_each_packet_one_verdict),
        cmocka_unit_test(test_start_fails),
    };
    alarm(120); /* what hangs has failed */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
