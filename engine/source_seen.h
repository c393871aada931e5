/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which sources sent a handshake message lately: two Bloom filters that take turns, each for SOURCE_SEEN_PERIOD.
 *
 * For the time when cookie replies have to be rationed. An honest peer repeats its initiation after 5 s from the same
 * address and port and is then known; a flood from random sources hardly ever repeats one. False positives (a few
 * per cent at 100,000 sources per second) cost a cookie reply, nothing else. Sans-IO; one owner.
 */
#ifndef FZ_SOURCE_SEEN_H
#define FZ_SOURCE_SEEN_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/addr.h"
#include "platform/base/err.h"
#include "platform/base/time.h"

enum {
    SOURCE_SEEN_BITS_LOG2 = 24
}; /* 2 MiB each */

#define SOURCE_SEEN_PERIOD (8 * NS_PER_SEC) /* a source is remembered for one to two of these */

struct source_seen {
    uint64_t *filters[2]; /* untouched memory costs nothing until a flood comes */
    unsigned current;
    time_ns since; /* when `current` took over; 0: never used */
    uint64_t seed;
};

/* seed: random, so that nobody can aim at somebody else's bits. ERR_NO_MEMORY. */
enum err source_seen_init(struct source_seen *s, uint64_t seed) MUST_USE;
void source_seen_fini(struct source_seen *s);

/* Remembers the source. True if it was known already (or looks like one that was). */
bool source_seen_note(struct source_seen *s, const struct sock_addr *from, time_ns now);

#endif
