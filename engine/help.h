/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helpers: more than one worker for the packets of one peer. A worker that has a backlog offers whole batches; workers
 * that have none seal or open them; the owner, which works through its own offers too, lets them leave in the order in
 * which it made them. All else (routes, counters, replay window, path) stays with the owner.
 *
 * A backlog alone is no reason: it also comes from CPUs that have too much else to do, and then more threads make
 * things worse. So a worker asks for help only when it ran nearly all the time lately and still does not keep up, and
 * when the machine has had CPU time to spare. What helpers used counts as spare; now and then they pause, to see whether it
 * still is.
 *
 * What is offered is sealed or opened from one place into another, so the owner loses nothing when a helper is
 * suspended in the middle: after HELP_LATE_NS it does the batch again, elsewhere, and goes on; what the helper
 * makes of it one day is for nobody. Private to engine/; source: design of the project, section 3.1.
 */
#ifndef FZ_HELP_H
#define FZ_HELP_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/crypt.h"
#include "platform/base/role.h"
#include "platform/base/ticket.h"
#include "platform/base/time.h"

struct worker;

enum {
    HELP_BACKLOG = 3,       /* records in one loop that make a backlog */
    HELP_PACKETS_MIN = 16,  /* smaller batches are not worth a hand-over */
    HELP_LEFT = 1,          /* offers that the owner leaves to helpers while it has a backlog */
    HELP_JOBS_MAX = 4,      /* done for others per loop */
    HELP_LATE_NS = 300000,  /* some twenty times what a batch takes */
    HELP_LINGER_NS = 30000, /* a helper looks for more so long before it sleeps */
    HELP_WINDOW_NS = 1000000,
    HELP_SPARE_WINDOW_NS = 100000000,
    HELP_SPARE_FRACTION = 4,  /* a CPU's time divided by this is spare: worth it */
    HELP_SPARE_ROUNDS = 20,   /* windows with help before one without */
    HELP_BUSY_SIXTEENTHS = 15 /* of a window on a CPU: the worker is saturated */
};

enum help_kind {
    HELP_SEAL,
    HELP_OPEN,
    HELP_KINDS
};

/* A batch in a queue of its owner. */
struct help_job {
    struct ticket ticket;
    uint8_t kind; /* enum help_kind */
    uint8_t head; /* bytes before each packet that go where its result goes: a datagram's headers */
    uint16_t n;
    const struct crypt_key *key;
    struct crypt_packet *packets;
    time_ns queued;
    uint64_t took_ns; /* a helper's time for it, 0: it was no helper */
};

/*
 * The owner's side. backlog: of this loop. busy: something is queued or backlog is set, so that batches go through
 * the queues; the only thing that is looked at on the way of a packet without helpers.
 */
struct help {
    bool backlog, busy, saturated;
    time_ns window_start;
    uint64_t window_cpu; /* CPU time of the thread at its start, ns */
    bool spare;          /* the machine has CPU time to spare */
    unsigned spare_rounds;
    time_ns spare_start;
    uint64_t spare_idle, spare_helped; /* the machine's idle time then, helpers' time since, ns */
    unsigned late_n; /* jobs that were done again, and that a helper still holds */
    struct ticket_queue queues[HELP_KINDS];
};

/* At the start of a loop: n records are to be processed. */
void help_begin(struct worker *w, unsigned n) REQUIRES_ROLE(role_worker);
/* A batch is worth offering now. */
bool help_wants(const struct worker *w, unsigned packets) REQUIRES_ROLE(role_worker);
/* Queues a job; there is room. offered: for helpers, else it is done. Wakes one if there is a sleeper. */
void help_queue(struct worker *w, struct help_job *job, bool offered) REQUIRES_ROLE(role_worker);
/* The oldest job of a kind, or NULL. */
struct help_job *help_first(const struct worker *w, enum help_kind kind) REQUIRES_ROLE(role_worker);
/*
 * Is the oldest job done? Does it here if nobody has taken it; if somebody has, waits for it only with `wait`, and not
 * longer than HELP_LATE_NS after it was queued. False with `*late`: the caller has to do it again.
 */
bool help_settle(struct worker *w, struct help_job *job, bool wait, bool *late)
    REQUIRES_ROLE(role_worker);
/* Works through the own offers until none is left, or HELP_LEFT with a backlog, and hands on what is done. */
void help_work(struct worker *w) REQUIRES_ROLE(role_worker);
/* Hands on what is done; does what is late. */
void help_collect(struct worker *w) REQUIRES_ROLE(role_worker);
/*
 * Empties both queues: afterwards nothing but late jobs refers to a session, a peer or a path. Between two batches
 * only: no record of this loop has been processed.
 */
void help_drain(struct worker *w) REQUIRES_ROLE(role_worker);

/* The worker ends: drains, and waits for helpers that still hold a job. */
void help_stop(struct worker *w) REQUIRES_ROLE(role_worker);

/* The other side: up to HELP_JOBS_MAX jobs of others, if this worker has no backlog itself. */
void help_others(struct worker *w) REQUIRES_ROLE(role_worker);
/* Somebody has something on offer; between sleeper_prepare and sleeping. */
bool help_pending(const struct worker *w) REQUIRES_ROLE(role_worker);
/* The oldest job of a queue is done, or one is still on offer; likewise between sleeper_prepare and sleeping. */
bool help_ready(const struct worker *w) REQUIRES_ROLE(role_worker);
/* When help_collect has to run although nothing wakes the worker. */
time_ns help_deadline(const struct worker *w) REQUIRES_ROLE(role_worker);

#endif
