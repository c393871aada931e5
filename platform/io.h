/* SPDX-License-Identifier: Apache-2.0 */
/*
 * I/O contract: how one worker moves bytes between its TUN queue, its UDP sockets and memory.
 *
 * One `struct io` belongs to one worker thread, which alone calls it (io_wake excepted). Two backends implement it
 * on Linux: io_uring (multishot receives with provided buffers) and epoll (recvmmsg, sendmsg, read, writev). They
 * differ in speed only.
 *
 * Receiving. io_wait fills `struct io_rx` records. Each names a buffer of the backend's fixed pool, which the worker
 * owns until io_rx_give_back. A worker that keeps buffers exerts back-pressure: without a free buffer of a kind the
 * backend stops reading that kind (TUN or UDP) and starts again when one is given back.
 *
 * Sending. UDP datagrams leave strictly in the order of io_udp_send per socket family, also across EAGAIN (the rest
 * of the queue waits for the socket) and across errors. A descriptor and its bytes belong to the backend from
 * io_udp_send until it comes back from io_udp_take_done. TUN frames are written synchronously and in order.
 *
 * Nothing here allocates after io_new.
 */
#ifndef FZ_PLATFORM_IO_H
#define FZ_PLATFORM_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/counter.h"
#include "platform/base/err.h"
#include "platform/base/time.h"

enum io_backend {
    IO_AUTO,
    IO_URING,
    IO_EPOLL
};

enum io_kind {
    IO_RX_TUN,
    IO_RX_UDP
};

enum {
    IO_VNET_LEN = 10,          /* struct virtio_net_hdr before every TUN packet */
    IO_FRAME_MAX = 10 + 65535, /* largest TUN read or write */
    IO_UDP_MAX = 65535,        /* largest GRO receive */
    IO_GSO_SEGMENTS_MAX = 64,  /* UDP_MAX_SEGMENTS of older kernels */
    IO_GSO_BYTES_MAX =
        65535 - 48 /* payload of one GSO send: IP length limit less IPv6 and UDP headers */
};

struct io_config {
    enum io_backend backend;
    unsigned tun_buffers; /* power of two */
    unsigned udp_buffers; /* power of two */
};

/* A received TUN frame or (GRO-coalesced) UDP datagram. */
struct io_rx {
    uint8_t *data;   /* TUN: virtio_net_hdr, then the packet. UDP: payload. Writable, in place. */
    uint32_t len;    /* bytes at data */
    uint16_t buffer; /* id for io_rx_give_back */
    uint8_t kind;    /* enum io_kind */
    uint8_t ecn;     /* UDP: outer ECN bits (0..3) */
    uint16_t
        segment_size; /* UDP: size of each coalesced datagram (the last may be shorter), never 0 */
    struct sock_addr from; /* UDP: sender */
    struct ip_source to;   /* UDP: address and interface the datagram was received on */
};

enum io_result {
    IO_SENT,
    IO_PATH_LOST, /* EINVAL, EADDRNOTAVAIL, ENETUNREACH, EHOSTUNREACH, ENETDOWN, ... also unsegmented */
    IO_TOO_BIG,   /* EMSGSIZE */
    IO_NO_BUFFER, /* ENOBUFS, ENOMEM */
    IO_DENIED,    /* EPERM, EACCES (a firewall) */
    IO_CLOSED,    /* no socket of that family, or it was detached first */
    IO_FAILED     /* anything else */
};

/*
 * One or more equally sized datagrams (the last may be shorter) to one destination: one system call.
 * Filled by the worker; `result` is set before it comes back.
 */
struct io_send {
    uint8_t *data;
    uint32_t len;
    uint16_t segment_size; /* bytes per datagram; >= len means one datagram */
    uint8_t ecn;           /* outer ECN bits */
    uint8_t result;        /* enum io_result */
    struct sock_addr to;
    struct ip_source from; /* family ADDR_NONE and ifindex 0: the kernel chooses */
    void *owner;           /* the worker's */
    struct io_send *next;  /* backend's while queued; then the list of io_udp_take_done */
    uint32_t scratch;      /* backend's */
};

struct iovec; /* <sys/uio.h> */

/* One TUN write: gather list whose first bytes are the virtio_net_hdr. */
struct io_frame {
    const struct iovec *iov;
    uint16_t n_iov;
    int16_t error; /* out: 0 or a positive errno */
};

/* Per-backend statistics; written by the worker, read by any thread with counter_read. */
struct io_stats {
    struct counter syscalls;     /* system calls made */
    struct counter wakeups;      /* returns from a wait that was allowed to block */
    struct counter wakeups_idle; /* of these, with nothing to report */
    struct counter eagain_udp;   /* sends that found the socket full */
    struct counter rx_no_buffer; /* times reading stopped for want of a buffer */
    struct counter rx_truncated; /* datagrams discarded: they, or their ancillary data, were cut */
    struct counter rx_errors;    /* failed reads; reading goes on */
    struct counter gso_retries;  /* segmented sends repeated as single datagrams */
};

struct io;

/*
 * Creates the backend. IO_AUTO takes io_uring if the kernel provides all that is needed, else epoll; the reason of a
 * fall-back is logged once at info. IO_URING fails with ERR_UNSUPPORTED where it is not available or forbidden.
 * Must be called on the worker's own thread (SINGLE_ISSUER).
 */
enum err io_new(struct io **out, const struct io_config *config) MUST_USE;
void io_free(struct io *io);
/* The backend in use, "uring" or "epoll". */
const char *io_name(const struct io *io);
const struct io_stats *io_stats(const struct io *io);

/*
 * Uses the descriptor, which stays the caller's. At most one TUN and one socket per family. read: false for a worker
 * that only writes to a TUN queue that another worker reads (single-queue mode).
 */
enum err io_attach_tun(struct io *io, int fd, bool read) MUST_USE;
enum err io_attach_udp(struct io *io, unsigned family, int fd) MUST_USE;
/*
 * Stops all use of the descriptors: cancels, waits for the final completions, drops registered files. Datagrams that
 * were still queued come back as IO_CLOSED, received ones not yet reported are discarded. On return the caller may
 * close them and the kernel keeps no reference.
 */
void io_detach_udp(struct io *io);
void io_detach_tun(struct io *io);

/*
 * True once, after the device of the TUN queue was taken away (deleted): nothing is read from it any more. io_wait returns for it. A
 * device that is merely down refuses writes, and goes on when it is up again.
 */
bool io_tun_gone(struct io *io);

/*
 * Submits what is queued and collects up to `max` received records. deadline: absolute CLOCK_BOOTTIME time to wait
 * until if there is nothing yet (0: do not wait, TIME_NEVER: no limit). Also returns (0 records) when a send finished,
 * the TUN is gone or io_wake was called. Tun and UDP records each come in the order they were received; neither kind starves the other.
 */
unsigned io_wait(struct io *io, struct io_rx *out, unsigned max, time_ns deadline);
void io_rx_give_back(struct io *io, unsigned kind, uint16_t buffer);

/* Queues a datagram run; io_flush or io_wait starts it. */
void io_udp_send(struct io *io, struct io_send *send);
/* Starts the queued sends; returns without waiting for a full socket. */
void io_flush(struct io *io);
/* The finished sends, in order, as a list linked by `next`; NULL if none. */
struct io_send *io_udp_take_done(struct io *io);
/* Writes n frames in order; each gets its error. The bytes are free on return. n <= 128 per call. */
void io_tun_write(struct io *io, struct io_frame *frames, unsigned n);

/* Makes a running or the next io_wait return. Any thread. */
void io_wake(struct io *io);

#endif
