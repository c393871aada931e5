/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the control thread pays for a DNS query of the host, in the stub resolver with 1,000 resources and 10,000 of their names: one
 * for such a name; one that a server is asked for, with its answer; one that is known from the cache. Without packets and sockets.
 */
#include <ares.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/micro.h"
#include "control/dns/cache.h"
#include "control/dns/service.h"
#include "platform/base/bytes.h"
#include "platform/base/mem.h"

enum {
    RESOURCES = 1000,
    NAMES = 10000,
    BATCH = 50,
    QUERY_LEN_MAX = 80,
    PROXIES = 4 /* in the answer for a resource's name */
};

enum kind {
    DNS_RESOURCE,
    DNS_RECURSION,
    DNS_CACHED
};

struct query {
    size_t len;
    uint8_t bytes[QUERY_LEN_MAX];
};

struct host {
    enum kind kind;
    struct dns_service *service;
    struct query *queries;
    unsigned names, next; /* next: the first one of the next batch */
    uint64_t id;          /* that a server is asked for */
    unsigned answers, records, asks;
};

/* Of a server, whose name is the query's. */
static const uint8_t record[] = {0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 192, 0, 2, 1};

static void on_answer(void *arg, const struct dns_client *client, const uint8_t *answer, size_t len)
{
    struct host *h = arg;
    (void)client;
    (void)len;
    h->answers++;
    h->records += load_be16(answer + 6);
}

static void on_ask(void *arg, uint64_t id, const struct dns_client *client, const uint8_t *query,
                   size_t len)
{
    struct host *h = arg;
    (void)client;
    (void)query;
    (void)len;
    h->id = id;
    h->asks++;
}

static void on_ask_site(void *arg, uint64_t id, const struct dns_client *client,
                        const struct uuid *resource, const uint8_t *query, size_t len)
{
    (void)resource;
    on_ask(arg, id, client, query, len);
}

static void on_cancel(void *arg, uint64_t id)
{
    (void)arg;
    (void)id;
}

static void on_name(void *arg, uint32_t index, const char *name, const struct uuid *resources,
                    const uint8_t *ip_stacks, unsigned n)
{
    (void)arg;
    (void)index;
    (void)name;
    (void)resources;
    (void)ip_stacks;
    (void)n;
}

static void on_name_answered(void *arg, uint32_t index)
{
    (void)arg;
    (void)index;
}

static void write_query(struct query *q, const char *name)
{
    ares_dns_record_t *r = NULL;
    unsigned char *bytes = NULL;

    if (ares_dns_record_create(&r, 7, ARES_FLAG_RD, ARES_OPCODE_QUERY, ARES_RCODE_NOERROR) ==
        ARES_SUCCESS)
        (void)ares_dns_record_query_add(r, name, ARES_REC_TYPE_A, ARES_CLASS_IN);
    ares_status_t status = ares_dns_write(r, &bytes, &q->len);
    ASSERT(status == ARES_SUCCESS && q->len <= sizeof q->bytes);
    memcpy(q->bytes, bytes, q->len);
    ares_free_string(bytes);
    ares_dns_record_destroy(r);
}

static void add_resource(struct host *h, unsigned i)
{
    struct uuid id = {{0}};
    char pattern[64], why[256];

    store_be32(id.bytes, i * 2654435761u);
    snprintf(pattern, sizeof pattern, "*.service-%u.corp.example", i);
    enum err e = dns_service_set(h->service, &id, pattern, IP_STACK_DUAL, why, sizeof why);
    ASSERT(e == ERR_OK);
}

/* What the server says is good for `ttl_s`. */
static void answer_asked(struct host *h, const struct query *q, uint8_t ttl_s)
{
    uint8_t answer[QUERY_LEN_MAX + sizeof record];

    memcpy(answer, q->bytes, q->len);
    answer[2] |= 0x80;
    store_be16(answer + 6, 1);
    memcpy(answer + q->len, record, sizeof record);
    answer[q->len + 9] = ttl_s;
    dns_service_answered(h->service, h->id, answer, q->len + sizeof record, 0);
}

static void ask(struct host *h, const struct query *q, uint8_t ttl_s)
{
    static const struct dns_client client = {.transport = DNS_UDP};
    unsigned asks = h->asks;

    (void)dns_service_query(h->service, &client, q->bytes, q->len, 0);
    if (h->asks > asks)
        answer_asked(h, q, ttl_s);
}

static void *open_host(const struct micro_case *c, unsigned *items)
{
    static const struct dns_service_events events = {
        .answer = on_answer,
        .ask = on_ask,
        .ask_site = on_ask_site,
        .cancel = on_cancel,
        .names = {.name = on_name, .answered = on_name_answered}};
    struct host *h = mem_zalloc(1, sizeof *h);
    char name[64];

    h->kind = (enum kind)c->kind;
    h->names = h->kind == DNS_CACHED ? DNS_CACHE_MAX / BATCH * BATCH : NAMES;
    h->queries = mem_zalloc(h->names, sizeof *h->queries);
    h->service = dns_service_new(UINT64_C(0x243f6a8885a308d3), &events, h);
    for (unsigned i = 0; i < RESOURCES; i++)
        add_resource(h, i);
    for (unsigned i = 0; i < NAMES; i++) {
        struct query resource;
        snprintf(name, sizeof name, "host-%u.service-%u.corp.example", i, i % RESOURCES);
        write_query(&resource, name);
        ask(h, &resource, 0);
        snprintf(name, sizeof name, "www.site-%u.example.com", i);
        if (i < h->names && h->kind != DNS_RESOURCE)
            write_query(&h->queries[i], name);
        else if (i < h->names)
            h->queries[i] = resource;
        if (i < h->names && h->kind == DNS_CACHED)
            ask(h, &h->queries[i], 255);
    }
    *items = BATCH;
    return h;
}

static void prepare(void *state)
{
    struct host *h = state;

    h->answers = h->records = h->asks = 0;
}

static void work(void *state)
{
    struct host *h = state;

    for (unsigned i = 0; i < BATCH; i++)
        ask(h, &h->queries[h->next + i], 0);
    h->next = (h->next + BATCH) % h->names;
}

static bool check(void *state)
{
    const struct host *h = state;

    return h->answers == BATCH && h->records == BATCH * (h->kind == DNS_RESOURCE ? PROXIES : 1) &&
           h->asks == (h->kind == DNS_RECURSION ? BATCH : 0);
}

static void close_host(void *state)
{
    struct host *h = state;

    dns_service_free(h->service);
    free(h->queries);
    free(h);
}

void micro_dns_cases(struct micro_list *l)
{
    static const struct micro_ops ops = {open_host, prepare, work, check, close_host};
    struct micro_case c = {.item = "query", .ops = &ops, .counted = true};

    c.kind = DNS_RESOURCE;
    micro_list_add(l, &c, false, "dns/resource/%u", (unsigned)NAMES);
    c.kind = DNS_RECURSION;
    micro_list_add(l, &c, false, "dns/recursion/%u", (unsigned)NAMES);
    c.kind = DNS_CACHED;
    micro_list_add(l, &c, false, "dns/cached/%u", (unsigned)DNS_CACHE_MAX);
}
