/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's loop: wait, commands, packets out, packets in, flush. */
#include "engine/worker.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "platform/base/log.h"
#include "platform/base/role.h"
#include "platform/clock.h"
#include "platform/random.h"

enum {
    RAISE_AGAIN_MS = 1000
};

/* What recurs while its cause lasts is said once a second. */
static bool raised_lately(const struct worker *w, time_ns *last) REQUIRES_ROLE(role_worker)
{
    if (*last != 0 && time_since(w->now, *last) < RAISE_AGAIN_MS * NS_PER_MS)
        return true;
    *last = w->now;
    return false;
}

void worker_raise(struct worker *w, struct peer *p, uint32_t bits)
{
    if ((bits & EDGE_WANT_HANDSHAKE) && raised_lately(w, &p->asked_at))
        bits &= ~(uint32_t)EDGE_WANT_HANDSHAKE;
    if ((bits & EDGE_PATH_LOST) && raised_lately(w, &p->lost_at))
        bits &= ~(uint32_t)EDGE_PATH_LOST;
    if (bits == 0 || !edge_raise(&p->shared.edges, bits))
        return;
    struct event_edge e = {.kind = EVENT_EDGE_PEER, .worker = (uint8_t)w->index, .slot = p->slot};
    bool pushed = edge_ring_push_spsc(&w->edges, &e);
    ASSERT(pushed); /* at most one notice per peer is queued */
    w->wake_control = true;
}

/* Room for every peer's notice is kept: what is no peer's may not fit. */
static void push_edge(struct worker *w, const struct event_edge *e) REQUIRES_ROLE(role_worker)
{
    if (edge_ring_len(&w->edges) < SOURCE_PARKED_DESTINATIONS_MAX * 4 &&
        edge_ring_push_spsc(&w->edges, e))
        w->wake_control = true;
}

/* A question that does not fit is put again by the cache. */
void worker_ask_source(struct worker *w, const struct ip_addr *dst)
{
    struct event_edge e = {.kind = EVENT_EDGE_SOURCE, .worker = (uint8_t)w->index, .dst = *dst};
    tally(w, TALLY_SOURCE_MISSES, 1);
    push_edge(w, &e);
}

void worker_address_lost(struct worker *w, const struct ip_addr *ip)
{
    struct event_edge e = {
        .kind = EVENT_EDGE_ADDRESS_LOST, .worker = (uint8_t)w->index, .lost = *ip};
    struct lost_address *l = &w->lost[0];

    for (unsigned i = 0; i < WORKER_LOST_ADDRESSES && !ip_addr_equal(ip, &l->ip); i++) {
        if (w->lost[i].at < l->at || ip_addr_equal(ip, &w->lost[i].ip))
            l = &w->lost[i];
    }
    if (!ip_addr_equal(ip, &l->ip)) /* instead of the one that was reported longest ago */
        *l = (struct lost_address){.ip = *ip};
    if (!raised_lately(w, &l->at))
        push_edge(w, &e);
}

/* At most one of each worker: it fits beside those that room is kept for. */
static void tun_gone(struct worker *w) REQUIRES_ROLE(role_worker)
{
    struct event_edge e = {.kind = EVENT_EDGE_TUN_GONE, .worker = (uint8_t)w->index};
    bool pushed = edge_ring_push_spsc(&w->edges, &e);
    ASSERT(pushed);
    w->wake_control = true;
}

void worker_ack(struct worker *w, const struct event_ack *ack)
{
    struct event_ack a = *ack;
    a.worker = (uint8_t)w->index;
    bool pushed = ack_ring_push_spsc(&w->acks, &a);
    ASSERT(pushed); /* commands wait while the ring is nearly full */
    w->wake_control = true;
}

/* ---- the parts of a loop ---- */

static bool acks_have_room(struct worker *w) REQUIRES_ROLE(role_worker)
{
    return ack_ring_len(&w->acks) < w->acks_limit;
}

static void run_commands(struct worker *w) REQUIRES_ROLE(role_worker)
{
    struct command c;
    unsigned n = 0;
    while (n < WORKER_COMMANDS_MAX && w->running && acks_have_room(w) &&
           command_ring_pop_spsc(&w->commands, &c)) {
        worker_execute(w, &c);
        n++;
    }
    if (n > 0)
        tally(w, TALLY_COMMANDS, n);
}

static void run_staged(struct worker *w) REQUIRES_ROLE(role_worker)
{
    w->staged_blocked = false;
    for (uint32_t i = 0; i < w->engine->config.peers_max && !w->staged_blocked; i++) {
        struct peer *p = w->peers[i];
        if (!p || p->staged_n == 0)
            continue;
        if (p->replays)
            client_replay(w, p);
        else if (p->current)
            egress_staged(w, p);
    }
}

