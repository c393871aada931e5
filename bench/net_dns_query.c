/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/net_dns_query.h"

#include <ares.h>
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "control/dns/reply.h"
#include "engine/wire/ranges.h"
#include "platform/base/bytes.h"

enum {
    FLAG_RESPONSE = 0x80,  /* of the third byte */
    FLAG_TRUNCATED = 0x02, /* likewise */
    RCODE = 0x0f           /* of the fourth */
};

/* Of the name in the question, type A, class IN, good for no time, 192.0.2.53. */
static const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 53};

const char *net_dns_kind_name(enum net_dns_kind kind)
{
    switch (kind) {
    case NET_DNS_RESOURCE:
        return "resource";
    case NET_DNS_USED:
        return "used";
    case NET_DNS_UPSTREAM:
        return "upstream";
    case NET_DNS_KINDS:
        break;
    }
    ASSERT(!"a kind that there is not");
    return "";
}

void net_dns_query_write(struct net_dns_query *q, enum net_dns_kind kind, unsigned name)
{
    static const char *const zones[] = {"corp", "used", "other"};
    ares_dns_record_t *r = NULL;
    unsigned char *bytes = NULL;
    char text[32];

    snprintf(text, sizeof text, "n%u.%s.test", name, zones[kind]);
    if (ares_dns_record_create(&r, 0, ARES_FLAG_RD, ARES_OPCODE_QUERY, ARES_RCODE_NOERROR) ==
        ARES_SUCCESS)
        (void)ares_dns_record_query_add(r, text, ARES_REC_TYPE_A, ARES_CLASS_IN);
    ares_status_t status = ares_dns_write(r, &bytes, &q->len);
    ASSERT(status == ARES_SUCCESS && q->len <= sizeof q->bytes);
    memcpy(q->bytes, bytes, q->len);
    ares_free_string(bytes);
    ares_dns_record_destroy(r);
}

/* ---- answers ---- */

static bool is_expected(enum net_dns_kind kind, const ares_dns_rr_t *rr)
{
    const struct in_addr *ip = ares_dns_rr_get_type(rr) == ARES_REC_TYPE_A
                                   ? ares_dns_rr_get_addr(rr, ARES_RR_A_ADDR)
                                   : NULL;
    uint8_t bytes[4];

    if (ip == NULL)
        return false;
    memcpy(bytes, ip, sizeof bytes);
    if (kind != NET_DNS_UPSTREAM)
        return proxy_name_v4(bytes) != PROXY_NAME_NONE;
    return memcmp(bytes, record + sizeof record - 4, 4) == 0;
}

/* As many records as there should be, and no other. */
static bool has_addresses(enum net_dns_kind kind, const uint8_t *answer, size_t len)
{
    const size_t expected = kind != NET_DNS_UPSTREAM ? PROXY_PER_NAME : 1;
    ares_dns_record_t *r = NULL;
    bool good = ares_dns_parse(answer, len, 0, &r) == ARES_SUCCESS &&
                ares_dns_record_rr_cnt(r, ARES_SECTION_ANSWER) == expected;

    for (size_t i = 0; good && i < expected; i++)
        good = is_expected(kind, ares_dns_record_rr_get_const(r, ARES_SECTION_ANSWER, i));
    ares_dns_record_destroy(r);
    return good;
}

enum net_dns_verdict net_dns_query_check(const struct net_dns_query *q, enum net_dns_kind kind,
                                         const uint8_t *answer, size_t len)
{
    /* The question comes back as it was asked, byte by byte. */
    if (len < q->len || !(answer[2] & FLAG_RESPONSE) || load_be16(answer + 4) != 1 ||
        memcmp(answer + DNS_HEADER_LEN, q->bytes + DNS_HEADER_LEN, q->len - DNS_HEADER_LEN) != 0)
        return NET_DNS_OTHER;
    if (answer[2] & FLAG_TRUNCATED || answer[3] & RCODE)
        return NET_DNS_FAILED;
    return has_addresses(kind, answer, len) ? NET_DNS_GOOD : NET_DNS_FAILED;
}

/* Of a query's header and question; 0: the question is not whole. */
static size_t head_len(const uint8_t *message, size_t len)
{
    size_t at = DNS_HEADER_LEN;

    while (at < len && message[at] != 0)
        at += message[at] + 1u;
    return at + 5 <= len ? at + 5 : 0;
}

size_t net_dns_query_answer(uint8_t *message, size_t len)
{
    static const uint8_t counts[] = {0, 1, 0, 0, 0, 0, 0, 0}; /* one question and nothing else */

    /* What follows the question, a gateway's OPT, goes. */
    len = len <= NET_DNS_ANSWER_MAX - sizeof record && reply_is_query(message, len)
              ? head_len(message, len)
              : 0;
    if (len == 0)
        return 0;
    message[2] |= FLAG_RESPONSE;
    memcpy(message + 4, counts, sizeof counts);
    if (load_be16(message + len - 4) != ARES_REC_TYPE_A)
        return len;
    store_be16(message + 6, 1);
    memcpy(message + len, record, sizeof record);
    return len + sizeof record;
}
