/* SPDX-License-Identifier: Apache-2.0 */
/* The race between a host's addresses, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "control/portal/race.h"
#include "platform/base/bytes.h"

#define T0 (1000 * NS_PER_SEC)

static struct sock_addr addr(const char *text)
{
    struct sock_addr a = {.port = 443};
    assert_int_equal(ip_addr_parse(&a.ip, text), ERR_OK);
    return a;
}

static unsigned parse_all(struct sock_addr *out, const char *const *texts, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        out[i] = addr(texts[i]);
    return n;
}

static struct race race_of(const char *const *texts, unsigned n)
{
    struct sock_addr addrs[2 * RACE_MAX];
    struct race r;
    race_init(&r, addrs, parse_all(addrs, texts, n), T0);
    return r;
}

static unsigned start(struct race *r, time_ns now)
{
    unsigned index = RACE_MAX;
    assert_true(race_poll_start(r, now, &index));
    return index;
}

static void no_start(struct race *r, time_ns now)
{
    unsigned index;
    assert_false(race_poll_start(r, now, &index));
}

static void test_order(void **state)
{
    static const char *const given[] = {"192.0.2.1", "192.0.2.2",   "2001:db8::1", "192.0.2.1",
                                        "192.0.2.3", "2001:db8::1", "2001:db8::2"};
    static const char *const tried[] = {"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2",
                                        "192.0.2.3"};
    (void)state;
    struct race r = race_of(given, ARRAY_LEN(given));

    assert_int_equal(r.n, ARRAY_LEN(tried));
    for (unsigned i = 0; i < r.n; i++) {
        struct sock_addr want = addr(tried[i]);
        assert_true(sock_addr_equal(&r.addrs[i], &want));
    }
}

/* Nobody answers: one attempt each 250 ms, and an end after 5 s. */
static void test_silence(void **state)
{
    static const char *const given[] = {"2001:db8::1", "192.0.2.1", "192.0.2.2"};
    (void)state;
    struct race r = race_of(given, ARRAY_LEN(given));
    time_ns now = T0;

    for (unsigned i = 0; i < r.n; i++, now += RACE_DELAY_NS) {
        assert_int_equal(race_poll_timeout(&r), now);
        if (i > 0)
            no_start(&r, now - 1);
        assert_int_equal(start(&r, now), i);
        no_start(&r, now);
    }
    assert_int_equal(race_poll_timeout(&r), T0 + RACE_TIMEOUT_NS);
    assert_false(race_lost(&r, T0 + RACE_TIMEOUT_NS - 1));
    assert_true(race_lost(&r, T0 + RACE_TIMEOUT_NS));
}

/* A refusal starts the next attempt at once. */
static void test_refused(void **state)
{
    static const char *const given[] = {"2001:db8::1", "192.0.2.1", "192.0.2.2"};
    (void)state;
    struct race r = race_of(given, ARRAY_LEN(given));
    time_ns now = T0;

    for (unsigned i = 0; i < r.n; i++) {
        assert_false(race_lost(&r, now));
        assert_int_equal(start(&r, now), i);
        now += NS_PER_MS;
        race_failed(&r, now, i);
    }
    no_start(&r, now);
    assert_true(race_lost(&r, now));
}

/* An older attempt that fails does not hurry the next one while a younger one is under way. */
static void test_late_failure(void **state)
{
    static const char *const given[] = {"2001:db8::1", "192.0.2.1", "192.0.2.2"};
    (void)state;
    struct race r = race_of(given, ARRAY_LEN(given));

    assert_int_equal(start(&r, T0), 0);
    assert_int_equal(start(&r, T0 + RACE_DELAY_NS), 1);
    race_failed(&r, T0 + RACE_DELAY_NS + 1, 0);
    no_start(&r, T0 + RACE_DELAY_NS + 1);
    race_failed(&r, T0 + RACE_DELAY_NS + 2, 1);
    assert_int_equal(start(&r, T0 + RACE_DELAY_NS + 2), 2);
    assert_false(race_lost(&r, T0 + RACE_DELAY_NS + 2));
    race_failed(&r, T0 + RACE_DELAY_NS + 3, 2);
    assert_true(race_lost(&r, T0 + RACE_DELAY_NS + 3));
}

static void test_end_stops_starts(void **state)
{
    static const char *const given[] = {"2001:db8::1", "192.0.2.1"};
    (void)state;
    struct race r = race_of(given, ARRAY_LEN(given));

    assert_int_equal(start(&r, T0), 0);
    no_start(&r, T0 + RACE_TIMEOUT_NS);
    assert_true(race_lost(&r, T0 + RACE_TIMEOUT_NS));
}

static void test_none_and_many(void **state)
{
    struct sock_addr many[RACE_MAX + 4];
    struct race r;
    (void)state;

    race_init(&r, NULL, 0, T0);
    no_start(&r, T0);
    assert_true(race_lost(&r, T0));

    for (unsigned i = 0; i < ARRAY_LEN(many); i++) {
        char text[32];
        snprintf(text, sizeof text, "192.0.2.%u", i);
        many[i] = addr(text);
    }
    race_init(&r, many, ARRAY_LEN(many), T0);
    assert_int_equal(r.n, RACE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_order),
                                       cmocka_unit_test(test_silence),
                                       cmocka_unit_test(test_refused),
                                       cmocka_unit_test(test_late_failure),
                                       cmocka_unit_test(test_end_stops_starts),
                                       cmocka_unit_test(test_none_and_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
