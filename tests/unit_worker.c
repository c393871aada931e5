/* SPDX-License-Identifier: Apache-2.0 */
/* Workers side by side: lending of buffers, staging, roaming, the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/worker_rig.c"

static const struct engine_config one_worker = {.workers = 1, .crypto = CRYPT_AUTO};
static const struct engine_config three_workers = {.workers = 3, .crypto = CRYPT_AUTO};

enum {
    SECOND_MS = 1000,
    AT_REST = WORKER_TUN_BUFFERS / 2 /* what one worker that stands still holds */
};

/* Worker 1 stands still, worker 0 reads for all: its other peers, and those of worker 2, lose nothing. */
static void test_frozen_owner(void **state) REQUIRES_ROLE(role_worker)
{
    unsigned for_frozen = 0, for_others = 0, refused = 0;
    (void)state;
    rig_start(&three_workers, 3);
    for (unsigned i = 0; i < 3; i++)
        rig_session(i);
    for (unsigned ms = 0; ms < SECOND_MS; ms++, rig.now += NS_PER_MS) {
        for (unsigned k = 0; k < 5; k++) {
            bool got = rig_feed_segments(0, 1, 3);
            for_frozen += got ? 3 : 0;
            refused += !got;
            for (unsigned peer = 0; peer < 3; peer += 2) {
                got = rig_feed(0, peer, 100, 0);
                for_others += got;
                refused += !got;
            }
        }
        rig_loop(0);
        rig_loop(2);
        rig_loop(0);
        /* Patience costs a moment; then worker 0 always reads. */
        if (ms > 200)
            assert_int_equal(rig_used(0, IO_RX_TUN), AT_REST);
        if (ms == 200)
            refused = 0;
    }
    assert_int_equal(refused, 0);
    assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), for_others);
    assert_int_equal(rig_count(VERDICT_OUT_HANDOFF_FULL), for_frozen - 3 * AT_REST);

    /* It goes on with what it was lent, and all buffers are free again. */
    rig_loop(1);
    rig_loop(0);
    assert_int_equal(rig_used(0, IO_RX_TUN), 0);
    assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), for_others + 3 * AT_REST);
    assert_int_equal(rig_out(), for_frozen + for_others);
    rig_stop();
}

/* A worker that is only slower than the reader loses nothing: its packets wait, in order. */
static void test_slow_owner(void **state) REQUIRES_ROLE(role_worker)
{
    unsigned fed = 0;
    (void)state;
    rig_start(&three_workers, 3);
    rig_session(1);
    for (unsigned round = 0; round < 100; round++, rig.now += 10 * NS_PER_MS) {
        while (rig_feed(0, 1, 100 + fed % 1000, 0))
            fed++;
        rig_loop(0);
        assert_true(rig.io[0].deadline == TIME_NEVER || rig.io[0].deadline > rig.now ||
                    rig.io[0].deadline == 0);
        if (round % 5 == 4)
            rig_loop(1);
    }
    assert_true(rig_tally(TALLY_HANDOFFS_WAITED) > 0);
    for (unsigned i = 0; i < 4; i++) {
        rig_loop(1);
        rig_loop(0);
    }
    assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), fed);
    assert_int_equal(rig_used(0, IO_RX_TUN), 0);
    uint64_t bytes = 0, expected = 0;
    for (unsigned i = 0; i < rig.io[1].sends_n; i++)
        bytes += rig.io[1].sends[i].len;
    for (unsigned i = 0; i < fed; i++)
        expected += 100 + i % 1000 + WG_DATA_OVERHEAD;
    assert_int_equal(bytes, expected);
    rig_stop();
}

/* While something waits the reader sleeps no longer than its patience. */
static void test_patience_ends(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    rig_start(&three_workers, 3);
    rig_session(1);
    time_ns begin = rig.now;
    for (unsigned i = 0; i < AT_REST + 2; i++)
        assert_true(rig_feed(0, 1, 100, 0));
    rig_loop(0);
    rig_loop(0);
    time_ns deadline = rig.io[0].deadline;
    assert_true(deadline > begin && deadline < begin + NS_PER_SEC);
    rig.now = deadline;
    rig_loop(0);
    assert_int_equal(rig_count(VERDICT_OUT_HANDOFF_FULL), 2);
    rig_loop(0);
    assert_true(rig.io[0].deadline == TIME_NEVER);
    rig_stop();
}

