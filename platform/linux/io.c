/* SPDX-License-Identifier: Apache-2.0 */
/* The I/O contract's entry points: choice of the backend, and what both backends have in common. */
#include "platform/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "platform/base/log.h"
#include "platform/clock.h"
#include "platform/linux/io_backend.h"

#define MODULE "io"

enum {
    RETRY_SHIFT_MAX = 10
};

enum err io_new(struct io **out, const struct io_config *config)
{
    static bool told; /* every worker meets the same fall-back: say it once */
    const char *why = NULL;

    *out = NULL;
    if (config->tun_buffers == 0 || (config->tun_buffers & (config->tun_buffers - 1)) != 0 ||
        config->udp_buffers == 0 || (config->udp_buffers & (config->udp_buffers - 1)) != 0 ||
        config->tun_buffers > IO_BUFFERS_MAX || config->udp_buffers > IO_BUFFERS_MAX)
        return ERR_INVALID;
    if (config->backend == IO_EPOLL)
        return epoll_new(out, config);
    enum err e = uring_new(out, config, 0, &why);
    if (e != ERR_UNSUPPORTED)
        return e;
    if (config->backend == IO_URING) {
        log_error(MODULE, "io_uring cannot be used: %s", why);
        return e;
    }
    if (!__atomic_exchange_n(&told, true, __ATOMIC_RELAXED))
        log_info(MODULE, "io_uring cannot be used (%s): using epoll", why);
    return epoll_new(out, config);
}

void io_free(struct io *io)
{
    if (!io)
        return;
    io_detach_tun(io);
    io_detach_udp(io);
    io->ops->destroy(io);
}

const char *io_name(const struct io *io)
{
    return io->ops->name;
}

const struct io_stats *io_stats(const struct io *io)
{
    return &io->stats;
}

static enum err attach(struct io *io, enum io_source source, int fd)
{
    if (fd < 0)
        return ERR_INVALID;
    if (io->fds[source] >= 0)
        return ERR_EXISTS;
    io->retry[source] = (struct io_retry){0};
    io->fds[source] = fd;
    enum err e = io->ops->attach(io, source);
    if (e != ERR_OK)
        io->fds[source] = -1;
    return e;
}

enum err io_attach_tun(struct io *io, int fd, bool read)
{
    if (io->fds[IO_SOURCE_TUN] < 0) {
        io->tun_reads = read;
        io->tun_gone = io->tun_gone_news = false;
    }
    return attach(io, IO_SOURCE_TUN, fd);
}

enum err io_attach_udp(struct io *io, unsigned family, int fd)
{
    if (family != ADDR_V4 && family != ADDR_V6)
        return ERR_INVALID;
    enum io_source source = family == ADDR_V4 ? IO_SOURCE_UDP4 : IO_SOURCE_UDP6;
    enum err e = attach(io, source, fd);
    if (e == ERR_OK)
        udp_tx_open(&io->tx[source - IO_SOURCE_UDP4], fd);
    return e;
}

static void detach(struct io *io, unsigned sources)
{
    for (unsigned s = 0; s < IO_SOURCES; s++)
        if (io->fds[s] < 0)
            sources &= ~(1u << s);
    if (sources == 0)
        return;
    io->ops->detach(io, sources);
    for (unsigned s = 0; s < IO_SOURCES; s++)
        if (sources & 1u << s)
            io->fds[s] = -1;
}

void io_detach_udp(struct io *io)
{
    detach(io, 1u << IO_SOURCE_UDP4 | 1u << IO_SOURCE_UDP6);
    for (unsigned f = 0; f < IO_FAMILIES; f++)
        udp_tx_close(io, &io->tx[f]);
}

void io_detach_tun(struct io *io)
{
    detach(io, 1u << IO_SOURCE_TUN);
}

bool io_tun_gone(struct io *io)
{
    bool news = io->tun_gone_news;
    io->tun_gone_news = false;
    return news;
}

unsigned io_wait(struct io *io, struct io_rx *out, unsigned max, time_ns deadline)
{
    DASSERT(max > 0);
    io_flush(io);
    return io->ops->wait(io, out, max, deadline);
}

void io_rx_give_back(struct io *io, unsigned kind, uint16_t buffer)
{
    DASSERT(buffer < io->pools[kind].n);
    io->ops->give_back(io, kind, buffer);
}

void io_flush(struct io *io)
{
    for (unsigned f = 0; f < IO_FAMILIES; f++)
        if (io->tx[f].head && !io->tx[f].blocked)
            udp_tx_flush(io, &io->tx[f]);
}

struct io_send *io_udp_take_done(struct io *io)
{
    struct io_send *list = io->done_head;
    io->done_head = NULL;
    io->done_tail = &io->done_head;
    return list;
}

void io_tun_write(struct io *io, struct io_frame *frames, unsigned n)
{
    ASSERT(n <= IO_TUN_WRITES_MAX);
    if (LIKELY(io->fds[IO_SOURCE_TUN] >= 0)) {
        io->ops->tun_write(io, frames, n);
        return;
    }
    for (unsigned i = 0; i < n; i++)
        frames[i].error = EBADF;
}

