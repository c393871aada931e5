/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the TURN client share: turn.c (its life, time), turn_output.c, turn_candidates.c (our addresses), turn_answer.c (what
 * answers of the relay mean), turn_message.c (the requests as bytes).
 */
#ifndef FZ_CONTROL_P2P_TURN_PRIVATE_H
#define FZ_CONTROL_P2P_TURN_PRIVATE_H

#include "control/p2p/turn.h"

#define TURN_REALM    "firezone"
#define TURN_SOFTWARE "snownet"

enum {
    TURN_FIXED_REQUESTS = 4 /* those that are not a channel's */
};

static inline struct turn_request *turn_fixed_request(struct turn *t, unsigned i)
{
    struct turn_request *all[TURN_FIXED_REQUESTS] = {&t->binding[0], &t->binding[1], &t->allocate,
                                                     &t->refresh};
    return all[i];
}

static inline bool turn_ended(const struct turn *t)
{
    return t->state == TURN_FAILED || t->state == TURN_CLOSED;
}

void turn_set_state(struct turn *t, enum turn_state next);

/* The first attempt of a request to the active server, or of a BINDING to any. */
void turn_begin(struct turn *t, time_ns now, struct turn_request *r, enum stun_method method,
                uint8_t server, uint8_t attempts_max);
/* ALLOCATE, at once or, if the relay has made us repeat it too often, after a pause. */
void turn_allocate(struct turn *t, time_ns now);
/* REFRESH with lifetime 0. */
void turn_delete(struct turn *t, time_ns now, uint8_t attempts_max);
/* The next pause of a series that grows until something goes well. */
time_ns turn_next_pause(struct turn *t);

/* Everything that depends on the allocation is gone, and nothing is in flight any more. */
void turn_invalidate(struct turn *t);
void turn_fail(struct turn *t, enum turn_failure failure);

/* Adds to, and takes from, the peers that wait for an allocation. */
void turn_wait(struct turn *t, const struct sock_addr *peer);
void turn_bind_waiting(struct turn *t, time_ns now);

/* ---- turn_candidates.c ---- */

/* From this one on none is valid, which is to be told. */
void turn_candidates_invalidate(struct turn *t, unsigned first);
/* The next one that has become invalid or new. */
bool turn_candidates_tell(struct turn *t, struct turn_event *out);
/* Sets a candidate: kind HOST, SRFLX or RELAY. */
void turn_candidate_set(struct turn *t, enum candidate_kind kind, const struct sock_addr *addr,
                        const struct sock_addr *local);

/* The current attempt of `r` as a datagram; c: the channel it belongs to, or NULL. */
void turn_message_build(const struct turn *t, struct turn_request *r, const struct turn_channel *c,
                        struct turn_datagram *out);

#endif