/* Datagrams that alternate between two owners: a span each, far more than a ring holds, back and forth. */
static void test_interleaved_datagrams(void **state) REQUIRES_ROLE(role_worker)
{
    enum {
        SEGMENTS = 64
    };
    uint64_t datagrams = 0;
    (void)state;
    rig_start(&three_workers, 3);
    for (unsigned round = 0; round < 40; round++, rig.now += NS_PER_MS) {
        struct io_rx *rx;
        for (unsigned b = 0; b < 8 && (rx = rig_record(0, IO_RX_UDP)); b++) {
            rx->segment_size = WG_DATA_LEN_MIN;
            rx->len = SEGMENTS * WG_DATA_LEN_MIN;
            memset(rx->data, 0, rx->len);
            for (uint32_t i = 0; i < SEGMENTS; i++) {
                uint8_t *msg = rx->data + i * WG_DATA_LEN_MIN;
                store_le32(msg, WG_KIND_DATA);
                store_le32(msg + WG_DATA_RECEIVER, (1 + i % 2) << ENGINE_OWNER_SHIFT);
            }
            datagrams += SEGMENTS;
        }
        rig_loop(0);
        if (round % 2 == 1)
            rig_loop(1);
        rig_loop(2);
    }
    for (unsigned i = 0; i < 1000 && rig_used(0, IO_RX_UDP) > 0; i++) {
        rig_loop(1);
        rig_loop(2);
        rig_loop(0);
    }
    assert_int_equal(rig_used(0, IO_RX_UDP), 0);
    assert_true(rig_count(VERDICT_IN_NO_SESSION) > 0);
    assert_int_equal(rig_in(), datagrams);
    rig_stop();
}

/* What came by a socket that is gone does not bring its address back, whoever read it. */
static void test_source_after_roam(void **state) REQUIRES_ROLE(role_worker)
{
    struct command drop = {.kind = COMMAND_SOCKETS_DROP};
    struct engine_config two = three_workers;
    (void)state;
    two.workers = 2;
    rig_start(&two, 2);
    for (unsigned i = 0; i < 2; i++)
        rig_session(i);
    const struct ip_source *source = &rig.peers[1]->source;
    for (unsigned i = 0; i < 4; i++) {
        rig_feed(1, 1, 100, 0);
        rig_loop(1);
    }
    assert_int_equal(rig.io[1].sends_n, 4);

    rig_receive(1, 1, 0, "198.51.100.1:1");
    rig_loop(1);
    assert_int_equal(source->ip.family, ADDR_V4);

    /* Read in the loop that drops the sockets, */
    rig_receive(1, 1, 1, "198.51.100.1:1");
    rig_command(1, &drop);
    assert_int_equal(rig_count(VERDICT_IN_FORWARDED), 2);
    assert_int_equal(source->ip.family, ADDR_NONE);

    /* or lent by a worker that had not dropped its own yet. */
    rig_receive(0, 1, 2, "198.51.100.1:1");
    rig_command(0, &drop);
    rig_loop(1);
    assert_int_equal(rig_count(VERDICT_IN_FORWARDED), 3);
    assert_int_equal(source->ip.family, ADDR_NONE);

    /* The new sockets' addresses count again. */
    rig_receive(0, 1, 3, "203.0.113.1:1");
    rig_loop(0);
    rig_loop(1);
    assert_int_equal(rig_count(VERDICT_IN_FORWARDED), 4);
    assert_int_equal(source->ip.family, ADDR_V4);
    assert_int_equal(source->ip.bytes[0], 203);
    rig_stop();
}

