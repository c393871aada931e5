/* SPDX-License-Identifier: Apache-2.0 */
/* What clients say of names: checked, resolved, translated and answered, with the names, the workers and what is granted faked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/gateway_nat.h"
#include "control/tunnel_gateway.h"
#include "platform/base/bytes.h"

enum {
    CLIENTS_MAX = 1024,
    QUEUE_MAX = 2048
};

struct tunnel_peer {
    unsigned number;
    unsigned answers;
    bool active;          /* the last one */
    char domain[256];     /* of it */
    struct uuid resource; /* of it */
};

static struct {
    struct tunnel_peer peers[CLIENTS_MAX];
    bool no_peer;
    bool revoked;
    enum message_resource_kind kind;
    struct dns_pattern pattern;

    struct gateway_names_query *queries[QUEUE_MAX];
    unsigned queries_n, cancelled;
    char asked[256];
    bool names_full;
    struct tunnel_translation *translations[QUEUE_MAX];
    struct tunnel_peer *translating[QUEUE_MAX];
    unsigned translations_n;
} fake;

static struct gateway_nat *n;

/* ---- the world ---- */

static struct uuid client_of(unsigned number)
{
    struct uuid id = {{0}};

    store_le32(id.bytes, number);
    return id;
}

struct tunnel_peer *peers_find(const struct peers *p, const struct uuid *id)
{
    unsigned number = load_le32(id->bytes);

    (void)p;
    fake.peers[number].number = number;
    return fake.no_peer ? NULL : &fake.peers[number];
}

/* Each client may reach resource 1, by the pattern; it has index 7 with every one. */
bool clients_resource(struct clients *s, const struct uuid *client, const struct uuid *resource,
                      struct clients_resource *out)
{
    (void)s, (void)client;
    *out = (struct clients_resource){.kind = fake.kind, .index = 7, .pattern = fake.pattern};
    return !fake.revoked && resource->bytes[0] == 1;
}

enum err gateway_names_ask(struct gateway_names *s, struct gateway_names_query *q, const char *name)
{
    (void)s;
    if (fake.names_full)
        return ERR_FULL;
    assert_true(fake.queries_n < QUEUE_MAX);
    fake.queries[fake.queries_n++] = q;
    q->name = (struct gateway_name *)&fake;
    snprintf(fake.asked, sizeof fake.asked, "%s", name);
    return ERR_OK;
}

void gateway_names_cancel(struct gateway_names_query *q)
{
    if (!q->name)
        return;
    q->name = NULL;
    fake.cancelled++;
    for (unsigned i = 0; i < fake.queries_n; i++) {
        if (fake.queries[i] == q)
            fake.queries[i] = fake.queries[--fake.queries_n];
    }
}

void tunnel_gateway_translate(struct tunnel_peer *p, struct tunnel_translation *x)
{
    assert_true(fake.translations_n < QUEUE_MAX);
    fake.translating[fake.translations_n] = p;
    fake.translations[fake.translations_n++] = x;
}

void tunnel_p2p_packet_to(struct tunnel_peer *p, const uint8_t *packet, size_t len)
{
    struct inner_domain_status m;
    struct fields f;

    assert_true(inner_read_domain_status(&m, packet, len, &f));
    p->answers++;
    p->active = m.active;
    p->resource = m.resource;
    snprintf(p->domain, sizeof p->domain, "%s", m.domain);
}

/* ---- arranging ---- */

