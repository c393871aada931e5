/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns/service.h"

#include <stdlib.h>
#include <string.h>

#include "control/dns/cache.h"
#include "control/dns/rebinding.h"
#include "platform/base/mem.h"

/* A query that is asked for. Entries have fixed places; an id names the place and which of its queries. */
struct asked {
    bool used, site;
    struct dns_client client;
    struct dns_head head; /* as the query has it */
    struct uuid resource;
    uint32_t turn;
    uint16_t older, newer, next_free; /* places + 1; 0: none */
    time_ns deadline;
    uint8_t *query;
    size_t len;
};

struct dns_service {
    struct dns_service_events events;
    void *arg;
    struct dns_stub *stub;
    struct dns_cache *cache;
    struct asked asked[DNS_SERVICE_MAX];
    uint16_t oldest, newest, free;
    bool names_left; /* the stub has more to report */
    struct dns_service_counters counters;
    struct dns_stub_reply reply;
    uint8_t bytes[DNS_MESSAGE_MAX];
};

struct dns_service *dns_service_new(uint64_t secret, const struct dns_service_events *events,
                                    void *arg)
{
    struct dns_service *s = mem_zalloc(1, sizeof *s);

    s->events = *events;
    s->arg = arg;
    s->stub = dns_stub_new(secret, &events->names, arg);
    s->cache = dns_cache_new(secret);
    for (unsigned i = 0; i < DNS_SERVICE_MAX; i++)
        s->asked[i].next_free = (uint16_t)(i + 1 < DNS_SERVICE_MAX ? i + 2 : 0);
    s->free = 1;
    return s;
}

/* ---- what is asked for ---- */

static uint64_t id_of(const struct dns_service *s, const struct asked *a)
{
    return (uint64_t)a->turn << 16 | (uint64_t)(a - s->asked);
}

static struct asked *asked_find(struct dns_service *s, uint64_t id)
{
    struct asked *a = &s->asked[(id & 0xffff) % DNS_SERVICE_MAX];
    return a->used && id_of(s, a) == id ? a : NULL;
}

/* NULL: there is no place. */
static struct asked *asked_add(struct dns_service *s, time_ns now)
{
    if (s->free == 0)
        return NULL;
    uint16_t place = s->free;
    struct asked *a = &s->asked[place - 1];
    s->free = a->next_free;
    a->used = true;
    a->deadline = now + DNS_SERVICE_TIMEOUT_NS;
    a->older = s->newest;
    a->newer = 0;
    *(s->newest ? &s->asked[s->newest - 1].newer : &s->oldest) = place;
    s->newest = place;
    return a;
}

static void asked_remove(struct dns_service *s, struct asked *a)
{
    *(a->older ? &s->asked[a->older - 1].newer : &s->oldest) = a->newer;
    *(a->newer ? &s->asked[a->newer - 1].older : &s->newest) = a->older;
    free(a->query);
    a->query = NULL;
    a->used = false;
    a->turn++;
    a->next_free = s->free;
    s->free = (uint16_t)(a - s->asked + 1);
}

void dns_service_free(struct dns_service *s)
{
    if (!s)
        return;
    while (s->oldest)
        asked_remove(s, &s->asked[s->oldest - 1]);
    dns_cache_free(s->cache);
    dns_stub_free(s->stub);
    free(s);
}

/* Not an update or a notification, which only look the same: what answers a question would tell that they have succeeded. */
static bool is_question(const struct dns_query *q)
{
    return ares_dns_record_get_opcode(q->record) == ARES_OPCODE_QUERY;
}

/* ---- answers ---- */

static void answer(struct dns_service *s, const struct dns_client *client,
                   const struct dns_head *head, const uint8_t *bytes, size_t len)
{
    struct dns_head cut = *head;

    if (client->transport == DNS_UDP && len > DNS_UDP_MESSAGE_MAX) {
        s->counters.truncated++;
        dns_head_truncated(&cut, bytes);
        bytes = cut.bytes;
        len = cut.len;
    }
    s->events.answer(s->arg, client, bytes, len);
}

static void answer_empty(struct dns_service *s, const struct dns_client *client,
                         const struct dns_head *head, ares_dns_rcode_t rcode)
{
    struct dns_head reply = *head;

    dns_head_reply(&reply, rcode);
    s->events.answer(s->arg, client, reply.bytes, reply.len);
}

/* The entry is gone before anybody is told. */
static void end(struct dns_service *s, struct asked *a, ares_dns_rcode_t rcode)
{
    struct dns_client client = a->client;
    struct dns_head head = a->head;

    asked_remove(s, a);
    answer_empty(s, &client, &head, rcode);
}

static void fail(struct dns_service *s, struct asked *a)
{
    end(s, a, ARES_RCODE_SERVFAIL);
}

void dns_service_failed(struct dns_service *s, uint64_t id)
{
    struct asked *a = asked_find(s, id);

    if (!a)
        return;
    s->counters.failed++;
    fail(s, a);
}

/* What servers say is kept; what sites say changes with them. */
static void learn(struct dns_service *s, const struct asked *a, const uint8_t *bytes, size_t len,
                  time_ns now)
{
    struct dns_query q;

    if (a->site || dns_query_read(&q, a->query, a->len) != ERR_OK)
        return;
    if (is_question(&q))
        dns_cache_learn(s->cache, &q, bytes, len, now);
    dns_query_fini(&q);
}