static void run_record(struct worker *w, struct io_rx *rx, unsigned origin, uint8_t epoch)
    REQUIRES_ROLE(role_worker)
{
    if (rx->kind == IO_RX_TUN) {
        tally(w, TALLY_TUN_FRAMES_READ, 1);
        frames_add(w, rx, origin);
    } else {
        tally(w, TALLY_UDP_READS, 1);
        if (UNLIKELY(epoch != w->sockets_epoch)) /* its address may be gone with the socket */
            memset(&rx->to, 0, sizeof rx->to);
        ingress_datagrams(w, rx, origin);
    }
}

/* Receive buffers are free once the TUN has what was in them. */
static void release_records(struct worker *w, unsigned rx_n, unsigned spans_n)
    REQUIRES_ROLE(role_worker)
{
    for (unsigned i = 0; i < spans_n; i++) {
        if (w->spans[i].rx.kind == IO_RX_UDP)
            handoff_release(w, w->spans[i].origin, IO_RX_UDP, w->spans[i].rx.buffer);
    }
    for (unsigned i = 0; i < rx_n; i++) {
        if (w->rx[i].kind == IO_RX_UDP)
            handoff_release(w, w->index, IO_RX_UDP, w->rx[i].buffer);
    }
}

static void wake_others(struct worker *w) REQUIRES_ROLE(role_worker)
{
    static const uint64_t one = 1;
    handoff_wake(w);
    if (!w->wake_control)
        return;
    w->wake_control = false;
    if (sleeper_must_wake(&w->engine->control) &&
        write(w->engine->event_fd, &one, sizeof one) != (ssize_t)sizeof one)
        log_debug("worker", "event descriptor is saturated");
}

/* Frames of this loop's records come on top. */
static bool spans_have_room(const struct worker *w) REQUIRES_ROLE(role_worker)
{
    return frames_room(w) >= WORKER_SPANS_MAX + WORKER_TUN_BUFFERS;
}

/* How long io_wait may block: 0 if there is work that no descriptor announces. */
static time_ns sleep_until(struct worker *w) REQUIRES_ROLE(role_worker)
{
    if ((w->frames.n > 0 || w->staged_blocked) && w->trains_free_n > WORKER_TRAINS / 2)
        return 0;
    sleeper_prepare(&w->sleeper);
    if ((command_ring_len(&w->commands) > 0 && acks_have_room(w)) ||
        handoff_pending(w, spans_have_room(w)) || help_pending(w) || help_ready(w))
        return 0;
    return time_min(time_min(source_parking_poll_timeout(&w->parking), handoff_deadline(w)),
                    help_deadline(w));
}

static void read_snapshots(struct worker *w) REQUIRES_ROLE(role_worker)
{
    w->routes = snapshot_read(&w->engine->routes);
    w->policy = snapshot_read(&w->engine->policy);
}

static void loop_once(struct worker *w) REQUIRES_ROLE(role_worker)
{
    time_ns until = sleep_until(w);
    snapshot_reader_offline(w->domain, w->index);
    unsigned rx_n = io_wait(w->io, w->rx, WORKER_RX_MAX, until);
    sleeper_awake(&w->sleeper);

    snapshot_reader_quiescent(w->domain, w->index);
    w->now = clock_now();
    w->rx_epoch = w->sockets_epoch;
    tally(w, TALLY_LOOPS, 1);

    if (UNLIKELY(io_tun_gone(w->io)))
        tun_gone(w);
    train_collect(w);
    handoff_collect(w);
    help_begin(w, rx_n + w->frames.n);
    frames_begin(w);
    if (UNLIKELY(w->help.busy))
        help_collect(w);
    run_commands(w);
    read_snapshots(w); /* not older than what a command counts on */
    if (source_parking_len(&w->parking) > 0)
        train_release_parked(w);
    if (w->staged_blocked)
        run_staged(w);
    unsigned spans_n = spans_have_room(w) ? handoff_take(w) : 0;
    if (UNLIKELY(spans_n > 0))
        help_begin(w, rx_n + w->frames.n + spans_n);
    for (unsigned i = 0; i < spans_n; i++)
        run_record(w, &w->spans[i].rx, w->spans[i].origin, w->spans[i].epoch);
    for (unsigned i = 0; i < rx_n; i++)
        run_record(w, &w->rx[i], w->index, w->rx_epoch);
    frames_run(w);

    ingress_flush(w);
    train_flush(w);
    if (UNLIKELY(w->help.busy))
        help_work(w);
    io_flush(w->io);
    train_collect(w);
    release_records(w, rx_n, spans_n);
    ingress_release(w);
    wake_others(w);
    help_others(w);
}

/* ---- life ---- */

enum err worker_init(struct worker *w, struct engine *e, unsigned index)
{
    unsigned n = e->workers_n;
    enum err err;

