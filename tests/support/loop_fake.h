/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop whose time passes when the test says: one timer and one bell, which any thread may ring. For one test program each, as it defines
 * the functions of platform/loop.h that are needed.
 */
#ifndef FZ_TEST_LOOP_FAKE_H
#define FZ_TEST_LOOP_FAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "platform/loop.h"

struct loop {
    time_ns now;
    struct loop_timer *timer;
    struct loop_bell *bell;
    uint32_t rung;
    bool bell_fails;
};

time_ns loop_now(const struct loop *l)
{
    return l->now;
}

void loop_timer_init(struct loop_timer *t, loop_fn fire, void *arg)
{
    *t = (struct loop_timer){
        .deadline = TIME_NEVER, .heap_index = LOOP_TIMER_OFF, .fire = fire, .arg = arg};
}

void loop_timer_set(struct loop *l, struct loop_timer *t, time_ns deadline)
{
    t->deadline = deadline;
    t->heap_index = 0;
    l->timer = t;
}

void loop_timer_clear(struct loop *l, struct loop_timer *t)
{
    t->deadline = TIME_NEVER;
    t->heap_index = LOOP_TIMER_OFF;
    l->timer = NULL;
}

static struct loop the_loop;

enum err loop_bell_add(struct loop *l, struct loop_bell *b, loop_fn rung, void *arg)
{
    if (l->bell_fails)
        return ERR_NO_SPACE;
    *b = (struct loop_bell){.fd = 7, .rung = rung, .arg = arg};
    l->bell = b;
    return ERR_OK;
}

void loop_bell_del(struct loop *l, struct loop_bell *b)
{
    assert_ptr_equal(l->bell, b);
    l->bell = NULL;
    b->fd = -1;
}

void loop_bell_ring(const struct loop_bell *b)
{
    (void)b;
    __atomic_store_n(&the_loop.rung, 1, __ATOMIC_RELEASE);
}

/* False: nobody has rung. */
static inline bool answer_bell(void)
{
    if (__atomic_exchange_n(&the_loop.rung, 0, __ATOMIC_ACQ_REL) == 0)
        return false;
    the_loop.bell->rung(the_loop.bell->arg);
    return true;
}

/* Time passes; what is due fires. */
static inline void pass(time_ns ns)
{
    time_ns end = the_loop.now + ns;
    struct loop_timer *t;

    while ((t = the_loop.timer) && t->deadline <= end) {
        the_loop.now = time_max(the_loop.now, t->deadline);
        loop_timer_clear(&the_loop, t);
        t->fire(t->arg);
    }
    the_loop.now = end;
}

#endif
