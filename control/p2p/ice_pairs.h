/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check list of an agent: pairs of a candidate of ours and one of the peer, at most one for each way a datagram can take (our
 * base, the peer's address), ranked by priority. Pure; control role. Source: spec/p2p.md 7.2; RFC 8445 section 6.1.2.
 */
#ifndef FZ_CONTROL_P2P_ICE_PAIRS_H
#define FZ_CONTROL_P2P_ICE_PAIRS_H

#include <stdbool.h>
#include <stdint.h>

#include "control/p2p/ice_candidates.h"
#include "control/p2p/ice_message.h"
#include "control/p2p/ice_schedule.h"

enum {
    ICE_PAIR_MAX = 100
};

struct ice_pair {
    uint64_t priority;
    uint8_t local, remote; /* entries of the candidates */
    bool nominated;        /* by us, or by the peer if it controls */
    bool selected;         /* where to send; at most one pair */
    bool queued;           /* a check waits to be transmitted */
    struct ice_schedule schedule;
};

struct ice_pairs {
    struct ice_pair at[ICE_PAIR_MAX]; /* in no order */
    unsigned count;
    bool begun; /* there was a pair */
};

uint64_t ice_pair_priority(uint32_t controlling, uint32_t controlled);

/*
 * Makes the pair of two live entries. If there is one for the same way, the better candidates remain, and all that is known of it.
 * If there are too many, the worst one that is not nominated is dropped. NULL: no pair: of two families, or worse than
 * all.
 */
struct ice_pair *ice_pairs_form(struct ice_pairs *p, const struct ice_candidates *c, int local,
                                int remote, enum ice_role role, time_ns now);
void ice_pairs_form_local(struct ice_pairs *p, const struct ice_candidates *c, int local,
                          enum ice_role role, time_ns now);
void ice_pairs_form_remote(struct ice_pairs *p, const struct ice_candidates *c, int remote,
                           enum ice_role role, time_ns now);
/* Priorities of candidates, or the role, have changed. */
void ice_pairs_rank(struct ice_pairs *p, const struct ice_candidates *c, enum ice_role role);

void ice_pairs_remove(struct ice_pairs *p, struct ice_pair *pair);
void ice_pairs_remove_local(struct ice_pairs *p, int local);
void ice_pairs_remove_remote(struct ice_pairs *p, int remote);

/* The remote entries that have pairs, as bits. */
uint64_t ice_pairs_remotes(const struct ice_pairs *p);
/* The pair for the way between our base and the peer's address; NULL: none. */
struct ice_pair *ice_pairs_find(struct ice_pairs *p, const struct ice_candidates *c,
                                const struct sock_addr *base, const struct sock_addr *remote);
/* NULL: none. */
struct ice_pair *ice_pairs_selected(struct ice_pairs *p);

#endif
