/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the I/O backends share: the function table, buffer pools, the UDP send path, back-off after failed reads.
 * Private to platform/linux; everything here belongs to the worker that owns the backend.
 *
 * Sends go out by sendmmsg with MSG_DONTWAIT in both backends. A chain of linked io_uring requests would keep the
 * order as well, but each link runs as task work of its own, which measured about one system call and a third more
 * time per datagram; unlinked requests can overtake one that finds the socket full. sendmmsg stops at the first
 * datagram that fails, costs one call per 64 and leaves nothing in flight, so a roam has nothing to cancel.
 */
#ifndef FZ_LINUX_IO_BACKEND_H
#define FZ_LINUX_IO_BACKEND_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/bytes.h"
#include "platform/io.h"
#include "platform/linux/io_spin.h"
#include "platform/linux/udp_msg.h"

/* Descriptors that are read. The UDP entries are also indices of struct io's `tx` plus one. */
enum io_source {
    IO_SOURCE_TUN,
    IO_SOURCE_UDP4,
    IO_SOURCE_UDP6,
    IO_SOURCES
};

enum {
    IO_FAMILIES = 2,
    IO_SEND_BATCH = 64, /* datagrams per sendmmsg */
    IO_AVOID_MAX = 4,
    IO_AVOID_SENDS = 4096, /* sends after which segmentation to a destination is tried again */
    IO_TUN_WRITES_MAX = 128,
    IO_BUFFERS_MAX = 1 << 15 /* of a kind */
};

/*
 * Layout of a buffer, which starts at a multiple of 64.
 *   TUN: the virtio header ends, and the packet begins, at 64.
 *   UDP: io_uring's header (16), sender (32) and ancillary data (128) end, and the payload begins, at 176; so what
 *   follows a WireGuard data header of 16 bytes begins at 192 = 3 * 64.
 */
enum {
    IO_TUN_OFFSET = 64 - IO_VNET_LEN,
    IO_TUN_STRIDE = ALIGN_UP(IO_TUN_OFFSET + IO_FRAME_MAX, 64),
    IO_UDP_OFFSET = 16 + UDP_IN_NAME + UDP_IN_CONTROL,
    IO_UDP_STRIDE = ALIGN_UP(IO_UDP_OFFSET + IO_UDP_MAX, 64)
};

/* Receive buffers of one kind. `free` is a stack, so that recently used (cached) ones come first. */
struct io_pool {
    uint8_t *base;
    size_t size;     /* of the mapping */
    uint32_t stride; /* from one buffer to the next */
    uint32_t offset; /* where data begins in a buffer */
    unsigned n;
    unsigned n_free;
    uint16_t *free;
};

/* Back-off of a descriptor whose reads fail: the first failure is free, then 1, 2, 4 ... 1024 ms. */
struct io_retry {
    unsigned failures; /* in a row */
    time_ns at;        /* not before */
};

/* The send side of one UDP socket. */
struct udp_tx {
    int fd;       /* -1: none */
    bool blocked; /* full; wait for POLLOUT */
    bool retried; /* the head is sent for the second time after a pending error */
    bool gso_off;
    bool gso_worked;
    int split_errno; /* why the head goes as single datagrams, 0 if it does not */
    struct io_send *head, **tail;
    unsigned n_avoid;
    struct {
        struct sock_addr to;
        unsigned sends; /* left */
    } avoid[IO_AVOID_MAX];
};

struct io_ops {
    const char *name;
    void (*destroy)(struct io *io);
    /* io->fds[source] is set before, and reset if it fails. */
    enum err (*attach)(struct io *io, enum io_source source);
    /* sources: attached ones, bits of 1 << enum io_source; io->fds is reset after it. */
    void (*detach)(struct io *io, unsigned sources);
    unsigned (*wait)(struct io *io, struct io_rx *out, unsigned max, time_ns deadline);
    void (*give_back)(struct io *io, unsigned kind, uint16_t buffer);
    void (*tun_write)(struct io *io, struct io_frame *frames, unsigned n);
};

struct io {
    const struct io_ops *ops;
    int wake_fd; /* the one field other threads use */
    int fds[IO_SOURCES];
    bool tun_reads;          /* false: another worker reads this TUN queue */
    bool tun_gone;           /* its device is */
    bool tun_gone_news;      /* which the worker does not know yet */
    struct io_pool pools[2]; /* by enum io_kind */
    struct io_retry retry[IO_SOURCES];
    struct io_spin spin;
    struct udp_tx tx[IO_FAMILIES];
    struct io_send *done_head, **done_tail;
    struct io_stats stats;
    struct mmsghdr batch[IO_SEND_BATCH];
    struct udp_out out[IO_SEND_BATCH];
};

/* Backends. `io` is already initialised by io_init except for `ops`. */
enum err epoll_new(struct io **out, const struct io_config *config) MUST_USE;

enum uring_limit {
    URING_NO_READ_MULTISHOT = 1 /* as on a kernel before 6.7 (tests) */
};
/* limits: enum uring_limit bits. ERR_UNSUPPORTED: `why` then points to the reason, static storage. */
enum err uring_new(struct io **out, const struct io_config *config, unsigned limits,
                   const char **why) MUST_USE;

/* The common part: pools, eventfd, empty queues. io_fini undoes it, also after a failed io_init. */
enum err io_init(struct io *io, const struct io_config *config) MUST_USE;
void io_fini(struct io *io);

static inline unsigned io_kind_of(enum io_source source)
{
    return source == IO_SOURCE_TUN ? IO_RX_TUN : IO_RX_UDP;
}

static inline uint8_t *io_pool_buffer(const struct io_pool *p, unsigned id)
{
    return p->base + (size_t)id * p->stride;
}

static inline void io_count(struct counter *c)
{
    counter_add(c, 1);
}

/* True if the source is attached and read by this worker. */
static inline bool io_is_read(const struct io *io, enum io_source s)
{
    return io->fds[s] >= 0 && (s != IO_SOURCE_TUN || (io->tun_reads && !io->tun_gone));
}

static inline void io_retry_clear(struct io_retry *r)
{
    r->failures = 0;
}

/* Has a descriptor's back-off ended? If not, *until is lowered to its end. */
bool io_retry_due(const struct io_retry *r, time_ns *until);
/* What the worker hears of besides records. */
static inline bool io_has_news(const struct io *io)
{
    return io->done_head || io->tun_gone_news;
}

/* Notes a failed read of the TUN queue: whether it is worth trying again. */
void io_tun_read_failed(struct io *io, int error);
/* Notes a failed read; r->at then says when to try again. */
void io_retry_failed(struct io_retry *r, time_ns now);

enum err io_set_nonblock(int fd, bool on) MUST_USE;

/* Reads TUN frames with read(2), at most `max` and as long as there are free buffers. *drained: EAGAIN was met. */
unsigned io_tun_read(struct io *io, struct io_rx *out, unsigned max, bool *drained);
/* Writes frames with one system call each. flags: RWF_NOWAIT or, if the descriptor itself is non-blocking, 0. */
void io_tun_write_each(struct io *io, struct io_frame *frames, unsigned n, int flags);

/* Sends what is queued for a family until the queue is empty or the socket full (tx->blocked). */
void udp_tx_flush(struct io *io, struct udp_tx *tx);
/* Hands all queued sends back as IO_CLOSED and forgets the socket. */
void udp_tx_close(struct io *io, struct udp_tx *tx);
void udp_tx_open(struct udp_tx *tx, int fd);

#endif
