/* SPDX-License-Identifier: Apache-2.0 */
/* Which answers are kept, for how long, and what is given again of them. */
#include "control/dns/cache.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "platform/base/bytes.h"
#include "tests/dns_rig.h"
#include "tests/support/hex.h"

#define NOW (UINT64_C(1000) * NS_PER_SEC)

static void read_query(struct dns_query *q, const char *name, unsigned type)
{
    struct rig_message m;

    rig_query(&m, 77, name, type);
    assert_int_equal(dns_query_read(q, m.bytes, m.len), ERR_OK);
}

/* "none" if nothing is known. */
static const char *find(struct dns_cache *c, char *shown, const char *name, unsigned type,
                        time_ns now)
{
    uint8_t out[DNS_CACHE_ANSWER_MAX];
    struct dns_query q;

    read_query(&q, name, type);
    size_t len = dns_cache_find(c, &q, out, sizeof out, now);
    dns_query_fini(&q);
    return len > 0 ? rig_show(shown, out, len) : strcpy(shown, "none");
}

static void learn(struct dns_cache *c, const char *name, unsigned type, const uint8_t *bytes,
                  size_t len)
{
    struct dns_query q;

    read_query(&q, name, type);
    assert_true(dns_head_answered(&q.head, bytes, len));
    dns_cache_learn(c, &q, bytes, len, NOW);
    dns_query_fini(&q);
}

static void learn_ttl(struct dns_cache *c, const char *name, unsigned ttl_s)
{
    struct rig_message m;

    rig_answer(&m, 1, name, &ttl_s, 1);
    learn(c, name, ARES_REC_TYPE_A, m.bytes, m.len);
}

/* The header's second half, from the flags on; x.example with type A; records with that name. */
#define ANSWER(flags, answers, authorities, additionals)                                           \
    "0000" flags "0001" answers authorities additionals "0178076578616d706c650000010001"
#define A(ttl)     "c00c00010001" ttl "0004c0000201"
#define CNAME(ttl) "c00c00050001" ttl "00040179c00e"
#define OF_Y(ttl)  "0179c00e00010001" ttl "0004c0000202"
#define MG         "c00c000800010000012c00040167c00e"
#define NS         "c00e00020001000000ff0002c00c"
#define OPT        "0000290400000000000000"

static void test_what_is_kept(void **state)
{
    static const struct {
        const char *hex, *shown;
    } cases[] = {
        {ANSWER("8180", "0001", "0000", "0000") A("00000005"),
         "77 NOERROR qr+rd x.example A; x.example 5 192.0.2.1"},
        {ANSWER("8180", "0001", "0000", "0000") A("00000004"), "none"},
        /* flags of the server and what is in the other sections are left out */
        {ANSWER("85b0", "0001", "0001", "0001") A("0000012c") NS OPT,
         "77 NOERROR qr+rd x.example A; x.example 300 192.0.2.1"},
        /* the shortest of the type that was asked for counts, others do not */
        {ANSWER("8180", "0003", "0000", "0000") CNAME("00000001") OF_Y("0000012c") OF_Y("00000009"),
         "77 NOERROR qr+rd x.example A; x.example 1 y.example; y.example 300 192.0.2.2; y.example 9"
         " 192.0.2.2"},
        {ANSWER("8180", "0002", "0000", "0000") CNAME("0000012c") OF_Y("00000004"), "none"},
        {ANSWER("8180", "0001", "0000", "0000") CNAME("0000012c"), "none"},
        {ANSWER("8180", "0000", "0000", "0000"), "none"},
        {ANSWER("8183", "0001", "0000", "0000") A("0000012c"), "none"}, /* NXDOMAIN */
        {ANSWER("8382", "0001", "0000", "0000") A("0000012c"), "none"}, /* SERVFAIL */
        {ANSWER("8380", "0001", "0000", "0000") A("0000012c"), "none"}, /* TC */
        {ANSWER("8180", "0002", "0000", "0000") A("0000012c"), "none"}, /* cut */
        {ANSWER("8180", "0001", "0000", "0000") A("80000000"), "none"}, /* RFC 2181: it is zero */
        {ANSWER("8180", "0002", "0000", "0000") A("0000012c") MG, "none"}, /* a compressed name */
    };
    uint8_t bytes[512];
    char shown[RIG_SHOWN_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dns_cache *c = dns_cache_new(5);
        learn(c, "x.example", ARES_REC_TYPE_A, bytes,
              hex_decode(bytes, sizeof bytes, cases[i].hex));
        print_message("case %zu\n", i);
        assert_string_equal(find(c, shown, "x.example", ARES_REC_TYPE_A, NOW), cases[i].shown);
        assert_int_equal(dns_cache_len(c), strcmp(shown, "none") != 0);
        dns_cache_free(c);
    }
}

