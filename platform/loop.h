/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event loop contract: descriptors, timers, signals and doorbells of one thread. Control role.
 *
 * Everything here is called by the loop's own thread, except loop_bell_ring. Callbacks run from loop_run, one at a
 * time. A callback may add, change or delete any descriptor, timer, signal or bell, its own and those of the same
 * batch included: after a delete its callback does not run again, also not for an event that was already collected.
 *
 * Tickless: the loop sleeps until a descriptor is ready or the earliest timer is due (CLOCK_BOOTTIME, so that time
 * spent in suspend counts). Without either it never wakes up.
 */
#ifndef FZ_PLATFORM_LOOP_H
#define FZ_PLATFORM_LOOP_H

#include <stdbool.h>
#include <stddef.h>

#include "platform/base/err.h"
#include "platform/base/time.h"

struct loop;

/* Readiness bits. Errors and hang-ups are reported as all the bits that were asked for: the next read or write tells. */
enum {
    LOOP_READ = 1,
    LOOP_WRITE = 2
};

typedef void (*loop_fd_fn)(void *arg, unsigned events);
typedef void (*loop_fn)(void *arg);

/* A timer, embedded in its owner. Fields are the loop's; loop_timer_init fills them. */
struct loop_timer {
    time_ns deadline;  /* TIME_NEVER: off */
    size_t heap_index; /* LOOP_TIMER_OFF: not armed */
    loop_fn fire;
    void *arg;
};

#define LOOP_TIMER_OFF SIZE_MAX

/* A doorbell that any thread may ring; rings between two runs of the callback are merged into one. */
struct loop_bell {
    int fd; /* -1: not added */
    loop_fn rung;
    void *arg;
};

enum err loop_new(struct loop **out) MUST_USE;
/* Closes what the loop opened itself (not the descriptors that were added). Bells must have been deleted. */
void loop_free(struct loop *l);

/* Runs until loop_stop; then ERR_OK. ERR_IO if the kernel's poll fails. May be called again. */
enum err loop_run(struct loop *l) MUST_USE;
/* Makes loop_run return when the running callback does, or at once when called before it. */
void loop_stop(struct loop *l);
/* The time of this iteration: read when the loop woke up and again before timers fire. */
time_ns loop_now(const struct loop *l);

/*
 * events: LOOP_READ | LOOP_WRITE, level-triggered; 0 keeps the entry and reports nothing at all. One entry per
 * descriptor (ERR_EXISTS). Delete it before closing the descriptor. ERR_INVALID: cannot be polled (a regular file).
 */
enum err loop_add_fd(struct loop *l, int fd, unsigned events, loop_fd_fn cb, void *arg) MUST_USE;
/* ERR_NOT_FOUND: no such entry. */
enum err loop_mod_fd(struct loop *l, int fd, unsigned events) MUST_USE;
/* No-op without an entry. */
void loop_del_fd(struct loop *l, int fd);

void loop_timer_init(struct loop_timer *t, loop_fn fire, void *arg);
/* Arms or moves the timer; a deadline in the past fires in the next iteration. TIME_NEVER: as loop_timer_clear. */
void loop_timer_set(struct loop *l, struct loop_timer *t, time_ns deadline);
void loop_timer_clear(struct loop *l, struct loop_timer *t);
static inline bool loop_timer_armed(const struct loop_timer *t)
{
    return t->heap_index != LOOP_TIMER_OFF;
}

/*
 * Blocks the signal in the calling thread and reports it through the loop. Call before other threads start, so that
 * they inherit the mask. The mask stays blocked after loop_free: a late signal is then ignored until exit.
 */
enum err loop_add_signal(struct loop *l, int signo, loop_fn cb, void *arg) MUST_USE;

enum err loop_bell_add(struct loop *l, struct loop_bell *b, loop_fn rung, void *arg) MUST_USE;
/* No other thread may ring any more. */
void loop_bell_del(struct loop *l, struct loop_bell *b);
/* Any thread. */
void loop_bell_ring(const struct loop_bell *b);

#endif
