/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stub resolver as a machine: each query has one answer, from wherever it comes; what servers say is kept and given again;
 * and a model over random queries, answers, changes and time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/dns/cache.h"
#include "control/dns/service.h"
#include "platform/base/bytes.h"

enum {
    ASKED_MAX = DNS_SERVICE_MAX + 8,
    TYPE_A = 1,
    TYPE_TXT = 16,
    TYPE_AAAA = 28
};

static struct rig {
    struct dns_service *service;
    time_ns now;
    struct asked {
        uint64_t id;
        struct uuid resource; /* nil: of a server */
        unsigned server;
        uint8_t query[512];
        size_t len;
    } asked[ASKED_MAX];
    unsigned asked_n, cancelled;
    bool refuse; /* nobody can be asked */
    struct {
        struct dns_client client;
        uint8_t bytes[4096];
        size_t len;
    } last;
    unsigned answers, answers_of[64]; /* by token */
    unsigned names, answered;
} rig;

static void on_answer(void *arg, const struct dns_client *client, const uint8_t *answer, size_t len)
{
    assert_ptr_equal(arg, &rig);
    rig.answers++;
    rig.answers_of[client->token % ARRAY_LEN(rig.answers_of)]++;
    rig.last.client = *client;
    rig.last.len = len;
    memcpy(rig.last.bytes, answer, size_min(len, sizeof rig.last.bytes));
}

static void keep(uint64_t id, unsigned server, const struct uuid *resource, const uint8_t *query,
                 size_t len)
{
    if (rig.refuse) {
        dns_service_failed(rig.service, id);
        return;
    }
    assert_true(rig.asked_n < ASKED_MAX && len <= sizeof rig.asked[0].query);
    struct asked *a = &rig.asked[rig.asked_n++];
    *a = (struct asked){.id = id, .server = server, .len = len};
    if (resource)
        a->resource = *resource;
    memcpy(a->query, query, len);
}

static void on_ask(void *arg, uint64_t id, const struct dns_client *client, const uint8_t *query,
                   size_t len)
{
    (void)arg;
    keep(id, client->server, NULL, query, len);
}

static void on_ask_site(void *arg, uint64_t id, const struct dns_client *client,
                        const struct uuid *resource, const uint8_t *query, size_t len)
{
    (void)arg;
    keep(id, client->server, resource, query, len);
}

static void forget_asked(unsigned i)
{
    rig.asked_n--;
    memmove(&rig.asked[i], &rig.asked[i + 1], (rig.asked_n - i) * sizeof rig.asked[0]);
}

static void on_cancel(void *arg, uint64_t id)
{
    (void)arg;
    for (unsigned i = 0; i < rig.asked_n; i++) {
        if (rig.asked[i].id == id) {
            forget_asked(i);
            rig.cancelled++;
            return;
        }
    }
    fail_msg("nobody has been asked for this");
}

static void on_name(void *arg, uint32_t index, const char *name, const struct uuid *resources,
                    const uint8_t *ip_stacks, unsigned n)
{
    (void)arg;
    (void)index;
    (void)name;
    (void)resources;
    (void)ip_stacks;
    (void)n;
    rig.names++;
}

static void on_answered(void *arg, uint32_t index)
{
    (void)arg;
    (void)index;
    rig.answered++;
}

static const struct dns_service_events events = {
    on_answer, on_ask, on_ask_site, on_cancel, {on_name, on_answered}};

static const struct uuid resource_id = {{0xab, 1}};

static int set_up(void **state)
{
    char why[160];

    (void)state;
    memset(&rig, 0, sizeof rig);
    rig.now = 100 * NS_PER_SEC;
    rig.service = dns_service_new(77, &events, &rig);
    return dns_service_set(rig.service, &resource_id, "*.corp.example", IP_STACK_DUAL, why,
                           sizeof why) == ERR_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    dns_service_free(rig.service);
    return 0;
}

/* ---- messages ---- */

static size_t put_name(uint8_t *out, const char *name)
{
    size_t at = 0;

    while (*name) {
        size_t n = strcspn(name, ".");
        out[at++] = (uint8_t)n;
        memcpy(out + at, name, n);
        at += n;
        name += n + (name[n] == '.');
    }
    out[at++] = 0;
    return at;
}

