/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll, with one timerfd armed for the earliest timer and one signalfd for all signals; both are ordinary entries of
 * the descriptor table. The table is indexed by descriptor. Every entry has a generation that travels through the
 * kernel with its events, so that an event of a deleted (and perhaps reused) descriptor is recognised and dropped.
 */
#include "platform/loop.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "platform/base/mem.h"
#include "platform/clock.h"

enum {
    LOOP_BATCH = 64,
    LOOP_SIGNALS = 65,
    LOOP_TIMERS_US = 2000 /* per iteration, then descriptors have their turn */
};

struct fd_entry {
    uint32_t generation; /* of the current or last use */
    uint8_t events;      /* LOOP_READ | LOOP_WRITE wanted */
    bool used, polled;   /* polled: known to epoll, that is events != 0 */
    loop_fd_fn cb;
    void *arg;
};

struct loop {
    int epoll_fd, timer_fd, signal_fd;
    struct fd_entry *fds;
    size_t fds_n;
    struct loop_timer **heap; /* binary heap, earliest first */
    size_t heap_n, heap_cap;
    time_ns now;
    time_ns armed; /* what timer_fd is set to */
    bool stop;
    sigset_t signals;
    struct {
        loop_fn cb;
        void *arg;
    } signal_cbs[LOOP_SIGNALS];
};

/* Descriptors */

static struct fd_entry *fd_find(struct loop *l, int fd)
{
    if (fd < 0 || (size_t)fd >= l->fds_n || !l->fds[fd].used)
        return NULL;
    return &l->fds[fd];
}

/* Tells epoll what the entry wants. */
static enum err fd_apply(struct loop *l, int fd, struct fd_entry *e)
{
    struct epoll_event ev = {.data.u64 = (uint64_t)e->generation << 32 | (uint32_t)fd};
    bool poll = e->events != 0;
    int op = !e->polled ? EPOLL_CTL_ADD : poll ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;

    if (!poll && !e->polled)
        return ERR_OK;
    if (e->events & LOOP_READ)
        ev.events |= EPOLLIN | EPOLLRDHUP;
    if (e->events & LOOP_WRITE)
        ev.events |= EPOLLOUT;
    if (epoll_ctl(l->epoll_fd, op, fd, &ev) != 0)
        return errno == EPERM || errno == EBADF ? ERR_INVALID : err_from_errno(errno);
    e->polled = poll;
    return ERR_OK;
}

enum err loop_add_fd(struct loop *l, int fd, unsigned events, loop_fd_fn cb, void *arg)
{
    ASSERT(fd >= 0 && cb && (events & ~(unsigned)(LOOP_READ | LOOP_WRITE)) == 0);
    if ((size_t)fd >= l->fds_n) {
        size_t n = size_max((size_t)fd + 1, 2 * l->fds_n);
        l->fds = mem_check(realloc(l->fds, n * sizeof *l->fds));
        memset(l->fds + l->fds_n, 0, (n - l->fds_n) * sizeof *l->fds);
        l->fds_n = n;
    }
    struct fd_entry *e = &l->fds[fd];
    if (e->used)
        return ERR_EXISTS;
    *e = (struct fd_entry){
        .generation = e->generation + 1, .events = (uint8_t)events, .cb = cb, .arg = arg};
    enum err err = fd_apply(l, fd, e);
    e->used = err == ERR_OK;
    return err;
}

enum err loop_mod_fd(struct loop *l, int fd, unsigned events)
{
    struct fd_entry *e = fd_find(l, fd);

    ASSERT((events & ~(unsigned)(LOOP_READ | LOOP_WRITE)) == 0);
    if (!e)
        return ERR_NOT_FOUND;
    if (e->events == events)
        return ERR_OK;
    e->events = (uint8_t)events;
    return fd_apply(l, fd, e);
}

void loop_del_fd(struct loop *l, int fd)
{
    struct fd_entry *e = fd_find(l, fd);
    struct epoll_event unused = {0};

    if (!e)
        return;
    if (e->polled)
        (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, fd, &unused);
    e->used = e->polled = false;
}

