/* SPDX-License-Identifier: Apache-2.0 */
/* DNS over UDP through the tunnel: which packets are answers, and what becomes of queries that get none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/dns/l3_packet.h"
#include "control/dns/l3_udp.h"
#include "platform/base/mem.h"
#include "tests/support/inner_packet.h"

#define START (1000 * NS_PER_SEC)

struct rig {
    struct l3_udp u;
    uint8_t packet[L3_MTU]; /* the last one */
    uint32_t packet_len;
    unsigned packets, watched;
    int watches[65536];
    unsigned asked;
    struct {
        uint64_t id;
        enum err err;
        size_t len;
        uint8_t answer[L3_MTU];
    } last;
    bool ask_again;
};

static struct ip_addr addr(const char *text)
{
    struct ip_addr a;
    assert_int_equal(ip_addr_parse(&a, text), ERR_OK);
    return a;
}

static struct sock_addr server(const char *text, uint16_t port)
{
    return (struct sock_addr){.ip = addr(text), .port = port};
}

/* Question: a.Bc, type A, class IN. */
static const uint8_t QUERY[] = {0x12, 0x34, 1,   0, 0,   1,   0, 0, 0, 0, 0,
                                0,    1,    'a', 2, 'B', 'c', 0, 0, 1, 0, 1};

static void on_packet(void *arg, const uint8_t *packet, uint32_t len)
{
    struct rig *r = arg;
    memcpy(r->packet, packet, len);
    r->packet_len = len;
    r->packets++;
}

static void on_watch(void *arg, uint16_t port, bool on)
{
    struct rig *r = arg;
    assert_int_equal(r->watches[port], on ? 0 : 1);
    r->watches[port] = on;
    r->watched += on ? 1 : -1u;
}

static enum err ask(struct rig *r, uint64_t id, time_ns now)
{
    struct sock_addr to = server("10.1.2.3", 53);
    struct ip_addr own = addr("100.64.0.7");
    return l3_udp_ask(&r->u, id, &to, &own, QUERY, sizeof QUERY, now);
}

static void on_asked(void *arg, uint64_t id, enum err err, const uint8_t *answer, size_t len)
{
    struct rig *r = arg;
    r->asked++;
    r->last.id = id;
    r->last.err = err;
    r->last.len = len;
    if (len > 0)
        memcpy(r->last.answer, answer, len);
    if (r->ask_again)
        assert_int_equal(ask(r, id + 1000, START), ERR_OK);
}

static const struct l3_udp_events EVENTS = {on_packet, on_watch, on_asked};

static struct rig *rig_new(void)
{
    static const uint8_t seed[L3_SEED_LEN] = {7};
    struct rig *r = mem_zalloc(1, sizeof *r);
    l3_udp_init(&r->u, seed, &EVENTS, r);
    return r;
}

/* ---- answers ---- */

struct answer {
    const char *what;
    const char *from, *to;
    uint16_t from_port;
    int port, id; /* added to the right ones */
    uint8_t flags, rcode;
    int questions;
    char name; /* first letter of the question */
    int cut;   /* bytes less */
    bool bad_checksum;
    bool ok, ours;
};

static const struct answer ANSWERS[] = {
    {"right", "10.1.2.3", "100.64.0.7", 53, 0, 0, 0x81, 0, 1, 'a', 0, false, true, true},
    {"other case", "10.1.2.3", "100.64.0.7", 53, 0, 0, 0x81, 0, 1, 'A', 0, false, true, true},
    {"error without question", "10.1.2.3", "100.64.0.7", 53, 0, 0, 0x80, 1, 0, 'a', 10, false, true,
     true},
    {"no question", "10.1.2.3", "100.64.0.7", 53, 0, 0, 0x80, 0, 0, 'a', 10, false, false, true},
    {"other server", "10.1.2.4", "100.64.0.7", 53, 0, 0, 0x81, 0, 1, 'a', 0, false, false, true},
    {"other port of it", "10.1.2.3", "100.64.0.7", 54, 0, 0, 0x81, 0, 1, 'a', 0, false, false,
     true},
    {"to another", "10.1.2.3", "100.64.0.8", 53, 0, 0, 0x81, 0, 1, 'a', 0, false, false, true},
    {"other port", "10.1.2.3", "100.64.0.7", 53, 1, 0, 0x81, 0, 1, 'a', 0, false, false, false},
    {"other id", "10.1.2.3", "100.64.0.7", 53, 0, 1, 0x81, 0, 1, 'a', 0, false, false, true},
    {"a query", "10.1.2.3", "100.64.0.7", 53, 0, 0, 0x01, 0, 1, 'a', 0, false, false, true},
    {"other name", "10.1.2.3", "100.64.0.7", 53, 0, 0, 0x81, 0, 1, 'b', 0, false, false, true},
    {"cut question", "10.1.2.3", "100.64.0.7", 53, 0, 0, 0x81, 0, 1, 'a', 1, false, false, true},
    {"cut header", "10.1.2.3", "100.64.0.7", 53, 0, 0, 0x81, 1, 0, 'a', 11, false, false, true},
    {"damaged", "10.1.2.3", "100.64.0.7", 53, 0, 0, 0x81, 0, 1, 'a', 0, true, false, false},
};

