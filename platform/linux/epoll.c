/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The epoll backend: level-triggered readiness, then recvmmsg for sockets and read for the TUN queue.
 *
 * A descriptor is in the epoll set only while something is wanted from it: a source without free buffers, or in
 * back-off after an error, would else make every wait return at once (EPOLLERR cannot be masked).
 *
 * Timeouts run on CLOCK_MONOTONIC here, so a deadline that falls into a suspend is met late by its length.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "platform/base/log.h"
#include "platform/clock.h"
#include "platform/linux/io_backend.h"

enum {
    READ_BATCH = 32, /* datagrams per recvmmsg */
    KEY_WAKE = IO_SOURCES
};

struct epoll_io {
    struct io io;
    int epoll_fd;
    uint32_t interest[IO_SOURCES]; /* what the epoll set holds; 0: not in it */
    unsigned turn;                 /* source that reads first next time */
    bool no_pwait2;                /* kernel before 5.11 */
    struct mmsghdr headers[READ_BATCH];
    struct iovec iov[READ_BATCH];
    union addr_os names[READ_BATCH];
    _Alignas(8) uint8_t control[READ_BATCH][UDP_IN_CONTROL];
};

static struct epoll_io *self(struct io *io)
{
    return CONTAINER_OF(io, struct epoll_io, io);
}

static void set_interest(struct epoll_io *e, enum io_source s, uint32_t wanted)
{
    struct epoll_event event = {.events = wanted, .data.u32 = s};
    int op = wanted == 0 ? EPOLL_CTL_DEL : e->interest[s] == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

    io_count(&e->io.stats.syscalls);
    if (epoll_ctl(e->epoll_fd, op, e->io.fds[s], &event) == 0)
        e->interest[s] = wanted;
    else if (wanted != 0) /* try again later, not at once */
        io_retry_failed(&e->io.retry[s], clock_now());
}

/* Brings the epoll set in line with buffers, back-off and full sockets. Lowers *until to the end of a back-off. */
static void update_interest(struct epoll_io *e, time_ns *until)
{
    struct io *io = &e->io;
    for (unsigned s = 0; s < IO_SOURCES; s++) {
        uint32_t wanted = 0;
        if (io->fds[s] < 0)
            continue;
        if (io_is_read(io, s) && io_retry_due(&io->retry[s], until)) {
            if (io->pools[io_kind_of(s)].n_free > 0)
                wanted = EPOLLIN;
            else if (e->interest[s] & EPOLLIN)
                io_count(&io->stats.rx_no_buffer);
        }
        if (s != IO_SOURCE_TUN && io->tx[s - IO_SOURCE_UDP4].blocked)
            wanted |= EPOLLOUT;
        if (wanted != e->interest[s])
            set_interest(e, s, wanted);
    }
}

/* until: absolute; 0 does not wait. Returns the number of events. */
static int wait_events(struct epoll_io *e, struct epoll_event *events, int max, time_ns until)
{
    time_ns now = until == 0 || until == TIME_NEVER ? 0 : clock_now();
    time_ns left = until == 0 ? 0 : time_since(until, now);
    struct timespec ts = {.tv_sec = (time_t)(left / NS_PER_SEC),
                          .tv_nsec = (long)(left % NS_PER_SEC)};

    io_count(&e->io.stats.syscalls);
    if (until == TIME_NEVER)
        return epoll_wait(e->epoll_fd, events, max, -1);
    if (left == 0)
        return epoll_wait(e->epoll_fd, events, max, 0);
    if (!e->no_pwait2) {
        int n = epoll_pwait2(e->epoll_fd, events, max, &ts, NULL);
        if (n >= 0 || errno != ENOSYS)
            return n;
        e->no_pwait2 = true;
    }
    uint64_t ms = (left + NS_PER_MS - 1) / NS_PER_MS;
    return epoll_wait(e->epoll_fd, events, max, ms > INT32_MAX ? INT32_MAX : (int)ms);
}

