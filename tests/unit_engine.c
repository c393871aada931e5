/* SPDX-License-Identifier: Apache-2.0 */
/* The workers, end to end: order, batching, handing over, roaming, staging, replay, wake-ups. Real sockets on loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/clock.h"
#include "tests/engine_flows.c"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum {
    SCALE = 10
};
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
enum {
    SCALE = 10
};
#else
enum {
    SCALE = 1
};
#endif
#else
enum {
    SCALE = 1
};
#endif

static void test_order_in_every_mode(void **state)
{
    (void)state;
    for (unsigned m = 0; m < ARRAY_LEN(modes); m++) {
        struct pair p;
        struct pair_config config = {.workers = modes[m].workers,
                                     .peers = 7,
                                     .io = modes[m].io,
                                     .steering = modes[m].steering,
                                     .pad = m % 2,
                                     .helpers = ENGINE_HELPERS_ALWAYS,
                                     .sessions = true};
        print_message("  %s\n", modes[m].name);
        pair_start(&p, &config);
        run_flows(&p, config.peers, 3, 2000 / SCALE);
        if (modes[m].workers > 1 && !modes[m].steering) {
            uint64_t handoffs = 0;
            for (unsigned i = 0; i < modes[m].workers; i++)
                handoffs +=
                    counter_read(&engine_counters(p.a.engine, i)->tallies[TALLY_HANDOFFS_OUT]);
            assert_true(handoffs > 0);
        }
        pair_stop(&p);
    }
}

/* Packets without a session wait, the newest 128, and leave in order once there is one. */
static void test_staging(void **state)
{
    (void)state;
    struct pair p;
    struct pair_config config = {.workers = 1, .peers = 1, .io = IO_EPOLL, .steering = true};
    static uint8_t frame[FRAME_MAX];
    uint32_t next = 200 - 128;

    pair_start(&p, &config);
    struct command c = {.kind = COMMAND_ENDPOINT};
    assert_int_equal(sock_addr_parse(&c.endpoint.to, "127.0.0.1:1"), ERR_OK);
    c.endpoint.to.port = p.b.udp.port;
    engine_command(p.a.engine, 0, &c);
    for (uint32_t i = 0; i < 200; i++) {
        uint8_t packet[1420];
        unsigned len = pair_packet(packet, true, 0, 0, i, 100);
        while (!pair_write(&p.a, 0, packet, len))
            usleep(1000);
    }
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t staged = counter_read(&engine_counters(p.a.engine, 0)->tallies[TALLY_OUT_STAGED]);
        if (staged == 200)
            break;
        usleep(1000);
    }
    assert_int_equal(pair_count(&p.a, VERDICT_OUT_STAGE_FULL), 72);
    /* The peer asked for a handshake, once. */
    struct event_edge e;
    assert_true(engine_pop_edge(p.a.engine, &e));
    assert_int_equal(engine_peer_take_edges(p.a.peers[0]) & EDGE_WANT_HANDSHAKE,
                     EDGE_WANT_HANDSHAKE);
    assert_false(engine_pop_edge(p.a.engine, &e));
    pair_install_session(&p, 0, 0);
    while (next < 200) {
        unsigned got = pair_read(&p.b, frame, sizeof frame, 2000);
        assert_true(got > 0);
        check_frame(frame, got, &next, 1, false);
    }
    pair_stop(&p);
}

/* New sockets a hundred times while packets flow: the port is free each time, and traffic goes on. */
static void test_roam(void **state)
{
    (void)state;
    static uint8_t frame[FRAME_MAX];
    for (unsigned m = 0; m < ARRAY_LEN(modes); m += 2) {
        struct pair p;
        struct pair_config config = {.workers = modes[m].workers,
                                     .peers = 4,
                                     .io = modes[m].io,
                                     .steering = modes[m].steering,
                                     .sessions = true};
        uint32_t next[4] = {0}, sequence = 0;
        char why[256];
        pair_start(&p, &config);
        for (unsigned round = 0; round < 100 / SCALE; round++) {
            for (unsigned k = 0; k < 40; k++, sequence++) {
                for (unsigned peer = 0; peer < 4; peer++) {
                    uint8_t packet[1420];
                    unsigned len = pair_packet(packet, true, peer, (uint16_t)peer, sequence, 900);
                    (void)pair_write(&p.a, peer, packet, len);
                }
            }
            for (unsigned i = 0; i < config.workers; i++)
                engine_command(p.a.engine, i, &(struct command){.kind = COMMAND_SOCKETS_DROP});
            assert_int_equal(pair_wait_acks(&p.a, ACK_SOCKETS_DROPPED, config.workers, 5000),
                             config.workers);
            struct udp_config udp = {.family = ADDR_V4,
                                     .port = p.a.udp.port,
                                     .sockets = config.workers,
                                     .steering = config.steering,
                                     .offloads = true};
            udp_group_close(&p.a.udp);
            assert_int_equal(udp_group_open(&p.a.udp, &udp, why, sizeof why), ERR_OK);
            for (unsigned i = 0; i < config.workers; i++) {
                struct command c = {.kind = COMMAND_SOCKETS_SET};
                c.sockets.v4 = p.a.udp.fds[i];
                c.sockets.v6 = -1;
                engine_command(p.a.engine, i, &c);
            }
            unsigned got;
            while ((got = pair_read(&p.b, frame, sizeof frame, 0)) > 0)
                check_frame(frame, got, next, 4, true);
        }
        run_flows(&p, 0, 0, 0);
        uint32_t before = next[0];
        for (unsigned try = 0; try < 50 && next[0] == before; try++, sequence++) {
            uint8_t packet[1420];
            unsigned len = pair_packet(packet, true, 0, 0, sequence, 900);
            (void)pair_write(&p.a, 0, packet, len);
            unsigned got;
            while ((got = pair_read(&p.b, frame, sizeof frame, 50)) > 0)
                check_frame(frame, got, next, 4, true);
        }
        assert_true(next[0] > before);
        pair_stop(&p);
    }
}

