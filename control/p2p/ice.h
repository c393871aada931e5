/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ICE agent: finds, and keeps finding, the best of all ways on which datagrams get to one peer and back. Both roles.
 *
 *             first pair           nominated, others are possible
 *     NEW ------------> CHECKING <--------------------------------> CONNECTED
 *                          ^  ^                                      ^  |
 *      a pair again, or    |  +------------> COMPLETED <-------------+  |     no pair is left
 *      a nominated one     |           nominated, no others            |
 *                          +-----------> DISCONNECTED <-----------------+
 *                                             | 2 s
 *     any -- no candidate of the peer, 10 s --+--> FAILED
 *
 * Every pair is checked for ever (ice_schedule.h), which also keeps NAT mappings alive. The controlling agent nominates the best
 * pair that was ever answered, again and again as better ones turn up; the controlled agent takes the best one that was ever nominated. A
 * pair that has become doubtful, though it has not been given up yet, ranks behind those that are not; a controlled agent, whose
 * checks are rare, looks at once when the peer is heard on other nominated pairs only.
 *
 * The node gives each agent a tag that no other of its agents has, and finds the agent of a response by ice_id_tag, that of a
 * request by the part of USERNAME before ':' (of several with the same one, ice_owns_request tells). After every input
 * the caller drains ice_poll_transmit and ice_poll_event and asks ice_poll_timeout. An agent that has FAILED ignores everything.
 *
 * Other than upstream's: doubt; a request on a pair whose checks are unanswered makes the next one due; 487 as an answer is understood;
 * what the peer sees as our address does not become a candidate; a nominated pair is not dropped for a better candidate; candidates
 * that never fitted together do not disconnect before the end of the 10 s. An agent takes about 22 KiB.
 * Sans-IO; control role. Source: spec/p2p.md 6, 7.1, 7.2, 9.3; RFC 8445, RFC 8838.
 */
#ifndef FZ_CONTROL_P2P_ICE_H
#define FZ_CONTROL_P2P_ICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/p2p/ice_candidates.h"
#include "control/p2p/ice_message.h"
#include "control/p2p/ice_pairs.h"

#define ICE_CANDIDATE_TIMEOUT_NS (10 * NS_PER_SEC)
#define ICE_DISCONNECT_GRACE_NS  (2 * NS_PER_SEC)

enum {
    ICE_SEED_LEN = 32,
    ICE_ANSWER_MAX = 16,    /* that wait to be transmitted; more requests are not answered */
    ICE_OPTIMISTIC_STEP = 2 /* guesses for each candidate that is added */
};

enum ice_state {
    ICE_NEW,
    ICE_CHECKING,
    ICE_CONNECTED,
    ICE_COMPLETED,
    ICE_DISCONNECTED,
    ICE_FAILED,
    ICE_STATE_COUNT
};

enum ice_failure {
    ICE_FAILURE_NO_CANDIDATES, /* of the peer */
    ICE_FAILURE_DISCONNECTED   /* there was no way, or it broke and there is no other */
};

/* What became of a message: X(name, text). One counter each. */
#define ICE_VERDICT_LIST(X)                                                                        \
    X(ACCEPTED, "accepted")                                                                        \
    X(OTHER_AGENT, "belongs to another agent")                                                     \
    X(UNAUTHENTIC, "not authentic")                                                                \
    X(NOT_ICE, "not a message of ICE")                                                             \
    X(NOT_LOCAL, "came to an address that is not a candidate")                                     \
    X(INVALIDATED, "came from a candidate that was invalidated")                                   \
    X(ROLE, "of a role that may not say this")                                                     \
    X(CONFLICT, "has our role, which we keep")                                                     \
    X(UNEXPECTED, "answers nothing that we wait for")                                              \
    X(FULL, "too many")                                                                            \
    X(ENDED, "the agent has failed")

enum ice_verdict {
#define X(name, text) ICE_VERDICT_##name,
    ICE_VERDICT_LIST(X)
#undef X
    ICE_VERDICT_COUNT
};

struct ice_config {
    enum ice_role role;
    enum ice_kind kind;
    const char *ufrag, *password, *remote_ufrag, *remote_password;
    uint32_t tag; /* begins all transaction ids */
};

/* A way: datagrams go from `local`, which is an address of our own or, if it is relayed, the relay's. */
struct ice_path {
    struct sock_addr local, remote;
    enum candidate_kind local_kind, remote_kind;
};

