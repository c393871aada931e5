/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of an ICE agent (ice.h) call of each other. Pure; control role. */
#ifndef FZ_CONTROL_P2P_ICE_PRIVATE_H
#define FZ_CONTROL_P2P_ICE_PRIVATE_H

#include <stdbool.h>

#include "control/p2p/ice.h"

/* Draws all conclusions from what has changed: gives pairs up, makes checks due, nominates, changes the state. */
void ice_step(struct ice *a, time_ns now);

/* A peer reflexive candidate, for which an older one may be forgotten. ICE_NONE: too many. */
int ice_make_reflexive(struct ice *a, const struct sock_addr *addr, uint32_t priority);

/* ---- ice_nominate.c ---- */

/* Selects the pair that is best now. */
void ice_nominate(struct ice *a, time_ns now);
/* The peer, which controls, nominates this pair. */
void ice_nominated_by_peer(struct ice *a, struct ice_pair *pair, time_ns now);
/* A request on this nominated pair. Has the selected one checked if the peer is not heard there. */
void ice_notice_silence(struct ice *a, const struct ice_pair *heard, time_ns now);

#endif
