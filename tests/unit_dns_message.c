/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes are queries, and what replies to them look like. */
#include "control/dns/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/dns_rig.h"
#include "tests/support/hex.h"

#define HEADER                                                                                     \
    "beef"                                                                                         \
    "0100"                                                                                         \
    "0001"                                                                                         \
    "0000"                                                                                         \
    "0000"                                                                                         \
    "0000"
#define QUESTION                                                                                   \
    "016102426303434f4d00"                                                                         \
    "0001"                                                                                         \
    "0001" /* a.Bc.COM, A, IN */

static enum err read_hex(struct dns_query *q, const char *hex)
{
    uint8_t bytes[1024];
    size_t len = hex_decode(bytes, sizeof bytes, hex);

    return dns_query_read(q, bytes, len);
}

static void test_what_is_a_query(void **state)
{
    static const struct {
        const char *hex;
        const char *name; /* NULL: it is none */
        unsigned type;
    } cases[] = {
        {HEADER QUESTION, "a.bc.com", ARES_REC_TYPE_A},
        {HEADER "00"
                "0002"
                "0001",
         "", ARES_REC_TYPE_NS},
        /* a type and a class that nobody knows; a name with a dot and a zero in its labels */
        {HEADER "0161"
                "00"
                "ff78"
                "0001",
         "a", 0xff78},
        {HEADER "03412e00"
                "00"
                "0001"
                "0001",
         "a\\.\\000", ARES_REC_TYPE_A},
        /* one of EDNS, whose options and what else is there are not looked into */
        {"beef01000001000000000001" QUESTION "0000291000000000000000", "a.bc.com", ARES_REC_TYPE_A},
        {HEADER QUESTION "00", "a.bc.com", ARES_REC_TYPE_A},
        /* a response; two questions, none; an answer section that is not there or too short */
        {"beef81000001000000000000" QUESTION, NULL, 0},
        {"beef01000002000000000000" QUESTION QUESTION, NULL, 0},
        {"beef01000000000000000000", NULL, 0},
        {"beef01000001ffff00000000" QUESTION, NULL, 0},
        {"beef01000001000100000000" QUESTION "00000100010000000000ff", NULL, 0},
        /* cut short */
        {"", NULL, 0},
        {"beef010000010000000000", NULL, 0},
        {HEADER, NULL, 0},
        {HEADER "016102426303434f4d00000100", NULL, 0},
        /* names: pointers to themselves, into the header, before the question */
        {HEADER "c00c00010001", NULL, 0},
        {HEADER "c00200010001", NULL, 0},
        {HEADER "0161c00200010001", NULL, 0},
    };
    struct dns_query q;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum err err = read_hex(&q, cases[i].hex);
        if (err != (cases[i].name ? ERR_OK : ERR_PARSE))
            fail_msg("case %zu: %s", i, err_text(err));
        if (err != ERR_OK)
            continue;
        assert_string_equal(q.name, cases[i].name);
        assert_int_equal(q.type, cases[i].type);
        dns_query_fini(&q);
    }
}

static void assert_hex(const uint8_t *bytes, size_t len, const char *hex)
{
    uint8_t want[1024];

    assert_int_equal(len, hex_decode(want, sizeof want, hex));
    assert_memory_equal(bytes, want, len);
}

static void test_a_reply_without_records_is_the_question(void **state)
{
    struct dns_query q;

    (void)state;
    /* All flags and counts that a query can have; its opcode is "status", which is kept as RD is. */
    assert_int_equal(read_hex(&q, "beef17b70001000000000001" QUESTION "0000291000000000000000"),
                     ERR_OK);
    dns_head_reply(&q.head, ARES_RCODE_SERVFAIL);
    assert_hex(q.head.bytes, q.head.len, "beef91020001000000000000" QUESTION);
    dns_query_fini(&q);
}

static void test_a_truncated_reply_has_the_answers_flags(void **state)
{
    uint8_t answer[DNS_HEADER_LEN];
    struct dns_query q;

    (void)state;
    assert_int_equal(read_hex(&q, HEADER QUESTION), ERR_OK);
    hex_decode(answer, sizeof answer, "000085a30001000900080007");
    dns_head_truncated(&q.head, answer);
    assert_hex(q.head.bytes, q.head.len, "beef87a30001000000000000" QUESTION);
    dns_query_fini(&q);
}

static void test_which_message_answers(void **state)
{
    static const struct {
        const char *hex;
        bool answered;
    } cases[] = {
        {"000081830001000000000000" QUESTION, true},
        {"000081800001000100000000" QUESTION "c00c00010001000000000004c0000201", true},
        {"000081800001000000000000014102624303636f4d0000010001", true},  /* another case */
        {"000001000001000000000000" QUESTION, false},                    /* a query */
        {"000081800000000000000000" QUESTION, false},                    /* no question */
        {"000081800001000000000000016102426303434f4d00001c0001", false}, /* AAAA */
        {"000081800001000000000000016202426303434f4d0000010001", false}, /* b.Bc.COM */
        {"000081800001000000000000016102426303434f4d00000100", false},
        {"00008180000100000000", false},
    };
    struct dns_query q;

    (void)state;
    assert_int_equal(read_hex(&q, HEADER QUESTION), ERR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[256];
        size_t len = hex_decode(bytes, sizeof bytes, cases[i].hex);
        if (dns_head_answered(&q.head, bytes, len) != cases[i].answered)
            fail_msg("case %zu", i);
    }
    dns_query_fini(&q);
}

static void test_records_belong_to_the_name_as_asked(void **state)
{
    static const uint8_t v4[] = {100, 96, 0, 1}, v6[16] = {0xfd, [15] = 1};
    uint8_t bytes[512];
    char shown[RIG_SHOWN_MAX];
    struct dns_query q;

    (void)state;
    assert_int_equal(read_hex(&q, HEADER QUESTION), ERR_OK);
    ares_dns_record_t *reply = dns_reply_new(&q);
    struct ip_addr ip = ip_addr_v4(v4);
    dns_reply_add_address(reply, &q, &ip);
    ip = ip_addr_v6(v6);
    dns_reply_add_address(reply, &q, &ip);
    dns_reply_add_name(reply, &q, "x.example");
    size_t len = dns_reply_write(reply, bytes, sizeof bytes);
    assert_string_equal(rig_show(shown, bytes, len),
                        "48879 NOERROR qr+rd a.Bc.COM A; a.Bc.COM 1 100.96.0.1; a.Bc.COM 1 fd00::1;"
                        " a.Bc.COM 1 x.example");
    /* What does not fit is not written at all. */
    assert_int_equal(dns_reply_write(dns_reply_new(&q), bytes, q.head.len), q.head.len);
    assert_int_equal(dns_reply_write(dns_reply_new(&q), bytes, q.head.len - 1u), 0);
    dns_query_fini(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_a_query),
        cmocka_unit_test(test_a_reply_without_records_is_the_question),
        cmocka_unit_test(test_a_truncated_reply_has_the_answers_flags),
        cmocka_unit_test(test_which_message_answers),
        cmocka_unit_test(test_records_belong_to_the_name_as_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
