/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of an ICE agent by themselves: the schedule of a pair, the tables of candidates, the check list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "control/p2p/ice_pairs.h"
#include "platform/base/bytes.h"

#define START (5 * NS_PER_SEC)
#define MS(n) ((n)*NS_PER_MS)

static struct sock_addr addr(const char *text)
{
    struct sock_addr a;
    assert_int_equal(sock_addr_parse(&a, text), ERR_OK);
    return a;
}

static struct candidate candidate(enum candidate_kind kind, const char *at, uint16_t port)
{
    struct sock_addr a = addr(at);
    struct candidate c;

    a.port = port;
    c = candidate_make(kind, &a, &a);
    c.priority = candidate_priority(&c, port);
    return c;
}

/* ---- the schedule ---- */

static void send(struct ice_schedule *s, time_ns at, uint32_t serial)
{
    ice_schedule_sent(s, ice_timing(ICE_CLIENT, false), at, serial);
}

static bool answer(struct ice_schedule *s, time_ns at, uint32_t serial)
{
    return ice_schedule_answered(s, ice_timing(ICE_CLIENT, false), at, serial);
}

static void test_answers_out_of_order(void **state)
{
    struct ice_schedule s;
    (void)state;

    ice_schedule_begin(&s, START);
    for (uint32_t i = 0; i < 4; i++)
        send(&s, START + MS(100) * i, i);
    assert_int_equal(s.unanswered_since, START);
    assert_true(answer(&s, START + MS(350), 1));
    assert_int_equal(s.unanswered, 2);
    assert_int_equal(s.unanswered_since, START + MS(200));
    assert_true(answer(&s, START + MS(360), 0));
    assert_int_equal(s.unanswered, 2);
    assert_true(answer(&s, START + MS(370), 3));
    assert_int_equal(s.unanswered, 0);
    assert_true(answer(&s, START + MS(380), 2));
    assert_int_equal(s.unanswered, 0);
    assert_false(answer(&s, START + MS(380), 4));
}

static void test_answers_kept(void **state)
{
    struct ice_schedule s;
    (void)state;

    ice_schedule_begin(&s, START);
    for (uint32_t i = 0; i < ICE_ATTEMPTS_KEPT + 1; i++)
        send(&s, START + i, i);
    assert_false(answer(&s, START + 99, 0));
    assert_true(answer(&s, START + 99, 1));
    assert_int_equal(s.unanswered, ICE_ATTEMPTS_KEPT - 1);
}

static void test_doubt(void **state)
{
    const struct ice_timing *t = ice_timing(ICE_GATEWAY, false);
    struct ice_schedule s;
    (void)state;

    /* Never answered, but the peer is heard. */
    ice_schedule_begin(&s, START);
    for (uint32_t i = 0; i < 10; i++) {
        ice_schedule_sent(&s, t, START + MS(100) * i, i);
        ice_schedule_requested(&s, START + MS(100) * i);
        assert_false(ice_schedule_doubtful(&s, t));
    }
    for (uint32_t i = 10; i < 10 + ICE_DOUBT_ATTEMPTS; i++) {
        assert_false(ice_schedule_doubtful(&s, t));
        ice_schedule_sent(&s, t, START + MS(100) * i, i);
    }
    assert_true(ice_schedule_doubtful(&s, t));
    ice_schedule_requested(&s, START + MS(2000));
    assert_false(ice_schedule_doubtful(&s, t));
    /* Once it has answered, its requests are not enough. */
    assert_true(ice_schedule_answered(&s, t, START + MS(2000), 14));
    for (uint32_t i = 20; i < 20 + ICE_DOUBT_ATTEMPTS; i++) {
        assert_false(ice_schedule_doubtful(&s, t));
        ice_schedule_sent(&s, t, START + MS(100) * i, i);
        ice_schedule_requested(&s, START + MS(100) * i);
    }
    assert_true(ice_schedule_doubtful(&s, t));
}

