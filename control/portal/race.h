/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In which order, and when, the addresses of one host are tried: one after the other, families in turns and IPv6 first, the
 * next when the one before has failed or has not answered for a moment. The first that answers wins. It knows addresses
 * and times, not sockets.
 *
 *   race_init; then, here and after all that follows, race_poll_start until false
 *   an attempt failed: race_failed; one succeeded: the race is over, and its owner ends the other attempts
 *   time: race_poll_timeout says when to come back
 *
 * Sans-IO; control role. Source: RFC 8305 4 and 5; spec/portal.md 1.6 (DEVIATE: there all start at once).
 */
#ifndef FZ_CONTROL_PORTAL_RACE_H
#define FZ_CONTROL_PORTAL_RACE_H

#include <stdbool.h>

#include "platform/base/addr.h"
#include "platform/base/time.h"

#define RACE_DELAY_NS   (250 * NS_PER_MS) /* "Connection Attempt Delay" */
#define RACE_TIMEOUT_NS (5 * NS_PER_SEC)  /* of the race as a whole */

enum {
    RACE_MAX = 16 /* attempts; further addresses are not tried */
};

enum race_attempt {
    RACE_NOT_STARTED,
    RACE_STARTED,
    RACE_FAILED
};

struct race {
    struct sock_addr addrs[RACE_MAX]; /* in the order of attempts */
    enum race_attempt attempts[RACE_MAX];
    unsigned n, started;
    time_ns next_at; /* of the attempt that follows */
    time_ns end_at;
};

/* Equal addresses are tried once. n may be 0: then the race is lost at once. */
void race_init(struct race *r, const struct sock_addr *addrs, unsigned n, time_ns now);

/* Is there an attempt to begin now? If so, *index is that of its address, and it counts as started. */
bool race_poll_start(struct race *r, time_ns now, unsigned *index);

/* An attempt that was started has failed. */
void race_failed(struct race *r, time_ns now, unsigned index);

/* All attempts have failed, or the time is over. */
bool race_lost(const struct race *r, time_ns now);

/* When race_poll_start or race_lost may say something new. */
time_ns race_poll_timeout(const struct race *r);

#endif
