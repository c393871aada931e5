/* SPDX-License-Identifier: Apache-2.0 */
/* Frames that wait: a loop sends a bounded amount, small packets of idle flows go first, flows keep their order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/worker_rig.c"

static const struct engine_config one_worker = {.workers = 1, .crypto = CRYPT_AUTO};

enum {
    SEGMENTS = 25, /* of 400 bytes: a bulk frame */
    SEGMENT_DATAGRAM = 428 + WG_DATA_OVERHEAD,
    SMALL = 100,
    SMALL_DATAGRAM = SMALL + WG_DATA_OVERHEAD
};

/* All buffers full of bulk of peer 0. */
static unsigned feed_bulk(void)
{
    unsigned n = 0;
    while (rig_feed_segments(0, 0, SEGMENTS))
        n++;
    return n;
}

static void start(void) REQUIRES_ROLE(role_worker)
{
    rig_start(&one_worker, 2);
    rig_session(0);
    rig_session(1);
    rig.io[0].sends_n = 0;
}

static unsigned waiting(void)
{
    return rig.engine->workers[0]->frames.n;
}

static void test_bounded_loop(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    start();
    unsigned n = feed_bulk();
    assert_int_equal(n, WORKER_TUN_BUFFERS);
    rig_loop(0);
    uint64_t sent = rig_count(VERDICT_OUT_FORWARDED);
    assert_int_equal(sent + SEGMENTS * waiting(), n * SEGMENTS);
    assert_true(sent * 428 >= FRAMES_LOOP_BYTES && waiting() > 0);
    /* It goes on without anything new, and does not sleep. */
    rig_loop(0);
    assert_int_equal(rig.io[0].deadline, 0);
    assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), n * SEGMENTS);
    assert_int_equal(waiting(), 0);
    rig_loop(0);
    assert_int_equal(rig.io[0].deadline, TIME_NEVER);
    assert_int_equal(rig_used(0, IO_RX_TUN), 0);
    rig_stop();
}

/* Another peer's small packet leaves before the bulk that waits; one of the same flow behind it. */
static void test_small_goes_first(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    start();
    feed_bulk();
    rig_loop(0);
    assert_true(waiting() > 0);
    unsigned before = rig.io[0].sends_n;

    assert_true(rig_feed_segments(0, 0, 1));
    assert_true(rig_feed(0, 1, SMALL, 0));
    assert_true(rig_feed(0, 1, SMALL, 0)); /* the same flow once more: nothing of it waits */
    rig_loop(0);
    assert_int_equal(rig_tally(TALLY_FRAMES_FIRST), 2);
    assert_int_equal(waiting(), 0);
    const struct io_send *first = &rig.io[0].sends[before];
    assert_int_equal(first->len, 2 * SMALL_DATAGRAM);
    assert_int_equal(load_le32(rig.io[0].sent[before] + WG_DATA_RECEIVER), 2);
    const struct io_send *last = &rig.io[0].sends[rig.io[0].sends_n - 1];
    assert_int_equal(last->segment_size, SEGMENT_DATAGRAM);
    assert_int_equal(rig_out(), rig_count(VERDICT_OUT_FORWARDED));
    rig_stop();
}

/* A fragment may belong to any flow: while one waits, and for it, there is no going first. */
static void test_fragments_stay(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    for (unsigned waits = 0; waits < 2; waits++) {
        start();
        unsigned n = 0;
        for (; n < WORKER_TUN_BUFFERS - 1; n++)
            assert_true(rig_feed_segments(0, 0, SEGMENTS));
        assert_true(rig_feed(0, 1, SMALL, 0));
        struct io_rx *fragment = &rig.io[0].queue[rig.io[0].queue_n - 1];
        if (waits) {
            store_be16(fragment->data + IO_VNET_LEN + IPV4_OFF_FRAG, IPV4_FRAG_MF);
            store_be16(fragment->data + IO_VNET_LEN + IPV4_OFF_CHECKSUM, 0);
        }
        rig_loop(0);
        assert_int_equal(rig_tally(TALLY_FRAMES_FIRST), !waits);
        assert_true(rig_feed(0, 1, SMALL, 0));
        rig_loop(0);
        assert_int_equal(rig_tally(TALLY_FRAMES_FIRST), waits ? 0 : 2);
        rig_stop();
    }
}

/* No trains are free: small packets wait like all others and none is lost. */
static void test_stall(void **state) REQUIRES_ROLE(role_worker)
{
    (void)state;
    start();
    rig.io[0].hold = true;
    unsigned fed = 0, small = 0;
    for (unsigned round = 0; round < 20; round++) {
        fed += feed_bulk();
        rig_loop(0);
        small += rig_feed(0, 1, SMALL, 0);
        rig_loop(0);
    }
    assert_true(waiting() > 0);
    rig.io[0].hold = false;
    for (unsigned round = 0; round < 40; round++) {
        rig_land(0, IO_SENT);
        rig_loop(0);
    }
    assert_int_equal(waiting(), 0);
    assert_int_equal(rig_count(VERDICT_OUT_FORWARDED), fed * SEGMENTS + small);
    assert_int_equal(rig_used(0, IO_RX_TUN), 0);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bounded_loop),
        cmocka_unit_test(test_small_goes_first),
        cmocka_unit_test(test_fragments_stay),
        cmocka_unit_test(test_stall),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
