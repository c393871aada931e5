/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two engines in one process, joined by UDP on loopback. SEQPACKET socket pairs stand in for the TUN devices (they
 * keep message boundaries); sessions are installed directly, without a handshake. For tests that drive the real
 * workers without privileges.
 */
#ifndef FZ_TESTS_ENGINE_PAIR_H
#define FZ_TESTS_ENGINE_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"
#include "platform/udp.h"

enum {
    PAIR_PEERS_MAX = 64
};

struct pair_side {
    struct engine *engine;
    struct udp_group udp;
    int tun_ours
        [ENGINE_WORKERS_MAX]; /* the test's ends: write to send into the tunnel, read what came out */
    int tun_engine[ENGINE_WORKERS_MAX]; /* the workers' ends */
    unsigned queues;
    struct peer *peers[PAIR_PEERS_MAX];
};

struct pair_config {
    unsigned workers, peers;
    enum io_backend io;
    bool steering; /* UDP program, and one TUN queue per worker */
    bool pad;
    bool gate; /* one thread more, for handshake messages */
    bool source_resolve;
    enum engine_helpers helpers;
    bool sessions;           /* install sessions and endpoints on both sides */
    enum engine_role b_role; /* side b's rules; a has none */
};

struct pair {
    struct pair_config config;
    struct pair_side a, b;
};

/* Peer i has inner addresses 10.0.i.1 on side a and 10.1.i.1 on side b; each side routes the other's. */
void pair_start(struct pair *p, const struct pair_config *config);
void pair_stop(struct pair *p);

/* The queue that steering would choose for peer i. */
unsigned pair_queue(const struct pair_side *s, unsigned peer);

/* A plain IPv4 UDP packet with `payload` bytes, whose first 8 carry flow and sequence number. Returns its length. */
unsigned pair_packet(uint8_t *out, bool from_a, unsigned peer, uint16_t flow, uint32_t sequence,
                     unsigned payload);
/* Writes a packet with an empty virtio header to the side's TUN. False: would block. */
bool pair_write(struct pair_side *s, unsigned peer, const uint8_t *packet, unsigned len);
/* Reads one frame (virtio header first) from any queue, waiting up to timeout_ms. Returns its length or 0. */
unsigned pair_read(struct pair_side *s, uint8_t *out, unsigned size, int timeout_ms);

/* Sum over the workers of a side. */
uint64_t pair_count(const struct pair_side *s, enum verdict v);
/* Prints all non-zero counters, for failures. */
void pair_dump(const struct pair *p);
/* Pops acknowledgements, frees what they return; counts those of `kind` until `n` or the time is over. */
unsigned pair_wait_acks(struct pair_side *s, enum ack_kind kind, unsigned n, int timeout_ms);
void pair_install_session(struct pair *p, unsigned peer, unsigned generation);

#endif
