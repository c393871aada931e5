/* SPDX-License-Identifier: Apache-2.0 */
/* The event loop: readiness, deletion inside a batch, timer order, signals, bells, and that idle means disarmed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>

#include "platform/linux/loop.c" /* looks at the armed deadline */

struct pipe_watch {
    struct loop *loop;
    int fds[2];
    unsigned calls, events;
    struct pipe_watch *kill; /* deleted by the callback */
    bool stop;
};

static struct loop *new_loop(void)
{
    struct loop *l;
    assert_int_equal(loop_new(&l), ERR_OK);
    return l;
}

static void watch_ready(void *arg, unsigned events)
{
    struct pipe_watch *w = arg;
    w->calls++;
    w->events |= events;
    if (w->kill) {
        loop_del_fd(w->loop, w->kill->fds[0]);
        w->kill = NULL;
    }
    if (w->stop)
        loop_stop(w->loop);
}

static void watch_open(struct pipe_watch *w, struct loop *l, bool readable)
{
    *w = (struct pipe_watch){.loop = l};
    assert_int_equal(pipe2(w->fds, O_CLOEXEC | O_NONBLOCK), 0);
    if (readable)
        assert_int_equal(write(w->fds[1], "x", 1), 1);
    assert_int_equal(loop_add_fd(l, w->fds[0], LOOP_READ, watch_ready, w), ERR_OK);
}

static void watch_close(struct pipe_watch *w)
{
    loop_del_fd(w->loop, w->fds[0]);
    close(w->fds[0]);
    close(w->fds[1]);
}

static void stop_loop(void *arg)
{
    loop_stop(arg);
}

/* Runs at least one full iteration that collects everything that is ready now. */
static void run_once(struct loop *l)
{
    struct loop_timer t;
    loop_timer_init(&t, stop_loop, l);
    loop_timer_set(l, &t, 0);
    assert_int_equal(loop_run(l), ERR_OK);
}

static void test_fd_reports_readiness(void **state)
{
    struct loop *l = new_loop();
    struct pipe_watch w;

    (void)state;
    watch_open(&w, l, false);
    assert_int_equal(loop_add_fd(l, w.fds[0], LOOP_READ, watch_ready, &w), ERR_EXISTS);
    run_once(l);
    assert_int_equal(w.calls, 0);
    assert_int_equal(write(w.fds[1], "x", 1), 1);
    w.stop = true;
    assert_int_equal(loop_run(l), ERR_OK);
    assert_int_equal(w.calls, 1);
    assert_int_equal(w.events, LOOP_READ);
    watch_close(&w);
    loop_del_fd(l, 12345);
    assert_int_equal(loop_mod_fd(l, w.fds[0], LOOP_READ), ERR_NOT_FOUND);
    loop_free(l);
}

static void test_fd_write_and_mod(void **state)
{
    struct loop *l = new_loop();
    struct pipe_watch w = {.loop = l, .stop = true};

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w.fds), 0);
    assert_int_equal(loop_add_fd(l, w.fds[0], LOOP_READ, watch_ready, &w), ERR_OK);
    run_once(l);
    assert_int_equal(w.calls, 0);
    assert_int_equal(loop_mod_fd(l, w.fds[0], LOOP_READ | LOOP_WRITE), ERR_OK);
    assert_int_equal(loop_run(l), ERR_OK);
    assert_int_equal(w.events, LOOP_WRITE);
    watch_close(&w);
    loop_free(l);
}

/* A hung-up descriptor nobody asks about must not spin the loop. */
static void test_fd_without_interest_is_silent(void **state)
{
    struct loop *l = new_loop();
    struct pipe_watch w;

    (void)state;
    watch_open(&w, l, true);
    assert_int_equal(loop_mod_fd(l, w.fds[0], 0), ERR_OK);
    close(w.fds[1]);
    run_once(l);
    run_once(l);
    assert_int_equal(w.calls, 0);
    assert_int_equal(loop_mod_fd(l, w.fds[0], LOOP_READ), ERR_OK);
    w.stop = true;
    assert_int_equal(loop_run(l), ERR_OK);
    assert_int_equal(w.calls, 1);
    loop_del_fd(l, w.fds[0]);
    close(w.fds[0]);
    loop_free(l);
}

static void test_fd_regular_file_is_refused(void **state)
{
    struct loop *l = new_loop();
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(loop_add_fd(l, fd, LOOP_READ, watch_ready, NULL), ERR_INVALID);
    assert_int_equal(loop_mod_fd(l, fd, LOOP_WRITE), ERR_NOT_FOUND);
    close(fd);
    loop_free(l);
}

