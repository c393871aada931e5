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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keepalive_without_session),
        cmocka_unit_test(test_sessions_dropped_with_staged),
        cmocka_unit_test(test_commands_go_on),
        cmocka_unit_test(test_stop_with_acks_full),
        cmocka_unit_test(test_empty_datagram),
    };
    alarm(60); /* what hangs has failed */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
