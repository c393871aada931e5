/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of ICE: checks, their answers, and their transaction ids, which say what they belong to.
 *
 *     +---------+------------------+-----------------------+
 *     | tag (4) | masked serial (4)| keyed hash of both (4)|
 *     +---------+------------------+-----------------------+
 *
 * The tag is the agent's own among all of its node; so the node finds the agent, and the agent the check, without a table of ids.
 * Pure; control role. Source: spec/p2p.md 7.2; RFC 8445 section 7.
 */
#ifndef FZ_CONTROL_P2P_ICE_MESSAGE_H
#define FZ_CONTROL_P2P_ICE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/p2p/stun.h"

enum {
    ICE_UFRAG_MAX = 64,
    ICE_PASSWORD_MAX = 128,
    ICE_DATAGRAM_MAX = 320,
    ICE_KEY_LEN = 32
};

enum ice_role {
    ICE_CONTROLLED,
    ICE_CONTROLLING
};

struct ice_credentials {
    char ufrag[ICE_UFRAG_MAX + 1], password[ICE_PASSWORD_MAX + 1];
};

/* Of a check. */
struct ice_check {
    struct stun_id id;
    enum ice_role role;
    bool use_candidate;
    uint32_t priority; /* of the local candidate, as if it were peer reflexive */
    uint64_t tie_breaker;
};

struct stun_id ice_id_make(uint32_t tag, const uint8_t key[ICE_KEY_LEN], uint32_t serial);
/* False: ice_id_make has not made it. */
bool ice_id_open(const struct stun_id *id, uint32_t tag, const uint8_t key[ICE_KEY_LEN],
                 uint32_t *serial);
uint32_t ice_id_tag(const struct stun_id *id);

/* Each returns the length of the message. */
size_t ice_write_check(uint8_t out[ICE_DATAGRAM_MAX], const struct ice_check *check,
                       const struct ice_credentials *own, const struct ice_credentials *remote);
/* mapped: where the request came from. */
size_t ice_write_success(uint8_t out[ICE_DATAGRAM_MAX], const struct stun_id *id,
                         const struct sock_addr *mapped, const struct ice_credentials *own);
/* 487: both ends have the same role. */
size_t ice_write_conflict(uint8_t out[ICE_DATAGRAM_MAX], const struct stun_id *id,
                          const struct ice_credentials *own);

#endif
