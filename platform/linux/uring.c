/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The io_uring backend: set-up, attach and detach, and the completion loop.
 *
 * Receives are multishot requests that draw from a ring of provided buffers per kind; a multishot request lives until
 * the kernel says otherwise (no buffer, an error, cancelled) and is armed again by the next io_wait. TUN writes are
 * non-blocking requests, so the kernel runs them within the call that submits them. Datagrams leave by sendmmsg, see
 * io_backend.h; the ring only waits for a full socket to drain.
 *
 * With DEFER_TASKRUN completions appear only while this thread is inside io_uring_enter. Completions that come up in
 * io_tun_write or a detach are kept as records in `kept`; their number is bounded by the number of buffers, since
 * each holds one.
 *
 * The TUN queue is a registered file (a write then takes no reference), the sockets are not: closing one must
 * free the port at once.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "platform/base/log.h"
#include "platform/clock.h"
#include "platform/linux/io_backend.h"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

enum {
    SQ_ENTRIES = 256, /* 128 TUN writes and what else is armed */
    TUN_SLOT = 0      /* registered file */
};

/* What a completion belongs to: user_data is tag | index << 8. */
enum tag {
    TAG_WAKE,
    TAG_READ,     /* index: source; multishot receive */
    TAG_TUN_POLL, /* read side without multishot reads */
    TAG_WRITABLE, /* index: family */
    TAG_WRITE,    /* index: frame */
    TAG_CANCEL
};

struct uring {
    struct io io;
    struct io_uring ring;
    struct io_uring_buf_ring *buffers[2]; /* by kind; NULL: the pool's own stack is used */
    unsigned available[2];                /* provided and, as far as completions tell, unused */
    unsigned armed;                       /* requests in flight: bits of armed_bit */
    unsigned cancels;                     /* cancel requests in flight */
    bool read_multishot;                  /* the kernel has it */
    bool tun_direct;                      /* TUN by poll, read and writev */
    bool tun_ready;                       /* tun_direct: may have something to read */
    bool woken;
    bool discard[2]; /* by kind: detaching, records go back to the pool */
    struct msghdr recv_template;
    struct io_frame *frames; /* of the running io_tun_write */
    unsigned writes;         /* of these, not completed */
    struct io_rx *kept;      /* FIFO: kept[kept_head .. kept_tail) */
    unsigned kept_head, kept_tail;
};

static struct uring *self(struct io *io)
{
    return CONTAINER_OF(io, struct uring, io);
}

static uint64_t user_data(enum tag tag, unsigned index)
{
    return (uint64_t)tag | (uint64_t)index << 8;
}

enum {
    ARMED_WAKE = 1,
    ARMED_TUN_POLL = 2,
    ARMED_READ_SHIFT = 8,     /* + source */
    ARMED_WRITABLE_SHIFT = 16 /* + family */
};

static struct io_uring_sqe *get_sqe(struct uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    while (UNLIKELY(!sqe)) {
        io_uring_submit(&u->ring);
        io_count(&u->io.stats.syscalls);
        sqe = io_uring_get_sqe(&u->ring);
    }
    return sqe;
}

/* ---- buffers ---- */

static void provide(struct uring *u, unsigned kind, uint16_t id)
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

static void give_back(struct io *io, unsigned kind, uint16_t buffer)
{
    provide(self(io), kind, buffer);
}

static size_t buf_ring_size(const struct io_pool *p)
{
    return p->n * sizeof(struct io_uring_buf);
}