/* Whatever happens, the next check is not more than the longest delay away. */
static void test_delays(void **state)
{
    static const unsigned client[] = {250, 500, 1000, 1500, 1500};
    static const unsigned gateway[] = {250, 500, 1000, 2000, 4000, 8000, 15000, 15000};
    (void)state;

    for (unsigned i = 0; i < ARRAY_LEN(client); i++)
        assert_int_equal(ice_timing_delay(ice_timing(ICE_CLIENT, false), i + 1), MS(client[i]));
    for (unsigned i = 0; i < ARRAY_LEN(gateway); i++)
        assert_int_equal(ice_timing_delay(ice_timing(ICE_GATEWAY, false), i + 1), MS(gateway[i]));
    for (unsigned n = 1; n < 100; n++)
        assert_int_equal(ice_timing_delay(ice_timing(ICE_GATEWAY, true), n), MS(25000));
}

/* ---- candidates ---- */

/* Relayed ones have entries of their own; the others are given by their age, which counts from the last time they came. */
static void test_local_room(void **state)
{
    static struct ice_candidates c;
    int at = ICE_NONE, seen = 0, relayed;
    (void)state;

    for (unsigned i = 0; i < ICE_LOCAL_MAX; i++) {
        struct candidate host = candidate(CANDIDATE_HOST, "10.0.0.1:1", (uint16_t)(1 + i));
        bool room = i < ICE_LOCAL_MAX - ICE_LOCAL_RELAYED;
        assert_int_equal(ice_local_room(&c), room);
        assert_int_equal(ice_local_add(&c, &host) != ICE_NONE, room);
    }
    for (unsigned i = 0; i < ICE_LOCAL_RELAYED + 1; i++) {
        struct candidate relay = candidate(CANDIDATE_RELAY, "10.0.0.2:1", (uint16_t)(1 + i));
        relayed = ice_local_add(&c, &relay);
        assert_int_equal(relayed != ICE_NONE, i < ICE_LOCAL_RELAYED);
    }
    struct candidate again = candidate(CANDIDATE_HOST, "10.0.0.1:1", 1);
    assert_int_equal(ice_local_add(&c, &again), ICE_NONE); /* it is known, but the youngest now */
    while ((at = ice_local_older(&c, at)) != ICE_NONE) {
        seen++;
        assert_int_equal(c.locals[at].candidate.addr.port,
                         seen == ICE_LOCAL_MAX - ICE_LOCAL_RELAYED ? 1 : seen + 1);
    }
    assert_int_equal(seen, ICE_LOCAL_MAX - ICE_LOCAL_RELAYED);
}

/* A candidate that comes after another was removed does not get the priority of one that remains. */
static void test_local_gap(void **state)
{
    static struct ice_candidates c;
    struct candidate a = candidate(CANDIDATE_HOST, "10.0.0.1:1", 1);
    struct candidate b = candidate(CANDIDATE_HOST, "10.0.0.1:1", 2);
    struct candidate d = candidate(CANDIDATE_HOST, "10.0.0.1:1", 3);
    int at_a, at_b, at_d;
    (void)state;

    at_a = ice_local_add(&c, &a);
    at_b = ice_local_add(&c, &b);
    ice_local_remove(&c, at_a, true);
    at_d = ice_local_add(&c, &d);
    assert_true(at_d != ICE_NONE);
    assert_true(c.locals[at_d].candidate.priority < c.locals[at_b].candidate.priority);
}

