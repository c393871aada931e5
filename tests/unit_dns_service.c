/* SPDX-License-Identifier: Apache-2.0 */
/* Who answers a query, what the answer looks like by either transport, and that there is one whatever happens meanwhile. */
#include "control/dns/service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "platform/base/bytes.h"
#include "tests/dns_rig.h"
#include "tests/dns_world.h"

enum {
    RANDOM_STEPS = 40000,
    MANY_RECORDS = 100
};

static const struct dns_client by_udp = {.transport = DNS_UDP, .server = 3, .v6 = true};
static const struct dns_client by_tcp = {.transport = DNS_TCP, .server = 1};

static struct uuid resource_id(unsigned number)
{
    struct uuid id = {{0}};

    store_be32(id.bytes + 12, number);
    return id;
}

static void set(struct world *w, unsigned number, const char *pattern)
{
    struct uuid id = resource_id(number);
    char why[256];

    assert_int_equal(dns_service_set(w->service, &id, pattern, IP_STACK_DUAL, why, sizeof why),
                     ERR_OK);
}

static void ask(struct world *w, const struct dns_client *from, const char *name, unsigned type)
{
    struct rig_message m;

    rig_query(&m, 7, name, type);
    assert_true(world_query(w, from, m.bytes, m.len));
}

static void answer_first(struct world *w, const char *name, const unsigned *ttls_s, unsigned n)
{
    struct rig_message m;

    rig_answer(&m, 0, name, ttls_s, n);
    world_answered(w, world_waiting(w, 0)->id, m.bytes, m.len);
}

static void assert_answered(struct world *w, const char *want)
{
    char shown[RIG_SHOWN_MAX];

    assert_non_null(w->answer);
    assert_string_equal(rig_show(shown, w->answer, w->answer_len), want);
    free(w->answer);
    w->answer = NULL;
}

static void test_who_answers(void **state)
{
    static const unsigned ttl_s = 300;
    struct world *w = world_new();
    const struct dns_service_counters *counters = dns_service_counters(w->service);

    (void)state;
    set(w, 1, "*.ours");
    ask(w, &by_udp, "a.ours", ARES_REC_TYPE_A);
    assert_answered(w,
                    "7 NOERROR qr+rd a.ours A; a.ours 1 100.96.0.1; a.ours 1 100.96.0.2; a.ours 1"
                    " 100.96.0.3; a.ours 1 100.96.0.4");
    assert_int_equal(w->asks, 0);

    /* The server's answer has our id, and is known from then on, whatever the transport. */
    ask(w, &by_udp, "x.example", ARES_REC_TYPE_A);
    assert_int_equal(w->asks, 1);
    assert_null(w->answer);
    w->now += NS_PER_SEC;
    answer_first(w, "x.example", &ttl_s, 1);
    assert_answered(w, "7 NOERROR qr+rd+ra x.example A; x.example 300 192.0.2.1");
    w->now += 2 * NS_PER_SEC;
    ask(w, &by_tcp, "X.example", ARES_REC_TYPE_A);
    assert_answered(w, "7 NOERROR qr+rd X.example A; x.example 298 192.0.2.1");
    assert_int_equal(w->asks, 1);

    /* What a site says is not kept. */
    for (unsigned i = 0; i < 2; i++) {
        ask(w, &by_udp, "a.ours", ARES_REC_TYPE_TXT);
        struct uuid id = resource_id(1);
        assert_memory_equal(&w->site, &id, sizeof id);
        struct world_query *q = world_waiting(w, 0);
        q->bytes[2] |= 0x80;
        world_answered(w, q->id, q->bytes, q->len);
        assert_answered(w, "7 NOERROR qr+rd a.ours TXT");
    }
    assert_int_equal(w->asks, 3);

    /* Other resources, other servers: nothing is known any more. */
    for (unsigned i = 0; i < 3; i++) {
        struct uuid id = resource_id(1);
        if (i == 0)
            set(w, 2, "*.also");
        else if (i == 1)
            dns_service_remove(w->service, &id);
        else
            dns_service_servers_changed(w->service);
        ask(w, &by_udp, "x.example", ARES_REC_TYPE_A);
        assert_int_equal(w->asks, 4 + i);
        answer_first(w, "x.example", &ttl_s, 1);
    }
    assert_int_equal(counters->queries, 8);
    assert_int_equal(counters->local, 1);
    assert_int_equal(counters->cached, 1);
    assert_int_equal(counters->asked, 4);
    assert_int_equal(counters->asked_sites, 2);
    assert_int_equal(counters->answered, 6);
    world_free(w);
}