static size_t question(uint8_t *out, uint16_t id, const char *name, unsigned type)
{
    memset(out, 0, 12);
    store_be16(out, id);
    store_be16(out + 2, 0x0100); /* RD */
    store_be16(out + 4, 1);
    size_t at = 12 + put_name(out + 12, name);
    store_be16(out + at, (uint16_t)type);
    store_be16(out + at + 2, 1);
    return at + 4;
}

/* An answer to the query with `n` TXT or address records of `ttl` seconds. */
static size_t answer_to(uint8_t *out, const struct asked *a, unsigned n, uint32_t ttl,
                        unsigned type)
{
    size_t at = a->len, data = type == TYPE_TXT ? 201 : 4;

    memcpy(out, a->query, a->len);
    store_be16(out, 0xdead); /* whatever the transport has made of it */
    store_be16(out + 2, 0x8180);
    store_be16(out + 6, (uint16_t)n);
    for (unsigned i = 0; i < n; i++) {
        store_be16(out + at, 0xc00c);
        store_be16(out + at + 2, (uint16_t)type);
        store_be16(out + at + 4, 1);
        store_be32(out + at + 6, ttl);
        store_be16(out + at + 10, (uint16_t)data);
        memset(out + at + 12, 7 + (int)i, data);
        if (type == TYPE_TXT)
            out[at + 12] = 200;
        at += 12 + data;
    }
    return at;
}

static bool query(const char *name, unsigned type, uint64_t token, enum dns_transport t)
{
    const struct dns_client client = {.token = token, .transport = t, .server = 1};
    uint8_t bytes[512];
    size_t len = question(bytes, (uint16_t)(0x1000 + token), name, type);

    return dns_service_query(rig.service, &client, bytes, len, rig.now);
}

static void expect(uint64_t token, unsigned rcode, unsigned answers)
{
    assert_int_equal(rig.last.client.token, token);
    assert_int_equal(load_be16(rig.last.bytes), 0x1000 + token);
    assert_int_equal(load_be16(rig.last.bytes + 2) & 15, rcode);
    assert_int_equal(load_be16(rig.last.bytes + 2) >> 15, 1);
    assert_int_equal(load_be16(rig.last.bytes + 6), answers);
}

static void server_answers(unsigned i, unsigned n, uint32_t ttl, unsigned type)
{
    uint8_t bytes[8192];
    uint64_t id = rig.asked[i].id;
    size_t len = answer_to(bytes, &rig.asked[i], n, ttl, type);

    forget_asked(i);
    dns_service_answered(rig.service, id, bytes, len, rig.now);
}

/* ---- tests ---- */

static void local_names(void **state)
{
    (void)state;
    assert_true(query("Web.corp.example", TYPE_A, 1, DNS_UDP));
    expect(1, 0, 4);
    assert_int_equal(rig.names, 1);
    assert_int_equal(rig.answered, 1);
    assert_true(query("web.corp.example", TYPE_AAAA, 2, DNS_TCP));
    expect(2, 0, 4);
    assert_int_equal(rig.asked_n, 0);
    assert_int_equal(rig.answers, 2);
}

static void servers_are_asked(void **state)
{
    (void)state;
    assert_true(query("other.example", TYPE_A, 1, DNS_UDP));
    assert_int_equal(rig.answers, 0);
    assert_int_equal(rig.asked_n, 1);
    assert_int_equal(rig.asked[0].server, 1);
    server_answers(0, 2, 60, TYPE_A);
    expect(1, 0, 2);
    /* Once more, from the cache, with what is left of its time. */
    rig.now += 10 * NS_PER_SEC;
    assert_true(query("OTHER.example", TYPE_A, 2, DNS_UDP));
    expect(2, 0, 2);
    assert_int_equal(rig.asked_n, 0);
    assert_memory_equal(rig.last.bytes + 12, "\5OTHER\7example", 15);
    ares_dns_record_t *record = NULL;
    assert_int_equal(ares_dns_parse(rig.last.bytes, rig.last.len, 0, &record), ARES_SUCCESS);
    assert_int_equal(
        ares_dns_rr_get_ttl(ares_dns_record_rr_get_const(record, ARES_SECTION_ANSWER, 1)), 50);
    ares_dns_record_destroy(record);
    rig.now += 51 * NS_PER_SEC;
    assert_true(query("other.example", TYPE_A, 3, DNS_UDP));
    assert_int_equal(rig.asked_n, 1);
    assert_int_equal(dns_service_counters(rig.service)->cached, 1);
}

