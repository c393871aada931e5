/* SPDX-License-Identifier: Apache-2.0 */
/* The io_uring backend's running part: arming requests, taking in completions, waiting. */
#include "platform/linux/uring.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "platform/clock.h"

/* ---- buffers ---- */

void uring_provide(struct uring *u, unsigned kind, uint16_t id)
{
    struct io_pool *p = &u->io.pools[kind];
    if (!u->buffers[kind]) {
        p->free[p->n_free++] = id;
        return;
    }
    DASSERT(u->available[kind] < p->n);
    /* io_uring's header of a received message precedes the payload. */
    uint32_t offset = kind == IO_RX_TUN ? p->offset : 0;
    io_uring_buf_ring_add(u->buffers[kind], io_pool_buffer(p, id) + offset, p->stride - offset, id,
                          io_uring_buf_ring_mask(p->n), 0);
    io_uring_buf_ring_advance(u->buffers[kind], 1);
    u->available[kind]++;
}

/* ---- arming ---- */

static void arm_read(struct uring *u, enum io_source s)
{
    struct io_uring_sqe *sqe = uring_sqe(u);
    if (s == IO_SOURCE_TUN) {
        io_uring_prep_read_multishot(sqe, URING_TUN_SLOT, 0, (uint64_t)-1, IO_RX_TUN);
        sqe->flags |= IOSQE_FIXED_FILE;
    } else {
        io_uring_prep_recvmsg_multishot(sqe, u->io.fds[s], &u->recv_template, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = IO_RX_UDP;
    }
    io_uring_sqe_set_data64(sqe, uring_data(TAG_READ, s));
    u->armed |= 1u << (ARMED_READ_SHIFT + s);
}

static void arm_poll(struct uring *u, int fd, unsigned events, uint64_t data, unsigned bit)
{
    struct io_uring_sqe *sqe = uring_sqe(u);
    io_uring_prep_poll_add(sqe, fd, events);
    io_uring_sqe_set_data64(sqe, data);
    u->armed |= bit;
}

static void arm_wake(struct uring *u)
{
    struct io_uring_sqe *sqe = uring_sqe(u);
    /* Each write to the eventfd completes once; its counter is never read. */
    io_uring_prep_poll_multishot(sqe, u->io.wake_fd, POLLIN);
    io_uring_sqe_set_data64(sqe, uring_data(TAG_WAKE, 0));
    u->armed |= ARMED_WAKE;
}

static void arm_tun_direct(struct uring *u, time_ns *until)
{
    if (!io_retry_due(&u->io.retry[IO_SOURCE_TUN], until)) {
        u->tun_ready = false;
        return;
    }
    if (!u->tun_ready && !(u->armed & ARMED_TUN_POLL) && u->io.pools[IO_RX_TUN].n_free > 0)
        arm_poll(u, u->io.fds[IO_SOURCE_TUN], POLLIN, uring_data(TAG_TUN_POLL, 0), ARMED_TUN_POLL);
}

/* Arms what should be in flight and is not. Lowers *until to the end of a back-off. */
static void arm(struct uring *u, time_ns *until)
{
    struct io *io = &u->io;

    if (UNLIKELY(!(u->armed & ARMED_WAKE)))
        arm_wake(u);
    for (unsigned s = 0; s < IO_SOURCES; s++) {
        if (!io_is_read(io, s) || (u->armed & 1u << (ARMED_READ_SHIFT + s)))
            continue;
        if (s == IO_SOURCE_TUN && u->tun_direct)
            arm_tun_direct(u, until);
        else if (u->available[io_kind_of(s)] > 0 && io_retry_due(&io->retry[s], until))
            arm_read(u, s);
    }
    for (unsigned f = 0; f < IO_FAMILIES; f++) {
        unsigned bit = 1u << (ARMED_WRITABLE_SHIFT + f);
        if (UNLIKELY(io->tx[f].blocked) && !(u->armed & bit))
            arm_poll(u, io->tx[f].fd, POLLOUT, uring_data(TAG_WRITABLE, f), bit);
    }
}

/* ---- completions ---- */

/* A receive ended without data. ENOBUFS is no fault, but met again and again it must not become a busy loop. */
static void read_failed(struct uring *u, enum io_source s, int error)
{
    struct io_retry *retry = &u->io.retry[s];

    if (error == ECANCELED)
        return;
    if (error != ENOBUFS && s == IO_SOURCE_TUN) {
        io_tun_read_failed(&u->io, error);
        return;
    }
    if (error != ENOBUFS) {
        io_count(&u->io.stats.rx_errors);
        io_retry_failed(retry, clock_now());
        return;
    }
    io_count(&u->io.stats.rx_no_buffer);
    if (u->available[io_kind_of(s)] == 0)
        return; /* armed again when one is given back */
    if (retry->failures > 1)
        retry->failures = 1;
    io_retry_failed(retry, clock_now());
}

/* Describes what a multishot receive of `len` bytes left in buffer `id`; false if it cannot be used. */
static bool make_record(struct uring *u, unsigned kind, uint16_t id, uint32_t len, struct io_rx *rx)
{
    struct io_pool *p = &u->io.pools[kind];
    uint8_t *buffer = io_pool_buffer(p, id);

    rx->data = buffer + p->offset;
    rx->buffer = id;
    rx->kind = (uint8_t)kind;
    if (kind == IO_RX_TUN) {
        rx->len = len;
        return len >= IO_VNET_LEN;
    }
    const struct io_uring_recvmsg_out *head = (const void *)buffer;
    const uint8_t *name = buffer + sizeof *head;
    if (UNLIKELY(len < IO_UDP_OFFSET))
        return false;
    rx->len = len - IO_UDP_OFFSET;
    struct udp_in in = {(const void *)name, name + UDP_IN_NAME, head->controllen, (int)head->flags};
    return head->controllen <= UDP_IN_CONTROL && udp_msg_parse(rx, &in);
}

/* A completion of a multishot receive. True if it made a record in *rx. */
static bool take_read(struct uring *u, enum io_source s, const struct io_uring_cqe *cqe,
                      struct io_rx *rx)
{
    unsigned kind = io_kind_of(s);
    uint16_t id = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);

    if (!(cqe->flags & IORING_CQE_F_MORE))
        u->armed &= ~(1u << (ARMED_READ_SHIFT + s));
    if (cqe->flags & IORING_CQE_F_BUFFER)
        u->available[kind]--;
    if (cqe->res < 0)
        read_failed(u, s, -cqe->res);
    if (!(cqe->flags & IORING_CQE_F_BUFFER))
        return false;
    if (LIKELY(cqe->res >= 0 && !u->discard[kind])) {
        io_retry_clear(&u->io.retry[s]);
        if (LIKELY(make_record(u, kind, id, (uint32_t)cqe->res, rx)))
            return true;
        io_count(&u->io.stats.rx_truncated);
    }
    uring_provide(u, kind, id);
    return false;
}

