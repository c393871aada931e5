/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns/upstream.h"

#include "control/dns/do53.h"
#include "control/dns/reply.h"
#include "platform/base/mem.h"

/* A query that is under way. */
struct asked {
    struct asked *next, **link;
    struct dns_asker *asker;
    uint64_t id;
    struct do53 *do53;
};

struct dns_asker {
    struct dns_asker_config config;
    struct asked *asked;
    unsigned asked_n;
    dns_asked done;
    void *arg;
};

static struct asked *asked_new(struct dns_asker *a, uint64_t id)
{
    struct asked *q = mem_zalloc(1, sizeof *q);

    *q = (struct asked){.next = a->asked, .link = &a->asked, .asker = a, .id = id};
    if (q->next)
        q->next->link = &q->next;
    a->asked = q;
    a->asked_n++;
    return q;
}

static void asked_free(struct asked *q)
{
    do53_cancel(q->do53);
    if (q->next)
        q->next->link = q->link;
    *q->link = q->next;
    q->asker->asked_n--;
    free(q);
}

static struct asked *find(const struct dns_asker *a, uint64_t id)
{
    struct asked *q = a->asked;

    while (q && q->id != id)
        q = q->next;
    return q;
}

static void drop_all(struct dns_asker *a)
{
    while (a->asked)
        asked_free(a->asked);
}

static void on_answer(void *arg, enum err err, const uint8_t *answer, size_t len)
{
    struct asked *q = arg;
    struct dns_asker *a = q->asker;
    uint64_t id = q->id;

    q->do53 = NULL;
    asked_free(q);
    a->done(a->arg, id, err, answer, len);
}

static enum err ask_do53(struct asked *q, const struct dns_upstream *u, enum dns_transport t,
                         const uint8_t *query, size_t len)
{
    const struct dns_asker_config *c = &q->asker->config;
    const struct do53_request request = {
        .server = &u->server, .transport = t, .query = query, .len = len};

    return do53_start(&q->do53, c->loop, c->egress, &request, on_answer, q);
}

enum err dns_asker_ask(struct dns_asker *a, uint64_t id, const struct dns_upstream *u,
                       enum dns_transport t, const uint8_t *query, size_t len)
{
    if (!reply_is_query(query, len))
        return ERR_PARSE;
    if (a->asked_n == DNS_ASKER_MAX)
        return ERR_FULL;
    if (u->kind != DNS_DO53)
        return ERR_UNSUPPORTED;
    ASSERT(!find(a, id));
    struct asked *q = asked_new(a, id);
    enum err err = ask_do53(q, u, t, query, len);
    if (err != ERR_OK)
        asked_free(q);
    return err;
}

void dns_asker_cancel(struct dns_asker *a, uint64_t id)
{
    struct asked *q = find(a, id);

    if (q)
        asked_free(q);
}

void dns_asker_set(struct dns_asker *a, const struct dns_upstream *upstreams, unsigned n)
{
    (void)a;
    (void)upstreams;
    (void)n;
}

void dns_asker_roam(struct dns_asker *a)
{
    drop_all(a);
}

enum err dns_asker_new(struct dns_asker **out, const struct dns_asker_config *c, dns_asked done,
                       void *arg)
{
    struct dns_asker *a = mem_zalloc(1, sizeof *a);

    *a = (struct dns_asker){.config = *c, .done = done, .arg = arg};
    *out = a;
    return ERR_OK;
}

void dns_asker_free(struct dns_asker *a)
{
    if (!a)
        return;
    drop_all(a);
    free(a);
}