static void test_time_goes_by(void **state)
{
    static const unsigned ttls_s[] = {10, 300};
    char shown[RIG_SHOWN_MAX];
    struct dns_cache *c = dns_cache_new(5);
    struct rig_message m;

    (void)state;
    rig_answer(&m, 1, "x.example", ttls_s, 2);
    learn(c, "x.example", ARES_REC_TYPE_A, m.bytes, m.len);
    assert_string_equal(find(c, shown, "x.example", ARES_REC_TYPE_A, NOW + NS_PER_SEC - 1),
                        "77 NOERROR qr+rd x.example A; x.example 10 192.0.2.1; x.example 300"
                        " 192.0.2.2");
    assert_string_equal(find(c, shown, "X.Example", ARES_REC_TYPE_A, NOW + 10 * NS_PER_SEC - 1),
                        "77 NOERROR qr+rd X.Example A; x.example 1 192.0.2.1; x.example 291"
                        " 192.0.2.2");
    assert_int_equal(dns_cache_len(c), 1);
    assert_string_equal(find(c, shown, "x.example", ARES_REC_TYPE_A, NOW + 10 * NS_PER_SEC),
                        "none");
    assert_int_equal(dns_cache_len(c), 0);
    /* Nothing is kept for longer than a day. */
    learn_ttl(c, "x.example", 2000000);
    find(c, shown, "x.example", ARES_REC_TYPE_A, NOW + DNS_CACHE_TTL_MAX_S * NS_PER_SEC - 1);
    assert_string_equal(shown, "77 NOERROR qr+rd x.example A; x.example 1913601 192.0.2.1");
    find(c, shown, "x.example", ARES_REC_TYPE_A, NOW + DNS_CACHE_TTL_MAX_S * NS_PER_SEC);
    assert_string_equal(shown, "none");
    dns_cache_free(c);
}

static void test_name_type_and_class_are_the_key(void **state)
{
    uint8_t out[DNS_CACHE_ANSWER_MAX];
    char shown[RIG_SHOWN_MAX];
    struct dns_cache *c = dns_cache_new(5);
    struct rig_message m;
    struct dns_query q;

    (void)state;
    learn_ttl(c, "x.example", 300);
    assert_string_equal(find(c, shown, "y.example", ARES_REC_TYPE_A, NOW), "none");
    assert_string_equal(find(c, shown, "x.example", ARES_REC_TYPE_AAAA, NOW), "none");
    rig_query(&m, 1, "x.example", ARES_REC_TYPE_A);
    m.bytes[m.len - 1] = ARES_CLASS_CHAOS;
    assert_int_equal(dns_query_read(&q, m.bytes, m.len), ERR_OK);
    assert_int_equal(dns_cache_find(c, &q, out, sizeof out, NOW), 0);
    dns_query_fini(&q);
    /* What comes later counts. */
    learn_ttl(c, "x.example", 7);
    assert_string_equal(find(c, shown, "x.example", ARES_REC_TYPE_A, NOW),
                        "77 NOERROR qr+rd x.example A; x.example 7 192.0.2.1");
    assert_int_equal(dns_cache_len(c), 1);
    dns_cache_flush(c);
    assert_int_equal(dns_cache_len(c), 0);
    assert_string_equal(find(c, shown, "x.example", ARES_REC_TYPE_A, NOW), "none");
    dns_cache_free(c);
}