/* An update of x.example looks as a question for it does, but for the opcode. */
static void test_what_is_no_question(void **state)
{
    enum {
        OPCODE_UPDATE = 5 << 3
    };
    static const char *const names[] = {"x.example", "a.ours"};
    static const unsigned ttl_s = 300;
    struct world *w = world_new();
    struct rig_message m;

    (void)state;
    set(w, 1, "*.ours");
    ask(w, &by_udp, "x.example", ARES_REC_TYPE_A);
    answer_first(w, "x.example", &ttl_s, 1);
    for (unsigned i = 0; i < 2; i++) {
        rig_query(&m, 7, names[i], ARES_REC_TYPE_A);
        m.bytes[2] |= OPCODE_UPDATE;
        assert_true(world_query(w, &by_udp, m.bytes, m.len));
        assert_int_equal(w->asks, 2 + i);
        rig_answer(&m, 0, names[i], &ttl_s, 1);
        m.bytes[2] |= OPCODE_UPDATE;
        world_answered(w, world_waiting(w, 0)->id, m.bytes, m.len);
    }
    dns_service_servers_changed(w->service);
    rig_query(&m, 7, "x.example", ARES_REC_TYPE_A);
    m.bytes[2] |= OPCODE_UPDATE;
    assert_true(world_query(w, &by_udp, m.bytes, m.len));
    rig_answer(&m, 0, "x.example", &ttl_s, 1);
    world_answered(w, world_waiting(w, 0)->id, m.bytes, m.len);
    ask(w, &by_udp, "x.example", ARES_REC_TYPE_A);
    assert_int_equal(w->asks, 5);
    world_free(w);
}

/* It was the resource's, and is known to nobody when that has gone. */
static void test_a_late_answer_of_a_site(void **state)
{
    static const uint8_t record[] = {0xc0, 12, 0, 16, 0, 1, 0, 0, 1, 44, 0, 2, 1, 'x'};
    struct world *w = world_new();
    struct uuid id = resource_id(1);
    uint8_t answer[64];

    (void)state;
    set(w, 1, "ours");
    ask(w, &by_udp, "ours", ARES_REC_TYPE_TXT);
    dns_service_remove(w->service, &id);
    struct world_query *q = world_waiting(w, 0);
    memcpy(answer, q->bytes, q->len);
    answer[2] |= 0x80;
    store_be16(answer + 6, 1);
    memcpy(answer + q->len, record, sizeof record);
    world_answered(w, q->id, answer, q->len + sizeof record);
    assert_answered(w, "7 NOERROR qr+rd ours TXT; ours 300 ...");
    ask(w, &by_udp, "ours", ARES_REC_TYPE_TXT);
    assert_int_equal(w->asks, 2);
    assert_null(w->answer);
    world_answered(w, world_waiting(w, 0)->id, answer, q->len + sizeof record);
    ask(w, &by_udp, "ours", ARES_REC_TYPE_TXT);
    assert_int_equal(w->asks, 2);
    world_free(w);
}

static void test_what_is_too_long_for_udp(void **state)
{
    unsigned ttls_s[MANY_RECORDS];
    struct world *w = world_new();

    (void)state;
    for (unsigned i = 0; i < MANY_RECORDS; i++)
        ttls_s[i] = 300;
    ask(w, &by_tcp, "x.example", ARES_REC_TYPE_A);
    answer_first(w, "x.example", ttls_s, MANY_RECORDS);
    assert_int_equal(w->answer_len, 27 + MANY_RECORDS * 16);
    ask(w, &by_udp, "x.example", ARES_REC_TYPE_A);
    answer_first(w, "x.example", ttls_s, MANY_RECORDS);
    assert_answered(w, "7 NOERROR qr+tc+rd+ra x.example A");
    /* Just as much as fits, also from the cache; then a byte more. */
    for (unsigned i = 0; i < 3; i++) {
        static const char label[] =
            "123456789012345678901234567890123456789012345678901234567890123";
        char name[256];
        snprintf(name, sizeof name, "%s.%s.%s.%.*s", label, label, label, i == 2 ? 43 : 42, label);
        ask(w, &by_udp, name, ARES_REC_TYPE_A);
        if (i != 1)
            answer_first(w, name, ttls_s, 60);
        assert_int_equal(w->answer_len, i == 2 ? 12 + 237 + 4 : DNS_UDP_MESSAGE_MAX);
    }
    assert_int_equal(dns_service_counters(w->service)->truncated, 2);
    world_free(w);
}