/* Whichever of two ready descriptors comes first deletes the other: its collected event must be dropped. */
static void test_fd_delete_within_batch(void **state)
{
    struct loop *l = new_loop();
    struct pipe_watch a, b;

    (void)state;
    watch_open(&a, l, true);
    watch_open(&b, l, true);
    a.kill = &b;
    b.kill = &a;
    a.stop = b.stop = false;
    run_once(l);
    assert_true((a.calls == 0) != (b.calls == 0));
    watch_close(&a);
    watch_close(&b);
    loop_free(l);
}

struct reuse {
    struct loop *loop;
    struct pipe_watch *a, *b;
    unsigned fresh_calls;
};

static void reuse_fresh(void *arg, unsigned events)
{
    struct reuse *r = arg;
    (void)events;
    r->fresh_calls++;
}

/* Replaces the other descriptor by a quiet one with the same number. */
static void reuse_ready(void *arg, unsigned events)
{
    struct reuse *r = arg;
    struct pipe_watch *other = r->a->calls ? r->b : r->a;
    int quiet[2];

    (void)events;
    assert_int_equal(pipe2(quiet, O_CLOEXEC), 0);
    loop_del_fd(r->loop, other->fds[0]);
    assert_true(dup2(quiet[0], other->fds[0]) == other->fds[0]);
    assert_int_equal(loop_add_fd(r->loop, other->fds[0], LOOP_READ, reuse_fresh, r), ERR_OK);
    close(quiet[0]);
    close(quiet[1]); /* the far end: end of file, so it becomes readable only in a later poll */
    loop_stop(r->loop);
}

static void reuse_mark_a(void *arg, unsigned events)
{
    struct reuse *r = arg;
    r->a->calls++;
    reuse_ready(arg, events);
}

static void test_fd_number_reused_within_batch(void **state)
{
    struct loop *l = new_loop();
    struct pipe_watch a, b;
    struct reuse r = {.loop = l, .a = &a, .b = &b};
    struct epoll_event stale;

    (void)state;
    watch_open(&a, l, true);
    watch_open(&b, l, true);
    stale = (struct epoll_event){.events = EPOLLIN,
                                 .data.u64 = (uint64_t)l->fds[b.fds[0]].generation << 32 |
                                             (uint32_t)b.fds[0]};
    l->fds[a.fds[0]].cb = reuse_mark_a;
    l->fds[a.fds[0]].arg = &r;
    l->fds[b.fds[0]].cb = reuse_ready;
    l->fds[b.fds[0]].arg = &r;
    reuse_mark_a(&r, LOOP_READ);
    fd_dispatch(l, &stale);
    assert_int_equal(r.fresh_calls, 0);
    watch_close(&a);
    watch_close(&b);
    loop_free(l);
}

enum {
    TIMERS = 300
};

struct timed {
    struct loop_timer timer;
    struct loop *loop;
    time_ns wanted; /* TIME_NEVER: must not fire */
    unsigned fired;
    unsigned *left;
    time_ns *latest;
};

static void timed_fire(void *arg)
{
    struct timed *t = arg;
    assert_false(loop_timer_armed(&t->timer));
    assert_true(loop_now(t->loop) >= t->wanted);
    assert_true(t->wanted >= *t->latest); /* in order */
    *t->latest = t->wanted;
    t->fired++;
    if (--*t->left == 0)
        loop_stop(t->loop);
}

static void test_timers_fire_in_order(void **state)
{
    static struct timed timers[TIMERS];
    struct loop *l = new_loop();
    unsigned left = 0, seed = 1;
    time_ns latest = 0, base = loop_now(l) + NS_PER_MS;

    (void)state;
    for (unsigned i = 0; i < TIMERS; i++) {
        timers[i] = (struct timed){.loop = l, .left = &left, .latest = &latest};
        loop_timer_init(&timers[i].timer, timed_fire, &timers[i]);
    }
    for (unsigned round = 0; round < 10 * TIMERS; round++) {
        seed = seed * 1103515245 + 12345;
        struct timed *t = &timers[(seed >> 8) % TIMERS];
        t->wanted = seed >> 30 == 0 ? TIME_NEVER : base + (seed >> 4) % NS_PER_MS;
        loop_timer_set(l, &t->timer, t->wanted);
    }
    for (unsigned i = 0; i < TIMERS; i++) {
        if (!loop_timer_armed(&timers[i].timer))
            timers[i].wanted = TIME_NEVER;
        left += timers[i].wanted != TIME_NEVER;
    }
    assert_in_range(left, TIMERS / 2, TIMERS);
    assert_int_equal(l->heap_n, left);
    assert_int_equal(loop_run(l), ERR_OK);
    for (unsigned i = 0; i < TIMERS; i++)
        assert_int_equal(timers[i].fired, timers[i].wanted != TIME_NEVER);
    loop_free(l);
}