/* Turns one received message into a record; false if it is unusable. */
static bool take_message(struct epoll_io *e, unsigned i, uint16_t buffer, struct io_rx *rx)
{
    const struct msghdr *h = &e->headers[i].msg_hdr;
    struct udp_in in = {h->msg_name, h->msg_control, h->msg_controllen, h->msg_flags};

    rx->data = e->iov[i].iov_base;
    rx->len = e->headers[i].msg_len;
    rx->buffer = buffer;
    rx->kind = IO_RX_UDP;
    if (LIKELY(udp_msg_parse(rx, &in)))
        return true;
    io_count(&e->io.stats.rx_truncated);
    return false;
}

/* One recvmmsg of at most `max` messages. *more: it was filled, there may be another. */
static unsigned read_batch(struct epoll_io *e, enum io_source s, struct io_rx *out, unsigned max,
                           bool *more)
{
    struct io_pool *p = &e->io.pools[IO_RX_UDP];
    uint16_t ids[READ_BATCH];
    unsigned n = 0, asked = max < READ_BATCH ? max : READ_BATCH;

    if (asked > p->n_free)
        asked = p->n_free;
    *more = false;
    for (unsigned i = 0; i < asked; i++) {
        struct msghdr *h = &e->headers[i].msg_hdr;
        ids[i] = p->free[p->n_free - 1 - i];
        e->iov[i].iov_base = io_pool_buffer(p, ids[i]) + p->offset;
        h->msg_namelen = sizeof e->names[i];
        h->msg_controllen = sizeof e->control[i];
        h->msg_flags = 0;
    }
    if (asked == 0)
        return 0;
    int got = recvmmsg(e->io.fds[s], e->headers, asked, MSG_DONTWAIT, NULL);
    io_count(&e->io.stats.syscalls);
    if (got < 0) {
        if (errno == EAGAIN) {
            io_retry_clear(&e->io.retry[s]);
            return 0;
        }
        io_count(&e->io.stats.rx_errors);
        io_retry_failed(&e->io.retry[s], clock_now());
        return 0;
    }
    io_retry_clear(&e->io.retry[s]);
    p->n_free -= (unsigned)got;
    for (unsigned i = 0; i < asked && i < (unsigned)got; i++) {
        if (take_message(e, i, ids[i], &out[n]))
            n++;
        else
            p->free[p->n_free++] = ids[i];
    }
    *more = (unsigned)got == asked;
    return n;
}

static unsigned read_udp(struct epoll_io *e, enum io_source s, struct io_rx *out, unsigned max)
{
    unsigned n = 0;
    bool more = true;
    while (more && n < max)
        n += read_batch(e, s, out + n, max - n, &more);
    return n;
}

/* Reads from the ready sources, each at most its share, in rotating order. */
static unsigned read_ready(struct epoll_io *e, unsigned ready, struct io_rx *out, unsigned max)
{
    unsigned n = 0, left = (unsigned)__builtin_popcount(ready);
    bool drained;

    for (unsigned i = 0; i < IO_SOURCES && left > 0; i++) {
        unsigned s = (e->turn + i) % IO_SOURCES;
        if (!(ready & 1u << s))
            continue;
        unsigned share = (max - n + left - 1) / left;
        left--;
        if (s == IO_SOURCE_TUN)
            n += io_tun_read(&e->io, out + n, share, &drained);
        else
            n += read_udp(e, s, out + n, share);
    }
    e->turn = (e->turn + 1) % IO_SOURCES;
    return n;
}

/* Handles writability and the eventfd; returns the sources to read as bits. */
static unsigned sort_events(struct epoll_io *e, const struct epoll_event *events, int n,
                            bool *woken)
{
    struct io *io = &e->io;
    unsigned ready = 0;

    for (int i = 0; i < n; i++) {
        unsigned s = events[i].data.u32;
        if (s == KEY_WAKE) {
            *woken = true;
            continue;
        }
        if (io_is_read(io, s) && (e->interest[s] & EPOLLIN) && (events[i].events & ~EPOLLOUT))
            ready |= 1u << s;
        if (s != IO_SOURCE_TUN && (events[i].events & (EPOLLOUT | EPOLLERR)))
            io->tx[s - IO_SOURCE_UDP4].blocked = false;
    }
    io_flush(io);
    return ready;
}