/* Sessions replaced while packets flow; old ones come back and are freed. */
static void test_rekey_under_load(void **state)
{
    (void)state;
    struct pair p;
    struct pair_config config = {
        .workers = 2, .peers = 3, .io = IO_AUTO, .steering = true, .sessions = true};
    pair_start(&p, &config);
    static uint8_t frame[FRAME_MAX];
    uint32_t next[3] = {0};
    for (unsigned round = 1; round < 60; round++) {
        for (uint32_t k = 0; k < 20; k++) {
            for (unsigned peer = 0; peer < 3; peer++) {
                uint8_t packet[1420];
                unsigned len =
                    pair_packet(packet, true, peer, (uint16_t)peer, round * 20 + k, 1000);
                assert_true(pair_write(&p.a, peer, packet, len));
            }
        }
        for (unsigned peer = 0; peer < 3; peer++)
            pair_install_session(&p, peer, round);
        unsigned got;
        while ((got = pair_read(&p.b, frame, sizeof frame, 20)) > 0)
            check_frame(frame, got, next, 3, true);
        pair_wait_acks(&p.a, ACK_SESSION_GONE, 1, 1);
        pair_wait_acks(&p.b, ACK_SESSION_GONE, 1, 1);
    }
    assert_true(next[0] > 1000);
    assert_int_equal(pair_count(&p.b, VERDICT_IN_BAD_TAG), 0);
    pair_stop(&p);
}

/* Peers come and go; sessions and records come back exactly once. */
static void test_peer_removal(void **state)
{
    (void)state;
    struct pair p;
    struct pair_config config = {
        .workers = 2, .peers = 8, .io = IO_AUTO, .steering = true, .sessions = true};
    pair_start(&p, &config);
    run_flows(&p, 8, 1, 50);
    for (unsigned i = 0; i < 8; i++)
        engine_command(p.a.engine, i % 2,
                       &(struct command){.kind = COMMAND_PEER_REMOVE, .slot = i});
    assert_int_equal(pair_wait_acks(&p.a, ACK_PEER_GONE, 8, 5000), 8);
    uint8_t packet[200];
    unsigned len = pair_packet(packet, true, 0, 0, 0, 100);
    assert_true(pair_write(&p.a, 0, packet, len));
    for (unsigned i = 0; i < 2000 && pair_count(&p.a, VERDICT_OUT_NO_PEER) == 0; i++)
        usleep(1000);
    assert_int_equal(pair_count(&p.a, VERDICT_OUT_NO_PEER), 1);
    pair_stop(&p);
}