/* Moves the pool's buffers to a ring that the kernel takes them from. */
static bool provide_all(struct uring *u, unsigned kind)
{
    struct io_pool *p = &u->io.pools[kind];
    struct io_uring_buf_reg reg = {.ring_entries = p->n, .bgid = (uint16_t)kind};
    void *ring =
        mmap(NULL, buf_ring_size(p), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (ring == MAP_FAILED)
        return false;
    reg.ring_addr = (uintptr_t)ring;
    if (io_uring_register_buf_ring(&u->ring, &reg, 0) < 0) {
        munmap(ring, buf_ring_size(p));
        return false;
    }
    u->buffers[kind] = ring;
    io_uring_buf_ring_init(u->buffers[kind]);
    while (p->n_free > 0)
        provide(u, kind, p->free[--p->n_free]);
    return true;
}

/* ---- arming ---- */

static void arm_read(struct uring *u, enum io_source s)
{
    struct io_uring_sqe *sqe = get_sqe(u);
    if (s == IO_SOURCE_TUN) {
        io_uring_prep_read_multishot(sqe, TUN_SLOT, 0, (uint64_t)-1, IO_RX_TUN);
        sqe->flags |= IOSQE_FIXED_FILE;
    } else {
        io_uring_prep_recvmsg_multishot(sqe, u->io.fds[s], &u->recv_template, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = IO_RX_UDP;
    }
    io_uring_sqe_set_data64(sqe, user_data(TAG_READ, s));
    u->armed |= 1u << (ARMED_READ_SHIFT + s);
}

static void arm_poll(struct uring *u, int fd, unsigned events, uint64_t data, unsigned bit)
{
    struct io_uring_sqe *sqe = get_sqe(u);
    io_uring_prep_poll_add(sqe, fd, events);
    io_uring_sqe_set_data64(sqe, data);
    u->armed |= bit;
}

static void arm_wake(struct uring *u)
{
    struct io_uring_sqe *sqe = get_sqe(u);
    /* Each write to the eventfd completes once; its counter is never read. */
    io_uring_prep_poll_multishot(sqe, u->io.wake_fd, POLLIN);
    io_uring_sqe_set_data64(sqe, user_data(TAG_WAKE, 0));
    u->armed |= ARMED_WAKE;
}

static void arm_tun_direct(struct uring *u, time_ns *until)
{
    if (!io_retry_due(&u->io.retry[IO_SOURCE_TUN], until)) {
        u->tun_ready = false;
        return;
    }
    if (!u->tun_ready && !(u->armed & ARMED_TUN_POLL) && u->io.pools[IO_RX_TUN].n_free > 0)
        arm_poll(u, u->io.fds[IO_SOURCE_TUN], POLLIN, user_data(TAG_TUN_POLL, 0), ARMED_TUN_POLL);
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
            arm_poll(u, io->tx[f].fd, POLLOUT, user_data(TAG_WRITABLE, f), bit);
    }
}

/* ---- completions ---- */

/* A receive ended without data. ENOBUFS is no fault, but met again and again it must not become a busy loop. */
static void read_failed(struct uring *u, enum io_source s, int error)
{
    struct io_retry *retry = &u->io.retry[s];

    if (error == ECANCELED)
        return;
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
    provide(u, kind, id);
    return false;
}

/* Takes in one completion. True if it made a record in *rx. */
static bool take(struct uring *u, const struct io_uring_cqe *cqe, struct io_rx *rx)
{
    unsigned index = (unsigned)(cqe->user_data >> 8);

    switch ((enum tag)(cqe->user_data & 0xff)) {
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
static void reap_kept(struct uring *u)
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
static void drop_kept(struct uring *u, unsigned kind)
{
    unsigned to = u->kept_head;
    for (unsigned i = u->kept_head; i < u->kept_tail; i++) {
        if (u->kept[i].kind == kind)
            provide(u, kind, u->kept[i].buffer);
        else
            u->kept[to++] = u->kept[i];
    }
    u->kept_tail = to;
}

/* ---- waiting ---- */

/* Submits, runs deferred work and, with until != 0, waits for a completion at most until then. */
static void enter(struct uring *u, time_ns until)
{
    struct io_uring_cqe *cqe;
    struct __kernel_timespec ts;

    if (until == 0) {
        /* Nothing to submit and nothing the kernel wants to run: the call would only cost. */
        if (io_uring_sq_ready(&u->ring) == 0 &&
            !(IO_URING_READ_ONCE(*u->ring.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)))
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

/* Direct mode: reads frames if there may be any, so that half of `max` stays for UDP. */
static unsigned read_direct(struct uring *u, struct io_rx *out, unsigned max)
{
    bool drained;
    if (!u->tun_ready || max == 0)
        return 0;
    unsigned n = io_tun_read(&u->io, out, max, &drained);
    if (n > 0 && u->io.pools[IO_RX_TUN].n_free == 0)
        io_count(&u->io.stats.rx_no_buffer);
    if (drained || u->io.retry[IO_SOURCE_TUN].failures > 0)
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

static unsigned wait_records(struct io *io, struct io_rx *out, unsigned max, time_ns deadline)
{
    struct uring *u = self(io);
    unsigned n = collect(u, out, max);
    bool block = n == 0 && deadline != 0;

    while (n == 0) {
        time_ns until = deadline;
        io_flush(io); /* of a socket found writable */
        arm(u, &until);
        block = deadline != 0 && !u->woken && !io->done_head &&
                !(u->tun_ready && io->pools[IO_RX_TUN].n_free > 0);
        enter(u, block ? until : 0);
        n = collect(u, out, max);
        io_flush(io);
        if (block) {
            io_count(&io->stats.wakeups);
            if (n == 0 && !u->woken && !io->done_head)
                io_count(&io->stats.wakeups_idle);
        }
        if (deadline == 0 || u->woken || io->done_head ||
            (deadline != TIME_NEVER && clock_now() >= deadline))
            break;
    }
    u->woken = false;
    return n;
}

/* ---- TUN writes ---- */

static void tun_write(struct io *io, struct io_frame *frames, unsigned n)
{
    struct uring *u = self(io);

    if (u->tun_direct || n == 1) {
        io_tun_write_each(io, frames, n, u->tun_direct ? 0 : RWF_NOWAIT);
        return;
    }
    u->frames = frames;
    u->writes = n;
    for (unsigned i = 0; i < n; i++) {
        struct io_uring_sqe *sqe = get_sqe(u);
        io_uring_prep_writev(sqe, TUN_SLOT, frames[i].iov, frames[i].n_iov, (uint64_t)-1);
        sqe->rw_flags = RWF_NOWAIT;
        sqe->flags |= IOSQE_FIXED_FILE;
        io_uring_sqe_set_data64(sqe, user_data(TAG_WRITE, i));
    }
    io_count(&io->stats.syscalls);
    io_uring_submit(&u->ring);
    reap_kept(u);
    /* Failed requests complete by task work: ask for that. */
    while (UNLIKELY(u->writes > 0)) {
        io_count(&io->stats.syscalls);
        io_uring_submit_and_wait(&u->ring, 1);
        reap_kept(u);
    }
}

/* ---- attach, detach ---- */

/* Does the descriptor support non-blocking writes? One byte is no frame: EINVAL if so, EOPNOTSUPP if not. */
static bool tun_has_nowait(int fd)
{
    uint8_t byte = 0;
    struct iovec iov = {&byte, 1};
    return pwritev2(fd, &iov, 1, -1, RWF_NOWAIT) < 0 && errno != EOPNOTSUPP && errno != ENOSYS;
}

static enum err attach_tun(struct uring *u, int fd)
{
    u->tun_direct = !u->read_multishot || !tun_has_nowait(fd);
    u->tun_ready = false;
    if (u->tun_direct && u->buffers[IO_RX_TUN])
        return ERR_UNSUPPORTED; /* unlike the TUN before it */
    enum err e = io_set_nonblock(fd, u->tun_direct);
    if (e != ERR_OK || u->tun_direct)
        return e;
    int rc = io_uring_register_files_update(&u->ring, TUN_SLOT, &fd, 1);
    if (rc < 0) {
        log_error("io", "io_uring does not take the TUN descriptor: %s", strerror(-rc));
        return err_from_errno(-rc);
    }
    return u->buffers[IO_RX_TUN] || provide_all(u, IO_RX_TUN) ? ERR_OK : ERR_NO_MEMORY;
}

static enum err attach(struct io *io, enum io_source source)
{
    int fd = io->fds[source];
    /* On a non-blocking descriptor the kernel answers EAGAIN instead of waiting for data. */
    return source == IO_SOURCE_TUN ? attach_tun(self(io), fd) : io_set_nonblock(fd, false);
}

static void cancel(struct uring *u, uint64_t data)
{
    struct io_uring_sqe *sqe = get_sqe(u);
    io_uring_prep_cancel64(sqe, data, 0);
    io_uring_sqe_set_data64(sqe, user_data(TAG_CANCEL, 0));
    u->cancels++;
}

/* Cancels a source's requests; returns their bits of `armed`. */
static unsigned cancel_source(struct uring *u, enum io_source s)
{
    unsigned bits = 0;
    if (u->armed & 1u << (ARMED_READ_SHIFT + s)) {
        cancel(u, user_data(TAG_READ, s));
        bits |= 1u << (ARMED_READ_SHIFT + s);
    }
    if (s == IO_SOURCE_TUN) {
        if (u->armed & ARMED_TUN_POLL) {
            cancel(u, user_data(TAG_TUN_POLL, 0));
            bits |= ARMED_TUN_POLL;
        }
        return bits;
    }
    unsigned f = s - IO_SOURCE_UDP4;
    if (u->armed & 1u << (ARMED_WRITABLE_SHIFT + f)) {
        cancel(u, user_data(TAG_WRITABLE, f));
        bits |= 1u << (ARMED_WRITABLE_SHIFT + f);
    }
    return bits;
}

static void detach(struct io *io, unsigned sources)
{
    struct uring *u = self(io);
    unsigned bits = 0;
    int none = -1;

    for (unsigned s = 0; s < IO_SOURCES; s++) {
        if (sources & 1u << s) {
            bits |= cancel_source(u, s);
            u->discard[io_kind_of(s)] = true;
        }
    }
    reap_kept(u);
    while (u->cancels > 0 || (u->armed & bits) != 0) {
        io_count(&io->stats.syscalls);
        io_uring_submit_and_wait(&u->ring, 1);
        reap_kept(u);
    }
    for (unsigned kind = 0; kind < ARRAY_LEN(u->discard); kind++) {
        if (u->discard[kind])
            drop_kept(u, kind);
        u->discard[kind] = false;
    }
    if (sources & 1u << IO_SOURCE_TUN) {
        u->tun_ready = false;
        if (!u->tun_direct)
            io_uring_register_files_update(&u->ring, TUN_SLOT, &none, 1);
    }
}

/* ---- life ---- */

static void destroy(struct io *io)
{
    struct uring *u = self(io);
    /* Not by unregistering: that is for the worker's thread only, and this may be another. */
    if (u->ring.ring_fd > 0)
        io_uring_queue_exit(&u->ring);
    for (unsigned kind = 0; kind < ARRAY_LEN(u->buffers); kind++)
        if (u->buffers[kind])
            munmap(u->buffers[kind], buf_ring_size(&io->pools[kind]));
    io_fini(io);
    free(u->kept);
    free(u);
}

static const struct io_ops ops = {
    .name = "uring",
    .destroy = destroy,
    .attach = attach,
    .detach = detach,
    .wait = wait_records,
    .give_back = give_back,
    .tun_write = tun_write,
};

static const char *setup_reason(int error)
{
    switch (error) {
    case EPERM:
    case EACCES:
        return "forbidden by a seccomp filter, a container or kernel.io_uring_disabled";
    case ENOSYS:
        return "the kernel has none";
    case EINVAL:
        return "the kernel is older than 6.1";
    case ENOMEM:
        return "no memory for its rings, see ulimit -l";
    case EMFILE:
    case ENFILE:
        return "too many open files";
    }
    return strerror(error);
}

/* The ring itself. NULL or why it cannot be had. */
static const char *open_ring(struct uring *u, const struct io_config *config)
{
    struct io_uring_params params = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                 IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE |
                 IORING_SETUP_CLAMP,
        /* Every record holds a buffer, so this cannot overflow. The kernel rounds up. */
        .cq_entries = config->tun_buffers + config->udp_buffers + 2 * SQ_ENTRIES,
    };
    int rc = io_uring_queue_init_params(SQ_ENTRIES, &u->ring, &params);
    if (rc < 0) {
        memset(&u->ring, 0, sizeof u->ring);
        return setup_reason(-rc);
    }
    if (!(params.features & IORING_FEAT_EXT_ARG) || !(params.features & IORING_FEAT_NODROP))
        return "the kernel is older than 6.1";
    if (io_uring_register_files_sparse(&u->ring, TUN_SLOT + 1) < 0)
        return "registered files are refused";
    if (!provide_all(u, IO_RX_UDP))
        return "provided buffers are refused";
    /* Two improvements that may be missing: a cheaper enter, and time-outs that count suspend. */
    struct io_uring_clock_register clock = {.clockid = CLOCK_BOOTTIME};
    (void)io_uring_register_ring_fd(&u->ring);
    (void)io_uring_register_clock(&u->ring, &clock);
    struct io_uring_probe *probe = io_uring_get_probe_ring(&u->ring);
    u->read_multishot = probe && io_uring_opcode_supported(probe, IORING_OP_READ_MULTISHOT);
    io_uring_free_probe(probe);
    return NULL;
}

enum err uring_new(struct io **out, const struct io_config *config, unsigned limits,
                   const char **why)
{
    struct uring *u = calloc(1, sizeof *u);
    if (!u)
        return ERR_NO_MEMORY;
    u->io.ops = &ops;
    u->recv_template =
        (struct msghdr){.msg_namelen = UDP_IN_NAME, .msg_controllen = UDP_IN_CONTROL};
    u->kept = calloc(config->tun_buffers + config->udp_buffers, sizeof *u->kept);
    enum err e = io_init(&u->io, config);
    if (e == ERR_OK && !u->kept)
        e = ERR_NO_MEMORY;
    if (e == ERR_OK) {
        *why = open_ring(u, config);
        if (*why)
            e = ERR_UNSUPPORTED;
    }
    if (e != ERR_OK) {
        destroy(&u->io);
        return e;
    }
    if (limits & URING_NO_READ_MULTISHOT)
        u->read_multishot = false;
    *out = &u->io;
    return ERR_OK;
}
