/* SPDX-License-Identifier: Apache-2.0 */
/* The pipeline benchmark counts real work: packets arrive, are what was sent, and damage is seen. */
#include "bench/pipeline_run.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bench/traffic.h"
#include "engine/wire/wg.h"
#include "platform/base/bytes.h"

static void test_cases(void **state)
{
    static const struct {
        bool ingress;
        unsigned inner_len, workers, peers;
        enum crypt_backend crypto;
    } cases[] = {
        {false, 41, 1, 1, CRYPT_AUTO},   {false, 1280, 1, 1, CRYPT_BORINGSSL},
        {false, 1420, 2, 2, CRYPT_AUTO}, {false, 1280, 2, 1, CRYPT_AUTO},
        {true, 41, 1, 1, CRYPT_AUTO},    {true, 1280, 1, 1, CRYPT_BORINGSSL},
        {true, 1420, 2, 2, CRYPT_AUTO},  {true, 1280, 2, 1, CRYPT_AUTO},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pipeline_case c = {.ingress = cases[i].ingress,
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
    unsigned stride = 600 + WG_DATA_OVERHEAD;
    (void)state;
    traffic_init(t, 3, true, 600, key, 9);
    assert_int_equal(traffic_datagrams(t, datagrams), t->per_frame * stride);
    for (unsigned i = 0; i < t->per_frame; i++)
        assert_true(traffic_verify(t, datagrams + (size_t)i * stride, stride, i));
    assert_false(traffic_verify(t, datagrams, stride, 1));
    assert_false(traffic_verify(t, datagrams, stride - 1, 0));
    datagrams[300] ^= 1;
    assert_false(traffic_verify(t, datagrams, stride, 0));
    traffic_fini(t);
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