/* Takes in one completion. True if it made a record in *rx. */
static bool take(struct uring *u, const struct io_uring_cqe *cqe, struct io_rx *rx)
{
    unsigned index = (unsigned)(cqe->user_data >> 8);

    switch ((enum uring_tag)(cqe->user_data & 0xff)) {
    case TAG_READ:
        return take_read(u, index, cqe, rx);
    case TAG_WAKE:
        u->woken = true;
        if (!(cqe->flags & IORING_CQE_F_MORE))
            u->armed &= ~(unsigned)ARMED_WAKE;
        break;
    case TAG_TUN_POLL:
        u->armed &= ~(unsigned)ARMED_TUN_POLL;
        u->tun_ready = true;
        break;
    case TAG_WRITABLE:
        u->armed &= ~(1u << (ARMED_WRITABLE_SHIFT + index));
        u->io.tx[index].blocked = false;
        break;
    case TAG_WRITE:
        u->frames[index].error = cqe->res < 0 ? (int16_t)-cqe->res : 0;
        u->writes--;
        break;
    case TAG_CANCEL:
        u->cancels--;
        break;
    }
    return false;
}

/* Takes in completions until the ring is empty or `max` records are made. */
static unsigned reap(struct uring *u, struct io_rx *out, unsigned max)
{
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0, n = 0;

    io_uring_for_each_cqe(&u->ring, head, cqe)
    {
        if (n == max)
            break;
        seen++;
        n += take(u, cqe, &out[n]);
    }
    io_uring_cq_advance(&u->ring, seen);
    return n;
}

/* The same outside of io_wait: records are kept for it. */
void uring_reap(struct uring *u)
{
    unsigned room = u->io.pools[0].n + u->io.pools[1].n;
    if (u->kept_head == u->kept_tail)
        u->kept_head = u->kept_tail = 0;
    if (u->kept_head > 0 && io_uring_cq_ready(&u->ring) > room - u->kept_tail) {
        memmove(u->kept, u->kept + u->kept_head, (u->kept_tail - u->kept_head) * sizeof *u->kept);
        u->kept_tail -= u->kept_head;
        u->kept_head = 0;
    }
    u->kept_tail += reap(u, u->kept + u->kept_tail, UINT32_MAX);
    DASSERT(u->kept_tail <= room);
}

