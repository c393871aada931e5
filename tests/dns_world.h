/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A DNS service and all that is around it, for tests: it knows which queries wait for what and aborts when one gets an answer that
 * is not to it, a second one, or none in time. Sockets, servers and sites are the test's.
 */
#ifndef FZ_TESTS_DNS_WORLD_H
#define FZ_TESTS_DNS_WORLD_H

#include <stdlib.h>
#include <string.h>

#include "control/dns/service.h"
#include "engine/wire/ranges.h"
#include "platform/base/bytes.h"

enum {
    WORLD_QUERIES = DNS_SERVICE_MAX + 1, /* that wait, and the one that is refused */
    WORLD_QUERY_MAX = 512                /* bytes of one that are looked at */
};

/* A query that waits for its answer. */
struct world_query {
    bool used, asked, site;
    uint64_t id; /* as asked */
    struct dns_client client;
    struct dns_head head;
    time_ns since;
    size_t len;
    uint8_t bytes[WORLD_QUERY_MAX];
};

struct world {
    struct dns_service *service;
    time_ns now;
    struct world_query queries[WORLD_QUERIES];
    unsigned top; /* places that have been used */
    unsigned waiting;
    bool refuse; /* what is asked for fails at once */
    unsigned asks, cancels, answers, names;
    struct uuid site; /* whose was asked last */
    uint8_t *answer;  /* the last one */
    size_t answer_len;
};

static inline struct world_query *world_by_id(struct world *w, uint64_t id)
{
    for (unsigned i = 0; i < w->top; i++)
        if (w->queries[i].used && w->queries[i].asked && w->queries[i].id == id)
            return &w->queries[i];
    return NULL;
}

/* The `n`th of those that wait, modulo their number. NULL: there are none. */
static inline struct world_query *world_waiting(struct world *w, unsigned n)
{
    if (w->waiting == 0)
        return NULL;
    n %= w->waiting;
    for (unsigned i = 0;; i++)
        if (w->queries[i].used && n-- == 0)
            return &w->queries[i];
}

static inline struct world_query *world_by_client(struct world *w, const struct dns_client *client)
{
    ASSERT(client->token < WORLD_QUERIES);
    struct world_query *q = &w->queries[client->token];
    ASSERT(q->used && q->client.transport == client->transport &&
           q->client.server == client->server && q->client.v6 == client->v6);
    return q;
}

/* Addresses that no server may say, as c-ares reads the answer. */
static inline bool world_rebinds(const uint8_t *answer, size_t len)
{
    ares_dns_record_t *r = NULL;
    bool found = false;

    if (ares_dns_parse(answer, len, 0, &r) != ARES_SUCCESS)
        return false;
    for (size_t i = 0; i < ares_dns_record_rr_cnt(r, ARES_SECTION_ANSWER); i++) {
        const ares_dns_rr_t *rr = ares_dns_record_rr_get_const(r, ARES_SECTION_ANSWER, i);
        if (ares_dns_rr_get_type(rr) == ARES_REC_TYPE_A)
            found |= range_is_proxy(4, (const uint8_t *)ares_dns_rr_get_addr(rr, ARES_RR_A_ADDR));
        if (ares_dns_rr_get_type(rr) == ARES_REC_TYPE_AAAA)
            found |=
                range_is_proxy(6, (const uint8_t *)ares_dns_rr_get_addr6(rr, ARES_RR_AAAA_ADDR));
    }
    ares_dns_record_destroy(r);
    return found;
}

static inline void world_on_answer(void *arg, const struct dns_client *client,
                                   const uint8_t *answer, size_t len)
{
    struct world *w = arg;
    struct world_query *q = world_by_client(w, client);

    ASSERT(dns_head_answered(&q->head, answer, len));
    ASSERT(memcmp(answer, q->head.bytes, 2) == 0);
    ASSERT(!q->asked || !world_rebinds(answer, len));
    ASSERT(len <= (client->transport == DNS_UDP ? DNS_UDP_MESSAGE_MAX : DNS_MESSAGE_MAX));
    q->used = false;
    w->waiting--;
    w->answers++;
    free(w->answer);
    w->answer = malloc(len);
    ASSERT(w->answer);
    memcpy(w->answer, answer, len);
    w->answer_len = len;
}

static inline void world_on_any(struct world *w, uint64_t id, const struct dns_client *client,
                                const uint8_t *query, size_t len)
{
    struct world_query *q = world_by_client(w, client);
    struct world_query *same = world_by_id(w, id);

    ASSERT(same == (q->asked ? q : NULL));
    ASSERT(len == q->len &&
           memcmp(query, q->bytes, len < WORLD_QUERY_MAX ? len : WORLD_QUERY_MAX) == 0);
    q->asked = true;
    q->id = id;
    w->asks++;
    if (w->refuse)
        dns_service_failed(w->service, id);
}

