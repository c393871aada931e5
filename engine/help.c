/* SPDX-License-Identifier: Apache-2.0 */
/* Offers, and work for others, see help.h. */
#include "engine/help.h"

#include <string.h>
#include <time.h>

#include <ck_pr.h>

#include "engine/worker.h"
#include "platform/clock.h"
#include "platform/thread.h"

enum {
    SPIN_LOOPS = 64 /* between two looks at the clock */
};

static bool has_helpers(const struct worker *w)
{
    return w->engine->config.workers > 1 && w->engine->config.helpers != ENGINE_HELPERS_OFF;
}

/* A job that was offered. The headers, too: their lines are where the packets' are. */
static void run(struct worker *w, struct help_job *job) REQUIRES_ROLE(role_worker)
{
    for (unsigned i = 0; i < job->n && job->head > 0; i++) {
        const struct crypt_packet *x = &job->packets[i];
        memcpy(x->data - job->head, x->from - job->head, job->head);
    }
    if (job->kind == HELP_SEAL)
        crypt_seal(&w->crypt, job->key, job->packets, job->n);
    else
        crypt_open(&w->crypt, job->key, job->packets, job->n);
}

/* ---- the owner ---- */

static bool queues_empty(const struct worker *w) REQUIRES_ROLE(role_worker)
{
    return ticket_queue_len(&w->help.queues[HELP_SEAL]) == 0 &&
           ticket_queue_len(&w->help.queues[HELP_OPEN]) == 0;
}

/* Looks at the machine's idle time once in a window. */
static bool has_spare_cpu(struct worker *w) REQUIRES_ROLE(role_worker)
{
    struct help *h = &w->help;
    uint64_t passed = time_since(w->now, h->spare_start);

    if (passed < HELP_SPARE_WINDOW_NS)
        return h->spare;
    uint64_t idle = thread_cpus_idle(), spare = idle - h->spare_idle + h->spare_helped;
    bool lately = passed < 2 * (uint64_t)HELP_SPARE_WINDOW_NS; /* else this window says little */
    h->spare = idle == 0 || (lately && spare >= passed / HELP_SPARE_FRACTION &&
                             h->spare_rounds < HELP_SPARE_ROUNDS);
    h->spare_rounds = h->spare ? h->spare_rounds + 1 : 0;
    h->spare_start = w->now;
    h->spare_idle = idle;
    h->spare_helped = 0;
    return h->spare;
}

/* Looks at the clock of the thread once in a window. */
static bool is_saturated(struct worker *w) REQUIRES_ROLE(role_worker)
{
    struct help *h = &w->help;
    uint64_t passed = time_since(w->now, h->window_start);
    if (w->engine->config.helpers == ENGINE_HELPERS_ALWAYS)
        return true;
    if (passed >= HELP_WINDOW_NS) {
        uint64_t cpu = clock_thread_cpu();
        h->saturated = (cpu - h->window_cpu) * 16 >= passed * HELP_BUSY_SIXTEENTHS;
        h->window_start = w->now;
        h->window_cpu = cpu;
    }
    return h->saturated && has_spare_cpu(w);
}

void help_begin(struct worker *w, unsigned n)
{
    if (!has_helpers(w))
        return;
    w->help.backlog = n >= HELP_BACKLOG && !worker_is_gate(w) && is_saturated(w);
    w->help.busy = w->help.backlog || !queues_empty(w) || w->help.late_n > 0;
}

bool help_wants(const struct worker *w, unsigned packets)
{
    return w->help.backlog && packets >= HELP_PACKETS_MIN;
}

static void wake_one(struct worker *w) REQUIRES_ROLE(role_worker)
{
    const struct engine *e = w->engine;
    for (unsigned i = 1; i < e->config.workers; i++) {
        struct worker *other = e->workers[(w->index + i) % e->config.workers];
        if (sleeper_must_wake(&other->sleeper)) {
            tally(w, TALLY_HELP_WAKES, 1);
            io_wake(other->io);
            return;
        }
    }
}

void help_queue(struct worker *w, struct help_job *job, bool offered)
{
    job->queued = w->now;
    job->took_ns = 0;
    bool pushed = ticket_push(&w->help.queues[job->kind], &job->ticket,
                              offered ? TICKET_OFFERED : TICKET_DONE);
    ASSERT(pushed);
    w->help.busy = true;
    if (!offered)
        return;
    tally(w, TALLY_HELP_OFFERED, 1);
    wake_one(w);
}

struct help_job *help_first(const struct worker *w, enum help_kind kind)
{
    struct ticket *t = ticket_first(&w->help.queues[kind]);
    return t ? CONTAINER_OF(t, struct help_job, ticket) : NULL;
}

/* Done, by whomever; what a helper spent on it was CPU time to spare. */
static bool is_back(struct worker *w, const struct help_job *job) REQUIRES_ROLE(role_worker)
{
    if (!ticket_is_done(&job->ticket))
        return false;
    w->help.spare_helped += job->took_ns;
    return true;
}

