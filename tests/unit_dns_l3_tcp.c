/* SPDX-License-Identifier: Apache-2.0 */
/* DNS over TCP without sockets: client and server with each other, over links that lose and reorder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/l3_world.h"

static const char V4[] = "100.100.111.1";
static const char V6[] = "fd00:2021:1111:8000:100:100:111:0";

static void ask_all(struct world *w, unsigned from, unsigned n, const char *server, size_t len)
{
    for (unsigned i = from; i < from + n; i++)
        assert_int_equal(world_ask(w, i, server, len), ERR_OK);
}

static void assert_ended(const struct world *w, unsigned from, unsigned n, enum err err)
{
    for (unsigned i = from; i < from + n; i++) {
        assert_int_equal(w->asks[i].ends, 1);
        assert_int_equal(w->asks[i].err, err);
    }
}

/* ---- exchange ---- */

static void messages_of_any_length_get_through(void **state)
{
    static const size_t LENS[][2] = {
        {24, 0}, {24, 65535}, {65535, 0}, {1218, 1219}, {65535, 65535}};

    (void)state;
    for (unsigned v6 = 0; v6 < 2; v6++) {
        struct world *w = world_new(1);
        for (unsigned i = 0; i < ARRAY_LEN(LENS); i++) {
            w->answer_len = LENS[i][1];
            assert_int_equal(world_ask(w, i, v6 ? V6 : V4, LENS[i][0]), ERR_OK);
            world_run_for(w, 3 * NS_PER_SEC);
            assert_true(world_is_answered(w, i, LENS[i][0]));
        }
        assert_int_equal(l3_tcp_counters(w->t)->accepted, 1);
        assert_int_equal(l3_tcp_counters(w->t)->answered, ARRAY_LEN(LENS));
        assert_int_equal(w->watched, 1);
        world_free(w);
    }
}

struct link {
    uint64_t seed;
    unsigned loss_percent;
    time_ns delay, jitter;
    size_t query_len, answer_len;
    unsigned n, answered_min; /* with so much loss some are not in time */
};

static const struct link LINKS[] = {
    {1, 0, 20 * NS_PER_MS, 30 * NS_PER_MS, 24, 600, 300, 300},
    {2, 3, 10 * NS_PER_MS, 20 * NS_PER_MS, 24, 600, 200, 200},
    {3, 3, 30 * NS_PER_MS, 5 * NS_PER_MS, 400, 0, 200, 200},
    {4, 10, 5 * NS_PER_MS, 10 * NS_PER_MS, 24, 100, 100, 80},
    {5, 1, NS_PER_MS, 0, 24, 20000, 20, 20},
    {6, 40, NS_PER_MS, 50 * NS_PER_MS, 24, 4000, 50, 0},
};

/* Answers come out of order: each query waits for another time. */
static void loss_and_reordering_change_no_answer(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(LINKS); i++) {
        const struct link *l = &LINKS[i];
        struct world *w = world_new(l->seed);
        unsigned answered = 0;

        w->loss_percent = l->loss_percent;
        w->delay = l->delay;
        w->jitter = l->jitter;
        w->answer_after = NS_PER_MS;
        w->answer_jitter = 100 * NS_PER_MS;
        w->answer_len = l->answer_len;
        for (unsigned k = 0; k < l->n; k++) {
            const char *server = k % 3 == 0 ? V6 : k % 3 == 1 ? V4 : "100.100.111.2";
            assert_int_equal(world_ask(w, k, server, l->query_len), ERR_OK);
            world_run_for(w, 5 * NS_PER_MS);
        }
        world_run_for(w, 11 * NS_PER_SEC);
        for (unsigned k = 0; k < l->n; k++) {
            assert_int_equal(w->asks[k].ends, 1);
            if (w->asks[k].err == ERR_OK)
                assert_true(world_is_answered(w, k, l->query_len));
            answered += w->asks[k].err == ERR_OK;
        }
        print_message("link %u: %u of %u answered\n", i, answered, l->n);
        assert_true(answered >= l->answered_min);
        assert_int_equal(l3_tcp_counters(w->t)->mismatched, 0);
        world_run(w, TIME_NEVER);
        assert_int_equal(w->watched, 0);
        world_free(w);
    }
}

/* ---- server ---- */

static void a_connection_waits_for_so_many_answers(void **state)
{
    struct world *w = world_new(1);

    (void)state;
    w->answer_after = 5 * NS_PER_SEC;
    ask_all(w, 0, 200, V4, 24);
    world_run_for(w, NS_PER_SEC);
    assert_int_equal(w->queries_seen, L3_TCP_PIPELINE_MAX);
    world_run_for(w, 8 * NS_PER_SEC);
    assert_int_equal(w->queries_seen, 2 * L3_TCP_PIPELINE_MAX);
    for (unsigned i = 0; i < L3_TCP_PIPELINE_MAX; i++)
        assert_true(world_is_answered(w, i, 24));
    world_free(w);
}