    w->engine = e;
    w->index = index;
    w->domain = &e->domain;
    w->counters = &e->counters[index];
    w->peers = calloc(e->config.peers_max, sizeof *w->peers);
    w->sessions = calloc(SESSION_TABLE, sizeof *w->sessions);
    w->handoff_in = calloc(n, sizeof *w->handoff_in);
    w->handback_in = calloc(n, sizeof *w->handback_in);
    if (!w->peers || !w->sessions || !w->handoff_in || !w->handback_in)
        return ERR_NO_MEMORY;
    for (unsigned i = 0; i < n && n > 1; i++) {
        if ((err = span_ring_init(&w->handoff_in[i], RING_SPANS)) != ERR_OK ||
            (err = handback_ring_init(&w->handback_in[i], RING_SPANS)) != ERR_OK)
            return err;
    }
    unsigned edges = 1024, acks = RING_COMMANDS * 4;
    while (edges < e->config.peers_max * 2)
        edges *= 2;
    while (acks < e->config.peers_max * 2)
        acks *= 2;
    /* A command yields at most four acknowledgements (peer removal); packets one per peer and loop (keys_confirm). */
    w->acks_limit = acks - e->config.peers_max - 8;
    if ((err = command_ring_init(&w->commands, RING_COMMANDS)) != ERR_OK ||
        (err = edge_ring_init(&w->edges, edges)) != ERR_OK ||
        (err = ack_ring_init(&w->acks, acks)) != ERR_OK ||
        (err = handshake_ring_init(&w->handshakes, RING_HANDSHAKES)) != ERR_OK ||
        (err = packet_ring_init(&w->packets, RING_PACKETS)) != ERR_OK ||
        (e->config.role == ENGINE_CLIENT && (err = dns_ring_init(&w->dns, RING_DNS)) != ERR_OK) ||
        (e->config.role == ENGINE_GATEWAY && (err = gateway_init(w)) != ERR_OK) ||
        (err = train_pool_init(w)) != ERR_OK || (err = ingress_pool_init(w)) != ERR_OK ||
        (err = stage_init(&w->stage, e->config.mtu)) != ERR_OK)
        return err;
    source_parking_init(&w->parking);
    rate_limit_init(&w->limits, (uint64_t)random_u32() << 32 | random_u32());
    coalesce_init(&w->coalesce, 0);
    err = source_seen_init(&w->seen, (uint64_t)random_u32() << 32 | random_u32());
    return err == ERR_OK ? crypt_init(&w->crypt, e->config.crypto) : err;
}

void worker_fini(struct worker *w)
{
    for (unsigned i = 0; i < w->engine->workers_n && w->engine->workers_n > 1; i++) {
        if (w->handoff_in)
            span_ring_fini(&w->handoff_in[i]);
        if (w->handback_in)
            handback_ring_fini(&w->handback_in[i]);
    }
    command_ring_fini(&w->commands);
    edge_ring_fini(&w->edges);
    ack_ring_fini(&w->acks);
    handshake_ring_fini(&w->handshakes);
    packet_ring_fini(&w->packets);
    dns_ring_fini(&w->dns);
    free(w->nat_memory);
    train_pool_fini(w);
    ingress_pool_fini(w);
    stage_fini(&w->stage);
    free(w->handoff_in);
    free(w->handback_in);
    free(w->peers);
    source_seen_fini(&w->seen);
    free(w->sessions);
}

/* On the worker's own thread: io_uring wants one submitter. */
static enum err io_start(struct worker *w)
{
    const struct engine_tun *tun = &w->engine->tun;
    struct io_config config = {.backend = w->engine->config.io,
                               .tun_buffers = WORKER_TUN_BUFFERS,
                               .udp_buffers = WORKER_UDP_BUFFERS};
    bool own_queue = w->index < tun->queues;
    enum err err = io_new(&w->io, &config);
    if (err != ERR_OK || worker_is_gate(w))
        return err;
    err = io_attach_tun(w->io, tun->fds[own_queue ? w->index : 0], own_queue);
    if (err != ERR_OK) {
        io_free(w->io);
        w->io = NULL;
        return err;
    }
    coalesce_init(&w->coalesce, tun->offloads);
    return ERR_OK;
}

/* Lets go of the descriptors; whatever still waits gets its verdict. */
static void worker_stop(struct worker *w) REQUIRES_ROLE(role_worker)
{
    train_flush(w);
    help_stop(w);
    io_flush(w->io);
    io_detach_udp(w->io);
    io_detach_tun(w->io);
    train_drop_parked(w);
    train_collect(w);
    frames_stop(w);
    handoff_stop(w);
    for (uint32_t i = 0; i < w->engine->config.peers_max; i++) {
        if (w->peers[i])
            stage_purge(w, w->peers[i], VERDICT_OUT_STOPPED);
    }
    snapshot_reader_offline(w->domain, w->index);
}

void *worker_main(void *arg)
{
    struct worker *w = arg;

    role_enter(&role_worker);
    w->start_result = io_start(w);
    if (engine_worker_started(w)) {
        w->running = true;
        while (w->running)
            loop_once(w);
        worker_stop(w);
    }
    role_leave(&role_worker);
    return NULL;
}
