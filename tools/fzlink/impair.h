/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One direction of an emulated link: when does a packet leave, if at all. Sans-IO: packets are names and lengths, time and seed
 * are arguments. One caller at a time.
 *
 *                     +--------+     +------+     +----------------+
 *     impair_offer -->| queue  |---->| line |---->| delay, jitter  |--> impair_poll
 *                     | limit  |     | rate |     | in order       |
 *                     +--------+     +------+  |  +----------------+
 *                                              +-- reordered: no delay, overtakes what is delayed
 *
 * The queue is what waits for the line; it drops at its tail. A packet is on the line for its IP length at `rate`; without a rate
 * for no time, and then there is no queue. Losses happen on the line: a lost packet has waited and taken its time there. A
 * duplicate is a packet of its own right behind the first. Jitter is uniform in delay +- jitter, but a packet that would overtake
 * its predecessor is held until that is delivered; only those that `reorder` picks overtake.
 *
 * What chance decides about the n-th packet depends on the seed and n alone, not on time or settings. New settings hold from the
 * moment they are set: for packets that start on the line then, and for the delay of those that leave it. A shorter delay
 * does not let them overtake what is under way.
 */
#ifndef FZ_TOOLS_FZLINK_IMPAIR_H
#define FZ_TOOLS_FZLINK_IMPAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "platform/base/err.h"
#include "platform/base/time.h"

enum {
    IMPAIR_WHOLE = 1000000, /* a certain share: all shares are in millionths */
    IMPAIR_TAKEN_MAX = 2    /* packets that one offer may become */
};

struct impair_settings {
    time_ns delay, jitter;               /* jitter <= delay */
    uint32_t loss, reorder, duplicate;   /* shares */
    uint64_t rate;                       /* bit/s of IP packets; 0: without limit */
    uint64_t queue_packets, queue_bytes; /* 0: without limit */
};

/* Since impair_init. */
struct impair_stats {
    uint64_t offered, offered_bytes;
    uint64_t delivered, delivered_bytes;
    uint64_t duplicated; /* further packets that were made, whatever became of them */
    uint64_t lost;
    uint64_t reordered;     /* have overtaken others */
    uint64_t dropped_queue; /* for the limit of the queue */
    uint64_t dropped_full;  /* for the room in this structure */
    uint64_t queue_packets_max, queue_bytes_max;
};

/* A packet under way. */
struct impair_packet {
    time_ns at;      /* behind the line: when it is due */
    uint32_t name;   /* the caller's */
    uint32_t len;    /* bytes */
    uint32_t chance; /* for its jitter */
    bool lost, overtakes;
};

/* A ring; neither end catches up with the other. */
struct impair_fifo {
    struct impair_packet *slots;
    uint32_t head, n;
};

struct impair {
    struct impair_settings settings;
    struct impair_stats stats;
    uint64_t seed;
    uint32_t capacity;           /* of each ring, and of all together */
    struct impair_fifo queue;    /* the first one is on the line */
    struct impair_fifo delayed;  /* behind the line, in order of `at` */
    struct impair_fifo overtook; /* likewise */
    time_ns line_free;           /* when the first one of the queue has left the line */
    uint64_t line_rest;          /* what the division of its time left over */
    uint64_t queue_bytes;        /* of all but the one on the line */
    uint32_t queue_overtaking;   /* packets of the queue that overtake */
    time_ns last_due;            /* of all that were delayed */
};

/* slots: 3 * capacity; capacity: a power of two. Both must outlive `x`. */
void impair_init(struct impair *x, struct impair_packet *slots, uint32_t capacity, uint64_t seed);

/* From `now` on. */
void impair_set(struct impair *x, const struct impair_settings *settings, time_ns now);

/*
 * A packet of `len` bytes comes in. Returns how many packets the caller has to keep for impair_poll, at most IMPAIR_TAKEN_MAX: they
 * take the names from `names` in order. 0: it is lost or dropped.
 */
unsigned impair_offer(struct impair *x, uint32_t len, const uint32_t names[IMPAIR_TAKEN_MAX],
                      time_ns now);

/* The next packet that is due: its name. In order of their times. */
bool impair_poll(struct impair *x, uint32_t *name, time_ns now);

/* Nothing is due before; TIME_NEVER: nothing is under way. */
time_ns impair_poll_timeout(const struct impair *x);

/* Packets that wait for the line. */
uint32_t impair_queue_len(const struct impair *x);

#endif
