/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request of the TURN client: when it is sent again, when it is given up, and which answers belong to it.
 *
 * It is sent at 0, 1, 2.5 and 4.75 s and given up at 8.125 s. BINDING is the same message each time; the others get a new
 * transaction id, which differs from the first in its last two bits, so that a late answer to an earlier attempt is still
 * one. Pure; control role. Source: spec/p2p.md 5.4; RFC 8489 section 6.2.1.
 */
#ifndef FZ_CONTROL_P2P_TURN_REQUEST_H
#define FZ_CONTROL_P2P_TURN_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "control/p2p/stun.h"
#include "platform/base/time.h"

enum {
    TURN_ATTEMPTS = 4,
    TURN_REAUTH_MAX = 8 /* new nonces in a row that are answered at once */
};

struct turn_request {
    uint16_t method; /* enum stun_method; 0: nothing is in flight */
    bool queued;     /* an attempt waits to be transmitted */
    bool deletes;    /* REFRESH with lifetime 0 */
    uint8_t server;  /* index of the relay's address */
    uint8_t attempts, attempts_max;
    uint8_t reauths;    /* how often it has begun anew with another nonce */
    uint8_t nonce_mask; /* attempts that carried a nonce, as bits */
    uint8_t plain_mask; /* attempts without MESSAGE-INTEGRITY, as bits */
    struct stun_id id;  /* of the first attempt */
    time_ns first_at, next_at;
};

/* Begins with the first attempt. attempts_max: TURN_ATTEMPTS, or 1 for one that is given up after 1 s. */
void turn_request_begin(struct turn_request *r, time_ns now, enum stun_method method,
                        uint8_t server, uint8_t attempts_max, const struct stun_id *id);
static inline void turn_request_end(struct turn_request *r)
{
    *r = (struct turn_request){.method = 0};
}

static inline bool turn_request_in_flight(const struct turn_request *r)
{
    return r->method != 0;
}

/* When turn_request_again is due; TIME_NEVER: not in flight. */
static inline time_ns turn_request_due(const struct turn_request *r)
{
    return turn_request_in_flight(r) ? r->next_at : TIME_NEVER;
}

/* The next attempt. False: there is none left. */
bool turn_request_again(struct turn_request *r, time_ns now);

/* The transaction id of the last attempt. */
struct stun_id turn_request_id(const struct turn_request *r);

/* True if `id` is that of an attempt; `attempt`: its number, as in the masks. */
bool turn_request_owns(const struct turn_request *r, const struct stun_id *id, unsigned *attempt);

#endif
