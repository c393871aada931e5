/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A query has one dns_ask for each server. It ends in `step`, which runs from the loop only and last in its callback: the
 * receiver of the result may free everything.
 */
#include "control/names.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/dns_ask.h"
#include "control/hosts.h"
#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/file.h"
#include "platform/scope.h"

enum {
    HOSTS_FILE_MAX = 16 << 20, /* lists that block advertisers have some MiB */
    /* Of the result; so that neither the other family nor the hosts file is crowded out. */
    FAMILY_MAX = DNS_ASK_ADDRS_MAX,
    HOSTS_MAX = NAMES_ADDRS_MAX - 2 * FAMILY_MAX
};

enum query_phase {
    QUERY_NEW, /* nothing is asked: the timer starts it */
    QUERY_UDP,
    QUERY_TCP
};

struct names_query {
    struct names_query *prev, *next;
    struct names *names;
    char *host;
    uint16_t port;
    names_done done;
    void *arg;
    enum query_phase phase;
    time_ns deadline, grace; /* grace: TIME_NEVER until there is an address that will do */
    struct loop_timer timer;
    struct sock_addr hosts[HOSTS_MAX];
    unsigned hosts_n, asks_n;
    struct dns_ask asks[NAMES_SERVERS_MAX];
};

struct names {
    struct loop *loop;
    struct sock_addr servers[NAMES_SERVERS_MAX];
    unsigned servers_n;
    const struct egress *egress;
    char *hosts_path;
    struct names_query queries; /* list head */
};

static void stop(struct names_query *q)
{
    for (unsigned i = 0; i < q->asks_n; i++)
        dns_ask_stop(&q->asks[i]);
    loop_timer_clear(q->names->loop, &q->timer);
}

void names_cancel(struct names_query *q)
{
    if (!q)
        return;
    stop(q);
    q->prev->next = q->next;
    q->next->prev = q->prev;
    free(q->host);
    free(q);
}

/* ---- the result ---- */

static void add(struct names_result *r, const struct names_query *q, const struct sock_addr *addr)
{
    struct sock_addr with_port = *addr;

    with_port.port = q->port;
    for (unsigned i = 0; i < r->n; i++) {
        if (sock_addr_equal(&r->addrs[i], &with_port))
            return;
    }
    r->addrs[r->n++] = with_port;
}

static void add_family(struct names_result *r, const struct names_query *q, bool v6)
{
    unsigned end = r->n + FAMILY_MAX;

    for (unsigned i = 0; i < q->asks_n; i++) {
        const struct dns_question *a = v6 ? &q->asks[i].v6 : &q->asks[i].v4;
        for (unsigned k = 0; k < a->n && r->n < end; k++)
            add(r, q, &(struct sock_addr){.ip = a->addrs[k]});
    }
}

__attribute__((format(printf, 4, 5))) static void why_not(struct names_result *r, enum err err,
                                                          const char *host, const char *fmt, ...)
{
    int len = snprintf(r->why, sizeof r->why, "\"%.64s\": ", host);
    va_list ap;

    r->err = err;
    va_start(ap, fmt);
    vsnprintf(r->why + len, sizeof r->why - (size_t)len, fmt, ap);
    va_end(ap);
}

static void fail_silent(struct names_result *r, const struct names_query *q)
{
    char server[SOCK_ADDR_TEXT_MAX];

    why_not(r, ERR_AGAIN, q->host, "no DNS server has answered, asked");
    for (unsigned i = 0; i < q->asks_n; i++) {
        size_t len = strlen(r->why);
        snprintf(r->why + len, sizeof r->why - len, "%s %s", i > 0 ? "," : "",
                 sock_addr_format(&q->asks[i].server, server, sizeof server));
    }
}

static void fail_told(struct names_result *r, const struct names_query *q, const struct dns_ask *a)
{
    char server[SOCK_ADDR_TEXT_MAX];

    why_not(r, ERR_AGAIN, q->host, "%s: %s", sock_addr_format(&a->server, server, sizeof server),
            a->failure);
}

