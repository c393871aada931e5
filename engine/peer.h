/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer as its owner worker sees it: three key slots, the path, staged packets, activity.
 *
 * Made by control, owned by one worker between COMMAND_PEER_ADD and ACK_PEER_GONE. Control reads the published
 * block (`shared`) and takes edges; it writes nothing here.
 */
#ifndef FZ_PEER_H
#define FZ_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/session.h"
#include "platform/base/addr.h"
#include "platform/base/bytes.h"
#include "platform/base/counter.h"
#include "platform/base/edge.h"
#include "platform/base/seqlock.h"
#include "platform/base/time.h"

struct train;

enum {
    PEER_STAGED_MAX = 128
};

/* Written by the owner worker, read by control at any time. */
struct peer_shared {
    struct counter unanswered_since, unacked_since, last_sent, last_received, last_packet;
    struct counter rx_bytes, tx_bytes;
    struct counter current_index;
    struct seqlock endpoint; /* struct sock_addr */
    struct edges edges;      /* enum edge_bit; taken by control */
    struct edges armed;      /* enum arm_bit; set by either, cleared by control */
} __attribute__((aligned(CACHE_LINE)));

struct peer {
    uint32_t slot;
    uint32_t value; /* slot | owner << ENGINE_OWNER_SHIFT */

    /* Key slots, WireGuard paper section 6.3: data is sent with `current` only. */
    struct session *current, *previous, *next;

    /* The path. `source` is the address the peer's last authentic packet came to, ADDR_NONE: unknown. */
    struct sock_addr endpoint;
    struct ip_source source;
    uint16_t channel; /* `endpoint` is a relay: the channel that leads to the peer; 0: none */

    bool waits_for_path; /* packets are staged while `endpoint` is not known */
    bool replays;        /* what is staged is decided once more when there are trains (client) */

    struct grants *grants;   /* of a gateway's client: snapshot (engine/grants_private.h) */
    uint32_t client, tenant; /* likewise: engine_peer_client */

    struct train *train; /* open in this batch, or NULL */
    time_ns asked_at;    /* last EDGE_WANT_HANDSHAKE, 0: none */
    time_ns lost_at;     /* last EDGE_PATH_LOST, 0: none */

    /* Staged packets: a FIFO of entries of the worker's stage pool. The links belong to stage.c. */
    struct peer *staged_next, **staged_link;
    uint16_t staged[PEER_STAGED_MAX];
    uint16_t staged_head, staged_n;
    uint16_t staged_max; /* <= PEER_STAGED_MAX */

    struct peer_shared shared;
};

#endif
