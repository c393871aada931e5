/* SPDX-License-Identifier: Apache-2.0 */
/* Sources are known for one to two periods, and a flood of random ones hardly looks known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/source_seen.h"

static struct sock_addr source(uint32_t n, uint16_t port)
{
    uint8_t bytes[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    return (struct sock_addr){.ip = ip_addr_v4(bytes), .port = port};
}

static void test_repeats_are_known(void **state)
{
    (void)state;
    struct source_seen s;
    struct sock_addr a = source(1, 51820), other_port = source(1, 51821), b = source(2, 51820);
    time_ns now = 100 * NS_PER_SEC;

    assert_int_equal(source_seen_init(&s, 42), ERR_OK);
    assert_false(source_seen_note(&s, &a, now));
    assert_true(source_seen_note(&s, &a, now));
    assert_false(source_seen_note(&s, &other_port, now));
    assert_false(source_seen_note(&s, &b, now));
    source_seen_fini(&s);
}

/* Whenever the first one came, a repetition 5.4 s later is known; after two periods it is forgotten. */
static void test_time(void **state)
{
    (void)state;
    for (unsigned phase = 0; phase < 16; phase++) {
        struct source_seen s;
        struct sock_addr clockwork = source(9, 1), a = source(1, 51820);
        time_ns start = 100 * NS_PER_SEC, now = start + phase * NS_PER_SEC;

        assert_int_equal(source_seen_init(&s, 7), ERR_OK);
        for (time_ns t = start; t < now; t += NS_PER_SEC / 2)
            (void)source_seen_note(&s, &clockwork, t);
        assert_false(source_seen_note(&s, &a, now));
        for (time_ns t = now; t < now + 5400 * NS_PER_MS; t += NS_PER_SEC / 2)
            (void)source_seen_note(&s, &clockwork, t);
        assert_true(source_seen_note(&s, &a, now + 5400 * NS_PER_MS));
        assert_false(source_seen_note(&s, &a, now + 5400 * NS_PER_MS + 2 * SOURCE_SEEN_PERIOD));
        source_seen_fini(&s);
    }
}

static void test_flood_of_random_sources(void **state)
{
    (void)state;
    enum {
        PER_SECOND = 100000,
        SECONDS = 20
    };
    struct source_seen s;
    uint64_t random = 88172645463325252u;
    unsigned known = 0;

    assert_int_equal(source_seen_init(&s, 3), ERR_OK);
    for (unsigned i = 0; i < PER_SECOND * SECONDS; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        struct sock_addr a = source((uint32_t)random, (uint16_t)(random >> 32));
        known += source_seen_note(&s, &a, NS_PER_SEC + (time_ns)i * NS_PER_SEC / PER_SECOND);
    }
    assert_in_range(known, 0, PER_SECOND * SECONDS / 20);
    source_seen_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_repeats_are_known),
                                       cmocka_unit_test(test_time),
                                       cmocka_unit_test(test_flood_of_random_sources)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
