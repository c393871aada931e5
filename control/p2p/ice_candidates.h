/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The candidates of an agent: our own with their priorities, and the peer's, be they signalled, seen in its requests (peer
 * reflexive), or guessed. Entries have fixed numbers, so that pairs refer to them. When a table is full, what is of no use any more makes
 * room. Pure; control role. Source: spec/p2p.md 6.
 */
#ifndef FZ_CONTROL_P2P_ICE_CANDIDATES_H
#define FZ_CONTROL_P2P_ICE_CANDIDATES_H

#include <stdbool.h>
#include <stdint.h>

#include "control/p2p/candidate.h"

enum {
    ICE_LOCAL_MAX = 16,
    ICE_LOCAL_RELAYED =
        4, /* entries that only relayed ones get: of two families, while older ones' end waits to be signalled */
    ICE_REMOTE_MAX = 40,
    ICE_OPTIMISTIC_MAX = 8,
    ICE_NONE = -1 /* no entry */
};

enum ice_entry_state {
    ICE_FREE,
    ICE_LIVE,
    ICE_GONE /* removed locals whose end has to be signalled; remote ones that were invalidated */
};

struct ice_local {
    struct candidate candidate;
    enum ice_entry_state state;
    uint32_t order; /* the smaller, the longer ago it was added */
    bool told;      /* LIVE: signalled, or is not to be */
};

struct ice_remote {
    struct candidate candidate;
    enum ice_entry_state state;
    uint32_t order;  /* the smaller, the older */
    bool optimistic; /* guessed: a forwarded port behind a NAT that maps others anew */
    bool told;       /* peer reflexive: reported */
};

struct ice_candidates {
    struct ice_local locals[ICE_LOCAL_MAX];
    struct ice_remote remotes[ICE_REMOTE_MAX];
    uint32_t order;
};

_Static_assert(ICE_REMOTE_MAX <= 64, "ice_remote_worst takes a bit for each");

/* ---- our own; each returns an entry or ICE_NONE ---- */

/*
 * ICE_NONE: redundant, of no use, or too many. A worse one of the same address and base is replaced in its entry. The candidate's
 * priority is computed here.
 */
int ice_local_add(struct ice_candidates *c, const struct candidate *candidate);
int ice_local_find(const struct ice_candidates *c, const struct candidate *candidate);
/* A host or relayed one, which may receive. */
int ice_local_receiver(const struct ice_candidates *c, const struct sock_addr *addr);
/* tell: the peer shall hear of it if it knows it. */
void ice_local_remove(struct ice_candidates *c, int local, bool tell);
/* False: there are too many for one more that is not relayed. */
bool ice_local_room(const struct ice_candidates *c);
/* The oldest one that is not relayed and comes after the entry `after`, in the order of their age; ICE_NONE: at first, at last. */
int ice_local_older(const struct ice_candidates *c, int after);

/* ---- the peer's ---- */

/* A signalled one. `changed`: an entry of another kind, or gone, was made this. ICE_NONE: too many. */
int ice_remote_add(struct ice_candidates *c, const struct candidate *candidate, bool *changed);
int ice_remote_add_reflexive(struct ice_candidates *c, const struct sock_addr *addr,
                             uint32_t priority);
/*
 * A guess that is not known yet, made an entry: the address of a srflx with the port of a host candidate. ICE_NONE: none is
 * left, or there are too many.
 */
int ice_remote_add_optimistic(struct ice_candidates *c);
int ice_remote_find(const struct ice_candidates *c, const struct candidate *candidate);
/* By address: a live one if there is, else one that is gone. */
int ice_remote_at(const struct ice_candidates *c, const struct sock_addr *addr);
void ice_remote_invalidate(struct ice_candidates *c, int remote);
/*
 * The entry to give up for another: the oldest that is gone or, as `in_use` (bits by entry) says, without pair; those that were
 * signalled last. ICE_NONE: all are in use.
 */
int ice_remote_worst(const struct ice_candidates *c, uint64_t in_use);
bool ice_remote_full(const struct ice_candidates *c);
void ice_remote_forget(struct ice_candidates *c, int remote);

#endif
