/* SPDX-License-Identifier: Apache-2.0 */
/* What the stub decides for each kind of question, and what it reports of names when resources come, change and go. */
#include "control/dns/stub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "control/dns/stub_private.h"
#include "engine/wire/ranges.h"
#include "tests/dns_rig.h"

enum {
    SEEN_MAX = 8192,
    RANDOM_ROUNDS = 400,
    RANDOM_RESOURCES = 48,
    RANDOM_NAMES = 24
};

struct world {
    struct dns_stub *stub;
    char seen[SEEN_MAX]; /* the events since it was last looked at */
    size_t seen_len;
    unsigned reports, answers;
};

static struct uuid resource_id(unsigned number)
{
    struct uuid id = {{0}};

    store_be32(id.bytes + 12, number);
    return id;
}

static void note(struct world *w, const char *text)
{
    if (w->seen_len + strlen(text) < sizeof w->seen) {
        strcpy(w->seen + w->seen_len, text);
        w->seen_len += strlen(text);
    }
}

/* "[INDEX NAME: RESOURCE ...]", the resource with "/4" or "/6" if it has one family only. */
static void on_name(void *arg, uint32_t index, const char *name, const struct uuid *resources,
                    const uint8_t *ip_stacks, unsigned n)
{
    struct world *w = arg;
    char text[64 + DNS_NAME_TEXT_MAX];

    w->reports++;
    snprintf(text, sizeof text, "[%u %s:", index, name);
    note(w, text);
    for (unsigned i = 0; i < n; i++) {
        snprintf(text, sizeof text, " %u%s", load_be32(resources[i].bytes + 12),
                 ip_stacks[i] == IP_STACK_V4   ? "/4"
                 : ip_stacks[i] == IP_STACK_V6 ? "/6"
                                               : "");
        note(w, text);
    }
    note(w, "]");
}

static void on_answered(void *arg, uint32_t index)
{
    char text[32];

    ((struct world *)arg)->answers++;
    snprintf(text, sizeof text, "!%u", index);
    note(arg, text);
}

static void start(struct world *w)
{
    static const struct dns_stub_events events = {.name = on_name, .answered = on_answered};

    memset(w, 0, sizeof *w);
    w->stub = dns_stub_new(UINT64_C(0x0123456789abcdef), &events, w);
}

static void assert_seen(struct world *w, const char *want)
{
    assert_string_equal(w->seen, want);
    w->seen[0] = 0;
    w->seen_len = 0;
}

static void set(struct world *w, unsigned number, const char *pattern, enum message_ip_stack stack)
{
    struct uuid id = resource_id(number);
    char why[256];

    assert_int_equal(dns_stub_set(w->stub, &id, pattern, stack, why, sizeof why), ERR_OK);
}

static void take_away(struct world *w, unsigned number)
{
    struct uuid id = resource_id(number);

    dns_stub_remove(w->stub, &id);
}

/* "recurse", "site NUMBER", or what rig_show says of the answer. */
static const char *ask_bytes(struct world *w, char *shown, const struct rig_message *m)
{
    struct dns_stub_reply reply;
    struct dns_query q;

    assert_int_equal(dns_query_read(&q, m->bytes, m->len), ERR_OK);
    switch (dns_stub_decide(w->stub, &q, &reply)) {
    case DNS_STUB_ANSWER:
        assert_true(reply.len <= DNS_UDP_MESSAGE_MAX);
        rig_show(shown, reply.bytes, reply.len);
        break;
    case DNS_STUB_RECURSE:
        strcpy(shown, "recurse");
        break;
    case DNS_STUB_SITE:
        sprintf(shown, "site %u", load_be32(reply.resource.bytes + 12));
        break;
    }
    dns_query_fini(&q);
    return shown;
}

static const char *ask(struct world *w, char *shown, const char *name, unsigned type)
{
    struct rig_message m;

    rig_query(&m, 7, name, type);
    return ask_bytes(w, shown, &m);
}

static void assert_answer(struct world *w, const char *name, unsigned type, const char *want)
{
    char shown[RIG_SHOWN_MAX];

    assert_string_equal(ask(w, shown, name, type), want);
}

