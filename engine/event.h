/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: what a worker tells control. One bounded SPSC ring per worker and kind, so that one kind cannot starve
 * another: edges and acknowledgements are sized so that they cannot overflow, packets and handshakes are dropped and
 * counted when control is behind.
 */
#ifndef FZ_EVENT_H
#define FZ_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/ring.h"

struct command_block;
struct engine_translation;
struct peer;
struct session;

/* Facts about a peer, raised once until control takes them. */
enum edge_bit {
    EDGE_WANT_HANDSHAKE =
        1 << 0,              /* data waits without a session, or the session is due for renewal */
    EDGE_DATA_SENT = 1 << 1, /* first data sent while ARM_ANSWER was off */
    EDGE_DATA_RECEIVED = 1 << 2, /* first data received while ARM_REPLY was off */
    EDGE_CONFIRMED = 1 << 3,     /* first packet on the next key: our response arrived */
    EDGE_ENDPOINT = 1 << 4,      /* the peer's address changed (roaming) */
    EDGE_PATH_LOST = 1 << 5      /* sending to the peer failed: unreachable */
};

/* Timers of control that make an edge unnecessary while they run. */
enum arm_bit {
    ARM_ANSWER = 1 << 0, /* waiting for any authenticated packet: engine's unanswered_since */
    ARM_REPLY = 1 << 1   /* a passive keepalive is pending: unacked_since */
};

enum event_edge_kind {
    EVENT_EDGE_PEER,
    EVENT_EDGE_SOURCE,
    EVENT_EDGE_ADDRESS_LOST,
    EVENT_EDGE_TUN_GONE /* the device was taken away; from each worker that reads a queue of it */
};

struct event_edge {
    uint8_t kind;        /* enum event_edge_kind */
    uint8_t worker;      /* who asked, for the answer */
    uint32_t slot;       /* PEER: take its edges */
    struct ip_addr dst;  /* SOURCE: resolve this, then COMMAND_SOURCE_ANSWER */
    struct ip_addr lost; /* ADDRESS_LOST: the system does not send from it any more */
};

enum ack_kind {
    ACK_SESSION_GONE,
    ACK_PEER_GONE,
    ACK_SOCKETS_DROPPED,
    ACK_ECHO,
    ACK_TRANSLATED,
    ACK_BLOCK /* the engine's own: engine_pop_ack yields none */
};

struct event_ack {
    uint8_t kind; /* enum ack_kind */
    uint8_t worker;
    union {
        struct session *session; /* control frees it */
        struct peer *peer;
        uint64_t token;
        struct command_block *block;
        struct {
            struct engine_translation *translation;
            bool done; /* false: no room, or no such peer */
        };
    };
};

#define EVENT_NO_PEER UINT32_MAX

enum {
    EVENT_HANDSHAKE_MAX = 148,
    EVENT_PACKET_MAX = 1500
};

/* A handshake message that passed the gate. */
struct event_handshake {
    struct sock_addr from; /* through a channel: the relay */
    struct ip_source to;   /* our address it came to */
    uint16_t channel;      /* 0: it came directly */
    uint8_t worker;
    uint8_t len;
    uint8_t bytes[EVENT_HANDSHAKE_MAX];
};

enum event_packet_kind {
    EVENT_PACKET_DATAGRAM, /* STUN, TURN, channel data with STUN in it; no peer */
    EVENT_PACKET_INNER,    /* a control packet from inside the tunnel (wire/inner.h) */
    EVENT_PACKET_STUB,     /* an IP packet from the TUN to a stub; no peer */
    EVENT_PACKET_DNS, /* an IP packet of a peer's for control's own queries (engine_watch_port) */
    EVENT_PACKET_PROHIBITED /* the peer does not let packets to `about` pass any more; no bytes */
};

/* What is control's business. STUB and DNS come by a queue of their own. */
struct event_packet {
    uint8_t kind;  /* enum event_packet_kind */
    uint32_t peer; /* its slot, or EVENT_NO_PEER */
    struct ip_addr about;
    struct sock_addr from;
    struct ip_source to;
    uint8_t worker;
    uint16_t len;
    uint8_t bytes[EVENT_PACKET_MAX];
};

RING_DEFINE(edge, struct event_edge)
RING_DEFINE(ack, struct event_ack)
RING_DEFINE(handshake, struct event_handshake)
RING_DEFINE(packet, struct event_packet)
RING_DEFINE(dns, struct event_packet)

#endif
