/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers without threads, sockets and real time: the test is their I/O backend and their clock, and runs their loops
 * one by one. Included by unit tests; takes the place of platform's io and clock at link time.
 *
 * Peer i belongs to worker i % workers; 10.1.i.0/24 is behind it. Its session seals and opens with the same key and
 * index, so what a worker sends to the peer is also what the peer could have sent.
 */
#include "engine/worker.c"

#include <netinet/in.h>

#include "engine/checksum.h"
#include "engine/segment.h"
#include "engine/wire/ip.h"

enum {
    RIG_WORKERS_MAX = 4,
    RIG_MTU = 1420,
    RIG_IFINDEX = 5, /* by which datagrams come in */
    RIG_BUFFER = 1 << 14,
    RIG_SENDS_MAX = 4096,
    RIG_SENT_MAX = 2048 /* bytes kept of each run */
};

struct io {
    struct io_rx queue[256];
    unsigned queue_n;
    uint8_t buffers[2][WORKER_UDP_BUFFERS][RIG_BUFFER];
    bool used[2][WORKER_UDP_BUFFERS];
    time_ns deadline; /* of the last io_wait */
    unsigned wakes;
    bool tun_gone;

    bool hold;             /* sends stay in flight */
    enum io_result result; /* of those that do not */
    struct io_send *flying, *done, **done_tail;
    void (*meanwhile)(void);             /* control's part, once, in the middle of the next loop */
    struct io_send sends[RIG_SENDS_MAX]; /* copies, in order */
    uint8_t sent[RIG_SENDS_MAX][RIG_SENT_MAX];
    unsigned sends_n;

    unsigned delivered;        /* frames written to the TUN */
    uint8_t frame[RIG_BUFFER]; /* the last one, if it was in one piece */
    size_t frame_len;
};

static struct rig {
    struct engine *engine;
    struct io io[RIG_WORKERS_MAX];
    struct peer *peers[4096];
    time_ns now;
} rig;

time_ns clock_now(void)
{
    return rig.now;
}

uint64_t clock_thread_cpu(void)
{
    return rig.now;
}

void clock_wall(uint64_t *seconds, uint32_t *nanoseconds)
{
    *seconds = 0;
    *nanoseconds = 0;
}

enum err io_new(struct io **out, const struct io_config *config)
{
    (void)config;
    *out = NULL;
    return ERR_UNSUPPORTED;
}

void io_free(struct io *io)
{
    (void)io;
}

const char *io_name(const struct io *io)
{
    (void)io;
    return "rig";
}

const struct io_stats *io_stats(const struct io *io)
{
    (void)io;
    return NULL;
}

enum err io_attach_tun(struct io *io, int fd, bool read)
{
    (void)io;
    (void)fd;
    (void)read;
    return ERR_OK;
}

enum err io_attach_udp(struct io *io, unsigned family, int fd)
{
    (void)io;
    (void)family;
    (void)fd;
    return ERR_OK;
}

static void finish(struct io *io, struct io_send *s, enum io_result result)
{
    s->result = (uint8_t)result;
    s->next = NULL;
    *io->done_tail = s;
    io->done_tail = &s->next;
}

/* What is in flight ends with `result`. */
static void rig_land(unsigned worker, enum io_result result)
{
    struct io *io = &rig.io[worker];
    while (io->flying) {
        struct io_send *s = io->flying;
        io->flying = s->next;
        finish(io, s, result);
    }
}

void io_detach_udp(struct io *io)
{
    rig_land((unsigned)(io - rig.io), IO_CLOSED);
}

void io_detach_tun(struct io *io)
{
    (void)io;
}

unsigned io_wait(struct io *io, struct io_rx *out, unsigned max, time_ns deadline)
{
    unsigned n = io->queue_n < max ? io->queue_n : max;
    io->deadline = deadline;
    memcpy(out, io->queue, n * sizeof *out);
    io->queue_n -= n;
    memmove(io->queue, io->queue + n, io->queue_n * sizeof *out);
    return n;
}

bool io_tun_gone(struct io *io)
{
    bool gone = io->tun_gone;
    io->tun_gone = false;
    return gone;
}

void io_rx_give_back(struct io *io, unsigned kind, uint16_t buffer)
{
    assert_true(io->used[kind][buffer]);
    io->used[kind][buffer] = false;
}

void io_udp_send(struct io *io, struct io_send *send)
{
    assert_true(io->sends_n < RIG_SENDS_MAX);
    memcpy(io->sent[io->sends_n], send->data, size_min(send->len, RIG_SENT_MAX));
    io->sends[io->sends_n++] = *send;
    if (io->hold) {
        send->next = io->flying;
        io->flying = send;
    } else {
        finish(io, send, io->result);
    }
}

void io_flush(struct io *io)
{
    (void)io;
}

struct io_send *io_udp_take_done(struct io *io)
{
    void (*meanwhile)(void) = io->meanwhile;
    io->meanwhile = NULL;
    if (meanwhile)
        meanwhile();
    struct io_send *list = io->done;
    io->done = NULL;
    io->done_tail = &io->done;
    return list;
}