#define V4(name, a, b, c, d)                                                                       \
    "; " name " 1 100.96.0." a "; " name " 1 100.96.0." b "; " name " 1 100.96.0." c "; " name     \
    " 1 100.96.0." d
#define V6(name, a, b, c, d)                                                                       \
    "; " name " 1 fd00:2021:1111:8000::" a "; " name " 1 fd00:2021:1111:8000::" b "; " name        \
    " 1 fd00:2021:1111:8000::" c "; " name " 1 fd00:2021:1111:8000::" d

static void test_every_kind_of_question(void **state)
{
    static const struct {
        const char *name;
        unsigned type;
        const char *answer, *seen;
    } cases[] = {
        {"a.dual", ARES_REC_TYPE_HTTPS, "7 NOERROR qr+rd a.dual HTTPS", ""},
        {"a.dual", ARES_REC_TYPE_SRV, "site 1", ""},
        {"a.dual", ARES_REC_TYPE_A, "7 NOERROR qr+rd a.dual A" V4("a.dual", "1", "2", "3", "4"),
         "[0 a.dual: 1]!0"},
        {"A.Dual", ARES_REC_TYPE_AAAA,
         "7 NOERROR qr+rd A.Dual AAAA" V6("A.Dual", "", "1", "2", "3"), "!0"},
        {"a.dual", ARES_REC_TYPE_HTTPS, "7 NOERROR qr+rd a.dual HTTPS", "!0"},
        {"a.dual", ARES_REC_TYPE_SRV, "site 1", ""},
        {"_x._tcp.a.dual", ARES_REC_TYPE_TXT, "site 1", ""},
        {"a.dual", ARES_REC_TYPE_MX, "recurse", ""},
        {"a.dual", ARES_REC_TYPE_NS, "recurse", ""},
        {"a.dual", ARES_REC_TYPE_SOA, "recurse", ""},
        {"a.dual", ARES_REC_TYPE_CAA, "recurse", ""},
        {"a.dual", ARES_REC_TYPE_SVCB, "recurse", ""},
        {"a.dual", ARES_REC_TYPE_ANY, "recurse", ""},
        {"a.dual", 0xff78, "recurse", ""},
        /* of one family */
        {"only.v4", ARES_REC_TYPE_AAAA, "7 NOERROR qr+rd only.v4 AAAA", "[1 only.v4: 2/4]!1"},
        {"only.v4", ARES_REC_TYPE_A, "7 NOERROR qr+rd only.v4 A" V4("only.v4", "5", "6", "7", "8"),
         "!1"},
        {"only.v6", ARES_REC_TYPE_AAAA,
         "7 NOERROR qr+rd only.v6 AAAA" V6("only.v6", "8", "9", "a", "b"), "[2 only.v6: 3/6]!2"},
        {"only.v6", ARES_REC_TYPE_A, "7 NOERROR qr+rd only.v6 A", "!2"},
        {"only.v6", ARES_REC_TYPE_HTTPS, "7 NOERROR qr+rd only.v6 HTTPS", "!2"},
        /* none of ours */
        {"example.com", ARES_REC_TYPE_A, "recurse", ""},
        {"example.com", ARES_REC_TYPE_AAAA, "recurse", ""},
        {"example.com", ARES_REC_TYPE_HTTPS, "recurse", ""},
        {"example.com", ARES_REC_TYPE_SRV, "recurse", ""},
        {"example.com", ARES_REC_TYPE_TXT, "recurse", ""},
        {"example.com", ARES_REC_TYPE_MX, "recurse", ""},
        /* browsers that would ask elsewhere */
        {"Use-Application-DNS.net", ARES_REC_TYPE_A, "7 NXDOMAIN qr+rd Use-Application-DNS.net A",
         ""},
        {"use-application-dns.net", ARES_REC_TYPE_MX, "7 NXDOMAIN qr+rd use-application-dns.net MX",
         ""},
        {"x.use-application-dns.net", ARES_REC_TYPE_A, "recurse", ""},
        /* back from an address */
        {"5.0.96.100.in-addr.arpa", ARES_REC_TYPE_PTR,
         "7 NOERROR qr+rd 5.0.96.100.in-addr.arpa PTR; 5.0.96.100.in-addr.arpa 1 only.v4", "!1"},
        {"8.0.96.100.In-Addr.ARPA", ARES_REC_TYPE_PTR,
         "7 NOERROR qr+rd 8.0.96.100.In-Addr.ARPA PTR; 8.0.96.100.In-Addr.ARPA 1 only.v4", "!1"},
        {"13.0.96.100.in-addr.arpa", ARES_REC_TYPE_PTR, "recurse", ""},
        {"0.0.96.100.in-addr.arpa", ARES_REC_TYPE_PTR, "recurse", ""},
        {"05.0.96.100.in-addr.arpa", ARES_REC_TYPE_PTR, "recurse", ""},
        {"0.96.100.in-addr.arpa", ARES_REC_TYPE_PTR, "recurse", ""},
        {"x.5.0.96.100.in-addr.arpa", ARES_REC_TYPE_PTR, "recurse", ""},
        {"5.0.96.100.in-addr.arpa.x", ARES_REC_TYPE_PTR, "recurse", ""},
        {"5.0.96.356.in-addr.arpa", ARES_REC_TYPE_PTR, "recurse", ""},
        {"5.0.96.100.in-addr.arpa", ARES_REC_TYPE_A, "recurse", ""},
        {"8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.1.1.1.1.2.0.2.0.0.d.f.ip6.arpa",
         ARES_REC_TYPE_PTR,
         "7 NOERROR qr+rd 8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.1.1.1.1.2.0.2.0.0.d.f.ip6.arpa"
         " PTR; 8.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.1.1.1.1.2.0.2.0.0.d.f.ip6.arpa 1 only.v6",
         "!2"},
        {"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.1.1.1.1.2.0.2.0.0.d.F.IP6.arpa",
         ARES_REC_TYPE_PTR,
         "7 NOERROR qr+rd 0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.1.1.1.1.2.0.2.0.0.d.F.IP6.arpa"
         " PTR; 0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.1.1.1.1.2.0.2.0.0.d.F.IP6.arpa 1 a.dual",
         "!0"},
        {"0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.1.1.1.1.2.0.2.0.0.d.f.ip6.arpa",
         ARES_REC_TYPE_PTR, "recurse", ""},
        {"g.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.1.1.1.1.1.2.0.2.0.0.d.f.ip6.arpa",
         ARES_REC_TYPE_PTR, "recurse", ""},
        {"only.v4", ARES_REC_TYPE_PTR, "recurse", ""},
    };
    struct world w;

    (void)state;
    start(&w);
    set(&w, 1, "**.dual", IP_STACK_DUAL);
    set(&w, 2, "only.v4", IP_STACK_V4);
    set(&w, 3, "only.v6", IP_STACK_V6);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        print_message("case %zu\n", i);
        assert_answer(&w, cases[i].name, cases[i].type, cases[i].answer);
        assert_seen(&w, cases[i].seen);
    }
    dns_stub_free(w.stub);
}