/* A timer that always wants to fire in the past must leave room for descriptors. */
static void rearm(void *arg)
{
    struct timed *t = arg;
    t->fired++;
    loop_timer_set(t->loop, &t->timer, 0);
}

static void test_timer_cannot_hold_the_loop(void **state)
{
    struct loop *l = new_loop();
    struct timed t = {.loop = l};
    struct pipe_watch w;

    (void)state;
    watch_open(&w, l, true);
    w.stop = true;
    loop_timer_init(&t.timer, rearm, &t);
    rearm(&t);
    assert_int_equal(loop_run(l), ERR_OK);
    assert_int_equal(loop_run(l), ERR_OK);
    assert_int_equal(w.calls, 2);
    loop_timer_clear(l, &t.timer);
    watch_close(&w);
    loop_free(l);
}

enum {
    SLOW_TIMERS = 3
};

/* Timers that take their time, and a descriptor that the first one makes readable. */
struct slow {
    struct loop_timer timers[SLOW_TIMERS];
    struct pipe_watch watch;
    unsigned fired;
};

static void slow_fire(void *arg)
{
    struct slow *s = arg;
    time_ns end = clock_now() + LOOP_TIMERS_US * NS_PER_US;

    assert_false(loop_timer_armed(&s->timers[s->fired])); /* in order */
    assert_int_equal(s->watch.calls, s->fired > 0);       /* had its turn after the first */
    if (s->fired++ == 0)
        assert_int_equal(write(s->watch.fds[1], "x", 1), 1);
    while (clock_now() < end)
        ;
    if (s->fired == SLOW_TIMERS)
        loop_stop(s->watch.loop);
}

static void slow_ready(void *arg, unsigned events)
{
    struct slow *s = arg;
    char byte;
    (void)events;
    s->watch.calls++;
    assert_int_equal(s->fired, 1);
    assert_int_equal(read(s->watch.fds[0], &byte, 1), 1);
}

/* Many timers that are due at once must not hold the loop either. */
static void test_timers_leave_room_for_descriptors(void **state)
{
    struct loop *l = new_loop();
    struct slow s = {.fired = 0};

    (void)state;
    watch_open(&s.watch, l, false);
    l->fds[s.watch.fds[0]].cb = slow_ready;
    l->fds[s.watch.fds[0]].arg = &s;
    for (unsigned i = SLOW_TIMERS; i-- > 0;) {
        loop_timer_init(&s.timers[i], slow_fire, &s);
        loop_timer_set(l, &s.timers[i], l->now + 1 + i);
    }
    assert_int_equal(loop_run(l), ERR_OK);
    assert_int_equal(s.fired, SLOW_TIMERS);
    assert_int_equal(s.watch.calls, 1);
    watch_close(&s.watch);
    loop_free(l);
}

struct killer {
    struct loop_timer timer;
    struct loop *loop;
    struct killer *other;
    unsigned fired;
};

static void killer_fire(void *arg)
{
    struct killer *k = arg;
    k->fired++;
    loop_timer_clear(k->loop, &k->other->timer);
    loop_stop(k->loop);
}

static void test_timer_cleared_within_batch(void **state)
{
    struct loop *l = new_loop();
    struct killer a = {.loop = l}, b = {.loop = l};

    (void)state;
    a.other = &b;
    b.other = &a;
    loop_timer_init(&a.timer, killer_fire, &a);
    loop_timer_init(&b.timer, killer_fire, &b);
    loop_timer_set(l, &a.timer, 0);
    loop_timer_set(l, &b.timer, 0);
    assert_int_equal(loop_run(l), ERR_OK);
    run_once(l);
    assert_int_equal(a.fired + b.fired, 1);
    loop_timer_clear(l, &a.timer); /* no-op */
    loop_free(l);
}

