/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to packets on an emulated link, and when, to the nanosecond. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "tools/fzlink/impair.h"

enum {
    CAPACITY = 64,
    SEED = 7,
    LEN = 1250 /* 10,000 bits: 100 us at 100 Mbit/s */
};

#define MS      NS_PER_MS
#define US      NS_PER_US
#define MBIT    UINT64_C(1000000)
#define START   (1000 * NS_PER_SEC)
#define PERCENT (IMPAIR_WHOLE / 100)
#define ON_LINE (100 * US) /* LEN at 100 Mbit/s */
#define MANY    1000000

struct rig {
    struct impair x;
    struct impair_packet slots[3 * CAPACITY];
    uint32_t next; /* name */
};

static void begin(struct rig *r, struct impair_settings s)
{
    impair_init(&r->x, r->slots, CAPACITY, SEED);
    impair_set(&r->x, &s, START);
    r->next = 0;
}

static unsigned offer_len(struct rig *r, time_ns now, uint32_t len)
{
    const uint32_t names[IMPAIR_TAKEN_MAX] = {r->next, r->next + 1};
    unsigned taken = impair_offer(&r->x, len, names, START + now);

    r->next += taken;
    return taken;
}

static unsigned offer(struct rig *r, time_ns now)
{
    return offer_len(r, now, LEN);
}

/* Follows the timeouts, as the caller's loop does: the next packet is `name` and comes exactly at `at`. */
static void expect(struct rig *r, uint32_t name, time_ns at)
{
    uint32_t got;

    for (unsigned i = 0; i < 2 * CAPACITY; i++) {
        time_ns due = impair_poll_timeout(&r->x);
        if (due == TIME_NEVER)
            fail_msg("packet %u does not come", name);
        if (due > START)
            assert_false(impair_poll(&r->x, &got, due - 1));
        if (impair_poll(&r->x, &got, due)) {
            if (got != name || due != START + at)
                fail_msg("packet %u at %lld, expected %u at %llu", got, (long long)(due - START),
                         name, (unsigned long long)at);
            return;
        }
    }
    fail_msg("timeouts without a packet");
}

static void expect_nothing(struct rig *r)
{
    uint32_t got;

    assert_false(impair_poll(&r->x, &got, impair_poll_timeout(&r->x) - 1));
    assert_true(impair_poll_timeout(&r->x) == TIME_NEVER);
}

/* ---- nothing set, delay, rate ---- */

static void test_plain(void **state)
{
    struct rig r;
    uint32_t got;

    (void)state;
    begin(&r, (struct impair_settings){0});
    assert_true(impair_poll_timeout(&r.x) == TIME_NEVER);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(offer(&r, 5), 1);
    for (unsigned i = 0; i < 3; i++)
        expect(&r, i, 5);
    assert_false(impair_poll(&r.x, &got, TIME_NEVER - 1));
    assert_int_equal(r.x.stats.offered, 3);
    assert_int_equal(r.x.stats.delivered, 3);
    assert_int_equal(r.x.stats.delivered_bytes, 3 * LEN);
    assert_int_equal(r.x.stats.queue_packets_max, 0);
}

static void test_delay(void **state)
{
    struct rig r;

    (void)state;
    begin(&r, (struct impair_settings){.delay = 10 * MS});
    offer(&r, 0);
    offer(&r, 3 * MS);
    offer(&r, 3 * MS);
    expect(&r, 0, 10 * MS);
    offer(&r, 12 * MS);
    expect(&r, 1, 13 * MS);
    expect(&r, 2, 13 * MS);
    expect(&r, 3, 22 * MS);
    expect_nothing(&r);
}

/* A late caller gets all that is due, in order. */
static void test_late(void **state)
{
    struct rig r;
    uint32_t got;

    (void)state;
    begin(&r, (struct impair_settings){.delay = MS, .rate = 100 * MBIT});
    for (unsigned i = 0; i < 5; i++)
        offer(&r, 0);
    for (uint32_t i = 0; i < 4; i++) {
        assert_true(impair_poll(&r.x, &got, START + MS + 4 * ON_LINE));
        assert_int_equal(got, i);
    }
    assert_false(impair_poll(&r.x, &got, START + MS + 4 * ON_LINE));
    expect(&r, 4, MS + 5 * ON_LINE);
}

