/* SPDX-License-Identifier: Apache-2.0 */
/* See gateway_dns_query.h. */
#include "control/gateway_dns_query.h"

#include <string.h>

#include "control/dns/message.h"

_Static_assert((int)GATEWAY_DNS_HEAD_MAX == (int)DNS_HEAD_MAX, "a head is kept as it is");

static struct dns_head head_of(const struct gateway_dns_reply *reply)
{
    struct dns_head h = {.len = reply->len};

    memcpy(h.bytes, reply->bytes, reply->len);
    return h;
}

static void keep(struct gateway_dns_reply *reply, const struct dns_head *h)
{
    reply->len = h->len;
    memcpy(reply->bytes, h->bytes, h->len);
}

static void answer(struct gateway_dns_reply *reply, ares_dns_rcode_t rcode)
{
    struct dns_head h = head_of(reply);

    dns_head_reply(&h, rcode);
    keep(reply, &h);
}

static bool is_passed_on(const struct dns_query *q)
{
    return q->class == ARES_CLASS_IN &&
           (q->type == ARES_REC_TYPE_SRV || q->type == ARES_REC_TYPE_TXT);
}

enum gateway_dns_verdict gateway_dns_judge(struct gateway_dns_reply *reply, const uint8_t *query,
                                           size_t len)
{
    struct dns_query q;

    if (dns_query_read(&q, query, len) != ERR_OK)
        return GATEWAY_DNS_DROP;
    bool is_query = ares_dns_record_get_opcode(q.record) == ARES_OPCODE_QUERY;
    bool passed_on = is_passed_on(&q);
    keep(reply, &q.head);
    dns_query_fini(&q);
    if (is_query && passed_on)
        return GATEWAY_DNS_PASS;
    answer(reply, is_query ? ARES_RCODE_REFUSED : ARES_RCODE_NOTIMP);
    return GATEWAY_DNS_ANSWER;
}

void gateway_dns_fail(struct gateway_dns_reply *reply)
{
    answer(reply, ARES_RCODE_SERVFAIL);
}

void gateway_dns_truncate(struct gateway_dns_reply *reply, const uint8_t *long_answer)
{
    struct dns_head h = head_of(reply);

    dns_head_truncated(&h, long_answer);
    keep(reply, &h);
}