/* A handshake from the host; with `payload` behind it. Returns the server's sequence number, after its SYN. */
static uint32_t open_host(struct world *w, const char *from, uint16_t port, const void *payload,
                          size_t len)
{
    world_host(w, &(struct world_segment){from, port, 1000, 0, TCP_F_SYN, 8000, NULL, 0});
    assert_int_equal(w->last_to_host.bytes[33], TCP_F_SYN | TCP_F_ACK);
    assert_int_equal(load_be32(w->last_to_host.bytes + 28), 1001);
    uint32_t seq = load_be32(w->last_to_host.bytes + 24) + 1;
    world_host(w, &(struct world_segment){from, port, 1001, seq, TCP_F_ACK, 8000, payload, len});
    return seq;
}

static size_t write_framed(uint8_t *out, unsigned id)
{
    size_t len = world_write_query(out + 2, id, 0);
    store_be16(out, (uint16_t)len);
    return len + 2;
}

static void the_oldest_idle_connection_makes_room(void **state)
{
    struct world *w = world_new(1);
    uint8_t query[64];

    (void)state;
    w->cut = true;
    w->answer_after = TIME_NEVER;
    size_t len = write_framed(query, 1);
    open_host(w, "192.0.2.1", 1, query, len); /* it waits for an answer */
    assert_int_equal(w->queries_seen, 1);
    for (uint16_t i = 2; i <= L3_TCP_CLIENTS_MAX; i++) {
        w->now += NS_PER_MS;
        open_host(w, "192.0.2.1", i, NULL, 0);
    }
    assert_int_equal(l3_tcp_counters(w->t)->evicted, 0);
    open_host(w, "192.0.2.1", 1000, NULL, 0);
    assert_int_equal(l3_tcp_counters(w->t)->evicted, 1);
    assert_int_equal(load_be16(w->last_to_host.bytes + 22),
                     2); /* the first that waits for nothing */
    assert_true(w->last_to_host.bytes[33] & TCP_F_FIN);
    assert_int_equal(w->queries[0].at, TIME_NEVER);
    world_reply(w, &w->queries[0]);
    assert_int_equal(load_be16(w->last_to_host.bytes + 22), 1);
    assert_int_equal(l3_tcp_counters(w->t)->answers, 1);
    world_free(w);
}

static void a_host_may_stop_sending_and_get_its_answer(void **state)
{
    struct world *w = world_new(1);
    uint8_t query[64];

    (void)state;
    w->cut = true;
    w->answer_after = NS_PER_SEC;
    size_t len = write_framed(query, 1);
    uint32_t seq = open_host(w, "192.0.2.1", 7, query, len);
    world_host(w, &(struct world_segment){"192.0.2.1", 7, 1001 + (uint32_t)len, seq,
                                          TCP_F_FIN | TCP_F_ACK, 8000, NULL, 0});
    assert_int_equal(w->last_to_host.bytes[33], TCP_F_ACK);
    world_run_for(w, 1100 * NS_PER_MS);
    assert_int_equal(l3_tcp_counters(w->t)->answers, 1);
    assert_true(w->last_to_host.bytes[33] & TCP_F_FIN);
    world_free(w);
}

static void what_is_no_query_is_reset(void **state)
{
    static const uint8_t BAD[][4] = {{0, 0}, {0, 2, 1, 1}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(BAD); i++) {
        struct world *w = world_new(1);
        w->cut = true;
        open_host(w, "192.0.2.1", 7, BAD[i], i == 0 ? 2 : 4);
        assert_true(w->last_to_host.bytes[33] & TCP_F_RST);
        assert_int_equal(l3_tcp_counters(w->t)->malformed, 1);
        assert_int_equal(w->queries_seen, 0);
        world_free(w);
    }
    struct world *w = world_new(1);
    w->refuse = true; /* the owner does not understand it */
    assert_int_equal(world_ask(w, 1, V4, 24), ERR_OK);
    world_run_for(w, NS_PER_SEC);
    assert_ended(w, 1, 1, ERR_CLOSED);
    assert_int_equal(l3_tcp_counters(w->t)->malformed, 1);
    world_free(w);
}