/* As wait_events, but looks for a moment before it sleeps, if that is likely to pay. */
static int block_for_events(struct epoll_io *e, struct epoll_event *events, int max, time_ns until)
{
    time_ns look_until = io_spin_begin(&e->io.spin, until);
    int found = 0;

    if (look_until > 0) {
        do
            found = wait_events(e, events, max, 0);
        while (found == 0 && io_spin_again(look_until));
    }
    return found != 0 ? found : wait_events(e, events, max, until);
}

static unsigned wait_records(struct io *io, struct io_rx *out, unsigned max, time_ns deadline)
{
    struct epoll_io *e = self(io);
    struct epoll_event events[IO_SOURCES + 1];
    bool block, woken = false;
    unsigned n;

    do {
        time_ns until = deadline;
        update_interest(e, &until);
        block = deadline != 0 && !io_has_news(io);
        int found = block ? block_for_events(e, events, (int)ARRAY_LEN(events), until)
                          : wait_events(e, events, (int)ARRAY_LEN(events), 0);
        unsigned ready = found > 0 ? sort_events(e, events, found, &woken) : 0;
        n = ready ? read_ready(e, ready, out, max) : 0;
        if (block) {
            io_count(&io->stats.wakeups);
            if (n == 0 && !woken && !io_has_news(io))
                io_count(&io->stats.wakeups_idle);
        }
    } while (n == 0 && block && !woken && !io_has_news(io) &&
             (deadline == TIME_NEVER || clock_now() < deadline));
    io_spin_end(&io->spin, out, n);
    return n;
}

static void give_back(struct io *io, unsigned kind, uint16_t buffer)
{
    struct io_pool *p = &io->pools[kind];
    DASSERT(p->n_free < p->n);
    p->free[p->n_free++] = buffer;
}

static enum err attach(struct io *io, enum io_source source)
{
    /* Sockets need no O_NONBLOCK: every call on them says MSG_DONTWAIT. */
    return source == IO_SOURCE_TUN ? io_set_nonblock(io->fds[source], true) : ERR_OK;
}

static void detach(struct io *io, unsigned sources)
{
    struct epoll_io *e = self(io);
    for (unsigned s = 0; s < IO_SOURCES; s++) {
        if ((sources & 1u << s) && e->interest[s] != 0) {
            set_interest(e, s, 0);
            e->interest[s] = 0;
        }
    }
}

static void tun_write(struct io *io, struct io_frame *frames, unsigned n)
{
    io_tun_write_each(io, frames, n, 0);
}

static void destroy(struct io *io)
{
    struct epoll_io *e = self(io);
    if (e->epoll_fd >= 0)
        close(e->epoll_fd);
    io_fini(io);
    free(e);
}

static const struct io_ops ops = {
    .name = "epoll",
    .destroy = destroy,
    .attach = attach,
    .detach = detach,
    .wait = wait_records,
    .give_back = give_back,
    .tun_write = tun_write,
};

enum err epoll_new(struct io **out, const struct io_config *config)
{
    struct epoll_io *e = calloc(1, sizeof *e);
    if (!e)
        return ERR_NO_MEMORY;
    e->io.ops = &ops;
    e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    enum err err = e->epoll_fd < 0 ? err_from_errno(errno) : ERR_OK;
    if (err != ERR_OK)
        log_error("io", "epoll: %s", strerror(errno));
    enum err common = io_init(&e->io, config);
    if (err == ERR_OK)
        err = common;
    /* Edge-triggered: each wake is one event, and the counter need never be read. */
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u32 = KEY_WAKE};
    if (err == ERR_OK && epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, e->io.wake_fd, &event) != 0) {
        log_error("io", "epoll: %s", strerror(errno));
        err = err_from_errno(errno);
    }
    if (err != ERR_OK) {
        destroy(&e->io);
        return err;
    }
    for (unsigned i = 0; i < READ_BATCH; i++) {
        e->iov[i].iov_len = IO_UDP_MAX;
        e->headers[i].msg_hdr.msg_name = &e->names[i];
        e->headers[i].msg_hdr.msg_iov = &e->iov[i];
        e->headers[i].msg_hdr.msg_iovlen = 1;
        e->headers[i].msg_hdr.msg_control = e->control[i];
    }
    *out = &e->io;
    return ERR_OK;
}
