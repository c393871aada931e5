/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Traffic for the pipeline benchmark: TUN frames as bulk TCP gives them (super-packets with a virtio header), and the
 * datagrams that a peer would make of them. One bulk flow per peer, IPv4.
 */
#ifndef FZ_BENCH_TRAFFIC_H
#define FZ_BENCH_TRAFFIC_H

#include <stdint.h>

#include "engine/crypt.h"
#include "platform/base/addr.h"

enum {
    TRAFFIC_INNER_MIN = 41, /* IPv4 and TCP headers and a byte */
    TRAFFIC_FRAME_MAX = 65536 + 64
};

/* One flow of packets of `inner_len` bytes (IP length), in one direction. */
struct traffic {
    unsigned inner_len, per_frame; /* packets in a frame: as many as fit in 64 KiB, at most 64 */
    unsigned stride;               /* bytes of a datagram */
    uint16_t channel;              /* datagrams have this one's header; 0: none */
    uint32_t seq;                  /* TCP, of the next frame */
    uint32_t receiver;             /* index that datagrams carry */
    uint64_t counter;              /* of the next datagram */
    struct crypt crypt;
    struct crypt_key key;
    uint8_t frame[TRAFFIC_FRAME_MAX]; /* virtio header and super-packet */
    uint8_t plain[TRAFFIC_FRAME_MAX]; /* its segments */
    uint32_t frame_len;
};

/* Inner addresses of peer i at either end. */
struct ip_addr traffic_address(unsigned peer, bool remote);

struct traffic_config {
    unsigned peer;
    bool inbound; /* the packets come from the peer's address, else they go to it */
    unsigned inner_len;
    uint16_t channel;
    uint32_t receiver;
    const uint8_t *key; /* CRYPT_KEY_LEN bytes */
};
void traffic_init(struct traffic *t, const struct traffic_config *c);
void traffic_fini(struct traffic *t);

/* Writes the frame to `out`; returns its length. */
uint32_t traffic_frame(const struct traffic *t, uint8_t *out);
/* Writes the next per_frame datagrams back to back. Returns the length of all. */
uint32_t traffic_datagrams(struct traffic *t, uint8_t *out);
/*
 * Whether a datagram is authentic and holds a segment of the flow's frame, as it left the engine: the one that its
 * counter says, since frames are sent whole.
 */
bool traffic_verify(struct traffic *t, const uint8_t *datagram, uint32_t len);

#endif