static void fd_dispatch(struct loop *l, const struct epoll_event *ev)
{
    int fd = (int)(uint32_t)ev->data.u64;
    struct fd_entry *e = fd_find(l, fd);
    unsigned events = 0;

    if (!e || e->generation != (uint32_t)(ev->data.u64 >> 32))
        return; /* deleted by an earlier callback of this batch */
    if (ev->events & (EPOLLIN | EPOLLRDHUP))
        events |= LOOP_READ;
    if (ev->events & EPOLLOUT)
        events |= LOOP_WRITE;
    if (ev->events & (EPOLLERR | EPOLLHUP))
        events |= LOOP_READ | LOOP_WRITE;
    events &= e->events;
    if (events)
        e->cb(e->arg, events); /* may move the table: `e` is stale from here on */
}

/* Timers */

static void heap_put(struct loop *l, size_t i, struct loop_timer *t)
{
    l->heap[i] = t;
    t->heap_index = i;
}

/* Moves `t` from slot i to where it belongs. */
static void heap_settle(struct loop *l, size_t i, struct loop_timer *t)
{
    while (i > 0 && l->heap[(i - 1) / 2]->deadline > t->deadline) {
        heap_put(l, i, l->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < l->heap_n && l->heap[child + 1]->deadline < l->heap[child]->deadline)
            child++;
        if (child >= l->heap_n || l->heap[child]->deadline >= t->deadline)
            break;
        heap_put(l, i, l->heap[child]);
        i = child;
    }
    heap_put(l, i, t);
}

void loop_timer_init(struct loop_timer *t, loop_fn fire, void *arg)
{
    *t = (struct loop_timer){
        .deadline = TIME_NEVER, .heap_index = LOOP_TIMER_OFF, .fire = fire, .arg = arg};
}

void loop_timer_set(struct loop *l, struct loop_timer *t, time_ns deadline)
{
    if (deadline == TIME_NEVER) {
        loop_timer_clear(l, t);
        return;
    }
    /* Never due at the time that is being served: a timer that re-arms itself cannot hold the loop. */
    t->deadline = deadline > l->now ? deadline : l->now + 1;
    if (!loop_timer_armed(t)) {
        if (l->heap_n == l->heap_cap) {
            l->heap_cap = size_max(16, 2 * l->heap_cap);
            l->heap = mem_check(realloc(l->heap, l->heap_cap * sizeof *l->heap));
        }
        t->heap_index = l->heap_n++;
    }
    heap_settle(l, t->heap_index, t);
}

void loop_timer_clear(struct loop *l, struct loop_timer *t)
{
    size_t i = t->heap_index;

    t->deadline = TIME_NEVER;
    if (!loop_timer_armed(t))
        return;
    ASSERT(i < l->heap_n && l->heap[i] == t);
    t->heap_index = LOOP_TIMER_OFF;
    struct loop_timer *last = l->heap[--l->heap_n];
    if (last != t)
        heap_settle(l, i, last);
}

/* Arms the timerfd for the earliest deadline, if that changed. */
static enum err timers_arm(struct loop *l)
{
    time_ns deadline = l->heap_n > 0 ? l->heap[0]->deadline : TIME_NEVER;
    struct itimerspec spec = {0}; /* zero: disarmed */

    if (deadline == l->armed)
        return ERR_OK;
    if (deadline != TIME_NEVER) {
        spec.it_value.tv_sec = (time_t)(deadline / NS_PER_SEC);
        spec.it_value.tv_nsec = (long)(deadline % NS_PER_SEC);
    }
    if (timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL) != 0)
        return err_from_errno(errno);
    l->armed = deadline;
    return ERR_OK;
}

/* The earliest first; what does not fit into this iteration is due in the next, before all that became due since. */
static void timers_fire(struct loop *l)
{
    time_ns end = l->now + LOOP_TIMERS_US * NS_PER_US;
    time_ns now = l->now;

    while (now < end && !l->stop && l->heap_n > 0 && l->heap[0]->deadline <= l->now) {
        struct loop_timer *t = l->heap[0];
        loop_timer_clear(l, t);
        t->fire(t->arg);
        now = clock_now();
    }
}

static void timer_fd_ready(void *arg, unsigned events)
{
    struct loop *l = arg;
    uint64_t expirations;

    (void)events;
    if (read(l->timer_fd, &expirations, sizeof expirations) > 0)
        l->armed = TIME_NEVER;
}