enum ice_event_kind {
    ICE_EVENT_CANDIDATE_ADDED,       /* to be signalled */
    ICE_EVENT_CANDIDATE_INVALIDATED, /* to be signalled */
    ICE_EVENT_PEER_REFLEXIVE,        /* the peer has this candidate, too */
    ICE_EVENT_NOMINATED,             /* send here from now on */
    ICE_EVENT_STATE,
    ICE_EVENT_FAILED
};

struct ice_event {
    enum ice_event_kind kind;
    struct candidate candidate; /* CANDIDATE_*, PEER_REFLEXIVE */
    struct ice_path path;       /* NOMINATED */
    enum ice_state state;       /* STATE */
    enum ice_failure failure;   /* FAILED */
};

struct ice_datagram {
    struct sock_addr from, to;
    bool relayed; /* `from` is a relay's address: as channel data to the peer `to` */
    uint16_t len;
    uint8_t bytes[ICE_DATAGRAM_MAX];
};

/* A request that is to be answered. */
struct ice_answer {
    struct stun_id id;
    struct sock_addr from, to; /* of the answer */
    bool relayed, conflict;
};

struct ice {
    enum ice_state state, told_state;
    enum ice_role role;
    enum ice_kind kind;
    enum ice_failure failure;
    bool idle, failure_told, had_remote;
    const struct ice_timing *timing;
    time_ns created_at, disconnected_at; /* DISCONNECTED: since when */
    struct ice_credentials own, remote;
    uint32_t tag, serial;
    uint32_t role_serial; /* the first check sent in this role */
    uint64_t tie_breaker;
    uint8_t key[ICE_KEY_LEN]; /* of transaction ids */
    struct ice_candidates candidates;
    struct ice_pairs pairs;
    struct ice_answer answers[ICE_ANSWER_MAX]; /* ring */
    unsigned answer_first, answer_count;
    struct ice_path told_path; /* families ADDR_NONE: none */
};

/* seed: random, secret. now: not 0. ERR_INVALID: a credential is empty or too long. */
enum err ice_init(struct ice *a, const struct ice_config *config, const uint8_t seed[ICE_SEED_LEN],
                  time_ns now) MUST_USE;
void ice_wipe(struct ice *a);

/* ---- inputs ---- */

/* candidate: host, srflx or relay; its priority is computed here. False: redundant, of no use, or too many. */
bool ice_add_local(struct ice *a, time_ns now, const struct candidate *candidate);
bool ice_remove_local(struct ice *a, time_ns now, const struct candidate *candidate);
/* An address of ours is no more: all candidates that are sent from it, though not through a relay, are removed. False: none. */
bool ice_remove_base(struct ice *a, time_ns now, const struct ip_addr *ip);
/* A signalled candidate of the peer, and one it has invalidated. False: it is not the peer's, not known, or of no use. */
bool ice_add_remote(struct ice *a, time_ns now, const struct candidate_line *line);
bool ice_invalidate_remote(struct ice *a, time_ns now, const struct candidate_line *line);
/* All candidates of ours are to be signalled once more. */
void ice_signal_again(struct ice *a);
/* Slower checks while nobody uses the connection, for those kinds that have them. */
void ice_set_idle(struct ice *a, time_ns now, bool idle);

/* local: where it came to: of what came through a relay, the relayed address. m: parsed without error. */
enum ice_verdict ice_handle_input(struct ice *a, time_ns now, const struct sock_addr *local,
                                  const struct sock_addr *from, const struct stun_message *m);
time_ns ice_poll_timeout(const struct ice *a);
void ice_handle_timeout(struct ice *a, time_ns now);

/* ---- outputs; false: nothing (more) ---- */

bool ice_poll_transmit(struct ice *a, struct ice_datagram *out);
bool ice_poll_event(struct ice *a, struct ice_event *out);

/* ---- questions ---- */

/* Where to send now. False: no pair is nominated. */
bool ice_selected(struct ice *a, struct ice_path *out);
/* The checks of that pair are not answered any more. */
bool ice_doubtful(struct ice *a);
/* By the whole USERNAME; by the transaction id. */
bool ice_owns_request(const struct ice *a, const struct stun_message *m);
bool ice_owns_id(const struct ice *a, const struct stun_id *id);

const char *ice_state_text(enum ice_state state);
const char *ice_failure_text(enum ice_failure failure);
const char *ice_verdict_text(enum ice_verdict verdict);

#endif