/* What is not worth it, or not good for long. */
static void not_kept(void **state)
{
    (void)state;
    static const struct {
        unsigned n, type;
        uint32_t ttl;
    } rows[] = {{0, TYPE_A, 60}, {1, TYPE_A, 4}, {1, TYPE_TXT, 60}};
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(query("other.example", TYPE_A, i, DNS_UDP));
        assert_int_equal(rig.asked_n, 1);
        server_answers(0, rows[i].n, rows[i].ttl, rows[i].type);
        assert_int_equal(rig.answers, i + 1);
    }
    assert_int_equal(dns_service_counters(rig.service)->cached, 0);
}

static void forgotten(void **state)
{
    char why[160];

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_true(query("other.example", TYPE_A, i, DNS_UDP));
        assert_int_equal(rig.asked_n, 1);
        server_answers(0, 1, 60, TYPE_A);
        if (i == 0)
            assert_int_equal(dns_service_set(rig.service, &resource_id, "*.corp2.example",
                                             IP_STACK_DUAL, why, sizeof why),
                             ERR_OK);
        else
            dns_service_servers_changed(rig.service);
    }
    assert_int_equal(dns_service_counters(rig.service)->cached, 0);
}

static void too_long_for_udp(void **state)
{
    (void)state;
    for (unsigned t = DNS_UDP; t <= DNS_TCP; t++) {
        assert_true(query("other.example", TYPE_TXT, t, (enum dns_transport)t));
        server_answers(0, 6, 1, TYPE_TXT);
        expect(t, 0, t == DNS_UDP ? 0 : 6);
        assert_int_equal(load_be16(rig.last.bytes + 2) & 0x0200, t == DNS_UDP ? 0x0200 : 0);
        assert_int_equal(rig.last.len > DNS_UDP_MESSAGE_MAX, t == DNS_TCP);
    }
    assert_int_equal(dns_service_counters(rig.service)->truncated, 1);
}

static void failures(void **state)
{
    (void)state;
    assert_true(query("other.example", TYPE_A, 1, DNS_UDP));
    uint64_t id = rig.asked[0].id;
    forget_asked(0);
    dns_service_failed(rig.service, id);
    expect(1, 2, 0);
    dns_service_failed(rig.service, id); /* it is gone */
    dns_service_answered(rig.service, id, (const uint8_t *)"", 0, rig.now);
    assert_int_equal(rig.answers, 1);
    rig.refuse = true; /* at once */
    assert_true(query("other.example", TYPE_A, 2, DNS_UDP));
    expect(2, 2, 0);
    rig.refuse = false;
    assert_true(query("other.example", TYPE_A, 3, DNS_UDP)); /* answered by something else */
    memcpy(rig.asked[0].query + 12, "\5otter", 6);
    server_answers(0, 1, 60, TYPE_A);
    expect(3, 2, 0);
    assert_int_equal(dns_service_counters(rig.service)->mismatched, 1);
    assert_false(
        dns_service_query(rig.service, &rig.last.client, (const uint8_t *)"no", 2, rig.now));
    assert_int_equal(rig.answers, 3);
}

static void sites(void **state)
{
    (void)state;
    assert_true(query("web.corp.example", TYPE_TXT, 1, DNS_UDP));
    assert_int_equal(rig.asked_n, 1);
    assert_true(uuid_equal(&rig.asked[0].resource, &resource_id));
    uint64_t id = rig.asked[0].id;
    forget_asked(0);
    dns_service_again(rig.service, id);
    assert_int_equal(rig.asked_n, 1);
    assert_int_equal(rig.asked[0].id, id);
    dns_service_servers_changed(rig.service); /* is no server */
    assert_int_equal(rig.answers, 0);
    server_answers(0, 1, 60, TYPE_TXT);
    expect(1, 0, 1);
    assert_true(query("web.corp.example", TYPE_TXT, 2, DNS_UDP)); /* not kept */
    assert_int_equal(rig.asked_n, 1);
}