static size_t write_answer(uint8_t out[L3_MTU], const struct answer *a, uint16_t port)
{
    struct sock_addr from = server(a->from, a->from_port),
                     to = server(a->to, (uint16_t)(port + a->port));
    uint8_t message[sizeof QUERY];

    memcpy(message, QUERY, sizeof message);
    message[1] = (uint8_t)(message[1] + a->id);
    message[2] = a->flags;
    message[3] = a->rcode;
    message[5] = (uint8_t)a->questions;
    message[13] = (uint8_t)a->name;
    size_t len = l3_packet_write_udp(out, &from, &to, message, sizeof message - (size_t)a->cut);
    assert_true(len > 0);
    if (a->bad_checksum)
        out[len - 1] ^= 1;
    return len;
}

static void only_the_servers_answer_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ANSWERS); i++) {
        const struct answer *a = &ANSWERS[i];
        struct rig *r = rig_new();
        uint8_t packet[L3_MTU];

        print_message("%s\n", a->what);
        assert_int_equal(ask(r, 5, START), ERR_OK);
        size_t len = write_answer(packet, a, r->u.queries[0].port);
        assert_int_equal(l3_udp_input(&r->u, packet, len), a->ours);
        assert_int_equal(r->asked, a->ok);
        assert_int_equal(r->watched, !a->ok);
        assert_int_equal(r->u.counters.answered, a->ok);
        assert_int_equal(r->u.counters.mismatched, a->ours && !a->ok);
        if (a->ok) {
            assert_int_equal(r->last.id, 5);
            assert_int_equal(r->last.err, ERR_OK);
            assert_int_equal(r->last.len, sizeof QUERY - (size_t)a->cut);
            assert_false(l3_udp_input(&r->u, packet, len)); /* it counts once */
        }
        free(r);
    }
}

/* ---- queries ---- */

static void a_query_is_a_packet_of_either_family(void **state)
{
    static const char *const ENDS[][2] = {{"100.64.0.7", "10.1.2.3"},
                                          {"fd00:2021:1111::7", "2001:db8::1"}};
    uint8_t query[L3_MTU] = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ENDS); i++) {
        struct rig *r = rig_new();
        struct sock_addr to = server(ENDS[i][1], 53535);
        struct ip_addr own = addr(ENDS[i][0]), other = addr(ENDS[1 - i][0]);
        size_t header = i == 0 ? 20 : 40, max = L3_MTU - header - 8;
        struct ip_view v;

        assert_int_equal(l3_udp_ask(&r->u, 1, &to, &other, QUERY, sizeof QUERY, 0), ERR_INVALID);
        assert_int_equal(l3_udp_ask(&r->u, 1, &to, &own, query, 11, 0), ERR_INVALID);
        assert_int_equal(l3_udp_ask(&r->u, 1, &to, &own, query, max + 1, 0), ERR_INVALID);
        assert_int_equal(r->packets + r->watched, 0);
        assert_int_equal(l3_udp_ask(&r->u, 1, &to, &own, query, max, 0), ERR_OK);
        assert_int_equal(r->packet_len, L3_MTU);
        assert_true(ip_parse(&v, r->packet, r->packet_len) && ip_l4_valid(&v, r->packet));
        assert_int_equal(v.l4_off, header);
        assert_int_equal(v.dst_port, 53535);
        assert_true(v.src_port >= L3_PORT_MIN && r->watches[v.src_port]);
        assert_memory_equal(ip_src_ptr(r->packet, v.version), own.bytes, i == 0 ? 4 : 16);
        assert_memory_equal(ip_dst_ptr(r->packet, v.version), to.ip.bytes, i == 0 ? 4 : 16);
        assert_int_equal(inner_l4_sum(r->packet, r->packet_len, v.l4_off, IP_PROTO_UDP), 0xffff);
        if (i == 0)
            assert_int_equal(inner_sum(r->packet, 20, 0), 0xffff);
        free(r);
    }
}