/* No address: the reason that tells most. */
static void explain(struct names_result *r, const struct names_query *q)
{
    const struct dns_ask *told = NULL;
    bool no_name = false, no_address = false;

    for (unsigned i = 0; i < q->asks_n; i++) {
        const struct dns_ask *a = &q->asks[i];
        if (a->v6.outcome == DNS_FAILED || a->v4.outcome == DNS_FAILED)
            told = a;
        no_name |= a->v6.outcome == DNS_NO_NAME || a->v4.outcome == DNS_NO_NAME;
        no_address |= a->v6.outcome == DNS_NO_ADDRESS || a->v4.outcome == DNS_NO_ADDRESS;
    }
    if (told)
        fail_told(r, q, told);
    else if (no_address)
        why_not(r, ERR_NOT_FOUND, q->host, "the host has no address");
    else if (no_name)
        why_not(r, ERR_NOT_FOUND, q->host, "there is no such host");
    else if (q->asks_n == 0)
        why_not(r, ERR_AGAIN, q->host, "no DNS server is known, and it is not in the hosts file");
    else
        fail_silent(r, q);
}

static const struct dns_ask *forbidden(const struct names_query *q)
{
    for (unsigned i = 0; i < q->asks_n; i++) {
        if (q->asks[i].io.err == ERR_PERMISSION)
            return &q->asks[i];
    }
    return NULL;
}

static void finish(struct names_query *q)
{
    struct names_result result = {.err = ERR_OK};
    const struct dns_ask *barred = forbidden(q);
    names_done done = q->done;
    void *arg = q->arg;

    if (barred) {
        why_not(&result, ERR_PERMISSION, q->host, "%s", barred->io.why);
    } else {
        add_family(&result, q, true);
        add_family(&result, q, false);
        for (unsigned i = 0; i < q->hosts_n; i++)
            add(&result, q, &q->hosts[i]);
        if (result.n == 0)
            explain(&result, q);
    }
    names_cancel(q);
    done(arg, &result);
}

/* ---- the course of a query ---- */

static bool pending(const struct names_query *q)
{
    for (unsigned i = 0; i < q->asks_n; i++) {
        if (dns_ask_pending(&q->asks[i]))
            return true;
    }
    return false;
}

static bool found(const struct names_query *q)
{
    for (unsigned i = 0; i < q->asks_n; i++) {
        if (q->asks[i].v6.n + q->asks[i].v4.n > 0)
            return true;
    }
    return false;
}

static bool answered_by_one(const struct names_query *q)
{
    for (unsigned i = 0; i < q->asks_n; i++) {
        if (!dns_ask_pending(&q->asks[i]) && !dns_ask_unanswered(&q->asks[i]))
            return true;
    }
    return false;
}

/* False: everything has its answer. */
static bool ask_by_tcp(struct names_query *q)
{
    bool any = false;

    q->phase = QUERY_TCP;
    for (unsigned i = 0; i < q->asks_n; i++) {
        if (!dns_ask_unanswered(&q->asks[i]))
            continue;
        dns_ask_send(&q->asks[i], q->host, true);
        any = true;
    }
    return any;
}

/* `q` may be gone afterwards. */
static void step(struct names_query *q)
{
    time_ns now = loop_now(q->names->loop);

    if (!forbidden(q) && !pending(q) && q->phase == QUERY_UDP && !found(q) && q->hosts_n == 0)
        ask_by_tcp(q);
    if (forbidden(q) || !pending(q) || now >= q->deadline || now >= q->grace) {
        finish(q);
        return;
    }
    if (q->grace == TIME_NEVER && found(q) && answered_by_one(q))
        q->grace = now + NAMES_GRACE_MS * NS_PER_MS;
    loop_timer_set(q->names->loop, &q->timer, time_min(q->deadline, q->grace));
}

static void on_changed(void *arg)
{
    step(arg);
}