void io_tun_write(struct io *io, struct io_frame *frames, unsigned n)
{
    io->delivered += n;
    for (unsigned i = 0; i < n; i++) {
        const struct iovec *iov = frames[i].iov;
        frames[i].error = 0;
        io->frame_len = 0;
        if (frames[i].n_iov == 1 && iov->iov_len <= sizeof io->frame)
            memcpy(io->frame, iov->iov_base, io->frame_len = iov->iov_len);
    }
}

void io_wake(struct io *io)
{
    io->wakes++;
}

/* ---- driving ---- */

static void rig_loop(unsigned worker) REQUIRES_ROLE(role_worker)
{
    loop_once(rig.engine->workers[worker]);
}

static void rig_command(unsigned worker, const struct command *c) REQUIRES_ROLE(role_worker)
{
    engine_command(rig.engine, worker, c);
    rig_loop(worker);
}

/* A session for the peer, as initiator. */
static inline void rig_session(unsigned i) REQUIRES_ROLE(role_worker)
{
    unsigned worker = i % rig.engine->workers_n;
    uint32_t index = (uint32_t)worker << ENGINE_OWNER_SHIFT | (i + 1);
    uint8_t key[32];

    memset(key, (int)i, sizeof key);
    struct command c = {.kind = COMMAND_SESSION_ADD, .slot = i};
    c.session = engine_session_new(index, index, true, rig.now, key, key);
    rig_command(worker, &c);
}

static void rig_start(const struct engine_config *config, unsigned peers) REQUIRES_ROLE(role_worker)
{
    static struct engine_route routes[4096];
    struct engine_config full = *config;
    char why[256];

    memset(&rig, 0, sizeof rig);
    rig.now = 1000 * NS_PER_SEC;
    full.mtu = RIG_MTU;
    full.peers_max = 4096;
    assert_int_equal(engine_new(&rig.engine, &full, why, sizeof why), ERR_OK);
    for (unsigned i = 0; i < rig.engine->workers_n; i++) {
        rig.io[i].done_tail = &rig.io[i].done;
        rig.engine->workers[i]->io = &rig.io[i];
        rig.engine->workers[i]->running = true;
    }
    for (unsigned i = 0; i < peers; i++) {
        unsigned worker = i % rig.engine->workers_n;
        uint8_t net[4] = {10, (uint8_t)(1 + i / 256), (uint8_t)i, 0};
        rig.peers[i] = engine_peer_new(i, worker);
        routes[i] = (struct engine_route){{ip_addr_v4(net), 24}, engine_peer_value(rig.peers[i])};
        rig_command(worker,
                    &(struct command){.kind = COMMAND_PEER_ADD, .slot = i, .peer = rig.peers[i]});
        struct command c = {.kind = COMMAND_ENDPOINT, .slot = i};
        assert_int_equal(sock_addr_parse(&c.endpoint.to, "192.0.2.1:51820"), ERR_OK);
        rig_command(worker, &c);
    }
    assert_int_equal(engine_set_routes(rig.engine, routes, peers), ERR_OK);
}

static inline void rig_stop(void)
{
    engine_free(rig.engine);
}

/* An inner packet of `len` bytes (20 or more) from and to the peer's network. */
static void rig_packet(uint8_t *out, unsigned peer, unsigned len, uint8_t ecn)
{
    memset(out, 0, len);
    out[0] = 0x45;
    out[1] = ecn;
    store_be16(out + IPV4_OFF_TOTAL_LEN, (uint16_t)len);
    out[IPV4_OFF_TTL] = 64;
    out[IPV4_OFF_PROTO] = 253; /* for experiments, RFC 3692 */
    for (unsigned at = IPV4_OFF_SRC; at <= IPV4_OFF_DST; at += 4) {
        out[at] = 10;
        out[at + 1] = (uint8_t)(1 + peer / 256);
        out[at + 2] = (uint8_t)peer;
        out[at + 3] = 1;
    }
    checksum_store(out + IPV4_OFF_CHECKSUM, checksum_finish(checksum_partial(out, 20, 0)));
}

/* A free buffer as a record for the next loop; NULL: the worker has them all. */
static struct io_rx *rig_record(unsigned worker, unsigned kind)
{
    struct io *io = &rig.io[worker];
    unsigned n = kind == IO_RX_TUN ? WORKER_TUN_BUFFERS : WORKER_UDP_BUFFERS;

    for (unsigned i = 0; i < n; i++) {
        if (io->used[kind][i])
            continue;
        io->used[kind][i] = true;
        struct io_rx *rx = &io->queue[io->queue_n++];
        *rx = (struct io_rx){.data = io->buffers[kind][i], .buffer = (uint16_t)i};
        rx->kind = (uint8_t)kind;
        return rx;
    }
    return NULL;
}