/* Dead peers fill the pool; the first packets of all others still find room, at the cost of those that have most. */
static void test_stage_is_shared(void **state) REQUIRES_ROLE(role_worker)
{
    const struct stage_pool *pool;
    unsigned dead, fed = 0, staged = 0;
    (void)state;
    rig_start(&one_worker, 4000);
    pool = &rig.engine->workers[0]->stage;
    dead = pool->n / PEER_STAGED_MAX + 1;
    for (unsigned i = 0; i < dead * PEER_STAGED_MAX; i++) {
        rig_feed(0, i % dead, 100, 0);
        rig_loop(0);
        fed++;
    }
    assert_int_equal(pool->free_n, 0);
    for (unsigned i = dead; i < 4000; i++) {
        unsigned most = pool->largest, before = rig.peers[i]->staged_n;
        rig_feed(0, i, 100, 0);
        rig_loop(0);
        fed++;
        if (i < pool->n) /* as long as there is one for each */
            assert_int_equal(rig.peers[i]->staged_n, before + 1);
        assert_true(pool->largest <= most);
        if (i < dead + 50) { /* who has few does not pay for its own */
            rig_feed(0, i, 100, 0);
            rig_loop(0);
            fed++;
            assert_int_equal(rig.peers[i]->staged_n, 2);
        }
    }
    for (unsigned i = 0; i < 4000; i++) {
        assert_true(rig.peers[i]->staged_n <= pool->largest);
        staged += rig.peers[i]->staged_n;
    }
    assert_int_equal(staged, pool->n);
    assert_int_equal(rig_count(VERDICT_OUT_STAGE_FULL), fed - staged);
    assert_int_equal(rig_out(), fed - staged);

    /* Whoever gets a session sends the newest it has, and the bookkeeping holds until the pool is empty. */
    for (unsigned i = 0; i < 4000; i++)
        rig_command(0, &(struct command){.kind = COMMAND_STAGE_PURGE, .slot = i});
    assert_int_equal(pool->free_n, pool->n);
    assert_int_equal(pool->largest, 0);
    assert_int_equal(rig_out(), fed);
    rig_stop();
}

/* Each peer keeps its latest packets, and no more than its share when nobody else needs the room. */
static void test_stage_limit(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    rig_start(&one_worker, 2);
    for (unsigned i = 0; i < PEER_STAGED_MAX + 10; i++) {
        rig_feed(0, 0, 100 + i, 0);
        rig_loop(0);
    }
    rig_feed(0, 1, 100, 0);
    rig_loop(0);
    assert_int_equal(rig_count(VERDICT_OUT_STAGE_FULL), 10);
    rig_session(0);
    assert_int_equal(rig.io[0].sends[0].len, 110 + WG_DATA_OVERHEAD);
    assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), PEER_STAGED_MAX);
    assert_int_equal(rig.peers[1]->staged_n, 1);
    rig_stop();
}

/* Whatever waits when the engine ends gets its verdict then. */
static void test_stop(void **state) REQUIRES_ROLE(role_worker)
{
    unsigned fed = 0, received = 0;
    (void)state;
    rig_start(&three_workers, 6);
    rig_session(0);
    rig_feed(0, 0, 100, 0);
    rig_loop(0);
    fed++;

    rig.io[0].hold = true;
    for (unsigned i = 0; i < WORKER_TRAINS; i++, fed++) { /* in flight */
        rig_feed(0, 0, 100, 0);
        rig_loop(0);
    }
    assert_true(rig.engine->workers[0]->frames.n > 0);
    assert_true(rig_feed_segments(0, 0, 7)); /* deferred, too */
    rig_loop(0);
    fed += 7;
    struct io_rx *rx = rig_record(1, IO_RX_UDP); /* lent */
    rx->segment_size = WG_DATA_LEN_MIN;
    rx->len = 3 * WG_DATA_LEN_MIN;
    memset(rx->data, 0, rx->len);
    for (unsigned i = 0; i < 3; i++)
        store_le32(rx->data + i * WG_DATA_LEN_MIN, WG_KIND_DATA);
    received += 3;
    for (unsigned i = 0; i < AT_REST + 1; i++) { /* lent, waiting */
        rig_feed(2, 1, 100, 0);
        fed++;
    }
    rig_feed(2, 5, 100, 0); /* staged */
    fed++;
    rig_loop(1);
    rig_loop(2);
    assert_true(rig_out() < fed);
    for (unsigned i = 0; i < 3; i++)
        worker_stop(rig.engine->workers[i]);
    assert_int_equal(rig_out(), fed);
    assert_int_equal(rig_in(), received);
    assert_true(rig_count(VERDICT_OUT_STOPPED) > 0);
    assert_int_equal(rig_count(VERDICT_IN_STOPPED), 3);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frozen_owner),      cmocka_unit_test(test_slow_owner),
        cmocka_unit_test(test_patience_ends),     cmocka_unit_test(test_interleaved_datagrams),
        cmocka_unit_test(test_source_after_roam), cmocka_unit_test(test_stage_is_shared),
        cmocka_unit_test(test_stage_limit),       cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
