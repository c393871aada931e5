/* SPDX-License-Identifier: Apache-2.0 */
#include "control/dns/doh.h"

#include "control/dns/doh_link.h"
#include "control/dns/reply.h"
#include "platform/base/mem.h"

enum {
    TRIES_MAX = 2,
    /* Streams that nobody waits for: of the server's slow answers, or those that never come. */
    FORGOTTEN_MAX = DOH_LINK_STREAMS_MAX / 2,
    PAUSE_MS = 10 /* for what is being written */
};

_Static_assert((int)DOH_QUERY_MAX <= (int)DOH_LINK_QUERY_MAX, "a query fits into a request");

/* A connection. */
struct line {
    struct doh *doh;
    struct doh_link *link; /* NULL: it has gone */
    bool up, heard;        /* heard: an answer */
    time_ns heard_at;
    unsigned asked;   /* requests so far */
    unsigned queries; /* of ours that wait for it */
};

struct doh_query {
    struct doh_query *next, **link;
    struct doh *doh;
    struct line *line; /* NULL: it waits for a connection */
    unsigned tries;
    time_ns asked_at; /* of the last try */
    struct loop_timer timer;
    uint8_t id[2]; /* the server gets 0, so that its answers can be cached */
    uint8_t *bytes;
    size_t len;
    doh_done done;
    void *arg;
};

struct doh {
    struct doh_config config;
    char *text;
    struct doh_url url;
    struct line *line, *old; /* NULL: none; old: gets no more queries */
    bool silent;             /* the line is */
    time_ns rest, rest_until;
    struct loop_timer pump;
    struct doh_query *queries, **last; /* in the order in which they came */
};

static void pump_at(struct doh *d, time_ns at)
{
    if (!loop_timer_armed(&d->pump) || d->pump.deadline > at)
        loop_timer_set(d->config.loop, &d->pump, at);
}

static void pump_soon(struct doh *d)
{
    pump_at(d, loop_now(d->config.loop));
}

/* ---- queries ---- */

static void leave_line(struct doh_query *q)
{
    if (!q->line)
        return;
    if (q->line->link)
        doh_link_forget(q->line->link, q);
    q->line->queries--;
    q->line = NULL;
    pump_soon(q->doh); /* somebody else may have the place, or the line has none left */
}

void doh_cancel(struct doh_query *q)
{
    if (!q)
        return;
    loop_timer_clear(q->doh->config.loop, &q->timer);
    leave_line(q);
    if (q->next)
        q->next->link = q->link;
    else
        q->doh->last = q->link;
    *q->link = q->next;
    free(q->bytes);
    free(q);
}

static void finish(struct doh_query *q, enum err err, const uint8_t *answer, size_t len)
{
    doh_done done = q->done;
    void *arg = q->arg;

    doh_cancel(q);
    done(arg, err, answer, len);
}

static void on_query_timer(void *arg)
{
    struct doh_query *q = arg;
    struct doh *d = q->doh;

    /* Whatever was asked since then has no answer either. */
    if (q->line && q->line == d->line && q->line->heard_at < q->asked_at) {
        d->silent = true;
        pump_soon(d);
    }
    finish(q, ERR_TIMEOUT, NULL, 0);
}

enum err doh_ask(struct doh *d, struct doh_query **out, const uint8_t *query, size_t len,
                 doh_done done, void *arg)
{
    time_ns now = loop_now(d->config.loop);

    *out = NULL;
    if (len > DOH_QUERY_MAX)
        return ERR_NO_SPACE;
    if (!d->line && now < d->rest_until)
        return ERR_UNREACHABLE;
    struct doh_query *q = mem_zalloc(1, sizeof *q);
    *q = (struct doh_query){.link = d->last, .doh = d, .len = len, .done = done, .arg = arg};
    *d->last = q;
    d->last = &q->next;
    q->bytes = mem_zalloc(len, 1);
    memcpy(q->bytes, query, len);
    memcpy(q->id, query, 2);
    memset(q->bytes, 0, 2);
    loop_timer_init(&q->timer, on_query_timer, q);
    loop_timer_set(d->config.loop, &q->timer, now + DOH_TOTAL_MS * NS_PER_MS);
    pump_soon(d);
    *out = q;
    return ERR_OK;
}

/* ---- what the connection says ---- */

/* The line ends. again: its queries wait once more, if they may; otherwise those that wait for it fail, too. */
static void line_end(struct line *line, bool again, enum err err)
{
    struct doh *d = line->doh;
    bool current = line == d->line;
    struct doh_query *q = d->queries;

    *(current ? &d->line : &d->old) = NULL;
    line->link = NULL;
    while (q) {
        struct doh_query *next = q->next;
        bool concerned = q->line == line || (!again && !q->line);
        if (concerned && again && q->tries < TRIES_MAX) {
            leave_line(q);
        } else if (concerned) {
            finish(q, err, NULL, 0);
            next = d->queries; /* whoever is told may have ended others */
        }
        q = next;
    }
    ASSERT(line->queries == 0);
    free(line);
}

static void rest(struct doh *d)
{
    time_ns least = DOH_REST_MIN_MS * NS_PER_MS, most = DOH_REST_MAX_MS * NS_PER_MS;

    d->rest = d->rest == 0 ? least : 2 * d->rest < most ? 2 * d->rest : most;
    d->rest_until = loop_now(d->config.loop) + d->rest;
}