/* Single commands to sleeping workers: every one is answered. The median is printed, not judged. */
static int compare_ns(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

struct wake_job {
    enum io_backend io;
    unsigned rounds;
    uint32_t *latency; /* ns */
    unsigned answered;
};

/* One command at a time, to a worker that sleeps. Stops when an answer does not come. */
static void *wake_thread(void *arg)
{
    struct wake_job *job = arg;
    struct pair p;
    struct pair_config config = {.workers = 2, .peers = 1, .io = job->io, .steering = true};

    pair_start(&p, &config);
    for (unsigned i = 0; i < job->rounds && job->answered == i; i++) {
        time_ns sent = clock_now();
        struct pollfd fd = {.fd = engine_event_fd(p.a.engine), .events = POLLIN};
        struct event_ack a;
        engine_command(p.a.engine, i & 1, &(struct command){.kind = COMMAND_ECHO, .token = i});
        while (job->answered == i && poll(&fd, 1, 10000) == 1) {
            engine_events_begin(p.a.engine);
            while (engine_pop_ack(p.a.engine, &a))
                job->answered += a.kind == ACK_ECHO && a.token == i;
        }
        job->latency[i] = (uint32_t)(clock_now() - sent);
    }
    pair_stop(&p);
    return NULL;
}

/* A million in the plain release build, half of them for each backend; fewer where the same code was only compiled
 * differently. The median is printed, not judged. */
#if defined(FZ_DEBUG) || defined(__clang__)
enum {
    WAKE_ROUNDS = 100000
};
#else
enum {
    WAKE_ROUNDS = 1000000
};
#endif

static void test_no_lost_wake_up(void **state)
{
    (void)state;
    enum {
        JOBS = 4
    };
    unsigned rounds = WAKE_ROUNDS / SCALE / JOBS;
    uint32_t *latency = calloc(rounds * JOBS, sizeof *latency);
    struct wake_job jobs[JOBS];
    pthread_t threads[JOBS];

    for (unsigned i = 0; i < JOBS; i++) {
        jobs[i] = (struct wake_job){.io = i % 2 ? IO_EPOLL : IO_AUTO,
                                    .rounds = rounds,
                                    .latency = latency + (size_t)i * rounds};
        assert_int_equal(pthread_create(&threads[i], NULL, wake_thread, &jobs[i]), 0);
    }
    for (unsigned i = 0; i < JOBS; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < JOBS; i++)
        assert_int_equal(jobs[i].answered, rounds); /* else a wake-up was lost */
    qsort(latency, rounds * JOBS, sizeof *latency, compare_ns);
    print_message("  %u commands to idle workers, none lost; median %u us, p99 %u us\n",
                  rounds * JOBS, latency[rounds * JOBS / 2] / 1000,
                  latency[rounds * JOBS / 100 * 99] / 1000);
    free(latency);
}

/* Without traffic nothing runs. */
static void test_idle_is_silent(void **state)
{
    (void)state;
    for (unsigned m = 0; m < ARRAY_LEN(modes); m++) {
        struct pair p;
        struct pair_config config = {.workers = modes[m].workers,
                                     .peers = 2,
                                     .io = modes[m].io,
                                     .steering = modes[m].steering,
                                     .sessions = true};
        uint64_t loops = 0;
        pair_start(&p, &config);
        usleep(300000);
        for (unsigned i = 0; i < config.workers; i++)
            loops += counter_read(&engine_counters(p.a.engine, i)->tallies[TALLY_LOOPS]);
        usleep(1000000);
        for (unsigned i = 0; i < config.workers; i++)
            loops -= counter_read(&engine_counters(p.a.engine, i)->tallies[TALLY_LOOPS]);
        assert_int_equal(loops, 0);
        pair_stop(&p);
    }
}

/* Handshake messages come to the gate and to no worker that owns peers; what passes reaches control. */
static void test_gate(void **state)
{
    (void)state;
    struct pair p;
    struct pair_config config = {
        .workers = 2, .peers = 2, .io = IO_AUTO, .steering = true, .gate = true, .sessions = true};
    static const uint16_t lens[] = {148, 92};
    uint8_t key[32] = {1}, secret[32] = {2}, msg[148];

    pair_start(&p, &config);
    if (!p.b.udp.steered) {
        pair_stop(&p);
        skip();
    }
    engine_set_gate(p.b.engine, key, secret);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(p.b.udp.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (unsigned i = 0; i < 200; i++) {
        memset(msg, (int)i, sizeof msg);
        store_le32(msg, 1 + i % 2);
        assert_true(sendto(fd, msg, lens[i % 2], 0, (void *)&to, sizeof to) > 0);
    }
    close(fd);
    const struct counter *bad =
        &engine_counters(p.b.engine, config.workers)->verdicts[VERDICT_IN_BAD_MAC1];
    for (unsigned i = 0; i < 5000 && counter_read(bad) < 200; i++)
        usleep(1000);
    assert_int_equal(counter_read(bad), 200);
    assert_int_equal(pair_count(&p.b, VERDICT_IN_BAD_MAC1), 200);
    run_flows(&p, 2, 2, 100); /* data goes on as before */
    pair_stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_in_every_mode),
        cmocka_unit_test(test_staging),
        cmocka_unit_test(test_roam),
        cmocka_unit_test(test_rekey_under_load),
        cmocka_unit_test(test_peer_removal),
        cmocka_unit_test(test_no_lost_wake_up),
        cmocka_unit_test(test_idle_is_silent),
        cmocka_unit_test(test_gate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