/* Signals */

static void signal_fd_ready(void *arg, unsigned events)
{
    struct loop *l = arg;
    struct signalfd_siginfo info;

    (void)events;
    while (!l->stop && read(l->signal_fd, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo < LOOP_SIGNALS && l->signal_cbs[info.ssi_signo].cb)
            l->signal_cbs[info.ssi_signo].cb(l->signal_cbs[info.ssi_signo].arg);
    }
}

enum err loop_add_signal(struct loop *l, int signo, loop_fn cb, void *arg)
{
    ASSERT(signo > 0 && signo < LOOP_SIGNALS && cb);
    if (l->signal_cbs[signo].cb)
        return ERR_EXISTS;
    sigaddset(&l->signals, signo);
    int error = pthread_sigmask(SIG_BLOCK, &l->signals, NULL);
    if (error != 0)
        return err_from_errno(error);
    int fd = signalfd(l->signal_fd, &l->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0)
        return err_from_errno(errno);
    l->signal_cbs[signo].cb = cb;
    l->signal_cbs[signo].arg = arg;
    if (l->signal_fd >= 0)
        return ERR_OK;
    l->signal_fd = fd;
    return loop_add_fd(l, fd, LOOP_READ, signal_fd_ready, l);
}

/* Bells */

static void bell_fd_ready(void *arg, unsigned events)
{
    struct loop_bell *b = arg;
    uint64_t rings;

    (void)events;
    if (read(b->fd, &rings, sizeof rings) > 0)
        b->rung(b->arg);
}

enum err loop_bell_add(struct loop *l, struct loop_bell *b, loop_fn rung, void *arg)
{
    *b = (struct loop_bell){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .rung = rung, .arg = arg};
    if (b->fd < 0)
        return err_from_errno(errno);
    enum err err = loop_add_fd(l, b->fd, LOOP_READ, bell_fd_ready, b);
    if (err != ERR_OK) {
        close(b->fd);
        b->fd = -1;
    }
    return err;
}

void loop_bell_del(struct loop *l, struct loop_bell *b)
{
    if (b->fd < 0)
        return;
    loop_del_fd(l, b->fd);
    close(b->fd);
    b->fd = -1;
}

void loop_bell_ring(const struct loop_bell *b)
{
    uint64_t one = 1;
    /* Fails only with EAGAIN after 2^64 - 2 rings: the bell rings anyway. */
    if (write(b->fd, &one, sizeof one) < 0)
        return;
}

/* The loop */

enum err loop_new(struct loop **out)
{
    struct loop *l = mem_zalloc(1, sizeof *l);
    enum err err;

    *out = NULL;
    l->armed = TIME_NEVER;
    l->now = clock_now();
    l->signal_fd = -1;
    sigemptyset(&l->signals);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (l->epoll_fd < 0 || l->timer_fd < 0)
        err = err_from_errno(errno);
    else
        err = loop_add_fd(l, l->timer_fd, LOOP_READ, timer_fd_ready, l);
    if (err != ERR_OK)
        loop_free(l);
    else
        *out = l;
    return err;
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->heap_n; i++)
        l->heap[i]->heap_index = LOOP_TIMER_OFF;
    if (l->signal_fd >= 0)
        close(l->signal_fd);
    if (l->timer_fd >= 0)
        close(l->timer_fd);
    if (l->epoll_fd >= 0)
        close(l->epoll_fd);
    free(l->heap);
    free(l->fds);
    free(l);
}

enum err loop_run(struct loop *l)
{
    struct epoll_event batch[LOOP_BATCH];
    enum err err = ERR_OK;

    while (!l->stop) {
        err = timers_arm(l);
        if (err != ERR_OK)
            break;
        int n = epoll_wait(l->epoll_fd, batch, LOOP_BATCH, -1);
        if (n < 0 && errno != EINTR) {
            err = err_from_errno(errno);
            break;
        }
        l->now = clock_now();
        for (int i = 0; i < n && !l->stop; i++)
            fd_dispatch(l, &batch[i]);
        l->now = clock_now();
        timers_fire(l);
    }
    l->stop = false;
    return err;
}

void loop_stop(struct loop *l)
{
    l->stop = true;
}

time_ns loop_now(const struct loop *l)
{
    return l->now;
}