static void on_up(void *arg)
{
    struct line *line = arg;

    line->up = true;
    line->heard_at = loop_now(line->doh->config.loop);
    log_debug("dns", "connected to %s", line->doh->text);
    pump_soon(line->doh);
}

static void on_gone(void *arg, enum err err, const char *why)
{
    struct line *line = arg;
    struct doh *d = line->doh;
    bool again = line->heard || line == d->old;

    if (!again) {
        rest(d);
        log_warn("dns",
                 "the DNS server %s cannot be reached: %s; the next attempt comes after %.1f s",
                 d->text, why, (double)d->rest / NS_PER_SEC);
    } else {
        log_debug("dns", "%s: %s", d->text, why);
    }
    line_end(line, again, err);
    pump_soon(d);
}

static void take_answer(struct doh_query *q, const uint8_t *answer, size_t len)
{
    if (!reply_matches(q->bytes, q->len, answer, len)) {
        log_debug("dns", "%s: answers something else", q->doh->text);
        finish(q, ERR_PARSE, NULL, 0);
        return;
    }
    uint8_t *own = mem_zalloc(len, 1);
    memcpy(own, answer, len);
    memcpy(own, q->id, 2);
    finish(q, ERR_OK, own, len);
    free(own);
}

static void on_answered(void *arg, void *query, enum err err, const uint8_t *answer, size_t len,
                        const char *why)
{
    struct line *line = arg;
    struct doh *d = line->doh;
    struct doh_query *q = query;

    if (err == ERR_OK) {
        line->heard = true;
        line->heard_at = loop_now(d->config.loop);
        d->rest = 0;
    } else if (err == ERR_PARSE && q) {
        log_debug("dns", "%s: %s", d->text, why);
    } else if (err == ERR_PARSE) {
        log_warn("dns", "the DNS server %s is of no use: %s", d->text, why);
    }
    if (!q)
        return;
    if (err == ERR_OK)
        take_answer(q, answer, len);
    else if (err == ERR_CLOSED && q->tries < TRIES_MAX)
        leave_line(q);
    else
        finish(q, err, NULL, 0);
}

static const struct doh_link_events link_events = {on_up, on_answered, on_gone};

/* ---- the connections ---- */

static void line_open(struct doh *d)
{
    const struct doh_link_config config = {.loop = d->config.loop,
                                           .lws = d->config.lws,
                                           .egress = d->config.egress,
                                           .names = d->config.names,
                                           .url = &d->url};

    d->line = mem_zalloc(1, sizeof *d->line);
    d->line->doh = d;
    d->line->link = doh_link_new(&config, &link_events, d->line);
}

static void line_close(struct line *line)
{
    if (!line)
        return;
    doh_link_free(line->link);
    line_end(line, true, ERR_CLOSED);
}

static bool worn(const struct line *line)
{
    return line->asked >= DOH_REQUESTS_MAX || doh_link_forgotten(line->link) >= FORGOTTEN_MAX;
}

static void renew(struct doh *d)
{
    if (d->silent) {
        log_debug("dns", "%s has fallen silent", d->text);
        line_close(d->line);
        d->silent = false;
    }
    if (d->old && d->old->queries == 0)
        line_close(d->old);
    if (d->line && worn(d->line) && !d->old) {
        d->old = d->line;
        d->line = NULL;
    }
}

/* False: not now. */
static bool send_query(struct doh_query *q)
{
    struct doh *d = q->doh;

    if (doh_link_streams(d->line->link) >= DOH_LINK_STREAMS_MAX ||
        doh_link_get(d->line->link, q->bytes, q->len, q) != ERR_OK)
        return false;
    q->line = d->line;
    q->line->queries++;
    q->line->asked++;
    q->tries++;
    q->asked_at = loop_now(d->config.loop);
    return true;
}

static void on_pump(void *arg)
{
    struct doh *d = arg;
    struct doh_query *q;
    time_ns now = loop_now(d->config.loop);

    renew(d);
    for (q = d->queries; q && q->line;)
        q = q->next;
    if (!q)
        return;
    if (!d->line && now < d->rest_until) {
        pump_at(d, d->rest_until);
        return;
    }
    if (!d->line)
        line_open(d);
    if (!d->line->up)
        return;
    for (; q; q = q->next) {
        if (!q->line && !send_query(q)) {
            pump_at(d, now + PAUSE_MS * NS_PER_MS);
            return;
        }
    }
}

/* ---- life ---- */

enum err doh_new(struct doh **out, const struct doh_config *c, const char *url, char *why,
                 unsigned why_size)
{
    struct doh *d = mem_zalloc(1, sizeof *d);

    *out = NULL;
    if (doh_url_parse(&d->url, url, why, why_size) != ERR_OK) {
        free(d);
        return ERR_INVALID;
    }
    d->config = *c;
    d->text = mem_dup_text(url, strlen(url));
    d->last = &d->queries;
    loop_timer_init(&d->pump, on_pump, d);
    line_open(d);
    *out = d;
    return ERR_OK;
}

static void close_all(struct doh *d)
{
    line_close(d->line);
    line_close(d->old);
    loop_timer_clear(d->config.loop, &d->pump);
    d->silent = false;
}

void doh_free(struct doh *d)
{
    if (!d)
        return;
    while (d->queries)
        doh_cancel(d->queries);
    close_all(d);
    free(d->text);
    free(d);
}

const char *doh_url(const struct doh *d)
{
    return d->text;
}

void doh_roam(struct doh *d)
{
    ASSERT(!d->queries);
    close_all(d);
    d->rest = d->rest_until = 0;
    line_open(d);
}