/* With nothing armed the kernel's timer is off: no wake-ups. */
static void test_idle_is_disarmed(void **state)
{
    struct loop *l = new_loop();
    struct killer a = {.loop = l}, b = {.loop = l};
    struct itimerspec spec;

    (void)state;
    a.other = &b;
    loop_timer_init(&a.timer, killer_fire, &a);
    loop_timer_init(&b.timer, killer_fire, &b);
    loop_timer_set(l, &a.timer, 0);
    loop_timer_set(l, &b.timer, loop_now(l) + 3600 * NS_PER_SEC);
    assert_int_equal(timers_arm(l), ERR_OK);
    assert_int_equal(loop_run(l), ERR_OK);
    assert_int_equal(timers_arm(l), ERR_OK);
    assert_int_equal(timerfd_gettime(l->timer_fd, &spec), 0);
    assert_int_equal(spec.it_value.tv_sec, 0);
    assert_int_equal(spec.it_value.tv_nsec, 0);
    loop_timer_set(l, &b.timer, loop_now(l) + 3600 * NS_PER_SEC);
    assert_int_equal(timers_arm(l), ERR_OK);
    assert_int_equal(timerfd_gettime(l->timer_fd, &spec), 0);
    assert_true(spec.it_value.tv_sec > 0);
    loop_free(l);
    assert_false(loop_timer_armed(&b.timer));
}

static void test_signals(void **state)
{
    struct loop *l = new_loop();
    struct killer usr1 = {.loop = l}, hup = {.loop = l};

    (void)state;
    usr1.other = &hup;
    hup.other = &usr1;
    loop_timer_init(&usr1.timer, killer_fire, &usr1);
    loop_timer_init(&hup.timer, killer_fire, &hup);
    assert_int_equal(loop_add_signal(l, SIGUSR1, killer_fire, &usr1), ERR_OK);
    assert_int_equal(loop_add_signal(l, SIGHUP, killer_fire, &hup), ERR_OK);
    assert_int_equal(loop_add_signal(l, SIGHUP, killer_fire, &hup), ERR_EXISTS);
    assert_int_equal(raise(SIGHUP), 0);
    assert_int_equal(loop_run(l), ERR_OK);
    assert_int_equal(usr1.fired, 0);
    assert_int_equal(hup.fired, 1);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(loop_run(l), ERR_OK);
    assert_int_equal(usr1.fired, 1);
    loop_free(l);
}

enum {
    RINGS = 1000
};

struct ringer {
    struct loop *loop;
    struct loop_bell bell;
    unsigned posted; /* written by the thread, read by the loop */
    unsigned calls;
};

static void *ring_many(void *arg)
{
    struct ringer *r = arg;
    for (unsigned i = 0; i < RINGS; i++) {
        __atomic_fetch_add(&r->posted, 1, __ATOMIC_RELEASE);
        loop_bell_ring(&r->bell);
    }
    return NULL;
}

static void ringer_rung(void *arg)
{
    struct ringer *r = arg;
    r->calls++;
    if (__atomic_load_n(&r->posted, __ATOMIC_ACQUIRE) == RINGS)
        loop_stop(r->loop);
}

static void test_bell_from_another_thread(void **state)
{
    struct ringer r = {.loop = new_loop()};
    pthread_t thread;

    (void)state;
    assert_int_equal(loop_bell_add(r.loop, &r.bell, ringer_rung, &r), ERR_OK);
    assert_int_equal(pthread_create(&thread, NULL, ring_many, &r), 0);
    assert_int_equal(loop_run(r.loop), ERR_OK);
    pthread_join(thread, NULL);
    assert_in_range(r.calls, 1, RINGS);
    loop_bell_del(r.loop, &r.bell);
    loop_bell_del(r.loop, &r.bell);
    loop_free(r.loop);
}

static void test_stop_before_run(void **state)
{
    struct loop *l = new_loop();
    struct pipe_watch w;

    (void)state;
    watch_open(&w, l, true);
    loop_stop(l);
    assert_int_equal(loop_run(l), ERR_OK);
    assert_int_equal(w.calls, 0);
    watch_close(&w);
    loop_free(l);
    loop_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fd_reports_readiness),
        cmocka_unit_test(test_fd_write_and_mod),
        cmocka_unit_test(test_fd_without_interest_is_silent),
        cmocka_unit_test(test_fd_regular_file_is_refused),
        cmocka_unit_test(test_fd_delete_within_batch),
        cmocka_unit_test(test_fd_number_reused_within_batch),
        cmocka_unit_test(test_timers_fire_in_order),
        cmocka_unit_test(test_timer_cannot_hold_the_loop),
        cmocka_unit_test(test_timers_leave_room_for_descriptors),
        cmocka_unit_test(test_timer_cleared_within_batch),
        cmocka_unit_test(test_idle_is_disarmed),
        cmocka_unit_test(test_signals),
        cmocka_unit_test(test_bell_from_another_thread),
        cmocka_unit_test(test_stop_before_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
