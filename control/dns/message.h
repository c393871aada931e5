/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS messages as the stub resolver needs them: a query that is read, and the replies to it. c-ares reads the messages and their
 * names, and writes records. A reply without records is the query's own header and question, byte by byte: it can be given to every
 * question, also one whose name c-ares would not write, and the name's case is kept.
 *
 * Control role. Source: spec/tunnel.md 7.2; RFC 1035 section 4.1.
 */
#ifndef FZ_CONTROL_DNS_MESSAGE_H
#define FZ_CONTROL_DNS_MESSAGE_H

#include <ares.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/dns/question.h"
#include "platform/base/addr.h"
#include "platform/base/err.h"

enum {
    DNS_HEAD_MAX = DNS_HEADER_LEN + DNS_QUESTION_MAX,
    DNS_NAME_TEXT_MAX = 1024,   /* with each byte escaped as \DDD, and the final zero */
    DNS_MESSAGE_MAX = 65535,    /* by TCP */
    DNS_UDP_MESSAGE_MAX = 1212, /* what fits into a packet of the tunnel's MTU */
    DNS_LOCAL_TTL_S = 1
};

/* The header and the question of a message. */
struct dns_head {
    uint16_t len;
    uint8_t bytes[DNS_HEAD_MAX];
};

struct dns_query {
    ares_dns_record_t *record;
    struct dns_head head;
    const char *asked;            /* the name as it was asked for; of `record` */
    char name[DNS_NAME_TEXT_MAX]; /* likewise, in lower case */
    unsigned type, class;
};

/*
 * ERR_PARSE: it is no query with exactly one question, and gets no reply. OPT and all else behind the answer section is not looked
 * into. Ends with dns_query_fini.
 */
enum err dns_query_read(struct dns_query *q, const uint8_t *bytes, size_t len) MUST_USE;
void dns_query_fini(struct dns_query *q);

/* ---- replies without records: RD and the opcode are the query's, the other flags zero ---- */

/* Makes it one in place. */
void dns_head_reply(struct dns_head *h, ares_dns_rcode_t rcode);
/* Likewise the one that says that the answer, which has a header at least, does not fit; the answer's flags, and TC. */
void dns_head_truncated(struct dns_head *h, const uint8_t *answer);
/* True: the answer is a response to this question. Its id may be another. */
bool dns_head_answered(const struct dns_head *h, const uint8_t *answer, size_t len);

/* ---- replies with records, of our own: NOERROR, class IN, DNS_LOCAL_TTL_S ---- */

ares_dns_record_t *dns_reply_new(const struct dns_query *q);
/* The owner of all is the name as asked. */
void dns_reply_add_address(ares_dns_record_t *reply, const struct dns_query *q,
                           const struct ip_addr *ip);
void dns_reply_add_name(ares_dns_record_t *reply, const struct dns_query *q, const char *name);
/* Frees the reply. 0: it does not fit, or the names are none that c-ares writes. */
size_t dns_reply_write(ares_dns_record_t *reply, uint8_t *out, size_t max);

#endif
