/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands: what control tells a worker. Values, copied through one SPSC ring per worker, executed in order between
 * two batches of packets.
 */
#ifndef FZ_COMMAND_H
#define FZ_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/ring.h"

struct engine_translation;
struct peer;
struct session;

enum {
    COMMAND_DATAGRAM_MAX = 640 /* a check or TURN request, with its channel header */
};
#define COMMAND_NO_PEER UINT32_MAX

enum command_kind {
    COMMAND_PEER_ADD, /* peer */
    COMMAND_PEER_REMOVE, /* slot; answered by ACK_SESSION_GONE for each session, and ACK_PEER_GONE; that
                              of a session that a helper holds may come later */
    COMMAND_ENDPOINT,      /* slot, endpoint, source: where to send from now on */
    COMMAND_SESSION_ADD,   /* slot, session; staged packets leave if it is usable at once */
    COMMAND_SESSIONS_DROP, /* slot: all sessions of the peer end */
    COMMAND_STAGE_PURGE,   /* slot: no session came to be */
    COMMAND_STAGE_REPLAY,  /* slot: what is staged there is decided once more (client) */
    COMMAND_KEEPALIVE,     /* slot: staged packets or else an empty one */
    COMMAND_DATAGRAM, /* send these bytes (handshake, STUN); slot: the peer whose tx_bytes they are,
                              COMMAND_NO_PEER: nobody's */
    COMMAND_PACKET, /* slot: send this packet to the peer inside the tunnel, if there is a session (block) */
    COMMAND_CLIENT_FORGET, /* slot: a client's number, whose NAT state is to go (gateway) */
    COMMAND_TRANSLATE,     /* slot, translation (gateway); answered by ACK_TRANSLATED */
    COMMAND_INJECT,        /* decide this packet as if the host had sent it (block; client) */
    COMMAND_SOCKETS_DROP,  /* let go of the UDP sockets; answered by ACK_SOCKETS_DROPPED */
    COMMAND_SOCKETS_SET,   /* use these */
    COMMAND_SOURCE_ANSWER, /* the source cache has news: look at what is parked */
    COMMAND_ECHO,          /* answered by ACK_ECHO with the same token */
    COMMAND_FREEZE,        /* tests: do nothing for `token` nanoseconds */
    COMMAND_FREEZE_JOB,    /* tests: the same in the middle of the next job for another worker */
    COMMAND_STOP
};

/* A packet inside the tunnel, as engine_block_new makes it: the engine's once the command is given. */
struct command_block {
    uint16_t len;
    uint8_t bytes[];
};

struct command {
    uint8_t kind; /* enum command_kind */
    uint32_t slot;
    union {
        struct peer *peer;
        struct session *session;
        struct {
            struct sock_addr to;
            struct ip_source from;
            uint16_t
                channel; /* `to` is a relay, and this the channel to the peer; 0: `to` is the peer */
        } endpoint;
        struct {
            int v4, v6; /* -1: none */
        } sockets;
        struct {
            struct sock_addr to;
            struct ip_source from; /* family ADDR_NONE: not known */
            uint16_t len;
            uint8_t bytes[COMMAND_DATAGRAM_MAX];
        } datagram;
        struct command_block *block;
        struct engine_translation *translation; /* control keeps it until the answer */
        uint64_t token;
    };
};

RING_DEFINE(command, struct command)

#endif