static int set_up(void **state)
{
    char why[128];

    (void)state;
    memset(&fake, 0, sizeof fake);
    fake.kind = RESOURCE_DNS;
    assert_int_equal(dns_pattern_init(&fake.pattern, "*.example.com", why, sizeof why), ERR_OK);
    n = gateway_nat_new(NULL, NULL, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    gateway_nat_close(n);
    assert_int_equal(fake.queries_n, 0);
    gateway_nat_free(n);
    return 0;
}

static struct ip_addr ip(const char *text)
{
    struct ip_addr a;

    assert_int_equal(ip_addr_parse(&a, text), ERR_OK);
    return a;
}

/* Lists of addresses are apart by spaces. */
static unsigned read_list(struct ip_addr *out, unsigned max, const char *text)
{
    char copy[512], *rest = NULL;
    unsigned count = 0;

    snprintf(copy, sizeof copy, "%s", text);
    for (char *t = strtok_r(copy, " ", &rest); t; t = strtok_r(NULL, " ", &rest)) {
        assert_true(count < max);
        out[count++] = ip(t);
    }
    return count;
}

static void say(unsigned client, unsigned resource, const char *domain, const char *ips)
{
    struct inner_assigned_ips m = {.resource = {{(uint8_t)resource}}};
    struct uuid id = client_of(client);
    uint8_t packet[INNER_PACKET_MAX];

    snprintf(m.domain, sizeof m.domain, "%s", domain);
    m.n = read_list(m.ips, ARRAY_LEN(m.ips), ips);
    size_t len = inner_write_assigned_ips(packet, &m);
    assert_true(len > 0);
    gateway_nat_packet(n, &id, packet, len);
}

#define IPS "100.96.0.1 fd00:2021:1111:8000::1"

/* The oldest question is answered; ips NULL: it cannot be told. */
static void resolved(const char *ips)
{
    struct gateway_name_addrs addrs;
    struct gateway_names_query *q = fake.queries[0];

    assert_in_range(fake.queries_n, 1, QUEUE_MAX);
    memmove(fake.queries, fake.queries + 1, --fake.queries_n * sizeof fake.queries[0]);
    q->name = NULL;
    addrs.n = ips ? read_list(addrs.ips, HOST_ADDRS_MAX, ips) : 0;
    q->done(q, ips ? &addrs : NULL);
}

static void translated(bool done)
{
    struct tunnel_translation *x = fake.translations[0];

    assert_in_range(fake.translations_n, 1, QUEUE_MAX);
    fake.translations_n--;
    memmove(fake.translations, fake.translations + 1,
            fake.translations_n * sizeof fake.translations[0]);
    memmove(fake.translating, fake.translating + 1,
            fake.translations_n * sizeof fake.translating[0]);
    x->done(x, done);
}

static void assert_answer(unsigned client, unsigned answers, bool active)
{
    assert_int_equal(fake.peers[client].answers, answers);
    assert_int_equal(fake.peers[client].active, active);
}

/* The worker forgets what another name had there, and nobody waits for that. */
static void refusal_told(unsigned client)
{
    unsigned answers = fake.peers[client].answers;

    assert_int_equal(fake.translations_n, 1);
    assert_true(fake.translations[0]->engine.refused);
    assert_ptr_equal(fake.translating[0], &fake.peers[client]);
    assert_int_not_equal(fake.translations[0]->engine.n, 0);
    translated(true);
    assert_int_equal(fake.peers[client].answers, answers);
}

/* All but this one are as they were. */
static void assert_counted(enum gateway_nat_count what, unsigned count)
{
    assert_int_equal(gateway_nat_count(n, what), count);
}

/* ---- pairs ---- */

static void test_pairs(void **state)
{
    static const struct {
        const char *proxies, *reals, *expected;
    } table[] = {
        {"", "192.0.2.1", ""},
        {"100.96.0.1", "", "100.96.0.1>none "},
        {"100.96.0.1 100.96.0.2", "192.0.2.1 192.0.2.2",
         "100.96.0.1>192.0.2.1 100.96.0.2>192.0.2.2 "},
        /* in order whatever theirs was, once each, and around again */
        {"100.96.0.3 100.96.0.1 100.96.0.2 100.96.0.1", "192.0.2.1 192.0.2.2",
         "100.96.0.1>192.0.2.1 100.96.0.2>192.0.2.2 100.96.0.3>192.0.2.1 "},
        /* families do not mix */
        {"fd00:2021:1111:8000::1 100.96.0.1 fd00:2021:1111:8000::", "192.0.2.1",
         "100.96.0.1>192.0.2.1 fd00:2021:1111:8000::>none fd00:2021:1111:8000::1>none "},
        {"fd00:2021:1111:8000::1 100.96.0.1 fd00:2021:1111:8000::", "192.0.2.1 2001:db8::1",
         "100.96.0.1>192.0.2.1 fd00:2021:1111:8000::>2001:db8::1 "
         "fd00:2021:1111:8000::1>2001:db8::1 "},
        {"fd00:2021:1111:8000::1 100.96.0.1", "2001:db8::1 2001:db8::2",
         "100.96.0.1>none fd00:2021:1111:8000::1>2001:db8::1 "},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct inner_assigned_ips said = {.n = 0};
        struct gateway_name_addrs reals;
        struct engine_translation out;
        char text[512] = "", proxy[IP_TEXT_MAX], real[IP_TEXT_MAX];
        said.n = read_list(said.ips, ARRAY_LEN(said.ips), table[i].proxies);
        reals.n = read_list(reals.ips, HOST_ADDRS_MAX, table[i].reals);
        gateway_nat_pairs(&out, &said, &reals);
        for (unsigned k = 0; k < out.n; k++) {
            size_t len = strlen(text);
            snprintf(real, sizeof real, "none");
            ip_addr_format(&out.pairs[k].proxy, proxy, sizeof proxy);
            if (out.pairs[k].real.family != ADDR_NONE)
                ip_addr_format(&out.pairs[k].real, real, sizeof real);
            snprintf(text + len, sizeof text - len, "%s>%s ", proxy, real);
        }
        assert_string_equal(text, table[i].expected);
    }
}

/* ---- the course of a request ---- */

static void test_answered_when_the_worker_has_it(void **state)
{
    (void)state;
    say(3, 1, "Git.Example.com.", IPS);
    assert_string_equal(fake.asked, "git.example.com");
    resolved("192.0.2.1");
    assert_int_equal(fake.translations_n, 1);
    const struct engine_translation *x = &fake.translations[0]->engine;
    assert_int_equal(fake.translating[0]->number, 3);
    assert_int_equal(x->grant, 7);
    assert_int_equal(x->n, 2);
    assert_answer(3, 0, false); /* packets would not get there yet */
    translated(true);
    assert_answer(3, 1, true);
    assert_string_equal(fake.peers[3].domain, "Git.Example.com.");
    assert_int_equal(fake.peers[3].resource.bytes[0], 1);
    assert_counted(GATEWAY_NAT_ACTIVE, 1);
}

/* Equal names only have the same mark; case and the dot do not count. */
static void test_marks_of_names(void **state)
{
    uint64_t marks[4];
    static const char *const names[] = {"a.example.com", "A.example.COM.", "b.example.com",
                                        "aa.example.com"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        say(1, 1, names[i], IPS);
        resolved("192.0.2.1");
        marks[i] = fake.translations[0]->engine.domain;
        translated(true);
    }
    assert_true(marks[0] == marks[1]);
    assert_true(marks[0] != marks[2] && marks[0] != marks[3] && marks[2] != marks[3]);
}

static void test_case(void **state)
{
    char why[128];

    (void)state;
    say(1, 1, "EXAMPLE.com", IPS);
    say(2, 1, "A.EXAMPLE.com", IPS);
    assert_int_equal(dns_pattern_init(&fake.pattern, "*.Example.com", why, sizeof why), ERR_OK);
    say(3, 1, "Example.com.", IPS);
    say(4, 1, "a.example.com", IPS);
    assert_int_equal(fake.queries_n, 4);
}

static void test_no_addresses_are_active(void **state)
{
    (void)state;
    say(1, 1, "a.example.com", IPS);
    resolved("");
    assert_int_equal(fake.translations[0]->engine.pairs[0].real.family, ADDR_NONE);
    translated(true);
    assert_answer(1, 1, true);
    say(1, 1, "a.example.com", ""); /* it has none that stand for the name */
    resolved("192.0.2.1");
    assert_int_equal(fake.translations_n, 0);
    assert_answer(1, 2, true);
}

static void test_that_fails(void **state)
{
    (void)state;
    say(1, 1, "a.example.com", IPS);
    resolved(NULL);
    assert_answer(1, 1, false);
    assert_counted(GATEWAY_NAT_UNRESOLVED, 1);
    refusal_told(1);
    say(1, 1, "a.example.com", IPS);
    resolved("192.0.2.1");
    translated(false);
    assert_answer(1, 2, false);
    assert_counted(GATEWAY_NAT_NO_ROOM, 1);
    say(1, 1, "a.example.com", IPS);
    fake.revoked = true;
    resolved("192.0.2.1");
    assert_answer(1, 3, false);
    refusal_told(1);
    assert_counted(GATEWAY_NAT_REVOKED, 1);
    fake.revoked = false;
    say(1, 1, "a.example.com", IPS);
    resolved("192.0.2.1");
    fake.revoked = true;
    translated(true);
    assert_answer(1, 4, false);
    assert_counted(GATEWAY_NAT_REVOKED, 2);
    assert_counted(GATEWAY_NAT_ACTIVE, 0);
}

/* ---- what is not accepted ---- */

static void test_refused_at_once(void **state)
{
    static const struct {
        unsigned resource;
        enum message_resource_kind kind;
        const char *domain, *ips;
        enum gateway_nat_count counted;
    } table[] = {
        {2, RESOURCE_DNS, "a.example.com", IPS, GATEWAY_NAT_FORBIDDEN},
        {1, RESOURCE_CIDR, "a.example.com", IPS, GATEWAY_NAT_FORBIDDEN},
        {1, RESOURCE_INTERNET, "a.example.com", IPS, GATEWAY_NAT_FORBIDDEN},
        {1, RESOURCE_DNS, "a.example.org", IPS, GATEWAY_NAT_MISMATCHED},
        {1, RESOURCE_DNS, "example.com.evil.test", IPS, GATEWAY_NAT_MISMATCHED},
        {1, RESOURCE_DNS, "a.b.example.com", IPS, GATEWAY_NAT_MISMATCHED},
        {1, RESOURCE_DNS, "a.example.com", "100.96.0.1 10.0.0.1", GATEWAY_NAT_STRANGE},
        {1, RESOURCE_DNS, "a.example.com", "100.64.0.1", GATEWAY_NAT_STRANGE},
        {1, RESOURCE_DNS, "a.example.com", "100.100.111.1", GATEWAY_NAT_STRANGE},
        {1, RESOURCE_DNS, "a.example.com", "fd00:2021:1111::1", GATEWAY_NAT_STRANGE},
        {1, RESOURCE_DNS, "a.example.com", "fd00:2021:1111:8000:100:100:111:1",
         GATEWAY_NAT_STRANGE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        uint64_t before = gateway_nat_count(n, table[i].counted);
        fake.kind = table[i].kind;
        say(1, table[i].resource, table[i].domain, table[i].ips);
        assert_answer(1, (unsigned)i + 1, false);
        assert_string_equal(fake.peers[1].domain, table[i].domain);
        assert_int_equal(gateway_nat_count(n, table[i].counted), before + 1);
        assert_int_equal(fake.queries_n, 0);
        if (table[i].counted == GATEWAY_NAT_STRANGE)
            assert_int_equal(fake.translations_n, 0);
        else
            refusal_told(1);
    }
}

static void test_malformed_is_passed_over(void **state)
{
    struct inner_assigned_ips m = {.resource = {{1}}, .domain = "a.example.com"};
    struct uuid id = client_of(1);
    uint8_t packet[INNER_PACKET_MAX], event;
    size_t len;

    (void)state;
    m.n = read_list(m.ips, ARRAY_LEN(m.ips), IPS);
    len = inner_write_assigned_ips(packet, &m);
    for (size_t cut = INNER_OFF_EVENT + 8; cut < len; cut++)
        gateway_nat_packet(n, &id, packet, cut);
    assert_counted(GATEWAY_NAT_MALFORMED, (unsigned)(len - INNER_OFF_EVENT - 8));
    /* Of a kind that is for clients, and unknown ones. */
    event = packet[INNER_OFF_EVENT];
    for (unsigned other = 0; other < 256; other++) {
        packet[INNER_OFF_EVENT] = (uint8_t)other;
        if (other != event)
            gateway_nat_packet(n, &id, packet, len);
    }
    assert_counted(GATEWAY_NAT_OTHER, 255);
    assert_int_equal(fake.queries_n, 0);
    assert_answer(1, 0, false);
}

/* ---- limits ---- */

static void test_said_again(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        say(1, 1, i % 2 ? "a.example.com" : "A.example.com", IPS);
    assert_int_equal(fake.queries_n, 1);
    say(1, 1, "A.Example.com", "100.96.0.9"); /* the last word */
    resolved("192.0.2.1");
    assert_int_equal(fake.translations[0]->engine.n, 1);
    assert_int_equal(fake.translations[0]->engine.pairs[0].proxy.bytes[3], 9);
    say(1, 1, "a.example.com", IPS); /* too late for the one that the worker has */
    assert_int_equal(fake.queries_n, 1);
    translated(true);
    assert_answer(1, 1, true);
    resolved("192.0.2.2");
    translated(true);
    assert_answer(1, 2, true);
}

static void test_one_client_does_not_take_all(void **state)
{
    char name[64];

    (void)state;
    for (unsigned i = 0; i <= GATEWAY_NAT_CLIENT_MAX; i++) {
        snprintf(name, sizeof name, "h%u.example.com", i);
        say(1, 1, name, IPS);
    }
    assert_int_equal(fake.queries_n, GATEWAY_NAT_CLIENT_MAX);
    assert_counted(GATEWAY_NAT_FULL, 1);
    assert_answer(1, 0, false);
    say(2, 1, "a.example.com", IPS);
    assert_int_equal(fake.queries_n, GATEWAY_NAT_CLIENT_MAX + 1);
    resolved("192.0.2.1");
    translated(true);
    say(1, 1, name, IPS);
    assert_counted(GATEWAY_NAT_FULL, 1);
}

static void test_thousand_clients(void **state)
{
    (void)state;
    for (unsigned i = 0; i <= GATEWAY_NAT_MAX; i++)
        say(i, 1, "a.example.com", IPS);
    assert_int_equal(fake.queries_n, GATEWAY_NAT_MAX);
    assert_counted(GATEWAY_NAT_FULL, 1);
    for (unsigned i = 0; i < GATEWAY_NAT_MAX; i++)
        resolved("192.0.2.1");
    for (unsigned i = 0; i < GATEWAY_NAT_MAX; i++)
        translated(true);
    for (unsigned i = 0; i <= GATEWAY_NAT_MAX; i++)
        assert_answer(i, i < GATEWAY_NAT_MAX, i < GATEWAY_NAT_MAX);
    say(GATEWAY_NAT_MAX, 1, "a.example.com", IPS);
    assert_int_equal(fake.queries_n, 1);
}

static void test_names_are_full(void **state)
{
    (void)state;
    fake.names_full = true;
    say(1, 1, "a.example.com", IPS);
    assert_counted(GATEWAY_NAT_FULL, 1);
    assert_answer(1, 0, false);
    fake.names_full = false;
    say(1, 1, "a.example.com", IPS);
    assert_int_equal(fake.queries_n, 1);
}

/* ---- ends ---- */

static void test_forgotten_client(void **state)
{
    struct uuid one = client_of(1), same_bucket = client_of(1 + 256);

    (void)state;
    say(1 + 256, 1, "a.example.com", IPS);
    say(1, 1, "a.example.com", IPS);
    say(1, 1, "b.example.com", IPS);
    resolved("192.0.2.1"); /* of the other one */
    resolved("192.0.2.1");
    gateway_nat_forget(n, &one);
    assert_int_equal(fake.cancelled, 1);
    assert_int_equal(fake.queries_n, 0);
    translated(true);
    assert_answer(1 + 256, 1, true);
    say(1, 1, "a.example.com", IPS); /* of another connection */
    translated(true);
    assert_answer(1, 0, false);
    resolved("192.0.2.1");
    translated(true);
    assert_answer(1, 1, true);
    gateway_nat_forget(n, &same_bucket);
    gateway_nat_forget(n, &same_bucket);
}

/* A worker may have what is under way until the tunnel is gone. */
static void test_end_while_under_way(void **state)
{
    (void)state;
    say(1, 1, "a.example.com", IPS);
    say(2, 1, "a.example.com", IPS);
    say(3, 1, "a.example.com", IPS);
    resolved("192.0.2.1");
    resolved("192.0.2.1");
    gateway_nat_close(n);
    assert_int_equal(fake.queries_n, 0);
    translated(true);
    assert_answer(1, 0, false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pairs),
        TEST(test_answered_when_the_worker_has_it),
        TEST(test_marks_of_names),
        TEST(test_case),
        TEST(test_no_addresses_are_active),
        TEST(test_that_fails),
        TEST(test_refused_at_once),
        TEST(test_malformed_is_passed_over),
        TEST(test_said_again),
        TEST(test_one_client_does_not_take_all),
        TEST(test_thousand_clients),
        TEST(test_names_are_full),
        TEST(test_forgotten_client),
        TEST(test_end_while_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