/* A packet read from the worker's TUN in its next loop. False: it has all buffers. */
static inline bool rig_feed(unsigned worker, unsigned peer, unsigned len, uint8_t ecn)
{
    struct io_rx *rx = rig_record(worker, IO_RX_TUN);
    if (!rx)
        return false;
    memset(rx->data, 0, IO_VNET_LEN);
    rig_packet(rx->data + IO_VNET_LEN, peer, len, ecn);
    rx->len = IO_VNET_LEN + len;
    return true;
}

/* The same for a super-packet of `segments` UDP datagrams. */
static inline bool rig_feed_segments(unsigned worker, unsigned peer, unsigned segments)
{
    enum {
        SIZE = 400
    };
    unsigned udp_len = 8 + segments * SIZE;
    struct vnet_hdr h = {.flags = VNET_F_NEEDS_CSUM, .gso_type = VNET_GSO_UDP_L4};
    struct io_rx *rx = rig_record(worker, IO_RX_TUN);

    if (!rx)
        return false;
    h.hdr_len = 28;
    h.gso_size = SIZE;
    h.csum_start = 20;
    h.csum_offset = 6;
    memcpy(rx->data, &h, sizeof h);
    uint8_t *packet = rx->data + IO_VNET_LEN;
    rig_packet(packet, peer, 20 + udp_len, 0);
    packet[IPV4_OFF_PROTO] = IP_PROTO_UDP;
    memset(packet + IPV4_OFF_CHECKSUM, 0, 2);
    checksum_store(packet + IPV4_OFF_CHECKSUM, checksum_finish(checksum_partial(packet, 20, 0)));
    store_be16(packet + 20, 1000);
    store_be16(packet + 22, 2000);
    store_be16(packet + 24, (uint16_t)udp_len);
    rx->len = IO_VNET_LEN + 20 + udp_len;
    return true;
}

/* A run that `from` sent comes to a socket of `worker` at address `to`. */
static inline void rig_receive(unsigned worker, unsigned from, unsigned send, const char *to)
{
    const struct io_send *s = &rig.io[from].sends[send];
    struct io_rx *rx = rig_record(worker, IO_RX_UDP);
    struct sock_addr at;

    assert_non_null(rx);
    assert_true(s->len <= RIG_SENT_MAX);
    memcpy(rx->data, rig.io[from].sent[send], s->len);
    rx->len = s->len;
    rx->segment_size = s->segment_size;
    rx->from = s->to;
    assert_int_equal(sock_addr_parse(&at, to), ERR_OK);
    rx->to.ip = at.ip;
}

/* Any datagrams, each of `segment` bytes but the last. */
static inline void rig_receive_bytes(unsigned worker, const char *from, const void *bytes,
                                     uint32_t len, uint16_t segment)
{
    struct io_rx *rx = rig_record(worker, IO_RX_UDP);

    assert_non_null(rx);
    assert_true(len <= RIG_BUFFER);
    memcpy(rx->data, bytes, len);
    rx->len = len;
    rx->segment_size = segment;
    rx->to = (struct ip_source){.ip = ip_addr_v4((const uint8_t[4]){192, 0, 2, 2}),
                                .ifindex = RIG_IFINDEX};
    assert_int_equal(sock_addr_parse(&rx->from, from), ERR_OK);
}

/* The peer's path; to NULL: none, from NULL: from any address, channel 0: it is no relay. */
static inline void rig_path(unsigned i, const char *to, const char *from, uint16_t channel)
    REQUIRES_ROLE(role_worker)
{
    struct command c = {.kind = COMMAND_ENDPOINT, .slot = i};

    if (to)
        assert_int_equal(sock_addr_parse(&c.endpoint.to, to), ERR_OK);
    if (from)
        assert_int_equal(ip_addr_parse(&c.endpoint.from.ip, from), ERR_OK);
    c.endpoint.channel = channel;
    rig_command(i % rig.engine->workers_n, &c);
}

static uint64_t rig_count(enum verdict v)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < rig.engine->workers_n; i++)
        sum += counter_read(&rig.engine->counters[i].verdicts[v]);
    return sum;
}

static inline uint64_t rig_tally(enum tally t)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < rig.engine->workers_n; i++)
        sum += counter_read(&rig.engine->counters[i].tallies[t]);
    return sum;
}

static uint64_t rig_sum(enum verdict first, enum verdict last)
{
    uint64_t sum = 0;
    for (unsigned v = first; v <= (unsigned)last; v++)
        sum += rig_count((enum verdict)v);
    return sum;
}

static inline uint64_t rig_out(void)
{
    return rig_sum(VERDICT_OUT_FORWARDED, VERDICT_OUT_STOPPED);
}

static inline uint64_t rig_in(void)
{
    return rig_sum(VERDICT_IN_FORWARDED, VERDICT_IN_TUN_FAILED);
}

static inline unsigned rig_used(unsigned worker, unsigned kind)
{
    unsigned n = 0;
    for (unsigned i = 0; i < WORKER_UDP_BUFFERS; i++)
        n += rig.io[worker].used[kind][i];
    return n;
}