void dns_service_answered(struct dns_service *s, uint64_t id, const uint8_t *bytes, size_t len,
                          time_ns now)
{
    struct asked *a = asked_find(s, id);

    if (!a)
        return;
    if (len > sizeof s->bytes || !dns_head_answered(&a->head, bytes, len)) {
        s->counters.mismatched++;
        fail(s, a);
        return;
    }
    if (dns_rebinds(bytes, len, a->head.len)) {
        s->counters.rebinding++;
        end(s, a, ARES_RCODE_NOERROR); /* after a failure the host would ask the next server */
        return;
    }
    s->counters.answered++;
    struct dns_client client = a->client;
    struct dns_head head = a->head;
    memcpy(s->bytes, bytes, len);
    memcpy(s->bytes, head.bytes, 2); /* the id */
    learn(s, a, bytes, len, now);
    asked_remove(s, a);
    answer(s, &client, &head, s->bytes, len);
}

/* ---- queries ---- */

static void put(struct dns_service *s, struct asked *a)
{
    if (a->site)
        s->events.ask_site(s->arg, id_of(s, a), &a->client, &a->resource, a->query, a->len);
    else
        s->events.ask(s->arg, id_of(s, a), &a->client, a->query, a->len);
}

/* resource: whose site is asked; NULL: the client's server is. */
static void ask(struct dns_service *s, const struct dns_client *client, const struct dns_query *q,
                const struct uuid *resource, const uint8_t *query, size_t len, time_ns now)
{
    struct asked *a = len <= DNS_SERVICE_QUERY_MAX ? asked_add(s, now) : NULL;

    if (!a) {
        *(len <= DNS_SERVICE_QUERY_MAX ? &s->counters.full : &s->counters.too_long) += 1;
        answer_empty(s, client, &q->head, ARES_RCODE_SERVFAIL);
        return;
    }
    *(resource ? &s->counters.asked_sites : &s->counters.asked) += 1;
    a->site = resource != NULL;
    if (resource)
        a->resource = *resource;
    a->client = *client;
    a->head = q->head;
    a->query = mem_zalloc(1, len);
    a->len = len;
    memcpy(a->query, query, len);
    put(s, a);
}

static void recurse(struct dns_service *s, const struct dns_client *client,
                    const struct dns_query *q, const uint8_t *query, size_t len, time_ns now)
{
    size_t known = is_question(q) ? dns_cache_find(s->cache, q, s->bytes, sizeof s->bytes, now) : 0;

    if (known == 0) {
        ask(s, client, q, NULL, query, len, now);
        return;
    }
    s->counters.cached++;
    answer(s, client, &q->head, s->bytes, known);
}

bool dns_service_query(struct dns_service *s, const struct dns_client *client, const uint8_t *query,
                       size_t len, time_ns now)
{
    struct dns_query q;

    if (dns_query_read(&q, query, len) != ERR_OK) {
        s->counters.malformed++;
        return false;
    }
    s->counters.queries++;
    switch (is_question(&q) ? dns_stub_decide(s->stub, &q, &s->reply) : DNS_STUB_RECURSE) {
    case DNS_STUB_ANSWER:
        s->counters.local++;
        answer(s, client, &q.head, s->reply.bytes, s->reply.len);
        break;
    case DNS_STUB_RECURSE:
        recurse(s, client, &q, query, len, now);
        break;
    case DNS_STUB_SITE:
        ask(s, client, &q, &s->reply.resource, query, len, now);
        break;
    }
    dns_query_fini(&q);
    return true;
}

/* ---- changes ---- */

enum err dns_service_set(struct dns_service *s, const struct uuid *id, const char *pattern,
                         enum message_ip_stack ip_stack, char *why, unsigned why_size)
{
    enum err err = dns_stub_set(s->stub, id, pattern, ip_stack, why, why_size);

    dns_cache_flush(s->cache);
    s->names_left = true;
    return err;
}

void dns_service_remove(struct dns_service *s, const struct uuid *id)
{
    dns_stub_remove(s->stub, id);
    dns_cache_flush(s->cache);
    s->names_left = true;
}

void dns_service_servers_changed(struct dns_service *s)
{
    dns_cache_flush(s->cache);
    for (unsigned i = 0; i < DNS_SERVICE_MAX; i++) {
        struct asked *a = &s->asked[i];
        if (!a->used || a->site)
            continue;
        s->counters.failed++;
        s->events.cancel(s->arg, id_of(s, a));
        fail(s, a);
    }
}

void dns_service_again(struct dns_service *s, uint64_t id)
{
    struct asked *a = asked_find(s, id);

    if (a)
        put(s, a);
}

void dns_service_again_all(struct dns_service *s)
{
    for (unsigned i = 0; i < DNS_SERVICE_MAX; i++) {
        if (s->asked[i].used)
            put(s, &s->asked[i]);
    }
}

/* ---- time ---- */

time_ns dns_service_poll_timeout(const struct dns_service *s)
{
    if (s->names_left)
        return 0;
    return s->oldest ? s->asked[s->oldest - 1].deadline : TIME_NEVER;
}

void dns_service_handle_timeout(struct dns_service *s, time_ns now)
{
    if (s->names_left)
        s->names_left = dns_stub_step(s->stub);
    while (s->oldest && s->asked[s->oldest - 1].deadline <= now) {
        struct asked *a = &s->asked[s->oldest - 1];
        s->counters.timed_out++;
        s->events.cancel(s->arg, id_of(s, a));
        fail(s, a);
    }
}

const struct dns_service_counters *dns_service_counters(const struct dns_service *s)
{
    return &s->counters;
}

const struct dns_stub_counters *dns_service_stub_counters(const struct dns_service *s)
{
    return dns_stub_counters(s->stub);
}