static void time_is_up(void **state)
{
    (void)state;
    assert_int_equal(dns_service_poll_timeout(rig.service), 0); /* names to be reported */
    dns_service_handle_timeout(rig.service, rig.now);
    assert_int_equal(dns_service_poll_timeout(rig.service), TIME_NEVER);
    time_ns first = rig.now + DNS_SERVICE_TIMEOUT_NS;
    assert_true(query("other.example", TYPE_A, 1, DNS_UDP));
    rig.now += NS_PER_SEC;
    assert_true(query("others.example", TYPE_A, 2, DNS_TCP));
    assert_int_equal(dns_service_poll_timeout(rig.service), first);
    dns_service_handle_timeout(rig.service, first - 1);
    assert_int_equal(rig.answers, 0);
    dns_service_handle_timeout(rig.service, first);
    assert_int_equal(rig.answers, 1);
    expect(1, 2, 0);
    assert_int_equal(rig.cancelled, 1);
    assert_int_equal(dns_service_poll_timeout(rig.service), first + NS_PER_SEC);
    dns_service_again_all(rig.service); /* another network: the time goes on */
    assert_int_equal(rig.asked_n, 2);
    assert_int_equal(dns_service_poll_timeout(rig.service), first + NS_PER_SEC);
}

static void too_many(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DNS_SERVICE_MAX + 3; i++) {
        char name[64];
        snprintf(name, sizeof name, "n%u.example", i);
        assert_true(query(name, TYPE_A, i, DNS_UDP));
    }
    assert_int_equal(rig.asked_n, DNS_SERVICE_MAX);
    assert_int_equal(rig.answers, 3);
    assert_int_equal(dns_service_counters(rig.service)->full, 3);
    server_answers(500, 1, 1, TYPE_A);
    assert_true(query("one.example", TYPE_A, 1, DNS_UDP));
    assert_int_equal(rig.asked_n, DNS_SERVICE_MAX);
}

/* The cache has a bound: what was learned first goes. */
static void bounded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DNS_CACHE_MAX + 1; i++) {
        char name[64];
        snprintf(name, sizeof name, "n%u.example", i);
        assert_true(query(name, TYPE_A, i, DNS_UDP));
        server_answers(0, 1, 600, TYPE_A);
    }
    assert_true(query("n1.example", TYPE_A, 1, DNS_UDP));
    assert_int_equal(rig.asked_n, 0);
    assert_true(query("n0.example", TYPE_A, 2, DNS_UDP));
    assert_int_equal(rig.asked_n, 1);
}

/* ---- whatever happens, one answer each ---- */

static uint64_t rng_state = 5;

static uint32_t below(uint32_t n)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (uint32_t)(rng_state >> 32) % n;
}

static void one_answer_each(void **state)
{
    static const char *const names[] = {"a.example", "b.example", "web.corp.example",
                                        "db.corp.example", "use-application-dns.net"};
    static const unsigned types[] = {TYPE_A, TYPE_AAAA, TYPE_TXT, 12, 65, 255};
    unsigned queries = 0;

    (void)state;
    for (unsigned step = 0; step < 20000; step++) {
        unsigned what = below(100);
        rig.now += below(50) * NS_PER_MS;
        if (what < 50) {
            queries += query(names[below(ARRAY_LEN(names))], types[below(ARRAY_LEN(types))],
                             below(64), (enum dns_transport)below(2));
        } else if (what < 85 && rig.asked_n > 0) {
            server_answers(below(rig.asked_n), below(9), below(20), below(2) ? TYPE_A : TYPE_TXT);
        } else if (what < 92 && rig.asked_n > 0) {
            unsigned i = below(rig.asked_n);
            uint64_t id = rig.asked[i].id;
            forget_asked(i);
            dns_service_failed(rig.service, id);
        } else if (what == 93) {
            dns_service_servers_changed(rig.service);
        } else if (what == 94) {
            rig.asked_n = 0;
            dns_service_again_all(rig.service);
        } else if (what == 95) {
            dns_service_remove(rig.service, &resource_id);
        } else if (what == 96) {
            char why[160];
            (void)!dns_service_set(rig.service, &resource_id, "*.corp.example", IP_STACK_V4, why,
                                   sizeof why);
        } else {
            dns_service_handle_timeout(rig.service, rig.now);
        }
        assert_int_equal(queries, rig.answers + rig.asked_n);
    }
    rig.now += DNS_SERVICE_TIMEOUT_NS;
    dns_service_handle_timeout(rig.service, rig.now);
    assert_int_equal(queries, rig.answers);
    assert_int_equal(rig.asked_n, 0);
    assert_true(dns_service_counters(rig.service)->cached > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(local_names),      TEST(servers_are_asked), TEST(not_kept),        TEST(forgotten),
        TEST(too_long_for_udp), TEST(failures),          TEST(sites),           TEST(time_is_up),
        TEST(too_many),         TEST(bounded),           TEST(one_answer_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
