/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests belong to the loop's thread, jobs travel. A job is owned by whoever holds it: the list `todo`, one helper
 * thread, or the list `done`. What helpers and the loop's thread share (`struct shared`) is counted and has a lock, so
 * that a helper stuck in a lookup may outlive the resolver; it then finds `closed` set and throws its job away.
 */
#include "control/resolve.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "platform/base/bytes.h"
#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/thread.h"

struct request {
    struct request *prev, *next;
    struct resolve *resolve;
    char *host;
    uint16_t port;
    void *tag;
    struct loop_timer retry; /* armed: waits before it is asked again */
    unsigned retry_s;        /* the next wait */
    bool asked;              /* a job is under way */
    bool cancelled;          /* in the other list */
    bool failed;             /* at least once */
};

struct job {
    struct job *next;
    struct request *request; /* not touched by helpers */
    char *host;
    enum err err;
    unsigned n;
    struct sock_addr addrs[LOOKUP_MAX];
    char why[96];
};

struct job_list {
    struct job *first, **end;
};

struct shared {
    pthread_mutex_t lock;
    /* All below under the lock, except `lookup`, which never changes. */
    unsigned refs; /* the resolver and every helper thread */
    unsigned threads;
    bool closed;
    struct job_list todo, done;
    struct loop_bell *bell; /* rung under the lock, and only while not closed */
    lookup_fn lookup;
};

struct resolve {
    struct loop *loop;
    struct loop_bell bell;
    resolve_done done;
    void *arg;
    struct request requests;  /* list head */
    struct request cancelled; /* list head; each waits for its job to come back */
    struct shared *shared;
};

/* Jobs */

static void job_push(struct job_list *list, struct job *j)
{
    j->next = NULL;
    *list->end = j;
    list->end = &j->next;
}

static struct job *job_pop(struct job_list *list)
{
    struct job *j = list->first;

    if (!j)
        return NULL;
    list->first = j->next;
    if (!list->first)
        list->end = &list->first;
    return j;
}

static void job_free(struct job *j)
{
    free(j->host);
    free(j);
}

static void jobs_free(struct job_list *list)
{
    for (struct job *j = job_pop(list); j; j = job_pop(list))
        job_free(j);
}

/* Helper threads */