static void test_bounds(void **state)
{
    unsigned ttls_s[DNS_CACHE_RECORDS_MAX + 1];
    char name[32], shown[RIG_SHOWN_MAX];
    struct dns_cache *c = dns_cache_new(5);
    struct rig_message m;

    (void)state;
    for (unsigned i = 0; i < DNS_CACHE_MAX + 2; i++) {
        snprintf(name, sizeof name, "n%u.example", i);
        learn_ttl(c, name, 300);
    }
    assert_int_equal(dns_cache_len(c), DNS_CACHE_MAX);
    assert_string_equal(find(c, shown, "n1.example", ARES_REC_TYPE_A, NOW), "none");
    assert_string_not_equal(find(c, shown, "n2.example", ARES_REC_TYPE_A, NOW), "none");
    assert_string_not_equal(find(c, shown, name, ARES_REC_TYPE_A, NOW), "none");

    for (unsigned i = 0; i < DNS_CACHE_RECORDS_MAX + 1; i++)
        ttls_s[i] = 300;
    rig_answer(&m, 1, "x.example", ttls_s, DNS_CACHE_RECORDS_MAX);
    learn(c, "x.example", ARES_REC_TYPE_A, m.bytes, m.len);
    assert_string_not_equal(find(c, shown, "x.example", ARES_REC_TYPE_A, NOW), "none");
    rig_answer(&m, 1, "y.example", ttls_s, DNS_CACHE_RECORDS_MAX + 1);
    learn(c, "y.example", ARES_REC_TYPE_A, m.bytes, m.len);
    assert_string_equal(find(c, shown, "y.example", ARES_REC_TYPE_A, NOW), "none");
    dns_cache_free(c);
}

/* Whatever a record is, it comes back as it was. */
static void test_records_of_all_types(void **state)
{
    static const struct {
        unsigned type;
        const char *data;
    } cases[] = {
        {ARES_REC_TYPE_A, "c0000201"},
        {ARES_REC_TYPE_AAAA, "20010db8000000000000000000000001"},
        {ARES_REC_TYPE_NS, "016103636f6d00"},
        {ARES_REC_TYPE_CNAME, "016103636f6d00"},
        {ARES_REC_TYPE_PTR, "016103636f6d00"},
        {ARES_REC_TYPE_SOA, "016103636f6d000162036f726700"
                            "0000000100000002000000030000000400000005"},
        {ARES_REC_TYPE_HINFO, "0361626302787a"},
        {ARES_REC_TYPE_MX, "000a016103636f6d00"},
        {ARES_REC_TYPE_TXT, "036162630000027879"},
        {ARES_REC_TYPE_SRV, "000100020035016103636f6d00"},
        {ARES_REC_TYPE_NAPTR, "0001000201610162036d2c6e016103636f6d00"},
        {ARES_REC_TYPE_TLSA, "030101aabbccdd"},
        {ARES_REC_TYPE_SVCB, "0001016103636f6d00"
                             "000100030268320003000201bb"},
        {ARES_REC_TYPE_HTTPS, "000100000400080102030401020305"},
        {ARES_REC_TYPE_URI, "00010002687474703a2f2f61"},
        {ARES_REC_TYPE_CAA, "00056973737565613b62"},
        {48 /* DNSKEY */, "010103080102030405"},
        {46 /* RRSIG */, "00010d02000000010000000200000003000a0178076578616d706c6500aabb"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct dns_cache *c = dns_cache_new(5);
        uint8_t bytes[512], out[DNS_CACHE_ANSWER_MAX];
        struct rig_message m;
        struct dns_query q;
        rig_query(&m, 7, "x.example", cases[i].type);
        memcpy(bytes, m.bytes, m.len);
        size_t len = m.len + hex_decode(bytes + m.len, 12, "c00c000000010000012c0000");
        size_t data_len = hex_decode(bytes + len, sizeof bytes - len, cases[i].data);
        store_be16(bytes + m.len + 2, (uint16_t)cases[i].type);
        store_be16(bytes + m.len + 10, (uint16_t)data_len);
        store_be16(bytes + 6, 1);
        bytes[2] |= 0x80;
        len += data_len;
        assert_int_equal(dns_query_read(&q, m.bytes, m.len), ERR_OK);
        dns_cache_learn(c, &q, bytes, len, NOW);
        print_message("type %u\n", cases[i].type);
        assert_int_equal(dns_cache_find(c, &q, out, sizeof out, NOW), len);
        assert_memory_equal(out, bytes, len);
        dns_query_fini(&q);
        dns_cache_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_kept),
        cmocka_unit_test(test_time_goes_by),
        cmocka_unit_test(test_name_type_and_class_are_the_key),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_records_of_all_types),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