static void test_what_is_no_answer(void **state)
{
    static const unsigned ttl_s = 300;
    struct world *w = world_new();
    const struct dns_service_counters *counters = dns_service_counters(w->service);
    struct rig_message m;

    (void)state;
    /* It answers another question. */
    ask(w, &by_udp, "x.example", ARES_REC_TYPE_A);
    answer_first(w, "y.example", &ttl_s, 1);
    assert_answered(w, "7 SERVFAIL qr+rd x.example A");
    assert_int_equal(counters->mismatched, 1);
    ask(w, &by_udp, "x.example", ARES_REC_TYPE_A);
    world_failed(w, world_waiting(w, 0)->id);
    assert_answered(w, "7 SERVFAIL qr+rd x.example A");
    assert_int_equal(counters->failed, 1);
    /* It leads to a resource; nothing of it is kept. */
    for (unsigned i = 0; i < 2; i++) {
        ask(w, &by_udp, "x.example", ARES_REC_TYPE_A);
        rig_answer(&m, 0, "x.example", (const unsigned[]){300, 300}, 2);
        memcpy(m.bytes + m.len - 4, (const uint8_t[]){100, 96, 0, 1}, 4);
        world_answered(w, world_waiting(w, 0)->id, m.bytes, m.len);
        assert_answered(w, "7 NOERROR qr+rd x.example A");
        assert_int_equal(counters->rebinding, 1 + i);
    }
    /* Nobody can be asked. */
    w->refuse = true;
    ask(w, &by_udp, "x.example", ARES_REC_TYPE_A);
    assert_answered(w, "7 SERVFAIL qr+rd x.example A");
    w->refuse = false;
    /* Those who ask so much want something else. */
    rig_query(&m, 7, "x.example", ARES_REC_TYPE_A);
    uint8_t *padded = calloc(1, DNS_SERVICE_QUERY_MAX + 1);
    memcpy(padded, m.bytes, m.len);
    assert_true(world_query(w, &by_tcp, padded, DNS_SERVICE_QUERY_MAX + 1));
    assert_answered(w, "7 SERVFAIL qr+rd x.example A");
    assert_int_equal(counters->too_long, 1);
    assert_true(world_query(w, &by_tcp, padded, DNS_SERVICE_QUERY_MAX));
    assert_null(w->answer);
    free(padded);
    /* It is no query. */
    assert_false(world_query(w, &by_udp, m.bytes, m.len - 1));
    assert_int_equal(counters->malformed, 1);
    world_free(w);
}

static void test_time_is_up(void **state)
{
    static const unsigned ttl_s = 300;
    struct world *w = world_new();
    struct rig_message m;

    (void)state;
    ask(w, &by_udp, "x.example", ARES_REC_TYPE_A);
    uint64_t id = world_waiting(w, 0)->id;
    world_pass(w, DNS_SERVICE_TIMEOUT_NS - 1);
    ask(w, &by_tcp, "y.example", ARES_REC_TYPE_A);
    assert_null(w->answer);
    world_pass(w, 1);
    assert_answered(w, "7 SERVFAIL qr+rd x.example A");
    assert_int_equal(w->cancels, 1);
    assert_int_equal(w->waiting, 1);
    /* Too late, also for the one that has its place now. */
    ask(w, &by_udp, "x.example", ARES_REC_TYPE_A);
    rig_answer(&m, 0, "x.example", &ttl_s, 1);
    world_answered(w, id, m.bytes, m.len);
    world_failed(w, id);
    assert_int_equal(w->waiting, 2);
    world_free(w);
}

