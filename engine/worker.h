/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One worker thread: everything it owns, and the stages a packet passes. Private to engine/.
 *
 * The loop (worker.c): commands, packets handed over by other workers, one batch of received packets; out through
 * egress.c (TUN to UDP), in through ingress.c (UDP to TUN); then everything queued leaves, and the loop sleeps in
 * io_wait until there is more. Run to completion: a worker seals and opens what it read, unless the peer belongs to
 * another worker (handoff.c).
 */
#ifndef FZ_WORKER_H
#define FZ_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "engine/coalesce.h"
#include "engine/command.h"
#include "engine/counters.h"
#include "engine/crypt.h"
#include "engine/engine.h"
#include "engine/event.h"
#include "engine/frames.h"
#include "engine/help.h"
#include "engine/nat.h"
#include "engine/peer.h"
#include "engine/policy.h"
#include "engine/rate_limit.h"
#include "engine/route.h"
#include "engine/segment.h"
#include "engine/session.h"
#include "engine/source_cache.h"
#include "engine/source_seen.h"
#include "platform/base/role.h"
#include "platform/base/sleeper.h"
#include "platform/base/snapshot.h"
#include "platform/io.h"

enum {
    WORKER_RX_MAX = 64,        /* records per io_wait */
    WORKER_SPANS_MAX = 64,     /* records taken from other workers per loop */
    WORKER_TUN_BUFFERS = 32,   /* each holds up to 64 KiB */
    WORKER_UDP_BUFFERS = 64,   /* each holds up to 64 KiB */
    WORKER_TRAINS = 48,        /* outgoing batches, each up to 64 KiB */
    WORKER_TRAINS_PARKED = 16, /* of those, at most this many wait for a source address */
    WORKER_TRAINS_KEPT = 16,   /* of those, not used as second places for helpers */
    WORKER_OPEN_JOBS = 16,     /* batches to be opened that wait in a queue */
    WORKER_OPEN_JOB_BYTES = 128 << 10,
    WORKER_SMALLS = 512, /* handshake messages and cookie replies in flight */
    WORKER_STAGE_BYTES = 4 << 20,
    WORKER_LOST_ADDRESSES = 8, /* remembered, so that each is reported once a second */
    WORKER_COMMANDS_MAX = 64,  /* executed per loop, so that packets are not starved */

    WORKER_LENT_WAITING = 256, /* spans that wait here for room at their worker */

    RING_COMMANDS = 1024,
    RING_SPANS = 256,                      /* both ways between two workers */
    WORKER_SPANS_OUT_MAX = RING_SPANS - 1, /* lent to one worker and not returned: fits in either */
    RING_HANDSHAKES = 512,
    RING_PACKETS = 256,
    RING_DNS = 1024,

    SESSION_TABLE = 1 << ENGINE_SESSION_BITS
};

struct cookie_gate;

/* What a queued io_send belongs to; io_send.owner points here. */
enum tx_kind {
    TX_TRAIN,
    TX_SMALL
};

/*
 * A train: datagrams for one peer, in order, in one block of memory, sealed in one call, sent as runs of equal
 * size. bytes: channel header 4 if the path is a relay, header 16, packet, tag 16, and the next; no gaps, so that a
 * run is one GSO send.
 */
struct train {
    uint8_t tx_kind; /* TX_TRAIN, first */
    bool run_open;   /* the last run may be extended */
    uint8_t head;    /* bytes before each WireGuard header: CHANNEL_HEADER_LEN or 0 */
    uint16_t packets_n, sends_n, sends_out;
    uint32_t slot;
    uint32_t used;
    uint8_t *bytes;
    struct session *session;
    struct peer *peer;
    struct train *next;      /* free list, open list, late list */
    struct train *sealed_in; /* whose memory has the datagrams, NULL: this one's */
    struct help_job job;     /* while it is queued */
    struct crypt_packet packets[CRYPT_BATCH_MAX];
    struct io_send sends[CRYPT_BATCH_MAX];
};