static void answers_that_are_not_read_have_a_bound(void **state)
{
    struct world *w = world_new(1);
    uint8_t queries[64 * 40];
    size_t len = 0;

    (void)state;
    w->cut = true;
    w->answer_after = NS_PER_SEC;
    w->answer_len = 65535;
    for (unsigned i = 0; i < 40; i++)
        len += write_framed(queries + len, i);
    open_host(w, "192.0.2.1", 7, queries, len);
    assert_int_equal(w->queries_seen, 40);
    world_run_for(w, 1100 * NS_PER_MS); /* the host reads nothing */
    assert_int_equal(l3_tcp_counters(w->t)->overflowed, 1);
    assert_in_range(l3_tcp_counters(w->t)->answers, 10, 20);
    assert_true(l3_tcp_counters(w->t)->answers_lost > 0);
    assert_true(w->last_to_host.bytes[33] & TCP_F_RST);
    world_free(w);
}

static void idle_connections_end_and_the_clock_stops(void **state)
{
    struct world *w = world_new(1);
    uint8_t query[64];

    (void)state;
    assert_int_equal(l3_tcp_poll_timeout(w->t), TIME_NEVER);
    w->cut = true;
    open_host(w, "192.0.2.1", 7, NULL, 0);
    world_run_for(w, 29 * NS_PER_SEC);
    assert_int_equal(l3_tcp_counters(w->t)->idle, 0);
    size_t len = write_framed(query, 1);
    w->answer_after = TIME_NEVER;
    open_host(w, "192.0.2.1", 8, query, len);
    world_run_for(w, 2 * NS_PER_SEC);
    assert_int_equal(l3_tcp_counters(w->t)->idle, 1); /* 7 */
    world_run_for(w, 57 * NS_PER_SEC);
    assert_int_equal(l3_tcp_counters(w->t)->idle, 1);
    world_run_for(w, 2 * NS_PER_SEC);
    assert_int_equal(l3_tcp_counters(w->t)->idle, 2);
    /* That of 7 was never acknowledged. */
    assert_int_equal(l3_tcp_poll_timeout(w->t), TIME_NEVER);
    world_free(w);
}

static void a_long_pause_ages_no_new_connection(void **state)
{
    struct world *w = world_new(1);

    (void)state;
    w->now += 3600 * NS_PER_SEC;
    assert_int_equal(world_ask(w, 1, V4, 24), ERR_OK);
    assert_true(l3_tcp_poll_timeout(w->t) > w->now);
    world_run_for(w, NS_PER_SEC);
    assert_true(world_is_answered(w, 1, 24));
    assert_int_equal(w->to_tunnel, 4); /* SYN, ACK, query, ACK: nothing twice */
    world_free(w);
}

static void addresses_that_are_no_sentinels_are_dead(void **state)
{
    struct world *w = world_new(1);
    struct ip_addr other = world_addr("100.100.111.9");

    (void)state;
    w->answer_after = NS_PER_SEC;
    assert_int_equal(world_ask(w, 1, V4, 24), ERR_OK);
    world_run_for(w, 500 * NS_PER_MS);
    assert_int_equal(w->queries_seen, 1);
    l3_tcp_set_sentinels(w->t, &other, 1, w->now);
    world_run_for(w, NS_PER_SEC);
    assert_ended(w, 1, 1, ERR_CLOSED);
    assert_int_equal(l3_tcp_counters(w->t)->answers_lost, 1);
    assert_int_equal(world_ask(w, 2, V4, 24), ERR_OK);
    world_run_for(w, 11 * NS_PER_SEC);
    assert_ended(w, 2, 1, ERR_TIMEOUT);
    assert_true(l3_tcp_counters(w->t)->packets_stray > 2);
    world_free(w);
}

/* ---- client ---- */

static void late_answers_are_no_harm(void **state)
{
    struct world *w = world_new(1);

    (void)state;
    w->answer_after = 12 * NS_PER_SEC;
    assert_int_equal(world_ask(w, 1, V4, 24), ERR_OK);
    world_run_for(w, 9 * NS_PER_SEC);
    w->answer_after = 6 * NS_PER_SEC;
    assert_int_equal(world_ask(w, 2, V4, 24), ERR_OK);
    world_run_for(w, 2 * NS_PER_SEC);
    assert_ended(w, 1, 1, ERR_TIMEOUT);
    assert_int_equal(w->asks[2].ends, 0);
    w->answer_after = 0;
    assert_int_equal(world_ask(w, 3, V4, 24), ERR_OK); /* by another connection */
    world_run_for(w, 10 * NS_PER_SEC);
    assert_true(world_is_answered(w, 2, 24));
    assert_true(world_is_answered(w, 3, 24));
    assert_int_equal(w->asks[1].ends, 1);
    assert_int_equal(l3_tcp_counters(w->t)->accepted, 2);
    assert_int_equal(l3_tcp_counters(w->t)->mismatched, 0);
    world_run(w, TIME_NEVER);
    assert_int_equal(w->watched, 0);
    world_free(w);
}