static unsigned take_kept(struct uring *u, struct io_rx *out, unsigned max)
{
    unsigned n = u->kept_tail - u->kept_head;
    if (n > max)
        n = max;
    memcpy(out, u->kept + u->kept_head, n * sizeof *out);
    u->kept_head += n;
    return n;
}

/* Forgets kept records of a kind; the order of the others stays. */
void uring_drop_kept(struct uring *u, unsigned kind)
{
    unsigned to = u->kept_head;
    for (unsigned i = u->kept_head; i < u->kept_tail; i++) {
        if (u->kept[i].kind == kind)
            uring_provide(u, kind, u->kept[i].buffer);
        else
            u->kept[to++] = u->kept[i];
    }
    u->kept_tail = to;
}

/* ---- waiting ---- */

/* Is there something that the kernel can only do while this thread is in it? */
static bool kernel_has_work(struct uring *u)
{
    return IO_URING_READ_ONCE(*u->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* Submits, runs deferred work and, with until != 0, waits for a completion at most until then. */
static void enter(struct uring *u, time_ns until)
{
    struct io_uring_cqe *cqe;
    struct __kernel_timespec ts;

    if (until == 0) {
        /* Nothing to submit and nothing the kernel wants to run: the call would only cost. */
        if (io_uring_sq_ready(&u->ring) == 0 && !kernel_has_work(u))
            return;
        io_count(&u->io.stats.syscalls);
        io_uring_submit_and_get_events(&u->ring);
        return;
    }
    io_count(&u->io.stats.syscalls);
    if (until == TIME_NEVER) {
        io_uring_submit_and_wait(&u->ring, 1);
        return;
    }
    time_ns left = time_since(until, clock_now());
    ts.tv_sec = (int64_t)(left / NS_PER_SEC);
    ts.tv_nsec = (int64_t)(left % NS_PER_SEC);
    io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &ts, NULL);
}

static bool pending(struct uring *u)
{
    return io_uring_cq_ready(&u->ring) > 0 || kernel_has_work(u);
}

/* As enter, but looks for a moment before it sleeps, if that is likely to pay. */
static void enter_and_block(struct uring *u, time_ns until)
{
    time_ns look_until = io_spin_begin(&u->io.spin, until);
    if (look_until > 0) {
        enter(u, 0);
        while (!pending(u) && io_spin_again(look_until))
            ;
        if (pending(u))
            until = 0;
    }
    enter(u, until);
}

/* Direct mode: reads frames if there may be any, so that half of `max` stays for UDP. */
static unsigned read_direct(struct uring *u, struct io_rx *out, unsigned max)
{
    bool drained;
    if (!u->tun_ready || max == 0)
        return 0;
    unsigned n = io_tun_read(&u->io, out, max, &drained);
    if (n > 0 && u->io.pools[IO_RX_TUN].n_free == 0)
        io_count(&u->io.stats.rx_no_buffer);
    if (drained || u->io.tun_gone || u->io.retry[IO_SOURCE_TUN].failures > 0)
        u->tun_ready = false;
    return n;
}

/* Everything there is to report without a system call for completions. */
static unsigned collect(struct uring *u, struct io_rx *out, unsigned max)
{
    unsigned n = take_kept(u, out, max);
    n += read_direct(u, out + n, (max - n + 1) / 2);
    n += reap(u, out + n, max - n);
    n += read_direct(u, out + n, max - n);
    return n;
}

unsigned uring_wait(struct io *io, struct io_rx *out, unsigned max, time_ns deadline)
{
    struct uring *u = uring_of(io);
    time_ns until = 0;

    if (u->tun_ready) { /* frames can be had without entering the kernel; datagrams cannot */
        arm(u, &until);
        enter(u, 0);
    }
    unsigned n = collect(u, out, max);
    while (n == 0) {
        until = deadline;
        io_flush(io); /* of a socket found writable */
        arm(u, &until);
        bool block = deadline != 0 && !u->woken && !io_has_news(io) &&
                     !(u->tun_ready && io->pools[IO_RX_TUN].n_free > 0);
        if (block)
            enter_and_block(u, until);
        else
            enter(u, 0);
        n = collect(u, out, max);
        io_flush(io);
        if (block) {
            io_count(&io->stats.wakeups);
            if (n == 0 && !u->woken && !io_has_news(io))
                io_count(&io->stats.wakeups_idle);
        }
        if (deadline == 0 || u->woken || io_has_news(io) ||
            (deadline != TIME_NEVER && clock_now() >= deadline))
            break;
    }
    u->woken = false;
    io_spin_end(&io->spin, out, n);
    return n;
}