/* A single datagram of control or of the cookie gate. */
struct small_send {
    uint8_t tx_kind; /* TX_SMALL, first */
    bool parked;
    struct small_send *next;
    struct io_send send;
    uint8_t bytes[COMMAND_DATAGRAM_MAX];
};

/*
 * A received record, or a part of one, that another worker processes. The buffer stays the origin's; it comes back as
 * a `handback`.
 */
struct span {
    struct io_rx rx;
    uint8_t origin;
    uint8_t epoch; /* of the sockets it came by: worker.sockets_epoch */
};

struct handback {
    uint8_t kind; /* enum io_kind */
    uint16_t buffer;
};

RING_DEFINE(span, struct span)
RING_DEFINE(handback, struct handback)

/* What is lent to other workers; see handoff.c for the rules. Arrays by enum io_kind, buffer, worker. */
struct lending {
    uint16_t spans[2][WORKER_UDP_BUFFERS]; /* of a buffer, lent, waiting or held: it is free at 0 */
    uint16_t at[2][WORKER_UDP_BUFFERS][ENGINE_WORKERS_MAX]; /* of a buffer, lent to a worker */
    uint16_t held[2][ENGINE_WORKERS_MAX];                   /* buffers that a worker has spans of */
    uint16_t held_all[2];                                   /* sum of `held` */
    uint16_t out[ENGINE_WORKERS_MAX];                       /* spans lent to a worker */
    uint16_t waits[ENGINE_WORKERS_MAX];                     /* spans in `waiting` for it */
    time_ns progress[ENGINE_WORKERS_MAX]; /* it returned something, or had nothing */
    unsigned waiting_n;
    struct lend_waiting {
        struct span span;
        uint8_t target;
    } waiting[WORKER_LENT_WAITING]; /* oldest first */
};

/* Packets of one session, to be opened in one call. */
struct open_batch {
    struct session *session;
    unsigned n;
    bool borrowed; /* some are in buffers of another worker */
    bool
        relayed; /* some came through a channel: the sender's address says nothing about the peer's */
    struct crypt_packet packets[CRYPT_BATCH_MAX];
    uint8_t ecn[CRYPT_BATCH_MAX];
    const struct io_rx *rx[CRYPT_BATCH_MAX]; /* where each came from */
};

/* A batch that waits in a queue, with copies of the records it came by, whose buffers it holds. */
struct open_job {
    struct help_job job;
    struct open_batch batch;
    unsigned rx_n;
    struct io_rx rx[CRYPT_BATCH_MAX];
    uint8_t *bytes;        /* WORKER_OPEN_JOB_BYTES: where packets are opened to */
    struct open_job *next; /* free, delivered or late list */
};

struct stage_pool {
    uint8_t *bytes;
    uint32_t slot_size;
    uint16_t n;
    uint16_t *lens;
    uint16_t *free_list;
    uint16_t free_n;
    uint16_t largest;                          /* most packets that any peer has staged */
    struct peer *holders[PEER_STAGED_MAX + 1]; /* by number of staged packets, from 1 on */
};

struct worker {
    struct engine *engine;
    unsigned index;
    pthread_t thread;
    bool started, running;
    enum err start_result; /* written before the first barrier of engine_start, never again */

    struct io *io;
    struct snapshot_domain *domain;
    struct crypt crypt;
    time_ns now;                      /* of this loop */
    const struct route_table *routes; /* of this loop */
    const struct policy *policy;      /* likewise, of a client */
    struct nat nat;                   /* of a gateway */
    void *nat_memory;                 /* its tables; NULL: it is none */

    struct peer **peers;       /* by slot */
    struct session **sessions; /* by index & (SESSION_TABLE - 1) */

    /* Outgoing. */
    struct train *trains_free, *trains_open;
    unsigned trains_free_n, trains_parked_n;
    struct small_send *smalls_free;
    struct stage_pool stage;
    struct frames frames; /* TUN frames that wait */
    struct source_parking parking;
    bool staged_blocked; /* a peer's staged packets wait for a train */
    struct lost_address {
        struct ip_addr ip;
        time_ns at; /* it was reported, 0: never */
    } lost[WORKER_LOST_ADDRESSES];

