/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TUN frames between being read and being sent. Mostly that is no time at all. With a backlog, a loop sends
 * FRAMES_LOOP_BYTES of them and then looks for what else there is, and a small packet of a flow that has nothing waiting
 * goes before bulk of other flows: a queue of super-packets is milliseconds long, and who asks for little need not
 * stand in it. Within a flow nothing overtakes. Frames wait here for a free train, too.
 *
 * Private to engine/; part of a worker. The idea: RFC 8290 (sparse flows first), without its hashing of queues.
 */
#ifndef FZ_FRAMES_H
#define FZ_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/role.h"
#include "platform/io.h"

struct worker;

enum {
    FRAMES_MAX = 192,
    FRAMES_LOOP_BYTES = 256 << 10,
    FRAMES_BULK_LEN = 8 << 10, /* a frame as long as this is bulk */
    FRAMES_SMALL_LEN = 2 << 10 /* one shorter than this may go before bulk */
};

struct frame_waiting {
    struct io_rx rx;
    uint64_t flow; /* 0: not looked at yet */
    uint8_t origin;
};

struct frames {
    unsigned n, bulk_n;
    uint32_t spent;                           /* bytes sent in this loop */
    bool any_first;                           /* something went before bulk in this loop */
    struct frame_waiting waiting[FRAMES_MAX]; /* oldest first */
};

/* A loop begins. */
void frames_begin(struct worker *w) REQUIRES_ROLE(role_worker);
/* A frame of worker `origin`'s buffers: sent now, or later. There is room for it, see frames_room. */
void frames_add(struct worker *w, const struct io_rx *rx, unsigned origin)
    REQUIRES_ROLE(role_worker);
/* Sends what waits, as much as this loop may. */
void frames_run(struct worker *w) REQUIRES_ROLE(role_worker);
/* So many frames have room besides those that wait. */
unsigned frames_room(const struct worker *w) REQUIRES_ROLE(role_worker);
/* The worker ends: counts what waits. */
void frames_stop(struct worker *w) REQUIRES_ROLE(role_worker);

#endif