bool help_settle(struct worker *w, struct help_job *job, bool wait, bool *late)
{
    *late = false;
    if (is_back(w, job))
        return true;
    if (ticket_take(&job->ticket)) {
        run(w, job);
        ticket_finish(&job->ticket);
        return true;
    }
    for (time_ns now = w->now;; now = clock_now()) {
        if (time_since(now, job->queued) >= HELP_LATE_NS) {
            *late = !is_back(w, job);
            return !*late;
        }
        if (!wait)
            return false;
        for (unsigned i = 0; i < SPIN_LOOPS; i++) {
            if (is_back(w, job))
                return true;
            ck_pr_stall();
        }
    }
}

void help_collect(struct worker *w)
{
    ingress_collect(w, false);
    train_collect_queued(w, false);
}

void help_work(struct worker *w)
{
    /* With more to come helpers are left something, which lasts until the next loop's offers. */
    unsigned left = w->help.backlog ? HELP_LEFT : 0;

    /* What arrived first: received packets wait in buffers that the backend needs. */
    for (int kind = HELP_OPEN; kind >= HELP_SEAL; kind--) {
        struct ticket_queue *q = &w->help.queues[kind];
        struct ticket *t;
        while (ticket_offers_more(q, left) && (t = ticket_take_any(q)) != NULL) {
            run(w, CONTAINER_OF(t, struct help_job, ticket));
            ticket_finish(t);
            help_collect(w);
        }
    }
    help_collect(w);
}

void help_drain(struct worker *w)
{
    if (!w->help.busy)
        return;
    ingress_collect(w, true);
    train_collect_queued(w, true);
    ingress_release(w);
}

void help_stop(struct worker *w)
{
    w->help.backlog = false;
    help_drain(w);
    while (w->help.late_n > 0) { /* no thread ends in the middle of a job */
        help_collect(w);
        ck_pr_stall();
    }
    ingress_release(w);
}

bool help_ready(const struct worker *w)
{
    for (int kind = 0; kind < HELP_KINDS; kind++) {
        const struct help_job *job = help_first(w, (enum help_kind)kind);
        if (job && (ticket_is_done(&job->ticket) || ticket_offered(&w->help.queues[kind])))
            return true;
    }
    return false;
}

time_ns help_deadline(const struct worker *w)
{
    time_ns first = TIME_NEVER;
    for (int kind = 0; kind < HELP_KINDS; kind++) {
        const struct help_job *job = help_first(w, (enum help_kind)kind);
        if (job)
            first = time_min(first, job->queued + HELP_LATE_NS);
    }
    return first;
}

/* ---- the helper ---- */

/* Tests: as if the CPU had been taken away in the middle of a job. */
static void stand_still(struct worker *w) REQUIRES_ROLE(role_worker)
{
    struct timespec t = {.tv_sec = (time_t)(w->freeze_job_ns / NS_PER_SEC),
                         .tv_nsec = (long)(w->freeze_job_ns % NS_PER_SEC)};
    w->freeze_job_ns = 0;
    nanosleep(&t, NULL);
}

static bool help_one(struct worker *w, struct worker *owner) REQUIRES_ROLE(role_worker)
{
    struct ticket *t = ticket_take_any(&owner->help.queues[HELP_OPEN]);
    if (!t)
        t = ticket_take_any(&owner->help.queues[HELP_SEAL]);
    if (!t)
        return false;
    if (UNLIKELY(w->freeze_job_ns > 0))
        stand_still(w);
    struct help_job *job = CONTAINER_OF(t, struct help_job, ticket);
    time_ns start = clock_now();
    run(w, job);
    job->took_ns = time_since(clock_now(), start);
    ticket_finish(t);
    tally(w, TALLY_HELP_GIVEN, 1);
    if (sleeper_must_wake(&owner->sleeper))
        io_wake(owner->io);
    return true;
}

static unsigned help_round(struct worker *w) REQUIRES_ROLE(role_worker)
{
    const struct engine *e = w->engine;
    unsigned done = 0;

    for (unsigned i = 1; i < e->config.workers && done < HELP_JOBS_MAX; i++) {
        struct worker *owner = e->workers[(w->index + i) % e->config.workers];
        while (done < HELP_JOBS_MAX && help_one(w, owner))
            done++;
    }
    return done;
}

void help_others(struct worker *w)
{
    if (!has_helpers(w) || w->help.backlog || worker_is_gate(w) || help_round(w) == 0)
        return;
    /* More is likely to come, and waking a thread costs its owner more than a batch. */
    for (time_ns start = clock_now(); time_since(clock_now(), start) < HELP_LINGER_NS;) {
        if (help_pending(w))
            return; /* the next loop sees it, and what else there is */
        for (unsigned i = 0; i < SPIN_LOOPS; i++)
            ck_pr_stall();
    }
}

bool help_pending(const struct worker *w)
{
    const struct engine *e = w->engine;

    if (!has_helpers(w) || worker_is_gate(w))
        return false;
    for (unsigned i = 1; i < e->config.workers; i++) {
        const struct worker *owner = e->workers[(w->index + i) % e->config.workers];
        if (ticket_offered(&owner->help.queues[HELP_SEAL]) ||
            ticket_offered(&owner->help.queues[HELP_OPEN]))
            return true;
    }
    return false;
}