static void what_is_late_is_swallowed_for_a_while(void **state)
{
    struct rig *r = rig_new();
    uint8_t packet[L3_MTU];

    (void)state;
    assert_int_equal(l3_udp_poll_timeout(&r->u), TIME_NEVER);
    assert_int_equal(ask(r, 1, START), ERR_OK);
    assert_int_equal(ask(r, 2, START + NS_PER_SEC), ERR_OK);
    size_t len = write_answer(packet, &ANSWERS[0], r->u.queries[0].port);
    assert_int_equal(l3_udp_poll_timeout(&r->u), START + 10 * NS_PER_SEC);
    l3_udp_handle_timeout(&r->u, START + 10 * NS_PER_SEC - 1);
    assert_int_equal(r->asked, 0);
    l3_udp_handle_timeout(&r->u, START + 10 * NS_PER_SEC);
    assert_int_equal(r->asked, 1);
    assert_int_equal(r->last.id, 1);
    assert_int_equal(r->last.err, ERR_TIMEOUT);
    assert_int_equal(r->watched, 2);
    assert_int_equal(l3_udp_poll_timeout(&r->u), START + 11 * NS_PER_SEC);
    assert_true(l3_udp_input(&r->u, packet, len));
    assert_int_equal(r->asked, 1);
    assert_int_equal(r->u.counters.late, 1);
    assert_int_equal(r->watched, 1);
    l3_udp_handle_timeout(&r->u, START + 11 * NS_PER_SEC);
    assert_int_equal(r->watched, 1);
    l3_udp_handle_timeout(&r->u, START + 21 * NS_PER_SEC);
    assert_int_equal(r->asked, 2);
    assert_int_equal(r->watched, 0);
    assert_int_equal(l3_udp_poll_timeout(&r->u), TIME_NEVER);
    free(r);
}

static void late_ones_make_room(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    for (unsigned i = 0; i < L3_UDP_MAX; i++)
        assert_int_equal(ask(r, i, START + i), ERR_OK);
    assert_int_equal(r->watched, L3_UDP_MAX); /* each from another port */
    assert_int_equal(ask(r, 5000, START + 5000), ERR_FULL);
    assert_int_equal(r->u.counters.full, 1);
    l3_udp_handle_timeout(&r->u, START + 10 * NS_PER_SEC + 1); /* 0 and 1 */
    assert_int_equal(r->asked, 2);
    assert_int_equal(ask(r, 5000, START + 10 * NS_PER_SEC + 2), ERR_OK);
    assert_int_equal(ask(r, 5001, START + 10 * NS_PER_SEC + 2), ERR_OK);
    assert_int_equal(ask(r, 5002, START + 10 * NS_PER_SEC + 2), ERR_FULL);
    assert_int_equal(r->watched, L3_UDP_MAX);
    free(r);
}

static void a_reset_ends_what_waits_and_no_more(void **state)
{
    struct rig *r = rig_new();

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(ask(r, i, START + i), ERR_OK);
    l3_udp_handle_timeout(&r->u, START + 10 * NS_PER_SEC); /* 0 */
    r->ask_again = true;
    l3_udp_reset(&r->u);
    assert_int_equal(r->asked, 3);
    assert_int_equal(r->last.id, 2);
    assert_int_equal(r->last.err, ERR_CLOSED);
    assert_int_equal(r->watched, 2); /* those asked meanwhile */
    r->ask_again = false;
    l3_udp_reset(&r->u);
    assert_int_equal(r->asked, 5);
    assert_int_equal(r->watched, 0);
    free(r);
}

static void an_icmp_error_about_it_is_an_end(void **state)
{
    (void)state;
    for (unsigned other = 0; other < 2; other++) {
        struct rig *r = rig_new();
        uint8_t error[ICMP_ERROR_MAX];
        struct ip_view v;

        assert_int_equal(ask(r, 9, START), ERR_OK);
        if (other) { /* about a packet to another server */
            r->packet[19]++;
            r->packet[11]--;
        }
        assert_true(ip_parse(&v, r->packet, r->packet_len));
        size_t len = icmp_error_write(error, &v, r->packet, ICMP_NETWORK);
        assert_true(len > 0);
        error[len - 1] ^= 1;
        assert_false(l3_udp_input(&r->u, error, len));
        error[len - 1] ^= 1;
        assert_true(l3_udp_input(&r->u, error, len));
        assert_int_equal(r->asked, !other);
        if (!other) {
            assert_int_equal(r->last.id, 9);
            assert_int_equal(r->last.err, ERR_UNREACHABLE);
            assert_int_equal(r->watched, 0);
        }
        free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_servers_answer_counts),
        cmocka_unit_test(a_query_is_a_packet_of_either_family),
        cmocka_unit_test(what_is_late_is_swallowed_for_a_while),
        cmocka_unit_test(late_ones_make_room),
        cmocka_unit_test(a_reset_ends_what_waits_and_no_more),
        cmocka_unit_test(an_icmp_error_about_it_is_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
