/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns/message.h"

#include <string.h>

#include "platform/base/mem.h"

enum {
    /* Of the second pair of bytes. */
    FLAG_QR = 0x8000,
    FLAGS_OPCODE = 0x7800,
    FLAG_TC = 0x0200,
    FLAG_RD = 0x0100,
    /* Where the counts are. */
    QUESTIONS = 4,
    ANSWERS = 6,
    AUTHORITIES = 8,
    ADDITIONALS = 10,

    RECORD_LEN_MIN = 11 /* for the root, without data */
};

/* ---- reading a query ---- */

/* Makes room for as many records as a header promises, c-ares believes it; so does not who has seen how short the message is. */
static bool counts_are_possible(const uint8_t *bytes, size_t len)
{
    size_t records = (size_t)load_be16(bytes + ANSWERS) + load_be16(bytes + AUTHORITIES) +
                     load_be16(bytes + ADDITIONALS);
    return DNS_HEADER_LEN + records * RECORD_LEN_MIN <= len;
}

/* Keeps what replies repeat. False: the question's name is a pointer into the header, which replies change. */
static bool keep_head(struct dns_query *q, const uint8_t *bytes, size_t len)
{
    size_t n = dns_question_len(bytes, len);

    q->head.len = (uint16_t)(DNS_HEADER_LEN + n);
    memcpy(q->head.bytes, bytes, q->head.len);
    return n != 0;
}

static bool keep_question(struct dns_query *q)
{
    ares_dns_rec_type_t type;
    ares_dns_class_t class;
    size_t i = 0;

    if (ares_dns_record_query_get(q->record, 0, &q->asked, &type, &class) != ARES_SUCCESS)
        return false;
    for (; q->asked[i]; i++) {
        char c = q->asked[i];
        if (i + 1 == sizeof q->name)
            return false;
        q->name[i] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
    }
    q->name[i] = 0;
    q->type = (unsigned)type;
    q->class = (unsigned)class;
    return true;
}

enum err dns_query_read(struct dns_query *q, const uint8_t *bytes, size_t len)
{
    unsigned as_they_are = ARES_DNS_PARSE_NS_BASE_RAW | ARES_DNS_PARSE_NS_EXT_RAW |
                           ARES_DNS_PARSE_AR_BASE_RAW | ARES_DNS_PARSE_AR_EXT_RAW;

    q->record = NULL;
    if (len < DNS_HEADER_LEN || len > DNS_MESSAGE_MAX || load_be16(bytes + 2) & FLAG_QR ||
        !counts_are_possible(bytes, len))
        return ERR_PARSE;
    if (ares_dns_parse(bytes, len, as_they_are, &q->record) != ARES_SUCCESS)
        return ERR_PARSE;
    if (keep_question(q) && keep_head(q, bytes, len))
        return ERR_OK;
    dns_query_fini(q);
    return ERR_PARSE;
}

void dns_query_fini(struct dns_query *q)
{
    ares_dns_record_destroy(q->record);
    q->record = NULL;
}

/* ---- replies without records ---- */

static void only_question(struct dns_head *h, unsigned flags)
{
    store_be16(h->bytes + 2, (uint16_t)flags);
    store_be16(h->bytes + QUESTIONS, 1);
    memset(h->bytes + ANSWERS, 0, DNS_HEADER_LEN - ANSWERS);
}

void dns_head_reply(struct dns_head *h, ares_dns_rcode_t rcode)
{
    unsigned kept = load_be16(h->bytes + 2) & (FLAGS_OPCODE | FLAG_RD);
    only_question(h, FLAG_QR | kept | (unsigned)rcode);
}

void dns_head_truncated(struct dns_head *h, const uint8_t *answer)
{
    only_question(h, load_be16(answer + 2) | FLAG_TC);
}

bool dns_head_answered(const struct dns_head *h, const uint8_t *answer, size_t len)
{
    return len >= DNS_HEADER_LEN && load_be16(answer + 2) & FLAG_QR &&
           dns_question_same(h->bytes, h->len, answer, len);
}

/* ---- replies with records ---- */

/* Nothing that is passed to c-ares here can be wrong, so that only memory is left. */
static void must(ares_status_t status)
{
    mem_check(status == ARES_SUCCESS ? &status : NULL);
}

ares_dns_record_t *dns_reply_new(const struct dns_query *q)
{
    ares_dns_record_t *reply = NULL;
    unsigned short rd = ares_dns_record_get_flags(q->record) & ARES_FLAG_RD;

    must(ares_dns_record_create(&reply, ares_dns_record_get_id(q->record),
                                (unsigned short)(ARES_FLAG_QR | rd),
                                ares_dns_record_get_opcode(q->record), ARES_RCODE_NOERROR));
    must(ares_dns_record_query_add(reply, q->asked, (ares_dns_rec_type_t)q->type,
                                   (ares_dns_class_t)q->class));
    return reply;
}

static ares_dns_rr_t *add(ares_dns_record_t *reply, const struct dns_query *q,
                          ares_dns_rec_type_t type)
{
    ares_dns_rr_t *rr = NULL;

    must(ares_dns_record_rr_add(&rr, reply, ARES_SECTION_ANSWER, q->asked, type, ARES_CLASS_IN,
                                DNS_LOCAL_TTL_S));
    return rr;
}

void dns_reply_add_address(ares_dns_record_t *reply, const struct dns_query *q,
                           const struct ip_addr *ip)
{
    struct ares_in6_addr v6;
    struct in_addr v4;

    if (ip->family == ADDR_V4) {
        memcpy(&v4, ip->bytes, sizeof v4);
        must(ares_dns_rr_set_addr(add(reply, q, ARES_REC_TYPE_A), ARES_RR_A_ADDR, &v4));
    } else {
        memcpy(&v6, ip->bytes, sizeof v6);
        must(ares_dns_rr_set_addr6(add(reply, q, ARES_REC_TYPE_AAAA), ARES_RR_AAAA_ADDR, &v6));
    }
}

void dns_reply_add_name(ares_dns_record_t *reply, const struct dns_query *q, const char *name)
{
    must(ares_dns_rr_set_str(add(reply, q, ARES_REC_TYPE_PTR), ARES_RR_PTR_DNAME, name));
}

size_t dns_reply_write(ares_dns_record_t *reply, uint8_t *out, size_t max)
{
    unsigned char *bytes = NULL;
    size_t len = 0;

    ares_status_t status = ares_dns_write(reply, &bytes, &len);
    ares_dns_record_destroy(reply);
    if (status == ARES_SUCCESS && len <= max)
        memcpy(out, bytes, len);
    else
        len = 0;
    ares_free_string(bytes);
    return len;
}