/* The most specific pattern comes first, of equal ones the greater id; families are those of all. */
static void test_several_resources(void **state)
{
    struct world w;

    (void)state;
    start(&w);
    set(&w, 1, "*.example.com", IP_STACK_V6);
    set(&w, 2, "**.example.com", IP_STACK_V4);
    set(&w, 3, "A.example.COM", IP_STACK_V6);
    set(&w, 4, "*.example.com", IP_STACK_V6);
    set(&w, 5, "*.example.org", IP_STACK_DUAL);
    set(&w, 6, "a.example.com", IP_STACK_V6);
    set(&w, 7, "*a*.*.com", IP_STACK_V6);
    assert_answer(&w, "a.example.com", ARES_REC_TYPE_A,
                  "7 NOERROR qr+rd a.example.com A" V4("a.example.com", "1", "2", "3", "4"));
    assert_seen(&w, "[0 a.example.com: 6/6 4/6 1/6 2/4 7/6 3/6]!0");
    assert_answer(&w, "a.example.com", ARES_REC_TYPE_TXT, "site 6");
    assert_answer(&w, "b.example.com", ARES_REC_TYPE_TXT, "site 4");
    assert_answer(&w, "example.com", ARES_REC_TYPE_TXT, "site 4");
    assert_answer(&w, "x.b.example.com", ARES_REC_TYPE_TXT, "site 2");
    dns_stub_free(w.stub);
}

