/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's state, for its two halves: data and life (relay.c), requests (request.c). */
#ifndef FZ_TOOLS_FZRELAY_RELAY_PRIVATE_H
#define FZ_TOOLS_FZRELAY_RELAY_PRIVATE_H

#include "control/p2p/stun.h"
#include "tools/fzrelay/allocations.h"
#include "tools/fzrelay/channels.h"
#include "tools/fzrelay/nonces.h"
#include "tools/fzrelay/relay.h"

enum {
    REPLY_MAX = 256
};

/* See relay_plan_error. count 0: free. */
struct plan {
    uint16_t method, code;
    uint32_t count;
};

/* The request that has made the last allocation, until its port is open. */
struct opening {
    uint16_t port; /* 0: there is none */
    struct sock_addr client;
    struct stun_id id;
    uint8_t key[STUN_KEY_LEN];
};

struct relay_server {
    struct allocations allocations;
    struct channels channels;
    struct nonces nonces;
    time_ns due; /* nothing expires before */
    unsigned frozen;
    struct relay_stats stats;
    struct ip_addr public4, public6;
    struct draw draw;
    struct opening opening;
    struct plan plans[RELAY_PLANS_MAX];
    char stamp_secret[RELAY_SECRET_MAX + 1];
    uint8_t reply[REPLY_MAX];
};

/* A datagram that is not channel data. */
enum relay_verdict relay_request(struct relay_server *r, time_ns now, int64_t unix_s,
                                 const struct sock_addr *from, const uint8_t *bytes, size_t len,
                                 struct relay_datagram *out);
/* 508 for the one that is remembered as `opening`. */
void relay_refuse_opening(struct relay_server *r, struct relay_datagram *out);
/* With its channels. */
void relay_delete(struct relay_server *r, struct allocation *a);
/* After an allocation or a channel was added or changed. */
void relay_reckon(struct relay_server *r);

#endif