static void read_hosts(struct names_query *q)
{
    const char *path = q->names->hosts_path;
    struct file_content file;
    char why[96];

    q->hosts_n = 0;
    if (file_read(&file, path, HOSTS_FILE_MAX, why, sizeof why) != ERR_OK) {
        log_debug("names", "%s: %s", path, why);
        return;
    }
    q->hosts_n = hosts_find(q->hosts, HOSTS_MAX, file.bytes, file.len, q->host, scope_ifindex);
    file_content_wipe(&file);
}

static void start(struct names_query *q)
{
    const struct names *s = q->names;

    q->phase = QUERY_UDP;
    q->grace = TIME_NEVER;
    q->asks_n = 0;
    if (ip_scoped_parse(&q->hosts[0], q->host, strlen(q->host), scope_ifindex) == ERR_OK) {
        q->hosts_n = 1;
        return;
    }
    read_hosts(q);
    for (unsigned i = 0; i < s->servers_n && !forbidden(q); i++) {
        dns_ask_init(&q->asks[i], s->loop, &s->servers[i], s->egress, on_changed, q);
        q->asks_n = i + 1;
        dns_ask_send(&q->asks[i], q->host, false);
    }
}

static void on_timer(void *arg)
{
    struct names_query *q = arg;

    if (q->phase == QUERY_NEW)
        start(q);
    step(q);
}

/* ---- the interface ---- */

enum err names_set_servers(struct names *s, const struct sock_addr *servers, unsigned n)
{
    if (n > NAMES_SERVERS_MAX)
        return ERR_INVALID;
    for (unsigned i = 0; i < n; i++) {
        if (servers[i].ip.family == ADDR_NONE || servers[i].port == 0)
            return ERR_INVALID;
    }
    for (unsigned i = 0; i < n; i++)
        s->servers[i] = servers[i];
    s->servers_n = n;
    return ERR_OK;
}

enum err names_new(struct names **out, struct loop *l, const struct sock_addr *servers, unsigned n,
                   const struct egress *egress, const char *hosts_path)
{
    struct names *s = calloc(1, sizeof *s);
    enum err err = ERR_NO_MEMORY;

    *out = NULL;
    if (!s)
        return ERR_NO_MEMORY;
    s->loop = l;
    s->egress = egress;
    s->queries.prev = s->queries.next = &s->queries;
    s->hosts_path = strdup(hosts_path);
    if (!s->hosts_path || ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS)
        goto out;
    err = names_set_servers(s, servers, n);
    if (err == ERR_OK) {
        *out = s;
        return ERR_OK;
    }
    ares_library_cleanup();
out:
    free(s->hosts_path);
    free(s);
    return err;
}

void names_free(struct names *s)
{
    if (!s)
        return;
    for (struct names_query *q = s->queries.next, *next; q != &s->queries; q = next) {
        next = q->next;
        names_cancel(q);
    }
    ares_library_cleanup();
    free(s->hosts_path);
    free(s);
}

void names_roam(struct names *s)
{
    for (struct names_query *q = s->queries.next; q != &s->queries; q = q->next) {
        stop(q);
        q->phase = QUERY_NEW;
        loop_timer_set(s->loop, &q->timer, loop_now(s->loop));
    }
}

enum err names_lookup(struct names *s, struct names_query **out, const char *host, uint16_t port,
                      names_done done, void *arg)
{
    struct names_query *q = calloc(1, sizeof *q);

    *out = NULL;
    if (!q)
        return ERR_NO_MEMORY;
    q->host = strdup(host);
    if (!q->host) {
        free(q);
        return ERR_NO_MEMORY;
    }
    q->names = s;
    q->port = port;
    q->done = done;
    q->arg = arg;
    q->deadline = loop_now(s->loop) + NAMES_TOTAL_MS * NS_PER_MS;
    q->grace = TIME_NEVER;
    q->prev = s->queries.prev;
    q->next = &s->queries;
    q->prev->next = q->next->prev = q;
    loop_timer_init(&q->timer, on_timer, q);
    loop_timer_set(s->loop, &q->timer, loop_now(s->loop)); /* `done` is called from the loop */
    *out = q;
    return ERR_OK;
}