static inline void world_on_ask(void *arg, uint64_t id, const struct dns_client *client,
                                const uint8_t *query, size_t len)
{
    world_by_client(arg, client)->site = false;
    world_on_any(arg, id, client, query, len);
}

static inline void world_on_ask_site(void *arg, uint64_t id, const struct dns_client *client,
                                     const struct uuid *resource, const uint8_t *query, size_t len)
{
    struct world *w = arg;

    world_by_client(w, client)->site = true;
    w->site = *resource;
    world_on_any(w, id, client, query, len);
}

static inline void world_on_cancel(void *arg, uint64_t id)
{
    struct world *w = arg;

    ASSERT(world_by_id(w, id));
    w->cancels++;
}

static inline void world_on_name(void *arg, uint32_t index, const char *name,
                                 const struct uuid *resources, const uint8_t *ip_stacks, unsigned n)
{
    (void)index, (void)name, (void)resources, (void)ip_stacks, (void)n;
    ((struct world *)arg)->names++;
}

static inline void world_on_name_answered(void *arg, uint32_t index)
{
    (void)arg, (void)index;
}

static inline struct world *world_new(void)
{
    static const struct dns_service_events events = {
        .answer = world_on_answer,
        .ask = world_on_ask,
        .ask_site = world_on_ask_site,
        .cancel = world_on_cancel,
        .names = {.name = world_on_name, .answered = world_on_name_answered},
    };
    struct world *w = calloc(1, sizeof *w);

    ASSERT(w);
    w->now = 1000 * NS_PER_SEC;
    w->service = dns_service_new(UINT64_C(0xfedcba9876543210), &events, w);
    return w;
}

/* What has no answer after an input is asked for, and not for too long. */
static inline void world_check(struct world *w)
{
    time_ns first = TIME_NEVER, next = dns_service_poll_timeout(w->service);
    unsigned n = 0;

    for (unsigned i = 0; i < w->top; i++) {
        const struct world_query *q = &w->queries[i];
        if (!q->used)
            continue;
        ASSERT(q->asked && w->now < q->since + DNS_SERVICE_TIMEOUT_NS);
        first = time_min(first, q->since + DNS_SERVICE_TIMEOUT_NS);
        n++;
    }
    ASSERT(n == w->waiting && n <= DNS_SERVICE_MAX);
    ASSERT(next == first || next == 0);
}

/* False: it is no query. */
static inline bool world_query(struct world *w, const struct dns_client *from, const uint8_t *bytes,
                               size_t len)
{
    struct dns_query parsed;
    struct world_query *q = w->queries;

    while (q->used)
        q++;
    ASSERT(q < w->queries + WORLD_QUERIES);
    w->top = (unsigned)size_max(w->top, (size_t)(q - w->queries) + 1);
    bool valid = dns_query_read(&parsed, bytes, len) == ERR_OK;
    *q = (struct world_query){.used = true, .client = *from, .since = w->now, .len = len};
    q->client.token = (uint64_t)(q - w->queries);
    memcpy(q->bytes, bytes, len < WORLD_QUERY_MAX ? len : WORLD_QUERY_MAX);
    w->waiting++;
    if (valid) {
        q->head = parsed.head;
        dns_query_fini(&parsed);
    }
    bool taken = dns_service_query(w->service, &q->client, bytes, len, w->now);
    ASSERT(taken == valid);
    if (!valid) {
        q->used = false;
        w->waiting--;
    }
    world_check(w);
    return valid;
}

static inline void world_answered(struct world *w, uint64_t id, const uint8_t *bytes, size_t len)
{
    unsigned answers = w->answers;
    bool known = world_by_id(w, id) != NULL;

    dns_service_answered(w->service, id, bytes, len, w->now);
    ASSERT(w->answers == answers + known);
    world_check(w);
}

static inline void world_failed(struct world *w, uint64_t id)
{
    unsigned answers = w->answers;
    bool known = world_by_id(w, id) != NULL;

    dns_service_failed(w->service, id);
    ASSERT(w->answers == answers + known);
    world_check(w);
}

static inline void world_pass(struct world *w, time_ns ns)
{
    w->now += ns;
    dns_service_handle_timeout(w->service, w->now);
    world_check(w);
}

static inline void world_free(struct world *w)
{
    world_pass(w, DNS_SERVICE_TIMEOUT_NS);
    ASSERT(w->waiting == 0);
    dns_service_free(w->service);
    free(w->answer);
    free(w);
}

#endif