    /* Incoming. */
    struct open_batch open;
    struct coalesce coalesce;
    struct open_job *open_jobs_free, *open_jobs_late;
    struct open_job *open_jobs_delivered; /* released at the end of the loop */
    struct rate_limit limits;             /* handshakes per source, when proven */
    struct source_seen seen; /* sources of handshakes while cookie replies are rationed */
    time_ns cookies_full_at; /* token bucket of unconditional cookie replies */
    time_ns load_until;      /* under load: handshakes need a cookie */
    time_ns load_window_start;
    unsigned load_window_count;
    uint8_t entropy[1536]; /* for cookie nonces */
    unsigned entropy_left;

    /*
     * Times the sockets were dropped, modulo 256: all workers drop theirs before any gets new ones, so a record of
     * another epoch came by sockets that are gone. rx_epoch: of the records in `rx`.
     */
    uint8_t sockets_epoch, rx_epoch;

    struct help help;
    uint64_t freeze_job_ns;    /* tests */
    struct train *trains_late; /* done again; a helper still has them */

    struct lending lending;
    bool wake_worker[ENGINE_WORKERS_MAX]; /* something was pushed to it in this loop */
    bool wake_control;

    struct io_rx rx[WORKER_RX_MAX];
    struct span spans[WORKER_SPANS_MAX];

    struct counters *counters;

    /* Memory blocks to free. */
    struct train *trains_block;
    uint8_t *trains_bytes;
    struct open_job *open_jobs_block;
    uint8_t *open_jobs_bytes;
    struct small_send *smalls_block;

    /* Queues, each with one producer and one consumer. */
    struct command_ring commands;
    struct edge_ring edges;
    struct ack_ring acks;
    unsigned acks_limit; /* with more in the ring, commands wait */
    struct handshake_ring handshakes;
    struct packet_ring packets;
    struct dns_ring dns;               /* of a client */
    struct span_ring *handoff_in;      /* [worker that pushes] */
    struct handback_ring *handback_in; /* [worker that returns] */

    struct sleeper sleeper;
};

/* A gateway's own addresses in the tunnel. */
struct gateway_own {
    bool has_v4, has_v6;
    uint8_t v4[4], v6[16];
};

struct engine {
    struct engine_config config;
    struct engine_tun tun;
    unsigned workers_n;
    pthread_barrier_t started;
    bool running; /* engine_start succeeded */
    struct worker *workers[ENGINE_WORKERS_MAX];
    struct counters *counters; /* [worker] */

    struct snapshot_domain domain;
    struct route_table *routes; /* snapshot */
    struct policy *policy;      /* snapshot; of a client, with the next two */
    struct policy_names names;
    struct gateway_own *own;      /* snapshot; of a gateway */
    uint64_t watched[2][1024];    /* ports, of UDP and TCP; control writes, workers read */
    struct cookie_gate *gate;     /* snapshot */
    struct source_cache *sources; /* shared, lock-free */

    int event_fd;
    struct sleeper control; /* asleep = 1: the next event signals event_fd */

    /* Commands that did not fit, per worker; control only. */
    struct overflow {
        struct command *items;
        size_t head, n, capacity;
    } overflow[ENGINE_WORKERS_MAX];
    unsigned next_pop[5]; /* round robin */
};

static inline void count(struct worker *w, enum verdict v, uint64_t n)
{
    counter_add(&w->counters->verdicts[v], n);
}

static inline void tally(struct worker *w, enum tally t, uint64_t n)
{
    counter_add(&w->counters->tallies[t], n);
}

/*
 * The gate is a worker without peers and TUN. All handshake messages come to its socket, whose short queue a flood
 * fills without taking room, or time, from data: the kernel's scheduler divides the CPUs between it and the others.
 */
static inline bool worker_is_gate(const struct worker *w)
{
    return w->index >= w->engine->config.workers;
}

