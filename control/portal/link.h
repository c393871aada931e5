/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The link to the portal from the first attempt to the end of the process: when to connect, what a failure means, how long
 * to wait after it, when to give up. Owns the channel (phoenix.h); somebody else owns the socket and says what happens to it.
 *
 *   LINK_WAITING -> LINK_CONNECTING -> LINK_OPEN -> (failure) LINK_WAITING ... -> LINK_ENDED
 *
 * Each function that can change something fills an event; LINK_RETRY and LINK_FAILED mean that a socket, if there is one, is
 * to be closed. Sans-IO; control role. Source: spec/portal.md 1.5 and 5, spec/platform.md 6.6.
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
#define LINK_RETRY_AFTER_MIN_NS                                                                    \
    (1 * NS_PER_SEC) /* the portal's own limit is one attempt per second */

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
    LINK_CONNECT, /* begin an attempt now */
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
    time_ns delay_ns;
    struct phoenix_event channel;
    char why[LINK_WHY_MAX];
};

struct link {
    enum link_state state;
    time_ns until; /* of waiting or connecting */
    struct backoff backoff;
    struct phoenix channel;
};

/* max_partition_ns: how long delays may sum up to once it has been joined; TIME_NEVER: no limit. seed: random. */
void link_init(struct link *l, const char *topic, json_t *join_payload, time_ns max_partition_ns,
               uint64_t seed, time_ns now);
void link_fini(struct link *l);

time_ns link_poll_timeout(const struct link *l);
void link_handle_timeout(struct link *l, time_ns now, struct link_event *out);

/* The upgrade succeeded. */
void link_connected(struct link *l, time_ns now);
/* The portal answered the upgrade with something else. */
void link_refused(struct link *l, time_ns now, const struct problem *problem,
                  struct link_event *out);
/* The attempt failed otherwise, or the socket was closed; why: one phrase. */
void link_lost(struct link *l, time_ns now, const char *why, struct link_event *out);
/* A text frame. */
void link_handle_input(struct link *l, time_ns now, const char *text, size_t len,
                       struct link_event *out);
/* The network or the key has changed: a new attempt at once. The caller closes the socket it had. */
void link_reset(struct link *l, time_ns now);

void link_event_release(struct link_event *event);

#endif
