/* SPDX-License-Identifier: Apache-2.0 */
/* The io_uring backend: the ring and its buffers, attach and detach, TUN writes. See uring.h. */
#include "platform/linux/uring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>

#include "platform/base/log.h"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

/* ---- buffers ---- */

static void give_back(struct io *io, unsigned kind, uint16_t buffer)
{
    uring_provide(uring_of(io), kind, buffer);
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
        uring_provide(u, kind, p->free[--p->n_free]);
    return true;
}

/* ---- TUN writes ---- */

static void tun_write(struct io *io, struct io_frame *frames, unsigned n)
{
    struct uring *u = uring_of(io);

    if (u->tun_direct || n == 1) {
        io_tun_write_each(io, frames, n, u->tun_direct ? 0 : RWF_NOWAIT);
        return;
    }
    u->frames = frames;
    u->writes = n;
    for (unsigned i = 0; i < n; i++) {
        struct io_uring_sqe *sqe = uring_sqe(u);
        io_uring_prep_writev(sqe, URING_TUN_SLOT, frames[i].iov, frames[i].n_iov, (uint64_t)-1);
        sqe->rw_flags = RWF_NOWAIT;
        sqe->flags |= IOSQE_FIXED_FILE;
        io_uring_sqe_set_data64(sqe, uring_data(TAG_WRITE, i));
    }
    io_count(&io->stats.syscalls);
    io_uring_submit(&u->ring);
    uring_reap(u);
    /* Failed requests complete by task work: ask for that. */
    while (UNLIKELY(u->writes > 0)) {
        io_count(&io->stats.syscalls);
        io_uring_submit_and_wait(&u->ring, 1);
        uring_reap(u);
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
    int rc = io_uring_register_files_update(&u->ring, URING_TUN_SLOT, &fd, 1);
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
    return source == IO_SOURCE_TUN ? attach_tun(uring_of(io), fd) : io_set_nonblock(fd, false);
}

static void cancel(struct uring *u, uint64_t data)
{
    struct io_uring_sqe *sqe = uring_sqe(u);
    io_uring_prep_cancel64(sqe, data, 0);
    io_uring_sqe_set_data64(sqe, uring_data(TAG_CANCEL, 0));
    u->cancels++;
}

/* Cancels a source's requests; returns their bits of `armed`. */
static unsigned cancel_source(struct uring *u, enum io_source s)
{
    unsigned bits = 0;
    if (u->armed & 1u << (ARMED_READ_SHIFT + s)) {
        cancel(u, uring_data(TAG_READ, s));
        bits |= 1u << (ARMED_READ_SHIFT + s);
    }
    if (s == IO_SOURCE_TUN) {
        if (u->armed & ARMED_TUN_POLL) {
            cancel(u, uring_data(TAG_TUN_POLL, 0));
            bits |= ARMED_TUN_POLL;
        }
        return bits;
    }
    unsigned f = s - IO_SOURCE_UDP4;
    if (u->armed & 1u << (ARMED_WRITABLE_SHIFT + f)) {
        cancel(u, uring_data(TAG_WRITABLE, f));
        bits |= 1u << (ARMED_WRITABLE_SHIFT + f);
    }
    return bits;
}

static void detach(struct io *io, unsigned sources)
{
    struct uring *u = uring_of(io);
    unsigned bits = 0;
    int none = -1;

    for (unsigned s = 0; s < IO_SOURCES; s++) {
        if (sources & 1u << s) {
            bits |= cancel_source(u, s);
            u->discard[io_kind_of(s)] = true;
        }
    }
    uring_reap(u);
    while (u->cancels > 0 || (u->armed & bits) != 0) {
        io_count(&io->stats.syscalls);
        io_uring_submit_and_wait(&u->ring, 1);
        uring_reap(u);
    }
    for (unsigned kind = 0; kind < ARRAY_LEN(u->discard); kind++) {
        if (u->discard[kind])
            uring_drop_kept(u, kind);
        u->discard[kind] = false;
    }
    if (sources & 1u << IO_SOURCE_TUN) {
        u->tun_ready = false;
        if (!u->tun_direct)
            io_uring_register_files_update(&u->ring, URING_TUN_SLOT, &none, 1);
    }
}

/* ---- life ---- */

static void destroy(struct io *io)
{
    struct uring *u = uring_of(io);
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
    .wait = uring_wait,
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
        .cq_entries = config->tun_buffers + config->udp_buffers + 2 * URING_SQ_ENTRIES,
    };
    int rc = io_uring_queue_init_params(URING_SQ_ENTRIES, &u->ring, &params);
    if (rc < 0) {
        memset(&u->ring, 0, sizeof u->ring);
        return setup_reason(-rc);
    }
    if (!(params.features & IORING_FEAT_EXT_ARG) || !(params.features & IORING_FEAT_NODROP))
        return "the kernel is older than 6.1";
    if (io_uring_register_files_sparse(&u->ring, URING_TUN_SLOT + 1) < 0)
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
