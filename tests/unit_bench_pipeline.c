/* SPDX-License-Identifier: Apache-2.0 */
/* The pipeline benchmark counts real work: packets arrive, are what was sent, and damage is seen. */
#include "bench/pipeline_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/traffic.h"
#include "engine/wire/channel.h"
#include "engine/wire/wg.h"
#include "platform/base/bytes.h"

static void test_cases(void **state)
{
    static const struct {
        bool ingress, channel;
        unsigned inner_len, workers, peers;
        enum crypt_backend crypto;
    } cases[] = {
        {false, false, 41, 1, 1, CRYPT_AUTO},   {false, true, 1280, 1, 1, CRYPT_BORINGSSL},
        {false, false, 1420, 2, 2, CRYPT_AUTO}, {false, true, 1280, 2, 1, CRYPT_AUTO},
        {true, false, 41, 1, 1, CRYPT_AUTO},    {true, true, 1280, 1, 1, CRYPT_BORINGSSL},
        {true, false, 1420, 2, 2, CRYPT_AUTO},  {true, true, 1280, 2, 1, CRYPT_AUTO},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pipeline_case c = {.ingress = cases[i].ingress,
                                  .channel = cases[i].channel,
                                  .inner_len = cases[i].inner_len,
                                  .workers = cases[i].workers,
                                  .peers = cases[i].peers,
                                  .crypto = cases[i].crypto,
                                  .packets = 2000};
        struct pipeline_outcome r;
        char why[256] = "";
        if (!pipeline_run(&c, &r, why, sizeof why))
            fail_msg("case %zu: %s", i, why);
        assert_true(r.packets >= 2000ull * c.peers && r.packets < 2100ull * c.peers);
        assert_true(r.counts.ns > 0);
        assert_int_equal(r.counts.allocated, 0);
        assert_true(r.bytes >= r.packets * (c.inner_len - 40));
        assert_true((c.ingress ? r.frames : r.sends) > 0);
        assert_true(pipeline_ceiling(&c, &r, why, sizeof why));
        assert_true(r.packets >= 2000ull * c.workers && r.counts.ns > 0);
    }
}

static void test_timed(void **state)
{
    struct pipeline_case c = {.inner_len = 512, .workers = 1, .peers = 1, .ms = 20};
    struct pipeline_outcome r;
    char why[256];
    (void)state;
    assert_true(pipeline_run(&c, &r, why, sizeof why));
    assert_true(r.packets > 0 && r.wall_ns >= 20 * NS_PER_MS);
    assert_true(pipeline_ceiling(&c, &r, why, sizeof why));
    assert_true(r.packets > 0);
}

static void test_damage_is_seen(void **state)
{
    static const uint8_t key[CRYPT_KEY_LEN] = {7};
    struct traffic *t = calloc(1, sizeof *t);
    uint8_t *datagrams = calloc(1, TRAFFIC_FRAME_MAX);
    (void)state;
    for (unsigned relayed = 0; relayed < 2; relayed++) {
        unsigned stride = 600 + WG_DATA_OVERHEAD + (relayed ? CHANNEL_HEADER_LEN : 0);
        traffic_init(t, &(struct traffic_config){.peer = 3,
                                                 .inbound = true,
                                                 .inner_len = 600,
                                                 .channel = relayed ? 0x4001 : 0,
                                                 .receiver = 9,
                                                 .key = key});
        assert_int_equal(traffic_datagrams(t, datagrams), t->per_frame * stride);
        for (unsigned i = 0; i < t->per_frame; i++)
            assert_true(traffic_verify(t, datagrams + (size_t)i * stride, stride));
        assert_false(traffic_verify(t, datagrams, stride - 1));
        for (unsigned at = 0; at < stride; at++) {
            if (at >= stride - 600 - WG_DATA_OVERHEAD + WG_DATA_RECEIVER &&
                at < stride - 600 - WG_DATA_OVERHEAD + WG_DATA_COUNTER)
                continue; /* the index is not for the benchmark to check */
            datagrams[at] ^= 1;
            assert_false(traffic_verify(t, datagrams, stride));
            datagrams[at] ^= 1;
        }
        traffic_fini(t);
    }
    free(t);
    free(datagrams);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_timed),
        cmocka_unit_test(test_damage_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