void io_wake(struct io *io)
{
    uint64_t one = 1;
    /* The counter is never read, and 2^64 wakes do not happen: this cannot fail. */
    while (write(io->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        continue;
}

/* ---- the common part ---- */

static enum err pool_init(struct io_pool *p, unsigned n, uint32_t stride, uint32_t offset)
{
    p->n = n;
    p->stride = stride;
    p->offset = offset;
    p->size = (size_t)n * stride;
    p->free = malloc(n * sizeof *p->free);
    void *base = mmap(NULL, p->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED || !p->free)
        return ERR_NO_MEMORY;
    p->base = base;
    /* 16 small pages per buffer would cost more TLB entries than a core has; a refusal does no harm. */
    (void)madvise(base, p->size, MADV_HUGEPAGE);
    for (unsigned i = 0; i < n; i++)
        p->free[i] = (uint16_t)(n - 1 - i);
    p->n_free = n;
    return ERR_OK;
}

static void pool_fini(struct io_pool *p)
{
    if (p->base)
        munmap(p->base, p->size);
    free(p->free);
}

enum err io_init(struct io *io, const struct io_config *config)
{
    io->done_tail = &io->done_head;
    io_spin_init(&io->spin);
    for (unsigned s = 0; s < IO_SOURCES; s++)
        io->fds[s] = -1;
    for (unsigned f = 0; f < IO_FAMILIES; f++)
        udp_tx_open(&io->tx[f], -1);
    io->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (io->wake_fd < 0) {
        log_error(MODULE, "eventfd: %s", strerror(errno));
        return err_from_errno(errno);
    }
    enum err e =
        pool_init(&io->pools[IO_RX_TUN], config->tun_buffers, IO_TUN_STRIDE, IO_TUN_OFFSET);
    if (e == ERR_OK)
        e = pool_init(&io->pools[IO_RX_UDP], config->udp_buffers, IO_UDP_STRIDE, IO_UDP_OFFSET);
    if (e != ERR_OK)
        log_error(MODULE, "no memory for %u + %u receive buffers", config->tun_buffers,
                  config->udp_buffers);
    return e;
}

void io_fini(struct io *io)
{
    if (io->wake_fd >= 0)
        close(io->wake_fd);
    pool_fini(&io->pools[IO_RX_TUN]);
    pool_fini(&io->pools[IO_RX_UDP]);
}

void io_retry_failed(struct io_retry *r, time_ns now)
{
    unsigned shift = r->failures < RETRY_SHIFT_MAX ? r->failures : RETRY_SHIFT_MAX;
    r->at = r->failures == 0 ? now : now + (NS_PER_MS << (shift - 1));
    r->failures++;
}

bool io_retry_due(const struct io_retry *r, time_ns *until)
{
    if (LIKELY(r->failures == 0))
        return true;
    if (clock_now() >= r->at)
        return true;
    *until = time_min(*until, r->at);
    return false;
}

/* ---- TUN by plain system calls ---- */

enum err io_set_nonblock(int fd, bool on)
{
    int flags = fcntl(fd, F_GETFL);
    int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    if (flags >= 0 && (wanted == flags || fcntl(fd, F_SETFL, wanted) == 0))
        return ERR_OK;
    log_error(MODULE, "fcntl: %s", strerror(errno));
    return err_from_errno(errno);
}

void io_tun_read_failed(struct io *io, int error)
{
    io_count(&io->stats.rx_errors);
    if (error == EBADFD)
        io->tun_gone = io->tun_gone_news = true;
    else
        io_retry_failed(&io->retry[IO_SOURCE_TUN], clock_now());
}

unsigned io_tun_read(struct io *io, struct io_rx *out, unsigned max, bool *drained)
{
    struct io_pool *p = &io->pools[IO_RX_TUN];
    struct io_retry *retry = &io->retry[IO_SOURCE_TUN];
    unsigned n = 0;

    *drained = false;
    while (n < max && p->n_free > 0) {
        uint16_t id = p->free[p->n_free - 1];
        uint8_t *data = io_pool_buffer(p, id) + p->offset;
        ssize_t len = read(io->fds[IO_SOURCE_TUN], data, IO_FRAME_MAX);
        io_count(&io->stats.syscalls);
        if (len < IO_VNET_LEN) {
            if (len < 0 && errno == EAGAIN) {
                io_retry_clear(retry);
                *drained = true;
                break;
            }
            io_tun_read_failed(io, len < 0 ? errno : EIO);
            break;
        }
        io_retry_clear(retry);
        p->n_free--;
        out[n].data = data;
        out[n].len = (uint32_t)len;
        out[n].buffer = id;
        out[n].kind = IO_RX_TUN;
        n++;
    }
    return n;
}

void io_tun_write_each(struct io *io, struct io_frame *frames, unsigned n, int flags)
{
    int fd = io->fds[IO_SOURCE_TUN];
    for (unsigned i = 0; i < n; i++) {
        ssize_t rc = flags ? pwritev2(fd, frames[i].iov, frames[i].n_iov, -1, flags)
                           : writev(fd, frames[i].iov, frames[i].n_iov);
        frames[i].error = rc < 0 ? (int16_t)errno : 0;
        io_count(&io->stats.syscalls);
    }
}
