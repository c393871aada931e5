/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The io_uring backend's state. uring.c: set-up, attach and detach, TUN writes; uring_wait.c: what is armed, what
 * completes, waiting.
 *
 * Receives are multishot requests that draw from a ring of provided buffers per kind; a multishot request lives until
 * the kernel says otherwise (no buffer, an error, cancelled) and is armed again by the next io_wait. TUN writes are
 * non-blocking requests, so the kernel runs them within the call that submits them. Datagrams leave by sendmmsg, see
 * io_backend.h; the ring only waits for a full socket to drain.
 *
 * With DEFER_TASKRUN completions appear only while the worker is inside io_uring_enter. Completions that come up in
 * io_tun_write or a detach are kept as records in `kept`; their number is bounded by the number of buffers, since
 * each holds one.
 *
 * The TUN queue is a registered file (a write then takes no reference), the sockets are not: closing one must
 * free the port at once.
 */
#ifndef FZ_LINUX_URING_H
#define FZ_LINUX_URING_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "platform/linux/io_backend.h"

enum {
    URING_SQ_ENTRIES = 256, /* 128 TUN writes and what else is armed */
    URING_TUN_SLOT = 0      /* registered file */
};

/* What a completion belongs to: user_data is tag | index << 8. */
enum uring_tag {
    TAG_WAKE,
    TAG_READ,     /* index: source; multishot receive */
    TAG_TUN_POLL, /* read side without multishot reads */
    TAG_WRITABLE, /* index: family */
    TAG_WRITE,    /* index: frame */
    TAG_CANCEL
};

/* Requests in flight, bits of `armed`. */
enum {
    ARMED_WAKE = 1,
    ARMED_TUN_POLL = 2,
    ARMED_READ_SHIFT = 8,     /* + source */
    ARMED_WRITABLE_SHIFT = 16 /* + family */
};

struct uring {
    struct io io;
    struct io_uring ring;
    struct io_uring_buf_ring *buffers[2]; /* by kind; NULL: the pool's own stack is used */
    unsigned available[2];                /* provided and, as far as completions tell, unused */
    unsigned armed;                       /* requests in flight */
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

static inline struct uring *uring_of(struct io *io)
{
    return CONTAINER_OF(io, struct uring, io);
}

static inline uint64_t uring_data(enum uring_tag tag, unsigned index)
{
    return (uint64_t)tag | (uint64_t)index << 8;
}

/* A free submission entry. */
static inline struct io_uring_sqe *uring_sqe(struct uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    while (UNLIKELY(!sqe)) {
        io_uring_submit(&u->ring);
        io_count(&u->io.stats.syscalls);
        sqe = io_uring_get_sqe(&u->ring);
    }
    return sqe;
}

/* Gives a buffer to the kernel, or to the pool's stack where frames are read directly. */
void uring_provide(struct uring *u, unsigned kind, uint16_t id);
/* Takes in completions outside of io_wait; records are kept for it. */
void uring_reap(struct uring *u);
/* Forgets kept records of a kind; the order of the others stays. */
void uring_drop_kept(struct uring *u, unsigned kind);
/* The wait of struct io_ops. */
unsigned uring_wait(struct io *io, struct io_rx *out, unsigned max, time_ns deadline);

#endif