static void test_rate(void **state)
{
    struct rig r;

    (void)state;
    begin(&r, (struct impair_settings){.delay = MS, .rate = 100 * MBIT});
    for (unsigned i = 0; i < 10; i++)
        offer(&r, 0);
    assert_int_equal(impair_queue_len(&r.x), 9); /* and one is on the line */
    for (uint32_t i = 0; i < 10; i++)
        expect(&r, i, MS + (i + 1) * ON_LINE);
    /* The line has been idle for a while. */
    offer(&r, 50 * MS);
    offer_len(&r, 50 * MS, LEN / 10);
    expect(&r, 10, 51 * MS + ON_LINE);
    expect(&r, 11, 51 * MS + ON_LINE + ON_LINE / 10);
    assert_int_equal(r.x.stats.queue_packets_max, 9);
    assert_int_equal(r.x.stats.queue_bytes_max, 9 * LEN);
}

/* What a division leaves over is not lost: 3,000,000 bit/s and 1000 bytes are 2,666,666.67 ns each. */
static void test_rate_exact(void **state)
{
    static const time_ns at[] = {2666666, 5333333, 8000000, 10666666, 13333333, 16000000};
    struct rig r;

    (void)state;
    begin(&r, (struct impair_settings){.rate = 3 * MBIT});
    for (unsigned i = 0; i < ARRAY_LEN(at); i++)
        offer_len(&r, 0, 1000);
    for (uint32_t i = 0; i < ARRAY_LEN(at); i++)
        expect(&r, i, at[i]);
}

/* ---- the queue ---- */

static void test_queue_packets(void **state)
{
    struct rig r;

    (void)state;
    begin(&r, (struct impair_settings){.rate = 100 * MBIT, .queue_packets = 3});
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(offer(&r, 0), i < 4);
    assert_int_equal(r.x.stats.dropped_queue, 3);
    /* One has left, one moved to the line: room for one. */
    assert_int_equal(offer(&r, ON_LINE - 1), 0);
    assert_int_equal(offer(&r, ON_LINE), 1);
    assert_int_equal(offer(&r, ON_LINE), 0);
    for (uint32_t i = 0; i < 5; i++)
        expect(&r, i, (i + 1) * ON_LINE);
    assert_int_equal(r.x.stats.dropped_queue, 5);
    assert_int_equal(r.x.stats.queue_packets_max, 3);
    assert_int_equal(r.x.stats.offered, 10);
    assert_int_equal(r.x.stats.delivered, 5);
}

static void test_queue_bytes(void **state)
{
    struct rig r;

    (void)state;
    begin(&r, (struct impair_settings){.rate = 100 * MBIT, .queue_bytes = 2 * LEN});
    assert_int_equal(offer(&r, 0), 1); /* on the line */
    assert_int_equal(offer(&r, 0), 1);
    assert_int_equal(offer_len(&r, 0, LEN + 1), 0);
    assert_int_equal(offer(&r, 0), 1);
    assert_int_equal(offer_len(&r, 0, 1), 0);
    assert_int_equal(offer_len(&r, ON_LINE, LEN), 1);
    assert_int_equal(r.x.stats.dropped_queue, 2);
    assert_int_equal(r.x.stats.queue_bytes_max, 2 * LEN);
    assert_int_equal(r.x.stats.queue_packets_max, 2);
}

/* The delay holds packets without a limit but the structure's. */
static void test_full(void **state)
{
    struct rig r;

    (void)state;
    begin(&r, (struct impair_settings){.delay = MS, .queue_packets = 1});
    for (unsigned i = 0; i < CAPACITY; i++)
        assert_int_equal(offer(&r, 0), 1);
    assert_int_equal(offer(&r, 0), 0);
    assert_int_equal(r.x.stats.dropped_full, 1);
    assert_int_equal(r.x.stats.dropped_queue, 0);
    for (uint32_t i = 0; i < CAPACITY; i++)
        expect(&r, i, MS);
    assert_int_equal(offer(&r, MS), 1);
}

/* ---- chance ---- */