static inline unsigned owner_of(uint32_t value)
{
    return value >> ENGINE_OWNER_SHIFT;
}

static inline uint32_t slot_of(uint32_t value)
{
    return value & ((1u << ENGINE_OWNER_SHIFT) - 1);
}

/* worker.c */
void *worker_main(void *arg);
enum err worker_init(struct worker *w, struct engine *e, unsigned index) MUST_USE;
void worker_fini(struct worker *w);
void worker_raise(struct worker *w, struct peer *p, uint32_t edge_bits) REQUIRES_ROLE(role_worker);
void worker_ask_source(struct worker *w, const struct ip_addr *dst) REQUIRES_ROLE(role_worker);
/* The system refused to send from this address of ours. */
void worker_address_lost(struct worker *w, const struct ip_addr *ip) REQUIRES_ROLE(role_worker);
void worker_ack(struct worker *w, const struct event_ack *ack) REQUIRES_ROLE(role_worker);

/* engine.c: start_result is set; returns when all workers' are, so that each may wake the others. False: some failed. */
bool engine_worker_started(struct worker *w) MUST_USE REQUIRES_ROLE(role_worker);

/* execute.c: one command. */
void worker_execute(struct worker *w, const struct command *c) REQUIRES_ROLE(role_worker);

/* egress.c */
enum egress_result {
    EGRESS_DONE,
    EGRESS_LENT,
    EGRESS_STALLED
};
/* Routes, splits and appends a TUN frame. LENT: another worker has it. STALLED: try again when trains are free. */
enum egress_result egress_frame(struct worker *w, const struct io_rx *rx, unsigned origin)
    REQUIRES_ROLE(role_worker);
/* The parts of it: how the frame is split, */
enum segment_status egress_plan(const struct worker *w, const struct io_rx *rx,
                                struct segment_plan *plan) REQUIRES_ROLE(role_worker);
/* to whom it goes if not to a peer of this worker, */
enum egress_result egress_lend(struct worker *w, const struct io_rx *rx, unsigned origin,
                               unsigned owner) REQUIRES_ROLE(role_worker);
/* that it goes to this one, or waits; */
enum egress_result egress_to_peer(struct worker *w, struct peer *p, const struct io_rx *rx,
                                  uint8_t ecn) REQUIRES_ROLE(role_worker);
/* the session to seal with, or NULL: control is asked for a handshake where one is due; */
struct session *egress_session(struct worker *w, struct peer *p) REQUIRES_ROLE(role_worker);
/* trains for `n` packets, for which those that are not sent yet are sent if need be. */
bool egress_room(struct worker *w, uint32_t n) REQUIRES_ROLE(role_worker);
/* How many packets a TUN frame is (counts). */
uint32_t egress_packets(const struct worker *w, const struct io_rx *rx) REQUIRES_ROLE(role_worker);
/* An empty packet, or what is staged; without a session control is asked for a handshake. */
void egress_keepalive(struct worker *w, struct peer *p) REQUIRES_ROLE(role_worker);
/* A packet of control's. Without a session or a path there is nobody to tell. */
void egress_packet(struct worker *w, struct peer *p, const uint8_t *packet, uint32_t len)
    REQUIRES_ROLE(role_worker);
/* Sends what was staged, if there is a session now. */
void egress_staged(struct worker *w, struct peer *p) REQUIRES_ROLE(role_worker);

/* client.c: ENGINE_CLIENT */
/* As egress_frame. */
enum egress_result client_frame(struct worker *w, const struct io_rx *rx, unsigned origin)
    REQUIRES_ROLE(role_worker);
/* What is staged at a record is decided once more. */
void client_replay(struct worker *w, struct peer *waits) REQUIRES_ROLE(role_worker);
/* A packet of control's is decided as the host's are, but for stubs. */
void client_inject(struct worker *w, const uint8_t *packet, uint32_t len)
    REQUIRES_ROLE(role_worker);