static void test_remote_worst(void **state)
{
    static struct ice_candidates c;
    struct candidate srflx = candidate(CANDIDATE_SRFLX, "198.51.100.1:1", 1);
    struct candidate host = candidate(CANDIDATE_HOST, "10.0.0.1:1", 2);
    struct sock_addr found = addr("198.51.100.2:9");
    int at_srflx, at_host, at_found, at_guess;
    bool changed;
    (void)state;

    at_srflx = ice_remote_add(&c, &srflx, &changed);
    at_host = ice_remote_add(&c, &host, &changed);
    at_found = ice_remote_add_reflexive(&c, &found, 5);
    at_guess = ice_remote_add_optimistic(&c);
    assert_true(at_guess != ICE_NONE);
    assert_int_equal(ice_remote_add_optimistic(&c), ICE_NONE);
    assert_int_equal(c.remotes[at_guess].candidate.priority, srflx.priority - 1);
    ice_remote_invalidate(&c, at_host);
    /* A guess, then what is gone, then what was found, then the oldest. */
    assert_int_equal(ice_remote_worst(&c, 0), at_guess);
    assert_int_equal(ice_remote_worst(&c, UINT64_C(1) << at_guess), at_host);
    ice_remote_forget(&c, at_guess);
    ice_remote_forget(&c, at_host);
    assert_int_equal(ice_remote_worst(&c, 0), at_found);
    assert_int_equal(ice_remote_worst(&c, UINT64_C(1) << at_found), at_srflx);
    assert_int_equal(ice_remote_worst(&c, UINT64_MAX), ICE_NONE);
}

/* ---- the check list ---- */

static void test_priorities(void **state)
{
    static struct ice_candidates c;
    static struct ice_pairs p;
    struct candidate local = candidate(CANDIDATE_HOST, "10.0.0.1:1", 1);
    struct candidate remote = candidate(CANDIDATE_RELAY, "198.51.100.1:1", 1);
    struct ice_pair *pair;
    bool changed;
    (void)state;

    assert_true(ice_pair_priority(1, 2) == (UINT64_C(1) << 32) + 4);
    assert_true(ice_pair_priority(2, 1) == (UINT64_C(1) << 32) + 5);
    assert_true(ice_pair_priority(3, 3) == (UINT64_C(3) << 32) + 6);
    pair = ice_pairs_form(&p, &c, ice_local_add(&c, &local), ice_remote_add(&c, &remote, &changed),
                          ICE_CONTROLLING, START);
    assert_int_equal(pair->priority & 1, 1);
    ice_pairs_rank(&p, &c, ICE_CONTROLLED);
    assert_int_equal(pair->priority & 1, 0);
}

/* What is nominated is not dropped for better candidates. */
static void test_full(void **state)
{
    static struct ice_candidates c;
    static struct ice_pairs p;
    struct candidate worst = candidate(CANDIDATE_RELAY, "198.51.100.1:1", 1);
    struct ice_pair *pair;
    bool changed;
    int at;
    (void)state;

    for (uint16_t i = 1; i <= ICE_LOCAL_MAX - ICE_LOCAL_RELAYED; i++) {
        struct candidate local = candidate(CANDIDATE_HOST, "10.0.0.1:1", i);
        assert_true(ice_local_add(&c, &local) != ICE_NONE);
    }
    at = ice_remote_add(&c, &worst, &changed);
    ice_pairs_form_remote(&p, &c, at, ICE_CONTROLLED, START);
    pair = ice_pairs_find(&p, &c, &c.locals[3].candidate.base, &worst.addr);
    assert_non_null(pair);
    pair->nominated = true;
    for (uint16_t i = 1; i <= 20; i++) {
        struct candidate host = candidate(CANDIDATE_HOST, "198.51.100.2:1", i);
        ice_pairs_form_remote(&p, &c, ice_remote_add(&c, &host, &changed), ICE_CONTROLLED, START);
    }
    assert_int_equal(p.count, ICE_PAIR_MAX);
    assert_true(ice_pairs_remotes(&p) >> at & 1);
    pair = ice_pairs_find(&p, &c, &c.locals[3].candidate.base, &worst.addr);
    assert_non_null(pair);
    assert_true(pair->nominated);
    assert_null(ice_pairs_find(&p, &c, &c.locals[4].candidate.base, &worst.addr));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local_room),   cmocka_unit_test(test_answers_out_of_order),
        cmocka_unit_test(test_answers_kept), cmocka_unit_test(test_doubt),
        cmocka_unit_test(test_delays),       cmocka_unit_test(test_local_gap),
        cmocka_unit_test(test_remote_worst), cmocka_unit_test(test_priorities),
        cmocka_unit_test(test_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