/* Offers MANY packets, one at a time, and takes what comes. */
static void run_many(struct rig *r)
{
    uint32_t got;

    for (uint64_t i = 0; i < MANY; i++) {
        offer_len(r, i * US, 100);
        while (impair_poll(&r->x, &got, START + i * US))
            ;
    }
    while (impair_poll(&r->x, &got, START + (MANY + 100) * US + NS_PER_SEC))
        ;
    assert_true(impair_poll_timeout(&r->x) == TIME_NEVER);
    const struct impair_stats *s = &r->x.stats;
    assert_int_equal(s->offered, MANY);
    assert_int_equal(s->offered + s->duplicated,
                     s->delivered + s->lost + s->dropped_queue + s->dropped_full);
}

/* n of MANY is within 5 standard deviations (of less than sqrt(MANY * share)) of what is expected. */
static void check_share(uint64_t n, uint32_t share)
{
    double expected = (double)MANY * share / IMPAIR_WHOLE;
    double off = (double)n - expected;

    if (off * off > 25 * expected)
        fail_msg("%llu of %d, expected about %.0f", (unsigned long long)n, MANY, expected);
}

static void test_loss(void **state)
{
    static const uint32_t shares[] = {100, 1000, PERCENT, 10 * PERCENT, 50 * PERCENT};
    struct rig r;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shares); i++) {
        begin(&r, (struct impair_settings){.loss = shares[i]});
        run_many(&r);
        check_share(r.x.stats.lost, shares[i]);
    }
    begin(&r, (struct impair_settings){.loss = IMPAIR_WHOLE});
    run_many(&r);
    assert_int_equal(r.x.stats.lost, MANY);
    begin(&r, (struct impair_settings){0});
    run_many(&r);
    assert_int_equal(r.x.stats.lost, 0);
}

/* Bit i: packet i of 64 is lost. */
static uint64_t pattern(uint64_t seed, struct impair_settings s, time_ns step)
{
    struct rig r;
    uint64_t lost = 0;

    begin(&r, s);
    impair_init(&r.x, r.slots, CAPACITY, seed);
    impair_set(&r.x, &s, START);
    for (unsigned i = 0; i < 64; i++) {
        if (offer(&r, i * step) == 0)
            lost |= UINT64_C(1) << i;
    }
    return lost;
}

/* The same seed loses the same packets, whenever they come and whatever else is set. */
static void test_seed(void **state)
{
    const struct impair_settings half = {.loss = 50 * PERCENT};
    uint64_t lost = pattern(1, half, 0);

    (void)state;
    assert_true(lost != 0 && lost != UINT64_MAX);
    assert_true(pattern(1, half, 7 * MS) == lost);
    assert_true(
        pattern(
            1,
            (struct impair_settings){
                .loss = 50 * PERCENT, .delay = MS, .jitter = MS, .reorder = PERCENT, .rate = MBIT},
            3) == lost);
    assert_true(pattern(2, half, 0) != lost);
    /* A smaller loss loses some of them, no others. */
    assert_true((pattern(1, (struct impair_settings){.loss = 20 * PERCENT}, 0) & ~lost) == 0);
}

/* A lost packet has taken its time on the line. */
static void test_loss_takes_time(void **state)
{
    struct rig r;

    (void)state;
    begin(&r, (struct impair_settings){.loss = IMPAIR_WHOLE, .rate = 100 * MBIT});
    assert_int_equal(offer(&r, 0), 0);
    assert_int_equal(r.x.stats.lost, 0); /* not yet */
    impair_set(&r.x, &(struct impair_settings){.rate = 100 * MBIT}, START);
    assert_int_equal(offer(&r, 0), 1);
    expect(&r, 0, 2 * ON_LINE);
    assert_int_equal(r.x.stats.lost, 1);
}

static void test_duplicate(void **state)
{
    struct rig r;

    (void)state;
    begin(&r, (struct impair_settings){.duplicate = IMPAIR_WHOLE, .rate = 100 * MBIT});
    assert_int_equal(offer(&r, 0), 2);
    expect(&r, 0, ON_LINE);
    expect(&r, 1, 2 * ON_LINE);
    assert_int_equal(r.x.stats.duplicated, 1);
    assert_int_equal(r.x.stats.offered, 1);
    assert_int_equal(r.x.stats.delivered, 2);
    begin(&r, (struct impair_settings){.duplicate = PERCENT, .loss = PERCENT});
    run_many(&r);
    check_share(r.x.stats.duplicated, PERCENT);
    check_share(r.x.stats.lost, PERCENT + PERCENT / 100);
    /* The copy is a packet like others: without room for it, there is one only. */
    begin(&r, (struct impair_settings){
                  .duplicate = IMPAIR_WHOLE, .rate = 100 * MBIT, .queue_packets = 2});
    assert_int_equal(offer(&r, 0), 2);
    assert_int_equal(offer(&r, 0), 1);
    assert_int_equal(r.x.stats.dropped_queue, 1);
}

