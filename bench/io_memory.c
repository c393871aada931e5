/* SPDX-License-Identifier: Apache-2.0 */
/* I/O from and to memory, see io_memory.h. */
#include "bench/io_memory.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "platform/base/bytes.h"
#include "platform/base/mem.h"
#include "platform/clock.h"
#include "platform/io.h"

enum {
    DATA_OFFSET = 176, /* as in the real backends: a WireGuard payload begins at a multiple of 64 */
    FRAME_OFFSET = 64 - IO_VNET_LEN,
    STRIDE = 66 * 1024,
    VERIFY_EVERY = 7, /* datagrams, while warming up */
    PHASE_MASK = 3
};

struct io {
    int index; /* worker; -1: not known yet */
    int wake_fd;
    unsigned n_buffers[2];
    uint8_t *buffers; /* of the kind that the plan gives */
    uint16_t *free;
    unsigned n_free;
    struct io_rx *made; /* of a chunk, made_n of them, made_next is the next to be given */
    unsigned made_n, made_next;
    bool tun_filled;
    struct io_send *done_head, **done_tail;
    struct io_stats stats;
    struct count count;
    bool counting;
    uint32_t
        rests_in; /* the `stage` in which it has nothing to give; written by the worker, read by anyone */
    struct io_memory_totals totals;
};

static const struct io_memory_plan *plan;
static uint32_t
    stage; /* enum io_memory_phase and, above it, a number of its own; written by the main thread */
static int next_index;
static struct io *ios[IO_MEMORY_WORKERS_MAX];

void io_memory_use(const struct io_memory_plan *p)
{
    plan = p;
    __atomic_store_n(&stage, IO_MEMORY_IDLE, __ATOMIC_RELAXED);
    next_index = 0;
    memset(ios, 0, sizeof ios);
}

void io_memory_phase(enum io_memory_phase p)
{
    __atomic_store_n(&stage, ((stage | PHASE_MASK) + 1) | (uint32_t)p, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < plan->sources; i++)
        io_wake(ios[i]);
}

bool io_memory_done(void)
{
    for (unsigned i = 0; i < plan->sources; i++) {
        if (__atomic_load_n(&ios[i]->rests_in, __ATOMIC_ACQUIRE) != stage)
            return false;
    }
    return true;
}

struct io_memory_totals io_memory_totals(unsigned worker)
{
    struct io_memory_totals t = ios[worker]->totals;
    t.counts = ios[worker]->count.sum;
    return t;
}

/* ---- life ---- */

enum err io_new(struct io **out, const struct io_config *config)
{
    struct io *io = mem_zalloc(1, sizeof *io);
    unsigned n = plan->ingress ? config->udp_buffers : config->tun_buffers;

    io->index = -1;
    io->n_buffers[IO_RX_TUN] = config->tun_buffers;
    io->n_buffers[IO_RX_UDP] = config->udp_buffers;
    io->buffers = mem_check(aligned_alloc(64, (size_t)n * STRIDE));
    io->free = mem_zalloc(n, sizeof *io->free);
    io->made = mem_zalloc(n, sizeof *io->made);
    for (unsigned i = 0; i < n; i++)
        io->free[io->n_free++] = (uint16_t)(n - 1 - i);
    io->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    io->done_tail = &io->done_head;
    *out = io;
    if (io->wake_fd < 0) {
        io_free(io);
        return ERR_NO_MEMORY;
    }
    count_open(&io->count);
    return ERR_OK;
}

void io_free(struct io *io)
{
    if (!io)
        return;
    count_close(&io->count);
    if (io->wake_fd >= 0)
        close(io->wake_fd);
    free(io->buffers);
    free(io->free);
    free(io->made);
    free(io);
}

const char *io_name(const struct io *io)
{
    (void)io;
    return "memory";
}

const struct io_stats *io_stats(const struct io *io)
{
    return &io->stats;
}

/* The descriptor is no descriptor here, but the number of the worker. */
enum err io_attach_tun(struct io *io, int fd, bool read)
{
    (void)read;
    io->index = fd;
    ios[fd] = io;
    if ((unsigned)fd < plan->sources && !plan->ingress) {
        for (unsigned i = 0; i < io->n_buffers[IO_RX_TUN]; i++)
            traffic_frame(plan->traffic[fd], io->buffers + (size_t)i * STRIDE + FRAME_OFFSET);
    }
    return ERR_OK;
}

enum err io_attach_udp(struct io *io, unsigned family, int fd)
{
    (void)io;
    (void)family;
    (void)fd;
    return ERR_OK;
}

void io_detach_udp(struct io *io)
{
    (void)io;
}

void io_detach_tun(struct io *io)
{
    (void)io;
}

/* ---- receiving ---- */

static struct io_rx make(struct io *io, struct traffic *t)
{
    uint16_t id = io->free[--io->n_free];
    uint8_t *buffer = io->buffers + (size_t)id * STRIDE;
    struct io_rx rx = {.buffer = id};

    if (plan->ingress) {
        rx.kind = IO_RX_UDP;
        rx.data = buffer + DATA_OFFSET;
        rx.len = traffic_datagrams(t, rx.data);
        rx.segment_size = (uint16_t)t->stride;
        rx.from = (struct sock_addr){.ip = ip_addr_v4((const uint8_t[]){192, 0, 2, 1}), .port = 1};
        rx.to.ip = ip_addr_v4((const uint8_t[]){192, 0, 2, 2});
        rx.to.ifindex = 1;
    } else {
        rx.kind = IO_RX_TUN;
        rx.data = buffer + FRAME_OFFSET;
        rx.len = t->frame_len;
    }
    return rx;
}

