/* SPDX-License-Identifier: Apache-2.0 */
/* What a query gets, see stub.h; the tables behind it are in stub_tables.c. */
#include <stdio.h>

#include "control/dns/stub_private.h"
#include "engine/wire/ranges.h"

enum {
    NIBBLES = 32,
    REVERSE_V4_MAX = 32
};

static const char canary[] = "use-application-dns.net";

/* ---- replies ---- */

static enum dns_stub_decision reply_empty(struct dns_stub_reply *reply, const struct dns_query *q,
                                          ares_dns_rcode_t rcode)
{
    struct dns_head head = q->head;

    dns_head_reply(&head, rcode);
    reply->len = head.len;
    memcpy(reply->bytes, head.bytes, head.len);
    return DNS_STUB_ANSWER;
}

static enum dns_stub_decision refuse(struct dns_stub_reply *reply, const struct dns_query *q,
                                     uint64_t *counter)
{
    ++*counter;
    return reply_empty(reply, q, ARES_RCODE_SERVFAIL);
}

static enum dns_stub_decision answered(struct dns_stub *s, const struct stub_name *n)
{
    s->counters.answered++;
    if (n)
        s->events.answered(s->arg, n->index);
    return DNS_STUB_ANSWER;
}

/* ---- A, AAAA, HTTPS ---- */

static enum dns_stub_decision reply_addresses(struct dns_stub *s, const struct dns_query *q,
                                              const struct stub_name *n,
                                              struct dns_stub_reply *reply)
{
    bool v4 = q->type == ARES_REC_TYPE_A;

    if (!(v4 ? n->v4 : n->v6)) {
        reply_empty(reply, q, ARES_RCODE_NOERROR);
        return answered(s, n);
    }
    ares_dns_record_t *record = dns_reply_new(q);
    for (unsigned i = 0; i < PROXY_PER_NAME; i++) {
        struct ip_addr ip = v4 ? proxy_addr_v4(n->index, i) : proxy_addr_v6(n->index, i);
        dns_reply_add_address(record, q, &ip);
    }
    reply->len = dns_reply_write(record, reply->bytes, sizeof reply->bytes);
    return reply->len > 0 ? answered(s, n) : refuse(reply, q, &s->counters.names_odd);
}

/* n: NULL if the name has no addresses yet. It, or the matches, has a resource. */
static enum dns_stub_decision reply_resource(struct dns_stub *s, const struct dns_query *q,
                                             struct stub_name *n, const struct stub_matches *m,
                                             struct dns_stub_reply *reply)
{
    if (q->type == ARES_REC_TYPE_SRV || q->type == ARES_REC_TYPE_TXT) {
        reply->resource = n ? stub_best(n)->id : m->list[0]->id;
        return DNS_STUB_SITE;
    }
    if (q->type == ARES_REC_TYPE_HTTPS) {
        reply_empty(reply, q, ARES_RCODE_NOERROR);
        return answered(s, n);
    }
    if (!n) {
        if (strlen(q->name) > DNS_STUB_NAME_MAX)
            return refuse(reply, q, &s->counters.names_long);
        n = stub_name_add(s, q->name);
        if (!n)
            return refuse(reply, q, &s->counters.names_full);
        stub_tie(s, n, m);
    }
    return reply_addresses(s, q, n, reply);
}

static enum dns_stub_decision decide_resource(struct dns_stub *s, const struct dns_query *q,
                                              struct dns_stub_reply *reply)
{
    struct stub_name *n = stub_name_find(s, q->name);
    struct stub_matches m;

    if (!n || n->generation != s->generation) {
        stub_match(s, q->name, &m);
        if (n)
            stub_tie(s, n, &m);
    }
    if (n ? !n->matched : m.n == 0)
        return DNS_STUB_RECURSE;
    return reply_resource(s, q, n, &m, reply);
}

/* ---- PTR ---- */

/* Only as they are usually written: numbers without zeros in front. */
static bool reverse_v4(const char *name, uint8_t *ip)
{
    unsigned byte[4];
    char again[REVERSE_V4_MAX];

    if (sscanf(name, "%3u.%3u.%3u.%3u.", &byte[3], &byte[2], &byte[1], &byte[0]) != 4)
        return false;
    for (unsigned i = 0; i < 4; i++)
        ip[i] = (uint8_t)byte[i];
    snprintf(again, sizeof again, "%u.%u.%u.%u.in-addr.arpa", ip[3], ip[2], ip[1], ip[0]);
    return strcmp(name, again) == 0;
}

static bool reverse_v6(const char *name, uint8_t *ip)
{
    static const char digits[] = "0123456789abcdef";

    memset(ip, 0, 16);
    for (unsigned i = 0; i < NIBBLES; i++) {
        const char *digit = name[2 * i] ? strchr(digits, name[2 * i]) : NULL;
        if (!digit || name[2 * i + 1] != '.')
            return false;
        ip[15 - i / 2] |= (uint8_t)((digit - digits) << (i % 2 ? 4 : 0));
    }
    return strcmp(name + 2 * NIBBLES, "ip6.arpa") == 0;
}

static enum dns_stub_decision decide_ptr(struct dns_stub *s, const struct dns_query *q,
                                         struct dns_stub_reply *reply)
{
    uint32_t index = PROXY_NAME_NONE;
    uint8_t ip[16];

    if (reverse_v4(q->name, ip))
        index = proxy_name_v4(ip);
    else if (reverse_v6(q->name, ip))
        index = proxy_name_v6(ip);
    if (index >= s->names_n)
        return DNS_STUB_RECURSE;
    ares_dns_record_t *record = dns_reply_new(q);
    dns_reply_add_name(record, q, s->names[index]->text);
    reply->len = dns_reply_write(record, reply->bytes, sizeof reply->bytes);
    return reply->len > 0 ? answered(s, s->names[index]) : refuse(reply, q, &s->counters.names_odd);
}

enum dns_stub_decision dns_stub_decide(struct dns_stub *s, const struct dns_query *q,
                                       struct dns_stub_reply *reply)
{
    if (strcmp(q->name, canary) == 0) {
        reply_empty(reply, q, ARES_RCODE_NXDOMAIN);
        return answered(s, NULL);
    }
    switch (q->type) {
    case ARES_REC_TYPE_A:
    case ARES_REC_TYPE_AAAA:
    case ARES_REC_TYPE_HTTPS:
    case ARES_REC_TYPE_SRV:
    case ARES_REC_TYPE_TXT:
        return decide_resource(s, q, reply);
    case ARES_REC_TYPE_PTR:
        return decide_ptr(s, q, reply);
    default:
        return DNS_STUB_RECURSE;
    }
}

/* ---- what is known ---- */

uint32_t dns_stub_names(const struct dns_stub *s)
{
    return s->names_n;
}

const char *dns_stub_name(const struct dns_stub *s, uint32_t index)
{
    ASSERT(index < s->names_n);
    return s->names[index]->text;
}

const struct dns_stub_counters *dns_stub_counters(const struct dns_stub *s)
{
    return &s->counters;
}
