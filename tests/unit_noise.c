/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake's cryptography against a transcript of an independent implementation, and its refusals. */
#include "control/wg/noise.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "platform/base/bytes.h"
#include "tests/support/wg_vectors.h"

struct party {
    struct noise_identity identity;
    struct noise_remote remote;
    struct noise_fresh fresh;
};

static struct party initiator, responder;

static void fresh_set(struct noise_fresh *f, const uint8_t *ephemeral, uint32_t index)
{
    memcpy(f->ephemeral, ephemeral, 32);
    memcpy(f->timestamp, hs_timestamp, 12);
    f->local_index = index;
}

static int set_up(void **state)
{
    (void)state;
    noise_identity_init(&initiator.identity, hs_si);
    noise_identity_init(&responder.identity, hs_sr);
    noise_remote_init(&initiator.remote, &initiator.identity, hs_sr_public, hs_psk);
    noise_remote_init(&responder.remote, &responder.identity, hs_si_public, hs_psk);
    fresh_set(&initiator.fresh, hs_ei, HS_INDEX_I);
    fresh_set(&responder.fresh, hs_er, HS_INDEX_R);
    return 0;
}

/* Runs the whole handshake with the parties' fresh values; asserts that each step succeeds. */
static void run(struct noise_keys *i, struct noise_keys *r, time_ns now)
{
    uint8_t initiation[WG_INITIATION_LEN], response[WG_RESPONSE_LEN];
    struct noise_pending pending;
    struct noise_opened opened;
    assert_true(noise_initiation_create(&pending, initiation, &initiator.identity,
                                        &initiator.remote, &initiator.fresh));
    assert_true(noise_initiation_open(&opened, &responder.identity, initiation));
    assert_int_equal(noise_initiation_accept(&opened, &responder.remote, now), NOISE_OK);
    assert_true(noise_response_create(r, response, &opened, &responder.remote, &responder.fresh));
    assert_true(
        noise_response_consume(i, &pending, &initiator.identity, &initiator.remote, response));
}

static void test_public_keys(void **state)
{
    (void)state;
    assert_memory_equal(initiator.identity.public_key, hs_si_public, 32);
    assert_memory_equal(responder.identity.public_key, hs_sr_public, 32);
}

static void test_clamped(void **state)
{
    struct noise_identity id, unclamped;
    uint8_t key[32];
    (void)state;
    memset(key, 0xff, sizeof key);
    noise_identity_init(&id, key);
    assert_int_equal(id.private_key[0], 0xf8);
    assert_int_equal(id.private_key[31], 0x7f);
    noise_identity_init(&unclamped, id.private_key);
    assert_memory_equal(&id, &unclamped, sizeof id);
}

static void test_transcript(void **state)
{
    uint8_t msg[WG_INITIATION_LEN], response[WG_RESPONSE_LEN];
    struct noise_pending pending;
    struct noise_opened opened;
    struct noise_keys i, r;
    (void)state;

    assert_true(noise_initiation_create(&pending, msg, &initiator.identity, &initiator.remote,
                                        &initiator.fresh));
    assert_memory_equal(msg, hs_initiation, WG_INITIATION_MAC1);

    assert_true(noise_initiation_open(&opened, &responder.identity, hs_initiation));
    assert_memory_equal(opened.remote_static, hs_si_public, 32);
    assert_int_equal(opened.remote_index, HS_INDEX_I);
    assert_int_equal(noise_initiation_accept(&opened, &responder.remote, 5), NOISE_OK);
    assert_memory_equal(responder.remote.last_timestamp, hs_timestamp, 12);

    assert_true(noise_response_create(&r, response, &opened, &responder.remote, &responder.fresh));
    assert_memory_equal(response, hs_response, WG_RESPONSE_MAC1);
    assert_memory_equal(r.send, hs_responder_send, 32);
    assert_memory_equal(r.receive, hs_initiator_send, 32);
    assert_int_equal(r.local_index, HS_INDEX_R);
    assert_int_equal(r.remote_index, HS_INDEX_I);

    assert_true(
        noise_response_consume(&i, &pending, &initiator.identity, &initiator.remote, hs_response));
    assert_memory_equal(i.send, hs_initiator_send, 32);
    assert_memory_equal(i.receive, hs_responder_send, 32);
    assert_int_equal(i.local_index, HS_INDEX_I);
    assert_int_equal(i.remote_index, HS_INDEX_R);
}

static void test_timestamp(void **state)
{
    uint8_t a[12], b[12];
    (void)state;
    noise_timestamp(a, UINT64_C(1700000000123456789));
    assert_memory_equal(a, hs_timestamp, 12);
    noise_timestamp(b, UINT64_C(1700000000123456790));
    assert_true(memcmp(a, b, 12) < 0);
    noise_timestamp(a, UINT64_C(1700000001000000000));
    assert_true(memcmp(b, a, 12) < 0);
}