static void test_resources_come_and_go(void **state)
{
    struct world w;

    (void)state;
    start(&w);
    set(&w, 1, "*.x", IP_STACK_DUAL);
    assert_answer(&w, "a.x", ARES_REC_TYPE_HTTPS, "7 NOERROR qr+rd a.x HTTPS");
    assert_answer(&w, "a.x", ARES_REC_TYPE_AAAA,
                  "7 NOERROR qr+rd a.x AAAA" V6("a.x", "", "1", "2", "3"));
    assert_answer(&w, "b.x", ARES_REC_TYPE_AAAA,
                  "7 NOERROR qr+rd b.x AAAA" V6("b.x", "4", "5", "6", "7"));
    assert_seen(&w, "[0 a.x: 1]!0[1 b.x: 1]!1");

    /* A new resource has the names that are asked for from now on. */
    set(&w, 2, "?.x", IP_STACK_V4);
    assert_seen(&w, "");
    assert_answer(&w, "a.x", ARES_REC_TYPE_TXT, "site 2");
    assert_seen(&w, "[0 a.x: 2/4 1]");
    take_away(&w, 1);
    assert_seen(&w, "[1 b.x:][0 a.x: 2/4]");
    assert_answer(&w, "a.x", ARES_REC_TYPE_AAAA, "7 NOERROR qr+rd a.x AAAA");
    assert_seen(&w, "!0");
    take_away(&w, 1);
    take_away(&w, 9);
    assert_seen(&w, "");

    /* What comes back, as it was or of another family, has its names. */
    set(&w, 1, "*.x", IP_STACK_V6);
    assert_seen(&w, "[1 b.x: 1/6][0 a.x: 2/4 1/6]");
    assert_answer(&w, "b.x", ARES_REC_TYPE_A,
                  "7 NOERROR qr+rd b.x A" V4("b.x", "5", "6", "7", "8"));
    assert_seen(&w, "[1 b.x: 2/4 1/6]!1");

    /* One with another pattern has none. */
    set(&w, 1, "b*.x", IP_STACK_V6);
    assert_seen(&w, "[1 b.x: 2/4][0 a.x: 2/4]");
    set(&w, 1, "*.x", IP_STACK_V6);
    assert_seen(&w, "");
    take_away(&w, 2);
    assert_seen(&w, "[1 b.x:][0 a.x:]");
    take_away(&w, 1);
    assert_answer(&w, "a.x", ARES_REC_TYPE_A, "recurse");
    assert_answer(&w, "1.0.96.100.in-addr.arpa", ARES_REC_TYPE_PTR,
                  "7 NOERROR qr+rd 1.0.96.100.in-addr.arpa PTR; 1.0.96.100.in-addr.arpa 1 a.x");
    assert_seen(&w, "!0");
    assert_int_equal(dns_stub_names(w.stub), 2);
    assert_string_equal(dns_stub_name(w.stub, 1), "b.x");
    dns_stub_free(w.stub);
}

static void test_a_wrong_pattern_has_no_names(void **state)
{
    struct uuid id = resource_id(1);
    char why[256] = "";
    struct world w;

    (void)state;
    start(&w);
    set(&w, 1, "a.x", IP_STACK_DUAL);
    assert_answer(&w, "a.x", ARES_REC_TYPE_TXT, "site 1");
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(dns_stub_set(w.stub, &id, "***.x", IP_STACK_DUAL, why, sizeof why),
                         ERR_INVALID);
        assert_true(strlen(why) > 0);
        assert_answer(&w, "a.x", ARES_REC_TYPE_A, "recurse");
    }
    set(&w, 1, "a.x", IP_STACK_DUAL);
    assert_answer(&w, "a.x", ARES_REC_TYPE_TXT, "site 1");
    dns_stub_free(w.stub);
}