static void an_idle_connection_is_used_again_and_then_closed(void **state)
{
    struct world *w = world_new(1);

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        ask_all(w, i, 1, V4, 24);
        world_run_for(w, (i == 0 ? 9 : 11) * NS_PER_SEC);
        assert_true(world_is_answered(w, i, 24));
        assert_int_equal(l3_tcp_counters(w->t)->accepted, i < 2 ? 1 : 2);
    }
    assert_int_equal(w->watched, 2); /* for what may still come */
    world_run(w, TIME_NEVER);
    assert_int_equal(w->watched, 0);
    assert_int_equal(l3_tcp_counters(w->t)->idle, 0);
    world_free(w);
}

/* The server resets all its connections. */
static void drop_connections(struct world *w)
{
    struct ip_addr other = world_addr("100.100.111.9"), v4 = world_addr(V4);
    l3_tcp_set_sentinels(w->t, &other, 1, w->now);
    l3_tcp_set_sentinels(w->t, &v4, 1, w->now);
}

static void a_server_that_closes_is_asked_once_more(void **state)
{
    struct world *w = world_new(1);

    (void)state;
    assert_int_equal(world_ask(w, 1, V4, 24), ERR_OK);
    world_run_for(w, NS_PER_SEC);
    w->answer_after = NS_PER_SEC;
    ask_all(w, 2, 3, V4, 24);
    world_run_for(w, 500 * NS_PER_MS);
    drop_connections(w);
    world_run_for(w, 2 * NS_PER_SEC);
    for (unsigned i = 2; i < 5; i++)
        assert_true(world_is_answered(w, i, 24));
    assert_int_equal(l3_tcp_counters(w->t)->retried, 3);
    assert_int_equal(l3_tcp_counters(w->t)->accepted, 2);
    w->answer_after = 5 * NS_PER_SEC;
    ask_all(w, 5, 1, V4, 24);
    for (unsigned i = 0; i < 2; i++) {
        world_run_for(w, 500 * NS_PER_MS);
        w->answer_after = 0; /* of another query: the server is one each time */
        ask_all(w, 6 + i, 1, V4, 24);
        world_run_for(w, 500 * NS_PER_MS);
        assert_true(world_is_answered(w, 6 + i, 24));
        w->answer_after = 5 * NS_PER_SEC;
        assert_int_equal(w->asks[5].ends, 0);
        drop_connections(w);
    }
    world_run_for(w, NS_PER_SEC);
    assert_ended(w, 5, 1, ERR_CLOSED);
    assert_int_equal(l3_tcp_counters(w->t)->retried, 4);
    world_free(w);
}

static void what_is_no_answer_ends_the_connection(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct world *w = world_new(1);
        w->answer_after = NS_PER_SEC;
        w->wrong_id = i == 0;
        w->wrong_name = i == 1;
        ask_all(w, 0, 5, V4, 24);
        world_run_for(w, 3 * NS_PER_SEC);
        assert_ended(w, 0, 5, ERR_PARSE);
        assert_int_equal(l3_tcp_counters(w->t)->mismatched, 1);
        w->wrong_id = w->wrong_name = false;
        assert_int_equal(world_ask(w, 9, V4, 24), ERR_OK);
        world_run_for(w, 3 * NS_PER_SEC);
        assert_true(world_is_answered(w, 9, 24));
        world_free(w);
    }
}

static void an_icmp_error_ends_the_connection_it_is_about(void **state)
{
    (void)state;
    for (unsigned other = 0; other < 2; other++) {
        struct world *w = world_new(1);
        uint8_t error[ICMP_ERROR_MAX], about[L3_MTU];
        struct ip_view v;

        w->cut = true;
        ask_all(w, 0, 3, V4, 24);
        uint32_t about_len = w->last_to_tunnel.len;
        memcpy(about, w->last_to_tunnel.bytes, about_len);
        if (other) /* of a sequence number that was never sent */
            about[24] ^= 0x80;
        assert_true(ip_parse(&v, about, about_len));
        size_t len = icmp_error_write(error, &v, about, ICMP_PROHIBITED);
        assert_true(len > 0);
        assert_true(l3_tcp_from_tunnel(w->t, error, len, w->now));
        assert_int_equal(w->ends, other ? 0 : 3);
        if (!other)
            assert_ended(w, 0, 3, ERR_UNREACHABLE);
        world_free(w);
    }
}