/* Every single bit of the initiation before the MACs matters, but for type and index; refusals change nothing. */
static void test_initiation_tampered(void **state)
{
    struct noise_remote before = responder.remote;
    (void)state;
    for (unsigned bit = 8 * WG_INITIATION_EPHEMERAL; bit < 8 * WG_INITIATION_MAC1; bit += 3) {
        uint8_t msg[WG_INITIATION_LEN];
        struct noise_opened opened;
        memcpy(msg, hs_initiation, sizeof msg);
        msg[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (noise_initiation_open(&opened, &responder.identity, msg)) {
            assert_true(bit >= 8 * WG_INITIATION_TIMESTAMP);
            struct noise_opened copy = opened;
            assert_int_equal(noise_initiation_accept(&opened, &responder.remote, 5),
                             NOISE_UNAUTHENTIC);
            assert_memory_equal(&copy, &opened, sizeof copy);
        }
    }
    assert_memory_equal(&before, &responder.remote, sizeof before);
}

static void test_response_tampered(void **state)
{
    uint8_t msg[WG_INITIATION_LEN], response[WG_RESPONSE_LEN];
    struct noise_pending pending, before;
    struct noise_keys keys, untouched;
    (void)state;
    memset(&keys, 0x5a, sizeof keys);
    untouched = keys;
    assert_true(noise_initiation_create(&pending, msg, &initiator.identity, &initiator.remote,
                                        &initiator.fresh));
    before = pending;
    for (unsigned bit = 8 * WG_RESPONSE_EPHEMERAL; bit < 8 * WG_RESPONSE_MAC1; bit += 3) {
        memcpy(response, hs_response, sizeof response);
        response[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_false(noise_response_consume(&keys, &pending, &initiator.identity, &initiator.remote,
                                            response));
    }
    assert_memory_equal(&keys, &untouched, sizeof keys);
    assert_memory_equal(&pending, &before, sizeof pending);
    assert_true(noise_response_consume(&keys, &pending, &initiator.identity, &initiator.remote,
                                       hs_response));
}

static void test_psk_mismatch(void **state)
{
    uint8_t msg[WG_INITIATION_LEN];
    struct noise_pending pending;
    struct noise_keys keys;
    (void)state;
    assert_true(noise_initiation_create(&pending, msg, &initiator.identity, &initiator.remote,
                                        &initiator.fresh));
    noise_remote_set_psk(&initiator.remote, NULL);
    assert_false(noise_response_consume(&keys, &pending, &initiator.identity, &initiator.remote,
                                        hs_response));
    noise_remote_set_psk(&initiator.remote, hs_psk);
    assert_true(noise_response_consume(&keys, &pending, &initiator.identity, &initiator.remote,
                                       hs_response));
}

static void test_no_psk(void **state)
{
    struct noise_keys i, r;
    (void)state;
    noise_remote_set_psk(&initiator.remote, NULL);
    noise_remote_set_psk(&responder.remote, NULL);
    run(&i, &r, 5);
    assert_memory_equal(i.send, r.receive, 32);
    assert_memory_equal(i.receive, r.send, 32);
    assert_memory_not_equal(i.send, hs_initiator_send, 32);
}

/* Another peer's static key does not accept it, nor does another responder open it. */
static void test_wrong_parties(void **state)
{
    struct noise_identity other;
    struct noise_remote remote;
    struct noise_opened opened;
    (void)state;
    noise_identity_init(&other, hs_ei);
    assert_false(noise_initiation_open(&opened, &other, hs_initiation));
    noise_remote_init(&remote, &responder.identity, other.public_key, hs_psk);
    assert_true(noise_initiation_open(&opened, &responder.identity, hs_initiation));
    assert_int_equal(noise_initiation_accept(&opened, &remote, 5), NOISE_UNAUTHENTIC);
}

static enum noise_result offer(uint64_t unix_ns, time_ns now)
{
    uint8_t msg[WG_INITIATION_LEN];
    struct noise_pending pending;
    struct noise_opened opened;
    noise_timestamp(initiator.fresh.timestamp, unix_ns);
    assert_true(noise_initiation_create(&pending, msg, &initiator.identity, &initiator.remote,
                                        &initiator.fresh));
    assert_true(noise_initiation_open(&opened, &responder.identity, msg));
    return noise_initiation_accept(&opened, &responder.remote, now);
}

static void test_replay_and_flood(void **state)
{
    const uint64_t base = UINT64_C(1700000000000000000);
    static const struct {
        uint64_t stamp_add, now_ms;
        enum noise_result expected;
    } cases[] = {
        {1000, 0, NOISE_OK},          /* the first is accepted at any time */
        {1000, 1000, NOISE_REPLAYED}, /* the same again */
        {999, 2000, NOISE_REPLAYED},  /* older */
        {1001, 2000, NOISE_OK},       /* one nanosecond newer */
        {1002, 2019, NOISE_FLOODED},  /* 19 ms later */
        {1002, 2020, NOISE_OK},       /* 20 ms later: being refused did not use up the stamp */
        {1001, 9000, NOISE_REPLAYED},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(offer(base + cases[i].stamp_add, cases[i].now_ms * NS_PER_MS),
                         cases[i].expected);
}

/* Points of low order: https://cr.yp.to/ecdh.html#validate */
static void test_low_order(void **state)
{
    static const uint8_t points[][32] = {
        {0},
        {1},
        {0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
         0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
         0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
        {0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1,
         0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c,
         0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57},
        {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        uint8_t msg[WG_INITIATION_LEN], response[WG_RESPONSE_LEN];
        struct noise_remote remote;
        struct noise_pending pending;
        struct noise_opened opened;
        struct noise_keys keys;
        noise_remote_init(&remote, &initiator.identity, points[i], NULL);
        assert_false(
            noise_initiation_create(&pending, msg, &initiator.identity, &remote, &initiator.fresh));

        memcpy(msg, hs_initiation, sizeof msg);
        memcpy(msg + WG_INITIATION_EPHEMERAL, points[i], 32);
        assert_false(noise_initiation_open(&opened, &responder.identity, msg));

        assert_true(noise_initiation_create(&pending, msg, &initiator.identity, &initiator.remote,
                                            &initiator.fresh));
        memcpy(response, hs_response, sizeof response);
        memcpy(response + WG_RESPONSE_EPHEMERAL, points[i], 32);
        assert_false(noise_response_consume(&keys, &pending, &initiator.identity, &initiator.remote,
                                            response));
    }
}

/* A peer configured with such a key is nobody: its half of the secrets is known to all. */
static void test_low_order_initiator(void **state)
{
    static const uint8_t zero[32];
    uint8_t msg[WG_INITIATION_LEN];
    struct noise_remote remote;
    struct noise_pending pending;
    struct noise_opened opened;
    (void)state;
    memcpy(initiator.identity.public_key, zero, 32);
    memcpy(initiator.remote.static_static, zero, 32);
    assert_true(noise_initiation_create(&pending, msg, &initiator.identity, &initiator.remote,
                                        &initiator.fresh));
    assert_true(noise_initiation_open(&opened, &responder.identity, msg));
    noise_remote_init(&remote, &responder.identity, zero, NULL);
    assert_int_equal(noise_initiation_accept(&opened, &remote, 5), NOISE_UNAUTHENTIC);
}

static void test_set_identity(void **state)
{
    struct noise_keys i, r;
    (void)state;
    noise_identity_init(&initiator.identity, hs_ei);
    noise_remote_set_identity(&initiator.remote, &initiator.identity);
    noise_remote_init(&responder.remote, &responder.identity, initiator.identity.public_key,
                      hs_psk);
    memcpy(initiator.fresh.ephemeral, hs_si, 32);
    run(&i, &r, 5);
    assert_memory_equal(i.send, r.receive, 32);
}

static void test_wipes(void **state)
{
    struct noise_keys keys = {.local_index = 1};
    struct noise_pending pending = {.local_index = 1};
    struct noise_opened opened = {.remote_index = 1};
    (void)state;
    noise_keys_wipe(&keys);
    noise_pending_wipe(&pending);
    noise_opened_wipe(&opened);
    noise_identity_wipe(&initiator.identity);
    noise_remote_wipe(&initiator.remote);
    assert_true(ct_is_zero(&keys, sizeof keys) && ct_is_zero(&pending, sizeof pending));
    assert_true(ct_is_zero(&opened, sizeof opened));
    assert_true(ct_is_zero(&initiator.identity, sizeof initiator.identity));
    assert_true(ct_is_zero(&initiator.remote, sizeof initiator.remote));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(test_##name, set_up)
    const struct CMUnitTest tests[] = {
        TEST(public_keys),         TEST(clamped),
        TEST(transcript),          TEST(timestamp),
        TEST(initiation_tampered), TEST(response_tampered),
        TEST(psk_mismatch),        TEST(no_psk),
        TEST(wrong_parties),       TEST(replay_and_flood),
        TEST(low_order),           TEST(low_order_initiator),
        TEST(set_identity),        TEST(wipes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
