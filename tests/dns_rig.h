/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages for tests: queries and answers from text, and what a message says as text. Aborts if c-ares cannot do it. */
#ifndef FZ_TESTS_DNS_RIG_H
#define FZ_TESTS_DNS_RIG_H

#include <ares.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/dns/message.h"

enum {
    RIG_MESSAGE_MAX = 4096,
    RIG_SHOWN_MAX = 4096
};

struct rig_message {
    size_t len;
    uint8_t bytes[RIG_MESSAGE_MAX];
};

static inline void rig_give(struct rig_message *m, ares_dns_record_t *record)
{
    unsigned char *bytes = NULL;

    ASSERT(ares_dns_write(record, &bytes, &m->len) == ARES_SUCCESS);
    ASSERT(m->len <= sizeof m->bytes);
    memcpy(m->bytes, bytes, m->len);
    ares_free_string(bytes);
    ares_dns_record_destroy(record);
}

static inline ares_dns_record_t *rig_record(unsigned id, unsigned flags, const char *name,
                                            unsigned type)
{
    ares_dns_record_t *record = NULL;

    ASSERT(ares_dns_record_create(&record, (unsigned short)id, (unsigned short)flags,
                                  ARES_OPCODE_QUERY, ARES_RCODE_NOERROR) == ARES_SUCCESS);
    ASSERT(ares_dns_record_query_add(record, name, (ares_dns_rec_type_t)type, ARES_CLASS_IN) ==
           ARES_SUCCESS);
    return record;
}

static inline void rig_query(struct rig_message *m, unsigned id, const char *name, unsigned type)
{
    rig_give(m, rig_record(id, ARES_FLAG_RD, name, type));
}

/* To a query for an address of v4: one for each TTL, the addresses are 192.0.2.1, 2, 3 and so on. */
static inline void rig_answer(struct rig_message *m, unsigned id, const char *name,
                              const unsigned *ttls_s, unsigned n)
{
    ares_dns_record_t *record =
        rig_record(id, ARES_FLAG_QR | ARES_FLAG_RD | ARES_FLAG_RA, name, ARES_REC_TYPE_A);

    for (unsigned i = 0; i < n; i++) {
        ares_dns_rr_t *rr = NULL;
        struct in_addr ip = {htonl(0xc0000201 + i)};
        ASSERT(ares_dns_record_rr_add(&rr, record, ARES_SECTION_ANSWER, name, ARES_REC_TYPE_A,
                                      ARES_CLASS_IN, ttls_s[i]) == ARES_SUCCESS);
        ASSERT(ares_dns_rr_set_addr(rr, ARES_RR_A_ADDR, &ip) == ARES_SUCCESS);
    }
    rig_give(m, record);
}

static inline int rig_show_data(char *out, size_t max, const ares_dns_rr_t *rr)
{
    char text[IP_TEXT_MAX];

    switch (ares_dns_rr_get_type(rr)) {
    case ARES_REC_TYPE_A:
        inet_ntop(AF_INET, ares_dns_rr_get_addr(rr, ARES_RR_A_ADDR), text, sizeof text);
        return snprintf(out, max, " %s", text);
    case ARES_REC_TYPE_AAAA:
        inet_ntop(AF_INET6, ares_dns_rr_get_addr6(rr, ARES_RR_AAAA_ADDR), text, sizeof text);
        return snprintf(out, max, " %s", text);
    case ARES_REC_TYPE_CNAME:
        return snprintf(out, max, " %s", ares_dns_rr_get_str(rr, ARES_RR_CNAME_CNAME));
    case ARES_REC_TYPE_PTR:
        return snprintf(out, max, " %s", ares_dns_rr_get_str(rr, ARES_RR_PTR_DNAME));
    default:
        return snprintf(out, max, " ...");
    }
}

/*
 * "ID CODE FLAGS NAME TYPE" and, for each answer, "; NAME TTL DATA". FLAGS: of qr, aa, tc, rd, ra, ad, cd those that are set,
 * joined by '+'.
 */
static inline const char *rig_show(char *out, const uint8_t *bytes, size_t len)
{
    static const struct {
        unsigned flag;
        const char *text;
    } flags[] = {{ARES_FLAG_QR, "qr"},  {ARES_FLAG_AA, "+aa"}, {ARES_FLAG_TC, "+tc"},
                 {ARES_FLAG_RD, "+rd"}, {ARES_FLAG_RA, "+ra"}, {ARES_FLAG_AD, "+ad"},
                 {ARES_FLAG_CD, "+cd"}};
    ares_dns_record_t *r = NULL;
    const char *name = NULL;
    ares_dns_rec_type_t type;
    ares_dns_class_t class;
    char *at = out;

    if (ares_dns_parse(bytes, len, 0, &r) != ARES_SUCCESS)
        return strcpy(out, "not a message");
    at += sprintf(at, "%u %s ", ares_dns_record_get_id(r),
                  ares_dns_rcode_tostr(ares_dns_record_get_rcode(r)));
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (ares_dns_record_get_flags(r) & flags[i].flag)
            at += sprintf(at, "%s", flags[i].text);
    ASSERT(ares_dns_record_query_get(r, 0, &name, &type, &class) == ARES_SUCCESS);
    at += sprintf(at, " %s %s", name, ares_dns_rec_type_tostr(type));
    for (size_t i = 0; i < ares_dns_record_rr_cnt(r, ARES_SECTION_ANSWER); i++) {
        const ares_dns_rr_t *rr = ares_dns_record_rr_get_const(r, ARES_SECTION_ANSWER, i);
        at += sprintf(at, "; %s %u", ares_dns_rr_get_name(rr), ares_dns_rr_get_ttl(rr));
        at += rig_show_data(at, (size_t)(out + RIG_SHOWN_MAX - at), rr);
    }
    ares_dns_record_destroy(r);
    return out;
}

#endif