static void test_too_many_at_a_time(void **state)
{
    struct world *w = world_new();

    (void)state;
    set(w, 1, "ours");
    for (unsigned i = 0; i < DNS_SERVICE_MAX; i++)
        ask(w, &by_udp, "x.example", i % 2 ? ARES_REC_TYPE_A : ARES_REC_TYPE_AAAA);
    assert_int_equal(w->answers, 0);
    ask(w, &by_udp, "y.example", ARES_REC_TYPE_A);
    assert_answered(w, "7 SERVFAIL qr+rd y.example A");
    ask(w, &by_udp, "ours", ARES_REC_TYPE_TXT);
    assert_answered(w, "7 SERVFAIL qr+rd ours TXT");
    ask(w, &by_udp, "ours", ARES_REC_TYPE_HTTPS);
    assert_answered(w, "7 NOERROR qr+rd ours HTTPS");
    assert_int_equal(dns_service_counters(w->service)->full, 2);
    world_failed(w, world_waiting(w, 500)->id);
    ask(w, &by_udp, "y.example", ARES_REC_TYPE_A);
    assert_int_equal(w->waiting, DNS_SERVICE_MAX);
    world_pass(w, DNS_SERVICE_TIMEOUT_NS);
    assert_int_equal(w->waiting, 0);
    assert_int_equal(w->cancels, DNS_SERVICE_MAX);
    world_free(w);
}

static void test_asked_again(void **state)
{
    struct world *w = world_new();

    (void)state;
    set(w, 1, "ours");
    ask(w, &by_udp, "x.example", ARES_REC_TYPE_A);
    ask(w, &by_udp, "ours", ARES_REC_TYPE_TXT);
    uint64_t id = world_waiting(w, 0)->id;
    dns_service_again(w->service, id);
    assert_int_equal(w->asks, 3);
    dns_service_again_all(w->service);
    assert_int_equal(w->asks, 5);
    assert_false(world_waiting(w, 0)->site);
    assert_true(world_waiting(w, 1)->site);
    /* Other servers are none of a site's business. */
    dns_service_servers_changed(w->service);
    assert_answered(w, "7 SERVFAIL qr+rd x.example A");
    assert_int_equal(w->waiting, 1);
    assert_int_equal(w->cancels, 1);
    dns_service_again(w->service, id);
    w->refuse = true;
    dns_service_again_all(w->service);
    assert_int_equal(w->asks, 6);
    assert_answered(w, "7 SERVFAIL qr+rd ours TXT");
    world_free(w);
}

static void test_changes_of_many_names_are_spread(void **state)
{
    char name[32];
    struct world *w = world_new();

    (void)state;
    set(w, 1, "*.ours");
    for (unsigned i = 0; i < 2 * DNS_STUB_STEP; i++) {
        snprintf(name, sizeof name, "n%u.ours", i);
        ask(w, &by_udp, name, ARES_REC_TYPE_A);
    }
    while (dns_service_poll_timeout(w->service) == 0)
        world_pass(w, 0);
    struct uuid id = resource_id(1);
    w->names = 0;
    dns_service_remove(w->service, &id);
    assert_int_equal(w->names, DNS_STUB_STEP);
    assert_int_equal(dns_service_poll_timeout(w->service), 0);
    while (dns_service_poll_timeout(w->service) == 0)
        world_pass(w, 0);
    assert_int_equal(w->names, 2 * DNS_STUB_STEP);
    world_free(w);
}

/* ---- anything, in any order: the world sees to it that each query has one answer ---- */

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(*seed >> 33);
}

static void random_query(struct world *w, uint64_t *seed)
{
    static const unsigned types[] = {ARES_REC_TYPE_A,   ARES_REC_TYPE_A,  ARES_REC_TYPE_A,
                                     ARES_REC_TYPE_TXT, ARES_REC_TYPE_MX, ARES_REC_TYPE_HTTPS};
    struct dns_client from = {.transport = next_random(seed) % 2 ? DNS_UDP : DNS_TCP,
                              .server = next_random(seed) % 4,
                              .v6 = next_random(seed) % 2};
    struct rig_message m;
    char name[32];

    snprintf(name, sizeof name, "%c.%s", 'a' + next_random(seed) % 26,
             next_random(seed) % 3 ? "example" : "ours");
    rig_query(&m, next_random(seed) & 0xffff, name, types[next_random(seed) % 6]);
    world_query(w, &from, m.bytes, m.len - (next_random(seed) % 32 == 0));
}

