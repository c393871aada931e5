/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns/upstream.h"

#include <stdio.h>

#include "control/dns/do53.h"
#include "control/dns/doh.h"
#include "control/dns/doh_link.h"
#include "control/dns/reply.h"
#include "platform/base/mem.h"

enum {
    WHY_MAX = 160
};

struct server;

/* A query that is under way. */
struct asked {
    struct asked *next, **link;
    struct dns_asker *asker;
    uint64_t id;
    struct do53 *do53; /* one of the two */
    struct doh_query *doh;
    const struct server *server; /* of `doh` */
};

/* One of DoH. */
struct server {
    struct server *next;
    struct dns_asker *asker;
    struct doh *doh;
};

struct dns_asker {
    struct dns_asker_config config;
    struct asked *asked;
    unsigned asked_n;
    struct server *servers; /* of DoH */
    struct lws_loop *lws;   /* NULL: no DoH so far */
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
    doh_cancel(q->doh);
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
    q->doh = NULL;
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

static struct server *server_of(const struct dns_asker *a, const char *url)
{
    struct server *s = a->servers;

    while (s && strcmp(doh_url(s->doh), url) != 0)
        s = s->next;
    return s;
}

static enum err ask_doh(struct asked *q, const struct dns_upstream *u, const uint8_t *query,
                        size_t len)
{
    struct server *s = server_of(q->asker, u->url);

    if (!s)
        return ERR_NOT_FOUND;
    q->server = s;
    return doh_ask(s->doh, &q->doh, query, len, on_answer, q);
}

enum err dns_asker_ask(struct dns_asker *a, uint64_t id, const struct dns_upstream *u,
                       enum dns_transport t, const uint8_t *query, size_t len)
{
    if (!reply_is_query(query, len))
        return ERR_PARSE;
    if (a->asked_n == DNS_ASKER_MAX)
        return ERR_FULL;
    ASSERT(!find(a, id));
    struct asked *q = asked_new(a, id);
    enum err err = u->kind == DNS_DOH ? ask_doh(q, u, query, len) : ask_do53(q, u, t, query, len);
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

/* ---- DoH ---- */

static bool listed(const char *url, const struct dns_upstream *upstreams, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (upstreams[i].kind == DNS_DOH && strcmp(upstreams[i].url, url) == 0)
            return true;
    }
    return false;
}

static void server_free(struct server *s)
{
    struct asked *next;

    for (struct asked *q = s->asker->asked; q; q = next) {
        next = q->next;
        if (q->server == s)
            asked_free(q);
    }
    doh_free(s->doh);
    free(s);
}

static enum err server_add(struct dns_asker *a, const char *url, char *why, unsigned why_size)
{
    enum err err = ERR_OK;

    if (!a->lws)
        err = doh_link_lws(&a->lws, a->config.loop, a->config.ca_file);
    if (err != ERR_OK) {
        snprintf(why, why_size, "the HTTP library does not start: %s", err_text(err));
        return err;
    }
    const struct doh_config config = {.loop = a->config.loop,
                                      .lws = a->lws,
                                      .egress = a->config.egress,
                                      .names = a->config.names};
    struct doh *doh;
    err = doh_new(&doh, &config, url, why, why_size);
    if (err != ERR_OK)
        return err;
    struct server *s = mem_zalloc(1, sizeof *s);
    *s = (struct server){.next = a->servers, .asker = a, .doh = doh};
    a->servers = s;
    return ERR_OK;
}

void dns_asker_set(struct dns_asker *a, const struct dns_upstream *upstreams, unsigned n)
{
    char why[WHY_MAX] = "";

    for (struct server **at = &a->servers; *at;) {
        struct server *s = *at;
        if (listed(doh_url(s->doh), upstreams, n)) {
            at = &s->next;
        } else {
            *at = s->next;
            server_free(s);
        }
    }
    for (unsigned i = 0; i < n && a->config.names; i++) {
        const char *url = upstreams[i].url;
        if (upstreams[i].kind == DNS_DOH && !server_of(a, url) &&
            server_add(a, url, why, sizeof why) != ERR_OK)
            log_warn("dns", "the DNS server %s is not used: %s", url, why);
    }
}

void dns_asker_roam(struct dns_asker *a)
{
    drop_all(a);
    for (struct server *s = a->servers; s; s = s->next)
        doh_roam(s->doh);
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
    dns_asker_set(a, NULL, 0);
    lws_loop_free(a->lws);
    free(a);
}