static void test_names_that_get_no_addresses(void **state)
{
    static const char label[] = "a23456789012345678901234567890123456789012345678901234567890123";
    char name[256], shown[RIG_SHOWN_MAX];
    struct rig_message m;
    struct world w;

    (void)state;
    start(&w);
    set(&w, 1, "**.x", IP_STACK_DUAL);
    snprintf(name, sizeof name, "%s.%s.%s.%.59s.x", label, label, label, label);
    ask(&w, shown, name, ARES_REC_TYPE_A);
    assert_memory_equal(shown, "7 NOERROR qr+rd ", 16);
    assert_int_equal(dns_stub_names(w.stub), 1);
    /* With a byte that is no letter it has more of them as text than on the wire. */
    rig_query(&m, 7, name, ARES_REC_TYPE_A);
    m.bytes[DNS_HEADER_LEN + 1] = 1;
    ask_bytes(&w, shown, &m);
    assert_memory_equal(shown, "7 SERVFAIL qr+rd ", 17);
    assert_int_equal(dns_stub_names(w.stub), 1);
    assert_int_equal(dns_stub_counters(w.stub)->names_long, 1);

    w.stub->names_max = 3;
    assert_seen(&w, w.seen);
    assert_answer(&w, "b.x", ARES_REC_TYPE_A,
                  "7 NOERROR qr+rd b.x A" V4("b.x", "5", "6", "7", "8"));
    assert_answer(&w, "c.x", ARES_REC_TYPE_A,
                  "7 NOERROR qr+rd c.x A" V4("c.x", "9", "10", "11", "12"));
    assert_seen(&w, "[1 b.x: 1]!1[2 c.x: 1]!2");
    assert_answer(&w, "d.x", ARES_REC_TYPE_AAAA, "7 SERVFAIL qr+rd d.x AAAA");
    assert_answer(&w, "d.x", ARES_REC_TYPE_TXT, "site 1");
    assert_seen(&w, "");
    assert_answer(&w, "b.x", ARES_REC_TYPE_A,
                  "7 NOERROR qr+rd b.x A" V4("b.x", "5", "6", "7", "8"));
    assert_int_equal(dns_stub_counters(w.stub)->names_full, 1);
    dns_stub_free(w.stub);
}

/* The most specific ones stay, those that have gone leave first. */
static void test_a_name_with_too_many_resources(void **state)
{
    char pattern[64];
    struct world w;

    (void)state;
    start(&w);
    set(&w, 1, "?.x", IP_STACK_DUAL);
    set(&w, 2, "**.x", IP_STACK_V4);
    assert_answer(&w, "a.x", ARES_REC_TYPE_TXT, "site 1");
    assert_answer(&w, "a.x", ARES_REC_TYPE_AAAA,
                  "7 NOERROR qr+rd a.x AAAA" V6("a.x", "", "1", "2", "3"));
    take_away(&w, 1);
    for (unsigned i = 0; i < DNS_STUB_RESOURCES_MAX; i++) {
        snprintf(pattern, sizeof pattern, "%sa.x", i % 2 ? "*" : "");
        set(&w, 10 + i, pattern, IP_STACK_V6);
    }
    assert_seen(&w, "[0 a.x: 1 2/4]!0[0 a.x: 2/4]");
    assert_answer(&w, "a.x", ARES_REC_TYPE_A,
                  "7 NOERROR qr+rd a.x A" V4("a.x", "1", "2", "3", "4"));
    assert_seen(&w, "[0 a.x: 40/6 38/6 36/6 34/6 32/6 30/6 28/6 26/6 24/6 22/6 20/6 18/6 16/6 14/6"
                    " 12/6 10/6 41/6 39/6 37/6 35/6 33/6 31/6 29/6 27/6 25/6 23/6 21/6 19/6 17/6"
                    " 15/6 13/6 11/6]!0");
    assert_int_equal(dns_stub_counters(w.stub)->resources_full, 1);
    dns_stub_free(w.stub);
}

