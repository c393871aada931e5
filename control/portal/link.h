/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link to the portal from the first attempt to the end of the process: when to connect, what a failure means, how long
 * to wait after it, when to give up. Owns the channel (phoenix.h); somebody else owns the socket and says what happens to it.
 *
 *   LINK_WAITING -> LINK_CONNECTING -> LINK_OPEN -> (failure) LINK_WAITING ... -> LINK_ENDED
 *
 * LINK_CONNECT gives an attempt its number, which comes back with all that is reported of its socket; what is reported of
 * an older one is ignored. After LINK_RETRY, LINK_FAILED and link_reset the owner of the socket ends the attempt, whatever
 * stage it is at. After link_connected, input and timeouts there may be something to send: link_poll_transmit until false.
 * An event of kind LINK_MESSAGE, and no other, needs link_event_release. Sans-IO; control role. Source: spec/portal.md 1.5 and 5, spec/platform.md 6.6.
 */
#ifndef FZ_CONTROL_PORTAL_LINK_H
#define FZ_CONTROL_PORTAL_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/portal/backoff.h"
#include "control/portal/phoenix.h"
#include "control/portal/problem.h"

#define LINK_CONNECT_TIMEOUT_NS (15 * NS_PER_SEC) /* name, TCP, TLS and upgrade together */
/* Between two attempts: the portal's own limit, whatever back-off, Retry-After and resets say. */
#define LINK_ATTEMPT_MIN_NS (1 * NS_PER_SEC)

/* On top of it after a reset: the portal's second begins when it sees the attempt. */
#define LINK_ATTEMPT_MARGIN_NS (100 * NS_PER_MS)
/* After a reset, while the machine has no way to the portal: it is between two networks. */
#define LINK_UNREACHABLE_NS       (100 * NS_PER_MS)
#define LINK_UNREACHABLE_LIMIT_NS (5 * NS_PER_SEC)

enum {
    LINK_WHY_MAX = 512
};

enum link_state {
    LINK_WAITING,    /* for the next attempt */
    LINK_CONNECTING, /* somebody is at it */
    LINK_OPEN,       /* the channel joins, or has joined */
    LINK_ENDED
};

enum link_kind {
    LINK_NOTHING,
    LINK_CONNECT, /* begin attempt number `attempt` now */
    LINK_JOINED,
    LINK_MESSAGE, /* channel.name and channel.payload, until link_event_release */
    LINK_IGNORED, /* a frame without consequence: why */
    LINK_RETRY,   /* the connection, or the attempt, failed: why, delay_ns until the next */
    LINK_FAILED   /* no further attempt: failure, why */
};

enum link_failure {
    LINK_TOKEN_INVALID, /* needs another sign-in */
    LINK_AUTH_FAILED,
    LINK_JOIN_REFUSED,
    LINK_OUT_OF_RETRIES
};

struct link_event {
    enum link_kind kind;
    enum link_failure failure;
    uint32_t attempt;
    time_ns delay_ns;
    struct phoenix_event channel;
    char why[LINK_WHY_MAX]; /* for logs and people */
};

struct link {
    enum link_state state;
    uint32_t attempt;
    time_ns until;        /* of waiting or connecting */
    time_ns not_before;   /* of the next attempt: what the portal wants */
    time_ns attempted_at; /* the last upgrade; 0: none */
    time_ns reset_at;     /* 0: never */
    struct backoff backoff;
    struct phoenix channel; /* read only for others */
};

/* max_partition_ns: how long delays may sum up to once it has been joined; TIME_NEVER: no limit. seed: random. */
void link_init(struct link *l, const char *topic, json_t *join_payload, time_ns max_partition_ns,
               uint64_t seed, time_ns now);
void link_fini(struct link *l);

time_ns link_poll_timeout(const struct link *l);
void link_handle_timeout(struct link *l, time_ns now, struct link_event *out);

/* The upgrade is about to be asked for: the portal counts from here. */
void link_upgrading(struct link *l, time_ns now, uint32_t attempt);
/* The upgrade succeeded. */
void link_connected(struct link *l, time_ns now, uint32_t attempt);
/* The portal answered the upgrade with something else. */
void link_refused(struct link *l, time_ns now, uint32_t attempt, const struct problem *problem,
                  struct link_event *out);
/* The attempt failed otherwise, or the socket was closed; why: one phrase. */
void link_lost(struct link *l, time_ns now, uint32_t attempt, const char *why,
               struct link_event *out);
/* The same, if nothing could be sent to the portal: soon after a reset the next attempt comes at once. */
void link_unreachable(struct link *l, time_ns now, uint32_t attempt, const char *why,
                      struct link_event *out);
/* A text frame. */
void link_handle_input(struct link *l, time_ns now, uint32_t attempt, const char *text, size_t len,
                       struct link_event *out);
/* As phoenix_push, phoenix_poll_transmit, phoenix_wants_transmit. */
enum err link_push(struct link *l, const char *name, const json_t *payload) MUST_USE;
bool link_poll_transmit(struct link *l, char *out, size_t *len);
bool link_wants_transmit(const struct link *l);
/* The network or the key has changed: a new attempt as soon as the portal permits it. */
void link_reset(struct link *l, time_ns now);

void link_event_release(struct link_event *event);

#endif
