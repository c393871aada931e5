/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers for one hot peer: they do take part, keep the order, lose nothing, and may stand still. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <unistd.h>

#include "tests/engine_flows.c"

enum {
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    PACKETS = 600,
#elif defined(__clang__) && defined(FZ_DEBUG)
    PACKETS = 1000,
#else
    PACKETS = 4000,
#endif
    FLOWS = 8,
    BURST = 256, /* packets on their way at most */
    FREEZE_MS = 20,
    BACKLOG_MS = 3
};

static uint64_t tally_sum(const struct pair_side *s, enum tally t)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < engine_workers(s->engine); i++)
        sum += counter_read(&engine_counters(s->engine, i)->tallies[t]);
    return sum;
}

static const struct pair_config hot = {.workers = 3,
                                       .peers = 1,
                                       .io = IO_AUTO,
                                       .steering = true,
                                       .helpers = ENGINE_HELPERS_ALWAYS,
                                       .sessions = true};

/* Stops threads of both sides now and then: owners, so that a backlog builds up, and helpers in a job. */
struct freezer {
    struct pair *pair;
    bool helpers, stop;
    pthread_t thread;
};

static void freeze_side(const struct freezer *f, struct pair_side *s)
{
    const struct command owner = {.kind = COMMAND_FREEZE, .token = BACKLOG_MS * NS_PER_MS};
    const struct command helper = {.kind = COMMAND_FREEZE_JOB, .token = FREEZE_MS * NS_PER_MS};
    engine_command(s->engine, 0, &owner);
    for (unsigned worker = 1; f->helpers && worker < f->pair->config.workers; worker++)
        engine_command(s->engine, worker, &helper);
}

static void *freezer_main(void *arg)
{
    struct freezer *f = arg;
    while (!__atomic_load_n(&f->stop, __ATOMIC_RELAXED)) {
        freeze_side(f, &f->pair->a);
        freeze_side(f, &f->pair->b);
        usleep((f->helpers ? 3 * FREEZE_MS : 5 * BACKLOG_MS) * 1000);
    }
    return NULL;
}

static void freezer_start(struct freezer *f, struct pair *p, bool helpers)
{
    *f = (struct freezer){.pair = p, .helpers = helpers};
    assert_int_equal(pthread_create(&f->thread, NULL, freezer_main, f), 0);
}

static void freezer_stop(struct freezer *f)
{
    __atomic_store_n(&f->stop, true, __ATOMIC_RELAXED);
    pthread_join(f->thread, NULL);
}

/* One peer, one owner: the other two workers seal and open for it, on both sides. */
static void test_helpers_take_part(void **state)
{
    (void)state;
    for (unsigned m = 0; m < ARRAY_LEN(modes); m++) {
        struct pair p;
        struct pair_config config = hot;
        config.workers = modes[m].workers;
        config.io = modes[m].io;
        config.steering = modes[m].steering;
        struct freezer freezer;
        pair_start(&p, &config);
        freezer_start(&freezer, &p, false);
        for (unsigned try = 0; try < 30; try++) {
            run_flows(&p, 1, FLOWS, PACKETS / 4);
            if (tally_sum(&p.a, TALLY_HELP_GIVEN) > 0 &&
                (!config.steering || tally_sum(&p.b, TALLY_HELP_GIVEN) > 0))
                break;
        }
        freezer_stop(&freezer);
        if (config.workers == 1) {
            assert_int_equal(tally_sum(&p.a, TALLY_HELP_OFFERED), 0);
            assert_int_equal(tally_sum(&p.b, TALLY_HELP_OFFERED), 0);
        } else {
            assert_true(tally_sum(&p.a, TALLY_HELP_GIVEN) > 0);
            /* Datagrams in buffers of another worker are opened by the owner itself. */
            assert_true(!config.steering || tally_sum(&p.b, TALLY_HELP_GIVEN) > 0);
        }
        pair_stop(&p);
    }
}

/* Helpers stop in the middle of a batch for 20 ms: nothing is lost, nothing overtakes, nothing is too old. */
static void test_frozen_helper(void **state)
{
    (void)state;
    for (unsigned io = IO_URING; io <= IO_EPOLL; io++) {
        struct pair p;
        struct pair_config config = hot;
        struct freezer freezer;

        config.io = (enum io_backend)io;
        pair_start(&p, &config);
        freezer_start(&freezer, &p, true);
        for (unsigned try = 0; try < 50; try++) {
            run_flows(&p, 1, FLOWS, PACKETS / 8);
            if (tally_sum(&p.a, TALLY_HELP_LATE) > 0 && tally_sum(&p.b, TALLY_HELP_LATE) > 0)
                break;
        }
        freezer_stop(&freezer);
        assert_true(tally_sum(&p.a, TALLY_HELP_LATE) > 0);
        assert_true(tally_sum(&p.b, TALLY_HELP_LATE) > 0);
        assert_int_equal(pair_count(&p.b, VERDICT_IN_REPLAY_DUPLICATE), 0);
        pair_stop(&p);
    }
}

static void send_burst(struct pair *p, uint32_t *sequence)
{
    for (unsigned i = 0; i < BURST; i++) {
        uint8_t packet[1420];
        unsigned len = pair_packet(packet, true, 0, 0, *sequence, 1200);
        if (!pair_write(&p->a, 0, packet, len))
            return;
        ++*sequence;
    }
}

/* Sessions, sockets, peers and the engine itself end while batches are with helpers that stand still. */
static void test_ends_meanwhile(void **state)
{
    (void)state;
    static uint8_t frame[FRAME_MAX];
    for (unsigned round = 0; round < 12; round++) {
        struct pair p;
        uint32_t sequence = 0, next = 0;
        const struct command freeze = {.kind = COMMAND_FREEZE_JOB, .token = FREEZE_MS * NS_PER_MS};
        pair_start(&p, &hot);
        run_flows(&p, 1, 1, 10);
        for (unsigned worker = 1; worker < hot.workers; worker++) {
            engine_command(p.a.engine, worker, &freeze);
            engine_command(p.b.engine, worker, &freeze);
        }
        send_burst(&p, &sequence);
        struct pair_side *side = round & 1 ? &p.a : &p.b;
        switch (round / 2 % 3) {
        case 0:
            engine_command(side->engine, 0, &(struct command){.kind = COMMAND_PEER_REMOVE});
            assert_int_equal(pair_wait_acks(side, ACK_PEER_GONE, 1, 5000), 1);
            break;
        case 1:
            engine_command(side->engine, 0, &(struct command){.kind = COMMAND_SESSIONS_DROP});
            send_burst(&p, &sequence);
            break;
        default:
            engine_command(side->engine, 0, &(struct command){.kind = COMMAND_SOCKETS_DROP});
            assert_int_equal(pair_wait_acks(side, ACK_SOCKETS_DROPPED, 1, 5000), 1);
        }
        unsigned got;
        (void)next;
        while ((got = pair_read(&p.b, frame, sizeof frame, 0)) > 0)
            ;
        pair_stop(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_helpers_take_part),
        cmocka_unit_test(test_frozen_helper),
        cmocka_unit_test(test_ends_meanwhile),
    };
    alarm(150); /* what hangs has failed */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