static void test_changes_are_reported_in_slices(void **state)
{
    enum {
        NAMES = 2 * DNS_STUB_STEP + 10
    };
    char name[32], shown[RIG_SHOWN_MAX];
    struct world w;

    (void)state;
    start(&w);
    set(&w, 1, "*.x", IP_STACK_DUAL);
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(name, sizeof name, "n%u.x", i);
        ask(&w, shown, name, ARES_REC_TYPE_A);
    }
    w.reports = 0;
    take_away(&w, 1);
    assert_int_equal(w.reports, DNS_STUB_STEP);
    assert_true(dns_stub_step(w.stub));
    /* Meanwhile it becomes another one, which begins anew, and comes back before that has ended. */
    set(&w, 1, "n1*.x", IP_STACK_DUAL);
    ask(&w, shown, "n1.x", ARES_REC_TYPE_A);
    set(&w, 1, "*.x", IP_STACK_DUAL);
    ask(&w, shown, "n1.x", ARES_REC_TYPE_A);
    ask(&w, shown, "n2.x", ARES_REC_TYPE_A);
    assert_seen(&w, w.seen);
    while (dns_stub_step(w.stub))
        ;
    w.seen_len = 0;
    take_away(&w, 1);
    assert_seen(&w, "[2 n2.x:][1 n1.x:]");
    assert_false(dns_stub_step(w.stub));
    dns_stub_free(w.stub);
}

/* ---- against a search of all ---- */

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(*seed >> 33);
}

/* Labels of few letters, with wildcards if told so, in any case. */
static void random_text(char *out, uint64_t *seed, bool wildcards)
{
    static const char *const labels[] = {"a", "b", "ab", "A",  "bA", "aab",
                                         "?", "*", "a*", "?b", "**"};
    unsigned n = 1 + next_random(seed) % 4;

    *out = 0;
    for (unsigned i = 0; i < n; i++) {
        strcat(out, i ? "." : "");
        strcat(out, labels[next_random(seed) % (wildcards ? 11 : 6)]);
    }
}

struct naive {
    char pattern[32];
    bool present;
};

/* The number of the resource that precedes all others of the name; -1: none. */
static int naive_best(const struct naive *all, const char *name)
{
    int best = -1;

    for (int i = 0; i < RANDOM_RESOURCES; i++) {
        struct dns_pattern p;
        char why[128];
        if (!all[i].present || dns_pattern_init(&p, all[i].pattern, why, sizeof why) != ERR_OK ||
            !dns_pattern_match(&p, name))
            continue;
        if (best < 0 || dns_pattern_compare(all[i].pattern, all[best].pattern) <= 0)
            best = i;
    }
    return best;
}

static void test_random_resources(void **state)
{
    struct naive all[RANDOM_RESOURCES] = {{.present = false}};
    uint64_t seed = 42;
    struct world w;

    (void)state;
    start(&w);
    for (unsigned round = 0; round < RANDOM_ROUNDS; round++) {
        unsigned number = next_random(&seed) % RANDOM_RESOURCES;
        struct uuid id = resource_id(number);
        char why[256];
        all[number].present = next_random(&seed) % 3 > 0;
        if (all[number].present) {
            if (next_random(&seed) % 2 || !*all[number].pattern)
                random_text(all[number].pattern, &seed, true);
            assert_int_equal(
                dns_stub_set(w.stub, &id, all[number].pattern, IP_STACK_DUAL, why, sizeof why),
                ERR_OK);
        } else {
            dns_stub_remove(w.stub, &id);
        }
        for (unsigned i = 0; i < RANDOM_NAMES; i++) {
            char name[32], lower[32] = "", want[32], shown[RIG_SHOWN_MAX];
            random_text(name, &seed, false);
            for (size_t k = 0; k < strlen(name); k++)
                lower[k] = (char)(name[k] | (name[k] == '.' ? 0 : 0x20));
            int best = naive_best(all, lower);
            snprintf(want, sizeof want, best < 0 ? "recurse" : "site %d", best);
            if (next_random(&seed) % 2)
                ask(&w, shown, name, ARES_REC_TYPE_A);
            assert_answer(&w, name, ARES_REC_TYPE_TXT, want);
        }
    }
    dns_stub_free(w.stub);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind_of_question),
        cmocka_unit_test(test_several_resources),
        cmocka_unit_test(test_resources_come_and_go),
        cmocka_unit_test(test_a_wrong_pattern_has_no_names),
        cmocka_unit_test(test_names_that_get_no_addresses),
        cmocka_unit_test(test_a_name_with_too_many_resources),
        cmocka_unit_test(test_changes_are_reported_in_slices),
        cmocka_unit_test(test_random_resources),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