/* Called with the lock held, which is released. */
static void shared_put_unlock(struct shared *s)
{
    bool last = --s->refs == 0;

    pthread_mutex_unlock(&s->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static void *helper_run(void *arg)
{
    struct shared *s = arg;

    pthread_mutex_lock(&s->lock);
    for (struct job *j = job_pop(&s->todo); j; j = job_pop(&s->todo)) {
        pthread_mutex_unlock(&s->lock);
        j->err = s->lookup(j->host, j->addrs, &j->n, j->why, sizeof j->why);
        pthread_mutex_lock(&s->lock);
        if (s->closed) {
            job_free(j);
            continue;
        }
        job_push(&s->done, j);
        loop_bell_ring(s->bell);
    }
    s->threads--;
    shared_put_unlock(s);
    return NULL;
}

/* With the lock held. False: no helper runs and none can be started. */
static bool helper_start(struct shared *s)
{
    pthread_t thread;

    if (s->threads == RESOLVE_THREADS_MAX)
        return true;
    s->threads++;
    s->refs++;
    if (thread_start(&thread, "resolve", -1, helper_run, s) == ERR_OK) {
        pthread_detach(thread);
        return true;
    }
    s->threads--;
    s->refs--;
    return s->threads > 0;
}

/* Requests */

static void request_link(struct request *head, struct request *q)
{
    q->next = head;
    q->prev = head->prev;
    q->prev->next = q->next->prev = q;
}

static void request_unlink(struct request *q)
{
    q->prev->next = q->next;
    q->next->prev = q->prev;
    loop_timer_clear(q->resolve->loop, &q->retry);
}

static void request_free(struct request *q)
{
    free(q->host);
    free(q);
}

static void request_failed(struct request *q, const char *why)
{
    if (!q->failed)
        log_warn("resolve", "%s: %s; trying again until it works", q->host, why);
    else
        log_debug("resolve", "%s: %s; trying again in %u s", q->host, why, q->retry_s);
    q->failed = true;
    struct loop *l = q->resolve->loop;
    loop_timer_set(l, &q->retry, loop_now(l) + q->retry_s * NS_PER_SEC);
    q->retry_s = 2 * q->retry_s < RESOLVE_RETRY_MAX_S ? 2 * q->retry_s : RESOLVE_RETRY_MAX_S;
}

static void request_ask(void *arg)
{
    struct request *q = arg;
    struct shared *s = q->resolve->shared;
    struct job *j = mem_zalloc(1, sizeof *j);

    j->request = q;
    j->host = mem_dup_text(q->host, strlen(q->host));
    pthread_mutex_lock(&s->lock);
    q->asked = helper_start(s);
    if (q->asked)
        job_push(&s->todo, j);
    pthread_mutex_unlock(&s->lock);
    if (!q->asked) {
        job_free(j);
        request_failed(q, "cannot start a thread");
    }
}

static void request_answered(struct request *q, struct job *j)
{
    struct resolve *r = q->resolve;

    q->asked = false;
    if (q->cancelled) {
        request_unlink(q);
        request_free(q);
        return;
    }
    if (j->err != ERR_OK) {
        request_failed(q, j->why);
        return;
    }
    for (unsigned i = 0; i < j->n; i++)
        j->addrs[i].port = q->port;
    if (q->failed)
        log_info("resolve", "%s: has an address now", q->host);
    void *tag = q->tag;
    request_unlink(q);
    request_free(q);
    r->done(r->arg, tag, j->addrs, j->n);
}

static void jobs_done(void *arg)
{
    struct resolve *r = arg;

    for (;;) {
        pthread_mutex_lock(&r->shared->lock);
        struct job *j = job_pop(&r->shared->done);
        pthread_mutex_unlock(&r->shared->lock);
        if (!j)
            return;
        request_answered(j->request, j);
        job_free(j);
    }
}

/* The resolver */

enum err resolve_new(struct resolve **out, struct loop *l, resolve_done done, void *arg,
                     lookup_fn lookup)
{
    struct resolve *r = mem_zalloc(1, sizeof *r);

    *out = NULL;
    *r = (struct resolve){.loop = l, .done = done, .arg = arg};
    enum err err = loop_bell_add(l, &r->bell, jobs_done, r);
    if (err != ERR_OK) {
        free(r);
        return err;
    }
    r->requests.prev = r->requests.next = &r->requests;
    r->cancelled.prev = r->cancelled.next = &r->cancelled;
    struct shared *s = r->shared = mem_zalloc(1, sizeof *s);
    pthread_mutex_init(&s->lock, NULL);
    s->refs = 1;
    s->todo.end = &s->todo.first;
    s->done.end = &s->done.first;
    s->bell = &r->bell;
    s->lookup = lookup ? lookup : lookup_host;
    *out = r;
    return ERR_OK;
}

static void requests_free(struct request *head)
{
    while (head->next != head) {
        struct request *q = head->next;
        request_unlink(q);
        request_free(q);
    }
}

void resolve_free(struct resolve *r)
{
    if (!r)
        return;
    struct shared *s = r->shared;
    pthread_mutex_lock(&s->lock);
    s->closed = true;
    jobs_free(&s->todo);
    jobs_free(&s->done);
    loop_bell_del(r->loop, &r->bell);
    shared_put_unlock(s);
    requests_free(&r->requests);
    requests_free(&r->cancelled);
    free(r);
}

void resolve_add(struct resolve *r, const char *host, uint16_t port, void *tag)
{
    struct request *q = mem_zalloc(1, sizeof *q);

    *q = (struct request){.resolve = r, .port = port, .tag = tag, .retry_s = RESOLVE_RETRY_MIN_S};
    q->host = mem_dup_text(host, strlen(host));
    loop_timer_init(&q->retry, request_ask, q);
    request_link(&r->requests, q);
    request_ask(q);
}

void resolve_cancel(struct resolve *r, const void *tag)
{
    for (struct request *q = r->requests.next, *next; q != &r->requests; q = next) {
        next = q->next;
        if (q->tag != tag)
            continue;
        request_unlink(q);
        q->cancelled = true;
        if (q->asked)
            request_link(&r->cancelled, q);
        else
            request_free(q);
    }
}

void resolve_retry_now(struct resolve *r)
{
    for (struct request *q = r->requests.next; q != &r->requests; q = q->next) {
        q->retry_s = RESOLVE_RETRY_MIN_S;
        if (loop_timer_armed(&q->retry)) {
            loop_timer_clear(r->loop, &q->retry);
            request_ask(q);
        }
    }
}

bool resolve_pending(const struct resolve *r)
{
    return r->requests.next != &r->requests;
}
