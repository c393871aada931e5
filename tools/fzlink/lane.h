/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One direction of the link: a thread that reads packets from one device, asks `impair` what becomes of them, and writes them to the
 * other one.
 *
 * Impairment is per packet of the wire. With offloads the kernel hands over frames of up to 64 KiB; they are split (engine/segment.h)
 * before impairment, and packets that are due in the same moment are joined again (engine/coalesce.h) as a network card does, hence
 * only what splits to the same packets again. So one system call carries many packets, and both namespaces see what they would
 * see on a wire of that MTU.
 *
 * Time: the thread sleeps until a packet comes or is due, with a slack of a nanosecond. Under load it takes what is due within
 * LANE_TICK together: a packet is never early and, when the machine has a CPU for the thread, not later than that.
 */
#ifndef FZ_TOOLS_FZLINK_LANE_H
#define FZ_TOOLS_FZLINK_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/err.h"
#include "tools/fzlink/impair.h"

enum {
    LANE_PACKETS_MAX = 1 << 16 /* under way at a time */
};

#define LANE_TICK (50 * NS_PER_US)

struct lane_config {
    const char *name; /* of the thread */
    int from, to;     /* TUN devices with virtio headers; borrowed */
    unsigned mtu;
    unsigned offloads; /* enum tun_offload bits of `to` */
    uint64_t seed;
    void (*broken)(void *arg); /* the device is gone; called by the thread, once */
    void *arg;
};

struct lane_stats {
    struct impair_stats impair;
    uint64_t frames_in, frames_out; /* what the kernel gave, and took */
    uint64_t malformed;             /* frames that cannot be split */
    uint64_t refused;               /* packets that the other device did not take */
};

struct lane;

enum err lane_start(struct lane **out, const struct lane_config *config,
                    const struct impair_settings *settings) MUST_USE;
/* What is under way is forgotten. */
void lane_stop(struct lane *l);

/* Any thread; it has happened when they return. */
void lane_set(struct lane *l, const struct impair_settings *settings);
void lane_read_stats(struct lane *l, struct lane_stats *out);

#endif
