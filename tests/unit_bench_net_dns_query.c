/* SPDX-License-Identifier: Apache-2.0 */
/* Queries of the part dns, and which answers are good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "bench/net_dns_query.h"
#include "platform/base/bytes.h"

static const uint8_t question[] = "\x02n7\x04"
                                  "corp\x04test\0\0\x01\0\x01"; /* and a 0 */

enum {
    HEAD_LEN = 12 + sizeof question - 1
};

static void test_write(void **state)
{
    static const uint8_t header[12] = {0, 0, 1, 0, 0, 1};
    struct net_dns_query q;

    (void)state;
    net_dns_query_write(&q, NET_DNS_RESOURCE, 7);
    assert_int_equal(q.len, HEAD_LEN);
    assert_memory_equal(q.bytes, header, sizeof header);
    assert_memory_equal(q.bytes + 12, question, sizeof question - 1);
    net_dns_query_write(&q, NET_DNS_USED, 0);
    assert_memory_equal(q.bytes + 12, "\2n0\4used\4test", 13);
    net_dns_query_write(&q, NET_DNS_UPSTREAM, UINT32_MAX);
    assert_memory_equal(q.bytes + 12, "\013n4294967295\005other\4test", 23);
}

/* The answer of a resource to `q`, with addresses from 100.96.0.`last` on. */
static size_t make_answer(uint8_t *out, const struct net_dns_query *q, unsigned n, uint8_t last)
{
    size_t len = q->len;

    memcpy(out, q->bytes, q->len);
    out[2] |= 0x80;
    out[7] = (uint8_t)n;
    for (unsigned i = 0; i < n; i++, len += 16) {
        const uint8_t record[] = {0xc0, 12, 0, 1, 0,   1,  0, 0,
                                  0,    1,  0, 4, 100, 96, 0, (uint8_t)(last + i)};
        memcpy(out + len, record, sizeof record);
    }
    return len;
}

static enum net_dns_verdict check(const uint8_t *answer, size_t len)
{
    struct net_dns_query q;
    uint8_t *copy = malloc(len + 1); /* its end is the memory's, for AddressSanitizer */

    assert_non_null(copy);
    memcpy(copy, answer, len);
    copy = realloc(copy, len > 0 ? len : 1);
    net_dns_query_write(&q, NET_DNS_RESOURCE, 7);
    enum net_dns_verdict verdict = net_dns_query_check(&q, NET_DNS_RESOURCE, copy, len);
    free(copy);
    return verdict;
}

static void test_resource(void **state)
{
    static const struct {
        size_t at; /* of this byte, what is to be changed */
        uint8_t bits;
        enum net_dns_verdict verdict;
    } cases[] = {
        {0, 0xff, NET_DNS_GOOD},               /* the id */
        {2, 0x80, NET_DNS_OTHER},              /* a query */
        {2, 0x02, NET_DNS_FAILED},             /* truncated */
        {3, 0x02, NET_DNS_FAILED},             /* SERVFAIL */
        {5, 0x02, NET_DNS_OTHER},              /* three questions */
        {14, 0x01, NET_DNS_OTHER},             /* another name */
        {14, 0x20, NET_DNS_OTHER},             /* the same in another case */
        {HEAD_LEN - 3, 0x1d, NET_DNS_OTHER},   /* another type */
        {HEAD_LEN + 3, 0x04, NET_DNS_FAILED},  /* a record of another type */
        {HEAD_LEN + 12, 0x01, NET_DNS_FAILED}, /* no proxy address */
        {HEAD_LEN + 13, 0x80, NET_DNS_FAILED}, /* likewise */
        {HEAD_LEN + 3 * 16 + 13, 0x40, NET_DNS_FAILED},
    };
    struct net_dns_query q;
    uint8_t answer[NET_DNS_ANSWER_MAX];

    (void)state;
    net_dns_query_write(&q, NET_DNS_RESOURCE, 7);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = make_answer(answer, &q, 4, 1);
        assert_int_equal(check(answer, len), NET_DNS_GOOD);
        answer[cases[i].at] ^= cases[i].bits;
        if (check(answer, len) != cases[i].verdict)
            fail_msg("case %zu: %d", i, (int)check(answer, len));
    }
    assert_int_equal(check(answer, make_answer(answer, &q, 3, 1)), NET_DNS_FAILED);
    assert_int_equal(check(answer, make_answer(answer, &q, 5, 1)), NET_DNS_FAILED);
    assert_int_equal(check(answer, make_answer(answer, &q, 4, 0)), NET_DNS_FAILED);
}