/* ---- order ---- */

/* Sends n packets, a step apart, and counts those that come behind a later one. */
static unsigned out_of_order(struct rig *r, unsigned n, time_ns step, time_ns *first, time_ns *last)
{
    unsigned overtaken = 0, sent = 0, got = 0;
    uint32_t name, highest = 0;
    time_ns *delay = calloc(n, sizeof *delay);

    *first = TIME_NEVER;
    *last = 0;
    while (got < n) {
        time_ns due = impair_poll_timeout(&r->x);
        if (sent < n && START + sent * step <= due) {
            assert_int_equal(offer_len(r, sent * step, 100), 1);
            sent++;
            continue;
        }
        while (impair_poll(&r->x, &name, due)) {
            assert_true(name < n && delay[name] == 0);
            delay[name] = due - START - name * step;
            *first = time_min(*first, delay[name]);
            *last = time_max(*last, delay[name]);
            overtaken += name < highest;
            highest = name > highest ? name : highest;
            got++;
        }
    }
    free(delay);
    return overtaken;
}

static void test_jitter(void **state)
{
    time_ns first, last;
    struct rig r;

    (void)state;
    /* Far apart: the whole range is seen, and nothing but it. */
    begin(&r, (struct impair_settings){.delay = 10 * MS, .jitter = 2 * MS});
    assert_int_equal(out_of_order(&r, 20000, 5 * MS, &first, &last), 0);
    assert_true(first >= 8 * MS && first < 8 * MS + 10 * US);
    assert_true(last <= 12 * MS && last > 12 * MS - 10 * US);
    /* Close together: none overtakes. */
    begin(&r, (struct impair_settings){.delay = 10 * MS, .jitter = 10 * MS});
    assert_int_equal(out_of_order(&r, 10000, MS, &first, &last), 0);
    assert_true(last <= 20 * MS);
    assert_int_equal(r.x.stats.reordered, 0);
}

static void test_reorder(void **state)
{
    time_ns first, last;
    struct rig r;

    (void)state;
    begin(&r, (struct impair_settings){.delay = 10 * MS, .reorder = 2 * PERCENT});
    unsigned overtaken = out_of_order(&r, 20000, MS, &first, &last);
    assert_true(first == 0 && last == 10 * MS);
    assert_true(r.x.stats.reordered > 300 && r.x.stats.reordered < 500);
    /* Each one passes the ten, or fewer, that are delayed then. */
    assert_true(overtaken > 5 * r.x.stats.reordered && overtaken < 10 * r.x.stats.reordered);
    /* There is nobody to overtake. */
    begin(&r, (struct impair_settings){.delay = 10 * MS, .reorder = IMPAIR_WHOLE});
    assert_int_equal(out_of_order(&r, 1000, MS, &first, &last), 0);
    assert_int_equal(r.x.stats.reordered, 0);
}

/* With a rate, it overtakes only behind the line. */
static void test_reorder_rate(void **state)
{
    struct impair_settings s = {.delay = 10 * MS, .rate = 100 * MBIT};
    struct rig r;

    (void)state;
    begin(&r, s);
    offer(&r, 0);
    s.reorder = IMPAIR_WHOLE;
    impair_set(&r.x, &s, START);
    offer(&r, 0);
    expect(&r, 1, 2 * ON_LINE);
    expect(&r, 0, 10 * MS + ON_LINE);
    assert_int_equal(r.x.stats.reordered, 1);
}

/* ---- changes while packets are under way ---- */

