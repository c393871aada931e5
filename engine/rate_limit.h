/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshakes per source address: a token bucket of 20 per second with a burst of 5, as WireGuard implementations
 * use, for sources that proved their address by a cookie. One per worker; fixed size: a colliding address takes the
 * entry over, so an attacker gains at most one burst per address. Sans-IO.
 */
#ifndef FZ_RATE_LIMIT_H
#define FZ_RATE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/time.h"

enum {
    RATE_LIMIT_ENTRIES = 1024,
    RATE_LIMIT_PER_SECOND = 20,
    RATE_LIMIT_BURST = 5
};

struct rate_limit {
    uint64_t seed;
    struct {
        uint64_t key;    /* hash of the address; v6: of its /64 */
        time_ns full_at; /* when the bucket will be full again */
    } entries[RATE_LIMIT_ENTRIES];
};

/* seed: random. */
void rate_limit_init(struct rate_limit *r, uint64_t seed);

/* Takes a token. False: none left. */
bool rate_limit_allow(struct rate_limit *r, const struct ip_addr *from, time_ns now);

#endif