static void random_answer(struct world *w, uint64_t *seed)
{
    static const unsigned ttls_s[MANY_RECORDS] = {9, 30, 0, 4};
    struct world_query *q = world_waiting(w, next_random(seed));
    struct dns_query parsed;
    struct rig_message m;

    if (!q)
        return;
    assert_int_equal(dns_query_read(&parsed, q->bytes, q->len), ERR_OK);
    unsigned n = next_random(seed) % 8;
    rig_answer(&m, next_random(seed) & 0xffff, next_random(seed) % 8 ? parsed.asked : "other",
               ttls_s, n == 7 ? MANY_RECORDS : n);
    dns_query_fini(&parsed);
    if (n > 0 && next_random(seed) % 8 == 0)
        memcpy(m.bytes + m.len - 4, (const uint8_t[]){100, 96, 0, 1}, 4);
    world_answered(w, q->id + (next_random(seed) % 16 == 0), m.bytes, m.len);
}

static void random_change(struct world *w, uint64_t *seed)
{
    struct uuid id = resource_id(next_random(seed) % 2);
    char why[256];

    switch (next_random(seed) % 16) {
    case 0:
        dns_service_servers_changed(w->service);
        break;
    case 1:
        dns_service_again_all(w->service);
        break;
    case 2:
        dns_service_remove(w->service, &id);
        break;
    case 3:
        assert_int_equal(dns_service_set(w->service, &id, "?.ours", IP_STACK_V4, why, sizeof why),
                         ERR_OK);
        break;
    case 4:
        w->refuse = !w->refuse;
        break;
    default:
        dns_service_again(w->service, next_random(seed) % 64);
    }
    world_check(w);
}

static void test_random_inputs(void **state)
{
    uint64_t seed = 7;
    struct world *w = world_new();

    (void)state;
    for (unsigned i = 0; i < RANDOM_STEPS; i++) {
        struct world_query *q = world_waiting(w, next_random(&seed));
        /* Now and then hardly anything is answered. */
        bool slow = i / 4000 % 2;
        w->refuse = w->refuse && !slow;
        switch (next_random(&seed) % 16) {
        case 0:
            if (!slow)
                random_change(w, &seed);
            break;
        case 1:
            world_failed(w, q && !slow ? q->id : 0);
            break;
        case 2:
            world_pass(w, next_random(&seed) % (slow ? 20 : 2000) * NS_PER_MS);
            break;
        case 3:
        case 4:
        case 5:
        case 6:
            if (!slow)
                random_answer(w, &seed);
            break;
        default:
            random_query(w, &seed);
        }
    }
    const struct dns_service_counters *c = dns_service_counters(w->service);
    uint64_t asked = c->asked + c->asked_sites;
    unsigned waiting = w->waiting;
    assert_int_equal(c->queries, c->local + c->cached + asked + c->full);
    assert_int_equal(asked, c->answered + c->failed + c->timed_out + c->mismatched + c->rebinding +
                                waiting);
#define X(name, text)                                                                              \
    if (c->name == 0 && strcmp(#name, "too_long") != 0)                                            \
        fail_msg("none were: " text);
    DNS_SERVICE_COUNTERS(X)
#undef X
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_answers),
        cmocka_unit_test(test_what_is_no_question),
        cmocka_unit_test(test_a_late_answer_of_a_site),
        cmocka_unit_test(test_what_is_too_long_for_udp),
        cmocka_unit_test(test_what_is_no_answer),
        cmocka_unit_test(test_time_is_up),
        cmocka_unit_test(test_too_many_at_a_time),
        cmocka_unit_test(test_asked_again),
        cmocka_unit_test(test_changes_of_many_names_are_spread),
        cmocka_unit_test(test_random_inputs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