static void test_change_rate(void **state)
{
    struct impair_settings s = {.rate = 100 * MBIT};
    struct rig r;

    (void)state;
    begin(&r, s);
    for (unsigned i = 0; i < 5; i++)
        offer(&r, 0);
    /* The second one is on the line: it leaves at the old rate, the others are ten times as long there. */
    s.rate = 10 * MBIT;
    impair_set(&r.x, &s, START + ON_LINE + 1);
    expect(&r, 0, ON_LINE);
    expect(&r, 1, 2 * ON_LINE);
    expect(&r, 2, 12 * ON_LINE);
    /* And without a limit all leave as soon as the line is free. */
    s.rate = 0;
    impair_set(&r.x, &s, START + 13 * ON_LINE);
    expect(&r, 3, 22 * ON_LINE);
    expect(&r, 4, 22 * ON_LINE);
    expect_nothing(&r);
}

static void test_change_delay(void **state)
{
    struct impair_settings s = {.delay = 10 * MS};
    struct rig r;

    (void)state;
    begin(&r, s);
    offer(&r, 0);
    s.delay = 20 * MS;
    impair_set(&r.x, &s, START + MS);
    offer(&r, MS);
    s.delay = MS;
    impair_set(&r.x, &s, START + 2 * MS);
    offer(&r, 2 * MS);
    offer(&r, 30 * MS);
    expect(&r, 0, 10 * MS);
    expect(&r, 1, 21 * MS);
    expect(&r, 2, 21 * MS); /* does not overtake */
    expect(&r, 3, 31 * MS);
}

static void test_change_queue(void **state)
{
    struct impair_settings s = {.rate = 100 * MBIT, .queue_packets = 5};
    struct rig r;

    (void)state;
    begin(&r, s);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(offer(&r, 0), 1);
    /* What is in already stays; nothing comes in until there are fewer. */
    s.queue_packets = 2;
    impair_set(&r.x, &s, START);
    assert_int_equal(offer(&r, 3 * ON_LINE), 0);
    assert_int_equal(offer(&r, 4 * ON_LINE), 1);
    for (uint32_t i = 0; i < 7; i++)
        expect(&r, i, (i + 1) * ON_LINE);
}

/* The caller may come whenever it likes: what is delivered when it asks is always what was due by then. */
static void test_random(void **state)
{
    struct rig r;
    uint32_t got;

    (void)state;
    begin(&r, (struct impair_settings){.delay = MS, .rate = 100 * MBIT});
    srand(SEED);
    time_ns now = 0;
    for (unsigned i = 0; i < 200000; i++) {
        const struct impair_settings s = {
            .delay = (time_ns)(rand() % 3) * MS,
            .rate = (uint64_t)(rand() % 3) * 10 * MBIT,
            .loss = (uint32_t)(rand() % 2) * 10 * PERCENT,
            .duplicate = (uint32_t)(rand() % 2) * 10 * PERCENT,
            .reorder = (uint32_t)(rand() % 2) * 10 * PERCENT,
            .queue_packets = (uint64_t)(rand() % 20),
        };
        now += (time_ns)(rand() % 50) * US;
        if (rand() % 100 == 0)
            impair_set(&r.x, &s, START + now);
        offer_len(&r, now, (uint32_t)(20 + rand() % 1480));
        if (rand() % 3 != 0)
            continue;
        while (impair_poll(&r.x, &got, START + now))
            ;
        assert_true(impair_poll_timeout(&r.x) > START + now);
    }
    now += 100 * NS_PER_SEC;
    while (impair_poll(&r.x, &got, START + now))
        ;
    const struct impair_stats *s = &r.x.stats;
    assert_true(impair_poll_timeout(&r.x) == TIME_NEVER);
    assert_int_equal(s->offered + s->duplicated,
                     s->delivered + s->lost + s->dropped_queue + s->dropped_full);
    assert_true(s->delivered > 0 && s->lost > 0 && s->duplicated > 0 && s->dropped_queue > 0 &&
                s->reordered > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_delay),
        cmocka_unit_test(test_late),
        cmocka_unit_test(test_rate),
        cmocka_unit_test(test_rate_exact),
        cmocka_unit_test(test_queue_packets),
        cmocka_unit_test(test_queue_bytes),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_loss),
        cmocka_unit_test(test_seed),
        cmocka_unit_test(test_loss_takes_time),
        cmocka_unit_test(test_duplicate),
        cmocka_unit_test(test_jitter),
        cmocka_unit_test(test_reorder),
        cmocka_unit_test(test_reorder_rate),
        cmocka_unit_test(test_change_rate),
        cmocka_unit_test(test_change_delay),
        cmocka_unit_test(test_change_queue),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