static void a_reset_ends_what_waits(void **state)
{
    struct world *w = world_new(1);

    (void)state;
    w->answer_after = NS_PER_SEC;
    ask_all(w, 0, 4, V4, 24);
    ask_all(w, 4, 4, V6, 24);
    world_run_for(w, 500 * NS_PER_MS);
    assert_int_equal(w->watched, 2);
    l3_tcp_reset(w->t, w->now);
    assert_ended(w, 0, 8, ERR_CLOSED);
    assert_int_equal(w->watched, 0);
    assert_int_equal(w->last_to_tunnel.len, 60);
    assert_true(w->last_to_tunnel.bytes[53] & TCP_F_RST);
    w->answer_after = 0;
    assert_int_equal(world_ask(w, 9, V4, 24), ERR_OK);
    world_run_for(w, NS_PER_SEC);
    assert_true(world_is_answered(w, 9, 24));
    world_free(w);
}

static void queries_that_cannot_be_asked_are_not_taken(void **state)
{
    struct world *w = world_new(1);
    struct sock_addr to = {.ip = world_addr(V4), .port = DNS_PORT};
    struct ip_addr v4 = world_addr("100.64.0.7"), v6 = world_addr("fd00::1");
    static const uint8_t query[65536];

    (void)state;
    assert_int_equal(l3_tcp_ask(w->t, 1, &to, &v6, query, 30, w->now), ERR_INVALID);
    assert_int_equal(l3_tcp_ask(w->t, 1, &to, &v4, query, 11, w->now), ERR_INVALID);
    assert_int_equal(l3_tcp_ask(w->t, 1, &to, &v4, query, 65536, w->now), ERR_INVALID);
    w->cut = true;
    for (uint16_t i = 0; i < L3_TCP_SERVERS_MAX; i++) {
        to.port = (uint16_t)(1000 + i);
        assert_int_equal(l3_tcp_ask(w->t, i, &to, &v4, query, 30, w->now), ERR_OK);
    }
    to.port = 53;
    assert_int_equal(l3_tcp_ask(w->t, 99, &to, &v4, query, 30, w->now), ERR_FULL);
    to.port = 1000;
    for (uint16_t i = L3_TCP_SERVERS_MAX; i < L3_TCP_ASKS_MAX; i++)
        assert_int_equal(l3_tcp_ask(w->t, i, &to, &v4, query, 30, w->now), ERR_OK);
    assert_int_equal(l3_tcp_ask(w->t, 2000, &to, &v4, query, 30, w->now), ERR_FULL);
    assert_int_equal(l3_tcp_counters(w->t)->full, 2);
    world_run_for(w, 11 * NS_PER_SEC);
    assert_ended(w, 0, L3_TCP_ASKS_MAX, ERR_TIMEOUT);
    assert_int_equal(w->ends, L3_TCP_ASKS_MAX);
    world_free(w);
}

static void there_is_one_at_a_time(void **state)
{
    static const uint8_t seed[L3_SEED_LEN] = {3};
    struct l3_tcp *t;
    char why[128];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct world *w = world_new(i);
        assert_int_equal(l3_tcp_new(&t, seed, &WORLD_EVENTS, w, w->now, why, sizeof why),
                         ERR_IN_USE);
        assert_null(t);
        assert_non_null(strstr(why, "in use"));
        ask_all(w, 0, 5, V4, 24); /* left as they are */
        world_run_for(w, i * NS_PER_MS);
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_any_length_get_through),
        cmocka_unit_test(loss_and_reordering_change_no_answer),
        cmocka_unit_test(a_connection_waits_for_so_many_answers),
        cmocka_unit_test(the_oldest_idle_connection_makes_room),
        cmocka_unit_test(a_host_may_stop_sending_and_get_its_answer),
        cmocka_unit_test(what_is_no_query_is_reset),
        cmocka_unit_test(answers_that_are_not_read_have_a_bound),
        cmocka_unit_test(idle_connections_end_and_the_clock_stops),
        cmocka_unit_test(a_long_pause_ages_no_new_connection),
        cmocka_unit_test(addresses_that_are_no_sentinels_are_dead),
        cmocka_unit_test(late_answers_are_no_harm),
        cmocka_unit_test(an_idle_connection_is_used_again_and_then_closed),
        cmocka_unit_test(a_server_that_closes_is_asked_once_more),
        cmocka_unit_test(what_is_no_answer_ends_the_connection),
        cmocka_unit_test(an_icmp_error_ends_the_connection_it_is_about),
        cmocka_unit_test(a_reset_ends_what_waits),
        cmocka_unit_test(queries_that_cannot_be_asked_are_not_taken),
        cmocka_unit_test(there_is_one_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