/* A packet of the peer's is for the host. False: it has its verdict. */
bool client_accepts(struct worker *w, const struct peer *p, const struct ip_view *v,
                    const uint8_t *packet) REQUIRES_ROLE(role_worker);

/* gateway.c: ENGINE_GATEWAY */
enum err gateway_init(struct worker *w) MUST_USE;
/* The peer is its client's now; and a client, by its number, ends: what the NAT knows of it goes. */
void gateway_adopt(struct worker *w, const struct peer *p) REQUIRES_ROLE(role_worker);
void gateway_forget(struct worker *w, uint32_t client) REQUIRES_ROLE(role_worker);
/* A frame of the network's for the peer. */
enum egress_result gateway_frame(struct worker *w, struct peer *p, const struct io_rx *rx,
                                 struct ip_view *v) REQUIRES_ROLE(role_worker);
/* A packet of the peer's is for the network, as it may be rewritten now. False: it has its verdict. */
bool gateway_accepts(struct worker *w, struct peer *p, struct ip_view *v, uint8_t *packet)
    REQUIRES_ROLE(role_worker);
/* False: there is no room for it, it says what cannot be, or this is no gateway. */
bool gateway_translate(struct worker *w, struct peer *p, const struct engine_translation *t)
    REQUIRES_ROLE(role_worker);

/* train.c */
enum err train_pool_init(struct worker *w) MUST_USE;
void train_pool_fini(struct worker *w);
/* Room for a packet of `len` bytes (at most `padded` after padding) at the end of the peer's train; NULL: no train. */
uint8_t *train_append(struct worker *w, struct peer *p, struct session *s, uint32_t len,
                      uint8_t ecn) REQUIRES_ROLE(role_worker);
/* Seals and sends all open trains. */
void train_flush(struct worker *w) REQUIRES_ROLE(role_worker);
void train_flush_peer(struct worker *w, struct peer *p) REQUIRES_ROLE(role_worker);
/* Lets trains leave that were queued and are sealed. wait: all of them. */
void train_collect_queued(struct worker *w, bool wait) REQUIRES_ROLE(role_worker);
/* Takes back finished sends, counts their results. */
void train_collect(struct worker *w) REQUIRES_ROLE(role_worker);
/* Sends, or drops, what waited for a source address. */
void train_release_parked(struct worker *w) REQUIRES_ROLE(role_worker);
void train_drop_parked(struct worker *w) REQUIRES_ROLE(role_worker);
/* A datagram of its own. False: no buffer. Counts what becomes of it. */
bool train_send_small(struct worker *w, const struct sock_addr *to, const struct ip_source *from,
                      const uint8_t *bytes, size_t len) REQUIRES_ROLE(role_worker);

/* stage.c */
enum err stage_init(struct stage_pool *s, uint32_t packet_max) MUST_USE;
void stage_fini(struct stage_pool *s);
/*
 * Room for a staged packet. If need be the oldest one of the peer, or of the peer with the most, is dropped (counted).
 * NULL: it is too long.
 */
uint8_t *stage_push(struct worker *w, struct peer *p, uint32_t len) REQUIRES_ROLE(role_worker);
/* The oldest staged packet, which stays in place until stage_pop. */
uint8_t *stage_peek(struct worker *w, struct peer *p, uint32_t *len) REQUIRES_ROLE(role_worker);
void stage_pop(struct worker *w, struct peer *p) REQUIRES_ROLE(role_worker);
void stage_purge(struct worker *w, struct peer *p, enum verdict reason) REQUIRES_ROLE(role_worker);
/* The oldest that `from` has goes behind what `to` has, whose oldest makes room if need be. */
void stage_move_oldest(struct worker *w, struct peer *from, struct peer *to)
    REQUIRES_ROLE(role_worker);
/* The packet is there already; or its connection's SYN is, then it takes that one's place. */
bool stage_repeats(struct worker *w, const struct peer *p, const uint8_t *packet, uint32_t len)
    REQUIRES_ROLE(role_worker);