static void test_cut(void **state)
{
    struct net_dns_query q;
    uint8_t answer[NET_DNS_ANSWER_MAX];

    (void)state;
    net_dns_query_write(&q, NET_DNS_RESOURCE, 7);
    size_t whole = make_answer(answer, &q, 4, 1);
    for (size_t len = 0; len < whole; len++)
        assert_int_equal(check(answer, len), len < HEAD_LEN ? NET_DNS_OTHER : NET_DNS_FAILED);
}

/* The server's answer is good for other names, and for a resource it is not. */
static void test_upstream(void **state)
{
    struct net_dns_query q;
    uint8_t message[NET_DNS_ANSWER_MAX];

    (void)state;
    net_dns_query_write(&q, NET_DNS_UPSTREAM, 1999);
    memcpy(message, q.bytes, q.len);
    size_t len = net_dns_query_answer(message, q.len);
    assert_int_equal(len, q.len + 16);
    assert_int_equal(load_be32(message + q.len + 6), 0); /* for how long it is good */
    assert_int_equal(net_dns_query_check(&q, NET_DNS_UPSTREAM, message, len), NET_DNS_GOOD);
    assert_int_equal(net_dns_query_check(&q, NET_DNS_RESOURCE, message, len), NET_DNS_FAILED);
    message[len - 1] ^= 1;
    assert_int_equal(net_dns_query_check(&q, NET_DNS_UPSTREAM, message, len), NET_DNS_FAILED);
    memcpy(message, q.bytes, q.len);
    message[q.len - 3] = 28; /* AAAA */
    assert_int_equal(net_dns_query_answer(message, q.len), q.len);
    assert_int_equal(load_be16(message + 6), 0);
}

/* What follows the question is not in the answer. */
static void test_opt(void **state)
{
    static const uint8_t opt[] = {0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0};
    uint8_t message[NET_DNS_ANSWER_MAX];
    struct net_dns_query q;

    (void)state;
    net_dns_query_write(&q, NET_DNS_UPSTREAM, 7);
    memcpy(message, q.bytes, q.len);
    memcpy(message + q.len, opt, sizeof opt);
    message[11] = 1;
    size_t len = net_dns_query_answer(message, q.len + sizeof opt);
    assert_int_equal(len, q.len + 16);
    assert_int_equal(message[11], 0);
    assert_int_equal(net_dns_query_check(&q, NET_DNS_UPSTREAM, message, len), NET_DNS_GOOD);
}

static void test_no_query(void **state)
{
    static const struct {
        size_t at; /* of the query, what is to be changed */
        uint8_t bits;
    } cases[] = {{2, 0x80}, {5, 0x01}, {5, 0x03}, {12, 0x80}};
    uint8_t message[NET_DNS_ANSWER_MAX] = {0};
    struct net_dns_query q;

    (void)state;
    net_dns_query_write(&q, NET_DNS_UPSTREAM, 7);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        memcpy(message, q.bytes, q.len);
        message[cases[i].at] ^= cases[i].bits;
        if (net_dns_query_answer(message, q.len) != 0)
            fail_msg("case %zu", i);
    }
    for (size_t len = 0; len < q.len; len++) {
        memcpy(message, q.bytes, q.len);
        assert_int_equal(net_dns_query_answer(message, len), 0);
    }
    memcpy(message, q.bytes, q.len);
    assert_int_equal(net_dns_query_answer(message, sizeof message), 0); /* no room */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write), cmocka_unit_test(test_resource),
        cmocka_unit_test(test_cut),   cmocka_unit_test(test_upstream),
        cmocka_unit_test(test_opt),   cmocka_unit_test(test_no_query)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