static struct io_rx receive(struct io *io, struct traffic *t)
{
    return plan->chunk > 0 ? io->made[io->made_next++] : make(io, t);
}

/* With chunks: all that was given is not back yet. */
static bool chunk_is_out(const struct io *io)
{
    return plan->chunk > 0 && io->made_next == io->made_n && io->n_free < io->n_buffers[IO_RX_UDP];
}

static void make_chunk(struct io *io)
{
    io->made_next = io->made_n = 0;
    while (io->made_n < size_min(plan->chunk, io->n_buffers[IO_RX_UDP])) {
        io->made[io->made_n] = make(io, plan->traffic[io->index]);
        io->made_n++;
    }
}

static void wait_for_wake(struct io *io, time_ns deadline)
{
    struct pollfd fd = {.fd = io->wake_fd, .events = POLLIN};
    time_ns now = clock_now();
    uint64_t value;
    int timeout = deadline == TIME_NEVER ? -1
                  : deadline <= now      ? 0
                                         : (int)((deadline - now + NS_PER_MS - 1) / NS_PER_MS);
    if (poll(&fd, 1, timeout) == 1 && read(io->wake_fd, &value, sizeof value) < 0)
        return;
}

/* What this source may give now. */
static unsigned quota(struct io *io, int now)
{
    const struct traffic *t = plan->traffic[io->index];
    unsigned n = plan->burst;

    if (now == IO_MEMORY_IDLE)
        return 0;
    if (now == IO_MEMORY_COUNT && plan->packets > 0) {
        if (io->totals.packets >= plan->packets)
            return 0;
        uint64_t left = (plan->packets - io->totals.packets + t->per_frame - 1) / t->per_frame;
        n = (unsigned)size_min(n, left);
    }
    if (plan->chunk > 0) {
        if (io->made_next == io->made_n)
            make_chunk(io);
        return (unsigned)size_min(n, io->made_n - io->made_next);
    }
    return (unsigned)size_min(n, io->n_free);
}

unsigned io_wait(struct io *io, struct io_rx *out, unsigned max, time_ns deadline)
{
    if (io->counting)
        count_end(&io->count);
    io->counting = false;
    bool source = io->index >= 0 && (unsigned)io->index < plan->sources;
    uint32_t current = __atomic_load_n(&stage, __ATOMIC_ACQUIRE);
    int now = (int)(current & PHASE_MASK);
    bool out_there = source && now != IO_MEMORY_IDLE && chunk_is_out(io);
    unsigned n = source && !out_there ? (unsigned)size_min(quota(io, now), max) : 0;

    if (out_there) {
        /* looks again at once */
    } else if (n == 0) {
        bool stalled = source && now != IO_MEMORY_IDLE && io->n_free == 0;
        /* With a deadline something is still under way: what helpers have, or may take. */
        bool rests = !stalled && deadline == TIME_NEVER;
        if (rests)
            __atomic_store_n(&io->rests_in, current, __ATOMIC_RELEASE);
        wait_for_wake(io, deadline);
        if (now != IO_MEMORY_COUNT || (source && rests))
            return 0;
    } else {
        for (unsigned i = 0; i < n; i++)
            out[i] = receive(io, plan->traffic[io->index]);
    }
    if (now == IO_MEMORY_COUNT) {
        if (n > 0)
            io->totals.packets += (uint64_t)n * plan->traffic[io->index]->per_frame;
        io->counting = true;
        count_begin(&io->count);
    }
    return n;
}

bool io_tun_gone(struct io *io)
{
    (void)io;
    return false;
}

void io_rx_give_back(struct io *io, unsigned kind, uint16_t buffer)
{
    (void)kind;
    io->free[io->n_free++] = buffer;
}

/* ---- sending ---- */

static void verify(struct io *io, const struct io_send *s)
{
    struct traffic *t = plan->traffic[io->index];
    unsigned i = 0;
    for (uint32_t at = 0; at < s->len; at += s->segment_size) {
        if (i++ % VERIFY_EVERY != 0)
            continue;
        io->totals.verified++;
        io->totals.wrong += !traffic_verify(t, s->data + at, s->segment_size);
    }
}

void io_udp_send(struct io *io, struct io_send *send)
{
    if (io->counting) {
        io->totals.sends++;
        io->totals.bytes += send->len;
    } else if (io->index == 0 && !plan->ingress &&
               (__atomic_load_n(&stage, __ATOMIC_RELAXED) & PHASE_MASK) == IO_MEMORY_WARM) {
        verify(io, send);
    }
    send->result = IO_SENT;
    send->next = NULL;
    *io->done_tail = send;
    io->done_tail = &send->next;
}

void io_flush(struct io *io)
{
    (void)io;
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
    for (unsigned i = 0; i < n; i++) {
        frames[i].error = 0;
        if (!io->counting)
            continue;
        io->totals.frames++;
        for (unsigned k = 0; k < frames[i].n_iov; k++)
            io->totals.bytes += frames[i].iov[k].iov_len;
    }
}

void io_wake(struct io *io)
{
    static const uint64_t one = 1;
    if (write(io->wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
        abort();
}