/* ingress.c */
enum err ingress_pool_init(struct worker *w) MUST_USE;
void ingress_pool_fini(struct worker *w);
/*
 * Frees delivered batches and the buffers that they hold: when the TUN has what was in them, and this loop's own
 * records are released.
 */
void ingress_release(struct worker *w) REQUIRES_ROLE(role_worker);
/* Delivers batches that were queued and are opened. wait: all of them. */
void ingress_collect(struct worker *w, bool wait) REQUIRES_ROLE(role_worker);
void ingress_datagrams(struct worker *w, const struct io_rx *rx, unsigned origin)
    REQUIRES_ROLE(role_worker);
/* Opens the pending batch and writes everything to the TUN. After it no receive buffer is referenced. */
void ingress_flush(struct worker *w) REQUIRES_ROLE(role_worker);

/* handshake_gate.c: handshake messages and other datagrams that are not transport data. */
/* channel: the message stood behind the header of this one, 0: of none. */
void gate_handshake(struct worker *w, const struct io_rx *rx, const uint8_t *msg, uint32_t len,
                    uint16_t channel) REQUIRES_ROLE(role_worker);
/* A control packet that came from this peer inside the tunnel. */
void gate_inner(struct worker *w, const struct peer *p, const uint8_t *packet, uint32_t len)
    REQUIRES_ROLE(role_worker);
/* A whole datagram; channel: the one of its header, 0: it has none. */
void gate_other(struct worker *w, const struct io_rx *rx, const uint8_t *msg, uint32_t len,
                uint16_t channel) REQUIRES_ROLE(role_worker);

/* handoff.c */
/*
 * Lends `rx` (read by this worker) to `target`, now or when `target` has returned some. False: it stands still and
 * holds its share, the caller drops and counts.
 */
bool handoff_lend(struct worker *w, unsigned target, const struct io_rx *rx)
    REQUIRES_ROLE(role_worker);
/* A buffer is no longer used by this worker: back to the backend, or to the worker that read it. */
void handoff_release(struct worker *w, unsigned origin, unsigned kind, uint16_t buffer)
    REQUIRES_ROLE(role_worker);
/* Buffers that other workers are done with; then lends, or drops, what waited for that. */
void handoff_collect(struct worker *w) REQUIRES_ROLE(role_worker);
/* When handoff_collect has to run although nothing came back. */
time_ns handoff_deadline(const struct worker *w) REQUIRES_ROLE(role_worker);
/* A received buffer of this worker's is needed beyond this loop; and no longer so. */
void handoff_hold(struct worker *w, unsigned kind, uint16_t buffer) REQUIRES_ROLE(role_worker);
void handoff_unhold(struct worker *w, unsigned kind, uint16_t buffer) REQUIRES_ROLE(role_worker);
/* Up to WORKER_SPANS_MAX records from other workers into w->spans. */
unsigned handoff_take(struct worker *w) REQUIRES_ROLE(role_worker);
/* There is something to collect or, if `spans`, to take. */
bool handoff_pending(const struct worker *w, bool spans) REQUIRES_ROLE(role_worker);
/* The worker ends: counts what it did not take, or lend, any more. */
void handoff_stop(struct worker *w) REQUIRES_ROLE(role_worker);
/* Wakes the workers, and control, that got something in this loop. */
void handoff_wake(struct worker *w) REQUIRES_ROLE(role_worker);

/* keys.c: the three key slots. */
/* A queued batch refers to the session; it is given back when none does any more. */
void keys_hold(struct session *s);
void keys_unhold(struct worker *w, struct session *s) REQUIRES_ROLE(role_worker);
void keys_install(struct worker *w, struct peer *p, struct session *s) REQUIRES_ROLE(role_worker);
/* An authentic packet came on `s`: promotes next to current. True if it did. */
bool keys_confirm(struct worker *w, struct peer *p, struct session *s) REQUIRES_ROLE(role_worker);
void keys_drop_all(struct worker *w, struct peer *p) REQUIRES_ROLE(role_worker);

#endif
